"""What an authorization and a service that may take from one are: a batch carries them, and `authorizations` reads and judges them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal


@dataclass(frozen=True, slots=True)
class Authorization:
    """`procedures`: ranges, first and last code; empty: any. `limit` is None where it has none; `counts` says of what it is."""

    payer: str
    member: str
    number: str
    procedures: tuple[tuple[str, str], ...]
    start: date
    end: date
    limit: Decimal | None
    counts: Literal["units", "visits"]

    def covers(self, procedure: str) -> bool:
        return not self.procedures or in_ranges(procedure, self.procedures)


@dataclass(frozen=True, slots=True)
class Service:
    """A line that may take from an authorization."""

    payer: str
    member: str
    number: str
    visit: str
    day: date
    procedure: str
    units: Decimal


def in_ranges(procedure: str, wanted: Iterable[tuple[str, str]]) -> bool:
    return any(first <= procedure <= last for first, last in wanted)
