"""The summary against counts of its own, taken from the register's file by SQL; and what its parts add up to."""

import dataclasses
from datetime import date
from itertools import pairwise

import pandas as pd
import pytest
from night.nights import ON
from reports.conftest import gathered

from pipeline import checkpoints
from pipeline.findings import Finding
from pipeline.reports import summary as summaries
from pipeline.store.store import record_findings

NEXT = date(2026, 11, 21)


def test_every_visit_is_counted_once_with_its_charge(bad_night):
    found = bad_night.sql("""
        select case e.state when 'claimed' then c.state else e.state end, count(*), sum(e.charge_cents)
        from encounters e left join claims c on c.encounter_key = e.encounter_key group by 1""")
    assert {state: (count, cents) for state, count, cents in bad_night.summary.states} == {
        state: (count, cents) for state, count, cents in found
    }
    assert bad_night.summary.visits == 120
    assert len(found) >= 6, "the night is too smooth to show anything"


@pytest.mark.parametrize(
    ("step", "query"),
    [("Visits in the extract", "select count(*), sum(charge_cents) from encounters"),
     ("Legible", "select count(*), sum(charge_cents) from encounters where state <> 'quarantined'"),
     ("Coded", "select count(*), sum(billed_cents) from encounters where state in ('coded', 'held', 'claimed')"),
     ("Clean", "select count(*), sum(charge_cents) from claims"),
     ("Sent", "select count(*), sum(charge_cents) from claims where state not in ('ready', 'batched')"),
     ("Accepted by the payer", "select count(*), sum(charge_cents) from claims where state in "
      "('accepted', 'paid', 'denied', 'reversed')"),
     ("Paid", "select count(*), sum(charge_cents) from claims where state = 'paid'")],
)  # fmt: skip
def test_each_step_of_the_funnel(bad_night, step, query):
    [stage] = [s for s in bad_night.summary.funnel if s.name == step]
    assert [(stage.count, stage.cents)] == bad_night.sql(query)


def test_what_a_step_sets_aside_is_the_difference_to_the_step_before(bad_night):
    funnel = bad_night.summary.funnel
    for before, after in pairwise(funnel):
        assert (after.aside_count, after.aside_cents) == (before.count - after.count, before.cents - after.cents)
        assert bool(after.why) == bool(after.aside_count or after.aside_cents)


def test_services_that_are_not_billed_are_told_apart_from_visits_that_stop(copied):
    """Half a visit's charge is not billed and one is priced here: neither is a visit set aside."""
    store = copied()
    before = {s.name: s for s in gathered(store).funnel}["Coded"]
    with store.begin() as connection:
        connection.exec_driver_sql(
            "update encounters set billed_cents = billed_cents - 500, unbilled_cents = 700, priced_cents = 200 "
            "where encounter_key = (select encounter_key from encounters where state in ('held', 'claimed') limit 1)"
        )
    after = {s.name: s for s in gathered(store).funnel}["Coded"]
    assert (after.count, after.cents) == (before.count, before.cents - 500)
    assert (after.unbilled_cents, after.priced_cents) == (before.unbilled_cents + 700, before.priced_cents + 200)
    assert "7.00 for services of coded visits that are not billed; 2.00 added by the charge master" in after.why


def test_work_is_grouped_by_cause_the_most_dollars_first(bad_night):
    found = bad_night.sql("""
        select queue, cause, count(*), sum(cents), min(due_on) from work_items where state = 'open'
        group by 1, 2 order by 4 desc, 3 desc, 1, 2""")
    listed = [(x.queue, x.cause, x.count, x.cents, x.due_on and x.due_on.isoformat()) for x in bad_night.summary.todo]
    assert listed == found
    assert [(bad_night.summary.to_do,)] == bad_night.sql("select count(*) from work_items where state = 'open'")
    assert {x.queue for x in bad_night.summary.todo} >= {"held", "file", "remittance", "deposit", "denial"}


