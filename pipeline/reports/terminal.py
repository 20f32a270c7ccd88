"""The night's report on a terminal: a funnel with counts and dollars, the exceptions, the money, the residue."""

from __future__ import annotations

from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from pipeline.money import shown
from pipeline.reports.summary import Summary

_BAR = 28


def console_for_people() -> Console:
    """A console as wide as the terminal; where there is none, wide enough for the tables."""
    console = Console()
    return console if console.is_terminal else Console(width=120)


def show(console: Console, summary: Summary, *, exceptions: int = 12) -> None:
    console.print()
    console.rule(f"[bold]The night of {summary.on.isoformat()}")
    console.print(_funnel(summary))
    if summary.files:
        console.print(_files(summary))
    if summary.exceptions:
        console.print(_exceptions(summary, exceptions))
    console.print(_money(summary))
    console.print(_verdict(summary))


def _table(title: str, *columns: str, right: tuple[int, ...] = ()) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number in right else "left", header_style="dim", overflow="fold")
    return table


def _funnel(summary: Summary) -> Table:
    table = _table("From visit to money", "stage", "", "visits", "charged", "set aside", right=(2, 3))
    most = max((s.cents for s in summary.funnel), default=0) or 1
    for stage in summary.funnel:
        bar = "█" * round(_BAR * stage.cents / most) or "▏"
        aside = f"{stage.aside_count:,} ({shown(stage.aside_cents)}) {stage.aside}" if stage.aside_count else ""
        table.add_row(
            stage.name, Text(bar, style="cyan"), f"{stage.count:,}", shown(stage.cents), Text(aside, style="yellow")
        )
    return table


def _files(summary: Summary) -> Table:
    table = _table("Claim files", "payer", "control no.", "claims", "dollars", "state", right=(2, 3))
    for file in summary.files:
        table.add_row(
            file.payer, file.interchange_control, f"{file.claims:,}", shown(file.cents), f"{file.state} ({file.usage})"
        )
    return table


def _exceptions(summary: Summary, most: int) -> Table:
    table = _table("To do, by dollars", "queue", "cause", "items", "dollars", "what to do", right=(2, 3))
    for item in summary.exceptions[:most]:
        table.add_row(item.queue, item.cause, f"{item.count:,}", shown(item.cents), item.action)
    if len(summary.exceptions) > most:
        rest = summary.exceptions[most:]
        table.add_row(
            "…",
            f"{len(rest)} more causes",
            f"{sum(i.count for i in rest):,}",
            shown(sum(i.cents for i in rest)),
            "claimpipe work list",
        )
    return table


def _money(summary: Summary) -> Table:
    table = _table("Ledger (debit +, credit −)", "account", "dollars", right=(1,))
    for account, cents in summary.accounts:
        table.add_row(account, shown(cents))
    matched = sum(d.cents for d in summary.deposits if d.state == "matched")
    suspense = sum(d.cents for d in summary.deposits if d.state != "matched")
    table.add_row(f"bank deposits: {len(summary.deposits)}, matched", shown(matched))
    table.add_row("bank deposits in suspense", shown(suspense))
    return table


def _verdict(summary: Summary) -> Panel:
    lines: list[Text] = []
    for line in summary.proof.lines:
        if line.difference:
            lines.append(
                Text(f"✗ {line.name}: expected {shown(line.expected)}, found {shown(line.found)}", style="red")
            )
    closed = summary.residue == 0 and not summary.proof.broken
    lines.append(
        Text(
            f"Residue {shown(summary.residue)}: every visit is in one state and every cent is explained."
            if closed
            else f"Residue {shown(summary.residue)}: the proof does not close.",
            style="bold green" if closed else "bold red",
        )
    )
    lines += [Text(f"! {trouble}", style="red") for trouble in summary.troubles]
    return Panel(Group(*lines), title="Proof", border_style="green" if closed and not summary.troubles else "red")
