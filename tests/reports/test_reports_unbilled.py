"""Visits not billed yet, with their charge lag."""

from __future__ import annotations

import io
import json
from datetime import timedelta

import sqlalchemy as sa
from coding.visits_in_store import DAY, ON, OPEN, STATED, put
from rich.console import Console
from typer.testing import CliRunner

from pipeline.claims import stage as building
from pipeline.cli import app
from pipeline.coding import stage as coding
from pipeline.reports import unbilled
from pipeline.scrubbing import stage as scrubbing
from pipeline.store import Store
from pipeline.store import register as r


def test_a_visit_without_a_claim_after_n_days_appears_with_its_dollars(any_store: Store):
    later = DAY + timedelta(days=4)
    visits = {
        "SENT": STATED, "OPEN": OPEN, "HELD": {**STATED, "member_id": None},
        "YOUNG": {**OPEN, "service_from": later, "service_to": later}, "GONE": STATED, "READY": {**STATED, "payer_key": "cigna"},
    }  # fmt: skip
    put(any_store, visits)
    with any_store.begin() as c:
        c.execute(sa.update(r.encounters).where(r.encounters.c.encounter_key == "P1:GONE").values(state="cancelled"))
    coding.run(any_store, ON)
    scrubbing.run(any_store, ON)
    building.build(any_store, ON, "aetna")
    rows = unbilled.visits(any_store, ON)
    assert {row["encounter_key"]: (row["state"], row["lag_days"], row["cents"]) for row in rows} == {
        "P1:OPEN": ("coder_list", 6, 7_000), "P1:HELD": ("held", 6, 15_000), "P1:READY": ("ready", 6, 15_000),
        "P1:YOUNG": ("coder_list", 2, 7_000),
    }  # fmt: skip
    assert [row["lag_days"] for row in rows] == [6, 6, 6, 2]
    assert {row["encounter_key"] for row in unbilled.visits(any_store, ON, 6)} == {"P1:OPEN", "P1:HELD", "P1:READY"}
    assert unbilled.visits(any_store, ON, 7) == []
    coder = next(row for row in unbilled.by_state(rows) if row["state"] == "coder_list")
    assert coder == {"state": "coder_list", "visits": 2, "cents": 14_000, "mean_lag_days": 4, "longest_lag_days": 6}
    out = Console(file=io.StringIO(), width=160)
    for shown in (rows, unbilled.by_state(rows), []):
        unbilled.show(out, shown, {"visits": 0, "cents": 0})
    text = out.file.getvalue()  # type: ignore[attr-defined]
    assert "P1:HELD" in text
    assert "member-id-missing" in text
    assert "140.00" in text


def test_visits_in_the_future_are_told_in_one_line_and_not_left_out_in_silence(store: Store):
    """On the day of service a visit waits for the first day; the day before it is still to come."""
    tomorrow = ON + timedelta(days=1)
    visits = {
        "NOW": {**OPEN, "service_from": ON, "service_to": ON}, "SOON": {**OPEN, "service_from": tomorrow, "service_to": tomorrow},
        "LATER": {**STATED, "service_from": tomorrow, "service_to": tomorrow},
    }  # fmt: skip
    put(store, visits)
    assert {row["encounter_key"] for row in unbilled.visits(store, ON)} == {"P1:NOW"}
    assert unbilled.in_the_future(store, ON) == {"visits": 2, "cents": 22_000}
    assert unbilled.in_the_future(store, tomorrow) == {"visits": 0, "cents": 0}
    home = str(store.settings.home)
    told = CliRunner().invoke(app, ["work", "unbilled", "--date", ON.isoformat(), "--home", home]).output
    assert "2 visits over 220.00 whose service is still to come" in " ".join(told.split())
    for each in ([], ["--each"]):
        said = (
            CliRunner()
            .invoke(app, ["work", "unbilled", "--json", "--date", ON.isoformat(), "--home", home, *each])
            .output
        )
        rows = [json.loads(line) for line in said.splitlines()]
        assert rows[-1] == {"future": {"visits": 2, "cents": 22_000}}
        assert len(rows) == 2
