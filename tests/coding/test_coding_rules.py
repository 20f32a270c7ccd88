"""The rule tables themselves: whatever is written there must be usable on every day for which it is written."""

from __future__ import annotations

import re
from datetime import date, timedelta
from itertools import pairwise

import pytest

from pipeline import codes
from pipeline.coding import rules as tables
from pipeline.coding.rules import CERTAIN, Facts, Rule, condition
from pipeline.errors import Terminal

RULES = tables.load()
DIAGNOSES = [rule for rules in RULES.diagnoses.values() for rule in rules] + RULES.visit_diagnoses
SERVICES = [rule for rules in RULES.services.values() for rule in rules]
VACCINES = [rule for rules in RULES.vaccines.values() for rule in rules]
ALL = DIAGNOSES + SERVICES + VACCINES + RULES.visits + RULES.levels + RULES.administration
LAST = date(2026, 9, 30)


def days(rule: Rule) -> tuple[date, date]:
    return max(rule.start, codes.FIRST_DAY), min(rule.end, LAST)


@pytest.mark.parametrize("rule", DIAGNOSES, ids=lambda rule: rule.rule_id)
def test_every_diagnosis_is_billable_on_the_first_and_last_day_of_its_rule(rule: Rule):
    for code in rule.codes:
        for day in days(rule) if rule.certainty in CERTAIN else (LAST,):
            assert codes.valid(code, day).status is codes.Status.billable, (code, day)
    assert rule.codes or rule.certainty == "omit"


def test_every_rule_has_an_id_of_its_own_a_version_and_an_origin():
    ids = [rule.rule_id for rule in ALL]
    assert sorted(ids) == sorted(set(ids))
    assert all(rule.version for rule in ALL)
    assert [rule.rule_id for rule in DIAGNOSES + RULES.levels + RULES.administration if not rule.origin] == []


def test_every_certainty_is_a_word_that_the_stage_knows():
    assert {r.certainty for r in DIAGNOSES} <= {"certain", "policy", "suggestion", "omit"}
    assert {r.certainty for r in SERVICES} <= {"certain", "policy", "suggestion", "never", "never-warn"}
    assert {r.certainty for r in VACCINES + RULES.visits + RULES.levels} <= {"certain", "policy", "suggestion"}


@pytest.mark.parametrize("index", [RULES.diagnoses, RULES.vaccines], ids=["diagnoses", "vaccines"])
def test_no_two_deciding_rules_without_condition_hold_on_one_day(index: dict[tuple[str, ...], list[Rule]]):
    for key, rules in index.items():
        spans = sorted((r.start, r.end) for r in rules if r.certainty != "suggestion" and r.test is None)
        assert all(end < start for (_, end), (start, _) in pairwise(spans)), key


def test_dated_rules_follow_each_other_without_a_gap():
    """A rule that ends is followed on the next day by another of the same code."""
    for key, rules in RULES.diagnoses.items():
        for rule in rules:
            if rule.end < date.max:
                assert any(other.start == rule.end + timedelta(days=1) for other in rules), key


def test_billed_services_have_the_shape_of_a_procedure_and_a_price():
    for rule in SERVICES + VACCINES + RULES.levels + RULES.administration:
        if rule.certainty in CERTAIN:
            assert len(rule.codes) == 1, rule.rule_id
            assert codes.procedure_shaped(rule.codes[0]), rule.rule_id
    for rule in RULES.administration:  # the source has no charge for these: the charge master must
        for day in (codes.FIRST_DAY, date(2023, 12, 31), date(2024, 1, 1), LAST):
            assert RULES.price(rule.codes[0], day) is not None


def test_prices_of_one_procedure_never_overlap():
    for procedure, prices in RULES.prices.items():
        spans = sorted((p.start, p.end) for p in prices)
        assert all(end < start for (_, end), (start, _) in pairwise(spans)), procedure
        assert all(p.cents > 0 for p in prices)


@pytest.mark.parametrize(
    ("family", "statuses"), [("preventive", ("new", "established")), ("office", ("new", "established"))]
)
def test_levels_leave_no_hole_between_them(family: str, statuses: tuple[str, ...]):
    for status in statuses:
        rows = [r.row for r in RULES.levels if r.row["family"] == family and r.row["status"] == status]
        spans = sorted((int(r["low"]), int(r["high"])) for r in rows)
        assert all(high + 1 == low for (_, high), (low, _) in pairwise(spans))


@pytest.mark.parametrize(
    ("minutes", "status", "code"),
    [(15, "new", "99202"), (29, "new", "99202"), (30, "new", "99203"), (60, "new", "99205"), (75, "new", None),
     (9, "established", None), (10, "established", "99212"), (19, "established", "99212"), (20, "established", "99213"),
     (30, "established", "99214"), (54, "established", "99215"), (55, "established", None)],
)  # fmt: skip
def test_office_visits_by_time_from_2021(minutes: int, status: str, code: str | None):
    level = RULES.level("office", status, "minutes", minutes, date(2021, 1, 1))
    assert (level.codes[0] if level else None) == code
    assert RULES.level("office", status, "minutes", minutes, date(2020, 12, 31)) is None


@pytest.mark.parametrize(
    ("text", "facts", "holds"),
    [
        ("age<18", Facts(age=17), True),
        ("age<18", Facts(age=18), False),
        ("age<18", Facts(age=None), False),
        ("age>=18;sex=F", Facts(age=18, sex="F"), True),
        ("age>=18;sex=F", Facts(age=18, sex="M"), False),
        ("class=emergency|inpatient", Facts(visit_class="inpatient"), True),
        ("class=emergency|inpatient", Facts(visit_class="wellness"), False),
        ("with=715252007", Facts(codes=frozenset({"715252007"})), True),
        ("with=715252007", Facts(codes=frozenset({"1"})), False),
        ("new_disorder=yes", Facts(new_disorder=True), True),
        ("payer=medicare", Facts(payer="other"), False),
    ],
)
def test_conditions(text: str, facts: Facts, holds: bool):
    test = condition(text)
    assert test is not None
    assert test(facts) is holds


@pytest.mark.parametrize("text", ["height>3", "age", "sex<F", "colour=red"])
def test_a_condition_that_cannot_be_read_stops_the_night(text: str):
    with pytest.raises(Terminal):
        condition(text)


def test_a_changed_table_has_another_fingerprint(tmp_path):
    for path in RULES.folder.glob("*.csv"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    assert tables.Rules(tmp_path).fingerprint == RULES.fingerprint
    table = tmp_path / "diagnoses.csv"
    table.write_text(re.sub("J209", "J208", table.read_text(), count=1))
    assert tables.Rules(tmp_path).fingerprint != RULES.fingerprint
