"""'A claim that we had sent was gone from the register after the recovery, and with it all that the payer had said of it.'"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from claims import houses
from conftest import rows
from faults.test_faults_restore import built
from ledger.books import SENT

from pipeline.claims import recovery, release, stage
from pipeline.store import Store, events
from pipeline.store import register as r
from pipeline.store.events import Move, move_claims


def other_file_waits(store: Store, claim_id: str, cents: int) -> str:
    """A file of the archive, taken over from there, says that it carries the claim, with this charge."""
    other = "f" * 64
    with store.begin() as c:
        row = c.execute(sa.select(r.sendings)).one()._asdict()
        row |= {"sending_id": "s" * 64, "file_id": other, "interchange_control": "000000009", "state": "unknown"}
        c.execute(sa.insert(r.sendings).values(row))
        c.execute(sa.insert(r.recovered_claims).values(
            file_id=other, claim_id=claim_id, payer_key="meridian", interchange_control="000000009", group_control="9",
            set_control="0001", charge_cents=cents, state="waiting",
        ))  # fmt: skip
    return other


def let_go(store: Store) -> str:
    """The first claim of a file that the payer refused by a 999, let go again by a person."""
    with store.begin() as c:
        claim_id = str(c.execute(sa.select(r.claims.c.claim_id).order_by(r.claims.c.claim_id).limit(1)).scalar_one())
        move_claims(c, SENT, [Move(claim_id, "999 R", "rejected")])
    assert release.refused(store, SENT, "meridian", do=True)["claims"] == 1
    return claim_id


def test_a_claim_that_was_in_a_file_keeps_its_row_and_its_history(tmp_path: Path) -> None:
    store = built(tmp_path / "home")
    claim_id = let_go(store)
    before = next(row for row in rows(store, r.claims) if row.claim_id == claim_id)
    charged = [row for row in rows(store, r.ledger_entries) if row.claim_id == claim_id]
    other = other_file_waits(store, claim_id, before.charge_cents + 1)
    recovery.rejoin(store, houses.ON, stage._post_charges)

    after = next(row for row in rows(store, r.claims) if row.claim_id == claim_id)
    assert after.state == "unknown"  # neither the builder nor a release takes it
    assert after._asdict() | {"state": before.state} == before._asdict()
    assert [row for row in rows(store, r.ledger_entries) if row.claim_id == claim_id] == charged
    (item,) = [i for i in rows(store, r.work_items) if i.cause == "recovered.apart"]
    assert (item.claim_id, item.cents, item.state) == (claim_id, before.charge_cents, "open")
    assert stage.build(store, houses.ON, "meridian")["files"] == 0
    visit = next(row for row in rows(store, r.encounters) if row.claim_id == claim_id)
    assert visit.state == "claimed"
    with store.read() as c:
        assert events.verify(c) == []
    assert {row.state for row in rows(store, r.recovered_claims) if row.file_id == other} == {"apart"}

    everything = houses.everything(store)
    assert recovery.rejoin(store, houses.ON, stage._post_charges) == {"joined": 0, "held": 0}
    assert houses.everything(store) == everything
    store.close()


def test_a_claim_that_says_the_same_in_both_ends_in_the_later_file(tmp_path: Path) -> None:
    store = built(tmp_path / "home")
    claim_id = let_go(store)
    cents = next(row.charge_cents for row in rows(store, r.claims) if row.claim_id == claim_id)
    other = other_file_waits(store, claim_id, cents)
    assert recovery.rejoin(store, houses.ON, stage._post_charges) == {"joined": 1, "held": 0}
    after = next(row for row in rows(store, r.claims) if row.claim_id == claim_id)
    assert (after.file_id, after.state) == (other, "unknown")
    store.close()
