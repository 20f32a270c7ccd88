"""The made-up extract: the same bytes always, lifelike, with every kind of error."""

from __future__ import annotations

import csv
import re
from collections import Counter
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import simple_icd_10_cm as icd

from pipeline import payers, sample
from pipeline.encounters import formats
from pipeline.encounters.intake import Context, Intake
from pipeline.sample.cases import CASES, PRICES, WORDS
from pipeline.sample.maker import ERRORS

ON = date(2026, 11, 20)
ROOT = Path(__file__).resolve().parents[2]


def read(folder: Path) -> Intake:
    context = Context(
        on=ON, payers=payers.by_source_name(payers.load_profiles()), timezone=ZoneInfo("America/New_York")
    )
    fmt, files = formats.sources(folder, "auto")
    assert fmt == "csv"
    return formats.READERS[fmt].read(files, context)


def rows(folder: Path, table: str) -> list[dict[str, str]]:
    with (folder / f"{table}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("large")
    sample.make(visits=5000, seed=11, out=folder, on=ON)
    return folder


def test_the_same_arguments_give_the_same_bytes(tmp_path: Path):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        sample.make(visits=300, seed=seed, out=tmp_path / name)
    assert contents(tmp_path / "a") == contents(tmp_path / "b") != contents(tmp_path / "c")


def test_the_committed_extract_is_what_its_seed_gives(tmp_path: Path):
    sample.make(out=tmp_path / "again", **sample.COMMITTED)
    assert contents(tmp_path / "again") == contents(ROOT / "sample_edi" / "extract")


@pytest.mark.parametrize("visits", [1, 2, 99, 100, 1000])
def test_any_size_is_read_by_intake(tmp_path: Path, visits: int):
    sample.make(visits=visits, seed=1, out=tmp_path)
    taken = read(tmp_path)
    assert taken.rows_read == visits == taken.encounters.num_rows + len(taken.set_aside)
    if visits < 100:
        assert taken.set_aside == []


def test_every_error_that_intake_can_see_is_set_aside_and_the_rest_goes_on(large: Path):
    taken = read(large)
    reasons = Counter(item.reason for item in taken.set_aside)
    rate = {name: 5000 * per // 10_000 for name, (per, _) in ERRORS.items()}
    assert reasons["intake.amount.illegible"] == rate["visit's amount illegible"] + rate["service's amount illegible"]
    assert reasons["intake.date.illegible"] == rate["date illegible"]
    assert reasons["intake.date.future"] == rate["service in the future"]
    assert reasons["intake.birth.after_service"] == rate["birth after the service"]
    assert reasons["intake.charge.disagrees"] == rate["services do not add up"]
    assert reasons["intake.key.duplicate"] >= 5
    assert len(taken.set_aside) < 5000 // 100


def test_errors_for_later_stages_are_there_too(large: Path):
    visits, diagnoses, services = (rows(large, name) for name in ("encounters", "diagnoses", "services"))
    rate = {name: 5000 * per // 10_000 for name, (per, _) in ERRORS.items()}
    profiles = payers.by_source_name(payers.load_profiles())
    assert sum(not v["member_id"] for v in visits if v["payer"]) >= rate["member id missing"] - 2
    assert (
        sum(1 for v in visits if v["payer"] and v["payer"].casefold() not in profiles) >= rate["payer without profile"]
    )
    assert (
        sum(not _luhn("80840" + v["rendering_npi"]) for v in visits) >= rate["rendering NPI with a wrong check digit"]
    )
    assert sum(d["code"] == "E11" for d in diagnoses) >= rate["diagnosis code cut short"] - 2
    assert sum(s["pointers"] == "7" for s in services) >= rate["pointer to no diagnosis"]
    assert sum(s["charge"] == "0.00" for s in services) >= rate["charge of zero"]
    content = Counter(tuple(v for k, v in visit.items() if k != "encounter_id") for visit in visits)
    assert sum(n - 1 for n in content.values()) >= 15  # the same visit under another id, or its row twice


def _luhn(digits: str) -> bool:
    doubled = [int(d) if i % 2 == 0 else sum(divmod(int(d) * 2, 10)) for i, d in enumerate(reversed(digits))]
    return sum(doubled) % 10 == 0


def test_the_extract_is_lifelike(large: Path):
    visits = rows(large, "encounters")
    share = Counter(v["payer"] for v in visits)
    for name, low, high in (
        ("Medicare", 24, 32),
        ("Medicaid", 14, 22),
        ("Meridian Health Plan", 25, 33),
        ("Harbor Mutual", 15, 23),
        ("", 3, 9),
    ):
        assert low <= 100 * share[name] / len(visits) <= high, name
    assert len({v["practice_id"] for v in visits}) == 6
    assert len({v["rendering_npi"] for v in visits}) >= 20
    days = {
        date.fromisoformat(v["service_from"]) for v in visits if re.fullmatch(r"2026-1[01]-[0-2]\d", v["service_from"])
    }
    assert min(days) >= ON - timedelta(days=30)
    assert {day.weekday() for day in days if day < ON} == {0, 1, 2, 3, 4, 5}
    names = {v["patient_last"] for v in visits}
    assert any("'" in n for n in names)
    assert any("-" in n for n in names)
    assert any(not n.isascii() for n in names)
    assert {v["relationship"] for v in visits} == {"18", "19", "01", ""}
    assert any(v["facility_npi"] for v in visits)
    assert {s["system"] for s in rows(large, "services")} == {"HCPCS", "SNOMED", "CVX"}
    for visit in visits:
        if visit["relationship"] in ("19", "01"):
            assert visit["payer"] != "Medicare"
            assert visit["subscriber_last"]
            assert visit["subscriber_birth_date"]


def test_charges_follow_the_price_list_of_the_practice(large: Path):
    percent = {"P01": 100, "P02": 104, "P03": 97, "P04": 100, "P05": 108, "P06": 95}
    for row in rows(large, "services"):
        if re.fullmatch(r"\d+\.\d\d", row["charge"]) and row["charge"] != "0.00":
            expected = Decimal(PRICES[row["code"]]) * percent[row["practice_id"]] / 100 * int(row["units"])
            assert Decimal(row["charge"]) == expected


def test_codes_of_the_cases_are_real():
    for case in CASES:
        for codes in case.diagnoses:
            for code in codes:
                assert code in WORDS
                if case.system == "ICD10CM":
                    assert icd.is_valid_item(code), code
                    assert icd.is_leaf(code), f"{code} is not specific enough to bill"
        for service in case.services:
            assert service.code in PRICES
            pattern = {"HCPCS": r"\d{4}[0-9A-Z]|[A-V]\d{4}", "SNOMED": r"\d{6,18}", "CVX": r"\d{2,3}"}[service.system]
            assert re.fullmatch(pattern, service.code)
            longest = max(len(codes) for codes in case.diagnoses)
            assert all(int(p) <= longest for p in service.pointers.split(",") if p)


def test_every_payer_and_age_finds_a_case():
    for payer, (low, high) in {"medicare": (65, 96), "medicaid": (0, 65), "meridian": (0, 65), "self": (0, 65)}.items():
        for age in range(low, high + 1):
            for sex in "FM":
                assert any(payer in c.payers and c.ages[0] <= age <= c.ages[1] and c.sex in ("", sex) for c in CASES), (
                    payer,
                    age,
                    sex,
                )
