"""One reference file for each situation that payers look at closely: the whole claim loop, as text, from coded rows.

Every file passes our validator strictly, reads back as it was meant, keeps its structure for badx12, and passes pyx12 where it
has the guide.
"""

from __future__ import annotations

import dataclasses
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from claims.situations import claim_loop, findings, tables, written

from pipeline.transactions.claim_837_route import Route

Row = dict[str, Any]


def person(role: str, npi: str, last: str = "Yew", first: str = "Una", **cells: str) -> Row:
    return {"role": role, "npi": npi, "last": last, "first": first} | cells


def place(role: str, number: int) -> Row:
    return {"role": role, "address1": f"{number} Hill Rd", "city": "Salem", "state": "MA", "zip": "019700001"}


def test_anaesthesia(way: Route) -> None:
    """Minutes, not units; the operation that it was given for; further units of obstetric anaesthesia."""
    line = {
        "procedure": "00790",
        "modifier1": "AA",
        "unit_basis": "MJ",
        "units": Decimal(95),
        "obstetric_units": Decimal(2),
    }
    assert claim_loop(way, "837P", {"codes": [{"kind": "anesthesia", "rank": 1, "code": "47562"}]}, [line]) == """\
CLM*A1*100***11:B:1*Y*A*Y*Y~
HI*ABK:E119~
HI*BP:47562~
LX*1~
SV1*HC:00790:AA*100*MJ*95***1~
DTP*472*D8*20240301~
QTY*FL*2~
REF*6R*A1-1~
"""  # fmt: skip


def test_ambulance(way: Route) -> None:
    """CR1 with weight and miles, its conditions, pick-up and drop-off, and never a service facility."""
    claim = {
        "place_of_service": "41", "parties": [place("drop_off", 4), place("pick_up", 3)],
        "transport": [{"weight": Decimal(154), "reason": "A", "miles": Decimal("12.5"), "stretcher": "Unable to sit"}],
        "conditions": [{"category": "07", "holds": True, "code1": "01", "code2": "05"}],
        "facility_name": "General", "facility_address1": "900 Hospital Dr", "facility_city": "Boston", "facility_state": "MA",
        "facility_zip": "021180001",
    }  # fmt: skip
    lines = [
        {"procedure": "A0427", "modifier1": "RH"},
        {"procedure": "A0425", "modifier1": "RH", "units": Decimal("12.5")},
    ]
    assert claim_loop(way, "837P", claim, lines) == """\
CLM*A1*200***41:B:1*Y*A*Y*Y~
CR1*LB*154**A*DH*12.5****UNABLE TO SIT~
CRC*07*Y*01*05~
HI*ABK:E119~
NM1*PW*2~
N3*3 HILL RD~
N4*SALEM*MA*019700001~
NM1*45*2~
N3*4 HILL RD~
N4*SALEM*MA*019700001~
LX*1~
SV1*HC:A0427:RH*100*UN*1***1~
DTP*472*D8*20240301~
REF*6R*A1-1~
LX*2~
SV1*HC:A0425:RH*100*UN*12.5***1~
DTP*472*D8*20240301~
REF*6R*A1-2~
"""  # fmt: skip


def test_equipment(way: Route) -> None:
    """SV5 and CR3, the certificate (PWK, CRC, DTP, MEA), who ordered it, and the answers of its form."""
    line = {
        "procedure": "E0424", "rental_days": Decimal(30), "rental_price": Decimal("50.00"), "purchase_price": Decimal("900.00"),
        "rental_unit": "4", "certification_type": "I", "certification_months": Decimal(12),
        "attachments": [{"report_type": "CT", "transmission": "AD"}],
        "conditions": [{"category": "09", "holds": True, "code1": "ZV"}],
        "dates": [{"qualifier": "463", "from_date": date(2024, 2, 1)}, {"qualifier": "607", "from_date": date(2024, 2, 2)}],
        "measurements": [{"kind": "TR", "qualifier": "R2", "value": Decimal("7.5")}],
        "forms": [
            {"form_kind": "UT", "form": "484.3", "question": "1A", "text": "56"},
            {"form_kind": "UT", "form": "484.3", "question": "4", "answer": "Y"},
            {"form_kind": "UT", "form": "484.3", "question": "5", "day": date(2024, 2, 1), "percent": Decimal("2.5")},
            {"form_kind": "UT", "form": "04.04", "question": "6", "answer": "N"},
        ],
        "parties": [person("ordering", "1000030001", phone="6175550111", address1="9 Hill Rd", city="Salem", state="MA", zip="019700001")],
    }  # fmt: skip
    # pyx12 4.0 takes a certificate (CT) for other paperwork and so knows none of its ways of sending
    assert claim_loop(way, "837P", {"place_of_service": "12"}, [line], but="(AD) is not a valid code") == """\
CLM*A1*100***12:B:1*Y*A*Y*Y~
HI*ABK:E119~
LX*1~
SV1*HC:E0424*100*UN*1***1~
SV5*HC:E0424*DA*30*50*900*4~
PWK*CT*AD~
CR3*I*MO*12~
CRC*09*Y*ZV~
DTP*472*D8*20240301~
DTP*607*D8*20240202~
DTP*463*D8*20240201~
MEA*TR*R2*7.5~
REF*6R*A1-1~
NM1*DK*1*YEW*UNA****XX*1000030001~
N3*9 HILL RD~
N4*SALEM*MA*019700001~
PER*IC*YEW*TE*6175550111~
LQ*UT*484.3~
FRM*1A**56~
FRM*4*Y~
FRM*5***20240201*2.5~
LQ*UT*04.04~
FRM*6*N~
"""  # fmt: skip


