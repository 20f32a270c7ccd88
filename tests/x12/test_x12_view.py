"""A file as rows: which loop each segment stands in, what is shown of it, and its findings beside it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.x12 import guides
from pipeline.x12.view import MASK, View, rules, view, words

CLAIM = """\
ISA*00*          *00*          *ZZ*CLINIC         *ZZ*PAYER          *261120*0200*^*00501*000000001*1*T*:~
GS*HC*CLINIC*PAYER*20261120*0200*1*X*005010X222A1~
ST*837*0001*005010X222A1~
BHT*0019*00*B1*20261120*0200*CH~
NM1*41*2*CLINIC*****46*C1~
PER*IC*BILLING*TE*5551234567~
NM1*40*2*PAYER*****46*P1~
HL*1**20*1~
NM1*85*2*GOOD CLINIC*****XX*1234567893~
N3*1 MAIN STREET~
N4*BOSTON*MA*021010001~
REF*EI*123456789~
HL*2*1*22*0~
SBR*P*18*ZQGROUP77*GOLD PLAN*****CI~
NM1*IL*1*ZQLAST*ZQFIRST*ZQMIDDLE*ZQTITLE*ZQJUNIOR*MI*ZQ100001~
N3*ZQ ELM STREET*ZQ FLAT~
N4*ZQTOWN*WY*820019999~
DMG*D8*19510417*F~
REF*SY*987654320~
NM1*PR*2*PLAN*****PI*P1~
CLM*C1*150***11:B:1*Y*A*Y*Y~
REF*EA*ZQMEDICAL9~
K3*ZQEXTRA~
NTE*ADD*ZQNOTE TEXT~
HI*ABK:J029~
LX*1~
SV1*HC:99213:25::::ZQDESCRIPTION*150*UN*1***1~
DTP*472*D8*20261101~
REF*6R*C1L1~
SE*28*0001~
GE*1*1~
IEA*1*000000001~
"""
#: what no masked view of CLAIM may hold
CANARIES = ("ZQ", "WY", "820019999", "19510417", "987654320")

REMITTANCE = """\
ISA*00*ZQSECRET01*00*ZQSECRET02*ZZ*PAYER          *ZZ*CLINIC         *261120*0200*^*00501*000000002*0*T*:~
GS*HP*PAYER*CLINIC*20261120*0200*1*X*005010X221A1~
ST*835*0001~
BPR*I*80*C*ACH*CCP*01*021000021*DA*ZQ5550001*1512345678**01*021000021*DA*ZQ5550002*20261123~
TRN*1*EFT1001*1512345678~
DTM*405*20261120~
N1*PR*PLAN OF EXAMPLES~
N3*1 PLAN WAY~
N4*ALBANY*NY*122070001~
PER*BL*HELP DESK*TE*8005551234~
N1*PE*GOOD CLINIC*XX*1234567893~
LX*1~
CLP*C1*1*150*80*20*12*PCN99*11*1~
CAS*CO*45*50~
NM1*QC*1*ZQLAST*ZQFIRST****MI*ZQ100001~
NM1*IL*1*ZQOTHER*ZQFIRST****34*987654320~
NM1*74*1*ZQRIGHT*ZQFIRST****C*ZQ100002~
NM1*82*1*DOCTOR*DEE****XX*1245319599~
REF*1L*ZQGROUP77~
REF*EA*ZQMEDICAL9~
DTM*232*20261101~
SVC*HC:99213*150*80**1~
DTM*472*20261101~
CAS*CO*45*50~
CAS*PR*3*20~
REF*6R*C1L1~
AMT*B6*100~
SE*25*0001~
GE*1*1~
IEA*1*000000002~
"""


def rows(text: str, **options: object) -> dict[str, object]:
    return {row.id: row for row in view(text.encode(), **options).rows}  # type: ignore[arg-type]


def shown(made: View) -> str:
    """All that a view tells in words."""
    out = [made.file]
    for row in made.rows:
        out += [row.text, row.label, row.aside, *(level.heading for level in row.path)]
        for part in row.parts:
            out += [part.hint, part.text, part.meaning]
    return "\n".join(out)


def test_each_segment_of_a_claim_stands_in_its_loop() -> None:
    made = view(CLAIM.encode())
    loops = [(row.id, [level.id for level in row.path]) for row in made.rows]
    top = ["ISA", "GS", "ST"]
    subscriber = [*top, "2000A", "2000B"]
    assert loops == [
        ("ISA", ["ISA"]), ("GS", ["ISA", "GS"]), ("ST", top), ("BHT", top),
        ("NM1", [*top, "1000A"]), ("PER", [*top, "1000A"]), ("NM1", [*top, "1000B"]),
        ("HL", [*top, "2000A"]), *((i, [*top, "2000A", "2010AA"]) for i in ("NM1", "N3", "N4", "REF")),
        ("HL", subscriber), ("SBR", subscriber),
        *((i, [*subscriber, "2010BA"]) for i in ("NM1", "N3", "N4", "DMG", "REF")), ("NM1", [*subscriber, "2010BB"]),
        *((i, [*subscriber, "2300"]) for i in ("CLM", "REF", "K3", "NTE", "HI")),
        *((i, [*subscriber, "2300", "2400"]) for i in ("LX", "SV1", "DTP", "REF")),
        ("SE", top), ("GE", ["ISA", "GS"]), ("IEA", ["ISA"]),
    ]  # fmt: skip
    assert [row.number for row in made.rows] == list(range(1, 33))
    assert made.kinds == ("837P",)
    assert (made.segments, made.left_out) == (32, 0)


def test_each_segment_of_a_remittance_stands_in_its_loop() -> None:
    loops = [(row.id, row.loop, row.path[-1].number) for row in view(REMITTANCE.encode()).rows]
    assert loops[6:] == [
        *((i, "1000A", 7) for i in ("N1", "N3", "N4", "PER")), ("N1", "1000B", 11), ("LX", "2000", 12),
        *((i, "2100", 13) for i in ("CLP", "CAS", "NM1", "NM1", "NM1", "NM1", "REF", "REF", "DTM")),
        *((i, "2110", 22) for i in ("SVC", "DTM", "CAS", "CAS", "REF", "AMT")),
        ("SE", "ST", 3), ("GE", "GS", 2), ("IEA", "ISA", 1),
    ]  # fmt: skip


def test_a_loop_that_begins_again_is_another_level() -> None:
    line = "LX*2~\nSV1*HC:99212*0*UN*1***1~\nDTP*472*D8*20261101~\n"
    made = view(CLAIM.replace("SE*28", line + "SE*31").encode())
    levels = {id(row.path[-1]): row.path[-1] for row in made.rows if row.loop == "2400"}
    assert [(level.number, level.heading) for level in levels.values()] == [(26, "1"), (30, "2")]


def test_levels_say_which_claim_they_are() -> None:
    made = view(CLAIM.encode())
    headings = {level.id: level.heading for row in made.rows for level in row.path}
    assert headings["2300"] == "C1 · 150"
    assert headings["2010AA"] == "GOOD CLINIC"
    assert headings["2010BA"] == ""  # masked
    assert headings["ISA"] == "CLINIC · PAYER"


def test_elements_bear_names_meanings_and_kinds() -> None:
    made = {row.number: row for row in view(CLAIM.encode()).rows}
    claim = {part.position: part for part in made[21].parts}
    assert (claim["CLM01"].text, claim["CLM01"].name) == ("C1", "claim number")
    assert (claim["CLM02"].text, claim["CLM02"].kind, claim["CLM02"].name) == ("150", "amount", "total charge")
    assert (claim["CLM05-3"].mark, claim["CLM05-3"].meaning) == (":", "original")
    assert made[28].label == "service date"
    assert {part.position: part.kind for part in made[28].parts} == {
        "DTP01": "code", "DTP02": "code", "DTP03": "date",
    }  # fmt: skip
    assert made[12].label == "tax number"
    assert "required" in claim["CLM02"].type
    cas = next(row for row in view(REMITTANCE.encode()).rows if row.id == "CAS")
    assert cas.parts[0].meaning == "contract: the practice writes it off"


def test_masked_rows_show_the_whole_segment_otherwise() -> None:
    made = [row.text for row in view(CLAIM.encode()).rows]
    assert made[8:12] == [
        "NM1*85*2*GOOD CLINIC*****XX*1234567893~", "N3*1 MAIN STREET~", "N4*BOSTON*MA*021010001~", "REF*EI*123456789~",
    ]  # fmt: skip
    m = MASK
    assert made[13:19] == [
        f"SBR*P*18*{m}*GOLD PLAN*****CI~", f"NM1*IL*1*{m}*{m}*{m}*{m}*{m}*MI*{m}~", f"N3*{m}*{m}~", f"N4*{m}*{m}*{m}~",
        f"DMG*D8*{m}*{m}~", f"REF*SY*{m}~",
    ]  # fmt: skip
    assert made[20:26] == [
        "CLM*C1*150***11:B:1*Y*A*Y*Y~", f"REF*EA*{m}~", f"K3*{m}~", f"NTE*ADD*{m}~", "HI*ABK:J029~", "LX*1~",
    ]  # fmt: skip
    assert made[26] == f"SV1*HC:99213:25::::{m}*150*UN*1***1~"


@pytest.mark.parametrize("text", [CLAIM, REMITTANCE], ids=["claim", "remittance"])
def test_unmasked_rows_are_the_file(text: str) -> None:
    assert "\n".join(row.text for row in view(text.encode(), masked=False).rows) == text.rstrip("\n")
    assert MASK not in shown(view(text.encode(), masked=False))


@pytest.mark.parametrize("text", [CLAIM, REMITTANCE], ids=["claim", "remittance"])
def test_no_canary_is_shown(text: str) -> None:
    told = shown(view(text.encode()))
    assert [canary for canary in CANARIES if canary in told] == []
    assert all(value in told for value in ("C1", "150", "20261101", "1234567893", "99213", "GOOD CLINIC"))


def test_no_canary_is_shown_of_damaged_files() -> None:
    """Each segment in turn lost, misspelt, cut of an element, or joined with the next: what stands there stays masked."""
    for text in (CLAIM, REMITTANCE):
        lines = text.splitlines()
        damages = []
        for at, line in enumerate(lines):
            segment_id, _, rest = line.partition("*")
            elements = line.rstrip("~").split("*")
            damages += [[*lines[:at], *lines[at + 1 :]], [*lines[:at], f"QX*{rest}", *lines[at + 1 :]]]
            damages += [[*lines[:at], f"{segment_id.lower()}*{rest}", *lines[at + 1 :]]]
            damages += [[*lines[:at], line.replace("~", "*"), *lines[at + 1 :]]] if at else []
            for gone in range(1, len(elements)):
                damages.append([*lines[:at], "*".join(elements[:gone] + elements[gone + 1 :]) + "~", *lines[at + 1 :]])
        for damaged in damages:
            told = shown(view("\n".join(damaged).encode()))
            assert [line for line in told.splitlines() for canary in CANARIES if canary in line] == []


def test_a_name_in_the_place_of_a_segment_id_is_masked() -> None:
    told = shown(view(CLAIM.replace("K3*ZQEXTRA", "ZQEXTRA*ZQLAST").encode()))
    assert "ZQ" not in told


@pytest.mark.parametrize(
    ("segment", "hidden"),
    [
        ("IK4*1:2:3*67*7*ZQ100001~", "ZQ"), ("CTX*SUBSCRIBER NAME:ZQLAST~", "ZQ"), ("CTX*CLM01:ZQ LAST~", "ZQ"),
        ("AK4*1*67*7*ZQ100001~", "ZQ"),
    ],
)  # fmt: skip
def test_copies_of_a_value_at_fault_are_masked(segment: str, hidden: str) -> None:
    text = (
        CLAIM.splitlines()[0]
        + "GS*FA*A1*B1*20261120*0200*1*X*005010X231A1~ST*999*0001*005010X231A1~AK1*HC*1~AK2*837*0001~"
        f"IK3*NM1*15*2010BA*8~{segment}IK5*R*5~AK9*R*1*1*0~SE*8*0001~GE*1*1~IEA*1*000000001~"
    )
    told = shown(view(text.encode()))
    assert hidden not in told
    assert "IK3*NM1*15*2010BA*8~" in told


def test_the_claim_of_a_context_is_shown() -> None:
    text = (
        CLAIM.splitlines()[0]
        + "GS*FA*A1*B1*20261120*0200*1*X*005010X231A1~ST*999*0001*005010X231A1~AK1*HC*1~AK2*837*0001~"
        "IK3*CLM*21*2300*8~CTX*CLM01:C1~IK5*R*5~AK9*R*1*1*0~SE*8*0001~GE*1*1~IEA*1*000000001~"
    )
    assert "CTX*CLM01:C1~" in shown(view(text.encode()))


def test_a_set_without_a_guide_masks_persons_too() -> None:
    text = (
        CLAIM.splitlines()[0] + "GS*BE*A1*B1*20261120*0200*1*X*005010X220A1~ST*834*0001*005010X220A1~BGN*00*1*20261120~"
        "INS*Y*18*021*20*A***FT~REF*0F*ZQ100001~NM1*IL*1*ZQLAST*ZQFIRST****34*987654320~N3*ZQ STREET~N4*ZQTOWN*WY*820019999~"
        "DMG*D8*19510417*F~HD*021**HLT~XYZ*ZQLAST~SE*11*0001~GE*1*1~IEA*1*000000001~"
    )
    made = view(text.encode())
    assert [canary for canary in CANARIES if canary in shown(made)] == []
    assert (made.kinds, made.unguided) == (("834",), 1)
    assert [row.path[-1].id for row in made.rows][2:-2] == ["ST"] * 11


def test_findings_stand_at_their_segment_and_element() -> None:
    text = CLAIM.replace("*11:B:1*", "*11:Z:1*").replace("HI*ABK:J029~\n", "").replace("SE*28", "SE*27")
    made = view(text.encode(), mode="strict")
    at = {row.number: row for row in made.rows if row.findings}
    claim = at[21]
    assert claim.id == "CLM"
    assert {part.position: part.severity for part in claim.parts if part.severity} == {"CLM05-2": "error"}
    assert any(f.rule == "x12.segment-missing" and f.segment_id == "HI" for row in at.values() for f in row.findings)
    assert sorted(f.finding_id for row in made.rows for f in row.findings) == sorted(
        f.finding_id for f in made.findings
    )
    assert made.loose == []
    text = CLAIM.replace("REF*6R*C1L1", "REF*6R*" + "X1" * 40)
    reference = next(row for row in view(text.encode()).rows if row.number == 29)
    assert {p.position: p.severity for p in reference.parts} == {"REF01": "", "REF02": "error"}


def test_a_long_file_is_bounded_around_its_findings() -> None:
    line = "LX*{0}~SV1*HC:99213*0*UN*1***{1}~DTP*472*D8*20261101~"
    lines = "".join(line.format(n, "9" if n == 40 else "1") for n in range(2, 51))
    made = view(CLAIM.replace("SE*28", lines + "SE*175").encode(), first=10, context=2, mode="strict")
    numbers = [row.number for row in made.rows]
    fault = 29 + 38 * 3 + 2
    assert numbers[:10] == list(range(1, 11))
    assert set(range(fault - 2, fault + 3)) <= set(numbers)
    assert len(numbers) < 60
    assert made.segments == 32 + 49 * 3
    assert made.left_out == made.segments - len(numbers)
    row = next(row for row in made.rows if row.number == fault)
    assert [f.segment for f in row.findings] == [fault] * len(row.findings) != []
    assert [level.heading for level in row.path if level.id == "2300"] == ["C1 · 150"]  # its first segment is not shown


def test_findings_beyond_the_rows_are_kept() -> None:
    made = view(b"no X12 at all")
    assert made.rows == []
    assert [f.rule for f in made.loose] == ["x12.not-x12"]


def test_values_cannot_steer_a_terminal() -> None:
    text = CLAIM.replace("ZQNOTE TEXT", "\x1b[2J\x9b31m\x07")
    told = shown(view(text.encode("latin-1"), masked=False))
    assert not any((ord(c) < 32 and c != "\n") or 127 <= ord(c) < 160 for c in told)


def test_a_segment_without_end_is_cut() -> None:
    text = CLAIM.replace("ZQNOTE TEXT", "A" * 100_000).replace("K3*ZQEXTRA", "K3" + "*A" * 10_000)
    assert max(len(row.text) for row in view(text.encode(), masked=False).rows) < 2000


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=400))
def test_junk_never_raises(junk: bytes) -> None:
    for data in (junk, CLAIM.encode()[:300] + junk, CLAIM.encode() + junk):
        made = view(data)
        assert len(made.rows) <= made.segments


@settings(max_examples=40, deadline=None)
@given(st.integers(0, len(CLAIM) - 1), st.binary(min_size=1, max_size=3))
def test_broken_claims_never_raise(at: int, byte: bytes) -> None:
    data = CLAIM.encode()
    for broken in (data[:at], data[:at] + byte + data[at + 1 :]):
        made = view(broken)
        placed = sum(len(row.findings) for row in made.rows) + len(made.loose)
        assert placed == len(made.findings)


def test_every_segment_of_a_guide_has_a_word() -> None:
    known = set(words()["segments"])
    assert {place.id for name in guides.names() for place in guides.guide(name).places} - known == set()


def test_masking_names_only_what_guides_have() -> None:
    """A row for an element that no guide has would mask nothing, and nobody would see."""
    lengths: dict[str, int] = {}
    for name in guides.names():
        for place in guides.guide(name).places:
            lengths[place.id] = max(lengths.get(place.id, 0), len(place.elements))
    outside = {"ISA", "GS", "N2", "AK3", "AK4", "AK5"}  # of the envelope, and of 4010 and 834
    assert set(rules().rows) - set(lengths) <= outside
    assert rules().open_parties.isdisjoint({"IL", "QC", "74", "03", "GB", "PW", "45", "36", "LR"})


def test_the_same_bytes_give_the_same_rows() -> None:
    assert [row.text for row in view(CLAIM.encode()).rows] == [row.text for row in view(CLAIM.encode()).rows]
    assert shown(view(CLAIM.encode())) == shown(view(CLAIM.encode()))


def test_an_interchange_acknowledgment_is_a_kind_of_its_own() -> None:
    made = view((CLAIM.splitlines()[0] + "TA1*000000001*261120*0200*R*025~IEA*0*000000001~").encode())
    assert made.kinds == ("TA1",)
    assert [(row.id, row.loop) for row in made.rows] == [("ISA", "ISA"), ("TA1", "ISA"), ("IEA", "ISA")]
    assert made.rows[1].text == "TA1*000000001*261120*0200*R*025~"
    assert made.rows[1].label.startswith("interchange acknowledgment: ")
