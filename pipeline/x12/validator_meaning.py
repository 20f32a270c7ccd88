"""What a transaction set must mean, beyond its form: balances, sequences, identifiers. SNIP 3 and those of 4 and 5.

A `Meaning` hangs hooks on places of a guide; the walk calls a hook with the segment's elements as it passes, and
`closed` when a loop ends. Hooks keep sums in integer cents and never raise: what cannot be read as an amount was already
reported as an element, and is left out of the sum together with the check that would need it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from pipeline.x12.guides import Guide

if TYPE_CHECKING:
    from pipeline.x12.validator import _Engine, _Frame

Hook = Callable[[Any, "_Engine", int, list[str]], None]


class Meaning:
    """The base: nothing but what every set shares."""

    def __init__(self, guide: Guide) -> None:
        self.guide = guide
        self.hooks: dict[int, Hook] = {}
        self.loops_with_rules: frozenset[str] = frozenset()

    def state(self, profile: Mapping[str, Any]) -> Any:
        return None

    def closed(self, state: Any, engine: _Engine, frame: _Frame) -> None:
        return None

    def finished(self, state: Any, engine: _Engine) -> None:
        return None


def for_guide(guide: Guide) -> Meaning:
    return Meaning(guide)
