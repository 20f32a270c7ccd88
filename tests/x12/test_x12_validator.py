"""One failing file a rule: a good file, changed in one place, gives that finding, there, and no other error."""

from __future__ import annotations

import gzip
import importlib.util
import re
import sys
from pathlib import Path

import pytest

from pipeline.findings import Finding, has_errors
from pipeline.x12.segments import iter_segments
from pipeline.x12.validator import validate
from pipeline.x12.validator_rules import RULES

_spec = importlib.util.spec_from_file_location("x12_files", Path(__file__).with_name("x12_files.py"))
assert _spec is not None
assert _spec.loader is not None
files = importlib.util.module_from_spec(_spec)
sys.modules.setdefault("x12_files", files)
_spec.loader.exec_module(files)


def told(findings: list[Finding], *severities: str) -> list[tuple[str, int | None, str, int | None, int | None]]:
    return [
        (f.rule, f.segment, f.segment_id, f.element, f.component)
        for f in findings
        if f.severity in (severities or ("error",))
    ]


def changed(kind: str, old: str, new: str | None, *, nth: int = 0) -> tuple[bytes, int]:
    """The file of that kind with the nth segment equal to `old` replaced (None: dropped; text with |: several), and its number."""
    segments = files.secondary() if kind == "secondary" else files.lines(files.FILES[kind])
    at = [i for i, s in enumerate(segments) if s == old][nth]
    segments[at : at + 1] = [] if new is None else new.split("|")
    return files.render(segments), at + 1


@pytest.mark.parametrize("kind", list(files.FILES))
def test_good_files_have_no_finding(kind: str) -> None:
    assert validate(files.render(files.lines(files.FILES[kind]), recount=False)) == []


def test_a_claim_that_another_payer_decided_has_no_finding() -> None:
    assert validate(files.render(files.secondary())) == []


# kind, segment, its replacement, rule, (where the finding stands: offset of segments from the changed one, id, element, component)
ELEMENTS = [
    ("837P", "NM1*40*2*PAYER*****46*P1", "NM1*40**PAYER*****46*P1", "x12.element-missing", (0, "NM1", 2, None)),
    ("837P", "CLM*C1*150***11:B:1*Y*A*Y*Y", "CLM*C1*150***11::1*Y*A*Y*Y", "x12.element-missing", (0, "CLM", 5, 2)),
    ("837P", "SBR*P*18*******CI", "SBR*P*18****X***CI", "x12.element-not-used", (0, "SBR", 6, None)),
    ("837P", "HI*ABK:J029*ABF:Z23", "HI*ABK:J029:X*ABF:Z23", "x12.element-not-used", (0, "HI", 1, 3)),
    ("837P", "LX*1", "LX*1*2", "x12.element-many", (0, "LX", 2, None)),
    ("837P", "SV1*HC:99213*100*UN*1***1:2", "SV1*HC:99213*100*UN*1***1:2:1:2:1", "x12.component-many", (0, "SV1", 7, 5)),
    ("837P", "REF*6R*C1L1", "REF*6R*C1:L1", "x12.component-many", (0, "REF", 2, 2)),
    ("837P", "N3*1 MAIN STREET", "N3*" + "1 MAIN STREET " * 4 + "X", "x12.element-long", (0, "N3", 1, None)),
    ("837P", "N4*BOSTON*MA*021010001", "N4*B*MA*021010001", "x12.element-short", (0, "N4", 1, None)),
    ("837P", "SV1*HC:99213*100*UN*1***1:2", "SV1*HC:99213*1E2*UN*1***1:2", "x12.element-type", (0, "SV1", 2, None)),
    ("837P", "LX*1", "LX*A", "x12.element-type", (0, "LX", 1, None)),
    ("837P", "CLM*C1*150***11:B:1*Y*A*Y*Y", "CLM*C1*150***11:B:1*Y*A*Q*Y", "x12.element-code", (0, "CLM", 8, None)),
    ("837P", "NM1*41*2*CLINIC*****46*C1", "NM1*41*2*CLI\x07NIC*****46*C1", "x12.element-character", (0, "NM1", 3, None)),
    ("837P", "NM1*41*2*CLINIC*****46*C1", "NM1*41*2*CLÍNIC*****46*C1", "x12.element-character", (0, "NM1", 3, None)),
    ("837P", "NM1*41*2*CLINIC*****46*C1", "NM1*41*2*CLINIC *****46*C1", "x12.element-padded", (0, "NM1", 3, None)),
    ("837P", "NM1*41*2*CLINIC*****46*C1", "NM1*41*2* *****46*C1", "x12.element-padded", (0, "NM1", 3, None)),
    ("837P", "DMG*D8*19600115*M", "DMG*D8*19600230*M", "x12.element-date", (0, "DMG", 2, None)),
    ("837P", "BHT*0019*00*B1*20261120*0200*CH", "BHT*0019*00*B1*20261131*0200*CH", "x12.element-date", (0, "BHT", 4, None)),
    ("837P", "BHT*0019*00*B1*20261120*0200*CH", "BHT*0019*00*B1*20261120*2460*CH", "x12.element-time", (0, "BHT", 5, None)),
    ("837P", "DTP*472*RD8*20261101-20261102", "DTP*472*RD8*20261102-20261101", "x12.element-range", (0, "DTP", 3, None)),
    ("837P", "DTP*472*RD8*20261101-20261102", "DTP*472*RD8*20261101", "x12.element-date", (0, "DTP", 3, None)),
    ("837P", "N4*BOSTON*MA*021010001", "N4*BOSTON*MA*021010001*US***ON", "x12.element-excluded", (0, "N4", 7, None)),
    ("837P", "PER*IC*BILLING*TE*5551234567", "PER*IC*BILLING*TE*5551234567*EX", "x12.element-paired", (0, "PER", 6, None)),
    ("837P", "PER*IC*BILLING*TE*5551234567", "PER*IC*BILLING*TE*5551234567**", "x12.trailing-separator", (0, "PER", 6, None)),
    ("837P", "HI*ABK:J029*ABF:Z23", "HI*ABK:J029:*ABF:Z23", "x12.trailing-separator", (0, "HI", 1, 3)),
    ("835", "AMT*B6*1", "", "", ()),
    ("secondary", "CAS*PR*1*10", "CAS*PR*1*10**2", "x12.element-paired", (0, "CAS", 6, None)),
]  # fmt: skip
ELEMENTS = [case for case in ELEMENTS if case[3]]


@pytest.mark.parametrize(
    ("kind", "old", "new", "rule", "where"), ELEMENTS, ids=lambda v: v if isinstance(v, str) else ""
)
def test_an_element_at_fault(kind: str, old: str, new: str, rule: str, where: tuple[int, str, int, int | None]) -> None:
    data, number = changed(kind, old, new)
    found = [f for f in validate(data) if f.rule.startswith("x12.")]
    shift, segment_id, element, component = where
    assert told(found) == [(rule, number + shift, segment_id, element, component)]
    assert found[0].snip == RULES[rule].snip
    assert found[0].fix


