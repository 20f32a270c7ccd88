"""What a person decides about money: released, discarded, applied, matched; kept with who and why; and the proof closes."""

from __future__ import annotations

import itertools

import pytest
import sqlalchemy as sa
from deposits.test_deposits_stage import bai2, bank, eft_credit, in_the_books, lines, post_835, suspense
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledger.books import ON, Books, file_835, file_837, remittance

from pipeline.deposits import stage as deposits
from pipeline.errors import Terminal
from pipeline.ledger import proof
from pipeline.remittances import stage as remittances
from pipeline.reports import work, work_actions
from pipeline.store import register as r

CLAIM = "CLP*C1*1*100*80**12*I1*11\nCAS*CO*45*20"


def post(books: Books, claims: str, trace: str = "T1", control: int = 1, **said: str) -> None:
    said.setdefault("amount", "80")
    books.receive(file_835(remittance(claims, trace=trace, **said), control=control), "835")
    remittances.run(books.store, ON)


def decide(books: Books, action: str, cause: str = "", by: str = "M. Adeyemi", **ids: str) -> work_actions.Done:
    """Decide the one open item of a cause (of any, where none is named)."""
    (item,) = [i for i in books.work() if cause in ("", i.cause)]
    wanted = work_actions.Wanted(by, "The payer confirmed it by telephone.", ON, **ids)
    return work_actions.decide(books.store, item.item_id, action, wanted)


def closes(books: Books) -> None:
    found = proof.prove(books.store, archive=False)
    assert [line for line in found.lines if line.difference] == []
    assert [b for b in found.broken if "extracts" not in b] == []


# --- remittances -----------------------------------------------------------------------------------------------------

#: what holds it → (claims, BPR02, PLB, cents that it does not add up to)
HELD = {
    "the transaction": (CLAIM, "79.99", "", 1),
    "the transaction, too much": (CLAIM, "81.50", "", -150),
    "the claim": (CLAIM.replace("*20", "*19"), "80", "", 0),
    "a line": (f"{CLAIM}\nSVC*HC:99213*100*80\nCAS*CO*96*1", "80", "", 0),
    "an unknown PLB reason": (CLAIM, "70", "PLB*1234567893*20261231*ZZ:X*10", 0),
}  # fmt: skip


@pytest.mark.parametrize(("claims", "amount", "tail", "off"), HELD.values(), ids=HELD.keys())
def test_a_released_remittance_posts_balanced_and_its_difference_has_an_account(
    books: Books, claims: str, amount: str, tail: str, off: int
) -> None:
    books.send("C1", data=file_837(("C1", "100")))
    post(books, claims, amount=amount, tail=tail)
    assert "clearing:eft:acme" not in books.balances()
    assert decide(books, "release").left == ""
    balances = books.balances()
    assert sum(balances.values()) == 0
    assert balances["clearing:eft:acme"] == round(float(amount) * 100)  # exactly BPR02, so that the deposit clears it
    assert balances.get("difference:remittance", 0) == off
    assert books.states() == {"C1": "paid"}
    (row,) = books.rows(r.remittances)
    (decision,) = books.rows(r.item_decisions)
    assert (row.state, row.decision_id) == ("posted", decision.decision_id)
    assert (decision.action, decision.actor, decision.on_date) == ("release", "M. Adeyemi", ON)
    closes(books)
    bank(books, (bai2(eft_credit(balances["clearing:eft:acme"], "T1")), "BAI2"))
    assert len(books.rows(r.matches)) == 1
    closes(books)
    assert not any(remittances.run(books.store, ON).values())


def test_the_proof_reads_a_released_remittance_again(books: Books) -> None:
    books.send("C1", data=file_837(("C1", "100")))
    post(books, CLAIM, amount="79.99")
    decide(books, "release")
    assert proof.prove(books.store).residue_cents == 0


