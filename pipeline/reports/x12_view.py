"""An X12 file for people: on a terminal, and as one self-contained HTML page. What is shown is decided in `x12/view.py`.

Both are indented by loops, coloured by what an element is, and say each finding beside its segment. The page folds by
details/summary, so it needs no script, and forbids itself every request by a content security policy.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from pipeline.findings import Finding
from pipeline.reports.templating import environment_of_templates
from pipeline.wording import counted
from pipeline.x12.view import MASK, Level, Row, View

#: faults of the list at the top that stand open; the rest is folded
LISTED = 30
#: a page with more segments folds the claims without a finding, and gives tables of elements to segments with findings alone
LONG = 400
#: levels that are folded then, by their first segment
FOLDED = frozenset(("CLM", "CLP", "AK2", "TRN", "EB"))

_STYLES = {
    "code": "cyan", "amount": "bold green", "date": "magenta", "number": "blue", "text": "", "masked": "dim",
}  # fmt: skip
#: a number that is no part of a name (HL01, 2010AA)
_NUMBER = re.compile(r"(?<![\w.*-])(?<!oop )\d+(?:\.\d+)?(?![\w*-])")
_SEVERITIES = {"error": ("✗", "red"), "warning": ("!", "yellow"), "info": ("·", "dim")}


@dataclass(frozen=True, slots=True)
class Step:
    """One step down a view: a level opens or closes, a segment stands, or segments are left out."""

    kind: str  # open | close | row | gap
    level: Level | None = None
    row: Row | None = None
    count: int = 0


def steps(view: View) -> Iterator[Step]:
    """The rows of a view with the opening and closing of their levels, and the gaps between them."""
    path: tuple[Level, ...] = ()
    before = 0
    for row in view.rows:
        kept = 0
        while kept < min(len(path), len(row.path)) and path[kept] is row.path[kept]:
            kept += 1
        for level in reversed(path[kept:]):
            yield Step("close", level)
        if row.number > before + 1:
            yield Step("gap", count=row.number - before - 1)
        for level in row.path[kept:]:
            yield Step("open", level)
        yield Step("row", row=row)
        path, before = row.path, row.number
    for level in reversed(path):
        yield Step("close", level)
    if view.segments > before:
        yield Step("gap", count=view.segments - before)


def _summed(findings: list[Finding]) -> str:
    counts: Counter[str] = Counter(finding.severity for finding in findings)
    names = {"error": "error", "warning": "warning", "info": "note"}
    return ", ".join(counted(counts[s], names[s]) for s in names if counts[s]) or "nothing is wrong"


def place(finding: Finding) -> str:
    """Where a finding stands, in the trade's way: `CLM05-3 in loop 2300`; what its message begins with is not said twice."""
    where = finding.segment_id + (f"{finding.element:02d}" if finding.segment_id and finding.element else "")
    where += f"-{finding.component}" if where and finding.component else ""
    if not where or finding.message.startswith((f"{where} ", f"{finding.segment_id}*", f"Loop {finding.loop} ")):
        return f"loop {finding.loop}" if finding.loop and f"oop {finding.loop} " not in finding.message else ""
    return " in loop ".join(text for text in (where, finding.loop) if text)


@dataclass(frozen=True, slots=True)
class Fault:
    """Findings that say the same, and the segments at which they stand. Numbers in which they differ are left out."""

    severity: str
    place: str
    message: str
    fix: str
    segments: tuple[int, ...]


def faults(findings: list[Finding]) -> list[Fault]:
    """Findings that say the same as one, errors first, then in order of the file."""
    same: dict[tuple[str, ...], list[Finding]] = {}
    for f in findings:
        same.setdefault((f.severity, place(f), _NUMBER.sub("…", f.message), _NUMBER.sub("…", f.fix)), []).append(f)
    made = []
    for (severity, where, message, fix), group in same.items():
        messages, fixes = {f.message for f in group}, {f.fix for f in group}
        made.append(
            Fault(
                severity, where, message if len(messages) > 1 else messages.pop(), fix if len(fixes) > 1 else fixes.pop(),
                tuple(dict.fromkeys(f.segment for f in group if f.segment)),
            )
        )  # fmt: skip
    order = list(_SEVERITIES)
    return sorted(made, key=lambda fault: order.index(fault.severity))


def _said(view: View) -> list[str]:
    """What a reader must know of the view itself."""
    said = []
    if view.left_out:
        said.append(
            f"{len(view.rows):,} of {counted(view.segments, 'segment')} are shown: the first ones, and those around findings."
        )
    if view.unguided:
        said.append(
            f"{counted(view.unguided, 'of the sets has', 'of the sets have')} no guide here: loops and names are not known there, and more is masked."
        )
    return said


