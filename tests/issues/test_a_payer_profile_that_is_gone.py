"""'We renamed a payer's profile, and its payments were booked as another payer's: every claim was overposted.'"""

from __future__ import annotations

from pathlib import Path

import pytest
from ledger.books import ON, Books, file_835, remittance
from reports.test_reports_work_actions import closes, decide

from pipeline import night, payers
from pipeline.errors import Terminal
from pipeline.remittances import stage

PAID = "CLP*C1*1*100*80**12*I1*11\nCAS*CO*45*20"
OTHER = "CLP*D1*1*100*80**12*ID*11\nCAS*CO*45*20"


@pytest.fixture
def renamed(books: Books) -> Path:
    """acme's profile has another key, and claims are out under the old one; returns its old place."""
    books.send("C1")
    books.send("D1", payer_key="zeta", number=2)
    place = Path(books.store.settings.payers_dir) / "acme.toml"
    place.rename(place.with_name("acme-health.toml"))
    return place


def test_a_payment_under_a_renamed_profile_waits_for_a_person(books: Books, renamed: Path) -> None:
    books.receive(file_835(remittance(PAID, amount="80")), "835")
    books.receive(file_835(remittance(OTHER, amount="80", trace="Z1", origin="1999999992"), control=2), "835", "zeta")
    stage.run(books.store, ON)
    (item,) = books.work()
    assert (item.queue, item.cause, item.cents) == ("remittance", "835.payer_gone", 8_000)
    assert "sent to acme" in item.reason
    assert books.states() == {"C1": "sent", "D1": "paid"}  # the neighbour posts
    assert "receivable:next_payer" not in books.balances()

    renamed.with_name("acme-health.toml").rename(renamed)
    payers._load.cache_clear()  # the next run is another process
    decide(books, "release")
    assert books.states() == {"C1": "paid", "D1": "paid"}
    assert books.balances()["clearing:eft:acme"] == 8_000
    assert books.work() == []
    closes(books)


def test_another_payers_payment_of_such_a_claim_is_released_as_it_is(books: Books, renamed: Path) -> None:
    books.receive(file_835(remittance(PAID, amount="80")), "835")
    stage.run(books.store, ON)
    decide(books, "release")
    assert books.balances()["receivable:next_payer"] == -10_000


def test_a_route_whose_profile_is_gone_says_what_to_do(books: Books, renamed: Path) -> None:
    with pytest.raises(Terminal, match=r"no payer profile acme.*give the profile back, under this key"):
        night.sweep(books.store, ON, "acme")
