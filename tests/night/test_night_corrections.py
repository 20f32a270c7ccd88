"""Corrections over whole nights, against the payer in a box: each way of a claim after it left ends with a residue of 0.00."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from night.nights import assert_nothing_twice, payer_in_a_box, record, run_night
from payer_simulator.claims_837 import file_837

from pipeline import night
from pipeline.coding.stage import claim_id
from pipeline.ledger import posting
from pipeline.payer_simulator.adjudication import adjudicated, load_table
from pipeline.payer_simulator.submissions import read_submission
from pipeline.payers import load_profiles
from pipeline.reports import work
from pipeline.store import open_store
from pipeline.store import register as r

pytestmark = pytest.mark.slow

FIRST = date(2026, 11, 20)
SEED = 27


def outcome(number: str) -> str:
    """The fate of a claim number at the box."""
    to = {"payer_id": "AETNA1", "receiver": "BOXAETNA", "filing": "CI"}
    claim = read_submission(file_837([(number, [100])], **to)).claims[0]
    return adjudicated(
        claim, table=load_table(), profile=load_profiles()["aetna"], seed=SEED, on=FIRST, number="0" * 20
    ).outcome


def visits_with(count: int, *outcomes: str) -> list[str]:
    """Ids of visits whose claim's versions meet these fates in turn."""
    found: list[str] = []
    for n in itertools.count():
        first = claim_id(f"P1:V{n}")
        numbers = [first, *(f"{first}V{k}" for k in range(2, len(outcomes) + 1))]
        if all(outcome(number).startswith(wanted) for number, wanted in zip(numbers, outcomes, strict=True)):
            found.append(f"V{n}")
        if len(found) == count:
            break
    return found


ENCOUNTER = {
    "practice_id": "P1", "service_from": "2026-11-18", "service_to": "2026-11-18", "place_of_service": "11",
    "billing_name": "RIVER STREET PRACTICE", "billing_npi": "1993999998", "billing_tin": "042103580", "billing_tin_kind": "EI",
    "billing_taxonomy": "207Q00000X", "billing_address1": "1 RIVER ST", "billing_city": "CAMBRIDGE", "billing_state": "MA",
    "billing_zip": "021391234", "billing_phone": "6175550100", "rendering_npi": "1234567893", "rendering_last": "ROE",
    "rendering_first": "ROBIN", "rendering_taxonomy": "207Q00000X", "patient_last": "DOE", "patient_birth_date": "1980-02-29",
    "patient_sex": "F", "patient_address1": "2 HILL RD", "patient_city": "CAMBRIDGE", "patient_state": "MA",
    "patient_zip": "02139", "relationship": "18", "payer": "Aetna", "member_id": "W123456789",
}  # fmt: skip


