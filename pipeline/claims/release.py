"""Claims that go again, or in earnest, because a person says so. Nothing else makes a claim that was sent ready again unchanged.

Two cases, in neither of which the payer holds the claim:

- refused: a TA1 or 999 refused its file or set for its form, and the cause is mended;
- tested: it went out in test files only (ISA15 T), and the payer is now in production.

A claim that a payer rejected by its data (277CA) is mended at its source instead; one that was paid or denied is never let go.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import sqlalchemy as sa

from pipeline import payers
from pipeline.claims.batches import required
from pipeline.errors import Terminal
from pipeline.store import Store, behind, locks
from pipeline.store import register as r
from pipeline.store.events import Move, move_claims, rejecting
from pipeline.store.work import close_items

_TESTED = ("batched", "sent", "unknown", "received", "accepted")
#: what follows a sending's id in the subject of an alarm
_ALARMS = ("sending", "999", "277CA")
#: states of a sending that has not come to its payer
_AT_HOME = ("built", "intent", "sent_temporary", "failed")


def refused(store: Store, on: date, payer_key: str, *, do: bool) -> dict[str, int]:
    """Claims of the payer that a TA1 or 999 refused → `claims`, `charge_cents`; made ready where `do`. Terminal where there are
    none and nobody knows the payer."""
    k = r.claims.c
    query = sa.select(k.claim_id, k.charge_cents, k.file_id).where(
        k.payer_key == payer_key, k.closed_on.is_(None), refused_for_form()
    )
    done = _go(store, on, payer_key, query, "released_refused", do)
    if not done["claims"]:
        required(payers.load_profiles(store.settings.payers_dir), payer_key)
    return done


def refused_for_form() -> sa.ColumnElement[bool]:
    """Of `claims`: a TA1 or 999 refused its file or set, and it stands so."""
    last = rejecting(r.claim_events.c.event)
    return (r.claims.c.state == "rejected") & (last.like("TA1 %") | last.like("999 %"))


def tested(store: Store, on: date, payer_key: str, *, do: bool) -> dict[str, int]:
    """Claims of the payer that stand in test files only → `claims`, `charge_cents`; made ready where `do`.

    Test files that were not sent are withheld for good. Terminal where the payer is not in production.
    """
    profile = required(payers.load_profiles(store.settings.payers_dir), payer_key)
    if payers.usage(profile, store.settings.submitter.usage) != "P":
        raise Terminal(
            f"Files for {payer_key} are still marked test.",
            fix="Set submitter.usage to P, and interchange.usage of the payer's profile, when the payer has approved the test.",
        )
    k, s = r.claims.c, r.sendings.c
    query = (
        sa.select(k.claim_id, k.charge_cents, k.file_id)
        .join(r.sendings, s.file_id == k.file_id)
        .where(k.payer_key == payer_key, s.usage == "T", k.state.in_(_TESTED), k.closed_on.is_(None))
    )

    def close_tests(c: sa.Connection) -> None:
        c.execute(
            sa.update(r.sendings)
            .where(s.payer_key == payer_key, s.usage == "T", s.state.in_(_AT_HOME))
            .values(state="withheld", reason="test")
        )
        tests = list(c.execute(sa.select(s.sending_id).where(s.payer_key == payer_key, s.usage == "T")).scalars())
        close_items(c, "sending", [*tests, *(f"{t}:{kind}" for t in tests for kind in _ALARMS)], "released from test")
        close_items(c, "payer", [payer_key], "released from test")

    return _go(store, on, payer_key, query, "released_tested", do, close_tests)


def test_only(c: sa.Connection, payer_key: str) -> tuple[int, int]:
    """How many claims of the payer stand in test files only, and their cents."""
    k, s = r.claims.c, r.sendings.c
    row = c.execute(
        sa.select(sa.func.count(), sa.func.sum(k.charge_cents))
        .join_from(r.claims, r.sendings, s.file_id == k.file_id)
        .where(k.payer_key == payer_key, s.usage == "T", k.state.in_(_TESTED), k.closed_on.is_(None))
    ).one()
    return int(row[0]), int(row[1] or 0)


def _go(
    store: Store, on: date, payer_key: str, query: sa.Select[Any], event: str, do: bool,
    also: Callable[[sa.Connection], None] = lambda _connection: None,
) -> dict[str, int]:  # fmt: skip
    if do:
        behind.require_level(store)
    with locks.held(store, f"build-{payer_key}"), locks.held(store, f"send-{payer_key}"), store.begin() as c:
        rows = c.execute(query.order_by(r.claims.c.claim_id)).fetchall()
        if do:
            move_claims(c, on, [Move(row.claim_id, event, "ready", row.file_id) for row in rows])
            close_items(c, "rejection", [row.claim_id for row in rows], "let go again")
            also(c)
    return {"claims": len(rows), "charge_cents": sum(row.charge_cents for row in rows)}
