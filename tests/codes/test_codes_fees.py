"""The Medicare fee schedule, contracts, expected payment, underpayment (C5); the charge master is in tests/coding."""

from __future__ import annotations

import csv
import gzip
from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from codes.files import put

from pipeline import shapes
from pipeline.codes import contracts, editions, fees, loading
from pipeline.codes.contracts import Contracts
from pipeline.codes.fees import FeeSchedule, FeeSchedules, Reason, round_cents

DAY = date(2024, 8, 1)
EXAMPLES = shapes.schemas_dir() / "codes" / "examples"

RVU = (
    "hcpcs_code,mod,rvu_work,rvu_non_pe,rvu_fac_pe,rvu_mp,cf\n"
    "10000,,1.30,1.33,0.56,0.10,33.2875\n"
    "10001,,0.22,0.77,0.77,0.02,33.2875\n"
    "10001,TC,0,0.69,0.69,0.01,33.2875\n"
    "10001,26,0.22,0.08,0.08,0.01,33.2875\n"
    "20000,,10,5,4,1,33.2875\n"
    "20001,,5,5,4,1,33.2875\n"
    "30000,,0,0,0,0,33.2875\n"
    "30001,,1,1,1,1,33.2875\n"
    "40000,,1,1,1,1,33.2875\n"
)
POLICY = (
    "hcpcs_code,mod,status,pre_op,intra_op,post_op,mult_proc,bilat_surg,asst_surg,co_surg\n"
    "10000,,A,0,0,0,0,0,0,0\n"
    "10001,,A,0,0,0,0,0,0,0\n"
    "10001,TC,A,0,0,0,4,0,0,0\n"
    "10001,26,A,0,0,0,0,0,0,0\n"
    "20000,,A,0.1,0.8,0.1,2,1,2,1\n"
    "20001,,A,0.1,0.8,0.1,2,0,1,0\n"
    "30000,,C,0,0,0,0,0,0,0\n"
    "30001,,B,0,0,0,0,0,0,0\n"
    "40000,,X,0,0,0,0,0,0,0\n"
)
GPCI = "mac,state,locality,locality_name,gpci_work,gpci_pe,gpci_mp\n13202,NY,01,X,1.065,1.166,1.656\n10112,AL,0,X,1,0.869,0.575\n"
CONTRACT = "payer,procedure,modifier,place,method,value,locality,effective_from,effective_to\n"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    files = [put(tmp_path, "rvu.csv", RVU), put(tmp_path, "ind.csv", POLICY), put(tmp_path, "gpci.csv", GPCI)]
    done = loading.load(files, tmp_path, effective_from=date(2024, 1, 1))
    assert done.findings == []
    assert {e.about.set for e, _ in done.editions} == {"pfs_rvu", "pfs_indicator", "pfs_gpci"}
    return tmp_path


def schedule(home: Path) -> FeeSchedule:
    found = FeeSchedules(home).on(DAY)
    assert found is not None
    return found


# --- Medicare -------------------------------------------------------------------------------------------------------------


def test_the_fee_by_locality_and_place_is_exact(home: Path):
    """(1.30 × 1.065 + 1.33 × 1.166 + 0.10 × 1.656) × 33.2875 = 103.21999…; in a facility 0.56 stands for 1.33."""
    made = schedule(home)
    by_hand = (
        Decimal("1.30") * Decimal("1.065") + Decimal("1.33") * Decimal("1.166") + Decimal("0.10") * Decimal("1.656")
    ) * Decimal("33.2875")
    assert made.allowed("10000", [], "13202-01", False).cents == round_cents(by_hand) == 10322
    assert made.allowed("10000", [], "13202-01", True).cents == 7333
    assert made.allowed("10000", [], "10112-00", False).cents == 8366
    assert made.allowed("10000", [], "99999-99", False) == (None, Reason.NO_SCHEDULE, "")


