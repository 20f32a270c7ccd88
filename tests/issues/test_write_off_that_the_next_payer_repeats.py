"""'Medicare paid and sent the claim on; the supplement's remittance repeats the CO-45, and every such claim is overposted.'

Charge 100.00. The payer that we billed (acme) pays 60.00, writes off 20.00, leaves 20.00 and sends the claim on; the next one (zeta)
pays 15.00 and leaves 5.00 to the patient. Whatever zeta repeats of the 80.00, nothing is settled twice, in whatever order files come.
"""

from __future__ import annotations

import itertools

import pytest
from ledger.books import ON, Books, file_835, remittance

from pipeline.ledger import proof
from pipeline.remittances import stage
from pipeline.store import register as r

ZETA = "1999999992"
FIRST = "CLP*C1*19*100*60**12*ICN1*11\nCAS*CO*45*20\nCAS*PR*2*20"
SECOND = "CLP*C1*2*100*15**12*ZICN*11\nCAS*CO*45*20\nCAS*OA*23*60\nCAS*PR*2*5"
LEVEL = {
    "income:charges": -10_000, "adjustment:contractual": 2_000, "receivable:patient": 500, "clearing:eft:acme": 6_000,
    "clearing:eft:zeta": 1_500,
}  # fmt: skip


def of_acme(claims: str, amount: str, trace: str = "A1", on: str = "20261125", control: int = 1) -> bytes:
    return file_835(remittance(claims, amount=amount, trace=trace, on=on), control=control)


def of_zeta(claims: str, amount: str, trace: str = "Z1", on: str = "20261127", control: int = 2) -> bytes:
    return file_835(remittance(claims, amount=amount, trace=trace, origin=ZETA, on=on), control=control)


def post(books: Books, *files: bytes) -> None:
    for data in files:
        books.receive(data, "835")
    stage.run(books.store, ON)


def check(books: Books) -> None:
    assert proof.prove(books.store, archive=False).residue_cents == 0
    before = (books.balances(), books.rows(r.remittance_claims), books.rows(r.ledger_transactions))
    stage.run(books.store, ON)  # again: not a byte changes
    assert (books.balances(), books.rows(r.remittance_claims), books.rows(r.ledger_transactions)) == before


@pytest.mark.parametrize("at_once", [True, False], ids=["in one night", "night by night"])
@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["in order", "the next payer first"])
@pytest.mark.parametrize(
    "first", [FIRST, FIRST.replace("*19*", "*1*") + "\nNM1*TT*2*ZETA*****PI*Z1"], ids=["CLP02 is 19", "NM1*TT"]
)
def test_a_write_off_counts_once(books: Books, first: str, order: tuple[int, ...], at_once: bool) -> None:
    books.send("C1")
    files = [of_acme(first, "60"), of_zeta(SECOND, "15")]
    for group in [order] if at_once else [(n,) for n in order]:
        post(books, *(files[n] for n in group))
    assert books.balances() == LEVEL
    assert books.work() == []
    assert sorted((p.paid_cents, p.adjusted_cents) for p in books.rows(r.remittance_claims)) == [
        (1_500, 0),
        (6_000, 2_000),
    ]
    check(books)


