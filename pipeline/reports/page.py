"""The night's report and its quality results as self-contained HTML pages: no script, no font, no request to anywhere.

Pictures are drawn with the page's own styles, so they stay legible on a telephone and on paper. Both pages forbid
themselves every request by a content security policy. They hold counts, dollars, codes and ids, and no patient data.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any

import jinja2
from markupsafe import Markup

from pipeline.money import shown
from pipeline.reports import words
from pipeline.reports.summary import Summary, TieDay
from pipeline.reports.templating import environment_of_templates

#: causes on the page; the workbook has all of them
CAUSES = 40
#: deposits in suspense on the page; the workbook has all of them
SUSPENSE = 40


@cache
def _environment() -> jinja2.Environment:
    environment = environment_of_templates()
    environment.filters |= {
        "dollars": _dollars,
        "usd": _usd,
        "count": _count,
        "day": _day,
        "percent": _percent,
        "breakable": _breakable,
    }
    environment.globals |= {
        "STATES": words.STATES, "QUEUES": words.QUEUES, "sending": words.sending, "ACCOUNTS": words.ACCOUNTS,
        "SUITES": words.SUITES, "KINDS": words.KINDS,
    }  # fmt: skip
    return environment


def _dollars(cents: int) -> str:
    """In a column whose heading says dollars; a true minus lines up with the digits."""
    return shown(cents).replace("-", "−")


def _usd(cents: int) -> str:
    """Alone in a text."""
    return ("−$" if cents < 0 else "$") + shown(abs(cents))


def _count(number: int) -> str:
    return f"{number:,}"


def _day(on: date | None) -> str:
    return f"{on:%a} {on.day} {on:%b %Y}" if on else ""


def _breakable(name: str) -> Markup:
    """A name that may go on in the next line behind an underscore, and nowhere within a word."""
    return Markup("_<wbr>").join(name.split("_"))


def _percent(share: float) -> str:
    """At most one decimal; a share above zero is never shown as zero."""
    text = f"{100 * share:.1f}".removesuffix(".0")
    return "<0.1%" if share > 0 and text == "0" else f"{text}%"


def closed(summary: Summary) -> bool:
    return summary.residue == 0 and not summary.proof.broken


def render(summary: Summary) -> str:
    """The night's page."""
    accounts = dict(summary.families())
    suspense = [d for d in summary.deposits if d.state == "suspense"]
    parts = [
        ("Paid by payers for claims", sum(p.paid for p in summary.payer_lines), "done"),
        ("Written off by contract and policy", sum(p.adjusted for p in summary.payer_lines), "off"),
        ("Patients owe", sum(p.patient for p in summary.payer_lines), "wait"),
        ("Open at payers, denied and rejected included", sum(p.open for p in summary.payer_lines), "go"),
    ]
    if earlier := sum(p.earlier for p in summary.payer_lines):
        parts.insert(2, ("Settled by earlier payers, as claims to later ones say", earlier, "off"))
    context: dict[str, Any] = {
        "s": summary,
        "on": summary.on.isoformat(),
        "closed": closed(summary),
        "widest": max((x.cents for x in summary.funnel), default=0) or 1,
        "billed": -accounts.get("income:charges", 0),
        "parts": parts,
        "money": money(summary),
        "todo": summary.todo[:CAUSES],
        "rest": summary.todo[CAUSES:],
        "families": summary.families(),
        "days": _days(summary.tie),
        "suspense": suspense[:SUSPENSE],
        "more_suspense": suspense[SUSPENSE:],
    }
    return _environment().get_template("night.html.j2").render(context)


@dataclass(frozen=True, slots=True)
class Money:
    """What payers say they have paid, on its way to the bank, in cents of all nights; each sum follows from what stands before it.

    `paid`: for claims, outside of claims and for what could not be placed, in words; adds up to `brought`. `brought` less
    `to_come` is `matched`, and with `others` that is `bank`. `unexplained` is what does not add up: 0 in sound books.
    """

    paid: list[tuple[str, int]]
    brought: int
    to_come: int
    matched: int
    others: list[tuple[str, int]]
    bank: int
    unexplained: int

    @property
    def said(self) -> str:
        """The parts of `paid`, in one line."""
        return ", ".join(f"{_usd(cents)} {words}" for words, cents in self.paid)


def money(summary: Summary) -> Money:
    """From the ledger: provider adjustments, unapplied money and differences stand there with the sign of their account."""
    accounts = dict(summary.families())
    paid = [
        ("for claims", sum(p.paid for p in summary.payer_lines)),
        *(
            (said, -accounts[family])
            for family, said in (
                ("provider_adjustment", "outside of claims (PLB)"),
                ("unapplied:remittance", "for claims that were not found"),
                ("difference:remittance", "that remittances do not explain"),
            )
            if accounts.get(family)
        ),
    ]
    others = [
        (said, -accounts[account])
        for account, said in (("suspense:deposits", "in suspense"), ("not_claims:deposits", "no claim payments"))
        if accounts.get(account)
    ]
    brought, to_come, bank = sum(c for _, c in paid), accounts.get("clearing:eft", 0), accounts.get("bank:operating", 0)
    matched = brought - to_come
    return Money(paid, brought, to_come, matched, others, bank, bank - matched - sum(c for _, c in others))


def _days(tie: Iterable[TieDay]) -> list[TieDay]:
    """The tie of each day over all accounts, in their order. What is not explained adds up without its sign."""
    found: dict[date, TieDay] = {}
    for t in tie:
        before = found.get(t.on) or TieDay(t.on, "", 0, 0, 0, 0, 0, 0)
        found[t.on] = TieDay(
            t.on, "", before.bank + t.bank, before.posted + t.posted, before.unapplied + t.unapplied,
            before.in_transit + t.in_transit, before.not_claims + t.not_claims, before.residue + abs(t.residue),
        )  # fmt: skip
    return list(found.values())


def render_quality(summary: Summary) -> str:
    """The page of quality results."""
    context: dict[str, Any] = {
        "s": summary,
        "on": summary.on.isoformat(),
        "checks": sum(len(suite.checks) for suite in summary.suites),
        "passed": sum(suite.passed for suite in summary.suites),
        "stopped": [suite for suite in summary.suites if suite.stopped],
        "missing": [name for name in words.SUITES if name not in {suite.name for suite in summary.suites}],
    }
    return _environment().get_template("quality.html.j2").render(context)