SEGMENTS = [
    # dropped
    ("837P", "REF*EI*123456789", None, "x12.segment-missing", (0, "REF")),
    ("837P", "N3*1 MAIN STREET", None, "x12.segment-missing", (0, "N3")),
    ("837P", "SBR*P*18*******CI", None, "x12.segment-missing", (0, "SBR")),
    ("837P", "DTP*472*D8*20261101", None, "x12.segment-missing", (0, "DTP")),
    ("837P", "NM1*40*2*PAYER*****46*P1", None, "x12.loop-missing", (0, "NM1")),
    # twice, and more often than allowed
    ("837P", "PRV*PE*PXC*207Q00000X", "PRV*PE*PXC*207Q00000X|PRV*PE*PXC*207Q00000X", "x12.segment-repeat", (1, "PRV")),
    ("837P", "PER*IC*BILLING*TE*5551234567", "|".join(["PER*IC*BILLING*TE*5551234567"] * 3), "x12.segment-repeat", (2, "PER")),
    ("837P", "NM1*82*1*SMITH*ANN****XX*1245319599", "NM1*82*1*SMITH*ANN|NM1*82*1*SMITH*ANN", "x12.loop-repeat", (1, "NM1")),
    # out of order, out of place, unknown
    ("837P", "N4*BOSTON*MA*021010001", "REF*0B*1|N4*BOSTON*MA*021010001", "x12.segment-order", (1, "N4")),
    ("837P", "LX*1", "LX*1|PAT*****D8*20260101", "x12.segment-order", (1, "PAT")),
    ("837P", "LX*1", "LX*1|DMG*D8*19600115*M", "x12.segment-unexpected", (1, "DMG")),
    ("837P", "LX*1", "LX*1|SVC*HC:99213*1", "x12.segment-unknown", (1, "SVC")),
    ("837P", "LX*1", "LX*1|9*HC", "x12.segment-id", (1, "")),
    ("837P", "LX*1", "LX*1|", "x12.segment-empty", (1, "")),
    ("837P", "LX*1", "lx*1", "x12.segment-case", (0, "")),
    ("837P", "REF*6R*C1L1", "REF*ZQ*C1L1", "x12.element-code", (0, "REF")),
    ("837P", "HL*2*1*22*0", "HL*2*1*99*0", "x12.element-code", (0, "HL")),
    ("837P", "NM1*85*2*CLINIC*****XX*1234567893", "NM1*86*2*CLINIC*****XX*1234567893", "x12.element-code", (0, "NM1")),
    ("835", "LX*1", None, "x12.loop-missing", (0, "LX")),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "old", "new", "rule", "where"), SEGMENTS, ids=lambda v: v if isinstance(v, str) else ""
)
def test_a_segment_at_fault(kind: str, old: str, new: str | None, rule: str, where: tuple[int, str]) -> None:
    data, number = changed(kind, old, new)
    errors = [f for f in validate(data) if f.severity == "error"]
    assert [(f.rule, f.segment, f.segment_id) for f in errors] == [(rule, number + where[0], where[1])]


ENVELOPE = [
    ("837P", "SE*30*0001", "SE*29*0001", "x12.se-count", "SE"),
    ("837P", "SE*30*0001", "SE*30*0002", "x12.se-control", "SE"),
    ("837P", "GE*1*1", "GE*2*1", "x12.ge-count", "GE"),
    ("837P", "GE*1*1", "GE*1*2", "x12.ge-control", "GE"),
    ("837P", "IEA*1*000000001", "IEA*2*000000001", "x12.iea-count", "IEA"),
    ("837P", "IEA*1*000000001", "IEA*1*000000002", "x12.iea-control", "IEA"),
    ("837P", "GS*HC*CLINIC*PAYER*20261120*0200*1*X*005010X222A1", "GS*HP*CLINIC*PAYER*20261120*0200*1*X*005010X222A1", "x12.gs-element", "GS"),
    ("837P", "GS*HC*CLINIC*PAYER*20261120*0200*1*X*005010X222A1", "GS*HC*CLINIC*PAYER*20261120*0200*1*X*005010X999", "x12.gs-version", "GS"),
    ("837P", "ST*837*0001*005010X222A1", "ST*835*0001*005010X222A1", "x12.set-unknown", "ST"),
    ("837P", "ST*837*0001*005010X222A1", "ST*837*0001*005010X223A2", "x12.st-version", "ST"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "old", "new", "rule", "segment_id"), ENVELOPE, ids=lambda v: v)
def test_an_envelope_at_fault(kind: str, old: str, new: str, rule: str, segment_id: str) -> None:
    segments = files.lines(files.FILES[kind])
    at = segments.index(old)
    segments[at] = new
    errors = [f for f in validate(files.render(segments, recount=False)) if f.severity == "error"]
    assert [(f.rule, f.segment, f.segment_id, f.snip) for f in errors] == [(rule, at + 1, segment_id, 1)] or (
        rule == "x12.gs-version" and errors[0].rule == rule
    )


ISA = [
    (4, "01", "04", "x12.isa-element", 1),
    (4, "00", "", "x12.isa-length", 1),
    (32, "ZZ", "QQ", "x12.isa-element", 5),
    (70, "261120", "261332", "x12.isa-date", 9),
    (77, "0200", "2560", "x12.isa-time", 10),
    (84, "00501", "00999", "x12.isa-version", 12),
    (90, "000000001", "00000000A", "x12.isa-control", 13),
    (100, "1", "7", "x12.isa-element", 14),
    (102, "T", "X", "x12.isa-usage", 15),
]


@pytest.mark.parametrize(("at", "old", "new", "rule", "element"), ISA[2:])
def test_an_isa_element_at_fault(at: int, old: str, new: str, rule: str, element: int) -> None:
    text = files.render(files.lines(files.CLAIM), recount=False).decode()
    assert text[at : at + len(old)] == old
    found = told(validate((text[:at] + new + text[at + len(old) :]).encode()))
    assert (rule, 1, "ISA", element, None) in found
    assert {rule} | {"x12.iea-control"} >= {f[0] for f in found}


def test_isa_widths_are_told_and_the_file_is_still_read() -> None:
    text = files.render(files.lines(files.CLAIM)).decode().replace("ISA*00*          *", "ISA*00**", 1)
    found = validate(text.encode())
    assert {(f.rule, f.element) for f in found} == {("x12.isa-length", None), ("x12.isa-length", 2)}
    assert {f.severity for f in found} == {"error"}
    assert {f.severity for f in validate(text.encode(), mode="lenient")} == {"warning"}


def test_truncation_at_every_segment_is_told() -> None:
    segments = files.lines(files.CLAIM)
    for count in range(1, len(segments)):
        found = told(validate(files.render(segments[:count], recount=False)))
        rules = {rule for rule, *_ in found}
        assert "x12.iea-missing" in rules
        assert ("x12.ge-missing" in rules) is (2 <= count < 33)
        assert ("x12.se-missing" in rules) is (3 <= count < 32)


def test_a_last_segment_without_terminator_is_told() -> None:
    data = files.render(files.lines(files.CLAIM))
    assert [(f.rule, f.segment) for f in validate(data[:-1])] == [("x12.iea-unterminated", 34)]  # it is whole
    assert [f.rule for f in validate(data[:-2])] == ["x12.unterminated"]
    assert told(validate(data[:60])) == [("x12.unterminated", 1, "", None, None)]


def test_lines_of_one_width_are_told() -> None:
    data = files.render(files.lines(files.CLAIM))
    lines = b"".join(data[at : at + 80] + b"\n" for at in range(0, len(data), 80))
    assert [(f.rule, f.severity) for f in validate(lines)] == [("x12.cut-lines", "error")]


def test_a_group_of_5010_in_an_interchange_of_4010() -> None:
    data = files.render(files.lines(files.CLAIM)).replace(b"*^*00501*", b"*U*00401*")
    assert [(f.rule, f.severity, f.segment, f.element) for f in validate(data)] == [("x12.isa-version", "error", 1, 12)]
    assert [f.severity for f in validate(data, mode="lenient")] == ["warning"]
    older = data.replace(b"005010X222A1", b"004010X098A1")
    assert [f.rule for f in validate(older)] == ["x12.gs-version"]  # they agree


def test_one_interchange_twice_in_a_file() -> None:
    data = files.render(files.lines(files.CLAIM))
    size = data.count(b"~")
    found = [("x12.isa-duplicate", size + 1, 13)]
    assert [(f.rule, f.segment, f.element) for f in validate(data + data)] == found
    assert {f.severity for mode in ("strict", "lenient") for f in validate(data + data, mode=mode)} == {"warning"}
    assert validate(data + data.replace(b"000000001", b"000000002")) == []
    assert validate(data + data.replace(b"*ZZ*PAYER ", b"*ZZ*OTHER ")) == []  # each receiver has numbers of its own


