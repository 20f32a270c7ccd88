"""'After we restored the register of the night before, the remittances that had come meanwhile were never posted.'

They were gone from the payer's server, and the books closed without them. The archive keeps a record of what was received, so
the register can be told of it again.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import sqlalchemy as sa
from faults.test_faults_restore import backup, restored
from night.nights import assert_nothing_twice, payer_in_a_box, run_night
from night.test_night_corrections import extract, visits_with
from transport.batches import ON
from transport.server import SftpPayer
from typer.testing import CliRunner

from pipeline import night
from pipeline.claims import recovery
from pipeline.cli import app
from pipeline.errors import Terminal
from pipeline.ledger import posting
from pipeline.ledger.proof import prove
from pipeline.settings import Settings
from pipeline.store import Store, behind, open_store
from pipeline.store import register as r
from pipeline.transport import inbox

ISA = (
    "ISA*00*          *00*          *ZZ*ACMERECEIVER   *ZZ*CLAIMPIPE      *261120*0000*^*00501*000000009*0*T*:~"
    "TA1*000000001*261120*0000*A*000~IEA*0*000000009~"
)


def files(store: Store) -> list[tuple[str, str, str, str]]:
    f = r.files.c
    with store.read() as c:
        query = sa.select(f.kind, f.state, f.reason, f.payer_key).where(f.direction == "in").order_by(f.kind)
        return [tuple(row) for row in c.execute(query)]


def test_received_files_are_taken_over_from_the_archive(
    store: Store, settings: Settings, payer: SftpPayer, tmp_path: Path
) -> None:
    backup(store, tmp_path / "then.db")
    payer.put("ack", ISA.encode())
    payer.put("note.pdf", b"%PDF-1.7 no claim")
    assert len(inbox.sweep(store, ON, "acme")) == 2
    before = files(store)
    assert behind.unknown(store) == []
    again = restored(store, settings, tmp_path / "then.db")
    assert files(again) == []
    assert [line for line in prove(again).broken if "2 received files" in line]
    assert sorted(one.kind for one in recovery.missing_mail(again)) == ["TA1", "unknown"]

    assert len(recovery.adopt_mail(again, ON)) == 2
    assert files(again) == before
    with again.read() as c:
        w = r.work_items.c
        assert c.execute(sa.select(w.queue, w.cause)).fetchall() == [("file", "inbox.unknown")]
    assert recovery.adopt_mail(again, ON) == []
    assert not [line for line in prove(again).broken if "received file" in line]
    again.close()


def test_files_from_before_the_record_are_written_into_it_by_the_next_run(
    store: Store, settings: Settings, payer: SftpPayer, tmp_path: Path
) -> None:
    """A home that is older than the record: its mail is recovered as well, once a run has looked."""
    payer.put("ack", ISA.encode())
    payer.put("note.pdf", b"%PDF-1.7 no claim")
    payer.put("era", ISA.replace("000000009", "000000010").encode())
    inbox.sweep(store, ON, "acme")
    before, record = files(store), tmp_path / "record"
    shutil.move(store.incoming.place, record)
    with store.begin() as c:  # what the stages made of two of them since
        f = r.files.c
        kept = sorted(c.execute(sa.select(f.file_id).where(f.kind == "TA1")).scalars())
        c.execute(sa.update(r.files).where(f.file_id == kept[0]).values(state="processed"))
        c.execute(sa.update(r.files).where(f.file_id == kept[1]).values(state="quarantined", reason="TA1.broken"))
    later = open_store(settings)
    inbox.sweep(later, ON, "acme")
    later.close()
    written = {path.relative_to(record): path.read_bytes() for path in sorted(record.rglob("*.json"))}
    now = {
        path.relative_to(store.incoming.place): path.read_bytes() for path in Path(store.incoming.place).rglob("*.json")
    }
    assert now == written
    assert len(now) == 3
    again = restored(store, settings, None)
    recovery.adopt_mail(again, ON)
    assert files(again) == before
    again.close()


def test_a_run_that_finds_the_record_complete_writes_nothing(
    store: Store, payer: SftpPayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    payer.put("ack", ISA.encode())
    inbox.sweep(store, ON, "acme")
    monkeypatch.setattr(type(store.incoming), "_make", lambda *_: pytest.fail("an entry was written"))
    store.level.clear()  # as another process begins
    assert inbox.sweep(store, ON, "acme") == []
    assert behind.remember_received(store, "acme") == 0


def test_nothing_is_taken_over_where_bytes_are_missing(
    store: Store, settings: Settings, payer: SftpPayer, tmp_path: Path
) -> None:
    payer.put("ack", ISA.encode())
    (file_id,) = inbox.sweep(store, ON, "acme")
    again = restored(store, settings, None)
    (Path(again.archive.place) / file_id[:2] / file_id).unlink()
    with pytest.raises(Terminal, match="no file"):
        recovery.adopt_mail(again, ON)
    assert files(again) == []
    again.close()


@pytest.mark.slow
def test_a_register_that_was_lost_comes_to_the_same_books(tmp_path: Path) -> None:
    with payer_in_a_box(tmp_path / "home", payer_box={"seed": 27}) as loaded:
        visits = extract(tmp_path / "x", {name: {} for name in visits_with(3, "contract")})
        assert run_night(loaded, visits).troubles == []

        def books() -> tuple[dict[str, int], list[tuple[str, int]]]:
            store = open_store(loaded)
            with store.read() as c:
                states = c.execute(sa.select(r.claims.c.state, sa.func.count()).group_by(r.claims.c.state)).fetchall()
                found = posting.balances(c), [tuple(row) for row in states]
            store.close()
            return found

        before = books()
        assert before[0]["bank:operating"] > 0
        for path in loaded.home.glob("claimpipe.db*"):
            path.unlink()
        shutil.rmtree(loaded.home / "lake")
        asked = CliRunner().invoke(app, ["recover", "--home", str(loaded.home)])
        assert (asked.exit_code, "835 of 2026-11-20, received" in asked.output) == (1, True)
        taken = CliRunner().invoke(app, ["recover", "--adopt", "--home", str(loaded.home), "--date", "2026-11-21"])
        assert (taken.exit_code, "received files; the next night works them" in taken.output) == (0, True)
        report = run_night(loaded, visits, on=night.date(2026, 11, 21))
        assert report.troubles == []
        assert report.proof is not None
        assert report.proof.closes
        assert books() == before
    assert_nothing_twice(tmp_path / "home")
