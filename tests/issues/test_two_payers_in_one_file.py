"""'The clearinghouse glues the files of two payers together, and one payer's refusal fell on the other one's claims.'"""

from __future__ import annotations

from pathlib import Path

import pytest
from acknowledgments.test_acknowledgments_stage import PROVIDER, claim, f277, f999, ta1
from ledger.books import ON, SENT, ZETA_ORIGIN, Books, file_835, remittance
from reports.test_reports_work_actions import closes

from pipeline import transactions
from pipeline.acknowledgments import stage as acknowledgments
from pipeline.remittances import stage as remittances
from pipeline.store import register as r

PAID = "CLP*{0}*1*100*80**12*I{0}*11\nCAS*CO*45*20"


@pytest.fixture
def house(books: Books) -> Books:
    """Both payers are reached by one clearinghouse, and each has an interchange and a group number 1 of ours."""
    for key in ("acme", "zeta"):
        profile = Path(books.store.settings.payers_dir) / f"{key}.toml"
        profile.write_text(profile.read_text() + '[transport]\nkind = "folder"\noutbound = "/srv/out"\n')
    books.send("C1")
    books.send("D1", payer_key="zeta")
    return books


def by_zeta(data: bytes) -> bytes:
    return data.replace(b"*ZZ*ACME           *", b"*ZZ*ZETA           *").replace(
        b"*ACME*CLAIMPIPE*", b"*ZETA*CLAIMPIPE*"
    )


@pytest.mark.parametrize("route", ["acme", "zeta"])
def test_remittances_of_two_payers_in_one_file_post_each_to_its_payer(house: Books, route: str) -> None:
    first = file_835(remittance(PAID.format("C1"), amount="80"))
    second = by_zeta(file_835(remittance(PAID.format("D1"), amount="80", trace="Z1", origin=ZETA_ORIGIN), control=2))
    house.receive(first + second, transactions.identify(first + second), route)
    assert remittances.run(house.store, ON)["remittances_posted"] == 2
    assert {(m.payer_key, m.trace) for m in house.rows(r.remittances)} == {("acme", "T1"), ("zeta", "Z1")}
    assert house.balances() == {
        "income:charges": -20_000, "adjustment:contractual": 4_000, "clearing:eft:acme": 8_000, "clearing:eft:zeta": 8_000,
    }  # fmt: skip
    assert house.states() == {"C1": "paid", "D1": "paid"}
    assert house.work() == []
    closes(house)


REFUSED = {
    "TA1": (ta1("R", "022"), ta1("A", "000")),
    "999": (f999("AK2*837*0001*005010X222A1\nIK5*R*5", "AK9*R*1*1*0"), f999("AK2*837*0001*005010X222A1\nIK5*A")),
}


@pytest.mark.parametrize("route", ["acme", "zeta"])
@pytest.mark.parametrize("refused", ["C1", "D1"])
@pytest.mark.parametrize("kind", REFUSED)
def test_answers_under_one_number_move_the_claims_of_the_payer_that_sends_them(
    house: Books, kind: str, refused: str, route: str
) -> None:
    bad, good = REFUSED[kind]
    data = (bad + by_zeta(good)) if refused == "C1" else (good + by_zeta(bad))
    assert transactions.identify(data) == kind
    house.receive(data, kind, route)
    acknowledgments.run(house.store, SENT)
    assert house.states() == {"C1": "received", "D1": "received"} | {refused: "rejected"}
    assert [(i.queue, i.claim_id) for i in house.work()] == [("rejection", refused)]


@pytest.mark.parametrize("route", ["acme", "zeta"])
def test_claim_answers_of_two_payers_in_one_file(house: Books, route: str) -> None:
    bad = f277(f"{PROVIDER}\n{claim('C1', 'A7:562:85*20261120*U*100')}", batch="0000000010001")
    good = f277(f"{PROVIDER}\n{claim('D1', 'A2:20:PR*20261120*WQ*100')}", batch="0000000010001", control=10)
    house.receive(bad + by_zeta(good), "277CA", route)
    acknowledgments.run(house.store, SENT)
    assert house.states() == {"C1": "rejected", "D1": "accepted"}
    assert {(a.payer_key, a.claim_id) for a in house.rows(r.acknowledgments) if a.level == "claim"} == {
        ("acme", "C1"), ("zeta", "D1"),
    }  # fmt: skip


def test_a_sender_that_nobody_knows_speaks_for_the_payer_of_the_route(house: Books) -> None:
    data = ta1("R", "022").replace(b"*ZZ*ACME           *", b"*ZZ*HOUSE          *")
    house.receive(data, "TA1", "zeta")
    acknowledgments.run(house.store, SENT)
    assert house.states() == {"C1": "sent", "D1": "rejected"}


def test_payers_under_one_address_are_told_apart_by_our_number(books: Books) -> None:
    """A clearinghouse that receives for both has one sequence of numbers."""
    for key in ("acme", "zeta"):
        profile = Path(books.store.settings.payers_dir) / f"{key}.toml"
        text = profile.read_text().replace('receiver_id = "ZETA"', 'receiver_id = "ACME"')
        profile.write_text(text + '[transport]\nkind = "folder"\noutbound = "/srv/out"\n')
    books.send("C1")
    books.send("D1", payer_key="zeta", number=2)
    for number, control in ((1, 9), (2, 10)):
        books.receive(ta1("R", "022", control=f"{number:09d}", number=control), "TA1", "acme")
    acknowledgments.run(books.store, SENT)
    assert books.states() == {"C1": "rejected", "D1": "rejected"}


def test_a_payer_with_a_road_of_its_own_answers_whatever_its_sender_says(books: Books) -> None:
    books.send("C1")
    books.receive(by_zeta(ta1("R", "022")), "TA1", "acme")
    acknowledgments.run(books.store, SENT)
    assert books.states() == {"C1": "rejected"}
