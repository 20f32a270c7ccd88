"""A night that cannot run ends in one sentence and exit code 2; when the cause is gone the same command completes it.

Each test runs the real command against the real payer in a box. After the cause is removed the proof closes, the payer's own
record holds nothing twice, and every visit of the extract is in the books once.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import asyncssh
import pytest
import warm_processes
from cli import extracts_on_disk as extracts
from cli.commands import Ran, claimpipe
from night.nights import assert_nothing_twice, record, tree
from remembered import read_once

from pipeline import settings
from pipeline.payer_simulator import process

pytestmark = pytest.mark.slow

VISITS = 30
DAY = extracts.ON.isoformat()


@pytest.fixture(scope="module", autouse=True)
def _read_once() -> Iterator[None]:
    with read_once():
        yield


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return extracts.make(tmp_path_factory.mktemp("extract") / "good", VISITS)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLAIMPIPE_TRANSPORT__BACKOFF_SECONDS", "0.01")
    monkeypatch.setenv("CLAIMPIPE_TRANSPORT__TIMEOUT_SECONDS", "5")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    home = tmp_path / "home"
    yield home
    if home.is_dir():
        process.stop(settings.load(home))


def nightly(home: Path, extract: Path, *options: object) -> Ran:
    ran = claimpipe("nightly", "--extract", extract, "--date", DAY, "--home", home, "--json", *options)
    assert extracts.CANARY not in ran.out + ran.err
    return ran


def refused(ran: Ran, *words: str) -> str:
    """It said one sentence with these words, on stderr alone, and exit code 2."""
    assert ran.code == 2
    sentence = ran.sentence
    assert ran.out == ""
    for word in words:
        assert word in sentence
    return sentence


def troubled(ran: Ran, *words: str) -> None:
    """Part of the night went on; each trouble is one sentence. A summary stands on stdout as ever."""
    assert ran.code == 2
    assert ran.err
    for line in ran.err.splitlines():
        assert line.startswith("claimpipe: ")
        assert "a defect" not in line
    for word in words:
        assert word in ran.err
    assert ran.lines[-1]["troubles"]


def completes(home: Path, extract: Path, *, twice: bool = False) -> None:
    """The same command now does the whole night; run `twice` it changes nothing more."""
    ran = nightly(home, extract)
    assert (ran.code, ran.err) == (0, "")
    last = ran.lines[-1]
    assert last["troubles"] == []
    assert last["proof"]["closes"]
    assert last["proof"]["residue_cents"] == 0
    assert sum(state["count"] for state in last["proof"]["states"]) == VISITS
    assert record(home), "nothing reached the payer"
    assert_nothing_twice(home)
    if not twice:
        return
    received, kept = record(home), tree(home)
    assert nightly(home, extract).code == 0
    assert (record(home), tree(home)) == (received, kept)


# --- the extract ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (extracts.without_column, ["encounters.csv has no column billing_npi.", "docs/extracts.md"]),
        (extracts.without_rows, ["encounters.csv holds no visit.", "Check the export"]),
        (extracts.without_bytes, ["encounters.csv is empty", "Export it again"]),
        (extracts.without_file, ["has no services.csv", "Nothing of the extract was taken in"]),
        (extracts.lost_row, ["encounters.csv holds 29 rows, but the manifest says 30", "export again"]),
        (extracts.other_charges, ["add up to", "but the manifest says 99,999.99", "export again"]),
        (extracts.no_manifest_json, ["manifest.json is not JSON", "docs/extracts.md"]),
        (extracts.no_extract, ["holds no extract that claimpipe knows", "docs/extracts.md"]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_an_extract_that_is_no_good(tmp_path, home, good, damage, words):
    bad = extracts.copy(good, tmp_path / "bad", damage)
    refused(nightly(home, bad), *words)
    assert record(home) == []
    with closing(sqlite3.connect(home / "claimpipe.db")) as database:
        for table in ("encounters", "imports", "work_items", "stage_runs"):
            assert database.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)


def test_after_a_bad_extract_the_mended_one_is_taken_in(tmp_path, home, good):
    place = tmp_path / "extract"
    for damage in (extracts.lost_row, extracts.without_column):
        refused(nightly(home, extracts.copy(good, place, damage)))
        shutil.rmtree(place)
    shutil.copytree(good, place)
    completes(home, place)


def test_an_extract_that_is_not_there(tmp_path, home, good):
    refused(nightly(home, tmp_path / "nowhere"), f"{tmp_path}/nowhere does not exist.", "--extract")
    refused(nightly(home, good / "encounters.csv"), "is a file.", "Give the folder")
    refused(nightly(home, good, "--format", "fhir"), "has no file of the format fhir", "--extract")
    refused(nightly(home, good, "--format", "parquet"), "has no encounters.parquet")


# --- arguments and settings -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("day", ["2026-11-31", "20261120", "yesterday", ""])
def test_a_bad_date(home, good, day):
    ran = claimpipe("nightly", "--extract", good, "--home", home, "--date", day)
    refused(ran, "Invalid value for --date", "YYYY-MM-DD", "claimpipe nightly --help")
    assert not home.exists()


def test_a_bad_format(home, good):
    refused(nightly(home, good, "--format", "xml"), "'xml' is not one of 'auto', 'csv'", "claimpipe nightly --help")
    assert not home.exists()


def test_misspelt_settings(home, good, monkeypatch):
    monkeypatch.setenv("CLAIMPIPE_PAYER_BOX__SEEDS", "3")
    refused(nightly(home, good), "CLAIMPIPE_PAYER_BOX__SEEDS is no setting.", "docs/settings.md")
    monkeypatch.delenv("CLAIMPIPE_PAYER_BOX__SEEDS")
    monkeypatch.setenv("CLAIMPIPE_TIMEZONE", "Mars/Olympus")
    refused(nightly(home, good), "Mars/Olympus is not known.", "America/New_York")
    monkeypatch.delenv("CLAIMPIPE_TIMEZONE")
    monkeypatch.setenv("CLAIMPIPE_PAYER_BOX__FAULTS", "nowhere.toml")
    refused(nightly(home, good), "nowhere.toml cannot be read")
    monkeypatch.delenv("CLAIMPIPE_PAYER_BOX__FAULTS")
    home.mkdir(exist_ok=True)
    file = home / "claimpipe.toml"
    for text, words in (
        ("[payer_box]\nseeds = 3\n", "payer_box.seeds: there is no such setting"),
        ("[payer_box\n", "is not TOML"),
        ('[submitter]\nusage = "X"\n', "submitter.usage"),
        ('[store]\nurl = "postgresql://u:secret@h/d"\n', "holds a database password"),
    ):
        file.write_text(text)
        sentence = refused(nightly(home, good), words, str(file))
        assert "secret" not in sentence
    file.unlink()
    completes(home, good)


# --- the home and the register ----------------------------------------------------------------------------------------


def test_a_home_that_is_a_file(tmp_path, good):
    home = tmp_path / "home"
    home.write_text("")
    refused(nightly(home, good), f"The home folder {home} cannot be used (it is a file).", "--home")
    refused(nightly(home / "below", good), "cannot be used (Not a directory)")
    for command in ("prove", "work list"):
        refused(claimpipe(*command.split(), "--home", home), "There is no register in", "claimpipe nightly")
    home.unlink()
    completes(home, good)
    process.stop(settings.load(home))


def test_a_home_that_may_not_be_written(home, good):
    """In a process of its own: root has to give up its right to write everywhere."""
    home.mkdir()
    home.chmod(0o500)
    ran = in_a_process(home, good, without_privileges=True)
    refused(ran, "cannot be used (Permission denied)", "--home")
    home.chmod(0o700)
    completes(home, good)


def test_a_register_that_is_no_database(home, good):
    completes(home, good)
    database = home / "claimpipe.db"
    backup = database.read_bytes()
    for broken in (b"this is no database " * 300, backup[:4096] + os.urandom(8192) + backup[12288:]):
        database.write_bytes(broken)
        refused(
            nightly(home, good), f"The register {database} is damaged or no database.", "Restore it from its backup"
        )
        refused(claimpipe("prove", "--home", home), f"The register {database} is damaged")
    database.write_bytes(backup)
    completes(home, good)


def test_a_register_of_a_newer_version(home, good):
    completes(home, good)
    database = home / "claimpipe.db"
    with sqlite3.connect(database) as connection:
        [(version,)] = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    connection.close()
    _sql(database, "UPDATE alembic_version SET version_num = '9999'")
    before = tree(home)
    for ran in (nightly(home, good), claimpipe("prove", "--home", home), claimpipe("work", "list", "--home", home)):
        refused(ran, f"The register {database} is of a newer version of claimpipe", "Use that version")
    assert tree(home) == before
    _sql(database, f"UPDATE alembic_version SET version_num = '{version}'")
    completes(home, good)


def _sql(database: Path, statement: str) -> None:
    connection = sqlite3.connect(database)
    with connection:
        assert connection.execute(statement).rowcount == 1
    connection.close()


# --- the disk ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kilobytes", [8, 400])
def test_a_file_system_that_takes_no_more(home, good, kilobytes):
    """No file may grow beyond a limit: the kernel refuses the write, wherever in the night it comes."""
    ran = in_a_process(home, good, kilobytes=kilobytes)
    assert ran.code == 2
    assert "Free some space" in ran.err
    assert_sentences(ran)
    completes(home, good, twice=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
@pytest.mark.parametrize("kilobytes", [40, 1200, 1800])
def test_a_full_disk(tmp_path, good, kilobytes):
    """A disk of that size holds register, archive, lake, reports, and the payer's own house: it fills up in all of them."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", disk], capture_output=True)
    if mounted.returncode:
        pytest.skip("mount is not allowed here")
    home = disk / "home"
    try:
        ran = in_a_process(home, good)
        assert ran.code == 2
        assert "Free some space" in ran.err
        assert_sentences(ran)
        subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
        completes(home, good, twice=True)
    finally:
        if home.is_dir():
            process.stop(settings.load(home))
        subprocess.run(["umount", "--lazy", disk], check=True)


