"""Where an interchange begins and which delimiters it declares.

An ISA is 106 bytes with its terminator, and its delimiters stand at fixed places: that is the strict reading. Two faults
that real senders make leave the delimiters certain all the same, and are read under a name of their own: a newline written
before the terminator on every line, and elements that lost their padding (the sixteen separators still say where each one
is). Anything else is not an interchange.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pipeline.x12.kernel import kernel

ISA_LENGTH = 106
#: how far the search for the end of an ISA with wrong widths may go
LOOSE_LENGTH = 300
#: zero-based places of the sixteen element separators
SEPARATORS = (3, 6, 17, 20, 31, 34, 50, 53, 69, 76, 81, 83, 89, 99, 101, 103)
BLANK = b"\r\n\t \x00\x1a"
_FOLLOWS = (b"GS", b"TA1", b"IEA")
_ALNUM = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 ")
_NEWLINES = b"\r\n"
#: an IEA with every digit of its number: only its terminator is missing
_WHOLE_IEA = re.compile(rb"IEA(.)\d{1,5}\1\d{9}", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Wire:
    """The delimiters of an interchange as byte values. `ragged`: a newline stands before each terminator."""

    element: int
    repetition: int  # -1 where the version has none
    component: int
    segment: int
    ragged: bool = False


@dataclass(frozen=True, slots=True)
class Isa:
    """An ISA found at `position`. `fault` is '' or the name of the tolerated fault; `length` counts the terminator."""

    position: int
    wire: Wire
    length: int
    fault: str = ""


def read_isa(data: bytes | mmap.mmap, position: int, *, loose: bool = True) -> Isa | None:
    """The ISA at `position`, or None where the delimiters cannot be known. `loose` allows the named faults."""
    head = data[position : position + ISA_LENGTH]
    if head[:3] != b"ISA" or len(head) < 4:
        return None
    separator = head[3]
    if separator in _ALNUM or separator in _NEWLINES:
        return None
    if len(head) == ISA_LENGTH and all(head[p] == separator for p in SEPARATORS) and head.count(separator) == 16:
        wire = _wire(separator, head[82], head[104], head[105])
        if wire is not None and wire.segment in _NEWLINES and loose:
            ragged = _ragged(data, position + 105, wire)
            if ragged is not None:
                return Isa(position, ragged[0], ragged[1] - position, "envelope.newline_before_terminator")
        return Isa(position, wire, ISA_LENGTH) if wire is not None else None
    return _loose(data, position, separator) if loose else None


def _wire(separator: int, repetition: int, component: int, terminator: int) -> Wire | None:
    if len({separator, component, terminator}) < 3 or terminator in _ALNUM or component in _ALNUM:
        return None
    if repetition in _ALNUM or repetition in (separator, component, terminator):
        repetition = -1  # 'U' in 4010
    return Wire(separator, repetition, component, terminator)


def _follows(data: bytes | mmap.mmap, position: int, separator: int) -> bool:
    return any(data[position : position + len(f) + 1] == f + bytes([separator]) for f in _FOLLOWS)


def _ragged(data: bytes | mmap.mmap, position: int, wire: Wire) -> tuple[Wire, int] | None:
    at = position
    while at < len(data) and data[at] in _NEWLINES:
        at += 1
    if at >= len(data) or data[at] in _ALNUM or data[at] in (wire.element, wire.component):
        return None
    if not _follows(data, at + 1, wire.element):
        return None
    return Wire(wire.element, wire.repetition, wire.component, data[at], ragged=True), at + 1


def _loose(data: bytes | mmap.mmap, position: int, separator: int) -> Isa | None:
    head = data[position : position + LOOSE_LENGTH]
    places: list[int] = []
    at = -1
    while len(places) < 16:
        at = head.find(separator, at + 1)
        if at < 0:
            return None
        places.append(at)
    if at + 2 >= len(head):
        return None
    eleventh = head[places[10] + 1 : places[11]]
    wire = _wire(separator, eleventh[0] if len(eleventh) == 1 else ord("U"), head[at + 1], head[at + 2])
    if wire is None:
        return None
    after = at + 3
    while after < len(head) and head[after] in BLANK:
        after += 1
    if not _follows(head, after, separator):
        return None
    return Isa(position, wire, at + 3, "envelope.isa_width")


def is_whole_iea(rest: bytes, element: int) -> bool:
    """Are the bytes after a file's last terminator an IEA of which nothing but its own terminator is missing?

    The number has nine digits, so a file that was cut off cannot end so, but one whose last line end was lost does.
    """
    found = _WHOLE_IEA.fullmatch(rest.strip(BLANK))
    return found is not None and found[1][0] == element


#: bytes in which the word is found sooner than anything else is begun, without the kernel
_LITTLE = 1 << 15


def _places(data: bytes | mmap.mmap, position: int, end: int) -> Iterator[int]:
    """Where the letters ISA stand. I is rare in X12, so looking for it alone is faster than a search for the word."""
    compiled = kernel()
    if compiled is None and end - position < _LITTLE and isinstance(data, bytes):
        while (position := data.find(b"ISA", position, end)) >= 0:
            yield position
            position += 1
        return
    view = np.frombuffer(data, dtype=np.uint8)
    if compiled is not None:
        yield from compiled.find_isa(view, position, end - 2)
        return
    step = 1 << 12  # mostly the next one is near, or there is none at all
    while position < end - 2:
        stop = min(position + step, end - 2)
        at = np.flatnonzero(view[position:stop] == ord("I"))
        at += position
        at = at[view[at + 1] == ord("S")]
        at = at[view[at + 2] == ord("A")]
        yield from at.tolist()
        position, step = stop, min(step * 4, 1 << 20)


def find_isas(
    data: bytes | mmap.mmap, start: int, position: int, end: int, terminator: int | None, *, after_junk: bool = False
) -> Iterator[tuple[Isa, bool]]:
    """Interchanges that begin in data[position:end], each with: does it stand cleanly after a terminator or `start`?

    `start` is where the bytes at hand begin: just after a terminator, or with `after_junk` after bytes that are none. One with an exact ISA counts wherever it stands, even
    inside a cut-off segment: seventeen fixed places cannot agree by chance. One with a named fault counts only where clean.
    """
    for at in _places(data, position, end):
        before = at - 1
        while before >= start and data[before] in BLANK and data[before] != terminator:
            before -= 1
        clean = not after_junk if before < start else data[before] == terminator
        found = read_isa(data, at, loose=clean)
        if found is not None:
            yield found, clean


@dataclass(frozen=True, slots=True)
class Run:
    """data[start:stop]: interchanges under one set of delimiters, one after another. `wire` None: no interchange has begun."""

    start: int
    stop: int
    wire: Wire | None


BOM = b"\xef\xbb\xbf"


def runs(data: bytes) -> Iterator[Run]:
    """A whole file as runs, in order: how every reader of X12 cuts it, so that they number the same segments alike.

    A run ends where an ISA declares other delimiters, or stands within a segment that was cut off. What stands before the
    first ISA is a run without delimiters, and left out where it is blank.
    """
    begin, last = len(BOM) if data.startswith(BOM) else 0, -3
    wire: Wire | None = None
    while True:
        search = max(begin, last + 3)
        found, clean = next(find_isas(data, begin, search, len(data), wire.segment if wire else None), (None, False))
        if found is None:
            break
        if wire is None or found.wire != wire or not clean:
            if wire is not None or data[begin : found.position].strip(BLANK):
                yield Run(begin, found.position, wire)
            begin, wire = found.position, found.wire
        last = found.position
    if wire is not None or data[begin:].strip(BLANK):
        yield Run(begin, len(data), wire)


def without_raw(text: str, element: str, segment: str) -> str:
    """The same text with the raw bytes of BIN and BDS, as many as they say, as blanks: what they hold cuts nothing."""
    if f"BIN{element}" not in text and f"BDS{element}" not in text:
        return text
    pieces, done, at = [], 0, 0
    mark, end = re.escape(element), re.escape(segment)
    head = re.compile(
        rf"(?:\A|{end})[\r\n\t \x00\x1a]*(?:BIN|BDS{mark}[^{mark}{end}]*){mark}(\d{{1,11}}){mark}", re.ASCII
    )
    while found := head.search(text, at):
        begin = found.end()
        stop = min(begin + int(found[1]), len(text))
        pieces += [text[done:begin], " " * (stop - begin)]
        done = at = stop
    return "".join([*pieces, text[done:]])
