"""The page and the terminal view of an X12 file: nothing from outside, nothing of a patient, findings beside their segment."""

from __future__ import annotations

import io
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rich.console import Console

from pipeline.findings import Finding
from pipeline.reports.x12_view import faults, page, place, show, steps
from pipeline.x12.view import MASK, View, view

CLAIM = """\
ISA*00*          *00*          *ZZ*CLINIC         *ZZ*PAYER          *261120*0200*^*00501*000000001*1*T*:~
GS*HC*CLINIC*PAYER*20261120*0200*1*X*005010X222A1~
ST*837*0001*005010X222A1~
BHT*0019*00*B1*20261120*0200*CH~
NM1*41*2*CLINIC*****46*C1~
PER*IC*BILLING*TE*5551234567~
NM1*40*2*PAYER*****46*P1~
HL*1**20*1~
NM1*85*2*GOOD <b>CLINIC</b>*****XX*1234567893~
N3*1 MAIN STREET~
N4*BOSTON*MA*021010001~
REF*EI*123456789~
HL*2*1*22*0~
SBR*P*18*******CI~
NM1*IL*1*ZQLAST*ZQFIRST****MI*ZQ100001~
N3*ZQ ELM STREET~
N4*ZQTOWN*WY*820019999~
DMG*D8*19510417*F~
NM1*PR*2*PLAN*****PI*P1~
CLM*C1*150***11:B:1*Y*A*Y*Y~
HI*ABK:J029~
LX*1~
SV1*HC:99213*100*UN*1***3~
DTP*472*D8*20261101~
REF*6R*C1L1~
SE*23*0001~
GE*1*1~
IEA*1*000000001~
"""


