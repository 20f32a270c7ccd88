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

from pipeline import payers, sample
from pipeline.encounters import formats
from pipeline.encounters.intake import Context, Intake
from pipeline.sample import further, people
from pipeline.sample.cases import CASES, PRICES, WORDS
from pipeline.sample.further import GROUPS, KINDS
from pipeline.sample.maker import ERRORS, TAKEN_BACK

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
    rate = {name: 5000 * per // 10_000 for name, (per, *_) in ERRORS.items()}
    assert reasons["intake.amount.illegible"] == rate["visit's amount illegible"] + rate["service's amount illegible"]
    assert reasons["intake.date.illegible"] == rate["date illegible"]
    assert reasons["intake.date.future"] == rate["service in the future"]
    assert reasons["intake.birth.after_service"] == rate["birth after the service"]
    assert reasons["intake.charge.disagrees"] == rate["services do not add up"]
    assert reasons["intake.key.duplicate"] >= 5
    assert len(taken.set_aside) < 5000 // 100


def test_errors_for_later_stages_are_there_too(large: Path):
    visits, diagnoses, services = (rows(large, name) for name in ("encounters", "diagnoses", "services"))
    rate = {name: 5000 * per // 10_000 for name, (per, *_) in ERRORS.items()}
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
    assert len({v["practice_id"] for v in visits}) == 10
    assert len({v["rendering_npi"] for v in visits}) >= 20
    days = {date.fromisoformat(v["service_to"]) for v in visits if re.fullmatch(r"2026-1[01]-[0-2]\d", v["service_to"])}
    assert min(days) >= ON - timedelta(days=30)
    assert {day.weekday() for day in days if day < ON} == {0, 1, 2, 3, 4, 5}
    names = {v["patient_last"] for v in visits}
    assert any("'" in n for n in names)
    assert any("-" in n for n in names)
    assert any(not n.isascii() for n in names)
    assert {v["relationship"] for v in visits} == {"18", "19", "01", ""}
    assert any(v["facility_npi"] for v in visits)
    assert {s["system"] for s in rows(large, "services")} == {"HCPCS", "SNOMED", "CVX", "REVENUE", "CDT"}
    for visit in visits:
        if visit["relationship"] in ("19", "01"):
            assert visit["payer"] != "Medicare"
            assert visit["subscriber_last"]
            assert visit["subscriber_birth_date"]


def test_charges_follow_the_price_list_of_the_practice(large: Path):
    percent = {"P01": 100, "P02": 104, "P03": 97, "P04": 100, "P05": 108, "P06": 95}
    for row in rows(large, "services"):
        if row["practice_id"] not in percent or row["code"] not in PRICES:
            continue  # a hospital's prices and those of drugs stand in its cases
        if re.fullmatch(r"\d+\.\d\d", row["charge"]) and row["charge"] != "0.00":
            expected = Decimal(PRICES[row["code"]]) * percent[row["practice_id"]] / 100 * int(row["units"])
            assert Decimal(row["charge"]) == expected


_FURTHER = [case for group in GROUPS.values() for case in group.cases]


def test_codes_of_the_cases_are_real():
    import simple_icd_10_cm as icd  # takes two seconds: only here

    words = WORDS | further.WORDS
    for case in [*CASES, *_FURTHER]:
        for codes in [*case.diagnoses, *((code,) for code in case.further_diagnoses.values())]:
            for code in codes:
                assert code in words
                if case.system == "ICD10CM":
                    assert icd.is_valid_item(code), code
                    assert icd.is_leaf(code), f"{code} is not specific enough to bill"
        for service in case.services:
            assert service.price or service.code in PRICES
            pattern = {
                "HCPCS": r"\d{4}[0-9A-Z]|[A-V]\d{4}", "SNOMED": r"\d{6,18}", "CVX": r"\d{2,3}", "REVENUE": r"0\d{3}",
                "CDT": r"D\d{4}",
            }[service.system]  # fmt: skip
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


# --- the three kinds, and what few visits have ------------------------------------------------------------------------


def of_kind(folder: Path, kind: str) -> dict[str, dict[str, str]]:
    """Visits of the kind that have no error which takes their cells away: key → row."""
    return {v["encounter_id"]: v for v in rows(folder, "encounters") if v["claim_type"] == kind}


def test_kinds_have_their_shares(large: Path):
    share = Counter(v["claim_type"] for v in rows(large, "encounters"))
    for kind, percent in KINDS.items():
        assert share[kind] == pytest.approx(50 * percent, abs=12), kind  # doubled visits may change one for another


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        ({"dental": 1}, {"dental": 40}),
        ({"institutional": 5, "professional": 0}, {"institutional": 40}),
        ({"professional": 1, "institutional": 1, "dental": 2}, {"professional": 10, "institutional": 10, "dental": 20}),
    ],
)
def test_kinds_can_be_chosen(tmp_path: Path, kinds: dict[str, int], expected: dict[str, int]):
    sample.make(visits=40, seed=2, out=tmp_path, kinds=kinds)
    assert Counter(v["claim_type"] for v in rows(tmp_path, "encounters")) == expected
    taken = read(tmp_path)
    assert (taken.encounters.num_rows, taken.set_aside) == (40, [])


