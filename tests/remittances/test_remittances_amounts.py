"""Amounts as payers write them, at every place of an 835: zeros are no fraction, and a fraction is never rounded."""

import pytest
from ledger.books import ON, Books, file_835, file_837, remittance

from pipeline.ledger import proof
from pipeline.remittances import stage
from pipeline.store import register as r

CLAIM = "CLP*C1*1*500*{0}**12*I1*11\nCAS*CO*45*{1}"


def post(books: Books, amount: str, paid: str = "494.85", reduced: str = "5.15") -> dict[str, int]:
    books.send("C1", cents=50_000, data=file_837(("C1", "500")))
    books.receive(file_835(remittance(CLAIM.format(paid, reduced), amount=amount)), "835")
    return stage.run(books.store, ON)


@pytest.mark.parametrize(
    ("amount", "paid", "reduced"),
    [("494.850", "494.8500", "5.150"), ("00494.85", "0494.85", "05.15"), ("494.85", "494.85", "005.1500000")],
)
def test_zeros_change_no_amount(books: Books, amount: str, paid: str, reduced: str) -> None:
    assert post(books, amount, paid, reduced)["remittances_posted"] == 1
    assert books.balances()["clearing:eft:acme"] == 49_485
    found = proof.prove(books.store)
    assert [line for line in found.lines if line.difference] == []
    (line,) = [line for line in found.lines if line.name.startswith("BPR02 of the archived")]
    assert (line.expected, line.found) == (49_485, 49_485)


@pytest.mark.parametrize(
    ("amount", "paid", "reduced", "place"),
    [("494.855", "494.855", "5.145", "BPR"), ("494.85", "494.851", "5.149", "CLP"), ("494.85", "494.85", "5.1499", "CAS"),
     ("4.9485E2", "494.85", "5.15", "BPR"), ("+494.85", "494.85", "5.15", "BPR"), ("NaN", "494.85", "5.15", "BPR")],
)  # fmt: skip
def test_what_is_no_whole_cent_is_a_finding_and_nothing_posts(
    books: Books, amount: str, paid: str, reduced: str, place: str
) -> None:
    assert "remittances_posted" not in post(books, amount, paid, reduced)
    assert books.balances() == {"income:charges": -50_000, "receivable:payer:acme": 50_000}
    found = {(f.rule, f.segment_id) for f in books.rows(r.findings) if f.severity == "error"}
    assert ("amount.form", place) in found
    assert [item.queue for item in books.work()] == ["file"]
    assert proof.prove(books.store).residue_cents == 0


def test_a_negative_payment_is_held_and_the_proof_still_reads_it(books: Books) -> None:
    books.send("C1", cents=50_000, data=file_837(("C1", "500")))
    back = "CLP*C1*22*-500*-494.85**12*I1*11\nCAS*CO*45*-5.15"
    books.receive(file_835(remittance(back, amount="-494.850")), "835")
    assert stage.run(books.store, ON)["remittances_held"] == 1
    assert proof.prove(books.store).residue_cents == 0
