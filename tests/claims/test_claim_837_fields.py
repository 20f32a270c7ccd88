"""What may stand in an 837P: one failing fixture a rule, and no value of a patient in any finding."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from claims import samples

from pipeline.transactions import claim_837_checks, claim_837_tables
from pipeline.transactions import claim_837_fields as fields
from pipeline.transactions.claim_837_forms import PROFESSIONAL

GOOD = samples.make(20, seed=4)
OWN = next(i for i, v in enumerate(GOOD[0].column("relationship").to_pylist()) if v == "18")
DEPENDENT = next(i for i, v in enumerate(GOOD[0].column("relationship").to_pylist()) if v != "18")
DRUG = next(i for i, v in enumerate(GOOD[2].column("ndc").to_pylist()) if v)
SECOND = next(i for i, v in enumerate(GOOD[2].column("line").to_pylist()) if v == 2)


def check(
    claims: Any = GOOD[0], codes: Any = GOOD[1], lines: Any = GOOD[2], charset: Any = "basic", dependents: bool = True
):  # type: ignore[no-untyped-def]
    return claim_837_checks.check(claims, codes, lines, PROFESSIONAL, charset=charset, accepts_dependents=dependents)


def test_good_claims_pass() -> None:
    assert check() == ([], set())


@pytest.mark.parametrize("value", ["ZOË", "A*B", "A~B", "A:B", "A^B", "A\nB", "A\x00B", "A😀", "A|B", "A~CLM*X", "Ａ"])
def test_a_name_that_cannot_be_sent_holds_its_claim_only(value: str) -> None:
    findings, held = check(samples.replace(GOOD[0], OWN, patient_last=value))
    claim_id = GOOD[0].column("claim_id")[OWN].as_py()
    assert held == {claim_id}
    assert [(f.rule, f.loop, f.segment_id, f.element, f.subject) for f in findings] == [
        ("837P.character", "2010BA", "NM1", 3, claim_id)
    ]
    assert findings[0].source == f"visits.csv row {OWN + 1} column patient_last"
    assert value not in findings[0].message + findings[0].fix


def test_the_extended_set_allows_more_but_never_a_delimiter() -> None:
    assert check(samples.replace(GOOD[0], OWN, patient_last="de_la|Cruz@#"), charset="extended") == ([], set())
    assert check(samples.replace(GOOD[0], OWN, patient_last="a~b"), charset="extended")[1]
    assert check(samples.replace(GOOD[0], OWN, patient_last="Zoë"), charset="extended")[1]


def test_small_letters_and_blanks_at_the_ends_are_no_fault() -> None:
    claims = samples.replace(GOOD[0], OWN, patient_last="  fir ", billing_city="boston")
    assert check(claims) == ([], set())
    row = claim_837_tables.normalised(claims, "basic").slice(OWN, 1).to_pylist()[0]
    assert (row["patient_last"], row["billing_city"], row["patient_middle"]) == ("FIR", "BOSTON", row["patient_middle"])


CLAIM_CASES: list[tuple[int, dict[str, Any], str, str]] = [
    (OWN, {"claim_id": "C" * 21}, "837P.length", "CLM"),
    (OWN, {"claim_id": "c00"}, "837P.character", "CLM"),
    (OWN, {"billing_npi": "123456789"}, "837P.length", "NM1"),
    (OWN, {"billing_npi": "12345678X3"}, "837P.character", "NM1"),
    (OWN, {"billing_npi": None}, "837P.required", "NM1"),
    (OWN, {"billing_zip": "2110"}, "837P.length", "N4"),
    (OWN, {"billing_zip": "02110-0001"}, "837P.character", "N4"),
    (OWN, {"billing_tin": "04-123456"}, "837P.character", "REF"),
    (OWN, {"billing_address1": "X" * 56}, "837P.length", "N3"),
    (OWN, {"patient_last": "X" * 61}, "837P.length", "NM1"),
    (OWN, {"patient_sex": "X"}, "837P.character", "DMG"),
    (OWN, {"patient_sex": ""}, "837P.required", "DMG"),
    (OWN, {"patient_birth_date": None}, "837P.required", "DMG"),
    (OWN, {"patient_birth_date": date(1700, 1, 1)}, "837P.date", "DTP"),
    (OWN, {"patient_zip": "0211"}, "837P.length", "N4"),
    (OWN, {"patient_state": "Mass"}, "837P.length", "N4"),
    (OWN, {"member_id": ""}, "837P.required", "NM1"),
    (DEPENDENT, {"subscriber_last": None}, "837P.required", "NM1"),
    (OWN, {"place_of_service": None}, "837P.required", "CLM"),
    (OWN, {"frequency": "2"}, "837P.character", "CLM"),
    (OWN, {"frequency": "7"}, "837P.required", "REF"),
    (OWN, {"frequency": "8"}, "837P.required", "REF"),
    (OWN, {"payer_claim_number": "X1"}, "837P.original_reference", "REF"),
    (OWN, {"assignment": "Y"}, "837P.character", "CLM"),
    (OWN, {"accident_kind": "AA", "accident_date": date(2024, 1, 1), "accident_state": None}, "837P.required", "CLM"),
    (OWN, {"accident_kind": "OA", "accident_date": None}, "837P.required", "DTP"),
    (OWN, {"place_of_service": "21"}, "837P.required", "DTP"),
    (OWN, {"referring_npi": "1000020002", "referring_last": None}, "837P.required", "NM1"),
    (OWN, {"rendering_npi": "1000010003", "rendering_last": None}, "837P.required", "NM1"),
    (OWN, {"facility_address1": "1 OTHER ST", "facility_name": None, "facility_city": "BOSTON", "facility_state": "MA",
           "facility_zip": "021110001"}, "837P.required", "NM1"),
    (OWN, {"pay_to_address1": "PO BOX 1"}, "837P.required", "N4"),
    (OWN, {"charge": Decimal("0.01")}, "837P.balance", "CLM"),
]  # fmt: skip


@pytest.mark.parametrize(("row", "values", "rule", "segment"), CLAIM_CASES)
def test_claim_rules(row: int, values: dict[str, Any], rule: str, segment: str) -> None:
    claims, codes, lines = (t for t in GOOD)
    if "claim_id" in values:  # the claim's children follow it
        old = claims.column("claim_id")[row].as_py()
        for table in (codes, lines):
            for place in [i for i, v in enumerate(table.column("claim_id").to_pylist()) if v == old]:
                if table is codes:
                    codes = samples.replace(codes, place, claim_id=values["claim_id"])
                else:
                    lines = samples.replace(lines, place, claim_id=values["claim_id"])
    claims = samples.replace(claims, row, **values)
    findings, held = check(claims, codes, lines)
    assert (rule, segment) in {(f.rule, f.segment_id) for f in findings}
    assert held == {claims.column("claim_id")[row].as_py()}


@pytest.mark.parametrize(
    ("row", "values", "rule"),
    [
        (0, {"procedure": "9921"}, "837P.length"),
        (0, {"procedure": "99:13"}, "837P.character"),
        (0, {"modifier1": "2"}, "837P.length"),
        (0, {"unit_basis": None}, "837P.required"),
        (0, {"units": Decimal("0.0000")}, "837P.units"),
        (0, {"charge": Decimal("-1.00")}, "837P.amount"),
        (0, {"pointer1": None}, "837P.pointer"),
        (0, {"pointer1": 9}, "837P.pointer"),
        (0, {"pointer1": 0}, "837P.pointer"),
        (0, {"pointer2": None, "pointer3": 1}, "837P.pointer"),
        (0, {"line": 7}, "837P.order"),
        (0, {"line_control_number": "X" * 31}, "837P.length"),
        (0, {"service_date": date(1500, 1, 1)}, "837P.date"),
        (DRUG, {"ndc": "0002606351"}, "837P.length"),
        (DRUG, {"ndc_units": None}, "837P.required"),
        (DRUG, {"ndc_unit_basis": None}, "837P.required"),
    ],
)
def test_line_rules(row: int, values: dict[str, Any], rule: str) -> None:
    lines = samples.replace(GOOD[2], row, **values)
    findings, held = check(lines=lines)
    assert rule in {f.rule for f in findings}
    assert held == {lines.column("claim_id")[row].as_py()}
    assert any(f.source.startswith(f"lines.csv row {row + 1} line ") for f in findings if f.rule == rule)


def test_repeated_line_control_numbers() -> None:
    first = GOOD[2].column("line_control_number")[SECOND - 1].as_py()
    assert {f.rule for f in check(lines=samples.replace(GOOD[2], SECOND, line_control_number=first))[0]} == {
        "837P.line_control_number"
    }


def test_repeated_claim_ids() -> None:
    twice = samples.replace(GOOD[0], 0, claim_id=GOOD[0].column("claim_id")[1].as_py())
    assert "837P.claim_id" in {f.rule for f in check(twice)[0]}


def test_a_claim_without_lines_or_diagnoses_or_with_too_many() -> None:
    claim_id = GOOD[0].column("claim_id")[0].as_py()
    for codes, lines in ((GOOD[1].slice(0, 0), GOOD[2]), (GOOD[1], GOOD[2].slice(0, 0))):
        findings, held = check(codes=codes, lines=lines)
        assert "837P.count" in {f.rule for f in findings}
        assert claim_id in held
    many = samples.tables_of_one(lines=51, codes=13)
    assert {f.segment_id for f in check(*many)[0] if f.rule == "837P.count"} == {"LX", "HI"}
    assert check(*samples.tables_of_one(lines=50, codes=12)) == ([], set())


def test_payers_without_dependents() -> None:
    findings, held = check(dependents=False)
    dependents = {c for c, r in zip(GOOD[0].column("claim_id").to_pylist(), GOOD[0].column("relationship").to_pylist(),
                                    strict=True) if r != "18"}  # fmt: skip
    assert held == dependents
    assert {f.rule for f in findings} == {"837P.dependent"}


@pytest.mark.parametrize(
    "f",
    [f for f in fields.claim_fields(PROFESSIONAL) if f.characters is None and f.need == "all"],
    ids=lambda f: f.column,
)
def test_every_free_text_is_looked_through(f: fields.Field) -> None:
    value = "A*B"
    findings, held = check(samples.replace(GOOD[0], OWN, **{f.column: value}))
    assert f.column in " ".join(x.message for x in findings if x.rule == "837P.character")
    assert len(held) >= 1
    assert not any(value in x.message + x.fix for x in findings)
