"""The conservation proof on a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from pipeline.ledger.proof import Proof
from pipeline.money import shown


def show(console: Console, proof: Proof) -> None:
    states = Table(title="Where every visit stands", title_justify="left", box=None, padding=(0, 2, 0, 0))
    states.add_column("state")
    states.add_column("visits", justify="right")
    states.add_column("dollars", justify="right")
    for state in proof.states:
        states.add_row(state.state, f"{state.count:,}", shown(state.cents))
    console.print(states)
    lines = Table(title="What must agree", title_justify="left", box=None, padding=(0, 2, 0, 0))
    for column in ("", "expected", "found", "difference"):
        lines.add_column(column, justify="right" if column else "left")
    for line in proof.lines:
        colour = "red" if line.difference else "green"
        lines.add_row(line.name, shown(line.expected), shown(line.found), f"[{colour}]{shown(line.difference)}[/]")
    console.print(lines)
    for fault in proof.broken:
        console.print(f"[red]✗ {fault}[/]")
    console.print(f"[bold {'green' if proof.closes else 'red'}]Residue {shown(proof.residue_cents)}[/]")
