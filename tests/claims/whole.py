"""Claims that together say everything that the writer can say: each place of each guide that is written at all stands in one of them."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pyarrow as pa
from claims.situations import CLAIMS, CODE, LINES, Row

from pipeline import shapes

DAY, EARLIER = date(2024, 2, 10), date(2024, 2, 3)
D = Decimal


def person(role: str, npi: str = "1000030001", **cells: str) -> Row:
    return {"role": role, "npi": npi, "last": "Yew", "first": "Una"} | cells


def place(role: str, **cells: str) -> Row:
    return {
        "role": role,
        "last": "Hill House",
        "address1": "3 Hill Rd",
        "city": "Salem",
        "state": "MA",
        "zip": "019700001",
    } | cells


def numbers(*roles: str, **cells: str) -> list[Row]:
    return [{"role": role, "id_qualifier": "G2", "id": f"N{n}"} | cells for n, role in enumerate(roles, 1)]


def dates(*qualifiers: str, day: date = DAY) -> list[Row]:
    return [{"qualifier": q, "from_date": day} for q in qualifiers]


def references(*qualifiers: str, text: str = "V", **cells: str) -> list[Row]:
    return [{"qualifier": q, "value": f"{text}{q}"} | cells for q in qualifiers]


OTHERS_PLACE = {"payer_address1": "1 Main St", "payer_city": "Reno", "payer_state": "NV", "payer_zip": "89501"}
DEPENDENT: Row = {"relationship": "19", "subscriber_last": "Fir", "subscriber_first": "Ben"}
BILLS: Row = {"billing_phone": "6175550177", "pay_to_address1": "PO Box 9", "pay_to_city": "Boston", "pay_to_state": "MA", "pay_to_zip": "021100009"}  # fmt: skip
CASUALTY: Row = {"casualty_claim_number": "PC1"}
CALLED: Row = CASUALTY | {"casualty_phone": "6175550199"}
FACILITY: Row = {"facility_name": "General", "facility_npi": "1000040000", "facility_address1": "900 Hospital Dr", "facility_city": "Boston",
                 "facility_state": "MA", "facility_zip": "021180001"}  # fmt: skip
DECIDED: Row = {"payer_id": "ACME1", "units": D(1), "paid_date": DAY, "paid": D("60.00"), "remaining": D("15.00"), "adjustments": [
    {"group": "CO", "reason": "45", "amount": D("25.00"), "quantity": D(1)}, {"group": "PR", "reason": "2", "amount": D("15.00")}]}  # fmt: skip
CONTRACT: Row = {
    "kind": "09",
    "amount": D("80.00"),
    "percent": D(80),
    "code": "C7",
    "discount_percent": D("2.5"),
    "version": "24",
}
OUTPATIENT: Row = {"rate": D("0.5"), "hcpcs_payable": D(12), "remark1": "MA01", "remark2": "N1", "remark3": "N2", "remark4": "N3", "remark5": "N4",
                   "esrd_paid": D("1.10"), "nonpayable_professional": D(2)}  # fmt: skip
INPATIENT: Row = {
    "covered_days": D(3), "lifetime_psychiatric_days": D(1), "drg_amount": D("900.10"), "remark1": "MA02", "disproportionate_share": D(1),
    "msp_pass_through": D(2), "pps_capital": D(3), "capital_federal_drg": D(4), "capital_hospital_drg": D(5),
    "capital_disproportionate_drg": D(6), "old_capital": D(7), "capital_teaching": D(8), "operating_hospital_drg": D(9),
    "cost_report_days": D(2), "operating_federal_drg": D(10), "capital_outlier": D(11), "indirect_teaching": D(12),
    "nonpayable_professional": D(13), "remark2": "N5", "remark3": "N6", "remark4": "N7", "remark5": "N8", "capital_exception": D(14),
}  # fmt: skip


def decided_by_line(**cells: Any) -> Row:
    """Another payer who decided the claim's one line."""
    return {
        "responsibility": "P", "payer_name": "Acme Health", "payer_id": "ACME1", "filing_indicator": "CI", "relationship": "01", "member_id": "W9",
        "subscriber_last": "Fir", "subscriber_first": "Ben", "subscriber_middle": "Q", "subscriber_address1": "5 Oak St",
        "subscriber_city": "Boston", "subscriber_state": "MA", "subscriber_zip": "02111", "group_number": "G1", "paid": D("60.00"),
        "remaining": D("15.00"), "payer_claim_number": "ICN1", "authorization_number": "AU1", **OTHERS_PLACE, "outpatient_decision": [OUTPATIENT],
    } | cells  # fmt: skip