def test_a_service_is_in_the_future_only_after_every_date_of_the_file() -> None:
    data = files.render(files.lines(files.CLAIM))
    old = data.replace(b"BHT*0019*00*B1*20261120", b"BHT*0019*00*B1*20250101")
    assert validate(old) == []  # the group was made on 20 November
    assert [f.rule for f in validate(old.replace(b"GS*HC*CLINIC*PAYER*20261120", b"GS*HC*CLINIC*PAYER*20250102"))] == [
        "837.service-date", "837.service-date",
    ]  # fmt: skip


def test_what_is_taken_for_x12_is_called_by_its_name() -> None:
    text = files.render(files.lines(files.CLAIM)).decode()
    for data, word in (
        (text.encode("utf-16"), "UTF-16"), (text.encode("utf-16-be"), "ISA"), (b"\xfe\xff" + text.encode("utf-16-be"), "UTF-16"),
        (gzip.compress(text.encode()), "packed"), (b"PK\x03\x04" + b"0" * 200, "packed"),
        (text[text.index("ST*837") :].encode(), "envelope"), (b"<html>403</html>", "ISA"),
    ):  # fmt: skip
        (found,) = validate(data)
        assert found.rule == "x12.not-x12"
        assert word in found.message


def test_bytes_outside_and_strange_files() -> None:
    data = files.render(files.lines(files.CLAIM))
    assert [f.rule for f in validate(b"")] == ["x12.not-x12"]
    assert [f.rule for f in validate(b"%PDF-1.7 nothing")] == ["x12.not-x12"]
    assert [f.rule for f in validate(data + b"garbage")] == ["x12.trailing-bytes"]
    assert validate(data + b"\r\n\x1a") == []
    assert [(f.rule, f.severity) for f in validate(b"\xef\xbb\xbf" + data)] == [("x12.byte-order-mark", "error")]
    assert [f.severity for f in validate(b"\xef\xbb\xbf" + data, mode="lenient")] == ["warning"]


@pytest.mark.parametrize("end", ["~\n", "~\r\n", "~  "])
def test_line_ends_after_terminators_are_read_over(end: str) -> None:
    data = files.render(files.lines(files.CLAIM)).decode().replace("~", end).encode()
    assert [(f.rule, f.severity) for f in validate(data)] == [("x12.line-ends", "info")]


@pytest.mark.parametrize("marks", ["|^>~", "*!:\n", "\x1d\x1f\x1e\x1c", "+^:'"])
def test_delimiters_are_read_from_the_isa(marks: str) -> None:
    text = files.render(files.lines(files.CLAIM)).decode()
    other = text.translate(str.maketrans("*^:~", marks))
    assert validate(other.encode()) == []
    broken = other.replace(f"CLM{marks[0]}C1{marks[0]}150", f"CLM{marks[0]}C1{marks[0]}15X")
    assert told(validate(broken.encode())) == [("x12.element-type", 20, "CLM", 2, None)]


def test_several_interchanges_each_with_its_own_delimiters() -> None:
    one = files.render(files.lines(files.CLAIM)).decode()
    two = files.render(files.lines(files.REMITTANCE)).decode().translate(str.maketrans("*^:~", "|!>\n"))
    three = one.replace("CLM*C1*150", "CLM*C1*15X").replace("000000001", "000000003")
    found = validate((one + two + "\r\n" + three).encode())
    assert told(found) == [("x12.element-type", 34 + 28 + 20, "CLM", 2, None)]


def test_set_numbers_are_unique_in_the_interchange() -> None:
    segments = files.lines(files.CLAIM)
    second = [s.replace("*0200*1*X", "*0200*2*X").replace("GE*1*1", "GE*1*2") for s in segments[1:33]]
    found = told(validate(files.render([*segments[:33], *second, "IEA*2*000000001"])))
    assert found == [("x12.st-duplicate", 35, "ST", 2, None)]
    other = [s.replace("*0001", "*0002") if s[:2] in ("ST", "SE") else s for s in second]
    assert validate(files.render([*segments[:33], *other, "IEA*2*000000001"])) == []


def test_a_missing_iea_before_the_next_isa_is_told_once() -> None:
    one = files.lines(files.CLAIM)
    next_one = [s.replace("000000001", "000000002") for s in one]
    found = told(validate(files.render([*one[:-1], *next_one])))
    assert [f[0] for f in found] == ["x12.iea-missing"]


def test_ta1_before_and_without_a_group() -> None:
    segments = files.lines(files.CLAIM)
    good = [segments[0], "TA1*000000900*261119*0200*A*000", *segments[1:]]
    assert validate(files.render(good)) == []
    assert validate(files.render([segments[0], "TA1*000000900*261119*0200*R*025", "IEA*0*000000001"])) == []
    for bad, element in (("A1*261119*0200*A*000", 1), ("000000900*261319*0200*A*000", 2), ("000000900*261119*2900*A*000", 3),
                         ("000000900*261119*0200*Q*000", 4), ("000000900*261119*0200*A*025", 5), ("000000900*261119*0200*R*099", 5)):  # fmt: skip
        found = told(validate(files.render([segments[0], "TA1*" + bad, "IEA*0*000000001"])))
        assert found == [("x12.ta1", 2, "TA1", element, None)]
    late = [*segments[:3], "TA1*000000900*261119*0200*A*000", *segments[3:]]
    assert [f[0] for f in told(validate(files.render(late)))] == ["x12.ta1"]


