"""What a file is, by its content and never by its name, and whether it has come to its end.

X12 ends with IEA, a NACHA file with its file control record (9), a BAI2 file with its trailer (99). A file that does not
is still being written, or was cut: either way it stays where it is.
"""

from __future__ import annotations

import mmap
import re

from pipeline import transactions
from pipeline.x12 import lines
from pipeline.x12.isa import ISA_LENGTH

#: kinds that some stage works; anything else that arrives is set aside for a person
EXPECTED = ("TA1", "999", "997", "277CA", "835", "mixed", "NACHA", "BAI2")
#: kinds that are named when they arrive though no stage works them; any other text is not repeated, whatever it holds
_NAMED = ("837", "270", "271", "276", "277", "278", "820", "834")
_PACKED = (b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b")
_BLANK = b"\r\n\t \x1a\x00"
_BOM = b"\xef\xbb\xbf"
_FILLED = re.compile(rb"[" + re.escape(_BLANK) + rb"]*")
_LINE_END = re.compile(rb"[\r\n]")
_NEXT_TRAILER = re.compile(rb"/[ \t]+(?=99,)")
_WINDOW = 1 << 16
_LINE = 1_000  # bytes: a trailer, a record or an IEA is never longer
_RECORD = 94  # bytes of a NACHA record
_CONTROL = 55  # of its file control record, without the reserved blanks at its end


Bytes = bytes | mmap.mmap


def identify(data: Bytes) -> str:
    """The kind: one of EXPECTED, another transaction set, `zip`, or `unknown`."""
    if data[:4].startswith(_PACKED):
        return "zip"
    kind = transactions.identify(data)
    return kind if kind in EXPECTED or kind in _NAMED else "unknown"


def incomplete(data: Bytes) -> str:
    """Why the file is not at its end, in a word; empty where it is. Looks at its beginning and its end alone, but for the
    rare file that is cut into lines of one width."""
    if lines.find(data):
        data = lines.joined(data[:])[0]
    begin = _FILLED.match(data, len(_BOM) if data[: len(_BOM)] == _BOM else 0).end()  # type: ignore[union-attr]
    end = _last(data, begin, _BLANK)
    if begin >= end:
        return "empty"
    if data[begin : begin + 3] == b"ISA":
        return "" if end - begin >= ISA_LENGTH and _ends_with_iea(data, begin, end) else "no_iea"
    kind = identify(data)
    if kind == "NACHA":
        record = _last_record(data, begin, end)
        return "" if record.startswith(b"9") and len(record) >= _CONTROL else "no_file_control"
    if kind == "BAI2":
        last = _NEXT_TRAILER.split(data[_line_before(data, begin, end) : end])[-1][:_LINE]
        # some banks end a record with the line and not with a slash
        ended = last.endswith(b"/") or data[end : end + 1] in (b"\r", b"\n")
        return "" if last.startswith(b"99,") and ended else "no_trailer"
    return ""


def _last(data: Bytes, begin: int, fill: bytes) -> int:
    """Where the bytes end without the fill that follows them."""
    end = len(data)
    while end > begin:
        start = max(begin, end - _WINDOW)
        left = len(data[start:end].rstrip(fill))
        if left:
            return start + left
        end = start
    return begin


def _line_before(data: Bytes, begin: int, end: int) -> int:
    """Where the line begins in which `end` stands."""
    start = max(begin, end - _LINE)
    return max(start, data.rfind(b"\n", start, end) + 1, data.rfind(b"\r", start, end) + 1)


def _last_record(data: Bytes, begin: int, end: int) -> bytes:
    """A NACHA file's last record before the fill of nines at its end; files without line ends are cut by length."""
    # no record but the fill is all nines: the last other byte stands in the record that is wanted
    inside = _last(data, begin, b"9" + _BLANK)
    if _LINE_END.search(data, begin, min(end, begin + _LINE)):
        start = _line_before(data, begin, inside)
        line = _LINE_END.search(data, inside, end)
        return data[start : line.start() if line else end].rstrip(_BLANK)
    start = begin + (inside - 1 - begin) // _RECORD * _RECORD
    return data[start : min(end, start + _RECORD)].rstrip(_BLANK)


#: where the element separator stands in every ISA
_SEPARATORS = (3, 6, 17, 20, 31, 34, 50, 53, 69, 76, 81, 83, 89, 99, 101, 103)


def _last_isa(data: Bytes, begin: int, end: int) -> int:
    """Offset of the last interchange header; -1 where there is none. Names hold the letters ISA too (LISA, ISABEL)."""
    at = end
    while (at := data.rfind(b"ISA", begin, at)) >= 0:
        head = data[at : at + ISA_LENGTH]
        if end - at >= ISA_LENGTH and all(head[n] == head[3] for n in _SEPARATORS):
            return at
    return -1


def _ends_with_iea(data: Bytes, begin: int, end: int) -> bool:
    """The last segment is a whole IEA: ended by its terminator, or by all nine digits of the number that its ISA gave."""
    isa = _last_isa(data, begin, end)
    if isa < 0:
        return False
    head = data[isa : isa + ISA_LENGTH]
    separator, number, terminator = head[3:4], head[90:99], head[105:106]
    at = data.rfind(b"IEA" + separator, max(isa, end - _LINE), end)
    if at < 0:
        return False
    tail = data[at:end]
    ended = tail.endswith(terminator) or (terminator in _BLANK and len(data) > end)
    elements = tail.removesuffix(terminator).split(separator)
    if len(elements) != 3 or terminator in b"".join(elements):
        return False
    return elements[1].isdigit() and elements[2].isdigit() and (ended or elements[2] == number)
