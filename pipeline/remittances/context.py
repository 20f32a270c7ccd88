"""What the rooms of one posting share: the register's transaction, and what gathers until its end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

import sqlalchemy as sa

from pipeline.ledger.posting import Transaction
from pipeline.payers import PayerProfile
from pipeline.store import Store
from pipeline.store.work import WorkItem


@dataclass
class Run:
    """One run within one register transaction."""

    store: Store
    connection: sa.Connection
    on: date
    profiles: Mapping[str, PayerProfile]
    counts: dict[str, int]
    items: list[WorkItem] = field(default_factory=list)
    transactions: list[Transaction] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)  # remittances that gave way in this run
    closing: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))  # reason of closing → subjects

    def item(
        self, subject: str, cause: str, title: str, reason: str, action: str, cents: int, key: str | None,
        claim_id: str | None = None, reference: str = "", queue: str = "remittance", due: date | None = None,
    ) -> None:  # fmt: skip
        """Work for a person; `cents` is what it is about."""
        self.items.append(
            WorkItem(
                queue=queue, subject=subject, cause=cause, title=title, reason=reason, action=action, cents=cents,
                payer_key=key or None, claim_id=claim_id, opened_on=self.on, due_on=due, reference=reference,
            )
        )  # fmt: skip
