"""The night's report on a terminal: a funnel with counts and dollars, what there is to do, the money, the residue.

Laid out for 80 columns and more: numbers, ids and dates are never folded, sentences are folded between words.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from pipeline.money import shown
from pipeline.reports import words
from pipeline.reports.deadlines import Waiting
from pipeline.reports.deadlines import sums as waiting_sums
from pipeline.reports.provider_level import Open
from pipeline.reports.summary import Summary
from pipeline.wording import counted


def console_for_people() -> Console:
    """A console as wide as the terminal; where there is none, wide enough for the tables."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(width=120, highlight=False)


def show(console: Console, summary: Summary, *, causes: int = 12) -> None:
    console.print()
    console.rule(f"[bold]The night of {summary.on.isoformat()}")
    for part in (
        _came(summary),
        _funnel(summary, console.width),
        _files(summary),
        _todo(summary, causes),
        _deadlines(summary),
        _money(summary),
        _notices(summary),
    ):
        if part is not None:
            console.print()
            console.print(part)
    console.print()
    console.print(_verdict(summary))


def table(title: str, *columns: str, right: Iterable[int] = (), fold: Iterable[int] = ()) -> Table:
    """A table without lines. Columns named in `fold` hold sentences; all others stay on one line."""
    made = Table(
        title=title or None, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0)
    )
    for number, column in enumerate(columns):
        made.add_column(
            column, justify="right" if number in right else "left", header_style="dim", no_wrap=number not in fold,
            overflow="fold" if number in fold else "ellipsis",
        )  # fmt: skip
    return made


def named(title: str, action: str) -> Text:
    """What is wrong, and below it what to do."""
    return Text.assemble(title, "\n", (f"→ {action}", "dim")) if action else Text(title)


def _came(summary: Summary) -> RenderableType:
    lines = [
        f"Extract {i.name}: {counted(i.rows, 'visit')} over {shown(i.cents)}; "
        f"{i.new:,} new, {i.changed:,} changed, {i.known:,} known, {i.quarantined:,} quarantined."
        for i in summary.intakes
    ] or ["No new extract came with this night."]
    if summary.mail:
        files = ", ".join(f"{m.files:,} {m.kind}" for m in summary.mail)
        came = summary.came
        lines.append(
            f"Files of payers and bank: {files}. They brought {counted(came.remittances, 'remittance')} over "
            f"{shown(came.remitted)} and {counted(came.deposits, 'deposit')} over {shown(came.deposited)}."
        )
    return Group(*(Text(line) for line in lines))


def _funnel(summary: Summary, width: int) -> RenderableType | None:
    if not summary.visits:
        return None
    label = max(len(s.name) for s in summary.funnel)
    cents = max(len(shown(s.cents)) for s in summary.funnel)
    longest = max(8, min(40, width - label - cents - 24))
    lines: list[RenderableType] = [Text("From visit to money", "bold")]
    for stage in summary.funnel:
        noun = "visit " if stage.count == 1 else "visits"
        bar = "█" * round(longest * stage.count / summary.visits) or "▏"
        lines.append(
            Text.assemble(
                f"{stage.name:<{label}}  ", (f"{bar:<{longest}}", "cyan"), f"  {stage.count:>9,} {noun}  ",
                f"{shown(stage.cents):>{cents}}",
            )
        )  # fmt: skip
        if stage.why:
            lines.append(Padding(Text(stage.why, "yellow"), (0, 0, 0, label + 2)))
    return Group(*lines)


def _files(summary: Summary) -> RenderableType | None:
    if not summary.files:
        return None
    made = table("Claim files", "payer", "control", "claims", "dollars", "state", right=(2, 3), fold=(0, 4))
    for file in summary.files:
        state, fine = words.sending(file.state, file.refused)
        test = " (test)" if file.usage == "T" else ""
        made.add_row(
            Text(file.payer), file.interchange_control, f"{file.claims:,}", shown(file.cents),
            Text(f"{state}{test}", "" if fine else "red"),
        )  # fmt: skip
    return made


def _todo(summary: Summary, most: int) -> RenderableType | None:
    if not summary.todo:
        return None
    made = table("To do, the most dollars first", "queue", "items", "dollars", "what", right=(1, 2), fold=(3,))
    for item in summary.todo[:most]:
        made.add_row(item.queue, f"{item.count:,}", shown(item.cents), named(item.title, item.action))
    rest = summary.todo[most:]
    if rest:
        made.add_row(
            "…", f"{sum(i.count for i in rest):,}", shown(sum(i.cents for i in rest)),
            Text(f"{len(rest)} more causes: claimpipe work list", "dim"),
        )  # fmt: skip
    return made


def _deadlines(summary: Summary, most: int = 6) -> RenderableType | None:
    """Filing days that end soon, one line a payer and place."""
    if not summary.deadlines:
        return None
    made = table("Filing days that end within two weeks, or have ended", "last day", "visits", "dollars", "payer",
                 "where they wait", right=(1, 2), fold=(3, 4))  # fmt: skip
    for d in summary.deadlines[:most]:
        day = Text("past", "red") if d.past else Text(d.soonest.isoformat())
        made.add_row(day, f"{d.count:,}", shown(d.cents), Text(d.payer), Text(d.where))
    more = summary.deadlines[most:]
    number = f"{sum(d.count for d in more):,}" if more else ""
    made.add_row("…" if more else "", number, shown(sum(d.cents for d in more)) if more else "", "",
                 Text("visit by visit: claimpipe work at-risk", "dim"))  # fmt: skip
    return made


