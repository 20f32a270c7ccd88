"""'The bank wrote a credit of -80.00 and we booked a deposit of 80.00.' What the bank takes back stands in suspense, below 0."""

import pytest
from deposits.test_deposits_stage import ON, bai2, bank, eft_credit, in_the_books, lines, post_835, suspense
from ledger.books import Books

from pipeline.deposits import stage
from pipeline.store import register as r

TRACED = "TRN*1*T1*1999999991\\"
BACK = {
    "a credit below 0": f"165,-8000,0,,,ACME {TRACED}",
    "a debit that names a trace": f"455,8000,0,,,ACME {TRACED}",
    "an ACH reversal without a trace": "558,8000,0,,,REVERSAL",
    "a returned item": "555,8000,0,,,CHECK RETURNED",
}


def report(credit: str) -> bytes:
    """A report whose one detail may be below 0."""
    return bai2(credit)


@pytest.mark.parametrize("credit", BACK.values(), ids=BACK.keys())
def test_it_goes_to_suspense_below_0_and_never_matches_by_itself(books: Books, credit: str) -> None:
    post_835(books)
    bank(books, (bai2(eft_credit(8_000, "T1")), "BAI2"))
    bank(books, (report(credit), "BAI2"))
    assert sorted(row.amount_cents for row in books.rows(r.deposits)) == [-8_000, 8_000]
    assert suspense(books) == -8_000
    assert books.balances() == {"income:charges": -8_000, "suspense:deposits": 8_000}
    cause = "taken-back" if credit.startswith("165") else "debit"
    assert [(i.cause, i.cents) for i in books.work("deposit")] == [(cause, 8_000)]
    in_the_books(books)
    assert sum(line.bank for line in lines(books, ON)) == 0
    assert all(line.residue == 0 for line in lines(books, ON))
    assert not any(stage.run(books.store, ON).values())


def test_it_comes_before_its_deposit_and_still_does_not_match(books: Books) -> None:
    post_835(books)
    bank(books, (report(BACK["a credit below 0"]), "BAI2"))
    assert (suspense(books), books.rows(r.matches)) == (-8_000, [])
    bank(books, (bai2(eft_credit(8_000, "T1")), "BAI2"))
    assert (suspense(books), len(books.rows(r.matches))) == (-8_000, 1)


def test_what_we_pay_is_no_deposit(books: Books) -> None:
    bank(books, (bai2("475,900,0,,,CHECK 17", "455,700,0,,,RENT"), "BAI2"))
    assert books.rows(r.deposits) == []
    assert books.work() == []
