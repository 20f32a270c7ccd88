"""Fault 18: the register is older than what was sent. Nothing is built or sent until it agrees with the archive, and no
claim and no control number reaches a payer twice, judged from the payer's own record."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from claims import houses, samples
from conftest import rows
from night.nights import ON as NIGHT
from night.nights import assert_nothing_twice, payer_in_a_box, record, run_night
from transport.batches import ON, claim_states, open_work, sending_states, waiting
from transport.server import SftpPayer

from pipeline import night, sample
from pipeline.claims import recovery, stage
from pipeline.errors import Terminal
from pipeline.ledger.proof import prove
from pipeline.settings import Settings
from pipeline.store import Store, open_store
from pipeline.store import register as r
from pipeline.store.behind import Gap, gaps
from pipeline.transport import sending


def backup(store: Store, to: Path) -> None:
    with (
        contextlib.closing(sqlite3.connect(store.settings.home / "claimpipe.db")) as source,
        contextlib.closing(sqlite3.connect(to)) as target,
    ):
        source.backup(target)


def restored(store: Store, settings: Settings, backed_up: Path | None) -> Store:
    """The store again, with its register as it was then (None: deleted)."""
    store.close()
    database = settings.home / "claimpipe.db"
    for path in settings.home.glob("claimpipe.db*"):
        path.unlink()
    if backed_up is not None:
        shutil.copy(backed_up, database)
    return open_store(settings)


def lines(store: Store) -> list[str]:
    return [line for line in prove(store).broken if "archive knows" in line]


# --- a register that knows the file, but not that it was sent ------------------------------------------------------------


def test_fault_18_a_file_sent_since_the_backup_is_not_sent_again(
    store: Store, settings: Settings, payer: SftpPayer, tmp_path: Path
) -> None:
    data = waiting(store)
    backup(store, tmp_path / "then.db")
    assert sending.send(store, ON, "acme")["files"] == 1
    payer.sweep()
    again = restored(store, settings, tmp_path / "then.db")
    assert sending_states(again) == {"000000001": "built"}
    with pytest.raises(Terminal, match=r"register is older than what was sent.*recover --adopt"):
        sending.send(again, ON, "acme")
    assert payer.delivered == [data]
    assert len(lines(again)) == 1

    (found,) = recovery.adopt(again, ON)
    assert found.gap.placed == 1
    assert sending_states(again) == {"000000001": "unknown"}
    assert open_work(again) == [("sending", "recovered")]
    stage.rejoin(again, ON)
    assert claim_states(again) == ["unknown"]
    assert (gaps(again), lines(again)) == ([], [])
    assert sending.send(again, ON, "acme")["files"] == 0
    assert payer.delivered == [data]
    assert recovery.adopt(again, ON) == []
    again.close()


def test_fault_18_a_neighbour_that_was_not_sent_yet_goes_after_the_recovery(
    store: Store, settings: Settings, payer: SftpPayer, tmp_path: Path
) -> None:
    first = waiting(store, 1)
    backup(store, tmp_path / "then.db")
    sending.send(store, ON, "acme")
    again = restored(store, settings, tmp_path / "then.db")
    second = waiting(again, 2)
    with pytest.raises(Terminal):
        sending.send(again, ON, "acme")
    recovery.adopt(again, ON)
    sending.send(again, ON, "acme")
    assert payer.delivered == [first, second]
    assert sending_states(again) == {"000000001": "verified", "000000002": "verified"}  # the first is still to be seen
    again.close()


def test_fault_18_a_backup_of_the_same_state_stops_nothing(
    store: Store, settings: Settings, payer: SftpPayer, tmp_path: Path
) -> None:
    waiting(store, 1)
    sending.send(store, ON, "acme")
    backup(store, tmp_path / "then.db")
    again = restored(store, settings, tmp_path / "then.db")
    waiting(again, 2)
    assert sending.send(again, ON, "acme")["files"] == 1
    again.close()


def test_a_refused_attempt_is_no_gap_and_a_later_one_is(
    store: Store, settings: Settings, payer: SftpPayer, tmp_path: Path
) -> None:
    """A rename that was refused leaves its trace; the next attempt may go all the same, and only that one is missed later."""
    import asyncssh

    data = waiting(store)
    payer.faults.refuse = {"rename": asyncssh.SFTPPermissionDenied}
    with pytest.raises(Terminal):
        sending.send(store, ON, "acme")
    payer.faults.refuse = {}
    assert sending_states(store) == {"000000001": "failed"}
    assert gaps(store) == []
    backup(store, tmp_path / "then.db")
    sending.send(store, ON, "acme")
    payer.sweep()
    again = restored(store, settings, tmp_path / "then.db")
    assert [(gap.number, gap.placed, gap.known) for gap in gaps(again)] == [(1, 2, True)]
    with pytest.raises(Terminal):
        sending.send(again, ON, "acme")
    assert payer.delivered == [data]
    again.close()


def test_a_person_settles_a_recovered_file(store: Store, settings: Settings, payer: SftpPayer, tmp_path: Path) -> None:
    data = waiting(store)
    sending.send(store, ON, "acme")
    payer.sweep()
    again = restored(store, settings, None)
    recovery.adopt(again, ON)
    with pytest.raises(Terminal, match="was made for acme"):
        sending.settle(again, ON, "acme", 7, arrived=True, note="asked")
    assert sending.settle(again, ON, "acme", 1, arrived=False, note="the payer lost it") == {"claims": 0}
    assert open_work(again) == []
    assert (
        sending.send(again, ON, "acme")["files"] == 1
    )  # the same bytes under the same number, because a person said so
    assert payer.delivered == [data, data]
    with pytest.raises(Terminal, match="it is verified"):
        sending.settle(again, ON, "acme", 1, arrived=True, note="asked")
    again.close()


# --- a register that does not know the number ----------------------------------------------------------------------------


def built(home: Path) -> Store:
    store = houses.opened(home)
    houses.ready(store, samples.make(5, payer_key="meridian"), "meridian")
    stage.build(store, houses.ON, "meridian")
    return store


def place(store: Store) -> None:
    """As if the file had been brought to the payer."""
    ((folder, number),) = store.outgoing.listing()
    store.outgoing.place_attempt(store.outgoing.read(folder, number), 1)


def lost(store: Store) -> Store:
    """A new register beside the same archive and lake, which makes the same claims again from the same visits."""
    again = restored(store, store.settings, None)
    houses.ready(again, samples.make(5, payer_key="meridian"), "meridian")
    return again


def test_a_lost_register_builds_nothing_under_a_used_number(tmp_path: Path) -> None:
    store = built(tmp_path / "home")
    file_id, before = rows(store, r.sendings)[0].file_id, prove(store)
    place(store)
    again = lost(store)
    with pytest.raises(Terminal, match="archive knows of 1 interchange"):
        stage.build(again, houses.ON + timedelta(days=1), "meridian")
    assert (rows(again, r.control_numbers), rows(again, r.sendings)) == ([], [])
    assert len(lines(again)) == 1

    recovery.adopt(again, houses.ON)
    assert stage.build(again, houses.ON + timedelta(days=1), "meridian")["files"] == 0
    assert {(c.state, c.file_id, c.interchange_control, c.group_control) for c in rows(again, r.claims)} == {
        ("unknown", file_id, "000000001", "1")
    }
    assert all(c.set_control for c in rows(again, r.claims))
    after = prove(again)  # the charges of the joined claims are posted, once
    assert (after.lines, after.accounts, after.broken) == (before.lines, before.accounts, before.broken)
    houses.ready(again, samples.make(2, seed=9, payer_key="meridian", prefix="D"), "meridian", part="p2")
    stage.build(again, houses.ON, "meridian")
    assert sorted(s.interchange_control for s in rows(again, r.sendings)) == ["000000001", "000000002"]
    again.close()


def test_a_file_that_was_never_sent_is_built_anew_under_another_number(tmp_path: Path) -> None:
    again = lost(built(tmp_path / "home"))
    with pytest.raises(Terminal, match="archive knows of 1 interchange"):
        stage.build(again, houses.ON + timedelta(days=1), "meridian")
    recovery.adopt(again, houses.ON)
    assert rows(again, r.sendings) == []
    assert stage.build(again, houses.ON + timedelta(days=1), "meridian")["claims"] == 5
    assert [s.interchange_control for s in rows(again, r.sendings)] == ["000000002"]
    again.close()


def test_a_claim_that_is_another_now_is_held_and_not_sent(tmp_path: Path) -> None:
    store = built(tmp_path / "home")
    place(store)
    again = lost(store)
    with again.begin() as c:
        first = c.execute(sa.select(r.claims.c.claim_id).order_by(r.claims.c.claim_id).limit(1)).scalar_one()
        c.execute(sa.update(r.claims).where(r.claims.c.claim_id == first).values(charge_cents=1))
    recovery.adopt(again, houses.ON)
    assert stage.build(again, houses.ON, "meridian")["files"] == 0
    (item,) = [i for i in rows(again, r.work_items) if i.queue == "held"]
    assert (item.claim_id, item.cause, item.state) == (first, "recovered.changed", "open")
    assert first not in {c.claim_id for c in rows(again, r.claims)}
    assert {e.state for e in rows(again, r.encounters) if e.encounter_key == item.subject} == {"held"}
    again.close()


def test_bytes_that_the_archive_lost_too_are_told_and_nothing_is_taken_over(tmp_path: Path) -> None:
    store = built(tmp_path / "home")
    place(store)
    file_id = rows(store, r.sendings)[0].file_id
    (Path(store.archive.place) / file_id[:2] / file_id).unlink()
    again = lost(store)
    with pytest.raises(Terminal, match="Restore the archive"):
        recovery.adopt(again, houses.ON)
    assert rows(again, r.control_numbers) == []
    assert gaps(again) != []
    again.close()


def test_a_number_is_tied_to_its_bytes_even_against_the_register(tmp_path: Path) -> None:
    store = built(tmp_path / "home")
    ((folder, number),) = store.outgoing.listing()
    entry = store.outgoing.read(folder, number)
    store.outgoing.bind(entry)  # the same again is nothing
    with pytest.raises(Terminal, match="belongs to other bytes in the archive"):
        store.outgoing.bind(replace(entry, file_id="0" * 64))
    assert store.outgoing.read(folder, number) == entry
    with store.begin() as c:
        c.execute(sa.update(r.control_numbers).values(file_id="0" * 64))
    assert any("belongs to other bytes" in line for line in prove(store).broken)
    store.close()


def test_the_record_works_on_an_object_store(settings: Settings) -> None:
    settings.store.archive = "memory://sendack-archive"
    store = open_store(settings)
    houses.ready(store, samples.make(3, payer_key="meridian"), "meridian")
    store.settings.payers_dir = ""
    stage.build(store, houses.ON, "meridian")
    place(store)
    assert list(store.outgoing.listing().values()) == [1]
    again = restored(store, settings, None)
    assert gaps(again) == [Gap(next(iter(again.outgoing.listing()))[0], 1, 1, False)]
    again.close()


def test_the_question_is_cheap(store: Store, payer: SftpPayer, monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads names, never a file: neither entries nor archived bytes."""
    waiting(store)
    sending.send(store, ON, "acme")
    assert list(store.outgoing.listing().values()) == [1]
    monkeypatch.setattr(Path, "read_bytes", lambda self: pytest.fail(f"{self} was read"))
    monkeypatch.setattr(type(store.outgoing), "read", lambda *_: pytest.fail("an entry was read"))
    assert gaps(store) == []


# --- whole nights --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_fault_18_a_night_with_a_lost_register_sends_nothing_until_a_person_looked(tmp_path: Path) -> None:
    extract, home = tmp_path / "visits", tmp_path / "home"
    sample.make(visits=8, seed=14, out=extract)
    with payer_in_a_box(home) as loaded:
        assert not run_night(loaded, extract).troubles
        received = record(home)
        assert received
        for path in home.glob("claimpipe.db*"):
            path.unlink()
        loaded.inbox.wait_seconds = 1.0  # the payer has answered already: nothing more comes
        report = run_night(loaded, extract)
        assert any("claimpipe recover" in trouble for trouble in report.troubles)
        assert report.proof is not None
        assert not report.proof.closes
        assert record(home) == received

        store = open_store(loaded)
        found, mail, counts = night.recover(store, NIGHT)
        assert {"835", "277CA"} <= {file.kind for file in mail}
        assert len(found) == len(received)
        assert counts["joined"] == sum(len(line["claims"]) for line in received)
        store.close()
        report = run_night(loaded, extract)
        assert report.troubles == []
        assert report.proof is not None
        assert report.proof.closes
    assert record(home) == received
    assert_nothing_twice(home)
