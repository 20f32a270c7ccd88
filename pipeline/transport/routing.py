"""What a file is, by its content and never by its name, and whether it has come to its end.

X12 ends with IEA, a NACHA file with its file control record (9), a BAI2 file with its trailer (99). A file that does not
is still being written, or was cut: either way it stays where it is.
"""

from __future__ import annotations

from pipeline import transactions
from pipeline.x12.segments import ISA_LENGTH

#: kinds that some stage works; anything else that arrives is set aside for a person
EXPECTED = ("TA1", "999", "997", "277CA", "835", "mixed", "NACHA", "BAI2")
#: kinds that are named when they arrive though no stage works them; any other text is not repeated, whatever it holds
_NAMED = ("837", "270", "271", "276", "277", "278", "820", "834")
_PACKED = (b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b")
_BLANK = b"\r\n\t \x1a\x00"
_BOM = b"\xef\xbb\xbf"
_RECORD = 94  # bytes of a NACHA record
_CONTROL = 55  # of its file control record, without the reserved blanks at its end


def identify(data: bytes) -> str:
    """The kind: one of EXPECTED, another transaction set, `zip`, or `unknown`."""
    if data.startswith(_PACKED):
        return "zip"
    kind = transactions.identify(data)
    return kind if kind in EXPECTED or kind in _NAMED else "unknown"


def incomplete(data: bytes) -> str:
    """Why the file is not at its end, in a word; empty where it is."""
    start = data.removeprefix(_BOM).lstrip(_BLANK)
    if not start:
        return "empty"
    if start.startswith(b"ISA"):
        return "" if len(start) >= ISA_LENGTH and _ends_with_iea(start) else "no_iea"
    kind = identify(data)
    if kind == "NACHA":
        records = _records(start)
        return "" if records[-1].startswith(b"9") and len(records[-1]) >= _CONTROL else "no_file_control"
    if kind == "BAI2":
        last = start.rstrip(_BLANK).rsplit(b"\n", 1)[-1]
        return "" if last.startswith(b"99,") and last.endswith(b"/") else "no_trailer"
    return ""


def _records(data: bytes) -> list[bytes]:
    """A NACHA file's records without the fill of nines at its end; files without line ends are cut by length."""
    lines = data.split(b"\n") if b"\n" in data else [data[i : i + _RECORD] for i in range(0, len(data), _RECORD)]
    return [line.rstrip(_BLANK) for line in lines if line.strip(b"9" + _BLANK)]


#: where the element separator stands in every ISA
_SEPARATORS = (3, 6, 17, 20, 31, 34, 50, 53, 69, 76, 81, 83, 89, 99, 101, 103)


def _last_isa(body: bytes) -> int:
    """Offset of the last interchange header; -1 where there is none. Names hold the letters ISA too (LISA, ISABEL)."""
    at = len(body)
    while (at := body.rfind(b"ISA", 0, at)) >= 0:
        mark = body[at + 3 : at + 4]
        if len(body) - at >= ISA_LENGTH and all(body[at + n : at + n + 1] == mark for n in _SEPARATORS):
            return at
    return -1


def _ends_with_iea(data: bytes) -> bool:
    """The last segment is a whole IEA: ended by its terminator, or by all nine digits of the number that its ISA gave."""
    body = data.rstrip(_BLANK)
    isa = _last_isa(body)
    if isa < 0:
        return False
    separator, number, terminator = body[isa + 3 : isa + 4], body[isa + 90 : isa + 99], body[isa + 105 : isa + 106]
    at = body.rfind(b"IEA" + separator)
    if at < isa:
        return False
    tail = body[at:]
    ended = tail.endswith(terminator) or (terminator in _BLANK and len(data) > len(body))
    elements = tail.removesuffix(terminator).split(separator)
    if len(elements) != 3 or terminator in b"".join(elements):
        return False
    return elements[1].isdigit() and elements[2].isdigit() and (ended or elements[2] == number)
