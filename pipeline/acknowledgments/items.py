"""What acknowledgments give people to do, in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from pipeline.acknowledgments import judging, meaning
from pipeline.bank_days import add_bank_days
from pipeline.findings import Finding
from pipeline.store.work import WorkItem
from pipeline.wording import counted

_DAYS_TO_REWORK = 5


def unreadable(file_id: str, payer_key: str, kind: str, findings: Iterable[Finding], on: date) -> WorkItem:
    first = next(f for f in findings if f.severity == "error")
    return WorkItem(
        queue="file", subject=file_id, cause=first.rule, payer_key=payer_key,
        title="An acknowledgment file cannot be read", opened_on=on,
        reason=f"The file of kind {kind} breaks its format: {first.message}",
        action="Ask the payer to send it again; until then its claims wait and nothing is sent twice.",
    )  # fmt: skip


def duplicate(row: Mapping[str, Any]) -> Finding:
    return Finding(
        rule="TA1.duplicate", severity="warning", file=row["file_id"], subject=row["file_id"], segment_id="TA1",
        message=f"The payer says that it has already had interchange {row['interchange_control']}.",
        fix="Nothing is sent again: the first one counts, and its own acknowledgments decide.",
    )  # fmt: skip


def duplicate_item(sending: Any, on: date) -> WorkItem:
    control = sending.interchange_control
    return WorkItem(
        queue="sending", subject=sending.sending_id, cause=f"TA1:{meaning.DUPLICATE_INTERCHANGE}", opened_on=on,
        payer_key=sending.payer_key, cents=sending.charge_cents,
        title=f"The payer has had interchange number {control} before ({counted(sending.claim_count, 'claim')})",
        reason=f"The payer refused interchange {control} as a duplicate and has acknowledged no other file under that number. "
               "Its first one may be this same file, or a file of another program that uses our sender id.",
        action=f"Ask the payer what it holds under number {control}: the date and the number of claims. Nothing is sent again "
               "and no claim is moved before that. If it holds other bytes, its claims were not received.",
    )  # fmt: skip


def foreign(row: Mapping[str, Any], on: date) -> WorkItem:
    return WorkItem(
        queue="file", subject=row["file_id"], cause="277CA.other_payer", payer_key=row["payer_key"], opened_on=on,
        title="A 277CA names claims that were sent to another payer",
        reason="The payer's 277CA speaks of at least one claim that went to another payer. That claim was not moved.",
        action="Ask the payer why it answers a claim that it was not sent. If both payers are reached by one clearinghouse, give "
               "both profiles the same [transport].",
    )  # fmt: skip


def late_rejection(claim: Any, words: meaning.Words, file_id: str, on: date) -> WorkItem:
    return WorkItem(
        queue="rejection", subject=claim.claim_id, claim_id=claim.claim_id, payer_key=claim.payer_key,
        cause=f"{words.cause}:after-835", title=f"Refused after it was {claim.state}: {words.title}",
        reason=f"The payer's remittance has the claim as {claim.state}, and yet an acknowledgment refuses it. {words.reason}",
        action="Ask the payer which of the two stands; it may take its payment back. Do not send the claim again before.",
        cents=claim.charge_cents, opened_on=on, due_on=add_bank_days(on, _DAYS_TO_REWORK), reference=file_id,
    )  # fmt: skip


def rejection(claim: Any, words: meaning.Words, file_id: str, on: date, last_day: date | None) -> WorkItem:
    due = min(add_bank_days(on, _DAYS_TO_REWORK), last_day or date.max)
    return WorkItem(
        queue="rejection", subject=claim.claim_id, claim_id=claim.claim_id, payer_key=claim.payer_key,
        cause=words.cause, title=words.title, reason=words.reason, cents=claim.charge_cents,
        action=words.action.replace("{payer}", claim.payer_key), opened_on=on, due_on=due, reference=claim.file_id or file_id,
    )  # fmt: skip


def question(row: Mapping[str, Any], claim: Any, on: date) -> WorkItem:
    words = judging.words(row)
    known = meaning.table("categories").get(row["code"], {})
    return WorkItem(
        queue="rejection", subject=claim.claim_id, claim_id=claim.claim_id, payer_key=claim.payer_key,
        cause=words.cause, title=f"The payer answers: {known.get('meaning', row['code'])}",
        reason=f"The payer's 277CA says {known.get('meaning', row['code'])} (category {row['code']}).",
        action=known.get("action", ""), cents=claim.charge_cents, opened_on=on, due_on=add_bank_days(on, _DAYS_TO_REWORK),
    )  # fmt: skip


def late_item(sending: Any, kind: str, subject: str, allowed: int, claims: int, cents: int, on: date) -> WorkItem:
    if kind == "sending":
        return WorkItem(
            queue="sending", subject=subject, payer_key=sending.payer_key, cause="no-sending", opened_on=on, cents=cents,
            title="A claim file could not be sent",
            reason=f"Interchange {sending.interchange_control} of {sending.logical_date.isoformat()} has not gone to the payer "
                   f"after {counted(allowed, 'business day')}; {counted(claims, 'claim waits', 'claims wait')} and the filing clock runs.",
            action="Mend what each night says about this payer (link, login, rights, settings): the next run then sends the "
                   "file by itself.",
        )  # fmt: skip
    return WorkItem(
        queue="sending", subject=subject, payer_key=sending.payer_key, cause=f"no-{kind}",
        title=f"No {kind} from the payer", opened_on=on, cents=cents,
        reason=f"Interchange {sending.interchange_control} of {sending.logical_date.isoformat()} has no {kind} after "
               f"{counted(allowed, 'business day')}; {counted(claims, 'claim waits', 'claims wait')}.",
        action="Ask the payer whether it has the file. Do not send it again: the claims may be in process.",
    )  # fmt: skip


def contradiction(sending: Any, on: date) -> WorkItem:
    control = sending.interchange_control
    return WorkItem(
        queue="sending", subject=sending.sending_id, cause="answered_unsent", payer_key=sending.payer_key,
        title=f"The payer answers interchange {control}, which it never got ({counted(sending.claim_count, 'claim')})",
        reason=f"By our record the file was not sent (it was {sending.state}). The answer was set aside; it moved no claim.",
        action=f"Ask the payer what it holds under number {control}. Then: claimpipe settle {sending.payer_key} "
               f"{int(control)} --received or --not-received. The file is not sent before.",
        opened_on=on, cents=sending.charge_cents,
    )  # fmt: skip