def test_work_is_named_in_words_and_never_by_the_key_of_its_cause(bad_night):
    for item in bad_night.summary.items:
        assert item.cause not in item.title
        assert "_" not in item.title
        assert item.title[0].isupper()
        assert item.action


def test_the_dollars_billed_are_divided_without_a_rest(bad_night):
    total = dict(bad_night.summary.accounts)["income:charges"]
    lines = bad_night.summary.payer_lines
    assert sum(p.paid + p.adjusted + p.earlier + p.patient + p.open for p in lines) == -total > 0
    [(charges,)] = bad_night.sql("select sum(charge_cents) from claims")
    assert sum(p.charge for p in lines) == charges


def test_a_payers_line_is_its_claims_and_its_ledger(bad_night):
    paid = dict(
        bad_night.sql("""select c.payer_key, sum(e.cents) from ledger_entries e join claims c on c.claim_id = e.claim_id
                         where e.account like 'clearing:%' group by 1""")
    )
    claims = dict(bad_night.sql("select payer_key, count(*) from claims group by 1"))
    assert sorted(p.claims for p in bad_night.summary.payer_lines) == sorted(claims.values())
    assert sorted(p.paid for p in bad_night.summary.payer_lines if p.paid) == sorted(paid.values())


def test_families_of_the_ledger_hold_all_of_it(bad_night):
    families = bad_night.summary.families()
    assert sum(cents for _, cents in families) == 0
    assert dict(families)["bank:operating"] == bad_night.summary.deposited()
    assert all(name in summaries.words.ACCOUNTS for name, _ in families)


def test_deposits_stand_as_the_bank_and_the_ledger_say(bad_night):
    summary = bad_night.summary
    assert [(summary.deposited(),)] == bad_night.sql("select sum(amount_cents) from deposits")
    assert summary.deposited("suspense") == -dict(summary.accounts)["suspense:deposits"] > 4321
    assert 4321 in [d.cents for d in summary.deposits if d.state == "suspense"]
    assert sum(t.bank for t in summary.tie) == summary.deposited()
    assert sum(t.unapplied + t.in_transit for t in summary.tie) == summary.deposited("suspense")
    assert {t.residue for t in summary.tie} == {0}


def test_what_came_with_the_night(bad_night):
    summary = bad_night.summary
    [extract] = summary.intakes
    assert (extract.rows, extract.new + extract.quarantined, extract.known) == (120, 120, 0)
    mail = {m.kind: (m.files, m.quarantined) for m in summary.mail}
    assert mail == {
        kind: (n, bad)
        for kind, n, bad in bad_night.sql("""
            select kind, count(*), sum(state = 'quarantined') from files where direction = 'in' and kind <> 'extract' group by 1""")
    }
    assert mail["unknown"] == (1, 1)
    remittances = dict(bad_night.sql("select state, sum(amount_cents) from remittances group by 1"))
    assert (summary.came.remitted, summary.came.held_cents) == (remittances["posted"], remittances["held"])
    assert summary.came.deposited == summary.deposited()


def test_the_day_after_nothing_is_new_and_the_books_stand(copied, bad_night):
    store = copied()
    summary = gathered(store, on=NEXT)
    assert (summary.visits, summary.intakes, summary.mail, summary.files, summary.suites) == (0, [], [], [], [])
    assert (summary.came.remittances, summary.came.deposits) == (0, 0)
    assert (summary.accounts, summary.todo) == (bad_night.summary.accounts, bad_night.summary.todo)


def test_quality_speaks_in_the_suites_own_words(bad_night):
    suites = {suite.name: suite for suite in bad_night.summary.suites}
    assert list(suites) == [name for name in summaries.words.SUITES if name in suites]
    assert len(suites) == 8
    assert "Two visits carry the same id." in {c.says for c in suites["encounters"].checks}
    for name, suite in suites.items():
        assert all(not c.says.startswith("expect_") for c in suite.checks)
        [(rows, failed)] = bad_night.sql(
            f"select max(n), sum(bad) from (select sum(checked) n, sum(unexpected) bad from quality_results "
            f"where suite = '{name}' group by ordinal)"
        )
        assert (suite.rows, sum(c.failed for c in suite.checks)) == (rows, failed)
    assert suites["postings"].stop_above == 0
    assert suites["encounters"].stop_above == 0.5


