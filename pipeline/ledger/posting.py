"""Double entry, exact, append-only, and posted once.

Theory. A transaction's id is a hash of what it means (its kind, its reference and its remittance), never of when or by
which run it was posted. Posting the same meaning again meets the key and writes nothing; the same meaning with other
entries is a defect, and is refused. Entries are integer cents and sum to 0. A wrong posting is undone by another posting.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from pipeline.ledger import accounts
from pipeline.store import register as r
from pipeline.store.store import chunks


@dataclass(frozen=True, slots=True)
class Entry:
    """One line: debit positive, credit negative, in cents. `detail` is a group-reason code or a reference."""

    account: str
    cents: int
    claim_id: str | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Transaction:
    """`kind` and `reference` (with `remittance_id`) say what it means; `on` is the logical date of its posting."""

    on: date
    kind: str
    reference: str
    entries: tuple[Entry, ...]
    remittance_id: str | None = None

    @property
    def transaction_id(self) -> str:
        text = "\x1f".join([self.kind, self.reference, self.remittance_id or ""])
        return hashlib.sha256(text.encode()).hexdigest()[:32]


def charge(claim_id: str, payer_key: str, cents: int, on: date) -> Transaction:
    """The charge of a claim, posted when the claim goes into a batch."""
    return Transaction(
        on,
        "charge",
        claim_id,
        (Entry(accounts.receivable(payer_key), cents, claim_id), Entry(accounts.INCOME, -cents, claim_id)),
    )


def post(connection: sa.Connection, transactions: Iterable[Transaction]) -> int:
    """Post what is not posted yet, within the caller's register transaction; returns how many were new.

    Raises ValueError (and then posts nothing) where entries do not sum to 0, an account is not in the chart, or an id is
    known with other entries. A transaction without entries that move money is left out.
    """
    batch: dict[str, Transaction] = {}
    for transaction in transactions:
        _check(transaction)
        known = batch.setdefault(transaction.transaction_id, transaction)
        if known is not transaction and known.entries != transaction.entries:
            raise ValueError(_differs(transaction))
    batch = {key: t for key, t in batch.items() if any(e.cents for e in t.entries)}
    if not batch:
        return 0
    new = _insert_transactions(connection, batch)
    _check_repeats(connection, [t for key, t in batch.items() if key not in new])
    rows = [
        {"transaction_id": key, "line": line, "account": entry.account, "cents": entry.cents,
         "claim_id": entry.claim_id, "detail": entry.detail}
        for key, transaction in batch.items()
        if key in new
        for line, entry in enumerate(transaction.entries, start=1)
    ]  # fmt: skip
    if rows:
        connection.execute(sa.insert(r.ledger_entries), rows)
    return len(new)


def balances(connection: sa.Connection) -> dict[str, int]:
    """Cents by account, over all that is posted."""
    query = sa.select(r.ledger_entries.c.account, sa.func.sum(r.ledger_entries.c.cents)).group_by(
        r.ledger_entries.c.account
    )
    return {account: int(cents) for account, cents in connection.execute(query.order_by(r.ledger_entries.c.account))}


def claim_balances(
    connection: sa.Connection, claim_ids: Sequence[str] | None = None
) -> Mapping[str, Mapping[str, int]]:
    """Claim → account → cents, for the claims named or for all."""
    columns = r.ledger_entries.c
    query = (
        sa.select(columns.claim_id, columns.account, sa.func.sum(columns.cents))
        .where(columns.claim_id.is_not(None))
        .group_by(columns.claim_id, columns.account)
    )
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for part in [None] if claim_ids is None else chunks(claim_ids):
        for claim_id, account, cents in connection.execute(
            query if part is None else query.where(columns.claim_id.in_(part))
        ):
            found[claim_id][account] = int(cents)
    return found


def _check(transaction: Transaction) -> None:
    if sum(entry.cents for entry in transaction.entries) != 0:
        raise ValueError(f"The entries of {transaction.kind} {transaction.transaction_id} do not sum to 0.")
    for entry in transaction.entries:
        if type(entry.cents) is not int:
            raise ValueError(f"{transaction.kind} {transaction.transaction_id}: cents must be integers.")
        if not accounts.known(entry.account):
            raise ValueError(f"{transaction.kind} {transaction.transaction_id}: no account {entry.account}.")


def _insert_transactions(connection: sa.Connection, batch: Mapping[str, Transaction]) -> set[str]:
    """Insert the heads that are new and say which; two runs at once never both get the same one."""
    dialect: Any = {"sqlite": sqlite, "postgresql": postgresql}[connection.dialect.name]
    statement = (
        dialect.insert(r.ledger_transactions).on_conflict_do_nothing().returning(r.ledger_transactions.c.transaction_id)
    )
    heads = [
        {"transaction_id": key, "on_date": t.on, "kind": t.kind, "reference": t.reference,
         "remittance_id": t.remittance_id}
        for key, t in batch.items()
    ]  # fmt: skip
    return set(connection.execute(statement, heads).scalars())


def _check_repeats(connection: sa.Connection, repeats: Sequence[Transaction]) -> None:
    """What is known under the same id must be the same entries."""
    if not repeats:
        return
    columns = r.ledger_entries.c
    posted: dict[str, list[Entry]] = defaultdict(list)
    for part in chunks([t.transaction_id for t in repeats]):
        rows = connection.execute(
            sa.select(columns.transaction_id, columns.account, columns.cents, columns.claim_id, columns.detail)
            .where(columns.transaction_id.in_(part))
            .order_by(columns.transaction_id, columns.line)
        )
        for row in rows:
            posted[row.transaction_id].append(Entry(row.account, row.cents, row.claim_id, row.detail))
    for transaction in repeats:
        if tuple(posted[transaction.transaction_id]) != transaction.entries:
            raise ValueError(_differs(transaction))


def _differs(transaction: Transaction) -> str:
    return f"{transaction.kind} {transaction.transaction_id} is already posted with other entries."
