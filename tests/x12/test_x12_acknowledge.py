"""TA1 and 999 from findings: what each fault is answered, segment by segment, and that answers are valid themselves."""

from __future__ import annotations

import importlib.util
import io
from datetime import date
from pathlib import Path

import pytest
import pyx12.params
import pyx12.x12n_document

from pipeline.x12.acknowledge import Acknowledgments, acknowledge, functional_999, ta1
from pipeline.x12.segments import iter_segments
from pipeline.x12.validator import validate
from pipeline.x12.writer import Envelope

_spec = importlib.util.spec_from_file_location("x12_files", Path(__file__).with_name("x12_files.py"))
assert _spec is not None
assert _spec.loader is not None
files = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(files)

ON = date(2026, 11, 21)


def answer(segments: list[str], *, recount: bool = True) -> Acknowledgments:
    made = acknowledge(files.render(segments, recount=recount), on=ON, control=41, time="0315")
    for one in (made.ta1, made.functional_999):
        if one is not None:
            assert validate(one) == []
    return made


def body(made: Acknowledgments) -> list[str]:
    """The segments of the 999 from AK1 to AK9."""
    assert made.functional_999 is not None
    listed = ["*".join(s.elements) for s in iter_segments(made.functional_999)]
    return [s for s in listed if s[:2] in ("AK", "IK", "CT")]


def replaced(old: str, new: str | None) -> list[str]:
    segments = files.lines(files.CLAIM)
    at = segments.index(old)
    segments[at : at + 1] = [] if new is None else [new]
    return segments


def test_a_good_file_is_accepted_and_addressed_back() -> None:
    made = answer(files.lines(files.CLAIM))
    assert made.functional_999 is not None
    assert made.functional_999.decode().split("~")[:3] == [
        "ISA*00*          *00*          *ZZ*PAYER          *ZZ*CLINIC         *261121*0315*^*00501*000000042*0*T*:",
        "GS*FA*PAYER*CLINIC*20261121*0315*1*X*005010X231A1",
        "ST*999*0001*005010X231A1",
    ]
    assert body(made) == ["AK1*HC*1*005010X222A1", "AK2*837*0001*005010X222A1", "IK5*A", "AK9*A*1*1*1"]
    assert made.ta1 is not None  # ISA14 asks for it
    assert made.ta1.decode().split("~")[1:3] == ["TA1*000000001*261120*0200*A*000", "IEA*0*000000041"]
    assert made.next_control == 43


def test_no_ta1_where_none_is_asked_and_nothing_is_wrong() -> None:
    quiet = [s.replace("*1*T*:", "*0*T*:") for s in files.lines(files.CLAIM)]
    made = answer(quiet)
    assert made.ta1 is None
    assert made.next_control == 42
    always = acknowledge(files.render(quiet), on=ON, control=41, answer_ta1="always")
    assert always.ta1 is not None


def test_the_same_file_gives_the_same_bytes() -> None:
    data = files.render(replaced("REF*EI*123456789", None))
    assert acknowledge(data, on=ON, control=3).functional_999 == acknowledge(data, on=ON, control=3).functional_999


FAULTS = [
    # an element: IK3 8, IK4 with its code and the number of the data element
    ("SV1*HC:99213*100*UN*1***1:2", "SV1*HC:99213*1X0*UN*1***1:2", ["IK3*SV1*23**8", "CTX*CLM01:C1", "IK4*2*782*6", "IK5*R*5"]),
    ("NM1*40*2*PAYER*****46*P1", "NM1*40**PAYER*****46*P1", ["IK3*NM1*5**8", "IK4*2*1065*1", "IK5*R*5"]),
    ("CLM*C1*150***11:B:1*Y*A*Y*Y", "CLM*C1*150***11:C:1*Y*A*Y*Y", ["IK3*CLM*18**8", "CTX*CLM01:C1", "IK4*5:2*1332*7", "IK5*R*5"]),
    ("DMG*D8*19600115*M", "DMG*D8*19600231*M", ["IK3*DMG*16**8", "IK4*2*1251*8", "IK5*R*5"]),
    ("N3*1 MAIN STREET", "N3*" + "1 MAIN STREET " * 4 + "X", ["IK3*N3*8**8", "IK4*1*166*5", "IK5*R*5"]),
    ("LX*1", "LX*1*2", ["IK3*LX*22**8", "CTX*CLM01:C1", "IK4*2**3", "IK5*R*5"]),
    # a segment: missing 3, repeated 5, unknown 1, out of order 7, unexpected 2
    ("REF*EI*123456789", None, ["IK3*REF*10**3", "IK5*R*5"]),
    ("PRV*PE*PXC*207Q00000X", "PRV*PE*PXC*207Q00000X~PRV*PE*PXC*207Q00000X", ["IK3*PRV*22**5", "CTX*CLM01:C1", "IK5*R*5"]),
    ("LX*1", "LX*1~SVC*HC:1*1", ["IK3*SVC*23**1", "CTX*CLM01:C1", "IK5*R*5"]),
    ("LX*1", "LX*1~DMG*D8*19600115*M", ["IK3*DMG*23**2", "CTX*CLM01:C1", "IK5*R*5"]),
    # a situation: I6 with the place that calls for the segment
    ("CLM*C1*150***11:B:1*Y*A*Y*Y", "CLM*C1*150***11:B:7*Y*A*Y*Y",
     ["IK3*REF*18**I6", "CTX*SITUATIONAL TRIGGER*REF*18", "CTX*CLM01:C1", "IK5*R*I5"]),
    ("SBR*P*18*******CI", "SBR*P********CI", ["IK3*SBR*12**8", "CTX*SITUATIONAL TRIGGER*SBR*12**2", "IK5*R*I5"]),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "expected"), FAULTS, ids=lambda v: v if isinstance(v, str) else "")
