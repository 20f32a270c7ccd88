"""'The payer decided our claim in two parts, a week apart, and both still say that it decided too little.' What a payer has decided of a
claim is all that it has not taken back: parts that make up the charge leave nothing to ask for, in whatever order they come, and
where one of them is taken back, the other one is too little again.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

from ledger.books import ON, Books, file_835, remittance

from pipeline.ledger import proof
from pipeline.remittances import stage

_FIRST = file_835(remittance("CLP*C1*1*60*50**12*I1*11\nCAS*CO*45*10", amount="50", trace="T1", on="20261123"))
_REST = file_835(remittance("CLP*C1*1*40*40**12*I2*11", amount="40", trace="T2", on="20261124"), control=2)
_BACK = file_835(
    remittance("CLP*C1*22*-40*-40**12*I2*11\nCLP*C2*1*100*100**12*P*11", amount="60", trace="T3", on="20261125"),
    control=3,
)


def post(books: Books, data: bytes) -> None:
    books.receive(data, "835")
    stage.run(books.store, ON)
    assert not any(stage.run(books.store, ON).values())


def too_low(books: Books) -> list[int]:
    return [item.cents for item in books.work("remittance") if item.cause == "charge-too-low"]


def test_parts_in_two_remittances_are_one_decision(books: Books) -> None:
    books.send("C1", "C2")
    post(books, _FIRST)
    assert too_low(books) == [4_000]
    post(books, _REST)
    assert books.work() == []
    assert books.balances()["clearing:eft:acme"] == 9_000
    post(books, _BACK)
    assert too_low(books) == [4_000]
    assert books.by_claim()["C1", "receivable:payer:acme", ""] == 4_000
    assert proof.prove(books.store, archive=False).residue_cents == 0


def test_in_every_order_the_same_is_left_to_do(fresh_books: Callable[[], Books]) -> None:
    for order in itertools.permutations((_FIRST, _REST, _BACK)):
        books = fresh_books()
        books.send("C1", "C2")
        for data in order:
            post(books, data)
        assert [(i.cause, i.cents) for i in books.work()] == [("charge-too-low", 4_000)]


def test_one_part_that_came_twice_is_no_whole(books: Books) -> None:
    books.send("C1")
    post(books, _FIRST)
    post(books, file_835(remittance("CLP*C1*1*60*50**12*I1*11\nCAS*CO*45*10", amount="50", trace="T9"), control=9))
    assert too_low(books) == [4_000, 4_000]


def test_a_refusal_of_a_claim_to_a_second_payer_is_about_what_it_could_owe(books: Books) -> None:
    """CLP02 4: the dollars of its item are what the earlier payers left, not the charge that they settled."""
    books.send("C1", earlier_cents=8_000)
    post(books, file_835(remittance("CLP*C1*4*100*0**12*I1*11\nCAS*OA*31*100", amount="0", method="NON")))
    assert [(i.queue, i.cause, i.cents) for i in books.work()] == [("denial", "status-4", 2_000)]
