"""What a file is, by its content and never by its name."""

from __future__ import annotations

import mmap
import re

from pipeline.x12.envelope import kind_of
from pipeline.x12.isa import Wire, find_isas
from pipeline.x12.lines import find, joined

_FILL = b"\r\n\t \x1a\x00"
_BOM = b"\xef\xbb\xbf"
_NACHA = re.compile(rb"101[ \d]\d{9}[ \d]\d{9}\d{6}")
_BAI2 = re.compile(rb"01,[^,/\r\n]*,[^,/\r\n]*,\d{6},\d{4},")


def identify(data: bytes | mmap.mmap) -> str:
    """`837`, `835`, `999`, `997`, `TA1`, `277CA`, `277`, `276`, `270`, `271` or another ST01; `mixed` where a file holds
    several of these; `NACHA`, `BAI2`; else `unknown` (also an interchange with nothing in it)."""
    start = len(_BOM) if data[: len(_BOM)] == _BOM else 0
    head = data[start : start + 400].lstrip(_FILL)
    if _NACHA.match(head):
        return "NACHA"
    if _BAI2.match(head):
        return "BAI2"
    kinds = _x12_kinds(joined(data[:])[0] if find(data) else data, start)
    if len(kinds) > 1:
        return "mixed"
    return kinds.pop() if kinds else "unknown"


def _x12_kinds(data: bytes | mmap.mmap, start: int) -> set[str]:
    kinds: set[str] = set()
    position, begin = start, start
    wire: Wire | None = None
    while True:
        terminator = wire.segment if wire else None
        found, _ = next(find_isas(data, begin, position, len(data), terminator), (None, False))
        stop = found.position if found else len(data)
        if wire is not None:
            kinds |= _sets(data, begin, stop, bytes([wire.element]), bytes([wire.segment]))
        if found is None:
            return kinds
        begin, position, wire = found.position, found.position + 3, found.wire


def _sets(data: bytes | mmap.mmap, begin: int, stop: int, separator: bytes, terminator: bytes) -> set[str]:
    """The kinds in one interchange: TA1 segments, and sets with the guide that ST03 or else GS08 names."""
    kinds: set[str] = set()
    e, t = re.escape(separator), re.escape(terminator)
    pattern = re.compile(rb"(?:" + t + rb")[\r\n\t ]*(TA1|GS|ST)" + e + rb"([^" + t + rb"]{0,400})")
    version = ""
    for match in pattern.finditer(data, begin, stop):
        name = match[1]
        elements = match[2].rstrip(b"\r\n").decode("latin-1").split(separator.decode("latin-1"))
        if name == b"TA1":
            kinds.add("TA1")
        elif name == b"GS":
            version = elements[7] if len(elements) > 7 else ""
        else:
            kinds.add(_kind(elements, version, data, match.end(), e, t))
    return kinds


def _kind(elements: list[str], version: str, data: bytes | mmap.mmap, after: int, e: bytes, t: bytes) -> str:
    named = elements[2] if len(elements) > 2 and elements[2] else version
    if elements[0] == "277" and not named:
        bht = re.compile(t + rb"[\r\n\t ]*BHT" + e + rb"0085")
        return "277CA" if bht.match(data, after) else "277"
    return kind_of(elements[0], named) if re.fullmatch(r"\d{3}", elements[0]) else "unknown"