MEANING = [
    # levels
    ("837P", "HL*2*1*22*0", "HL*3*1*22*0", "hl.number", (0, "HL", 1)),
    ("837P", "HL*2*1*22*0", "HL*2*2*22*0", "hl.parent", (0, "HL", 2)),
    # identifiers
    ("837P", "NM1*85*2*CLINIC*****XX*1234567893", "NM1*85*2*CLINIC*****XX*1234567890", "npi", (0, "NM1", 9)),
    ("835", "N1*PE*CLINIC*XX*1234567893", "N1*PE*CLINIC*XX*3234567893", "npi", (0, "N1", 4)),
    # balances of the 837
    ("837P", "CLM*C1*150***11:B:1*Y*A*Y*Y", "CLM*C1*150.01***11:B:1*Y*A*Y*Y", "837.charges", (0, "CLM", 2)),
    ("secondary", "SVD*P2*60*HC:99213**1", "SVD*P2*59.99*HC:99213**1", "837.line-paid", None),
    ("secondary", "AMT*D*90", "AMT*D*89.99", "837.payer-paid", None),
    ("secondary", "AMT*D*90", "AMT*A8*149", "837.non-covered", None),
    ("secondary", "AMT*D*90", "AMT*D*90|AMT*A8*150", "837.non-covered", None),
    # situations that reach over segments
    ("secondary", "SBR*S*18*******CI", "SBR*P*18*******CI", "837.payer-order", (0, "SBR", 1)),
    ("secondary", "SVD*P2*60*HC:99213**1", "SVD*P3*60*HC:99213**1", "837.paid-by", None),
    ("secondary", "NM1*PR*2*OTHER PAYER*****PI*P2", "NM1*PR*2*OTHER PAYER*****PI*P2|DTP*573*D8*20261110", "837.paid-date", None),
    ("837P", "LX*2", "LX*3", "837.line-number", (0, "LX", 1)),
    ("837P", "REF*6R*C1L2", "REF*6R*C1L1", "837.line-control", (0, "REF", 2)),
    ("837P", "SV1*HC:99213*100*UN*1***1:2", "SV1*HC:99213*100*UN*1***1:3", "837.pointer", (0, "SV1", 7)),
    ("837P", "SV1*HC:99213*100*UN*1***1:2", "SV1*HC:99213*100*UN*1***1:1", "837.pointer", (0, "SV1", 7)),
    ("837P", "DTP*472*D8*20261101", "DTP*472*D8*20261121", "837.service-date", (0, "DTP", 3)),
    ("837P", "DTP*472*D8*20261101", "DTP*472*D8*19600114", "837.service-date", (0, "DTP", 3)),
    # balances of the 835, one cent off at each level
    ("835", "SVC*HC:99213*100*75**1", "SVC*HC:99213*100*75.01**1", "835.line-balance", (0, "SVC", 3)),
    ("835", "CLP*C1*1*150*120*10*12*PCN1*11*1", "CLP*C1*1*150.01*120*10*12*PCN1*11*1", "835.claim-balance", (0, "CLP", 4)),
    ("835", "PLB*1234567893*20261231*WO:A1*5", "PLB*1234567893*20261231*WO:A1*4.99", "835.set-balance", None),
    # acknowledgments
    ("999", "AK9*P*2*2*1", "AK9*P*2*2*2", "999.counts", (0, "AK9", 4)),
    ("999", "AK9*P*2*2*1", "AK9*A*2*2*1", "999.codes", (0, "AK9", 1)),
    ("277CA", "QTY*90*1", "QTY*90*2", "277CA.totals", None),
    ("277CA", "AMT*YY*50", "AMT*YY*51", "277CA.totals", None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "old", "new", "rule", "where"), MEANING, ids=lambda v: v if isinstance(v, str) else ""
)
def test_a_meaning_at_fault(kind: str, old: str, new: str, rule: str, where: tuple[int, str, int] | None) -> None:
    data, number = changed(kind, old, new)
    errors = [f for f in validate(data) if f.severity == "error"]
    assert {f.rule for f in errors} >= {rule}
    if where is not None:
        assert [(f.rule, f.segment, f.segment_id, f.element) for f in errors] == [(rule, number + where[0], *where[1:])]
    else:
        # sums meet at several levels: one cent may break two of them, but only balances break
        assert {f.rule.partition(".")[0] for f in errors} == {rule.partition(".")[0]}


def test_a_level_without_children_is_told() -> None:
    segments = files.lines(files.CLAIM)
    first, last = segments.index("HL*2*1*22*0"), segments.index("SE*30*0001")
    found = told(validate(files.render(segments[:first] + segments[last:])))
    assert ("hl.children", 8, "HL", 4, None) in found


@pytest.mark.parametrize("kind", ["837P", "837I", "837D"])
def test_a_subscriber_without_a_claim_is_told(kind: str) -> None:
    segments = files.lines(files.FILES[kind])
    first = next(i for i, s in enumerate(segments) if s.startswith("CLM"))
    last = next(i for i, s in enumerate(segments) if s.startswith("SE*"))
    found = told(validate(files.render(segments[:first] + segments[last:])))
    assert found == [("837.no-claim", 13, "CLM", None, None)]


def test_the_claims_limit_is_a_warning_unless_the_profile_sets_it() -> None:
    segments = files.lines(files.CLAIM)
    again = [s.replace("C1", "C2").replace("HL*2", "HL*3") for s in segments[12:31]]
    data = files.render([*segments[:31], *again, *segments[31:]])
    assert validate(data) == []
    found = validate(data, profile={"max_claims_per_set": 1})
    assert told(found) == [("837.claims-in-set", 39, "CLM", None, None)]
    assert found[0].subject == "C2"


SITUATIONS = [
    ("CLM*C1*150***11:B:1*Y*A*Y*Y", "CLM*C12345678901234567890*150***11:B:1*Y*A*Y*Y", "837.claim-id", "warning"),
    ("REF*6R*C1L1", "REF*6R*C123456789012345678901234567890", "837.claim-id", "warning"),
    ("N3*1 MAIN STREET", "N3*P.O. BOX 12", "837P.billing-street", "error"),
    ("N4*BOSTON*MA*021010001", "N4*BOSTON*MA*02101", "837P.billing-zip", "warning"),
    ("SBR*P*18*******CI", "SBR*P********CI", "837P.self", "error"),
    ("DMG*D8*19600115*M", None, "837P.self-address", "error"),
    ("SBR*P*18*******CI", "SBR*P*18***12****CI", "837P.medicare-secondary", "error"),
    ("CLM*C1*150***11:B:1*Y*A*Y*Y", "CLM*C1*150***11:B:7*Y*A*Y*Y", "837P.original-reference", "error"),
    ("HI*ABK:J029*ABF:Z23", "REF*F8*X1|HI*ABK:J029*ABF:Z23", "837P.original-has-reference", "error"),
    ("CLM*C1*150***11:B:1*Y*A*Y*Y", "CLM*C1*150***11:B:1*Y*A*Y*Y**OA", "837P.accident-date", "error"),
    ("CLM*C1*150***11:B:1*Y*A*Y*Y", "CLM*C1*150***11:B:1*Y*A*Y*Y**AA|DTP*439*D8*20261001", "837P.accident-state", "error"),
    ("CLM*C1*150***11:B:1*Y*A*Y*Y", "CLM*C1*150***21:B:1*Y*A*Y*Y", "837P.admission", "warning"),
    ("NM1*82*1*SMITH*ANN****XX*1245319599", "NM1*82*1*SMITH*ANN****XX*1234567893", "837P.rendering", "warning"),
    ("LX*1", "NM1*77*2*OTHER PLACE*****XX*1234567893|N3*3 OAK STREET|N4*BOSTON*MA*021010001|LX*1", "837P.location", "error"),
    ("LX*1", "NM1*77*2*OTHER PLACE|N3*3 OAK STREET|N4*BOSTON*MA*02101|LX*1", "837P.location-zip", "warning"),
    ("HI*ABK:J029*ABF:Z23", "CR1*LB*140**A*DH*12|HI*ABK:J029*ABF:Z23", "837P.ambulance", "error"),
    (
        "LX*1",
        "NM1*77*2*OTHER PLACE|N3*3 OAK STREET|N4*BOSTON*MA*021010001|NM1*PW*2|N3*5 OAK STREET|N4*BOSTON*MA*021010001|"
        "NM1*45*2|N3*6 OAK STREET|N4*BOSTON*MA*021010001|LX*1",
        "",
        "",
    ),
    ("SV1*HC:99213*100*UN*1***1:2", "SV1*HC:00142*100*UN*1***1:2", "837P.anaesthesia", "warning"),
]  # fmt: skip


