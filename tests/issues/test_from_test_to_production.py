"""'We tested with the payer, switched submitter.usage to P, and now nothing goes to it at all.' (ISA15)"""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from claims import houses, samples
from conftest import rows
from transport.batches import ON, open_work, waiting
from transport.conftest import write_profile
from transport.server import SftpPayer

from pipeline import payers
from pipeline.claims import release, stage
from pipeline.errors import Terminal
from pipeline.ledger import posting
from pipeline.store import Store
from pipeline.store import register as r
from pipeline.store.events import Move, move_claims
from pipeline.transport import sending
from pipeline.x12.segments import iter_segments


def usage_of(data: bytes) -> str:
    return next(iter_segments(data)).element(15)


def production(store: Store) -> None:
    store.settings.submitter = store.settings.submitter.model_copy(update={"usage": "P"})


def real(count: int, prefix: str = "R") -> tuple:
    """Claims that are not marked as made up: those are held in production."""
    claims, *below = samples.make(count, seed=ord(prefix), payer_key="meridian", prefix=prefix)
    return (claims.set_column(claims.column_names.index("synthetic"), "synthetic", [[False] * count]), *below)


def test_a_test_file_that_waits_does_not_stop_production_files(store: Store, payer: SftpPayer) -> None:
    waiting(store, 1)
    production(store)
    earnest = waiting(store, 2, usage="P")
    assert sending.send(store, ON, "acme")["files"] == 1
    assert payer.delivered == [earnest]
    assert open_work(store) == [("sending", "other_usage")]
    assert sending.send(store, ON, "acme")["files"] == 0


def test_a_test_configuration_cannot_emit_a_production_file(store: Store, payer: SftpPayer) -> None:
    waiting(store, 1, usage="P")
    test = waiting(store, 2)
    with pytest.raises(Terminal, match="1 production file for acme"):
        sending.send(store, ON, "acme")
    assert payer.delivered == [test]
    assert open_work(store) == [("sending", "other_usage")]


def test_one_payer_is_tested_while_its_neighbours_are_in_production(
    store: Store, payer: SftpPayer, tmp_path: Path
) -> None:
    production(store)
    test, earnest = waiting(store, 1), waiting(store, 2, usage="P")
    profile = tmp_path / "profiles" / "acme.toml"
    profile.write_text(profile.read_text().replace('"ACMERECEIVER"\n', '"ACMERECEIVER"\nusage = "T"\n'))
    payers._load.cache_clear()
    with pytest.raises(Terminal, match="never mix"):
        sending.send(store, ON, "acme")
    assert payer.delivered == [test]
    write_profile(tmp_path / "profiles", payer)
    sending.send(store, ON, "acme")
    assert payer.delivered == [test, earnest]


def test_claims_sent_in_test_only_go_in_earnest_by_a_deliberate_step(tmp_path: Path) -> None:
    store = houses.opened(tmp_path / "home")
    houses.ready(store, real(4), "meridian")
    stage.build(store, houses.ON, "meridian")
    (test,) = rows(store, r.sendings)
    assert usage_of(store.archive.get(test.file_id)) == "T"
    with store.begin() as c:  # it was sent, and the payer has answered two of its claims, and paid one
        c.execute(sa.update(r.sendings).values(state="acknowledged"))
        ids = [row.claim_id for row in rows(store, r.claims)]
        states = dict(zip(ids, ("sent", "accepted", "received", "paid"), strict=True))
        move_claims(c, houses.ON, [Move(claim_id, "test", state) for claim_id, state in states.items()])
    with pytest.raises(Terminal, match="still marked test"):
        release.tested(store, houses.ON, "meridian", do=True)
    production(store)
    assert stage.build(store, houses.ON, "meridian")["files"] == 0  # by itself nothing goes
    houses.ready(store, real(1, "S"), "meridian", part="p2")
    assert stage.build(store, houses.ON, "meridian")["claims"] == 1
    (item,) = [i for i in rows(store, r.work_items) if i.state == "open"]
    assert (item.queue, item.subject, item.cause) == ("payer", "meridian", "test_only")
    assert "3 claims" in item.reason
    with store.read() as c:
        booked = posting.balances(c)

    assert release.tested(store, houses.ON, "meridian", do=False)["claims"] == 3
    assert release.tested(store, houses.ON, "meridian", do=True)["claims"] == 3
    assert stage.build(store, houses.ON, "meridian")["claims"] == 3
    made = {s.interchange_control: s for s in rows(store, r.sendings)}
    assert {n: s.usage for n, s in made.items()} == {"000000001": "T", "000000002": "P", "000000003": "P"}
    assert usage_of(store.archive.get(made["000000003"].file_id)) == "P"
    now = {row.claim_id: (row.state, row.interchange_control) for row in rows(store, r.claims) if row.claim_id in ids}
    assert [now[i] for i in ids] == [("batched", "000000003")] * 3 + [("paid", "000000001")]
    with store.read() as c:
        assert posting.balances(c) == booked  # charged once, in test or in earnest
    assert [i for i in rows(store, r.work_items) if i.state == "open"] == []
    store.close()


def test_test_files_that_were_not_sent_stay_for_good(tmp_path: Path) -> None:
    store = houses.opened(tmp_path / "home")
    houses.ready(store, real(2), "meridian")
    stage.build(store, houses.ON, "meridian")
    production(store)
    assert release.tested(store, houses.ON, "meridian", do=True)["claims"] == 2
    stage.build(store, houses.ON, "meridian")
    assert sorted((s.usage, s.state) for s in rows(store, r.sendings)) == [("P", "built"), ("T", "withheld")]
    store.close()


def test_the_same_claims_let_go_on_the_same_day_get_a_number_of_their_own(tmp_path: Path) -> None:
    """Their bytes would be the same under the same number: the batch has another name the second time."""
    store = houses.opened(tmp_path / "home")
    houses.ready(store, samples.make(2, payer_key="meridian"), "meridian")
    stage.build(store, houses.ON, "meridian")
    with store.begin() as c:
        c.execute(sa.update(r.sendings).values(state="acknowledged"))
        ids = [row.claim_id for row in rows(store, r.claims)]
        move_claims(c, houses.ON, [Move(i, "TA1 R", "rejected") for i in ids])
    assert release.refused(store, houses.ON, "meridian", do=True)["claims"] == 2
    assert stage.build(store, houses.ON, "meridian")["claims"] == 2
    assert [s.interchange_control for s in sorted(rows(store, r.sendings), key=lambda s: s.interchange_control)] == [
        "000000001", "000000002"]  # fmt: skip
    store.close()
