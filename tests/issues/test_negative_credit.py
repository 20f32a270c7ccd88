"""'The bank took 50.00 back (165,-5000), and the books show that they came.' A minus says the opposite of the type code."""

from __future__ import annotations

import pytest
from deposits.test_deposits_stage import ON, bai2, in_the_books
from ledger.books import Books

from pipeline.deposits import stage
from pipeline.ledger import proof
from pipeline.store import register as r


@pytest.mark.parametrize("text", ["X", "TRN*1*T9*1999999991\\"], ids=["without trace", "with trace"])
def test_a_credit_with_a_minus_stands_in_suspense_below_0_and_becomes_work(books: Books, text: str) -> None:
    books.receive(bai2(f"165,-5000,0,,,{text}", "165,700,0,,,Y"), "BAI2", "bank")
    stage.run(books.store, ON)
    assert sorted(row.amount_cents for row in books.rows(r.deposits)) == [-5_000, 700]
    assert books.balances() == {"bank:operating": -4_300, "suspense:deposits": 4_300}
    assert [row.rule for row in books.rows(r.findings)] == ["bai2.sign"]
    (item,) = [i for i in books.work("deposit") if i.cause == "taken-back"]
    (deposit,) = [row.deposit_id for row in books.rows(r.deposits) if row.amount_cents < 0]
    assert (item.cents, item.subject) == (5_000, deposit)
    assert "50.00" in item.reason
    in_the_books(books)
    assert proof.prove(books.store).closes
