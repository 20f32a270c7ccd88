"""What a person decides about a remittance that was held, or about a claim payment that could not be placed.

All three run the stage's own posting, so a remittance that is released leaves the ledger as if it had posted by itself, but
for one entry: what it does not add up to stands on an account of its own.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import date
from typing import Any

import sqlalchemy as sa

from pipeline import payers
from pipeline.errors import Terminal
from pipeline.ledger import accounts
from pipeline.remittances import balance, parts
from pipeline.remittances.reading import Remittance
from pipeline.remittances.stage import STAGE, Posting
from pipeline.store import Store
from pipeline.store import register as r
from pipeline.store.store import add_to_stage


def release(store: Store, connection: sa.Connection, on: date, remittance_id: str, decision_id: str) -> None:
    """Post a held remittance. Terminal where it is not held, its payer is unknown, or an amount of it cannot be posted."""
    row = _held(connection, remittance_id)
    file = connection.execute(sa.select(r.files).where(r.files.c.file_id == row.file_id)).one()
    found: list[Remittance] = []
    parts.read(store, row.file_id, found.extend, sets={row.set_number})
    (remittance,) = found
    remittance.known_as = row.remittance_id
    if any(finding.rule == "835.amount" for finding in balance.check(remittance)):
        raise Terminal(
            "It cannot be released: an amount of it is missing, illegible or below zero.",
            fix="Ask the payer for a corrected remittance, which replaces this one.",
        )
    if any(not accounts.known(accounts.provider_adjustment(item.reason)) for item in remittance.provider):
        raise Terminal(
            "It cannot be released: a PLB reason is no two-character code, so no account is known for it.",
            fix="Ask the payer for a corrected remittance, which replaces this one.",
        )
    posting, counts = _posting(store, connection, on)
    key = posting.arrivals.payer_of(remittance, file.payer_key or "")
    if not key:
        raise Terminal(
            "It cannot be released: no payer profile names its origin (TRN03).",
            fix="Add the origin to `remittance_origins` of the payer's profile first.",
        )
    _set(connection, row.remittance_id, state="posted", payer_key=key, decision_id=decision_id)
    posting.run([], released=[(remittance, key)])
    counts["remittances_released"] += 1
    counts["paid_cents"] += row.amount_cents
    add_to_stage(connection, STAGE, on, counts)


def discard(connection: sa.Connection, remittance_id: str, decision_id: str) -> None:
    """Say that a held remittance is never to be posted. Terminal where it is not held."""
    row = _held(connection, remittance_id)
    _set(connection, row.remittance_id, state="discarded", decision_id=decision_id)


def apply(store: Store, connection: sa.Connection, on: date, payment_key: str, claim_id: str) -> None:
    """Post an unapplied claim payment to the claim that it is for. Terminal where it cannot be placed there."""
    claim = connection.execute(sa.select(r.claims.c.file_id).where(r.claims.c.claim_id == claim_id)).first()
    if claim is None or claim.file_id is None:
        raise Terminal(f"No claim {claim_id!r} was sent.", fix="Give the claim's id (CLM01) as we sent it.")
    posting, counts = _posting(store, connection, on)
    posting.run([], applied={payment_key: claim_id})
    remittance_id, _, number = payment_key.partition("/")
    c = r.remittance_claims.c
    placed = connection.execute(
        sa.select(c.claim_id).where(
            c.remittance_id == remittance_id, c.claim_number == int(number or 0), c.state == "posted"
        )
    ).scalar()
    if placed != claim_id:
        raise Terminal(
            "The payment cannot be applied to this claim: it is not unapplied, or it takes back what was never posted.",
            fix="See `claimpipe work show` for the item's cause.",
        )
    add_to_stage(connection, STAGE, on, counts)


def _posting(store: Store, connection: sa.Connection, on: date) -> tuple[Posting, dict[str, int]]:
    counts: dict[str, int] = defaultdict(int)
    return Posting(store, connection, on, payers.load_profiles(store.settings.payers_dir), counts), counts


def _held(connection: sa.Connection, remittance_id: str) -> Any:
    row = connection.execute(
        sa.select(r.remittances).where(r.remittances.c.remittance_id == remittance_id)
    ).first()  # fmt: skip
    if row is None or row.state != "held":
        raise Terminal(
            f"Remittance {remittance_id} is {row.state if row else 'not known'}, so nothing can be decided about it.",
            fix="Only a held remittance can be released or discarded.",
        )
    return row


def _set(connection: sa.Connection, remittance_id: str, **values: str) -> None:
    connection.execute(
        sa.update(r.remittances).where(r.remittances.c.remittance_id == remittance_id).values(**values)
    )  # fmt: skip
