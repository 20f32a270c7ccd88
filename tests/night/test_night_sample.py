"""A night on a made-up extract of all kinds of visits: what leaves is valid, what comes back agrees with it, the proof closes."""

from collections import Counter

import pytest
import sqlalchemy as sa
from claims.oracle import pyx12_errors
from night.nights import assert_nothing_twice, payer_in_a_box, run_night

from pipeline import sample, transactions
from pipeline.ledger import posting
from pipeline.store import open_store
from pipeline.store import register as r
from pipeline.x12.validator import validate

_KINDS = {"professional": 2, "institutional": 1, "dental": 1}
_GUIDES = {"005010X222A1", "005010X223A2", "005010X224A2"}


@pytest.mark.slow
def test_a_night_on_a_mixed_sample_closes(tmp_path):
    extract = tmp_path / "extract"
    sample.make(visits=100, seed=6, out=extract, kinds=_KINDS)
    with payer_in_a_box(tmp_path / "home") as loaded:
        report = run_night(loaded, extract)
        assert report.troubles == []
        assert (report.proof.closes, report.proof.residue_cents) == (True, 0)
        assert_nothing_twice(tmp_path / "home")
        store = open_store(loaded)
        f = r.files.c
        with store.read() as connection:
            claims = connection.execute(sa.select(r.claims)).mappings().all()
            files = connection.execute(sa.select(f.file_id, f.kind).where(f.kind.in_(("837", "835")))).all()
            owed = posting.claim_balances(connection, [c["claim_id"] for c in claims])
            worked = {
                row.claim_id: row.cents
                for row in connection.execute(sa.select(r.work_items).where(r.work_items.c.queue == "denial"))
            }
            causes = set(connection.execute(sa.select(r.work_items.c.cause)).scalars())
        sent, paid, statuses = {}, {}, Counter()
        for file_id, kind in files:
            data = store.archive.get(file_id)
            assert validate(data) == [], kind
            tables = transactions.read(data).tables
            lines = tables[f"{kind}.service_lines"]
            if kind == "837":
                sent |= {row["line_control_number"]: row for row in lines.to_pylist()}
                if b"005010X224A2" not in data:
                    assert pyx12_errors(data) == []
                continue
            statuses.update(tables["835.claims"].column("status").to_pylist())
            paid |= {row["line_control_number"]: row for row in lines.to_pylist() if row["charge"] >= 0}
        store.close()
    # each kind is answered and paid, and a remittance speaks of our lines by our codes
    assert {c["guide"] for c in claims} == {c["guide"] for c in claims if c["state"] == "paid"} == _GUIDES
    assert paid.keys() <= sent.keys()
    assert len(paid) > len(sent) * 0.8
    for number, line in paid.items():
        ours = sent[number]
        assert line["charge"] == ours["charge"], number
        assert line["procedure"] == (ours["procedure"] or ours["revenue_code"]), number
    assert not {"code-mismatch", "line-not-found"} & causes
    # what a second payer owes is what the first one left and it has not decided, or denied; nobody has to look at OA-23
    seconds = [c for c in claims if c["earlier_cents"]]
    assert any(c["state"] == "paid" for c in seconds)
    for c in seconds:
        left = owed[c["claim_id"]].get(f"receivable:payer:{c['payer_key']}", 0)
        assert 0 < c["earlier_cents"] < c["charge_cents"]
        assert owed[c["claim_id"]]["settled:earlier_payers"] == c["earlier_cents"]
        whole = c["charge_cents"] - c["earlier_cents"]
        assert left == (whole if c["state"] not in ("paid", "denied") else left and worked[c["claim_id"]]), c["state"]
    assert not {"OA-23", "overposted"} & causes
    # processed for us, as the second payer, and sent on to the second payer
    assert statuses.keys() >= {"1", "2", "19"}, statuses