def test_drug(way: Route) -> None:
    line = {"procedure": "J1100", "units": Decimal(4), "ndc": "00026063512", "ndc_units": Decimal("1.5"), "ndc_unit_basis": "ML",
            "references": [{"qualifier": "XZ", "value": "RX77"}]}  # fmt: skip
    assert claim_loop(way, "837P", {}, [line]) == """\
CLM*A1*100***11:B:1*Y*A*Y*Y~
HI*ABK:E119~
LX*1~
SV1*HC:J1100*100*UN*4***1~
DTP*472*D8*20240301~
REF*6R*A1-1~
LIN**N4*00026063512~
CTP****1.5*ML~
REF*XZ*RX77~
"""  # fmt: skip


def test_dental(way: Route) -> None:
    """Orthodontics, teeth of the claim, teeth and surfaces of lines, areas of the mouth, a bridge that replaces one."""
    claim = {
        "orthodontic_months": 24, "orthodontic_months_left": 20, "teeth": [{"tooth": "14", "status": "M"}, {"tooth": "32", "status": "E"}],
        "parties": [person("assistant_surgeon", "1000030001", taxonomy="1223G0001X")],
    }  # fmt: skip
    lines = [
        {"teeth": [{"tooth": "12", "surfaces": "MOD"}, {"tooth": "13"}], "pointer1": 1},
        {"procedure": "D6240", "oral_cavity": "10, 20", "prosthesis": "R", "prior_placement_date": date(2019, 5, 6),
         "service_date": date(2024, 3, 2), "pointer1": 1},
    ]  # fmt: skip
    assert claim_loop(way, "837D", claim, lines, [{"code": "K029"}]) == """\
CLM*A1*200***11:B:1*Y*A*Y*Y~
DN1*24*20~
DN2*14*M****JP~
DN2*32*E****JP~
HI*ABK:K029~
NM1*DD*1*YEW*UNA****XX*1000030001~
PRV*AS*PXC*1223G0001X~
LX*1~
SV3*AD:D2150*100****1*****1~
TOO*JP*12*M:O:D~
TOO*JP*13~
DTP*472*D8*20240301~
REF*6R*A1-1~
LX*2~
SV3*AD:D6240*100**10:20*R*1*****1~
DTP*472*D8*20240302~
DTP*441*D8*20190506~
REF*6R*A1-2~
"""  # fmt: skip


def test_a_dental_estimate_has_no_day_of_service(way: Route) -> None:
    assert claim_loop(way, "837D", {"predetermination": True}) == """\
CLM*A1*100***11:B:1*Y*A*Y*Y**********PB~
LX*1~
SV3*AD:D2150*100****1~
REF*6R*A1-1~
"""  # fmt: skip


def test_inpatient(way: Route) -> None:
    """A stay: statement, admission, discharge, CL1, all kinds of HI with present on admission, physicians, rooms in days."""
    claim = {
        "bill_type": "11", "service_from": date(2024, 2, 26), "admission_date": date(2024, 2, 26), "admission_hour": "2230",
        "discharge_hour": "1100", "admission_type": "1", "admission_source": "7", "patient_status": "01",
        "parties": [person("other_operating", "1000010003", "Oak", "Ola"), person("operating", "1000030001"),
                    person("attending", "1000020002", "Ash", "Al", taxonomy="207R00000X", id_qualifier="G2", id="P77")],
        "codes": [
            {"kind": "treatment", "rank": 1, "code": "A1B2"},
            {"kind": "procedure", "rank": 2, "code": "3E0T3BZ", "from_date": date(2024, 2, 28)},
            {"kind": "procedure", "rank": 1, "code": "0SR9019", "from_date": date(2024, 2, 27)},
            {"kind": "drg", "rank": 1, "code": "470"},
            {"kind": "occurrence", "rank": 1, "code": "11", "from_date": date(2024, 2, 1)},
            {"kind": "occurrence_span", "rank": 1, "code": "70", "from_date": date(2024, 2, 1), "to_date": date(2024, 2, 5)},
            {"kind": "value", "rank": 1, "code": "80", "amount": Decimal("4.00")},
            {"kind": "value", "rank": 2, "code": "A1", "amount": Decimal("812.50")},
            {"kind": "condition", "rank": 1, "code": "09"},
        ],
    }  # fmt: skip
    lines = [
        {
            "revenue_code": "0120",
            "procedure": None,
            "unit_basis": "DA",
            "units": Decimal(4),
            "charge": Decimal("4000.00"),
        },
        {"revenue_code": "0360", "procedure": None, "charge": Decimal("9000.10"), "non_covered": Decimal("10.10")},
    ]
    codes = [
        {"code": "M1711", "poa": "Y"}, {"code": "I10", "poa": "1"}, {"code": "E119", "poa": "N"},
        {"kind": "admitting", "code": "M1711", "rank": 1}, {"kind": "external", "code": "W1830XA", "rank": 1, "poa": "Y"},
    ]  # fmt: skip
    assert claim_loop(way, "837I", claim, lines, codes) == """\
CLM*A1*13000.1***11:A:1**A*Y*Y~
DTP*096*TM*1100~
DTP*434*RD8*20240226-20240301~
DTP*435*DT*202402262230~
CL1*1*7*01~
HI*ABK:M1711:::::::Y~
HI*ABJ:M1711~
HI*ABN:W1830XA:::::::Y~
HI*DR:470~
HI*ABF:I10*ABF:E119:::::::N~
HI*BBR:0SR9019:D8:20240227~
HI*BBQ:3E0T3BZ:D8:20240228~
HI*BI:70:RD8:20240201-20240205~
HI*BH:11:D8:20240201~
HI*BE:80:::4*BE:A1:::812.5~
HI*BG:09~
HI*TC:A1B2~
NM1*71*1*ASH*AL****XX*1000020002~
PRV*AT*PXC*207R00000X~
REF*G2*P77~
NM1*72*1*YEW*UNA****XX*1000030001~
NM1*ZZ*1*OAK*OLA****XX*1000010003~
LX*1~
SV2*0120**4000*DA*4~
DTP*472*D8*20240301~
REF*6R*A1-1~
LX*2~
SV2*0360**9000.1*UN*1**10.1~
DTP*472*D8*20240301~
REF*6R*A1-2~
"""  # fmt: skip


