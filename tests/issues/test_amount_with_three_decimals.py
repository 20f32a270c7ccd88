"""'claimpipe prove ends with a defect since that payer's 835 came, every night.' BPR02 was 494.850: a decimal as X12 allows it."""

from __future__ import annotations

import pytest
from ledger.books import ON, Books, file_835, file_837, remittance

from pipeline.deposits import stage as deposits_stage
from pipeline.ledger import proof
from pipeline.money import LARGEST_CENTS, received_cents
from pipeline.remittances import stage
from pipeline.reports import summary
from pipeline.store import register as r


def paid(stated: str) -> bytes:
    return file_835(remittance("CLP*C1*1*494.85*494.85**12*ICN1*11", amount=stated))


@pytest.mark.parametrize("stated", ["494.850", "494.8500", "0494.85", "494.85"])
def test_every_way_to_write_an_amount_is_posted_and_proved(books: Books, stated: str) -> None:
    books.send("C1", cents=49_485)
    books.receive(paid(stated), "835")
    stage.run(books.store, ON)
    deposits_stage.run(books.store, ON)
    (taken,) = books.rows(r.remittances)
    assert (taken.amount_cents, taken.state) == (49_485, "posted")
    result = proof.prove(books.store)
    assert {line.name: line.difference for line in result.lines if "BPR02" in line.name} == {
        "amounts of posted remittances (BPR02) = debits of clearing": 0,
        "BPR02 of the archived 835 files = amounts of remittances": 0,
    }
    assert summary.gather(books.store, ON, result).came.remitted == 49_485


@pytest.mark.parametrize(
    "stated", ["NaN", "1E5", "-0", "9" * 19, "9" * 25, "494.855", "INF", "", "4,94", "1000000000001", "9" * 16 + ".99"]
)
def test_what_is_no_amount_stops_neither_posting_nor_proof_nor_reports(books: Books, stated: str) -> None:
    books.send("C1", cents=49_485, data=file_837(("C1", "494.85")))
    books.receive(paid(stated), "835")
    good = file_835(remittance("CLP*C1*1*494.85*494.85**12*ICN1*11", amount="494.85", trace="T2"), control=2)
    books.receive(good, "835")
    stage.run(books.store, ON)
    deposits_stage.run(books.store, ON)
    assert [row.trace for row in books.rows(r.remittances) if row.state == "posted"] == ["T2"]
    result = proof.prove(books.store)
    assert [line.name for line in result.lines if line.difference] == []
    assert summary.gather(books.store, ON, result).came.remitted == 49_485
    assert [item for item in books.work() if item.queue in ("remittance", "file")]


@pytest.mark.parametrize(
    ("text", "cents"),
    [
        ("494.850", 49_485), (".5", 50), ("7.", 700), ("-3.10", -310), ("0", 0), ("-0", 0), ("1000000000000", LARGEST_CENTS),
        ("1000000000000.01", None), ("1.005", None), ("1E5", None), ("NaN", None), ("", None), (".", None), ("²", None),
        ("9" * 5_000, None), ("1,000", None), ("1_000", None),
    ],
)  # fmt: skip
def test_received_amounts(text: str, cents: int | None) -> None:
    assert received_cents(text) == cents


@pytest.mark.parametrize("stated", ["NaN", "9" * 5_000, "²", "12.345"])
def test_illegible_amounts_in_archived_files_are_a_difference_and_no_exception(stated: str) -> None:
    data = file_835(remittance("CLP*C1*1*1*1**12*I*11", amount=stated), remittance("", amount="2", trace="T2"))
    assert list(proof.payments_in(data)) == [(1, 0), (2, 200)]
    bank = f"16,165,{stated},0,,,X\n16,16²,1,0,,,X\n16,165,-500,0,,,X\n 16,165,700,0,,,X".encode()
    assert proof.details_in(bank) == 700
