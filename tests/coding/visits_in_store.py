"""Encounters as intake leaves them in the store, for tests of the stages behind it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from pipeline import shapes
from pipeline.store import Store
from pipeline.store import register as r

ON = date(2026, 5, 10)
DAY = date(2026, 5, 4)
ENCOUNTER: dict[str, Any] = {
    "content_hash": "0" * 64, "source_format": "csv", "source_file": "encounters.csv", "practice_id": "P1",
    "claim_type": "professional", "synthetic": True, "service_from": DAY, "service_to": DAY, "minutes": 15,
    "visit_class": "ambulatory", "place_of_service": "11", "billing_name": "RIVER STREET PRACTICE",
    "billing_npi": "1993999998", "billing_tin": "042103580", "billing_tin_kind": "EI", "billing_taxonomy": "207Q00000X",
    "billing_address1": "1 RIVER ST", "billing_city": "CAMBRIDGE", "billing_state": "MA", "billing_zip": "021391234",
    "billing_phone": "6175550100", "rendering_npi": "1234567893", "rendering_last": "ROE", "rendering_first": "ROBIN",
    "rendering_taxonomy": "207Q00000X", "patient_last": "DOE", "patient_first": "ALEX",
    "patient_birth_date": date(1980, 2, 29), "patient_sex": "F", "patient_address1": "2 HILL RD",
    "patient_city": "CAMBRIDGE", "patient_state": "MA", "patient_zip": "02139", "relationship": "18",
    "payer_source": "Aetna", "payer_key": "aetna", "member_id": "W123456789",
}  # fmt: skip
#: a visit whose codes the source states
STATED = {"diagnoses": [("ICD10CM", "J20.9")], "lines": [{"system": "HCPCS", "code": "99213", "charge": "150.00"}]}
#: a visit in SNOMED that a rule codes where the history tells that the patient is known
OFFICE = {
    "diagnoses": [("SNOMED", "10509002")],
    "lines": [{"system": "SNOMED", "code": "185345009", "charge": "80.00"}],
}
#: one that no rule codes
OPEN = {"diagnoses": [("SNOMED", "33737001")], "lines": [{"system": "SNOMED", "code": "185345009", "charge": "70.00"}]}


def put(store: Store, visits: Mapping[str, Mapping[str, Any]], on: date = ON, extract: str = "a") -> None:
    """Take in visits by id: changes to a good encounter, `diagnoses` (system, code) and `lines`, in one part of the lake."""
    import_id = hashlib.sha256(extract.encode()).hexdigest()
    part = import_id[:16]
    encounters, diagnoses, lines, rows = [], [], [], []
    for number, (name, given) in enumerate(visits.items(), 1):
        changes = dict(given)
        stated: Sequence[tuple[str, str]] = changes.pop("diagnoses", [])
        services: Sequence[Mapping[str, Any]] = changes.pop("lines", [])
        key = f"P1:{name}"
        charge = sum((Decimal(s["charge"]) for s in services if s.get("charge") is not None), Decimal("0.00"))
        encounter = ENCOUNTER | {
            "encounter_key": key, "source_row": number, "patient_id": name, "charge": charge,
            "content_hash": hashlib.sha256(repr(given).encode()).hexdigest(),
        } | changes  # fmt: skip
        encounters.append(encounter)
        diagnoses += [
            {"encounter_key": key, "rank": rank, "system": system, "code": code, "source_file": "diagnoses.csv",
             "source_row": rank, "source_column": "code"}
            for rank, (system, code) in enumerate(stated, 1)
        ]  # fmt: skip
        for line, service in enumerate(services, 1):
            row = {
                "encounter_key": key, "line": line, "kind": "visit" if line == 1 else "procedure", "units": Decimal(1),
                "service_date": encounter["service_from"], "source_file": "services.csv", "source_row": line,
            } | service  # fmt: skip
            row["charge"] = None if service.get("charge") is None else Decimal(service["charge"])
            lines.append(row)
        rows.append(
            {
                "encounter_key": key, "version": 1, "content_hash": encounter["content_hash"], "import_id": import_id,
                "logical_date": on, "practice_id": encounter["practice_id"], "payer_key": encounter["payer_key"],
                "service_from": encounter["service_from"], "charge_cents": int(encounter["charge"] * 100),
                "billed_cents": 0, "unbilled_cents": 0, "priced_cents": 0, "state": "extracted", "reason": "",
                "lake_part": part, "source_file": "encounters.csv", "source_row": number,
            }
        )  # fmt: skip
    store.lake.write("encounters", on, part, shapes.from_rows("encounters", encounters))
    store.lake.write("encounter_diagnoses", on, part, shapes.from_rows("encounter_diagnoses", diagnoses))
    store.lake.write("encounter_lines", on, part, shapes.from_rows("encounter_lines", lines))
    with store.begin() as connection:
        connection.execute(sa.insert(r.encounters), rows)


def states(store: Store) -> dict[str, tuple[str, str]]:
    """State and reason by the visit's id."""
    e = r.encounters.c
    with store.read() as connection:
        found = connection.execute(sa.select(e.encounter_key, e.state, e.reason)).all()
    return {row.encounter_key.removeprefix("P1:"): (row.state, row.reason) for row in found}


def everything(store: Store) -> tuple[dict[str, list[Any]], dict[str, bytes]]:
    """All rows of the register and all bytes of the lake, to see that nothing changed."""
    with store.read() as connection:
        register = {t.name: [tuple(x) for x in connection.execute(sa.select(t))] for t in r.metadata.sorted_tables}
    lake = {str(p.relative_to(store.lake.root)): p.read_bytes() for p in sorted(store.lake.root.rglob("*.parquet"))}
    return register, lake
