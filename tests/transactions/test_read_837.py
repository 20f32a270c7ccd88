"""Claims as tables: professional, institutional and dental."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from transactions.x12_text import CLAIMS, interchange, professional

from pipeline import shapes
from pipeline.transactions import read


def only(row: dict[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple(row[n] for n in names)


def given(row: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in row.items() if v is not None}


@pytest.fixture(scope="module")
def tables() -> dict[str, list[dict[str, Any]]]:
    result = read(professional(), file="c.837", mode="strict")
    assert result.findings == []
    for name, table in result.tables.items():
        shapes.check(table, name)
    return {name: table.to_pylist() for name, table in result.tables.items()}


def test_claims(tables: dict[str, Any]) -> None:
    first, second = tables["837.claims"]
    assert first == {
        "file": "c.837", "set_number": 1, "segment": 24, "interchange_control": "000000001", "group_control": "1",
        "set_control": "0001", "version": "005010X222A1", "claim_number": 1, "claim_id": "ACC1", "charge": Decimal("150.50"),
        "facility_code": "11", "facility_qualifier": "B", "frequency": "7", "provider_signature": "Y", "assignment": "A",
        "benefits_assignment": "Y", "release_of_information": "Y", "related_causes": "AA", "payer_responsibility": "P",
        "filing_indicator": "CI", "relationship": "18", "payer_claim_number": "ICN1", "authorization_number": "AUTH1",
        "statement_from": date(2025, 11, 1), "statement_to": date(2025, 11, 3), "billing_npi": "1234567893",
        "subscriber_id": "MEM1", "subscriber_last": "DOE", "subscriber_first": "JOHN", "patient_last": "DOE",
        "patient_first": "JOHN", "patient_birth_date": date(1980, 2, 29), "patient_sex": "M", "payer_name": "PAYER ONE",
        "payer_id": "PAY01",
    }  # fmt: skip
    assert given(second) == {
        "file": "c.837", "set_number": 1, "segment": 61, "interchange_control": "000000001", "group_control": "1",
        "set_control": "0001", "version": "005010X222A1", "claim_number": 2, "claim_id": "ACC2", "charge": Decimal("80.00"),
        "facility_code": "11", "facility_qualifier": "B", "frequency": "1", "provider_signature": "Y", "assignment": "A",
        "benefits_assignment": "Y", "release_of_information": "Y", "payer_responsibility": "P", "filing_indicator": "CI",
        "relationship": "19", "billing_npi": "1234567893", "subscriber_id": "MEM5", "subscriber_last": "ROE",
        "subscriber_first": "RICH", "patient_last": "ROE", "patient_first": "KIM", "patient_birth_date": date(2015, 1, 1),
        "patient_sex": "F", "payer_name": "PAYER TWO", "payer_id": "PAY02",
    }  # fmt: skip


def test_service_lines(tables: dict[str, Any]) -> None:
    first, second, third = tables["837.service_lines"]
    assert given(first) == {
        "file": "c.837", "set_number": 1, "segment": 40, "claim_number": 1, "line_number": 1, "claim_id": "ACC1",
        "qualifier": "HC", "procedure": "99213", "modifier1": "25", "modifier2": "59", "description": "OFFICE VISIT",
        "charge": Decimal("100.50"), "unit_basis": "UN", "units": Decimal(1), "place_of_service": "22", "pointer1": 1,
        "pointer2": 2, "service_from": date(2025, 11, 1), "service_to": date(2025, 11, 1), "line_control_number": "L1",
        "ndc": "00002143380",
    }  # fmt: skip
    assert only(second, "line_number", "units", "pointer1", "service_from", "service_to", "ndc", "line_control_number") == (
        2, Decimal("2.5"), 2, date(2025, 11, 1), date(2025, 11, 2), None, None,
    )  # fmt: skip
    assert only(third, "claim_number", "line_number", "claim_id", "charge") == (2, 1, "ACC2", Decimal(80))


def test_diagnoses_count_their_positions_by_kind(tables: dict[str, Any]) -> None:
    columns = ("claim_id", "position", "qualifier", "code", "date")
    assert [only(r, *columns) for r in tables["837.diagnoses"]] == [
        ("ACC1", 1, "ABK", "I10", None),
        ("ACC1", 2, "ABF", "E119", None),
        ("ACC1", 1, "BH", "11", date(2025, 10, 30)),
        ("ACC2", 1, "ABK", "J069", None),
    ]


def test_other_payers(tables: dict[str, Any]) -> None:
    (row,) = tables["837.other_payers"]
    assert given(row) == {
        "file": "c.837", "set_number": 1, "segment": 33, "claim_number": 1, "claim_id": "ACC1", "responsibility": "S",
        "relationship": "01", "group_number": "GRP8", "filing_indicator": "MB", "paid": Decimal(40),
        "remaining": Decimal("12.25"), "payer_name": "OTHER PAYER", "payer_id": "OTH01",
        "adjudication_date": date(2025, 12, 12), "payer_claim_number": "OTHERICN",
    }  # fmt: skip


def test_parties_by_loop_with_what_belongs_to_each(tables: dict[str, Any]) -> None:
    rows = tables["837.parties"]
    columns = ("loop", "entity", "last_name", "id", "claim_number", "line_number")
    assert [only(r, *columns) for r in rows] == [
        ("1000A", "41", "GOOD PRACTICE", "SUB1", None, None),
        ("1000B", "40", "PAYER ONE", "REC1", None, None),
        ("2010AA", "85", "GOOD PRACTICE", "1234567893", None, None),
        ("2010AB", "87", None, None, None, None),
        ("2010BA", "IL", "DOE", "MEM1", None, None),
        ("2010BB", "PR", "PAYER ONE", "PAY01", None, None),
        ("2310B", "82", "DOC", "1999999984", 1, None),
        ("2330A", "IL", "DOE", "MEM9", 1, None),
        ("2330B", "PR", "OTHER PAYER", "OTH01", 1, None),
        ("2420A", "82", "OTHER", "1888888882", 1, 1),
        ("2010BA", "IL", "ROE", "MEM5", None, None),
        ("2010BB", "PR", "PAYER TWO", "PAY02", None, None),
        ("2010CA", "QC", "ROE", None, None, None),
    ]
    billing, pay_to, subscriber = rows[2], rows[3], rows[4]
    assert only(billing, "address1", "address2", "city", "state", "zip", "tax_id", "taxonomy", "entity_type") == (
        "1 STREET", "SUITE 2", "CITY", "MD", "212440001", "123456789", "207Q00000X", "2",
    )  # fmt: skip
    assert only(pay_to, "address1", "tax_id", "taxonomy") == ("PO BOX 9", None, None)
    assert only(subscriber, "first_name", "middle_name", "suffix", "address1", "id_qualifier") == (
        "JOHN", "Q", "JR", "9 ROAD", "MI",
    )  # fmt: skip
    assert rows[6]["taxonomy"] == "208D00000X"


INSTITUTIONAL = """
BHT*0019*00*B1*20260105*0830*CH~
NM1*41*2*HOSPITAL*****46*SUB1~NM1*40*2*PAYER*****46*REC1~
HL*1**20*1~NM1*85*2*HOSPITAL*****XX*1234567893~REF*EI*123456789~
HL*2*1*22*0~SBR*P*18*******MA~NM1*IL*1*DOE*JO****MI*1EG4TE5MK73~DMG*D8*19400101*F~NM1*PR*2*MEDICARE*****PI*MED~
CLM*INP1*1000.1***11:A:1**A*Y*Y~
DTP*434*RD8*20251101-20251105~DTP*435*DT*202511011230~CL1*1*1*01~
HI*ABK:I10:::::::Y~HI*ABJ:R079~HI*ABF:E119:::::::N*ABF:Z7984~
HI*BBR:0DTJ4ZZ:D8:20251102~HI*BBQ:0DT60ZZ:D8:20251103~
HI*BI:74:RD8:20251101-20251102~HI*BE:01:::450.25~
NM1*71*1*ATTEND*AL****XX*1999999984~NM1*72*1*OPER*OP****XX*1888888882~
LX*1~SV2*0120**800.1*DA*4~DTP*472*RD8*20251101-20251105~
LX*2~SV2*0450*HC:99284:25*200*UN*1~DTP*472*D8*20251101~NM1*82*1*REND*RE****XX*1777777778~
"""


def test_institutional() -> None:
    result = read(
        interchange(INSTITUTIONAL, kind="837", version="005010X223A2", functional="HC"), file="f", mode="strict"
    )
    assert result.findings == []
    (claim,) = result.tables["837.claims"].to_pylist()
    assert only(claim, "charge", "facility_code", "facility_qualifier", "statement_from", "statement_to") == (
        Decimal("1000.10"), "11", "A", date(2025, 11, 1), date(2025, 11, 5),
    )  # fmt: skip
    lines = [
        only(
            r,
            "revenue_code",
            "qualifier",
            "procedure",
            "modifier1",
            "charge",
            "unit_basis",
            "units",
            "place_of_service",
        )
        for r in result.tables["837.service_lines"].to_pylist()
    ]
    assert lines == [
        ("0120", None, None, None, Decimal("800.10"), "DA", Decimal(4), None),
        ("0450", "HC", "99284", "25", Decimal(200), "UN", Decimal(1), None),
    ]
    diagnoses = [
        only(r, "position", "qualifier", "code", "date", "amount", "poa")
        for r in result.tables["837.diagnoses"].to_pylist()
    ]
    assert diagnoses == [
        (1, "ABK", "I10", None, None, "Y"),
        (1, "ABJ", "R079", None, None, None),
        (2, "ABF", "E119", None, None, "N"),
        (3, "ABF", "Z7984", None, None, None),
        (1, "BBR", "0DTJ4ZZ", date(2025, 11, 2), None, None),
        (2, "BBQ", "0DT60ZZ", date(2025, 11, 3), None, None),
        (1, "BI", "74", date(2025, 11, 1), None, None),
        (1, "BE", "01", None, Decimal("450.25"), None),
    ]
    loops = [only(r, "loop", "last_name") for r in result.tables["837.parties"].to_pylist()][-3:]
    assert loops == [("2310A", "ATTEND"), ("2310B", "OPER"), ("2420C", "REND")]


DENTAL = """
BHT*0019*00*B1*20260105*0830*CH~
NM1*41*2*DENTISTS*****46*SUB1~NM1*40*2*PAYER*****46*REC1~
HL*1**20*1~NM1*85*2*DENTISTS*****XX*1234567893~
HL*2*1*22*0~SBR*P*18*******CI~NM1*IL*1*DOE*JO****MI*M1~NM1*PR*2*PAYER*****PI*P1~
CLM*DEN1*250***11:B:1*Y*A*Y*Y~HI*ABK:K0262~NM1*82*1*DDS*DEE****XX*1999999984~
LX*1~SV3*AD:D2392*250****1*****1~TOO*JP*14*M:O~DTP*472*D8*20251101~REF*6R*DL1~
"""


def test_dental() -> None:
    result = read(interchange(DENTAL, kind="837", version="005010X224A2", functional="HC"), file="f", mode="strict")
    assert result.findings == []
    (line,) = result.tables["837.service_lines"].to_pylist()
    columns = ("qualifier", "procedure", "charge", "units", "pointer1", "tooth", "service_from", "line_control_number")
    assert only(line, *columns) == ("AD", "D2392", Decimal(250), Decimal(1), 1, "14", date(2025, 11, 1), "DL1")
    assert result.tables["837.parties"]["loop"].to_pylist()[-1] == "2310B"


def test_4010_professional_is_read_alike() -> None:
    body = CLAIMS.replace("ABK:", "BK:").replace("ABF:", "BF:")
    old = read(
        interchange(body, kind="837", version="004010X098A1", functional="HC", delimiters="*U:~"),
        file="f",
        mode="strict",
    )
    new = read(interchange(body, kind="837", version="005010X222A1", functional="HC"), file="f")
    assert old.findings == []
    for name in ("837.service_lines", "837.diagnoses", "837.other_payers"):
        assert old.tables[name].equals(new.tables[name]), name
    assert old.tables["837.claims"].drop_columns(["version"]).equals(new.tables["837.claims"].drop_columns(["version"]))
    assert old.tables["837.diagnoses"]["position"].to_pylist() == [1, 2, 1, 1]


def test_references_inside_a_provider_are_not_the_claims() -> None:
    data = professional().replace(b"REF*F8*ICN1~", b"").replace(b"REF*G2*LEGACY~", b"REF*F8*NOTMINE~REF*G2*LEGACY~")
    result = read(data)
    assert result.findings == []
    assert result.tables["837.claims"]["payer_claim_number"].to_pylist() == [None, None]


def test_a_billing_id_that_is_no_npi_is_not_called_one() -> None:
    result = read(professional().replace(b"*****XX*1234567893~", b"*****24*123456789~"))
    assert result.tables["837.claims"]["billing_npi"].to_pylist() == [None, None]
    assert result.tables["837.parties"]["id"].to_pylist()[2] == "123456789"


def test_each_claim_takes_the_levels_above_it() -> None:
    second = (
        CLAIMS.partition("HL*1**20*1~")[2]
        .replace("HL*2*1", "HL*6*5")
        .replace("HL*3*1", "HL*7*5")
        .replace("HL*4*3", "HL*8*7")
    )
    body = CLAIMS + "HL*5**20*1~" + second.replace("1234567893", "1000000004").replace("MEM1", "MEMX")
    result = read(interchange(body, kind="837", version="005010X222A1", functional="HC"), mode="strict")
    assert result.findings == []
    rows = [only(r, "claim_number", "billing_npi", "subscriber_id") for r in result.tables["837.claims"].to_pylist()]
    assert rows == [
        (1, "1234567893", "MEM1"),
        (2, "1234567893", "MEM5"),
        (3, "1000000004", "MEMX"),
        (4, "1000000004", "MEM5"),
    ]


@pytest.mark.parametrize(
    ("old", "new", "rule", "segment_id"),
    [
        (b"HL*3*1*22*1~", b"HL*3*9*22*1~", "structure.hl02", "HL"),
        (b"HL*4*3*23*0~", b"HL*4*2*23*0~", "structure.hl02", "HL"),
        (b"LX*2~", b"LX*two~", "number.form", "LX"),
        (b"CLM*ACC2*80*", b"CLM*ACC2*8O*", "amount.form", "CLM"),
        (b"RD8*20251101-20251102", b"RD8*20251101-20251199", "date.form", "DTP"),
        (b"D8*20251104~", b"D8*20251304~", "date.form", "DTP"),
        (b"**1:2~", b"**1:x~", "number.form", "SV1"),
    ],
)
def test_damage_is_named_where_it_stands(old: bytes, new: bytes, rule: str, segment_id: str) -> None:
    data = professional()
    assert data.count(old) == 1
    found = read(data.replace(old, new), file="f").findings
    assert [(f.rule, f.segment_id, f.severity) for f in found] == [(rule, segment_id, "error")]


def test_services_and_lines_outside_a_claim_are_errors() -> None:
    body = CLAIMS.partition("CLM*")[0] + "LX*1~SV1*HC:1*5*UN*1~HI*ABK:I10~"
    result = read(interchange(body, kind="837", version="005010X222A1", functional="HC"))
    assert {f.rule for f in result.findings} == {"structure.outside_claim", "structure.outside_line"}
    assert result.tables["837.service_lines"].num_rows == 0
    assert result.tables["837.diagnoses"].num_rows == 0


def test_a_second_service_in_a_line_is_an_error_and_not_silently_lost() -> None:
    result = read(professional().replace(b"LX*2~SV1", b"SV1").replace(b"SE*63", b"SE*62"), file="f")
    assert [(f.rule, f.segment_id) for f in result.findings if f.rule != "envelope.se01"] == [
        ("structure.second_service", "SV1")
    ]
    assert result.tables["837.service_lines"]["charge"].to_pylist() == [Decimal("100.50"), Decimal(80)]


def test_a_claim_below_no_subscriber_is_an_error() -> None:
    body = CLAIMS.partition("HL*2*1*22*0~")[0] + "CLM*A*1***11:B:1*Y*A*Y*Y~"
    result = read(interchange(body, kind="837", version="005010X222A1", functional="HC"))
    assert [f.rule for f in result.findings] == ["structure.no_subscriber"]
    assert result.tables["837.claims"]["subscriber_id"].to_pylist() == [None]


OTHERS = """
BHT*0019*00*B1*20260105*0830*CH~
NM1*41*2*GOOD*****46*SUB1~NM1*40*2*PAYER*****46*REC1~
HL*1**20*1~NM1*85*2*GOOD*****XX*1234567893~REF*EI*123456789~REF*0B*LIC1~
HL*2*1*22*0~SBR*T*18*******CI~NM1*IL*1*DOE*JO****MI*M1~NM1*PR*2*PAYER*****PI*P1~REF*G2*PRV7~
CLM*C1*100***11:B:1*Y*A*Y*Y~HI*ABK:I10~NM1*82*1*DOC*DEE****XX*1999999984~REF*G2*R7~
SBR*P*18*******CI~OI***Y***Y~NM1*IL*1*DOE*JO****MI*M8~NM1*PR*2*FIRST*****PI*F1~
SBR*S*18*******CI~OI***Y***Y~NM1*IL*1*DOE*JO****MI*M9~NM1*PR*2*SECOND*****PI*S2~REF*F8*ICN~NM1*DN*1~REF*1G*B12~NM1*85*2~REF*LU*L5~REF*G2*L6~
LX*1~SV1*HC:99213*100*UN*1***1~DTP*472*D8*20251101~REF*6R*L1~NM1*DK*1*ORD*ER****XX*1888888882~REF*G2*O1**2U:F1~
"""


def test_numbers_of_providers_and_the_payer_who_gave_them() -> None:
    result = read(interchange(OTHERS, kind="837", version="005010X222A1", functional="HC"), file="f", mode="strict")
    assert result.findings == []
    columns = ("loop", "entity", "tax_id", "other_id_qualifier", "other_id", "other_payer_id")
    assert [only(r, *columns) for r in result.tables["837.parties"].to_pylist()[2:]] == [
        ("2010AA", "85", "123456789", "0B", "LIC1", None),
        ("2010BA", "IL", None, None, None, None),
        ("2010BB", "PR", None, "G2", "PRV7", None),
        ("2310B", "82", None, "G2", "R7", None),
        ("2330A", "IL", None, None, None, "F1"),
        ("2330B", "PR", None, None, None, "F1"),
        ("2330A", "IL", None, None, None, "S2"),
        ("2330B", "PR", None, None, None, "S2"),
        ("2330C", "DN", None, "1G", "B12", "S2"),
        ("2330G", "85", None, "LU", "L5", "S2"),
        ("2420E", "DK", None, "G2", "O1", None),
    ]
