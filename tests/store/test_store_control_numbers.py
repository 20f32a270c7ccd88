"""I3 in the register: control numbers under concurrency, on both databases."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import sqlalchemy as sa

from pipeline.claims import control_numbers
from pipeline.errors import Terminal
from pipeline.settings import Settings
from pipeline.store import Store, open_store
from pipeline.store import register as r
from pipeline.transactions.claim_837_route import Route

ROUTE = Route(
    submitter_name="PRACTICE", submitter_id="CLAIMPIPE", submitter_contact="OFFICE", submitter_phone="6175550100",
    sender_qualifier="ZZ", sender_id="CLAIMPIPE", group_sender="CLAIMPIPE", receiver_name="ACME",
    receiver_qualifier="ZZ", receiver_id="ACME", group_receiver="ACME", payer_name="ACME", payer_id="ACME1",
)  # fmt: skip


def test_numbers_allotted_at_once_are_all_different_and_without_gaps(any_store: Store, settings: Settings) -> None:
    allotted: list[int] = []
    failed: list[Any] = []

    def run(worker: int) -> None:
        store = open_store(settings)
        try:
            for batch in range(5):
                with store.begin() as c:
                    numbers = control_numbers.allot(c, ROUTE, f"{worker}-{batch}", "acme")
                allotted.append(numbers.interchange)
        except Exception as error:
            failed.append(error)
        finally:
            store.close()

    threads = [threading.Thread(target=run, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert sorted(allotted) == list(range(1, 31))


def test_a_batch_keeps_its_number_and_a_rolled_back_one_is_given_again(any_store: Store) -> None:
    with any_store.begin() as c:
        first = control_numbers.allot(c, ROUTE, "one", "acme")
    with pytest.raises(ZeroDivisionError), any_store.begin() as c:
        assert control_numbers.allot(c, ROUTE, "two", "acme").interchange / 0
    with any_store.begin() as c:
        assert control_numbers.allot(c, ROUTE, "one", "acme") == first
        assert control_numbers.allot(c, ROUTE, "three", "acme").interchange == first.interchange + 1


def test_a_number_is_tied_to_its_bytes_for_good(any_store: Store) -> None:
    with any_store.begin() as c:
        numbers = control_numbers.allot(c, ROUTE, "one", "acme")
        control_numbers.tie(c, ROUTE, numbers, "one", "f1")
    with any_store.begin() as c:
        control_numbers.tie(c, ROUTE, numbers, "one", "f1")
    for batch, file_id in (("one", "f2"), ("two", "f1")):
        with pytest.raises(Terminal, match="belongs to other bytes"), any_store.begin() as c:
            control_numbers.tie(c, ROUTE, numbers, batch, file_id)
    with any_store.read() as c:
        assert set(c.execute(sa.select(r.control_numbers.c.file_id)).scalars()) == {"f1"}
