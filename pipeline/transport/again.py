"""Received files that were set aside are read again, because a person says so: after an upgrade, or a mended setting.

Nothing of a quarantined file was taken, so reading it again is as if it had come today: it waits for its stage, which works it in the
next run, or sets it aside once more and opens its work item again. Its bytes are in the archive, and its kind is looked at anew. Who
asked for it, and why, is kept in `item_decisions`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa

from pipeline.errors import Terminal
from pipeline.store import Store
from pipeline.store import register as r
from pipeline.store.store import one_at_a_time, update_rows
from pipeline.store.work import AGAIN
from pipeline.transport import routing

ACTION = "retry"
#: kinds that arrive by another door
_EXTRACT = "extract"
_FIX = "See `claimpipe inbox list`."


@dataclass(frozen=True, slots=True)
class Aside:
    """A received file that was set aside. `reason` is the rule; `size` in bytes."""

    file_id: str
    payer_key: str
    kind: str
    size: int
    on: date
    reason: str

    def as_dict(self) -> dict[str, Any]:
        return {
            "file": self.file_id, "payer": self.payer_key, "kind": self.kind, "size": self.size, "date": self.on,
            "reason": self.reason,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asked:
    """What became of the wish: files that wait for the next run, and those that no stage works, by what they are."""

    waiting: list[Aside]
    left: list[Aside]


def aside(store: Store) -> list[Aside]:
    """The received files that stand set aside, in the order in which they came."""
    with store.read() as connection:
        return _aside(connection)


def retry(store: Store, on: date, file: str, *, by: str, reason: str) -> Asked:
    """Let a file that was set aside, named by its id or the beginning of it, be read by the next run; without a name, all of them.

    Terminal where there is no such file, where it was not set aside, or where no stage works a file of its kind (of all: those are left).
    """
    if not reason.strip():
        raise Terminal("A file is read again for a reason.", fix="Say it with --note.")
    with store.read() as connection:
        wanted = _named(connection, file) if file else _aside(connection)
    kinds = {one.file_id: _kind(store, one.file_id) for one in wanted}
    left = [one for one in wanted if kinds[one.file_id] not in routing.EXPECTED]
    if file and left:
        raise Terminal(
            f"File {left[0].file_id[:10]} is of kind {kinds[left[0].file_id]}: no stage works it.",
            fix="Ask the sender what it is, and to send what it should have sent.",
        )
    with store.begin() as connection:
        one_at_a_time(connection, "inbox")
        still = {one.file_id for one in _aside(connection)}
        waiting = [one for one in wanted if one not in left and one.file_id in still]
        update_rows(
            connection, r.files, "file_id",
            [{"file_id": one.file_id, "kind": kinds[one.file_id], "state": "archived", "reason": ""} for one in waiting],
            ["kind", "state", "reason"],
        )  # fmt: skip
        for one in waiting:
            _record(connection, one, on, by, reason)
    return Asked(waiting, left)


def _kind(store: Store, file_id: str) -> str:
    with store.archive.opened(file_id) as data:
        return routing.identify(data)


def _record(connection: sa.Connection, one: Aside, on: date, by: str, reason: str) -> None:
    """Keep who asked and why, once an item of the file (there is one, but for files of old homes)."""
    w, d = r.work_items.c, r.item_decisions.c
    where = (w.queue == "file", w.subject == one.file_id)
    items = list(connection.execute(sa.select(w.item_id).where(*where).order_by(w.item_id)).scalars())
    for item_id in items or [one.file_id[:32]]:
        asked = sa.select(sa.func.count()).where(d.item_id == item_id, d.action == ACTION)
        time = str(1 + connection.execute(asked).scalar_one())
        connection.execute(
            sa.insert(r.item_decisions).values(
                decision_id=hashlib.sha256("\x1f".join((item_id, ACTION, time)).encode()).hexdigest()[:32],
                item_id=item_id, action=ACTION, subject=one.file_id, target=time, actor=by, reason=reason, on_date=on,
            )
        )  # fmt: skip
    connection.execute(sa.update(r.work_items).where(*where).values(state="done", resolution=AGAIN))


def _aside(connection: sa.Connection) -> list[Aside]:
    f = r.files.c
    query = (
        sa.select(f.file_id, f.payer_key, f.kind, f.size, f.logical_date, f.reason)
        .where(f.direction == "in", f.state == "quarantined", f.kind != _EXTRACT)
        .order_by(f.logical_date, f.file_id)
    )
    return [
        Aside(row.file_id, row.payer_key or "", row.kind, row.size, row.logical_date, row.reason)
        for row in connection.execute(query)
    ]


def _named(connection: sa.Connection, file: str) -> Sequence[Aside]:
    f = r.files.c
    query = sa.select(f.file_id, f.state).where(
        f.direction == "in", f.kind != _EXTRACT, f.file_id.startswith(file, autoescape=True)
    )
    rows = connection.execute(query.limit(2)).all()
    if len(rows) != 1:
        which = "No received file begins" if not rows else "Several received files begin"
        raise Terminal(f"{which} with {file}.", fix=_FIX)
    found = [one for one in _aside(connection) if one.file_id == rows[0].file_id]
    if not found:
        raise Terminal(f"File {rows[0].file_id[:10]} was not set aside: it is {rows[0].state}.", fix=_FIX)
    return found
