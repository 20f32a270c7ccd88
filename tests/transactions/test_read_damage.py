"""No damage raises, hangs or passes for whole; how the bytes arrive changes nothing."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transactions.x12_text import interchange, professional, remittance

from pipeline import shapes
from pipeline.findings import Finding, has_errors
from pipeline.transactions import identify, read
from pipeline.transactions.engine import LARGEST_SEGMENT, Engine

NINE = interchange(
    "AK1*HC*1*005010X222A1~AK2*837*0001~IK3*CLM*22**8~CTX*CLM01:1~IK4*2*782*1~IK5*R*5~AK9*R*1*1*0~",
    kind="999", version="005010X231A1", functional="FA", before_group=["TA1*000000042*260104*1200*A*000"],
)  # fmt: skip
CLAIM_ACKNOWLEDGMENT = interchange(
    "BHT*0085*08*B*20260106*1635*TH~HL*1**20*1~NM1*PR*2*P*****PI*1~TRN*1*S~HL*2*1*21*1~NM1*41*2*G*****46*S~TRN*2*B~"
    "STC*A1:19:PR*20260106*WQ*5~QTY*90*1~AMT*YU*5~HL*3*2*19*1~NM1*85*2*G*****XX*1~HL*4*3*PT~NM1*QC*1*D*J****MI*M~TRN*2*A~"
    "STC*A2:20:PR*20260106*WQ*5~REF*1K*I~", kind="277", version="005010X214", functional="HN",
)  # fmt: skip
BENEFITS = interchange(
    "BHT*0022*11*A1*20260105*0830~HL*1**20*1~NM1*PR*2*P*****PI*1~HL*2*1*21*1~NM1*1P*2*G*****XX*1~HL*3*2*22*0~TRN*2*T*9S~"
    "NM1*IL*1*D*J****MI*M~EB*1*IND*30^1~EB*C*IND*30***23*600~DTP*292*D8*20260101~MSG*X~AAA*N**72*C~",
    kind="271", version="005010X279A1", functional="HB",
)  # fmt: skip
SEEDS = [remittance(), professional(), NINE, CLAIM_ACKNOWLEDGMENT, BENEFITS, professional(delimiters="|!>\n")]


class Kept:
    def __init__(self) -> None:
        self.parts: dict[str, list[pa.Table]] = defaultdict(list)

    def add(self, name: str, table: pa.Table) -> None:
        self.parts[name].append(table)

    def tables(self) -> dict[str, pa.Table]:
        whole = {name: pa.concat_tables(parts).combine_chunks() for name, parts in self.parts.items()}
        return {name: table for name, table in whole.items() if table.num_rows}


def in_blocks(files: Sequence[bytes], window: int, block: int) -> tuple[dict[str, pa.Table], list[Finding]]:
    kept = Kept()
    engine = Engine(kept, window=window)
    for number, data in enumerate(files):
        engine.file(f"f{number}", (data[at : at + block] for at in range(0, len(data), block)))
    engine.finish()
    return kept.tables(), engine.findings.items


def facts(findings: list[Finding]) -> list[tuple[str, str, int, int, int]]:
    """What must not depend on how bytes arrive (blanks are not looked for between what arrived apart)."""
    return sorted(
        (f.file, f.rule, f.segment or 0, f.offset or 0, f.element or 0) for f in findings if f.rule != "envelope.blank"
    )


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A good file with bytes flipped, cut out, doubled or put in."""
    data = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 6))):
        if not data:
            break
        at = draw(st.integers(0, len(data) - 1))
        size = draw(st.integers(1, 30))
        match draw(st.sampled_from(["flip", "byte", "cut", "double", "insert", "end"])):
            case "flip":
                data[at] ^= 1 << draw(st.integers(0, 7))
            case "byte":
                data[at] = draw(st.sampled_from(list(b"~*:^\n\r\x00\x1a\xff ISAGEHL0129-.")))
            case "cut":
                del data[at : at + size]
            case "double":
                data[at:at] = data[at : at + size]
            case "insert":
                data[at:at] = draw(st.binary(min_size=1, max_size=12))
            case "end":
                del data[at:]
    return bytes(data)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(damaged(), st.sampled_from(["lenient", "strict"]))
