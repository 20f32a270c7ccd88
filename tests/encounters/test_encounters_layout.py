"""The own layout: what is read, what is set aside, what is refused."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from encounters.extracts import Extract
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from pipeline import shapes
from pipeline.encounters import extras, formats, layout
from pipeline.encounters.intake import RULES, Context, Intake
from pipeline.errors import Terminal

ON = date(2026, 11, 20)
CONTEXT = Context(on=ON, payers={"medicare": "medicare", "acme": "acme"}, timezone=ZoneInfo("America/New_York"))
ROOT = Path(__file__).resolve().parents[2]


def read(folder: Path, fmt: str = "auto") -> Intake:
    fmt, files = formats.sources(folder, fmt)
    return formats.READERS[fmt].read(files, CONTEXT)


def three() -> Extract:
    extract = Extract()
    for number in (1, 2, 3):
        extract.visit(number)
    return extract


def test_a_visit_keeps_every_cell_of_the_source(tmp_path: Path):
    extract = Extract()
    extract.visit(7, patient_last="O'Dwyer-Muñoz", payer="MEDICARE", claim_type="", minutes="")
    taken = read(extract.write(tmp_path))
    [row] = taken.encounters.to_pylist()
    assert row["encounter_key"] == "P01:V7"
    assert row["patient_last"] == "O'Dwyer-Muñoz"
    assert (row["payer_source"], row["payer_key"]) == ("MEDICARE", "medicare")
    assert (row["service_from"], row["charge"], row["minutes"]) == (date(2026, 11, 10), Decimal("194.00"), None)
    assert (row["claim_type"], row["synthetic"], row["source_file"], row["source_row"]) == (
        "professional", True, "encounters.csv", 1,
    )  # fmt: skip
    assert [(d["rank"], d["code"], d["text"], d["source_row"]) for d in taken.diagnoses.to_pylist()] == [
        (1, "J020", "strep throat", 1), (2, "I10", None, 2),
    ]  # fmt: skip
    lines = taken.lines.to_pylist()
    assert [(x["line"], x["code"], x["charge"], x["units"], x["pointers"]) for x in lines] == [
        (1, "99213", Decimal("156.00"), Decimal(1), "1,2"), (2, "87880", Decimal("38.00"), Decimal(1), "1"),
    ]  # fmt: skip
    # an empty service date is the visit's first day
    assert {x["service_date"] for x in lines} == {date(2026, 11, 10)}
    for table, name in (
        (taken.encounters, "encounters"),
        (taken.diagnoses, "encounter_diagnoses"),
        (taken.lines, "encounter_lines"),
    ):
        shapes.check(table, name)
    assert taken.set_aside == [] == taken.findings


@pytest.mark.parametrize("zeros", ["00", "0000", "00000000"])
def test_zeros_behind_the_last_place_change_nothing(tmp_path: Path, zeros: str):
    """As a database writes its decimals: 156.000000, 1.000000."""
    plain, padded = Extract(), Extract()
    plain.visit(1)
    padded.visit(1)
    padded.encounters[0]["charge"] = "194.00" + zeros
    for row in padded.services:
        row["charge"] += zeros
        row["units"] = f"{row['units']}.0000{zeros}"
    padded.totals = {"encounters.charge": "194.00", "services.charge": "194.00"}
    one, other = read(plain.write(tmp_path / "plain")), read(padded.write(tmp_path / "padded"))
    assert other.findings == [] == other.set_aside
    assert other.lines.equals(one.lines)
    assert other.encounters.equals(one.encounters)


def test_rows_of_children_may_stand_in_any_order(tmp_path: Path):
    extract = three()
    ordered = read(extract.write(tmp_path / "a"))
    extract.diagnoses.reverse()
    extract.services.reverse()
    shuffled = read(extract.write(tmp_path / "b"))
    for name in ("encounter_key", "content_hash"):
        assert ordered.encounters.column(name).to_pylist() == shuffled.encounters.column(name).to_pylist()
    assert ordered.lines.column("code").to_pylist() == shuffled.lines.column("code").to_pylist()


def test_who_pays_himself_has_no_payer(tmp_path: Path):
    extract = Extract()
    extract.visit(1, payer="", member_id="")
    extract.visit(2, payer="Nobody Knows Mutual")
    rows = read(extract.write(tmp_path)).encounters.to_pylist()
    assert [(r["payer_source"], r["payer_key"]) for r in rows] == [
        ("NO_INSURANCE", None),
        ("Nobody Knows Mutual", None),
    ]


TYPED = {
    "service_from": pa.date32(), "service_to": pa.date32(), "patient_birth_date": pa.date32(),
    "service_date": pa.date32(), "charge": pa.decimal128(18, 2), "minutes": pa.int32(), "rank": pa.int64(),
    "line": pa.int8(), "units": pa.decimal128(10, 0), "payer": pa.dictionary(pa.int32(), pa.string()),
}  # fmt: skip


#: as pandas writes dates: moments at midnight
MOMENTS = {
    name: pa.timestamp("ns") if name == "service_from" else pa.timestamp("s")
    for name, kind in TYPED.items()
    if kind == pa.date32()
}


@pytest.mark.parametrize("types", [{}, TYPED, TYPED | MOMENTS], ids=["as text", "typed", "dates as moments"])
def test_csv_and_parquet_give_the_same_visits(tmp_path: Path, types: dict[str, pa.DataType]):
    extract = three()
    extract.encounters[1]["minutes"] = ""
    one = read(extract.write(tmp_path / "csv"))
    two = read(extract.write_parquet(tmp_path / "parquet", types))
    for mine, other in ((one.encounters, two.encounters), (one.diagnoses, two.diagnoses), (one.lines, two.lines)):
        left_out = {"source_file", "source_format"}
        names = [name for name in mine.column_names if name not in left_out]
        assert mine.select(names).equals(other.select(names))
    assert set(two.encounters.column("source_format").to_pylist()) == {"parquet"}


@pytest.mark.parametrize("zone", ["", "America/New_York"])
def test_a_moment_with_a_time_of_day_where_a_date_is_needed_costs_its_row(zone: str, tmp_path: Path):
    extract = three()
    folder = extract.write_parquet(tmp_path / "moments", {"service_from": pa.timestamp("us")})
    table = pq.read_table(folder / "encounters.parquet")
    place = table.column_names.index("service_from")
    moments = pa.array(["2026-11-10", "2026-11-10 08:15:00", "2026-11-10"]).cast(pa.timestamp("us"))
    moments = pc.assume_timezone(moments, zone) if zone else moments
    pq.write_table(table.set_column(place, "service_from", moments), folder / "encounters.parquet")
    taken = read(folder)
    assert taken.encounters.column("encounter_key").to_pylist() == ["P01:V1", "P01:V3"]
    assert taken.encounters.column("service_from").to_pylist() == [date(2026, 11, 10)] * 2
    [told] = [f for f in taken.findings if f.severity == "error"]
    assert (told.rule, told.source) == ("intake.date.illegible", "encounters.parquet row 2 column service_from")


def test_the_hash_follows_the_values_and_nothing_else(tmp_path: Path):
    hashes = []
    for change in ({}, {"charge": "194.0"}, {"authorization_number": ""}, {"member_id": "1EG4TE5MK74"}):
        extract = Extract()
        extract.visit(1, **change)
        folder = extract.write(tmp_path / str(len(hashes)))
        hashes.append(read(folder).encounters.column("content_hash")[0].as_py())
    assert hashes[0] == hashes[1] == hashes[2] != hashes[3]
    extract = Extract()
    extract.visit(1)
    extract.diagnoses[1]["code"] = "I11"
    assert read(extract.write(tmp_path / "dx")).encounters.column("content_hash")[0].as_py() != hashes[0]


def spoil(table: str, **cells: str) -> Callable[[Extract], None]:
    def change(extract: Extract) -> None:
        index = {"encounters": 1, "diagnoses": 2, "services": 2}[table]  # the first row of the second visit
        extract.tables[table][index] |= cells

    return change


def again(table: str, **cells: str) -> Callable[[Extract], None]:
    def change(extract: Extract) -> None:
        index = {"encounters": 1, "diagnoses": 2, "services": 2}[table]
        extract.tables[table].append(extract.tables[table][index] | cells)

    return change


#: what is done to the second of three visits → rule, file, row, column that the finding names
FAULTS: list[tuple[str, Callable[[Extract], None], tuple[str, str, int, str]]] = [
    ("no visit id", spoil("encounters", encounter_id=""), ("intake.key.missing", "encounters", 2, "encounter_id")),
    ("no practice", spoil("encounters", practice_id=" "), ("intake.key.missing", "encounters", 2, "practice_id")),
    ("NUL in id", spoil("encounters", encounter_id="V\x002"), ("intake.key.illegible", "encounters", 2, "encounter_id")),
    ("other row, same key", again("encounters", patient_first="Ivor"), ("intake.key.duplicate", "encounters", 2, "encounter_id")),
    ("no such day", spoil("encounters", service_from="2026-02-30"), ("intake.date.illegible", "encounters", 2, "service_from")),
    ("US date", spoil("encounters", service_from="11/10/2026"), ("intake.date.illegible", "encounters", 2, "service_from")),
    ("compact date", spoil("encounters", service_to="20261110"), ("intake.date.illegible", "encounters", 2, "service_to")),
    ("date with time", spoil("encounters", service_from="2026-11-10T00:00"), ("intake.date.illegible", "encounters", 2, "service_from")),
    ("year 202", spoil("encounters", patient_birth_date="0202-01-01"), ("intake.date.illegible", "encounters", 2, "patient_birth_date")),
    ("no date", spoil("encounters", service_from=""), ("intake.value.missing", "encounters", 2, "service_from")),
    ("ends before it begins", spoil("encounters", service_to="2026-11-09"), ("intake.date.order", "encounters", 2, "service_to")),
    ("tomorrow", spoil("encounters", service_from="2026-11-21", service_to="2026-11-21"), ("intake.date.future", "encounters", 2, "service_from")),
    ("ends tomorrow", spoil("encounters", service_to="2026-11-21"), ("intake.date.future", "encounters", 2, "service_to")),
    ("service tomorrow", spoil("services", service_date="2026-11-21"), ("intake.date.future", "services", 3, "service_date")),
    ("born later", spoil("encounters", patient_birth_date="2026-11-11"), ("intake.birth.after_service", "encounters", 2, "patient_birth_date")),
    *((f"charge {text!r}", spoil("encounters", charge=text), ("intake.amount.illegible", "encounters", 2, "charge"))
      for text in ("NaN", "1E5", "-0", "-5.00", "+194.00", "1,940.00", "$194", "194.001", "Infinity", "1" * 19, "٣", "0x10")),
    ("no charge", spoil("encounters", charge=""), ("intake.value.missing", "encounters", 2, "charge")),
    ("service's charge", spoil("services", charge="1E2"), ("intake.amount.illegible", "services", 3, "charge")),
    ("units", spoil("services", units="two"), ("intake.number.illegible", "services", 3, "units")),
    ("no units", spoil("services", units=""), ("intake.value.missing", "services", 3, "units")),
    ("minutes", spoil("encounters", minutes="25.5"), ("intake.number.illegible", "encounters", 2, "minutes")),
    ("rank", spoil("diagnoses", rank="first"), ("intake.number.illegible", "diagnoses", 3, "rank")),
    ("no code", spoil("diagnoses", code=""), ("intake.value.missing", "diagnoses", 3, "code")),
    ("rank twice", spoil("diagnoses", rank="2"), ("intake.rank.duplicate", "diagnoses", 4, "rank")),
    ("line twice", again("services", code="99214"), ("intake.rank.duplicate", "services", 7, "line")),
    ("pointers", spoil("services", pointers="A"), ("intake.pointer.illegible", "services", 3, "pointers")),
    ("kind", spoil("services", kind="surgery"), ("intake.value.unknown", "services", 3, "kind")),
    ("claim type", spoil("encounters", claim_type="837P"), ("intake.value.unknown", "encounters", 2, "claim_type")),
    ("line that is not there", lambda e: e.add("notes", 2, line="3", kind="ADD", text="x"), ("intake.line.missing", "notes", 1, "line")),
    ("payer that is not there", lambda e: [
        e.add("other_payers", 2, responsibility="P", payer_name="Acme", payer_id="A1"),
        e.add("adjustments", 2, payer_id="A2", group="CO", reason="45", amount="1.00")],
     ("intake.reference.missing", "adjustments", 1, "payer_id")),
    ("role", lambda e: e.add("parties", 2, role="surgeon", npi="1234567893"), ("intake.value.unknown", "parties", 1, "role")),
    ("services do not add up", spoil("encounters", charge="194.01"), ("intake.charge.disagrees", "encounters", 2, "charge")),
]  # fmt: skip


@pytest.mark.parametrize(("change", "expected"), [f[1:] for f in FAULTS], ids=[f[0] for f in FAULTS])
def test_one_fault_sets_one_visit_aside(
    tmp_path: Path, change: Callable[[Extract], None], expected: tuple[str, str, int, str]
):
    extract = three()
    change(extract)
    taken = read(extract.write(tmp_path))
    assert taken.encounters.column("encounter_key").to_pylist() == ["P01:V1", "P01:V3"]
    assert set(taken.lines.column("encounter_key").to_pylist()) == {"P01:V1", "P01:V3"}
    assert set(taken.diagnoses.column("encounter_key").to_pylist()) == {"P01:V1", "P01:V3"}
    assert taken.rows_read == 2 + len(taken.set_aside)
    rule, table, row, column = expected
    assert taken.set_aside[0].reason == rule
    [told] = [f for f in taken.findings if f.rule == rule][:1]
    assert told.source == f"{table}.csv row {row} column {column}"
    assert told.severity == "error"
    assert told.fix == RULES[rule][1] != ""


def test_every_rule_that_sets_a_row_aside_has_a_fixture():
    elsewhere = {
        "intake.row.width", "intake.text.encoding", "intake.orphan", "intake.row.repeated", "intake.column.unknown",
        "intake.total.unproved", "intake.file.end",
    }  # fmt: skip
    # of FHIR and HL7, whose records are no rows: test_encounters_records has theirs
    elsewhere |= {
        "intake.file.illegible", "intake.file.count", "intake.record.illegible", "intake.charge.credited",
        "intake.record.other", "intake.claim.other", "intake.visit.unfinished",
    }  # fmt: skip
    elsewhere |= {  # test_encounters_other_systems
        "intake.cover.missing", "intake.cover.order", "intake.attachment.other",
    }  # fmt: skip
    elsewhere |= {  # test_encounters_hl7_nights
        "intake.charge.doubtful", "intake.charge.again", "intake.charge.gone", "intake.earlier.missing", "intake.earlier.other",
    }  # fmt: skip
    assert {f[2][0] for f in FAULTS} == set(RULES) - elsewhere


def test_of_equal_rows_the_first_goes_on(tmp_path: Path):
    extract = three()
    extract.encounters.append(dict(extract.encounters[1]))
    taken = read(extract.write(tmp_path))
    assert taken.encounters.column("encounter_key").to_pylist() == ["P01:V1", "P01:V2", "P01:V3"]
    [aside] = taken.set_aside
    assert aside.encounter_key.startswith("row:encounters.csv:")
    assert (aside.reason, aside.source_row, aside.charge_cents) == ("intake.key.duplicate", 4, 19400)


def test_of_different_rows_with_one_key_none_goes_on(tmp_path: Path):
    extract = three()
    extract.encounters.append(extract.encounters[1] | {"patient_sex": "M"})
    taken = read(extract.write(tmp_path))
    assert taken.encounters.column("encounter_key").to_pylist() == ["P01:V1", "P01:V3"]
    assert {a.source_row for a in taken.set_aside} == {2, 4}
    assert len({a.encounter_key for a in taken.set_aside}) == 2


def test_the_key_of_a_row_without_one_follows_its_content(tmp_path: Path):
    extract = three()
    extract.encounters[1]["encounter_id"] = ""
    [before] = read(extract.write(tmp_path / "a")).set_aside
    extract.visit(0)
    extract.encounters.insert(0, extract.encounters.pop())
    [after] = read(extract.write(tmp_path / "b")).set_aside
    assert (before.encounter_key, before.source_row) == (after.encounter_key, 2)
    assert after.source_row == 3
    assert "Last2" not in before.encounter_key


def test_an_exact_repeat_of_a_service_counts_once(tmp_path: Path):
    extract = three()
    extract.services.append(dict(extract.services[2]))
    taken = read(extract.write(tmp_path))
    assert taken.lines.num_rows == 6
    assert [(f.rule, f.severity, f.subject) for f in taken.findings] == [("intake.row.repeated", "warning", "P01:V2")]


def test_an_orphan_is_a_finding_and_costs_no_visit(tmp_path: Path):
    extract = three()
    extract.diagnoses.append(extract.diagnoses[0] | {"encounter_id": "V9"})
    extract.services.append(extract.services[0] | {"encounter_id": "V9"})
    taken = read(extract.write(tmp_path))
    assert taken.encounters.num_rows == 3
    assert [(f.rule, f.source) for f in taken.findings] == [
        ("intake.orphan", "diagnoses.csv row 7 column encounter_id"),
        ("intake.orphan", "services.csv row 7 column encounter_id"),
    ]


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().split(b"\n")


@pytest.mark.parametrize(("table", "row"), [("encounters", 2), ("diagnoses", 3), ("services", 3)])
@pytest.mark.parametrize("more", [True, False], ids=["too many cells", "too few cells"])
def test_a_row_of_the_wrong_width_is_set_aside(tmp_path: Path, table: str, row: int, more: bool):
    path = three().write(tmp_path) / f"{table}.csv"
    lines = _lines(path)
    lines[row] = lines[row] + b",more" if more else lines[row].replace(b",", b" ", 3).replace(b" ", b",", 2)
    path.write_bytes(b"\n".join(lines))
    taken = read(tmp_path)
    assert taken.encounters.column("encounter_key").to_pylist() == ["P01:V1", "P01:V3"]
    assert ("intake.row.width", f"{table}.csv row {row}") in [(f.rule, f.source) for f in taken.findings]
    assert taken.rows_read == 3
    # rows after it keep their number in the file
    assert taken.encounters.column("source_row").to_pylist() == [1, 3]


def test_a_quotation_mark_that_is_never_closed_refuses_the_extract(tmp_path: Path):
    path = three().write(tmp_path) / "encounters.csv"
    path.write_bytes(path.read_bytes().replace(b"Last1", b'"Last1'))
    with pytest.raises(Terminal, match=r"encounters\.csv"):
        read(tmp_path)


def test_a_stray_carriage_return_costs_its_row_only(tmp_path: Path):
    path = three().write(tmp_path) / "encounters.csv"
    path.write_bytes(path.read_bytes().replace(b"Last2", b"La\rst2"))
    taken = read(tmp_path)
    assert [(a.reason, a.source_row) for a in taken.set_aside] == [("intake.text.encoding", 2)]
    assert taken.encounters.num_rows == 2


def test_bytes_that_are_not_utf8_cost_their_row_only(tmp_path: Path):
    path = three().write(tmp_path) / "encounters.csv"
    path.write_bytes(path.read_bytes().replace(b"Last2", b"Pe\xf1a"))
    taken = read(tmp_path)
    assert taken.encounters.column("encounter_key").to_pylist() == ["P01:V1", "P01:V3"]
    [told] = taken.findings
    assert (told.rule, told.source) == ("intake.text.encoding", "encounters.csv row 2 column patient_last")


def test_quotes_commas_newlines_and_a_byte_order_mark_are_read(tmp_path: Path):
    extract = three()
    extract.encounters[1]["billing_name"] = 'Smith, "Jo"\nand Sons'
    path = extract.write(tmp_path) / "encounters.csv"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    taken = read(tmp_path)
    assert taken.encounters.column("billing_name")[1].as_py().replace("\r", "") == 'Smith, "Jo"\nand Sons'
    assert taken.encounters.num_rows == 3


def test_no_finding_tells_what_a_patient_cell_holds(tmp_path: Path):
    extract = three()
    extract.encounters[1] |= {
        "patient_last": "CANARYLAST", "patient_birth_date": "CANARYBIRTH", "member_id": "CANARYMEMBER",
        "charge": "CANARYCHARGE", "service_from": "CANARYDATE",
    }  # fmt: skip
    taken = read(extract.write(tmp_path))
    assert len(taken.set_aside) == 1
    assert "CANARY" not in " ".join(f"{f.message} {f.fix} {f.source} {f.subject}" for f in taken.findings)
    assert "CANARY" not in taken.set_aside[0].encounter_key


# --- refused as a whole ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "column"), [(table, column) for table, columns in layout.REQUIRED.items() for column in columns]
)
def test_a_missing_column_is_named(tmp_path: Path, table: str, column: str):
    extract = three()
    for row in extract.tables[table]:
        del row[column]
    extract.totals = {"encounters.charge": "582.00", "services.charge": "582.00"}
    for row in extract.encounters + extract.services:
        row.setdefault("charge", "0") if column != "charge" else None
    folder = extract.write(tmp_path) if column != "charge" else _without_charge(extract, tmp_path, table)
    with pytest.raises(Terminal, match=rf"{table}\.csv has no column {column}\."):
        read(folder)


def _without_charge(extract: Extract, folder: Path, table: str) -> Path:
    for row in extract.tables[table]:
        row["charge"] = "0"
    extract.write(folder)
    path = folder / f"{table}.csv"
    path.write_text(re.sub(r"\bcharge\b", "price", path.read_text(), count=1))
    return folder


@pytest.mark.parametrize("name", ["diagnoses.csv", "services.csv", "manifest.json"])
def test_a_missing_file_is_named(tmp_path: Path, name: str):
    folder = three().write(tmp_path)
    (folder / name).unlink()
    with pytest.raises(Terminal, match=re.escape(name)):
        read(folder)


def test_an_empty_extract_is_refused(tmp_path: Path):
    folder = three().write(tmp_path)
    for name in ("encounters", "diagnoses", "services"):
        path = folder / f"{name}.csv"
        path.write_bytes(_lines(path)[0] + b"\n")
    (folder / "manifest.json").write_text(json.dumps(Extract().manifest() | {"synthetic": False}))
    with pytest.raises(Terminal, match="holds no visit"):
        read(folder)
    (folder / "encounters.csv").write_bytes(b"")
    with pytest.raises(Terminal, match=r"encounters\.csv is empty"):
        read(folder)


@pytest.mark.parametrize(
    ("total", "value", "told"),
    [
        ("encounters.rows", 4, r"encounters\.csv holds 3 rows, but the manifest says 4"),
        ("diagnoses.rows", 5, r"diagnoses\.csv holds 6 rows, but the manifest says 5"),
        ("services.rows", 0, r"services\.csv holds 6 rows, but the manifest says 0"),
        ("encounters.charge", "582.01", r"encounters\.csv add up to 582\.00, but the manifest says 582\.01"),
        ("services.charge", "581.99", r"services\.csv add up to 582\.00, but the manifest says 581\.99"),
        ("encounters.charge", 582.1, r"582\.00, but the manifest says 582\.10"),
        ("encounters.charge", "NaN", "not a plain amount"),
        ("encounters.rows", "3", "not a whole number"),
    ],
)
def test_control_totals_that_differ_refuse_the_extract(tmp_path: Path, total: str, value: object, told: str):
    extract = three()
    extract.totals = {total: value}
    with pytest.raises(Terminal, match=told):
        read(extract.write(tmp_path))


def test_rows_set_aside_count_in_the_control_totals(tmp_path: Path):
    extract = three()
    extract.encounters[1]["service_from"] = "never"
    taken = read(extract.write(tmp_path))
    assert (taken.rows_read, taken.charge_cents) == (3, 58200)


def test_an_illegible_amount_leaves_the_total_unproved_but_a_surplus_refuses(tmp_path: Path):
    extract = three()
    extract.encounters[1]["charge"] = "NaN"
    extract.totals = {"encounters.charge": "582.00"}
    taken = read(extract.write(tmp_path / "a"))
    assert [f.rule for f in taken.findings] == ["intake.total.unproved", "intake.amount.illegible"]
    extract.totals = {"encounters.charge": "387.99"}
    with pytest.raises(Terminal, match=r"388\.00, but the manifest says 387\.99"):
        read(extract.write(tmp_path / "b"))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"layout": "claimpipe-extract", "version": 2}', "\xff"])
def test_a_manifest_that_is_none_is_refused(tmp_path: Path, text: str):
    folder = three().write(tmp_path)
    (folder / "manifest.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(Terminal, match=r"manifest\.json"):
        read(folder)


def test_a_column_that_nobody_knows_is_told(tmp_path: Path):
    extract = three()
    extract.encounters[0]["autorization_number"] = "A1"
    taken = read(extract.write(tmp_path))
    assert [(f.rule, f.severity, f.source) for f in taken.findings] == [
        ("intake.column.unknown", "warning", "encounters.csv column autorization_number")
    ]
    assert taken.encounters.num_rows == 3


def test_a_column_twice_is_refused(tmp_path: Path):
    path = three().write(tmp_path) / "encounters.csv"
    path.write_text(path.read_text().replace("service_to", "service_from", 1))
    with pytest.raises(Terminal, match="service_from twice"):
        read(tmp_path)


def test_floating_point_money_in_parquet_is_refused(tmp_path: Path):
    folder = three().write_parquet(tmp_path, {"charge": pa.float64()})
    with pytest.raises(Terminal, match="column charge: binary floating point"):
        read(folder)


def test_parquet_that_is_none_is_refused(tmp_path: Path):
    folder = three().write_parquet(tmp_path)
    (folder / "services.parquet").write_bytes(b"PAR1 not at all")
    with pytest.raises(Terminal, match=r"services\.parquet cannot be read as Parquet"):
        read(folder)


# --- any cell at all -------------------------------------------------------------------------------------------------

cells = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=12),
    st.sampled_from(
        ["NaN", "1E5", "-0", "0", "9" * 19, "2026-11-10", "2026-02-30", "'", '"', ",", "*~:^", "\x00", "🩺"]
    ),
)


@given(cell=cells, place=st.sampled_from(["encounters", "diagnoses", "services"]), data=st.data())
@hypothesis_settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_a_cell_holds_its_neighbours_go_on(tmp_path: Path, cell: str, place: str, data: st.DataObject):
    extract = three()
    row = extract.tables[place][{"encounters": 1, "diagnoses": 2, "services": 2}[place]]
    column = data.draw(
        st.sampled_from(sorted(set(row) - ({"practice_id", "encounter_id"} if place != "encounters" else set())))
    )
    row[column] = cell
    taken = read(extract.write(tmp_path))
    keys = taken.encounters.column("encounter_key").to_pylist()
    assert {"P01:V1", "P01:V3"} <= set(keys)
    assert taken.rows_read == 3 == len(keys) + len(taken.set_aside)
    assert len(set(keys) | {a.encounter_key for a in taken.set_aside}) == 3


# --- further tables ---------------------------------------------------------------------------------------------------


def secondary() -> Extract:
    """Visit 2 with another payer who has paid, and rows of its own and of its lines in every further table."""
    extract = three()
    add = extract.add
    add("parties", 2, role="ordering", last="Okafor", first="Ben", npi="1234567893", line="2")
    add("parties", 2, role="supervising", last="Quill", first="Ada", npi="1245319599")
    add(
        "other_payers",
        2,
        responsibility="P",
        payer_name="Acme",
        payer_id="A1",
        relationship="18",
        member_id="77",
        paid="100.00",
    )
    add("adjudications", 2, line="1", payer_id="A1", paid="90.00", units="1", paid_date="2026-11-15")
    add("adjustments", 2, line="1", payer_id="A1", group="PR", reason="2", amount="66.00")
    add("adjustments", 2, payer_id="A1", group="CO", reason="45", amount="28.00")
    add("dates", 2, qualifier="454", from_date="2026-11-01")
    add("references", 2, qualifier="X4", value="12D4567890", line="2")
    add("attachments", 2, report_type="OZ", transmission="EL", control_number="K1")
    add("notes", 2, kind="ADD", text="one, two")
    add("codes", 2, kind="value", rank="1", code="A2", amount="5.00")
    add("conditions", 2, category="07", holds="Y", code1="01")
    add("transport", 2, reason="A", miles="12.5")
    add("spinal", 2, condition="A", description="low back")
    add("identifiers", 2, role="billing", id_qualifier="G2", id="PRV7")
    add("identifiers", 2, role="rendering", id_qualifier="G2", id="R9", payer_id="A1")
    add("identifiers", 2, line="2", role="ordering", id_qualifier="1G", id="B12345")
    add("contracts", 2, kind="05", amount="10.00", percent="2.5")
    add("contracts", 2, line="1", kind="02", code="C1")
    add("file_information", 2, text="STATE 12")
    add("outpatient_decision", 2, payer_id="A1", rate="0.5", remark1="MA01")
    add("inpatient_decision", 2, payer_id="A1", covered_days="3", drg_amount="900.10", remark2="MA02")
    add("teeth", 2, tooth="12", surfaces="MO", line="1")
    add("forms", 2, line="1", form_kind="UT", form="484.03", question="1A", percent="88")
    add("measurements", 2, line="1", kind="TR", qualifier="R1", value="9.5")
    return extract  # fmt: skip


def test_rows_of_further_tables_travel_with_their_visit_or_line(tmp_path: Path):
    taken = read(secondary().write(tmp_path))
    assert taken.set_aside == []
    assert taken.encounters.num_rows == 3
    visit = taken.encounters.to_pylist()[1]
    one, two = taken.lines.filter(pc.equal(taken.lines.column("encounter_key"), visit["encounter_key"])).to_pylist()
    assert [(p["role"], p["last"]) for p in visit["parties"]] == [("supervising", "Quill")]
    assert [(p["role"], p["last"]) for p in two["parties"]] == [("ordering", "Okafor")]
    [payer] = visit["other_payers"]
    assert (payer["payer_id"], payer["paid"]) == ("A1", Decimal("100.00"))
    assert [(a["reason"], a["amount"]) for a in payer["adjustments"]] == [("45", Decimal("28.00"))]
    [decided] = one["adjudications"]
    assert [(a["reason"], a["amount"]) for a in decided["adjustments"]] == [("2", Decimal("66.00"))]
    assert visit["codes"][0]["amount"] == Decimal("5.00")
    assert visit["conditions"][0]["holds"] is True
    assert visit["transport"][0]["miles"] == Decimal("12.5000")
    assert visit["spinal"][0]["description"] == "low back"
    assert [(i["role"], i["id"], i["payer_id"]) for i in visit["identifiers"]] == [
        ("billing", "PRV7", None), ("rendering", "R9", "A1"),
    ]  # fmt: skip
    assert [two["identifiers"][0]["id"], one["contracts"][0]["code"]] == ["B12345", "C1"]
    assert (visit["contracts"][0]["amount"], visit["file_information"][0]["text"]) == (Decimal("10.00"), "STATE 12")
    assert (payer["outpatient_decision"][0]["rate"], payer["outpatient_decision"][0]["remark1"]) == (
        Decimal("0.5"), "MA01",
    )  # fmt: skip
    assert (payer["inpatient_decision"][0]["drg_amount"], payer["inpatient_decision"][0]["remark2"]) == (
        Decimal("900.10"), "MA02",
    )  # fmt: skip
    assert [one["teeth"][0]["surfaces"], one["forms"][0]["percent"], one["measurements"][0]["value"]] == [
        "MO", Decimal(88), Decimal("9.5"),
    ]  # fmt: skip
    assert [visit[c][0] is not None for c in ("dates", "attachments", "notes")] == [True] * 3
    assert two["references"][0]["value"] == "12D4567890"
    for untouched in (taken.encounters.to_pylist()[0], taken.encounters.to_pylist()[2]):
        assert {untouched[name] for name in ("parties", "other_payers", "codes", "notes")} == {None}


def test_further_tables_count_in_the_visits_hash_whatever_their_order_and_format(tmp_path: Path):
    plain, rich, turned = three(), secondary(), secondary()
    for rows in turned.further.values():
        rows.reverse()
    hashes = [
        read(extract.write(tmp_path / name)).encounters.column("content_hash").to_pylist()
        for name, extract in (("plain", plain), ("rich", rich), ("turned", turned))
    ]
    parquet = read(secondary().write_parquet(tmp_path / "parquet")).encounters.column("content_hash").to_pylist()
    assert hashes[1] == hashes[2] == parquet
    assert hashes[0][::2] == hashes[1][::2]
    assert hashes[0][1] != hashes[1][1]


@pytest.mark.parametrize(
    ("table", "cells"),
    [
        ("adjustments", {"group": "CO", "reason": "45", "amount": "1.00"}),
        ("adjustments", {"group": "CO", "reason": "45", "amount": "1.00", "line": "1"}),
        ("outpatient_decision", {"remark1": "MA01"}),
        ("inpatient_decision", {"covered_days": "3"}),
    ],
)
@pytest.mark.parametrize("payers", [True, False])
def test_a_decision_of_a_payer_whom_the_visit_does_not_have_sets_it_aside(
    tmp_path: Path, table: str, cells: dict[str, str], payers: bool
):
    extract = three()
    if payers:
        extract.add("other_payers", 2, responsibility="P", payer_name="Acme", payer_id="A1", member_id="77")
    extract.add(table, 2, payer_id="A2", **cells)
    taken = read(extract.write(tmp_path))
    assert [a.reason for a in taken.set_aside] == ["intake.reference.missing"]
    [found] = [f for f in taken.findings if f.rule == "intake.reference.missing"]
    assert found.source == f"{table}.csv row 1 column payer_id"


def test_a_further_table_that_the_manifest_names_must_be_there(tmp_path: Path):
    folder = secondary().write(tmp_path)
    (folder / "other_payers.csv").unlink()
    with pytest.raises(Terminal, match="no other_payers"):
        read(folder)


def test_diagnoses_of_a_stay_count_within_their_kind(tmp_path: Path):
    extract = three()
    extract.diagnoses.append(
        {"practice_id": "P01", "encounter_id": "V2", "rank": "1", "system": "ICD10CM", "code": "R079", "kind": "admitting", "poa": ""}
    )  # fmt: skip
    taken = read(extract.write(tmp_path))
    assert taken.set_aside == []
    mine = [
        d for d in taken.diagnoses.to_pylist() if d["encounter_key"] == taken.encounters.to_pylist()[1]["encounter_key"]
    ]
    assert [(d["kind"], d["rank"], d["code"]) for d in mine] == [
        (None, 1, "J020"),
        (None, 2, "I10"),
        ("admitting", 1, "R079"),
    ]


# --- the documentation -----------------------------------------------------------------------------------------------


def test_the_documentation_lists_every_column_and_its_examples_are_read(tmp_path: Path):
    text = (ROOT / "docs" / "extracts.md").read_text()
    for table in layout.SHAPES:
        section = text.split(f"\n### {table}\n")[1].split("\n## ")[0].split("\n### ")[0]
        assert re.findall(r"^\| `(\w+)` \|", section, re.M) == layout.columns(table)
        (tmp_path / f"{table}.csv").write_text(section.split("```csv\n")[1].split("```")[0])
        demanded = dict(re.findall(r"^\| `(\w+)` \| \w+ \| (column[ \w]*) \|", section, re.M))
        assert set(demanded) == set(layout.REQUIRED[table])
    for table in extras.EXTRAS:
        [row] = re.findall(rf"^\| `{table}` \| ([^|]+) \|", text, re.M)
        assert re.findall(r"`(\w+)`", row) == extras.own_columns(table)
    (tmp_path / "manifest.json").write_text(text.split("```json\n")[1].split("```")[0])
    taken = read(tmp_path)
    assert (taken.encounters.num_rows, taken.set_aside, taken.findings) == (2, [], [])
    for rule in RULES:
        if rule not in ("intake.row.repeated", "intake.column.unknown"):
            assert f"`{rule}`" in text, rule


def test_the_documentation_says_which_optional_columns_a_claim_needs():
    """Each column that an edit wants filled, and under which column's condition, is in the table of docs/extracts.md."""
    text = (ROOT / "docs" / "extracts.md").read_text()
    section = text.split("**What billing needs beyond that.**")[1].split("\n### ")[0]
    said = {
        column: needed
        for columns, needed in re.findall(r"^\| (`.*`) \| (.*) \|$", section, re.M)
        for column in re.findall(r"`(\w+)`", columns)
    }
    wanted: dict[str, set[str]] = {}
    for path in (ROOT / "schemas" / "edits").glob("*.toml"):
        for edit in tomllib.loads(path.read_text()).get("edit", []):
            if edit.get("check") == "required" and edit.get("severity", "error") == "error":
                for name in edit["fields"]:
                    if name in layout.columns("encounters") and name not in layout.REQUIRED["encounters"]:
                        conditions = {"claim_type" if c == "guide" else c for c in edit.get("when", {})}  # its column
                        wanted.setdefault(name, set()).update(conditions)
    assert set(said) == set(wanted)
    for name, conditions in wanted.items():
        for condition in conditions - {"relationship", "rendering_npi", "rendering_last"}:  # said in words
            assert f"`{condition}`" in said[name], name