def test_outpatient(way: Route) -> None:
    lines = [{"service_to": date(2024, 3, 2)}, {"revenue_code": "0250", "procedure": "J1100", "units": Decimal(2), "ndc": "00026063512",
                                                "ndc_units": Decimal(1), "ndc_unit_basis": "ML"}]  # fmt: skip
    codes = [
        {"code": "S61411A"},
        {"kind": "reason", "code": "R58", "rank": 1},
        {"kind": "external", "code": "W260XXA", "rank": 1},
    ]
    assert claim_loop(way, "837I", {"service_to": date(2024, 3, 2)}, lines, codes) == """\
CLM*A1*200***13:A:1**A*Y*Y~
DTP*434*RD8*20240301-20240302~
CL1*3*1*01~
HI*ABK:S61411A~
HI*APR:R58~
HI*ABN:W260XXA~
NM1*71*1*ASH*AL****XX*1000020002~
LX*1~
SV2*0450*HC:99283*100*UN*1~
DTP*472*RD8*20240301-20240302~
REF*6R*A1-1~
LX*2~
SV2*0250*HC:J1100*100*UN*2~
DTP*472*D8*20240301~
REF*6R*A1-2~
LIN**N4*00026063512~
CTP****1*ML~
"""  # fmt: skip


def test_replacement(way: Route) -> None:
    assert claim_loop(way, "837P", {"frequency": "7", "payer_claim_number": "PCN5"}) == """\
CLM*A1*100***11:B:7*Y*A*Y*Y~
REF*F8*PCN5~
HI*ABK:E119~
LX*1~
SV1*HC:99213*100*UN*1***1~
DTP*472*D8*20240301~
REF*6R*A1-1~
"""  # fmt: skip


def test_void(way: Route) -> None:
    assert claim_loop(way, "837I", {"frequency": "8", "payer_claim_number": "PCN6"}) == """\
CLM*A1*100***13:A:8**A*Y*Y~
DTP*434*RD8*20240301-20240301~
CL1*3*1*01~
REF*F8*PCN6~
HI*ABK:E119~
NM1*71*1*ASH*AL****XX*1000020002~
LX*1~
SV2*0450*HC:99283*100*UN*1~
DTP*472*D8*20240301~
REF*6R*A1-1~
"""  # fmt: skip


def test_attachment(way: Route) -> None:
    claim = {"attachments": [{"report_type": "OZ", "transmission": "EL", "control_number": "ATT1", "file": "report.pdf"},
                             {"report_type": "B4", "transmission": "AA"}],
             "notes": [{"kind": "ADD", "text": "See the report"}]}  # fmt: skip
    assert claim_loop(way, "837P", claim) == """\
CLM*A1*100***11:B:1*Y*A*Y*Y~
PWK*OZ*EL***AC*ATT1~
PWK*B4*AA~
NTE*ADD*SEE THE REPORT~
HI*ABK:E119~
LX*1~
SV1*HC:99213*100*UN*1***1~
DTP*472*D8*20240301~
REF*6R*A1-1~
"""  # fmt: skip


