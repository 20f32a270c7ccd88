"""Sweeping: what is taken, recorded and removed, and what stays."""

from __future__ import annotations

import os
from datetime import date, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from transport.batches import ON, open_work
from transport.server import SftpPayer

from pipeline.errors import Terminal
from pipeline.payers import Transport
from pipeline.settings import Settings
from pipeline.store import Store, behind
from pipeline.store import register as r
from pipeline.store.archive import sha256
from pipeline.transport import inbox

_SETS = {"FA": ("999", "005010X231A1"), "HP": ("835", "005010X221A1"), "HC": ("837", "005010X222A1")}


def answer(number: int = 1, group: str = "FA", body: str = "") -> bytes:
    """One interchange of one group with one set, whose inside does not matter here."""
    kind, guide = _SETS[group]
    return (
        f"ISA*00*          *00*          *ZZ*ACMERECEIVER   *ZZ*CLAIMPIPE      *261121*0300*^*00501*{number:09d}*0*T*:~"
        f"GS*{group}*ACMERECEIVER*CLAIMPIPE*20261121*0300*{number}*X*{guide}~"
        f"ST*{kind}*0001*{guide}~{body}SE*2*0001~GE*1*{number}~IEA*1*{number:09d}~"
    ).encode()


REMITTANCE = answer(2, "HP")
NACHA_HEADER = b"101 123456789 1234567892611210300A094101PAYER BANK             PRACTICE BANK".ljust(94)
NACHA = NACHA_HEADER + b"\n" + (b"9000001000001" + b"0" * 42).ljust(94) + b"\n" + (b"9" * 94 + b"\n") * 8
BAI2 = b"01,BANK,PRACTICE,261121,0300,1,80,,2/\n99,0,0,2/\n"


def files(store: Store) -> list[tuple[str, str, str]]:
    """(kind, state, reason), in order of kind and state."""
    with store.read() as c:
        f = r.files.c
        query = sa.select(f.kind, f.state, f.reason).where(f.direction == "in").order_by(f.kind, f.state, f.reason)
        return [tuple(row) for row in c.execute(query)]


def arrivals(store: Store) -> list[str]:
    with store.read() as c:
        return list(
            c.execute(sa.select(r.file_arrivals.c.remote_name).order_by(r.file_arrivals.c.remote_name)).scalars()
        )


def findings(store: Store) -> list[str]:
    with store.read() as c:
        return list(c.execute(sa.select(r.findings.c.rule).order_by(r.findings.c.rule)).scalars())


def test_files_are_archived_recorded_and_removed_in_the_order_of_their_names(store: Store, payer: SftpPayer) -> None:
    payer.put("b.txt", REMITTANCE)
    payer.put("a.835", answer())  # named like a remittance: content decides
    assert inbox.sweep(store, ON, "acme") == [sha256(answer()), sha256(REMITTANCE)]
    assert payer.offered == []
    assert files(store) == [("835", "archived", ""), ("999", "archived", "")]
    assert store.archive.get(sha256(REMITTANCE)) == REMITTANCE
    assert arrivals(store) == ["a.835", "b.txt"]


def test_an_empty_inbox_writes_nothing(store: Store, payer: SftpPayer, home: Path) -> None:
    payer.put("a", answer())
    inbox.sweep(store, ON, "acme")
    store.close()
    before = (home / "claimpipe.db").read_bytes()
    assert inbox.sweep(store, ON, "acme") == []
    store.close()
    assert (home / "claimpipe.db").read_bytes() == before


def test_the_same_bytes_under_two_names_are_one_file_that_arrived_twice(store: Store, payer: SftpPayer) -> None:
    payer.put("one", REMITTANCE)
    assert inbox.sweep(store, ON, "acme") == [sha256(REMITTANCE)]
    with store.begin() as c:
        c.execute(sa.update(r.files).values(state="processed"))
    payer.put("two", REMITTANCE)
    assert inbox.sweep(store, ON + timedelta(1), "acme") == []
    assert files(store) == [("835", "processed", "")]  # not worked again
    assert arrivals(store) == ["one", "two"]
    assert payer.offered == []