def extract(folder: Path, visits: dict[str, dict[str, str]]) -> Path:
    """Visits by id: `code` and `charge` of their one service, and changes to their row."""
    tables: dict[str, list[dict[str, str]]] = {"encounters": [], "diagnoses": [], "services": []}
    for name, given in visits.items():
        changes = dict(given)
        code, charge = changes.pop("code", "99213"), changes.pop("charge", "100.00")
        key = {"practice_id": "P1", "encounter_id": name}
        tables["encounters"].append(
            {**key, **ENCOUNTER, "patient_first": "ANN" + "".join(chr(65 + int(c)) for c in name if c.isdigit()),
             "patient_id": name, "charge": charge, "cancelled": "", **changes}
        )  # fmt: skip
        tables["diagnoses"].append({**key, "rank": "1", "system": "ICD10CM", "code": "J209"})
        tables["services"].append(
            {**key, "line": "1", "kind": "visit", "system": "HCPCS", "code": code, "units": "1", "charge": charge,
             "pointers": "1"}
        )  # fmt: skip
    folder.mkdir()
    totals: dict[str, Any] = {}
    for table, rows in tables.items():
        with (folder / f"{table}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        totals[table] = {"rows": len(rows)}
        if table != "diagnoses":
            totals[table]["charge"] = str(sum(Decimal(row["charge"]) for row in rows))
    manifest = {"layout": "claimpipe-extract", "version": 1, "synthetic": True, "tables": totals}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


class Nights:
    """Nights on one home, one after the other."""

    def __init__(self, loaded: Any, folder: Path) -> None:
        self.loaded, self.folder, self.on, self.number = loaded, folder, FIRST, 0

    def run(self, **visits: dict[str, str]) -> night.Report:
        self.number += 1
        report = run_night(self.loaded, extract(self.folder / f"x{self.number}", visits), on=self.on)
        assert report.troubles == []
        assert report.proof is not None
        assert (report.proof.residue_cents, report.proof.broken) == (0, [])
        self.on += timedelta(days=1)
        return report

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        store = open_store(self.loaded)
        with store.read() as connection:
            yield connection
        store.close()

    def claims(self, name: str) -> list[tuple[str, str]]:
        """Frequency and state of each version of the visit's claim."""
        c = r.claims.c
        query = sa.select(c.frequency, c.state).where(c.encounter_key == f"P1:{name}").order_by(c.version)
        with self.reading() as connection:
            return [tuple(row) for row in connection.execute(query)]

    def state(self, name: str) -> str:
        e = r.encounters.c
        with self.reading() as connection:
            return str(connection.execute(sa.select(e.state).where(e.encounter_key == f"P1:{name}")).scalar_one())

    def items(self, queue: str) -> list[Any]:
        w = r.work_items.c
        with self.reading() as connection:
            return list(connection.execute(sa.select(r.work_items).where(w.queue == queue, w.state == "open")))

    def decide(self, action: Any, name: str, queue: str = "held") -> None:
        about = {f"P1:{name}", claim_id(f"P1:{name}")}
        [item] = [item for item in self.items(queue) if item.subject in about]
        store = open_store(self.loaded)
        work.decide(store, item.item_id, action, "checked", "ann", self.on)
        store.close()

    def receivable(self, name: str) -> int:
        """What the payer owes on all versions of the visit's claim."""
        c = r.claims.c
        with self.reading() as connection:
            ids = list(connection.execute(sa.select(c.claim_id).where(c.encounter_key == f"P1:{name}")).scalars())
            found = posting.claim_balances(connection, ids)
        return sum(of.get("receivable:payer:aetna", 0) for of in found.values())


def test_each_way_of_a_claim_after_it_left_ends_with_a_residue_of_nothing(tmp_path: Path):
    """Rejected and corrected · rejected and sent again unchanged · replaced · voided · moved to another payer: side by side, so
    that what is taken back and what is paid meet in the same remittances."""
    with payer_in_a_box(tmp_path / "home", payer_box={"seed": SEED}) as loaded:
        nights = Nights(loaded, tmp_path)
        mended, again = visits_with(2, "rejected", "contract")
        replaced, voided, moved, later = visits_with(4, "contract", "contract", "contract")
        first: dict[str, dict[str, str]] = {name: {} for name in (mended, again, replaced, voided, moved)}
        nights.run(**first)
        assert {name: nights.claims(name) for name in first} == {
            **{name: [("1", "rejected")] for name in (mended, again)},
            **{name: [("1", "paid")] for name in (replaced, voided, moved)},
        }
        assert len(nights.items("rejection")) == 2

        nights.decide("resend", again, "rejection")
        dearer = {"code": "99214", "charge": "150.00"}
        second = {
            mended: dearer, again: {}, replaced: dearer, voided: {"cancelled": "Y"},
            moved: {"payer": "Cigna", "member_id": "U12345678901"},
        }  # fmt: skip
        nights.run(**second)
        for name in (mended, again):
            assert nights.claims(name) == [("1", "rejected"), ("1", "paid")]
        for name in (replaced, voided, moved):
            assert (nights.claims(name), nights.state(name)) == ([("1", "paid")], "held")
            nights.decide("approve", name)
        assert nights.items("rejection") == []

        nights.run(**second)
        assert nights.claims(replaced) == [("1", "reversed"), ("7", "paid")]
        assert nights.claims(voided) == nights.claims(moved) == [("1", "reversed"), ("8", "accepted")]
        assert {name: nights.state(name) for name in (replaced, voided, moved)} == {
            replaced: "claimed", voided: "cancelled", moved: "held",
        }  # fmt: skip
        p, stem = r.remittance_claims.c, claim_id(f"P1:{replaced}")
        with nights.reading() as connection:
            found = connection.execute(sa.select(p.status, p.charge_cents).where(p.claim_id_stated.like(f"{stem}%")))
            assert sorted(tuple(row) for row in found) == [("1", 10_000), ("1", 15_000), ("22", -10_000)]

        nights.run(**second, **{later: {"charge": "2000.00"}})
        assert [frequency for frequency, _ in nights.claims(moved)] == ["1", "8", "1"]
        assert {line["payer"] for line in record(loaded.home)} == {"aetna", "cigna"}
        assert nights.items("held") == nights.items("remittance") == []
        for name in first:
            assert nights.receivable(name) == 0
        with nights.reading() as connection:
            books = posting.balances(connection)
        assert books["income:charges"] == -(15_000 + 10_000 + 15_000 + 0 + 10_000 + 200_000)
        assert books.get("provider_adjustment:FB", 0) == 0
    assert_nothing_twice(tmp_path / "home")
