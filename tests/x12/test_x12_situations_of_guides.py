"""What a segment needs beside itself: each rule of the guides broken once, in a file that is good without the change.

One line a rule: what changes (a segment, what stands for it; `|` parts several, nothing: it is dropped), and the finding.
"""

from __future__ import annotations

import re
from datetime import date

import pytest
from x12 import x12_files as files

from pipeline.x12 import validator_situations
from pipeline.x12.acknowledge import acknowledge
from pipeline.x12.validator import validate
from pipeline.x12.validator_machine import machine_for

BPR = "BPR*I*115*C*ACH*CCP*01*999999992*DA*123456*1512345678**01*999988880*DA*98765*20261123"
DATES = {"DTM*232*20261101": "", "DTM*472*20261101": ""}
LINES = dict.fromkeys(
    (
        "SVC*HC:99213*100*75**1",
        "SVC*HC:87880*50*45**1",
        "CAS*CO*45*15",
        "CAS*PR*2*10",
        "CAS*CO*45*5",
        "REF*6R*C1L1",
        "REF*6R*C1L2",
    ),
    "",
) | {"CLP*C1*1*150*120*10*12*PCN1*11*1": "CLP*C1*1*120*120**12*PCN1*11*1"}
PATIENT = {"HL*3*2*22*1": "HL*3*2*22*0", "HL*4*3*23*0": "", "TRN*1*T1*9123456789": "", "NM1*03*1*DOE*JANE": "",
           "DMG*D8*20150115*F": "", "DTP*291*D8*20261120": "", "EQ*30^98": ""}  # fmt: skip
CLAIM_276 = dict.fromkeys(
    ("TRN*1*T1", "REF*1K*PCN1", "AMT*T3*150", "DTP*472*D8*20261101", "SVC*HC:99213*100*****1"), ""
)
CLAIM_277 = dict.fromkeys(
    ("TRN*2*T1", "STC*F1:65*20261118**150*115*20261115**20261116*8812", "REF*1K*PCN1", "DTP*472*D8*20261101"), ""
)

