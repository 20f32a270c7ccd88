from __future__ import annotations

from datetime import date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from payer_simulator.x12_oracle import aba_valid, bai2_deposits, nacha_entries

from pipeline.payer_simulator.bank import Deposit, Eft, bai2, deposit_text, nacha, routing_number


def eft(cents: int, trace: str = "T1", effective: date = date(2026, 11, 30), origin: str = "1520000001") -> Eft:
    return Eft(
        trace=trace, origin=origin, cents=cents, effective=effective, payer_name="MEDICARE", payee_name="RIVERSIDE CLINIC",
        payee_id="1234567893", routing=routing_number("01190037"), account="3506936708",
    )  # fmt: skip


def file_of(efts: list[Eft], trace_base: int = 0) -> bytes:
    return nacha(
        efts, created=datetime(2026, 11, 27, 2, 0), destination="011900377", destination_name="FIRST TRAINING BANK",
        origin_routing="011900254", origin_name="MEDICARE", trace_base=trace_base,
    )  # fmt: skip


def test_a_ccd_file_word_for_word() -> None:
    assert file_of([eft(2067284)]).decode().splitlines()[:6] == [
        "101 011900377 0119002542611270200A094101FIRST TRAINING BANK    MEDICARE                       ",
        "5220MEDICARE                            1520000001CCDHCCLAIMPMT261130261130   1011900250000001",
        "6220119003773506936708       00020672841234567893     RIVERSIDE CLINIC        1011900250000001",
        "705" + "TRN*1*T1*1520000001\\".ljust(80) + "0001" + "0000001",
        "822000000200011900370000000000000000020672841520000001                         011900250000001",
        "9000001000001000000020001190037000000000000000002067284                                       ",
    ]


@given(
    st.lists(st.tuples(st.integers(1, 10**10 - 1), st.integers(1, 28)), min_size=1, max_size=40),
    st.integers(0, 9_999_990),
)
def test_control_totals_hold(entries: list[tuple[int, int]], base: int) -> None:
    efts = [eft(cents, f"T{n}", date(2026, 11, day)) for n, (cents, day) in enumerate(entries)]
    if base + len(efts) > 9_999_999:
        base -= len(efts)
    read = nacha_entries(file_of(efts, base))
    assert [e["cents"] for e in read] == [e.cents for e in efts]
    assert [e["effective"] for e in read] == [f"{e.effective:%y%m%d}" for e in efts]
    assert [e["addenda"] for e in read] == [rf"TRN*1*T{n}*1520000001" + "\\" for n in range(len(efts))]
    assert {e["description"] for e in read} == {"HCCLAIMPMT"}


@pytest.mark.parametrize("cents", [0, -1, 10**10])
def test_an_amount_that_no_ach_entry_can_carry(cents: int) -> None:
    with pytest.raises(ValueError, match="ACH entry"):
        file_of([eft(cents)])


@given(st.from_regex(r"\d{8}", fullmatch=True))
def test_the_check_digit(eight: str) -> None:
    assert aba_valid(routing_number(eight))


def deposit(cents: int, account: str = "3506936708", on: date = date(2026, 11, 30), trace: str = "T1") -> Deposit:
    return Deposit(
        account=account, on=on, cents=cents, bank_reference="B1", text=deposit_text("MEDICARE", trace, "1520000001")
    )


def test_a_report_word_for_word_with_the_trn_cut_in_two() -> None:
    data = bai2(
        [deposit(2067284, trace="2611200000000013441001")], created=datetime(2026, 11, 30, 18, 0), sender="011900377",
        receiver="CLAIMPIPE", file_id="11", width=80,
    )  # fmt: skip
    assert data.decode().splitlines() == [
        "01,011900377,CLAIMPIPE,261130,1800,11,80,,2/",
        "02,CLAIMPIPE,011900377,1,261130,,USD,3/",
        "03,3506936708,USD,100,2067284,1,/",
        "16,165,2067284,0,B1,,MEDICARE HCCLAIMPMT TRN*1*2611200000000013441001*1520000001",
        "88,\\",
        "49,4134568,4/",
        "98,4134568,1,6/",
        "99,4134568,1,8/",
    ]


@given(
    st.lists(
        st.tuples(
            st.integers(1, 10**9),
            st.sampled_from(["1", "22"]),
            st.integers(1, 3),
            st.text("A0", min_size=1, max_size=50),
        ),
        min_size=1,
        max_size=20,
    ),
    st.integers(40, 200),
)
def test_control_totals_hold_at_any_width(rows: list[tuple[int, str, int, str]], width: int) -> None:
    given_in = [deposit(c, account, date(2026, 11, day), trace) for c, account, day, trace in rows]
    data = bai2(given_in, created=datetime(2026, 11, 30), sender="S", receiver="R", file_id="1", width=width)
    assert max(len(line) for line in data.decode().splitlines()) <= max(width, 44)
    read = [(d["account"], d["day"], d["cents"], d["text"]) for d in bai2_deposits(data)]
    assert sorted(read) == sorted((d.account, f"{d.on:%y%m%d}", d.cents, d.text) for d in given_in)