class _Read(HTMLParser):
    """Tags that open and close, attributes, and the text in reading order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text: list[str] = []
        self.wrong: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in ("meta", "link", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(html: str) -> _Read:
    parser = _Read()
    parser.feed(html)
    parser.close()
    return parser


def terminal(made: View, width: int) -> str:
    out = io.StringIO()
    show(Console(file=out, width=width, color_system=None), made)
    return out.getvalue()


def lines_of(text: str) -> str:
    return " ".join(text.split())


def test_the_page_asks_for_nothing_from_outside() -> None:
    html = page(view(CLAIM.encode(), "claim.edi"))
    parsed = read(html)
    assert not re.search(r"https?:|//|url\(|@import|<script|<iframe|<img", html.replace("<!doctype", ""))
    for tag, name, value in parsed.attributes:
        assert not name.startswith("on")
        if name in ("href", "src"):
            assert value == "data:," or re.fullmatch(r"#s\d+", value), (tag, name, value)
    assert ("meta", "content", "default-src 'none'; style-src 'unsafe-inline'; img-src data:") in parsed.attributes


def test_the_page_is_whole_html_and_escapes_what_a_file_says() -> None:
    parsed = read(page(view(CLAIM.encode(), "<i>claim.edi")))
    assert parsed.open == []
    assert parsed.wrong == []
    assert "GOOD <b>CLINIC</b>" in parsed.text


@pytest.mark.parametrize("width", [80, 120])
def test_the_terminal_fits_and_tells_segments_in_order(width: int) -> None:
    text = terminal(view(CLAIM.encode(), "claim.edi"), width)
    assert max(len(line.rstrip("\n")) for line in text.splitlines()) <= width
    told = lines_of(text)
    at = [told.index(part) for part in ("2300 claim C1 · 150", "CLM*C1*150", "2400 service line", "SV1*HC:99213*100")]
    assert at == sorted(at)
    deep = {
        line.split()[1]: len(line) - len(line[3:].lstrip()) for line in text.splitlines() if line[:2].strip().isdigit()
    }
    assert deep["ST*837*0001*005010X222A1~"] < deep["CLM*C1*150***11:B:1*Y*A*Y*Y~"] < deep["LX*1~"]


def test_findings_are_told_right_after_their_segment() -> None:
    made = view(CLAIM.encode())
    balance = next(f for f in made.findings if "add up" in f.message)
    assert balance.segment == 20
    text = lines_of(terminal(made, 100))
    assert text.index("CLM*C1*150") < text.index(balance.message) < text.index("HI*ABK:J029")
    body = "".join(read(page(made)).text).partition("The file")[2]
    assert body.index("CLM*C1*150") < body.index(balance.message) < body.index("HI*ABK:J029")
    assert balance.fix in body


def test_the_list_at_the_top_leads_to_the_segments() -> None:
    made = view(CLAIM.encode())
    parsed = read(page(made))
    links = {value[1:] for _, name, value in parsed.attributes if name == "href" and value.startswith("#")}
    ids = {value for _, name, value in parsed.attributes if name == "id"}
    assert {f"s{f.segment}" for f in made.findings} == links
    assert links <= ids


def test_canaries_are_on_no_view_and_their_mask_is() -> None:
    made = view(CLAIM.encode())
    for told in (page(made), terminal(made, 80)):
        assert [canary for canary in ("ZQ", "WY", "820019999", "19510417") if canary in told] == []
    assert f"NM1*IL*1*{MASK}*{MASK}****MI*{MASK}~" in terminal(made, 80)
    assert f"NM1*IL*1*{MASK}*{MASK}****MI*{MASK}~" in "".join(read(page(made)).text)


def test_an_unmasked_page_says_that_it_is_one() -> None:
    html = page(view(CLAIM.encode(), masked=False))
    assert "ZQLAST" in html
    assert "This page holds patients' data" in html
    assert "This page holds patients' data" not in page(view(CLAIM.encode()))


def test_elements_tell_their_position_on_hover() -> None:
    titles = [value for _, name, value in read(page(view(CLAIM.encode()))).attributes if name == "title"]
    assert any(title.startswith("CLM02 · total charge") for title in titles)
    assert any(title.startswith("CLM05-3 · claim frequency · original") for title in titles)


def test_levels_open_and_close_in_pairs_and_gaps_are_counted() -> None:
    lines = "".join(f"LX*{n}~SV1*HC:99213*0*UN*1***1~DTP*472*D8*20261101~" for n in range(2, 400))
    made = view(CLAIM.replace("SE*23", lines + "SE*1217").encode(), first=30)
    depth, left = 0, 0
    for step in steps(made):
        depth += {"open": 1, "close": -1}.get(step.kind, 0)
        assert depth >= 0
        left += step.count
        if step.row:
            assert depth == step.row.depth
    assert depth == 0
    assert left == made.left_out > 1000
    assert f"{left:,} segments not shown" in page(made) or "segments are shown" in page(made)


def test_a_long_page_folds_claims_without_findings() -> None:
    claim = "CLM*C{0}*100***11:B:1*Y*A*Y*Y~HI*ABK:J029~LX*1~SV1*HC:99213*{1}*UN*1***1~DTP*472*D8*20261101~"
    many = "".join(claim.format(n, 90 if n == 50 else 100) for n in range(2, 100))
    made = view(CLAIM.replace("SE*23", many + "SE*513").encode())
    html = page(made)
    folded = re.findall(r'<details class="level"( open)?><summary><b>2300</b>&ensp;claim&ensp;<small>(C\d+)', html)
    assert len(folded) == 99
    assert [claim_id for is_open, claim_id in folded if is_open] == ["C1", "C50"]


def test_faults_that_say_the_same_are_one_line() -> None:
    def finding(segment: int, message: str, severity: str = "error") -> Finding:
        return Finding(rule="r", severity=severity, message=message, segment=segment, segment_id="HL", element=1)  # type: ignore[arg-type]

    found = [
        finding(3, "SE01 is odd.", "warning"), finding(4, "HL01 is not 3: count."), finding(9, "HL01 is not 4: count."),
        finding(9, "HL02 is empty."), finding(12, "HL02 is empty."),
    ]  # fmt: skip
    assert [(f.severity, f.message, f.segments) for f in faults(found)] == [
        ("error", "HL01 is not …: count.", (4, 9)), ("error", "HL02 is empty.", (9, 12)), ("warning", "SE01 is odd.", (3,)),
    ]  # fmt: skip


def test_a_place_is_not_said_twice() -> None:
    common = {"rule": "r", "severity": "error", "segment_id": "CLM", "element": 5, "component": 3, "loop": "2300"}
    assert place(Finding(message="A code is wrong.", **common)) == "CLM05-3 in loop 2300"  # type: ignore[arg-type]
    assert place(Finding(message="CLM05-3 is wrong.", **common)) == "loop 2300"  # type: ignore[arg-type]
    assert place(Finding(message="CLM05-3 is wrong in loop 2300 too.", **common)) == ""  # type: ignore[arg-type]


def test_what_is_no_x12_is_said() -> None:
    for data in (b"", b"hello", b"\xff\x00\x1b[2J" * 20, CLAIM.encode()[:200]):
        made = view(data, "f")
        assert "".join(read(page(made)).text).count(made.findings[0].message) >= 1
        assert lines_of(made.findings[0].message) in lines_of(terminal(made, 80))


SAMPLES = Path(os.environ.get("CLAIMPIPE_SAMPLES", Path(__file__).resolve().parents[3] / "shared" / "samples")) / "x12"


@pytest.mark.skipif(not SAMPLES.is_dir() and not os.environ.get("CI"), reason="the samples are not here")
def test_samples_of_each_kind_can_be_seen() -> None:
    small = [path for path in sorted(SAMPLES.glob("[!_]*/*")) if path.is_file() and path.stat().st_size < 40_000]
    files = [path for kind in sorted({path.parent for path in small}) for path in small if path.parent == kind][::6]
    assert len({path.parent for path in files}) > 8
    for path in files:
        made = view(path.read_bytes(), path.name)
        parsed = read(page(made))
        assert (parsed.open, parsed.wrong) == ([], []), path.name
        assert max(len(line) for line in terminal(made, 80).splitlines()) <= 80, path.name