BROKEN = [
    # (kind, changes, rule, segment, element)
    ("835", {BPR: "BPR*I*115*C*ACH*CCP***********20261123"}, "835.transfer", "BPR", 4),
    ("835", {BPR: BPR.replace("ACH*CCP*01*999999992*DA*123456", "FWT*****")}, "835.transfer", "BPR", 4),
    ("835", {BPR: BPR.replace("CCP", "")}, "835.transfer-format", "BPR", 5),
    ("835", {BPR: BPR.replace("ACH*CCP", "NON*")}, "835.nothing-paid", "BPR", 2),
    ("835", {"TRN*1*T1*1512345678": "TRN*1*T1*X512345678"}, "835.trace-payer", "TRN", 3),
    ("835", DATES, "835.line-dates", "SVC", 1),
    ("835", {"DTM*232*20261101": "", "DTM*472*20261101": "DTM*150*20261101"}, "835.line-range", "DTM", None),
    ("835", {"DTM*472*20261101": "DTM*472*20261101|DTM*150*20261101"}, "835.line-date-twice", "DTM", None),
    ("835", {"CLP*C1*1*150*120*10*12*PCN1*11*1": "CLP*C1*1*150*120*25*12*PCN1*11*1"}, "835.patient-share", "CLP", 5),
    ("835", {"CAS*CO*45*15": "CAS*CO*9999*15"}, "x12.element-list", "CAS", 2),
    ("835", {"N4*BOSTON*MA*02101": "N4*BOSTON"}, "address", "N4", 2),
    ("837P", {"N4*BOSTON*MA*021010001": "N4*BOSTON*MA"}, "address", "N4", 3),
    ("837P", {"N4*BOSTON*MA*021010001": "N4*BOSTON*MA*02101000"}, "address", "N4", 3),
    ("837P", {"N4*BOSTON*MA*021010001": "N4*TORONTO*QC**CA"}, "address", "N4", 3),
    ("837P", {"N4*BOSTON*MA*021010001": "N4*BOSTON*QQ*021010001"}, "x12.element-list", "N4", 2),
    ("837P", {"CLM*C1*150***11:B:1*Y*A*Y*Y": "CLM*C1*150***00:B:1*Y*A*Y*Y"}, "x12.element-list", "CLM", 5),
    ("837P", {"CLM*C1*150***11:B:1*Y*A*Y*Y": "CLM*C1*150***11:B:5*Y*A*Y*Y"}, "837P.frequency", "CLM", 5),
    ("837P", {"NM1*85*2*CLINIC*****XX*1234567893": "NM1*85*2*CLINIC*JO****XX*1234567893"}, "name", "NM1", 4),
    ("837P", {"NM1*85*2*CLINIC*****XX*1234567893": "NM1*85*2*CLINIC"}, "837P.billing-npi", "HL", 1),
    ("837P", {"SBR*P*18*******CI": "SBR*S*18*******CI"}, "837P.other-payer", "SBR", None),
    ("837P", {"SBR*P*18*******CI": "SBR*P*18"}, "837P.filing", "SBR", 9),
    ("837P", {"SV1*HC:99213*100*UN*1***1:2": "SV1*HC:99213*100*UN*-1***1:2"}, "837P.quantity", "SV1", 4),
    ("837P", {"SV1*HC:99213*100*UN*1***1:2": "SV1*HC:99213*100*UN*1.2345***1:2"}, "837P.quantity", "SV1", 4),
    ("837I", {"NM1*85*2*CLINIC*****XX*1234567893": "NM1*85*2*CLINIC"}, "837I.billing-npi", "HL", 1),
    ("837D", {"NM1*85*2*CLINIC*****XX*1234567893": "NM1*85*2*CLINIC"}, "837D.billing-npi", "HL", 1),
    ("837I", {"SBR*P*18*******CI": "SBR*S*18*******CI"}, "837I.other-payer", "SBR", None),
    ("837D", {"SBR*P*18*******CI": "SBR*S*18*******CI"}, "837D.other-payer", "SBR", None),
    ("837I", {"SBR*P*18*******CI": "SBR*P*18"}, "837I.filing", "SBR", 9),
    ("837D", {"SBR*P*18*******CI": "SBR*P*18"}, "837D.filing", "SBR", 9),
    ("837D", {"CLM*C1*150***11:B:1*Y*A*Y*Y": "CLM*C1*150***11:B:5*Y*A*Y*Y"}, "837D.frequency", "CLM", 5),
    ("837I", {"SV2*0300*HC:85025*100*UN*1": "SV2*0300*HC:85025*100*UN*-1"}, "837I.quantity", "SV2", 5),
    ("835", DATES | LINES, "835.claim-dates", "CLP", 1),
    (
        "271",
        {"HL*3*2*22*0": "HL*3*2*22*1", "LE*2120": "LE*2120|HL*4*3*23*0|TRN*2*T2*X123456789|NM1*03*1*DOE*JO"},
        "271.trace-2000d",
        "TRN",
        3,
    ),
    ("270", {"HL*3*2*22*1": "HL*3*2*22*1|TRN*1*T0*X123456789"}, "270.trace-2000c", "TRN", 3),
    ("997", {"AK5*R*5": "AK5*A", "AK9*P*2*2*1": "AK9*A*2*2*2"}, "999.codes", "AK5", 1),
    ("997", {"AK4*2*782*1": ""}, "997.element", "AK3", 4),
    ("secondary", {"AMT*D*90": ""}, "837.payer-amount", "AMT", None),
    ("837I", {"NM1*71*1*SMITH*ANN****XX*1245319599": ""}, "837I.attending", "NM1", None),
    ("837I", {"DTP*472*D8*20261102": "DTP*472*D8*20261110"}, "837.statement-dates", "DTP", 3),
    ("837I", {"CLM*C1*150***11:A:1**A*Y*Y": "CLM*C1*150***99:A:1**A*Y*Y"}, "x12.element-list", "CLM", 5),
    ("837I", {"CL1*1*7*01": "CL1*8*7*01"}, "x12.element-list", "CL1", 1),
    ("837I", {"CL1*1*7*01": "CL1*1*7*99"}, "x12.element-list", "CL1", 3),
    ("837D", {"TOO*JP*12*L:O": "TOO*JP*99*L:O"}, "x12.element-list", "TOO", 2),
    ("837D", {"SV3*AD:D2140*100****1*****1": "SV3*AD:D2140*100**77**1*****1"}, "x12.element-list", "SV3", 4),
    ("270", PATIENT, "270.inquiry", "HL", 4),
    ("270", {"TRN*1*T1*9123456789": "TRN*1*T1*X123456789"}, "270.trace-2000d", "TRN", 3),
    ("271", {"TRN*2*T1*9123456789": "TRN*2*T1*X123456789"}, "271.trace-2000c", "TRN", 3),
    ("276", CLAIM_276, "276.inquiry", "HL", 4),
    ("276", {"DMG*D8*19600115*M": ""}, "276.inquiry", "HL", 4),
    ("277", CLAIM_277, "277.answer", "HL", 4),
    ("277CA", {"STC*A1:19:PR*20261121*WQ*150.5": "STC*A1:19:PR*20261121*WQ*170.5"}, "277CA.totals", "STC", 4),
    ("999", {"IK5*R*5": "IK5*A", "AK9*P*2*2*1": "AK9*A*2*2*2"}, "999.codes", "IK5", 1),
    ("999", {"IK3*CLM*22**8": "", "CTX*CLM01:C1": "", "IK4*2*782*1": "", "IK5*R*5": "IK5*R"}, "999.codes", "IK5", 1),
    ("999", {"AK9*P*2*2*1": "AK9*E*2*2*1"}, "999.codes", "AK9", 1),
    ("999", {"IK5*A": "IK5*R*5", "AK9*P*2*2*1": "AK9*P*2*2*0"}, "999.codes", "AK9", 1),
    ("999", {"AK9*P*2*2*1": "AK9*R*2*2*1"}, "999.codes", "AK9", 1),
    ("999", {"CTX*CLM01:C1": "", "IK4*2*782*1": ""}, "999.element", "IK3", 4),
]


