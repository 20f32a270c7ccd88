"""The plain view of X12: one small object a segment. For headers, acknowledgments and tests.

The bulk path (`scan.py`) works on whole buffers instead; both read delimiters from the positions of the ISA and both give
the same segments in the same order with the same numbers and offsets.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

ISA_LENGTH = 106  # with its terminator


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


def iter_segments(data: bytes) -> Iterator[Segment]:
    """Segments of a well-formed file: tolerant of a BOM, of CR/LF after terminators, and of several interchanges.

    It reports nothing: what is not an interchange is skipped. Use the reader for findings.
    """
    text = data.decode("latin-1")
    position, number, length = (3 if data.startswith(b"\xef\xbb\xbf") else 0), 0, len(text)
    delimiters: Delimiters | None = None
    while position < length:
        if text[position] in "\r\n \t\x1a":
            position += 1
            continue
        if text.startswith("ISA", position):
            if length - position < ISA_LENGTH:
                return
            head = text[position : position + ISA_LENGTH]
            delimiters = Delimiters(head[3], head[82], head[104], head[105])
        if delimiters is None:
            return
        end = text.find(delimiters.segment, position)
        if end < 0:
            return
        number += 1
        yield Segment(number, position, tuple(text[position:end].split(delimiters.element)), delimiters)
        position = end + 1