def test_a_fault_is_answered(old: str, new: str | None, expected: list[str]) -> None:
    made = answer("~".join(replaced(old, new)).split("~"))
    assert body(made) == ["AK1*HC*1*005010X222A1", "AK2*837*0001*005010X222A1", *expected, "AK9*R*1*1*0"]


def test_balances_are_left_to_the_277ca() -> None:
    made = answer(replaced("CLM*C1*150***11:B:1*Y*A*Y*Y", "CLM*C1*151***11:B:1*Y*A*Y*Y"))
    assert [f.rule for f in made.findings] == ["837.charges"]
    assert body(made)[2:] == ["IK5*A", "AK9*A*1*1*1"]


def test_warnings_accept_with_errors() -> None:
    segments = replaced("NM1*82*1*SMITH*ANN****XX*1245319599", "NM1*82*1*SMITH*ANN****XX*1234567893")
    assert body(answer(segments))[2:] == [
        "IK3*NM1*20**8", "CTX*SITUATIONAL TRIGGER*NM1*20**9", "CTX*CLM01:C1", "IK5*E*I5", "AK9*E*1*1*1",
    ]  # fmt: skip


def test_counts_and_codes_of_the_set() -> None:
    for old, new, code in (
        ("SE*30*0001", "SE*31*0001", "4"),
        ("SE*30*0001", "SE*30*0002", "3"),
        ("SE*30*0001", None, "2"),
    ):
        made = answer(replaced(old, new), recount=False)
        assert f"IK5*R*{code}" in body(made)
        assert body(made)[-1] == "AK9*R*1*1*0"


def test_counts_and_codes_of_the_group() -> None:
    made = answer(replaced("GE*1*1", "GE*2*1"))
    assert body(made)[2:] == ["IK5*A", "AK9*R*2*1*0*5"]
    made = answer(replaced("GE*1*1", "GE*1*9"))
    assert body(made)[2:] == ["IK5*A", "AK9*R*1*1*0*4"]
    made = answer(replaced("GE*1*1", None))
    assert made.functional_999 is None  # the structure of the interchange is broken: TA1 R
    assert made.ta1 is not None


def test_one_bad_set_among_good_ones_is_a_partial_acceptance() -> None:
    segments = files.lines(files.CLAIM)
    first = segments[2:32]
    second = [s.replace("0001", "0002") if s[:2] in ("ST", "SE") else s for s in first]
    bad = [
        s.replace("0001", "0003") if s[:2] in ("ST", "SE") else s.replace("HI*ABK:J029", "HI*XYZ:J029") for s in first
    ]
    made = answer([*segments[:2], *first, *second, *bad, "GE*3*1", segments[-1]])
    assert body(made) == [
        "AK1*HC*1*005010X222A1", "AK2*837*0001*005010X222A1", "IK5*A", "AK2*837*0002*005010X222A1", "IK5*A",
        "AK2*837*0003*005010X222A1", "IK3*HI*19**8", "CTX*CLM01:C1", "IK4*1:1*1270*7", "IK5*R*5", "AK9*P*3*3*2",
    ]  # fmt: skip


def test_each_group_and_interchange_is_answered_by_itself() -> None:
    segments = files.lines(files.CLAIM)
    second = [
        s.replace("GS*HC*CLINIC*PAYER*20261120*0200*1", "GS*HC*BRANCH*PAYER*20261120*0200*2") for s in segments[1:33]
    ]
    second = [s.replace("*0001", "*0002") if s[:2] in ("ST", "SE") else s.replace("GE*1*1", "GE*1*2") for s in second]
    two_groups = [*segments[:33], *second, "IEA*2*000000001"]
    made = answer(two_groups + [s.replace("000000001", "000000002") for s in segments])
    assert made.functional_999 is not None
    listed = ["*".join(s.elements) for s in iter_segments(made.functional_999)]
    assert [s for s in listed if s[:2] in ("GS", "GE") or s.startswith("IEA")] == [
        "GS*FA*PAYER*CLINIC*20261121*0315*1*X*005010X231A1", "GE*1*1",
        "GS*FA*PAYER*BRANCH*20261121*0315*2*X*005010X231A1", "GE*1*2", "IEA*2*000000042",
        "GS*FA*PAYER*CLINIC*20261121*0315*1*X*005010X231A1", "GE*1*1", "IEA*1*000000044",
    ]  # fmt: skip
    assert made.ta1 is not None
    assert made.ta1.count(b"TA1*") == 2
    assert made.next_control == 45


