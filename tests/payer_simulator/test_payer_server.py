from __future__ import annotations

import io
import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import paramiko
import pytest
from payer_simulator.box import BoxUnderTest
from payer_simulator.claims_837 import file_837, many
from payer_simulator.test_payer_answers import answered, elements

from pipeline.errors import Terminal
from pipeline.payer_simulator import process
from pipeline.payer_simulator.adjudication import load_table
from pipeline.payer_simulator.answers import Answered
from pipeline.payer_simulator.box import Box
from pipeline.payer_simulator.faults import FaultPlan
from pipeline.payer_simulator.record import Record
from pipeline.payers import load_profiles
from pipeline.settings import Settings


def expected(data: bytes, **options: object) -> dict[str, bytes]:
    found: Answered = answered(data, **options)  # type: ignore[arg-type]
    return {a.name: a.data for a in found.answers}


def test_an_upload_is_answered_and_moved_away(box: BoxUnderTest) -> None:
    box.start()
    data = file_837(many(30), control=5, sets=2)
    box.upload(data)
    box.wait_answered()
    assert box.all_answers() == expected(data)
    assert {n.rsplit(".", 1)[1] for n in box.outbound("bank")} == {"ach", "bai"}
    assert os.listdir(box.folder("medicare", "inbound")) == []
    (received,) = box.events("received")
    assert (received["n"], received["payer"], received["name"], received["isa13"]) == (
        1, "medicare", "claims.edi", "000000005",
    )  # fmt: skip
    assert received["claims"][:2] == [
        {"claim_id": "C00000001", "charge": "146.00"},
        {"claim_id": "C00000002", "charge": "102.00"},
    ]
    assert len(received["claims"]) == 30


def test_start_is_idempotent_and_stop_says_whether_it_ran(box: BoxUnderTest, settings: Settings) -> None:
    assert process.endpoint(settings) is None
    first = box.start()
    assert box.start() == first
    assert process.endpoint(settings) == first
    assert box.stop() is True
    assert process.endpoint(settings) is None
    assert box.stop() is False
    assert not (box.root / "endpoint.json").exists()


def test_pinning_works_over_a_restart(box: BoxUnderTest) -> None:
    first = box.start()
    known = first.known_hosts.read_text()
    key = first.client_key.read_bytes()
    box.stop()
    second = box.start()
    assert (second.port, second.known_hosts.read_text(), second.client_key.read_bytes()) == (first.port, known, key)
    with box.session() as sftp:
        assert sorted(sftp.listdir("/")) == ["inbound", "outbound"]


