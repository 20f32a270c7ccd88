"""The stage: what stands in register and archive after a build, after a second one, and after a kill at every point."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
from datetime import date
from pathlib import Path

import pytest
import sqlalchemy as sa
from claims import houses, samples
from claims.oracle import pyx12_errors

from pipeline import failpoints, shapes
from pipeline.claims import proofreading, stage
from pipeline.errors import Terminal
from pipeline.findings import Finding
from pipeline.ledger import posting
from pipeline.payers import load_profiles
from pipeline.store import Store
from pipeline.store import register as r
from pipeline.store.events import Move, move_claims, verify
from pipeline.x12.segments import iter_segments

ON = houses.ON
LIVE = {"usage": "T"}


def of(store: Store, table: sa.Table) -> list[sa.Row]:  # type: ignore[type-arg]
    with store.read() as c:
        return list(c.execute(sa.select(table).order_by(*table.primary_key.columns)))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = houses.opened(tmp_path / "home")
    houses.ready(store, samples.make(60, payer_key="meridian"), "meridian")
    return store


def test_a_build_leaves_file_sending_claims_and_charges_that_agree(store: Store) -> None:
    counts = stage.build(store, ON, "meridian")
    total = sum(row.charge_cents for row in of(store, r.claims))
    assert counts == {"files": 1, "sets": 3, "claims": 60, "charge_cents": total, "held": 0}
    (sending,) = of(store, r.sendings)
    (file,) = of(store, r.files)
    data = store.archive.get(sending.file_id)
    assert (sending.state, sending.claim_count, sending.charge_cents, sending.usage) == ("built", 60, total, "T")
    assert (sending.interchange_control, sending.size) == ("000000001", len(data))
    assert (file.file_id, file.direction, file.kind, file.payer_key, file.size) == (
        sending.file_id,
        "out",
        "837",
        "meridian",
        len(data),
    )
    assert pyx12_errors(data) == []
    wanted = {}
    for s in iter_segments(data):
        if s.id == "ST":
            control = s.element(2)
        elif s.id == "CLM":
            wanted[s.element(1)] = ("batched", sending.file_id, "000000001", "1", control)
    assert {
        c.claim_id: (c.state, c.file_id, c.interchange_control, c.group_control, c.set_control)
        for c in of(store, r.claims)
    } == wanted
    assert {(n.scope.split(":")[0], n.number, n.batch_id, n.file_id) for n in of(store, r.control_numbers)} == {
        ("isa", 1, sending.sending_id, sending.file_id), ("gs", 1, sending.sending_id, sending.file_id)}  # fmt: skip
    with store.read() as c:
        assert posting.balances(c) == {"income:charges": -total, "receivable:payer:meridian": total}
        assert {k: v["receivable:payer:meridian"] for k, v in posting.claim_balances(c).items()} == {
            row.claim_id: row.charge_cents for row in of(store, r.claims)}  # fmt: skip
        assert verify(c) == []


def test_a_second_build_writes_nothing(store: Store) -> None:
    stage.build(store, ON, "meridian")
    before, archived = houses.everything(store), sorted(os.listdir(store.archive.place))
    assert stage.build(store, ON, "meridian") == {"files": 0, "sets": 0, "claims": 0, "charge_cents": 0, "held": 0}
    assert houses.everything(store) == before
    assert sorted(os.listdir(store.archive.place)) == archived


def test_a_payer_without_claims_or_profile(store: Store) -> None:
    assert stage.build(store, ON, "aetna")["files"] == 0
    houses.ready(store, samples.make(1, payer_key="nobody", prefix="N"), "nobody", part="n")
    with pytest.raises(Terminal, match="no payer profile nobody"):
        stage.build(store, ON, "nobody")


def test_files_are_split_and_each_has_numbers_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    profiles = dict(load_profiles())
    small = profiles["meridian"].model_copy(update={"batch": profiles["meridian"].batch.model_copy(
        update={"max_claims_per_set": 10, "max_claims_per_file": 25})})  # fmt: skip
    monkeypatch.setattr(stage.payers, "load_profiles", lambda folder="": profiles | {"meridian": small})
    store = houses.opened(tmp_path)
    houses.ready(store, samples.make(60, payer_key="meridian"), "meridian")
    assert {k: v for k, v in stage.build(store, ON, "meridian").items() if k in ("files", "sets", "claims")} == {
        "files": 3, "sets": 7, "claims": 60}  # fmt: skip
    assert sorted(s.interchange_control for s in of(store, r.sendings)) == ["000000001", "000000002", "000000003"]
    assert sorted(s.claim_count for s in of(store, r.sendings)) == [10, 25, 25]
    houses.ready(store, samples.make(3, seed=9, payer_key="meridian", prefix="D"), "meridian", part="p2")
    stage.build(store, date(2024, 3, 3), "meridian")
    assert sorted(s.interchange_control for s in of(store, r.sendings))[-1] == "000000004"
    assert stage.compare(store, ON) == {"files": 3, "same": 3, "different": 0}


def test_a_value_that_cannot_be_sent_holds_its_claim_and_no_other(tmp_path: Path) -> None:
    tables = samples.make(10, payer_key="harbor")
    bad = samples.replace(tables[0], 3, patient_last="CANARY*NAME")
    store = houses.opened(tmp_path)
    houses.ready(store, (bad, *tables[1:]), "harbor")
    assert stage.build(store, ON, "harbor") | {"charge_cents": 0} == {
        "files": 1,
        "sets": 1,
        "claims": 9,
        "charge_cents": 0,
        "held": 1,
    }
    claim_id, key = bad.column("claim_id")[3].as_py(), bad.column("encounter_key")[3].as_py()
    assert {e.encounter_key: (e.state, e.reason) for e in of(store, r.encounters) if e.state != "claimed"} == {
        key: ("held", "837P.character")}  # fmt: skip
    assert claim_id not in {c.claim_id for c in of(store, r.claims)}
    (finding,) = of(store, r.findings)
    assert (finding.subject, finding.source, finding.stage) == (
        claim_id,
        "visits.csv row 4 column patient_last",
        "claims",
    )
    (item,) = of(store, r.work_items)
    assert (item.queue, item.subject, item.claim_id, item.cause) == ("held", key, claim_id, "837P.character")
    before = houses.everything(store)
    assert "CANARY" not in repr(before)
    stage.build(store, ON, "harbor")
    assert houses.everything(store) == before


def test_made_up_claims_never_go_into_a_production_file(tmp_path: Path) -> None:
    store = houses.opened(tmp_path, usage="P")
    houses.ready(store, samples.make(4, payer_key="harbor"), "harbor")
    assert stage.build(store, ON, "harbor")["held"] == 4
    assert of(store, r.sendings) == []
    assert {f.rule for f in of(store, r.findings)} == {"837.synthetic"}
    assert {e.state for e in of(store, r.encounters)} == {"held"}


def test_a_file_that_does_not_say_what_was_meant_does_not_leave(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    real = stage.build_files.__globals__["Interchange837"]

    class Altered(real):  # type: ignore[misc, valid-type]
        def render(self, **given):  # type: ignore[no-untyped-def]
            return super().render(**given).replace(b"*UN*1*", b"*UN*2*", 1)

    monkeypatch.setitem(stage.build_files.__globals__, "Interchange837", Altered)
    with pytest.raises(Terminal, match="1 claim file for meridian does not say what was meant"):
        stage.build(store, ON, "meridian")
    assert of(store, r.sendings) == of(store, r.files) == of(store, r.ledger_entries) == []
    assert {c.state for c in of(store, r.claims)} == {"ready"}
    (finding,) = of(store, r.findings)
    assert (finding.rule, finding.message) == (
        "837.readback",
        "837.service_lines, units: the file says something else than was meant.",
    )
    assert [w.queue for w in of(store, r.work_items)] == ["file"]
    before = houses.everything(store)
    with pytest.raises(Terminal):
        stage.build(store, ON, "meridian")
    assert houses.everything(store) == before
    monkeypatch.undo()
    assert stage.build(store, ON, "meridian")["claims"] == 60
    assert len({(n.scope, n.number) for n in of(store, r.control_numbers) if n.file_id}) == 2


def test_claims_that_the_validator_blames_are_held_and_the_rest_goes(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, blamed = proofreading.validated, []

    def validated(data: bytes) -> list[Finding]:
        found = real(data)
        for s in iter_segments(data):
            if s.id == "CLM":
                current = s.element(1)
            elif s.id == "SV1" and s.component(1, 2) == "93000":
                blamed.append(current)
                found.append(
                    Finding(
                        rule="SNIP4", severity="error", message="not for this payer", segment=s.number, file="draft"
                    )
                )
        return found

    monkeypatch.setattr(proofreading, "validated", validated)
    counts = stage.build(store, ON, "meridian")
    assert 0 < counts["held"] == len(set(blamed)) < 60
    assert counts["claims"] == 60 - counts["held"]
    assert {f.subject for f in of(store, r.findings)} == set(blamed)
    assert not set(blamed) & {c.claim_id for c in of(store, r.claims)}


def test_the_charge_of_a_claim_stands_once_whatever_its_versions(store: Store) -> None:
    """A new original and a replacement take the place of the charge before; a void leaves none."""
    stage.build(store, ON, "meridian")
    first = of(store, r.claims)[:3]
    claims, diagnoses, lines = samples.make(60, payer_key="meridian")
    kinds = {row.claim_id: frequency for row, frequency in zip(first, "178", strict=True)}
    made = {"scrubbed_claims": claims, "scrubbed_diagnoses": diagnoses, "scrubbed_lines": lines}
    for name, table in made.items():
        rows = [row for row in table.to_pylist() if row["claim_id"] in kinds]
        for row in rows:
            old = row["claim_id"]
            row["claim_id"] = f"{old}V2"
            if name == "scrubbed_claims":
                row |= {"frequency": kinds[old], "payer_claim_number": None if kinds[old] == "1" else f"N{old}"}
        store.lake.write(name, ON, "p2", shapes.from_rows(name, rows))
    with store.begin() as c:
        for row in first:
            again = dict(row._mapping) | {
                "claim_id": f"{row.claim_id}V2", "version": 2, "frequency": kinds[row.claim_id], "state": "ready",
                "scrubbed_part": "p2", "file_id": None,
            }  # fmt: skip
            c.execute(sa.insert(r.claims).values(again))
            c.execute(sa.update(r.encounters).where(r.encounters.c.encounter_key == row.encounter_key).values(
                claim_id=again["claim_id"]))  # fmt: skip
        move_claims(c, ON, [Move(f"{row.claim_id}V2", "scrubbed", "ready") for row in first])
    later = date(2024, 3, 5)
    assert stage.build(store, later, "meridian")["claims"] == 3
    closed = {row.claim_id for row in of(store, r.claims) if row.closed_on == later}
    assert closed == set(kinds)
    [file] = {row.file_id for row in of(store, r.claims) if row.version == 2}
    text = store.archive.get(file).decode()
    for row, frequency in zip(first, "178", strict=True):
        [clm] = [s for s in text.split("~") if s.startswith(f"CLM*{row.claim_id}V2*")]
        assert f":B:{frequency}*" in clm
    assert sorted(s for s in text.split("~") if s.startswith("REF*F8")) == sorted(
        f"REF*F8*N{row.claim_id}" for row in first[1:]
    )
    with store.read() as c:
        balances = {k: v["receivable:payer:meridian"] for k, v in posting.claim_balances(c).items()}
    for row in of(store, r.claims):
        stands = row.closed_on is None and row.frequency != "8"
        assert balances.get(row.claim_id, 0) == (row.charge_cents if stands else 0)


def killed_at(home: Path, at: int) -> int:
    """Build in a process of its own that dies at the `at`-th failure point (0: at none); how it ended."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = 1
    try:
        signal.alarm(120)
        failpoints._at, failpoints._passed = at, 0
        stage.build(houses.opened(home), ON, "meridian")
        code = 0
    finally:
        os._exit(code)


def test_killed_at_every_point_the_rerun_neither_repeats_nor_loses_a_number(tmp_path: Path) -> None:
    houses.ready(houses.opened(tmp_path / "start"), samples.make(30, payer_key="meridian"), "meridian")

    def world(name: str) -> Path:
        return shutil.copytree(tmp_path / "start", tmp_path / name)

    untouched = world("untouched")
    assert killed_at(untouched, 0) == 0
    expected = houses.everything(houses.opened(untouched))
    assert len(expected["sendings"]) == 1
    for at in itertools.count(1):
        home = world(f"killed{at}")
        code = killed_at(home, at)
        store = houses.opened(home)
        if code == 0:  # it passed them all
            assert houses.everything(store) == expected
            break
        assert code == -signal.SIGKILL
        for sending in of(store, r.sendings):
            assert store.archive.has(sending.file_id)
        assert stage.build(store, ON, "meridian")["claims"] in (0, 30)
        assert houses.everything(store) == expected, f"killed at point {at}"
    assert at > 5
