"""What the claims of an archived 837 say that earlier payers settled: for the proof, and read apart from the project's reader.

Few claims go to a second payer. So they are found by what only their loops hold (AMT*D of 2320, SVD of 2430), and nothing else of
the file is cut into segments.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

from pipeline.ledger import earlier
from pipeline.ledger.interchanges import interchanges
from pipeline.money import received_cents

Segments = Sequence[Sequence[str]]


def earlier_in(data: bytes) -> Iterator[tuple[str, int]]:
    """(CLM01, cents) of the claims of which earlier payers settled something by loops 2320 and 2430."""
    for start, end, element, t in interchanges(data):
        yield from _of_interchange(data, start, end, element, t)


def _of_interchange(data: bytes, start: int, end: int, element: bytes, t: bytes) -> Iterator[tuple[str, int]]:
    decided = re.compile(t + rb"\s*(?:AMT" + element + rb"D|SVD)" + element)
    begins = re.compile(t + rb"\s*((?:CLM|HL|SE)" + element + rb")")
    at = start
    while found := decided.search(data, at, end):
        claim = _last(data, rb"CLM", start, found.start(), element, t)
        closes = begins.search(data, found.start(), end)
        at = closes.start() if closes else end
        level = _last(data, rb"HL" + element + rb"\d+" + element + rb"\d*" + element + rb"22", start, claim, element, t)
        parties = _cut(data[level:claim], element, t)
        own = next((s[1] for s in parties if s[0] == "SBR" and len(s) > 1), "")
        segments = _cut(data[claim:at], element, t)
        part = _settled(own, segments)
        if part:
            yield segments[0][1], part


def _last(data: bytes, name: bytes, start: int, before: int, element: bytes, t: bytes) -> int:
    """Where the last segment of this name before a place begins. Looked for in ever larger pieces, from the place backwards."""
    wanted, size = re.compile(t + rb"\s*(" + name + element + rb")"), 4096
    while True:
        low = max(start, before - size)
        found = [match.start(1) for match in wanted.finditer(data, low, before)]
        if found or low == start:
            return found[-1] if found else start
        size *= 8


def _cut(data: bytes, element: bytes, t: bytes) -> list[list[str]]:
    inner = re.compile(element)
    return [[e.decode("latin-1") for e in inner.split(s.strip())] for s in re.split(t, data) if s.strip()]


def _settled(own: str, segments: Segments) -> int:
    """Of one claim (its segments from CLM on, and SBR01 of the payer that it goes to)."""
    place, payer, of_line = "", "", False
    places: dict[str, str] = {}  # payer's id → its SBR01
    by_place: dict[str, int] = defaultdict(int)
    by_payer: dict[str, int] = defaultdict(int)
    for s in segments:
        match s[0]:
            case "SBR":
                place = s[1]
            case "NM1" if s[1] == "PR" and place and not of_line:
                places[s[9]] = place
            case "LX":
                of_line = True
            case "SVD":
                payer = s[1]
                by_payer[payer] += 0
            case "AMT" if s[1] == "D" and place and not of_line:
                by_place[place] += _cents(s, 2)
            case "CAS":
                amounts = sum(_cents(s, n + 1) for n in range(2, len(s), 3) if earlier.settles(s[1], s[n]))
                if of_line:
                    by_payer[payer] += amounts
                else:
                    by_place[place] += amounts
    for payer, cents in by_payer.items():
        by_place[places.get(payer, "")] += cents
    before = [cents for p, cents in by_place.items() if 0 <= earlier.ORDER.find(p or "?") < earlier.ORDER.find(own)]
    return earlier.largest(_cents(segments[0], 2), before)


def _cents(segment: Sequence[str], place: int) -> int:
    return (received_cents(segment[place]) or 0) if len(segment) > place else 0
