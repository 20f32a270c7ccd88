"""Faults 7, 13, 24, 25 and a kill at every failure point of the inbox: I4, nothing lost, nothing taken in part."""

from __future__ import annotations

import errno
import io
import os
import tracemalloc
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from transport.batches import ON, open_work
from transport.killing import Runs
from transport.server import SftpPayer
from transport.test_transport_inbox import BAI2, NACHA, REMITTANCE, answer, arrivals, files, findings

from pipeline.errors import Transient
from pipeline.settings import Settings
from pipeline.store import Store
from pipeline.store import register as r
from pipeline.store.archive import sha256
from pipeline.transport import inbox, packages

# --- 7: growing or empty -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "rule"),
    [
        (b"", "inbox.empty"),
        (b"\r\n \n", "inbox.empty"),
        (REMITTANCE[:50], "inbox.no_iea"),
        (REMITTANCE[: REMITTANCE.index(b"IEA")], "inbox.no_iea"),
        (REMITTANCE[:-4], "inbox.no_iea"),
        (REMITTANCE + answer(3)[:150], "inbox.no_iea"),
        (NACHA[:95], "inbox.no_file_control"),
        (BAI2[:38], "inbox.no_trailer"),
        (BAI2[:-3], "inbox.no_trailer"),
    ],
)
def test_fault_7_an_unfinished_file_stays_and_is_a_persons_on_a_later_night(
    store: Store, payer: SftpPayer, part: bytes, rule: str
) -> None:
    payer.put("late.edi", part)
    payer.put("other.edi", answer())
    for _ in range(2):
        inbox.sweep(store, ON, "acme")
        assert payer.offered == ["late.edi"]
        assert [row[0] for row in files(store)] == ["999"]
        assert findings(store) == [rule]
        assert open_work(store) == []
    later = ON + timedelta(1)
    inbox.sweep(store, later, "acme")
    inbox.sweep(store, later, "acme")
    assert open_work(store) == [("file", rule)]
    whole = {b"0": BAI2, b"1": NACHA}.get(part[:1], REMITTANCE)
    payer.put("late.edi", whole)
    assert inbox.sweep(store, later, "acme") == [sha256(whole)]
    assert open_work(store) == []
    assert payer.offered == []


@pytest.mark.parametrize(
    "whole",
    [
        REMITTANCE[:-1],  # no last terminator, but all nine digits of IEA02
        REMITTANCE + b"\r\n\x1a",
        b"\xef\xbb\xbf" + REMITTANCE,
        REMITTANCE.replace(b"~", b"\n"),
        REMITTANCE.replace(b"~", b"~\r\n"),
        REMITTANCE.replace(b"*", b"|").replace(b"~", b"'"),
        REMITTANCE + answer(3),
    ],
)
def test_fault_7_unusual_but_whole_files_are_taken(store: Store, payer: SftpPayer, whole: bytes) -> None:
    payer.put("x", whole)
    assert inbox.sweep(store, ON, "acme") == [sha256(whole)]


