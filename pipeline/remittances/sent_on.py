"""What a payer that we did not bill repeats of what the payers before it settled: such a claim was sent on to it (crossover).

Theory. Its decision covers the whole charge, as every payer's does, and it may write off under CO once more what the payer that we
billed has paid or written off. Of a claim that we send to a second payer ourselves, the claim states that part (`restate`). Here no
claim states it: the books do, as what the payers before have settled on this claim. They are complete only when those payers'
remittances are in, and files come in any order. So a payment is posted as it stands, and what it repeats is taken out of its
write-offs by transactions of its own: each run posts the difference between what all payments that stand now make of it and what is
posted. A payment that is taken back takes it back as well, and the sum does not depend on the order.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

import sqlalchemy as sa

from pipeline.ledger import accounts, policy
from pipeline.ledger.posting import Entry, Transaction
from pipeline.remittances.context import Run
from pipeline.remittances.payments import Payment, restate, together
from pipeline.store import register as r
from pipeline.store.store import chunks

KIND = "restated"
#: CLP02 → which payer says that it is: those of a lower rank decided before
_RANK = {"1": 1, "19": 1, "2": 2, "20": 2, "3": 3, "21": 3}

#: (payment's key, account) → cents
Amounts = dict[tuple[str, str], int]


def level(
    run: Run, claim_ids: Iterable[str], known: Mapping[str, Any], history: Mapping[str, Sequence[Payment]],
    reread: Callable[[Sequence[Payment]], None],
) -> list[Payment]:  # fmt: skip
    """Post what these claims' payments of other payers repeat, as far as that is not posted yet; returns the payments whose
    write-offs changed. `history`: all payments that are posted, this run's among them; `reread`: gives payments their claim."""
    asked = [
        claim_id
        for claim_id in sorted(set(claim_ids))
        if any(p.clearing_key != known[claim_id].payer_key for p in history.get(claim_id, ()))
    ]
    if not asked:
        return []
    posted = _posted(run.connection, asked)
    changed = []
    for claim_id in asked:
        ours, listed = known[claim_id], history[claim_id]
        wanted = _repeated(ours, listed, reread)
        for payment in listed:
            if payment.outcome == "reversal":
                continue
            off = {
                account: wanted.get((payment.key, account), 0) - posted.get((payment.key, account), 0)
                for key, account in sorted({*wanted, *posted})
                if key == payment.key
            }
            entries = [Entry(account, -cents, claim_id) for account, cents in off.items() if cents]
            if entries:
                moved = sum(off.values())
                entries.append(Entry(accounts.NEXT_PAYER, moved, claim_id))
                payment.adjusted -= moved
                changed.append(payment)
                run.transactions.append(
                    Transaction(run.on, KIND, _reference(payment, listed), tuple(entries), payment.remittance_id)
                )
    return changed


def _repeated(ours: Any, listed: Sequence[Payment], reread: Callable[[Sequence[Payment]], None]) -> Amounts:
    """What the payments of other payers that stand repeat. Nothing, as long as the payer that we billed has decided nothing."""
    gone = {p.reverses for p in listed if p.reverses}
    standing = [p for p in listed if policy.STATUSES.get(p.status) == "processed" and p.key not in gone]
    billed = [p for p in standing if p.clearing_key == ours.payer_key]
    others = sorted((p for p in standing if p.clearing_key != ours.payer_key), key=_rank)
    if not billed or not others:
        return {}
    reread([p for p in others if p.claim is None])
    found: Amounts = defaultdict(int)
    settled = (ours.earlier_cents or 0) + sum(p.paid + p.adjusted for p in billed)
    for _, of_rank in groupby(others, key=_rank):
        own = 0
        for pieces in together(of_rank, ours):
            restate(pieces, ours.charge_cents, max(settled, 0))
            for payment in pieces:
                own += payment.paid + _written_off(payment) - sum(payment.restated.values())
                for (group, reason), cents in payment.restated.items():
                    found[payment.key, policy.account(group, reason) or ""] += cents
        settled += own
    return found


def _rank(payment: Payment) -> int:
    return _RANK[payment.status]


def _written_off(payment: Payment) -> int:
    adjustments = payment.claim.adjustments if payment.claim is not None else ()
    return sum(cents for group, reason, cents in adjustments if policy.kind(group, reason) in policy.WRITTEN_OFF)


def _reference(payment: Payment, listed: Sequence[Payment]) -> str:
    """The payment, and all that is posted of its claim: payments are only added, so no two runs make one of the same meaning."""
    state = hashlib.sha256(" ".join(sorted(p.key for p in listed)).encode()).hexdigest()[:16]
    return f"{payment.number}/{state}"


def _posted(connection: sa.Connection, claim_ids: Sequence[str]) -> Amounts:
    t, e = r.ledger_transactions.c, r.ledger_entries.c
    found: Amounts = defaultdict(int)
    for some in chunks(claim_ids):
        rows = connection.execute(
            sa.select(t.remittance_id, t.reference, e.account, e.cents)
            .join_from(r.ledger_entries, r.ledger_transactions, t.transaction_id == e.transaction_id)
            .where(t.kind == KIND, e.claim_id.in_(some), e.account != accounts.NEXT_PAYER)
        )
        for row in rows:
            found[f"{row.remittance_id}/{row.reference.partition('/')[0]}", row.account] -= row.cents
    return found
