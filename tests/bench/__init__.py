"""Speed, as ratios measured in one run: `make bench`, or `python -m tests.bench member_page` for one of them.

Each module here has `run(deep)`, which yields rows of a name, a value and what is wanted of it. `deep` is for the long
way, which `--deep` asks for.
"""

import sys
from collections.abc import Iterable, Iterator

import click


def shown(label: str, turns: Iterable[int]) -> Iterator[int]:
    """The turns, with a bar that grows with them where somebody looks on."""
    with click.progressbar(turns, label=f"  {label}", file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:
        yield from bar


def met(is_met: bool, aim: str) -> str:
    """What is wanted, with whether it is so."""
    return f"{aim}: {'met' if is_met else 'MISSED'}"
