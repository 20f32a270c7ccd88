"""'One deposit stood in the books twice: the interim report had no reference of the bank, the final one had.'"""

import itertools

import pytest
from deposits.test_deposits_stage import bai2, bank, eft_credit, in_the_books, nacha, post_835, suspense
from ledger.books import Books

from pipeline.store import register as r

INTERIM = "165,8000,0,,,ACME HCCLAIMPMT TRN*1*T1*1999999991\\"
FINAL = "165,8000,0,BANK77,,ACME HCCLAIMPMT TRN*1*T1*1999999991\\"
OTHER_TYPE = "142,8000,0,BANK77,CUST1,ACME HCCLAIMPMT TRN*1*T1*1999999991\\"


@pytest.mark.parametrize("order", list(itertools.permutations((INTERIM, FINAL, OTHER_TYPE))))
def test_a_credit_with_its_trace_is_one_deposit_in_every_report(books: Books, order: tuple[str, ...]) -> None:
    post_835(books)
    for credit in order:
        bank(books, (bai2(credit), "BAI2"))
    assert len(books.rows(r.deposits)) == len(books.rows(r.matches)) == 1
    assert books.balances() == {"income:charges": -8_000, "bank:operating": 8_000}
    assert books.work() == []


def test_two_like_credits_of_the_final_report_stay_two(books: Books) -> None:
    """The payer paid twice on one day: the interim report had the first one only."""
    post_835(books)
    bank(books, (bai2(INTERIM), "BAI2"))
    bank(books, (bai2(FINAL, FINAL.replace("77", "78")), "BAI2"))
    assert [row.amount_cents for row in books.rows(r.deposits)] == [8_000, 8_000]
    assert len(books.rows(r.matches)) == 1
    assert suspense(books) == 8_000
    assert [i.cause for i in books.work("deposit")] == ["twice"]
    in_the_books(books)


@pytest.mark.parametrize("earlier", [[FINAL], [INTERIM, FINAL]], ids=["at once", "known later"])
def test_two_references_of_the_bank_are_two_deposits(books: Books, earlier: list[str]) -> None:
    for credit in earlier:
        bank(books, (bai2(credit), "BAI2"))
    bank(books, (bai2(FINAL.replace("77", "78")), "BAI2"))
    assert suspense(books) == 16_000


def test_lockboxes_without_a_trace_are_told_apart_by_their_type(books: Books) -> None:
    bank(books, (bai2("115,100,0,,,LOCKBOX"), "BAI2"))
    bank(books, (bai2("115,100,0,L1,,LOCKBOX", "195,100,0,W1,,WIRE"), "BAI2"))
    assert sorted(row.type_code for row in books.rows(r.deposits)) == ["115", "195"]


def test_an_eft_that_several_files_announce_is_one(books: Books) -> None:
    post_835(books)
    for other in (nacha(8_000, "T1"), nacha(8_000, "T1").replace(b"2611240800A", b"2611240900B")):
        books.receive(other, "NACHA", "bank")
    bank(books, (bai2(eft_credit(8_000, "T1")), "BAI2"), (bai2(eft_credit(8_000, "T1"), "115,5,0,,,X"), "BAI2"))
    assert len(books.rows(r.efts)) == 1
    assert len(books.rows(r.matches)) == 1
    in_the_books(books)
