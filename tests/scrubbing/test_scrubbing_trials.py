"""Edits tried out: the examples of a companion guide, and a rule over a history made by hand."""

from __future__ import annotations

import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from cli.commands import claimpipe
from coding.visits_in_store import ON, STATED, put

from pipeline import shapes
from pipeline.coding import stage as coding
from pipeline.errors import Terminal
from pipeline.scrubbing import edits as books
from pipeline.scrubbing import stage, trials
from pipeline.scrubbing.edits import Edit
from pipeline.store import Store
from pipeline.store import register as r
from pipeline.store.events import Move, move_claims

RULE = """
[[edit]]
id = "no-99213"
title = "A visit that is never paid"
effective_from = 2030-01-01
snip = 7
table = "lines"
fields = ["procedure"]
check = "pattern"
parameters = { pattern = "(?!99213).*" }
message = "The {field} is not paid."
fix = "Check it."
passes = [{ lines = [{ procedure = "99214" }] }]
fails = [{ lines = [{ procedure = "99213" }] }]
"""
DEARER = {"diagnoses": [("ICD10CM", "J20.9")], "lines": [{"system": "HCPCS", "code": "99214", "charge": "180.00"}]}
CIGNA = {"payer_key": "cigna", "payer_source": "Cigna", "member_id": "U12345678"}


def history(store: Store) -> None:
    """Two nights: of the claims with 99213 (150.00 each), Aetna rejected one, denied one, paid one with 90.00 and paid one with
    nothing after a reversal; Cigna paid none yet. Two of other procedures (180.00), one paid and one denied."""
    nights = {
        ON: {"A": STATED, "B": STATED, "C": STATED, "D": DEARER},
        ON + timedelta(days=1): {"E": STATED, "F": {**STATED, **CIGNA}, "G": DEARER},
    }
    for number, (on, visits) in enumerate(nights.items()):
        put(store, {k: {**v, "minutes": 15} for k, v in visits.items()}, on, f"x{number}")
        coding.run(store, on)
        stage.run(store, on)
    reject(store, "A", "277CA A7", "claim")
    became = {"B": "denied", "C": "paid", "D": "paid", "E": "reversed", "F": "sent", "G": "denied"}
    c = r.claims.c
    with store.begin() as connection:
        for visit, state in became.items():
            done = connection.execute(sa.update(r.claims).where(c.encounter_key == f"P1:{visit}").values(state=state))
            assert done.rowcount == 1, visit
        for number, (visit, cents, outcome) in enumerate(
            [("C", 9000, "paid"), ("E", 5000, "paid"), ("E", -5000, "reversal")], 1
        ):
            claim = coding.claim_id(f"P1:{visit}")
            connection.execute(sa.insert(r.remittance_claims).values(
                remittance_id="m", claim_number=number, claim_id_stated=claim, claim_id=claim, status="1",
                charge_cents=15_000, paid_cents=cents, patient_cents=0, outcome=outcome, state="posted",
            ))  # fmt: skip


def reject(store: Store, visit: str, event: str, level: str) -> None:
    """The claim becomes rejected by an acknowledgment of that level, which names it where it is of the claim."""
    claim = coding.claim_id(f"P1:{visit}")
    kind, code = event.split(" ")
    with store.begin() as c:
        c.execute(sa.insert(r.acknowledgments).values(
            ack_id=f"{claim}{event}{level}"[:32], file_id=f"f{visit}", kind=kind, payer_key="aetna", level=level,
            claim_id=claim if level == "claim" else None, code=code, state="applied",
        ))  # fmt: skip
        move_claims(c, ON, [Move(claim, event, "rejected", f"f{visit}")])


@pytest.mark.parametrize(
    ("event", "level", "caught"),
    [
        ("277CA A7", "claim", 1), ("277CA A8", "provider", 0), ("277CA A8", "receiver", 0), ("999 R", "set", 0),
        ("TA1 R", "interchange", 0),
    ],
)  # fmt: skip
def test_only_a_claim_that_was_rejected_for_its_own_sake_is_caught(
    event: str, level: str, caught: int, store: Store, tmp_path: Path
):
    put(store, {name: {**STATED, "minutes": 15} for name in "AB"})
    coding.run(store, ON)
    stage.run(store, ON)
    reject(store, "A", event, level)
    reject(store, "B", "277CA A7", "claim")
    whole = trials.replay(store, rule(RULE, tmp_path), ON, date.max).whole
    assert (whole.held.claims, whole.caught.claims, whole.undecided.claims) == (2, 1 + caught, 1 - caught)


def test_a_claim_that_the_payer_names_after_its_set_was_refused_went_down_with_the_set(store: Store, tmp_path: Path):
    put(store, {"A": {**STATED, "minutes": 15}})
    coding.run(store, ON)
    stage.run(store, ON)
    reject(store, "A", "999 R", "set")
    reject(store, "A", "277CA A1", "claim")
    assert trials.replay(store, rule(RULE, tmp_path), ON, date.max).whole.undecided.claims == 1


