"""The charge of a claim stands once, however many versions of it there are.

A version's charge is posted when it goes into a file. When a later version goes (or the visit is cancelled before any payer
took it) the earlier one is closed: what it was charged is posted back. What a payer paid on a closed version stays on it
until the payer takes it back, as it will in the reversal that goes with a replacement or void.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import sqlalchemy as sa

from pipeline.ledger import posting
from pipeline.store import register as r
from pipeline.store.store import chunks, update_rows


def close_versions(connection: sa.Connection, on: date, claim_ids: Sequence[str]) -> None:
    """Close these versions, within the caller's transaction; one that is closed already stays as it is."""
    c = r.claims.c
    listed: list[str] = []
    for some in chunks(claim_ids):
        where = (c.claim_id.in_(some), c.closed_on.is_(None))
        listed += connection.execute(sa.select(c.claim_id).where(*where).order_by(c.claim_id)).scalars()
    update_rows(connection, r.claims, "claim_id", [{"claim_id": i, "closed_on": on} for i in listed], ["closed_on"])
    posting.post(
        connection,
        [
            posting.Transaction(on, "charge", f"{claim_id}/closed", entries)
            for claim_id, by_account in charged(connection, listed).items()
            if (
                entries := tuple(posting.Entry(a, -cents, claim_id) for a, cents in sorted(by_account.items()) if cents)
            )
        ],
    )


def charged(connection: sa.Connection, claim_ids: Sequence[str]) -> dict[str, dict[str, int]]:
    """What was charged for these claims: claim → account → cents."""
    t, e = r.ledger_transactions.c, r.ledger_entries.c
    found: dict[str, dict[str, int]] = {}
    for some in chunks(claim_ids):
        query = (
            sa.select(e.claim_id, e.account, sa.func.sum(e.cents))
            .join_from(r.ledger_entries, r.ledger_transactions, t.transaction_id == e.transaction_id)
            .where(t.kind == "charge", e.claim_id.in_(some))
            .group_by(e.claim_id, e.account)
        )
        for claim_id, account, cents in connection.execute(query):
            found.setdefault(claim_id, {})[account] = int(cents)
    return found
