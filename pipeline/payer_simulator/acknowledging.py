"""What the payer acknowledges: TA1, 999 and 277CA by the project's own engine, and the payer's refusals on top.

The validator decides which sets are taken; a seeded share of sets is refused without a fault of theirs, so that the night meets
rejected sets. Balances and other findings beyond SNIP 2 are told claim by claim in the 277CA.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from pipeline.findings import Finding
from pipeline.money import dollars
from pipeline.payer_simulator.adjudication import Decision, Rejection, Table, draw
from pipeline.payer_simulator.submissions import Submission, SubmittedClaim
from pipeline.payers import PayerProfile
from pipeline.transactions.claim_acknowledgment_277ca import Batch, ClaimStatus, Party, Status, write_all
from pipeline.x12.acknowledge import TOLD_BY_999, Acknowledgments, acknowledge
from pipeline.x12.writer import Envelope, interchange

ACCEPTED = Status("A2", "20", "PR")
REFUSED_SET = "payer.set-refused"


@dataclass(frozen=True, slots=True)
class Checked:
    """What the check of a file gave: the acknowledgments, sets that are not taken (by index), claims at fault (by ordinal)."""

    acknowledgments: Acknowledgments
    refused_sets: frozenset[int]
    faulty_claims: dict[int, Rejection]


def check(
    data: bytes, s: Submission, *, profile: PayerProfile, table: Table, seed: int, control: int, note: str = ""
) -> Checked:
    """Validate the file and make its TA1 and 999. `control` is the first ISA13 to use; `note` a TA105 that rejects it all."""
    acknowledgments = acknowledge(
        data,
        on=s.on or date(2000, 1, 1),
        control=control,
        time=s.time,
        profile={"max_claims_per_set": profile.batch.max_claims_per_set},
        answer_ta1="always" if note else "due",
        note=note,
        also=[] if note else _unlucky_sets(s, table, seed),
    )
    taken = {
        answer.set.first
        for seen in acknowledgments.answers
        for group in seen.groups
        if group.code != "R"
        for answer in group.sets
        if answer.code != "R"
    }
    refused = frozenset(one.index for one in s.sets if one.segment not in taken)
    return Checked(acknowledgments, refused, _faulty_claims(acknowledgments.findings, s, refused, table))


def claim_statuses(
    s: Submission, decisions: Sequence[Decision], *, profile: PayerProfile, envelope: Envelope
) -> bytes | None:
    """The 277CA over all sets that were taken; None where there is none."""
    if s.on is None or not decisions:
        return None
    of_sets: dict[int, list[ClaimStatus]] = {}
    providers: dict[int, Party] = {}
    for decision in decisions:
        billing = decision.claim.billing
        provider = providers.get(id(billing))
        if provider is None:
            provider = providers[id(billing)] = Party(
                name=billing.name or "UNKNOWN",
                id=billing.npi or billing.tax_id or "0",
                qualifier="XX" if billing.npi else "FI",
            )
        of_sets.setdefault(decision.claim.set_index, []).append(_claim_status(decision, provider))
    answers = [(_batch(s, index, profile, envelope), statuses) for index, statuses in sorted(of_sets.items())]
    return write_all(envelope, answers)


def unknown(envelope: Envelope, group_control: str) -> bytes:
    """A 999 that accepts a group which nobody sent."""
    body = [
        ["ST", "999", "0001", "005010X231A1"],
        ["AK1", "HC", group_control, "005010X222A1"],
        ["AK2", "837", "0001", "005010X222A1"],
        ["IK5", "A"],
        ["AK9", "A", "1", "1", "1"],
    ]
    return interchange(envelope, [body])


def _unlucky_sets(s: Submission, table: Table, seed: int) -> list[Finding]:
    """Findings that refuse the seeded share of sets: only where a file has several, or the table says so."""
    if len(s.sets) < 2 and not table.sets.single_sets:
        return []
    return [
        Finding(
            rule=REFUSED_SET,
            severity="error",
            snip=2,
            segment=one.bht_segment,
            segment_id="BHT",
            loop="HEADER",
            message="The payer in a box refuses this set, as its table asks.",
        )
        for one in s.sets
        if draw(seed, s.interchange_control, one.control, "set") % 1000 < table.sets.rejected_permille
    ]


def _faulty_claims(
    findings: Sequence[Finding], s: Submission, refused: frozenset[int], table: Table
) -> dict[int, Rejection]:
    """Claims with an error that the 999 does not tell: found by the place of the segment."""
    starts = [claim.segment for claim in s.claims]
    out: dict[int, Rejection] = {}
    for f in findings:
        if f.severity != "error" or f.snip in TOLD_BY_999 or f.segment is None:
            continue
        place = bisect_right(starts, f.segment) - 1
        if place >= 0 and s.claims[place].set_index not in refused:
            out.setdefault(s.claims[place].ordinal, table.rules.charges if f.snip == 3 else table.rules.content)
    return out


def _batch(s: Submission, index: int, profile: PayerProfile, envelope: Envelope) -> Batch:
    own = s.sets[index]
    on = s.on or envelope.on
    return Batch(
        source=Party(name=profile.name, id=profile.payer_id, qualifier="PI"),
        source_entity="PR",
        receiver=Party(name=s.submitter_name or "SUBMITTER", id=s.submitter_id or s.sender_id, qualifier="46"),
        reference=f"{envelope.interchange_control:09d}{index + 1:04d}",
        source_trace=f"{envelope.interchange_control:09d}",
        batch_trace=own.batch_reference,
        received=on,
        processed=on,
    )


def _claim_status(decision: Decision, provider: Party) -> ClaimStatus:
    claim = decision.claim
    r = decision.rejection
    return ClaimStatus(
        claim_id=claim.claim_id,
        provider=provider,
        patient_last=claim.patient.last or "UNKNOWN",
        patient_first=claim.patient.first,
        patient_middle=claim.patient.middle,
        patient_suffix=claim.patient.suffix,
        member_id=claim.subscriber.id,
        charge=dollars(claim.charge_cents or 0),
        accepted=r is None,
        statuses=(Status(r.category, r.status, r.entity) if r else ACCEPTED,),
        payer_claim_number="" if r else decision.payer_claim_number,
        service_from=_first_day(claim),
        service_to=_last_day(claim),
    )


def _first_day(claim: SubmittedClaim) -> date | None:
    return claim.first_service


def _last_day(claim: SubmittedClaim) -> date | None:
    return max((line.service_to for line in claim.lines if line.service_to), default=claim.statement_to)


def duplicate_control(data: bytes, number: int) -> int:
    """An ISA13 for the answer to a duplicate, away from those of first answers."""
    digest = hashlib.blake2b(data + number.to_bytes(8, "big"), digest_size=8).digest()
    return 900_000_000 + int.from_bytes(digest, "big") % 99_000_000
