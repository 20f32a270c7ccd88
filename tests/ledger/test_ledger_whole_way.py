"""Charge to bank on each database that the register runs on."""

from __future__ import annotations

from pathlib import Path

from ledger.books import ON, Books, envelope, file_835, file_837, remittance

from pipeline.acknowledgments import stage as acknowledgments
from pipeline.deposits import stage as deposits
from pipeline.ledger import proof
from pipeline.remittances import stage as remittances
from pipeline.store import Store

REPORT = b"""\
01,BANK,US,261130,0800,1,,,2/
02,US,BANK,1,261130,,USD,2/
03,1111,USD/
16,165,3000,0,,,ACME TRN*1*T2*1999999991
16,115,50,0,,,LOCKBOX
49,3050,4/
98,3050,1,6/
99,3050,1,8/
"""


def test_charge_to_bank(any_store: Store, tmp_path: Path) -> None:
    """Acknowledged, paid, taken back and paid again less, deposited; a reversal that comes first; and the proof closes."""
    books = Books.open(any_store, tmp_path / "payers")
    books.send("C1", "C2", "C3", data=file_837(("C1", "100"), ("C2", "100"), ("C3", "100")), sets=("0001",))
    books.receive(envelope("FA", "005010X231A1", ["AK1*HC*1\nAK2*837*0001\nIK5*A\nAK9*A*1*1*1"], control=5), "999")
    acknowledgments.run(any_store, ON)
    assert set(books.states().values()) == {"received"}
    back = """
    CLP*C1*22*-100*-80**12*I1*11
    CAS*CO*45*-20
    CLP*C2*1*100*60**12*I2*11
    CAS*PR*1*40
    CLP*C1*1*100*70**12*I3*11
    CAS*CO*45*30
    CLP*C3*1*100*0**12*I4*11
    CAS*CO*197*100
    """
    for number, text in enumerate(
        (
            remittance(back, amount="30", trace="T2", tail="PLB*1234567893*20261231*WO:X*20"),
            remittance("CLP*C1*1*100*80**12*I1*11\nCAS*CO*45*20", amount="80", trace="T1"),
        )
    ):
        books.receive(file_835(text, control=10 + number), "835")
        remittances.run(any_store, ON)
    books.receive(REPORT, "BAI2", "bank")
    deposits.run(any_store, ON)
    assert books.states() == {"C1": "paid", "C2": "paid", "C3": "denied"}
    assert books.balances() == {
        "income:charges": -30_000, "receivable:payer:acme": 10_000, "receivable:patient": 4_000,
        "adjustment:contractual": 3_000, "clearing:eft:acme": 8_000, "provider_adjustment:WO": 2_000,
        "bank:operating": 3_050, "suspense:deposits": -50,
    }  # fmt: skip
    found = proof.prove(any_store)
    assert found.residue_cents == 0
    assert found.broken == ["3 visits are of extracts that the register does not know."]
    for stage in (acknowledgments, remittances, deposits):
        assert not any(stage.run(any_store, ON).values())