def test_medicare_secondary(way: Route) -> None:
    """Another payer went first: SBR05, what it paid and adjusted by line, its date at the lines and not at the payer."""
    claim = {
        "payer_responsibility": "S", "insurance_type": "12", "patient_paid": Decimal("5.00"),
        "other_payers": [{
            "responsibility": "P", "payer_name": "Acme Health", "payer_id": "ACME1", "payer_address1": "1 Main St", "payer_city": "Reno",
            "payer_state": "NV", "payer_zip": "89501", "filing_indicator": "CI", "relationship": "01", "member_id": "W9",
            "subscriber_last": "Fir", "subscriber_first": "Ben", "group_number": "G1", "paid": Decimal("60.00"),
            "remaining": Decimal("15.00"), "payer_claim_number": "ICN1", "paid_date": date(2024, 2, 20), "benefits_assignment": "N",
        }],
    }  # fmt: skip
    decided = {"payer_id": "ACME1", "units": Decimal(1), "paid_date": date(2024, 2, 20)}
    lines = [
        {"charge": Decimal("70.00"), "adjudications": [decided | {"paid": Decimal("45.00"), "remaining": Decimal("15.00"), "adjustments": [
            {"group": "CO", "reason": "45", "amount": Decimal("10.00"), "quantity": Decimal(1)},
            {"group": "PR", "reason": "2", "amount": Decimal("10.00")}, {"group": "PR", "reason": "3", "amount": Decimal("5.00")}]}]},
        {"procedure": "85025", "charge": Decimal("30.00"), "adjudications": [decided | {
            "paid": Decimal("15.00"), "qualifier": "HC", "procedure": "85027", "bundled_line": 1,
            "adjustments": [{"group": "CO", "reason": "45", "amount": Decimal("15.00")}]}]},
    ]  # fmt: skip
    assert claim_loop(dataclasses.replace(way, filing_indicator="MB"), "837P", claim, lines) == """\
CLM*A1*100***11:B:1*Y*A*Y*Y~
AMT*F5*5~
HI*ABK:E119~
SBR*P*01*G1******CI~
AMT*D*60~
AMT*EAF*15~
OI***N***Y~
NM1*IL*1*FIR*BEN****MI*W9~
NM1*PR*2*ACME HEALTH*****PI*ACME1~
N3*1 MAIN ST~
N4*RENO*NV*89501~
REF*F8*ICN1~
LX*1~
SV1*HC:99213*70*UN*1***1~
DTP*472*D8*20240301~
REF*6R*A1-1~
SVD*ACME1*45*HC:99213**1~
CAS*CO*45*10*1~
CAS*PR*2*10**3*5~
DTP*573*D8*20240220~
AMT*EAF*15~
LX*2~
SV1*HC:85025*30*UN*1***1~
DTP*472*D8*20240301~
REF*6R*A1-2~
SVD*ACME1*15*HC:85027**1*1~
CAS*CO*45*15~
DTP*573*D8*20240220~
"""  # fmt: skip


def test_a_payer_that_decided_the_claim_as_a_whole(way: Route) -> None:
    """Adjustments at the claim: six reasons a segment, one group a segment; the date at the payer; patient as its subscriber."""
    reasons = [str(n) for n in range(1, 9)]
    claim = {"payer_responsibility": "S", "other_payers": [{
        "responsibility": "P", "payer_name": "Acme Health", "payer_id": "ACME1", "filing_indicator": "CI", "member_id": "W9",
        "group_name": "Acme Gold", "paid": Decimal("90.00"), "paid_date": date(2024, 2, 20),
        "adjustments": [{"group": "PR", "reason": r, "amount": Decimal("1.00")} for r in reasons[:7]]
        + [{"group": "CO", "reason": "45", "amount": Decimal("2.00")}, {"group": "PR", "reason": "66", "amount": Decimal("1.00")}],
    }]}  # fmt: skip
    assert claim_loop(way, "837I", claim) == """\
CLM*A1*100***13:A:1**A*Y*Y~
DTP*434*RD8*20240301-20240301~
CL1*3*1*01~
HI*ABK:E119~
NM1*71*1*ASH*AL****XX*1000020002~
SBR*P*18**ACME GOLD*****CI~
CAS*PR*1*1**2*1**3*1**4*1**5*1**6*1~
CAS*PR*7*1**66*1~
CAS*CO*45*2~
AMT*D*90~
OI***Y***Y~
NM1*IL*1*FIR*ADA****MI*W9~
N3*2 OAK ST~
N4*BOSTON*MA*02111~
NM1*PR*2*ACME HEALTH*****PI*ACME1~
DTP*573*D8*20240220~
LX*1~
SV2*0450*HC:99283*100*UN*1~
DTP*472*D8*20240301~
REF*6R*A1-1~
"""  # fmt: skip


def test_line_over_claim(way: Route) -> None:
    """E5: a number or date that the line repeats from its claim is left out at the line; what another payer gave stays."""
    claim = {"authorization_number": "AUTH9", "references": [{"qualifier": "9F", "value": "REF1"}],
             "dates": [{"qualifier": "304", "from_date": date(2024, 2, 1)}]}  # fmt: skip
    lines = [{
        "references": [{"qualifier": "G1", "value": "auth9"}, {"qualifier": "9F", "value": "REF2"},
                       {"qualifier": "G1", "value": "AUTH9", "payer_id": "ACME1"}],
        "dates": [{"qualifier": "304", "from_date": date(2024, 2, 1)}, {"qualifier": "455", "from_date": date(2024, 2, 3)}],
    }]  # fmt: skip
    assert claim_loop(way, "837P", claim, lines) == """\
CLM*A1*100***11:B:1*Y*A*Y*Y~
DTP*304*D8*20240201~
REF*9F*REF1~
REF*G1*AUTH9~
HI*ABK:E119~
LX*1~
SV1*HC:99213*100*UN*1***1~
DTP*472*D8*20240301~
DTP*455*D8*20240203~
REF*G1*AUTH9**2U:ACME1~
REF*6R*A1-1~
REF*9F*REF2~
"""  # fmt: skip


