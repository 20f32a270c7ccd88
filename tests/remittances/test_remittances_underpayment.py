"""C5: a payment below what the contract lets expect makes one item of the queue `underpayment`."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from ledger.books import ON, SENT, Books, file_835, remittance

from pipeline.codes import loading
from pipeline.remittances import stage

CONTRACT = (
    "payer,procedure,modifier,place,method,value,locality,effective_from,effective_to\n"
    "acme,10000,,,fixed,80.00,,2026-01-01,\n"
    "acme,10000,,22,fixed,50.00,,2026-01-01,\n"
    "acme,20000,,,percent_of_charge,50,,2026-01-01,\n"
)


@pytest.fixture
def agreed(books: Books, tmp_path: Path) -> Books:
    """Books whose payer acme has a contract; C1 has lines of 100.00 and 40.00."""
    path = tmp_path / "contract.csv"
    path.write_text(CONTRACT)
    assert loading.load([path], books.store.settings.home, effective_from=date(2026, 1, 1)).findings == []
    books.send("C1", cents=14_000, lines=[("10000", "", SENT, 10_000, "11"), ("20000", "", SENT, 4_000, "11")])
    return books


def post(books: Books, claims: str, amount: str, **more: str) -> list[tuple[str, str, int]]:
    books.receive(file_835(remittance(claims, amount=amount, **more)), "835", "acme")
    stage.run(books.store, ON)
    return shorts(books)


def shorts(books: Books) -> list[tuple[str, str, int]]:
    return [(i.cause, i.claim_id, i.cents) for i in items(books)]


def items(books: Books) -> list:
    from pipeline.store import register as r

    return [i for i in books.rows(r.work_items) if i.queue == "underpayment" and i.state == "open"]


PAID = """
CLP*C1*1*140*{paid}*{patient}*12*ICN1*11
SVC*HC:10000*100*{first}**1
DTM*472*20261120
{cas}
REF*6R*C1-1
SVC*HC:20000*40*20**1
DTM*472*20261120
CAS*CO*45*20
REF*6R*C1-2
"""


def test_a_payment_as_agreed_makes_no_item(agreed: Books):
    claims = PAID.format(paid="90", patient="10", first="70", cas="CAS*CO*45*20\nCAS*PR*2*10")
    assert post(agreed, claims, "90") == []


def test_a_payment_below_the_contract_makes_one_item_with_its_dollars(agreed: Books):
    """80.00 are agreed; 65.00 paid and 10.00 left to the patient are 75.00."""
    claims = PAID.format(paid="85", patient="10", first="65", cas="CAS*CO*45*25\nCAS*PR*2*10")
    assert post(agreed, claims, "85") == [("underpaid", "C1", 500)]
    (item,) = items(agreed)
    assert item.reason == "Line 1 (10000): allowed 75.00, expected 80.00 (80 fixed for 10000 since 2026-01-01)."
    assert item.due_on == date(2027, 1, 24)  # sixty days after the payment
    assert item.payer_key == "acme"
    stage.run(agreed.store, ON)
    assert shorts(agreed) == [("underpaid", "C1", 500)]


def test_two_short_lines_are_one_item(agreed: Books):
    claims = PAID.format(paid="80", patient="0", first="70", cas="CAS*CO*45*30").replace("SVC*HC:20000*40*20", "SVC*HC:20000*40*10").replace("CAS*CO*45*20", "CAS*CO*45*30")  # fmt: skip
    assert post(agreed, claims, "80") == [("underpaid", "C1", 2_000)]


def test_sequestration_lowers_the_payment_and_not_what_is_allowed(agreed: Books):
    claims = PAID.format(paid="98.40", patient="0", first="78.40", cas="CAS*CO*45*20**253*1.60")
    assert post(agreed, claims, "98.4") == []


def test_a_denied_line_is_a_denial_and_no_variance(agreed: Books):
    claims = PAID.format(paid="20", patient="0", first="0", cas="CAS*CO*197*100")
    assert post(agreed, claims, "20") == []


def test_a_second_payers_payment_is_not_compared(agreed: Books):
    claims = PAID.format(paid="20", patient="0", first="0", cas="CAS*OA*23*100").replace("C1*1*140", "C1*2*140")
    assert post(agreed, claims, "20") == []


def test_the_tolerance_of_the_payer_is_left_alone(agreed: Books):
    folder = Path(agreed.store.settings.payers_dir)
    profile = folder / "acme.toml"
    profile.write_text(profile.read_text().replace("filing_days", "underpayment_tolerance_cents = 500\nfiling_days"))
    from pipeline import payers

    payers._load.cache_clear()
    claims = PAID.format(paid="85", patient="10", first="65", cas="CAS*CO*45*25\nCAS*PR*2*10")
    assert post(agreed, claims, "85") == []
    payers._load.cache_clear()


def test_a_payment_without_lines_is_compared_as_a_whole(agreed: Books):
    assert post(agreed, "CLP*C1*1*140*90**12*ICN1*11\nCAS*CO*45*50", "90") == [("underpaid", "C1", 1_000)]


def test_a_line_split_by_the_payer_counts_together(agreed: Books):
    claims = """
    CLP*C1*1*140*100**12*ICN1*11
    SVC*HC:10000*60*50**1
    DTM*472*20261120
    CAS*CO*45*10
    REF*6R*C1-1
    SVC*HC:10000*40*30**1
    DTM*472*20261120
    CAS*CO*45*10
    REF*6R*C1-1
    SVC*HC:20000*40*20**1
    DTM*472*20261120
    CAS*CO*45*20
    REF*6R*C1-2
    """
    assert post(agreed, claims, "100") == []


def test_a_payment_taken_back_closes_its_item(agreed: Books):
    claims = PAID.format(paid="85", patient="10", first="65", cas="CAS*CO*45*25\nCAS*PR*2*10")
    assert len(post(agreed, claims, "85")) == 1
    back = """
    CLP*C1*22*-140*-85*-10*12*ICN1*11
    SVC*HC:10000*-100*-65**1
    DTM*472*20261120
    CAS*CO*45*-25
    CAS*PR*2*-10
    REF*6R*C1-1
    SVC*HC:20000*-40*-20**1
    DTM*472*20261120
    CAS*CO*45*-20
    REF*6R*C1-2
    """
    right = PAID.format(paid="90", patient="10", first="70", cas="CAS*CO*45*20\nCAS*PR*2*10")
    assert post(agreed, f"{back.strip()}\n{right.strip()}", "5", trace="T2") == []


def test_the_place_of_service_of_the_line_chooses_the_term(agreed: Books):
    agreed.send("C2", cents=10_000, number=2, lines=[("10000", "", SENT, 10_000, "22")])
    claims = "CLP*C2*1*100*50**12*ICN2*11\nSVC*HC:10000*100*50**1\nDTM*472*20261120\nCAS*CO*45*50\nREF*6R*C2-1"
    assert post(agreed, claims, "50") == []


def test_without_a_contract_nothing_is_expected(books: Books):
    books.send("C1", cents=14_000, lines=[("10000", "", SENT, 10_000, "11"), ("20000", "", SENT, 4_000, "11")])
    claims = PAID.format(paid="21", patient="0", first="1", cas="CAS*CO*45*99")
    assert post(books, claims, "21") == []
