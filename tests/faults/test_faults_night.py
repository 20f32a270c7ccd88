"""Whole nights with a faulty payer, judged by the payer's own record and by the proof.

Each row of the table is a fault, what the night with it may say, and whether a second night without the fault (the payer's
operator has mended it) must end exactly like a night that never met it.
"""

import threading
from dataclasses import dataclass

import great_expectations  # noqa: F401  (paid once)
import pytest
import sqlalchemy as sa
from faults.test_kill_at_every_failure_point import ending
from night.nights import assert_nothing_twice, payer_in_a_box, record, run_night
from remembered import read_once

from pipeline import sample
from pipeline.store import open_store
from pipeline.store import register as r

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@dataclass(frozen=True)
class Case:
    fault: str
    heals: bool = True  # the second night ends as if nothing had been
    troubles: str = ""  # a word of the first night's troubles; empty: it has none
    queue: str = ""  # a work item of this queue is open in the end


CASES = {
    "2: link cut during an upload": Case('kind = "cut_after_bytes"\nbytes = 700\ntimes = 1'),
    "2: link cut during a download": Case('kind = "cut_download_after_bytes"\nbytes = 300\ntimes = 1'),
    "3: reply lost after the rename": Case('kind = "lose_reply_after_rename"\ntimes = 1'),
    "4: swept before our check": Case('kind = "sweep_immediately"\ntimes = 1'),
    "6: upload not allowed": Case('kind = "permission_denied"\ntimes = 1', troubles="refuse"),
    "6: quota": Case('kind = "quota"\nbytes = 100\ntimes = 1', troubles=" "),
    "6: login refused": Case('kind = "refuse_login"\ntimes = 1', troubles="login"),
    "8: one 835 under two names": Case('kind = "renamed_835"\ntimes = 1'),
    "8: one 835 under a new ISA13": Case('kind = "reenveloped_835"\ntimes = 1'),
    "8: the same key, another content": Case('kind = "changed_835"\ntimes = 1', heals=False, queue="remittance"),
    "9: remittances in reverse order": Case('kind = "reversed_order"\ntimes = 9'),
    "11: deposit missing": Case('kind = "missing_deposit"\ntimes = 1', heals=False),
    "11: deposit of another amount": Case('kind = "wrong_deposit_amount"\ntimes = 1', heals=False, queue="deposit"),
    "11: deposit without remittance": Case('kind = "extra_deposit"\ntimes = 1', heals=False, queue="deposit"),
    "12: acknowledgment of what nobody sent": Case('kind = "unknown_ack"\ntimes = 1'),
    "H2: unbalanced by one cent": Case('kind = "unbalanced_835"\ntimes = 1', heals=False, queue="remittance"),
    "28: a PDF among the answers": Case('kind = "unknown_file"\ntimes = 1', heals=False, queue="file"),
}


@pytest.fixture(scope="module", autouse=True)
def _read_once():
    with read_once():
        yield


@pytest.fixture(scope="module")
def extract(tmp_path_factory):
    out = tmp_path_factory.mktemp("extract") / "visits"
    sample.make(visits=40, seed=6, out=out, kinds={"professional": 1})  # one file a payer: many nights are run on it
    return out


@pytest.fixture(scope="module")
def untouched(tmp_path_factory, extract):
    home = tmp_path_factory.mktemp("untouched")
    with payer_in_a_box(home) as loaded:
        assert not run_night(loaded, extract).troubles
        return ending(loaded)


@pytest.mark.parametrize("name", CASES)
def test_a_night_with_a_faulty_payer(tmp_path, extract, untouched, name):
    case = CASES[name]
    with payer_in_a_box(tmp_path, f"[[fault]]\n{case.fault}\n", transport={"backoff_seconds": 0.01}) as loaded:
        first = run_night(loaded, extract)
        assert first.proof.closes, [line for line in first.proof.lines if line.difference] + first.proof.broken
        if case.troubles:
            assert case.troubles.casefold() in " ".join(first.troubles).casefold()
        else:
            assert first.troubles == []
        assert_nothing_twice(tmp_path)
    with payer_in_a_box(tmp_path) as loaded:
        second = run_night(loaded, extract)
        assert second.troubles == []
        assert second.proof.closes
        assert_nothing_twice(tmp_path)
        end = ending(loaded)
        store = open_store(loaded)
        with store.read() as connection:
            queues = set(
                connection.execute(sa.select(r.work_items.c.queue).where(r.work_items.c.state == "open")).scalars()
            )
        store.close()
    if case.heals:
        assert end == untouched
    if case.queue:
        assert case.queue in queues


def test_fault_16_two_whole_nights_at_once_end_like_one(tmp_path, extract, untouched):
    with payer_in_a_box(tmp_path) as loaded:
        reports, errors = [], []

        def one():
            try:
                reports.append(run_night(loaded, extract))
            except Exception as error:
                errors.append(error)

        threads = [threading.Thread(target=one) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        last = run_night(loaded, extract)
        assert last.troubles == []
        assert last.proof.closes
        assert_nothing_twice(tmp_path)
        assert ending(loaded) == untouched
        assert record(tmp_path)
