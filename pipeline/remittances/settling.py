"""Claim payments → ledger transactions.

Each payment is one transaction of its own, so the ledger is a sum that does not depend on the order in which files come. What
cannot be placed yet (no such claim, a reversal before its original) is kept as an exception, its money in
`unapplied:remittance`; every run tries the exceptions again, and a settled one leaves the ledger as if it had been placed at once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from pipeline.ledger import accounts, policy
from pipeline.ledger.posting import Entry, Transaction
from pipeline.money import shown
from pipeline.remittances import balance, parts, sent_on
from pipeline.remittances.context import Run
from pipeline.remittances.payments import (
    CHARGE_TOO_HIGH,
    NO_ORIGINAL,
    NOT_FOUND,
    RETRIED,
    UNKNOWN_STATUS,
    WRONG_SIGN,
    Payment,
    by_billed_payer,
    earlier_versions,
    mirrors,
    negated,
    negates,
    references,
    restate,
    stored_payment,
    unapplied,
)
from pipeline.remittances.reading import Claim, Remittance
from pipeline.store import register as r
from pipeline.store.store import chunks


class Settling:
    """Places payments, and gathers the transactions that post them."""

    def __init__(self, run: Run) -> None:
        self.run = run
        #: payments whose write-offs changed in this run, because they repeat what others settled
        self.restated: list[Payment] = []

    def settle(
        self, fresh: Sequence[Payment], pending: Sequence[Payment], known: Mapping[str, Any],
        history: dict[str, list[Payment]],
    ) -> list[Payment]:  # fmt: skip
        """Place every new payment, and the exceptions that can be placed now; returns those exceptions."""
        originals: list[Payment] = []
        reversals: list[Payment] = []
        for payment in fresh:
            problem = self._problem(payment, known)
            if problem:
                payment.reason = problem
            else:
                payment.claim_id = payment.stated_id
                (reversals if payment.status == "22" else originals).append(payment)
        found = [p for p in pending if p.reason in (NOT_FOUND, CHARGE_TOO_HIGH) and not self._problem(p, known)]
        waiting = [p for p in pending if p.reason == NO_ORIGINAL]
        self._reread(found)
        for payment in found:
            payment.claim_id = payment.stated_id
            (waiting if payment.status == "22" else originals).append(payment)
        self._restate(originals, known)
        for payment in originals:
            self._place(payment, known[payment.claim_id or ""])
            history[payment.claim_id or ""].append(payment)
        placed = self._reverse([*reversals, *waiting], known, history)
        for payment in reversals:
            if payment.state != "posted":
                payment.reason = NO_ORIGINAL
        moved = [p.claim_id or "" for p in [*originals, *placed]]
        self.restated = sent_on.level(self.run, moved, known, history, self._reread)
        for payment in fresh:
            if payment.state == "exception":
                self._keep_unapplied(payment)
        settled = [p for p in found if p.state == "posted"] + [p for p in placed if p.was_exception and p not in found]
        for payment in settled:
            if payment.paid:
                self.run.transactions.append(
                    self._transaction(payment, "unapplied_settled", negated(unapplied(payment)))
                )
        self.run.counts["exceptions"] += sum(p.state == "exception" for p in fresh)
        self.run.counts["exceptions_settled"] += len(settled)
        return settled

    def claims(self, ids: Iterable[str]) -> dict[str, Any]:
        """Our claims of these ids, and the other versions of their visits' claims: by id."""
        columns, named = r.claims.c, r.claims.alias("named")
        found: dict[str, Any] = {}
        for part in chunks(sorted(i for i in ids if i)):
            query = sa.select(
                columns.claim_id, columns.payer_key, columns.charge_cents, columns.service_from, columns.state,
                columns.scrubbed_date, columns.scrubbed_part, columns.encounter_key, columns.version, columns.closed_on,
                columns.guide, columns.earlier_cents,
            ).where(
                columns.encounter_key.in_(sa.select(named.c.encounter_key).where(named.c.claim_id.in_(part)))
            )  # fmt: skip
            found |= {row.claim_id: row for row in self.run.connection.execute(query)}
        return found

    def _stored(self) -> sa.Select[Any]:
        return sa.select(
            r.remittance_claims, r.remittances.c.payment_date, r.remittances.c.payer_key, r.remittances.c.file_id,
            r.remittances.c.set_number,
        ).join_from(r.remittance_claims, r.remittances,
                    r.remittance_claims.c.remittance_id == r.remittances.c.remittance_id)  # fmt: skip

    def pending(self, applied: Mapping[str, str]) -> list[Payment]:
        """Exceptions that may be settled now; those that a person applied with the claim that he named."""
        columns = r.remittance_claims.c
        query = self._stored().where(columns.state == "exception", columns.reason.in_(RETRIED))
        found = sorted((stored_payment(row) for row in self.run.connection.execute(query)), key=lambda p: p.order)
        for payment in found:
            if payment.key in applied:
                payment.stated_id, payment.reason, payment.by_person = applied[payment.key], NOT_FOUND, True
        return found

    def history(self, claim_ids: Iterable[str]) -> dict[str, list[Payment]]:
        """Claim → its payments that are posted, in their order."""
        found: dict[str, list[Payment]] = defaultdict(list)
        columns = r.remittance_claims.c
        for part in chunks(sorted(set(claim_ids))):
            query = self._stored().where(columns.claim_id.in_(part), columns.state == "posted")
            for row in self.run.connection.execute(query):
                found[row.claim_id].append(stored_payment(row))
        return found

    def _problem(self, payment: Payment, known: Mapping[str, Any]) -> str:
        """Why a payment cannot be placed; empty if it can."""
        if payment.status not in policy.STATUSES:
            return UNKNOWN_STATUS
        if (payment.charge > 0) if payment.status == "22" else (payment.charge < 0):
            return WRONG_SIGN
        ours = known.get(payment.stated_id)
        if ours is None:
            return NOT_FOUND
        decided = policy.STATUSES[payment.status] == "processed" and not payment.by_person
        return CHARGE_TOO_HIGH if decided and payment.charge > ours.charge_cents else ""

    def _reread(self, payments: Sequence[Payment]) -> None:
        """Give exceptions of earlier files their claim back, from the archived bytes."""
        wanted: dict[str, list[Payment]] = defaultdict(list)
        for payment in payments:
            if payment.claim is None:
                wanted[payment.file_id].append(payment)
        for file_id, of_file in sorted(wanted.items()):
            claims: dict[tuple[int, int], Claim] = {}
            asked = {(payment.set_number, payment.number) for payment in of_file}

            def keep(
                remittances: list[Remittance],
                asked: set[tuple[int, int]] = asked,
                claims: dict[tuple[int, int], Claim] = claims,
            ) -> None:
                for m in remittances:
                    claims.update({(m.set_number, c.number): c for c in m.claims if (m.set_number, c.number) in asked})

            parts.read(self.run.store, file_id, keep, sets={number for number, _ in asked})
            for payment in of_file:
                payment.claim = claims[payment.set_number, payment.number]

    def _restate(self, payments: Sequence[Payment], known: Mapping[str, Any]) -> None:
        """Of claims that state what earlier payers settled: which write-offs only repeat that."""
        for pieces in by_billed_payer(payments, known):
            ours = known[pieces[0].claim_id or ""]
            if ours.earlier_cents:
                restate(pieces, ours.charge_cents, ours.earlier_cents)

    def _place(self, payment: Payment, ours: Any) -> None:
        """Post a payment (not a reversal) by the policy of its reasons.

        The payer that we billed settles its own receivable; another payer, to which the claim was sent on, the next payer's.
        """
        claim = payment.claim
        assert claim is not None
        receivable = (
            accounts.receivable(ours.payer_key) if payment.clearing_key == ours.payer_key else accounts.NEXT_PAYER
        )
        goes_on = payment.status in policy.SENT_ON or claim.sent_on
        entries = []
        if payment.paid:
            entries.append(Entry(accounts.clearing(payment.clearing_key), payment.paid, payment.claim_id))
        if policy.STATUSES[payment.status] == "processed":
            for group, reason, cents in claim.adjustments:
                account = policy.account(group, reason, goes_on)
                if account is None or account == receivable or not cents:
                    continue
                entries.append(Entry(account, cents, payment.claim_id, f"{group}-{reason}"))
                if again := payment.restated.get((group, reason), 0):
                    # without a detail: it is no reason of the payer's, which a reversal would have to negate
                    entries.append(Entry(account, -again, payment.claim_id))
                    cents -= again
                if account == accounts.PATIENT:
                    payment.patient += cents
                elif account != accounts.NEXT_PAYER:
                    payment.adjusted += cents
        moved = sum(e.cents for e in entries)
        if entries:
            entries.append(Entry(receivable, -moved, payment.claim_id))
        payment.outcome = policy.outcome(payment.status, payment.paid, claim.adjustments)
        payment.state, payment.reason, payment.entries = "posted", "", tuple(entries)
        self.run.transactions.append(self._transaction(payment, "payment", payment.entries))
        self.run.counts["claims_posted"] += 1

    def _reverse(
        self, reversals: Sequence[Payment], known: Mapping[str, Any], history: dict[str, list[Payment]]
    ) -> list[Payment]:  # fmt: skip
        """Undo the payments that reversals take back, entry by entry; returns the reversals that were placed.

        A reversal's original is a posted payment of the same claim and payer with the negated charge and payment, not yet reversed,
        whose posted adjustments the reversal negates under the same group and reason. Payers may name the replacement (its CLP01)
        when they take back what they paid on the version that it replaces: then the payer's number of that payment tells.
        """
        if not reversals:
            return []
        candidates: dict[str, list[Payment]] = {}
        gone: set[str] = set()
        earlier = earlier_versions(known)
        for payment in reversals:
            ids = [payment.stated_id, *([] if payment.by_person else earlier.get(payment.stated_id, ()))]
            rows = [p for claim_id in ids for p in history.get(claim_id, ())]
            gone |= {p.reverses for p in rows if p.reverses}
            candidates[payment.key] = sorted(
                (p for p in rows if p.outcome != "reversal"), key=lambda p: (known[p.claim_id or ""].version, p.order)
            )
        hopeful = [p for p in reversals if any(mirrors(p, o) for o in candidates[p.key] if o.key not in gone)]
        self._reread(hopeful)
        self._load_entries([o for p in hopeful for o in candidates[p.key]])
        placed = []
        for payment in sorted(hopeful, key=lambda p: p.order):
            fits = [
                o for o in candidates[payment.key] if o.key not in gone and mirrors(payment, o) and negates(payment, o)
            ]
            same_number = [o for o in fits if o.payer_claim_number in references(payment)]
            chosen = same_number or [o for o in fits if o.claim_id == payment.stated_id]
            if not chosen:
                continue
            original = chosen[0]
            gone.add(original.key)
            own = accounts.clearing(payment.clearing_key)
            payment.entries = tuple(
                Entry(own if e.account.startswith("clearing:") else e.account, -e.cents, e.claim_id, e.detail)
                for e in original.entries
            )
            claim_id = original.claim_id or payment.stated_id
            payment.claim_id, payment.state, payment.reason = claim_id, "posted", ""
            payment.outcome, payment.reverses = "reversal", original.key
            # of another payer's payment, what it only repeated is taken back apart: see `sent_on`
            payment.adjusted = sum(e.cents for e in payment.entries if e.account.startswith("adjustment:"))
            payment.patient = -original.patient
            history[claim_id].append(payment)
            self.run.transactions.append(self._transaction(payment, "reversal", payment.entries))
            self.run.closing["the payer took the payment back"].append(original.key)
            self.run.counts["claims_reversed"] += 1
            placed.append(payment)
        return placed

    def _load_entries(self, payments: Iterable[Payment]) -> None:
        """The entries that earlier runs posted for payments."""
        wanted = {
            self._transaction(p, "payment", ()).transaction_id: p for p in payments if p.claim is None and not p.entries
        }
        columns = r.ledger_entries.c
        found: dict[str, list[Entry]] = defaultdict(list)
        for part in chunks(sorted(wanted)):
            query = (
                sa.select(columns.transaction_id, columns.account, columns.cents, columns.claim_id, columns.detail)
                .where(columns.transaction_id.in_(part))
                .order_by(columns.transaction_id, columns.line)
            )
            for row in self.run.connection.execute(query):
                found[row.transaction_id].append(Entry(row.account, row.cents, row.claim_id, row.detail))
        for identity, payment in wanted.items():
            payment.entries = tuple(found[identity])

    def _keep_unapplied(self, payment: Payment) -> None:
        """An exception: its money stands apart, so that the remittance balances all the same, and a person is told."""
        if payment.paid:
            self.run.transactions.append(self._transaction(payment, "unapplied", unapplied(payment)))
        title, reason, action = _EXCEPTION_WORDS[payment.reason]
        self.run.item(payment.key, payment.reason, title,
                   f"Claim {payment.number} of remittance {payment.remittance_id}, status {payment.status}, paid "
                   f"{shown(payment.paid)}: {reason} Its money stands unapplied.",
                   action, abs(payment.paid), payment.clearing_key)  # fmt: skip

    def provider_adjustments(self, remittance: Remittance, key: str) -> None:
        """PLB: each reason has an account of its own; the reference goes with it."""
        entries = []
        for item in remittance.provider:
            if item.cents:
                entries += [
                    Entry(accounts.provider_adjustment(item.reason), item.cents, None, item.reference),
                    Entry(accounts.clearing(key), -item.cents, None, item.reference),
                ]
        if entries:
            self.run.transactions.append(
                Transaction(self.run.on, "provider_adjustment", "PLB", tuple(entries), remittance.remittance_id)
            )
            self.run.counts["provider_adjustments"] += len(entries) // 2

    def difference(self, remittance: Remittance, key: str) -> None:
        """What a remittance that a person released does not add up to, so that clearing still receives exactly BPR02."""
        difference = balance.difference(remittance)
        if difference:
            entries = (
                Entry(accounts.clearing(key), -difference, None, "BPR02"),
                Entry(accounts.DIFFERENCE, difference, None, "BPR02"),
            )
            self.run.transactions.append(
                Transaction(self.run.on, "difference", "BPR02", entries, remittance.remittance_id)
            )

    def _transaction(self, payment: Payment, kind: str, entries: tuple[Entry, ...]) -> Transaction:
        return Transaction(self.run.on, kind, str(payment.number), entries, payment.remittance_id)


_EXCEPTION_WORDS = {
    NOT_FOUND: ("A payment for a claim that we do not have", "its claim number (CLP01) is none of ours.",
                "Find the claim by the payer's number, or tell the payer that it is not ours."),
    NO_ORIGINAL: ("A reversal without its original", "no posted payment of the claim has these amounts, and none of an earlier version under the payer's number.",
                  "Nothing, if the original is still to come; else ask the payer what it takes back."),
    UNKNOWN_STATUS: ("A claim status that the guide does not know", "its status code has no meaning in version 5010.",
                     "Ask the payer what it means."),
    CHARGE_TOO_HIGH: ("The payer decided a larger charge than we billed", "its charge (CLP03) is more than the claim's.",
                      "Compare it with the claim: if the payment is ours, apply it to the claim; else ask the payer to take it back."),
    WRONG_SIGN: ("A claim payment with the wrong sign", "a reversal must be negative and a payment positive.",
                 "Ask the payer for a corrected remittance."),
}  # fmt: skip