@pytest.mark.parametrize(
    ("claims", "amount", "tail"),
    [
        ("CLP*C1*22*-100*-80**12*I1*11\nCAS*CO*45*-20", "-80", ""),
        ("CLP*C1*1*100***12*I1*11\nCAS*CO*45*20", "80", ""),
        (CLAIM, "70", "PLB*1234567893*20261231*Z?:X*10"),
    ],
    ids=["below zero", "an amount is missing", "no PLB code"],
)
def test_what_cannot_be_posted_cannot_be_released(books: Books, claims: str, amount: str, tail: str) -> None:
    books.send("C1")
    post(books, claims, amount=amount, tail=tail)
    before = books.by_claim()
    with pytest.raises(Terminal, match="cannot be released"):
        decide(books, "release")
    assert (books.by_claim(), books.rows(r.item_decisions), len(books.work())) == (before, [], 1)


def test_a_remittance_of_another_payee_is_released_on_a_persons_word(books: Books) -> None:
    books.send("C1")
    books.store.settings.submitter.payees = []
    post(books, CLAIM)
    decide(books, "release", "835.payee")
    assert books.states() == {"C1": "paid"}


def test_a_payer_must_be_known_before_its_remittance_is_released(books: Books) -> None:
    books.send("C1")
    books.receive(file_835(remittance(CLAIM, amount="80", origin="1777777777")), "835", "clearinghouse")
    remittances.run(books.store, ON)
    with pytest.raises(Terminal, match="no payer profile"):
        decide(books, "release")


def test_a_payment_of_its_own_under_a_known_trace_is_released(books: Books) -> None:
    """The payer uses check numbers again each year: a person says so."""
    books.send("C1", "C2")
    post(books, CLAIM)
    post(books, CLAIM.replace("C1", "C2"), control=2, on="20261126")
    assert books.balances()["clearing:eft:acme"] == 8_000
    decide(books, "release", "835.conflict")
    assert books.balances()["clearing:eft:acme"] == 16_000
    bank(books, (bai2(eft_credit(8_000, "T1"), eft_credit(8_000, "T1")), "BAI2"))
    assert len(books.rows(r.matches)) == 2
    closes(books)


def test_a_discarded_remittance_never_posts_and_its_correction_does(books: Books) -> None:
    books.send("C1")
    post(books, CLAIM, amount="79.99")
    decide(books, "discard")
    assert (books.work(), [row.state for row in books.rows(r.remittances)]) == ([], ["discarded"])
    post(books, CLAIM, amount="79.99", control=2)
    assert "clearing:eft:acme" not in books.balances()
    post(books, CLAIM, control=3)
    assert books.balances()["clearing:eft:acme"] == 8_000
    closes(books)


def test_what_was_decided_cannot_be_decided_otherwise(books: Books) -> None:
    books.send("C1")
    post(books, CLAIM, amount="79.99")
    (item,) = books.work()
    decide(books, "discard")
    wanted = work_actions.Wanted("K. Osei", "Another view.", ON)
    with pytest.raises(Terminal, match="done already"):
        work_actions.decide(books.store, item.item_id, "release", wanted)
    before = {table.name: books.rows(table) for table in r.metadata.sorted_tables}
    assert work_actions.decide(books.store, item.item_id, "discard", wanted).left == ""  # the same again: nothing
    assert {table.name: books.rows(table) for table in r.metadata.sorted_tables} == before
    assert [d.actor for d in books.rows(r.item_decisions)] == ["M. Adeyemi"]


def test_an_unapplied_payment_is_applied_to_its_claim(books: Books) -> None:
    books.send("C1")
    post(books, CLAIM.replace("C1", "PAYERSOWN"))
    assert books.balances()["unapplied:remittance"] == -8_000
    for claim in ("", "C7"):
        with pytest.raises(Terminal):
            decide(books, "apply", claim=claim)
    decide(books, "apply", claim="C1")
    assert books.balances() == {"income:charges": -10_000, "clearing:eft:acme": 8_000, "adjustment:contractual": 2_000}
    assert books.states() == {"C1": "paid"}
    assert books.work() == []
    closes(books)
    assert not any(remittances.run(books.store, ON).values())


def test_a_larger_charge_is_applied_on_a_persons_word_and_the_excess_is_told(books: Books) -> None:
    books.send("C1")
    post(books, "CLP*C1*1*120*80**12*I1*11\nCAS*CO*45*40")
    decide(books, "apply", "charge-too-high", claim="C1")
    assert [(i.cause, i.cents) for i in books.work()] == [("overposted", 2_000)]
    closes(books)


