"""Segments that have no step from where the walk stands: what is wrong with each is named once, and the walk goes on from the
likeliest place, so that one fault gives one finding."""

from __future__ import annotations

import re
from typing import Any

from pipeline.x12 import guides
from pipeline.x12.guides import Loop, Place
from pipeline.x12.validator_loops import Loops
from pipeline.x12.validator_seen import Mode
from pipeline.x12.validator_standing import Frame

_SEGMENT_ID = re.compile(r"[A-Z][A-Z0-9]{1,2}\Z")


def is_segment_id(text: str) -> bool:
    return _SEGMENT_ID.match(text) is not None


class Strays(Loops):
    """A walk that finds its way again."""

    def __init__(self, data: bytes, mode: Mode, profile: dict[str, Any], limit: int) -> None:
        super().__init__(data, mode, profile, limit)
        #: a trigger whose qualifier is wrong: its number, and the loops that it may have begun
        self.doubtful: tuple[int, frozenset[Loop]] = (0, frozenset())

    def _resynchronise(self, segment: str, segment_id: str, parts: list[str]) -> None:
        """Name what is wrong with a segment that has no step from here, and choose where to go on."""
        assert self.machine is not None
        assert self.place is not None
        guide = self.machine.guide
        here = self.place.loop.id
        if not is_segment_id(segment_id):
            self.report(
                "x12.segment-id", "A segment has no valid segment id.", "Look for a delimiter inside data.", loop=here
            )
            return
        places = guide.by_id(segment_id)
        if not places:
            self.report(
                "x12.segment-unknown", f"{segment_id} does not exist in the {guide.title} ({guide.version}).",
                f"Leave {segment_id} out.", loop=here, segment_id=segment_id,
            )  # fmt: skip
            return
        element, _ = guides.key_position(segment_id)
        key = guides.key_of(segment_id, parts, self.delimiters.component, self.delimiters.repetition)
        matching = [place for place in places if not place.keys or key in place.keys]
        reachable = self.table.get(segment_id)
        if not matching:
            choices = list(dict.fromkeys(link[0] for link in reachable.values())) if isinstance(reachable, dict) else []
            allowed = sorted({code for place in choices or places for code in place.keys})
            rule, words = "x12.segment-unexpected", f"{segment_id} is not expected here."
            if choices and key:
                rule, words = (
                    "x12.element-code",
                    f"{segment_id}{element:02d} holds a qualifier that is not allowed here.",
                )
            elif choices:
                rule, words = "x12.element-missing", f"{segment_id}{element:02d} is required and empty."
            homes = {place.loop.id for place in choices}
            self.report(
                rule, words,
                f"Allowed: {', '.join(allowed[:20])}{' …' if len(allowed) > 20 else ''}.",
                loop=homes.pop() if len(homes) == 1 else here, segment_id=segment_id, element=element if choices else None,
                component=1 if choices and places[0].elements[element - 1].components else None,
            )  # fmt: skip
            self.doubted.add((self.frames[-1].number, segment_id))
            # where one place only is likely, what follows is read as if it were that one
            inner = [place for place in choices if place.loop is self.place.loop]
            awaited = [place for place in choices if self._awaited(place)]
            named = [place for place in choices if self.machine.meaning.hangs_under(place, self.state, parts)]
            for likely in (named[:1], awaited[:1], inner, choices):
                if len(likely) == 1:
                    self._go(likely[0], segment, quiet=True)
                    return
            self.doubtful = (self.number, frozenset(place.loop for place in choices if place.trigger))
            return
        open_loops = [frame.loop for frame in self.frames]
        in_open = [place for place in matching if place.loop in open_loops and not place.trigger]
        if in_open:
            place = in_open[-1]
            frame = self.frames[open_loops.index(place.loop)]
            if self._begins_anew(frame, place):
                self._headless(place, segment)
                return
            rule = "x12.segment-order"
            if frame.mask & place.bit and place.limit == 1:
                rule = "x12.segment-repeat"
            self.report(
                rule, f"{place.label} stands too late in loop {place.loop.id}: after {self.place.label}.",
                f"Put {place.label} before it.", loop=place.loop.id, segment_id=segment_id,
            )  # fmt: skip
            if rule == "x12.segment-order":
                self._meant(frame, place, parts)
            frame.mask |= place.bit
            self._elements(place, segment)
            return
        if self._unbegun(matching, open_loops, segment):
            return
        triggers = [place for place in matching if place.trigger]
        if triggers:

            def shared(place: Place) -> int:
                return sum(1 for loop in place.loop.chain() if loop in open_loops)

            place = max(triggers, key=lambda candidate: (shared(candidate), -candidate.loop.depth))
            parent = place.loop.parent
            if place.loop in open_loops and not self.frames[open_loops.index(place.loop)].mask & place.bit:
                pass  # what stood before it was told already
            elif place.loop.limit == 1 and place.loop in open_loops:
                self.report(
                    "x12.loop-repeat", f"Loop {place.loop.id} ({place.loop.name}) may stand once here and begins again.",
                    "Send the rest elsewhere, or leave it out.", loop=place.loop.id, segment_id=segment_id,
                )  # fmt: skip
            elif parent is not None and parent in open_loops:
                self.report(
                    "x12.segment-order", f"Loop {place.loop.id} ({place.loop.name}) stands too late: after {self.place.label} of loop {here}.",
                    f"Put loop {place.loop.id} before it.", loop=place.loop.id, segment_id=segment_id,
                )  # fmt: skip
            elif parent is not None:
                self.report(
                    "x12.loop-missing", f"Loop {place.loop.id} ({place.loop.name}) stands without the loop {parent.id} ({parent.name}) that it belongs to.",
                    f"Give {parent.trigger.label} of loop {parent.id} before it.", loop=parent.id,
                    segment_id=parent.trigger.id,
                )  # fmt: skip
            self._go(place, segment)
            return
        place = matching[0]
        self.report(
            "x12.segment-unexpected", f"{place.label} is not expected after {self.place.label} of loop {here}; it belongs to loop {place.loop.id}.",
            f"Put it into loop {place.loop.id}, or leave it out.", loop=here, segment_id=segment_id,
        )  # fmt: skip

    def _unbegun(self, matching: list[Place], open_loops: list[Loop], segment: str) -> bool:
        """A segment of a loop that may begin here and whose first segment is missing: told once, then the loop is read.

        The loop that is still lacking comes first, then one that may stand or not.
        """
        assert self.machine is not None
        assert self.place is not None
        reachable = {id(step.enter[-1]) for step in self.machine.guide.candidates(self.place) if step.enter}
        likely = [
            place for place in matching
            if not place.trigger and place.loop not in open_loops and id(place.loop) in reachable
        ]  # fmt: skip
        if not likely:
            return False
        number, loops = self.doubtful
        doubtful = [place for place in likely if place.loop in loops and self.number == number + 1]
        if doubtful:
            self._go(min(doubtful, key=lambda candidate: candidate.index), segment)  # which loop it is was told
            return True
        lacking = [place for place in likely if self._lacking(place.loop)]
        place = min(lacking or likely, key=lambda candidate: (candidate.loop.at, candidate.index))
        loop = place.loop
        if lacking:
            self._headless(place, segment)
        else:
            self.report(
                "x12.segment-unexpected", f"{place.label} stands without {loop.trigger.label}, which begins loop {loop.id} ({loop.name}).",
                f"Give {loop.trigger.label} before it, or leave it out.", loop=self.place.loop.id, segment_id=place.id,
            )  # fmt: skip
            self._go(place, segment)
        return True

    def _begins_anew(self, frame: Frame, place: Place) -> bool:
        """A required segment comes a second time after all that its loop needs: the loop's first segment was lost before it."""
        loop = place.loop
        needed = loop.required_mask & ~(frame.mask | frame.excused)
        return (
            place.required and place.limit == 1 and loop.limit != 1 and bool(frame.mask & place.bit) and not needed
            and loop.parent is not None
        )  # fmt: skip

    def _headless(self, place: Place, segment: str) -> None:
        """Read a loop whose first segment is missing, and say so."""
        loop = place.loop
        self.report(
            "x12.loop-missing", f"{loop.trigger.label}, which begins loop {loop.id} ({loop.name}), is missing before {place.label}.",
            f"Give {loop.trigger.label} before it.", loop=loop.id, segment_id=loop.trigger.id,
        )  # fmt: skip
        self._go(place, segment, anew=True)
