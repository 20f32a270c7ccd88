"""The validator: bytes in, findings out. One engine for every transaction set; what differs stands in the guides.

Theory. A file is a line of segments. `Tokens` cuts it (delimiters are read at each ISA), `_Engine` walks it: the envelope in
plain steps, the inside of a transaction set by the compiled tables of its guide. The walk keeps a stack of open loops,
each with a bit set of what it has held; when a loop closes, what it lacks is known. A segment that has no step from
here is named, and the walk goes on from the likeliest place, so that one fault gives one finding. The good segment of a
good file costs a look-up and one match; all words are made on the way of the fault only.

Nothing raises on bad data, whatever the bytes. No finding holds a value of a patient: codes, counts and places only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pipeline.findings import Finding
from pipeline.x12 import guides
from pipeline.x12.guides import Loop, Place
from pipeline.x12.isa import BOM, is_whole_iea
from pipeline.x12.segments import BLANKS, Delimiters
from pipeline.x12.validator_envelope import ENVELOPE, Envelopes
from pipeline.x12.validator_machine import MOST_KNOWN, NOT_YET, Good
from pipeline.x12.validator_seen import Mode, Report
from pipeline.x12.validator_strays import is_segment_id
from pipeline.x12.validator_tokens import Tokens

#: how files begin that people take for X12 → what they are, what to do
_OTHER_FILES = (
    (("ÿþ", "þÿ"), ("The file is written in UTF-16, two bytes a character.", "Save it as plain text (ASCII or UTF-8).")),
    (("PK\x03\x04", "\x1f\x8b"), ("The file is packed (zip or gzip).", "Unpack it first.")),
    (("ST*", "ST|", "ST~", "ST^"), ("A transaction set stands without its envelope.", "Give the whole interchange, ISA to IEA.")),
)  # fmt: skip


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
    `limit`: at most so many findings, errors before all else; the last one then says how many are not listed, and is as grave
    as the gravest of them.
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


# ── the walk ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Engine(Envelopes):
    lines_noted = False

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
        tokens = Tokens(self.data, self.text)
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
                # most blanks stand nowhere, which is soon seen of one character, and not of two
                or any(blank in batch and mark + blank in batch for blank in "\t \x00\x1a")
            ):
                segments = self._trimmed(segments, ragged=tokens.ragged)
            iea = not whole and tokens.last and is_whole_iea(batch.encode("latin-1"), ord(self.delimiters.element))
            if not whole and not iea and self.interchange is None and not segments[0].startswith("ISA"):
                self.report(
                    "x12.trailing-bytes", "Bytes stand outside any interchange.", "Ask the sender for a whole file.",
                    number=max(self.number, 1),
                )  # fmt: skip
                continue
            if iea:
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
                self.cut = True
                if not tokens.last:
                    continue  # another interchange begins within it: what it lacks cannot be judged
                self.quiet = True  # nor can what the segment lacks: it is read, since it may end what is open
            self._walk(segments)
            self.quiet = False
        self.ended = self.cut = True
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
            other = next((words for beginning, words in _OTHER_FILES if head.startswith(beginning)), None)
            message, fix = other or ("The file does not begin with an ISA segment.", "Check that it is an X12 file.")
            self.report("x12.not-x12", message, fix, number=number)
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
        depth = len(frames)
        frame: Any = frames[-1] if frames else None
        known: Any
        link: Any
        for segment in segments:
            number += 1
            known = table.get(segment)
            good = known.__class__ is Good
            if good:
                link, parts = known.link, known.parts
            else:
                parts = segment.split(mark)
                segment_id = parts[0]
                link = table.get(segment_id)
                if link.__class__ is dict:
                    at = 3 if segment_id == "HL" else 1
                    choices, key = link, parts[at] if len(parts) > at else ""
                    link = choices.get(key)
                    if link is None:
                        link = choices.get(guides.first_part(key, component, repetition)) or choices.get("")
                if link is None:
                    if NOT_YET in table:
                        # the first time here: fill the table and take the segment again
                        self.number, self.table, self.place = number - 1, table, place
                        self.machine.fill(table)  # type: ignore[union-attr]
                        self._walk([segment])
                    else:
                        self.number, self.table, self.place = number, table, place
                        self._other(segment, segment_id)
                    table, place, frames, state = self.table, self.place, self.frames, self.state
                    depth = len(frames)
                    frame = frames[-1] if frames else None
                    continue
            before = table
            place, keep, enter, bit, limit, matches, hook, kept, repeating, notes, table = link
            if enter or depth != keep:
                self.number = number
                self._move(keep, enter)
                depth = len(frames)
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
            if kept and frame.items is not None:
                frame.items.append((place, number, parts))
            if hook is not None:
                # first, so that what is found in a claim's first segment already bears its id
                self.number = number
                hook(state, self, number, parts)
            if good:
                continue  # it was matched before
            if matches(segment) is None:
                self.number = number
                self._elements(place, segment)
            elif repeating and len(before) < MOST_KNOWN:
                before[segment] = Good(link, parts)
        self.number, self.table, self.place = number, table, place

    def _other(self, segment: str, segment_id: str) -> None:
        parts = segment.split(self.delimiters.element)
        if segment_id in ENVELOPE:
            self._envelope(segment_id, parts, segment)
            return
        if not segment:
            self.report(
                "x12.segment-empty", "Two terminators stand together: an empty segment.", "Send one terminator."
            )
            return
        if segment_id not in ENVELOPE and segment_id.strip().upper() in ENVELOPE | self._known_ids():
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
                    segment_id=segment_id if is_segment_id(segment_id) else "",
                )  # fmt: skip
            elif not self.outside:
                self.outside = True
                self.lost_sets += 1
                name = segment_id if is_segment_id(segment_id) else ""
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
