"""The conservation proof on a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from pipeline.ledger.proof import Proof
from pipeline.money import shown
from pipeline.reports import words
from pipeline.reports.terminal import table


def show(console: Console, proof: Proof) -> None:
    states = table("Where every visit stands", "state", "visits", "dollars charged", right=(1, 2))
    for state in proof.states:
        states.add_row(words.STATES.get(state.state, (state.state, ""))[0], f"{state.count:,}", shown(state.cents))
    states.add_row(
        "all", f"{sum(s.count for s in proof.states):,}", shown(sum(s.cents for s in proof.states)), style="bold"
    )
    console.print(states)
    console.print()
    lines = table("What must agree", "", "expected", "found", "difference", right=(1, 2, 3), fold=(0,))
    for line in proof.lines:
        off = Text(shown(line.difference), "red" if line.difference else "green")
        lines.add_row(Text(line.name), shown(line.expected), shown(line.found), off)
    console.print(lines)
    console.print()
    for fault in proof.broken:
        console.print(Text(f"✗ {fault}", "red"))
    said = "every visit is in one state and every cent is explained" if proof.closes else "the proof does not close"
    console.print(Text(f"Residue {shown(proof.residue_cents)}: {said}.", f"bold {'green' if proof.closes else 'red'}"))