def _money(summary: Summary) -> RenderableType | None:
    families = summary.families()
    if not families:
        return None
    made = table("Ledger, all nights (credits with a minus)", "accounts", "dollars", right=(1,))
    for family, cents in families:
        made.add_row(words.ACCOUNTS.get(family, family), shown(cents))
    matched, suspense = summary.deposited("matched"), summary.deposited("suspense")
    made.add_row(f"{counted(len(summary.deposits), 'deposit')}: matched", shown(matched), style="bold")
    made.add_row("  in suspense", Text(shown(suspense), "yellow" if suspense else ""))
    return made


def _notices(summary: Summary, most: int = 6) -> RenderableType | None:
    """What went on and should be known, one line a rule."""
    if not summary.notices:
        return None
    made = table("Good to know", "times", "what", right=(0,), fold=(1,))
    for notice in summary.notices[:most]:
        made.add_row(f"{notice.count:,}", named(notice.says, notice.fix))
    rest = summary.notices[most:]
    if rest:
        made.add_row(f"{sum(n.count for n in rest):,}", Text("more, of other kinds: see the workbook", "dim"))
    return made


def _verdict(summary: Summary) -> Panel:
    lines: list[Text] = []
    for line in summary.proof.lines:
        if line.difference:
            said = f"✗ {line.name}: expected {shown(line.expected)}, found {shown(line.found)}"
            lines.append(Text(said, style="red"))
    lines += [Text(f"✗ {fault}", style="red") for fault in summary.proof.broken]
    closed = summary.residue == 0 and not summary.proof.broken
    lines.append(
        Text(
            f"Residue {shown(summary.residue)}: every visit is in one state and every cent is explained."
            if closed
            else f"Residue {shown(summary.residue)}: the proof does not close.",
            style="bold green" if closed else "bold red",
        )
    )
    failed = [(suite, sum(not c.success for c in suite.checks)) for suite in summary.suites]
    for suite, count in failed:
        if count:
            what = "stopped the stage" if suite.stopped else "set rows aside"
            stage = words.SUITES.get(suite.name, suite.name).lower()
            said = f"! Quality, {stage}: {count} of {len(suite.checks)} checks {what}."
            lines.append(Text(said, style="red" if suite.stopped else "yellow"))
    lines += [Text(f"! {said}", style="red") for said in [*summary.rejects, *summary.troubles]]
    clean = closed and not summary.troubles and not summary.rejects
    return Panel(Group(*lines), title="Proof", border_style="green" if clean else "red")


#: visits at risk that a terminal shows one by one
_WAITING_SHOWN = 40


def show_at_risk(console: Console, found: Sequence[Waiting], days: int) -> None:
    """Visits whose filing days end soon, then those past their limit; `deadlines.at_risk` gives them."""
    if not found:
        console.print(Text(f"No visit's filing days end within {counted(days, 'day')}."))
        return
    past = [x for x in found if x.days_left < 0]
    soon = [x for x in found if x.days_left >= 0]
    made = table(
        "", "left", "last day", "dollars", "payer", "visit", "where it waits, what to do", right=(0, 2), fold=(4, 5)
    )
    for x in [*soon, *past][:_WAITING_SHOWN]:
        where = f"{words.STATES[x.state][0]}{f': {x.why}' if x.why else ''}"
        left = f"{x.days_left}" if x.days_left >= 0 else "past"
        made.add_row(
            left, str(x.last_day), shown(x.cents), Text(x.payer), Text(x.encounter_key), named(where, x.action)
        )
    console.print(made)
    _rest(console, found)
    number, cents = waiting_sums(soon)
    console.print(Text(f"Within {counted(days, 'day')}: {counted(number, 'visit')} over {shown(cents)}.", "bold"))
    if past:
        number, cents = waiting_sums(past)
        console.print(Text(f"Past their payer's limit: {counted(number, 'visit')} over {shown(cents)}.", "bold"))


def _rest(console: Console, found: Sequence[Waiting]) -> None:
    if len(found) > _WAITING_SHOWN:
        console.print(Text(f"… and {len(found) - _WAITING_SHOWN:,} more: claimpipe work at-risk --json", "dim"))


def show_provider_level(console: Console, found: Sequence[Open]) -> None:
    """What `provider_level.still_open` gives."""
    if not found:
        console.print("Every forward balance, take-back and advance came to 0.")
        return
    made = table("", "payer", "dollars", "since", "reference", "what, and what to do", right=(1,), fold=(3, 4))
    for one in found:
        what = f"{one.what} ({one.reasons}, {counted(one.remittances, 'remittance')})"
        claims = f"; claims {', '.join(one.claims)}" if one.claims else ""
        made.add_row(Text(one.payer), shown(one.cents), str(one.since), Text(one.shown_reference),
                     named(f"{what}{claims}", one.action))  # fmt: skip
    console.print(made)
    console.print(Text(f"In all {shown(sum(one.cents for one in found))}.", "bold"))