def test_the_relative_value_file_as_cms_writes_it_holds_both_sets(tmp_path: Path):
    """Its heading stands over four lines, below a preamble."""
    text = (
        "2024 National Physician Fee Schedule Relative Value File July Release,,,,,,,,,,,,,,,,,,\n"
        "CPT codes and descriptions only are copyright of their owner,,,,,,,,,,,,,,,,,,\n"
        ",,,,NOT USED,,,NON-FAC,,FACILITY,,,,,,,,,\n"
        ",,,,FOR,,,NA,,NA,,PRE,INTRA,POST,MULT,BILAT,ASST,CO-,CONV\n"
        ",,,STATUS,MEDICARE,WORK,NON-FAC,INDICATOR,FACILITY,INDICATOR,MP,OP,OP,OP,PROC,SURG,SURG,SURG,FACTOR\n"
        "HCPCS,MOD,DESCRIPTION,CODE,PAYMENT,RVU,PE RVU,,PE RVU,,RVU,,,,,,,,\n"
        "10000,,Words,A,,1.30,1.33,,0.56,,0.10,0.00,0.00,0.00,0,0,0,0,33.2875\n"
        "20000,,Words,A,,10.00,5.00,NA,4.00,,1.00,0.10,0.80,0.10,2,1,2,1,33.2875\n"
    )
    path = put(tmp_path, "PPRRVU24_JUL.csv", text)
    done = loading.load([path, put(tmp_path, "gpci.csv", GPCI)], tmp_path, effective_from=date(2024, 1, 1))
    assert done.findings == []
    assert {e.about.set: e.about.rows for e, _ in done.editions} == {"pfs_rvu": 2, "pfs_indicator": 2, "pfs_gpci": 2}
    made = schedule(tmp_path)
    assert made.allowed("10000", [], "13202-01", False).cents == 10322
    assert made.policies["20000", ""].multiple == "2"
    assert made.allowed("20000", ["54"], "13202-01", True).reason is Reason.PRICED


def test_amounts_are_rounded_half_up():
    assert [round_cents(Decimal(t)) for t in ("0.005", "0.0049999", "1.115", "2.675")] == [1, 0, 112, 268]


def test_components_have_rows_of_their_own(home: Path):
    made = schedule(home)
    whole, technical, professional = (made.allowed("10001", m, "13202-01", False).cents for m in ([], ["TC"], ["26"]))
    assert technical is not None
    assert professional is not None
    assert whole in (technical + professional, technical + professional + 1, technical + professional - 1)
    assert len({whole, technical, professional}) == 3


@pytest.mark.parametrize(
    ("code", "modifiers", "share"),
    [
        ("20000", ["50"], "1.5"), ("20001", ["50"], "1"), ("20000", ["54"], "0.9"), ("20000", ["55"], "0.1"), ("20000", ["56"], "0.1"),
        ("20000", ["62"], "0.625"), ("20000", ["80"], "0.16"), ("20000", ["AS"], "0.136"), ("20000", ["78"], "0.8"),
        ("20000", ["RT"], "1"), ("20000", ["59", "50"], "1.5"),
    ],
)  # fmt: skip
def test_modifiers_leave_a_share(home: Path, code: str, modifiers: list[str], share: str):
    made = schedule(home)
    full = made.allowed(code, [], "13202-01", False).cents
    assert full is not None
    assert made.allowed(code, modifiers, "13202-01", False).cents == round_cents(
        Decimal(full).scaleb(-2) * Decimal(share)
    )


@pytest.mark.parametrize(
    ("code", "modifiers", "reason"),
    [
        ("99999", [], Reason.NOT_LISTED), ("30000", [], Reason.NOT_PRICED), ("40000", [], Reason.NOT_PRICED),
        ("20000", ["52"], Reason.NOT_COMPUTED), ("20000", ["66"], Reason.NOT_COMPUTED), ("20001", ["62"], Reason.NOT_COMPUTED),
        ("20001", ["80"], Reason.NOT_COMPUTED), ("10000", ["54"], Reason.NOT_COMPUTED),
    ],
)  # fmt: skip
def test_what_has_no_price_is_not_guessed(home: Path, code: str, modifiers: list[str], reason: Reason):
    assert schedule(home).allowed(code, modifiers, "13202-01", False)[:2] == (None, reason)


def test_bundled_services_pay_nothing_for_themselves(home: Path):
    assert schedule(home).allowed("30001", [], "13202-01", False)[:2] == (0, Reason.BUNDLED)


