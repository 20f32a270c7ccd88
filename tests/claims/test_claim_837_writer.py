"""The 837P writer: its text on small claims, its structure on many, and pyx12's opinion."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from claims import samples
from claims.oracle import pyx12_errors

from pipeline import shapes
from pipeline.transactions.claim_837_checks import check
from pipeline.transactions.claim_837_forms import PROFESSIONAL
from pipeline.transactions.claim_837_route import Numbers, Route
from pipeline.transactions.claim_837_writer import Interchange837
from pipeline.x12.segments import Segment, iter_segments

ON = date(2024, 3, 2)

CLAIM: dict[str, Any] = {
    "claim_id": "A1", "encounter_key": "p:1", "guide": "005010X222A1", "frequency": "1", "synthetic": True,
    "practice_id": "P", "source_file": "visits.csv", "source_row": 1, "service_from": date(2024, 3, 1),
    "service_to": date(2024, 3, 1), "place_of_service": "11", "charge": Decimal("150.50"), "billing_name": "Elm Clinic",
    "billing_npi": "1234567893", "billing_tin": "041234567", "billing_tin_kind": "EI", "billing_taxonomy": "207Q00000X",
    "billing_address1": "1 Elm St", "billing_city": "Boston", "billing_state": "MA", "billing_zip": "021100001",
    "patient_id": "1", "patient_last": "Fir", "patient_first": "Ada", "patient_birth_date": date(1980, 2, 29),
    "patient_sex": "F", "patient_address1": "2 Oak St", "patient_city": "Boston", "patient_state": "MA",
    "patient_zip": "02111", "relationship": "18", "payer_source": "Harbor", "payer_key": "harbor", "member_id": "M1",
}  # fmt: skip
LINE: dict[str, Any] = {
    "claim_id": "A1", "line": 1, "qualifier": "HC", "procedure": "99213", "charge": Decimal("150.50"), "unit_basis": "UN",
    "units": Decimal("1.0000"), "pointer1": 1, "service_date": date(2024, 3, 1), "line_control_number": "A1-1", "rule_id": "r",
    "rule_version": "1", "price_origin": "source", "source": "lines.csv row 1",
}  # fmt: skip
CODE: dict[str, Any] = {"claim_id": "A1", "rank": 1, "code": "E119", "rule_id": "r", "rule_version": "1", "source": "visits.csv row 1 column dx1"}  # fmt: skip

HEADER = """\
ISA*00*          *00*          *ZZ*DEMO           *ZZ*BOXHARBOR      *240302*0000*^*00501*000000007*1*T*:~
GS*HC*DEMO*BOXHARBOR*20240302*0000*9*X*005010X222A1~
ST*837*0001*005010X222A1~
BHT*0019*00*0000000070001*20240302*0000*CH~
NM1*41*2*DEMO PRACTICE*****46*DEMO~
PER*IC*BILLING OFFICE*TE*6175550100~
NM1*40*2*HARBOR MUTUAL*****46*BOXHARBOR~
HL*1**20*1~
PRV*BI*PXC*207Q00000X~
NM1*85*2*ELM CLINIC*****XX*1234567893~
N3*1 ELM ST~
N4*BOSTON*MA*021100001~
REF*EI*041234567~
"""
PAYER = """\
NM1*PR*2*HARBOR MUTUAL*****PI*HARBOR1~
N3*27 LONG WHARF~
N4*BOSTON*MA*021100000~
"""


def tables(claims: list[dict[str, Any]], codes: list[dict[str, Any]] | None = None, lines: list[dict[str, Any]] | None = None) -> tuple[pa.Table, ...]:  # fmt: skip
    codes = codes if codes is not None else [CODE | {"claim_id": c["claim_id"]} for c in claims]
    lines = lines if lines is not None else [
        LINE | {"claim_id": c["claim_id"], "line_control_number": f"{c['claim_id']}-1"} for c in claims]  # fmt: skip
    return (shapes.from_rows("coded_claims", claims), shapes.from_rows("coded_diagnoses", codes),
            shapes.from_rows("coded_lines", lines))  # fmt: skip


def written(way: Route, given: tuple[pa.Table, ...], claims_per_set: int = 5000) -> bytes:
    assert check(*given, PROFESSIONAL, charset=way.charset, accepts_dependents=True)[0] == []
    return Interchange837(*given, way, PROFESSIONAL, claims_per_set=claims_per_set).render(on=ON, numbers=Numbers(7, 9))


def one(
    way: Route, code: list[dict[str, Any]] | None = None, lines: list[dict[str, Any]] | None = None, **values: Any
) -> str:
    data = written(way, tables([CLAIM | values], code, lines))
    assert pyx12_errors(data) == []
    return data.decode().replace("~", "~\n")


def test_a_claim_of_the_subscriber(way: Route) -> None:
    assert one(way) == HEADER + """\
