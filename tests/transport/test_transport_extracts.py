"""Extracts that stand elsewhere: fetched whole or not at all, with the host key pinned, and no copy left behind."""

from __future__ import annotations

import zipfile
from datetime import date
from pathlib import Path

import fsspec
import pytest
from transport.server import SftpPayer

from pipeline.errors import Terminal, Transient
from pipeline.payers import Transport
from pipeline.settings import Settings
from pipeline.transport import extracts
from pipeline.transport.sftp import SftpSession

ON = date(2026, 11, 20)


def fetched(settings: Settings, place: str) -> dict[str, bytes]:
    with extracts.at_hand(settings, place, ON) as path:
        files = [path] if path.is_file() else sorted(path.iterdir())
        return {file.name: file.read_bytes() for file in files}


def nothing_left(settings: Settings) -> bool:
    return not settings.home.exists() or not list(settings.home.glob("extract-*"))


def test_a_path_is_used_where_it_stands(settings: Settings, tmp_path: Path):
    (tmp_path / "2026-11-20").mkdir()
    with extracts.at_hand(settings, f"{tmp_path}/{{date}}", ON) as path:
        assert path == tmp_path / "2026-11-20"
    with pytest.raises(Terminal, match="does not exist"), extracts.at_hand(settings, str(tmp_path / "none"), ON):
        pass


@pytest.fixture
def practice(settings: Settings, payer: SftpPayer) -> SftpPayer:
    settings.practice = Transport(
        kind="sftp", host="127.0.0.1", port=payer.port, user=payer.user, known_hosts=str(payer.known_hosts),
        key_file=str(payer.key_file),
    )  # fmt: skip
    (payer.outbound / "a.hl7").write_bytes(b"MSH|")
    (payer.outbound / "b.hl7").write_bytes(b"x" * 200_000)
    return payer


def test_a_folder_of_the_practices_server(settings: Settings, practice: SftpPayer):
    assert fetched(settings, "sftp:/outbound") == {"a.hl7": b"MSH|", "b.hl7": b"x" * 200_000}
    assert fetched(settings, "sftp:/outbound/a.hl7") == {"a.hl7": b"MSH|"}
    assert nothing_left(settings)
    assert sorted(p.name for p in practice.outbound.iterdir()) == ["a.hl7", "b.hl7"]


def test_a_link_that_breaks_is_tried_again(settings: Settings, practice: SftpPayer):
    settings.transport.backoff_seconds = 0.01
    practice.faults.cut_download_after = 1
    assert len(fetched(settings, "sftp:/outbound")) == 2


def test_a_host_key_that_is_not_pinned_fetches_nothing(settings: Settings, practice: SftpPayer):
    practice.known_hosts.write_text("")
    with pytest.raises(Terminal, match="not pinned"):
        fetched(settings, "sftp:/outbound")
    assert nothing_left(settings)


def test_a_folder_that_is_not_there(settings: Settings, practice: SftpPayer):
    with pytest.raises(Terminal, match="no such file"):
        fetched(settings, "sftp:/elsewhere")


def test_names_that_lead_out_of_the_folder_are_refused(settings: Settings, practice: SftpPayer):
    practice.faults.extra_names = [b"..\\x.hl7"]
    with pytest.raises(Terminal, match="unusable name"):
        fetched(settings, "sftp:/outbound")


def test_sftp_by_address_would_trust_any_host_key(settings: Settings):
    with pytest.raises(Terminal, match="sftp:FOLDER"):
        fetched(settings, "sftp://somewhere/out")


def test_any_store_of_fsspec(settings: Settings, tmp_path: Path):
    store = fsspec.filesystem("memory")
    store.pipe("/extracts/2026-11-20/a.ndjson", b"{}")
    assert fetched(settings, "memory://extracts/{date}") == {"a.ndjson": b"{}"}
    assert fetched(settings, "memory://extracts/{date}/a.ndjson") == {"a.ndjson": b"{}"}
    with pytest.raises(Terminal, match="not there"):
        fetched(settings, "memory://nowhere/{date}")
    with pytest.raises(Terminal, match="cannot be opened"):
        fetched(settings, "nosuch://x/y")
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "a.hl7").write_bytes(b"MSH")
    assert fetched(settings, f"file://{tmp_path}/f") == {"a.hl7": b"MSH"}
    assert nothing_left(settings)


def test_what_a_store_cannot_read_is_no_defect(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "f.zip").write_bytes(b"no archive")
    with pytest.raises(Terminal, match=r"from its store \(BadZipFile\)"):
        fetched(settings, f"zip:///::{tmp_path}/f.zip")
    with zipfile.ZipFile(tmp_path / "g.zip", "w") as archive:
        archive.writestr("a.hl7", "MSH")
    assert fetched(settings, f"zip:///::{tmp_path}/g.zip") == {"a.hl7": b"MSH"}
    monkeypatch.setattr(extracts, "MOST_BYTES", 2)  # what an archive unpacks to is known before it is unpacked
    with pytest.raises(Terminal, match="has 3 bytes"):
        fetched(settings, f"zip:///::{tmp_path}/g.zip")

    def forbidden(*_: object, **__: object) -> None:
        raise PermissionError("a name")

    monkeypatch.setattr(type(fsspec.filesystem("memory")), "info", forbidden)
    with pytest.raises(Terminal, match="does not let us"):
        fetched(settings, "memory://extracts")
    assert nothing_left(settings)


def test_a_file_that_still_grows_is_taken_next_time(
    settings: Settings, practice: SftpPayer, monkeypatch: pytest.MonkeyPatch
):
    entry = SftpSession.entry

    def growing(self: SftpSession, path: str):
        if path.endswith("b.hl7"):
            with (practice.outbound / "b.hl7").open("ab") as file:
                file.write(b"more")
        return entry(self, path)

    monkeypatch.setattr(SftpSession, "entry", growing)
    with pytest.raises(Transient, match="still being written"):
        fetched(settings, "sftp:/outbound")
    assert nothing_left(settings)