def test_all_that_a_professional_line_may_say(way: Route) -> None:
    """Ranges of days, flags, an unlisted procedure in words, tax and postage, a purchased service, a condition of its own."""
    line = {
        "procedure": "81599", "description": "Panel of 12 markers", "service_to": date(2024, 3, 2), "emergency": True, "epsdt": True,
        "family_planning": True, "copay_exempt": True, "sales_tax": Decimal("3.10"), "postage": Decimal("0.90"),
        "purchased_charge": Decimal("40.00"), "parties": [{"role": "purchased_service", "npi": "1000030001"}],
        "notes": [{"kind": "DCP", "text": "Walks again"}, {"kind": "TPO", "text": "Third party"}],
        "references": [{"qualifier": "X4", "value": "11D0000001"}],
    }  # fmt: skip
    claim = {"service_to": date(2024, 3, 2), "special_program": "02", "delay_reason": "3", "patient_death_date": date(2024, 3, 2),
             "patient_weight": Decimal("120.5"), "patient_pregnant": True}  # fmt: skip
    assert claim_loop(way, "837P", claim, [line]) == """\
CLM*A1*100***11:B:1*Y*A*Y*Y***02********3~
HI*ABK:E119~
LX*1~
SV1*HC:81599:::::PANEL OF 12 MARKERS*100*UN*1***1**Y**Y*Y***0~
DTP*472*RD8*20240301-20240302~
REF*6R*A1-1~
REF*X4*11D0000001~
AMT*T*3.1~
AMT*F4*0.9~
NTE*DCP*WALKS AGAIN~
NTE*TPO*THIRD PARTY~
PS1*1000030001*40~
NM1*QB*2******XX*1000030001~
"""  # fmt: skip


def test_a_room_and_a_tooth_that_another_payer_decided(way: Route) -> None:
    """SVD names the service as the line does: a revenue code alone, or a dental code."""
    payer = {
        "responsibility": "P",
        "payer_name": "Acme",
        "payer_id": "ACME1",
        "filing_indicator": "CI",
        "member_id": "W9",
        "paid": Decimal("60.00"),
    }
    decided = {"payer_id": "ACME1", "paid": Decimal("60.00"), "units": Decimal(1), "paid_date": date(2024, 2, 20),
               "adjustments": [{"group": "CO", "reason": "45", "amount": Decimal("40.00")}]}  # fmt: skip
    claim = {"payer_responsibility": "S", "other_payers": [payer]}
    stay = claim_loop(
        way,
        "837I",
        claim,
        [{"revenue_code": "0120", "procedure": None, "unit_basis": "DA", "adjudications": [decided]}],
    )
    assert "SVD*ACME1*60**0120*1~\nCAS*CO*45*40~\n" in stay
    assert "SVD*ACME1*60*AD:D2150**1~\nCAS*CO*45*40~\n" in claim_loop(
        way, "837D", claim, [{"adjudications": [decided]}]
    )


def other_payer(**cells: Any) -> Row:
    return {
        "responsibility": "P", "payer_name": "Acme Health", "payer_id": "ACME1", "filing_indicator": "CI", "member_id": "W9",
        "paid": Decimal("90.00"), "paid_date": date(2024, 2, 20),
        "adjustments": [{"group": "CO", "reason": "45", "amount": Decimal("10.00")}],
    } | cells  # fmt: skip


def number_of(role: str, value: str, qualifier: str = "G2", **cells: str) -> Row:
    return {"role": role, "id_qualifier": qualifier, "id": value} | cells