def test_a_reversal_cannot_be_applied_where_nothing_was_paid(books: Books) -> None:
    books.send("C1", "C2")
    back = "CLP*X*22*-100*-80**12*I1*11\nCAS*CO*45*-20\nCLP*C2*1*100*100**12*I2*11"
    post(books, back, amount="20")
    with pytest.raises(Terminal, match="cannot be applied"):
        decide(books, "apply", claim="C1")
    closes(books)


@pytest.mark.parametrize("action", ["match", "not-claims", "nonsense"])
def test_an_action_of_another_queue_is_refused(books: Books, action: str) -> None:
    books.send("C1")
    post(books, CLAIM, amount="79.99")
    with pytest.raises(Terminal):
        decide(books, action, remittance="x")
    assert books.rows(r.item_decisions) == []


def test_a_decision_needs_its_reason(books: Books) -> None:
    books.send("C1")
    post(books, CLAIM, amount="79.99")
    (item,) = books.work()
    with pytest.raises(Terminal, match="needs its reason"):
        work_actions.decide(books.store, item.item_id, "release", work_actions.Wanted("M. Adeyemi", " ", ON))


def test_the_decision_stands_on_the_item(books: Books) -> None:
    books.send("C1")
    post(books, CLAIM, amount="79.99")
    (item,) = books.work()
    decide(books, "release")
    shown = work.one(books.store, item.item_id)
    assert shown["resolution"] == "release: The payer confirmed it by telephone."
    assert [(d["action"], d["actor"]) for d in shown["decisions"]] == [("release", "M. Adeyemi")]


def test_money_moved_without_a_decision_keeps_the_proof_open(books: Books) -> None:
    books.send("C1")
    post(books, CLAIM, amount="79.99")
    decide(books, "release")
    with books.store.begin() as c:
        c.execute(sa.update(r.remittances).values(decision_id="made up"))
    assert "1 change to money has no decision of a person." in proof.prove(books.store, archive=False).broken


# --- deposits --------------------------------------------------------------------------------------------------------


def the_remittance(books: Books, trace: str) -> str:
    return next(row.remittance_id for row in books.rows(r.remittances) if row.trace == trace)


def test_a_deposit_without_a_trace_is_matched_by_a_person(books: Books) -> None:
    post_835(books)
    bank(books, (bai2("195,8000,0,,,WIRE"), "BAI2"))
    decide(books, "match", "no-trace", remittance=the_remittance(books, "T1")[:8])
    assert books.balances() == {"income:charges": -8_000, "bank:operating": 8_000}
    assert [(m.method, m.cents) for m in books.rows(r.matches)] == [("person", 8_000)]
    assert books.work() == []
    in_the_books(books)
    closes(books)
    assert [line.posted for line in lines(books, ON)] == [8_000]
    assert not any(deposits.run(books.store, ON).values())


def test_a_lockbox_pays_several_remittances_and_its_rest_stays_in_suspense(books: Books) -> None:
    post_835(books, 1)
    post_835(books, 2, cents=500)
    bank(books, (bai2("115,9000,0,,,LOCKBOX"), "BAI2"))
    assert (
        decide(books, "match", "no-trace", remittance=the_remittance(books, "T1")).left
        == "10.00 of the deposit is still open."
    )
    assert (
        decide(books, "match", "no-trace", remittance=the_remittance(books, "T2")).left
        == "5.00 of the deposit is still open."
    )
    assert suspense(books) == 500
    in_the_books(books)
    closes(books)
    with pytest.raises(Terminal, match="matched already"):
        work_actions.decide(
            books.store, books.work("deposit")[0].item_id, "match",
            work_actions.Wanted("K. Osei", "x", ON, remittance=the_remittance(books, "T1"), deposit="again"),
        )  # fmt: skip
    decide(books, "not-claims", "no-trace")
    assert books.work("deposit") == []
    assert books.balances()["not_claims:deposits"] == -500
    in_the_books(books)
    closes(books)


