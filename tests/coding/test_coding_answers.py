"""A coder answers an item of the coder's list: for the visit, or as a rule of the practice."""

from __future__ import annotations

import csv
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from cli.commands import claimpipe
from coding.visits_in_store import DAY, OFFICE, ON, OPEN, everything, put, states

from pipeline.coding import answers, rules, stage
from pipeline.coding.answers import Answer
from pipeline.errors import Terminal
from pipeline.reports import work, work_actions
from pipeline.reports.work_actions import Wanted
from pipeline.store import Store
from pipeline.store import register as r

NEXT = ON.replace(day=ON.day + 1)
#: the item of OPEN is about its diagnosis; with it answered the visit's own code is open
RIB, VISIT = "SNOMED:33737001=S22.31XA", "SNOMED:185345009=99213-25"


def item(store: Store, subject: str = "P1:O") -> str:
    w = r.work_items.c
    with store.read() as c:
        return str(
            c.execute(
                sa.select(w.item_id).where(w.queue == "coding", w.state == "open", w.subject == subject)
            ).scalar_one()
        )


def answer(store: Store, *codes: str, subject: str = "P1:O", **more: Any) -> str:
    wanted = Wanted("M. Adeyemi", more.pop("reason", "the record says right rib"), NEXT, codes=codes, **more)
    return work_actions.decide(store, item(store, subject), "code", wanted).item_id


def coded(store: Store, key: str = "P1:O") -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    claim = stage.claim_id(key)
    where = ("claim_id", [claim])
    diagnoses = store.lake.read("coded_diagnoses", where=where).to_pylist()
    lines = store.lake.read("coded_lines", where=where).to_pylist()
    return (
        [(d["code"], d["rule_id"], d["rule_version"], d["source"]) for d in diagnoses],
        [
            (x["procedure"], x["modifier1"], str(x["charge"]), x["rule_id"], x["rule_version"], x["source"])
            for x in lines
        ],
    )


def decisions(store: Store) -> list[Any]:
    with store.read() as c:
        return list(c.execute(sa.select(r.item_decisions).order_by(r.item_decisions.c.decision_id)))


def test_the_next_night_bills_what_the_coder_chose_and_cites_the_decision(any_store: Store) -> None:
    put(any_store, {"O": OPEN})
    stage.run(any_store, ON)
    done = answer(any_store, RIB, VISIT)
    assert states(any_store)["O"][0] == "coder_list"  # the night codes, not the command
    counts = stage.run(any_store, NEXT)
    assert (counts["coded"], counts["billed_cents"], states(any_store)["O"]) == (1, 7_000, ("coded", ""))
    [row] = decisions(any_store)
    assert (row.item_id, row.action, row.subject, row.actor, row.reason, row.on_date) == (
        done, "code", "P1:O", "M. Adeyemi", "the record says right rib", NEXT,
    )  # fmt: skip
    rule = f"coder-{row.decision_id[:12]}"
    assert coded(any_store) == (
        [("S2231XA", rule, "1", "diagnoses.csv row 1 column code")],
        [("99213", "25", "70.00", rule, "1", "services.csv row 1")],
    )
    shown = work.one(any_store, done)
    assert [(d["action"], d["actor"], d["reason"]) for d in shown["decisions"]] == [("code", "M. Adeyemi", row.reason)]
    before = everything(any_store)
    assert stage.run(any_store, NEXT) == {}
    assert everything(any_store) == before


def test_the_same_answer_again_changes_nothing_and_no_row_can_be_altered(any_store: Store) -> None:
    put(any_store, {"O": OPEN})
    stage.run(any_store, ON)
    found = item(any_store)
    wanted = Wanted("M. Adeyemi", "seen in the record", NEXT, codes=(RIB, VISIT))
    work_actions.decide(any_store, found, "code", wanted)
    before = everything(any_store)
    work_actions.decide(any_store, found, "code", wanted)
    assert everything(any_store) == before
    with pytest.raises(sa.exc.DBAPIError, match="append-only"), any_store.begin() as c:
        c.execute(sa.update(r.item_decisions).values(reason="other"))


def test_what_is_still_open_is_a_new_item(store: Store) -> None:
    put(store, {"O": OPEN})
    stage.run(store, ON)
    first = answer(store, "S2231XA")  # of the item's own code
    stage.run(store, NEXT)
    assert states(store)["O"] == ("coder_list", "new-or-established")
    second = item(store)
    assert second != first
    answer(store, "99213")
    stage.run(store, NEXT)
    assert [line[0] for line in coded(store)[1]] == ["99213"]


def test_whether_a_patient_is_new_is_no_rule(store: Store) -> None:
    put(store, {"O": OFFICE, "W": OFFICE})
    stage.run(store, ON)
    assert states(store)["O"] == ("coder_list", "new-or-established")
    for when in ("", "age>=18"):
        with pytest.raises(Terminal, match="each patient's record"):
            answer(store, "99203", as_rule=True, when=when)
    assert (decisions(store), answers.read_own(rules.own_file(store.settings.home))) == ([], [])
    answer(store, "99203")
    stage.run(store, NEXT)
    assert {name: state for name, (state, _) in states(store).items()} == {"O": "coded", "W": "coder_list"}


