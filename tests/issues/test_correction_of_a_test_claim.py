"""'The payer in production got a replacement of a claim that it had never seen': it had it in test only."""

from __future__ import annotations

import pytest
from coding.visits_in_store import ON, STATED, put
from scrubbing.test_claim_versions import (
    DEARER,
    FIRST,
    NEXT,
    SECOND,
    answer,
    change,
    claims,
    night,
    open_work,
    segments,
    sound,
)

from pipeline.store import Store


@pytest.mark.parametrize("state", ["sent", "accepted", "paid"])
def test_what_a_payer_had_in_test_is_not_replaced_in_production(store: Store, state: str) -> None:
    """The payer in production has never had the claim, nor given it a number."""
    put(store, {"A": STATED})
    night(store, ON)
    answer(store, FIRST, state, "TESTNUMBER")
    store.settings.submitter = store.settings.submitter.model_copy(update={"usage": "P"})
    change(store, "A", {**DEARER, "synthetic": False}, NEXT, "b")
    night(store, NEXT)
    assert claims(store)[-1] == (SECOND, "1", "batched", None, False)
    assert not [s for s in segments(store, "REF", SECOND) if s.startswith("REF*F8")]
    sound(store)
    assert open_work(store) == []


def test_in_test_itself_corrections_are_tested_as_they_will_go(store: Store) -> None:
    put(store, {"A": STATED})
    night(store, ON)
    answer(store, FIRST, "paid", "TESTNUMBER")
    change(store, "A", DEARER, NEXT, "b")
    night(store, NEXT)
    [item] = open_work(store)
    assert item.cause == "correction-approval"
