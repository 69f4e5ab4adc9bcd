"""How much tests leave to chance."""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, settings


def many(examples: int, *, new: bool = False, shrink: bool = True) -> settings:
    """So many examples: the same ones each time, so that no run fails by chance, or new ones.

    shrink: look for the least example that fails, which takes long where each one does.
    """
    return settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=not new,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink) if shrink else (Phase.generate,),
    )
