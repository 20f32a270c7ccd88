"""Bank files against remittances: by trace, amount and origin only; suspense for the rest; the daily tie."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

import pytest
import sqlalchemy as sa
from ledger.books import Books, file_835, remittance

from pipeline.deposits import stage
from pipeline.ledger import proof
from pipeline.remittances import stage as remittances_stage
from pipeline.store import register as r

#: Monday; the remittances of these tests are of Wednesday 25 November 2026
ON = date(2026, 11, 30)


def bai2(*credits: str, day: str = "261130", account: str = "000011112222") -> bytes:
    """A report with one account; credits are written TYPE,AMOUNT,,,,TEXT."""
    total = sum(int(c.split(",")[1]) for c in credits)
    lines = [f"03,{account},USD/", *(f"16,{c}" for c in credits)]
    lines.append(f"49,{total},{len(lines) + 1}/")
    count = len(lines)
    return "\n".join(
        [
            f"01,BANK,US,{day},0800,1,,,2/", f"02,US,BANK,1,{day},,USD,2/", *lines,
            f"98,{total},1,{count + 2}/", f"99,{total},1,{count + 4}/", "",
        ]
    ).encode()  # fmt: skip


def eft_credit(cents: int, trace: str, origin: str = "1999999991", type_code: str = "165") -> str:
    return f"{type_code},{cents},0,,,ACME HCCLAIMPMT TRN*1*{trace}*{origin}\\"


def nacha(cents: int, trace: str, effective: str = "261125", origin: str = "1999999991") -> bytes:
    records = [
        "101 011000015 0910000192611240800A094101CLINIC BANK            PAYER BANK",
        f"5220ACME INSURANCE                      {origin}CCDHCCLAIMPMT261124{effective}   1091000010000001",
        f"622011000015123456789        {cents:010d}1234567893     CLINIC                  1091000010000001",
        f"705TRN*1*{trace}*{origin}\\".ljust(83) + "00010000001",
        f"8220000002{1100001:010d}{0:012d}{cents:012d}{origin}".ljust(79) + "091000010000001",
        f"9000001000001{2:08d}{1100001:010d}{0:012d}{cents:012d}",
    ]
    return "\n".join(record.ljust(94) for record in records).encode()


def post_835(books: Books, number: int = 1, cents: int = 8_000, trace: str | None = None, broken: bool = False) -> None:
    claim_id, paid = f"C{number}", f"{cents / 100:.2f}"
    books.send(claim_id, cents=cents, number=number)
    text = remittance(f"CLP*{claim_id}*1*{paid}*{paid}**12*ICN{number}*11", amount=paid, trace=trace or f"T{number}")
    if broken:
        text = text.replace(f"BPR*I*{paid}", "BPR*I*0.07")
    books.receive(file_835(text, control=number), "835")
    remittances_stage.run(books.store, ON)


def bank(books: Books, *files: tuple[bytes, str], on: date = ON) -> dict[str, int]:
    for data, kind in files:
        books.receive(data, kind, "bank")
    return stage.run(books.store, on)


def suspense(books: Books) -> int:
    return -books.balances().get("suspense:deposits", 0)


def in_the_books(books: Books) -> None:
    """I6, and the tie: what the bank shows is matched or in suspense."""
    deposits = sum(row.amount_cents for row in books.rows(r.deposits))
    assert deposits == sum(row.cents for row in books.rows(r.matches)) + suspense(books)
    assert books.balances().get("bank:operating", 0) == deposits


def test_eft_era_and_deposit_meet_by_trace(books: Books) -> None:
    post_835(books)
    counts = bank(books, (nacha(8_000, "T1"), "NACHA"), (bai2(eft_credit(8_000, "T1")), "BAI2"))
    assert (counts["matched"], counts["matched_cents"], counts["efts"]) == (1, 8_000, 1)
    (match,) = books.rows(r.matches)
    assert match.method == "trace"
    assert (match.remittance_id, match.eft_id) == (
        books.rows(r.remittances)[0].remittance_id, books.rows(r.efts)[0].eft_id,
    )  # fmt: skip
    assert books.balances() == {"income:charges": -8_000, "bank:operating": 8_000}
    assert [row.account for row in books.rows(r.deposits)] == ["2222"]  # the account's number is not kept
    assert books.work() == []


@pytest.mark.parametrize(
    ("credit", "cause"),
    [
        (eft_credit(8_000, "T2"), "no-remittance"),
        (eft_credit(8_001, "T1"), "other-amount"),
        (eft_credit(8_000, "T1", "1999999992"), "other-origin"),
        ("165,8000,0,,,ACME PAYMENT", "no-trace"),
        ("115,8000,0,,,LOCKBOX", "no-trace"),
    ],
    ids=["equal amount, other trace", "a cent more", "other origin", "no trace", "lockbox"],
)
def test_what_does_not_meet_stands_in_suspense_and_is_never_forced(books: Books, credit: str, cause: str) -> None:
    post_835(books)
    bank(books, (bai2(credit), "BAI2"))
    assert books.rows(r.matches) == []
    assert suspense(books) == int(credit.split(",")[1])
    assert books.balances()["clearing:eft:acme"] == 8_000
    (item,) = [i for i in books.work("deposit") if i.cause == cause]
    assert item.due_on == date(2026, 12, 3)
    in_the_books(books)


def test_two_equal_amounts_meet_their_own_traces(books: Books) -> None:
    post_835(books, 1)
    post_835(books, 2)
    bank(books, (bai2(eft_credit(8_000, "T2")), "BAI2"))
    (match,) = books.rows(r.matches)
    trace = {row.remittance_id: row.trace for row in books.rows(r.remittances)}
    assert trace[match.remittance_id] == "T2"


def test_a_deposit_before_its_remittance_leaves_suspense_when_it_comes(books: Books) -> None:
    bank(books, (bai2(eft_credit(8_000, "T1")), "BAI2"))
    assert suspense(books) == 8_000
    in_the_books(books)
    post_835(books)
    counts = stage.run(books.store, ON)
    assert counts["matched"] == 1
    assert books.balances() == {"income:charges": -8_000, "bank:operating": 8_000}
    assert books.work() == []
    in_the_books(books)


def test_a_held_remittance_meets_no_deposit(books: Books) -> None:
    post_835(books, broken=True)
    bank(books, (bai2(eft_credit(7, "T1")), "BAI2"))
    assert suspense(books) == 7
    assert "held-remittance" in [item.cause for item in books.work("deposit")]
    assert books.balances().get("clearing:eft:acme", 0) == 0


def test_a_payment_that_comes_twice_meets_once(books: Books) -> None:
    post_835(books)
    bank(books, (bai2(eft_credit(8_000, "T1")), "BAI2"))
    bank(books, (bai2(eft_credit(8_000, "T1"), day="261201"), "BAI2"))
    assert len(books.rows(r.matches)) == 1
    assert suspense(books) == 8_000
    assert [item.cause for item in books.work("deposit")] == ["twice"]


def test_the_same_credit_in_two_reports_is_one_deposit(books: Books) -> None:
    """An interim report and the final one: the credit of both, and one more that is new."""
    post_835(books)
    bank(books, (bai2(eft_credit(8_000, "T1")), "BAI2"))
    bank(books, (bai2(eft_credit(8_000, "T1"), "115,100,0,,,LOCKBOX"), "BAI2"))
    assert sorted(row.amount_cents for row in books.rows(r.deposits)) == [100, 8_000]


def test_two_like_credits_in_one_report_are_two_deposits(books: Books) -> None:
    bank(books, (bai2("115,100,0,,,LOCKBOX", "115,100,0,,,LOCKBOX"), "BAI2"))
    assert suspense(books) == 200


def test_interest_is_no_claim_payment(books: Books) -> None:
    counts = bank(books, (bai2("354,33,0,,,INTEREST"), "BAI2"))
    assert counts["not_claims_cents"] == 33
    assert books.balances() == {"bank:operating": 33, "not_claims:deposits": -33}
    assert books.work() == []
    in_the_books(books)


def test_a_debit_that_names_a_trace_stands_in_suspense(books: Books) -> None:
    bank(books, (bai2(eft_credit(500, "T1", type_code="455"), "475,900,0,,,CHECK 17"), "BAI2"))
    assert [row.amount_cents for row in books.rows(r.deposits)] == [-500]
    assert suspense(books) == -500
    in_the_books(books)
    assert [(item.cause, item.cents) for item in books.work()] == [("debit", 500)]


def test_a_rejected_account_gives_no_deposit_and_a_person_is_told(books: Books) -> None:
    data = (
        bai2(eft_credit(8_000, "T1"))
        .replace(b"49,8000,", b"49,8001,")
        .replace(b"98,8000", b"98,8001")
        .replace(b"99,8000", b"99,8001")
    )
    bank(books, (data, "BAI2"))
    assert books.rows(r.deposits) == []
    assert [f.state for f in books.rows(r.files)] == ["quarantined"]
    assert [(item.queue, item.cause) for item in books.work()] == [("file", "bai2.account_total")]


def test_every_order_of_arrival_ends_in_the_same_books(fresh_books: Callable[[], Books]) -> None:
    results = []
    for order in itertools.permutations(("835", "NACHA", "BAI2")):
        books = fresh_books()
        for name in order:
            if name == "835":
                post_835(books)
            else:
                books.receive(nacha(8_000, "T1") if name == "NACHA" else bai2(eft_credit(8_000, "T1")), name, "bank")
            stage.run(books.store, ON)
        assert books.work() == []
        results.append((books.balances(), [(m.deposit_id, m.remittance_id) for m in books.rows(r.matches)]))
    assert all(found == results[0] for found in results)
    assert results[0][0] == {"income:charges": -8_000, "bank:operating": 8_000}


def test_the_stage_again_writes_nothing(books: Books) -> None:
    post_835(books)
    bank(books, (bai2(eft_credit(8_000, "T1"), "115,5,0,,,X"), "BAI2"), (nacha(1, "T9"), "NACHA"), on=date(2026, 12, 1))
    before = {table.name: books.rows(table) for table in r.metadata.sorted_tables}
    assert not any(stage.run(books.store, date(2026, 12, 1)).values())
    assert {table.name: books.rows(table) for table in r.metadata.sorted_tables} == before


def test_one_sided_items_alarm_on_the_third_bank_day(books: Books) -> None:
    """Of Wednesday 25 November: Thanksgiving does not count, so Friday, Monday, and Tuesday is the third."""
    post_835(books)
    bank(books, (nacha(99, "T9"), "NACHA"), on=date(2026, 11, 30))
    assert books.work() == []
    stage.run(books.store, date(2026, 12, 1))
    assert [(i.cause, i.cents) for i in books.work("deposit")] == [
        ("eft-without-remittance", 99),
        ("no-deposit", 8_000),
    ]
    bank(books, (bai2(eft_credit(8_000, "T1"), day="261201"), "BAI2"), on=date(2026, 12, 1))
    assert [i.cause for i in books.work("deposit")] == ["eft-without-remittance"]


def lines(books: Books, on: date) -> Sequence[stage.TieLine]:
    with books.store.read() as c:
        return stage.tie(c, on).lines


def test_the_daily_tie_itemises_every_cent(books: Books) -> None:
    post_835(books, 1)
    post_835(books, 2, cents=500)
    credits = (eft_credit(8_000, "T1"), eft_credit(700, "T7"), eft_credit(60, "T8"), "354,5,0,,,INTEREST")
    bank(books, (bai2(*credits), "BAI2"), (bai2(eft_credit(500, "T2"), day="261201", account="99990000"), "BAI2"),
         (nacha(60, "T8"), "NACHA"))  # fmt: skip
    assert lines(books, ON) == (stage.TieLine("2222", 8_765, 8_000, 700, 60, 5),)
    assert lines(books, date(2026, 12, 1)) == (stage.TieLine("0000", 500, 500, 0, 0, 0),)
    with books.store.read() as c:
        assert stage.tie(c, ON).residue == 0


def test_the_tie_goes_through_no_entries_but_those_of_its_deposits(books: Books) -> None:
    """The ledger grows with the years, and a day's deposits do not."""
    post_835(books)
    bank(books, (bai2(eft_credit(8_000, "T1")), "BAI2"))
    asked: list[tuple[str, Any]] = []
    with books.store.read() as c:
        sa.event.listen(c, "before_cursor_execute", lambda _c, _k, text, values, *_: asked.append((text, values)))
        assert stage.tie(c, ON).residue == 0
        about = [(text, values) for text, values in asked if "ledger_entries" in text]
        plans = [
            row.detail for text, values in about for row in c.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", values)
        ]
    assert plans
    assert not [detail for detail in plans if detail.startswith("SCAN")]


def test_the_tie_shows_what_the_ledger_does_not_explain(books: Books) -> None:
    """A deposit that somebody put into the register beside the stage is a residue, and the proof does not close."""
    post_835(books)
    bank(books, (bai2(eft_credit(8_000, "T1")), "BAI2"))
    with books.store.begin() as c:
        row = dict(c.execute(r.deposits.select()).one()._mapping) | {"deposit_id": "x", "amount_cents": 11}
        c.execute(r.deposits.insert().values(row))
    with books.store.read() as c:
        assert stage.tie(c, ON).residue == 11
    assert not proof.prove(books.store, archive=False).closes