HL*2*1*22*0~
SBR*P*18*******CI~
NM1*IL*1*FIR*ADA****MI*M1~
N3*2 OAK ST~
N4*BOSTON*MA*02111~
DMG*D8*19800229*F~
""" + PAYER + """\
CLM*A1*150.5***11:B:1*Y*A*Y*Y~
HI*ABK:E119~
LX*1~
SV1*HC:99213*150.5*UN*1***1~
DTP*472*D8*20240301~
REF*6R*A1-1~
SE*27*0001~
GE*1*9~
IEA*1*000000007~
"""  # fmt: skip


def test_a_claim_of_a_dependent(way: Route) -> None:
    text = one(
        way, relationship="19", subscriber_last="Fir", subscriber_first="Ben", patient_suffix="Jr", group_number="G7"
    )
    assert text.removeprefix(HEADER).startswith("""\
HL*2*1*22*1~
SBR*P**G7******CI~
NM1*IL*1*FIR*BEN****MI*M1~
""" + PAYER + """\
HL*3*2*23*0~
PAT*19~
NM1*QC*1*FIR*ADA***JR~
N3*2 OAK ST~
N4*BOSTON*MA*02111~
DMG*D8*19800229*F~
CLM*A1*150.5***11:B:1*Y*A*Y*Y~
""")  # fmt: skip


def test_all_that_may_stand_at_a_claim(way: Route) -> None:
    text = one(
        way, accident_kind="AA", accident_state="MA", accident_date=date(2024, 2, 20), onset_date=date(2024, 2, 21),
        admission_date=date(2024, 2, 22), authorization_number="AUTH9", assignment="C", benefits_assignment="N",
        release_of_information="I", frequency="7", payer_claim_number="PCN5", place_of_service="21",
        referring_npi="1000020002", referring_last="Ash", referring_first="Al", rendering_npi="1000010003",
        rendering_last="Yew", rendering_first="Una", rendering_taxonomy="207R00000X", facility_name="General Hospital",
        facility_npi="1000030001", facility_address1="900 Hospital Dr", facility_city="Boston", facility_state="MA",
        facility_zip="021180001", charge=Decimal("200.00"), pay_to_address1="PO Box 5", pay_to_city="Boston",
        pay_to_state="MA", pay_to_zip="021100009", billing_phone="6175550199",
        code=[CODE, CODE | {"rank": 2, "code": "I10"}],
        lines=[
            LINE | {"charge": Decimal("120.00"), "modifier1": "25", "modifier2": "59", "pointer2": 2, "place_of_service": "21"},
            LINE | {"line": 2, "line_control_number": "A1-2", "procedure": "J1100", "charge": Decimal("80.00"),
                    "units": Decimal("2.5000"), "place_of_service": "11", "ndc": "00026063512",
                    "ndc_units": Decimal("10.0000"), "ndc_unit_basis": "ML"},
        ],
    )  # fmt: skip
    assert """\
REF*EI*041234567~
PER*IC*ELM CLINIC*TE*6175550199~
NM1*87*2~
N3*PO BOX 5~
N4*BOSTON*MA*021100009~
HL*2*1*22*0~
""" in text  # fmt: skip
    assert text[text.index("CLM*") : text.index("SE*")] == """\