def rule(text: str, tmp_path: Path, **days: Any) -> tuple[Edit, ...]:
    path = tmp_path / "rule.toml"
    path.write_text(text, encoding="utf-8")
    always = {"effective_from": date.min, "effective_to": date.max}
    return tuple(edit.model_copy(update=always | days) for edit in books.read(path))


def told(line: trials.Line) -> dict[str, tuple[int, int]]:
    return {
        name: (t.claims, t.cents)
        for name in ("looked_at", "held", *trials.OUTCOMES)
        if (t := getattr(line, name)).claims
    }


def test_what_a_rule_would_have_held_and_what_the_payers_did_with_it(any_store: Store, tmp_path: Path):
    history(any_store)
    trial = trials.replay(any_store, rule(RULE, tmp_path), ON, date.max)
    assert told(trial.whole) == {
        "looked_at": (7, 5 * 15_000 + 2 * 18_000), "held": (5, 75_000), "caught": (2, 30_000), "false_hold": (1, 15_000),
        "undecided": (2, 30_000),
    }  # fmt: skip
    assert (trial.whole.false_hold.paid_cents, trial.whole.undecided.paid_cents) == (9_000, 0)
    assert {key: told(line) for key, line in trial.payers.items()} == {
        "aetna": {"looked_at": (6, 96_000), "held": (4, 60_000), "caught": (2, 30_000), "false_hold": (1, 15_000),
                  "undecided": (1, 15_000)},
        "cigna": {"looked_at": (1, 15_000), "held": (1, 15_000), "undecided": (1, 15_000)},
    }  # fmt: skip
    assert trial.nights == (ON, ON + timedelta(days=1))


def test_nights_and_payer_choose_what_is_looked_at(store: Store, tmp_path: Path):
    history(store)
    edits = rule(RULE, tmp_path)
    second = ON + timedelta(days=1)
    assert trials.replay(store, edits, second, second).whole.looked_at.claims == 3
    assert trials.replay(store, edits, ON, ON).whole.looked_at.claims == 4
    assert trials.replay(store, edits, second + timedelta(days=1), date.max).nights is None
    of_cigna = trials.replay(store, edits, ON, date.max, "cigna")
    assert (told(of_cigna.whole), set(of_cigna.payers)) == ({"looked_at": (1, 15_000), "held": (1, 15_000),
                                                           "undecided": (1, 15_000)}, {"cigna"})  # fmt: skip


def test_a_claim_that_two_rules_hold_is_held_once(store: Store, tmp_path: Path):
    history(store)
    both = RULE + RULE.replace("no-99213", "no-e-and-m").replace("(?!99213).*", "(?!992).*")
    trial = trials.replay(store, rule(both, tmp_path), ON, date.max)
    assert trial.whole.held.claims == 7
    assert {name: line.held.claims for name, line in trial.by_rule.items()} == {"no-99213": 5, "no-e-and-m": 7}


def test_days_of_a_rule_count_where_they_are_asked_for(store: Store, tmp_path: Path):
    history(store)
    later = rule(RULE, tmp_path, effective_from=date(2030, 1, 1))
    trial = trials.replay(store, later, ON, date.max)
    assert (trial.whole.looked_at.claims, trial.whole.held.claims) == (7, 0)


def test_a_replay_changes_nothing_and_does_not_hide_a_lost_lake(store: Store, tmp_path: Path):
    history(store)
    before = sorted(p.stat().st_mtime_ns for p in store.lake.root.rglob("*.parquet"))
    trials.replay(store, rule(RULE, tmp_path), ON, date.max)
    assert sorted(p.stat().st_mtime_ns for p in store.lake.root.rglob("*.parquet")) == before
    next((store.lake.root / "scrubbed_lines").rglob("*.parquet")).unlink()
    with pytest.raises(Terminal, match="lost a part of scrubbed_lines"):
        trials.replay(store, rule(RULE, tmp_path), ON, date.max)


def test_edits_try_on_the_command_line(store: Store, tmp_path: Path, home: Path):
    history(store)
    store.close()
    file = tmp_path / "rule.toml"
    file.write_text(RULE, encoding="utf-8")
    lines = claimpipe("edits", "try", file, "--since", ON, "--home", home, "--json").lines
    whole, aetna, cigna, by_rule = lines
    assert whole == {
        "of": "all", "rules": ["no-99213"], "since": ON.isoformat(), "until": "", "looked_at": 7, "looked_at_cents": 111_000,
        "held": 5, "held_cents": 75_000, "caught": 2, "caught_cents": 30_000, "false_hold": 1, "false_hold_cents": 15_000,
        "false_hold_paid_cents": 9_000, "undecided": 2, "undecided_cents": 30_000,
    }  # fmt: skip
    assert (aetna["payer"], aetna["held"], cigna["payer"], cigna["held"]) == ("aetna", 4, "cigna", 1)
    assert (by_rule["rule"], by_rule["held"]) == ("no-99213", 5)
    text = claimpipe("edits", "try", file, "--since", ON, "--home", home).out
    assert "7 claims over 1,110.00 looked at; it would have held 5 claims over 750.00." in text
    assert "Of the 3 claims that a payer decided, the rule was right about 67%." in text
    assert "████████████" in text
    dated = claimpipe("edits", "try", file, "--since", ON, "--as-dated", "--home", home, "--json").lines
    assert dated[0]["held"] == 0
    known = claimpipe("edits", "try", "npi", "--since", ON, "--until", ON, "--home", home, "--json").lines
    assert (known[0]["looked_at"], known[0]["held"]) == (4, 0)
    nothing = claimpipe("edits", "try", "npl", "--since", ON, "--home", home)
    assert (nothing.code, nothing.sentence) == (2, "There is no rule npl. Did you mean npi?")
    backwards = claimpipe("edits", "try", "npi", "--since", ON, "--until", ON - timedelta(days=1), "--home", home)
    assert backwards.code == 2
    assert "no register" in claimpipe("edits", "try", "npi", "--since", ON, "--home", tmp_path / "no").sentence


