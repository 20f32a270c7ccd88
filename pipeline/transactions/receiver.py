"""What a receiver answers to a file: TA1 and 999 for any transaction set, and a 277CA for claims.

The validator decides. What the 999 tells (syntax, usage, codes) rejects whole sets; a claim whose set is taken and that has an
error of its own beyond that (balances, situations, code sets) is rejected in the 277CA, the others are accepted there.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from pipeline.findings import Finding
from pipeline.transactions import read
from pipeline.transactions.claim_acknowledgment_277ca import Batch, ClaimStatus, Party, Status, write_all
from pipeline.x12.acknowledge import TOLD_BY_999, Acknowledgments
from pipeline.x12.acknowledge import acknowledge as acknowledge_x12
from pipeline.x12.writer import EXTENDED, Envelope

_ACCEPTED = (Status("A2", "20", "PR"),)
#: SNIP type of a claim's error → category and status of its 277CA: 178 charges that do not add up, 21 missing or invalid
_REJECTED = {3: (Status("A8", "178", "PR"),)}
_REJECTED_OTHERWISE = (Status("A7", "21", "PR"),)


@dataclass(slots=True)
class Answers:
    """`files`: kind (TA1, 999, 277CA) → bytes. `codes`: what each says, for people. `rejected`: something was refused."""

    files: dict[str, bytes] = field(default_factory=dict)
    codes: dict[str, str] = field(default_factory=dict)
    rejected: bool = False


def answer(data: bytes, *, on: date, file: str = "", control: int = 1) -> Answers:
    """The answers to one received file, dated `on`; `control` is the first ISA13 to use. Same file, same answers."""
    acks = acknowledge_x12(data, on=on, control=control, file=file, answer_ta1="due")
    answers = Answers()
    if acks.ta1:
        answers.files["TA1"] = acks.ta1
        answers.codes["TA1"] = " ".join(sorted({f"{one.code} {one.note}" for one in acks.answers}))
    if acks.functional_999:
        answers.files["999"] = acks.functional_999
        answers.codes["999"] = " ".join(sorted({group.code for one in acks.answers for group in one.groups}))
    answers.rejected = any(
        one.code == "R" or any(group.code in ("R", "P") for group in one.groups) for one in acks.answers
    )
    made, refused = _claims(data, acks, on)
    if made:
        answers.files["277CA"] = made
        answers.codes["277CA"] = f"{refused} rejected" if refused else "all accepted"
        answers.rejected |= refused > 0
    return answers


def _claims(data: bytes, acks: Acknowledgments, on: date) -> tuple[bytes | None, int]:
    """The 277CA over all claims of sets that were taken, and how many of them are rejected."""
    result = read(data)
    claims: list[dict[str, Any]] = result.tables["837.claims"].to_pylist() if "837.claims" in result.tables else []
    if not claims:
        return None, 0
    heads = [i for i in result.tables["interchanges"].to_pylist() if i["level"] == "set"]
    names = _billing_names(result.tables["837.parties"].to_pylist())
    refused_sets = {
        answer.set.first
        for one in acks.answers
        for group in one.groups
        for answer in group.sets
        if answer.code == "R" or group.code == "R" or one.code == "R"
    }
    taken = {head["set_number"]: head for head in heads if head["segment"] not in refused_sets}
    faults = _faults(acks.findings, [c["segment"] for c in claims])
    batches: dict[int, list[ClaimStatus]] = defaultdict(list)
    for number, claim in enumerate(claims):
        if claim["set_number"] in taken:
            batches[claim["set_number"]].append(_status(claim, faults.get(number), names))
    if not batches:
        return None, 0
    first = next(iter(taken.values()))
    envelope = Envelope(
        sender_qualifier=first["receiver_qualifier"] or "ZZ", sender_id=first["receiver_id"] or "RECEIVER",
        receiver_qualifier=first["sender_qualifier"] or "ZZ", receiver_id=first["sender_id"] or "SENDER",
        group_sender=first["group_receiver"] or "RECEIVER", group_receiver=first["group_sender"] or "SENDER",
        on=on, time="0000", interchange_control=acks.next_control, group_control=acks.next_control,
        functional_id="HN", version="005010X214", usage=first["usage"] or "T",
    )  # fmt: skip
    of_claims = {c["set_number"]: c for c in reversed(claims)}
    answers = [(_batch(taken[n], of_claims[n], envelope, n, on), batches[n]) for n in sorted(batches)]
    return write_all(envelope, answers), sum(not s.accepted for listed in batches.values() for s in listed)


def _faults(findings: list[Finding], starts: list[int]) -> dict[int, Finding]:
    """Errors that the 999 does not tell, by the claim in which they stand."""
    found: dict[int, Finding] = {}
    for finding in findings:
        if finding.severity == "error" and finding.snip not in TOLD_BY_999 and finding.segment is not None:
            place = bisect_right(starts, finding.segment) - 1
            if place >= 0:
                found.setdefault(place, finding)
    return found


def _billing_names(parties: list[dict[str, Any]]) -> dict[str, str]:
    return {p["id"]: p["last_name"] or "" for p in parties if p["loop"] == "2010AA" and p["id"]}


def _status(claim: dict[str, Any], fault: Finding | None, names: dict[str, str]) -> ClaimStatus:
    npi = claim["billing_npi"] or "0"
    return ClaimStatus(
        claim_id=_clean(claim["claim_id"]) or "0",
        provider=Party(name=_clean(names.get(npi)) or "UNKNOWN", id=_clean(npi) or "0", qualifier="XX"),
        patient_last=_clean(claim["patient_last"] or claim["subscriber_last"]) or "UNKNOWN",
        patient_first=_clean(claim["patient_first"] or claim["subscriber_first"]),
        member_id=_clean(claim["subscriber_id"]) or "0",
        charge=claim["charge"] if claim["charge"] is not None else Decimal(0),
        accepted=fault is None,
        statuses=_ACCEPTED if fault is None else _REJECTED.get(fault.snip or 0, _REJECTED_OTHERWISE),
        service_from=claim["statement_from"],
        service_to=claim["statement_to"],
    )


def _batch(head: dict[str, Any], claim: dict[str, Any], envelope: Envelope, number: int, on: date) -> Batch:
    return Batch(
        source=Party(name=_clean(claim["payer_name"]) or "PAYER", id=_clean(claim["payer_id"]) or "0", qualifier="PI"),
        source_entity="PR",
        receiver=Party(
            name=_clean(head["group_sender"]) or "SUBMITTER", id=_clean(head["group_sender"]) or "0", qualifier="46"
        ),
        reference=f"{envelope.interchange_control:09d}{number:04d}",
        source_trace=f"{envelope.interchange_control:09d}",
        batch_trace=_clean(head["set_control"]) or "0",
        received=on,
        processed=on,
    )


def _clean(text: str | None) -> str:
    """A received value as our own delimiters allow it back out; the claim's id is what matters, and it never needs this."""
    return "".join(c for c in text or "" if c in EXTENDED and c not in "*^:~")
