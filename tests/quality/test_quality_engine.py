"""Quality suites: what fails is named by key and rule, counts are kept, values never are, thresholds stop a stage."""

import json
from datetime import date

import pandas as pd
import pytest
import sqlalchemy as sa

from pipeline import checkpoints, shapes
from pipeline.errors import Terminal
from pipeline.quality import engine
from pipeline.store import register as r

SUITES = sorted(p.stem for p in (shapes.schemas_dir() / "expectations").glob("*.json"))
ON = date(2026, 11, 20)


def good(**changes):
    row = {
        "deposit_id": "d1", "amount_cents": 100, "type_code": "165", "account": "**1234", "deposit_date": ON,
    }  # fmt: skip
    return row | changes


def test_every_stage_has_a_suite_and_every_suite_a_stage():
    assert sorted(checkpoints.CHECKPOINTS) == SUITES
    assert len(SUITES) == 8


@pytest.mark.parametrize("name", SUITES)
def test_every_expectation_says_what_is_wrong_and_how_to_mend_it_under_a_rule_of_its_own(name):
    entries = json.loads((shapes.schemas_dir() / "expectations" / f"{name}.json").read_text())["expectations"]
    rules = [e["meta"]["rule"] for e in entries]
    assert len(set(rules)) == len(rules)
    for entry in entries:
        assert entry["meta"]["message"].endswith(".")
        assert entry["meta"]["fix"].endswith(".")


def test_failing_rows_are_named_by_key_with_the_first_reason():
    frame = pd.DataFrame([good(), good(deposit_id="d2", amount_cents=0), good(deposit_id="d3", type_code="16")])
    result = engine.check("deposits", frame, "deposit_id")
    assert {key: reason.rule for key, reason in result.failed.items()} == {
        "d2": "quality.deposits.amount.zero",
        "d3": "quality.deposits.type_code.shape",
    }
    assert not result.stops
    assert [o.unexpected for o in result.outcomes if o.column == "amount_cents"] == [1]


def test_a_clean_frame_passes_every_expectation():
    result = engine.check("deposits", pd.DataFrame([good()]), "deposit_id")
    assert all(o.success for o in result.outcomes)
    assert result.failed == {}


def test_a_missing_column_stops_the_stage_and_names_the_column():
    frame = pd.DataFrame([good()]).drop(columns="account")
    result = engine.check("deposits", frame, "deposit_id")
    assert result.stops
    with pytest.raises(Terminal, match="account"):
        result.raise_if_stopped()


def test_too_many_failures_stop_the_stage(monkeypatch):
    suite = engine.suite_json("deposits") | {"meta": {"stop_above": 0.4}}
    monkeypatch.setattr(engine, "suite_json", lambda name: suite)
    frame = pd.DataFrame([good(deposit_id=f"d{n}", amount_cents=n % 2) for n in range(10)])
    result = engine.check("deposits", frame, "deposit_id")
    with pytest.raises(Terminal, match=r"5 of 10 rows fail \(50.0%; the threshold is 40.0%\)"):
        result.raise_if_stopped()


def test_at_the_threshold_the_stage_goes_on(monkeypatch):
    suite = engine.suite_json("deposits") | {"meta": {"stop_above": 0.5}}
    monkeypatch.setattr(engine, "suite_json", lambda name: suite)
    frame = pd.DataFrame([good(deposit_id=f"d{n}", amount_cents=n % 2) for n in range(10)])
    engine.check("deposits", frame, "deposit_id").raise_if_stopped()


def test_what_is_kept_are_counts_and_the_same_counts_write_nothing(store):
    canary = "Zzyzx-Canary"
    frame = pd.DataFrame([good(), good(deposit_id="d2", account=canary)])
    result = engine.check("deposits", frame, "deposit_id")
    assert list(result.failed) == ["d2"]
    with store.begin() as connection:
        engine.record(connection, ON, result)
        rows = connection.execute(sa.select(r.quality_results)).all()
        assert len(rows) == len(result.outcomes)
        assert canary not in str(rows)
        before = connection.execute(sa.text("select total_changes()")).scalar()
        engine.record(connection, ON, result)
        assert connection.execute(sa.text("select total_changes()")).scalar() == before
    assert canary not in str(result.findings())


def test_a_long_frame_in_slices_is_told_as_the_frame_at_once(monkeypatch: pytest.MonkeyPatch):
    rows = [
        good(deposit_id=f"d{n}", amount_cents=int(n % 3 > 0), type_code="16" if n in (0, 6) else "165")
        for n in range(8)
    ]
    whole = engine.check("deposits", pd.DataFrame(rows), "deposit_id")
    monkeypatch.setattr(engine, "_SLICE", 3)
    sliced = engine.check_in_slices("deposits", pd.DataFrame(rows), "deposit_id")
    assert sliced == whole
    assert len(sliced.failed) == 3
    assert engine.check_in_slices("deposits", pd.DataFrame(rows[:2]), "deposit_id").rows == 2
