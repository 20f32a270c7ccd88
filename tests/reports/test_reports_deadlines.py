"""Filing days: one day before, on and after the limit, from the day that the payer counts from; and what is not at risk."""

from __future__ import annotations

import io
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from cli.commands import claimpipe
from coding.visits_in_store import DAY, ON, OPEN, STATED, put, states
from rich.console import Console

from pipeline import shapes
from pipeline.coding import stage as coding
from pipeline.ledger import proof
from pipeline.reports import deadlines, page, summary, terminal, workbook
from pipeline.scrubbing import stage
from pipeline.store import Store
from pipeline.store import register as r

LIMIT = DAY + timedelta(days=180)  # Aetna's
BAD = {**STATED, "member_id": None}


def night(store: Store, visits: dict[str, dict[str, Any]]) -> None:
    put(store, visits)
    coding.run(store, ON)
    stage.run(store, ON)


def become(store: Store, visit: str, state: str) -> None:
    with store.begin() as c:
        c.execute(sa.update(r.claims).where(r.claims.c.encounter_key == f"P1:{visit}").values(state=state))


def left(found: list[deadlines.Waiting]) -> dict[str, int]:
    return {x.encounter_key.removeprefix("P1:"): x.days_left for x in found}


@pytest.mark.parametrize(
    ("before", "expected"), [(15, {}), (14, {"A": 14}), (1, {"A": 1}), (0, {"A": 0}), (-1, {"A": -1})]
)
def test_days_that_are_left(any_store: Store, before: int, expected: dict[str, int]):
    night(any_store, {"A": BAD})
    assert left(deadlines.at_risk(any_store, LIMIT - timedelta(days=before))) == expected


def test_each_place_where_a_visit_waits_with_its_dollars_and_what_to_do(store: Store):
    places = ("ready", "batched", "sent", "unknown", "received", "rejected")
    night(store, {"held": BAD, "coder": OPEN, **dict.fromkeys(places, STATED)})
    for state in places:
        become(store, state, state)
    found = {x.encounter_key.removeprefix("P1:"): x for x in deadlines.at_risk(store, LIMIT)}
    assert {k: (x.state, x.cents) for k, x in found.items()} == {
        "held": ("held", 15_000), "coder": ("coder_list", 7_000), **{s: (s, 15_000) for s in places},
    }  # fmt: skip
    assert all(x.action and x.last_day == LIMIT for x in found.values())
    assert (found["held"].why, bool(found["held"].item_id)) == ("Member number is missing", True)
    assert "claimpipe settle" in found["unknown"].action
    assert len({x.action for x in found.values()}) == len(found)


@pytest.mark.parametrize("state", ["accepted", "paid", "denied", "reversed"])
def test_what_a_payer_has_accepted_is_not_at_risk(store: Store, state: str):
    night(store, {"A": STATED})
    become(store, "A", state)
    assert deadlines.at_risk(store, LIMIT) == []
    # nor is a correction of it that waits
    with store.begin() as c:
        c.execute(sa.update(r.encounters).values(state="held", reason="correction-approval", claim_id=None))
    assert deadlines.at_risk(store, LIMIT) == []
    with store.begin() as c:  # until the payer has taken a void of it, and the visit is to be billed anew
        row = dict(c.execute(sa.select(r.claims)).mappings().one())
        c.execute(
            sa.insert(r.claims).values(row | {"claim_id": "CV2", "version": 2, "frequency": "8", "state": "accepted"})
        )
    assert left(deadlines.at_risk(store, LIMIT)) == {"A": 0}


def test_visits_that_are_not_to_be_billed_are_not_at_risk(store: Store):
    night(store, {"A": BAD, "B": BAD, "C": {**BAD, "payer_key": None, "payer_source": "Unheard of"}})
    e = r.encounters.c
    with store.begin() as c:
        c.execute(sa.update(r.encounters).where(e.encounter_key == "P1:A").values(state="not_billable"))
        c.execute(sa.update(r.encounters).where(e.encounter_key == "P1:B").values(cancelled=True))
    assert deadlines.at_risk(store, LIMIT) == []


STAY = {**BAD, "service_to": DAY + timedelta(days=3)}


@pytest.mark.parametrize(
    ("claim_type", "setting", "days"),
    [("institutional", "", 3), ("professional", "", 0), ("institutional", "first", 0), ("professional", "last", 3)],
)
def test_the_day_that_the_payer_counts_from(store: Store, claim_type: str, setting: str, days: int, tmp_path: Path):
    if setting:
        text = (shapes.schemas_dir() / "payers" / "aetna.toml").read_text(encoding="utf-8")
        assert text.count("filing_days = 180\n") == 1
        changed = text.replace("filing_days = 180\n", f'filing_days = 180\nfiling_from = "{setting}"\n')
        (tmp_path / "aetna.toml").write_text(changed, encoding="utf-8")
        store.settings.payers_dir = str(tmp_path)
    put(store, {"A": {**STAY, "claim_type": claim_type}})
    assert left(deadlines.at_risk(store, LIMIT, 3)) == {"A": days}
    assert left(deadlines.at_risk(store, LIMIT - timedelta(days=1), 3)) == ({"A": 1} if days == 0 else {})


def told(store: Store, on: date) -> summary.Summary:
    return summary.gather(store, on, proof.prove(store, archive=False))


def test_the_nights_report_tells_them_in_brief(store: Store):
    night(store, {"A": BAD, "B": STATED, "C": STATED, "D": {**BAD, "service_from": DAY - timedelta(days=9)}})
    found = told(store, LIMIT - timedelta(days=2))
    assert [(d.where, d.past, d.count, d.cents) for d in found.deadlines] == [
        ("Ready to be sent", False, 2, 30_000), ("Held by an edit", False, 1, 15_000), ("Held by an edit", True, 1, 15_000),
    ]  # fmt: skip
    console = Console(width=100, record=True, file=io.StringIO())
    terminal.show(console, found)
    text = console.export_text()
    assert "Filing days that end within two weeks" in text
    assert "claimpipe work at-risk" in text
    html = page.render(found)
    assert "Filing days that end within two weeks" in html
    assert LIMIT.isoformat() in html
    assert b"PK" in workbook.render(found)[:4]
    quiet = told(store, ON)
    assert quiet.deadlines == []
    assert "Filing days" not in page.render(quiet)


def test_on_the_command_line(store: Store, home: Path):
    night(store, {"A": BAD, "D": {**BAD, "service_from": DAY - timedelta(days=9)}})
    assert set(states(store).values()) == {("held", "member-id-missing")}
    store.close()
    lines = claimpipe("work", "at-risk", "--date", LIMIT, "--home", home, "--json").lines
    assert [(x["encounter_key"], x["days_left"], x["cents"], x["last_day"]) for x in lines] == [
        ("P1:D", -9, 15_000, (LIMIT - timedelta(days=9)).isoformat()), ("P1:A", 0, 15_000, LIMIT.isoformat()),
    ]  # fmt: skip
    text = claimpipe("work", "at-risk", "--date", LIMIT, "--home", home).out
    assert "Within 14 days: 1 visit over 150.00." in text
    assert "Past their payer's limit: 1 visit over 150.00." in text
    assert "DOE" not in text
    none = claimpipe("work", "at-risk", "--days", 0, "--date", ON, "--home", home).out
    assert none == "No visit's filing days end within 0 days.\n"