def test_imaging_is_capped_where_the_file_is_loaded(home: Path):
    cap = "hcpcs_code,mod,status,mac,locality,opps_fac_price,opps_non_price\n10001,TC,A,13202,01,20.00,21.00\n"
    before = schedule(home).allowed("10001", ["TC"], "13202-01", False).cents
    loading.load([put(home, "cap.csv", cap)], home, effective_from=date(2024, 1, 1))
    made = schedule(home)
    assert before is not None
    assert before > 2100
    assert made.allowed("10001", ["TC"], "13202-01", False).cents == 2100
    assert made.allowed("10001", ["TC"], "13202-01", True).cents == 2000
    assert made.allowed("10001", ["TC"], "10112-00", False).cents != 2100


def test_a_day_that_the_schedule_does_not_cover_has_no_amount(home: Path):
    assert FeeSchedules(home).on(date(2025, 1, 1)) is None
    assert FeeSchedules(home).on(date(2023, 12, 31)) is None


def test_anaesthesia_counts_time_units_to_a_tenth():
    assert fees.anesthesia_cents(5, 50, Decimal("23.25")) == 19298  # 5 + 3.3 units


def test_the_formula_gives_the_amounts_that_cms_published(samples: Path, tmp_path: Path):
    """OPPSCAP holds amounts that CMS computed itself: with its factor of January 2024 each must come out to the cent.

    Localities whose work index stood on the floor of 1.0 are left out: the file was computed without the floor.
    """
    folder = samples / "codes" / "pfs_2024"
    with gzip.open(folder / "pfs_rvu_amt.csv.gz", "rt") as file:
        values = {(r["hcpcs_code"], r["mod"]): r for r in csv.DictReader(file)}
    loading.load([folder / "pfs_gpci.csv"], tmp_path, effective_from=date(2024, 1, 1))
    (held,) = editions.open_set("pfs_gpci", tmp_path).all
    gpci = {loc: [Decimal(x) for x in rest] for loc, *rest in zip(*(held.table.column(c).to_pylist() for c in ("code", "work", "pe", "malpractice")), strict=True)}  # fmt: skip
    text = ["hcpcs_code,mod,rvu_work,rvu_non_pe,rvu_fac_pe,rvu_mp,cf"]
    wanted = []
    with gzip.open(folder / "pfs_opps.csv.gz", "rt") as file:
        for row in csv.DictReader(file):
            key, locality = (row["hcpcs_code"], row["mod"]), f"{row['mac']}-{row['locality']}"
            if row["status"] != "A" or key not in values or locality not in gpci or gpci[locality][0] == 1:
                continue
            value = values[key]
            text.append(
                ",".join(
                    [
                        *key,
                        value["rvu_work"],
                        value["rvu_opps_non_pe"],
                        value["rvu_opps_fac_pe"],
                        value["rvu_opps_mp"],
                        "32.7442",
                    ]
                )
            )
            wanted.append((*key, locality, row["opps_fac_price"], row["opps_non_price"]))
    assert len(wanted) > 4000
    done = loading.load(
        [put(tmp_path, "r.csv", "\n".join(dict.fromkeys(text)) + "\n")], tmp_path, effective_from=date(2024, 1, 1)
    )
    assert done.findings == []
    made = schedule(tmp_path)
    for code, modifier, locality, facility, other in wanted:
        own = [modifier] if modifier else []
        found = (made.allowed(code, own, locality, True).cents, made.allowed(code, own, locality, False).cents)
        assert found == (round_cents(Decimal(facility)), round_cents(Decimal(other))), (code, modifier, locality)


# --- contracts (C5) -------------------------------------------------------------------------------------------------------


def expect(
    home: Path, *lines: tuple[str, str, str, str, int, int, date], group: list[int] | None = None
) -> contracts.Expected:
    """(payer, procedure, modifiers with blanks, place, units, charge in cents, day)."""
    return Contracts(home).expected(
        payer=[x[0] for x in lines], procedure=[x[1] for x in lines],
        modifiers=[pa.array([(x[2].split() + [None] * 4)[n] for x in lines], pa.string()) for n in range(4)],
        place=[x[3] for x in lines], units_=np.array([x[4] for x in lines]), charge_cents=np.array([x[5] for x in lines]),
        day=[x[6] for x in lines], group=None if group is None else np.array(group),
    )  # fmt: skip


def contract(home: Path, rows: str) -> None:
    done = loading.load([put(home, "contract.csv", CONTRACT + rows)], home, effective_from=date(2024, 1, 1))
    assert done.findings == []


