"""The whole night on extracts that nobody here wrote: every visit in one state, every cent explained, nothing twice."""

import csv
from decimal import Decimal

import pytest
import sqlalchemy as sa
from claims.oracle import pyx12_errors
from night.nights import assert_nothing_twice, payer_in_a_box, record, run_night, tree

from pipeline.store import open_store
from pipeline.store import register as r

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("folder", "visits"), [("synthea27_full", 604), ("synthea_b_1494enc", 1494)])
def test_a_night_on_synthea_closes_and_a_second_one_changes_no_byte(tmp_path, samples, folder, visits):
    extract = samples / "encounters" / folder
    with (extract / "encounters.csv").open(newline="", encoding="utf-8") as file:
        source = list(csv.DictReader(file))
    assert len(source) == visits
    with payer_in_a_box(tmp_path) as loaded:
        report = run_night(loaded, extract, "synthea")
        assert report.troubles == []
        assert report.proof.closes
        assert report.proof.residue_cents == 0
        assert sum(state.count for state in report.proof.states) == visits
        charged = sum(Decimal(row["TOTAL_CLAIM_COST"]).quantize(Decimal("0.01")) for row in source)
        assert sum(state.cents for state in report.proof.states) == charged * 100
        assert_nothing_twice(tmp_path)

        store = open_store(loaded)
        with store.read() as connection:
            keys = connection.execute(sa.select(r.encounters.c.encounter_key)).scalars().all()
            sent = connection.execute(sa.select(r.sendings)).mappings().all()
        assert len(keys) == len(set(keys)) == visits
        assert sent, "no claim left the house"
        assert {s["state"] for s in sent} == {"acknowledged"}
        for sending in sent:
            assert pyx12_errors(store.archive.get(sending["file_id"])) == []
        assert {line["sha256"] for line in record(tmp_path)} == {s["file_id"] for s in sent}
        store.close()

        before, received = tree(tmp_path), record(tmp_path)
        again = run_night(loaded, extract, "synthea")
        assert again.troubles == []
        assert again.proof.closes
        assert record(tmp_path) == received
        assert tree(tmp_path) == before
