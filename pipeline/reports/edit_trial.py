"""What a rule would have done in the past, on a terminal and as rows: see `scrubbing.trials`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

from rich.console import Console
from rich.text import Text

from pipeline.money import shown
from pipeline.reports.terminal import table
from pipeline.scrubbing.trials import OUTCOMES, Line, Trial
from pipeline.wording import counted

#: outcome → its words, its sign in a bar, its colour
_WORDS = {
    "caught": ("caught: rejected or denied", "█", "green"),
    "false_hold": ("false holds: paid all the same", "▓", "red"),
    "undecided": ("not decided yet", "░", "yellow"),
}
_LONGEST = 30


def rows(trial: Trial) -> Iterator[dict[str, Any]]:
    """The whole, then by payer, then by rule; cents."""
    until = "" if trial.until == date.max else trial.until.isoformat()
    head = {"rules": trial.rules, "since": trial.since.isoformat(), "until": until}
    yield {"of": "all", **head, **trial.whole.as_dict()}
    for payer, line in sorted(trial.payers.items()):
        yield {"of": "payer", "payer": payer, **line.as_dict()}
    for rule, line in sorted(trial.by_rule.items()):
        yield {"of": "rule", "rule": rule, **line.as_dict()}


def show(console: Console, trial: Trial) -> None:
    whole, held = trial.whole, trial.whole.held
    names = ", ".join(trial.rules)
    if trial.nights is None:
        console.print(Text(f"{names}: no claim went in these nights."))
        return
    first, last = trial.nights
    console.print(Text.assemble((names, "bold"), f" over the nights {first} to {last}"))
    console.print(
        Text(
            f"{counted(whole.looked_at.claims, 'claim')} over {shown(whole.looked_at.cents)} looked at; it would have held "
            f"{counted(held.claims, 'claim')} over {shown(held.cents)}."
        )
    )
    console.print()
    most = max((line.held.claims for line in (whole, *trial.payers.values())), default=0) or 1
    made = table("", "what became of them", "claims", "dollars", "paid", "", right=(1, 2, 3))
    for outcome in OUTCOMES:
        words, sign, colour = _WORDS[outcome]
        tally = getattr(whole, outcome)
        bar = Text(sign * _length(tally.claims, held.claims or 1), colour)
        made.add_row(
            words, f"{tally.claims:,}", shown(tally.cents), shown(tally.paid_cents) if tally.paid_cents else "", bar
        )
    console.print(made)
    decided = whole.caught.claims + whole.false_hold.claims
    if decided:
        share = f"{100 * whole.caught.claims / decided:.0f}"
        console.print(
            Text(f"Of the {counted(decided, 'claim')} that a payer decided, the rule was right about {share}%.", "bold")
        )
    for title, lines in (("By payer", trial.payers), ("By rule", trial.by_rule if len(trial.by_rule) > 1 else {})):
        told = sorted(((k, v) for k, v in lines.items() if v.held.claims), key=lambda x: (-x[1].held.cents, x[0]))
        if told:
            console.print()
            console.print(_split(title, told, most))
    console.print()
    console.print(Text("  ".join(f"{sign} {words}" for words, sign, _ in _WORDS.values()), "dim"))


def _split(title: str, lines: list[tuple[str, Line]], most: int) -> Any:
    made = table(title, "", "looked at", "held", "dollars", "caught", "false", "open", "", right=(1, 2, 3, 4, 5, 6))
    for name, line in lines:
        bar = Text()
        for outcome in OUTCOMES:
            _, sign, colour = _WORDS[outcome]
            number = getattr(line, outcome).claims
            bar.append(sign * _length(number, most), colour)
        made.add_row(
            Text(name), f"{line.looked_at.claims:,}", f"{line.held.claims:,}", shown(line.held.cents),
            f"{line.caught.claims:,}", f"{line.false_hold.claims:,}", f"{line.undecided.claims:,}", bar,
        )  # fmt: skip
    return made


def _length(number: int, most: int) -> int:
    """A number above 0 is never without a sign."""
    return max(1, round(_LONGEST * number / most)) if number else 0