def decided_as_a_whole(**cells: Any) -> Row:
    return {
        "responsibility": "S", "payer_name": "Zed", "payer_id": "ZED2", "filing_indicator": "CI", "member_id": "W8", "group_name": "Gold",
        "paid": D("90.00"), "paid_date": DAY, "adjustments": [{"group": "CO", "reason": "45", "amount": D("10.00")}],
    } | cells  # fmt: skip


def not_covered(**cells: Any) -> Row:
    return {"responsibility": "T", "payer_name": "Nil", "payer_id": "NIL3", "filing_indicator": "CI", "member_id": "W7",
            "non_covered": D("100.00")} | cells  # fmt: skip


Claim = tuple[Row, list[Row], list[Row]]
PROFESSIONAL: list[Claim] = [
    (
        BILLS | CALLED | FACILITY | {
            "payer_responsibility": "A", "group_name": "Plan", "patient_death_date": date(2024, 3, 1), "patient_weight": D("120.5"),
            "patient_middle": "Q", "patient_suffix": "JR", "patient_address2": "Apt 4", "patient_pregnant": True, "facility_phone": "6175550188",
            "accident_kind": "AA", "accident_kind2": "EM", "accident_state": "MA", "accident_date": DAY, "onset_date": DAY, "admission_date": DAY,
            "special_program": "02", "delay_reason": "3", "authorization_number": "AUTH9", "patient_paid": D("5.00"),
            "rendering_npi": "1000010003", "rendering_last": "Oak", "rendering_first": "Ola", "rendering_taxonomy": "207R00000X",
            "referring_npi": "1000020002", "referring_last": "Ash", "referring_first": "Al",
            "parties": [person("supervising", id_qualifier="1G", id="B1", middle="M", suffix="SR"), person("primary_care", "1000050009")],
            "other_payers": [decided_by_line(insurance_type="12"), decided_as_a_whole(), not_covered()],
            "identifiers": [
                *numbers("referring", "primary_care", "rendering", "facility", "supervising", "billing", payer_id="ACME1"),
                *numbers("billing", "rendering", "referring", "facility", "supervising"),
                *numbers("billing", id_qualifier="0B"),
            ],
            "references": references("4N", "F5", "EW", "9F", "X4", "9A", "9C", "LX", "D9", "EA", "P4", "1J")
            + references("2U", "9F", "T4", payer_id="ACME1"),
            "dates": dates("454", "304", "453", "484", "455", "471", "360", "297", "296", "096", "090", "444", "050"),
            "attachments": [{"report_type": "OZ", "transmission": "BM", "control_number": "K1"}, {"report_type": "B4", "transmission": "AA"}],
            "notes": [{"kind": "ADD", "text": "See the report"}], "contracts": [CONTRACT],
            "file_information": [{"text": "State data 1"}, {"text": "State data 2"}],
            "spinal": [{"condition": "M", "description": "Low back", "description2": "Since 2019"}],
            "conditions": [{"category": "E1", "holds": False, "code1": "L1", "code2": "L2"}, {"category": "75", "holds": True, "code1": "IH"},
                           {"category": "ZZ", "holds": True, "code1": "AV"}],
            "codes": [{"kind": "anesthesia", "rank": 1, "code": "47562"}, {"kind": "anesthesia", "rank": 2, "code": "47563"},
                      {"kind": "condition", "rank": 1, "code": "09"}, {"kind": "condition", "rank": 2, "code": "AA"}],
        },
        [{
            "procedure": "J1100", "modifier1": "RR", "modifier2": "KX", "modifier3": "AA", "modifier4": "BB", "description": "Panel", "place_of_service": "12",
            "pointer2": 2, "emergency": True, "epsdt": True, "family_planning": True, "copay_exempt": True, "service_to": date(2024, 3, 2),
            "rental_days": D(30), "rental_price": D("50.00"), "purchase_price": D("900.00"), "rental_unit": "4", "certification_type": "I",
            "certification_months": D(12), "obstetric_units": D(2), "ambulance_patients": D(2), "sales_tax": D("3.10"), "postage": D("0.90"),
            "purchased_charge": D("40.00"), "ndc": "00026063512", "ndc_units": D("1.5"), "ndc_unit_basis": "ML",
            "attachments": [{"report_type": "CT", "transmission": "AD"}, {"report_type": "OZ", "transmission": "BM", "control_number": "K2"}],
            "contracts": [{"kind": "02", "amount": D("75.50")}], "file_information": [{"text": "Line data"}],
            "notes": [{"kind": "DCP", "text": "Walks"}, {"kind": "TPO", "text": "Third party"}],
            "conditions": [{"category": "70", "holds": True, "code1": "65"}, {"category": "09", "holds": True, "code1": "ZV"}],
            "dates": dates("471", "607", "463", "461", "304", "738", "011", "455", "454", day=EARLIER),
            "measurements": [{"kind": "TR", "qualifier": "R2", "value": D("7.5")}],
            "references": references("9B", "9D", "G1", "EW", "X4", "F4", "BT", "9F", "XZ", text="L") + references("9F", "G1", text="O", payer_id="ACME1"),
            "parties": [
                person("rendering", "1000050009", taxonomy="207R00000X"), person("purchased_service", "1000030001"), place("facility", npi="1000040000"),
                person("supervising", "1000050009"), person("ordering", "1000050009", phone="6175550111", address1="9 Hill Rd", address2="2", city="Salem", state="MA", zip="019700001"),
                person("referring", "1000030001"), person("primary_care", "1000010003"),
            ],
            "identifiers": numbers("rendering", "purchased_service", "facility", "supervising", "ordering", "referring", "primary_care")
            + numbers("ordering", payer_id="ACME1"),
            "adjudications": [DECIDED | {"qualifier": "HC", "procedure": "J1101", "modifier1": "AA", "bundled_line": 1}],
            "forms": [{"form_kind": "UT", "form": "484.3", "question": "1A", "text": "56"}, {"form_kind": "UT", "form": "484.3", "question": "5", "day": DAY, "percent": D("2.5"), "answer": "Y"},
                      {"form_kind": "UT", "form": "04.04", "question": "6", "answer": "N"}],
        }],
        [{}, {"code": "I10"}, {"code": "J069"}],
    ),
    (  # an ambulance, for a dependent; the correction of a claim
        DEPENDENT | CALLED | {
            "frequency": "7", "payer_claim_number": "PCN5", "place_of_service": "41", "patient_pregnant": True, "group_number": "GRP7",
            "parties": [place("pick_up"), place("drop_off", address1="9 Hill Rd")],
            "transport": [{"weight": D(154), "reason": "A", "miles": D("12.5"), "round_trip": "Home", "stretcher": "Unable"}],
            "conditions": [{"category": "07", "holds": True, "code1": "01", "code2": "05"}],
        },
        [{"procedure": "A0427", "transport": [{"reason": "A", "miles": D(3)}], "conditions": [{"category": "07", "holds": True, "code1": "01"}],
          "parties": [place("pick_up", address1="4 Low Rd"), place("drop_off", address1="5 Low Rd")]}, {"procedure": "A0425"}],
        [{}],
    ),
]  # fmt: skip
INSTITUTIONAL: list[Claim] = [
    (
        BILLS | CASUALTY | FACILITY | {
            "bill_type": "11", "service_from": DAY, "service_to": date(2024, 3, 2), "admission_date": DAY, "admission_hour": "2230", "discharge_hour": "1100", "payer_responsibility": "A",
            "authorization_number": "AUTH9", "patient_estimate": D("12.50"), "delay_reason": "3",
            "rendering_npi": "1000010003", "rendering_last": "Oak", "rendering_first": "Ola",
            "referring_npi": "1000020002", "referring_last": "Ash", "referring_first": "Al",
            "parties": [person("attending", taxonomy="207R00000X", id_qualifier="G2", id="P77"), person("operating"), person("other_operating")],
            "other_payers": [decided_by_line(inpatient_decision=[INPATIENT]), decided_as_a_whole(), not_covered()],
            "identifiers": [
                *numbers("attending", "operating", "other_operating", "facility", "rendering", "referring", "billing", payer_id="ACME1"),
                *numbers("attending", "operating", "other_operating", "facility", "rendering", "referring", "billing"),
            ],
            "references": references("4N", "9F", "9A", "9C", "LX", "D9", "LU", "EA", "P4", "G4") + references("2U", "9F", "T4", payer_id="ACME1"),
            "dates": dates("050"),
            "attachments": [{"report_type": "OZ", "transmission": "BM", "control_number": "K1"}],
            "notes": [{"kind": "DCP", "text": "Goals"}, {"kind": "ADD", "text": "See the report"}], "contracts": [CONTRACT],
            "file_information": [{"text": "State data 1"}], "conditions": [{"category": "ZZ", "holds": True, "code1": "AV"}],
            "codes": [
                {"kind": "treatment", "rank": 1, "code": "A1B2"}, {"kind": "procedure", "rank": 1, "code": "0SR9019", "from_date": DAY},
                {"kind": "procedure", "rank": 2, "code": "3E0T3BZ", "from_date": DAY}, {"kind": "drg", "rank": 1, "code": "470"},
                {"kind": "occurrence", "rank": 1, "code": "11", "from_date": DAY}, {"kind": "occurrence_span", "rank": 1, "code": "70", "from_date": DAY, "to_date": date(2024, 2, 15)},
                {"kind": "value", "rank": 1, "code": "80", "amount": D(4)}, {"kind": "value", "rank": 2, "code": "A1", "amount": D("812.50")},
                {"kind": "condition", "rank": 1, "code": "09"},
            ],
        },
        [{
            "revenue_code": "0250", "procedure": "J1100", "modifier1": "AA", "service_to": date(2024, 3, 2), "non_covered": D("10.10"), "service_tax": D("1.10"), "facility_tax": D(2),
            "ndc": "00026063512", "ndc_units": D(1), "ndc_unit_basis": "ML", "attachments": [{"report_type": "OZ", "transmission": "BM", "control_number": "K2"}],
            "notes": [{"kind": "TPO", "text": "Third party"}], "references": references("9B", "9D", "XZ", text="L"),
            "parties": [person("operating", "1000050009"), person("other_operating", "1000050009"), person("rendering", "1000050009"), person("referring", "1000050009")],
            "identifiers": numbers("operating", "other_operating", "rendering", "referring"), "adjudications": [DECIDED | {"revenue_code": "0251"}],
        }],
        [{"poa": "Y"}, {"code": "I10", "poa": "1"}, {"code": "J069", "poa": "N"}, {"kind": "admitting", "code": "M1711", "rank": 1}, {"kind": "external", "code": "W1830XA", "rank": 1, "poa": "Y"}],
    ),
    (
        DEPENDENT | CASUALTY | {"frequency": "7", "payer_claim_number": "PCN5"}, [{"service_date": date(2024, 3, 1)}],
        [{}, {"kind": "reason", "code": "R58", "rank": 1}],
    ),
]  # fmt: skip
DENTAL: list[Claim] = [
    (
        BILLS | CASUALTY | FACILITY | {
            "payer_responsibility": "A", "accident_kind": "OA", "accident_date": DAY, "delay_reason": "3", "special_program": "02", "authorization_number": "AUTH9", "patient_paid": D(5),
            "orthodontic_months": 24, "orthodontic_months_left": 20, "orthodontic_transfer": True, "teeth": [{"tooth": "14", "status": "M"}],
            "rendering_npi": "1000010003", "rendering_last": "Oak", "rendering_first": "Ola", "rendering_taxonomy": "1223G0001X",
            "referring_npi": "1000020002", "referring_last": "Ash", "referring_first": "Al", "referring_taxonomy": "1223G0001X",
            "parties": [person("supervising"), person("primary_care", "1000050009", taxonomy="207R00000X")],
            "other_payers": [decided_by_line(), decided_as_a_whole(), not_covered()],
            "identifiers": [
                *numbers("referring", "primary_care", "rendering", "facility", "supervising", "assistant_surgeon", "billing", payer_id="ACME1"),
                *numbers("billing", "rendering", "referring", "facility", "supervising"), *numbers("billing", id_qualifier="0B"),
            ],
            "references": references("G3", "4N", "9F", "9A", "9C", "D9") + references("2U", "9F", "T4", "G3", payer_id="ACME1"),
            "dates": dates("452", "050"), "attachments": [{"report_type": "OZ", "transmission": "BM", "control_number": "K1"}],
            "notes": [{"kind": "ADD", "text": "See the report"}], "contracts": [CONTRACT], "file_information": [{"text": "State data 1"}],
        },
        [{
            "modifier1": "AA", "place_of_service": "12", "oral_cavity": "10, 20", "prosthesis": "R", "pointer1": 1, "pointer2": 2, "teeth": [{"tooth": "12", "surfaces": "MOD"}, {"tooth": "13"}],
            "prior_placement_date": DAY, "sales_tax": D("3.10"), "service_date": date(2024, 3, 1), "service_to": date(2024, 3, 2), "dates": dates("452", "446", "196", "198", day=EARLIER),
            "contracts": [{"kind": "02"}], "file_information": [{"text": "Line data"}], "references": references("G3", "G1", "9F", "9B", "9D", text="L"),
            "parties": [person("rendering", "1000050009", taxonomy="1223G0001X"), person("supervising", "1000050009"), place("facility", npi="1000040000")],
            "identifiers": numbers("rendering", "supervising", "facility"), "adjudications": [DECIDED],
        }],
        [{"code": "K029"}, {"code": "K0262"}],
    ),
    (
        DEPENDENT | CASUALTY | {"frequency": "7", "payer_claim_number": "PCN5", "parties": [person("assistant_surgeon", taxonomy="1223G0001X")], "identifiers": numbers("assistant_surgeon")},
        [{"parties": [person("assistant_surgeon", "1000050009", taxonomy="1223G0001X")], "identifiers": numbers("assistant_surgeon")}],
        [],
    ),
]  # fmt: skip
WHOLE: dict[str, list[Claim]] = {"837P": PROFESSIONAL, "837I": INSTITUTIONAL, "837D": DENTAL}


def tables(kind: str) -> tuple[pa.Table, ...]:
    """The claims of the kind, A1, A2 …, in the shapes between the stages."""
    claims, diagnoses, lines = [], [], []
    for number, (claim, services, codes) in enumerate(WHOLE[kind], 1):
        key = {"claim_id": f"A{number}"}
        made = [
            LINES[kind] | {"line": n, "line_control_number": f"A{number}-{n}"} | row | key
            for n, row in enumerate(services, 1)
        ]
        total = sum((row["charge"] for row in made), Decimal("0.00"))
        claims.append(CLAIMS[kind] | {"charge": total, "encounter_key": f"p:{number}"} | claim | key)
        diagnoses += [CODE | {"rank": n} | row | key for n, row in enumerate(codes, 1)]
        lines += made
    return (
        shapes.from_rows("coded_claims", claims),
        shapes.from_rows("coded_diagnoses", diagnoses),
        shapes.from_rows("coded_lines", lines),
    )
