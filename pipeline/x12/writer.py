"""Writing X12: strict. A delimiter or a character outside the declared set never gets through.

`render` writes small files (acknowledgments, remittances of the payer in a box) segment by segment. The bulk path for
claims builds whole columns at a time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

from pipeline.errors import Terminal
from pipeline.x12.segments import DEFAULT_DELIMITERS, Delimiters

BASIC = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 !\"&'()*+,-./:;?=")
EXTENDED = BASIC | frozenset("abcdefghijklmnopqrstuvwxyz%@[]_{}\\|<>~#$^`")

#: an element is a text, or the list of its components
Element = str | Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What ISA and GS need besides the sets. Times are HHMM; numbers are given, never invented here."""

    sender_qualifier: str
    sender_id: str
    receiver_qualifier: str
    receiver_id: str
    group_sender: str
    group_receiver: str
    on: date
    time: str
    interchange_control: int
    group_control: int
    functional_id: str  # HC, HP, FA, HN ...
    version: str  # GS08
    usage: str  # T or P
    acknowledgment_requested: str = "0"  # ISA14
    delimiters: Delimiters = DEFAULT_DELIMITERS
    newline: bool = False


def isa(envelope: Envelope) -> list[Element]:
    e = envelope
    return [
        "ISA", "00", " " * 10, "00", " " * 10, e.sender_qualifier.ljust(2), e.sender_id.ljust(15),
        e.receiver_qualifier.ljust(2), e.receiver_id.ljust(15), e.on.strftime("%y%m%d"), e.time[:4], e.delimiters.repetition,
        "00501", f"{e.interchange_control:09d}", e.acknowledgment_requested, e.usage, e.delimiters.component,
    ]  # fmt: skip


def gs(envelope: Envelope) -> list[Element]:
    e = envelope
    return ["GS", e.functional_id, e.group_sender, e.group_receiver, e.on.strftime("%Y%m%d"), e.time[:4],
            str(e.group_control), "X", e.version]  # fmt: skip


def interchange(
    envelope: Envelope, sets: Sequence[Sequence[Sequence[Element]]], before_group: Sequence[Sequence[Element]] = ()
) -> bytes:
    """One interchange with one group. Each set is the list of its segments from ST up to, not including, SE.

    `before_group` holds TA1 segments. With no sets there is no group either (IEA01 = 0).
    """
    segments: list[Sequence[Element]] = [isa(envelope), *before_group]
    if sets:
        segments.append(gs(envelope))
        for body in sets:
            segments += [*body, ["SE", str(len(body) + 1), body[0][2]]]
        segments.append(["GE", str(len(sets)), str(envelope.group_control)])
    segments.append(["IEA", "1" if sets else "0", f"{envelope.interchange_control:09d}"])
    return render(segments, envelope.delimiters, newline=envelope.newline)


def render(
    segments: Iterable[Sequence[Element]], delimiters: Delimiters = DEFAULT_DELIMITERS, *, newline: bool = False
) -> bytes:
    """Segments → bytes. Trailing empty elements and components are dropped (not in ISA).

    Terminal, naming segment and element but never the value, where a value holds a delimiter or a character outside the
    extended set: callers clean or hold such values before.
    """
    end = delimiters.segment + ("\n" if newline else "")
    forbidden = _forbidden(delimiters)
    out: list[str] = []
    for number, elements in enumerate(segments, start=1):
        if elements[0] == "ISA":
            out.append(delimiters.element.join(str(e) for e in elements) + end)
            continue
        texts = [
            e if isinstance(e, str) and not forbidden(e) else _element(e, delimiters, number, str(elements[0]), i)
            for i, e in enumerate(elements)
        ]
        while texts and not texts[-1]:
            texts.pop()
        out.append(delimiters.element.join(texts) + end)
    return "".join(out).encode("ascii")


@lru_cache(maxsize=64)
def _forbidden(delimiters: Delimiters) -> Callable[[str], re.Match[str] | None]:
    """Finds a character that may not stand inside an element: one search instead of a look at each character."""
    allowed = "".join(sorted(c for c in EXTENDED if c not in delimiters))
    return re.compile(f"[^{re.escape(allowed)}]").search


def _element(value: Element, delimiters: Delimiters, number: int, segment_id: str, position: int) -> str:
    parts = [value] if isinstance(value, str) else list(value)
    forbidden = _forbidden(delimiters)
    for part in parts:
        if forbidden(part):
            raise Terminal(
                f"Segment {number} ({segment_id}), element {position:02d} holds a delimiter or a character that X12 does not allow.",
                fix="Hold the claim and mend the source field.",
            )
    while len(parts) > 1 and not parts[-1]:
        parts.pop()
    return delimiters.component.join(parts)
