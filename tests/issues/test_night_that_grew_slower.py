"""'The night got slower by a quarter, and nobody saw it.' Each payment asked the register for its work item, each refused set read its whole
837 again, each acknowledgment was read for the check and for the stage, and Python looked for circles that are not there.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa
from ledger.books import ON, SENT, Books, envelope, file_835, file_837, remittance

from pipeline import garbage, night, transactions
from pipeline.acknowledgments import stage as acknowledgments
from pipeline.remittances import stage as remittances
from pipeline.store import received
from pipeline.store import register as r


@contextmanager
def statements(books: Books) -> Iterator[list[str]]:
    """What the register is asked; a statement over many rows is one."""
    asked: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        asked.append(statement.partition("(")[0])

    sa.event.listen(books.store.engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        sa.event.remove(books.store.engine, "before_cursor_execute", note)


def asked_for(books: Books, claims: int) -> Counter[str]:
    ids = [f"C{n}" for n in range(claims)]
    books.send(*ids)
    text = "\n".join(f"CLP*{i}*1*100*80**12*I{i}*11\nCAS*CO*45*20" for i in ids)
    books.receive(file_835(remittance(text, amount=str(80 * claims))), "835")
    with statements(books) as asked:
        counts = remittances.run(books.store, ON)
    assert counts["claims_posted"] == claims
    return Counter(asked)


def test_the_register_is_asked_as_often_for_few_payments_as_for_many(fresh_books: Callable[[], Books]) -> None:
    assert asked_for(fresh_books(), 2) == asked_for(fresh_books(), 60)


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Id of a file → how often it was read."""
    read, seen = transactions.read, Counter[str]()

    def counted(data: bytes, *, file: str = "", **how: object) -> transactions.ReadResult:
        seen[file] += 1
        return read(data, file=file, **how)

    monkeypatch.setattr(transactions, "read", counted)
    return seen


def refused(*sets: str) -> bytes:
    each = "\n".join(f"AK2*837*{s}*005010X222A1\nIK3*LX*7*2400*8\nIK4*1**1\nIK5*R*5" for s in sets)
    return envelope(
        "FA", "005010X231A1", [f"AK1*HC*1*005010X222A1\n{each}\nAK9*R*{len(sets)}*{len(sets)}*0"], control=9
    )


def test_a_claim_file_is_read_once_for_all_its_refused_sets(books: Books, readings: Counter[str]) -> None:
    of_set = file_837(("C1", "100"), ("C2", "100")).decode()
    first = of_set[of_set.index("ST*") : of_set.index("GE*")]
    second = first.replace("*0001", "*0002").replace("CLM*C1", "CLM*C3").replace("CLM*C2", "CLM*C4")
    data = of_set.replace(first, first + second).replace("GE*1*", "GE*2*").encode()
    file_id = books.send("C1", "C3", "C2", "C4", sets=("0001", "0002"), data=data)
    books.receive(refused("0001", "0002"), "999")
    acknowledgments.run(books.store, SENT)
    guilty = [item.claim_id for item in books.work("rejection") if "stands in this claim" in item.reason]
    assert guilty == ["C2", "C4"]
    assert readings[file_id] == 1


def test_an_acknowledgment_is_read_once_for_its_check_and_its_stage(books: Books, readings: Counter[str]) -> None:
    books.send("C1", sets=("0001",), data=file_837(("C1", "100")))
    file_id = books.receive(refused("0001"), "999")
    assert night.acknowledge(books.store, SENT)["quality_checked"] == 2  # the group and its set
    assert books.states() == {"C1": "rejected"}
    assert readings[file_id] == 1
    assert books.store.read_ahead == {}


def test_no_more_is_kept_than_there_is_room_for(
    books: Books, readings: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    books.send("C1", sets=("0001",), data=file_837(("C1", "100")))
    files = [refused("0001"), refused("0002")]
    monkeypatch.setattr(received, "READ_AHEAD", len(files[0]) + len(files[1]) - 1)
    ids = [books.receive(data, "999") for data in files]
    night.acknowledge(books.store, SENT)
    assert sorted(readings[i] for i in ids) == [1, 2]
    assert books.states() == {"C1": "rejected"}


def test_circles_are_looked_for_less_during_a_night_and_as_before_behind_it(books: Books) -> None:
    before = gc.get_threshold()
    during: list[int] = []
    night.run(books.store, ON, None, tell=lambda *_: during.append(gc.get_threshold()[0]))
    assert during
    assert set(during) == {garbage.NEW_OBJECTS}
    assert gc.get_threshold() == before
    with pytest.raises(ValueError, match="no"), garbage.looked_for_less():
        raise ValueError("no")
    assert gc.get_threshold() == before


def test_answers_that_wait_are_found_without_going_through_all_that_ever_came(books: Books) -> None:
    with books.store.read() as c:
        asked: list[str] = []
        sa.event.listen(c, "before_cursor_execute", lambda _c, _k, text, *_: asked.append(text))
        c.execute(sa.select(r.acknowledgments).where(r.waiting())).all()
        plan = [row.detail for row in c.exec_driver_sql(f"EXPLAIN QUERY PLAN {asked[-1]}")]
    assert plan
    assert all("ix_acknowledgments_waiting" in step for step in plan)
