"""What a person decides about a deposit in suspense: which remittance it pays, or that it pays none.

A match moves no more than both sides have open: what is left of a deposit stays in suspense, what is left of a remittance
stays in clearing. A deposit below 0 (the bank took money back) matched with a remittance opens that one again. So no
difference is ever forced away, and one deposit may pay several remittances (a lockbox), or one be paid by several.
"""

from __future__ import annotations

import hashlib
from datetime import date
from typing import Any

import sqlalchemy as sa

from pipeline.deposits.stage import MATCH_BY_PERSON, matched_by
from pipeline.errors import Terminal
from pipeline.ledger import accounts, posting
from pipeline.ledger.posting import Entry, Transaction
from pipeline.money import shown
from pipeline.store import register as r
from pipeline.store.work import close_items


def match(connection: sa.Connection, on: date, deposit_id: str, remittance_id: str) -> tuple[int, int]:
    """Match a deposit with a posted remittance; returns what is left open of each, in cents.

    Terminal where one of them does not exist, is not in the books, or has nothing open, or where the two are matched already.
    """
    deposit, remittance = _deposit(connection, deposit_id), _one(connection, r.remittances, remittance_id, "remittance")
    if remittance.state != "posted":
        raise Terminal(
            f"Remittance {remittance.remittance_id} is {remittance.state}: nothing of it is posted.",
            fix="Work the remittance first.",
        )
    m = r.matches.c
    pair = (m.deposit_id == deposit.deposit_id) & (m.remittance_id == remittance.remittance_id)
    if connection.execute(sa.select(m.match_id).where(pair)).first():
        raise Terminal("This deposit and this remittance are matched already.", fix="Name another one.")
    of_deposit = deposit.amount_cents - _matched(connection, m.deposit_id, deposit.deposit_id)
    met = _matched(connection, m.remittance_id, remittance.remittance_id)
    cents = min(of_deposit, remittance.amount_cents - met) if of_deposit > 0 else -min(-of_deposit, met)
    if not cents:
        raise Terminal(
            f"Nothing can be matched: of the deposit {shown(of_deposit)} is open, of the remittance "
            f"{shown(remittance.amount_cents - met)}.",
            fix="See `claimpipe work list --queue deposit --each` for what is open.",
        )
    _move(connection, on, deposit, accounts.clearing(remittance.payer_key), cents, remittance.remittance_id)
    left = of_deposit - cents, remittance.amount_cents - met - cents
    settled = [row[0] for row, rest in zip((deposit, remittance), left, strict=True) if not rest]
    close_items(connection, "deposit", settled, "matched by a person")
    return left


def not_claims(connection: sa.Connection, on: date, deposit_id: str) -> None:
    """Say that what is open of a deposit is no claim payment. Terminal where nothing of it is open."""
    deposit = _deposit(connection, deposit_id)
    left = deposit.amount_cents - _matched(connection, r.matches.c.deposit_id, deposit.deposit_id)
    if not left:
        raise Terminal(
            "Nothing of this deposit is in suspense.", fix="See `claimpipe work list --queue deposit --each`."
        )
    _move(connection, on, deposit, accounts.NOT_CLAIMS, left, None)


def _move(
    connection: sa.Connection, on: date, deposit: Any, account: str, cents: int, remittance_id: str | None
) -> None:  # fmt: skip
    """Out of suspense, with the row that says whereto."""
    reference = f"{deposit.deposit_id}/{remittance_id or account}"
    entries = (Entry(accounts.SUSPENSE, cents), Entry(account, -cents))
    posting.post(connection, [Transaction(on, MATCH_BY_PERSON, reference, entries)])
    connection.execute(
        sa.insert(r.matches).values(
            match_id=hashlib.sha256(reference.encode()).hexdigest()[:32], deposit_id=deposit.deposit_id,
            remittance_id=remittance_id, eft_id=None, method="person", cents=cents, on_date=on,
        )
    )  # fmt: skip


def _deposit(connection: sa.Connection, deposit_id: str) -> Any:
    deposit = _one(connection, r.deposits, deposit_id, "deposit")
    columns = r.ledger_transactions.c
    booked = sa.select(columns.transaction_id).where(
        columns.kind == "suspense", columns.reference == deposit.deposit_id
    )
    if not connection.execute(booked).first():
        raise Terminal(f"Deposit {deposit.deposit_id} does not stand in suspense.", fix="It is matched already.")
    return deposit


def _one(connection: sa.Connection, table: sa.Table, beginning: str, what: str) -> Any:
    key = next(iter(table.primary_key.columns))
    rows = connection.execute(sa.select(table).where(key.startswith(beginning, autoescape=True)).limit(2)).fetchall()
    if len(rows) != 1 or not beginning:
        which = "No" if not rows else "More than one"
        raise Terminal(f"{which} {what} has an id that begins with {beginning!r}.", fix="Give more of the id.")
    return rows[0]


def _matched(connection: sa.Connection, column: Any, key: str) -> int:
    parts = matched_by(column)
    found = connection.execute(sa.select(parts.c.cents).where(parts.c.key == key)).scalar()
    return int(found or 0)
