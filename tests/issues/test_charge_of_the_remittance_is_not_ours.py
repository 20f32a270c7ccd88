"""'The payer keyed 1,000.00 for a claim of 100.00; the write-off of 900.00 was posted without a word.'

CLP03 is held against the claim's charge: more than we billed is an exception, less is posted and worked.
"""

from ledger.books import ON, Books, file_835, remittance

from pipeline.remittances import stage
from pipeline.store import register as r


def post(books: Books, claims: str, amount: str, trace: str = "T1", control: int = 1) -> dict[str, int]:
    books.receive(file_835(remittance(claims, amount=amount, trace=trace), control=control), "835")
    return stage.run(books.store, ON)


def test_a_larger_charge_is_an_exception_and_its_money_unapplied(books: Books) -> None:
    books.send("C1")
    post(books, "CLP*C1*1*1000*100**12*I1*11\nCAS*CO*45*900", "100")
    assert books.balances() == {
        "income:charges": -10_000, "receivable:payer:acme": 10_000, "clearing:eft:acme": 10_000,
        "unapplied:remittance": -10_000,
    }  # fmt: skip
    assert [(i.queue, i.cause, i.cents) for i in books.work()] == [("remittance", "charge-too-high", 10_000)]
    assert books.states() == {"C1": "sent"}
    assert not any(stage.run(books.store, ON).values())


def test_it_is_placed_once_our_charge_is_the_payers(books: Books) -> None:
    books.send("C1")
    post(books, "CLP*C1*1*120*100**12*I1*11\nCAS*CO*45*20", "100")
    with books.store.begin() as c:
        c.execute(r.claims.update().values(charge_cents=12_000))
    assert stage.run(books.store, ON)["exceptions_settled"] == 1
    assert books.states() == {"C1": "paid"}
    assert "unapplied:remittance" not in books.balances()
    assert "charge-too-high" not in [item.cause for item in books.work()]


def test_a_smaller_charge_is_posted_and_worked(books: Books) -> None:
    books.send("C1")
    post(books, "CLP*C1*1*70*60**12*I1*11\nCAS*CO*45*10", "60")
    assert books.balances()["receivable:payer:acme"] == 3_000
    assert [(i.queue, i.cause, i.cents) for i in books.work()] == [("remittance", "charge-too-low", 3_000)]


def test_a_claim_that_the_payer_split_within_a_remittance_is_whole(books: Books) -> None:
    books.send("C1")
    post(books, "CLP*C1*1*70*60**12*I1*11\nCAS*CO*45*10\nCLP*C1*1*30*30**12*I2*11", "90")
    assert books.work() == []


def test_what_is_taken_back_is_no_longer_worked(books: Books) -> None:
    books.send("C1", "C2")
    post(books, "CLP*C1*1*70*60**12*I1*11\nCAS*CO*45*10", "60")
    back = "CLP*C1*22*-70*-60**12*I1*11\nCAS*CO*45*-10\nCLP*C2*1*100*100**12*I3*11"
    post(books, back, "40", "T2", 2)
    assert books.work() == []
