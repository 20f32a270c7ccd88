"""Where the interchanges of an archived file lie, for the proof: read apart from the project's reader, by the fixed places of the ISA."""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterator


def interchanges(data: bytes | mmap.mmap) -> Iterator[tuple[int, int, bytes, bytes]]:
    """(start, end, element separator, segment terminator) of each; the two marks as patterns that match them."""
    start = data.find(b"ISA")
    while start >= 0 and len(data) - start > 105:
        element, terminator = re.escape(data[start + 3 : start + 4]), re.escape(data[start + 105 : start + 106])
        # a header stands after a terminator: names hold the letters ISA too (LISA)
        following = re.compile(terminator + rb"\s*(ISA)" + element).search(data, start + 106)
        end = following.start(1) if following else len(data)
        yield start, end, element, terminator
        start = end if following else -1
