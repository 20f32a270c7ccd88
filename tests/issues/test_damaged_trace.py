"""'One remittance came again with four damaged bytes in it, and was posted as a payment of its own.'"""

from __future__ import annotations

import pytest
from ledger.books import Books, file_835, remittance
from reports.test_reports_work_actions import CLAIM, post

from pipeline.remittances import stage
from pipeline.store import register as r


@pytest.mark.parametrize("damage", [b"\x00", b"\x01", b"\x7f", b"\xff\xfe"])
def test_a_trace_with_damaged_bytes_is_no_other_payment(books: Books, damage: bytes) -> None:
    books.send("C1", "C2")
    post(books, CLAIM, trace="PAY12345")
    before = books.balances()
    data = file_835(
        remittance(CLAIM, amount="80", trace="PAY12345"), remittance(CLAIM.replace("C1", "C2"), amount="80", trace="T2"),
        control=2,
    )  # fmt: skip
    books.receive(data.replace(b"PAY12345", b"PAY1" + damage + b"345"), "835")
    stage.run(books.store, books.rows(r.files)[0].logical_date)
    assert books.states() == {"C1": "paid", "C2": "paid"}  # its neighbour is posted
    assert books.balances()["clearing:eft:acme"] == before["clearing:eft:acme"] + 8_000
    assert [item.cause for item in books.work()] == ["835.key"]
    assert len(books.rows(r.remittances)) == 2
