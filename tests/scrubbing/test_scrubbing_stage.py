"""The scrubbing stage on a store, behind the coding stage."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from coding.visits_in_store import ON, STATED, everything, put, states

from pipeline.coding import stage as coding
from pipeline.encounters import stage as intake
from pipeline.payers import load_profiles
from pipeline.scrubbing import stage
from pipeline.store import Store
from pipeline.store import register as r
from pipeline.store.events import verify

BAD = {**STATED, "member_id": None}


def scrub(store: Store, visits: dict[str, dict[str, Any]], extract: str = "a", on: date = ON) -> dict[str, int]:
    put(store, visits, on, extract)
    coding.run(store, on)
    return stage.run(store, on)


def all_of(store: Store, table: sa.Table, *where: Any) -> list[Any]:
    with store.read() as connection:
        return list(connection.execute(sa.select(table).where(*where).order_by(*table.primary_key.columns)))


def test_clean_claims_are_ready_and_the_others_are_held(any_store: Store):
    counts = scrub(any_store, {"A": STATED, "B": BAD})
    assert states(any_store) == {"A": ("claimed", ""), "B": ("held", "member-id-missing")}
    (claim,) = all_of(any_store, r.claims)
    assert (claim.encounter_key, claim.state, claim.charge_cents, claim.payer_key) == ("P1:A", "ready", 15_000, "aetna")
    assert (claim.claim_id, claim.logical_date) == (coding.claim_id("P1:A"), ON)
    assert {k: counts[k] for k in ("claims", "ready", "ready_cents", "held", "held_cents", "held.member-id-missing")} == {
        "claims": 2, "ready": 1, "ready_cents": 15_000, "held": 1, "held_cents": 15_000, "held.member-id-missing": 1,
    }  # fmt: skip
    (event,) = all_of(any_store, r.claim_events)
    assert (event.claim_id, event.event, event.to_state) == (claim.claim_id, "scrubbed", "ready")
    with any_store.read() as connection:
        assert verify(connection) == []


def test_the_same_night_again_and_the_next_change_nothing(any_store: Store):
    scrub(any_store, {"A": STATED, "B": BAD})
    before = everything(any_store)
    assert stage.run(any_store, ON) == {}
    assert stage.run(any_store, ON.replace(day=11)) == {}
    assert everything(any_store) == before


def test_what_passed_stands_repaired_in_the_lake_where_the_register_says(store: Store):
    scrub(store, {"A": {**STATED, "patient_last": "Núñez", "billing_phone": "(617) 555-0100"}, "B": BAD})
    (claim,) = all_of(store, r.claims)
    (row,) = store.lake.read("scrubbed_claims", claim.scrubbed_date, claim.scrubbed_part).to_pylist()
    assert (row["claim_id"], row["patient_last"], row["billing_phone"]) == (claim.claim_id, "NUNEZ", "6175550100")
    for name in ("scrubbed_diagnoses", "scrubbed_lines"):
        rows = store.lake.read(name, claim.scrubbed_date, claim.scrubbed_part).to_pylist()
        assert {x["claim_id"] for x in rows} == {claim.claim_id}
    before = {x["claim_id"]: x["patient_last"] for x in store.lake.read("coded_claims").to_pylist()}
    assert before[claim.claim_id] == "Núñez"


def test_a_repair_is_logged_by_column_without_its_value(store: Store):
    scrub(store, {"A": {**STATED, "patient_last": "Núñez", "billing_phone": "(617) 555-0100"}})
    found = {f.rule: f for f in all_of(store, r.findings, r.findings.c.rule.startswith("repair."))}
    assert set(found) == {"repair.accents", "repair.phone"}
    assert "patient_last" in found["repair.accents"].message
    assert found["repair.accents"].severity == "info"
    assert "ez" not in found["repair.accents"].message


def test_a_held_claim_has_findings_with_a_fix_and_one_work_item(store: Store):
    scrub(store, {"B": {**BAD, "billing_npi": "1234567890"}})
    found = all_of(store, r.findings, r.findings.c.severity == "error")
    assert {(f.rule, f.subject, f.source) for f in found} == {
        ("npi", "P1:B", "encounters.csv row 1 billing_npi"), ("member-id-missing", "P1:B", "encounters.csv row 1 member_id"),
    }  # fmt: skip
    assert all(f.fix for f in found)
    (item,) = all_of(store, r.work_items)
    assert (item.queue, item.subject, item.claim_id) == ("held", "P1:B", coding.claim_id("P1:B"))
    assert (item.cause, item.cents, item.payer_key) == (states(store)["B"][1], 15_000, "aetna")


def test_no_patient_data_in_findings_and_work_items(store: Store):
    canaries = {
        "patient_last": "ZEBRA*",
        "patient_first": "QUAGGA~",
        "patient_address1": "9 NUMBAT😀",
        "member_id": "OKAPI^7",
    }
    scrub(store, {"B": {**STATED, **canaries, "diagnoses": [("ICD10CM", "QQQ")]}})
    assert states(store)["B"][0] == "held"
    text = json.dumps([list(map(str, row)) for t in (r.findings, r.work_items, r.stage_runs, r.claim_events)
                       for row in all_of(store, t)])  # fmt: skip
    for canary in ("ZEBRA", "QUAGGA", "NUMBAT", "OKAPI"):
        assert canary not in text


def test_a_cause_that_goes_away_releases_the_claim(store: Store, tmp_path: Path):
    """A payer without a profile holds the claim until somebody adds one."""
    scrub(store, {"A": {**STATED, "payer_key": "newpayer", "payer_source": "New Payer"}})
    assert states(store)["A"] == ("held", "payer-known")
    profile = (Path(load_profiles.__code__.co_filename).parents[1] / "schemas" / "payers" / "aetna.toml").read_text()
    (tmp_path / "newpayer.toml").write_text(profile)
    store.settings.payers_dir = str(tmp_path)
    later = ON.replace(day=12)
    counts = stage.run(store, later)
    assert (counts["released"], counts["ready"]) == (1, 1)
    assert states(store)["A"] == ("claimed", "")
    (claim,) = all_of(store, r.claims)
    assert (claim.logical_date, claim.scrubbed_date) == (later, later)
    (item,) = all_of(store, r.work_items)
    assert item.state == "done"
    assert stage.run(store, later) == {}


def test_another_cause_makes_another_item(store: Store, tmp_path: Path):
    scrub(store, {"A": {**STATED, "payer_key": "newpayer", "member_id": None}})
    assert states(store)["A"] == ("held", "payer-known")
    profile = (Path(load_profiles.__code__.co_filename).parents[1] / "schemas" / "payers" / "aetna.toml").read_text()
    (tmp_path / "newpayer.toml").write_text(profile)
    store.settings.payers_dir = str(tmp_path)
    stage.run(store, ON.replace(day=12))
    assert states(store)["A"] == ("held", "member-id-missing")
    (open_item,) = all_of(store, r.work_items, r.work_items.c.state == "open")
    assert open_item.cause == "member-id-missing"


@pytest.mark.parametrize("extract", ["a", "b"], ids=["in the batch", "on a later night"])
def test_a_visit_entered_twice_is_billed_once(extract: str, store: Store):
    again = {**STATED, "patient_id": "A"}
    if extract == "a":
        scrub(store, {"A": STATED, "B": again})
    else:
        scrub(store, {"A": STATED})
        scrub(store, {"B": again}, "b", ON.replace(day=11))
    assert states(store) == {"A": ("claimed", ""), "B": ("held", "duplicate")}
    assert stage.run(store, ON.replace(day=12)) == {}


def test_the_like_of_a_visit_is_no_duplicate(store: Store):
    other_code = [{"system": "HCPCS", "code": "99214", "charge": "150.00"}]
    again = [{"system": "HCPCS", "code": "99213", "charge": "150.00", "modifier1": "76"}]
    same = {**STATED, "patient_id": "A"}
    visits = {
        "A": STATED, "B": STATED, "C": {**same, "lines": other_code}, "D": {**same, "lines": again},
        "E": {**same, "rendering_npi": "1245319599"},
        "F": {**same, "service_from": date(2026, 5, 5), "service_to": date(2026, 5, 5)},
    }  # fmt: skip
    scrub(store, visits)
    assert {state for state, _ in states(store).values()} == {"claimed"}


def test_a_list_that_does_not_cover_the_day_is_said_once_a_night(store: Store):
    old = {**STATED, "service_from": date(2025, 5, 5), "service_to": date(2025, 5, 5)}
    scrub(
        store, {"A": old, "B": {**old, "service_from": date(2025, 7, 5), "service_to": date(2025, 7, 5)}, "C": STATED}
    )
    (found,) = all_of(store, r.findings, r.findings.c.rule == "icd10cm-edition")
    assert (found.severity, found.subject) == ("warning", "2026-04-01")
    assert found.message.startswith(
        "2 diagnoses of services from 2025-05-05 to 2025-07-05 were judged by the ICD-10-CM"
    )


def test_one_diagnosis_of_one_day_is_told_as_one(store: Store):
    scrub(store, {"A": {**STATED, "service_from": date(2025, 5, 5), "service_to": date(2025, 5, 5)}})
    (found,) = all_of(store, r.findings, r.findings.c.rule == "icd10cm-edition")
    assert found.message.startswith(
        "1 diagnosis of services on 2025-05-05 was judged by the ICD-10-CM list of 2026-04-01:"
    )


def test_a_line_at_zero_is_stopped(store: Store):
    scrub(store, {"A": {**STATED, "lines": [*STATED["lines"], {"system": "HCPCS", "code": "36415", "charge": "0.00"}]}})
    assert states(store)["A"] == ("held", "line-charge")


def test_made_up_data_never_goes_into_production(store: Store):
    store.settings.submitter.usage = "P"
    scrub(store, {"A": STATED, "B": {**STATED, "synthetic": False}})
    assert states(store) == {"A": ("held", "production-synthetic"), "B": ("claimed", "")}


def test_a_crash_between_lake_and_register_is_made_good(store: Store, monkeypatch: pytest.MonkeyPatch):
    put(store, {"A": STATED, "B": BAD})
    coding.run(store, ON)

    def die(name: str) -> None:
        if name == "scrubbing.before_register":
            raise KeyboardInterrupt

    monkeypatch.setattr(stage, "failpoint", die)
    with pytest.raises(KeyboardInterrupt):
        stage.run(store, ON)
    assert states(store)["A"] == ("coded", "")
    monkeypatch.undo()
    stage.run(store, ON)
    assert states(store)["A"] == ("claimed", "")
    assert len(list((store.lake.root / "scrubbed_claims").rglob("*.parquet"))) == 1


@pytest.mark.parametrize(("name", "ready"), [("synthea27_full", 40), ("synthea_b_1494enc", 133)])
def test_synthea(name: str, ready: int, store: Store, samples: Path):
    on = date(2026, 11, 20)
    intake.run(store, on, samples / "encounters" / name, "synthea")
    coded = coding.run(store, on)
    counts = stage.run(store, on)
    assert counts["ready"] + counts.get("held", 0) == coded["coded"]
    assert counts["ready_cents"] + counts.get("held_cents", 0) == coded["billed_cents"]
    assert counts["ready"] >= ready
    with store.read() as connection:
        claims = connection.execute(sa.select(sa.func.sum(r.claims.c.charge_cents))).scalar()
    assert claims == counts["ready_cents"]
    before = everything(store)
    assert stage.run(store, on) == {}
    assert everything(store) == before