CLM*A1*200***21:B:7*Y*C*N*I**AA:::MA~
DTP*431*D8*20240221~
DTP*439*D8*20240220~
DTP*435*D8*20240222~
REF*G1*AUTH9~
REF*F8*PCN5~
HI*ABK:E119*ABF:I10~
NM1*DN*1*ASH*AL****XX*1000020002~
NM1*82*1*YEW*UNA****XX*1000010003~
PRV*PE*PXC*207R00000X~
NM1*77*2*GENERAL HOSPITAL*****XX*1000030001~
N3*900 HOSPITAL DR~
N4*BOSTON*MA*021180001~
LX*1~
SV1*HC:99213:25:59*120*UN*1***1:2~
DTP*472*D8*20240301~
REF*6R*A1-1~
LX*2~
SV1*HC:J1100*80*UN*2.5*11**1~
DTP*472*D8*20240301~
REF*6R*A1-2~
LIN**N4*00026063512~
CTP****10*ML~
"""  # fmt: skip


HERE = {"facility_name": "Elm Clinic", "facility_city": "BOSTON", "facility_state": "MA"}


@pytest.mark.parametrize(
    ("values", "present", "absent"),
    [
        ({"rendering_npi": "1234567893", "rendering_last": "ELM"}, "", "NM1*82"),
        ({"rendering_npi": "1000010003", "rendering_last": "YEW", "rendering_first": "U"}, "NM1*82*1*YEW*U****XX*1000010003~", "PRV*PE"),
        ({"billing_name": "FIR", "billing_first": "SAM", "billing_tin_kind": "SY"}, "NM1*85*1*FIR*SAM****XX*1234567893~", "NM1*82"),
        (HERE | {"facility_address1": "1 ELM ST ", "facility_zip": "021100001"}, "", "NM1*77"),
        (HERE | {"facility_address1": "3 ELM ST", "facility_zip": "021100001", "facility_npi": "1234567893"}, "NM1*77*2*ELM CLINIC~", "*77*2*ELM CLINIC*"),
        ({"billing_phone": "6175550100"}, "", "PER*IC*ELM"),
        ({"billing_taxonomy": None}, "", "PRV*BI"),
        ({"accident_kind": "OA", "accident_date": date(2024, 2, 1)}, "*Y**OA~", ":::"),
        ({"patient_middle": "q", "patient_suffix": "jr"}, "NM1*IL*1*FIR*ADA*Q**JR*MI*M1~", "q"),
    ],
)  # fmt: skip
def test_roles_and_situations(way: Route, values: dict[str, Any], present: str, absent: str) -> None:
    text = one(way, **values)
    assert present.replace("~", "~\n") in text
    assert absent not in text


def test_the_extended_set_keeps_small_letters(way: Route) -> None:
    assert "NM1*IL*1*Fir*Ada****MI*M1~" in one(dataclasses.replace(way, charset="extended"))


def test_newlines_where_the_payer_wants_them(way: Route) -> None:
    plain = written(way, tables([CLAIM]))
    assert written(dataclasses.replace(way, newline=True), tables([CLAIM])) == plain.replace(b"~", b"~\n")


def test_many_claims_pass_pyx12(way: Route) -> None:
    data = written(way, samples.make(400, seed=5), claims_per_set=150)
    assert pyx12_errors(data) == []
    assert data.count(b"~ST*837*") == 3


def test_pyx12_is_no_rubber_stamp(way: Route) -> None:
    data = written(way, tables([CLAIM]))
    for good, bad in (
        (b"SE*27", b"SE*26"),
        (b"DTP*472", b"DTP*999"),
        (b"HL*2*1", b"HL*2*2"),
        (b"REF*EI*041234567~", b""),
    ):
        assert good in data
        assert pyx12_errors(data.replace(good, bad)), good


def test_the_same_input_in_any_order_gives_the_same_bytes(way: Route) -> None:
    claims, codes, lines = samples.make(200, seed=8)
    backwards = [t.take(pa.array(range(t.num_rows - 1, -1, -1))) for t in (claims, codes, lines)]
    assert written(way, (claims, codes, lines), 60) == written(way, tuple(backwards), 60)


@pytest.mark.parametrize("claims_per_set", [1, 7, 500])
def test_hierarchy_counts_and_every_claim_once(way: Route, claims_per_set: int) -> None:
    given = samples.make(230, seed=3)
    data = written(way, given, claims_per_set)
    seen: list[str] = []
    sets = list(_sets(data))
    assert [s[0].element(2) for s in sets] == [f"{n:04d}" for n in range(1, len(sets) + 1)]
    for body in sets:
        assert body[-1].element(1) == str(len(body))
        assert body[-1].element(2) == body[0].element(2)
        claims_here = [s.element(1) for s in body if s.id == "CLM"]
        assert 1 <= len(claims_here) <= claims_per_set
        seen += claims_here
        levels: dict[str, str] = {}
        children: set[str] = set()
        for number, hl in enumerate((s for s in body if s.id == "HL"), start=1):
            assert hl.element(1) == str(number)
            levels[hl.element(1)] = hl.element(3)
            above = levels.get(hl.element(2), "")
            assert above == {"20": "", "22": "20", "23": "22"}[hl.element(3)]
            children.add(hl.element(2))
        assert all((hl.element(4) == "1") == (hl.element(1) in children) for hl in body if hl.id == "HL")
    assert sorted(seen) == sorted(given[0].column("claim_id").to_pylist())


def test_every_claim_stands_under_its_own_provider_subscriber_and_patient(way: Route) -> None:
    given = samples.make(300, seed=11)
    wanted = {row["claim_id"]: row for row in given[0].to_pylist()}
    for body in _sets(written(way, given, 70)):
        billing = member = patient = level = ""
        for s in body:
            if s.id == "HL":
                level = s.element(3)
            elif s.id == "NM1" and s.element(1) == "85":
                billing = s.element(9)
            elif s.id == "NM1" and s.element(1) == "IL":
                member, patient = s.element(9), f"{s.element(3)} {s.element(4)}"
            elif s.id == "NM1" and s.element(1) == "QC":
                patient = f"{s.element(3)} {s.element(4)}"
            elif s.id == "CLM":
                row = wanted[s.element(1)]
                assert (billing, member) == (row["billing_npi"], row["member_id"])
                assert patient == f"{row['patient_last']} {row['patient_first']}"
                assert (level == "23") == (row["relationship"] != "18")


def test_equal_loops_are_opened_once_and_hold_at_most_a_hundred_claims(way: Route) -> None:
    data = written(way, tables([CLAIM | {"claim_id": f"B{n:04d}"} for n in range(250)]))
    body = next(iter(_sets(data)))
    assert [s.element(3) for s in body if s.id == "HL"] == ["20", "22", "22", "22"]
    per_loop, count = [], 0
    for s in body:
        if s.id == "HL" and s.element(3) == "22":
            per_loop, count = [*per_loop, count], 0
        count += s.id == "CLM"
    assert [*per_loop, count][1:] == [100, 100, 50]
    assert pyx12_errors(data) == []


def _sets(data: bytes) -> Iterator[list[Segment]]:
    body: list[Segment] = []
    for segment in iter_segments(data):
        if segment.id == "ST":
            body = []
        body.append(segment)
        if segment.id == "SE":
            yield body
            body = []