def test_kinds_are_read_as_people_write_them():
    assert sample.read_kinds("dental, professional") == {"professional": 86, "dental": 6}
    assert sample.read_kinds("dental=30,professional=70") == {"professional": 70, "dental": 30}
    assert sample.read_kinds("dental=0,institutional") == {"institutional": 8}
    for wrong, words in {
        "": "no kind of visit ''", "dentist": "no kind of visit 'dentist'", "dental=": "share of dental", "dental=-1": "share of dental",
        "dental=0": "above 0", "dental=½": "share of dental",
    }.items():  # fmt: skip
        with pytest.raises(ValueError, match=re.escape(words)):
            sample.read_kinds(wrong)


def test_from_a_hundred_visits_on_every_group_is_there(tmp_path: Path):
    sample.make(visits=100, seed=9, out=tmp_path)
    visits = rows(tmp_path, "encounters")
    practices = Counter(v["practice_id"] for v in visits)
    assert all(practices[practice_id] for practice_id, *_ in people.FURTHER.values())
    assert any(v["bill_type"] == "11" for v in visits)
    assert any(v["bill_type"] == "13" for v in visits)
    assert any(v["payer_responsibility"] == "S" for v in visits)
    assert any(s["ndc"] for s in rows(tmp_path, "services"))
    assert Counter(o["responsibility"] for o in rows(tmp_path, "other_payers")).keys() == {"P", "S"}


def test_a_few_visits_are_ordinary_ones_alone(tmp_path: Path):
    sample.make(visits=8, seed=14, out=tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "encounters.csv",
        "diagnoses.csv",
        "services.csv",
        "manifest.json",
    }


def test_stays_are_whole(large: Path):
    stays = {key: v for key, v in of_kind(large, "institutional").items() if v["bill_type"] == "11"}
    assert len(stays) >= 100
    codes, lines = rows(large, "codes"), rows(large, "services")
    roles = {(p["encounter_id"], p["role"]) for p in rows(large, "parties")}
    kinds = {(d["encounter_id"], d["kind"]) for d in rows(large, "diagnoses")}
    drg = {c["encounter_id"] for c in codes if c["kind"] == "drg"}
    without = sum((key, "attending") not in roles for key in of_kind(large, "institutional"))
    assert 1 <= without <= 3
    for key, visit in stays.items():
        if not re.fullmatch(r"2026-1[01]-\d\d", visit["service_from"]) or visit["service_from"] == "2026-11-31":
            continue
        if visit["service_from"] == visit["service_to"]:
            continue  # service in the future
        nights = (date.fromisoformat(visit["service_to"]) - date.fromisoformat(visit["service_from"])).days
        assert 1 <= nights <= 8
        assert visit["service_to"] < ON.isoformat()
        assert visit["admission_date"] == visit["service_from"]
        for column, pattern in {
            "admission_hour": r"[0-2]\d[0-5]\d", "discharge_hour": r"[01]\d[0-5]\d", "admission_type": r"[13]",
            "admission_source": "1", "patient_status": r"0[13]",
        }.items():  # fmt: skip
            assert re.fullmatch(pattern, visit[column]), column
        assert key in drg
        assert (key, "admitting") in kinds
        assert [c["amount"] for c in codes if c["encounter_id"] == key and c["kind"] == "value"] == [f"{nights}.00"]
        rooms = [s for s in lines if s["encounter_id"] == key and s["revenue_code"] < "0220" and s["revenue_code"]]
        assert [(s["units"], s["service_to"]) for s in rooms] == [(str(nights), visit["service_to"])]
    poa = Counter(d["poa"] for d in rows(large, "diagnoses") if d["encounter_id"] in stays and not d["kind"])
    assert poa["Y"] > poa["N"] > 0
    assert poa["U"] > 0
    assert {c["kind"] for c in codes} == {"drg", "value", "occurrence", "condition", "procedure", "anesthesia"}


