"""The coding stage on a store."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from coding.visits_in_store import DAY, OFFICE, ON, OPEN, STATED, everything, put, states

from pipeline.coding import rules as tables
from pipeline.coding import stage
from pipeline.encounters import stage as intake
from pipeline.store import Store
from pipeline.store import register as r

EARLIER = {**OFFICE, "patient_id": "K", "service_from": date(2023, 5, 4), "service_to": date(2023, 5, 4)}


def items(store: Store, state: str = "open") -> list[Any]:
    w = r.work_items.c
    with store.read() as connection:
        return list(
            connection.execute(sa.select(r.work_items).where(w.queue == "coding", w.state == state).order_by(w.subject))
        )


def test_each_visit_ends_in_one_state(any_store: Store):
    put(any_store, {"S": STATED, "O": OPEN, "P": {**STATED, "payer_source": None, "payer_key": None},
                    "B": {**STATED, "service_from": date(2015, 9, 30), "service_to": date(2015, 9, 30)}})  # fmt: skip
    counts = stage.run(any_store, ON)
    assert states(any_store) == {
        "S": ("coded", ""), "O": ("coder_list", "SNOMED:33737001"), "P": ("not_billable", "self_pay"),
        "B": ("not_billable", "before_icd10cm"),
    }  # fmt: skip
    assert counts == {
        "encounters": 4, "charge_cents": 52_000, "coded": 1, "billed_cents": 15_000, "unbilled_cents": 0,
        "priced_cents": 0, "coder_list": 1, "coder_list_cents": 7_000, "not_billable": 2, "not_billable_cents": 30_000,
        "not_billable.self_pay": 1, "not_billable.before_icd10cm": 1,
    }  # fmt: skip


def test_the_same_night_again_changes_nothing(any_store: Store):
    put(any_store, {"S": STATED, "O": OPEN, "P": {**STATED, "payer_source": None}})
    stage.run(any_store, ON)
    before = everything(any_store)
    assert stage.run(any_store, ON) == {}
    assert stage.run(any_store, ON.replace(day=11)) == {}
    assert everything(any_store) == before


def test_the_coded_claim_in_the_lake(store: Store):
    put(store, {"S": {**STATED, "place_of_service": None, "visit_class": "urgentcare"}})
    stage.run(store, ON)
    (claim,) = store.lake.read("coded_claims").to_pylist()
    (line,) = store.lake.read("coded_lines").to_pylist()
    (diagnosis,) = store.lake.read("coded_diagnoses").to_pylist()
    assert claim["claim_id"] == line["claim_id"] == diagnosis["claim_id"] == stage.claim_id("P1:S")
    assert (claim["guide"], claim["frequency"], claim["place_of_service"]) == ("005010X222A1", "1", "20")
    assert (claim["patient_last"], claim["rendering_npi"], claim["member_id"]) == ("DOE", "1234567893", "W123456789")
    assert (line["procedure"], str(line["charge"]), line["pointer1"], line["line_control_number"]) == (
        "99213", "150.00", 1, f"{claim['claim_id']}-1",
    )  # fmt: skip
    assert (diagnosis["code"], diagnosis["source"]) == ("J209", "diagnoses.csv row 1 column code")
    assert (line["rule_id"], line["rule_version"], line["source"]) == ("source-coded", "1", "services.csv row 1")


def test_claim_numbers_are_short_capital_and_the_same_each_time():
    ids = {stage.claim_id(f"P1:{n}") for n in range(10_000)}
    assert len(ids) == 10_000
    assert all(len(i) <= 17 and i.isascii() and i.isalnum() and i == i.upper() for i in ids)
    assert stage.claim_id("P1:1") == "CR4UY6EFDUDWZ"  # never another: payers know it


def test_a_work_item_names_the_code_the_suggestions_and_the_money(store: Store):
    put(store, {"O": OPEN})
    stage.run(store, ON)
    (item,) = items(store)
    assert (item.subject, item.cause, item.cents, item.payer_key) == ("P1:O", "SNOMED:33737001", 7_000, "aetna")
    assert "S2239XA" in item.reason
    for canary in ("DOE", "ALEX", "W123456789", "HILL"):
        assert canary not in f"{item.title}{item.reason}{item.action}"


def test_new_and_established_from_the_history(store: Store):
    """K was seen within three years, N never: the extract reaches back far enough to know it."""
    put(store, {"E": EARLIER, "K": OFFICE, "N": OFFICE})
    stage.run(store, ON)
    by_claim = {row["claim_id"]: row["procedure"] for row in store.lake.read("coded_lines").to_pylist()}
    assert by_claim[stage.claim_id("P1:K")] == "99212"
    assert by_claim[stage.claim_id("P1:N")] == "99202"


@pytest.mark.parametrize(
    ("earlier", "expected"),
    [
        # more than three years before: no longer known, and the extract reaches that far
        ({"service_from": date(2023, 5, 3), "service_to": date(2023, 5, 3)}, "99202"),
        ({"service_from": DAY, "service_to": DAY}, None),  # the same day proves nothing, and nothing is older
        ({"rendering_taxonomy": "207R00000X"}, "99202"),  # another specialty
        ({"rendering_taxonomy": None}, None),  # seen here, who knows by which specialty
        ({"practice_id": "P2"}, "99202"),  # another practice of the same extract
    ],
)
def test_when_history_makes_a_patient_known(earlier: dict[str, Any], expected: str | None, store: Store):
    put(store, {"E": {**EARLIER, **earlier}, "K": OFFICE})
    stage.run(store, ON)
    found = {row["claim_id"]: row["procedure"] for row in store.lake.read("coded_lines").to_pylist()}
    assert found.get(stage.claim_id("P1:K")) == expected
    if expected is None:
        assert states(store)["K"] == ("coder_list", "new-or-established")


def test_a_history_that_is_too_short_cannot_tell(store: Store):
    put(store, {"N": OFFICE})
    stage.run(store, ON)
    assert states(store)["N"] == ("coder_list", "new-or-established")


def test_a_new_rule_takes_visits_off_the_coders_list(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    put(store, {"E": EARLIER, "K": {**OFFICE, "diagnoses": [("SNOMED", "777")]}, "O": OPEN})
    stage.run(store, ON)
    assert states(store)["K"] == ("coder_list", "SNOMED:777")
    first = {item.subject: item.item_id for item in items(store)}
    for path in tables.load().folder.glob("*.csv"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    with (tmp_path / "diagnoses.csv").open("a") as table:
        table.write("ours-777,2026.2,,,SNOMED,777,K219,policy,disorder,,a coder decided\n")
    monkeypatch.setattr(tables, "load", lambda home: tables.Rules(tmp_path))
    counts = stage.run(store, ON.replace(day=11))
    assert states(store)["K"] == ("coded", "")
    assert states(store)["O"] == ("coder_list", "SNOMED:33737001")
    assert counts["coded"] == 1
    assert {item.subject: item.item_id for item in items(store)} == {k: first[k] for k in ("P1:E", "P1:O")}
    assert [item.subject for item in items(store, "done")] == ["P1:K"]
    rules = {row["rule_id"]: row["rule_version"] for row in store.lake.read("coded_diagnoses").to_pylist()}
    assert rules["ours-777"] == "2026.2"
    assert stage.run(store, ON.replace(day=11)) == {}


def test_minutes_count_only_where_the_practice_says_so(store: Store):
    store.settings.coding.visit_minutes_are_practitioner_time = False
    put(store, {"E": EARLIER, "K": OFFICE})
    stage.run(store, ON)
    assert states(store)["K"] == ("coder_list", "visit:office")


def test_counts_of_a_night_add_up_over_its_runs(store: Store):
    put(store, {"S": STATED})
    stage.run(store, ON)
    put(store, {"T": STATED}, extract="b")
    stage.run(store, ON)
    with store.read() as connection:
        (kept,) = connection.execute(sa.select(r.stage_runs.c.counts)).scalars()
    assert json.loads(kept)["coded"] == 2


def test_charges_are_conserved(store: Store):
    unpriced = {"system": "HCPCS", "code": "90471", "charge": None}
    put(store, {"S": STATED, "M": {**STATED, "lines": [*STATED["lines"], unpriced]}, "E": EARLIER, "K": OFFICE})
    stage.run(store, ON)
    e = r.encounters.c
    with store.read() as connection:
        for row in connection.execute(sa.select(r.encounters).where(e.state == "coded")):
            assert row.charge_cents + row.priced_cents == row.billed_cents + row.unbilled_cents
        assert connection.execute(sa.select(e.priced_cents).where(e.encounter_key == "P1:M")).scalar() == 3_700
    claims = sum(c["charge"] for c in store.lake.read("coded_claims").to_pylist())
    lines = sum(c["charge"] for c in store.lake.read("coded_lines").to_pylist())
    with store.read() as connection:
        billed = connection.execute(sa.select(sa.func.sum(e.billed_cents))).scalar()
    assert int(claims * 100) == int(lines * 100) == billed


@pytest.mark.parametrize(("name", "total", "coded"), [("synthea27_full", 604, 100), ("synthea_b_1494enc", 1494, 133)])
def test_synthea(name: str, total: int, coded: int, store: Store, samples: Path):
    """Every visit of a real export in one state, no cent lost, and no code on a claim that a rule does not give."""
    on = date(2026, 11, 20)
    intake.run(store, on, samples / "encounters" / name, "synthea")
    counts = stage.run(store, on)
    assert counts["encounters"] == counts["coded"] + counts["coder_list"] + counts["not_billable"] == total
    assert counts["coded"] >= coded
    assert (
        counts["billed_cents"] + counts["unbilled_cents"] - counts["priced_cents"] + counts["coder_list_cents"]
        + counts["not_billable_cents"] == counts["charge_cents"]
    )  # fmt: skip
    rules = tables.load()
    given = {code for group in rules.diagnoses.values() for rule in group for code in rule.codes}
    given |= {code for rule in rules.visit_diagnoses for code in rule.codes}
    assert {d["code"] for d in store.lake.read("coded_diagnoses").to_pylist()} <= given
    before = everything(store)
    assert stage.run(store, on) == {}
    assert everything(store) == before
