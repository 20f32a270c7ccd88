"""The three balances of an 835, each to the cent and each located.

    line         SVC02 − Σ CAS of the line           = SVC03
    claim        CLP03 − Σ CAS of claim and lines    = CLP04
    transaction  Σ CLP04 − Σ PLB                     = BPR02

AMT segments take no part. What does not balance never posts by itself.
"""

from __future__ import annotations

from pipeline.findings import Finding
from pipeline.ledger.policy import GROUPS, STATUSES, provider_reasons
from pipeline.money import shown
from pipeline.remittances.reading import Remittance
from pipeline.wording import counted

_FIX = "Nothing was posted. Ask the payer for a corrected remittance, or post it by hand after a person has looked."


def check(remittance: Remittance) -> list[Finding]:
    """Findings: an error for each place that does not balance, a warning for codes that the guide does not know."""
    found: list[Finding] = []
    bpr = remittance.segment + 1  # the reader gives the place of ST; BPR stands next to it

    def add(rule: str, severity: str, message: str, fix: str, segment: int, segment_id: str, loop: str) -> None:
        found.append(
            Finding(
                rule=rule, severity=severity, message=message, fix=fix, snip=3 if severity == "error" else 5,  # type: ignore[arg-type]
                file=remittance.file_id, segment=segment, segment_id=segment_id, loop=loop,
                subject=remittance.remittance_id,
            )
        )  # fmt: skip

    for claim in remittance.claims:
        for line in claim.lines:
            if line.difference:
                add("835.balance.line", "error",
                    f"Line {line.number} of claim {claim.number}: charge {shown(line.charge)} less adjustments "
                    f"{shown(line.adjusted)} is not the payment {shown(line.paid)}; difference {shown(line.difference)}.",
                    _FIX, line.segment, "SVC", "2110")  # fmt: skip
        if claim.difference:
            add("835.balance.claim", "error",
                f"Claim {claim.number}: charge {shown(claim.charge)} less adjustments {shown(claim.adjusted)} is not the "
                f"payment {shown(claim.paid)}; difference {shown(claim.difference)}.",
                _FIX, claim.segment, "CLP", "2100")  # fmt: skip
        if claim.status not in STATUSES:
            add("835.status", "warning", f"Claim {claim.number} has status {claim.status}, which version 5010 does not know.",
                "A person decides what the payer means.", claim.segment, "CLP", "2100")  # fmt: skip
        for group, reason, _ in claim.adjustments:
            if group not in GROUPS:
                add("835.group", "warning", f"Claim {claim.number}: group {group} with reason {reason} is not one of 5010.",
                    "It is not written off; a person looks at it.", claim.segment, "CAS", "2100")  # fmt: skip
        patient = sum(value for group, _, value in claim.adjustments if group == "PR")
        if claim.patient_stated is not None and claim.patient_stated != patient and claim.status != "22":
            add("835.patient", "warning",
                f"Claim {claim.number}: CLP05 says that the patient owes {shown(claim.patient_stated)}, the adjustments of "
                f"group PR make {shown(patient)}.",
                "The adjustments are posted.", claim.segment, "CLP", "2100")  # fmt: skip
    for item in remittance.provider:
        if item.reason not in provider_reasons():
            add("835.plb", "error", f"PLB reason {item.reason} is not one of the guide.",
                "Nothing was posted. Ask the payer what the reason means.",
                item.segment, "PLB", "")  # fmt: skip
    off = difference(remittance)
    if remittance.amount is not None and off:
        paid = sum(claim.paid for claim in remittance.claims)
        taken = sum(item.cents for item in remittance.provider)
        add("835.balance.transaction", "error",
            f"Claims paid {shown(paid)} less provider adjustments {shown(taken)} is not BPR02 {shown(remittance.amount)}; "
            f"difference {shown(off)}.", _FIX, bpr, "BPR", "")  # fmt: skip
    if (remittance.amount or 0) < 0 or remittance.debit:
        add("835.amount", "error", "The payment is a debit or below zero, which an 835 may not be.", _FIX,
            bpr, "BPR", "")  # fmt: skip
    if remittance.illegible:
        add("835.amount", "error", f"{counted(remittance.illegible, 'amount is', 'amounts are')} missing or illegible.", _FIX,
            bpr, "BPR", "")  # fmt: skip
    return found


def difference(remittance: Remittance) -> int:
    """Σ CLP04 − Σ PLB − BPR02 in cents: 0 where the transaction balances."""
    paid = sum(claim.paid for claim in remittance.claims)
    return paid - sum(item.cents for item in remittance.provider) - (remittance.amount or 0)
