"""The night's report as one self-contained HTML page: no script, no outside font, no request. Pictures are inline SVG."""

from __future__ import annotations

from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from pipeline.money import shown
from pipeline.reports.summary import Summary

#: words for states, and the colour group each belongs to
STATES: dict[str, tuple[str, str]] = {
    "quarantined": ("Quarantined: the row cannot be read", "bad"),
    "extracted": ("Extracted, not coded yet", "wait"),
    "coder_list": ("On the coder's list", "wait"),
    "not_billable": ("Not billed to a payer", "off"),
    "coded": ("Coded, not scrubbed yet", "wait"),
    "held": ("Held by an edit", "bad"),
    "ready": ("Ready to be sent", "go"),
    "batched": ("In a file, not sent", "go"),
    "sent": ("Sent, no answer yet", "go"),
    "unknown": ("Sent, outcome not known", "bad"),
    "received": ("Received by the payer", "go"),
    "accepted": ("Accepted by the payer", "go"),
    "rejected": ("Rejected by the payer", "bad"),
    "paid": ("Paid", "done"),
    "denied": ("Denied", "bad"),
    "reversed": ("Payment reversed", "bad"),
}


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["dollars"] = shown
    environment.filters["day"] = lambda on: on.strftime("%a %d %b %Y") if isinstance(on, date) else str(on)
    return environment


def render(summary: Summary) -> str:
    matched = sum(d.cents for d in summary.deposits if d.state == "matched")
    accounts = dict(summary.accounts)

    def total(prefix: str) -> int:
        return sum(c for a, c in accounts.items() if a.startswith(prefix))

    context: dict[str, Any] = {
        "s": summary,
        "states": [(STATES.get(n, (n, "wait")), n, count, cents) for n, count, cents in summary.states],
        "widest": max((x.cents for x in summary.funnel), default=0) or 1,
        "billed": -total("income:charges"),
        "paid": sum(p.paid for p in summary.payer_lines),
        "adjusted": sum(p.adjusted for p in summary.payer_lines),
        "patient": sum(p.patient for p in summary.payer_lines),
        "open": sum(p.open for p in summary.payer_lines),
        "deposited": sum(d.cents for d in summary.deposits),
        "matched": matched,
        "suites": sorted({c.suite for c in summary.checks}),
        "closed": summary.residue == 0 and not summary.proof.broken,
    }
    return _environment().get_template("night.html.j2").render(context)
