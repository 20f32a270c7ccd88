"""Faults 2 to 7 and 26 against the payer in a box, a process of its own; judged from its own record."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from night.nights import assert_nothing_twice, record
from transport.batches import ON, claim_states, open_work, sending_states, waiting

from pipeline import payers
from pipeline.errors import Terminal
from pipeline.payer_simulator import process
from pipeline.settings import Settings
from pipeline.store import Store
from pipeline.store import register as r
from pipeline.store.archive import sha256
from pipeline.transport import inbox, sending

_PROFILE = """
name = "ACME HEALTH"
payer_id = "ACME1"
matches = ["Acme Health"]
[interchange]
receiver_id = "ACMERECEIVER"
[transport]
kind = "box"
upload = "{upload}"
"""

Box = Callable[..., None]


@pytest.fixture
def box(settings: Settings, store: Store, tmp_path: Path) -> Iterator[Box]:
    """Start the payer in a box anew, with the faults given as `kind, option=value …`; stopped at the end."""
    folder = tmp_path / "profiles"
    folder.mkdir()
    settings.payers_dir = str(folder)

    def start(*faults: str, upload: str = "rename") -> None:
        process.stop(settings)
        (folder / "acme.toml").write_text(_PROFILE.format(upload=upload))
        payers._load.cache_clear()
        plan = tmp_path / "faults.toml"
        plan.write_text("\n".join(f"[[fault]]\nkind = {fault}" for fault in faults))
        process.start(settings, plan)

    yield start
    process.stop(settings)


def received(home: Path, number: int, seconds: float = 10) -> list[str]:
    """sha256 of what the payer took in, once it is so many files; afterwards a moment more, for a second copy to show."""
    deadline = time.monotonic() + seconds
    while len(record(home)) < number and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.3)
    assert_nothing_twice(home)
    return [line["sha256"] for line in record(home)]


@pytest.mark.parametrize(
    ("fault", "state"),
    [
        ('"cut_after_bytes"\nbytes = 100', "verified"),
        ('"cut_after_bytes"\nbytes = 300000', "verified"),
        ('"sweep_immediately"', "verified"),
    ],
)
def test_the_file_is_received_once_and_sent(store: Store, home: Path, box: Box, fault: str, state: str) -> None:
    data = waiting(store, padding=6000)
    box(fault)
    assert sending.send(store, ON, "acme")["files"] == 1
    assert received(home, 1) == [sha256(data)]
    assert sending_states(store) == {"000000001": state}
    sending.send(store, ON, "acme")
    assert received(home, 1) == [sha256(data)]


def test_fault_3_a_reply_lost_after_a_swept_rename_is_unknown_and_nothing_comes_twice(
    store: Store, home: Path, box: Box
) -> None:
    data = waiting(store)
    box('"lose_reply_after_rename"', '"sweep_immediately"')
    assert sending.send(store, ON, "acme")["unknown"] == 1
    for _ in range(3):
        sending.send(store, ON, "acme")
    assert received(home, 1) == [sha256(data)]
    assert (sending_states(store), claim_states(store)) == ({"000000001": "unknown"}, ["unknown"])
    assert open_work(store) == [("sending", "no_reply")]


def test_fault_5_renaming_forbidden_fails_closed_until_the_profile_says_direct(
    store: Store, home: Path, box: Box
) -> None:
    data = waiting(store)
    box('"forbid_rename"\ntimes = 0')
    with pytest.raises(Terminal, match="refused to rename"):
        sending.send(store, ON, "acme")
    assert received(home, 1, 0.5) == []
    assert claim_states(store) == ["batched"]
    box('"forbid_rename"\ntimes = 0', upload="direct")
    assert sending.send(store, ON, "acme")["files"] == 1
    assert received(home, 1) == [sha256(data)]


def test_fault_5_swept_temporary_names_stop_the_run(store: Store, home: Path, box: Box) -> None:
    data = waiting(store)
    box('"sweep_temporary"')
    with pytest.raises(Terminal, match="temporary name"):
        sending.send(store, ON, "acme")
    sending.send(store, ON, "acme")
    assert received(home, 1) == [sha256(data)]
    assert sending_states(store) == {"000000001": "unknown"}


@pytest.mark.parametrize(
    ("fault", "state", "message"),
    [
        ('"permission_denied"\noperation = "put"', "failed", "permission denied"),
        ('"permission_denied"\noperation = "rename"', "failed", "refused to rename"),
        ('"quota"\nbytes = 100', "failed", "quota"),
        ('"refuse_login"', "built", "refused the login"),
        ('"host_key_changed"', "built", "not the pinned one"),
    ],
)
def test_faults_6_and_26_what_is_refused_is_terminal_and_never_sent(
    store: Store, home: Path, box: Box, fault: str, state: str, message: str
) -> None:
    data = waiting(store)
    box(fault)
    with pytest.raises(Terminal, match=message):
        sending.send(store, ON, "acme")
    assert received(home, 1, 0.5) == []
    assert (sending_states(store), claim_states(store)) == ({"000000001": state}, ["batched"])
    box()
    assert sending.send(store, ON, "acme")["files"] == 1
    assert received(home, 1) == [sha256(data)]


@pytest.mark.parametrize(
    ("fault", "allowed"),
    [
        ('"growing_file"\nanswer = "999"\nseconds = 1.0', {"inbox.no_iea", "inbox.growing"}),
        ('"empty_file"', {"inbox.empty"}),
        ('"unknown_file"', {"inbox.unknown"}),
        ('"lose_reply_after_remove"', set()),
        ('"cut_download_after_bytes"\nbytes = 50', set()),
    ],
)
def test_fault_7_the_inbox_takes_whole_answers_once(store: Store, box: Box, fault: str, allowed: set[str]) -> None:
    waiting(store)
    box(fault)
    sending.send(store, ON, "acme")
    deadline = time.monotonic() + 10
    seen: list[str] = []
    while time.monotonic() < deadline and "999" not in _kinds(store):
        seen += inbox.sweep(store, ON, "acme")
        time.sleep(0.05)
    assert "999" in _kinds(store)
    assert len(seen) == len(set(seen))
    for file_id in seen:
        store.archive.get(file_id)
    assert set(_findings(store)) <= allowed


def _kinds(store: Store) -> set[str]:
    with store.read() as c:
        return set(c.execute(sa.select(r.files.c.kind).where(r.files.c.direction == "in")).scalars())


def _findings(store: Store) -> list[str]:
    with store.read() as c:
        return list(c.execute(sa.select(r.findings.c.rule).where(r.findings.c.stage == "inbox")).scalars())
