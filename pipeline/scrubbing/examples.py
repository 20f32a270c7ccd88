"""One good claim, and changes to it: how an edit's examples become a batch. Used by the tests and by `claimpipe edits check`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from pipeline import shapes
from pipeline.codes import loading, open_icd10cm
from pipeline.errors import Terminal
from pipeline.payers import PayerProfile, load_profiles
from pipeline.scrubbing import authorizations
from pipeline.scrubbing.authorized import Authorization, Service
from pipeline.scrubbing.batch import Batch
from pipeline.scrubbing.checks import duplicate_keys

ON = date(2026, 5, 10)
DAY = date(2026, 5, 4)
CLAIM: dict[str, Any] = {
    "claim_id": "C1", "encounter_key": "P1:E1", "guide": "005010X222A1", "frequency": "1", "synthetic": True,
    "practice_id": "P1", "source_file": "encounters.csv", "source_row": 7, "service_from": DAY, "service_to": DAY,
    "place_of_service": "11", "charge": Decimal("100.00"), "billing_name": "RIVER STREET PRACTICE",
    "billing_npi": "1993999998", "billing_tin": "042103580", "billing_tin_kind": "EI", "billing_taxonomy": "207Q00000X",
    "billing_address1": "1 RIVER ST", "billing_city": "CAMBRIDGE", "billing_state": "MA", "billing_zip": "021391234",
    "billing_phone": "6175550100", "rendering_npi": "1234567893", "rendering_last": "ROE", "rendering_first": "ROBIN",
    "rendering_taxonomy": "207Q00000X", "patient_id": "42", "patient_last": "DOE", "patient_first": "ALEX",
    "patient_birth_date": date(1980, 2, 29), "patient_sex": "F", "patient_address1": "2 HILL RD",
    "patient_city": "CAMBRIDGE", "patient_state": "MA", "patient_zip": "02139", "relationship": "18",
    "payer_source": "Aetna", "payer_key": "aetna", "member_id": "W123456789",
}  # fmt: skip
LINE: dict[str, Any] = {
    "qualifier": "HC", "procedure": "99213", "charge": Decimal("100.00"), "unit_basis": "UN", "units": Decimal(1),
    "pointer1": 1, "service_date": DAY, "rule_id": "source-coded", "rule_version": "1", "price_origin": "source",
    "source": "services.csv row 9",
}  # fmt: skip


#: sets of the small tables in schemas/codes/examples → the ending of their file
_TABLES = {
    "ncci_ptp_practitioner": "csv", "mue_practitioner": "csv", "ncci_addon": "csv", "mce_age": "txt", "mce_sex": "txt",
    "revenue": "csv", "condition": "csv", "occurrence": "csv", "value": "csv", "icd10pcs": "csv", "hcpcs": "csv",
}  # fmt: skip


#: an authorization of the good claim's patient, without a limit; examples name changes to it
_AUTHORIZATION = {
    "payer": CLAIM["payer_key"], "member_id": CLAIM["member_id"], "number": "A1", "procedures": "*", "from": "2026-05-01",
    "to": "2026-05-31",
}  # fmt: skip


def load_tables(place: Path) -> None:
    """Load into a home the small official tables that the examples of our edits speak of."""
    folder = shapes.schemas_dir() / "codes" / "examples"
    necessity = [folder / "necessity_procedures.csv", folder / "necessity_diagnoses.csv"]
    loaded = [
        *(
            loading.load([folder / f"{name}.{ending}"], place, set_name=name, effective_from=date(2026, 4, 1))
            for name, ending in _TABLES.items()
        ),
        loading.load(necessity, place, effective_from=date(2024, 1, 1)),
    ]
    if wrong := [f for done in loaded for f in done.findings if f.severity == "error"]:
        raise Terminal(f"The example tables cannot be used: {wrong[0].message}", fix="Install claimpipe anew.")


#: what an example may say beside columns of the claim
_WORLD = frozenset({
    "on", "usage", "known", "hold", "twice", "times", "diagnoses", "lines", "authorizations", "used", "authorize",
})  # fmt: skip


def unknown(example: Mapping[str, Any]) -> list[str]:
    """Names in an example that are no column."""
    claims, lines = set(shapes.schema("coded_claims").names), set(shapes.schema("coded_lines").names)
    found = {name for name in example if name not in claims | _WORLD}
    given = example.get("lines", [])
    return sorted(found | {f"lines.{n}" for line in given if isinstance(line, Mapping) for n in line if n not in lines})


def batch(
    *examples: Mapping[str, Any], home: Path | None = None, profiles: Mapping[str, PayerProfile] | None = None,
    day: date = DAY, changed: Mapping[str, Any] | None = None,
) -> Batch:  # fmt: skip
    """A batch with one claim an example. `day`: the day of service where an example names none; `changed`: changes to the
    good claim that all examples share.

    An example names columns of the claim; `diagnoses` (codes) and `lines` (changes to a good line); and of the world: `on`,
    `usage`, `times` (how often the lines stand on the claim), `twice` (the claim stands in the batch again, for another encounter), `known` (the register has its like),
    `hold` (why the correction of its claim does not go yet), `authorizations` (changes to an authorization of the patient),
    `used` (visits of one unit before), `authorize` (procedures that the payer wants one for).
    """
    claims: list[dict[str, Any]] = []
    diagnoses: list[dict[str, Any]] = []
    lines: list[dict[str, Any]] = []
    on, usage, known, holds = day + (ON - DAY), "T", False, {}
    known_profiles = dict(load_profiles() if profiles is None else profiles)
    authorized: list[Authorization] = []
    used: list[Service] = []
    for number, example in enumerate(examples, 1):
        changes = {"service_from": day, "service_to": day, **(changed or {}), **example}
        on = _value("on", changes.pop("on", on))
        usage = changes.pop("usage", usage)
        known = changes.pop("known", known)
        codes = changes.pop("diagnoses", ["J209"])
        changed_lines = changes.pop("lines", [{}]) * changes.pop("times", 1)
        given = changes.pop("authorizations", [])
        used += _used(changes.pop("used", 0))
        authorized += [
            one for one in (authorizations.read_row(_AUTHORIZATION | row) for row in given) if not isinstance(one, str)
        ]
        if wanted := changes.pop("authorize", ()):
            known_profiles = {
                key: p.model_copy(update={"claims": p.claims.model_copy(update={"authorize": tuple(wanted)})})
                for key, p in known_profiles.items()
            }
        copies = 2 if changes.pop("twice", False) else 1
        if hold := changes.pop("hold", ""):
            holds[f"P1:E{number}"] = hold
        for copy in range(copies):
            claim = f"C{number}" + ("B" if copy else "")
            keys = {"claim_id": claim, "encounter_key": f"P1:E{number}{'B' if copy else ''}"}
            claims.append(CLAIM | {k: _value(k, v) for k, v in changes.items()} | keys)
            diagnoses += [
                {"claim_id": claim, "rank": rank, "code": code, "rule_id": "source-coded", "rule_version": "1",
                 "source": f"diagnoses.csv row {rank} column code"}
                for rank, code in enumerate(codes, 1)
            ]  # fmt: skip
            lines += [
                LINE | {"claim_id": claim, "line": n, "line_control_number": f"{claim}-{n}", "service_date": day}
                | {k: _value(k, v) for k, v in line.items()}
                for n, line in enumerate(changed_lines, 1)
            ]  # fmt: skip
    made = Batch(
        shapes.from_rows("coded_claims", claims), shapes.from_rows("coded_diagnoses", diagnoses),
        shapes.from_rows("coded_lines", lines), on=on, icd10cm=open_icd10cm(), profiles=known_profiles, usage=usage,
        holds=holds, home=home, authorizations=authorized, authorized=used,
    )  # fmt: skip
    if known:
        made.known = {(key, "P1:earlier") for key in duplicate_keys(made) if key}
    return made


def _used(number: int) -> list[Service]:
    """As many visits of one unit before, of the good claim's patient and procedure."""
    return [
        Service(
            CLAIM["payer_key"], CLAIM["member_id"], "", f"P1:before{n}", DAY, LINE["procedure"], Decimal(1)
        )
        for n in range(number)
    ]  # fmt: skip


def _value(name: str, value: Any) -> Any:
    """TOML's plain values → the column's type."""
    if value == "":
        return None if name in ("patient_birth_date", "accident_date") else ""
    if name in ("on", "service_from", "service_to", "service_date", "patient_birth_date", "accident_date"):
        return value if isinstance(value, date) else date.fromisoformat(value)
    return Decimal(value) if name in ("charge", "units") else value
