"""Files that were cut into lines of one width, wherever that fell.

Mainframes keep records of a fixed length, and what they hand over has a line end after every 80 (or so) characters, in the
middle of names and amounts. No line end is data in X12, so the lines are joined again and nothing is guessed. Such a file is
told from one with a segment a line by two signs: most lines have the very same width, and one of them ends within the ISA or
elsewhere within a segment. One line end, or two, are enough where what follows does not look like a segment of its own. A line that is shorter lost the blanks at its end on the way, and gets them back.
"""

from __future__ import annotations

import mmap
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from operator import itemgetter

from pipeline.x12.isa import BLANK, BOM, ISA_LENGTH, read_isa

#: how much of a file is looked at
HEAD = 1 << 14
#: no record that anybody keeps is shorter
_NARROWEST = 40
#: how a segment begins
_SEGMENT = re.compile(rb"[A-Z][A-Z0-9]{1,2}[^A-Za-z0-9 ]")


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines of `width` characters that begin at `start`, each followed by `end`."""

    start: int
    width: int
    end: bytes
    #: lines of one width were seen. Where one line end is all that was seen, nobody knows how long a line is: none is filled up
    fixed: bool = True
    #: after each line of another width, or each line: where that is in the joined bytes and in the file
    odd: list[tuple[int, int]] = field(default_factory=list)

    @property
    def message(self) -> str:
        return f"Line ends cut the file into lines of {self.width} characters, within segments: they are read over."

    def place(self, offset: int) -> int:
        """Where a byte stands in the file that stands at `offset` in the joined bytes, as far as these were read."""
        at = bisect_right(self.odd, offset, key=itemgetter(0))
        joined, file = self.odd[at - 1] if at else (self.start, self.start)
        on = offset - joined
        return file + on + (max(on, 0) // self.width * len(self.end) if self.fixed else 0)

    def joined(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        """The file without these line ends, block by block. It is read once."""
        skip, rest, least = self.start, b"", self.width if self.fixed else 0
        joined = file = self.start
        for block in blocks:
            rest += block
            if len(rest) < skip:
                continue
            head, rest = rest[:skip], rest[skip:]  # what stands before the first line stays as it is
            *lines, rest = rest.split(self.end)
            for line in lines:
                joined += max(len(line), least)
                file += len(line) + len(self.end)
                if len(line) != least:
                    self.odd.append((joined, file))
            yield head + b"".join([line.ljust(least) for line in lines])
            skip = 0
        yield rest


def find(head: bytes | mmap.mmap) -> Lines | None:
    """The lines of a file that begins with `head` (HEAD bytes of it, or all), where it is cut so."""
    begin = len(BOM) if head[: len(BOM)] == BOM else 0
    text = bytes(head[begin:HEAD])
    start = begin + len(text) - len(text := text.lstrip(BLANK))
    first = text.find(b"\n")
    if not text.startswith(b"ISA") or first < 0:
        return None
    end = b"\r\n" if text[first - 1 : first] == b"\r" else b"\n"
    width = first + 1 - len(end)
    lines = text.split(end)
    whole = lines[:-1]
    # the last line of a file ends where the file does
    counted = whole[:-1] if len(head) < HEAD and len(whole) > 1 and not lines[-1] else whole
    full = sum(len(line) == width for line in counted)
    if width < _NARROWEST or full * 4 < len(counted) * 3 or any(len(line) > width for line in lines):
        return None
    if len(counted) == 1 and (not lines[1] or _SEGMENT.match(lines[1])):
        return None  # one line end alone may as well have cost a segment its terminator
    joined = b"".join(line.ljust(width) for line in whole) + lines[-1]
    isa = read_isa(joined[:ISA_LENGTH], 0, loose=False)
    if isa is None or isa.wire.segment in b"\r\n":
        return None
    mark = bytes([isa.wire.segment])
    if all(line.rstrip(b" ").endswith(mark) for line in whole if line.strip()):
        return None  # a segment a line, or several
    return Lines(start, width, end, fixed=full > 1)


def joined(data: bytes) -> tuple[bytes, Lines | None]:
    """A whole file without the line ends that cut it, and how it was cut; as it is where it was not."""
    lines = find(data)
    return (b"".join(lines.joined([data])), lines) if lines else (data, None)


def joined_blocks(blocks: Iterable[bytes]) -> tuple[Iterable[bytes], Lines | None]:
    """As `joined`, for a file that comes in blocks."""
    coming = iter(blocks)
    first: list[bytes] = []
    size = 0
    for block in coming:
        first.append(block)
        size += len(block)
        if size >= HEAD:
            break
    lines = find(b"".join(first))
    every = chain(first, coming)
    return (lines.joined(every) if lines else every), lines