def test_the_archives_record_is_looked_through_once_a_run_and_again_after_a_sweep_that_broke_off(
    store: Store, payer: SftpPayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[str] = []
    monkeypatch.setattr(behind, "remember_received", lambda _, key: looks.append(key))
    for _ in range(3):
        inbox.sweep(store, ON, "acme")
    assert looks == ["acme"]
    payer.put("one", REMITTANCE)
    with monkeypatch.context() as patch:
        patch.setattr(inbox._Sweep, "_received", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            inbox.sweep(store, ON, "acme")
    inbox.sweep(store, ON, "acme")
    assert looks == ["acme", "acme"]


def test_twins_in_one_sweep_are_one_file(store: Store, payer: SftpPayer) -> None:
    payer.put("one", REMITTANCE)
    payer.put("two", REMITTANCE)
    assert inbox.sweep(store, ON, "acme") == [sha256(REMITTANCE)]
    assert arrivals(store) == ["one", "two"]
    assert payer.offered == []


@pytest.mark.parametrize("name", [".part-x.835", ".hidden", "x.835.filepart", "X.TMP", "~x"])
def test_temporary_names_are_not_taken(store: Store, payer: SftpPayer, name: str) -> None:
    payer.put(name, REMITTANCE)
    assert inbox.sweep(store, ON, "acme") == []
    assert payer.offered == [name]


def test_folders_and_links_are_not_followed(store: Store, payer: SftpPayer, tmp_path: Path) -> None:
    (payer.outbound / "folder").mkdir()
    (payer.outbound / "secret").symlink_to("/etc/hostname")
    (payer.outbound / "good").write_bytes(REMITTANCE)
    assert inbox.sweep(store, ON, "acme") == [sha256(REMITTANCE)]
    assert payer.offered == ["folder", "secret"]


def test_unknown_content_is_set_aside_for_a_person_and_neighbours_go_on(store: Store, payer: SftpPayer) -> None:
    payer.put("1", b"%PDF-1.7 a letter about Jane Q. Canary")
    payer.put("2", answer(9, "HC"))
    payer.put("3", REMITTANCE)
    assert len(inbox.sweep(store, ON, "acme")) == 3
    assert files(store) == [
        ("835", "archived", ""),
        ("837", "quarantined", "inbox.not_expected"),
        ("unknown", "quarantined", "inbox.unknown"),
    ]
    assert findings(store) == ["inbox.not_expected", "inbox.unknown"]
    assert open_work(store) == [("file", "inbox.not_expected"), ("file", "inbox.unknown")]
    assert payer.offered == []
    with store.read() as c:
        said = [
            *c.execute(sa.select(r.findings.c.message)).scalars(),
            *c.execute(sa.select(r.work_items.c.reason)).scalars(),
        ]
    assert "Canary" not in " ".join(said)


def test_one_poison_file_among_many_leaves_the_others_alone(store: Store, payer: SftpPayer) -> None:
    for number in range(1, 121):
        payer.put(f"{number:04d}", answer(number))
    payer.put("0060", os.urandom(5000))
    assert len(inbox.sweep(store, ON, "acme")) == 120
    assert [row[:2] for row in files(store)].count(("999", "archived")) == 119
    assert open_work(store) == [("file", "inbox.unknown")]
    assert payer.offered == []


def test_the_bank_is_swept_by_its_own_route(store: Store, settings: Settings, payer: SftpPayer) -> None:
    settings.bank = Transport(
        kind="sftp", host="127.0.0.1", port=payer.port, user="acme", known_hosts=str(payer.known_hosts),
        key_file=str(payer.key_file),
    )  # fmt: skip
    payer.put("x", NACHA)
    payer.put("y", BAI2)
    assert len(inbox.sweep(store, ON, "bank")) == 2
    assert files(store) == [("BAI2", "archived", ""), ("NACHA", "archived", "")]
    with store.read() as c:
        assert set(c.execute(sa.select(r.files.c.payer_key)).scalars()) == {"bank"}


def test_counts_of_the_date_are_recorded_from_the_register(store: Store, payer: SftpPayer) -> None:
    payer.put("1", answer())
    inbox.sweep(store, ON, "acme")
    payer.put("2", REMITTANCE)
    payer.put("3", b"???")
    inbox.sweep(store, ON, "acme")
    with store.read() as c:
        counts = c.execute(sa.select(r.stage_runs.c.counts).where(r.stage_runs.c.stage == "inbox")).scalar_one()
    assert counts == '{"arrivals": 3, "files": 3, "kind_835": 1, "kind_999": 1, "kind_unknown": 1, "quarantined": 1}'


def test_a_missing_outbound_folder_is_terminal(store: Store, payer: SftpPayer) -> None:
    payer.outbound.rmdir()
    with pytest.raises(Terminal, match="acme refused a listing: no such file or folder"):
        inbox.sweep(store, ON, "acme")


def test_a_file_that_may_not_be_removed_is_reported_and_not_worked_twice(store: Store, payer: SftpPayer) -> None:
    import asyncssh

    payer.put("1", REMITTANCE)
    payer.faults.refuse = {"remove": asyncssh.SFTPPermissionDenied}
    assert len(inbox.sweep(store, ON, "acme")) == 1
    assert inbox.sweep(store, ON, "acme") == []
    assert findings(store) == ["inbox.not_removed"]


def test_another_file_that_came_under_the_name_meanwhile_is_not_removed(
    store: Store, payer: SftpPayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    payer.put("1", REMITTANCE)
    record = inbox._Sweep._record

    def replaced(run: inbox._Sweep, batch: list[inbox._Taken]) -> None:
        record(run, batch)
        payer.put("1", answer(7) + answer(8))

    monkeypatch.setattr(inbox._Sweep, "_record", replaced)
    inbox.sweep(store, ON, "acme")
    assert payer.offered == ["1"]
    monkeypatch.undo()
    assert inbox.sweep(store, ON, "acme") == [sha256(answer(7) + answer(8))]


@pytest.mark.parametrize(
    ("name", "kept"),
    [("835 März.edi", "835 März.edi"), ("a%b\nc\x00", "a%25b%0Ac%00"), ("\udcff", "%FF"), ("x" * 255, "x" * 255)],
)
def test_recorded_names_are_printable(name: str, kept: str) -> None:
    assert inbox.recorded_name(name) == kept


def test_recorded_names_are_short_and_stay_distinct() -> None:
    first, second = inbox.recorded_name("x" * 5000 + "1"), inbox.recorded_name("x" * 5000 + "2")
    assert len(first) <= 255
    assert first != second


def test_a_date_belongs_to_the_night_not_to_the_clock(store: Store, payer: SftpPayer) -> None:
    payer.put("1", REMITTANCE)
    inbox.sweep(store, date(2020, 2, 29), "acme")
    with store.read() as c:
        assert c.execute(sa.select(r.files.c.logical_date)).scalar_one() == date(2020, 2, 29)
