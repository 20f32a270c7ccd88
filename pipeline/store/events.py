"""The life of a claim: the only place that changes a claim's state, and the hash-chained record of every change.

Each event's hash covers its content and the hash before it, so an edit, a removal or a reordering shows. The table is
append-only; `verify` walks the chain.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa

from pipeline.store import register as r
from pipeline.store.store import chunks, update_rows
from pipeline.wording import counted

GENESIS = "0" * 64


@dataclass(frozen=True, slots=True)
class Move:
    """Move one claim to a state because of an event. `detail` holds codes and ids only."""

    claim_id: str
    event: str
    to_state: str
    file_id: str | None = None
    detail: str = ""


def rejecting(column: sa.ColumnElement[Any]) -> sa.ScalarSelect[Any]:
    """That column of the event by which a claim last became rejected; correlates to `claims`."""
    k, v = r.claims.c, r.claim_events.c
    return (
        sa.select(column)
        .where(v.claim_id == k.claim_id, v.to_state == "rejected", v.from_state != "rejected")
        .order_by(v.sequence.desc())
        .limit(1)
        .correlate(r.claims)
        .scalar_subquery()
    )


def _hash(previous: str, sequence: int, claim_id: str, event: str, from_state: str | None, to_state: str,
          file_id: str | None, on: date, detail: str) -> str:  # fmt: skip
    text = "\x1f".join(
        [
            previous,
            str(sequence),
            claim_id,
            event,
            from_state or "",
            to_state,
            file_id or "",
            on.isoformat(),
            detail,
        ]
    )
    return hashlib.sha256(text.encode()).hexdigest()


def move_claims(connection: sa.Connection, on: date, moves: Sequence[Move]) -> int:
    """Record the events and set the states, in order, within the caller's transaction; returns how many.

    A claim may also be 'moved' to the state it is in: the event is then kept as a fact (for example a second 277CA).
    """
    if not moves:
        return 0
    if (
        connection.dialect.name == "postgresql"
    ):  # one writer of the chain at a time; SQLite's transactions are that already
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(727001)")
    last = connection.execute(
        sa.select(r.claim_events.c.sequence, r.claim_events.c.hash).order_by(r.claim_events.c.sequence.desc()).limit(1)
    ).first()
    sequence, previous = (last.sequence, last.hash) if last else (0, GENESIS)
    ids = sorted({m.claim_id for m in moves})
    states: dict[str, str] = {}
    for some in chunks(ids):
        rows = connection.execute(sa.select(r.claims.c.claim_id, r.claims.c.state).where(r.claims.c.claim_id.in_(some)))
        states.update({row.claim_id: row.state for row in rows})
    absent = set(ids) - set(states)
    if absent:
        raise ValueError(
            f"{counted(len(absent), 'claim is', 'claims are')} not in the register, the first {min(absent)}"
        )
    events = []
    for move in moves:
        if move.to_state not in r.CLAIM_STATES:
            raise ValueError(f"{move.to_state} is no claim state")
        sequence += 1
        from_state = states.get(move.claim_id)
        digest = _hash(
            previous,
            sequence,
            move.claim_id,
            move.event,
            from_state,
            move.to_state,
            move.file_id,
            on,
            move.detail,
        )
        events.append(
            {
                "sequence": sequence, "claim_id": move.claim_id, "event": move.event, "from_state": from_state,
                "to_state": move.to_state, "file_id": move.file_id, "on_date": on, "detail": move.detail,
                "previous_hash": previous, "hash": digest,
            }
        )  # fmt: skip
        states[move.claim_id], previous = move.to_state, digest
    connection.execute(sa.insert(r.claim_events), events)
    update_rows(connection, r.claims, "claim_id", [{"claim_id": c, "state": states[c]} for c in ids], ["state"])
    return len(events)


def verify(connection: sa.Connection) -> list[str]:
    """Walk the chain; each entry of the result names a place where it is broken: an event's sequence number, or a claim
    whose state is not what its last event says (events cut from the end, or a state changed behind the chain's back)."""
    broken: list[str] = []
    previous, expected = GENESIS, 1
    last: dict[str, str] = {}
    for row in connection.execute(sa.select(r.claim_events).order_by(r.claim_events.c.sequence)):
        digest = _hash(row.previous_hash, row.sequence, row.claim_id, row.event, row.from_state, row.to_state,
                       row.file_id, row.on_date, row.detail)  # fmt: skip
        if row.sequence != expected or row.previous_hash != previous or row.hash != digest:
            broken.append(f"event {row.sequence}")
        if row.from_state != last.get(row.claim_id, row.from_state):
            broken.append(f"event {row.sequence} of claim {row.claim_id}")
        last[row.claim_id] = row.to_state
        previous, expected = row.hash, row.sequence + 1
    for claim_id, state in connection.execute(
        sa.select(r.claims.c.claim_id, r.claims.c.state).order_by(r.claims.c.claim_id)
    ):
        if last.get(claim_id) != state:
            broken.append(f"claim {claim_id}")
    return broken
