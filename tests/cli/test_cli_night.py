"""The commands around a night: one JSON object a line, the promised exit codes, and nothing changed by running them again."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import warm_processes
from claims.oracle import pyx12_errors
from cli import extracts_on_disk as extracts
from cli.commands import Ran, claimpipe
from night.nights import record, tree

from pipeline import settings
from pipeline.money import cents
from pipeline.payer_simulator import process
from pipeline.transactions import read

VISITS = 40
DAY = extracts.ON.isoformat()


@pytest.fixture(scope="module")
def extract(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return extracts.make(tmp_path_factory.mktemp("extract") / "good", VISITS)


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory, extract: Path) -> Iterator[tuple[Path, Ran]]:
    """A home after one night, and what the night said. Tests only read it."""
    home = tmp_path_factory.mktemp("night") / "home"
    yield home, claimpipe("nightly", "--extract", extract, "--date", DAY, "--home", home, "--json")
    process.stop(settings.load(home))


def files(folder: Path) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.rglob("*") if p.is_file()
    }


# --- the night --------------------------------------------------------------------------------------------------------


def test_nightly_json_tells_each_step_and_the_proof_last(night):
    home, ran = night
    assert (ran.code, ran.err) == (0, "")
    *steps, last = ran.lines
    assert [s["step"] for s in steps[:3]] == ["intake", "code", "scrub"]
    assert all({"step", "subject"} <= set(s) for s in steps)
    assert all(isinstance(v, int) for s in steps for k, v in s.items() if k not in ("step", "subject"))
    assert {s["subject"] for s in steps if s["step"] == "send"} == {line["payer"] for line in record(home)}
    assert list(last) == ["date", "troubles", "rejects", "reports", "proof"]
    assert (last["date"], last["troubles"], last["rejects"]) == (DAY, [], [])
    assert last["proof"]["closes"]
    assert last["proof"]["residue_cents"] == 0
    assert sum(state["count"] for state in last["proof"]["states"]) == VISITS
    assert all(Path(path).is_file() for path in last["reports"])
    assert extracts.CANARY not in ran.out


def test_the_same_night_again_changes_no_byte_and_says_the_same_of_the_money(night, extract):
    home, first = night
    kept, received = tree(home), record(home)
    again = claimpipe("nightly", "--extract", extract, "--date", DAY, "--home", home, "--json")
    assert (again.code, again.err) == (0, "")
    assert again.lines[-1] == first.lines[-1]
    assert (tree(home), record(home)) == (kept, received)
    assert not [s for s in again.lines[:-1] if s["step"] in ("build", "send")]


def test_progress_stands_on_a_terminal_only(tmp_path, extract):
    """stderr of a terminal shows what is being done; a log gets nothing of it."""
    command = [sys.executable, "-m", "pipeline.cli", "nightly", "--extract", str(extract), "--date", DAY, "--home",
               str(tmp_path / "home")]  # fmt: skip
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": "xterm"}
    with warm_processes.Popen(command, stdout=subprocess.PIPE, stderr=theirs, env=environment, text=True) as shown:
        os.close(theirs)
        seen = b""
        while True:
            try:
                block = os.read(ours, 4096)
            except OSError:  # the other end is closed
                break
            if not block:
                break
            seen += block
        assert shown.stdout is not None
        out = shown.stdout.read()
    os.close(ours)
    assert shown.returncode == 0
    assert b"intake" in seen
    assert b"prove" in seen
    assert "Residue 0.00" in out
    assert "\x1b" not in out  # stdout is no terminal: no colours, no movements of the cursor
    assert extracts.CANARY not in out


# --- the proof --------------------------------------------------------------------------------------------------------


def test_prove_says_by_exit_code_whether_it_closes(night):
    home, _ = night
    kept = tree(home)
    ran = claimpipe("prove", "--home", home, "--json")
    assert (ran.code, ran.err) == (0, "")
    (proof,) = ran.lines
    assert list(proof) == ["on", "states", "accounts", "lines", "broken", "residue_cents", "closes"]
    assert sum(proof["accounts"].values()) == 0
    assert sum(abs(line["difference"]) for line in proof["lines"]) == proof["residue_cents"] == 0
    of_day = claimpipe("prove", "--home", home, "--date", DAY, "--json")
    assert of_day.lines[0]["states"] == proof["states"]
    assert claimpipe("prove", "--home", home).code == 0
    assert tree(home) == kept

    (sent,) = {line["sha256"] for line in record(home)[:1]}
    archived = home / "archive" / sent[:2] / sent
    data = archived.read_bytes()
    try:
        archived.chmod(0o600)
        archived.write_bytes(data.replace(b"~CLM*", b"~CLM*X", 1))
        ran = claimpipe("prove", "--home", home, "--json")
        assert ran.code == 1
        assert not ran.lines[0]["closes"]
        assert claimpipe("prove", "--home", home).code == 1
    finally:
        archived.write_bytes(data)
    assert claimpipe("prove", "--home", home).code == 0


def test_questions_to_a_home_without_a_register_make_none(tmp_path):
    for command in ("prove", "work list", "work show x", "work assign x --to a", "work resolve x --note n"):
        ran = claimpipe(*command.split(), "--home", tmp_path / "home")
        assert ran.code == 2
        assert ran.sentence.startswith(f"There is no register in {tmp_path}/home.")
    assert not (tmp_path / "home").exists()


# --- work -------------------------------------------------------------------------------------------------------------


def test_work_list_json(night):
    home, _ = night
    kept = tree(home)
    causes = claimpipe("work", "list", "--home", home, "--json")
    items = claimpipe("work", "list", "--each", "--home", home, "--json")
    assert (causes.code, items.code) == (0, 0)
    assert set(causes.lines[0]) == {"queue", "cause", "title", "items", "cents", "action", "due_on"}
    assert set(items.lines[0]) >= {"item_id", "queue", "cause", "subject", "cents", "owner", "action"}
    assert sum(cause["items"] for cause in causes.lines) == len(items.lines) > 0
    assert sum(cause["cents"] for cause in causes.lines) == sum(item["cents"] for item in items.lines)
    assert [c["cents"] for c in causes.lines] == sorted((c["cents"] for c in causes.lines), reverse=True)
    queue = causes.lines[0]["queue"]
    assert {i["queue"] for i in claimpipe("work", "list", "--queue", queue, "--home", home, "--json").lines} == {queue}
    refused = claimpipe("work", "list", "--queue", "nonsense", "--home", home)
    assert refused.code == 2
    assert refused.sentence.startswith("There is no queue 'nonsense'.")
    (one,) = claimpipe("work", "show", items.lines[0]["item_id"], "--home", home, "--json").lines
    assert one["subject"] == items.lines[0]["subject"]
    assert isinstance(one["findings"], list)
    assert claimpipe("work", "list", "--home", home).code == 0
    assert claimpipe("work", "show", items.lines[0]["item_id"][:10], "--home", home).code == 0
    assert tree(home) == kept


def test_work_is_given_and_closed(tmp_path, extract):
    home = tmp_path / "home"
    # a register is enough here: coding leaves work before any payer is reached
    claimpipe("nightly", "--extract", extract, "--date", DAY, "--home", home, "--json")
    items = claimpipe("work", "list", "--each", "--home", home, "--json").lines
    item = items[0]["item_id"]
    ran = claimpipe("work", "assign", item[:12], "--to", "M. Adeyemi", "--home", home)
    assert (ran.code, ran.out) == (0, f"Item {item} belongs to M. Adeyemi.\n")
    assert claimpipe("work", "show", item, "--home", home, "--json").lines[0]["owner"] == "M. Adeyemi"
    empty = claimpipe("work", "resolve", item, "--note", " ", "--home", home)
    assert (empty.code, empty.err) == (
        2,
        "claimpipe: An item is closed with a note of what was done. Say it with --note.\n",
    )
    assert claimpipe("work", "resolve", item, "--note", "called", "--home", home).code == 0
    left = claimpipe("work", "list", "--each", "--home", home, "--json").lines
    assert {i["item_id"] for i in items} - {i["item_id"] for i in left} == {item}
    for command in (["show", "nothing"], ["assign", "nothing", "--to", "x"], ["resolve", "nothing", "--note", "x"]):
        ran = claimpipe("work", *command, "--home", home)
        assert ran.code == 2
        assert ran.sentence == "No work item begins with nothing. See `claimpipe work list --each` for the ids."
    ran = claimpipe("work", "show", "", "--home", home)
    assert (ran.code, ran.sentence[:27]) == (2, "No work item is named. Give")


# --- samples ----------------------------------------------------------------------------------------------------------


def test_sample_gives_the_same_bytes_for_the_same_seed(tmp_path):
    def make(name: str, seed: int, visits: int = 25) -> dict[str, str]:
        ran = claimpipe("sample", "--visits", visits, "--seed", seed, "--out", tmp_path / name)
        assert (ran.code, ran.err) == (0, "")
        assert ran.out == f"{visits} visits in {tmp_path / name}\n"
        return files(tmp_path / name)

    first = make("a", 7)
    assert make("b", 7) == first
    assert make("c", 8) != first
    manifest = json.loads((tmp_path / "a" / "manifest.json").read_text())
    assert manifest["tables"]["encounters"]["rows"] == 25
    assert manifest["synthetic"] is True


def test_sample_makes_the_kinds_that_are_asked_for(tmp_path):
    ran = claimpipe(
        "sample", "--visits", 20, "--seed", 1, "--kinds", "dental=3,institutional=1", "--out", tmp_path / "x"
    )
    assert ran.code == 0
    with (tmp_path / "x" / "encounters.csv").open(encoding="utf-8", newline="") as file:
        assert Counter(row["claim_type"] for row in csv.DictReader(file)) == {"dental": 15, "institutional": 5}
    ran = claimpipe("sample", "--visits", 20, "--seed", 1, "--kinds", "dentist", "--out", tmp_path / "y")
    assert ran.code == 2
    assert ran.sentence == (
        "--kinds cannot be read. There is no kind of visit 'dentist': they are professional, institutional, dental. "
        "For example professional,institutional=20."
    )
    assert not (tmp_path / "y").exists()


def test_sample_writes_into_nobodys_folder(tmp_path):
    (tmp_path / "used").mkdir()
    note = tmp_path / "used" / "note.txt"
    note.write_text("mine")
    for out in (tmp_path / "used", note):
        ran = claimpipe("sample", "--visits", 5, "--seed", 1, "--out", out)
        assert ran.code == 2
        assert ran.sentence == f"{out} is not an empty folder. Name a new folder after --out."
    assert files(tmp_path) == {"used/note.txt": hashlib.sha256(b"mine").hexdigest()}
    (tmp_path / "empty").mkdir()
    assert claimpipe("sample", "--visits", 5, "--seed", 1, "--out", tmp_path / "empty").code == 0
    assert claimpipe("sample", "--visits", 0, "--seed", 1, "--out", tmp_path / "x").code == 2
    blocked = claimpipe("sample", "--visits", 5, "--seed", 1, "--out", note / "below")
    assert blocked.code == 2
    assert "Not a directory" in blocked.sentence


# --- building ---------------------------------------------------------------------------------------------------------


def test_build_makes_the_nights_claims_into_files_that_are_valid(night, tmp_path, monkeypatch):
    home, _ = night
    monkeypatch.chdir(tmp_path)
    sent = [line for line in record(home) if line["payer"] == "medicare"]
    ran = claimpipe("build", "--claims", home / "lake", "--profile", "medicare", "--out", tmp_path / "out", "--date", DAY,
                    "--json")  # fmt: skip
    assert (ran.code, ran.err) == (0, "")
    assert [Path(made["path"]).name for made in ran.lines] == [
        "medicare_000000001.837",
        "medicare_000000002.837",
    ]  # P and I
    built = []
    for made in ran.lines:
        path = Path(made["path"])
        claims = read(path.read_bytes()).tables["837.claims"]
        assert made["claims"] == claims.num_rows
        assert sum(cents(charge) for charge in claims.column("charge").to_pylist()) == made["charge_cents"]
        built += claims.column("claim_id").to_pylist()
        assert claimpipe("validate", "--profile", "medicare", path).code == 0
        assert pyx12_errors(path.read_bytes()) == []
    assert sorted(built) == sorted(c["claim_id"] for line in sent for c in line["claims"])
    claimpipe("build", "--claims", home / "lake", "--profile", "medicare", "--out", tmp_path / "again", "--date", DAY)
    assert files(tmp_path / "again") == files(tmp_path / "out")
    assert not (tmp_path / ".claimpipe").exists()  # nothing is sent, so nothing is kept


def test_build_without_claims_or_profile(night, tmp_path, monkeypatch):
    home, _ = night
    monkeypatch.chdir(tmp_path)
    options = ["--out", tmp_path / "out"]
    ran = claimpipe("build", "--claims", home / "lake", "--profile", "nobody", *options)
    assert (ran.code, "There is no payer profile nobody" in ran.sentence) == (2, True)
    ran = claimpipe("build", "--claims", tmp_path, "--profile", "medicare", *options)
    assert (ran.code, "has no table coded_claims" in ran.sentence) == (2, True)
    ran = claimpipe("build", "--claims", home / "lake", "--profile", "cigna", *options)
    assert (ran.code, ran.err) == (0, f"There is no claim of cigna in {home}/lake.\n")
    (tmp_path / "file").write_text("")
    ran = claimpipe("build", "--claims", home / "lake", "--profile", "medicare", "--out", tmp_path / "file" / "x")
    assert (ran.code, "Choose another with --out" in ran.sentence) == (2, True)


# --- the payer in a box -----------------------------------------------------------------------------------------------


def test_payer_starts_and_stops(tmp_path, cold_start):
    home = tmp_path / "home"
    try:
        ran = claimpipe("payer", "start", "--home", home)
        assert ran.code == 0
        running = process.endpoint(settings.load(home))
        assert running is not None
        assert ran.out == f"The payer in a box listens on {running.host}:{running.port} (process {running.pid}).\n"
        assert claimpipe("payer", "start", "--home", home).out == ran.out  # it runs already
    finally:
        assert claimpipe("payer", "stop", "--home", home).out == "Stopped.\n"
    ran = claimpipe("payer", "stop", "--home", home)
    assert (ran.code, ran.out) == (0, "It was not running.\n")


def test_payer_refuses_faults_that_it_does_not_know(tmp_path):
    file = tmp_path / "faults.toml"
    for text, words in (
        (None, "cannot be read"),
        ("[[fault]]\nkind = 'rain'\n", "there is no kind 'rain'"),
        ("[", "not TOML"),
    ):
        if text is not None:
            file.write_text(text)
        for foreground in ([], ["--foreground"]):
            ran = claimpipe("payer", "start", "--faults", file, "--home", tmp_path / "home", *foreground)
            assert ran.code == 2
            assert words in ran.sentence


def test_payer_in_the_foreground_ends_with_sigterm(tmp_path):
    home = tmp_path / "home"
    command = [sys.executable, "-m", "pipeline.cli", "payer", "start", "--foreground", "--home", str(home)]
    box = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while process.endpoint(settings.load(home)) is None and time.monotonic() < deadline and box.poll() is None:
        time.sleep(0.02)
    running = process.endpoint(settings.load(home))
    assert running is not None
    assert running.pid == box.pid  # the command is the box: a container's stop reaches it
    second = subprocess.run(command, capture_output=True, text=True, check=False)
    assert second.returncode == 2
    assert "Another payer in a box runs in this folder." in second.stderr
    box.send_signal(signal.SIGTERM)
    out, err = box.communicate(timeout=60)
    assert (box.returncode, err) == (0, "")
    assert str(home) in out
    assert process.endpoint(settings.load(home)) is None
