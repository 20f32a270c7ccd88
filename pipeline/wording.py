"""How messages say numbers of things: one way in all rooms, so that nobody reads of "1 claims"."""

from __future__ import annotations


def counted(number: int, noun: str, many: str = "") -> str:
    """1 visit, 2 visits, 1,000 visits. `many`: the plural where it is not the noun with an s."""
    return f"{number:,} {noun if number == 1 else many or noun + 's'}"
