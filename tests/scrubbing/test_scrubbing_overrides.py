"""A person lets a held claim pass one edit: with a reason, for the visit as it is, and only where the edit allows it."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from cli.commands import claimpipe
from coding.visits_in_store import ON, STATED, everything, put, states

from pipeline import shapes
from pipeline.coding import stage as coding
from pipeline.errors import Terminal
from pipeline.reports import work
from pipeline.scrubbing import stage
from pipeline.store import Store
from pipeline.store import register as r

NEXT = ON + timedelta(days=1)
RULES = """
[[edit]]
id = "aetna-short-visit"
title = "Short visit at Aetna"
owner = "billing office"
snip = 7
table = "lines"
fields = ["procedure"]
check = "pattern"
parameters = { pattern = "(?!99213).*" }
overridable = true
message = "This payer does not pay the {field}."
fix = "Check the record."

[[edit]]
id = "aetna-group"
title = "Group number is missing at Aetna"
snip = 7
fields = ["group_number"]
check = "required"
message = "The {field} is missing."
fix = "Add the group number to the visit."
"""


@pytest.fixture
def ruled(any_store: Store, tmp_path: Path) -> Store:
    """A store whose payer has two rules of its own; only one may be overridden."""
    return with_rules(any_store, tmp_path, RULES)


def with_rules(store: Store, folder: Path, rules: str) -> Store:
    profile = (shapes.schemas_dir() / "payers" / "aetna.toml").read_text(encoding="utf-8")
    folder.mkdir(exist_ok=True)
    (folder / "aetna.toml").write_text(profile + rules, encoding="utf-8")
    store.settings.payers_dir = str(folder)
    return store


def night(store: Store, on: date) -> dict[str, int]:
    coding.run(store, on)
    return stage.run(store, on)


def held(store: Store) -> list[str]:
    """Ids of the open items."""
    return [item["item_id"] for item in work.items(store, "held")]


GROUP = {**STATED, "group_number": "G9"}


def test_the_claim_goes_and_the_finding_says_who_let_it_pass(ruled: Store):
    put(ruled, {"A": GROUP, "B": {**GROUP, "lines": [{"system": "HCPCS", "code": "99214", "charge": "180.00"}]}})
    night(ruled, ON)
    assert states(ruled) == {"A": ("held", "aetna-short-visit"), "B": ("claimed", "")}
    [item] = held(ruled)
    work.decide(ruled, item, "override", "DOE called: prior agreement", "ann", NEXT)
    counts = night(ruled, NEXT)
    assert (counts["ready"], counts["released"], counts["overridden"]) == (1, 1, 1)
    assert states(ruled)["A"] == ("claimed", "")
    with ruled.read() as c:
        found = c.execute(sa.select(r.findings).where(r.findings.c.rule == "aetna-short-visit")).fetchall()
        [decision] = c.execute(sa.select(r.decisions)).fetchall()
    assert sorted(f.severity for f in found) == ["error", "info"]  # what held it stays on record
    [kept] = [f for f in found if f.severity == "info"]
    assert kept.message.endswith(f"Overridden by ann on {NEXT}.")
    assert "DOE" not in kept.message
    assert (decision.rule, decision.encounter_key, decision.visit_version, decision.actor, decision.reason) == (
        "aetna-short-visit", "P1:A", 1, "ann", "DOE called: prior agreement",
    )  # fmt: skip
    shown = work.one(ruled, item)
    assert shown["state"] == "done"
    assert [(d["action"], d["target"], d["actor"], d["reason"]) for d in shown["decisions"]] == [
        ("override", "aetna-short-visit", "ann", "DOE called: prior agreement")
    ]
    before = everything(ruled)
    assert night(ruled, NEXT + timedelta(days=1)) == {}
    assert everything(ruled) == before


def test_what_was_decided_is_never_changed(ruled: Store):
    put(ruled, {"A": GROUP})
    night(ruled, ON)
    work.decide(ruled, held(ruled)[0], "override", "agreed", "ann", NEXT)
    for statement in (sa.update(r.decisions).values(reason="x"), sa.delete(r.decisions)):
        with pytest.raises(sa.exc.DBAPIError, match="append-only"), ruled.engine.begin() as c:
            c.execute(statement)


def test_the_other_edits_hold_it_all_the_same(ruled: Store):
    put(ruled, {"A": STATED})
    night(ruled, ON)
    [item] = held(ruled)
    work.decide(ruled, item, "override", "agreed", "ann", NEXT)
    assert "ready" not in night(ruled, NEXT)
    assert states(ruled) == {"A": ("held", "aetna-group")}
    [other] = held(ruled)
    with pytest.raises(Terminal, match=r"aetna-group cannot be overridden.*Add the group number"):
        work.decide(ruled, other, "override", "agreed", "ann", NEXT)
    assert held(ruled) == [other]
    # and what was let pass stands on whatever else is asked about the visit
    assert [d["target"] for d in work.one(ruled, other)["decisions"]] == ["aetna-short-visit"]


def test_an_edit_of_form_cannot_be_overridden(store: Store):
    put(store, {"A": {**STATED, "member_id": None}})
    night(store, ON)
    with pytest.raises(Terminal, match="cannot be overridden"):
        work.decide(store, held(store)[0], "override", "please", "ann", NEXT)
    with store.read() as c:
        assert c.execute(sa.select(r.decisions)).fetchall() == []
    night(store, NEXT)
    assert states(store) == {"A": ("held", "member-id-missing")}


def test_a_changed_visit_asks_again(ruled: Store):
    put(ruled, {"A": GROUP})
    night(ruled, ON)
    work.decide(ruled, held(ruled)[0], "override", "agreed", "ann", NEXT)
    e = r.encounters.c
    with ruled.begin() as c:  # as intake leaves a visit that came again, before the night's scrubbing
        c.execute(sa.update(r.encounters).where(e.encounter_key == "P1:A").values(version=2, state="coded", reason=""))
    night(ruled, NEXT)
    assert states(ruled) == {"A": ("held", "aetna-short-visit")}
    [again] = held(ruled)
    work.decide(ruled, again, "override", "agreed once more", "bob", NEXT)
    assert night(ruled, NEXT + timedelta(days=1))["overridden"] == 1
    with ruled.read() as c:
        rows = c.execute(
            sa.select(r.decisions.c.visit_version, r.decisions.c.actor).order_by(r.decisions.c.visit_version)
        )
        assert rows.tuples().all() == [(1, "ann"), (2, "bob")]


def test_an_edit_that_may_no_longer_be_overridden_holds_again_what_has_not_gone(store: Store, tmp_path: Path):
    with_rules(store, tmp_path / "one", RULES)
    put(store, {"A": GROUP})
    night(store, ON)
    work.decide(store, held(store)[0], "override", "agreed", "ann", NEXT)
    with_rules(store, tmp_path / "two", RULES.replace("overridable = true\n", ""))
    assert "ready" not in night(store, NEXT)
    assert states(store) == {"A": ("held", "aetna-short-visit")}


def test_an_expired_rule_is_silent_overridden_or_not(store: Store, tmp_path: Path):
    last = '[[edit]]\nid = "aetna-short-visit"\neffective_to = {}\n'
    rules = RULES.split('[[edit]]\nid = "aetna-group"')[0]
    put(store, {"A": GROUP})
    for day, expected in (("2026-05-04", "held"), ("2026-05-03", "claimed")):  # the day of service, and the day before
        with_rules(store, tmp_path / day, rules.replace('[[edit]]\nid = "aetna-short-visit"\n', last.format(day)))
        night(store, ON)
        assert states(store)["A"][0] == expected


def test_an_override_needs_a_reason_and_a_claim_that_is_held(ruled: Store):
    put(ruled, {"A": GROUP})
    night(ruled, ON)
    [item] = held(ruled)
    with pytest.raises(Terminal, match="reason"):
        work.decide(ruled, item, "override", " ", "ann", NEXT)
    with ruled.begin() as c:
        c.execute(sa.update(r.encounters).values(state="extracted", reason=""))
    with pytest.raises(Terminal, match="has changed since"):
        work.decide(ruled, item, "override", "agreed", "ann", NEXT)
    assert held(ruled) == [item]


def test_on_the_command_line(store: Store, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch):
    with_rules(store, tmp_path / "payers", RULES)
    monkeypatch.setenv("CLAIMPIPE_PAYERS_DIR", store.settings.payers_dir)
    put(store, {"A": GROUP})
    night(store, ON)
    [item] = held(store)
    ran = claimpipe("work", "resolve", item[:10], "--override", "--note", "agreed", "--by", "M. Adeyemi",
                    "--date", NEXT, "--home", home)  # fmt: skip
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == f"Item {item} is done: override. The next night acts on it.\n"
    shown = claimpipe("work", "show", item[:10], "--home", home).out
    assert f"Decided {NEXT}: override aetna-short-visit by M. Adeyemi: agreed" in shown
    [told] = claimpipe("work", "show", item[:10], "--home", home, "--json").lines
    assert json.dumps(told["decisions"]).count("M. Adeyemi") == 1
    assert night(store, NEXT)["overridden"] == 1
    both = claimpipe("work", "resolve", item[:10], "--override", "--keep", "--note", "x", "--home", home)
    assert both.code == 2
