"""Coded claims → 837 files: which claims may go, how they are split, and the proof that each file says what was meant.

A pure function: tables and a payer profile in, bytes and findings out; no store, no clock. The stage gives it durable
control numbers, the command line counts from 1. A batch is known by the hash of its own bytes under number 0, so the
same claims give the same batch and a batch that was begun before a power cut is found again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.claims import proofreading
from pipeline.errors import Terminal
from pipeline.findings import Finding
from pipeline.money import cents
from pipeline.payers import PayerProfile, Terms
from pipeline.settings import SubmitterSettings
from pipeline.transactions.claim_837_checks import check
from pipeline.transactions.claim_837_forms import FORMS, Form
from pipeline.transactions.claim_837_route import Numbers, Route
from pipeline.transactions.claim_837_writer import Interchange837
from pipeline.x12.columns import as_mask

Usage = Literal["T", "P"]
#: the batch's route and id → its control numbers; called once a batch, before its bytes are made
Allot = Callable[[Route, str], Numbers]


@dataclass(frozen=True, slots=True)
class BuiltFile:
    """One interchange and what stands in it. `claim_ids` and `set_controls` run in the order of the file."""

    batch_id: str
    data: bytes
    numbers: Numbers
    route: Route
    guide: str
    usage: Usage
    claim_ids: list[str]
    set_controls: list[str]
    charge_cents: int


@dataclass(slots=True)
class Build:
    """`findings` tell of claims that were left out (`held`); `faults` of files that do not say what was meant: such a file
    is not among `files` and must not leave."""

    files: list[BuiltFile] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    held: set[str] = field(default_factory=set)
    faults: list[Finding] = field(default_factory=list)
    faulty_batches: list[str] = field(default_factory=list)


def route(profile: PayerProfile, submitter: SubmitterSettings, usage: Usage, form: Form) -> Route:
    """The writer's view of a profile for one form. `basic` payers get the submitter's own data in capitals too."""
    i, c, own = profile.interchange, profile.claims, profile.guides.get(form.kind, Terms())
    written = (lambda text: text.upper()) if c.charset == "basic" else (lambda text: text)
    receiver = own.receiver_id or i.receiver_id
    return Route(
        submitter_name=written(submitter.name), submitter_id=submitter.id, submitter_contact=written(submitter.contact),
        submitter_phone=submitter.phone, sender_qualifier=i.sender_qualifier or submitter.interchange_qualifier,
        sender_id=i.sender_id or submitter.interchange_id, group_sender=submitter.id,
        receiver_name=written(profile.name), receiver_qualifier=i.receiver_qualifier, receiver_id=receiver,
        group_receiver=own.group_receiver or (own.receiver_id or i.group_receiver) or receiver,
        payer_name=written(profile.name), payer_id=own.payer_id or profile.payer_id, payer_address1=written(profile.address1),
        payer_city=written(profile.city), payer_state=profile.state, payer_zip=profile.zip,
        filing_indicator=own.filing_indicator or c.filing_indicator, assignment=c.assignment,
        benefits_assignment=c.benefits_assignment, release_of_information=c.release_of_information, charset=c.charset,
        acknowledgment_requested=i.acknowledgment_requested, usage=usage, newline=i.newline,
    )  # fmt: skip


def counting() -> Allot:
    """Control numbers 1, 2, 3 … for builds that are not sent."""
    last = 0

    def next_numbers(_route: Route, _batch_id: str) -> Numbers:
        nonlocal last
        last += 1
        return Numbers(last, last)

    return next_numbers


def build_files(
    claims: pa.Table, diagnoses: pa.Table, lines: pa.Table, profile: PayerProfile, submitter: SubmitterSettings, *,
    on: date, usage: Usage = "T", allot: Allot | None = None,
) -> Build:  # fmt: skip
    """Claims of one payer → 837 files (shapes `coded_claims`, `coded_diagnoses`, `coded_lines`).

    Splits by guide, by the profile's `max_claims_per_file` (one interchange with one group each) and by its
    `max_claims_per_set`. Claims that cannot be written are left out with findings; no value is changed to make it fit.
    """
    allot = allot or counting()
    result = Build()
    _leave_out(result, *_admission(claims, usage, profile))
    for form in FORMS:
        mine = claims.filter(pc.equal(claims.column("guide"), form.guide))
        if not mine.num_rows or form.kind not in profile.takes:
            continue
        way = route(profile, submitter, usage, form)
        _leave_out(result, *check(
            mine, diagnoses, lines, form, charset=way.charset, accepts_dependents=profile.claims.accepts_dependents,
            filing_indicator=way.filing_indicator))  # fmt: skip
        keep = as_mask(pc.invert(pc.is_in(mine.column("claim_id"), pa.array(sorted(result.held), pa.string()))))
        mine = mine.filter(pa.array(keep))
        mine = mine.take(pc.sort_indices(mine.column("claim_id")))
        for start in range(0, mine.num_rows, profile.batch.max_claims_per_file):
            part = mine.slice(start, profile.batch.max_claims_per_file)
            _build_one(result, part, diagnoses, lines, profile, way, form, on, allot)
    return result


def _leave_out(result: Build, findings: Sequence[Finding], held: set[str]) -> None:
    result.findings += findings
    result.held |= held


def _admission(claims: pa.Table, usage: Usage, profile: PayerProfile) -> tuple[list[Finding], set[str]]:
    """Which claims do not belong into a file of this usage and payer at all."""
    guides = claims.column("guide")
    taken = [form.guide for form in FORMS if form.kind in profile.takes]
    rules = (
        (pc.invert(pc.is_in(guides, pa.array([form.guide for form in FORMS]))), "837.guide",
         "The claim asks for a guide that is not written.", "Give the visit the claim type P, I or D."),
        (pc.and_(pc.is_in(guides, pa.array([form.guide for form in FORMS])), pc.invert(pc.is_in(guides, pa.array(taken)))),
         "837.not_taken", "The payer does not take claims of this kind from the practice.",
         "Send it another way, or add the guide to `takes` in the payer's profile."),
        (pc.and_(claims.column("synthetic"), usage == "P"), "837.synthetic",
         "The claim is made-up data and may not go into a production file.",
         "Set submitter.usage to T, or load real encounters."),
        (pc.fill_null(pc.not_equal(claims.column("payer_key"), profile.key), True), "837.payer",
         "The claim belongs to another payer.", "Report this: claims are sorted by the program."),
    )  # fmt: skip
    findings: list[Finding] = []
    held: set[str] = set()
    for failed, rule, message, fix in rules:
        for row in np.flatnonzero(as_mask(failed)).tolist():
            claim_id = claims.column("claim_id")[row].as_py()
            held.add(claim_id)
            source = f"{claims.column('source_file')[row].as_py()} row {claims.column('source_row')[row].as_py()}"
            findings.append(
                Finding(rule=rule, severity="error", message=message, fix=fix, subject=claim_id, source=source, snip=7)
            )
    return findings, held


def _build_one(
    result: Build, claims: pa.Table, diagnoses: pa.Table, lines: pa.Table, profile: PayerProfile, way: Route,
    form: Form, on: date, allot: Allot,
) -> None:  # fmt: skip
    """One interchange, or its findings. Claims that the validator finds fault with are held and the rest is built anew."""
    while claims.num_rows:
        meant = Interchange837(claims, diagnoses, lines, way, form, claims_per_set=profile.batch.max_claims_per_set)
        draft = meant.render(on=on, numbers=Numbers(0, 0))
        batch_id = hashlib.sha256(draft).hexdigest()
        remarks = proofreading.validated(draft)
        blamed, unblamed = proofreading.blame(draft, [f for f in remarks if f.severity == "error"])
        if unblamed:
            _fault(result, batch_id, unblamed)
            return
        if not blamed:
            break
        sources = _sources(claims)
        for claim_id, found in sorted(blamed.items()):
            _leave_out(result, [replace(f, subject=claim_id, source=sources[claim_id]) for f in found], {claim_id})
        claims = claims.filter(pc.invert(pc.is_in(claims.column("claim_id"), pa.array(sorted(blamed), pa.string()))))
    else:
        return
    numbers = allot(way, batch_id)
    data = meant.render(on=on, numbers=numbers)
    if found := [*proofreading.compared(data, meant, on, numbers), *proofreading.structure(data, meant)]:
        _fault(result, batch_id, found)
        return
    file_id = hashlib.sha256(data).hexdigest()
    result.findings += _warnings(data, file_id, remarks, _sources(claims))
    result.files.append(
        BuiltFile(
            batch_id=batch_id, data=data, numbers=numbers, route=way, guide=form.guide, usage=way.usage,
            claim_ids=meant.claims.column("claim_id").to_pylist(), set_controls=meant.set_controls(),
            charge_cents=cents(pc.sum(meant.claims.column("charge")).as_py()),
        )
    )  # fmt: skip


def _sources(claims: pa.Table) -> dict[str, str]:
    """Where in the extract each claim comes from."""
    columns = (claims.column(name).to_pylist() for name in ("claim_id", "source_file", "source_row"))
    return {claim_id: f"{file} row {row}" for claim_id, file, row in zip(*columns, strict=True)}


def _warnings(data: bytes, file_id: str, remarks: Sequence[Finding], sources: Mapping[str, str]) -> Iterator[Finding]:
    """What the file goes with all the same, each with the claim that it is about: of a loop above several, the first of them. Of
    the envelope, the file itself is the subject."""
    for finding, claim_id in zip(remarks, proofreading.first_claims(data, remarks), strict=True):
        yield replace(finding, file=file_id, subject=claim_id or file_id, source=sources.get(claim_id, ""))


def _fault(result: Build, batch_id: str, findings: Sequence[Finding]) -> None:
    result.faults += [replace(f, file=batch_id, subject=f.subject or batch_id) for f in findings]
    result.faulty_batches.append(batch_id)


def required(profiles: dict[str, PayerProfile], key: str) -> PayerProfile:
    if key not in profiles:
        raise Terminal(f"There is no payer profile {key}.", fix="Add schemas/payers/<key>.toml; see docs/payers.md.")
    return profiles[key]