def changed(kind: str, changes: dict[str, str]) -> bytes:
    segments = files.secondary() if kind == "secondary" else files.lines(files.FILES[kind])
    assert set(changes) <= set(segments), sorted(set(changes) - set(segments))
    out: list[str] = []
    for segment in segments:
        out += [new for new in changes.get(segment, segment).split("|") if new]
    return files.render(out)


@pytest.mark.parametrize(("kind", "changes", "rule", "segment", "element"), BROKEN)
def test_a_broken_rule_is_told(
    kind: str, changes: dict[str, str], rule: str, segment: str, element: int | None
) -> None:
    found = [f for f in validate(changed(kind, changes)) if f.severity == "error"]
    assert (rule, segment, element) in [(f.rule, f.segment_id, f.element) for f in found]
    assert {f.rule for f in found} <= {rule, *(["835.line-range"] if rule == "835.line-date-twice" else [])}
    assert all(f.severity == "warning" for f in validate(changed(kind, changes), mode="lenient") if f.snip != 3)


def test_a_dental_line_without_a_date_is_told_unless_it_asks_what_would_be_paid() -> None:
    dateless = changed("837D", {"DTP*472*D8*20261101": ""})
    assert [(f.rule, f.severity) for f in validate(dateless)] == [("837D.service-date", "warning")]
    assert validate(dateless.replace(b"11:B:1*Y*A*Y*Y", b"11:B:1*Y*A*Y*Y**********PB")) == []


def test_an_address_elsewhere_needs_no_state() -> None:
    assert validate(changed("837P", {"N4*BOSTON*MA*021010001": "N4*LYON***FR"})) == []
    assert [f.rule for f in validate(changed("837P", {"N4*BOSTON*MA*021010001": "N4*TORONTO*ON*M5V 2T6*CA"}))] == []


def test_a_set_without_its_version_is_read_where_the_group_has_one() -> None:
    data = changed("837P", {"ST*837*0001*005010X222A1": "ST*837*0001"})
    assert [(f.rule, f.element, f.severity) for f in validate(data)] == [("x12.element-missing", 3, "error")]
    assert [f.severity for f in validate(data, mode="lenient")] == ["warning"]


@pytest.mark.parametrize("damage", ["LX*1|", "lx*1"])
def test_the_999_of_a_segment_that_is_none_names_no_element(damage: str) -> None:
    """An empty segment, or an id in small letters: not recognized (1), and not wrong in an element (8), which would have to be named."""
    data = files.render([part for s in files.lines(files.CLAIM) for part in (damage if s == "LX*1" else s).split("|")])
    answer = acknowledge(data, on=date(2026, 11, 20)).functional_999
    assert answer is not None
    assert validate(answer) == []
    assert re.search(rb"~IK3\*[A-Z0-9]+\*2[23]\*\*1~", answer), answer


@pytest.mark.parametrize("kind", [*files.FILES, "secondary"])
def test_a_glance_passes_over_no_rule_that_is_broken(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What can be told of a loop's own segments decides whether its rules are asked: the same findings as when each always is."""
    whole = files.secondary() if kind == "secondary" else files.lines(files.FILES[kind])
    cases = [whole]
    for at in range(3, len(whole) - 1):
        cases.append(whole[:at] + whole[at + 1 :])  # without a segment
        cases.append([*whole[: at + 1], *whole[at:]])  # with it twice
    blind = [validate(files.render(case)) for case in cases]
    monkeypatch.setattr(validator_situations._Asker, "concerned", lambda *_: True)
    machine_for.cache_clear()  # what was judged before is remembered there
    try:
        assert [validate(files.render(case)) for case in cases] == blind
    finally:
        machine_for.cache_clear()