def test_the_narrowest_term_of_the_day_decides(home: Path):
    loading.load([EXAMPLES / "contracts.csv"], home, effective_from=date(2024, 1, 1))
    found = expect(
        home,
        ("harbor", "99213", "", "11", 1, 20000, date(2024, 6, 30)),
        ("harbor", "99213", "", "11", 1, 20000, date(2024, 7, 1)),
        ("harbor", "99213", "25", "22", 1, 20000, DAY),
        ("harbor", "71046", "26", "11", 1, 20000, DAY),
        ("harbor", "71046", "", "11", 2, 10001, DAY),
        ("aetna", "99213", "", "11", 1, 20000, DAY),
        ("harbor", "99213", "", "11", 1, 20000, date(2023, 12, 31)),
        ("harbor", "99214", "", "11", 1, 20000, DAY),
    )
    assert found.cents.tolist() == [9500, 9800, 7000, 1250, 8001, -1, -1, -1]
    assert [Reason(r).name for r in found.reason] == ["PRICED"] * 5 + ["NO_TERM", "NO_TERM", "NOT_LISTED"]
    assert found.terms[found.term[0]].name == "95 fixed for 99213 since 2024-01-01"


def test_a_share_of_medicare_by_units_and_never_above_the_charge(home: Path):
    contract(
        home,
        "medicare,*,,,percent_of_medicare,100,13202-01,2024-01-01,\nharbor,*,,,percent_of_medicare,120,13202-01,2024-01-01,\n",
    )
    found = expect(
        home,
        ("medicare", "10000", "", "11", 1, 99999, DAY),
        ("medicare", "10000", "", "22", 3, 99999, DAY),
        ("harbor", "10000", "", "11", 1, 99999, DAY),
        ("harbor", "10000", "", "11", 1, 5000, DAY),
        ("harbor", "10000", "", "11", 1, 99999, date(2025, 2, 1)),
    )
    assert found.cents.tolist() == [10322, 3 * 7333, 12386, 5000, -1]
    assert found.reason[4] == Reason.NO_SCHEDULE


def test_several_surgeries_of_one_day_are_ranked(home: Path):
    contract(home, "medicare,*,,,percent_of_medicare,100,13202-01,2024-01-01,\n")

    def line(code: str, units: int = 1) -> tuple[str, str, str, str, int, int, date]:
        return ("medicare", code, "", "11", units, 999999, DAY)

    full = expect(home, line("20000"), line("20001"), group=[1, 2]).cents.tolist()
    together = expect(home, line("20001"), line("20000"), group=[1, 1]).cents.tolist()
    assert together == [-(-full[1] // 2), full[0]]
    assert expect(home, line("20001", 2), group=[1]).reason.tolist() == [Reason.NOT_COMPUTED]


def test_a_row_that_cannot_be_a_term_is_named(home: Path):
    rows = (
        "harbor,*,,,percent_of_medicare,100,,2024-01-01,\n,*,,,fixed,1,,2024-01-01,\nharbor,992,,,fixed,1,,2024-01-01,\n"
        "harbor,*,,,free,1,,2024-01-01,\nharbor,*,,,fixed,-1,,2024-01-01,\nharbor,99215-99202,,,fixed,1,,2024-01-01,\n"
    )
    done = loading.load([put(home, "contract.csv", CONTRACT + rows)], home, effective_from=date(2024, 1, 1))
    assert [f.source for f in done.findings] == [f"contract.csv line {n}" for n in range(2, 8)]
    assert "locality" in done.findings[0].message
    assert "fixed or percent_of_medicare or percent_of_charge" in done.findings[3].message
    twice = "harbor,*,,,fixed,1,,2024-01-01,\nharbor,*,,,fixed,2,,2024-01-01,\n"
    done = loading.load([put(home, "contract.csv", CONTRACT + twice)], home, effective_from=date(2024, 1, 1))
    assert [f.rule for f in done.findings] == ["codes-conflict"]


def test_a_payment_below_expectation_is_one_variance():
    found = contracts.variances(
        np.array([10000, 10000, 10000, -1, 10000]),
        np.array([9999, 10000, 12000, 0, 0]),
        denied=np.array([0, 0, 0, 0, 1]),
    )
    assert [(v.line, v.expected, v.allowed, v.short) for v in found] == [(0, 10000, 9999, 1)]
    assert contracts.variances(np.array([10000]), np.array([9950]), tolerance_cents=50) == []