# ── terminal ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def show(console: Console, view: View) -> None:
    """The view on a terminal; a long segment is folded under itself."""
    wide = len(str(view.segments))
    console.print(
        Text.assemble(
            (view.file or "X12", "bold"),
            f"  {' '.join(view.kinds)}  {counted(view.segments, 'segment')}, {_summed(view.findings)}",
        )
    )
    for line in _said(view):
        console.print(Text(line, "dim"))
    if view.masked:
        console.print(Text(f"{MASK} stands for patients' data and text.", "dim"))
    for finding in view.loose:
        console.print(_finding(finding))
    depth = 0
    for step in steps(view):
        if step.level is not None and step.kind == "open":
            if step.level.id not in ("ISA", "GS", "ST"):
                title = Text.assemble((f"{step.level.id} ", "bold yellow"), (step.level.name, "bold"))
                if step.level.heading:
                    title.append(f"  {step.level.heading}", "dim")
                console.print(Padding(title, (0, 0, 0, wide + 1 + 2 * depth)))
            depth += 1
        elif step.kind == "close":
            depth -= 1
        elif step.kind == "gap":
            console.print(Text(f"{'⋮':>{wide}} {counted(step.count, 'segment is', 'segments are')} not shown", "dim"))
        elif step.row is not None:
            _row(console, step.row, wide, depth)


def _row(console: Console, row: Row, wide: int, depth: int) -> None:
    indent = 2 * min(depth, 12)
    line = Text(overflow="fold", no_wrap=False)
    line.append(row.id, "bold")
    for part in row.parts:
        line.append(part.mark, "dim")
        style = _STYLES[part.kind]
        if part.severity:
            style = f"{style} {'bold red' if part.severity == 'error' else 'yellow'} underline".strip()
        line.append(part.text, style)
    line.append(row.end, "dim")
    room = max(console.width - wide - 1 - indent, 20)
    if row.aside:
        beside = f"  {row.aside}"
        if line.cell_len + len(beside) <= room:
            line.append(beside, "dim italic")
        elif line.cell_len <= room or len(row.aside) <= room:
            line.append(f"\n  {row.aside}", "dim italic")
    folded = line.wrap(console, room - 2, overflow="fold") if line.cell_len > room or "\n" in line.plain else [line]
    for number, piece in enumerate(folded):
        piece.rstrip()
        head = Text(f"{row.number if not number else '':>{wide}} ", "dim")
        head.append(" " * (indent + (2 if number else 0)))
        console.print(Text.assemble(head, piece), soft_wrap=True)
    for finding in row.findings:
        console.print(Padding(_finding(finding), (0, 0, 0, wide + 1 + indent)))


def _finding(finding: Finding) -> Text:
    mark, colour = _SEVERITIES[finding.severity]
    where = place(finding)
    text = Text.assemble(
        (f"{mark} {'note' if finding.severity == 'info' else finding.severity}", f"bold {colour}"),
        (f" {where}: " if where else ": ", colour),
        finding.message,
    )
    if finding.fix:
        text.append(f" → {finding.fix}", "dim")
    return text


# ── page ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@cache
def _environment() -> jinja2.Environment:
    environment = environment_of_templates()
    environment.globals |= {"place": place, "SEVERITY": {"error": "error", "warning": "warning", "info": "note"}}
    return environment


def page(view: View) -> str:
    """The view as an HTML page that asks for nothing from anywhere."""
    troubled = {level for row in view.rows if row.findings for level in row.path}
    counts: Counter[Level] = Counter(level for row in view.rows for level in row.path for _ in row.findings)
    long = len(view.rows) > LONG
    shown = {row.number for row in view.rows}
    listed = faults(view.findings)
    context: dict[str, Any] = {
        "v": view,
        "name": Path(view.file).name if view.file else "X12 file",
        "counted": _summed(view.findings),
        "worst": next((s for s in _SEVERITIES if any(f.severity == s for f in view.findings)), ""),
        "said": _said(view),
        "steps": list(steps(view)),
        "folded": {
            level
            for row in view.rows
            for level in row.path
            if long and level.opened_by in FOLDED and level not in troubled
        },
        "counts": counts,
        "long": long,
        "shown": shown,
        "listed": listed[:LISTED],
        "rest": listed[LISTED:],
        "mask": MASK,
    }
    return _environment().get_template("x12_view.html.j2").render(context)