TA1 = [
    ("IEA*1*000000001", "IEA*1*000000002", "R*001"),
    ("IEA*1*000000001", "IEA*3*000000001", "R*021"),
    ("IEA*1*000000001", None, "R*023"),
    ("GE*1*1", None, "R*022"),
]


@pytest.mark.parametrize(("old", "new", "expected"), TA1)
def test_a_rejected_interchange_gets_a_ta1_and_no_999(old: str, new: str | None, expected: str) -> None:
    made = answer(replaced(old, new))
    assert made.functional_999 is None
    assert made.ta1 is not None
    assert f"TA1*000000001*261120*0200*{expected}~".encode() in made.ta1


def test_isa_faults_have_their_notes() -> None:
    text = files.render(files.lines(files.CLAIM)).decode()
    for old, new, note in (("*T*:", "*X*:", "020"), ("*261120*0200*^", "*269920*0200*^", "014"), ("*261120*0200*^", "*261120*9900*^", "015"),
                           ("*00501*", "*00999*", "017")):  # fmt: skip
        made = acknowledge(text.replace(old, new, 1).encode(), on=ON)
        assert made.ta1 is not None
        assert f"*R*{note}~" in made.ta1.decode()
        assert validate(made.ta1) == []


def test_a_duplicate_is_the_callers_knowledge() -> None:
    made = acknowledge(files.render(files.lines(files.CLAIM)), on=ON, note="025")
    assert made.functional_999 is None
    assert made.ta1 is not None
    assert b"*R*025~" in made.ta1


def test_lenient_tolerates_and_says_so() -> None:
    data = files.render(replaced("SE*30*0001", "SE*31*0001"), recount=False)
    made = acknowledge(data, on=ON, mode="lenient")
    assert body(made)[2:] == ["IK5*E*4", "AK9*E*1*1*1"]
    made = acknowledge(files.render(replaced("IEA*1*000000001", "IEA*1*000000002")), on=ON, mode="lenient")
    assert made.ta1 is not None
    assert b"*E*001~" in made.ta1  # accepted with errors: it must not be sent again
    assert made.functional_999 is not None


def test_acknowledgments_are_not_acknowledged() -> None:
    for text in (files.ACKNOWLEDGMENT, "ISA*00*          *00*          *ZZ*A              *ZZ*B              *261120*0200*^*00501*000000001*1*T*:"
                 "\nTA1*000000001*261120*0200*A*000\nIEA*0*000000001"):  # fmt: skip
        made = answer(files.lines(text))
        assert (made.ta1, made.functional_999) == (None, None)
    assert acknowledge(b"not x12", on=ON).ta1 is None


def test_in_an_envelope_of_the_callers() -> None:
    made = answer(replaced("REF*EI*123456789", None))
    envelope = Envelope(
        sender_qualifier="30", sender_id="HUB", receiver_qualifier="30", receiver_id="CLINIC", group_sender="HUB",
        group_receiver="CLINIC", on=ON, time="0400", interchange_control=77, group_control=8, functional_id="FA",
        version="005010X231A1", usage="T",
    )  # fmt: skip
    for data in (ta1(made.answers[0], envelope), functional_999(made.answers[0], made.findings, envelope)):
        assert validate(data) == []
        assert data.startswith(b"ISA*00*          *00*          *30*HUB ")


def pyx12_accepts(data: bytes, folder: Path) -> bool:
    path = folder / "file.x12"
    path.write_bytes(data)
    return bool(pyx12.x12n_document.x12n_document(pyx12.params.params(), str(path), io.StringIO(), None))


def test_an_independent_validator_agrees(tmp_path: Path) -> None:
    """pyx12 accepts our good files and our answers (it has no map for TA1 alone)."""
    for kind in ("837P", "837I", "835", "999", "277CA"):
        text = files.FILES[kind]
        assert pyx12_accepts(files.render(files.lines(text)), tmp_path), kind
    for old, new, _ in FAULTS[:8]:
        made = answer("~".join(replaced(old, new)).split("~"))
        assert made.functional_999 is not None
        assert pyx12_accepts(made.functional_999.replace(b"005010X231A1", b"005010X231"), tmp_path)
