"""The open loops of a set: opening and closing them, counting what they hold, and standing where no step leads."""

from __future__ import annotations

from typing import Any

from pipeline.x12 import guides
from pipeline.x12.guides import Loop, Place
from pipeline.x12.validator_elements import problems, times
from pipeline.x12.validator_machine import Machine
from pipeline.x12.validator_seen import Mode
from pipeline.x12.validator_standing import Frame, Standing


class Loops(Standing):
    """A walk inside a set: its guide's tables, and the place where it stands."""

    def __init__(self, data: bytes, mode: Mode, profile: dict[str, Any], limit: int) -> None:
        super().__init__(data, mode, profile, limit)
        self.basic = profile.get("charset") == "basic"
        self.machine: Machine | None = None
        self.place: Place | None = None
        self.table: dict[str, Any] = {}
        self.state: Any = None

    def _move(self, keep: int, enter: tuple[Loop, ...]) -> None:
        """Close loops until `keep` are open, then open `enter`."""
        frames = self.frames
        machine = self.machine
        assert machine is not None
        ruled = machine.ruled
        while len(frames) > keep:
            frame = frames.pop()
            if frame.loop.required_mask & ~frame.mask:
                self._missing(frame)
            if frame.loop.id in machine.closing:
                self._ended(frame, machine)
        for loop in enter:
            parent = frames[-1]
            if not parent.mask & loop.bit:
                parent.mask |= loop.bit
                parent.firsts.append((loop.bit, self.number))
            elif loop.limit:
                counts = parent.counts
                if counts is None:
                    counts = parent.counts = {}
                counts[loop.bit] = counts.get(loop.bit, 1) + 1
                if counts[loop.bit] == loop.limit + 1:
                    self.report(
                        "x12.loop-repeat", f"Loop {loop.id} ({loop.name}) stands more than {times(loop.limit)} here.",
                        "Send the rest elsewhere, or leave it out.", loop=loop.id, segment_id=loop.trigger.id,
                    )  # fmt: skip
            frames.append(Frame(loop, self.number, loop.id in ruled))

    def _close(self, frame: Frame) -> None:
        assert self.machine is not None
        self._missing(frame)
        self._ended(frame, self.machine)

    def _missing(self, frame: Frame) -> None:
        """Tell what the loop lacks."""
        loop = frame.loop
        missing = loop.required_mask & ~(frame.mask | frame.excused)
        if missing:
            items = loop.items()
            places = {item.bit: item.at for item in items}
            for item in items:
                if not item.bit & missing:
                    continue
                # it is noticed at the first segment that stands past its place
                past = [number for bit, number in frame.firsts if places.get(bit, 0) > item.at]
                number = min(past, default=self.number)
                if isinstance(item, Loop):
                    self.report(
                        "x12.loop-missing", f"Loop {item.id} ({item.name}) is missing in loop {loop.id}.",
                        f"Give loop {item.id}, beginning with {item.trigger.label}.", number=number, loop=item.id,
                        segment_id=item.trigger.id,
                    )  # fmt: skip
                else:
                    self.report(
                        "x12.segment-missing", f"{item.label} is missing in loop {loop.id} ({loop.name}).",
                        f"Give {item.label}.", number=number, loop=loop.id, segment_id=item.id,
                    )  # fmt: skip

    def _ended(self, frame: Frame, machine: Machine) -> None:
        """Judge what a loop means that holds all that it will."""
        meaning = machine.meaning
        loop_id = frame.loop.id
        if loop_id in meaning.closing:
            meaning.closed(self.state, self, frame)
        if frame.items is not None:
            meaning.situations.closed(self, frame)
        if loop_id in meaning.SUBJECTS:
            self.subject = ""

    def _again(self, frame: Frame, place: Place) -> bool:
        """A segment that its loop has held before: True where that is once too often."""
        counts = frame.counts
        if counts is None:
            counts = frame.counts = {}
        counts[place.bit] = counts.get(place.bit, 1) + 1
        if counts[place.bit] > place.limit:
            self.report(
                "x12.segment-repeat",
                f"{place.label} may stand {times(place.limit)} in loop {place.loop.id} and stands more often.",
                "Leave the further ones out.", loop=place.loop.id, segment_id=place.id,
            )  # fmt: skip
            return True
        return False

    def _elements(self, place: Place, segment: str, *, spared: int = 0) -> None:
        """What is wrong inside a segment. `spared`: an element whose absence is tolerated on files that we receive."""
        parts = segment.split(self.delimiters.element)
        wrong = list(problems(place, parts, self.delimiters, basic=self.basic))
        self._forget({problem.element for problem in wrong})
        for problem in wrong:
            self.report(
                problem.rule, problem.message, problem.fix, loop=place.loop.id, segment_id=place.id, element=problem.element,
                component=problem.component,
                severity="warning" if self.lenient and problem.element == spared and problem.rule == "x12.element-missing" else "",
            )  # fmt: skip

    def _lacking(self, loop: Loop) -> bool:
        """True where an open loop needs `loop` and does not hold it yet."""
        return loop.required and any(
            frame.loop is loop.parent and not (frame.mask | frame.excused) & loop.bit for frame in self.frames
        )

    def _meant(self, frame: Frame, place: Place, parts: list[str]) -> None:
        """What a segment means counts wherever it stands."""
        assert self.machine is not None
        if frame.items is not None and place.index in self.machine.kept:
            frame.items.append((place, self.number, parts))
        hook = self.machine.meaning.hooks.get(place.index)
        if hook is not None:
            hook(self.state, self, self.number, parts)

    def _assume(self, loop: Loop) -> None:
        """The first segment of a loop is missing, which was told: its hook learns that the loop has begun, no more."""
        assert self.machine is not None
        hook = self.machine.meaning.hooks.get(loop.trigger.index)
        if hook is not None:
            self.muted = True
            hook(self.state, self, self.number, [loop.trigger.id])
            self.muted = False

    def _hold(self, frame: Frame, bit: int) -> None:
        if not frame.mask & bit:
            frame.mask |= bit
            frame.firsts.append((bit, self.number))

    def _awaited(self, place: Place) -> bool:
        """True where the open loops still lack `place`, or the required loop that it begins."""
        loop = place.loop
        if not place.trigger:
            return place.required and any(
                frame.loop is loop and not frame.mask & place.bit for frame in self.frames[-1:]
            )
        return self._lacking(loop)

    def _go(self, place: Place, segment: str, *, quiet: bool = False, anew: bool = False) -> None:
        """Stand at `place`, opening the loops that it needs without asking for what they lack."""
        assert self.machine is not None
        way = place.loop.chain()
        open_loops = [frame.loop for frame in self.frames]
        shared = 0
        while shared < min(len(way), len(open_loops)) and way[shared] is open_loops[shared]:
            shared += 1
        if (place.trigger or anew) and shared == len(way):
            shared -= 1  # the loop begins again
        while len(self.frames) > max(shared, 1):
            self._close(self.frames.pop())
        for loop in way[max(shared, 1) :]:
            self._hold(self.frames[-1], loop.bit)
            frame = Frame(loop, self.number, loop.id in self.machine.ruled)
            self.frames.append(frame)
            if loop is not place.loop or not place.trigger:
                frame.excused = loop.required_mask
                self._assume(loop)
        frame = self.frames[-1]
        self._hold(frame, place.bit)
        if not quiet and self.machine.matcher(place)(segment) is None:
            self._elements(place, segment)
        elif quiet:
            parts = segment.split(self.delimiters.element)
            element, _ = guides.key_position(place.id)
            self.faulty.add((self.number, element))
            for problem in problems(place, parts, self.delimiters, basic=self.basic):
                if problem.element != element:
                    self.report(
                        problem.rule, problem.message, problem.fix, loop=place.loop.id, segment_id=place.id,
                        element=problem.element, component=problem.component,
                    )  # fmt: skip
        self._meant(frame, place, segment.split(self.delimiters.element))
        self.place = place
        self.table = self.machine.filled(place)
