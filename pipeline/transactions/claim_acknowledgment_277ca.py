"""Writing 277CA (005010X214): what a payer or clearinghouse says of each claim before it decides it.

Theory. Four levels: the source that speaks (20), the receiver of the answer who sent the batch (21), the billing provider
(19), the patient with the claims (PT). Each of the three upper answers carries totals of what lies beneath: counted here
from the claims, never given, so that they always agree with them. An answer with STC03 U rejects, WQ accepts; a batch or a
provider that is rejected without claims beneath rejects them all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from pipeline.errors import Terminal
from pipeline.x12.writer import Element, Envelope, interchange

VERSION = "005010X214"

Segment = list[Element]


@dataclass(frozen=True, slots=True)
class Status:
    """STC01: category (`A2`), claim status (`20`), and the entity it speaks of (`PR`, or '')."""

    category: str
    status: str
    entity: str = ""

    def element(self) -> Element:
        return [self.category, self.status, self.entity] if self.entity else [self.category, self.status]


#: the batch or the provider's claims were received
RECEIVED = Status("A1", "19", "PR")


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """NM1 of a source, a receiver or a billing provider. `qualifier` is NM108: PI, 46, XX, FI …"""

    name: str
    id: str
    qualifier: str
    first: str = ""  # a person's first name: then NM102 is 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LineStatus:
    """A rejected service line (2220D). `procedure` is the composite: ("HC", "99213", "25")."""

    procedure: tuple[str, ...]
    charge: Decimal
    statuses: tuple[Status, ...]
    line_control: str = ""  # REF*FJ: the line's 6R
    units: str = ""
    service_from: date | None = None
    service_to: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimStatus:
    """The answer to one claim (2200D). `charge` is CLM02, `claim_id` CLM01; up to three statuses.

    The guide asks for the service date: without `service_from` the file is written and is not valid.
    """

    claim_id: str
    provider: Party
    patient_last: str
    patient_first: str = ""
    patient_middle: str = ""
    patient_suffix: str = ""
    member_id: str
    charge: Decimal
    accepted: bool
    statuses: tuple[Status, ...]
    payer_claim_number: str = ""  # REF*1K
    clearinghouse_trace: str = ""  # REF*D9
    bill_type: str = ""  # REF*BLT, institutional
    service_from: date | None = None
    service_to: date | None = None
    lines: tuple[LineStatus, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What the answer as a whole says. `reference` is its own BHT03; `batch_trace` is BHT03 of the 837.

    `rejected`: the whole batch is rejected with these statuses; then it has no claims below.
    `rejected_providers`: billing providers (by `Party.id`) that are rejected as a whole, with their statuses.
    """

    source: Party
    source_entity: str  # PR payer, AY clearinghouse
    receiver: Party
    reference: str
    source_trace: str
    batch_trace: str
    received: date
    processed: date
    rejected: tuple[Status, ...] = ()
    rejected_total: Decimal = Decimal(0)  # charges of a batch that is rejected without claims below
    rejected_providers: tuple[tuple[str, tuple[Status, ...]], ...] = ()


def write(envelope: Envelope, batch: Batch, statuses: Sequence[ClaimStatus], *, set_control: int = 1) -> bytes:
    """One interchange with one 277CA. Claims stand under their providers in the order of first appearance.

    `envelope` must be for group HN, version 005010X214. Terminal where a value holds a delimiter or has no status.
    """
    return write_all(envelope, [(batch, statuses)], first_set_control=set_control)


def write_all(
    envelope: Envelope, answers: Sequence[tuple[Batch, Sequence[ClaimStatus]]], *, first_set_control: int = 1
) -> bytes:
    """One interchange with a 277CA for each batch: an 837 file of several transaction sets is answered set by set."""
    if envelope.functional_id != "HN" or envelope.version != VERSION:
        raise Terminal("A 277CA needs an envelope for HN and 005010X214.", fix="Mend the call.")
    if any(batch.rejected and statuses for batch, statuses in answers):
        raise Terminal("A batch that is rejected as a whole has no claims below.", fix="Give either of them.")
    sets = [
        _set(envelope, batch, statuses, f"{number:04d}")
        for number, (batch, statuses) in enumerate(answers, start=first_set_control)
    ]
    return interchange(envelope, sets)