def test_no_damage_raises(data: bytes, mode: str) -> None:
    result = read(data, file="f", mode=mode)  # type: ignore[arg-type]
    for name, table in result.tables.items():
        shapes.check(table, name)
        table.validate(full=True)
    identify(data)
    assert all(f.offset is None or 0 <= f.offset <= len(data) for f in result.findings)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=400))
def test_random_bytes_never_raise_and_never_pass(data: bytes) -> None:
    assert has_errors(read(data).findings)
    assert identify(data) == "unknown"


@settings(max_examples=50, deadline=None)
@given(damaged(), st.integers(20, 600), st.integers(1, 400))
def test_windows_of_any_size_give_the_same(data: bytes, window: int, block: int) -> None:
    tables, findings = in_blocks([data], 1 << 21, 1 << 21)
    again, found = in_blocks([data], window, block)
    assert again.keys() == tables.keys()
    for name, table in tables.items():
        assert again[name].equals(table), name
    assert facts(found) == facts(findings)


@settings(max_examples=25, deadline=None)
@given(st.lists(damaged(), min_size=2, max_size=5))
def test_files_packed_together_give_what_each_gives_alone(files: list[bytes]) -> None:
    tables, findings = in_blocks(files, 1 << 21, 1 << 21)
    alone = Kept()
    found: list[Finding] = []
    for number, data in enumerate(files):
        result = read(data, file=f"f{number}")
        for name, table in result.tables.items():
            alone.add(name, table)
        found += result.findings
    expected = alone.tables()
    assert tables.keys() == expected.keys()
    for name, table in expected.items():
        have = tables[name].sort_by([("file", "ascending"), ("segment", "ascending")])
        assert have.equals(table.sort_by([("file", "ascending"), ("segment", "ascending")])), name
    assert facts(findings) == facts(found)


@pytest.mark.parametrize("number", range(len(SEEDS)))
def test_truncated_anywhere_a_file_is_not_whole(number: int) -> None:
    data = SEEDS[number]
    last = len(data.rstrip()) - 1  # an IEA that lacks nothing but its terminator is whole
    for end in [*range(0, last, 7), last - 1]:
        assert has_errors(read(data[:end]).findings), end


@pytest.mark.parametrize("number", range(len(SEEDS)))
def test_a_segment_lost_or_doubled_is_never_silent(number: int) -> None:
    data = SEEDS[number]
    terminator = data[105:106]
    segments = data.split(terminator)[:-1]
    for i in range(1, len(segments)):
        lost = terminator.join([*segments[:i], *segments[i + 1 :]]) + terminator
        doubled = terminator.join([*segments[: i + 1], *segments[i:]]) + terminator
        if not segments[i].startswith(b"TA1"):  # nothing counts these
            assert has_errors(read(lost).findings), segments[i]
            assert has_errors(read(doubled).findings), segments[i]


def test_a_segment_without_end_takes_no_memory_and_is_named() -> None:
    head = remittance()[: remittance().index(b"CLP*ACC2")]
    endless = (b"CLP*" + b"9" * 65_536 for _ in range(600))
    kept = Kept()
    engine = Engine(kept)
    most = 0

    def blocks():  # type: ignore[no-untyped-def]
        yield head
        yield from endless

    original = engine._take

    def watched(file, data, offset, final):  # type: ignore[no-untyped-def]
        nonlocal most
        most = max(most, len(data))
        return original(file, data, offset, final)

    engine._take = watched  # type: ignore[method-assign]
    engine.file("f", blocks())
    engine.finish()
    rules = {f.rule for f in engine.findings.items}
    assert rules >= {"segment.endless", "truncated.se"}
    assert most < 3 * LARGEST_SEGMENT


def test_a_claim_larger_than_a_window_is_still_one_claim() -> None:
    lines = "".join(f"SVC*HC:99213*1*1**1~CAS*CO*45*{n}~" for n in range(400))
    body = f"BPR*I*0*C*NON************20260105~LX*1~CLP*A*1*400*400~{lines}CLP*B*1*1*1~SVC*HC:99213*1*1~"
    data = interchange(body, kind="835", version="005010X221A1")
    tables, findings = in_blocks([data], 256, 100)
    assert findings == []
    rows = tables["835.service_lines"].to_pylist()
    assert [(r["claim_id"], r["line_number"]) for r in rows] == [("A", n) for n in range(1, 401)] + [("B", 1)]