def test_keys_are_private(box: BoxUnderTest) -> None:
    running = box.start()
    for path in (running.client_key, box.root / "host_key"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(box.root.stat().st_mode) == 0o700


def test_a_box_that_cannot_run_says_why(box: BoxUnderTest, settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "profiles"
    folder.mkdir()
    (folder / "broken.toml").write_text("name = 3")
    settings.payers_dir = str(folder)
    with pytest.raises(Terminal, match=r"broken\.toml"):
        box.start()


def test_who_dies_leaves_no_endpoint(box: BoxUnderTest, settings: Settings) -> None:
    box.start()
    box.kill()
    assert (box.root / "endpoint.json").exists()
    assert process.endpoint(settings) is None
    assert box.stop() is False
    box.start()
    assert process.endpoint(settings) is not None


@pytest.mark.skipif(sys.platform != "linux", reason="a process is told of its parent's end on Linux only")
def test_a_test_run_that_is_killed_leaves_no_box_behind(box: BoxUnderTest, settings: Settings) -> None:
    run = os.fork()
    if run == 0:
        try:
            box.start()
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(run, 0)[1]) == -signal.SIGKILL
    assert box.events("started")
    box.wait(lambda: process.endpoint(settings) is None)
    assert box.events("stopped") == []


def test_two_starts_at_once_give_one_box(box: BoxUnderTest, settings: Settings) -> None:
    found: list[process.Endpoint] = []
    threads = [threading.Thread(target=lambda: found.append(process.start(settings))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1
    assert len(box.events("started")) == 1
    box.stop()
    time.sleep(0.5)
    assert process.endpoint(settings) is None  # no second one was waiting for its turn
    assert len(box.events("started")) == 1


def test_a_second_server_in_the_same_folder_gives_up(box: BoxUnderTest) -> None:
    box.start()
    command = [sys.executable, "-m", "pipeline.payer_simulator.serve", "--root", str(box.root), "--seed", "27"]
    second = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert (second.returncode, second.stderr) == (2, "Another payer in a box runs in this folder.\n")


# --- who may do what --------------------------------------------------------------------------------------------------


def test_only_the_client_key_opens_and_only_for_known_users(box: BoxUnderTest) -> None:
    running = box.start()
    stranger = paramiko.Ed25519Key.from_private_key(io.StringIO(_new_key()))
    own = paramiko.Ed25519Key.from_private_key_file(str(running.client_key))
    for user, options in (
        ("medicare", {"pkey": stranger}),
        ("nobody", {"pkey": own}),
        ("medicare", {"password": "secret"}),
    ):
        client = paramiko.SSHClient()
        client.load_host_keys(str(running.known_hosts))
        with pytest.raises(paramiko.SSHException):
            client.connect(running.host, running.port, username=user, allow_agent=False, look_for_keys=False, **options)  # type: ignore[arg-type]
        client.close()


def _new_key() -> str:
    import asyncssh

    return asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()


def test_users_are_shut_into_their_folders(box: BoxUnderTest) -> None:
    box.start()
    (box.folder("aetna", "outbound") / "secret.edi").write_text("x")
    with box.session() as sftp:
        for path in ("/../aetna/outbound/secret.edi", "../../aetna/outbound/secret.edi", "/etc/passwd"):
            with pytest.raises(OSError):  # noqa: PT011 - any refusal will do
                sftp.open(path, "rb")
        with pytest.raises(OSError):  # noqa: PT011
            sftp.symlink("/etc/passwd", "/inbound/link")
        with pytest.raises(OSError):  # noqa: PT011
            sftp.open("/outbound/planted.edi", "wb")
        with pytest.raises(OSError):  # noqa: PT011
            sftp.mkdir("/inbound/folder")
        assert sftp.normalize("/../..") == "/"
    with box.session("bank") as sftp:
        assert sftp.listdir("/") == ["outbound"]


def test_answers_can_be_removed_and_a_taken_name_is_free_again(box: BoxUnderTest) -> None:
    box.start()
    box.upload(file_837(many(2), control=1))
    box.wait_answered()
    with box.session() as sftp:
        for name in sftp.listdir("/outbound"):
            sftp.remove(f"/outbound/{name}")
        assert sftp.listdir("/outbound") == []
    box.upload(file_837(many(2, start=3), control=2))  # the same name again
    box.wait_answered(2)
    assert len(box.outbound()) >= 3


# --- when a file is taken ---------------------------------------------------------------------------------------------


def test_a_temporary_name_is_never_taken(box: BoxUnderTest) -> None:
    box.start()
    with box.session() as sftp:
        sftp.putfo(io.BytesIO(file_837(many(2))), "/inbound/.part-a.edi")
    time.sleep(0.4)
    assert box.events("received") == []
    with box.session() as sftp:
        sftp.rename("/inbound/.part-a.edi", "/inbound/a.edi")
    box.wait_answered()


def test_the_file_stands_still_while_its_sender_looks_at_it(box: BoxUnderTest) -> None:
    box.start()
    data = file_837(many(2))
    with box.session() as sftp:
        sftp.putfo(io.BytesIO(data), "/inbound/.part-a.edi")
        sftp.rename("/inbound/.part-a.edi", "/inbound/a.edi")
        time.sleep(0.3)
        assert sftp.stat("/inbound/a.edi").st_size == len(data)
        assert box.events("received") == []
    box.wait_answered()


def test_a_file_put_under_its_final_name_is_taken_whole(box: BoxUnderTest) -> None:
    box.start()
    data = file_837(many(40))
    with box.session() as sftp, sftp.open("/inbound/direct.edi", "wb") as file:
        file.write(data[:5000])
        file.flush()
        time.sleep(0.3)
        assert box.events("received") == []
        file.write(data[5000:])
    box.wait_answered()
    assert box.all_answers() == expected(data)


def test_a_session_that_stays_open_does_not_hold_the_file_for_ever(box: BoxUnderTest) -> None:
    box.start()
    with box.session() as sftp:
        sftp.putfo(io.BytesIO(file_837(many(2))), "/inbound/a.edi")
        box.wait_answered()


# --- the same thing again ---------------------------------------------------------------------------------------------


def test_the_same_bytes_again_are_a_duplicate(box: BoxUnderTest) -> None:
    box.start()
    data = file_837(many(5))
    box.upload(data)
    box.wait_answered()
    first = box.all_answers()
    box.upload(data, "other_name.edi")
    box.wait_answered(2)
    added = {n: d for n, d in box.all_answers().items() if n not in first}
    ((_, ta1),) = added.items()
    assert elements(ta1, "TA1")[0][4:] == ("R", "025")
    assert {n: d for n, d in box.all_answers().items() if n in first} == first
    assert [e["sha256"] for e in box.events("received")] == [box.events("received")[0]["sha256"]] * 2


def test_an_isa13_used_again_for_other_bytes_is_a_duplicate_over_a_restart(box: BoxUnderTest) -> None:
    box.start()
    box.upload(file_837(many(5), control=9))
    box.wait_answered()
    box.kill()
    box.start()
    box.upload(file_837(many(5, start=50), control=9), "second.edi")
    box.wait_answered(2)
    assert box.events("answered")[1]["duplicate"] is True
    box.upload(file_837(many(5, start=50), control=10), "third.edi")
    box.wait_answered(3)
    assert "duplicate" not in box.events("answered")[2]
    assert box.events("answered")[2]["answers"] > 3


def test_an_isa13_is_the_senders_own_and_the_payers_own(box: BoxUnderTest) -> None:
    """Another payer, or another sender, may use the same number."""
    box.start()
    box.upload(file_837(many(2), control=9))
    box.wait_answered()
    box.upload(file_837(many(2), control=9, receiver="BOXAETNA", payer_id="AETNA"), user="aetna")
    box.wait_answered(2)
    other = file_837(many(2, start=9), control=9).replace(b"*ZZ*CLAIMPIPE      *", b"*ZZ*OTHERPRACTICE  *")
    box.upload(other)
    box.wait_answered(3)
    assert all("duplicate" not in e for e in box.events("answered"))


def test_a_claim_accepted_before_is_not_adjudicated_in_another_file(box: BoxUnderTest) -> None:
    box.start()
    box.upload(file_837(many(20), control=1))
    box.wait_answered()
    rejected = set(box.events("answered")[0]["refused"])
    before = box.outbound()
    box.kill()
    box.start()
    box.upload(file_837(many(20), control=2), "again.edi")
    box.wait_answered(2)
    added = [d for n, d in box.outbound().items() if n not in before]
    again = [e for d in added for e in elements(d, "CLP")]
    assert {e[1] for e in again} <= rejected
    stc = [e for d in added for e in elements(d, "STC") if e[1] == "A3:54"]
    assert len(stc) == 20 - len(rejected)


# --- kill -9 ----------------------------------------------------------------------------------------------------------


def in_a_fork(root: Path, die_at: int) -> int:
    """The box's own way of one upload, in a process that dies (SIGKILL) at its n-th rename or sync; 0: never."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    passed = 0

    def dying(real: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any, **more: Any) -> Any:
            nonlocal passed
            passed += 1
            if passed == die_at:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **more)

        return step

    try:
        os.rename, os.fsync = dying(os.rename), dying(os.fsync)
        box = Box(root, load_profiles(), load_table(), 27, FaultPlan(), lambda _, action: action())
        box.finish_late()
        if (box.inbound("medicare") / "a.edi").exists():
            box.take("medicare", "a.edi")
        box.work()
        os._exit(0 if passed < die_at or not die_at else 3)
    finally:
        os._exit(4)


@pytest.mark.parametrize("fetched", [False, True])
def test_killed_at_every_rename_and_sync_it_ends_with_the_same_answers(fetched: bool, tmp_path: Path) -> None:
    """Killed at step 1, 2, 3 … until it runs through; each time a fresh process goes on.

    `fetched`: the client took away what was laid out before the restart; it must not come a second time.
    """
    data = file_837(many(6), control=3)
    at, died = 0, True
    while died:
        at += 1
        root = tmp_path / str(at)
        inbound = root / "sftp" / "medicare" / "inbound"
        inbound.mkdir(parents=True)
        (inbound / "a.edi").write_bytes(data)
        code = in_a_fork(root, at)
        assert code in (0, -signal.SIGKILL)
        died = code != 0
        due = expected(data)
        for user in ("medicare", "bank") if fetched else ():
            outbound = root / "sftp" / user / "outbound"
            for path in outbound.iterdir() if outbound.is_dir() else ():
                assert path.read_bytes() == due.pop(path.name)
                path.unlink()
        assert in_a_fork(root, 0) == 0
        assert in_a_fork(root, 0) == 0
        laid = {
            p.name: p.read_bytes()
            for user in ("medicare", "bank")
            for p in (root / "sftp" / user / "outbound").iterdir()
        }
        assert laid == due, at
        events = [json.loads(line)["event"] for line in (root / "record.jsonl").read_text().splitlines()]
        assert (events.count("received"), events.count("answered")) == (1, 1)
        assert list((root / "answers").iterdir()) == []
    assert at > 20  # it had that many steps to die at


def test_a_server_killed_with_work_in_hand_goes_on_after_the_restart(box: BoxUnderTest) -> None:
    box.start()
    files = [file_837(many(100, start=1000 * n), control=n) for n in range(1, 5)]
    for n, data in enumerate(files):
        box.upload(data, f"f{n}.edi")
    box.wait(lambda: box.events("received"))
    box.kill()
    box.start()
    box.wait_answered(4)
    answers = box.all_answers()
    due: dict[str, bytes] = {}
    for data in files:
        due.update(expected(data))
    assert answers == due
    assert sorted(e["isa13"] for e in box.events("received")) == [f"{n:09d}" for n in range(1, 5)]


def test_a_file_that_cannot_be_answered_does_not_hold_up_the_others(box: BoxUnderTest) -> None:
    box.start()
    with box.session() as sftp:
        sftp.putfo(io.BytesIO(file_837(many(2), control=1)), "/inbound/.part-a.edi")
        sftp.rename("/inbound/.part-a.edi", "/inbound/a.edi")
        (box.root / "answers" / "00000001.part").write_bytes(b"")  # where its answers would be staged
    box.wait(lambda: box.events("failed"))
    box.upload(file_837(many(2, start=5), control=2), "b.edi")
    box.wait_answered()
    assert [e["n"] for e in box.events("answered")] == [2]
    assert box.events("failed")[0]["error"].split(" ")[0] == "FileExistsError"
    (box.root / "answers" / "00000001.part").unlink()
    box.stop()
    box.start()
    box.wait_answered(2)
    assert sorted(e["n"] for e in box.events("answered")) == [1, 2]


def test_a_torn_line_of_the_record_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "record.jsonl"
    record = Record(path)
    record.append("received", n=1)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"event":"rece')
    assert [e["n"] for e in Record(path).events()] == [1]
    assert path.read_bytes() == whole
    path.write_bytes(b'{"event"')
    assert list(Record(path).events()) == []


# --- privacy ----------------------------------------------------------------------------------------------------------


def test_no_patient_in_log_record_or_names(box: BoxUnderTest) -> None:
    box.start()
    data = (
        file_837(many(20), patient="JANE")
        .replace(b"*DOE*JANE*", b"*ZEBULONCANARY*QUILLACANARY*")
        .replace(b"1EG4TE5MK73", b"1CC4CC5CC73")
    )
    box.upload(data)
    box.upload(data[: len(data) // 2], "half.edi")
    box.upload(b"ISA*ZEBULONCANARY", "garbage.edi")
    box.wait_answered(3)
    assert any(b"ZEBULONCANARY" in d for d in box.outbound().values())
    for path in (box.root / "record.jsonl", box.root / "serve.log"):
        text = path.read_bytes()
        assert b"CANARY" not in text
        assert b"1CC4CC5CC73" not in text
    assert not [n for n in box.all_answers() if "CANARY" in n]
