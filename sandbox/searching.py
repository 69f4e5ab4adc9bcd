"""Stripe's search language: email:'a@example.com' AND metadata['plan']:'basic'."""

import dataclasses
import re
from collections.abc import Callable
from typing import Any

from sandbox.errors import StripeError

_CLAUSE = re.compile(
    r"""\s*(?P<not>-)?(?P<field>[a-z_]+)(?:\[(?P<q>["'])(?P<key>(?:(?!(?P=q)).)*)(?P=q)\])?
        \s*(?P<how>:|~|<=|>=|<|>|=)\s*
        (?:(?P<quote>["'])(?P<text>(?:\\.|(?!(?P=quote)).)*)(?P=quote)|(?P<bare>[^\s"']+))\s*""",
    re.VERBOSE,
)
_JOIN = re.compile(r"(AND|OR)\b", re.IGNORECASE)
SHORTEST = 3  # characters of a part to look for
COMPARE: dict[str, Callable[[float, float], bool]] = {
    ":": lambda a, b: a == b,
    "=": lambda a, b: a == b,
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
}


@dataclasses.dataclass
class Clause:
    field: str
    key: str | None  # of metadata
    how: str
    value: str | None  # None: null
    negated: bool

    def fits(self, wire: dict[str, Any]) -> bool:
        found = wire.get(self.field)
        if self.key is not None:
            found = (found or {}).get(self.key)
        return self._holds(found) != self.negated

    def _holds(self, found: Any) -> bool:
        if self.value is None or found is None:
            return self.value is None and found is None
        if isinstance(found, bool):
            return self.value == str(found).lower()
        if isinstance(found, int):
            return COMPARE[self.how](found, float(self.value))
        if self.how == "~":
            return self.value.lower() in str(found).lower()
        return str(found).lower() == self.value.lower()


def parse(query: str, fields: dict[str, type]) -> Callable[[dict[str, Any]], bool]:
    """Whether a wire object fits the query. Raises Stripe's error for what is no query.

    fields: what can be searched for, with its kind: str, int, bool, dict (metadata).
    """
    unreadable = _refused(f"We were unable to parse your search query: {query!r}.")
    clauses, joins, rest = [], set(), query
    while True:
        match = _CLAUSE.match(rest)
        if not match:
            raise unreadable
        clauses.append(_checked(match, fields))
        rest = rest[match.end() :]
        if not rest.strip():
            break
        join = _JOIN.match(rest)
        if not join:
            raise unreadable
        joins.add(join[1].upper())
        rest = rest[join.end() :]
    if len(joins) > 1:
        raise _refused("You cannot combine AND and OR in one search query.")
    combined = any if "OR" in joins else all
    return lambda wire: combined(clause.fits(wire) for clause in clauses)


def _checked(match: re.Match[str], fields: dict[str, type]) -> Clause:
    field, key, how = match["field"], match["key"], match["how"]
    if field not in fields:
        listed = ", ".join(sorted(fields))
        raise _refused(f"Field `{field}` is an unsupported search field. Supported fields: {listed}.")
    kind = fields[field]
    if (kind is dict) != (key is not None):
        raise _refused(f"Field `{field}` cannot be searched for in this way.")
    bare = match["bare"]
    value = match["text"] if match["quote"] else None if bare.lower() == "null" else bare
    if value is not None and kind is int and not re.fullmatch(r"-?\d{1,15}", value):
        raise _refused(f"Field `{field}` takes a number, not {value!r}.")
    allowed = {int: COMPARE, str: (":", "~"), bool: (":",), dict: (":",)}[kind]
    if how not in allowed:
        raise _refused(f"Field `{field}` does not support the operator `{how}`.")
    if how == "~" and len(value or "") < SHORTEST:
        raise _refused(f"`~` needs at least {SHORTEST} characters.")
    return Clause(field, key, how, value and re.sub(r"\\(.)", r"\1", value), bool(match["not"]))


def _refused(text: str) -> StripeError:
    return StripeError(text, param="query")
