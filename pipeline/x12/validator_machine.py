"""A guide made ready for the walk: from each place, what may follow it, with all that the inner loop needs beside it."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from pipeline.x12 import guides
from pipeline.x12.guides import Guide, Loop, Place, Step
from pipeline.x12.segments import Delimiters
from pipeline.x12.validator_elements import pattern
from pipeline.x12.validator_meaning import Meaning
from pipeline.x12.validator_meaning_835 import Meaning835
from pipeline.x12.validator_meaning_837 import Meaning837, Meaning837D, Meaning837I
from pipeline.x12.validator_meaning_answers import Meaning277CA, Meaning999

_KINDS: dict[str, type[Meaning]] = {
    "837P": Meaning837,
    "837I": Meaning837I,
    "837D": Meaning837D,
    "835": Meaning835,
    "997": Meaning999,
    "999": Meaning999,
    "277CA": Meaning277CA,
}


def for_guide(guide: Guide) -> Meaning:
    """The meaning of a guide's transaction; ValueError where one of its rules cannot be read."""
    return _KINDS.get(guide.kind, Meaning)(guide)


#: One step, ready for the walk, as a tuple (the quickest to take apart): place, frames to keep, loops to enter, bit, limit,
#: match of its pattern, hook or None, whether rules ask for it, whether its good segments are kept, whether
#: its loop notes what comes first, and the table of what may follow (filled when first used)
Link = tuple[
    Place,
    int,
    tuple[Loop, ...],
    int,
    int,
    Callable[[str], Any],
    Any,
    bool,
    bool,
    bool,
    dict[str, Any],
]
#: segments that come again and again in a file, by id: what was found good once is not matched again
_REPEATING = frozenset(
    [
        "AMT",
        "CAS",
        "CUR",
        "DMG",
        "DTM",
        "DTP",
        "HI",
        "LQ",
        "LX",
        "MIA",
        "MOA",
        "N1",
        "N4",
        "NM1",
        "OI",
        "PER",
        "PRV",
        "PWK",
        "QTY",
        "SBR",
        "STC",
        "SV1",
        "SV2",
        "SV3",
        "SVC",
        "SVD",
    ]
)
#: but not these: the persons
_SINGULAR = frozenset(("IL", "QC", "74", "03"))
MOST_KNOWN = 4000  # steps and good segments in one table
NOT_YET = "…"  # a table's only key until it is filled


class Good:
    """A whole segment that was found good at this place of a table: it costs one look-up when it comes again."""

    __slots__ = ("link", "parts")

    def __init__(self, link: Link, parts: list[str]) -> None:
        self.link = link
        self.parts = parts


class Machine:
    """A guide made ready for one set of delimiters: places → tables of links. Kept over files."""

    def __init__(self, guide: Guide, delimiters: Delimiters, basic: bool) -> None:
        self.guide = guide
        self.delimiters = delimiters
        self.basic = basic
        self.meaning = for_guide(guide)
        self.tables: dict[int, dict[str, Any]] = {}
        self.ruled = self.meaning.situations.loops
        self.kept = self.meaning.situations.kept
        self.closing = self.meaning.situations.closing | self.meaning.closing

    def table(self, place: Place) -> dict[str, Any]:
        """What may follow `place`: segment id → link, or → qualifier → link; whole segments → `Good`. Links point on to tables, filled on demand."""
        known = self.tables.get(place.index)
        if known is None:
            known = self.tables[place.index] = {NOT_YET: place}
        return known

    def fill(self, table: dict[str, Any]) -> None:
        place = table.pop(NOT_YET)
        for segment_id, steps in self.guide.steps(place).items():
            if segment_id == "SE":
                continue
            if isinstance(steps, dict):
                table[segment_id] = {key: self.link(step) for key, step in steps.items()}
            else:
                table[segment_id] = self.link(steps)

    def filled(self, place: Place) -> dict[str, Any]:
        table = self.table(place)
        if NOT_YET in table:
            self.fill(table)
        return table

    def link(self, step: Step) -> Link:
        place = step.place
        return (
            place, step.keep, step.enter, place.bit, place.limit, self.matcher(place), self.meaning.hooks.get(place.index),
            place.index in self.kept, self.repeats(place), place.loop.required_mask != place.loop.trigger.bit, self.table(place),
        )  # fmt: skip

    @staticmethod
    def repeats(place: Place) -> bool:
        return place.id in _REPEATING and not place.keys & _SINGULAR

    def matcher(self, place: Place) -> Callable[[str], Any]:
        return pattern(place, self.delimiters, basic=self.basic).match


@lru_cache(maxsize=64)
def machine_for(version: str, set_id: str, overlay: str, delimiters: Delimiters, basic: bool) -> Machine | None:
    changes = json.loads(overlay) if overlay else {}
    guide = guides.overlaid(version, set_id, changes) if changes else guides.for_version(version, set_id)
    return Machine(guide, delimiters, basic) if guide else None