def _set(envelope: Envelope, batch: Batch, claims: Sequence[ClaimStatus], control: str) -> list[Segment]:
    providers: dict[Party, list[ClaimStatus]] = {}
    for claim in claims:
        providers.setdefault(claim.provider, []).append(claim)
    rejected = dict(batch.rejected_providers)
    on = _day(batch.processed)
    accepts = not batch.rejected
    total = sum((claim.charge for claim in claims), Decimal(0)) if accepts else batch.rejected_total
    body: list[Segment] = [
        ["ST", "277", control, VERSION],
        ["BHT", "0085", "08", batch.reference, _day(envelope.on), envelope.time, "TH"],
        ["HL", "1", "", "20", "1"],
        _party(batch.source_entity, batch.source),
        ["TRN", "1", batch.source_trace],
        ["DTP", "050", "D8", _day(batch.received)],
        ["DTP", "009", "D8", on],
        ["HL", "2", "1", "21", "1" if providers else "0"],
        _party("41", batch.receiver),
        ["TRN", "2", batch.batch_trace],
        _status(batch.rejected or (RECEIVED,), on, accepts, total),
        *_totals(claims, "90", "AA"),
    ]
    number = 2
    for provider, beneath in providers.items():
        number += 1
        above = number
        refused = rejected.get(provider.id, ())
        body.append(["HL", str(number), "2", "19", "1"])
        body.append(_party("85", provider))
        body.append(["TRN", "1", "0"])
        amount = sum((claim.charge for claim in beneath), Decimal(0))
        body.append(_status(refused or (RECEIVED,), "", not refused, amount))
        body += _totals(beneath, "QA", "QC")
        for claim in beneath:
            number += 1
            body += _claim(claim, number, above, on)
    return body


def _claim(claim: ClaimStatus, number: int, above: int, on: str) -> Iterable[Segment]:
    yield ["HL", str(number), str(above), "PT"]
    yield [
        "NM1", "QC", "1", claim.patient_last, claim.patient_first, claim.patient_middle, "", claim.patient_suffix, "MI",
        claim.member_id,
    ]  # fmt: skip
    yield ["TRN", "2", claim.claim_id]
    yield _status(claim.statuses, on, claim.accepted, claim.charge)
    for qualifier, value in (
        ("1K", claim.payer_claim_number),
        ("D9", claim.clearinghouse_trace),
        ("BLT", claim.bill_type),
    ):
        if value:
            yield ["REF", qualifier, value]
    yield from _service_date(claim.service_from, claim.service_to)
    for line in claim.lines:
        yield ["SVC", list(line.procedure), _amount(line.charge), *(["", "", "", "", line.units] if line.units else [])]
        status = _status(line.statuses, on, False, None)
        yield status
        if line.line_control:
            yield ["REF", "FJ", line.line_control]
        yield from _service_date(line.service_from, line.service_to)


def _party(entity: str, party: Party) -> Segment:
    kind = "1" if party.first else "2"
    return ["NM1", entity, kind, party.name, party.first, "", "", "", party.qualifier, party.id]


def _status(statuses: Sequence[Status], on: str, accepted: bool, amount: Decimal | None) -> Segment:
    """STC with up to three statuses (STC01, STC10, STC11)."""
    if not 1 <= len(statuses) <= 3:
        raise Terminal("An answer of a 277CA carries one to three statuses.", fix="Give the first three.")
    segment: Segment = ["STC", statuses[0].element(), on, "WQ" if accepted else "U"]
    segment += ["" if amount is None else _amount(amount), "", "", "", "", ""]
    return segment + [status.element() for status in statuses[1:]]


def _totals(claims: Sequence[ClaimStatus], accepted: str, rejected: str) -> list[Segment]:
    """Counts and charges of what was accepted and rejected; a zero is not sent."""
    good = [claim.charge for claim in claims if claim.accepted]
    bad = [claim.charge for claim in claims if not claim.accepted]
    counts: list[Segment] = [["QTY", q, str(len(c))] for q, c in ((accepted, good), (rejected, bad)) if c]
    amounts: list[Segment] = [["AMT", q, _amount(sum(c, Decimal(0)))] for q, c in (("YU", good), ("YY", bad)) if c]
    return counts + amounts


def _service_date(first: date | None, last: date | None) -> Iterable[Segment]:
    if first is None:
        return
    if last is None or last == first:
        yield ["DTP", "472", "D8", _day(first)]
    else:
        yield ["DTP", "472", "RD8", f"{_day(first)}-{_day(last)}"]


def _day(value: date) -> str:
    return value.strftime("%Y%m%d")


def _amount(value: Decimal) -> str:
    """Dollars without needless zeros: 100, 7.5, 7.93."""
    text = f"{value:.2f}"
    if Decimal(text) != value:
        raise Terminal("An amount of a 277CA has a fraction of a cent.", fix="Round it before.")
    return text.rstrip("0").rstrip(".")
