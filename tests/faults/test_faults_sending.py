"""Faults 2 to 6, 16 and 26, and a kill at every failure point: what reached the payer is judged from its own record."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from typing import Any

import asyncssh
import pytest
import sqlalchemy as sa
from transport.batches import ON, claim_states, open_work, sending_states, waiting
from transport.conftest import write_profile
from transport.killing import Runs
from transport.server import SftpPayer

from pipeline.errors import ClaimpipeError, Terminal, Transient
from pipeline.settings import Settings
from pipeline.store import Store, events, open_store
from pipeline.store import register as r
from pipeline.transport import sending

DIRECT = 'upload = "direct"'


# --- 2: the link is cut during an upload ------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [0, 1, 1000, 100_000, 400_000])
def test_fault_2_a_cut_upload_leaves_nothing_final_and_goes_whole_at_the_next_try(
    store: Store, payer: SftpPayer, after: int
) -> None:
    data = waiting(store, padding=6000)
    assert len(data) > 400_000
    payer.faults.cut_upload_after = after
    seen: list[list[str]] = []
    payer.faults.before_rename = lambda: seen.append(
        [p.name for p in payer.inbound.iterdir() if not p.name.startswith(".")]
    )
    assert sending.send(store, ON, "acme")["files"] == 1
    assert seen == [[]]  # until the one rename nothing stood under a final name
    assert payer.delivered == [data]
    assert payer.temporaries == []


def test_fault_2_a_link_that_stays_bad_is_transient_bounded_and_never_sent(
    store: Store, payer: SftpPayer, settings: Settings
) -> None:
    data = waiting(store, padding=6000)
    payer.faults.cut_upload_after, payer.faults.cuts = 1000, 99
    with pytest.raises(Transient, match="link to acme was lost"):
        sending.send(store, ON, "acme")
    assert payer.logins == settings.transport.attempts
    assert payer.delivered == []
    assert sending_states(store) == {"000000001": "intent"}
    assert claim_states(store) == ["batched"]
    payer.faults.cuts = 0
    assert sending.send(store, ON, "acme")["files"] == 1
    assert payer.delivered == [data]
    assert payer.temporaries == []


def test_fault_2_a_server_that_loses_bytes_in_silence_is_found_out_by_the_size(store: Store, payer: SftpPayer) -> None:
    data = waiting(store, padding=6000)
    payer.faults.swallow_after = len(data) - 1
    with pytest.raises(Transient, match=f"holds {len(data) - 1:,} bytes of a file of {len(data):,}"):
        sending.send(store, ON, "acme")
    assert payer.delivered == []
    assert claim_states(store) == ["batched"]
    payer.faults.swallow_after = None
    assert sending.send(store, ON, "acme")["files"] == 1
    assert payer.delivered == [data]
    assert payer.temporaries == []


def test_fault_2_direct_upload_that_is_cut_is_unknown_and_not_sent_again(
    store: Store, payer: SftpPayer, tmp_path: Path
) -> None:
    write_profile(tmp_path / "profiles", payer, DIRECT)
    waiting(store, padding=6000)
    payer.faults.cut_upload_after = 1000
    assert sending.send(store, ON, "acme")["unknown"] == 1
    payer.sweep()
    assert len(payer.taken) == 1
    assert claim_states(store) == ["unknown"]
    assert open_work(store) == [("sending", "direct_interrupted")]
    assert sending.send(store, ON, "acme") == {"files": 0, "claims": 0, "charge_cents": 0, "unknown": 0, "waiting": 1}
    assert len(payer.delivered) == 1


# --- 3 and 4: the reply to the rename is lost; the payer sweeps before our check ---------------------------------------


def test_fault_3_a_lost_reply_is_verified_where_the_file_is_seen(store: Store, payer: SftpPayer) -> None:
    data = waiting(store)
    payer.faults.lose_rename_reply = 1
    assert sending.send(store, ON, "acme")["files"] == 1
    assert payer.delivered == [data]
    assert sending_states(store) == {"000000001": "verified"}


def test_fault_3_a_lost_reply_and_a_swept_inbox_is_unknown_and_never_sent_again(
    store: Store, payer: SftpPayer, home: Path
) -> None:
    data = waiting(store)
    payer.faults.lose_rename_reply, payer.faults.sweep_at_once = 1, True
    counts = sending.send(store, ON, "acme")
    assert (counts["files"], counts["unknown"]) == (0, 1)
    assert sending_states(store) == {"000000001": "unknown"}
    assert claim_states(store) == ["unknown"]
    assert open_work(store) == [("sending", "no_reply")]
    store.close()
    before = (home / "claimpipe.db").read_bytes()
    for _ in range(3):
        assert sending.send(store, ON, "acme")["files"] == 0
    store.close()
    assert (home / "claimpipe.db").read_bytes() == before
    assert payer.delivered == [data]


def test_fault_3_where_the_link_stays_down_the_truth_is_unknown(store: Store, payer: SftpPayer) -> None:
    data = waiting(store)
    payer.faults.lose_rename_reply = 1
    payer.faults.before_rename = lambda: payer._server.close()  # nobody can log in again
    with pytest.raises(Transient):
        sending.send(store, ON, "acme")
    assert sending_states(store) == {"000000001": "unknown"}
    assert claim_states(store) == ["unknown"]
    payer.stop()
    payer.faults.before_rename = None
    payer.start()  # and the file is there to be seen
    assert sending.send(store, ON, "acme")["files"] == 1
    assert payer.delivered == [data]
    assert claim_states(store) == ["sent"]
    assert open_work(store) == []


def test_fault_3_a_rename_that_never_happened_is_repeated_on_the_same_temporary_file(
    store: Store, payer: SftpPayer
) -> None:
    data = waiting(store)
    payer.faults.drop_before_rename = 1
    assert sending.send(store, ON, "acme")["files"] == 1
    assert payer.calls.count("write") == 1  # not uploaded again
    assert payer.delivered == [data]


def test_fault_3_neighbours_of_an_unknown_file_go_on(store: Store, payer: SftpPayer) -> None:
    files = [waiting(store, 1), waiting(store, 2)]
    payer.faults.lose_rename_reply, payer.faults.sweep_at_once = 1, True
    counts = sending.send(store, ON, "acme")
    assert (counts["files"], counts["unknown"]) == (1, 1)
    assert payer.delivered == files


def test_fault_4_a_file_swept_before_the_size_check_is_not_taken_for_lost(store: Store, payer: SftpPayer) -> None:
    data = waiting(store)
    payer.faults.sweep_at_once = True
    assert sending.send(store, ON, "acme")["files"] == 1
    assert sending_states(store) == {"000000001": "verified"}
    assert claim_states(store) == ["sent"]
    assert sending.send(store, ON, "acme")["files"] == 0
    assert payer.delivered == [data]


# --- 5: renaming is forbidden, or temporary names are swept ------------------------------------------------------------


@pytest.mark.parametrize("error", [asyncssh.SFTPPermissionDenied, asyncssh.SFTPFailure, asyncssh.SFTPOpUnsupported])
def test_fault_5_a_server_that_forbids_rename_gets_nothing(
    store: Store, payer: SftpPayer, tmp_path: Path, error: type[asyncssh.SFTPError]
) -> None:
    data = waiting(store)
    payer.faults.refuse = {"rename": error}
    for _ in range(2):
        with pytest.raises(Terminal, match=r"refused to rename .* transport.upload to direct"):
            sending.send(store, ON, "acme")
        assert payer.delivered == []
        assert payer.temporaries == []
        assert sending_states(store) == {"000000001": "failed"}
        assert claim_states(store) == ["batched"]
        assert open_work(store) == [("sending", "refused")]
    write_profile(tmp_path / "profiles", payer, DIRECT)
    assert sending.send(store, ON, "acme")["files"] == 1
    assert payer.delivered == [data]
    assert claim_states(store) == ["sent"]
    assert open_work(store) == []


def test_fault_5_direct_upload_is_honoured(store: Store, payer: SftpPayer, tmp_path: Path) -> None:
    write_profile(tmp_path / "profiles", payer, DIRECT)
    data = waiting(store)
    assert sending.send(store, ON, "acme")["files"] == 1
    assert payer.delivered == [data]
    assert "rename" not in payer.calls


def test_fault_5_a_payer_that_sweeps_temporary_names_stops_the_run(store: Store, payer: SftpPayer) -> None:
    waiting(store, 1)
    waiting(store, 2)
    payer.faults.sweep_temporary = True
    with pytest.raises(Terminal, match="temporary name"):
        sending.send(store, ON, "acme")
    assert sending_states(store) == {"000000001": "unknown", "000000002": "built"}
    assert open_work(store) == [("sending", "temporary_gone")]
    payer.faults.sweep_temporary = False
    sending.send(store, ON, "acme")
    assert sum(b"*000000001~" in data for data in payer.delivered) == 1


def test_a_final_name_that_is_taken_is_never_written_over(store: Store, payer: SftpPayer) -> None:
    data = waiting(store)

    def somebody() -> None:
        with store.read() as c:
            name = c.execute(sa.select(r.sendings.c.final_name)).scalar_one()
        (payer.inbound / name).write_bytes(b"another's")

    payer.faults.before_rename = somebody
    with pytest.raises(Terminal):
        sending.send(store, ON, "acme")
    assert payer.delivered == [b"another's"]
    assert claim_states(store) == ["batched"]
    payer.faults.before_rename = None
    assert sending.send(store, ON, "acme")["unknown"] == 1
    assert data not in payer.delivered


# --- 6: permission, quota, login ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("refuse", "quota"),
    [
        ({"write": asyncssh.SFTPPermissionDenied}, None),
        ({"write": asyncssh.SFTPFailure}, None),
        ({}, 0),
        ({}, 50_000),
        ({}, 427_000),
    ],
)
def test_fault_6_a_refused_upload_is_terminal_at_once_and_never_sent(
    store: Store, payer: SftpPayer, refuse: dict[str, type[asyncssh.SFTPError]], quota: int | None
) -> None:
    data = waiting(store, padding=6000)
    payer.faults.refuse, payer.faults.quota = refuse, quota
    assert quota is None or quota < len(data)
    with pytest.raises(Terminal, match="refused an upload"):
        sending.send(store, ON, "acme")
    assert payer.calls.count("write") == 1  # no second try
    assert payer.delivered == []
    assert payer.temporaries == []
    assert sending_states(store) == {"000000001": "failed"}
    assert claim_states(store) == ["batched"]
    assert open_work(store) == [("sending", "refused")]
    payer.faults.refuse, payer.faults.quota = {}, None
    assert sending.send(store, ON, "acme")["files"] == 1
    assert payer.delivered == [data]
    assert open_work(store) == []


def test_fault_6_a_quota_that_bites_on_the_very_last_byte(store: Store, payer: SftpPayer) -> None:
    data = waiting(store, padding=6000)
    payer.faults.quota = len(data) - 1
    with pytest.raises(Terminal, match="refused an upload"):
        sending.send(store, ON, "acme")
    assert payer.delivered == []


def test_fault_6_a_refused_login_is_terminal_at_once(store: Store, payer: SftpPayer) -> None:
    waiting(store)
    payer.key_file.write_bytes(asyncssh.generate_private_key("ssh-ed25519").export_private_key("openssh"))
    with pytest.raises(Terminal, match="refused the login of user acme"):
        sending.send(store, ON, "acme")
    assert payer.logins == 0
    assert sending_states(store) == {"000000001": "built"}
    assert payer.calls == []


def test_fault_6_a_missing_key_file_is_named(store: Store, payer: SftpPayer) -> None:
    waiting(store)
    payer.key_file.unlink()
    with pytest.raises(Terminal, match="private key of acme is missing"):
        sending.send(store, ON, "acme")


# --- 16: two runs, and the dead who come back --------------------------------------------------------------------------


def test_fault_16_two_runs_at_once_send_each_file_once(store: Store, settings: Settings, payer: SftpPayer) -> None:
    files = [waiting(store, number, padding=500) for number in range(1, 6)]
    others = [store, *(open_store(settings) for _ in range(3))]
    results: list[Any] = [None] * len(others)
    start = threading.Barrier(len(others))

    def run(index: int) -> None:
        start.wait()
        try:
            results[index] = sending.send(others[index], ON, "acme")["files"]
        except ClaimpipeError as error:
            results[index] = error

    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(others))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(results) == [0, 0, 0, 5]
    assert payer.delivered == files
    assert payer.calls.count("rename") == 5
    with store.read() as c:
        assert events.verify(c) == []


def test_fault_16_a_run_that_waits_too_long_says_so(store: Store, settings: Settings, payer: SftpPayer) -> None:
    waiting(store)
    entered, leave = threading.Event(), threading.Event()

    def hold() -> None:
        entered.set()
        leave.wait(20)

    payer.faults.before_rename = hold
    first = threading.Thread(target=lambda: sending.send(store, ON, "acme"))
    first.start()
    entered.wait(20)
    settings.store.lock_timeout_seconds = 0.1
    with pytest.raises(Transient, match="Another run holds send-acme"):
        sending.send(store, ON, "acme")
    leave.set()
    first.join(20)
    assert len(payer.delivered) == 1


@pytest.mark.parametrize(
    ("at", "call"), [("size", 1), ("upload", 1), ("size", 2), ("size", 3), ("rename", 1), ("size", 4)]
)
def test_fault_16_a_worker_back_from_the_dead_leaves_without_effect(
    store: Store, payer: SftpPayer, at: str, call: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first run freezes before a step, its lock is lost (as a database session may be), a second one does the work,
    the payer empties its inbox, and the first wakes up.

    At `rename` it stands between the permission to rename and the rename: the second run renames the same temporary file.
    """
    data = waiting(store)
    monkeypatch.setattr(sending.locks, "held", lambda *_: contextlib.nullcontext())
    frozen = sending._Run(store, ON, sending.route(store.settings, "acme"))
    opened = frozen._open
    calls: list[str] = []

    def open_and_watch() -> Any:
        fresh = frozen.session is None
        session = opened()
        if fresh:
            step = getattr(session, at)

            def freeze(*arguments: Any, **named: Any) -> Any:
                calls.append(at)
                if len(calls) == call:
                    sending.send(store, ON, "acme")
                    payer.sweep()
                return step(*arguments, **named)

            setattr(session, at, freeze)
        return session

    frozen._open = open_and_watch  # type: ignore[method-assign]
    with contextlib.suppress(Transient):
        frozen.run()
    assert len(calls) >= call
    assert payer.delivered == [data]
    assert sending_states(store) == {"000000001": "verified"}
    assert claim_states(store) == ["sent"]
    assert open_work(store) == []


