"""Claims of one visit each in the three forms, and the text that is written of them, proved by three readers."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pyarrow as pa
from claims.oracle import pyx12_errors

from pipeline import shapes
from pipeline.claims import proofreading
from pipeline.transactions.claim_837_checks import check
from pipeline.transactions.claim_837_forms import DENTAL, INSTITUTIONAL, PROFESSIONAL, Form
from pipeline.transactions.claim_837_route import Numbers, Route
from pipeline.transactions.claim_837_writer import Interchange837

ON = date(2024, 3, 2)
NUMBERS = Numbers(7, 9)
Row = dict[str, Any]

_VISIT: Row = {
    "claim_id": "A1", "encounter_key": "p:1", "frequency": "1", "synthetic": True, "practice_id": "P",
    "source_file": "visits.csv", "source_row": 1, "service_from": date(2024, 3, 1), "service_to": date(2024, 3, 1),
    "charge": Decimal("100.00"), "billing_name": "Elm Clinic", "billing_npi": "1234567893", "billing_tin": "041234567",
    "billing_tin_kind": "EI", "billing_taxonomy": "207Q00000X", "billing_address1": "1 Elm St", "billing_city": "Boston",
    "billing_state": "MA", "billing_zip": "021100001", "patient_id": "1", "patient_last": "Fir", "patient_first": "Ada",
    "patient_birth_date": date(1980, 2, 29), "patient_sex": "F", "patient_address1": "2 Oak St", "patient_city": "Boston",
    "patient_state": "MA", "patient_zip": "02111", "relationship": "18", "payer_source": "Harbor", "payer_key": "harbor",
    "member_id": "M1",
}  # fmt: skip
CLAIMS: dict[str, Row] = {
    "837P": _VISIT | {"guide": PROFESSIONAL.guide, "place_of_service": "11"},
    "837I": _VISIT | {
        "guide": INSTITUTIONAL.guide, "bill_type": "13", "admission_type": "3", "admission_source": "1", "patient_status": "01",
        "parties": [{"role": "attending", "last": "Ash", "first": "Al", "npi": "1000020002"}],
    },
    "837D": _VISIT | {"guide": DENTAL.guide, "place_of_service": "11"},
}  # fmt: skip
_SERVICE: Row = {
    "claim_id": "A1", "line": 1, "qualifier": "HC", "charge": Decimal("100.00"), "unit_basis": "UN", "units": Decimal("1.0000"),
    "service_date": date(2024, 3, 1), "line_control_number": "A1-1", "rule_id": "r", "rule_version": "1",
    "price_origin": "source", "source": "lines.csv row 1",
}  # fmt: skip
LINES: dict[str, Row] = {
    "837P": _SERVICE | {"procedure": "99213", "pointer1": 1},
    "837I": _SERVICE | {"revenue_code": "0450", "procedure": "99283"},
    "837D": _SERVICE | {"qualifier": "AD", "procedure": "D2150"},
}
CODE: Row = {"claim_id": "A1", "rank": 1, "code": "E119", "rule_id": "r", "rule_version": "1", "source": "visits.csv row 1 column dx1"}  # fmt: skip
FORM: dict[str, Form] = {f.kind: f for f in (PROFESSIONAL, INSTITUTIONAL, DENTAL)}


def tables(
    kind: str, claim: Row, lines: list[Row] | None = None, codes: list[Row] | None = None
) -> tuple[pa.Table, ...]:
    """One claim of the kind with these changes; its lines (numbered, charges to their sum) and diagnoses."""
    made = [LINES[kind] | {"line": n, "line_control_number": f"A1-{n}"} | row for n, row in enumerate(lines or [{}], 1)]
    if codes is None:
        codes = [] if kind == "837D" else [{}]
    diagnoses = [CODE | {"rank": n} | row for n, row in enumerate(codes, 1)]
    total = sum((row["charge"] for row in made), Decimal("0.00"))
    return (
        shapes.from_rows("coded_claims", [CLAIMS[kind] | {"charge": total} | claim]),
        shapes.from_rows("coded_diagnoses", diagnoses),
        shapes.from_rows("coded_lines", made),
    )


def written(
    way: Route, kind: str, given: tuple[pa.Table, ...], *, dependents: bool = True, but: str = "", oracle: bool = True
) -> bytes:
    """The file, which our validator takes strictly, which reads back as it was meant, and which pyx12 takes (P and I)."""
    form = FORM[kind]
    findings, held = check(*given, form, charset=way.charset, accepts_dependents=dependents)
    assert (findings, held) == ([], set())
    meant = Interchange837(*given, way, form)
    data = meant.render(on=ON, numbers=NUMBERS)
    assert [f for f in proofreading.validated(data) if f.severity == "error"] == [], data.replace(b"~", b"~\n").decode()
    assert proofreading.compared(data, meant, ON, NUMBERS) == []
    assert proofreading.structure(data, meant) == []
    if oracle and kind != "837D":
        others = [error for error in pyx12_errors(data) if not but or but not in error]
        assert others == [], data.replace(b"~", b"~\n").decode()
    return data


def claim_loop(way: Route, kind: str, claim: Row | None = None, lines: list[Row] | None = None, codes: list[Row] | None = None, but: str = "") -> str:  # fmt: skip
    """What is written from CLM to the end of the set, a segment a line. `but`: what pyx12 says against it, wrongly."""
    text = written(way, kind, tables(kind, claim or {}, lines, codes), but=but).decode()
    return text[text.index("CLM*") : text.index("SE*")].replace("~", "~\n")


def findings(kind: str, claim: Row | None = None, lines: list[Row] | None = None, codes: list[Row] | None = None, **options: Any) -> list[Any]:  # fmt: skip
    """What the checks have against the claim."""
    given = tables(kind, claim or {}, lines, codes)
    return check(*given, FORM[kind], **({"charset": "basic", "accepts_dependents": True} | options))[0]