def test_numbers_of_providers_here_and_at_another_payer(way: Route) -> None:
    """2330C to 2330G of a professional claim; REF of its own providers; numbers that the other payer gave."""
    there = {"payer_id": "ACME1"}
    claim = {
        "payer_responsibility": "S", "other_payers": [other_payer()],
        "rendering_npi": "1000010003", "rendering_last": "Oak", "rendering_first": "Ola",
        "referring_npi": "1000020002", "referring_last": "Ash", "referring_first": "Al",
        "parties": [person("supervising", "1000030001", id_qualifier="1G", id="B12345")],
        "identifiers": [
            number_of("facility", "F8", "LU", **there), number_of("billing", "BP1", **there), number_of("rendering", "RP1", **there),
            number_of("rendering", "RP2", "0B", **there), number_of("primary_care", "PC1", **there), number_of("referring", "RF1", **there),
            number_of("supervising", "SP1", **there), number_of("billing", "PRV7"), number_of("billing", "L77", "0B"),
            number_of("rendering", "R7"), number_of("referring", "X9", "0B"), number_of("supervising", "S7"),
        ],
        "references": [{"qualifier": "9F", "value": "RFR1"}, {"qualifier": "9F", "value": "RFR2", **there}, {"qualifier": "2U", "value": "ALT1", **there},
                       {"qualifier": "T4", "value": "Y", **there}],
    }  # fmt: skip
    line = {"parties": [person("ordering", "1000030001")], "identifiers": [
        number_of("ordering", "B12345", "1G"), number_of("ordering", "O1", **there)]}  # fmt: skip
    text = written(way, "837P", tables("837P", claim, [line])).decode()
    assert (
        "NM1*85*2*ELM CLINIC*****XX*1234567893~N3*1 ELM ST~N4*BOSTON*MA*021100001~REF*EI*041234567~REF*0B*L77~" in text
    )
    assert "PI*HARBOR1~N3*27 LONG WHARF~N4*BOSTON*MA*021100000~REF*G2*PRV7~CLM*" in text
    assert text[text.index("CLM*") : text.index("SE*")].replace("~", "~\n") == """\
CLM*A1*100***11:B:1*Y*A*Y*Y~
REF*9F*RFR1~
HI*ABK:E119~
NM1*DN*1*ASH*AL****XX*1000020002~
REF*0B*X9~
NM1*82*1*OAK*OLA****XX*1000010003~
REF*G2*R7~
NM1*DQ*1*YEW*UNA****XX*1000030001~
REF*1G*B12345~
REF*G2*S7~
SBR*P*18*******CI~
CAS*CO*45*10~
AMT*D*90~
OI***Y***Y~
NM1*IL*1*FIR*ADA****MI*W9~
N3*2 OAK ST~
N4*BOSTON*MA*02111~
NM1*PR*2*ACME HEALTH*****PI*ACME1~
DTP*573*D8*20240220~
REF*2U*ALT1~
REF*9F*RFR2~
REF*T4*Y~
NM1*DN*1~
REF*G2*RF1~
NM1*P3*1~
REF*G2*PC1~
NM1*82*1~
REF*G2*RP1~
REF*0B*RP2~
NM1*77*2~
REF*LU*F8~
NM1*DQ*1~
REF*G2*SP1~
NM1*85*2~
REF*G2*BP1~
LX*1~
SV1*HC:99213*100*UN*1***1~
DTP*472*D8*20240301~
REF*6R*A1-1~
NM1*DK*1*YEW*UNA****XX*1000030001~
REF*1G*B12345~
REF*G2*O1**2U:ACME1~
"""  # fmt: skip


def test_numbers_of_physicians_of_a_stay_at_another_payer(way: Route) -> None:
    """2330C to 2330I of an institutional claim, of the second of two other payers."""
    roles = ["billing", "referring", "rendering", "facility", "other_operating", "operating", "attending"]
    claim = {
        "payer_responsibility": "T", "other_payers": [other_payer(), other_payer(responsibility="S", payer_id="ZED2", payer_name="Zed")],
        "identifiers": [number_of(role, f"N{n}", payer_id="ZED2") for n, role in enumerate(roles, 1)],
    }  # fmt: skip
    text = claim_loop(way, "837I", claim)
    assert text.count("NM1*85*") == 1
    assert text[text.index("NM1*PR*2*ZED") : text.index("LX*")] == """\
NM1*PR*2*ZED*****PI*ZED2~
DTP*573*D8*20240220~
NM1*71*1~
REF*G2*N7~
NM1*72*1~
REF*G2*N6~
NM1*ZZ*1~
REF*G2*N5~
NM1*77*2~
REF*G2*N4~
NM1*82*1~
REF*G2*N3~
NM1*DN*1~
REF*G2*N2~
NM1*85*2~
REF*G2*N1~
"""  # fmt: skip


def test_numbers_of_dental_providers_at_another_payer(way: Route) -> None:
    """2330C to 2330H; a person bills; the referring dentist's speciality; the other payer's estimate number."""
    roles = ["assistant_surgeon", "facility", "billing", "supervising", "rendering", "primary_care", "referring"]
    claim = {
        "billing_first": "Sam", "billing_tin_kind": "SY", "payer_responsibility": "S", "other_payers": [other_payer()],
        "referring_npi": "1000020002", "referring_last": "Ash", "referring_first": "Al", "referring_taxonomy": "1223G0001X",
        "identifiers": [number_of(role, f"N{n}", payer_id="ACME1") for n, role in enumerate(roles, 1)],
        "references": [{"qualifier": "G3", "value": "PRE1", "payer_id": "ACME1"}],
    }  # fmt: skip
    text = claim_loop(way, "837D", claim)
    assert "NM1*DN*1*ASH*AL****XX*1000020002~\nPRV*RF*PXC*1223G0001X~\n" in text
    assert text[text.index("NM1*PR*2*ACME") : text.index("LX*")] == """\
NM1*PR*2*ACME HEALTH*****PI*ACME1~
DTP*573*D8*20240220~
REF*G3*PRE1~
NM1*DN*1~
REF*G2*N7~
NM1*P3*1~
REF*G2*N6~
NM1*82*1~
REF*G2*N5~
NM1*DQ*1~
REF*G2*N4~
NM1*85*1~
REF*G2*N3~
NM1*77*2~
REF*G2*N2~
NM1*DD*1~
REF*G2*N1~
"""  # fmt: skip


