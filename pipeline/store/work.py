"""Work items: what a person has to do. One open item a cause and subject; the same cause again is the same item.

An item that closed by itself (its cause was gone) opens again where its cause is there again: an alarm about money must not be
silent the second time. What a person has closed or decided stays as he left it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa

from pipeline.store import register as r
from pipeline.store.store import chunks, insert_new, update_rows

#: how an item was closed that a person gave back to the machine: it opens again where its cause is there again
AGAIN = "to be read again"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkItem:
    """`reference` makes items distinct that share queue, subject and cause (for example the file of a second rejection)."""

    queue: str
    subject: str
    cause: str
    title: str
    reason: str
    action: str
    opened_on: date
    cents: int = 0
    claim_id: str | None = None
    payer_key: str | None = None
    due_on: date | None = None
    reference: str = ""

    @property
    def item_id(self) -> str:
        text = "\x1f".join([self.queue, self.subject, self.cause, self.reference])
        return hashlib.sha256(text.encode()).hexdigest()[:32]


def open_items(connection: sa.Connection, items: Iterable[WorkItem]) -> int:
    """Open items that are not there yet, and again those that closed by themselves; returns how many were opened."""
    rows: dict[str, dict[str, Any]] = {}
    for item in items:
        row = asdict(item)
        row.pop("reference")
        rows.setdefault(
            item.item_id, {"item_id": item.item_id, "state": "open", "resolution": "", "owner": None, **row}
        )
    new = insert_new(connection, r.work_items, rows.values())
    return new if new == len(rows) else new + _open_again(connection, rows)


#: what an item that opens again says anew; who owns it stays
_SAID_ANEW = ("state", "resolution", "title", "reason", "action", "opened_on", "due_on", "cents")


def _open_again(connection: sa.Connection, rows: Mapping[str, Mapping[str, Any]]) -> int:
    again = sorted(_done(connection, sorted(rows), by_person=False))
    update_rows(connection, r.work_items, "item_id", [dict(rows[i]) for i in again], list(_SAID_ANEW))
    return len(again)


def closed_by_person(connection: sa.Connection, item_ids: Sequence[str]) -> set[str]:
    """Which of these items are done because a person closed or decided them."""
    return _done(connection, item_ids, by_person=True)


def _done(connection: sa.Connection, ids: Sequence[str], *, by_person: bool) -> set[str]:
    w = r.work_items.c
    decided = sa.or_(*(sa.exists().where(of.c.item_id == w.item_id) for of in (r.item_decisions, r.decisions)))
    said = sa.and_(decided, w.resolution != AGAIN)
    found: set[str] = set()
    for some in chunks(ids):
        where = (w.item_id.in_(some), w.state == "done", said if by_person else ~said)
        found.update(connection.execute(sa.select(w.item_id).where(*where)).scalars())
    return found


def close_items(
    connection: sa.Connection, queue: str, subjects: Iterable[str], resolution: str, *, cause: str = "",
    but: Collection[str] = (),
) -> int:  # fmt: skip
    """Close open items of a queue whose cause is gone (only those of one `cause`, where it is given); returns how many.

    `but` are the ids of items that stay open.
    """
    w, listed, closed = r.work_items.c, list(subjects), 0
    for some in chunks(listed):
        where = [w.queue == queue, w.state == "open", w.subject.in_(some)]
        if cause:
            where.append(w.cause == cause)
        if but:
            open_ids = set(connection.execute(sa.select(w.item_id).where(*where)).scalars())
            gone = sorted(open_ids.difference(but))
            where = [w.item_id.in_(gone)]
        closed += connection.execute(
            sa.update(r.work_items).where(*where).values(state="done", resolution=resolution)
        ).rowcount
    return closed


def close_items_of_claims(
    connection: sa.Connection, queues: Sequence[str], claim_ids: Sequence[str], resolution: str
) -> int:
    """Close open items of these queues that are about these claims; returns how many."""
    w = r.work_items.c
    return connection.execute(
        sa.update(r.work_items)
        .where(w.queue.in_(queues), w.state == "open", w.claim_id.in_(claim_ids))
        .values(state="done", resolution=resolution)
    ).rowcount