def test_none_says_that_it_is_on_no_claim_and_its_charge_stays_unbilled(store: Store) -> None:
    extra = {"system": "SNOMED", "code": "999000", "charge": "12.00"}
    put(store, {"O": {**OPEN, "lines": [*OPEN["lines"], extra]}})
    stage.run(store, ON)
    answer(store, RIB, VISIT, "SNOMED:999000=none")
    counts = stage.run(store, NEXT)
    assert (counts["billed_cents"], counts["unbilled_cents"]) == (7_000, 1_200)


def test_several_codes_of_one_service_share_its_charge_once(store: Store) -> None:
    put(store, {"O": OPEN})
    stage.run(store, ON)
    answer(store, RIB, "SNOMED:185345009=99213,36415")
    counts = stage.run(store, NEXT)
    price = rules.load().price("36415", DAY)
    assert price is not None
    assert (counts["billed_cents"], counts["priced_cents"]) == (7_000 + price.cents, price.cents)


def test_an_answer_is_of_the_visit_as_the_coder_saw_it(store: Store) -> None:
    put(store, {"O": OPEN})
    stage.run(store, ON)
    answer(store, RIB, VISIT)
    with store.begin() as c:
        c.execute(sa.update(r.encounters).values(version=2, state="extracted"))
    stage.run(store, NEXT)
    assert states(store)["O"] == ("coder_list", "SNOMED:33737001")
    assert item(store)  # open again, though the item of the first version is done


def test_a_rule_of_the_practice_codes_the_visits_that_wait_and_those_to_come(store: Store) -> None:
    put(store, {"O": OPEN, "W": OPEN})
    stage.run(store, ON)
    answer(store, RIB, VISIT, as_rule=True, reason="our template means the right rib")
    stage.run(store, NEXT)
    assert {name: state for name, (state, _) in states(store).items()} == {"O": "coded", "W": "coded"}
    put(store, {"L": OPEN}, on=NEXT, extract="b")
    stage.run(store, NEXT)
    assert states(store)["L"] == ("coded", "")
    path = rules.own_file(store.settings.home)
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    [decision] = decisions(store)
    assert [
        (
            row["rule_id"],
            row["version"],
            row["effective_from"],
            row["certainty"],
            row["system"],
            row["code"],
            row["codes"],
            row["owner"],
        )
        for row in rows
    ] == [
        (f"own-{decision.decision_id[:12]}-1", "1", str(DAY), "policy", "SNOMED", "33737001", "S2231XA", "M. Adeyemi"),
        (
            f"own-{decision.decision_id[:12]}-2",
            "1",
            str(DAY),
            "policy",
            "SNOMED",
            "185345009",
            "99213-25",
            "M. Adeyemi",
        ),
    ]
    assert rows[0]["origin"] == f"M. Adeyemi on {NEXT}: our template means the right rib"
    # the answered visit cites the person, the others the rule and its version
    assert {coded(store, f"P1:{name}")[0][0][1:3] for name in "WL"} == {(rows[0]["rule_id"], "1")}
    assert coded(store, "P1:O")[0][0][1] == f"coder-{decision.decision_id[:12]}"


def test_a_rule_holds_from_its_day_and_under_its_condition(store: Store) -> None:
    earlier = {**OPEN, "service_from": date(2026, 5, 3), "service_to": date(2026, 5, 3)}
    child = {**OPEN, "patient_birth_date": date(2020, 1, 1)}
    put(store, {"O": OPEN, "E": earlier, "C": child})
    stage.run(store, ON)
    answer(store, RIB, VISIT, as_rule=True, when="age>=18")
    stage.run(store, NEXT)
    assert {name: state for name, (state, _) in states(store).items()} == {
        "O": "coded",
        "E": "coder_list",
        "C": "coder_list",
    }


def test_a_later_rule_of_the_same_code_ends_the_earlier(tmp_path: Path) -> None:
    def add(decision: str, code: str, first: date) -> None:
        answers.add_rules(tmp_path, [Answer("diagnosis", "SNOMED", "1", (code,))], decision_id=decision, owner="A", reason="b",
                          on=ON, first=first, condition="")  # fmt: skip

    add("a" * 32, "J209", date(2026, 1, 1))
    add("b" * 32, "J208", date(2026, 3, 1))
    add("b" * 32, "J208", date(2026, 3, 1))
    rows = answers.read_own(rules.own_file(tmp_path))
    assert [(row["version"], row["effective_from"], row["effective_to"]) for row in rows] == [
        ("1", "2026-01-01", "2026-02-28"), ("2", "2026-03-01", ""),
    ]  # fmt: skip
    with pytest.raises(Terminal, match="decides SNOMED 1 already, from 2026-03-01"):
        add("c" * 32, "J207", date(2026, 2, 1))


