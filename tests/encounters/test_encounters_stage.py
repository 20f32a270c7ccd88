"""The intake stage: archive first, idempotent by extract and by visit, neighbours go on."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from encounters.extracts import Extract

from pipeline import sample
from pipeline.encounters import formats, layout, stage
from pipeline.errors import Terminal, Transient
from pipeline.store import Store
from pipeline.store import register as r
from pipeline.store.events import Move, move_claims, verify

ON = date(2026, 11, 20)
NEXT = ON + timedelta(days=1)


def rows(store: Store, table: sa.Table) -> list[Any]:
    with store.read() as c:
        return list(c.execute(sa.select(table).order_by(*table.primary_key.columns)))


def states(store: Store) -> dict[str, tuple[str, int]]:
    return {e.encounter_key: (e.state, e.version) for e in rows(store, r.encounters)}


def lake_keys(store: Store, on: date, table: str = "encounters") -> list[str]:
    return sorted(set(store.lake.read(table, on=on).column("encounter_key").to_pylist()))


def snapshot(home: Path) -> dict[str, bytes]:
    """Every byte of the store: the database's content (a read may move SQLite's log), the archive, the lake."""
    found = {str(p): p.read_bytes() for part in ("archive", "lake") for p in (home / part).rglob("*") if p.is_file()}
    return found | {"database": (home / "claimpipe.db").read_bytes(), "log": _bytes(home / "claimpipe.db-wal")}


def _bytes(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


def extract(*numbers: int, **changes: dict[str, str]) -> Extract:
    made = Extract()
    for number in numbers:
        made.visit(number, **changes.get(f"v{number}", {}))
    return made


def test_visits_stand_in_the_register_the_lake_and_the_archive(any_store: Store, tmp_path: Path):
    folder = extract(1, 2, 3).write(tmp_path / "x")
    counts = stage.run(any_store, ON, folder)
    assert counts == {
        "files": 4, "rows_read": 3, "rows_new": 3, "rows_changed": 0, "rows_known": 0, "rows_quarantined": 0,
        "charge_cents": 58200, "quarantined_cents": 0, "findings": 0,
    }  # fmt: skip
    [imported] = rows(any_store, r.imports)
    assert (imported.format, imported.rows_read, imported.charge_cents, imported.name) == ("csv", 3, 58200, "x")
    for row in rows(any_store, r.encounters):
        assert (row.state, row.version, row.charge_cents, row.payer_key) == ("extracted", 1, 19400, "medicare")
        assert (row.logical_date, row.import_id, row.practice_id) == (ON, imported.import_id, "P01")
        for table in ("encounters", "encounter_diagnoses", "encounter_lines"):
            part = any_store.lake.read(table, on=row.logical_date, part=row.lake_part)
            assert row.encounter_key in part.column("encounter_key").to_pylist()
    files = rows(any_store, r.files)
    assert {(f.direction, f.kind, f.state) for f in files} == {("in", "extract", "processed")}
    archived = {any_store.archive.get(f.file_id) for f in files}
    assert archived == {path.read_bytes() for path in folder.iterdir()}
    with any_store.read() as c:
        text = c.execute(sa.select(r.stage_runs.c.counts).where(r.stage_runs.c.stage == "encounters")).scalar_one()
    assert json.loads(text) == counts


def test_the_same_extract_again_changes_nothing_on_any_date(store: Store, home: Path, tmp_path: Path):
    spoilt = extract(1, 2, 3, v2={"service_from": "soon"})
    first = stage.run(store, ON, spoilt.write(tmp_path / "x"))
    before = snapshot(home)
    assert stage.run(store, ON, tmp_path / "x") == first
    renamed = (tmp_path / "x").rename(tmp_path / "other name")
    later = stage.run(store, NEXT, renamed)
    assert later == first | {"rows_new": 0, "rows_known": 2}
    assert snapshot(home) == before


def test_a_cumulative_extract_brings_only_what_is_new_or_changed(any_store: Store, tmp_path: Path):
    stage.run(any_store, ON, extract(1, 2).write(tmp_path / "one"))
    counts = stage.run(any_store, NEXT, extract(3, 2, 1, v2={"member_id": "9AA9AA9AA99"}).write(tmp_path / "two"))
    assert (counts["rows_new"], counts["rows_changed"], counts["rows_known"]) == (1, 1, 1)
    assert states(any_store) == {"P01:V1": ("extracted", 1), "P01:V2": ("extracted", 2), "P01:V3": ("extracted", 1)}
    assert lake_keys(any_store, ON) == ["P01:V1", "P01:V2"]
    for table in ("encounters", "encounter_diagnoses", "encounter_lines"):
        assert lake_keys(any_store, NEXT, table) == ["P01:V2", "P01:V3"]
    by_key = {e.encounter_key: e for e in rows(any_store, r.encounters)}
    assert by_key["P01:V1"].logical_date == ON
    assert by_key["P01:V2"].logical_date == by_key["P01:V3"].logical_date == NEXT
    fresh = any_store.lake.read(
        "encounters", on=NEXT, part=by_key["P01:V2"].lake_part, where=("encounter_key", ["P01:V2"])
    )
    assert fresh.column("member_id").to_pylist() == ["9AA9AA9AA99"]


def test_an_extract_without_news_writes_no_visit(store: Store, tmp_path: Path):
    stage.run(store, ON, extract(1, 2).write(tmp_path / "one"))
    counts = stage.run(store, NEXT, extract(2, 1).write(tmp_path / "two"))  # other bytes, same visits
    assert (counts["rows_new"], counts["rows_changed"], counts["rows_known"]) == (0, 0, 2)
    assert lake_keys(store, NEXT) == []


@pytest.mark.parametrize("state", ["coded", "held", "coder_list", "not_billable"])
def test_a_visit_that_changes_before_its_claim_goes_back_to_the_start(store: Store, tmp_path: Path, state: str):
    stage.run(store, ON, extract(1).write(tmp_path / "one"))
    with store.begin() as c:
        c.execute(sa.update(r.encounters).values(
            state=state, reason="why", billed_cents=19000, unbilled_cents=400, coded_part="p"))  # fmt: skip
    stage.run(store, NEXT, extract(1, v1={"member_id": "9AA9AA9AA99"}).write(tmp_path / "two"))
    [row] = rows(store, r.encounters)
    assert (row.state, row.version, row.reason, row.billed_cents, row.unbilled_cents, row.coded_part, row.logical_date) == (
        "extracted", 2, "", 0, 0, None, NEXT,
    )  # fmt: skip


def claimed(store: Store, state: str, file_id: str | None, key: str = "P01:V1") -> None:
    """The visit has a claim in this state."""
    claim = {
        "claim_id": "C1", "encounter_key": key, "payer_key": "medicare", "practice_id": "P01", "guide": "g", "frequency": "1",
        "charge_cents": 19400, "service_from": ON, "logical_date": ON, "scrubbed_date": ON, "scrubbed_part": "p",
        "state": "ready", "file_id": file_id,
    }  # fmt: skip
    with store.begin() as c:
        c.execute(sa.insert(r.claims).values(claim))
        move_claims(c, ON, [Move("C1", "made", state)])
        c.execute(
            sa.update(r.encounters)
            .where(r.encounters.c.encounter_key == key)
            .values(state="claimed", claim_id="C1", billed_cents=19400)
        )


def changed_charge() -> Extract:
    made = extract(1, v1={"charge": "200.00"})
    made.services[0]["charge"] = "162.00"
    return made


def test_a_visit_that_changes_takes_a_claim_that_has_not_left_back(any_store: Store, tmp_path: Path):
    stage.run(any_store, ON, extract(1).write(tmp_path / "one"))
    claimed(any_store, "ready", None)
    stage.run(any_store, NEXT, changed_charge().write(tmp_path / "two"))
    assert rows(any_store, r.claims) == []
    [row] = rows(any_store, r.encounters)
    assert (row.state, row.version, row.claim_id, row.billed_cents, row.charge_cents) == (
        "extracted",
        2,
        None,
        0,
        20000,
    )
    assert [(e.event, e.detail) for e in rows(any_store, r.claim_events)][-1] == ("withdrawn", "visit changed")
    with any_store.read() as c:
        assert verify(c) == []


@pytest.mark.parametrize("state", ["batched", "unknown", "rejected", "paid"])
def test_a_visit_that_changes_leaves_a_claim_that_has_left_as_it_is(store: Store, tmp_path: Path, state: str):
    stage.run(store, ON, extract(1).write(tmp_path / "one"))
    claimed(store, state, "f" * 64)
    before = rows(store, r.claims)
    stage.run(store, NEXT, changed_charge().write(tmp_path / "two"))
    assert rows(store, r.claims) == before
    [row] = rows(store, r.encounters)
    assert (row.state, row.version, row.claim_id) == ("extracted", 2, None)


def test_a_spoilt_row_of_a_visit_whose_claim_has_left_is_told_and_changes_nothing(store: Store, tmp_path: Path):
    stage.run(store, ON, extract(1).write(tmp_path / "one"))
    claimed(store, "paid", "f" * 64)
    before = rows(store, r.encounters)
    counts = stage.run(store, NEXT, extract(1, v1={"service_from": "soon"}).write(tmp_path / "two"))
    assert (counts["rows_quarantined"], counts["rows_changed"]) == (1, 0)
    assert rows(store, r.encounters) == before
    assert [item.cause for item in rows(store, r.work_items)] == ["intake.date.illegible"]


def test_content_that_comes_back_is_the_visits_content_again(any_store: Store, tmp_path: Path):
    """A, then C, then A with the very bytes of the first."""
    first = extract(1).write(tmp_path / "a")
    stage.run(any_store, ON, first)
    stage.run(any_store, NEXT, changed_charge().write(tmp_path / "c"))
    last = NEXT + timedelta(days=1)
    counts = stage.run(any_store, last, first)
    assert (counts["rows_changed"], counts["rows_known"]) == (1, 0)
    [row] = rows(any_store, r.encounters)
    assert (row.version, row.charge_cents, row.logical_date, row.state) == (3, 19400, last, "extracted")
    part = any_store.lake.read("encounters", on=last, part=row.lake_part)
    assert part.column("charge").to_pylist() == [Decimal("194.00")]
    assert len({i.import_id for i in rows(any_store, r.imports)}) == 3
    assert len({i.files_id for i in rows(any_store, r.imports)}) == 2
    versions = [(v.version, v.charge_cents) for v in rows(any_store, r.visit_versions)]
    assert versions == [(1, 19400), (2, 20000), (3, 19400)]


def test_the_same_files_once_the_visits_day_has_come_are_worked(store: Store, home: Path, tmp_path: Path):
    made = extract(1, 2, v2={"service_from": NEXT.isoformat(), "service_to": NEXT.isoformat()})
    for row in made.services:
        row["service_date"] = ""
    folder = made.write(tmp_path / "x")
    stage.run(store, ON, folder)
    assert states(store)["P01:V2"] == ("quarantined", 1)
    for _ in range(2):
        counts = stage.run(store, NEXT, folder)
        assert (counts["rows_changed"], counts["rows_known"], counts["rows_quarantined"]) == (1, 1, 0)
        assert states(store) == {"P01:V1": ("extracted", 1), "P01:V2": ("extracted", 2)}
        before = snapshot(home)
    assert snapshot(home) == before
    assert [item.state for item in rows(store, r.work_items)] == ["done"]


def test_a_backfill_over_later_nights_changes_no_visit(store: Store, home: Path, tmp_path: Path):
    first = extract(1).write(tmp_path / "a")
    stage.run(store, ON, first)
    stage.run(store, NEXT, changed_charge().write(tmp_path / "c"))
    before = snapshot(home)
    stage.run(store, ON, first)  # that night again
    assert snapshot(home) == before
    early = ON - timedelta(days=3)
    for _ in range(2):  # and under a date on which it was never run
        stage.run(store, early, first)
        [row] = rows(store, r.encounters)
        assert (row.version, row.charge_cents) == (2, 20000)
        [item] = rows(store, r.work_items)
        assert (item.queue, item.cause, item.state) == ("file", "intake.older", "open")
        assert "1 visit of this extract differs from" in item.reason


def test_a_cancelled_visit_is_not_billed(any_store: Store, tmp_path: Path):
    stage.run(any_store, ON, extract(1, 2, v2={"cancelled": "Y"}).write(tmp_path / "one"))
    claimed(any_store, "ready", None)
    stage.run(any_store, NEXT, extract(1, v1={"cancelled": "Y"}).write(tmp_path / "two"))
    assert {e.encounter_key: (e.state, e.cancelled, e.unbilled_cents) for e in rows(any_store, r.encounters)} == {
        "P01:V1": ("cancelled", True, 19400), "P01:V2": ("cancelled", True, 19400),
    }  # fmt: skip
    assert rows(any_store, r.claims) == []
    later = NEXT + timedelta(days=1)
    stage.run(any_store, later, extract(1).write(tmp_path / "three"))
    assert states(any_store)["P01:V1"] == ("extracted", 3)


def test_a_cancelled_visit_whose_claim_has_left_waits_for_its_void(store: Store, tmp_path: Path):
    stage.run(store, ON, extract(1).write(tmp_path / "one"))
    claimed(store, "paid", "f" * 64)
    stage.run(store, NEXT, extract(1, v1={"cancelled": "Y"}).write(tmp_path / "two"))
    [row] = rows(store, r.encounters)
    assert (row.state, row.reason, row.cancelled, row.coded_part) == ("held", "cancelled", True, None)
    assert [c.state for c in rows(store, r.claims)] == ["paid"]


@pytest.mark.parametrize(
    ("one", "other"), [(("A:B", "C"), ("A", "B:C")), (("A%3AB", "C"), ("A:B", "C")), (("A%", "B"), ("A%25", "B"))]
)
def test_no_two_visits_share_a_key(store: Store, tmp_path: Path, one: tuple[str, str], other: tuple[str, str]):
    made = extract(1, 2)
    for number, (practice, visit) in enumerate((one, other), 1):
        for table in made.tables.values():
            for row in table:
                if row["encounter_id"] == f"V{number}":
                    row |= {"practice_id": practice, "encounter_id": visit}
    counts = stage.run(store, ON, made.write(tmp_path / "x"))
    assert (counts["rows_new"], counts["rows_quarantined"]) == (2, 0)
    assert len(states(store)) == 2


def test_a_visit_set_aside_comes_back_mended(any_store: Store, tmp_path: Path):
    stage.run(any_store, ON, extract(1, 2, v2={"service_from": "2026-02-30"}).write(tmp_path / "one"))
    assert states(any_store) == {"P01:V1": ("extracted", 1), "P01:V2": ("quarantined", 1)}
    counts = stage.run(any_store, NEXT, extract(1, 2).write(tmp_path / "two"))
    assert (counts["rows_changed"], counts["rows_known"], counts["rows_quarantined"]) == (1, 1, 0)
    assert states(any_store) == {"P01:V1": ("extracted", 1), "P01:V2": ("extracted", 2)}
    assert lake_keys(any_store, NEXT) == ["P01:V2"]


def test_a_visit_of_tomorrow_is_taken_in_once_its_day_has_come(store: Store, tmp_path: Path):
    day = {"service_from": NEXT.isoformat(), "service_to": NEXT.isoformat()}
    made = extract(1, 2, v2=day)
    for row in made.services:
        row["service_date"] = ""
    stage.run(store, ON, made.write(tmp_path / "one"))
    assert states(store)["P01:V2"] == ("quarantined", 1)
    made.encounters.reverse()  # the same visits in another file
    stage.run(store, NEXT, made.write(tmp_path / "two"))
    assert states(store) == {"P01:V1": ("extracted", 1), "P01:V2": ("extracted", 2)}


def test_a_sound_visit_that_comes_again_spoilt_is_set_aside_before_its_claim(store: Store, tmp_path: Path):
    stage.run(store, ON, extract(1).write(tmp_path / "one"))
    stage.run(store, NEXT, extract(1, v1={"charge": "1E5"}).write(tmp_path / "two"))
    [row] = rows(store, r.encounters)
    assert (row.state, row.version, row.reason, row.charge_cents) == ("quarantined", 2, "intake.amount.illegible", 0)


def test_one_bad_row_of_a_thousand_leaves_999(store: Store, tmp_path: Path):
    made = extract(*range(1, 1001))
    made.encounters[499]["charge"] = "1,940.00"
    made.totals = {"encounters.charge": "195546.00"}
    counts = stage.run(store, ON, made.write(tmp_path / "x"))
    assert (counts["rows_read"], counts["rows_new"], counts["rows_quarantined"]) == (1000, 999, 1)
    assert len(lake_keys(store, ON)) == 999
    aside = [e for e in rows(store, r.encounters) if e.state == "quarantined"]
    assert [(e.encounter_key, e.reason, e.source_row) for e in aside] == [("P01:V500", "intake.amount.illegible", 500)]
    [found] = [f for f in rows(store, r.findings) if f.severity == "error"]
    assert (found.subject, found.source) == ("P01:V500", "encounters.csv row 500 column charge")
    [item] = rows(store, r.work_items)
    assert (item.queue, item.cause) == ("file", "intake.amount.illegible")


def test_a_bad_visit_is_one_work_item_until_it_is_mended(any_store: Store, tmp_path: Path):
    def told() -> list[tuple[str, int, str]]:
        items = sorted(rows(any_store, r.work_items), key=lambda x: (x.opened_on, x.cause))
        return [(x.cause, x.opened_on.day - ON.day, x.state) for x in items]

    bad = {"v1": {"service_from": "soon"}, "v2": {"charge": "1E5"}}
    stage.run(any_store, ON, extract(1, 2, **bad).write(tmp_path / "one"))
    amount, day = "intake.amount.illegible", "intake.date.illegible"
    assert told() == [(amount, 0, "open"), (day, 0, "open")]
    stage.run(any_store, NEXT, extract(3, 2, 1, **bad).write(tmp_path / "two"))  # in other rows now
    assert told() == [(amount, 0, "open"), (day, 0, "open")]
    # another visit with the same fault is news; one mended visit closes its own item alone
    third = NEXT + timedelta(days=1)
    stage.run(any_store, third, extract(3, 2, 1, 4, v2=bad["v2"], v4={"charge": "1E6"}).write(tmp_path / "three"))
    assert told() == [(amount, 0, "open"), (day, 0, "done"), (amount, 2, "open")]
    [new] = [x for x in rows(any_store, r.work_items) if x.opened_on == third]
    assert "Cells or rows: 1. Visits that wait for this reason: 1." in new.reason
    # what was mended and is spoilt again is news as well
    fourth = third + timedelta(days=1)
    stage.run(any_store, fourth, extract(3, 2, 1, 4, v1=bad["v1"]).write(tmp_path / "four"))
    assert told() == [(amount, 0, "done"), (day, 0, "done"), (amount, 2, "done"), (day, 3, "open")]


def test_an_item_of_two_visits_waits_for_both(store: Store, tmp_path: Path):
    spoilt = {"charge": "1E5"}
    stage.run(store, ON, extract(1, 2, v1=spoilt, v2=spoilt).write(tmp_path / "one"))
    stage.run(store, NEXT, extract(1, 2, v2=spoilt).write(tmp_path / "two"))
    assert [x.state for x in rows(store, r.work_items)] == ["open"]
    stage.run(store, NEXT, extract(2, 1).write(tmp_path / "three"))
    assert [x.state for x in rows(store, r.work_items)] == ["done"]


def test_every_visit_is_in_one_state_and_no_cent_is_lost(store: Store, tmp_path: Path):
    sample.make(visits=3000, seed=5, out=tmp_path / "x", on=ON)
    counts = stage.run(store, ON, tmp_path / "x")
    registered = rows(store, r.encounters)
    assert len(registered) == counts["rows_read"] == 3000
    assert sum(e.charge_cents for e in registered) == counts["charge_cents"]
    in_lake = store.lake.read("encounters", on=ON)
    good = {e.encounter_key: e.charge_cents for e in registered if e.state == "extracted"}
    lake = zip(in_lake.column("encounter_key").to_pylist(), in_lake.column("charge").to_pylist(), strict=True)
    cancelled = {e.encounter_key for e in registered if e.state == "cancelled"}
    assert {key: int(charge * 100) for key, charge in lake if key not in cancelled} == good
    assert counts["rows_new"] == len(good) + len(cancelled) == 3000 - counts["rows_quarantined"]
    assert len(cancelled) == 6


def test_nothing_is_taken_in_where_the_extract_is_refused(store: Store, home: Path, tmp_path: Path):
    made = extract(1, 2)
    made.totals = {"encounters.rows": 3}
    with pytest.raises(Terminal, match="manifest says 3"):
        stage.run(store, ON, made.write(tmp_path / "x"))
    assert rows(store, r.imports) == rows(store, r.encounters) == rows(store, r.files) == []
    assert not (home / "lake").exists()
    # but its bytes are kept: whoever looks into it sees what came
    assert store.archive.get(formats_hash(tmp_path / "x" / "encounters.csv"))


def formats_hash(path: Path) -> str:
    from pipeline.store.archive import sha256

    return sha256(path.read_bytes())


def test_files_are_archived_before_any_is_parsed(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = extract(1).write(tmp_path / "x")
    reader = formats.READERS["csv"]

    def read(files: dict[str, bytes], context: Any) -> Any:
        assert len(files) == 4
        for data in files.values():
            assert any(path.read_bytes() == data for path in Path(store.archive.place).rglob("*") if path.is_file())
        return reader.read(files, context)

    monkeypatch.setitem(formats.READERS, "csv", formats.Reader(reader.files, read))
    assert stage.run(store, ON, folder)["rows_new"] == 1


def test_a_full_disk_is_transient_and_the_next_run_loses_nothing(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = extract(1, 2).write(tmp_path / "x")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("pipeline.store.lake.write_synced", full)
        with pytest.raises(Transient, match="No space left"):
            stage.run(store, ON, folder)
    assert rows(store, r.encounters) == rows(store, r.imports) == []
    assert stage.run(store, ON, folder)["rows_new"] == 2


# --- formats ---------------------------------------------------------------------------------------------------------


def test_auto_tells_the_formats_apart(tmp_path: Path):
    assert formats.detect(extract(1).write(tmp_path / "csv")) == "csv"
    assert formats.detect(extract(1).write_parquet(tmp_path / "parquet")) == "parquet"
    (tmp_path / "synthea").mkdir()
    (tmp_path / "synthea" / "encounters.csv").write_text("Id,START,STOP,PATIENT,ENCOUNTERCLASS\n")
    assert formats.detect(tmp_path / "synthea") == "synthea"


def _folder(name: str) -> Callable[[Path], Path]:
    def make(place: Path) -> Path:
        (place / name).write_text("x")
        return place

    return make


def _file(name: str) -> Callable[[Path], Path]:
    def make(place: Path) -> Path:
        (place / name).write_text("x")
        return place / name

    return make


@pytest.mark.parametrize(
    ("make", "fmt", "told"),
    [
        (_folder("x"), "fhir", r"has no file of the format fhir"),
        (_folder("x"), "hl7", r"has no file of the format hl7"),
        (_file("a.hl7"), "fhir", "is a file"),
        (_folder("visits.xlsx"), "auto", "no extract that claimpipe knows"),
        (_file("encounters.csv"), "csv", "is a file"),
        (_folder("x"), "csv", r"has no encounters\.csv, diagnoses\.csv, services\.csv, manifest\.json"),
        (_folder("x"), "synthea", r"has no encounters\.csv, patients\.csv"),
        (_folder("x"), "xml", "no extract format xml"),
        (lambda place: place / "nowhere", "auto", "does not exist"),
    ],
)
def test_what_cannot_be_read_is_said(store: Store, tmp_path: Path, make: Callable[[Path], Path], fmt: str, told: str):
    with pytest.raises(Terminal, match=told):
        stage.run(store, ON, make(tmp_path), fmt)
    assert rows(store, r.imports) == []


@pytest.mark.parametrize("name", ["Patient.ndjson", "bundle.json", "a.hl7"])
def test_files_of_records_that_cannot_be_read_are_work_and_not_lost(store: Store, tmp_path: Path, name: str):
    counts = stage.run(store, ON, _folder(name)(tmp_path))
    assert (counts["rows_new"], counts["rows_quarantined"]) == (0, 1)
    [aside] = rows(store, r.encounters)
    assert (aside.state, aside.source_file) == ("quarantined", name)
    [item] = rows(store, r.work_items)
    assert item.queue == "file"


# --- real exports ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "count", "cents"), [("synthea27_full", 604, 225917204), ("synthea_b_1494enc", 1494, 353510375)]
)
def test_real_exports_are_registered_whole(store: Store, home: Path, samples: Path, name: str, count: int, cents: int):
    folder = samples / "encounters" / name
    counts = stage.run(store, ON, folder, "synthea")
    assert (counts["rows_new"], counts["charge_cents"], counts["rows_quarantined"]) == (count, cents, 0)
    registered = rows(store, r.encounters)
    assert len(registered) == count
    assert {e.state for e in registered} == {"extracted"}
    assert sum(e.charge_cents for e in registered) == cents
    before = snapshot(home)
    assert stage.run(store, ON, folder, "synthea") == counts
    assert snapshot(home) == before


# --- authorizations beside the visits -----------------------------------------------------------------------------------


def authorized(*rows: dict[str, str]) -> Extract:
    made = extract(1)
    blank = dict.fromkeys(("payer", "member_id", "number", "procedures", "from", "to", "units", "visits"), "")
    made.further["authorizations"] = [blank | row for row in rows]
    return made


A1 = {"payer": "Medicaid", "member_id": "M1", "number": "A1", "from": "2026-11-01", "to": "2026-12-31", "units": "2"}


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_list_of_authorizations_is_kept_with_its_import(store: Store, tmp_path: Path, ending: str):
    made = authorized(A1, {**A1, "payer": "Nobody Mutual", "procedures": "97110-97164 97530"})
    write = made.write if ending == "csv" else made.write_parquet
    assert stage.run(store, ON, write(tmp_path / "x"))["rows_new"] == 1
    [taken] = rows(store, r.imports)
    listed = store.lake.read("authorizations", ON, taken.import_id[:16]).to_pylist()
    assert [(a["payer_source"], a["payer"], a["number"], a["units"], a["procedures"], a["source_row"]) for a in listed] == [
        ("Medicaid", "medicaid", "A1", "2", "", 1), ("Nobody Mutual", None, "A1", "2", "97110-97164 97530", 2),
    ]  # fmt: skip
    before = snapshot(store.settings.home)
    stage.run(store, ON, tmp_path / "x")
    stage.run(store, NEXT, tmp_path / "x")
    assert snapshot(store.settings.home) == before
    # the same visits with another list are another extract
    stage.run(store, NEXT, authorized({**A1, "units": "3"}).write(tmp_path / "y"))
    assert store.lake.read("authorizations", NEXT).column("units").to_pylist() == ["3"]
    assert states(store) == {"P01:V1": ("extracted", 1)}


def test_a_list_that_lost_rows_or_a_column_refuses_the_extract(store: Store, tmp_path: Path):
    made = authorized(A1)
    made.totals["authorizations.rows"] = 2
    with pytest.raises(Terminal, match=r"authorizations.csv holds 1 row, but the manifest says 2"):
        stage.run(store, ON, made.write(tmp_path / "x"))
    made = authorized(A1)
    del made.further["authorizations"][0]["to"]
    with pytest.raises(Terminal, match="to"):
        stage.run(store, ON, made.write(tmp_path / "y"))
    folder = authorized(A1).write(tmp_path / "z")
    (folder / "authorizations.csv").unlink()
    with pytest.raises(Terminal, match=r"no authorizations.csv"):
        stage.run(store, ON, folder)
    assert rows(store, r.imports) == []


def test_the_documented_list_is_one_that_is_read(tmp_path: Path):
    text = (Path(__file__).parents[2] / "docs" / "extracts.md").read_text(encoding="utf-8")
    shown = text.split("\n### authorizations\n")[1].split("```csv\n")[1].split("```")[0]
    assert shown.splitlines()[0].split(",") == list(layout.AUTHORIZATION_COLUMNS)
