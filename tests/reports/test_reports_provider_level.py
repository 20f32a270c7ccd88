"""Open provider-level adjustments: what was forwarded or taken comes to 0 by its reference, and what has not is shown."""

from __future__ import annotations

import itertools
import json

import pytest
from ledger.books import ON, ZETA_ORIGIN, Books, file_835, remittance
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.ledger import policy
from pipeline.remittances import stage as remittances
from pipeline.reports import provider_level

PAID = "CLP*{0}*1*100*100**12*I{0}*11"
BACK = "CLP*C1*22*-100*-100**12*IC1*11"


def post(books: Books, claims: str, amount: int, plb: str = "", trace: str = "T1", **said: str) -> None:
    tail = f"PLB*1234567893*20261231*{plb}" if plb else ""
    said.setdefault("method", "ACH" if amount else "NON")
    books.receive(file_835(remittance(claims, amount=str(amount), trace=trace, tail=tail, **said)), "835", "")
    remittances.run(books.store, ON)


def told(books: Books, *, settled: bool = False) -> list[tuple[str, str, str, int, tuple[str, ...]]]:
    with books.store.read() as c:
        return [
            (x.payer, x.what, x.reference, x.cents, x.claims) for x in provider_level.still_open(c, settled=settled)
        ]


def test_a_forward_balance_is_open_until_it_is_consumed(books: Books) -> None:
    books.send("C1", "C2", "C3")
    post(books, PAID.format("C1"), 100)
    assert told(books) == []
    post(books, BACK, 0, "FB:IC1*-100", trace="T2")
    assert told(books) == [("acme", "forward balance", "IC1", -10_000, ("C1",))]
    post(books, PAID.format("C2"), 70, "FB:IC1*30", trace="T3")
    assert told(books) == [("acme", "forward balance", "IC1", -7_000, ("C1",))]
    post(books, PAID.format("C3"), 30, "FB:IC1*70", trace="T4")
    assert told(books) == []
    assert told(books, settled=True) == [("acme", "forward balance", "IC1", 0, ("C1",))]


@pytest.mark.parametrize("order", list(itertools.permutations(range(2))), ids=str)
def test_a_take_back_and_its_refund_come_to_nothing_in_any_order(books: Books, order: tuple[int, ...]) -> None:
    books.send("C1", "C2")
    posts = [(PAID.format("C1"), 80, "WO:R1*20", "T1"), (PAID.format("C2"), 120, "72:R1*-20", "T2")]
    first, second = (posts[n] for n in order)
    post(books, *first[:3], trace=first[3])
    assert told(books) == [("acme", "take-back", "R1", 2_000 if order[0] == 0 else -2_000, ())]
    post(books, *second[:3], trace=second[3])
    assert told(books) == []


def test_neither_references_nor_payers_nor_kinds_are_mixed(books: Books) -> None:
    books.send("C1", "C2")
    books.send("D1", payer_key="zeta", number=2)
    post(books, PAID.format("C1"), 90, "WO:R1*10")
    post(books, PAID.format("C2"), 110, "WO:R2*-10", trace="T2")
    post(books, PAID.format("D1"), 110, "WO:R1*-10", trace="Z1", origin=ZETA_ORIGIN)
    assert {row[:4] for row in told(books)} == {
        ("acme", "take-back", "R1", 1_000), ("acme", "take-back", "R2", -1_000), ("zeta", "take-back", "R1", -1_000),
    }  # fmt: skip


def test_what_is_final_when_it_is_posted_is_not_open(books: Books) -> None:
    books.send("C1")
    post(books, PAID.format("C1"), 103, "L6:X*-5*CS:Y*2")
    assert told(books, settled=True) == []
    assert set(policy.nets()) <= set(policy.provider_reasons())


def test_a_member_number_behind_the_claims_number_is_not_shown(books: Books) -> None:
    """Medicare puts the beneficiary's number behind the claim's number."""
    books.send("C1")
    post(books, PAID.format("C1"), 90, "WO:0012345678901234567MEMBER99*10")
    home = ["--home", str(books.store.settings.home)]
    listed = CliRunner().invoke(app, ["work", "provider-level", *home])
    assert "0012345678901234567…" in listed.stdout
    (row,) = [
        json.loads(line)
        for line in CliRunner().invoke(app, ["work", "provider-level", "--json", *home]).stdout.splitlines()
    ]
    assert (row["cents"], row["payer"], row["reasons"]) == (1_000, "acme", "WO")
    assert "MEMBER" not in listed.stdout + json.dumps(row)
