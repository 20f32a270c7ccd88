"""'The payer sent the 835 again, corrected, with the same trace, and it was refused as another content of the one that was held.'

What never posted gives way to its correction. What is posted does not: another content of it goes to a person.
"""

import pytest
from ledger.books import ON, Books, file_835, remittance

from pipeline.ledger import proof
from pipeline.remittances import stage
from pipeline.store import register as r

GOOD = "CLP*C1*1*100*80**12*I1*11\nCAS*CO*45*20"
BAD = GOOD.replace("CAS*CO*45*20", "CAS*CO*45*19")


def came(books: Books, claims: str, control: int, **said: str) -> dict[str, int]:
    said.setdefault("amount", "80")
    books.receive(file_835(remittance(claims, **said), control=control), "835")
    return stage.run(books.store, ON)


def states(books: Books) -> list[str]:
    return sorted(row.state for row in books.rows(r.remittances))


@pytest.mark.parametrize("said", [{}, {"on": "20261126"}], ids=["same date", "a day later"])
def test_a_correction_replaces_what_was_held_and_closes_its_item(books: Books, said: dict[str, str]) -> None:
    books.send("C1")
    assert came(books, BAD, 1)["remittances_held"] == 1
    counts = came(books, GOOD, 2, **said)
    assert (counts["remittances_posted"], counts["remittances_replaced"]) == (1, 1)
    assert states(books) == ["posted", "replaced"]
    assert books.balances() == {"income:charges": -10_000, "adjustment:contractual": 2_000, "clearing:eft:acme": 8_000}
    assert books.work() == []
    assert [i.resolution for i in books.work(state="done")] == ["replaced by a newer remittance of its trace"]
    found = proof.prove(books.store, archive=False)
    assert found.residue_cents == 0


def test_a_correction_of_the_amount_replaces_it_too(books: Books) -> None:
    books.send("C1")
    came(books, GOOD, 1, amount="79.99")
    assert came(books, GOOD, 2)["remittances_posted"] == 1
    assert [row.amount_cents for row in books.rows(r.remittances) if row.state == "posted"] == [8_000]


def test_a_correction_that_does_not_balance_either_is_held_in_its_place(books: Books) -> None:
    books.send("C1")
    came(books, BAD, 1)
    came(books, BAD.replace("19", "18"), 2)
    assert states(books) == ["held", "replaced"]
    (item,) = books.work()
    assert "difference 2.00" in item.reason
    assert came(books, GOOD, 3)["remittances_posted"] == 1
    assert books.work() == []


def test_what_was_replaced_and_comes_again_changes_nothing(books: Books) -> None:
    books.send("C1")
    came(books, BAD, 1)
    came(books, GOOD, 2)
    before = books.by_claim()
    assert came(books, BAD, 3)["remittances_known"] == 1
    assert (states(books), books.by_claim(), books.work()) == (["posted", "replaced"], before, [])


def test_the_held_one_that_comes_after_its_correction_goes_to_a_person(books: Books) -> None:
    books.send("C1")
    came(books, GOOD, 1)
    before = books.by_claim()
    assert came(books, BAD, 2)["remittances_conflict"] == 1
    assert books.by_claim() == before
    assert [(i.cause, i.cents) for i in books.work()] == [("835.conflict", 8_000)]
