"""Synthea's CSV, on real exports (two generations) and on a made-up one of a few rows."""

from __future__ import annotations

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import payers
from pipeline.encounters import formats
from pipeline.encounters.identifiers import luhn_digit, synthetic_ein, synthetic_npi
from pipeline.encounters.intake import Context, Intake
from pipeline.errors import Terminal

ON = date(2026, 11, 20)
ZONE = ZoneInfo("America/New_York")
REAL = {
    "synthea27_full": (604, Decimal("2259172.04")),
    "synthea_b_1494enc": (1494, Decimal("3535103.75")),
}


def read(folder: Path) -> Intake:
    context = Context(on=ON, payers=payers.by_source_name(payers.load_profiles()), timezone=ZONE)
    fmt, files = formats.sources(folder, "auto")
    assert fmt == "synthea"
    return formats.READERS[fmt].read(files, context)


def table(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# --- real exports ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=sorted(REAL))
def real(request: pytest.FixtureRequest, samples: Path) -> tuple[Path, Intake]:
    folder = samples / "encounters" / request.param
    return folder, read(folder)


def test_every_encounter_of_a_real_export_is_read(real: tuple[Path, Intake]):
    folder, taken = real
    count, total = REAL[folder.name]
    assert taken.encounters.num_rows == taken.rows_read == count
    assert (taken.set_aside, taken.findings) == ([], [])
    stated = {
        f"{row['ORGANIZATION']}:{row['Id']}": Decimal(row["TOTAL_CLAIM_COST"]) for row in table(folder, "encounters")
    }
    mine = dict(zip(taken.encounters["encounter_key"].to_pylist(), taken.encounters["charge"].to_pylist(), strict=True))
    assert mine == stated
    assert sum(mine.values()) == total == Decimal(taken.charge_cents) / 100


def test_lines_add_up_to_the_charge_of_every_visit(real: tuple[Path, Intake]):
    _folder, taken = real
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for row in taken.lines.to_pylist():
        assert row["charge"] >= 0
        sums[row["encounter_key"]] += row["charge"]
    assert sums == {row["encounter_key"]: row["charge"] for row in taken.encounters.to_pylist()}


def test_every_row_of_a_service_becomes_one_line_at_its_place(real: tuple[Path, Intake]):
    folder, taken = real
    found = Counter(
        (row["source_file"], row["source_row"]) for row in taken.lines.to_pylist() if row["kind"] != "other"
    )
    assert set(found.values()) == {1}
    for name, kind, system in (
        ("encounters", "visit", "SNOMED"), ("procedures", "procedure", "SNOMED"), ("immunizations", "immunization", "CVX"),
        ("medications", "drug", "RXNORM"),
    ):  # fmt: skip
        rows = table(folder, name)
        mine = {
            r["source_row"]: r
            for r in taken.lines.to_pylist()
            if r["source_file"] == f"{name}.csv" and r["kind"] == kind
        }
        assert {r["system"] for r in mine.values()} == {system}
        assert {n: (r["code"], r["encounter_key"].rpartition(":")[2]) for n, r in mine.items()} == {
            n: (row["CODE"], row["Id" if name == "encounters" else "ENCOUNTER"]) for n, row in enumerate(rows, 1)
        }


def test_line_charges_are_those_that_synthea_booked(samples: Path):
    folder = samples / "encounters" / "synthea27_full"
    booked: dict[tuple[str, str], list[Decimal]] = defaultdict(list)
    for row in table(folder, "claims_transactions"):
        if row["TYPE"] == "CHARGE":
            booked[row["APPOINTMENTID"], row["PROCEDURECODE"]].append(Decimal(row["AMOUNT"]))
    compared = 0
    for row in read(folder).lines.to_pylist():
        if row["kind"] in ("visit", "procedure", "immunization"):
            assert booked[row["encounter_key"].rpartition(":")[2], row["code"]].pop(0) == row["charge"]
            compared += 1
    assert compared == 882


def test_payers_and_members_are_those_of_the_day(real: tuple[Path, Intake]):
    folder, taken = real
    names = {row["Id"]: row["NAME"] for row in table(folder, "payers")}
    source = {f"{row['ORGANIZATION']}:{row['Id']}": row for row in table(folder, "encounters")}
    covers = table(folder, "payer_transitions")
    first, last = ("START_DATE", "END_DATE") if "START_DATE" in covers[0] else ("START_YEAR", "END_YEAR")
    without = 0
    for row in taken.encounters.to_pylist():
        encounter = source[row["encounter_key"]]
        assert row["payer_source"] == names[encounter["PAYER"]]
        if row["payer_source"] == "NO_INSURANCE":
            assert (row["payer_key"], row["member_id"], row["relationship"]) == (None, None, None)
            continue
        assert row["payer_key"] is not None
        assert row["relationship"] == "18"
        possible = {
            c["MEMBERID"] for c in covers
            if c["PATIENT"] == encounter["PATIENT"] and c["PAYER"] == encounter["PAYER"]
            and c[first] <= encounter["START"] <= c[last]
        }  # fmt: skip
        assert row["member_id"] in possible or (not possible and row["member_id"] is None)
        without += row["member_id"] is None
    assert without == {"synthea27_full": 0, "synthea_b_1494enc": 4}[folder.name]


def test_diagnoses_are_the_reason_then_the_conditions(real: tuple[Path, Intake]):
    folder, taken = real
    expected: dict[str, list[str]] = defaultdict(list)
    for name, key, column in (
        ("encounters", "Id", "REASONCODE"),
        ("conditions", "ENCOUNTER", "CODE"),
        ("procedures", "ENCOUNTER", "REASONCODE"),
    ):
        for row in table(folder, name):
            if row[column] and row[column] not in expected[row[key]]:
                expected[row[key]].append(row[column])
    mine: dict[str, list[str]] = defaultdict(list)
    for row in taken.diagnoses.to_pylist():
        mine[row["encounter_key"].rpartition(":")[2]].append(row["code"])
        assert row["rank"] == len(mine[row["encounter_key"].rpartition(":")[2]])
        cells = table_cells(folder, row["source_file"])
        assert cells[row["source_row"] - 1][row["source_column"]] == row["code"]
    assert mine == {key: codes for key, codes in expected.items() if codes}


_cells: dict[tuple[Path, str], list[dict[str, str]]] = {}


def table_cells(folder: Path, file: str) -> list[dict[str, str]]:
    if (folder, file) not in _cells:
        _cells[folder, file] = table(folder, file.removesuffix(".csv"))
    return _cells[folder, file]


def test_service_dates_are_local_days(real: tuple[Path, Intake]):
    folder, taken = real
    for row, encounter in zip(taken.encounters.to_pylist(), table(folder, "encounters"), strict=True):
        start, stop = (datetime.fromisoformat(encounter[name]).astimezone(ZONE) for name in ("START", "STOP"))
        assert (row["service_from"], row["service_to"]) == (start.date(), stop.date())
        minutes = (stop - start).total_seconds() // 60
        assert row["minutes"] == (minutes if 0 < minutes < 1440 else None)  # a day and more is a stay
        assert row["claim_type"] == (
            "institutional" if encounter["ENCOUNTERCLASS"] in ("inpatient", "snf", "hospice") else "professional"
        )


def test_made_up_identifiers_are_valid_in_form_and_marked(real: tuple[Path, Intake]):
    _folder, taken = real
    seen: dict[str, str] = {}
    for row in taken.encounters.to_pylist():
        assert row["synthetic"] is True
        for npi in (row["billing_npi"], row["rendering_npi"]):
            assert len(npi) == 10
            assert npi[0] == "2"
            assert _luhn(f"80840{npi}")
        assert len(row["billing_tin"]) == 9
        assert row["billing_tin"].startswith("00")
        assert len(row["patient_state"]) == len(row["billing_state"]) == 2
        assert seen.setdefault(row["practice_id"], row["billing_npi"]) == row["billing_npi"]
    assert len(set(seen.values())) == len(seen)


def _luhn(digits: str) -> bool:
    doubled = [int(d) if i % 2 == 0 else sum(divmod(int(d) * 2, 10)) for i, d in enumerate(reversed(digits))]
    return sum(doubled) % 10 == 0


def test_the_check_digit_of_the_known_example():
    assert luhn_digit("80840123456789") == "3"


@given(st.text())
def test_made_up_identifiers_hold_for_any_seed(seed: str):
    assert _luhn(f"80840{synthetic_npi(seed)}")
    assert synthetic_npi(seed) == synthetic_npi(seed)
    assert len(synthetic_ein(seed)) == 9


def test_names_keep_the_letters_of_the_source(samples: Path):
    taken = read(samples / "encounters" / "synthea27_full")
    assert any(not name.isascii() for name in taken.encounters["rendering_first"].to_pylist())


# --- a made-up export ------------------------------------------------------------------------------------------------

Tables = dict[str, list[dict[str, str]]]


def small(newer: bool = True) -> Tables:
    """Three encounters of one patient: e1 with everything, e2 and e3 with the visit alone."""
    first, last = ("START_DATE", "END_DATE") if newer else ("START_YEAR", "END_YEAR")
    system = {"SYSTEM": "SNOMED-CT"} if newer else {}
    return {
        "encounters": [
            {"Id": f"e{n}", "START": f"2026-11-{n:02d}T15:00:00Z", "STOP": f"2026-11-{n:02d}T15:25:00Z", "PATIENT": "p1",
             "ORGANIZATION": "o1", "PROVIDER": "d1", "PAYER": "m1", "ENCOUNTERCLASS": "ambulatory", "CODE": "185345009",
             "DESCRIPTION": "Encounter for symptom", "BASE_ENCOUNTER_COST": "80.00",
             "TOTAL_CLAIM_COST": "300.00" if n == 1 else "80.00", "REASONCODE": "", "REASONDESCRIPTION": ""}
            for n in (1, 2, 3)
        ],
        "patients": [{"Id": "p1", "BIRTHDATE": "1980-05-06", "FIRST": "Ada", "LAST": "Test", "SUFFIX": "", "GENDER": "F",
                      "ADDRESS": "1 Elm St", "CITY": "Boston", "STATE": "Massachusetts", "ZIP": ""}],
        "organizations": [{"Id": "o1", "NAME": "CLINIC", "ADDRESS": "2 ELM ST", "CITY": "BOSTON", "STATE": "MA",
                           "ZIP": "02138-1234", "PHONE": "(617) 555-0100"}],
        "providers": [{"Id": "d1", "NAME": "Vic Van Dyke", "SPECIALITY": "GENERAL PRACTICE"}],
        "payers": [{"Id": "m1", "NAME": "Medicare"}, {"Id": "n1", "NAME": "NO_INSURANCE"}],
        "payer_transitions": [
            {"PATIENT": "p1", "MEMBERID": "OLD", first: "2025-01-01T00:00:00Z", last: "2026-01-01T00:00:00Z", "PAYER": "m1"},
            {"PATIENT": "p1", "MEMBERID": "NEW", first: "2026-01-01T00:00:00Z", last: "2027-01-01T00:00:00Z", "PAYER": "m1"},
        ],
        "conditions": [{"ENCOUNTER": "e1", "CODE": "10509002", "DESCRIPTION": "Acute bronchitis"} | system],
        "procedures": [
            {"START": "2026-11-01T15:05:00Z", "ENCOUNTER": "e1", "CODE": code, "DESCRIPTION": "x", "BASE_COST": "100.00",
             "REASONCODE": reason, "REASONDESCRIPTION": ""} | system
            for code, reason in (("1001", "10509002"), ("1002", ""))
        ],
        "immunizations": [{"DATE": "2026-11-01T15:00:00Z", "ENCOUNTER": "e1", "CODE": "140", "DESCRIPTION": "flu",
                           "BASE_COST": "30.00"}],
        "medications": [{"START": "2026-11-01T15:25:00Z", "ENCOUNTER": "e1", "CODE": "834061", "DESCRIPTION": "tablet"}],
    }  # fmt: skip


def write(tables: Tables, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in tables.items():
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        (folder / f"{name}.csv").write_bytes(text.getvalue().encode())
    return folder


@pytest.mark.parametrize("newer", [True, False], ids=["newer columns", "older columns"])
def test_prices_are_carried_in_order_while_the_total_covers_them(tmp_path: Path, newer: bool):
    lines = read(write(small(newer), tmp_path)).lines.to_pylist()
    # 300.00 = 80 visit + 30 vaccine + 100 procedure + (100 does not fit in the 90 left) ... + 90 that no row explains
    assert [
        (x["kind"], x["code"], str(x["charge"]), x["pointers"]) for x in lines if x["encounter_key"] == "o1:e1"
    ] == [
        ("visit", "185345009", "80.00", None),
        ("immunization", "140", "30.00", None),
        ("procedure", "1001", "100.00", "1"),
        ("procedure", "1002", "0.00", None),
        ("drug", "834061", "0.00", None),
        ("other", "UNITEMISED", "90.00", None),
    ]
    assert [x["kind"] for x in lines if x["encounter_key"] == "o1:e2"] == ["visit"]


def test_the_normalised_visit(tmp_path: Path):
    row = read(write(small(), tmp_path)).encounters.to_pylist()[0]
    assert {name: row[name] for name in (
        "practice_id", "member_id", "patient_state", "patient_zip", "billing_zip", "billing_phone", "rendering_first",
        "rendering_last", "rendering_taxonomy", "visit_system", "minutes", "payer_key", "patient_middle",
    )} == {
        "practice_id": "o1", "member_id": "NEW", "patient_state": "MA", "patient_zip": None, "billing_zip": "021381234",
        "billing_phone": "6175550100", "rendering_first": "Vic", "rendering_last": "Van Dyke",
        "rendering_taxonomy": "208D00000X", "visit_system": "SNOMED", "minutes": 25, "payer_key": "medicare",
        "patient_middle": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("start", "member"),
    [
        ("2024-12-31T23:59:59Z", None),
        ("2025-12-31T23:59:59Z", "OLD"),
        ("2026-01-01T00:00:00Z", "NEW"),
        ("2026-06-01T00:00:00Z", "NEW"),
        ("2026-06-01T00:00:01Z", None),
    ],
)
def test_the_member_id_is_that_of_the_cover_at_the_moment(tmp_path: Path, start: str, member: str | None):
    tables = small()
    tables["encounters"][1] |= {"START": start, "STOP": start}
    tables["payer_transitions"][1]["END_DATE"] = "2026-06-01T00:00:00Z"
    assert read(write(tables, tmp_path)).encounters["member_id"][1].as_py() == member


def test_a_visit_after_midnight_utc_belongs_to_the_day_before(tmp_path: Path):
    tables = small()
    tables["encounters"][1] |= {"START": "2026-11-03T02:00:00Z", "STOP": "2026-11-03T02:20:00Z"}
    row = read(write(tables, tmp_path)).encounters.to_pylist()[1]
    assert row["service_from"] == date(2026, 11, 2)


def spoil(name: str, **cells: str) -> Callable[[Tables], None]:
    """Spoil what the first encounter is made of."""

    def change(tables: Tables) -> None:
        tables[name][0] |= cells

    return change


def other_patient(**cells: str) -> Callable[[Tables], None]:
    def change(tables: Tables) -> None:
        tables["patients"].append(tables["patients"][0] | {"Id": "p2"} | cells)
        tables["encounters"][0]["PATIENT"] = "p2"

    return change


def repeat(**cells: str) -> Callable[[Tables], None]:
    def change(tables: Tables) -> None:
        tables["encounters"].append(tables["encounters"][0] | cells)

    return change


FAULTS = [
    ("no id", spoil("encounters", Id=""), "intake.key.missing", "encounters.csv row 1 column Id"),
    ("control in id", spoil("encounters", Id="e\x011"), "intake.key.illegible", "encounters.csv row 1 column Id"),
    ("id twice", repeat(CODE="1"), "intake.key.duplicate", "encounters.csv row 1 column Id"),
    ("no such time", spoil("encounters", START="2026-13-01T00:00:00Z"), "intake.date.illegible", "encounters.csv row 1 column START"),
    ("stop in words", spoil("encounters", STOP="later"), "intake.date.illegible", "encounters.csv row 1 column STOP"),
    ("stop first", spoil("encounters", STOP="2026-11-01T14:00:00Z"), "intake.date.order", "encounters.csv row 1 column STOP"),
    ("future", spoil("encounters", START="2026-12-01T10:00:00Z", STOP="2026-12-01T11:00:00Z"), "intake.date.future", "encounters.csv row 1 column START"),
    ("future procedure", spoil("procedures", START="2026-12-01T10:00:00Z"), "intake.date.future", "procedures.csv row 1 column START"),
    ("total", spoil("encounters", TOTAL_CLAIM_COST="NaN"), "intake.amount.illegible", "encounters.csv row 1 column TOTAL_CLAIM_COST"),
    ("base", spoil("encounters", BASE_ENCOUNTER_COST="1E5"), "intake.amount.illegible", "encounters.csv row 1 column BASE_ENCOUNTER_COST"),
    ("no total", spoil("encounters", TOTAL_CLAIM_COST=""), "intake.value.missing", "encounters.csv row 1 column TOTAL_CLAIM_COST"),
    ("procedure's cost", spoil("procedures", BASE_COST="-0"), "intake.amount.illegible", "procedures.csv row 1 column BASE_COST"),
    ("vaccine's date", spoil("immunizations", DATE="soon"), "intake.date.illegible", "immunizations.csv row 1 column DATE"),
    ("no code", spoil("procedures", CODE=""), "intake.value.missing", "procedures.csv row 1 column CODE"),
    ("no such patient", spoil("encounters", PATIENT="p9"), "intake.reference.missing", "encounters.csv row 1 column PATIENT"),
    ("no such payer", spoil("encounters", PAYER="x9"), "intake.reference.missing", "encounters.csv row 1 column PAYER"),
    ("born later", other_patient(BIRTHDATE="2026-11-02"), "intake.birth.after_service", "encounters.csv row 1 column BIRTHDATE of its patient"),
    ("birth in words", other_patient(BIRTHDATE="May"), "intake.date.illegible", "encounters.csv row 1 column BIRTHDATE of its patient"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "rule", "source"), [f[1:] for f in FAULTS], ids=[f[0] for f in FAULTS])
def test_one_fault_sets_one_encounter_aside(tmp_path: Path, change: Callable[[Tables], None], rule: str, source: str):
    tables = small()
    change(tables)
    taken = read(write(tables, tmp_path))
    assert taken.encounters["encounter_key"].to_pylist() == ["o1:e2", "o1:e3"]
    assert set(taken.lines["encounter_key"].to_pylist()) == {"o1:e2", "o1:e3"}
    assert taken.diagnoses.num_rows == 0
    assert taken.set_aside[0].reason == rule
    assert source in [f.source for f in taken.findings if f.rule == rule]
    assert taken.rows_read == 2 + len(taken.set_aside)


def test_an_orphan_costs_no_encounter(tmp_path: Path):
    tables = small()
    tables["conditions"].append(tables["conditions"][0] | {"ENCOUNTER": "e9"})
    taken = read(write(tables, tmp_path))
    assert taken.encounters.num_rows == 3
    assert [(f.rule, f.source) for f in taken.findings] == [("intake.orphan", "conditions.csv row 2 column ENCOUNTER")]


def test_garbled_bytes_of_a_patient_cost_the_patients_encounters_only(tmp_path: Path):
    tables = small()
    other_patient(LAST="Marker")(tables)
    path = write(tables, tmp_path) / "patients.csv"
    path.write_bytes(path.read_bytes().replace(b"Marker", b"Mark\xe9r"))
    taken = read(tmp_path)
    assert [(a.encounter_key, a.reason) for a in taken.set_aside] == [("o1:e1", "intake.text.encoding")]
    assert taken.encounters.num_rows == 2


def test_equal_rows_of_an_encounter_count_once_and_the_repeat_is_set_aside(tmp_path: Path):
    tables = small()
    repeat()(tables)
    taken = read(write(tables, tmp_path))
    assert taken.encounters["encounter_key"].to_pylist() == ["o1:e1", "o1:e2", "o1:e3"]
    assert [(a.reason, a.source_row) for a in taken.set_aside] == [("intake.key.duplicate", 4)]
    assert taken.set_aside[0].encounter_key.startswith("row:encounters.csv:")
    assert taken.rows_read == 4


def first_generation() -> Tables:
    """Procedures with a day and no moment; cover in whole years and without a member's number."""
    tables = small(newer=False)
    tables["procedures"] = [{"DATE": r.pop("START")[:10], **r} for r in tables["procedures"]]
    tables["payer_transitions"] = [{"PATIENT": "p1", "START_YEAR": "2020", "END_YEAR": "2026", "PAYER": "m1"}]
    return tables


def test_the_first_generation_of_columns_gives_the_same_visits_without_a_number(tmp_path: Path):
    old = read(write(first_generation(), tmp_path / "old"))
    new = read(write(small(), tmp_path / "new"))
    assert old.lines.equals(new.lines)
    assert old.diagnoses.equals(new.diagnoses)
    assert (old.set_aside, old.findings) == ([], [])
    differs = {name for name in old.encounters.column_names if old.encounters[name] != new.encounters[name]}
    assert differs <= {"member_id", "content_hash"}
    assert set(old.encounters["member_id"].to_pylist()) == {None}


def test_a_fault_of_the_first_generation_names_its_own_column(tmp_path: Path):
    tables = first_generation()
    tables["procedures"][1]["DATE"] = "11/01/2026"
    taken = read(write(tables, tmp_path))
    assert [(f.rule, f.source) for f in taken.findings] == [
        ("intake.date.illegible", "procedures.csv row 2 column DATE")
    ]


@pytest.mark.parametrize(
    ("name", "column", "told"),
    [("encounters", "TOTAL_CLAIM_COST", "TOTAL_CLAIM_COST"), ("patients", "BIRTHDATE", "BIRTHDATE"),
     ("payer_transitions", "START_DATE", "START_DATE or START_YEAR"), ("procedures", "BASE_COST", "BASE_COST")],
)  # fmt: skip
def test_a_missing_column_is_named(tmp_path: Path, name: str, column: str, told: str):
    tables = small()
    for row in tables[name]:
        del row[column]
    with pytest.raises(Terminal, match=rf"{name}\.csv has no column {told}\."):
        read(write(tables, tmp_path))


def test_a_missing_file_and_an_empty_one_are_named(tmp_path: Path):
    folder = write(small(), tmp_path)
    (folder / "payers.csv").unlink()
    with pytest.raises(Terminal, match=r"payers\.csv"):
        read(folder)
    path = write(small(), tmp_path) / "encounters.csv"
    path.write_bytes(path.read_bytes().split(b"\n")[0] + b"\n")
    with pytest.raises(Terminal, match="holds no encounter"):
        read(folder)


def test_the_hash_follows_what_is_said_of_the_visit(tmp_path: Path):
    def hashes(change: Callable[[Tables], None]) -> list[str]:
        tables = small()
        change(tables)
        folder = tmp_path / str(len(list(tmp_path.iterdir()) if tmp_path.exists() else []))
        return read(write(tables, folder)).encounters["content_hash"].to_pylist()

    before = hashes(lambda tables: None)
    assert len(set(before)) == 3
    assert hashes(lambda tables: tables["payers"].insert(0, {"Id": "z", "NAME": "Z"})) == before
    for name in ("conditions", "procedures", "immunizations"):
        after = hashes(spoil(name, CODE="999"))
        assert after[0] != before[0]
        assert after[1:] == before[1:]
    assert all(a != b for a, b in zip(hashes(spoil("patients", LAST="Other")), before, strict=True))
