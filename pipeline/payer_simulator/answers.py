"""One received file in, all its answers out: a pure function, so that the same bytes always get the same answers.

Order of the answers: the 835 files by payment date, the bank's CCD+ and BAI2 of each, then TA1, 277CA and 999. ISA13 of an
answer is ten times that of the 837 plus a digit for its kind, so no two answers of a payer to a sender share one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time
from typing import Any

from pipeline.bank_days import add_bank_days
from pipeline.payer_simulator import acknowledging
from pipeline.payer_simulator.adjudication import Decision, Table, decide, draw
from pipeline.payer_simulator.bank import Deposit, Eft, bai2, deposit_text, nacha, routing_number
from pipeline.payer_simulator.books import Books, content
from pipeline.payer_simulator.faults import Fault
from pipeline.payer_simulator.payments import PayDay, accounts, origin, pay
from pipeline.payer_simulator.submissions import Submission
from pipeline.payers import PayerProfile
from pipeline.transactions.remittance_835_writer import VERSION, Adjustment, Remittance, write
from pipeline.x12.writer import Envelope

#: last digit of the answer's ISA13
DIGITS = {"TA1": 0, "999": 1, "277CA": 2, "835": 3, "reenveloped": 6, "changed": 7, "unknown": 8}
DUPLICATE = "025"  # TA105
PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"


@dataclass(slots=True)
class Answer:
    """A file for an outbound folder. `after_seconds`: laid out late; `grow_seconds`: half of it first."""

    kind: str
    name: str
    data: bytes
    to_bank: bool = False
    after_seconds: float = 0.0
    grow_seconds: float = 0.0


@dataclass(slots=True)
class Answered:
    """`refused`: claims that were not accepted (set or claim rejected). `applied`: the kinds of faults that struck."""

    answers: list[Answer] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    applied: list[str] = field(default_factory=list)
    books: dict[str, Any] = field(default_factory=dict)


def answer(
    data: bytes, submission: Submission, *, profile: PayerProfile, table: Table, seed: int, duplicate: bool, number: int,
    known: set[str], faults: Mapping[str, Fault], books: Books | None = None,
) -> Answered:  # fmt: skip
    """All answers to one file. `duplicate`: these bytes or this ISA13 came before: TA1 R 025 and nothing else.

    `known` are the claim numbers that this payer accepted before; `faults` those that may strike this file, by kind;
    `books` what it holds: they are left as they are, and the answer says how this file changes them.
    """
    out = _Answers(data, submission, profile, table, seed, number, faults)
    if duplicate:
        out.again()
    else:
        out.whole(known, books or Books())
    out.finish()
    return out.out


class _Answers:
    """The answers to one file, being written."""

    def __init__(
        self, data: bytes, submission: Submission, profile: PayerProfile, table: Table, seed: int, number: int,
        faults: Mapping[str, Fault],
    ) -> None:  # fmt: skip
        self.data, self.submission, self.profile, self.table, self.seed = data, submission, profile, table, seed
        self.number, self.faults = number, faults
        self.out = Answered()
        self.digest = hashlib.sha256(data).hexdigest()
        self.stem = f"{submission.interchange_control or 'unreadable'}_{self.digest[:8]}"

    # --- what is right ----------------------------------------------------------------------------------------------

    def again(self) -> None:
        """A duplicate: the interchange is rejected (TA105 025) and nothing is adjudicated twice."""
        checked = acknowledging.check(
            self.data, self.submission, profile=self.profile, table=self.table, seed=self.seed, note=DUPLICATE,
            control=acknowledging.duplicate_control(self.data, self.number),
        )  # fmt: skip
        self.stem += f"_{self.number}"
        self.acknowledge("TA1", checked.acknowledgments.ta1)

    def whole(self, known: set[str], before: Books) -> None:
        """A file that is new: adjudicate what its acknowledgments take."""
        s, on = self.submission, self.submission.on
        if not s.interchange_control.isdigit():
            return  # no interchange: there is nobody to answer
        control = self.envelope("TA1", "", "").interchange_control
        if s.interchanges > 1:
            control = acknowledging.duplicate_control(self.data, 0)
        checked = acknowledging.check(
            self.data, s, profile=self.profile, table=self.table, seed=self.seed, control=control
        )
        decisions: list[Decision] = []
        books = before.copy()
        if on is not None:
            seen = set(known)
            for claim in s.claims:
                if claim.set_index in checked.refused_sets:
                    self.out.refused.append(claim.claim_id)
                    continue
                decision = decide(
                    claim, table=self.table, profile=self.profile, seed=self.seed, on=on,
                    interchange_control=s.interchange_control, known=claim.claim_id in seen,
                    fault=checked.faulty_claims.get(claim.ordinal), books=books,
                )  # fmt: skip
                if decision.rejection:
                    if claim.claim_id not in seen:
                        self.out.refused.append(claim.claim_id)
                else:
                    seen.add(claim.claim_id)
                    _enter(books, decision)
                decisions.append(decision)
            days = pay(s, decisions, table=self.table, profile=self.profile, seed=self.seed, owed=books.owed)
            books.corrected |= {d.payer_claim_number for d in decisions if d.correction and _paid_anew(days, d)}
            self.bank(self.remit(days))
            self.out.books = books.changes(before)
        statuses = acknowledging.claim_statuses(
            s, decisions, profile=self.profile, envelope=self.envelope("277CA", "HN", "005010X214")
        )
        self.acknowledge("TA1", checked.acknowledgments.ta1)
        self.acknowledge("277CA", statuses)
        self.acknowledge("999", checked.acknowledgments.functional_999)

    def acknowledge(self, kind: str, data: bytes | None) -> None:
        if data:
            self.add(kind, f"{self.stem}_{kind}.edi", data)

    def remit(self, days: Sequence[PayDay]) -> list[PayDay]:
        """The 835 files; gives the payment dates as they were written, which the money follows."""
        written = []
        for day in days:
            remittances = list(day.remittances)
            if day is days[0] and (fault := self.struck("unbalanced_835")):
                remittances[0] = _unbalanced(remittances[0], fault.options["level"])
            envelope = self.envelope("835", "HP", VERSION, place=day.place, on=remittances[0].production_date)
            data = write(envelope, remittances, balanced=remittances == list(day.remittances))
            name = f"{self.stem}_{day.place + 1}_835"
            self.add("835", f"{name}.edi", data)
            if day is days[0]:
                self.first_835(name, data, remittances, envelope)
            written.append(replace(day, remittances=tuple(remittances)))
        return written

    def bank(self, days: Sequence[PayDay]) -> None:
        s = self.submission
        for day in days:
            paid = [r for r in day.remittances if r.amount_cents]
            efts = [_eft(r) for r in paid]
            deposits = [_deposit(r, self.bank_reference(r)) for r in paid]
            if day is days[0]:
                self.wrong_deposits(deposits, day)
            created = datetime.combine(add_bank_days(day.on, -1), _time(s.time))
            base = (int(s.interchange_control[-6:] or 0) * 10 + day.place) % 9_000_000
            stem = f"{self.stem}_{day.place + 1}"
            bank = self.table.bank
            if efts:
                data = nacha(
                    efts, created=created, destination=routing_number(bank.payee_routing),
                    destination_name=bank.payee_bank, origin_routing=routing_number(bank.payer_routing),
                    origin_name=self.profile.name, trace_base=base,
                )  # fmt: skip
                self.add("NACHA", f"{stem}_ccd.ach", data, to_bank=True)
            if deposits:
                #: on some days the bank's records are short, so that the TRN is cut over two of them
                width = 80 if draw(self.seed, self.digest, day.place, "width") % 2 else 160
                data = bai2(
                    deposits, created=datetime.combine(day.on, time(18, 0)), sender=routing_number(bank.payee_routing),
                    receiver=s.group_sender or "CUSTOMER", file_id=f"{s.interchange_control}{day.place + 1}", width=width,
                )  # fmt: skip
                self.add("BAI2", f"{stem}.bai", data, to_bank=True)

    def bank_reference(self, remittance: Remittance) -> str:
        return f"{draw(self.seed, 'bank', remittance.trace) % 10**12:012d}"

    def add(self, kind: str, name: str, data: bytes, *, to_bank: bool = False) -> None:
        self.out.answers.append(Answer(kind, name, data, to_bank))

    def envelope(
        self, kind: str, functional_id: str, version: str, *, place: int = 0, on: date | None = None
    ) -> Envelope:
        """The way back: our sender is their receiver. Numbers come from the 837's ISA13, times from its header."""
        s = self.submission
        digit = DIGITS[kind] + place
        control = (int(s.interchange_control or 0) * 10 + digit) % 1_000_000_000
        return Envelope(
            sender_qualifier=s.receiver_qualifier,
            sender_id=s.receiver_id,
            receiver_qualifier=s.sender_qualifier,
            receiver_id=s.sender_id,
            group_sender=s.group_receiver or s.receiver_id or "PAYER",
            group_receiver=s.group_sender or s.sender_id or "SENDER",
            on=on or s.on or date(2000, 1, 1),
            time=s.time,
            interchange_control=control,
            group_control=control,
            functional_id=functional_id,
            version=version,
            usage=s.usage if s.usage in ("T", "P") else "T",
            delimiters=s.delimiters,  # a name that was legal in the 837 is legal in the answer
        )

    # --- what is wrong on request -----------------------------------------------------------------------------------

    def struck(self, kind: str) -> Fault | None:
        fault = self.faults.get(kind)
        if fault and kind not in self.out.applied:
            self.out.applied.append(kind)
        return fault

    def first_835(self, name: str, data: bytes, remittances: list[Remittance], envelope: Envelope) -> None:
        """Faults that repeat or spoil the file's first 835."""
        if self.struck("truncated_835"):
            self.out.answers[-1].data = data[: len(data) * 2 // 3]
        if self.struck("renamed_835"):
            self.add("835", f"{name}_again.edi", data)
        for kind, digit in (("reenveloped_835", "reenveloped"), ("changed_835", "changed")):
            if self.struck(kind):
                other = self.envelope(digit, "HP", VERSION, on=envelope.on)
                content = remittances if digit == "reenveloped" else [_changed(remittances[0]), *remittances[1:]]
                self.add("835", f"{name}_{digit}.edi", write(other, content, balanced=False))

    def wrong_deposits(self, deposits: list[Deposit], day: PayDay) -> None:
        if deposits and self.struck("missing_deposit"):
            del deposits[0]
        if deposits and (fault := self.struck("wrong_deposit_amount")):
            deposits[0] = replace(deposits[0], cents=max(deposits[0].cents + fault.options["cents"], 1))
        if fault := self.struck("extra_deposit"):
            account = accounts(self.table, self.profile.key, day.remittances[0].payee.tax_id)[1]
            trace = f"{self.digest[:12].upper()}X"
            deposits.append(
                Deposit(
                    account=account.number,
                    on=day.on,
                    cents=fault.options["cents"],
                    bank_reference=f"{draw(self.seed, trace) % 10**12:012d}",
                    text=deposit_text(self.profile.name, trace, origin(self.profile)),
                )
            )

    def finish(self) -> None:
        """Faults of the files as such, once all are there."""
        answers = self.out.answers
        if any(a.kind == "835" for a in answers) and self.struck("reversed_order"):
            remits = [a for a in answers if a.kind == "835"]
            names = [a.name for a in remits]
            for remit, name in zip(remits, reversed(names), strict=True):
                remit.name = name
            answers[: len(remits)] = reversed(remits)
        if self.struck("empty_file"):
            answers.insert(0, Answer("", f"{self.stem}_notice.txt", b""))
        if self.struck("unknown_file"):
            answers.insert(0, Answer("", f"{self.stem}_letter.pdf", PDF))
        if self.struck("unknown_ack"):
            data = acknowledging.unknown(self.envelope("unknown", "FA", "005010X231A1"), "999999999")
            answers.insert(0, Answer("", f"{self.stem}_other_999.edi", data))
        if fault := self.faults.get("growing_file"):
            for found in answers:
                if found.kind == fault.options["answer"]:
                    found.grow_seconds = float(fault.options["seconds"])
                    self.struck("growing_file")
                    break
        if fault := self.faults.get("late_ack"):
            for found in answers:
                if found.kind in fault.options["answers"]:
                    found.after_seconds = float(fault.options["seconds"])
                    self.struck("late_ack")
        if fault := self.faults.get("silent"):
            self.struck("silent")
            kinds = fault.options["answers"]
            self.out.answers = [a for a in answers if kinds and a.kind not in kinds]


def _enter(books: Books, decision: Decision) -> None:
    """Write an accepted claim into the books."""
    number = decision.payer_claim_number
    if decision.taken_back:
        books.close(decision.claim.original_reference)
    if decision.repeated:
        books.repeated.add(number)
    payment = decision.payment
    if payment and (payment.paid_cents or payment.patient_cents):
        books.paid.setdefault(content(decision.claim), number)


def _paid_anew(days: Sequence[PayDay], decision: Decision) -> bool:
    """The correction was made: a reversal whose money would not come back is not."""
    return any(decision.correction in r.claims for day in days for r in day.remittances)


def _eft(r: Remittance) -> Eft:
    return Eft(
        trace=r.trace, origin=r.origin, cents=r.amount_cents, effective=r.payment_date, payer_name=r.payer.name,
        payee_name=r.payee.name, payee_id=r.payee.id, routing=r.to_account.routing, account=r.to_account.number,
    )  # fmt: skip


def _deposit(r: Remittance, reference: str) -> Deposit:
    return Deposit(
        account=r.to_account.number, on=r.payment_date, cents=r.amount_cents, bank_reference=reference,
        text=deposit_text(r.payer.name, r.trace, r.origin),
    )  # fmt: skip


def _time(text: str) -> time:
    try:
        return time(int(text[:2]), int(text[2:4]))
    except ValueError:
        return time(0, 0)


def _unbalanced(r: Remittance, level: str) -> Remittance:
    """One cent wrong, at one level and no other."""
    if level == "transaction" or not r.claims:
        return replace(r, amount_cents=r.amount_cents + 1)
    place = next((i for i, c in enumerate(r.claims) if c.lines), 0)
    claim = r.claims[place]
    if level == "line" and claim.lines:
        line = claim.lines[0]
        claim = replace(claim, lines=(replace(line, paid_cents=line.paid_cents + 1), *claim.lines[1:]))
        return replace(r, claims=(*r.claims[:place], claim, *r.claims[place + 1 :]))
    claim = replace(claim, paid_cents=claim.paid_cents + 1)
    return replace(r, amount_cents=r.amount_cents + 1, claims=(*r.claims[:place], claim, *r.claims[place + 1 :]))


def _changed(r: Remittance) -> Remittance:
    """Same trace, amount and date; one claim tells another story: a share of the plan's reduction is the patient's now."""
    for place, claim in enumerate(r.claims):
        for at, line in enumerate(claim.lines):
            for order, a in enumerate(line.adjustments):
                if a.group == "CO" and a.cents > 1:
                    parts = (
                        replace(a, cents=a.cents - 1),
                        Adjustment(group="PR", reason="2", cents=1),
                    )
                    other = replace(
                        line, adjustments=(*line.adjustments[:order], *parts, *line.adjustments[order + 1 :])
                    )
                    lines = (*claim.lines[:at], other, *claim.lines[at + 1 :])
                    told = replace(claim, lines=lines, patient_cents=claim.patient_cents + 1)
                    return replace(r, claims=(*r.claims[:place], told, *r.claims[place + 1 :]))
    claim = r.claims[0]
    return replace(r, claims=(replace(claim, payer_claim_number=f"{claim.payer_claim_number}X"), *r.claims[1:]))
