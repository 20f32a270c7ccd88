"""Remittances: an 835 is read, balanced, and posted; once, whatever its file is called.

Theory. What came is sorted first: which contents of which payments may post by themselves (`arriving`). Their claim payments are
placed, and those of earlier files that can be placed now (`settling`); what they give people to do is told (`judging`); and the
claims take the state that all their payments together say. Persons release, discard and apply through `decide` by the same posting.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import sqlalchemy as sa

from pipeline import payers, transactions
from pipeline.findings import has_errors
from pipeline.ledger import earlier, posting
from pipeline.remittances import balance, parts, reading
from pipeline.remittances.arriving import READ_MARK, STAGE, Arrivals, File
from pipeline.remittances.context import Run
from pipeline.remittances.judging import Judging
from pipeline.remittances.payments import Payment, standing
from pipeline.remittances.reading import Remittance
from pipeline.remittances.settling import Settling
from pipeline.store import Store, received
from pipeline.store import register as r
from pipeline.store.events import Move, move_claims
from pipeline.store.store import insert_new
from pipeline.store.work import close_items, open_items

KINDS = ("835", "mixed")
#: `files.reason` of a mixed file whose acknowledgments have been read already (see acknowledgments.stage)
ACKNOWLEDGMENTS_READ = "acknowledgments read"
_ACKNOWLEDGMENTS = ("TA1.interchanges", "999.sets", "277CA.statuses")
#: bytes of a file above which it is read part by part, and of files that are in memory together
LARGE, AT_ONCE = 1 << 24, 1 << 26


def run(store: Store, on: date) -> dict[str, int]:
    """Post the remittances that have arrived, and settle earlier exceptions that can be settled now."""
    profiles = payers.load_profiles(store.settings.payers_dir)
    earlier.complete(store, on)

    def record(connection: sa.Connection, files: list[File], counts: dict[str, int]) -> None:
        for file in files:
            if file.large and not has_errors(file.findings):

                def post(remittances: list[Remittance], of: File = file) -> None:
                    checked = {m.set_number: balance.check(m) for m in remittances}
                    some = replace(of, remittances=remittances, findings=[], balances=checked, part=True)
                    Posting(store, connection, on, profiles, counts).run([some], retry=False)

                parts.read(store, file.file_id, post)
                file.worked = True
        Posting(store, connection, on, profiles, counts).run(files)

    return received.work(
        store, on, STAGE, KINDS, lambda row: _read(store, row), record, unless=READ_MARK, at_once=AT_ONCE
    )


def _read(store: Store, row: Any) -> File:
    if row.size > LARGE:
        return _read_large(store, row)
    result = transactions.read(store.archive.get(row.file_id), file=row.file_id)
    bad = has_errors(result.findings)
    file = File(
        row.file_id, row.payer_key or "", row.logical_date,
        row.kind == "mixed" and row.reason != ACKNOWLEDGMENTS_READ and any(t in result.tables for t in _ACKNOWLEDGMENTS),
        [] if bad else reading.read(result.tables, row.file_id), result.findings,
    )  # fmt: skip
    file.balances = {m.set_number: balance.check(m) for m in file.remittances}
    return file


def _read_large(store: Store, row: Any) -> File:
    """Look through the whole file for what forbids to post any of it; keep nothing of it but that."""
    tables: set[str] = set()
    findings = parts.read(store, row.file_id, lambda remittances: None, sets=(), seen=tables.add)
    acknowledges = (
        row.kind == "mixed" and row.reason != ACKNOWLEDGMENTS_READ and any(t in tables for t in _ACKNOWLEDGMENTS)
    )
    return File(
        row.file_id, row.payer_key or "", row.logical_date, acknowledges, [], findings, large="835.payments" in tables
    )


class Posting:
    """One posting within one register transaction."""

    def __init__(
        self, store: Store, connection: sa.Connection, on: date, profiles: Mapping[str, payers.PayerProfile],
        counts: dict[str, int],
    ) -> None:  # fmt: skip
        self.context = Run(store, connection, on, profiles, counts)
        self.arrivals, self.settling = Arrivals(self.context), Settling(self.context)
        self.judging = Judging(self.context)

    def run(
        self, files: Sequence[File], released: Sequence[tuple[Remittance, str]] = (), applied: Mapping[str, str] | None = None, *,
        retry: bool = True,
    ) -> None:  # fmt: skip
        """Post what came; what a person `released` (with its payer's key); and exceptions that a person `applied`: the
        payment's key → our claim. Earlier exceptions are tried again, unless more of the same file follows (`retry`)."""
        accepted = [*self.arrivals.sort(files), *released]
        fresh = [
            Payment(
                remittance.remittance_id, claim.number, remittance.set_number, remittance.payment_date or self.context.on, key,
                remittance.file_id, claim.status, claim.charge, claim.paid, claim.stated_id, claim.payer_claim_number, claim,
            )
            for remittance, key in accepted
            for claim in remittance.claims
        ]  # fmt: skip
        pending = self.settling.pending(applied or {}) if retry else []
        known = self.settling.claims({p.stated_id for p in fresh} | {p.stated_id for p in pending})
        history = self.settling.history(known)
        settled = self.settling.settle(fresh, pending, known, history)
        for remittance, key in accepted:
            self.settling.provider_adjustments(remittance, key)
            self.settling.difference(remittance, key)
        posted = posting.post(self.context.connection, self.context.transactions)
        self.context.counts["transactions"] += posted
        self._record(fresh, settled)
        self.judging.look(fresh, settled, known, history)
        self._states([p for p in [*fresh, *settled] if p.state == "posted"], known, history)
        for reason, subjects in self.context.closing.items():
            for queue in ("remittance", "denial", "underpayment"):
                close_items(self.context.connection, queue, subjects, reason)
        gone = set(self.context.replaced)  # what came and gave way in one run was nobody's work
        self.context.counts["work_items"] += open_items(
            self.context.connection, (i for i in self.context.items if i.subject not in gone)
        )

    def _record(self, fresh: Sequence[Payment], settled: Sequence[Payment]) -> None:
        rows = [
            {
                "remittance_id": p.remittance_id, "claim_number": p.number, "claim_id_stated": p.stated_id,
                "claim_id": p.claim_id, "status": p.status[:2], "charge_cents": p.charge, "paid_cents": p.paid,
                "adjusted_cents": p.adjusted, "patient_cents": p.patient, "payer_claim_number": p.payer_claim_number,
                "outcome": p.outcome, "reverses": p.reverses, "state": p.state, "reason": p.reason,
            }
            for p in fresh
        ]  # fmt: skip
        insert_new(self.context.connection, r.remittance_claims, rows)
        if settled:
            columns = r.remittance_claims.c
            names = ("claim_id", "adjusted_cents", "patient_cents", "outcome", "reverses", "state", "reason")
            self.context.connection.execute(
                sa.update(r.remittance_claims)
                .where(columns.remittance_id == sa.bindparam("b_id"), columns.claim_number == sa.bindparam("b_number"))
                .values({name: sa.bindparam(f"b_{name}") for name in names}),
                [
                    {
                        "b_id": p.remittance_id, "b_number": p.number, "b_claim_id": p.claim_id,
                        "b_adjusted_cents": p.adjusted, "b_patient_cents": p.patient, "b_outcome": p.outcome,
                        "b_reverses": p.reverses, "b_state": p.state, "b_reason": p.reason,
                    }
                    for p in settled
                ],
            )  # fmt: skip
            self.context.closing["settled by a later file"] += [p.key for p in settled]
        written = {p.key for p in [*fresh, *settled]}
        if again := [p for p in self.settling.restated if p.key not in written]:
            columns = r.remittance_claims.c
            self.context.connection.execute(
                sa.update(r.remittance_claims)
                .where(columns.remittance_id == sa.bindparam("b_id"), columns.claim_number == sa.bindparam("b_number"))
                .values(adjusted_cents=sa.bindparam("b_adjusted")),
                [{"b_id": p.remittance_id, "b_number": p.number, "b_adjusted": p.adjusted} for p in again],
            )

    def _states(
        self, posted: Sequence[Payment], known: Mapping[str, Any], history: Mapping[str, list[Payment]]
    ) -> None:
        moves, adjudicated = [], []
        for payment in sorted(posted, key=lambda p: p.order):
            claim_id = payment.claim_id or ""
            state = standing(history[claim_id]) or known[claim_id].state
            detail = f"{payment.key}{' ' + payment.outcome if payment.outcome != 'other' else ''}"
            moves.append(Move(claim_id, f"835 {payment.status}", state, payment.file_id, detail))
            self.context.counts[f"payments_{payment.outcome}"] += 1
            if known[claim_id].state == "rejected" and state != "rejected":
                adjudicated.append(claim_id)
        move_claims(self.context.connection, self.context.on, moves)
        close_items(
            self.context.connection, "rejection", sorted(set(adjudicated)), "adjudicated by the payer after all"
        )
