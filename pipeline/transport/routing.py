"""What a file is, by its content and never by its name, and whether it has come to its end.

X12 ends with IEA, a NACHA file with its file control record (9), a BAI2 file with its trailer (99). A file that does not
is still being written, or was cut: either way it stays where it is.
"""

from __future__ import annotations

from pipeline.x12.segments import ISA_LENGTH, iter_segments

#: kinds that some stage works; anything else that arrives is set aside for a person
EXPECTED = ("TA1", "999", "997", "277CA", "835", "mixed", "NACHA", "BAI2")
_BLANK = b"\r\n\t \x1a\x00"
_BOM = b"\xef\xbb\xbf"
_GROUPS = {"HP": "835", "FA": "999", "HN": "277", "HC": "837", "HS": "270", "HB": "271", "HR": "276"}


def identify(data: bytes) -> str:
    """The kind: 837, 835, 999, 997, 277CA, 277, TA1, 270, 271, 276, mixed, NACHA, BAI2, zip or unknown."""
    start = _start(data)
    if start.startswith(b"ISA") and len(start) >= ISA_LENGTH:
        return _x12(data)
    if start.startswith((b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b")):
        return "zip"
    if start.startswith(b"101") and len(start.split(b"\n", 1)[0].rstrip(b"\r")) == 94:
        return "NACHA"
    if start.startswith(b"01,"):
        return "BAI2"
    return "unknown"


def _x12(data: bytes) -> str:
    kinds: set[str] = set()
    for segment in iter_segments(data):
        if segment.id == "TA1":
            kinds.add("TA1")
        elif segment.id == "GS":
            code, version = segment.element(1), segment.element(8)
            kind = _GROUPS.get(code, "unknown")
            if kind == "277" and "X214" in version:
                kind = "277CA"
            elif kind == "999" and "X231" not in version:
                kind = "997"
            kinds.add(kind)
    if len(kinds) > 1:
        kinds.discard("TA1")
    return "unknown" if not kinds else kinds.pop() if len(kinds) == 1 else "mixed"


def incomplete(data: bytes) -> str:
    """Why the file is not at its end, in a word; empty where it is."""
    if not data.strip(_BLANK):
        return "empty"
    start = _start(data)
    if start.startswith(b"ISA"):
        return "" if len(start) >= ISA_LENGTH and _ends_with_iea(start) else "no_iea"
    if start.startswith(b"101") and len(start.split(b"\n", 1)[0].rstrip(b"\r")) == 94:
        lines = [line for line in start.split(b"\n") if line.strip(b"9 \r")]
        return "" if lines and lines[-1].startswith(b"9") else "no_file_control"
    if start.startswith(b"01,"):
        last = start.rstrip(_BLANK).rsplit(b"\n", 1)[-1]
        return "" if last.startswith(b"99,") and last.endswith(b"/") else "no_trailer"
    return ""


def _start(data: bytes) -> bytes:
    return data.removeprefix(_BOM).lstrip(b"\r\n\t ")


def _ends_with_iea(data: bytes) -> bool:
    """The last segment is a whole IEA: ended by its terminator, or by all nine digits of the number that its ISA gave."""
    separator, body = data[3:4], data.rstrip(_BLANK)
    at = body.rfind(b"IEA" + separator)
    isa = body.rfind(b"ISA", 0, max(at, 0))
    if isa < 0:
        return False
    separator, number, terminator = body[isa + 3 : isa + 4], body[isa + 90 : isa + 99], body[isa + 105 : isa + 106]
    tail = body[at:]
    ended = tail.endswith(terminator) or (terminator in _BLANK and len(data) > len(body))
    elements = tail.removesuffix(terminator).split(separator)
    if len(elements) != 3 or terminator in b"".join(elements):
        return False
    return elements[1].isdigit() and elements[2].isdigit() and (ended or elements[2] == number)