def assert_sentences(ran: Ran) -> None:
    for line in ran.err.splitlines():
        assert line.startswith("claimpipe: ")
        assert "a defect" not in line
        assert extracts.CANARY not in line


def in_a_process(home: Path, extract: Path, *, kilobytes: int = 0, without_privileges: bool = False) -> Ran:
    command = [sys.executable, "-m", "pipeline.cli", "nightly", "--extract", str(extract), "--date", DAY, "--home",
               str(home), "--json"]  # fmt: skip
    if without_privileges and os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("root may write everywhere, and setpriv is not here to take that away")
        command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner", *command]
    # a payer in a box whose own disk is full never answers
    environment = os.environ | {"CLAIMPIPE_INBOX__WAIT_SECONDS": "10"}
    done = warm_processes.run(command, env=environment, file_limit=kilobytes * 1024)
    return Ran(done.returncode, done.stdout, done.stderr)


# --- the payer --------------------------------------------------------------------------------------------------------


def test_a_host_key_that_changed(home, good):
    """The pinned key is another one than the server shows: not a byte goes out, and nothing comes in."""
    process.start(settings.load(home))
    pinned = home / "payer_in_a_box" / "known_hosts"
    right = pinned.read_text()
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().split()[:2]
    pinned.write_text(" ".join([right.split()[0], *other]) + "\n")
    troubled(nightly(home, good), "The host key of medicare is not the pinned one; nothing was sent.", "Ask the payer")
    assert record(home) == []
    pinned.write_text(f"[127.0.0.1]:1 {' '.join(other)}\n")
    troubled(nightly(home, good), "The host key of medicare is not pinned; nothing was sent.")
    assert record(home) == []
    pinned.write_text(right)
    completes(home, good, twice=True)