CODES = [
    ("837P", "HI*ABK:J029*ABF:Z23", "HI*ABK:J02.9*ABF:Z23", "837.icd", "error", (0, "HI", 1, 2)),
    ("837P", "HI*ABK:J029*ABF:Z23", "HI*ABK:J029*ABF:23", "837.icd", "error", (0, "HI", 2, 2)),
    ("837P", "HI*ABK:J029*ABF:Z23", "HI*ABK:J029*BF:4660", "837.icd", "error", (0, "HI", 2, 1)),
    ("837I", "HI*ABJ:J029", "HI*ABJ:J02.9", "837.icd", "error", (0, "HI", 1, 2)),
    ("837I", "HI*ABF:Z23:::::::Y", "HI*ABF:Z23:::::::Y|HI*BBR:0FT4:D8:20261102", "837.icd", "error", (1, "HI", 1, 2)),
    ("837P", "PRV*PE*PXC*207Q00000X", "PRV*PE*PXC*207Q00000", "taxonomy", "warning", (0, "PRV", 3, None)),
    ("270", "NM1*1P*2*CLINIC*****XX*1234567893", "NM1*1P*2*CLINIC*****XX*1234567893|PRV*PE*PXC*207", "taxonomy", "warning", (1, "PRV", 3, None)),
    ("837P", "REF*EI*123456789", "REF*EI*12-3456789", "837P.tax-id", "warning", (0, "REF", 2, None)),
    ("837I", "REF*EI*123456789", "REF*EI*12-3456789", "837I.tax-id", "warning", (0, "REF", 2, None)),
    ("837D", "REF*EI*123456789", "REF*SY*12345678", "837D.tax-id", "warning", (0, "REF", 2, None)),
    ("837P", "SV1*HC:99213*100*UN*1***1:2", "SV1*HC:9921*100*UN*1***1:2", "837P.procedure", "error", (0, "SV1", 1, 2)),
    ("837I", "SV2*0300*HC:85025*100*UN*1", "SV2*0300*HC:X5025*100*UN*1", "837I.procedure", "error", (0, "SV2", 2, 2)),
    ("837D", "SV3*AD:D2140*100****1*****1", "SV3*AD:2140*100****1*****1", "837D.procedure", "error", (0, "SV3", 1, 2)),
    ("837P", "SV1*HC:99213*100*UN*1***1:2", "SV1*HC:99199*100*UN*1***1:2", "837P.unlisted", "warning", (0, "SV1", 1, 7)),
    ("837P", "SV1*HC:99213*100*UN*1***1:2", "SV1*HC:99199:::::A SERVICE*100*UN*1***1:2", "", "", ()),
    ("837P", "SV1*HC:99213*100*UN*1***1:2", "SV1*HC:61799*100*UN*1***1:2", "", "", ()),
    ("837I", "SV2*0300*HC:85025*100*UN*1", "SV2*0300*HC:J3490*100*UN*1", "837I.unlisted", "warning", (0, "SV2", 2, 7)),
    ("837I", "SV2*0300*HC:85025*100*UN*1", "SV2*300*HC:85025*100*UN*1", "837I.revenue", "error", (0, "SV2", 1, None)),
    ("837P", "REF*6R*C1L1", "REF*6R*C1L1|LIN**N4*1234567890|CTP****1*UN", "837P.drug-code", "error", (1, "LIN", 3, None)),
    ("837I", "REF*6R*C1L1", "REF*6R*C1L1|LIN**N4*1234-5678-90|CTP****1*UN", "837I.drug-code", "error", (1, "LIN", 3, None)),
    ("837P", "REF*6R*C1L1", "REF*6R*C1L1|LIN**N4*12345678901|CTP****1*UN", "", "", ()),
    ("837P", "DTP*472*D8*20261101", "CR1*LB*140**A*DH*12|DTP*472*D8*20261101", "837P.ambulance-line", "error", (0, "CR1", None, None)),
    ("835", "CAS*CO*45*15", "CAS*CO*16*15", "835.remark", "error", (0, "CAS", None, None)),
    ("835", "REF*6R*C1L1", "REF*6R*C1L1|LQ*HE*N4", "", "", ()),
    ("835", "CLP*C1*1*150*120*10*12*PCN1*11*1", "CLP*C1*22*150*120*10*12*PCN1*11*1", "835.reversal-sign", "error", (0, "CLP", 3, None)),
    ("835", "PLB*1234567893*20261231*WO:A1*5", "PLB*1234567893*20261231*WO:A1*5*XX:A2*0", "x12.element-code", "error", (0, "PLB", 5, 1)),
    ("835", "PLB*1234567893*20261231*WO:A1*5", "PLB*1234567893*20261231*WO:A1*5*WO:A2", "x12.element-paired", "error", (0, "PLB", 6, None)),
    ("277CA", "STC*A2:20:PR*20261121*WQ*100.5", "STC*F1:20:PR*20261121*WQ*100.5", "277CA.category-2200d", "error", (0, "STC", 1, 1)),
    ("277CA", "STC*A1:19:PR*20261121*WQ*150.5", "STC*F0:19:PR*20261121*WQ*150.5", "277CA.category-2200b", "error", (0, "STC", 1, 1)),
    ("277CA", "STC*A1:19:PR**WQ*150.5", "STC*P0:19:PR**WQ*150.5", "277CA.category-2200c", "error", (0, "STC", 1, 1)),
    ("277CA", "STC*A1:19:PR*20261121*WQ*150.5", "STC*A1:19:PR*20261121*U*150.5", "277CA.taken-2200b", "error", (0, "STC", 3, None)),
    ("277CA", "STC*A1:19:PR*20261121*WQ*150.5", "STC*A8:19:PR*20261121*WQ*150.5", "277CA.refused-2200b", "error", (0, "STC", 3, None)),
    ("277CA", "STC*A1:19:PR**WQ*150.5", "STC*A1:19:PR**U*150.5", "277CA.taken-2200c", "error", (0, "STC", 3, None)),
    ("277CA", "STC*A1:19:PR**WQ*150.5", "STC*A3:19:PR**WQ*150.5", "277CA.refused-2200c", "error", (0, "STC", 3, None)),
    ("277CA", "STC*A2:20:PR*20261121*WQ*100.5", "STC*A3:20:PR*20261121*WQ*100.5", "277CA.refused-2200d", "error", (0, "STC", 3, None)),
    ("277CA", "STC*A7:562:85*20261121*U*50", "STC*A2:562:85*20261121*U*50", "277CA.taken-2200d", "error", (0, "STC", 3, None)),
    ("277CA", "DTP*472*D8*20261101", "DTP*472*D8*20261101|SVC*HC:99213*100*****1|STC*A7:562*20261121*U|DTP*472*D8*20261101", "", "", ()),
    ("277CA", "DTP*472*D8*20261101", "DTP*472*D8*20261101|SVC*HC:99213*100*****1|STC*A3:562*20261121*WQ|DTP*472*D8*20261101", "x12.element-code", "error", (2, "STC", 3, None)),
    ("277CA", "DTP*472*D8*20261101", "DTP*472*D8*20261101|SVC*HC:99213*100*****1|STC*P1:562*20261121*U|DTP*472*D8*20261101", "277CA.category-2220d", "error", (2, "STC", 1, 1)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "old", "new", "rule", "severity", "where"), CODES, ids=lambda v: v if isinstance(v, str) else ""
)
def test_a_code_or_sign_at_fault(
    kind: str, old: str, new: str, rule: str, severity: str, where: tuple[int, str, int | None, int | None]
) -> None:
    data, number = changed(kind, old, new)
    found = [f for f in validate(data) if not f.rule.endswith("balance") and f.rule != "277CA.totals"]
    if not rule:
        assert found == []
        return
    assert [(f.rule, f.severity, f.segment, f.segment_id, f.element, f.component) for f in found] == [
        (rule, severity, number + where[0], *where[1:])
    ]
    lenient = [f.severity for f in validate(data, mode="lenient") if f.rule == rule]
    assert lenient == ["error" if rule.startswith("x12.") else "warning"]


def test_a_medicare_number_has_its_form() -> None:
    segments = [s.replace("*******CI", "*******MB") for s in files.lines(files.CLAIM)]
    member = segments.index("NM1*IL*1*DOE*JOHN****MI*M100001")
    for number, rules in (
        ("1EG4TE5MK73", []), ("1EG4-TE5-MK73", ["837.medicare-id"]), ("1SG4TE5MK73", ["837.medicare-id"]),
        ("123456789A", ["837.medicare-id"]), ("0EG4TE5MK73", ["837.medicare-id"]),
    ):  # fmt: skip
        segments[member] = f"NM1*IL*1*DOE*JOHN****MI*{number}"
        found = validate(files.render(segments))
        assert [(f.rule, f.severity, f.element) for f in found] == [(rule, "warning", 9) for rule in rules]
        assert not any(number in f.message for f in found)


