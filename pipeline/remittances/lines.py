"""Which of our service lines does a remittance line speak of? By REF*6R; else by code, modifiers and date; else nobody knows.

A payer may drop the line control number or the modifiers. A line is matched only where exactly one of ours, not yet taken,
fits; what stays open goes to a person, and its money is posted with its claim all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from pipeline.remittances.reading import Line


@dataclass(frozen=True, slots=True)
class OurLine:
    """`procedure`: the revenue code where the line has no other, as the payer names it (NU)."""

    control: str
    procedure: str
    modifiers: tuple[str, ...]
    on: date


#: ways to recognise a line, strongest first: each gives the key of one of ours, or of one of theirs for a code
_WAYS = (
    (lambda o: (o.procedure, o.modifiers, o.on), lambda line, code: (code, line.modifiers, line.on)),
    (lambda o: (o.procedure, o.on), lambda line, code: (code, line.on)),
)


def match(lines: Sequence[Line], ours: Sequence[OurLine]) -> tuple[dict[int, int], list[tuple[int, str]]]:
    """Line number → which of ours (its place in `ours`; the payer may split one of ours over several), and for each line
    that does not simply match (line number, `line-not-found` or `code-mismatch`), in their order."""
    found: dict[int, str] = {}
    matched: dict[int, int] = {}
    by_control = {line.control: at for at, line in enumerate(ours)}
    left = dict(enumerate(ours))
    open_lines: list[Line] = []
    for line in lines:
        at = by_control.get(line.control) if line.control else None
        if at is None:
            open_lines.append(line)
            continue
        left.pop(at, None)
        matched[line.number] = at
        if ours[at].procedure not in line.codes:
            found[line.number] = "code-mismatch"
    for key_of_ours, key_of_theirs in _WAYS:
        still = []
        for line in open_lines:
            wanted = {key_of_theirs(line, code) for code in line.codes}
            fits = [n for n, o in left.items() if key_of_ours(o) in wanted]
            if len(fits) == 1 or (
                fits and len({(left[n].procedure, left[n].modifiers, left[n].on) for n in fits}) == 1
            ):
                matched[line.number] = fits[0]
                del left[fits[0]]
            else:
                still.append(line)
        open_lines = still
    found.update((line.number, "line-not-found") for line in open_lines)
    return matched, sorted(found.items())


def problems(lines: Sequence[Line], ours: Sequence[OurLine]) -> list[tuple[int, str]]:
    """The second part of `match`."""
    return match(lines, ours)[1]