def test_spinal_manipulation(way: Route) -> None:
    claim = {"spinal": [{"condition": "M", "description": "Low back", "description2": "Since 2019"}],
             "dates": [{"qualifier": "454", "from_date": date(2024, 2, 1)}]}  # fmt: skip
    assert claim_loop(way, "837P", claim, [{"procedure": "98940", "modifier1": "AT"}], [{"code": "M9903"}]) == """\
CLM*A1*100***11:B:1*Y*A*Y*Y~
DTP*454*D8*20240201~
CR2********M**LOW BACK*SINCE 2019~
HI*ABK:M9903~
LX*1~
SV1*HC:98940:AT*100*UN*1***1~
DTP*472*D8*20240301~
REF*6R*A1-1~
"""  # fmt: skip


def test_contract_and_file_information(way: Route) -> None:
    """CN1 and K3 of a claim and of a line."""
    contract = {"kind": "09", "amount": Decimal("80.00"), "percent": Decimal("80"), "code": "C7", "discount_percent": Decimal("2.5"),
                "version": "2024A"}  # fmt: skip
    claim = {"contracts": [contract], "file_information": [{"text": "State data 1"}, {"text": "State data 2"}],
             "notes": [{"kind": "ADD", "text": "See the contract"}]}  # fmt: skip
    line = {"contracts": [{"kind": "02", "amount": Decimal("75.50")}], "file_information": [{"text": "Line data"}]}
    assert claim_loop(way, "837P", claim, [line]) == """\
CLM*A1*100***11:B:1*Y*A*Y*Y~
CN1*09*80*80*C7*2.5*2024A~
K3*STATE DATA 1~
K3*STATE DATA 2~
NTE*ADD*SEE THE CONTRACT~
HI*ABK:E119~
LX*1~
SV1*HC:99213*100*UN*1***1~
DTP*472*D8*20240301~
CN1*02*75.5~
REF*6R*A1-1~
K3*LINE DATA~
"""  # fmt: skip


def test_what_a_remittance_said_of_the_claim_as_a_whole(way: Route) -> None:
    """MOA beside a professional claim's other payer, MIA and MOA beside a stay's."""
    outpatient = {"rate": Decimal("0.5"), "hcpcs_payable": Decimal("12.00"), "remark1": "MA01", "remark5": "N381",
                  "esrd_paid": Decimal("1.10"), "nonpayable_professional": Decimal("2.00")}  # fmt: skip
    inpatient = {"covered_days": Decimal(3), "lifetime_psychiatric_days": Decimal(1), "drg_amount": Decimal("900.10"), "remark1": "MA02",
                 "cost_report_days": Decimal(2), "remark2": "N1", "remark3": "N2", "remark4": "N3", "remark5": "N4",
                 "capital_exception": Decimal("7.00")}  # fmt: skip
    payer = other_payer(outpatient_decision=[outpatient])
    claim = {"payer_responsibility": "S", "other_payers": [payer]}
    moa = "OI***Y***Y~\nMOA*0.5*12*MA01****N381*1.1*2~\nNM1*IL*"
    assert moa in claim_loop(way, "837P", claim)
    assert moa in claim_loop(way, "837D", claim)
    claim["other_payers"] = [payer | {"inpatient_decision": [inpatient]}]
    assert (
        "OI***Y***Y~\nMIA*3**1*900.1*MA02**********2*****N1*N2*N3*N4*7~\nMOA*0.5*12*MA01****N381*1.1*2~\nNM1*IL*"
    ) in claim_loop(way, "837I", claim)
    assert [f.rule for f in findings("837P", claim)] == ["837P.no_place"]  # a professional claim is no stay


def test_taxes_and_estimates_of_a_stay(way: Route) -> None:
    text = claim_loop(way, "837I", {"patient_estimate": Decimal("12.50")}, [
        {"service_tax": Decimal("1.10"), "facility_tax": Decimal("2.00"), "notes": [{"kind": "TPO", "text": "Third party"}]}])  # fmt: skip
    assert "CL1*3*1*01~\nAMT*F3*12.5~\nHI*" in text
    assert "REF*6R*A1-1~\nAMT*GT*1.1~\nAMT*N8*2~\nNTE*TPO*THIRD PARTY~\n" in text


def test_whom_an_insurer_calls_on_property_and_casualty_claims(way: Route) -> None:
    claim = {"casualty_claim_number": "PC1", "casualty_phone": "6175550199", "accident_kind": "EM", "facility_name": "General",
             "facility_address1": "900 Hospital Dr", "facility_city": "Boston", "facility_state": "MA", "facility_zip": "021180001",
             "facility_phone": "6175550188"}  # fmt: skip
    own = written(way, "837P", tables("837P", claim)).decode()
    assert "DMG*D8*19800229*F~REF*Y4*PC1~PER*IC**TE*6175550199~NM1*PR*" in own
    assert "NM1*77*2*GENERAL~N3*900 HOSPITAL DR~N4*BOSTON*MA*021180001~PER*IC*GENERAL*TE*6175550188~LX*" in own
    dependent = claim | {"relationship": "19", "subscriber_last": "Fir", "subscriber_first": "Ben"}
    assert "REF*Y4*PC1~PER*IC**TE*6175550199~CLM*" in written(way, "837P", tables("837P", dependent)).decode()


