from __future__ import annotations

from datetime import date

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from pipeline.ledger import accounts, posting
from pipeline.ledger.posting import Entry, Transaction
from pipeline.store import Store
from pipeline.store import register as r

ON = date(2026, 11, 30)


def payment(number: int = 1, cents: int = 500, on: date = ON) -> Transaction:
    return Transaction(
        on,
        "payment",
        str(number),
        (Entry("clearing:eft:acme", cents, "C1"), Entry("receivable:payer:acme", -cents, "C1")),
        "R1",
    )


def test_a_charge_is_owed_by_the_payer_and_stands_as_income(any_store: Store) -> None:
    with any_store.begin() as c:
        assert posting.post(c, [posting.charge("C1", "acme", 12_345, ON), posting.charge("C2", "zeta", 1, ON)]) == 2
        assert posting.balances(c) == {
            "income:charges": -12_346, "receivable:payer:acme": 12_345, "receivable:payer:zeta": 1,
        }  # fmt: skip
        assert posting.claim_balances(c, ["C1"]) == {"C1": {"income:charges": -12_345, "receivable:payer:acme": 12_345}}
        assert set(posting.claim_balances(c)) == {"C1", "C2"}


def test_a_repeat_meets_the_key_on_whatever_date(any_store: Store) -> None:
    with any_store.begin() as c:
        assert posting.post(c, [payment(1), payment(1), payment(2)]) == 2
    with any_store.begin() as c:
        assert posting.post(c, [payment(2, on=date(2027, 1, 1)), payment(3)]) == 1
        assert posting.balances(c)["clearing:eft:acme"] == 1_500


@pytest.mark.parametrize(
    "entries",
    [
        (Entry("bank:operating", 1),),
        (Entry("bank:operating", 100), Entry("suspense:deposits", -99)),
        (Entry("bank:operating", 100), Entry("suspense:deposit", -100)),
        (Entry("bank:operating", 100.0), Entry("suspense:deposits", -100.0)),  # type: ignore[arg-type]
        (Entry("adjustment:", 5), Entry("receivable:patient", -5)),
    ],
    ids=["one side", "one cent off", "account not in the chart", "floats", "account without its last part"],
)
def test_what_is_not_double_entry_is_refused_and_nothing_stands(store: Store, entries: tuple[Entry, ...]) -> None:
    with pytest.raises(ValueError), store.begin() as c:  # noqa: PT011 (the kind is the contract)
        posting.post(c, [payment(), Transaction(ON, "deposit", "D1", entries)])
    with store.read() as c:
        assert posting.balances(c) == {}


def test_the_same_meaning_with_other_entries_in_one_batch_is_refused(store: Store) -> None:
    with pytest.raises(ValueError, match="other entries"), store.begin() as c:
        posting.post(c, [payment(1, 500), payment(1, 501)])


def test_the_same_meaning_with_other_entries_later_is_refused(store: Store) -> None:
    with store.begin() as c:
        posting.post(c, [payment(1, 500)])
    with pytest.raises(ValueError, match="other entries"), store.begin() as c:
        posting.post(c, [payment(1, 501)])


def test_a_transaction_that_moves_nothing_is_left_out(store: Store) -> None:
    with store.begin() as c:
        assert posting.post(c, [Transaction(ON, "payment", "1", ()), payment(2, 0)]) == 0
        assert c.execute(sa.select(sa.func.count()).select_from(r.ledger_transactions)).scalar() == 0


def test_the_ledger_cannot_be_changed(store: Store) -> None:
    with store.begin() as c:
        posting.post(c, [payment()])
    for statement in (sa.update(r.ledger_entries).values(cents=1), sa.delete(r.ledger_entries)):
        with pytest.raises(sa.exc.DBAPIError), store.engine.begin() as c:
            c.execute(statement)


@given(st.sampled_from([a.name for a in accounts.CHART if "<" not in a.name]), st.text(max_size=3))
def test_an_account_is_in_the_chart_by_its_whole_name(name: str, more: str) -> None:
    assert accounts.known(name)
    assert not accounts.known(name + ":" + more)
    assert not accounts.known("x" + name)