def test_charges_are_not_negative() -> None:
    segments = files.lines(files.CLAIM)
    line = segments.index("SV1*HC:99213*100*UN*1***1:2")
    segments[line] = "SV1*HC:99213*-100*UN*1***1:2"
    segments[segments.index("CLM*C1*150***11:B:1*Y*A*Y*Y")] = "CLM*C1*-50***11:B:1*Y*A*Y*Y"
    assert [(f.rule, f.segment, f.element) for f in validate(files.render(segments))] == [
        ("837.negative", 20, 2), ("837.negative", line + 1, 2),
    ]  # fmt: skip


def test_reasons_of_a_whole_claim_need_a_remark_too() -> None:
    segments = files.lines(files.REMITTANCE)
    claim = segments.index("NM1*QC*1*DOE*JOHN****MI*M100001")
    segments[claim:claim] = ["CAS*OA*16*0"]
    assert [(f.rule, f.segment, f.loop) for f in validate(files.render(segments))] == [
        ("835.remark", claim + 1, "2100")
    ]
    segments[claim + 2 : claim + 2] = ["MOA***MA01"]
    assert validate(files.render(segments)) == []


def test_envelopes_out_of_step() -> None:
    claim, head = files.lines(files.CLAIM), files.lines(files.CLAIM)[0]
    inside = claim[2:32]
    again = [s.replace("*0001", "*0002") if s[:2] in ("ST", "SE") else s for s in inside]
    for segments, expected in (
        ([*claim, "IEA*1*000000001"], [("x12.iea-unexpected", 35, "IEA", None, None)]),
        ([*claim[:33], "iea*1*000000001", claim[33]],
         [("x12.segment-case", 34, "", None, None), ("x12.iea-unexpected", 35, "IEA", None, None)]),
        ([*claim[:33], "GE*1*1", claim[33]], [("x12.ge-unexpected", 34, "GE", None, None)]),
        ([*claim[:32], "SE*30*0001", *claim[32:]], [("x12.se-unexpected", 33, "SE", None, None)]),
        ([head, *inside, *claim[32:]], [("x12.gs-missing", 2, "ST", None, None)]),
        ([*claim[:33], claim[1], *again, "GE*1*1", "IEA*2*000000001"], [("x12.gs-duplicate", 34, "GS", 6, None)]),
        ([*claim[:2], *claim[3:]], [("x12.st-missing", 3, "BHT", None, None)]),
        ([*claim[:32], "REF*EI*1", "NTE*ADD*X", *claim[32:]], [("x12.st-missing", 33, "REF", None, None)]),
        ([head, claim[1], "GE*0*1", claim[33]], [("x12.set-empty", 3, "GE", None, None)]),
        ([head, claim[1].replace("X222A1", "X999"), "ST*837*1", "SE*2*1", *claim[32:]],
         [("x12.gs-version", 2, "GS", 8, None), ("x12.st-element", 3, "ST", 2, None)]),
    ):  # fmt: skip
        found = told(validate(files.render(segments, recount=False)))
        assert [f for f in found if f[0] != "x12.iea-count" or f in expected] == expected


def test_a_line_end_before_each_terminator_is_read_over_by_name() -> None:
    data = files.render(files.lines(files.CLAIM)).replace(b"~", b"\r\n~")
    assert [(f.rule, f.severity, f.segment) for f in validate(data)] == [("x12.line-before-terminator", "error", 1)]
    assert [f.severity for f in validate(data, mode="lenient")] == ["warning"]


def test_raw_bytes_cut_nothing() -> None:
    """BIN says how many bytes follow: terminators among them are data, and the numbers of what follows stay."""
    head = files.lines(files.CLAIM)[:2]
    body = [
        head[0],
        head[1].replace("005010X222A1", "006020X314"),
        "ST*275*0001*006020X314",
        "BIN*9*A~B*C~SE*",
        "SE*3*0001",
    ]
    data = ("~".join([*body, "GE*1*2", "IEA*1*000000001"]) + "~").encode()
    assert [(f.rule, f.segment, f.offset) for f in validate(data, limit=5) if f.severity == "error"] == [
        ("x12.gs-version", 2, data.index(b"GS*")), ("x12.ge-control", 6, data.index(b"GE*")),
    ]  # fmt: skip
    assert [s.elements[-1] for s in iter_segments(data) if s.id == "BIN"] == ["A~B*C~SE*"]


def test_delimiters_must_differ() -> None:
    data = files.render(files.lines(files.CLAIM)).decode().replace("*^*00501", "*:*00501", 1)
    assert [f.rule for f in validate(data.encode())] == ["x12.delimiters"]
    assert [f.snip for f in validate(data.encode())] == [1]


def test_repetitions_and_doubles() -> None:
    data, number = changed("270", "DTP*291*D8*20261120", "DTP*291*D8*20261120^20261121")
    assert told(validate(data)) == [("x12.element-repeat", number, "DTP", 3, None)]
    segments = files.lines(files.CLAIM)
    again = [s.replace("HL*2", "HL*3") for s in segments[12:31]]
    found = validate(files.render([*segments[:31], *again, *segments[31:]]))
    assert [(f.rule, f.severity, f.segment, f.element) for f in found] == [("837.duplicate-claim", "warning", 39, 1)]
    other = files.secondary()
    first, line = other.index("SBR*S*18*******CI"), other.index("LX*1")
    third = [s.replace("SBR*S", "SBR*T") for s in other[first:line] if not s.startswith(("CAS", "AMT"))]
    found = validate(files.render([*other[:line], *third, *other[line:]]))
    assert [(f.rule, f.segment, f.element) for f in found] == [("837.payer-repeated", line + 4, 9)]


def test_every_rule_of_the_format_has_a_failing_fixture() -> None:
    text = "".join(path.read_text("utf-8") for path in Path(__file__).parent.glob("test_x12_*.py"))
    assert [rule for rule in RULES if f'"{rule}"' not in text] == []


@pytest.mark.parametrize(("old", "new", "rule", "severity"), SITUATIONS, ids=lambda v: v if isinstance(v, str) else "")
def test_a_situation_at_fault(old: str, new: str | None, rule: str, severity: str) -> None:
    data, _ = changed("837P", old, new)
    found = [f for f in validate(data) if not f.rule.startswith("x12.")]
    assert [(f.rule, f.severity) for f in found] == ([(rule, severity)] if rule else [])


def test_an_ambulance_has_no_service_location() -> None:
    """With pick-up and drop-off an ambulance claim is good; a service location beside them is not."""
    segments = files.lines(files.CLAIM)
    segments.insert(segments.index("HI*ABK:J029*ABF:Z23"), "CR1*LB*140**A*DH*12")
    line = segments.index("LX*1")
    where = ["N3*3 OAK STREET", "N4*BOSTON*MA*021010001"]
    ways = ["NM1*PW*2", *where, "NM1*45*2", *where]
    assert validate(files.render([*segments[:line], *ways, *segments[line:]])) == []
    found = validate(files.render([*segments[:line], "NM1*77*2*OTHER PLACE", *where, *ways, *segments[line:]]))
    assert [f.rule for f in found] == ["837P.ambulance-location"]


