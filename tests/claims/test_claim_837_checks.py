"""What keeps claims of the three forms out of a file: one failing fixture a rule, each naming its cell, its neighbours going on."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from claims import samples
from claims.situations import CLAIMS, CODE, LINES, findings, tables, written

from pipeline import shapes
from pipeline.claims.batches import build_files
from pipeline.payers import load_profiles
from pipeline.settings import SubmitterSettings
from pipeline.transactions.claim_837_route import Route

Row = dict[str, Any]
PAYER: Row = {
    "responsibility": "P",
    "payer_name": "Acme",
    "payer_id": "ACME1",
    "filing_indicator": "CI",
    "member_id": "W9",
}
SECOND: Row = {"payer_responsibility": "S"}
DECIDED: Row = {"payer_id": "ACME1", "paid": Decimal("60.00"), "units": Decimal(1), "paid_date": date(2024, 2, 20),
                "adjustments": [{"group": "CO", "reason": "45", "amount": Decimal("40.00")}]}  # fmt: skip
CAS: Row = {"group": "CO", "reason": "45", "amount": Decimal("40.00")}


def other(**cells: Any) -> Row:
    return SECOND | {"other_payers": [PAYER | cells]}


CASES: list[tuple[str, str, Row, list[Row] | None, list[Row] | None, str, str]] = [
    # what it is, kind, claim, lines, diagnoses, the rule, the column that it names
    ("a stay without its type of bill", "837I", {"bill_type": None}, None, None, "required", "bill_type"),
    ("a stay without status at discharge", "837I", {"patient_status": None}, None, None, "required", "patient_status"),
    ("a stay without attending provider", "837I", {"parties": []}, None, None, "required", "parties"),
    ("an inpatient bill without admission", "837I", {"bill_type": "11"}, None, None, "required", "admission_date"),
    ("an hour that is none", "837I", {"admission_date": date(2024, 3, 1), "admission_hour": "2460"}, None, None, "value", "admission_hour"),
    ("still a patient on a whole bill", "837I", {"patient_status": "30"}, None, None, "still_patient", "patient_status"),
    ("a statement that ends before it begins", "837I", {"service_to": date(2024, 2, 1)}, None, None, "date", "service_to"),
    ("a line without revenue code", "837I", {}, [{"revenue_code": None}], None, "required", "revenue_code"),
    ("a revenue code of three digits", "837I", {}, [{"revenue_code": "450"}], None, "length", "revenue_code"),
    ("minutes on a stay", "837I", {}, [{"unit_basis": "MJ"}], None, "character", "unit_basis"),
    ("two admitting diagnoses", "837I", {}, None, [{}, {"kind": "admitting", "rank": 1}, {"kind": "admitting", "rank": 2}], "count", ""),
    ("four reasons", "837I", {}, None, [{}, *({"kind": "reason", "rank": n} for n in (1, 2, 3, 4))], "count", ""),
    ("twenty-six diagnoses", "837I", {}, None, [{"code": f"E{100 + n}"} for n in range(26)], "count", ""),
    ("five dental diagnoses", "837D", {}, None, [{"code": f"K{100 + n}"} for n in range(5)], "count", ""),
    ("an admitting diagnosis in an office", "837P", {}, None, [{}, {"kind": "admitting", "rank": 1}], "no_place", "visits.csv row 1 column dx1"),
    ("an occurrence without its day", "837I", {"codes": [{"kind": "occurrence", "rank": 1, "code": "11"}]}, None, None, "required", "codes.from_date"),
    ("a value without its amount", "837I", {"codes": [{"kind": "value", "rank": 1, "code": "80"}]}, None, None, "required", "codes.amount"),
    ("two DRGs", "837I", {"codes": [{"kind": "drg", "rank": n, "code": "470"} for n in (1, 2)]}, None, None, "count", "codes.code"),
    ("a DRG in an office", "837P", {"codes": [{"kind": "drg", "rank": 1, "code": "470"}]}, None, None, "no_place", "codes.kind"),
    ("a code with a delimiter", "837I", {"codes": [{"kind": "condition", "rank": 1, "code": "0*9"}]}, None, None, "character", "codes.code"),
    ("a CDT code of four characters", "837D", {}, [{"procedure": "D215"}], None, "length", "procedure"),
    ("a CPT qualifier at the dentist's", "837D", {}, [{"qualifier": "HC"}], None, "character", "qualifier"),
    ("a pointer to nothing at the dentist's", "837D", {}, [{"pointer1": 1}], None, "pointer", "pointers"),
    ("surfaces that are none", "837D", {}, [{"teeth": [{"tooth": "12", "surfaces": "XY"}]}], None, "value", "teeth.surfaces"),
    ("a tooth without status", "837D", {"teeth": [{"tooth": "12"}]}, None, None, "required", "teeth.status"),
    ("teeth in an office", "837P", {"teeth": [{"tooth": "12", "status": "M"}]}, None, None, "no_place", "teeth"),
    ("a date of a kind that the form lacks", "837P", {"dates": [{"qualifier": "999", "from_date": date(2024, 1, 1)}]}, None, None, "no_place", "dates.qualifier"),
    ("an impossible date among the further ones", "837P", {"dates": [{"qualifier": "454", "from_date": date(1500, 1, 1)}]}, None, None, "date", "dates.from_date"),
    ("the same kind of date twice", "837P", {"dates": [{"qualifier": "454", "from_date": date(2024, 1, n)} for n in (1, 2)]}, None, None, "count", "dates"),
    ("onset in a column and in a row", "837P", {"onset_date": date(2024, 1, 1), "dates": [{"qualifier": "431", "from_date": date(2024, 1, 2)}]}, None, None, "count", "dates"),
    ("a number with a delimiter", "837P", {"references": [{"qualifier": "EA", "value": "A~B"}]}, None, None, "character", "references.value"),
    ("a number that is too long", "837P", {"references": [{"qualifier": "EA", "value": "A" * 51}]}, None, None, "length", "references.value"),
    ("a note that is too long", "837P", {"notes": [{"kind": "ADD", "text": "A" * 81}]}, None, None, "length", "notes.text"),
    ("two notes where one may be", "837P", {"notes": [{"kind": "ADD", "text": "A"}, {"kind": "CER", "text": "B"}]}, None, None, "count", "notes"),
    ("a condition that is none", "837P", {"conditions": [{"category": "07", "holds": True, "code1": "ZZ"}]}, None, None, "value", "conditions.code1"),
    ("paper announced without its file", "837P", {"attachments": [{"report_type": "OZ", "transmission": "EL", "control_number": "A1"}]}, None, None, "attachment", "attachments.file"),
    ("a file that nothing announces", "837P", {"attachments": [{"file": "scan.pdf"}]}, None, None, "attachment", "attachments.report_type"),
    ("paper sent without number", "837P", {"attachments": [{"report_type": "OZ", "transmission": "BM"}]}, None, None, "required", "attachments.control_number"),
    ("eleven papers", "837P", {"attachments": [{"report_type": "OZ", "transmission": "AA"}] * 11}, None, None, "count", "attachments"),
    ("a file at a line that nothing announces", "837P", {}, [{"attachments": [{"file": "scan.pdf"}]}], None, "attachment", "attachments.report_type"),
    ("half a rental", "837P", {}, [{"rental_days": Decimal(3)}], None, "required", "rental_days"),
    ("a certificate without months", "837P", {}, [{"certification_type": "I"}], None, "required", "certification_type"),
    ("a prescription without its drug", "837P", {}, [{"references": [{"qualifier": "XZ", "value": "1"}]}], None, "required", "references.qualifier"),
    ("a service that ends before it begins", "837P", {}, [{"service_to": date(2024, 2, 1)}], None, "date", "service_to"),
    ("a rendering provider among the parties", "837P", {"parties": [{"role": "rendering", "last": "A", "npi": "1000030001"}]}, None, None, "no_place", "parties.role"),
    ("two supervisors", "837P", {"parties": [{"role": "supervising", "last": "A", "npi": "1000030001"}] * 2}, None, None, "count", "parties.role"),
    ("a supervisor without name", "837P", {"parties": [{"role": "supervising", "npi": "1000030001"}]}, None, None, "required", "parties.last"),
    ("an NPI of nine digits", "837P", {"parties": [{"role": "supervising", "last": "A", "npi": "100003000"}]}, None, None, "length", "parties.npi"),
    ("an id of a kind that the loop lacks", "837P", {"parties": [{"role": "supervising", "last": "A", "id_qualifier": "EI", "id": "1"}]}, None, None, "no_place", "parties.id_qualifier"),
    ("a pick-up without street", "837P", {"parties": [{"role": "pick_up", "city": "Salem", "state": "MA", "zip": "01970"}]}, None, None, "required", "parties.address1"),
    ("a purchased service from nobody", "837P", {}, [{"purchased_charge": Decimal(1), "parties": [{"role": "purchased_service"}]}], None, "required", "parties.npi"),
    ("a replacement without number", "837D", {"frequency": "7"}, None, None, "required", "payer_claim_number"),
    ("an original with number", "837I", {"payer_claim_number": "X"}, None, None, "original_reference", "payer_claim_number"),
    ("eleven other payers", "837P", SECOND | {"other_payers": [PAYER | {"responsibility": r, "payer_id": f"A{r}"} for r in "PTABCDEFGHU"]}, None, None, "count", "other_payers"),
    ("two payers in one place", "837P", {"other_payers": [PAYER]}, None, None, "other_payer", "other_payers.responsibility"),
    ("two payers with one id", "837P", SECOND | {"other_payers": [PAYER, PAYER | {"responsibility": "T"}]}, None, None, "other_payer", "other_payers.payer_id"),
    ("another payer without id", "837P", other(payer_id=None), None, None, "required", "other_payers.payer_id"),
    ("another subscriber of no relation", "837P", other(subscriber_last="Fir"), None, None, "required", "other_payers.relationship"),
    ("another payer with a delimiter", "837P", other(payer_name="A:B"), None, None, "character", "other_payers.payer_name"),
    ("a decision of nobody", "837P", {}, [{"adjudications": [DECIDED]}], None, "other_payer", "adjudications.payer_id"),
    ("a line that does not add up", "837P", other(paid=Decimal("60.00")), [{"adjudications": [DECIDED | {"paid": Decimal("59.99")}]}], None, "balance", "adjudications.paid"),
    ("paid unlike its lines", "837P", other(paid=Decimal("61.00")), [{"adjudications": [DECIDED]}], None, "balance", "other_payers.paid"),
    ("an amount at both levels", "837P", other(paid=Decimal("60.00"), adjustments=[CAS]), [{"adjudications": [DECIDED]}], None, "balance", "other_payers.paid"),
    ("a claim that does not add up", "837P", other(paid=Decimal("60.01"), adjustments=[CAS]), None, None, "balance", "other_payers.paid"),
    ("adjusted, and not said what was paid", "837P", other(adjustments=[CAS]), None, None, "required", "other_payers.paid"),
    ("not covered beside a payment", "837P", other(paid=Decimal("60.00"), non_covered=Decimal("100.00")), None, None, "balance", "other_payers.non_covered"),
    ("not covered in part", "837P", other(non_covered=Decimal("99.00")), None, None, "balance", "other_payers.non_covered"),
    ("a group that is none", "837P", other(paid=Decimal("60.00"), adjustments=[CAS | {"group": "XX"}]), None, None, "value", "other_payers.adjustments.group"),
    ("an adjustment of nothing", "837P", other(paid=Decimal("100.00"), adjustments=[CAS | {"amount": Decimal("0.00")}]), None, None, "amount", "other_payers.adjustments.amount"),
    ("more reasons than segments", "837P", other(paid=Decimal("69.00"), adjustments=[{"group": "CO", "reason": str(n), "amount": Decimal(1)} for n in range(1, 32)]), None, None, "count", "other_payers.adjustments.reason"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "claim", "lines", "codes", "rule", "column"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_rules(kind: str, claim: Row, lines: list[Row] | None, codes: list[Row] | None, rule: str, column: str) -> None:
    found = [f for f in findings(kind, claim, lines, codes) if f.severity == "error"]
    assert (f"{kind}.{rule}", column) in {(f.rule, f.source.rpartition(" column ")[2] if "dx1" not in column else f.source) for f in found} or (
        column == "" and f"{kind}.{rule}" in {f.rule for f in found}), found  # fmt: skip
    assert {f.subject for f in found} == {"A1"}
    assert all(f.fix and f.message and f.source for f in found)


@pytest.mark.parametrize(
    ("kind", "claim", "lines"),
    [
        ("837P", other(paid=Decimal("60.00"), adjustments=[CAS]), None),
        ("837I", other(paid=Decimal("60.00")), [{"adjudications": [DECIDED]}]),
        ("837D", other(non_covered=Decimal("100.00")), None),
        ("837P", other(), None),
        ("837P", other(paid=Decimal("0.00")) | {"other_payers": [PAYER | {"paid": Decimal("50.00"), "adjustments": [
            CAS | {"amount": Decimal("10.00")}]}]}, [{"adjudications": [DECIDED | {"adjustments": [CAS]}]}]),
    ],
)  # fmt: skip
def test_what_adds_up_passes(kind: str, claim: Row, lines: list[Row] | None, way: Route) -> None:
    """The last: a claim adjustment lowers what the payer paid on the lines (AMT*D = Σ SVD02 − Σ CAS of the claim)."""
    written(way, kind, tables(kind, claim, lines))


def test_medicares_own_rules(way: Route) -> None:
    """E8: no patient level, and originals only, on professional claims."""
    dependent = {"relationship": "19", "subscriber_last": "Fir", "subscriber_first": "Ben"}
    medicare = {"accepts_dependents": False, "filing_indicator": "MB"}
    assert {f.rule for f in findings("837P", dependent, **medicare)} == {"837P.dependent"}
    again = {"frequency": "7", "payer_claim_number": "X1"}
    assert {f.rule for f in findings("837P", again, **medicare)} == {"837P.medicare_frequency"}
    assert findings("837I", again, **(medicare | {"filing_indicator": "MA"})) == []


@pytest.mark.parametrize("kind", ["837P", "837I", "837D"])
def test_a_dependent_with_a_member_number_is_built_as_subscriber(way: Route, kind: str) -> None:
    """B2, also for a payer that knows no dependents."""
    claim = {
        "relationship": "19",
        "subscriber_last": "Fir",
        "subscriber_first": "Ben",
        "member_id": "M1",
        "patient_member_id": "M1-02",
    }
    text = written(way, kind, tables(kind, claim), dependents=False).decode()
    assert "~HL*2*1*22*0~SBR*P*18*******CI~NM1*IL*1*FIR*ADA****MI*M1-02~N3*2 OAK ST~" in text
    assert text.count("~HL*") == 2
    below = written(way, kind, tables(kind, claim | {"patient_member_id": None}), oracle=False).decode()
    assert "~HL*2*1*22*1~SBR*P********CI~NM1*IL*1*FIR*BEN****MI*M1~" in below
    assert "~HL*3*2*23*0~PAT*19~NM1*QC*1*FIR*ADA~" in below


def test_values_without_a_place_are_told_and_the_claim_goes(way: Route) -> None:
    found = findings("837I", {"onset_date": date(2024, 2, 1), "predetermination": False}, [{"emergency": True}])
    assert {(f.rule, f.severity, f.source) for f in found} == {
        ("837I.unsent", "warning", "visits.csv row 1 column onset_date"), ("837I.unsent", "warning", "lines.csv row 1 line 1 column emergency")}  # fmt: skip


@pytest.mark.parametrize("value", ["ZOË", "A*B", "A~B", "A:B", "A^B", "A\nB", "A\x00B", "A😀", "A|B", "A~CLM*X", "Ａ"])
@pytest.mark.parametrize("kind", ["837P", "837I", "837D"])
def test_no_value_breaks_out_of_its_element(kind: str, value: str) -> None:
    """Fault 21: names, numbers and notes in nested rows too; no value stands in a finding."""
    claim = {"patient_last": value, "other_payers": [PAYER | {"payer_name": value}]} | SECOND
    parties = [{"role": "attending" if kind == "837I" else "supervising", "last": value, "npi": "1000030001"}]
    found = findings(kind, claim | {"parties": parties, "references": [{"qualifier": "D9", "value": value}]})
    columns = {f.source.rpartition(" column ")[2] for f in found if f.rule == f"{kind}.character"}
    assert columns == {"patient_last", "other_payers.payer_name", "parties.last", "references.value"}
    assert not any(value in f.message + f.fix + f.source for f in found)


def _three_kinds(n: int) -> tuple[Any, ...]:
    """n claims of each form, for one payer."""
    claims, codes, lines = [], [], []
    for number in range(n):
        for kind in ("837P", "837I", "837D"):
            claim_id = f"{kind[-1]}{number:05d}"
            claims.append(
                CLAIMS[kind] | {"claim_id": claim_id, "encounter_key": f"p:{claim_id}", "source_row": len(claims) + 1}
            )
            lines.append(LINES[kind] | {"claim_id": claim_id, "line_control_number": f"{claim_id}-1"})
            if kind != "837D":
                codes.append(CODE | {"claim_id": claim_id})
    return (
        shapes.from_rows("coded_claims", claims),
        shapes.from_rows("coded_diagnoses", codes),
        shapes.from_rows("coded_lines", lines),
    )


def _build(given: tuple[Any, ...], **changes: Any) -> Any:
    profile = load_profiles()["harbor"].model_copy(update=changes)
    return build_files(*given, profile, SubmitterSettings(), on=date(2024, 3, 2))


def test_files_are_split_by_guide_and_a_bad_claim_holds_no_neighbour() -> None:
    claims, codes, lines = _three_kinds(4)
    bad = claims.column("claim_id").to_pylist().index("I00001")
    made = _build((samples.replace(claims, bad, patient_last="Zoë"), codes, lines))
    assert made.held == {"I00001"}
    assert [(f.guide, len(f.claim_ids), f.charge_cents, f.numbers.interchange) for f in made.files] == [
        ("005010X222A1", 4, 40_000, 1), ("005010X223A2", 3, 30_000, 2), ("005010X224A2", 4, 40_000, 3)]  # fmt: skip
    assert [f.data.count(b"~CLM*") for f in made.files] == [4, 3, 4]
    assert (made.faults, [f.source for f in made.findings]) == ([], ["visits.csv row 5 column patient_last"])


def test_a_guide_that_the_payer_does_not_take_and_one_that_nobody_writes() -> None:
    claims, codes, lines = _three_kinds(1)
    made = _build((claims, codes, lines), takes=("837P", "837I"))
    assert (made.held, {f.rule for f in made.findings}, len(made.files)) == ({"D00000"}, {"837.not_taken"}, 2)
    made = _build((samples.replace(claims, 0, guide="005010X999"), codes, lines))
    assert (made.held, {f.rule for f in made.findings}) == ({"P00000"}, {"837.guide"})


def test_5001_claims_make_two_sets_and_keep_their_total() -> None:
    """F2."""
    given = samples.make(5001, dependents=False)
    total = sum(given[0].column("charge").to_pylist())
    [file] = _build(given).files
    assert file.data.count(b"~ST*837*") == 2
    assert (len(file.claim_ids), file.charge_cents) == (5001, total * 100)
    assert [file.set_controls.count(c) for c in ("0001", "0002")] == [5000, 1]