def test_fault_7_a_file_that_grows_while_we_watch_is_left(
    store: Store, payer: SftpPayer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.inbox.stable_seconds = 0.01
    path = payer.put("grows", REMITTANCE)
    payer.put("rests", answer())
    sleep = inbox.time.sleep

    def more(seconds: float) -> None:
        sleep(seconds)
        path.write_bytes(REMITTANCE + answer(3))

    monkeypatch.setattr(inbox.time, "sleep", more)
    assert inbox.sweep(store, ON, "acme") == [sha256(answer())]
    assert payer.offered == ["grows"]
    assert findings(store) == ["inbox.growing"]
    monkeypatch.undo()
    assert inbox.sweep(store, ON, "acme") == [sha256(REMITTANCE + answer(3))]


def test_fault_7_a_file_that_grew_between_listing_and_download_is_left(
    store: Store, payer: SftpPayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    payer.put("grows", REMITTANCE)
    candidates = inbox._Sweep._candidates

    def grown(run: inbox._Sweep, session: Any) -> Any:
        listed = candidates(run, session)
        payer.put("grows", REMITTANCE + answer(3))
        return listed

    monkeypatch.setattr(inbox._Sweep, "_candidates", grown)
    assert inbox.sweep(store, ON, "acme") == []
    assert payer.offered == ["grows"]
    assert files(store) == []


def test_a_file_beyond_the_limit_is_left_and_reported(store: Store, payer: SftpPayer, settings: Settings) -> None:
    settings.inbox.max_file_bytes = 1000
    payer.put("big", answer(1, body="NTE*ADD*X~" * 200))
    assert inbox.sweep(store, ON, "acme") == []
    assert findings(store) == ["inbox.too_large"]
    assert payer.offered == ["big"]


# --- the link breaks ---------------------------------------------------------------------------------------------------


def test_a_link_lost_between_two_files_loses_and_doubles_nothing(store: Store, payer: SftpPayer) -> None:
    for number in range(1, 4):
        payer.put(f"{number}", answer(number))
    payer.faults.cut_download_after = 2
    assert inbox.sweep(store, ON, "acme") == [sha256(answer(n)) for n in range(1, 4)]
    assert len(arrivals(store)) == 3
    assert payer.offered == []


# --- 13: the disk is full, or breaks -----------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_fault_13_a_disk_that_refuses_leaves_the_remote_file(
    store: Store, payer: SftpPayer, monkeypatch: pytest.MonkeyPatch, number: int, call: str, home: Path
) -> None:
    payer.put("1", REMITTANCE)

    def refuse(*_arguments: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(f"pipeline.store.archive.os.{call}", refuse)
    with pytest.raises(Transient, match="refused a file"):
        inbox.sweep(store, ON, "acme")
    assert payer.offered == ["1"]
    assert files(store) == []
    assert [p for p in (home / "archive").rglob("*") if p.is_file()] == []
    monkeypatch.undo()
    assert inbox.sweep(store, ON, "acme") == [sha256(REMITTANCE)]
    assert payer.offered == []


def test_fault_13_a_register_that_cannot_be_written_leaves_the_remote_file(
    store: Store, payer: SftpPayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    payer.put("1", REMITTANCE)

    @sa.event.listens_for(store.engine, "begin")
    def full(connection: sa.Connection) -> None:
        connection.exec_driver_sql("PRAGMA max_page_count=1")  # SQLite's own way to be full: no page more than now

    body = "x" * 200_000
    monkeypatch.setattr(inbox, "recorded_name", lambda _name: body)
    with pytest.raises(Transient, match="disk is full"):
        inbox.sweep(store, ON, "acme")
    assert payer.offered == ["1"]
    assert files(store) == []


# --- 23: large files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "in a zip"])
def test_fault_23_a_large_file_is_swept_in_bounded_memory(store: Store, payer: SftpPayer, packed: bool) -> None:
    """32 MB are fetched, hashed, archived, told by kind and looked at to the end in a third of their size."""
    body = "NTE*ADD*" + "X" * 72 + "~"
    large = answer(4, "HP", body * (32_000_000 // len(body)))
    file = zipped({"era": large}, zipfile.ZIP_STORED) if packed else large
    payer.put("large", file)
    expected = sha256(large)
    size = len(large)
    del large, file
    tracemalloc.start()
    try:
        new = inbox.sweep(store, ON, "acme")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert expected in new
    assert payer.offered == []
    assert ("835", "archived", "") in files(store)
    assert peak < size / 3, f"{peak:,} bytes"


# --- 24: packages ------------------------------------------------------------------------------------------------------


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as package:
        for name, data in members.items():
            package.writestr(zipfile.ZipInfo(name), data, method)
    return buffer.getvalue()


def _patched(package: bytes, local: int, central: int, value: int) -> bytes:
    """A number of two bytes changed in the local and in the central header of a zip of one member."""
    data = bytearray(package)
    for start, offset in ((data.find(b"PK\x03\x04"), local), (data.find(b"PK\x01\x02"), central)):
        data[start + offset : start + offset + 2] = value.to_bytes(2, "little")
    return bytes(data)


def method_of(package: bytes, method: int) -> bytes:
    return _patched(package, 8, 10, method)


def corrupt(package: bytes) -> bytes:
    """The packed bytes of the first member made into nonsense."""
    return package[:32] + b"\xff" * 20 + package[52:]


def flags_of(package: bytes, flags: int) -> bytes:
    return _patched(package, 6, 8, flags)


def test_fault_24_an_honest_zip_gives_its_files(store: Store, payer: SftpPayer) -> None:
    package = zipped({"b/era.835": REMITTANCE, "a.txt": answer(), "c": b"a letter"})
    payer.put("x.zip", package)
    assert inbox.sweep(store, ON, "acme") == [sha256(d) for d in (package, answer(), REMITTANCE, b"a letter")]
    assert files(store) == [
        ("835", "archived", ""), ("999", "archived", ""), ("unknown", "quarantined", "inbox.unknown"),
        ("zip", "processed", ""),
    ]  # fmt: skip
    assert arrivals(store) == ["x.zip", "x.zip!a.txt", "x.zip!b/era.835", "x.zip!c"]
    assert payer.offered == []


@pytest.mark.parametrize(
    ("package", "reason"),
    [
        (zipped({"bomb": b"0" * 50_000_000}), "too_large_unpacked"),
        (zipped({"in.zip": zipped({"x": REMITTANCE})}), "nested"),
        (zipped({"../../etc/cron.d/x": REMITTANCE}), "names_leave_the_folder"),
        (zipped({"/etc/x": REMITTANCE}), "names_leave_the_folder"),
        (zipped({"C:\\x": REMITTANCE}), "names_leave_the_folder"),
        (zipped({f"{n}": b"x" for n in range(1001)}), "too_many_entries"),
        (zipped({}), "empty"),
        (zipped({"x": REMITTANCE})[:-30], "damaged"),
        (zipped({"x": os.urandom(2000)}).replace(b"\x00", b"\x01", 60), "damaged"),
        (b"\x1f\x8b" + b"\x00" * 100, "gzip"),
        (corrupt(zipped({"x": REMITTANCE}, zipfile.ZIP_LZMA)), "damaged"),
        (method_of(zipped({"x": REMITTANCE}), 97), "packed_in_an_unknown_way"),
        (method_of(zipped({"x": REMITTANCE}), 14), "damaged"),
        (method_of(zipped({"x": REMITTANCE}), 12), "damaged"),
        (flags_of(zipped({"x": REMITTANCE}), 0x1), "encrypted"),
        (flags_of(zipped({"x": REMITTANCE}), 0x40), "encrypted"),
    ],
)
def test_fault_24_a_hostile_zip_is_refused_whole(
    store: Store, payer: SftpPayer, package: bytes, reason: str, tmp_path: Path
) -> None:
    before = {p for p in tmp_path.rglob("*") if "archive" not in p.parts}
    payer.put("x.zip", package)
    payer.put("y", REMITTANCE)
    inbox.sweep(store, ON, "acme")
    assert files(store) == [("835", "archived", ""), ("zip", "quarantined", f"inbox.zip_{reason}")]
    assert open_work(store) == [("file", f"inbox.zip_{reason}")]
    made = {p.name for p in tmp_path.rglob("*") if "archive" not in p.parts} - {p.name for p in before}
    assert made <= {"claimpipe.db-wal", "claimpipe.db-shm"}


def unpacked(data: bytes, **caps: int) -> list[tuple[str, bytes]]:
    package = packages.Package(io.BytesIO(data), len(data), **caps)
    return [(name, b"".join(pieces)) for name, pieces in package.members()]


def test_fault_24_the_cap_counts_bytes_that_came_out_not_what_the_header_says() -> None:
    package = zipped({"x": b"0" * 1_000_000})
    with pytest.raises(packages.PackageRefused, match="too_large_unpacked"):
        unpacked(package)
    assert unpacked(zipped({"x": REMITTANCE * 50}), max_bytes=len(REMITTANCE) * 50)[0][1] == REMITTANCE * 50
    with pytest.raises(packages.PackageRefused, match="too_large_unpacked"):
        unpacked(zipped({"x": REMITTANCE * 50}), max_bytes=len(REMITTANCE) * 50 - 1)


# --- 25: names ---------------------------------------------------------------------------------------------------------


def test_fault_25_odd_names_are_kept_under_our_own_id(store: Store, payer: SftpPayer, home: Path) -> None:
    names = [
        "..\\..\\x",
        "%2e%2e%2fx",
        "a\nb",
        "x" * 255,
        "-rf",
        "$(touch pwned)",
        "Ä\u202eedi.exe",
        "'; DROP TABLE files",
    ]
    for number, name in enumerate(names, 1):
        payer.put(name, answer(number))
    raw = os.fsencode(str(payer.outbound)) + b"/\xff\xfe.edi"  # not UTF-8
    with open(raw, "wb") as file:
        file.write(answer(99))
    assert len(inbox.sweep(store, ON, "acme")) == len(names) + 1
    assert payer.offered == []
    kept = sorted(p.name for p in (home / "archive").rglob("*") if p.is_file())
    expected = [sha256(answer(n)) for n in [*range(1, len(names) + 1), 99]]
    assert kept == sorted(
        [*expected, *(f"{name}.json" for name in expected)]
    )  # the bytes, and the record that they came
    assert all(name.isprintable() for name in arrivals(store))
    assert "%FF%FE.edi" in arrivals(store)


@pytest.mark.parametrize("name", [b"../../x", b"/etc/passwd", b"a/b", b"nul\x00name", b"..", b""])
def test_fault_25_names_that_lead_out_are_never_followed(
    store: Store, payer: SftpPayer, name: bytes, tmp_path: Path
) -> None:
    (payer.root / "x").write_bytes(REMITTANCE)
    (payer.root.parent / "x").write_bytes(REMITTANCE)
    payer.put("good", answer())
    payer.faults.extra_names = [name]
    assert inbox.sweep(store, ON, "acme") == [sha256(answer())]
    assert payer.offered == []
    assert (payer.root / "x").exists()
    assert set(findings(store)) <= {"inbox.strange_name"}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["home", "payer", "profiles"]


def test_fault_25_a_name_of_five_kilobytes_harms_nothing(store: Store, payer: SftpPayer) -> None:
    payer.faults.extra_names = [b"n" * 5000]
    payer.put("good", answer())
    assert inbox.sweep(store, ON, "acme") == [sha256(answer())]
    with store.read() as c:
        subjects = list(c.execute(sa.select(r.findings.c.subject)).scalars())
    assert all(len(s) < 64 for s in subjects)


# --- 1, of this stage: a kill at every failure point -------------------------------------------------------------------


def test_fault_1_a_kill_at_every_point_of_the_inbox_loses_and_doubles_nothing(
    store: Store, payer: SftpPayer, tmp_path: Path, home: Path
) -> None:
    store.close()
    with Runs(home, tmp_path / "profiles", tmp_path / "points") as runs:
        for point in range(1, 200):
            pair = [answer(2 * point), answer(2 * point + 1)]
            for number, data in enumerate(pair):
                payer.put(f"{point}-{number}", data)
            died = runs.killed_at(point, "sweep", ON.isoformat())
            with store.read() as c:
                known = set(c.execute(sa.select(r.files.c.file_id)).scalars())
            for number, data in enumerate(pair):  # I4: what is gone from the server is archived and recorded
                if f"{point}-{number}" not in payer.offered:
                    assert sha256(data) in known
                    assert store.archive.get(sha256(data)) == data
            store.close()
            if not died:
                break
            inbox.sweep(store, ON, "acme")
            assert payer.offered == []
            store.close()
        assert not died
        assert {"inbox.before_record", "inbox.before_remove", "archive.after_write"} <= runs.points
    assert len(files(store)) == 2 * point
    assert len(arrivals(store)) == 2 * point