def test_a_payer_that_refuses_the_login(home, good, tmp_path, monkeypatch):
    faults = tmp_path / "faults.toml"
    faults.write_text('[[fault]]\nkind = "refuse_login"\ntimes = 0\npayer = "medicare"\n')
    monkeypatch.setenv("CLAIMPIPE_PAYER_BOX__FAULTS", str(faults))
    ran = nightly(home, good)
    troubled(ran, "medicare refused the login", "Check the user and its key or password")
    assert {line["payer"] for line in record(home)} >= {"harbor", "medicaid"}  # its neighbours were served
    assert "medicare" not in {line["payer"] for line in record(home)}
    monkeypatch.delenv("CLAIMPIPE_PAYER_BOX__FAULTS")
    completes(home, good)
    assert "medicare" in {line["payer"] for line in record(home)}


@pytest.fixture
def dead_port() -> Iterator[int]:
    """A port where nobody listens: it is held, so that nobody else begins to."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def test_a_payer_that_is_down(home, good, tmp_path, monkeypatch, dead_port):
    """One payer's own server does not answer; the others are served. It comes up, and the same command goes on."""
    profiles = tmp_path / "payers"
    shutil.copytree(Path(__file__).resolve().parents[2] / "schemas" / "payers", profiles)
    endpoint = process.start(settings.load(home))
    other_key = tmp_path / "known_hosts"
    host_key = endpoint.known_hosts.read_text().split(None, 1)[1]
    other_key.write_text(f"[127.0.0.1]:{dead_port} {host_key}[127.0.0.1]:{endpoint.port} {host_key}")
    profile = profiles / "medicare.toml"
    down = (
        f'\n[transport]\nkind = "sftp"\nhost = "127.0.0.1"\nport = {dead_port}\nuser = "medicare"\n'
        f'known_hosts = "{other_key}"\nkey_file = "{endpoint.client_key}"\n'
    )
    assert "[transport]" not in profile.read_text()
    profile.write_text(profile.read_text() + down)
    monkeypatch.setenv("CLAIMPIPE_PAYERS_DIR", str(profiles))
    troubled(
        nightly(home, good), "The link to medicare was lost while connecting", "ask the payer whether its server is up"
    )
    assert {line["payer"] for line in record(home)} == {"harbor", "medicaid", "meridian"}
    profile.write_text(profile.read_text().replace(f"port = {dead_port}", f"port = {endpoint.port}"))
    from pipeline import payers

    payers._load.cache_clear()  # a new process would read it anew
    ran = nightly(home, good)
    assert (ran.code, ran.err) == (0, "")
    assert_nothing_twice(home)
    assert {line["payer"] for line in record(home)} == {"harbor", "medicaid", "meridian", "medicare"}
    payers._load.cache_clear()


def test_ctrl_c_in_the_middle_of_a_night(home, good):
    """Stopped by a person while files are at the payer: said so, the payer in a box stopped with it, nothing lost."""
    night = warm_processes.Popen(
        [sys.executable, "-m", "pipeline.cli", "nightly", "--extract", str(good), "--date", DAY, "--home", str(home)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not record(home) and time.monotonic() < deadline and night.poll() is None:
        time.sleep(0.01)
    night.send_signal(signal.SIGINT)
    _, err = night.communicate(timeout=60)
    assert night.returncode == 130
    assert err == "claimpipe: stopped. Nothing was lost; run the same command again.\n"
    assert process.endpoint(settings.load(home)) is None
    completes(home, good)