def test_fault_16_an_attempt_that_was_taken_over_does_not_finish_anothers(
    store: Store, payer: SftpPayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both runs stand in the same state, but in different attempts: the elder one must not speak for the younger."""
    data = waiting(store, padding=6000)
    monkeypatch.setattr(sending.locks, "held", lambda *_: contextlib.nullcontext())
    frozen = sending._Run(store, ON, sending.route(store.settings, "acme"))
    session = frozen._open()
    upload = session.upload

    def freeze(path: str, content: bytes, **named: Any) -> None:
        upload(path, content, **named)
        payer.faults.cut_upload_after, payer.faults.cuts = 1000, 99
        with pytest.raises(Transient):
            sending.send(store, ON, "acme")
        payer.faults.cuts = 0

    session.upload = freeze  # type: ignore[method-assign]
    with pytest.raises(sending.Overtaken):
        frozen.run()
    assert payer.delivered == []
    assert sending_states(store) == {"000000001": "intent"}
    assert sending.send(store, ON, "acme")["files"] == 1
    assert payer.delivered == [data]


# --- 26: the host key --------------------------------------------------------------------------------------------------


def test_fault_26_a_changed_host_key_gets_no_byte(store: Store, payer: SftpPayer) -> None:
    data = waiting(store)
    payer.change_host_key()
    with pytest.raises(Terminal, match="host key of acme is not the pinned one"):
        sending.send(store, ON, "acme")
    assert (payer.logins, payer.bytes_written, payer.calls) == (0, 0, [])
    payer.pin()
    assert sending.send(store, ON, "acme")["files"] == 1
    assert payer.delivered == [data]


@pytest.mark.parametrize("content", ["", "# nothing\n", "other.example ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJv\n"])
def test_fault_26_an_unknown_host_key_gets_no_byte(store: Store, payer: SftpPayer, content: str) -> None:
    waiting(store)
    payer.known_hosts.write_text(content)
    with pytest.raises(Terminal, match="host key"):
        sending.send(store, ON, "acme")
    assert (payer.logins, payer.bytes_written) == (0, 0)


def test_fault_26_a_missing_known_hosts_file_is_terminal(store: Store, payer: SftpPayer) -> None:
    waiting(store)
    payer.known_hosts.unlink()
    with pytest.raises(Terminal, match="pinned host keys of acme cannot be read"):
        sending.send(store, ON, "acme")


# --- 1, of this stage: a kill at every failure point -------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["rename", "direct"])
@pytest.mark.parametrize("sweeps", [False, True])
def test_fault_1_a_kill_at_every_point_of_sending_delivers_at_most_once(
    store: Store, payer: SftpPayer, tmp_path: Path, home: Path, mode: str, sweeps: bool
) -> None:
    write_profile(tmp_path / "profiles", payer, DIRECT if mode == "direct" else "")
    payer.faults.sweep_at_once = sweeps
    outcomes = {"verified": 0, "unknown": 0}
    with Runs(home, tmp_path / "profiles", tmp_path / "points") as runs:
        for number in range(1, 200):
            data = waiting(store, number)
            store.close()
            died = runs.killed_at(number, "send", ON.isoformat())
            if sweeps:
                payer.sweep()
            if not died:
                break
            sending.send(store, ON, "acme")  # the restart
            if sweeps:
                payer.sweep()
            deliveries = payer.delivered.count(data)
            state = sending_states(store)[f"{number:09d}"]
            outcomes[state] += 1
            assert deliveries == 1 if state == "verified" else deliveries <= 1
            assert payer.temporaries == []
            sending.send(store, ON, "acme")
            assert payer.delivered.count(data) == deliveries
        assert not died
        assert {"transport.state_intent", "transport.upload_half", "transport.before_verified"} <= runs.points
    assert number > 15
    assert outcomes["verified"] > 5
    if mode == "rename" and not sweeps:
        assert outcomes["unknown"] == 0  # where the payer leaves files standing, every kill is settled by sight
    assert len(payer.delivered) == len(set(payer.delivered))
    assert mode == "direct" or all(data.endswith(b"~") for data in payer.delivered)  # never a part under a final name
    with store.read() as c:
        assert events.verify(c) == []