def test_less_than_the_remittance_leaves_it_open(books: Books) -> None:
    """A deposit of another amount is never forced: what is missing stays in clearing and alarms."""
    post_835(books)
    bank(books, (bai2(eft_credit(7_950, "T1")), "BAI2"))
    decide(books, "match", "other-amount", remittance=the_remittance(books, "T1"))
    assert books.balances()["clearing:eft:acme"] == 50
    deposits.run(books.store, ON.replace(month=12, day=8))
    assert [(i.cause, i.cents) for i in books.work("deposit")] == [("no-deposit", 50)]
    in_the_books(books)
    closes(books)


def test_from_the_remittances_side(books: Books) -> None:
    post_835(books)
    later = ON.replace(month=12, day=8)
    bank(books, (bai2("195,8000,0,,,WIRE"), "BAI2"), on=later)
    deposit = books.rows(r.deposits)[0].deposit_id
    with pytest.raises(Terminal, match="--deposit"):
        decide(books, "match", "no-deposit", remittance="x")
    decide(books, "match", "no-deposit", deposit=deposit)
    deposits.run(books.store, later)
    assert [i.cause for i in books.work("deposit")] == []
    closes(books)


def test_what_the_bank_takes_back_opens_its_remittance_again_and_a_new_deposit_meets_it(books: Books) -> None:
    post_835(books)
    bank(books, (bai2(eft_credit(8_000, "T1")), "BAI2"))
    bank(books, (bai2("165,-8000,0,,,ACME TRN*1*T1*1999999991\\", day="261201"), "BAI2"))
    decide(books, "match", "taken-back", remittance=the_remittance(books, "T1"))
    assert books.balances() == {"income:charges": -8_000, "clearing:eft:acme": 8_000}
    closes(books)
    bank(books, (bai2(eft_credit(8_000, "T1"), day="261202"), "BAI2"))
    assert books.balances() == {"income:charges": -8_000, "bank:operating": 8_000}
    in_the_books(books)
    closes(books)


@pytest.mark.parametrize("what", ["held", "matched", "nothing"])
def test_a_match_with_what_is_not_open_is_refused(books: Books, what: str) -> None:
    post_835(books, broken=what == "held")
    if what == "matched":
        bank(books, (bai2(eft_credit(8_000, "T1")), "BAI2"))
    bank(books, (bai2("195,8000,0,,,WIRE"), "BAI2"))
    wanted = "0" * 32 if what == "nothing" else the_remittance(books, "T1")
    before = books.by_claim()
    with pytest.raises(Terminal):
        decide(books, "match", "no-trace", remittance=wanted)
    assert books.by_claim() == before
    assert books.rows(r.item_decisions) == []


def test_decisions_close_on_every_database(any_store, tmp_path) -> None:
    books = Books.open(any_store, tmp_path / "payers")
    books.send("C1", data=file_837(("C1", "100")))
    post(books, CLAIM, amount="79.99")
    decide(books, "release")
    bank(books, (bai2("195,7999,0,,,WIRE"), "BAI2"))
    decide(books, "match", "no-trace", remittance=the_remittance(books, "T1"))
    assert books.balances() == {
        "income:charges": -10_000, "adjustment:contractual": 2_000, "bank:operating": 7_999, "difference:remittance": 1,
    }  # fmt: skip
    closes(books)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, 60), min_size=1, max_size=3), st.lists(st.integers(-40, 90).filter(bool), min_size=1, max_size=3),
       st.data())  # fmt: skip
def test_whatever_is_matched_deposits_are_matched_and_suspense(fresh_books, paid, credits, data) -> None:
    """I6 after every decision, for any amounts, also below 0."""
    books = fresh_books()
    for number, cents in enumerate(paid, start=1):
        post_835(books, number, cents=cents)
    bank(books, (bai2(*(f"195,{c},0,,,W{n}" for n, c in enumerate(credits))), "BAI2"))
    ids = [row.remittance_id for row in books.rows(r.remittances)]
    pairs = list(itertools.product([i.item_id for i in books.work("deposit")], ids))
    for item, identity in data.draw(st.permutations(pairs)):
        before = books.by_claim()
        try:
            work_actions.decide(
                books.store, item, "match", work_actions.Wanted("K. Osei", "x", ON, remittance=identity)
            )
        except Terminal:
            assert books.by_claim() == before
        in_the_books(books)
    closes(books)
    open_clearing = books.balances().get("clearing:eft:acme", 0)
    assert 0 <= open_clearing <= sum(paid)
