"""Fault 1: kill -9 at failure point 1, 2, 3 … of the night, restart, and compare with a night that was never killed.

Each night runs in a forked child, so that the kill is a real one and the imports are paid once. The points are dealt out to
shards, so that they run beside each other; together the shards cover every point. A work item that a kill opened and the
restart settled (an upload whose outcome was not known) is no difference: only what is open in the end counts.

Some hundred nights are run, so what is the same in all is paid once: the register is made once and copied, the payer in a box is
forked too rather than started anew, and what stands in a file that was read before is remembered (`remembered`: it has no
effect of its own; what the stage does with it is done each time). A kill loses nothing of what the system
holds for the disk, so nothing is flushed: what only a power cut could show is not looked for here.
"""

import gc
import os
import signal
import sys
import time
import traceback
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from night.nights import assert_nothing_twice, run_night
from registers import make_register
from remembered import read_once
from warm_processes import end_with_parent

from pipeline import failpoints, sample, settings
from pipeline.payer_simulator import process, serve
from pipeline.store import open_store
from pipeline.store import register as r

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(900)]

SHARDS = 8
VISITS, SEED = 8, 14  # two payers, two files, paid and denied claims, deposits


@pytest.fixture(scope="module")
def extract(tmp_path_factory):
    out = tmp_path_factory.mktemp("extract") / "visits"
    sample.make(visits=VISITS, seed=SEED, out=out)
    return out


@contextmanager
def payer_in_a_box(home: Path):
    """As the one for single nights, in a child of this process, beside a register without a row."""
    loaded = settings.load(home)
    make_register(home)
    root = loaded.payer_box_dir
    root.mkdir(parents=True)
    test, child = os.getpid(), os.fork()
    if child == 0:
        code = 1
        try:
            end_with_parent(test)
            os.setsid()
            log = os.open(root / "serve.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(log, 1)
            os.dup2(log, 2)
            sys.argv = ["serve", "--root", str(root), "--seed", str(loaded.payer_box.seed)]
            code = serve.main()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    deadline = time.monotonic() + process.START_SECONDS
    while process.endpoint(loaded) is None:
        assert time.monotonic() < deadline, (root / "serve.log").read_text()
        time.sleep(0.01)
    try:
        yield loaded
    finally:
        process.stop(loaded)


@pytest.fixture(scope="module", autouse=True)
def _nothing_twice():
    """Files are read once, here or in a child; no child looks through all that was imported for what may be forgotten."""
    with read_once():
        gc.collect()
        gc.freeze()
        yield
        gc.unfreeze()


def in_child(loaded, extract: Path, at: int) -> bool:
    """Run the night in a child that dies at failure point `at` (0: never); True where it came to its end."""
    test, child = os.getpid(), os.fork()
    if child == 0:
        code = 1
        try:
            end_with_parent(test)
            failpoints._at, failpoints._passed = at, 0
            report = run_night(loaded, extract)
            code = 0 if not report.troubles and report.proof.closes else 3
            if code:
                print(report.troubles, report.proof.as_dict())
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return False
    assert os.WEXITSTATUS(status) == 0, f"the night with a kill at point {at} ended with {os.WEXITSTATUS(status)}"
    return True


def ending(loaded) -> dict:
    """What must not depend on kills: the state of every visit and claim, the ledger, the payments."""
    store = open_store(loaded)
    c, e, x = r.claims.c, r.encounters.c, r.ledger_entries.c
    with store.read() as connection:
        rows = {
            "encounters": connection.execute(sa.select(e.encounter_key, e.state, e.reason).order_by(e.encounter_key)).all(),
            "claims": connection.execute(
                sa.select(c.claim_id, c.state, c.interchange_control, c.file_id).order_by(c.claim_id)
            ).all(),
            "ledger": connection.execute(sa.select(x.account, sa.func.sum(x.cents)).group_by(x.account).order_by(x.account)).all(),
            "remittances": connection.execute(
                sa.select(r.remittances.c.remittance_id, r.remittances.c.state).order_by(r.remittances.c.remittance_id)
            ).all(),
            "matches": connection.execute(sa.select(r.matches.c.deposit_id).order_by(r.matches.c.deposit_id)).all(),
            "open work": connection.execute(
                sa.select(r.work_items.c.item_id).where(r.work_items.c.state == "open").order_by(r.work_items.c.item_id)
            ).all(),
        }  # fmt: skip
    store.close()
    return rows


@pytest.fixture(scope="module")
def untouched(tmp_path_factory, extract):
    home = tmp_path_factory.mktemp("untouched")
    with payer_in_a_box(home) as loaded:
        assert not run_night(loaded, extract).troubles  # in this process: the children find its caches warm
        return ending(loaded)


@pytest.mark.parametrize("shard", range(SHARDS))
def test_a_killed_night_ends_like_one_that_was_not(tmp_path, extract, untouched, shard):
    at = shard + 1
    while True:
        home = tmp_path / f"at-{at}"
        with payer_in_a_box(home) as loaded:
            through = in_child(loaded, extract, at)
            if not through:
                assert in_child(loaded, extract, 0)
            assert_nothing_twice(home)
            assert ending(loaded) == untouched, f"killed at failure point {at}"
        if through:
            assert at > 20, "there are hardly any failure points"
            return
        at += SHARDS