@pytest.mark.parametrize(
    ("codes", "words"),
    [
        ((), "needs --code"),
        (("S22.3",), "no ICD-10-CM code that can be billed"),
        (("SNOMED:1=J209",), "has no code SNOMED:1"),
        (("SNOMED:185345009=J20.9",), "has not the form of a procedure code"),
        (("SNOMED:185345009=99213-2",), "has not the form of a procedure code"),
    ],
)
def test_what_is_no_answer_is_refused_and_the_item_stays_open(store: Store, codes: tuple[str, ...], words: str) -> None:
    put(store, {"O": OPEN})
    stage.run(store, ON)
    before = everything(store)
    with pytest.raises(Terminal, match=words):
        answer(store, *codes)
    assert everything(store) == before
    with pytest.raises(Terminal, match="condition of a rule"):
        answer(store, RIB, when="age<18")
    with pytest.raises(Terminal, match="coding rule"):
        answer(store, RIB, as_rule=True, when="moon=full")
    assert not rules.own_file(store.settings.home).exists()


def test_an_own_table_that_cannot_be_used_is_told(store: Store) -> None:
    path = rules.own_file(store.settings.home)
    path.parent.mkdir(parents=True)
    path.write_text("rule_id,version\nx,1\n")
    put(store, {"O": OFFICE})
    with pytest.raises(Terminal, match="has no column"):
        stage.run(store, ON)
    row = dict.fromkeys(rules.OWN_COLUMNS, "") | {
        "rule_id": "x",
        "certainty": "never",
        "kind": "diagnosis",
        "codes": "",
    }
    path.write_text(f"{','.join(row)}\n{','.join(row.values())}\n")
    with pytest.raises(Terminal, match="do not go together"):
        stage.run(store, ON)


def test_answers_are_read_as_they_were_written() -> None:
    given = [Answer("diagnosis", "A; B", "x=1:2 | rule", ("J209", "I10")), Answer("service", "CVX", "140", ())]
    for more in ({}, {"as_rule": True}, {"as_rule": True, "condition": "age<18;sex=F"}):
        assert answers.read(answers.written(3, given, **more)) == (3, given)


def test_on_the_command_line(store: Store) -> None:
    put(store, {"O": OPEN})
    stage.run(store, ON)
    home = store.settings.home
    found = item(store)
    rest = (
        "--code",
        RIB,
        "--code",
        VISIT,
        "--as-rule",
        "--by",
        "Ada",
        "--note",
        "seen",
        "--date",
        NEXT,
        "--home",
        home,
    )
    assert claimpipe("work", "resolve", found[:10], "--action", "code", *rest).code == 0
    [shown] = claimpipe("work", "show", found, "--home", home, "--json").lines
    [decided] = shown["decisions"]
    assert (decided["actor"], decided["reason"], decided["target"]) == (
        "Ada", "seen", "visit version 1: diagnosis SNOMED:33737001=S2231XA; service SNOMED:185345009=99213-25 | rule",
    )  # fmt: skip
    assert (
        claimpipe("work", "resolve", found, "--action", "code", "--code", "1", "--note", "x", "--home", home).code == 2
    )


#: Medicare pays the giving of this vaccine under Part D: no rule codes it
GIVEN = {
    "payer_key": "medicare", "payer_source": "Medicare", "member_id": "1EG4TE5MK73",
    "diagnoses": [("ICD10CM", "S61.411A")],
    "lines": [{"system": "HCPCS", "code": "99213", "charge": "90.00"}, {"system": "CVX", "code": "113", "kind": "immunization", "charge": "35.00"}],
}  # fmt: skip


@pytest.mark.parametrize(
    ("code", "billed"),
    [("90471", ["99213", "90714", "90471"]), ("none", ["99213", "90714"]), ("90471-59", ["99213", "90714", "90471"])],
)
def test_a_coder_chooses_the_code_of_giving_a_vaccine(store: Store, code: str, billed: list[str]) -> None:
    put(store, {"O": GIVEN})
    stage.run(store, ON)
    assert states(store)["O"] == ("coder_list", "administration:CVX 113")
    done = answer(store, code, reason="Part B: a wound")
    stage.run(store, NEXT)
    assert states(store)["O"] == ("coded", "")
    _, lines = coded(store)
    assert [line[0] for line in lines] == billed
    [row] = decisions(store)
    if code != "none":
        assert lines[2][3] == f"coder-{row.decision_id[:12]}"
        assert lines[2][1] == ("59" if code.endswith("59") else None)
    assert done


def test_the_code_of_giving_a_vaccine_can_be_a_rule_of_the_practice(store: Store) -> None:
    put(store, {"O": GIVEN, "P": GIVEN})
    stage.run(store, ON)
    answer(store, "administration:CVX 113=90471", as_rule=True)
    stage.run(store, NEXT)
    assert states(store) == {"O": ("coded", ""), "P": ("coded", "")}
    assert [row["code"] for row in answers.read_own(rules.own_file(store.settings.home))] == ["CVX 113"]