WRONG: list[tuple[str, str, Row, list[Row], list[str]]] = [
    ("a payer who is none of the claim's", "837P", {"identifiers": [number_of("rendering", "R1", payer_id="NOBODY")]}, [{}], ["other_payer"]),
    ("a reference of such a payer", "837P", {"references": [{"qualifier": "9F", "value": "R", "payer_id": "NOBODY"}]}, [{}], ["other_payer"]),
    ("a kind that the loop does not take", "837P",
     {"payer_responsibility": "S", "other_payers": [other_payer()], "identifiers": [number_of("billing", "B1", "0B", payer_id="ACME1")]}, [{}], ["no_place"]),
    ("more than the loop takes", "837P",
     {"payer_responsibility": "S", "other_payers": [other_payer()],
      "identifiers": [number_of("billing", f"B{n}", payer_id="ACME1") for n in range(3)]}, [{}], ["count"]),
    ("a provider in no role", "837P", {"identifiers": [number_of("rendering", "R1")]}, [{}], ["identifier"]),
    ("a provider of a role that the claim lacks", "837I", {"identifiers": [number_of("supervising", "R1")]}, [{}], ["no_place"]),
    ("a hospital's licence has no loop", "837I", {"identifiers": [number_of("billing", "L1", "0B")]}, [{}], ["no_place"]),
    ("a line's provider in no role", "837P", {}, [{"identifiers": [number_of("ordering", "O1")]}], ["identifier"]),
    ("a referral that another payer gave twice", "837P",
     {"payer_responsibility": "S", "other_payers": [other_payer()],
      "references": [{"qualifier": "9F", "value": v, "payer_id": "ACME1"} for v in ("A", "B")]}, [{}], ["count"]),
    ("a claim number beside the payer's own column", "837P",
     {"payer_responsibility": "S", "other_payers": [other_payer(payer_claim_number="I1")],
      "references": [{"qualifier": "F8", "value": "I2", "payer_id": "ACME1"}]}, [{}], ["count"]),
    ("two contracts", "837P", {"contracts": [{"kind": "05"}, {"kind": "02"}]}, [{}], ["count"]),
    ("a contract of no kind", "837P", {"contracts": [{"kind": "77"}]}, [{}], ["no_place"]),
    ("the spine of a stay", "837I", {"spinal": [{"condition": "A"}]}, [{}], ["no_place"]),
    ("a condition that the guide does not know", "837P", {"spinal": [{"condition": "B"}]}, [{}], ["value"]),
    ("eleven times what regulators ask for", "837P", {"file_information": [{"text": "A"}] * 11}, [{}], ["count"]),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "claim", "lines", "rules"), [w[1:] for w in WRONG], ids=[w[0] for w in WRONG])
def test_what_has_no_place_stops_the_claim(kind: str, claim: Row, lines: list[Row], rules: list[str]) -> None:
    assert [f.rule.split(".")[1] for f in findings(kind, claim, lines)] == rules


def test_rate_codes_of_a_nursing_facility(way: Route) -> None:
    """A HIPPS code under revenue code 0022: qualifier HP, no charge of its own, days of the assessment as units; and rooms beside it."""
    claim = {
        "bill_type": "21",
        "service_from": date(2024, 2, 17),
        "admission_date": date(2024, 2, 17),
        "patient_status": "01",
    }
    lines = [
        {"revenue_code": "0022", "qualifier": "HP", "procedure": "KAGD1", "charge": Decimal(0), "units": Decimal(14), "service_date": date(2024, 2, 17)},
        {"revenue_code": "0120", "procedure": None, "qualifier": None, "charge": Decimal("7000.00"), "unit_basis": "DA", "units": Decimal(14)},
    ]  # fmt: skip
    codes = [{"code": "M1711"}, {"kind": "admitting", "code": "M1711", "rank": 1}]
    text = claim_loop(way, "837I", claim, lines, codes)
    assert text[text.index("LX*1") :] == """\
LX*1~
SV2*0022*HP:KAGD1*0*UN*14~
DTP*472*D8*20240217~
REF*6R*A1-1~
LX*2~
SV2*0120**7000*DA*14~
DTP*472*D8*20240301~
REF*6R*A1-2~
"""  # fmt: skip


def test_a_modifier_of_nothing_stops_a_stay(way: Route) -> None:
    line = {"revenue_code": "0120", "procedure": None, "qualifier": None, "unit_basis": "DA", "modifier1": "25"}
    [found] = findings("837I", {}, [line])
    assert (found.rule, found.segment_id, found.element, found.source) == (
        "837I.required", "SV2", 2, "lines.csv row 1 line 1 column modifier1",
    )  # fmt: skip
