"""'An 835 dated 2099-12-31 was posted without a word.'"""

import pytest
from ledger.books import ON, Books, file_835, remittance

from pipeline.remittances import stage
from pipeline.store import register as r

TEXT = remittance("CLP*C1*1*100*80**12*I1*11\nCAS*CO*45*20", amount="80")


@pytest.mark.parametrize(("day", "state"), [("20991231", "held"), ("20271202", "held"), ("20271201", "posted")])
def test_a_payment_date_more_than_a_year_ahead_goes_to_a_person(books: Books, day: str, state: str) -> None:
    books.send("C1")
    [dated] = {line.split("*")[16] for line in TEXT.split("\n") if line.strip().startswith("BPR*")}
    books.receive(file_835(TEXT.replace(dated, day)), "835")
    stage.run(books.store, ON)
    assert [(row.state, row.reason) for row in books.rows(r.remittances)] == [
        (state, "835.date" if state == "held" else "")
    ]