OTHER_SITUATIONS = [
    ("837I", "CLM*C1*150***11:A:1**A*Y*Y", "CLM*C1*150***13:A:1**A*Y*Y", ""),
    ("837I", "N3*1 MAIN STREET", "N3*PO BOX 12", "837I.billing-street"),
    ("837I", "N4*BOSTON*MA*021010001", "N4*BOSTON*MA*02101", "837I.billing-zip"),
    ("837I", "SBR*P*18*******CI", "SBR*P********CI", "837I.self"),
    ("837I", "DMG*D8*19600115*M", None, "837I.self-address"),
    ("837I", "CLM*C1*150***11:A:1**A*Y*Y", "CLM*C1*150***11:A:7**A*Y*Y", "837I.original-reference"),
    ("837I", "CL1*1*7*01", "CL1*1*7*01|REF*F8*X1", "837I.original-has-reference"),
    ("837I", "CL1*1*7*01", "CL1*1*7*30", "837I.still-patient"),
    ("837I", "DTP*435*DT*202611010830", None, "837I.admission"),
    ("837I", "HI*ABJ:J029", None, "837I.admitting-diagnosis"),
    ("837I", "LX*1", "NM1*77*2*OTHER PLACE*****XX*1234567893|N3*3 OAK STREET|N4*BOSTON*MA*021010001|LX*1", "837I.location"),
    ("837I", "LX*1", "NM1*77*2*OTHER PLACE|N3*3 OAK STREET|N4*BOSTON*MA*02101|LX*1", "837I.location-zip"),
    ("837D", "N3*1 MAIN STREET", "N3*Post Office Box 12", "837D.billing-street"),
    ("837D", "N4*BOSTON*MA*021010001", "N4*BOSTON*MA*02101", "837D.billing-zip"),
    ("837D", "SBR*P*18*******CI", "SBR*P********CI", "837D.self"),
    ("837D", "DMG*D8*19600115*M", None, "837D.self-address"),
    ("837D", "CLM*C1*150***11:B:1*Y*A*Y*Y", "CLM*C1*150***11:B:8*Y*A*Y*Y", "837D.original-reference"),
    ("837D", "DN2*8*E****JP", "DN2*8*E****JP|REF*F8*X1", "837D.original-has-reference"),
    ("837D", "CLM*C1*150***11:B:1*Y*A*Y*Y", "CLM*C1*150***11:B:1*Y*A*Y*Y**OA", "837D.accident-date"),
    ("837D", "CLM*C1*150***11:B:1*Y*A*Y*Y", "CLM*C1*150***11:B:1*Y*A*Y*Y**AA|DTP*439*D8*20261001", "837D.accident-state"),
    ("837D", "NM1*82*1*SMITH*ANN****XX*1245319599", "NM1*82*1*SMITH*ANN****XX*1234567893", "837D.rendering"),
    ("837D", "LX*1", "NM1*77*2*OTHER PLACE*****XX*1234567893|N3*3 OAK STREET|N4*BOSTON*MA*021010001|LX*1", "837D.location"),
    ("837D", "LX*1", "NM1*77*2*OTHER PLACE|N3*3 OAK STREET|N4*BOSTON*MA*02101|LX*1", "837D.location-zip"),
    ("271", "LS*2120", None, "271.related-party"),
    ("271", "LE*2120", None, "271.related-party"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "old", "new", "rule"), OTHER_SITUATIONS, ids=lambda v: v if isinstance(v, str) else ""
)
def test_a_situation_of_another_guide_at_fault(kind: str, old: str, new: str | None, rule: str) -> None:
    data, _ = changed(kind, old, new)
    assert [f.rule for f in validate(data)] == ([rule] if rule else [])


def test_a_self_and_a_patient_level_contradict_each_other() -> None:
    for kind in ("837P", "837I", "837D"):
        segments = files.lines(files.FILES[kind])
        claim = next(i for i, s in enumerate(segments) if s.startswith("CLM"))
        patient = [
            "HL*3*2*23*0",
            "PAT*19",
            "NM1*QC*1*DOE*JANE",
            "N3*2 ELM STREET",
            "N4*BOSTON*MA*021010001",
            "DMG*D8*20150115*F",
        ]
        with_patient = [*segments[:claim], *patient, *segments[claim:]]
        good = [s.replace("HL*2*1*22*0", "HL*2*1*22*1").replace("SBR*P*18*", "SBR*P**") for s in with_patient]
        assert validate(files.render(good)) == []
        bad = [s.replace("HL*2*1*22*0", "HL*2*1*22*1") for s in with_patient]
        assert [f.rule for f in validate(files.render(bad))] == [f"{kind}.not-self"]


def test_every_rule_of_the_guides_has_a_failing_fixture() -> None:
    """A rule that no test breaks might as well not be there."""
    from pipeline.x12 import guides

    here = Path(__file__)
    text = "".join(path.read_text("utf-8") for path in (here, here.with_name("test_x12_situations_of_guides.py")))
    for kind in guides.names():
        for rule in guides.guide(kind).rules:
            assert f'"{rule.id}"' in text or rule.id in ELSEWHERE, rule.id


#: rules whose fixtures stand in the loops above, under a name that is put together
ELSEWHERE = {
    "277CA.refused-2220d",  # the guide allows only U there, so it is told as a value that is not allowed
    "837P.not-self",
    "837I.not-self",
    "837D.not-self",
    "837P.medicare-dependent",
    "271.related-party-dependent",
}


def test_medicare_and_dependents() -> None:
    segments = [
        s.replace("*******CI", "*******MB").replace("HL*2*1*22*0", "HL*2*1*22*1").replace("SBR*P*18*", "SBR*P**")
        for s in files.lines(files.CLAIM)
    ]
    claim = next(i for i, s in enumerate(segments) if s.startswith("CLM"))
    patient = [
        "HL*3*2*23*0",
        "PAT*19",
        "NM1*QC*1*DOE*JANE",
        "N3*2 ELM STREET",
        "N4*BOSTON*MA*021010001",
        "DMG*D8*20150115*F",
    ]
    segments = [s.replace("*MI*M100001", "*MI*1EG4TE5MK73") for s in segments]
    found = validate(files.render([*segments[:claim], *patient, *segments[claim:]]))
    assert [f.rule for f in found] == ["837P.medicare-dependent"]
    institutional = [s.replace("*******CI", "*******MA").replace("HL*2*1*22*0", "HL*2*1*22*1").replace("SBR*P*18*", "SBR*P**")
                     .replace("*MI*M100001", "*MI*1EG4TE5MK73") for s in files.lines(files.INSTITUTIONAL)]  # fmt: skip
    claim = next(i for i, s in enumerate(institutional) if s.startswith("CLM"))
    found = validate(files.render([*institutional[:claim], *patient, *institutional[claim:]]))
    assert [f.rule for f in found] == ["837I.medicare-dependent"]
    answer = [s.replace("HL*3*2*22*0", "HL*3*2*22*1") for s in files.lines(files.ELIGIBILITY)]
    start = next(i for i, s in enumerate(answer) if s.startswith("EB"))
    dependent = [*answer[:start], "HL*4*3*23*0", "NM1*03*1*DOE*JANE", *[s for s in answer[start:] if s != "LE*2120"]]
    assert [f.rule for f in validate(files.render(dependent))] == ["271.related-party-dependent"]
    assert validate(files.render([*answer[:start], "HL*4*3*23*0", "NM1*03*1*DOE*JANE", *answer[start:]])) == []


def test_line_numbers_that_repeat_the_claims() -> None:
    segments = files.lines(files.CLAIM)
    claim = segments.index("HI*ABK:J029*ABF:Z23")
    segments[claim:claim] = ["REF*9F*REFER1", "REF*G1*AUTH1"]
    line = segments.index("REF*6R*C1L1")
    for added, expected in (
        ("REF*G1*AUTH1", ["837P.line-authorization"]), ("REF*G1*AUTH2", []), ("REF*9F*REFER1", ["837P.line-referral"]),
        ("REF*9F*AUTH1", []),
    ):  # fmt: skip
        data = files.render([*segments[:line], added, *segments[line:]])
        assert [f.rule for f in validate(data)] == expected


def test_medicare_has_no_patient_level_and_no_other_frequency() -> None:
    segments = [
        s.replace("*******CI", "*******MB").replace("*MI*M100001", "*MI*1EG4TE5MK73") for s in files.lines(files.CLAIM)
    ]
    assert validate(files.render(segments)) == []
    segments = [s.replace("11:B:1", "11:B:7") for s in segments]
    rules = {f.rule for f in validate(files.render(segments))}
    assert rules == {"837P.medicare-frequency", "837P.original-reference"}


