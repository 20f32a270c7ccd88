"""What an adjustment does to the ledger and to the work queues, as a table.

The group code says who bears an amount, the reason code (CARC) why. `schemas/remittances/carc.csv` gives each reason a
meaning in our own words, a category, and a policy; here the two meet:

    PR            the patient's share, whatever the reason; where the payer has sent the claim on, first the next payer's
    CO write_off  written off to adjustment:<category>, for the reasons that the table lists as such
    CO capitation written off to adjustment:capitation; paid 0 by capitation is not a denial
    CO otherwise  denied: the money stays with the payer's receivable, and a person works it
    OA, PI        stays with the payer's receivable, and a person looks at it

A reason that the table does not know is never written off.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Literal

from pipeline import shapes
from pipeline.ledger import accounts

Kind = Literal["write_off", "capitation", "patient", "denial", "review"]
GROUPS = ("CO", "OA", "PI", "PR")
#: CLP02 → what it is. 22 takes an earlier payment back; 25 is a forecast; 4 and 23 were not decided for us
STATUSES = {
    "1": "processed", "2": "processed", "3": "processed", "19": "processed", "20": "processed", "21": "processed",
    "4": "not_recognised", "22": "reversal", "23": "forwarded", "25": "predetermination",
}  # fmt: skip
#: processed, and sent on by the payer to the patient's next one
SENT_ON = frozenset({"19", "20", "21"})
#: what earlier payers settled: in the remittance of a later payer it is information, not an adjustment
EARLIER_PAYER = ("OA", "23")
#: kinds that leave the receivable for `adjustment:<category>`
WRITTEN_OFF = ("write_off", "capitation")


@dataclass(frozen=True, slots=True)
class Reason:
    number: str
    meaning: str
    category: str
    policy: str
    action: str


@cache
def reasons() -> dict[str, Reason]:
    """CARC by number."""
    return {row["number"]: Reason(**row) for row in _rows("carc")}


@cache
def remarks() -> dict[str, dict[str, str]]:
    """RARC by code: meaning and effect (resubmit, no_appeal or nothing)."""
    return {row["code"]: row for row in _rows("rarc")}


@cache
def provider_reasons() -> dict[str, str]:
    """PLB03-1 → meaning."""
    return {row["code"]: row["meaning"] for row in _rows("plb")}


@cache
def nets() -> dict[str, str]:
    """PLB03-1 → what it is a part of, for reasons whose amounts come to 0 over time under one reference."""
    return {row["code"]: row["nets"] for row in _rows("plb") if row["nets"]}


def _rows(name: str) -> list[dict[str, str]]:
    path = shapes.schemas_dir() / "remittances" / f"{name}.csv"
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def reason(number: str) -> Reason:
    """The reason, or a general one for a number that the table does not know: it is worked, never written off."""
    return reasons().get(number) or Reason(
        number, f"reason {number}, which is not in our table", "unknown", "denial", "Look the reason up at the payer."
    )


@cache
def kind(group: str, number: str) -> Kind:
    policy = reason(number).policy
    if group == "PR":
        return "patient"
    if group != "CO":
        return "review"
    if policy in WRITTEN_OFF:
        return "capitation" if policy == "capitation" else "write_off"
    return "denial"


@cache
def account(group: str, number: str, sent_on: bool = False) -> str | None:
    """Where the amount moves to from the payer's receivable; None: it stays there.

    `sent_on`: the payer has sent the claim on to the patient's next payer (CLP02 19–21, or NM1*TT).
    """
    what = kind(group, number)
    if what == "patient":
        return accounts.NEXT_PAYER if sent_on else accounts.PATIENT
    return accounts.adjustment(reason(number).category) if what in WRITTEN_OFF else None


def is_denial(group: str, number: str) -> bool:
    """A reason for which the payer refuses to pay, whoever then bears it."""
    return kind(group, number) == "denial" or (group == "PR" and reason(number).policy == "denial")


def outcome(status: str, paid: int, adjustments: Iterable[tuple[str, str, int]]) -> str:
    """paid, denied, reversal or other. `adjustments` are (group, reason, cents).

    Denied is what paid nothing and left nothing to a deductible, a copayment or a capitation, only to denials; paid 0 by
    contract or by deductible is an ordinary payment.
    """
    what = STATUSES.get(status, "unknown")
    if what == "reversal":
        return "reversal"
    if what == "not_recognised":
        return "denied"
    if what != "processed":
        return "other"
    denied = shared = 0
    for group, number, cents in adjustments:
        if is_denial(group, number):
            denied += cents
        elif kind(group, number) in ("patient", "capitation"):
            shared += cents
    return "denied" if paid == 0 and denied > 0 and shared == 0 else "paid"


def asks_for_a_new_claim(remark_codes: Iterable[str]) -> bool:
    """Only a new claim helps, which has until the end of the filing days; an appeal does not."""
    return any(remarks().get(code, {}).get("effect") == "resubmit" for code in remark_codes)


def denial_words(adjustments: Iterable[tuple[str, str, int]], remark_codes: Iterable[str]) -> tuple[str, str, str]:
    """(reason, action, effect) in plain words; the largest amount comes first. Effect: resubmit, no_appeal or nothing."""
    listed = sorted(adjustments, key=lambda a: (-a[2], a[0], a[1]))
    parts = [f"{group}-{number}: {reason(number).meaning}" for group, number, _ in listed]
    action = reason(listed[0][1]).action if listed else "Look at the remittance."
    effect = ""
    for code in remark_codes:
        known = remarks().get(code)
        parts.append(f"remark {code}: {known['meaning'] if known else 'not in our table; look it up at the payer'}")
        if known and known["effect"] and effect != "resubmit":
            effect = known["effect"]
    if effect == "resubmit":
        action = "Send a new, complete claim: this decision cannot be appealed."
    elif effect == "no_appeal":
        action += " The decision cannot be appealed."
    return "; ".join(parts) + ".", action, effect