# --- examples ---------------------------------------------------------------------------------------------------------


def checked(tmp_path: Path, text: str, *options: str) -> tuple[int, list[dict[str, Any]]]:
    file = tmp_path / "ours.toml"
    file.write_text(text, encoding="utf-8")
    ran = claimpipe("edits", "check", file, "--json", *options)
    assert ran.err == ""
    return ran.code, ran.lines


def test_the_examples_of_every_edit_hold():
    """In a process of its own: what no other command has read beforehand is there."""
    ran = subprocess.run(
        [sys.executable, "-m", "pipeline.cli", "edits", "check"], capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.splitlines()[-1].endswith("all hold.")


def test_an_example_that_says_something_else_is_told(tmp_path: Path):
    assert checked(tmp_path, RULE) == (0, [])
    turned = RULE.replace("passes =", "swap =").replace("fails =", "passes =").replace("swap =", "fails =")
    code, lines = checked(tmp_path, turned)
    assert code == 1
    assert [(x["edit"], x["example"], x["message"]) for x in lines] == [
        ("no-99213", "passes 1", "The edit finds fault with this example."),
        ("no-99213", "fails 1", "The edit finds nothing in this example."),
    ]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('check = "pattern"', 'check = "patern"', "names a check that does not exist: patern"),
        ('fields = ["procedure"]', 'fields = ["procedur"]', "lines have no column procedur"),
        ("The {field} is", "The {fild} is", "places that the check pattern does not fill: fild"),
        ("The {field} is", "The {field is", "a brace that stands alone"),
        ('pattern = "(?!99213).*"', 'pattern = "("', "no regular expression"),
        ('snip = 7', 'snip = 7\nwhen = { payr = ["x"] }', "claims have no column payr"),
        ('[{ procedure = "99214" }]', '[{ procedur = "99214" }]', "columns that do not exist: lines.procedur"),
        ('procedure = "99214" }] }]', 'units = "many" }] }]', "The example or the edit's parameters cannot be used"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_told_in_words(old: str, new: str, words: str, tmp_path: Path):
    code, lines = checked(tmp_path, RULE.replace(old, new))
    assert code == 1
    assert any(words in line["message"] for line in lines), lines


def test_a_rule_without_a_failing_example_is_a_warning(tmp_path: Path):
    code, lines = checked(
        tmp_path,
        RULE.replace("fails =", "passes =").replace("passes =", "#", 1).replace('99213" }] }]', '99214" }] }]'),
    )
    assert (code, [line["severity"] for line in lines]) == (0, ["warning"])


def test_a_companion_guide_is_run_from_its_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The rules of a profile are tried on claims of its payer, whatever payer the good claim has; list and show know them."""
    profile = (shapes.schemas_dir() / "payers" / "harbor.toml").read_text(encoding="utf-8")
    (tmp_path / "payers").mkdir()
    (tmp_path / "payers" / "harbor.toml").write_text(profile + RULE, encoding="utf-8")
    monkeypatch.setenv("CLAIMPIPE_PAYERS_DIR", str(tmp_path / "payers"))
    assert claimpipe("edits", "check").code == 0
    assert claimpipe("edits", "check", tmp_path / "payers" / "harbor.toml").out.startswith("1 edit, 2 examples")
    [row] = claimpipe("edits", "list", "--payer", "harbor", "--json").lines
    assert (row["id"], row["payer"], row["owner"], row["effective_from"]) == (
        "no-99213", "harbor", "billing office", "2030-01-01",
    )  # fmt: skip
    assert "from 2030-01-01" in claimpipe("edits", "list").out
    assert "payer:          harbor" in claimpipe("edits", "show", "no-99213").out
    (tmp_path / "payers" / "harbor.toml").write_text(
        profile + RULE.replace('"99213" }] }]', '"99214" }] }]'), encoding="utf-8"
    )
    from pipeline import payers

    payers._load.cache_clear()
    ran = claimpipe("edits", "check", "--json")
    assert (ran.code, [(x["payer"], x["example"]) for x in ran.lines if x["severity"] == "error"]) == (
        1,
        [("harbor", "fails 1")],
    )
