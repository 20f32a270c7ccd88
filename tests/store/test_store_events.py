"""The life of a claim: its states, and the chain that shows any change of the record."""

from __future__ import annotations

import threading
from datetime import date
from typing import Any

import pytest
import sqlalchemy as sa

from pipeline.settings import Settings
from pipeline.store import Store, events, open_store
from pipeline.store import register as r
from pipeline.store.events import Move, move_claims

ON = date(2026, 11, 20)


def claims(store: Store, *ids: str) -> None:
    with store.begin() as c:
        c.execute(sa.insert(r.claims), [
            {"claim_id": i, "encounter_key": f"E{i}", "payer_key": "acme", "practice_id": "P1", "guide": "005010X222A1",
             "frequency": "1", "charge_cents": 1, "service_from": ON, "logical_date": ON, "scrubbed_date": ON,
             "scrubbed_part": "p", "state": "ready"}
            for i in ids
        ])  # fmt: skip
        move_claims(c, ON, [Move(i, "made", "ready") for i in ids])


@pytest.fixture
def three(any_store: Store) -> Store:
    """Claims A, B and C; A went on to sent, B to batched."""
    claims(any_store, "A", "B", "C")
    with any_store.begin() as c:
        move_claims(c, ON, [Move("A", "batched", "batched", "f1"), Move("B", "batched", "batched", "f1")])
        move_claims(c, ON, [Move("A", "sent", "sent", "f1", "000000001")])
    return any_store


def verify(store: Store) -> list[str]:
    with store.read() as c:
        return events.verify(c)


def states(store: Store) -> dict[str, str]:
    with store.read() as c:
        return {row.claim_id: row.state for row in c.execute(sa.select(r.claims.c.claim_id, r.claims.c.state))}


def test_events_set_the_states_in_their_order(three: Store) -> None:
    assert states(three) == {"A": "sent", "B": "batched", "C": "ready"}
    with three.begin() as c:
        assert move_claims(c, ON, [Move("C", "batched", "batched"), Move("C", "sent", "sent")]) == 2
        assert move_claims(c, ON, []) == 0
    assert states(three)["C"] == "sent"
    with three.read() as c:
        e = r.claim_events.c
        steps = c.execute(sa.select(e.from_state, e.to_state).where(e.claim_id == "C").order_by(e.sequence)).all()
    assert steps == [("ready", "ready"), ("ready", "batched"), ("batched", "sent")]
    assert verify(three) == []


def test_a_state_that_does_not_exist_and_a_claim_that_does_not_exist_are_refused(three: Store) -> None:
    with pytest.raises(ValueError, match="no claim state"), three.begin() as c:
        move_claims(c, ON, [Move("A", "x", "lost")])
    with pytest.raises(ValueError, match="1 claim is not in the register, the first Z"), three.begin() as c:
        move_claims(c, ON, [Move("A", "x", "paid"), Move("Z", "x", "paid")])
    assert states(three)["A"] == "sent"
    assert verify(three) == []


def tamper(store: Store, *statements: str) -> None:
    """What somebody with the database's own password could do: switch the guard off first."""
    with store.begin() as c:
        if c.dialect.name == "postgresql":
            c.exec_driver_sql("ALTER TABLE claim_events DISABLE TRIGGER ALL")
        else:
            c.exec_driver_sql("DROP TRIGGER claim_events_no_update")
            c.exec_driver_sql("DROP TRIGGER claim_events_no_delete")
        for statement in statements:
            c.exec_driver_sql(statement)


@pytest.mark.parametrize(
    ("statements", "broken"),
    [
        (["UPDATE claim_events SET detail = '000000002' WHERE sequence = 6"], ["event 6"]),
        (["UPDATE claim_events SET to_state = 'paid' WHERE sequence = 4"], ["event 4", "event 6 of claim A"]),
        (["UPDATE claim_events SET on_date = '2026-11-19' WHERE sequence = 1"], ["event 1"]),
        (["UPDATE claim_events SET claim_id = 'B' WHERE sequence = 3"], ["event 3", "claim C"]),
        (["DELETE FROM claim_events WHERE sequence = 5"], ["event 6", "claim B"]),
        (["DELETE FROM claim_events WHERE sequence = 1"], ["event 2"]),
        (["DELETE FROM claim_events WHERE sequence = 6"], ["claim A"]),  # cut from the end
        (["DELETE FROM claim_events"], ["claim A", "claim B", "claim C"]),
        (
            [
                "UPDATE claim_events SET sequence = 99 WHERE sequence = 4",
                "UPDATE claim_events SET sequence = 4 WHERE sequence = 5",
                "UPDATE claim_events SET sequence = 5 WHERE sequence = 99",
            ],
            ["event 4", "event 5", "event 6"],
        ),
        (["UPDATE claims SET state = 'paid' WHERE claim_id = 'C'"], ["claim C"]),
    ],
)
def test_an_edit_a_deletion_and_a_reordering_show(three: Store, statements: list[str], broken: list[str]) -> None:
    assert verify(three) == []
    tamper(three, *statements)
    found = verify(three)
    assert set(broken) <= set(found)
    assert found


def test_the_chain_holds_when_many_write_at_once(any_store: Store, settings: Settings) -> None:
    ids = [f"C{n}" for n in range(8)]
    claims(any_store, *ids)
    failed: list[Any] = []

    def run(claim_id: str) -> None:
        store = open_store(settings)
        try:
            for state in ("batched", "sent", "received"):
                with store.begin() as c:
                    move_claims(c, ON, [Move(claim_id, state, state)])
        except Exception as error:
            failed.append(error)
        finally:
            store.close()

    threads = [threading.Thread(target=run, args=(i,)) for i in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert set(states(any_store).values()) == {"received"}
    assert verify(any_store) == []
    with any_store.read() as c:
        assert c.execute(sa.select(sa.func.count()).select_from(r.claim_events)).scalar() == 8 * 4