def test_levels_above_a_claim_are_carried_over_every_cut() -> None:
    body = (
        "BHT*0019*00*B1*20260105*0830*CH~HL*1**20*1~NM1*85*2*G*****XX*1234567893~HL*2*1*22*1~SBR*P********CI~"
        "NM1*IL*1*ROE*RICH****MI*MEM5~DMG*D8*19993001*M~NM1*PR*2*PAYER*****PI*PAY~HL*3*2*23*0~PAT*19~NM1*QC*1*ROE*KIM~DMG*D8*20150101*F~"
    ) + "".join(f"CLM*A{n}*1***11:B:1*Y*A*Y*Y~HI*ABK:I10~LX*1~SV1*HC:1*1*UN*1***1~" for n in range(60))
    data = interchange(body, kind="837", version="005010X222A1", functional="HC")
    tables, findings = in_blocks([data], 300, 100)
    rows = tables["837.claims"].to_pylist()
    assert [r["claim_number"] for r in rows] == list(range(1, 61))
    columns = ("billing_npi", "subscriber_id", "payer_id", "patient_first", "relationship")
    assert {tuple(r[c] for c in columns) for r in rows} == {("1234567893", "MEM5", "PAY", "KIM", "19")}
    assert tables["837.parties"].num_rows == 4
    assert findings == []  # the subscriber's broken birth date belongs to nobody's row


def test_findings_above_many_claims_are_said_once() -> None:
    body = (
        "BHT*0019*00*B1*20260105*0830*CH~HL*1**20*1~NM1*85*2*G*****XX*1234567893~HL*2*1*22*0~SBR*P*18*******CI~"
        "NM1*IL*1*ROE*RICH****MI*MEM5~DMG*D8*19993001*M~NM1*PR*2*PAYER*****PI*PAY~"
    ) + "".join(f"CLM*A{n}*1***11:B:1*Y*A*Y*Y~HI*ABK:I10~" for n in range(60))
    data = interchange(body, kind="837", version="005010X222A1", functional="HC")
    place = (10, data.index(b"DMG*D8*") + 7)
    for window in (1 << 21, 300):
        _, findings = in_blocks([data], window, 100)
        assert [(f.rule, (f.segment, f.offset)) for f in findings] == [("date.form", place)]


def test_not_read_kinds_are_counted_and_said() -> None:
    result = read(interchange("BGN*00*1*20260105~", kind="834", version="005010X220A1", functional="BE"), mode="strict")
    assert [(f.rule, f.severity) for f in result.findings] == [("set.not_read", "info")]
    assert set(result.tables) == {"interchanges"}


IDENTITIES = [
    (remittance(), "835"),
    (professional(), "837"),
    (CLAIM_ACKNOWLEDGMENT, "277CA"),
    (CLAIM_ACKNOWLEDGMENT.replace(b"X214", b"X212"), "277"),
    (BENEFITS, "271"),
    (NINE, "mixed"),  # a TA1 and a 999
    (re.sub(rb"TA1[^~]*~", b"", NINE), "999"),
    (interchange(kind="", version="", before_group=["TA1*000000042*260104*1200*A*000"]), "TA1"),
    (interchange(kind="", version=""), "unknown"),
    (remittance() + remittance(delimiters="|!>\n"), "835"),
    (remittance() + professional(), "mixed"),
    (b"\xef\xbb\xbf" + remittance(newline="\r\n"), "835"),
    (remittance(delimiters="|!>\n"), "835"),
    (b"101 021000021 0210000212601050830A094101DEST                   ORIGIN                 REF00001\n", "NACHA"),
    (b"01,021000021,987654,260105,0830,1,80,,2/\n02,987654,021000021,1,260105,,USD,2/\n", "BAI2"),
    (b"", "unknown"),
    (b"claim_id,charge\n1,2\n", "unknown"),
    (remittance()[:90], "unknown"),
]


@pytest.mark.parametrize(("data", "kind"), IDENTITIES)
def test_identify_by_content(data: bytes, kind: str) -> None:
    assert identify(data) == kind
