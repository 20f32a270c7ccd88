"""The bulk reader, the plain one and the validator cut the same bytes alike: one number and one offset for each segment."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transactions.x12_text import interchange, professional, remittance

from pipeline.transactions import read
from pipeline.x12.segments import iter_segments
from pipeline.x12.validator import walk

#: table → ids of the segments that its rows come from
ROWS = {
    "835.payments": {"BPR", "ST"}, "835.claims": {"CLP"}, "835.service_lines": {"SVC"}, "835.adjustments": {"CAS"},
    "835.provider_adjustments": {"PLB"}, "837.claims": {"CLM"}, "837.service_lines": {"LX", "SV1", "SV2", "SV3"},
    "837.diagnoses": {"HI"}, "999.sets": {"AK2", "AK9"}, "277CA.statuses": {"STC"},
}  # fmt: skip
ACKNOWLEDGMENT = interchange(
    "AK1*HC*1*005010X222A1~AK2*837*0001~IK5*R*5~AK9*R*1*1*0~", kind="999", version="005010X231A1", functional="FA",
    before_group=["TA1*000000042*260104*1200*A*000"],
)  # fmt: skip
SEEDS = [
    remittance(),
    professional(),
    ACKNOWLEDGMENT,
    professional(delimiters="|!>\n"),
    remittance().replace(b"~", b"~\r\n"),
]
INSETS = [
    b"~",
    b"~~",
    b"*",
    b"\n",
    b"\r\n",
    b"\n~",
    b"ISA*",
    b"IEA*1*1~",
    b"SE*1*1~",
    b"\x1a",
    b"\x00",
    b"BIN*7*a~b*c~d~",
    b"ST*835*1~",
    b" ",
]


def agree(data: bytes) -> int:
    plain = list(iter_segments(data))
    walked: list[str] = []
    report = walk(
        data, lambda number, text, marks, place, loops: walked.append(text.split(marks.element)[0].strip().upper())
    )
    ids = [segment.id.strip().upper() for segment in plain]
    # what no terminator ends at the end of the file is judged, and has no number of its own elsewhere
    assert walked[: len(ids)] == ids
    assert len(walked) <= len(ids) + 1
    offsets = {segment.number: segment.offset for segment in plain}
    for finding in report.findings:
        if finding.rule != "x12.unterminated" and finding.segment in offsets:
            assert finding.offset == offsets[finding.segment], finding
    by_number = {segment.number: segment.id for segment in plain}
    rows = 0
    for name, table in read(data).tables.items():
        for number in table["segment"].to_pylist() if name in ROWS else []:
            assert by_number.get(number) in ROWS[name], (name, number)
            rows += 1
    return rows


@pytest.mark.parametrize(
    "data",
    [
        *SEEDS,
        b"\xef\xbb\xbf" + remittance() + b"\r\n\x1a",
        professional() + b"\r\n" + remittance(control=2).translate(bytes.maketrans(b"*^:~", b"|!>\n")) + b"\r\n" + professional(),
        remittance()[:400] + professional() + b"~~IEA*1*1~" + remittance(control=2),
        remittance().replace(b"~", b"\r\n~"),
        remittance().replace(b"~SE*", b"~BIN*9*a~SE*1~bc~SE*"),
        remittance().replace(b"SENDER         ", b"SENDER", 1),
        remittance() + b"1*1~IEA*1*000000001",  # a whole IEA at the end, outside any interchange
    ],
)  # fmt: skip
def test_all_readers_cut_alike(data: bytes) -> None:
    assert agree(data) >= 2


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    data = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        match draw(st.sampled_from(["flip", "cut", "double", "insert", "end", "join"])):
            case "flip" if data:
                data[at] ^= 1 << draw(st.integers(0, 7))
            case "cut":
                del data[at : at + draw(st.integers(1, 30))]
            case "double":
                data[at:at] = data[at : at + draw(st.integers(1, 30))]
            case "insert":
                data[at:at] = draw(st.sampled_from(INSETS))
            case "end":
                del data[at:]
            case "join":
                data += draw(st.sampled_from(SEEDS))
    return bytes(data)


@given(damaged())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_all_readers_cut_damaged_files_alike(data: bytes) -> None:
    agree(data)
