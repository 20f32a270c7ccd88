"""Whatever comes, however often, under whatever name and in whatever order: one ledger in the end."""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa
from deposits.test_deposits_stage import bai2, eft_credit, in_the_books
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from ledger.books import ON, Books, file_835, file_837, remittance

from pipeline.deposits import stage as deposits
from pipeline.ledger import proof
from pipeline.remittances import stage
from pipeline.store import register as r

_ORIGINAL = "CLP*C1*1*100*60**12*I1*11\nCAS*CO*45*20**16*5\nCAS*PR*1*15"
_REVERSAL = "CLP*C1*22*-100*-60**12*I1*11\nCAS*CO*45*-20**16*-5\nCAS*PR*1*-15\nCLP*C2*1*100*100**12*I3*11"
_CORRECTION = "CLP*C1*1*100*70**12*I2*11\nCAS*CO*45*20\nCAS*PR*2*10"
ORIGINAL = remittance(_ORIGINAL, amount="60", trace="T1", on="20261123")
REVERSAL = remittance(_REVERSAL, amount="40", trace="T2", on="20261124")
CORRECTION = remittance(_CORRECTION, amount="75", trace="T3", on="20261125", tail="PLB*1234567893*20261231*L6*-5")

#: name → (bytes, kind). A file under another name has the same bytes, so it comes twice
FILES = {
    "original": (file_835(ORIGINAL), "835"),
    "original under another name": (file_835(ORIGINAL), "835"),
    "original in another envelope": (file_835(ORIGINAL, control=71), "835"),
    "original that does not balance": (file_835(ORIGINAL.replace("CAS*PR*1*15", "CAS*PR*1*14"), control=72), "835"),
    "reversal": (file_835(REVERSAL, control=2), "835"),
    "correction": (file_835(CORRECTION, control=3), "835"),
    "reversal and correction glued together": (file_835(CORRECTION, REVERSAL, control=73), "835"),
    "bank": (bai2(eft_credit(6_000, "T1"), eft_credit(7_500, "T3"), "115,9,0,,,LOCKBOX"), "BAI2"),
    "bank, the next day": (bai2(eft_credit(4_000, "T2"), day="261201"), "BAI2"),
}
LEDGER = {
    "income:charges": -20_000, "adjustment:contractual": 2_000, "receivable:patient": 1_000, "provider_adjustment:L6": -500,
    "bank:operating": 17_509, "suspense:deposits": -9,
}  # fmt: skip
#: without shrinking: an order that fails is as good as a shorter one, and each try opens books of its own
ASSURED = settings(
    max_examples=10, deadline=None, phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip


def arrive(books: Books, names: list[str], runs: st.DataObject) -> None:
    for name in names:
        data, kind = FILES[name]
        books.receive(data, kind, "acme" if kind == "835" else "bank")
        if runs.draw(st.booleans(), label="a night"):
            stage.run(books.store, ON)
            deposits.run(books.store, ON)
            in_the_books(books)
    stage.run(books.store, ON)
    deposits.run(books.store, ON)


def every_transaction_balances(books: Books) -> None:
    e = r.ledger_entries.c
    with books.store.read() as c:
        sums = c.execute(sa.select(sa.func.sum(e.cents)).group_by(e.transaction_id)).scalars().all()
    assert sums
    assert set(sums) == {0}


@ASSURED
@given(st.permutations(sorted(FILES)), st.data())
def test_every_order_of_original_reversal_correction_and_copies_ends_in_one_ledger(
    fresh_books: Callable[[], Books], order: list[str], data: st.DataObject
) -> None:
    books = fresh_books()
    books.send("C1", "C2", data=file_837(("C1", "100"), ("C2", "100")))
    arrive(books, order, data)
    assert books.balances() == LEDGER
    assert books.states() == {"C1": "paid", "C2": "paid"}
    assert sorted(row.trace for row in books.rows(r.remittances) if row.state == "posted") == ["T1", "T2", "T3"]
    assert [i.cause for i in books.work() if i.cause != "835.conflict"] == ["no-trace"]
    every_transaction_balances(books)
    in_the_books(books)
    found = proof.prove(books.store)
    assert [line for line in found.lines if line.difference] == []


_VARIANTS = {
    "as it is": ORIGINAL,
    "a day later": ORIGINAL.replace("20261123", "20261124"),
    "another amount": ORIGINAL.replace("*60*", "*61*").replace("*60**", "*61**").replace("CAS*PR*1*15", "CAS*PR*1*14"),
    "another reason": ORIGINAL.replace("CAS*PR*1", "CAS*PR*2"),
    "unbalanced": ORIGINAL.replace("CAS*PR*1*15", "CAS*PR*1*14"),
    "of another practice": ORIGINAL.replace("1234567893", "1003000126"),
}


@ASSURED
@given(st.permutations(sorted(_VARIANTS)), st.data())
def test_of_all_contents_of_one_payment_one_posts_and_the_others_wait_for_a_person(
    fresh_books: Callable[[], Books], order: list[str], data: st.DataObject
) -> None:
    books = fresh_books()
    books.send("C1")
    for control, name in enumerate(order, start=1):
        books.receive(file_835(_VARIANTS[name], control=control), "835")
        if data.draw(st.booleans(), label="a night"):
            stage.run(books.store, ON)
    stage.run(books.store, ON)
    rows = books.rows(r.remittances)
    (posted,) = [row for row in rows if row.state == "posted"]
    assert books.balances()["clearing:eft:acme"] == posted.amount_cents
    waiting = {row.remittance_id for row in rows if row.state == "held"}
    assert {item.subject for item in books.work("remittance")} == waiting
    assert len(rows) == len(_VARIANTS)
    every_transaction_balances(books)
    before = {table.name: books.rows(table) for table in r.metadata.sorted_tables}
    assert not any(stage.run(books.store, ON).values())
    assert {table.name: books.rows(table) for table in r.metadata.sorted_tables} == before