REMITTANCE_SITUATIONS = [
    ("CLM*C1*150***11:B:1*Y*A*Y*Y", "CLM*C12345678901234567890*150***11:B:1*Y*A*Y*Y", "837.claim-id", "warning"),
    ("REF*6R*C1L1", "REF*6R*C123456789012345678901234567890", "837.claim-id", "warning"),
    ("BPR*I*115*C*ACH", "BPR*H*115*C*ACH", "835.no-payment"),
    (
        "NM1*QC*1*DOE*JOHN****MI*M100001",
        "NM1*QC*1*DOE*JOHN****MI*M100001~NM1*TT*2*NEXT*****PI*P9",
        "835.reversal-crossover",
    ),
]


def test_situations_of_the_835() -> None:
    text = files.render(files.lines(files.REMITTANCE)).decode()
    found = told(validate(text.replace("BPR*I*115*C*ACH", "BPR*H*115*C*ACH").encode()))
    assert found == [("835.no-payment", 4, "BPR", 1, None)]
    negative = text.replace("BPR*I*115*", "BPR*I*-15*").replace("WO:A1*5", "WO:A1*135")
    assert told(validate(negative.encode())) == [("835.negative", 4, "BPR", 2, None)]
    crossover = text.replace("*M100001~", "*M100001~NM1*TT*2*NEXT*****PI*P9~").replace("SE*24", "SE*25")
    assert validate(crossover.encode()) == []
    # a reversal: the amounts of the first claim negated, and nobody is told that it goes on
    negated = (
        crossover.replace("CLP*C1*1*150*120*10*", "CLP*C1*22*-150*-120*-10*").replace("SVC*HC:99213*100*75", "SVC*HC:99213*-100*-75")
        .replace("SVC*HC:87880*50*45", "SVC*HC:87880*-50*-45").replace("CAS*CO*45*15", "CAS*CO*45*-15")
        .replace("CAS*PR*2*10", "CAS*PR*2*-10").replace("CAS*CO*45*5", "CAS*CO*45*-5").replace("BPR*I*115", "BPR*I*0")
        .replace("WO:A1*5", "FB:A1*-120")
    )  # fmt: skip
    assert [f[0] for f in told(validate(negated.encode()))] == ["835.reversal-crossover"]
    without = negated.replace("NM1*TT*2*NEXT*****PI*P9~", "").replace("SE*25", "SE*24")
    assert validate(without.encode()) == []


def test_findings_say_where_by_byte_offset() -> None:
    data, number = changed("837P", "SV1*HC:99213*100*UN*1***1:2", "SV1*HC:99213*1X0*UN*1***1:2")
    for prefix, text in ((b"", data), (b"\xef\xbb\xbf", data), (b"", data.replace(b"~", b"~\r\n"))):
        found = [f for f in validate(prefix + text, file="a.837") if f.rule == "x12.element-type"]
        place = next(s for s in iter_segments(prefix + text) if s.number == number)
        assert [(f.segment, f.offset, f.loop, f.file, f.subject) for f in found] == [
            (number, place.offset, "2400", "a.837", "C1")
        ]
        assert (prefix + text)[place.offset :].startswith(b"SV1*HC:99213*1X0")


def test_no_finding_shows_a_value_of_the_patient() -> None:
    canaries = ["QQCANARYQQ", "ZEBRACODE", "M99887766Z"]
    segments = files.lines(files.CLAIM)
    for index, segment in enumerate(segments):
        segments[index] = (
            segment.replace(
                "NM1*IL*1*DOE*JOHN****MI*M100001", f"NM1*IL*7*{canaries[0]}*{canaries[0]}:X***9*Q*{canaries[2]}"
            )
            .replace("N3*2 ELM STREET", f"N3*{canaries[1] * 9}")
            .replace("DMG*D8*19600115*M", f"DMG*D8*{canaries[1]}*{canaries[2]}")
        )
    found = validate(files.render(segments))
    assert len(found) >= 6
    for finding in found:
        for canary in canaries:
            assert canary not in finding.message + finding.fix + finding.subject


def test_at_most_limit_findings_and_the_last_says_how_many_more() -> None:
    segments = [s.replace("UN", "XX") for s in files.lines(files.CLAIM)] * 20
    everything = validate(files.render(segments), limit=10_000)
    found = validate(files.render(segments), limit=7)
    assert len(everything) > 20
    assert len(found) == 7
    assert found[-1].rule == "x12.limit"
    assert f"{len(everything) - 6} further" in found[-1].message
    assert found[:6] == [f for f in everything if f.severity == "error"][:6]


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 1000])
def test_the_verdict_does_not_depend_on_the_limit(limit: int) -> None:
    """SE01 and HL01 are tolerated in what we receive and found first or last; CLM02 stands between them."""
    data = files.render(files.lines(files.CLAIM)).replace(b"^*00501", b"U*00501").replace(b"SE*", b"SE*9")
    for changed in (data, re.sub(rb"CLM\*([^*]*)\*[0-9.]+", rb"CLM*\1*1", data)):
        everything = validate(changed, mode="lenient")
        assert {"warning"} <= {f.severity for f in everything}
        found = validate(changed, mode="lenient", limit=limit)
        assert len(found) == min(limit, len(everything))
        assert has_errors(found) == has_errors(everything) == (changed is not data)
        if limit > 1:  # an error is listed before any warning is
            assert found[0] == next((f for f in everything if f.severity == "error"), everything[0]) or limit >= len(
                everything
            )


def test_profiles_change_a_guide() -> None:
    data = files.render(files.lines(files.CLAIM))
    profile = {
        "charset": "basic", "usage": "P",
        "elements": [{"loop": "2300", "segment": "CLM", "element": 1, "max": 1},
                     {"loop": "2400", "segment": "SV1", "element": 5, "usage": "R"}],
        "segments": [{"loop": "2310B", "segment": "PRV", "usage": "R"}, {"loop": "2000B", "segment": "PAT", "usage": "R"}],
        "rules": [{"id": "acme.filing", "loop": "2000B", "when": "SBR.01 = 'P'", "check": "SBR.09 = 'BL'",
                   "message": "Acme wants BL.", "fix": "Send BL."}],
    }  # fmt: skip
    found = validate(data.replace(b"SMITH*ANN", b"Smith*ANN"), profile=profile)
    assert sorted((f.rule, f.segment) for f in found) == [
        ("acme.filing", 14), ("x12.element-character", 22), ("x12.element-long", 20), ("x12.element-missing", 25),
        ("x12.element-missing", 29), ("x12.isa-usage", 1), ("x12.segment-missing", 15),
    ]  # fmt: skip
    assert validate(data) == []


def test_lenient_turns_tolerated_faults_into_warnings_and_no_others() -> None:
    text = files.render(files.lines(files.CLAIM)).decode()
    for old, new, lenient in (
        ("SE*30", "SE*31", "warning"),
        ("IEA*1*000000001", "IEA*1*000000002", "warning"),
        ("PER*IC*BILLING*TE*5551234567", "PER*IC*BILLING*TE*5551234567**", "warning"),
        ("LX*2", "lx*2", "warning"),
        ("CLINIC*****46", "CLINIC *****46", "warning"),
        ("CLM*C1*150*", "CLM*C1*15X*", "error"),
        ("REF*EI*123456789~", "", "error"),
        ("1234567893", "1234567890", "warning"),
    ):
        data = text.replace(old, new, 1).encode()
        assert "error" in {f.severity for f in validate(data)}
        found = [f for f in validate(data, mode="lenient") if f.rule != "x12.se-count" or "SE*31" in new]
        assert {f.severity for f in found} == {lenient}, old
