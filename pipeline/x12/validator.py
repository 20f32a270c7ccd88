"""The validator: bytes in, findings out. One engine for every transaction set; what differs stands in the guides.

Theory. A file is a line of segments. `_Tokens` cuts it (delimiters are read at each ISA), `_Engine` walks it: the envelope in
plain steps, the inside of a transaction set by the compiled tables of its guide. The walk keeps a stack of open loops,
each with a bit set of what it has held; when a loop closes, what it lacks is known. A segment that has no step from
here is named, and the walk goes on from the likeliest place, so that one fault gives one finding. The good segment of a
good file costs a look-up and one match; all words are made on the way of the fault only.

Nothing raises on bad data, whatever the bytes. No finding holds a value of a patient: codes, counts and places only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Literal

from pipeline.findings import Finding
from pipeline.x12 import guides, validator_meaning
from pipeline.x12.guides import Guide, Loop, Place, Step
from pipeline.x12.isa import BOM, is_whole_iea, runs, without_raw
from pipeline.x12.lines import joined
from pipeline.x12.segments import BLANKS, DEFAULT_DELIMITERS, Delimiters, delimiters_of
from pipeline.x12.validator_elements import is_date, is_time, pattern, problems
from pipeline.x12.validator_rules import RULES, FormatRule
from pipeline.x12.validator_situations import Item

Mode = Literal["strict", "lenient"]

ISA_WIDTHS = (2, 10, 2, 10, 2, 15, 2, 15, 6, 4, 1, 5, 9, 1, 1, 1)
#: segments read at a time: bounds memory, whatever the file
CHUNK = 1 << 20
_SEGMENT_ID = re.compile(r"[A-Z][A-Z0-9]{1,2}\Z")
_CONTROL_NUMBER = re.compile(r"\d{9}\Z")
QUALIFIERS = frozenset(["01", "02", "03", "04", "07", "08", "09", "10", "11", "12", "13", "14", "15", "16", "17", "18", "19", "20", "21", "22", "23", "24", "25", "26", "27", "28", "29", "30", "31", "32", "33", "34", "35", "36", "37", "38", "AM", "NR", "SA", "SN", "ZZ"])  # fmt: skip
_ENVELOPE = frozenset(("ISA", "TA1", "GS", "ST", "SE", "GE", "IEA"))


# ── what was seen, for acknowledgments ───────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class SetSeen:
    """One transaction set: its header as it stands, its first and last segment, and how many findings it got."""

    id: str
    control: str
    version: str
    first: int
    last: int = 0
    errors: int = 0
    warnings: int = 0
    known: bool = True  # we have its guide


@dataclass(slots=True)
class GroupSeen:
    functional_id: str
    sender: str
    receiver: str
    control: str
    version: str
    first: int
    last: int = 0
    created: str = ""  # GS04
    stated_sets: str = ""
    sets: list[SetSeen] = field(default_factory=list)


@dataclass(slots=True)
class InterchangeSeen:
    """`elements` are ISA01–ISA16 without padding."""

    elements: tuple[str, ...]
    delimiters: Delimiters
    first: int
    last: int = 0
    groups: list[GroupSeen] = field(default_factory=list)


@dataclass(slots=True)
class Report:
    findings: list[Finding]
    interchanges: list[InterchangeSeen]


def validate(
    data: bytes,
    *,
    file: str = "",
    mode: Mode = "strict",
    profile: Mapping[str, Any] | None = None,
    limit: int = 1000,
) -> list[Finding]:
    """Findings of a whole X12 file, in order of segments; empty: nothing is wrong. Never raises on bad bytes.

    `mode` strict: for what we send. lenient: for what we receive; tolerated faults become warnings.
    `profile`: a payer's differences: `charset` (basic|extended), `usage` (T|P), `max_claims_per_set`, and an overlay of the
    guide (`elements`, `segments`, `rules`; see docs/guides.md).
    `limit`: at most so many findings; the last one then says how many are not listed.
    """
    return examine(data, file=file, mode=mode, profile=profile, limit=limit).findings


def examine(
    data: bytes,
    *,
    file: str = "",
    mode: Mode = "strict",
    profile: Mapping[str, Any] | None = None,
    limit: int = 1000,
) -> Report:
    """As `validate`, with the interchanges, groups and sets that were seen."""
    engine = _Engine(data, mode, dict(profile or {}), limit)
    engine.run()
    return Report(engine.finished(file), engine.interchanges)


Open = tuple[Loop, int]
#: number of the segment, its text, its delimiters, its place (None where it has none), and the open loops with the
#: number of the segment at which each began
Visit = Callable[[int, str, Delimiters, Place | None, tuple[Open, ...]], None]


def walk(
    data: bytes, visit: Visit, *, mode: Mode = "lenient", profile: Mapping[str, Any] | None = None, limit: int = 1000
) -> Report:
    """As `examine`, calling `visit` for each segment in order, where the validator stands after it."""
    engine = _Visited(data, mode, dict(profile or {}), limit)
    engine.visit = visit
    engine.run()
    return Report(engine.finished(""), engine.interchanges)


# ── cutting ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Tokens:
    """Batches of raw segments, cut as the other readers cut them. Each batch lies under one set of delimiters."""

    def __init__(self, data: bytes, text: str) -> None:
        self.data = data
        self.text = text
        self.delimiters = DEFAULT_DELIMITERS
        self.ragged = False  # a newline stands before each terminator
        self.outside = ""  # what stands before the first ISA, or instead of one
        self.last = False  # the run at hand is the file's last one

    def __iter__(self) -> Iterator[tuple[int, str, bool]]:
        """(offset, text of whole segments without the last terminator, line ends included; True), and for what no terminator
        ends (offset, text, False)."""
        for run in runs(self.data):
            if run.wire is None:
                self.outside = self.text[run.start : run.stop]
                continue
            head = self.text[run.start : run.start + 200].split(chr(run.wire.element), 13)
            declared = delimiters_of(run.wire)
            self.delimiters = replace(
                declared, repetition=_repetition(declared.repetition, head[12] if head[12:] else "")
            )
            self.ragged, self.last = run.wire.ragged, run.stop == len(self.data)
            text, shift = self.text, 0
            if self.data.find(b"BIN", run.start, run.stop) >= 0 or self.data.find(b"BDS", run.start, run.stop) >= 0:
                text, shift = without_raw(text[run.start : run.stop], declared.element, declared.segment), run.start
            position, stop, mark = run.start - shift, run.stop - shift, declared.segment
            while position < stop:
                end = text.rfind(mark, position, min(position + CHUNK, stop))
                if end < 0:
                    end = text.find(mark, position, stop)
                if end < 0:
                    rest = text[position:stop].rstrip(BLANKS)
                    if rest.lstrip(BLANKS):
                        yield position + shift, rest, False
                    break
                yield position + shift, text[position:end], True
                position = end + 1


def _repetition(mark: str, version: str) -> str:
    """ISA11 is the repetition separator from version 00402 on; before, a standards id (U)."""
    return "" if version < "00402" else mark


# ── the tables of the walk ───────────────────────────────────────────────────────────────────────────────────────────


#: One step, ready for the walk, as a tuple (the quickest to take apart): place, frames to keep, loops to enter, bit, limit,
#: match of its pattern, hook or None, whether rules ask for it, its good segments seen before (None: not kept), whether
#: its loop notes what comes first, and the table of what may follow (filled when first used)
_Link = tuple[
    Place,
    int,
    tuple[Loop, ...],
    int,
    int,
    Callable[[str], Any],
    Any,
    bool,
    dict[str, list[str]] | None,
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
_SEEN = 1000  # kept for each place
_NOT_YET = "…"  # a table's only key until it is filled


class _Frame:
    """An open loop: what it has held (`mask`, `counts`), where it began, and its segments where rules ask for them."""

    __slots__ = ("counts", "excused", "firsts", "items", "kids", "loop", "mask", "number", "signature")

    def __init__(self, loop: Loop, number: int, keep: bool) -> None:
        self.signature: tuple[int, tuple[Any, ...]] | None = None
        self.loop = loop
        self.mask = 0
        self.excused = 0  # what it need not hold, since its own first segment is missing and that was told
        self.number = number
        self.counts: dict[int, int] | None = None
        #: (bit, segment number) of the first of each place and child loop: tells where a missing one should have stood
        self.firsts: list[tuple[int, int]] = []
        self.items: list[Item] | None = [] if keep else None
        self.kids: dict[str, list[tuple[list[Item], tuple[Any, ...]]]] | None = None


class _Machine:
    """A guide made ready for one set of delimiters: places → tables of links. Kept over files."""

    def __init__(self, guide: Guide, delimiters: Delimiters, basic: bool) -> None:
        self.guide = guide
        self.delimiters = delimiters
        self.basic = basic
        self.meaning = validator_meaning.for_guide(guide)
        self.tables: dict[int, dict[str, Any]] = {}
        self.good: dict[int, dict[str, list[str]]] = {}
        self.ruled = self.meaning.situations.loops
        self.kept = self.meaning.situations.kept
        self.closing = self.meaning.situations.closing | self.meaning.closing

    def table(self, place: Place) -> dict[str, Any]:
        """What may follow `place`: segment id → link, or → qualifier → link. Links point on to tables, filled on demand."""
        known = self.tables.get(place.index)
        if known is None:
            known = self.tables[place.index] = {_NOT_YET: place}
        return known

    def fill(self, table: dict[str, Any]) -> None:
        place = table.pop(_NOT_YET)
        for segment_id, steps in self.guide.steps(place).items():
            if segment_id == "SE":
                continue
            if isinstance(steps, dict):
                table[segment_id] = {key: self.link(step) for key, step in steps.items()}
            else:
                table[segment_id] = self.link(steps)

    def filled(self, place: Place) -> dict[str, Any]:
        table = self.table(place)
        if _NOT_YET in table:
            self.fill(table)
        return table

    def link(self, step: Step) -> _Link:
        place = step.place
        return (
            place, step.keep, step.enter, place.bit, place.limit, self.matcher(place), self.meaning.hooks.get(place.index),
            place.index in self.kept, self.seen(place), place.loop.required_mask != place.loop.trigger.bit, self.table(place),
        )  # fmt: skip

    def seen(self, place: Place) -> dict[str, list[str]] | None:
        if place.id not in _REPEATING or place.keys & _SINGULAR:
            return None
        return self.good.setdefault(place.index, {})

    def matcher(self, place: Place) -> Callable[[str], Any]:
        return pattern(place, self.delimiters, basic=self.basic).match


@lru_cache(maxsize=64)
def _machine(version: str, set_id: str, overlay: str, delimiters: Delimiters, basic: bool) -> _Machine | None:
    changes = json.loads(overlay) if overlay else {}
    guide = guides.overlaid(version, set_id, changes) if changes else guides.for_version(version, set_id)
    return _Machine(guide, delimiters, basic) if guide else None


# ── the walk ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Engine:
    def __init__(self, data: bytes, mode: Mode, profile: dict[str, Any], limit: int) -> None:
        self.data, self.lines = joined(data)
        self.text = self.data.decode("latin-1")
        self.lenient = mode == "lenient"
        self.profile = profile
        self.limit = max(limit, 1)
        self.basic = profile.get("charset") == "basic"
        overlay = {key: profile[key] for key in ("elements", "segments", "rules") if profile.get(key)}
        self.overlay = json.dumps(overlay, sort_keys=True, default=list) if overlay else ""
        self.found: list[dict[str, Any]] = []
        self.beyond = 0
        self.count = 0  # findings so far, listed or not
        self.interchanges: list[InterchangeSeen] = []
        self.number = 0
        self.delimiters = DEFAULT_DELIMITERS
        self.interchange: InterchangeSeen | None = None
        self.group: GroupSeen | None = None
        self.set: SetSeen | None = None
        self.set_numbers: set[str] = set()
        self.group_numbers: set[str] = set()
        self.interchange_numbers: set[tuple[str, ...]] = set()
        # inside a set
        self.machine: _Machine | None = None
        self.frames: list[_Frame] = []
        self.place: Place | None = None
        self.table: dict[str, Any] = {}
        self.state: Any = None
        self.subject = ""
        #: (segment, element) whose form is wrong: what they mean is not asked
        self.faulty: set[tuple[int, int]] = set()
        #: (first segment of a loop, segment id): it holds one whose qualifier is wrong, so none of them is called missing
        self.doubted: set[tuple[int, str]] = set()
        #: a trigger whose qualifier is wrong: its number, and the loops that it may have begun
        self.doubtful: tuple[int, frozenset[Loop]] = (0, frozenset())
        self.outside = False  # between sets, where segments stand that belong to none: told once
        self.lost_sets = 0  # of this group: how often
        self.muted = False  # nothing is reported: a hook is told of a segment that is missing
        self.lines_noted = False
        self.ended = False  # all segments were read

    # findings ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def report(
        self,
        rule: str,
        message: str,
        fix: str = "",
        *,
        number: int | None = None,
        loop: str = "",
        segment_id: str = "",
        element: int | None = None,
        component: int | None = None,
        severity: str = "",
        snip: int | None = None,
        subject: str | None = None,
    ) -> None:
        if self.muted:
            return
        if element and not rule.startswith("x12.") and (number or self.number, element) in self.faulty:
            return
        known: FormatRule | None = RULES.get(rule)
        if not severity:
            severity = (known.lenient if self.lenient else known.strict) if known else "error"
        if snip is None and known:
            snip = known.snip
        self.count += 1
        if self.set is not None:
            if severity == "error":
                self.set.errors += 1
            elif severity == "warning":
                self.set.warnings += 1
        if len(self.found) >= self.limit:
            self.beyond += 1
            return
        self.found.append({
            "rule": rule, "severity": severity, "message": message, "fix": fix, "snip": snip,
            "segment": self.number if number is None else number, "loop": loop, "segment_id": segment_id,
            "element": element, "component": component, "subject": self.subject if subject is None else subject,
        })  # fmt: skip

    def finished(self, file: str) -> list[Finding]:
        """The findings with their byte offsets, in order of segments."""
        found = self.found
        if self.beyond:
            lost = self.beyond + 1
            last = found[-1]
            found[-1] = {
                **last, "rule": "x12.limit", "severity": last["severity"], "snip": None, "loop": "", "segment_id": "",
                "element": None, "component": None, "subject": "",
                "message": f"{lost} further findings are not listed.", "fix": "Mend these first, or raise the limit.",
            }  # fmt: skip
        offsets = self._offsets({item["segment"] for item in found})
        # stable: findings of one segment stay in the order in which they were made
        tail = [found.pop()] if self.beyond else []
        found.sort(key=lambda item: item["segment"])
        end = len(self.text)
        placed = [
            (item.pop("place", offsets.get(item["segment"], end if item["segment"] > 1 else 0)), item)
            for item in found + tail
        ]
        place = self.lines.place if self.lines else int
        return [Finding(file=file, offset=place(offset), **item) for offset, item in placed]

    def _offsets(self, wanted: set[int]) -> dict[int, int]:
        if not wanted:
            return {}
        result: dict[int, int] = {}
        todo = sorted((number for number in wanted if number > 0), reverse=True)
        number = 0
        tokens = _Tokens(self.data, self.text)
        for offset, batch, whole in tokens:
            if not whole and not tokens.last:
                continue  # cut off by another interchange: it has no number
            raw = batch.split(tokens.delimiters.segment)
            if tokens.delimiters.segment in "\r\n":
                for text in raw:
                    blank = len(text) - len(text.lstrip(BLANKS))
                    if blank < len(text):  # an empty line has no number
                        number += 1
                        if todo and todo[-1] == number:
                            result[todo.pop()] = offset + blank
                    offset += len(text) + 1
                continue
            at = 0  # segments of this batch passed so far
            while todo and todo[-1] <= number + len(raw):
                index = todo.pop() - number - 1
                offset += sum(map(len, raw[at:index])) + index - at
                at = index
                blank = len(raw[index]) - len(raw[index].lstrip(BLANKS))
                result[number + index + 1] = offset + blank
            if not todo:
                break
            number += len(raw)
        return result

    # the file ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def run(self) -> None:
        if self.data.startswith(BOM):
            self.report(
                "x12.byte-order-mark", "The file begins with a byte order mark.", "Save it without one.", number=1
            )
        if self.lines is not None:
            self.report(
                "x12.cut-lines",
                self.lines.message,
                "Send it without line ends, or with one after each terminator.",
                number=1,
            )
        tokens = _Tokens(self.data, self.text)
        for offset, batch, whole in tokens:
            if tokens.outside:
                self._foreign(tokens.outside)
                tokens.outside = ""
            self.delimiters = tokens.delimiters
            mark = self.delimiters.segment
            segments = batch.split(mark)
            if (
                "\n" in batch
                or "\r" in batch
                or batch[:1] in BLANKS
                or any(mark + blank in batch for blank in "\t \x00\x1a")
            ):
                segments = self._trimmed(segments, ragged=tokens.ragged)
            if not whole and self.interchange is None and not segments[0].startswith("ISA"):
                self.report(
                    "x12.trailing-bytes", "Bytes stand outside any interchange.", "Ask the sender for a whole file.",
                    number=max(self.number, 1),
                )  # fmt: skip
                continue
            if not whole and tokens.last and is_whole_iea(batch.encode("latin-1"), ord(self.delimiters.element)):
                self.report(
                    "x12.iea-unterminated", "IEA, the last segment, has no terminator; the segment is whole.",
                    "End the file with the terminator.", number=self.number + 1, segment_id="IEA",
                )  # fmt: skip
            elif not whole:
                self.report(
                    "x12.unterminated", "A segment has no terminator: the file is cut off or damaged there.",
                    "Ask the sender for a whole file.", number=self.number + 1,
                )  # fmt: skip
                if self.found[-1]["rule"] == "x12.unterminated":
                    self.found[-1]["place"] = offset
                if not tokens.last:
                    continue  # another interchange begins within it: what it lacks cannot be judged
            self._walk(segments)
        self.ended = True
        if self.interchange is not None:
            self._close_interchange(missing=True)
        elif not self.number:
            self._foreign(tokens.outside)

    def _trimmed(self, segments: list[str], *, ragged: bool) -> list[str]:
        """Without the blanks before each segment, and the line end before each terminator where the interchange is so written."""
        if ragged:
            for _ in range(2):
                segments = [segment[:-1] if segment[-1:] in ("\r", "\n") else segment for segment in segments]
        segments = [segment.lstrip(BLANKS) if segment[:1] in BLANKS else segment for segment in segments]
        if self.delimiters.segment in "\r\n":
            return [segment for segment in segments if segment]  # an empty line is no segment
        if not self.lines_noted and self.delimiters.segment not in "\r\n":
            self.lines_noted = True
            rule, words, fix = (
                ("x12.line-ends", "Line ends or blanks follow the segment terminators.", "None needed: they are read over.")
                if not ragged
                else ("x12.line-before-terminator", "A line end stands before each segment terminator.", "Put it behind the terminator.")
            )  # fmt: skip
            self.report(rule, words, fix, number=self.number + 1)
        return segments

    def _foreign(self, text: str) -> None:
        """What stands before the first ISA, or instead of one."""
        head = text.lstrip(BLANKS)
        number = max(self.number, 1)
        if not head:
            self.report("x12.not-x12", "The file is empty.", "Ask the sender for a whole file.", number=number)
        elif not head.startswith("ISA"):
            self.report(
                "x12.not-x12",
                "The file does not begin with an ISA segment.",
                "Check that it is an X12 file.",
                number=number,
            )
        elif len(head) < 106 or head.count(head[3], 0, 160) < 16:
            self.report(
                "x12.unterminated",
                "The file ends inside an ISA segment.",
                "Ask the sender for a whole file.",
                number=number,
            )
        else:
            self.report(
                "x12.delimiters", "The ISA is not 106 characters long, or does not declare four different marks.",
                "Use * ^ : and ~, and pad each ISA element to its width.", number=number,
            )  # fmt: skip

    def _walk(self, segments: list[str]) -> None:
        """The inner loop: a look-up and a match for each good segment. All that is rare is in a method of its own."""
        mark, component, repetition = self.delimiters.element, self.delimiters.component, self.delimiters.repetition
        number, table, frames = self.number, self.table, self.frames
        place, state = self.place, self.state
        for segment in segments:
            number += 1
            head = segment.split(mark, 2)
            link = table.get(head[0])
            if link.__class__ is dict:
                key = head[1] if len(head) > 1 else ""
                if head[0] == "HL":
                    key = "".join(segment.split(mark, 4)[3:4])
                choices, link = link, link.get(key)
                if link is None:
                    link = choices.get(guides.first_part(key, component, repetition)) or choices.get("")
            if link is None:
                if _NOT_YET in table:
                    # the first time here: fill the table and take the segment again
                    self.number, self.table, self.place = number - 1, table, place
                    self.machine.fill(table)  # type: ignore[union-attr]
                    self._walk([segment])
                else:
                    self.number, self.table, self.place = number, table, place
                    self._other(segment, head[0])
                table, place, frames, state = self.table, self.place, self.frames, self.state
                continue
            place, keep, enter, bit, limit, matches, hook, kept, good, notes, table = link
            if enter or len(frames) != keep:
                self.number = number
                self._move(keep, enter)
            frame = frames[-1]
            if frame.mask & bit:
                if limit:
                    self.number = number
                    if self._again(frame, place) and limit == 1:
                        # one segment too many is one fault: what it means is not asked
                        if matches(segment) is None:
                            self._elements(place, segment)
                        continue
            else:
                frame.mask |= bit
                if notes:
                    frame.firsts.append((bit, number))
            parts = good.get(segment) if good is not None else None
            known = parts is not None
            if parts is None and (kept or hook is not None):
                parts = segment.split(mark)
            if kept and frame.items is not None:
                frame.items.append((place, number, parts))  # type: ignore[arg-type]
            if hook is not None:
                # first, so that what is found in a claim's first segment already bears its id
                self.number = number
                hook(state, self, number, parts)
            if known:
                continue
            if matches(segment) is None:
                self.number = number
                self._elements(place, segment)
            elif good is not None and len(good) < _SEEN:
                good[segment] = parts or segment.split(mark)
        self.number, self.table, self.place = number, table, place

    # loops ───────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _move(self, keep: int, enter: tuple[Loop, ...]) -> None:
        """Close loops until `keep` are open, then open `enter`."""
        frames = self.frames
        machine = self.machine
        assert machine is not None
        closing, ruled = machine.closing, machine.ruled
        while len(frames) > keep:
            frame = frames.pop()
            loop = frame.loop
            if loop.required_mask & ~frame.mask or loop.id in closing:
                self._close(frame)
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
                        "x12.loop-repeat", f"Loop {loop.id} ({loop.name}) stands more than {loop.limit} times here.",
                        "Send the rest elsewhere, or leave it out.", loop=loop.id, segment_id=loop.trigger.id,
                    )  # fmt: skip
            frames.append(_Frame(loop, self.number, loop.id in ruled))

    def _close(self, frame: _Frame) -> None:
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
        assert self.machine is not None
        meaning = self.machine.meaning
        if loop.id in meaning.closing:
            meaning.closed(self.state, self, frame)
        if frame.items is not None:
            meaning.situations.closed(self, frame)
        if loop.id in meaning.SUBJECTS:
            self.subject = ""

    def _again(self, frame: _Frame, place: Place) -> bool:
        """A segment that its loop has held before: True where that is once too often."""
        counts = frame.counts
        if counts is None:
            counts = frame.counts = {}
        counts[place.bit] = counts.get(place.bit, 1) + 1
        if counts[place.bit] > place.limit:
            self.report(
                "x12.segment-repeat",
                f"{place.label} may stand {place.limit} times in loop {place.loop.id} and stands more often.",
                "Leave the further ones out.", loop=place.loop.id, segment_id=place.id,
            )  # fmt: skip
            return True
        return False

    def _elements(self, place: Place, segment: str) -> None:
        parts = segment.split(self.delimiters.element)
        wrong = list(problems(place, parts, self.delimiters, basic=self.basic))
        self._forget({problem.element for problem in wrong})
        for problem in wrong:
            self.report(
                problem.rule, problem.message, problem.fix, loop=place.loop.id, segment_id=place.id, element=problem.element,
                component=problem.component,
            )  # fmt: skip

    def _forget(self, elements: set[int]) -> None:
        """The form of these elements of this segment is wrong: one fault, one finding, so what they mean is left unsaid."""
        self.faulty |= {(self.number, element) for element in elements}
        index = len(self.found)
        while index and self.found[index - 1]["segment"] == self.number:
            index -= 1
            item = self.found[index]
            if item["element"] not in elements or item["rule"].startswith("x12."):
                continue
            del self.found[index]
            self.count -= 1
            if self.set is not None and item["severity"] in ("error", "warning"):
                name = "errors" if item["severity"] == "error" else "warnings"
                setattr(self.set, name, getattr(self.set, name) - 1)

    # what has no step ────────────────────────────────────────────────────────────────────────────────────────────────

    def _other(self, segment: str, segment_id: str) -> None:
        parts = segment.split(self.delimiters.element)
        if segment_id in _ENVELOPE:
            self._envelope(segment_id, parts, segment)
            return
        if not segment:
            self.report(
                "x12.segment-empty", "Two terminators stand together: an empty segment.", "Send one terminator."
            )
            return
        if segment_id not in _ENVELOPE and segment_id.strip().upper() in _ENVELOPE | self._known_ids():
            upper = segment_id.strip().upper()
            if upper != segment_id:
                self.report("x12.segment-case", f"The segment id {upper} is not written in capitals.", "Use capitals.")
                mark = self.delimiters.element
                self.number -= 1
                self._walk([mark.join([upper, *parts[1:]])])
                return
        if self.set is None:
            if not self.outside and self.interchange is None:
                self.outside = True
                self.report(
                    "x12.trailing-bytes", "Segments stand outside any interchange.", "Ask the sender for a whole file.",
                    segment_id=segment_id if _SEGMENT_ID.match(segment_id) else "",
                )  # fmt: skip
            elif not self.outside:
                self.outside = True
                self.lost_sets += 1
                name = segment_id if _SEGMENT_ID.match(segment_id) else ""
                self.report(
                    "x12.st-missing" if name else "x12.segment-id", f"{name or 'A segment'} stands outside any transaction set, and so may what follows it.",
                    "Check the ST and SE around it.", segment_id=name,
                )  # fmt: skip
            return
        if self.machine is None:
            return  # no guide: only the envelope is checked
        self._resynchronise(segment, segment_id, parts)

    def _known_ids(self) -> frozenset[str]:
        return frozenset(self.machine.guide._by_id) if self.machine else frozenset()

    def _resynchronise(self, segment: str, segment_id: str, parts: list[str]) -> None:
        """Name what is wrong with a segment that has no step from here, and choose where to go on."""
        assert self.machine is not None
        assert self.place is not None
        guide = self.machine.guide
        here = self.place.loop.id
        if not _SEGMENT_ID.match(segment_id):
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

    def _begins_anew(self, frame: _Frame, place: Place) -> bool:
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

    def _lacking(self, loop: Loop) -> bool:
        """True where an open loop needs `loop` and does not hold it yet."""
        return loop.required and any(
            frame.loop is loop.parent and not (frame.mask | frame.excused) & loop.bit for frame in self.frames
        )

    def _meant(self, frame: _Frame, place: Place, parts: list[str]) -> None:
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

    def _hold(self, frame: _Frame, bit: int) -> None:
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
            frame = _Frame(loop, self.number, loop.id in self.machine.ruled)
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

    # the envelope ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _envelope(self, segment_id: str, parts: list[str], segment: str) -> None:
        # trailing empty elements do not count
        while len(parts) > 1 and not parts[-1] and segment_id != "ISA":
            parts.pop()
            if len(parts) == 1 or parts[-1]:
                self.report(
                    "x12.trailing-separator", f"{segment_id} ends with empty elements.", "End it after its last value.",
                    segment_id=segment_id, element=len(parts),
                )  # fmt: skip
        getattr(self, f"_{segment_id.lower()}")(parts, segment)

    def _isa(self, parts: list[str], segment: str) -> None:
        if self.interchange is not None:
            self._close_interchange(missing=True)
        values = (*parts[1:17], *[""] * (17 - len(parts)))
        self.subject = ""
        self.group_numbers = set()
        self.set_numbers = set()
        self.interchange = InterchangeSeen(
            tuple(v.strip(" ") for v in values), self.delimiters, self.number, self.number
        )
        self.interchanges.append(self.interchange)
        say = self._isa_finding
        self.outside = False
        if len(set(marks := tuple(mark for mark in _declared(parts, self.delimiters) if mark))) < len(marks):
            self.report(
                "x12.delimiters", "The delimiters that ISA declares are not four different marks.", "Use * ^ : and ~.",
                segment_id="ISA",
            )  # fmt: skip
        if tuple(map(len, values)) != ISA_WIDTHS:
            say(
                "x12.isa-length",
                0,
                "ISA is not 106 characters long with its terminator.",
                "Pad each ISA element to its width.",
            )
        if len(parts) != 17:
            say("x12.isa-length", 0, "ISA does not have sixteen elements.", "Send ISA01 to ISA16.")
        for position, (value, width) in enumerate(zip(values, ISA_WIDTHS, strict=False), start=1):
            if len(value) != width and position != 16:
                say(
                    "x12.isa-length",
                    position,
                    f"ISA{position:02d} is not {width} characters wide.",
                    "Pad it with spaces.",
                )
            elif re.search(r"[^ -~]", value) and position not in (11, 16):
                say(
                    "x12.isa-element",
                    position,
                    f"ISA{position:02d} holds a character that is not allowed.",
                    "Replace it.",
                )
        v = self.interchange.elements
        if v[0] not in ("00", "03"):
            say("x12.isa-element", 1, "ISA01 is not 00 or 03.", "Use 00.")
        if v[2] not in ("00", "01"):
            say("x12.isa-element", 3, "ISA03 is not 00 or 01.", "Use 00.")
        for position in (5, 7):
            if v[position - 1] not in QUALIFIERS:
                say(
                    "x12.isa-element",
                    position,
                    f"ISA{position:02d} is not a qualifier of X12.",
                    "Use ZZ, 01, 27, 28, 29, 30 …",
                )
        for position in (6, 8):
            if not v[position - 1]:
                say("x12.isa-element", position, f"ISA{position:02d} is empty.", "Give the id of the party.")
        if not (len(v[8]) == 6 and is_date("20" + v[8])):
            say("x12.isa-date", 9, "ISA09 is not a date YYMMDD.", "Give the date of the interchange.")
        if not (len(v[9]) == 4 and is_time(v[9])):
            say("x12.isa-time", 10, "ISA10 is not a time HHMM.", "Give the time of the interchange.")
        if v[11] not in ("00501", "00401"):
            say("x12.isa-version", 12, "ISA12 is not 00501.", "Use 00501.")
        elif v[11] == "00501" and (not v[10] or v[10].isalnum()):
            say("x12.isa-element", 11, "ISA11 does not declare a repetition separator.", "Use ^.")
        if not _CONTROL_NUMBER.match(v[12]):
            say("x12.isa-control", 13, "ISA13 is not nine digits.", "Give the control number with leading zeros.")
        elif (own := (*v[4:8], v[12])) in self.interchange_numbers:
            say(
                "x12.isa-duplicate", 13, "ISA13 stands a second time between this sender and receiver.",
                "Give each interchange a number of its own; send no interchange twice.",
            )  # fmt: skip
        else:
            self.interchange_numbers.add(own)
        if v[13] not in ("0", "1"):
            say("x12.isa-element", 14, "ISA14 is not 0 or 1.", "Use 0 or 1.")
        if v[14] not in ("P", "T", "I"):
            say("x12.isa-usage", 15, "ISA15 is not P or T.", "Use T for tests, P for production.")
        elif self.profile.get("usage") and v[14] != self.profile["usage"]:
            say(
                "x12.isa-usage",
                15,
                f"ISA15 is {v[14]} and the profile asks {self.profile['usage']}.",
                "Do not send it.",
            )

    def _isa_finding(self, rule: str, element: int, message: str, fix: str) -> None:
        self.report(rule, message, fix, segment_id="ISA", element=element or None)

    def _ta1(self, parts: list[str], segment: str) -> None:
        def say(element: int, message: str) -> None:
            self.report("x12.ta1", message, "Mend the TA1.", segment_id="TA1", element=element or None)

        if self.interchange is None or self.group is not None:
            say(0, "TA1 does not stand between ISA and the first GS.")
        v = [*parts[1:], *[""] * 5][:5] if len(parts) <= 6 else parts[1:]
        if len(v) > 5:
            say(6, "TA1 has more than five elements.")
        if not _CONTROL_NUMBER.match(v[0]):
            say(1, "TA101 is not nine digits.")
        if not (len(v[1]) == 6 and is_date("20" + v[1])):
            say(2, "TA102 is not a date YYMMDD.")
        if not (len(v[2]) == 4 and is_time(v[2])):
            say(3, "TA103 is not a time HHMM.")
        if v[3] not in ("A", "E", "R"):
            say(4, "TA104 is not A, E or R.")
        if not re.match(r"0(?:[0-2]\d|30|31)\Z", v[4]):
            say(5, "TA105 is not a note code 000 to 031.")
        elif (v[3] == "A") != (v[4] == "000") and v[3] in ("A", "R"):
            say(5, "TA104 and TA105 contradict each other.")

    def _gs(self, parts: list[str], segment: str) -> None:
        if self.interchange is None:
            self.report(
                "x12.gs-missing", "GS stands outside an interchange.", "Check the ISA before it.", segment_id="GS"
            )
            self.interchange = InterchangeSeen(("",) * 16, self.delimiters, self.number, self.number)
            self.interchanges.append(self.interchange)
        if self.group is not None:
            self._close_group(missing=True)
        v = [*parts[1:9], *[""] * (9 - len(parts))]
        self.group = GroupSeen(v[0], v[1], v[2], v[5], v[7], self.number, self.number, v[3])
        self.interchange.groups.append(self.group)

        def say(element: int, message: str, rule: str = "x12.gs-element") -> None:
            self.report(rule, message, f"Mend GS{element:02d}.", segment_id="GS", element=element)

        if len(parts) > 9:
            say(9, "GS has more than eight elements.")
        known = [guides.data(name) for name in guides.kinds_of(v[7])]
        if not re.match(r"[A-Z]{2}\Z", v[0]):
            say(1, "GS01 is not a functional identifier of two letters.")
        elif known and v[0] not in {guide["group"] for guide in known}:
            say(1, f"GS01 is not {' or '.join(sorted({guide['group'] for guide in known}))}, which GS08 asks.")
        for element in (2, 3):
            if not 2 <= len(v[element - 1]) <= 15:
                say(element, f"GS{element:02d} is not 2 to 15 characters long.")
        if not is_date(v[3]):
            say(4, "GS04 is not a date CCYYMMDD.")
        if not is_time(v[4]):
            say(5, "GS05 is not a time HHMM.")
        if not (v[5].isdigit() and v[5].isascii() and len(v[5]) <= 9):
            say(6, "GS06 is not a number of up to nine digits.")
        elif v[5] in self.group_numbers:
            say(6, "GS06 stands a second time in this interchange.", "x12.gs-duplicate")
        self.group_numbers.add(v[5])
        if v[6] != "X":
            say(7, "GS07 is not X.")
        if known and not self.interchange.groups[1:] and self.interchange.elements[11] == "00401":
            self.report(
                "x12.isa-version", "ISA12 is 00401 and its groups are of version 005010.", "Use 00501.",
                number=self.interchange.first, segment_id="ISA", element=12,
            )  # fmt: skip
        if not known:
            self.report(
                "x12.gs-version", "There is no guide for the version in GS08: only the envelope is checked.",
                f"Known: {', '.join(sorted({guides.data(n)['version'] for n in guides.names()}))}.", segment_id="GS", element=8,
            )  # fmt: skip

    def _st(self, parts: list[str], segment: str) -> None:
        self.outside = False
        if self.set is not None:
            self._close_set(missing=True)
        if self.group is None:
            self.report(
                "x12.gs-missing", "ST stands outside a functional group.", "Give GS before it.", segment_id="ST"
            )
            if self.interchange is None:
                self.interchange = InterchangeSeen(("",) * 16, self.delimiters, self.number, self.number)
                self.interchanges.append(self.interchange)
            self.group = GroupSeen("", "", "", "", "", self.number, self.number)
            self.interchange.groups.append(self.group)
        v = [*parts[1:4], *[""] * (4 - len(parts))]
        self.subject = ""
        group_version = self.group.version
        self.set = SetSeen(v[0], v[1], v[2] or group_version, self.number, self.number)
        self.group.sets.append(self.set)
        if v[1] in self.set_numbers:
            self.report(
                "x12.st-duplicate", "ST02 stands a second time in this interchange.", "Number the sets one after another.",
                segment_id="ST", element=2,
            )  # fmt: skip
        self.set_numbers.add(v[1])
        version = group_version if guides.kinds_of(group_version) else v[2]
        self.machine = _machine(version, v[0], self.overlay, self.delimiters, self.basic)
        if self.machine is None and guides.kinds_of(version):
            wanted = " or ".join(guides.data(name)["set"] for name in guides.kinds_of(version))
            self.report(
                "x12.set-unknown", f"ST01 does not agree with the version in GS08, which is for {wanted}.",
                "Put each set into a group of its own version.", segment_id="ST", element=1,
            )  # fmt: skip
        self.set.known = self.machine is not None
        if self.machine is None:
            self.table, self.frames = {}, []
            if not 4 <= len(v[1]) <= 9:
                self.report(
                    "x12.st-element", "ST02 is not 4 to 9 characters long.", "Mend ST02.", segment_id="ST", element=2
                )
            return
        if group_version and v[2] and v[2] != group_version:
            self.report(
                "x12.st-version",
                "ST03 differs from GS08.",
                "Send the same version in both.",
                segment_id="ST",
                element=3,
            )
        root = self.machine.guide.root
        self.frames = [_Frame(root, self.number, root.id in self.machine.ruled)]
        self.frames[0].mask |= root.trigger.bit
        self.state = self.machine.meaning.state(self.profile)
        self._elements(root.trigger, segment)
        self.place = root.trigger
        self.table = self.machine.filled(root.trigger)

    def _se(self, parts: list[str], segment: str) -> None:
        if self.set is None and self.outside:
            self.outside = False
            return
        if self.set is None:
            self.report(
                "x12.se-unexpected", "SE stands without an ST before it.", "Check the ST before it.", segment_id="SE"
            )
            return
        v = [*parts[1:3], *[""] * (3 - len(parts))]
        count = self.number - self.set.first + 1
        if len(parts) > 3:
            self.report(
                "x12.element-many", "SE has more than two elements.", "End it after SE02.", segment_id="SE", element=3
            )
        if not (v[0].isascii() and v[0].isdigit()) or int(v[0][:12]) != count:
            self.report(
                "x12.se-count", f"SE01 does not agree: the set has {count} segments.", f"Send {count} in SE01.",
                segment_id="SE", element=1,
            )  # fmt: skip
        if v[1] != self.set.control:
            self.report(
                "x12.se-control",
                "SE02 differs from ST02.",
                "Send the same control number in both.",
                segment_id="SE",
                element=2,
            )
        self._close_set(missing=False)

    def _close_set(self, *, missing: bool) -> None:
        assert self.set is not None
        number = self.number
        if missing and not self.ended:
            self.number -= 1  # the set ended before the segment that shows it
        if missing:
            self.report(
                "x12.se-missing",
                "A transaction set is not ended by SE.",
                "Ask the sender for a whole set.",
                segment_id="SE",
            )
        if self.machine is not None:
            while len(self.frames) > 1:
                self._close(self.frames.pop())
            if self.frames:
                root = self.frames.pop()
                for place in root.loop.places:
                    if place.id == "SE":
                        root.mask |= place.bit
                self._close(root)
                self.subject = ""
                self.machine.meaning.finished(self.state, self)
        self.set.last = self.number
        self.number = number
        self.set, self.machine, self.state, self.subject = None, None, None, ""
        self.table, self.frames, self.place = {}, [], None

    def _ge(self, parts: list[str], segment: str) -> None:
        if self.set is not None:
            self._close_set(missing=True)
        if self.group is None:
            self.report(
                "x12.ge-unexpected", "GE stands without a GS before it.", "Check the GS before it.", segment_id="GE"
            )
            return
        v = [*parts[1:3], *[""] * (3 - len(parts))]
        self.group.stated_sets = v[0]
        if len(parts) > 3:
            self.report(
                "x12.ge-count", "GE has more than two elements.", "End it after GE02.", segment_id="GE", element=3
            )
        sets = len(self.group.sets)
        counted = int(v[0][:12]) if v[0].isascii() and v[0].isdigit() else -1
        if counted not in (sets, sets + self.lost_sets):
            self.report(
                "x12.ge-count", f"GE01 does not agree: the group has {len(self.group.sets)} sets.",
                f"Send {len(self.group.sets)} in GE01.", segment_id="GE", element=1,
            )  # fmt: skip
        if self.group.control and v[1] != self.group.control:
            self.report(
                "x12.ge-control",
                "GE02 differs from GS06.",
                "Send the same control number in both.",
                segment_id="GE",
                element=2,
            )
        self._close_group(missing=False)

    def _close_group(self, *, missing: bool) -> None:
        assert self.group is not None
        if self.set is not None:
            self._close_set(missing=True)
        number = self.number
        if missing and not self.ended:
            self.number -= 1
        if missing:
            self.report(
                "x12.ge-missing",
                "A functional group is not ended by GE.",
                "Ask the sender for a whole group.",
                segment_id="GE",
            )
        elif not self.group.sets and not self.lost_sets:
            self.report(
                "x12.set-empty", "A functional group holds no transaction set.", "Leave the group out.", segment_id="GE"
            )
        self.group.last = self.number
        self.number = number
        self.group = None
        self.outside, self.lost_sets = False, 0

    def _iea(self, parts: list[str], segment: str) -> None:
        if self.interchange is None:
            self.report(
                "x12.iea-unexpected",
                "IEA stands without an ISA before it.",
                "Check the ISA before it.",
                segment_id="IEA",
            )
            return
        if self.group is not None:
            self._close_group(missing=True)
        v = [*parts[1:3], *[""] * (3 - len(parts))]
        groups = len(self.interchange.groups)
        if len(parts) > 3:
            self.report(
                "x12.iea-count", "IEA has more than two elements.", "End it after IEA02.", segment_id="IEA", element=3
            )
        if not (v[0].isascii() and v[0].isdigit()) or int(v[0][:12]) != groups:
            self.report(
                "x12.iea-count", f"IEA01 does not agree: the interchange has {groups} groups.", f"Send {groups} in IEA01.",
                segment_id="IEA", element=1,
            )  # fmt: skip
        if v[1] != self.interchange.elements[12]:
            self.report(
                "x12.iea-control",
                "IEA02 differs from ISA13.",
                "Send the same control number in both.",
                segment_id="IEA",
                element=2,
            )
        self._close_interchange(missing=False)

    def _close_interchange(self, *, missing: bool) -> None:
        assert self.interchange is not None
        if self.group is not None:
            self._close_group(missing=True)
        number = self.number
        if missing and not self.ended:
            self.number -= 1
        if missing:
            self.report(
                "x12.iea-missing",
                "The interchange is not ended by IEA.",
                "Ask the sender for a whole file.",
                segment_id="IEA",
            )
        self.interchange.last = self.number
        self.number = number
        self.interchange = None
        self.subject = ""


def _declared(parts: list[str], delimiters: Delimiters) -> tuple[str, ...]:
    """The marks of an ISA as they stand, ISA11 among them where it is a mark."""
    eleventh = parts[11] if len(parts) > 11 and len(parts[11]) == 1 and not parts[11].isalnum() else ""
    return (delimiters.element, delimiters.component, delimiters.segment, eleventh.strip(" "))


class _Visited(_Engine):
    """The engine, one segment at a time, telling where it stands after each. For views: the plain walk is the fast one."""

    visit: Visit
    _told = 0

    def _walk(self, segments: list[str]) -> None:
        for segment in segments:
            super()._walk([segment])
            if self.number > self._told:  # the walk may take a segment in two steps: the inner one told it
                self._told = self.number
                self.visit(
                    self.number, segment, self.delimiters, self.place, tuple((f.loop, f.number) for f in self.frames)
                )