def deposits(*amounts: int) -> pd.DataFrame:
    return pd.DataFrame(
        [{"deposit_id": f"d{amount}", "amount_cents": amount, "type_code": "165", "account": "**1234", "deposit_date": NEXT}
         for amount in amounts]
    )  # fmt: skip


@pytest.mark.parametrize(("of_date", "expected"), [(False, (5, 2)), (True, (3, 1))])
def test_checks_of_one_night_add_up_or_stand_for_one_another(copied, monkeypatch, of_date, expected):
    """Fresh rows of two rounds are told together, and the same rows looked at again only once."""
    store = copied()
    point = checkpoints.CHECKPOINTS["deposits"]
    for frame in (deposits(100, 0), deposits(200, 300, 0), deposits(200, 300, 0)):
        changed = dataclasses.replace(
            point, frame=lambda s, on, f=frame: f, set_aside=lambda c, on, failed: None, of_date=of_date
        )
        monkeypatch.setitem(checkpoints.CHECKPOINTS, "deposits", changed)
        checkpoints.run(store, NEXT, "deposits")
    [suite] = gathered(store, on=NEXT).suites
    [amount] = [c for c in suite.checks if c.column == "amount_cents"]
    assert (amount.checked, amount.failed) == expected
    assert not suite.stopped
    assert suite.worst == amount.failed / amount.checked


def test_a_stage_that_was_stopped_is_known_by_its_share_and_by_checks_that_no_row_is_blamed_for():
    def suite(stop_above: float, **changes):
        check = summaries.Check("x.", "", "c", False, 10, 5, False)
        return summaries.Suite("encounters", stop_above, (dataclasses.replace(check, **changes),))

    assert not suite(0.5).stopped
    assert suite(0.49).stopped
    assert suite(0.99, stops=True, failed=0).stopped
    assert not suite(0.0, success=True, failed=0).stopped


def test_a_second_look_finds_the_same(copied, bad_night):
    again = gathered(copied(), bad_night.summary.troubles)
    assert dataclasses.replace(again, proof=bad_night.summary.proof) == bad_night.summary
    assert again.as_dict()["proof"]["closes"] is True
    assert again.on == ON


def test_what_is_not_clean_and_the_warnings_of_the_night_are_told(bad_night):
    told = " ".join(bad_night.summary.rejects)
    assert "received file" in told
    assert "held" in told
    rules = bad_night.sql(
        "SELECT stage, rule, fix, count(*) FROM findings WHERE severity = 'warning' GROUP BY stage, rule, fix ORDER BY stage, rule, fix"
    )
    assert rules
    assert sorted((n.stage, n.rule, n.fix, n.count) for n in bad_night.summary.notices) == sorted(rules)
    # two lists that are not loaded are two things to load, not one thing twice
    missing = [n.says for n in bad_night.summary.notices if n.rule == "code-set-missing"]
    assert len(missing) == len(set(missing)) > 1
    assert all(n.says for n in bad_night.summary.notices)


def test_warnings_that_each_name_an_amount_are_told_by_an_example(store):
    """ "162 times: 1,046.23 of the visit's charge stays unbilled" was read as 162 times that amount."""
    said = [("one", "1.00 stays unbilled."), ("one", "2.00 stays unbilled."), ("two", "Send it."), ("two", "Send it.")]
    found = [
        Finding(rule=rule, severity="warning", message=message, subject=str(n))
        for n, (rule, message) in enumerate(said)
    ]
    with store.begin() as connection:
        record_findings(connection, "coding", ON, found)
    with store.read() as connection:
        told = {n.rule: (n.count, n.says) for n in summaries._notices(connection, ON)}
    assert told == {"one": (2, "For example: 1.00 stays unbilled."), "two": (2, "Send it.")}
