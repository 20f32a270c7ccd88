"""A file that says something else than was meant is found out, whatever is altered."""

from __future__ import annotations

from datetime import date

import badx12
import pytest
from claims import samples

from pipeline.claims import proofreading
from pipeline.findings import Finding
from pipeline.transactions.claim_837_forms import PROFESSIONAL
from pipeline.transactions.claim_837_route import Numbers, Route
from pipeline.transactions.claim_837_writer import Interchange837
from pipeline.x12.segments import iter_segments

ON = date(2024, 3, 2)
NUMBERS = Numbers(12, 34)


@pytest.fixture
def meant(way: Route) -> Interchange837:
    return Interchange837(*samples.make(40, seed=6), way, PROFESSIONAL, claims_per_set=15)


@pytest.fixture
def data(meant: Interchange837) -> bytes:
    return meant.render(on=ON, numbers=NUMBERS)


def segment_of(data: bytes, start: bytes) -> bytes:
    at = data.index(b"~" + start) + 1
    return data[at : data.index(b"~", at) + 1]


def test_badx12_reads_as_it_does_by_itself(data: bytes) -> None:
    def told(document: badx12.document.EDIDocument) -> object:
        bodies = [
            [[field.content for field in segment.fields] for segment in transaction.transaction_body]
            for group in document.interchange.groups
            for transaction in group.transaction_sets
        ]
        errors = [type(error).__name__ for error in document.validate().error_list]
        return bodies, errors, document.format_as_edi()

    text = data.decode("ascii")
    wrong = text.replace("GE*3", "GE*4").replace("IEA*1*000000012", "IEA*1*000000013")
    for one in (text, wrong, text.replace("~SE*", "~ZZ*X~SE*", 1)):
        assert told(proofreading.Badx12(one).document) == told(badx12.Parser(one).document)
    assert told(proofreading.Badx12(wrong).document)[1]


def test_a_true_file_passes_all_readers(meant: Interchange837, data: bytes) -> None:
    assert proofreading.validated(data) == []
    assert proofreading.compared(data, meant, ON, NUMBERS) == []
    assert proofreading.structure(data, meant) == []


ALTERED = {
    "charge": (b"CLM*", lambda s: s.replace(b"*", b"*", 1).replace(s.split(b"*")[2], b"1.11", 1)),
    "claim id": (b"CLM*", lambda s: s.replace(b"CLM*C", b"CLM*D")),
    "frequency": (b"CLM*", lambda s: s.replace(b":B:1", b":B:8")),
    "assignment": (b"CLM*", lambda s: s.replace(b"*Y*A*Y*Y", b"*Y*C*Y*Y")),
    "diagnosis": (b"HI*", lambda s: s.replace(s.split(b":")[1].split(b"*")[0].rstrip(b"~"), b"S72001A", 1)),
    "diagnosis order": (b"HI*", lambda s: s.replace(b"ABK", b"ABF", 1)),
    "a lost line": (b"LX*2~", lambda s: b""),
    "procedure": (b"SV1*", lambda s: s.replace(s[7:12], b"99499", 1)),
    "line charge": (b"SV1*", lambda s: s.replace(s.split(b"*")[2], b"9.99", 1)),
    "units": (b"SV1*", lambda s: s.replace(b"*UN*", b"*UN*7")),
    "pointer": (b"SV1*", lambda s: s[:-2] + b"3~"),
    "service date": (b"DTP*472*", lambda s: b"DTP*472*D8*20200101~"),
    "line reference": (b"REF*6R*", lambda s: s[:-1] + b"X~"),
    "drug": (b"LIN*", lambda s: s[:-3] + b"99~"),
    "patient": (b"DMG*D8*", lambda s: s.replace(b"DMG*D8*19", b"DMG*D8*18")),
    "member": (b"NM1*IL*", lambda s: s[:-2] + b"X~"),
    "billing provider": (b"NM1*85*", lambda s: s[:-11] + b"1234567893~"),
    "rendering provider": (b"NM1*82*", lambda s: s[:-11] + b"1234567893~"),
    "rendering provider lost": (b"NM1*82*", lambda s: b""),
    "referring provider": (b"NM1*DN*", lambda s: s[:-11] + b"1234567893~"),
    "payer": (b"NM1*PR*", lambda s: s.replace(b"HARBOR1", b"HARBOR2")),
    "authorisation": (b"REF*G1*", lambda s: s[:-1] + b"X~"),
    "set control": (b"ST*837*", lambda s: s.replace(b"0001", b"0009")),
    "group control": (b"GS*", lambda s: s.replace(b"*34*", b"*35*")),
    "version": (b"GS*", lambda s: s.replace(b"222A1", b"223A2")),
}


@pytest.mark.parametrize("what", ALTERED)
def test_an_altered_file_is_found_out_by_our_reader(meant: Interchange837, data: bytes, what: str) -> None:
    start, alter = ALTERED[what]
    segment = segment_of(data, start)
    altered = data.replace(segment, alter(segment), 1)
    assert altered != data
    findings = proofreading.compared(altered, meant, ON, NUMBERS)
    assert findings, what
    assert {f.severity for f in findings} == {"error"}


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        (b"000000012*1*T", b"000000013*1*T"),
        (b"*1*T*:", b"*1*P*:"),
        (b"*240302*", b"*240303*"),
        (b"*BOXHARBOR  ", b"*BOXHARBOX  "),
    ],
)
def test_an_altered_envelope_is_found_out(meant: Interchange837, data: bytes, good: bytes, bad: bytes) -> None:
    assert good in data[:106]
    assert proofreading.compared(data.replace(good, bad, 1), meant, ON, NUMBERS)


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        (b"~SE*", b"~SE*1"),
        (b"~LX*2~", b"~"),
        (b"~GE*3", b"~GE*2"),
        (b"IEA*1*000000012", b"IEA*1*000000013"),
        (b"*0002~", b"*0007~"),
    ],
)
@pytest.mark.parametrize("whole", [True, False])
def test_badx12_counts_for_itself(meant: Interchange837, data: bytes, good: bytes, bad: bytes, whole: bool,
                                  monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setattr(proofreading, "_WHOLE", 10**9 if whole else 0)
    assert good in data
    assert proofreading.structure(data, meant) == []
    if whole or b"GE" not in good:
        assert proofreading.structure(data.replace(good, bad, 1), meant)


def test_blame_goes_to_the_claims_of_the_loop(meant: Interchange837, data: bytes) -> None:
    segments = list(iter_segments(data))
    claims_below: dict[int, set[str]] = {}
    open_loops: dict[str, int] = {}
    for s in segments:
        if s.id == "ST":
            open_loops = {}
        if s.id == "HL":
            open_loops = {k: v for k, v in open_loops.items() if k < s.element(3)} | {s.element(3): s.number}
        if s.id == "CLM":
            for number in (*open_loops.values(), s.number):
                claims_below.setdefault(number, set()).add(s.element(1))

    def finding(number: int | None) -> Finding:
        return Finding(rule="r", severity="error", message="m", segment=number)

    for number, claims in claims_below.items():
        blamed, unblamed = proofreading.blame(data, [finding(number)])
        assert (set(blamed), unblamed) == (claims, [])
    last = next(s.number for s in reversed(segments) if s.id == "REF")
    (only,) = proofreading.blame(data, [finding(last)])[0]
    assert only == next(s.element(1) for s in reversed(segments) if s.id == "CLM")
    for nobody in (None, 1, 2, 3, 4, 6, len(segments)):
        assert proofreading.blame(data, [finding(nobody)]) == ({}, [finding(nobody)])