def test_dental_services_have_teeth_and_no_words_of_others(large: Path):
    dental = of_kind(large, "dental")
    teeth = rows(large, "teeth")
    assert {t["encounter_id"] for t in teeth} <= dental.keys()
    assert any(len(t["surfaces"]) > 1 for t in teeth)
    assert any(t["tooth"].isalpha() for t in teeth)
    services = [s for s in rows(large, "services") if s["encounter_id"] in dental]
    assert {s["text"] for s in services} == {"service"}
    assert any(s["oral_cavity"] for s in services)
    replaced = [s for s in services if s["prosthesis"] == "R"]
    assert all(s["prior_placement_date"] < "2026" for s in replaced)
    assert "Medicare" not in {v["payer"] for v in dental.values()}


def test_what_a_first_payer_decided_adds_up(large: Path):
    charges = {(s["encounter_id"], s["line"]): s["charge"] for s in rows(large, "services")}
    visits = {v["encounter_id"]: v for v in rows(large, "encounters")}
    adjusted: Counter[tuple[str, str]] = Counter()
    for row in rows(large, "adjustments"):
        adjusted[row["encounter_id"], row["line"]] += int(row["amount"].replace(".", ""))
    paid: Counter[str] = Counter()
    lines = rows(large, "adjudications")
    assert len(lines) >= 40
    for row in lines:
        cents = int(row["paid"].replace(".", ""))
        paid[row["encounter_id"]] += cents
        charge = charges[row["encounter_id"], row["line"]]
        if re.fullmatch(r"\d+\.\d\d", charge):
            assert cents + adjusted[row["encounter_id"], row["line"]] == int(charge.replace(".", ""))
        assert visits[row["encounter_id"]]["payer_responsibility"] == "S"
        assert row["paid_date"] < ON.isoformat()
    for row in rows(large, "other_payers"):
        if row["responsibility"] == "P":
            assert int(row["paid"].replace(".", "")) == paid[row["encounter_id"]]
        else:
            assert not row["paid"]


def test_ambulances_anaesthetists_drugs_and_authorisations(large: Path):
    visits, services = rows(large, "encounters"), rows(large, "services")
    rides = {v["encounter_id"] for v in visits if v["place_of_service"] == "41"}
    assert {t["encounter_id"] for t in rows(large, "transport")} == rides
    for role in ("pick_up", "drop_off"):
        assert {p["encounter_id"] for p in rows(large, "parties") if p["role"] == role} == rides
    miles = {t["encounter_id"]: t["miles"] for t in rows(large, "transport")}
    assert all(s["units"] == miles[s["encounter_id"]] for s in services if s["code"] == "A0425")
    timed = [s for s in services if s["practice_id"] == "P09"]
    assert timed
    assert all(20 <= int(s["minutes"]) <= 150 for s in timed)
    assert all(re.fullmatch(r"99999\d{6}", s["ndc"]) and s["ndc_units"] for s in services if s["ndc_unit_basis"])
    assert {s["ndc_unit_basis"] for s in services} == {"", "ML", "UN"}
    authorized = [v for v in visits if v["authorization_number"]]
    assert {v["payer"] for v in authorized} <= {
        "Meridian Health Plan",
        "Harbor Mutual",
        "Pinnacle Benefit Trust",
        "Acorn Workers Fund",
    }
    assert {v["claim_type"] for v in authorized} == set(KINDS)
    assert sum(v["cancelled"] == "Y" for v in visits) == pytest.approx(5000 * TAKEN_BACK // 10_000, abs=2)
