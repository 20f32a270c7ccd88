"""The plain view of X12: one small object a segment. For headers, acknowledgments and tests.

The bulk path (`scan.py`) works on whole buffers instead; both read delimiters from the positions of the ISA and both give
the same segments in the same order with the same numbers and offsets.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.x12.isa import BLANK, Wire, is_whole_iea, runs, without_raw
from pipeline.x12.lines import joined

#: what may stand before a segment and belongs to none
BLANKS = BLANK.decode("latin-1")


@dataclass(frozen=True, slots=True)
class Delimiters:
    """The four delimiters of an interchange, each one character."""

    element: str = "*"
    repetition: str = "^"
    component: str = ":"
    segment: str = "~"

    def __contains__(self, character: str) -> bool:
        return character in (self.element, self.repetition, self.component, self.segment)


DEFAULT_DELIMITERS = Delimiters()


@dataclass(frozen=True, slots=True)
class Segment:
    """`elements[0]` is the segment id; `element(n)` is the n-th data element or ''. `number` is 1-based in the file."""

    number: int
    offset: int
    elements: tuple[str, ...]
    delimiters: Delimiters

    @property
    def id(self) -> str:
        return self.elements[0]

    def element(self, position: int) -> str:
        return self.elements[position] if position < len(self.elements) else ""

    def component(self, position: int, component: int) -> str:
        parts = self.element(position).split(self.delimiters.component)
        return parts[component - 1] if component <= len(parts) else ""


def delimiters_of(wire: Wire) -> Delimiters:
    """The delimiters as characters; no repetition separator where the interchange has none."""
    repetition = chr(wire.repetition) if wire.repetition >= 0 else ""
    return Delimiters(chr(wire.element), repetition, chr(wire.component), chr(wire.segment))


def iter_segments(data: bytes) -> Iterator[Segment]:
    """Segments of a file: every one that its terminator ends, cut as the bulk reader cuts it.

    It reports nothing: what is not an interchange, or is cut off, is skipped. Use the reader for findings.
    """
    number = 0
    data, lines = joined(data)
    place = lines.place if lines else int
    for run in runs(data):
        if run.wire is None:
            continue
        marks = delimiters_of(run.wire)
        raw = data[run.start : run.stop].decode("latin-1")
        if run.stop == len(data) and is_whole_iea(data[data.rfind(run.wire.segment) + 1 :], run.wire.element):
            raw += marks.segment
        text = without_raw(raw, marks.element, marks.segment)
        position = 0
        while (end := text.find(marks.segment, position)) >= 0:
            start, stop = position, end
            while start < stop and text[start] in BLANKS:
                start += 1
            while run.wire.ragged and stop > max(start, end - 2) and text[stop - 1] in "\r\n":
                stop -= 1
            if start == stop and marks.segment in "\r\n":
                position = end + 1  # an empty line is no segment
                continue
            elements = text[start:stop].split(marks.element)
            if text is not raw and elements[0] in ("BIN", "BDS"):
                elements[-1] = raw[stop - len(elements[-1]) : stop]
            number += 1
            yield Segment(number, place(run.start + start), tuple(elements), marks)
            position = end + 1