#: the next payer's adjustments, its payment → what differs from LEVEL, and the work
CASES = {
    "no OA-23: what was paid comes as its own write-off": ("CAS*CO*45*80\nCAS*PR*2*5", "15", {}, []),
    "it writes off more, and that is its own": (
        "CAS*CO*45*27\nCAS*OA*23*60\nCAS*PR*2*5", "8", {"adjustment:contractual": 2_700, "clearing:eft:zeta": 800}, [],
    ),
    "OA-23 says all: a write-off beside it is its own": (
        "CAS*OA*23*80\nCAS*CO*45*5\nCAS*PR*2*5", "10", {"adjustment:contractual": 2_500, "clearing:eft:zeta": 1_000}, [],
    ),
    "it denies what was left, which stays open": (
        "CAS*CO*45*20\nCAS*OA*23*60\nCAS*CO*16*20", "0",
        {"receivable:patient": 0, "clearing:eft:zeta": 0, "receivable:next_payer": 2_000}, [("denial", "CO-16", 2_000)],
    ),
    "it pays more than was left, which is told as that alone": (
        "CAS*CO*45*20\nCAS*OA*23*55", "25",
        {"receivable:patient": 0, "clearing:eft:zeta": 2_500, "receivable:next_payer": -500, "adjustment:contractual": 2_000},
        [("remittance", "overposted", 500)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["in order", "the next payer first"])
@pytest.mark.parametrize(("cas", "paid", "differs", "todo"), CASES.values(), ids=CASES.keys())
def test_only_what_was_settled_before_is_taken_out(
    books: Books, cas: str, paid: str, differs: dict[str, int], todo: list[tuple[str, str, int]], order: tuple[int, ...]
) -> None:
    books.send("C1")
    files = [of_acme(FIRST, "60"), of_zeta(f"CLP*C1*2*100*{paid}**12*ZICN*11\n{cas}", paid)]
    for number in order:
        post(books, files[number])
    assert books.balances() == {account: cents for account, cents in (LEVEL | differs).items() if cents}
    assert [(i.queue, i.cause, i.cents) for i in books.work()] == todo
    check(books)


def test_a_third_payer_repeats_what_both_have_settled(books: Books) -> None:
    books.send("C1")
    third = "CLP*C1*3*100*3**12*ZZ*11\nCAS*OA*23*75\nCAS*CO*45*20\nCAS*PR*2*2"
    post(books, of_acme(FIRST, "60"))
    post(books, of_zeta(third, "3", trace="Z2", on="20261128", control=3))
    post(books, of_zeta("CLP*C1*20*100*15**12*ZICN*11\nCAS*CO*45*20\nCAS*OA*23*60\nCAS*PR*2*5", "15"))
    assert books.balances() == LEVEL | {"receivable:patient": 200, "clearing:eft:zeta": 1_800}
    assert books.work() == []
    check(books)


PAID_BACK = "CLP*C1*22*-100*-15**12*ZICN*11\nCAS*CO*45*-20\nCAS*OA*23*-60\nCAS*PR*2*-5\nCLP*C2*1*100*100**12*P1*11"
FIRST_BACK = "CLP*C1*22*-100*-60**12*ICN1*11\nCAS*CO*45*-20\nCAS*PR*2*-20\nCLP*C1*19*100*70**12*ICN1*11\nCAS*CO*45*10\nCAS*PR*2*20\nCLP*C2*1*100*100**12*P1*11"


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_reversal_of_the_next_payer_gives_back_exactly(books: Books, order: tuple[int, ...]) -> None:
    books.send("C1", "C2")
    files = [
        of_acme(FIRST, "60"),
        of_zeta(SECOND, "15"),
        of_zeta(PAID_BACK, "85", trace="Z3", on="20261128", control=4),
    ]
    for number in order:
        post(books, files[number])
    assert books.balances() == {
        "income:charges": -20_000, "adjustment:contractual": 2_000, "receivable:payer:acme": 10_000, "receivable:next_payer": -8_000,
        "clearing:eft:acme": 6_000, "clearing:eft:zeta": 10_000,
    }  # fmt: skip
    check(books)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_corrected_first_decision_is_what_counts(books: Books, order: tuple[int, ...]) -> None:
    """The first payer takes back and pays 10.00 more instead of writing them off: the next one still repeats 80.00 in all."""
    books.send("C1", "C2")
    files = [
        of_acme(FIRST, "60"),
        of_zeta(SECOND, "15"),
        of_acme(FIRST_BACK, "110", trace="A2", on="20261128", control=4),
    ]
    for number in order:
        post(books, files[number])
    assert books.balances() == {
        "income:charges": -20_000, "adjustment:contractual": 1_000, "receivable:patient": 500, "clearing:eft:acme": 17_000,
        "clearing:eft:zeta": 1_500,
    }  # fmt: skip
    assert books.work() == []
    check(books)
