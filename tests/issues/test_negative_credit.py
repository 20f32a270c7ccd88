"""'The bank took 50.00 back (165,-5000), and the books show that they came.' A minus says the opposite of the type code."""

from __future__ import annotations

import pytest
from deposits.test_deposits_stage import ON, bai2, in_the_books
from ledger.books import Books

from pipeline.deposits import stage
from pipeline.ledger import proof
from pipeline.store import register as r


@pytest.mark.parametrize("text", ["X", "TRN*1*T9*1999999991\\"], ids=["without trace", "with trace"])
def test_a_credit_with_a_minus_is_no_deposit_and_becomes_work(books: Books, text: str) -> None:
    file_id = books.receive(bai2(f"165,-5000,0,,,{text}", "165,700,0,,,Y"), "BAI2", "bank")
    stage.run(books.store, ON)
    assert [row.amount_cents for row in books.rows(r.deposits)] == [700]
    assert books.balances()["bank:operating"] == 700
    assert [row.rule for row in books.rows(r.findings)] == ["bai2.sign"]
    (item,) = [i for i in books.work("deposit") if i.cause == "taken-back"]
    assert (item.cents, item.subject) == (5_000, f"{file_id}:4")
    assert "50.00" in item.reason
    in_the_books(books)
    assert proof.prove(books.store).closes
