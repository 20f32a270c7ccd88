"""Sending without faults, and the configuration that stops it. Faults stand in tests/faults."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from transport.batches import ON, claim_states, open_work, sending_states, waiting
from transport.conftest import write_profile
from transport.server import SftpPayer

from pipeline.errors import Terminal, Transient
from pipeline.store import Store
from pipeline.store import register as r
from pipeline.transport import sending


def test_each_file_reaches_the_payer_once_and_its_claims_are_sent(store: Store, payer: SftpPayer) -> None:
    files = [waiting(store, 1), waiting(store, 2, claims=3, padding=5000)]
    assert sending.send(store, ON, "acme") == {
        "files": 2, "claims": 5, "charge_cents": 50_000, "unknown": 0, "waiting": 0,
    }  # fmt: skip
    assert payer.delivered == files
    assert payer.temporaries == []
    assert sending_states(store) == {"000000001": "verified", "000000002": "verified"}
    assert claim_states(store) == ["sent"]


def test_a_second_run_sends_nothing_and_changes_no_byte(store: Store, payer: SftpPayer, home: Path) -> None:
    waiting(store)
    sending.send(store, ON, "acme")
    payer.sweep()
    store.close()
    before = (home / "claimpipe.db").read_bytes()
    logins = payer.logins
    assert sending.send(store, ON, "acme")["files"] == 0
    store.close()
    assert (home / "claimpipe.db").read_bytes() == before
    assert payer.logins == logins
    assert len(payer.delivered) == 1


def test_names_hold_kind_number_and_hash_alone(store: Store, payer: SftpPayer) -> None:
    waiting(store)
    sending.send(store, ON, "acme")
    with store.read() as c:
        row = c.execute(sa.select(r.sendings)).one()
    assert [p.name for p in payer.inbound.iterdir()] == [f"837P_000000001_{row.file_id[:12]}.edi"]
    assert row.temporary_name == f".part-{row.final_name}.1"


def test_nothing_waiting_opens_no_connection(store: Store, payer: SftpPayer) -> None:
    payer.stop()
    assert sending.send(store, ON, "acme")["files"] == 0
    payer.start()


def test_a_payer_that_is_down_is_transient_and_goes_next_time(store: Store, payer: SftpPayer) -> None:
    data = waiting(store)
    payer.stop()
    with pytest.raises(Transient, match="link to acme was lost"):
        sending.send(store, ON, "acme")
    assert sending_states(store) == {"000000001": "built"}
    payer.start()
    assert sending.send(store, ON, "acme")["files"] == 1
    assert payer.delivered == [data]


def test_a_changed_archive_file_is_not_sent(store: Store, payer: SftpPayer, home: Path) -> None:
    waiting(store)
    with store.read() as c:
        file_id = c.execute(sa.select(r.sendings.c.file_id)).scalar_one()
    path = home / "archive" / file_id[:2] / file_id
    path.write_bytes(path.read_bytes().replace(b"*100~", b"*999~"))
    with pytest.raises(Terminal, match="altered"):
        sending.send(store, ON, "acme")
    assert payer.delivered == []


def test_production_files_never_leave_in_test_mode(store: Store, payer: SftpPayer) -> None:
    waiting(store, usage="P")
    with pytest.raises(Terminal, match="never mix"):
        sending.send(store, ON, "acme")
    assert payer.delivered == []
    assert payer.temporaries == []


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ('password_variable = "CLAIMPIPE_TEST_SECRET"', "CLAIMPIPE_TEST_SECRET is not set"),
        ('inbound = "/no/such/folder"', "no such file or folder"),
    ],
)
def test_broken_configuration_is_terminal_at_once(
    store: Store, payer: SftpPayer, tmp_path: Path, extra: str, message: str
) -> None:
    waiting(store)
    write_profile(tmp_path / "profiles", payer, extra)
    with pytest.raises(Terminal, match=message):
        sending.send(store, ON, "acme")
    assert claim_states(store) == ["batched"]
    write_profile(tmp_path / "profiles", payer)
    assert sending.send(store, ON, "acme")["files"] == 1
    assert open_work(store) == []


def test_an_unknown_payer_is_terminal(store: Store, payer: SftpPayer) -> None:
    with pytest.raises(Terminal, match="no payer profile nobody"):
        sending.send(store, ON, "nobody")


def test_a_password_opens_the_door_too(
    store: Store, payer: SftpPayer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting(store)
    payer.key_file.unlink()
    payer.key_file = Path("")
    write_profile(tmp_path / "profiles", payer, 'password_variable = "ACME_SECRET"')
    (tmp_path / "profiles" / "acme.toml").write_text(
        (tmp_path / "profiles" / "acme.toml").read_text().replace('key_file = "."', "")
    )
    monkeypatch.setenv("ACME_SECRET", "right")
    assert sending.send(store, ON, "acme")["files"] == 1


def test_folders_take_the_place_of_a_server(store: Store, payer: SftpPayer, tmp_path: Path) -> None:
    data = waiting(store)
    inbound = tmp_path / "share"
    inbound.mkdir()
    profile = tmp_path / "profiles" / "acme.toml"
    profile.write_text(profile.read_text().replace('"sftp"', '"folder"') + f'inbound = "{inbound}"\n')
    from pipeline import payers

    payers._load.cache_clear()
    assert sending.send(store, ON, "acme")["files"] == 1
    assert [p.read_bytes() for p in inbound.iterdir()] == [data]
    assert payer.delivered == []


def test_the_payer_in_a_box_that_is_not_running_is_named(store: Store, payer: SftpPayer, tmp_path: Path) -> None:
    waiting(store)
    profile = tmp_path / "profiles" / "acme.toml"
    profile.write_text(profile.read_text().replace('"sftp"', '"box"'))
    from pipeline import payers

    payers._load.cache_clear()
    with pytest.raises(Transient, match="claimpipe payer start"):
        sending.send(store, ON, "acme")
