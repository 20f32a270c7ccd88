"""What envelopes must agree on, and what is tolerated by name."""

from __future__ import annotations

import re

import pytest
from transactions.x12_text import interchange, isa, remittance, sets_of

from pipeline.findings import Finding
from pipeline.transactions import read

GOOD = remittance()


def rules(data: bytes, mode: str = "lenient") -> dict[str, str]:
    """rule → severity"""
    return {f.rule: f.severity for f in read(data, file="f", mode=mode).findings}  # type: ignore[arg-type]


def test_a_good_file_has_no_finding_in_either_mode() -> None:
    assert rules(GOOD) == {}
    assert rules(GOOD, "strict") == {}


@pytest.mark.parametrize(
    ("pattern", "replacement", "rule", "element"),
    [
        (rb"SE\*\d+\*", b"SE*7*", "envelope.se01", 1),
        (rb"SE\*(\d+)\*0001", rb"SE*\1*0002", "envelope.se02", 2),
        (rb"GE\*1\*", b"GE*2*", "envelope.ge01", 1),
        (rb"GE\*1\*1~", b"GE*1*2~", "envelope.ge02", 2),
        (rb"IEA\*1\*", b"IEA*2*", "envelope.iea01", 1),
        (rb"IEA\*1\*000000001", b"IEA*1*000000002", "envelope.iea02", 2),
        (rb"SE\*\d+\*", b"SE*x*", "envelope.se01", 1),
    ],
)
@pytest.mark.parametrize("mode", ["lenient", "strict"])
def test_counts_and_control_numbers_must_agree(
    pattern: bytes, replacement: bytes, rule: str, element: int, mode: str
) -> None:
    damaged = re.sub(pattern, replacement, GOOD)
    assert damaged != GOOD
    found = read(damaged, file="f", mode=mode).findings  # type: ignore[arg-type]
    assert [(f.rule, f.severity, f.element) for f in found] == [(rule, "error", element)]
    assert found[0].offset == damaged.index(found[0].segment_id.encode() + b"*", damaged.index(b"PLB"))


def test_leading_zeros_do_not_make_a_control_number_another() -> None:
    assert rules(GOOD.replace(b"GE*1*1~", b"GE*1*001~")) == {}


@pytest.mark.parametrize(
    ("gone", "expected"),
    [
        (rb"SE\*\d+\*0001~", {"envelope.se_missing"}),
        (rb"GE\*1\*1~", {"envelope.ge_missing"}),
        (rb"IEA\*1\*000000001~", {"truncated.iea"}),
        (rb"GS\*[^~]*~", {"envelope.st_outside", "envelope.ge_alone", "envelope.iea01"}),
        (rb"ST\*[^~]*~", {"envelope.se_alone", "envelope.outside_set", "envelope.ge01"}),
    ],
)
def test_a_missing_envelope_segment_is_named(gone: bytes, expected: set[str]) -> None:
    found = rules(re.sub(gone, b"", GOOD))
    assert set(found) == expected
    assert set(found.values()) == {"error"}


def test_a_lost_segment_is_found_by_its_count() -> None:
    assert rules(GOOD.replace(b"REF*EV*RECV9~", b"")) == {"envelope.se01": "error"}


def test_truncation_at_every_segment_is_an_error_in_both_modes() -> None:
    ends = [m.end() for m in re.finditer(b"~", GOOD)]
    for end in ends[:-1]:
        found = read(GOOD[:end], file="f").findings
        assert [f for f in found if f.severity == "error"], end
        assert any(f.rule.startswith("truncated.") for f in found), end


def test_truncation_inside_a_segment_says_how_many_bytes_are_left_over() -> None:
    cut = GOOD.index(b"SVC*HC:85025") + 6
    found = {f.rule: f for f in read(GOOD[:cut], file="f").findings}
    assert set(found) == {"truncated.segment", "truncated.se", "truncated.ge", "truncated.iea"}
    assert found["truncated.segment"].offset == cut - 6


@pytest.mark.parametrize("cut", range(1, 106, 7))
def test_a_file_cut_off_inside_its_isa_is_an_error(cut: int) -> None:
    assert "error" in rules(GOOD[:cut]).values()


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (b"\xef\xbb\xbf" + GOOD, "envelope.bom"),
        (GOOD + b"\r\n\x1a", "envelope.trailing_control"),
        (GOOD.replace(b"~REF*EV", b"~  REF*EV"), "envelope.blank"),
        (GOOD.replace(b"JANE", b"JAN\xc9"), "text.not_ascii"),
        (GOOD.replace(b"*JANE*", b"*JA\nNE*"), "text.control_character"),
    ],
)
def test_what_is_tolerated_has_a_name_and_loses_nothing(data: bytes, rule: str) -> None:
    assert rules(data) == {rule: "warning"}
    assert rules(data, "strict") == {rule: "error"}
    assert read(data, file="f").tables["835.claims"].num_rows == 2


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r", "\n\n"])
def test_newlines_after_terminators_are_no_fault(newline: str) -> None:
    data = remittance(newline=newline)
    assert rules(data, "strict") == {}
    assert (
        read(data)
        .tables["835.claims"]
        .drop_columns(["segment"])
        .equals(read(GOOD).tables["835.claims"].drop_columns(["segment"]))
    )


@pytest.mark.parametrize("delimiters", ["|^:\n", "*!>~", "\x1d\x1f\x1e\x1c", "~^_!", "+.@'"])
def test_any_delimiters_give_the_same_tables(delimiters: str) -> None:
    data = remittance(delimiters=delimiters) if "." not in delimiters else remittance(delimiters="+;@'")
    result = read(data, mode="strict")
    assert result.findings == []
    for name, table in read(GOOD).tables.items():
        assert result.tables[name].equals(table), name


def test_several_interchanges_with_delimiters_of_their_own() -> None:
    data = (
        remittance() + b"\r\n" + remittance(delimiters="|!>\n", control=2) + remittance(delimiters="|!>\n", control=3)
    )
    result = read(data, file="f", mode="strict")
    assert result.findings == []
    claims = result.tables["835.claims"].to_pylist()
    assert [(r["set_number"], r["claim_id"], r["patient_first"]) for r in claims] == [
        (n, c, p) for n in (1, 2, 3) for c, p in (("ACC1", "JANE"), ("ACC2", None))
    ]
    controls = result.tables["835.payments"]["interchange_control"].to_pylist()
    assert controls == ["000000001", "000000002", "000000003"]
    envelopes = result.tables["interchanges"].to_pylist()
    assert [r["level"] for r in envelopes] == ["interchange", "group", "set"] * 3
    assert [r["segments"] for r in envelopes if r["level"] == "set"] == [GOOD.count(b"~") - 4] * 3


def test_a_cut_off_interchange_leaves_the_next_one_whole() -> None:
    cut = GOOD.index(b"SVC*HC:85025") + 6
    result = read(GOOD[:cut] + remittance(control=2), file="f")
    claims = result.tables["835.claims"].to_pylist()
    assert [r["claim_id"] for r in claims] == ["ACC1", "ACC1", "ACC2"]
    assert [r["set_number"] for r in claims] == [1, 2, 2]
    found = {f.rule for f in result.findings}
    assert found == {"truncated.segment", "envelope.se_missing", "envelope.ge_missing", "envelope.iea_missing"}


def test_several_groups_and_sets_are_numbered_through_the_file() -> None:
    body = "BPR*I*0*C*NON************20260105~TRN*1*T*1512345678~LX*1~CLP*A*1*0*0~"
    groups = []
    for g in (1, 2):
        groups += [
            f"GS*HP*S*R*20260105*0830*{g}*X*005010X221A1",
            *sets_of(body, body, kind="835", first=2 * g - 1),
            f"GE*2*{g}",
        ]
    data = ("~".join([isa(), *groups, "IEA*2*000000001"]) + "~").encode()
    result = read(data, mode="strict")
    assert result.findings == []
    assert result.tables["835.payments"]["set_number"].to_pylist() == [1, 2, 3, 4]
    assert result.tables["835.payments"]["group_control"].to_pylist() == ["1", "1", "2", "2"]
    assert result.tables["835.payments"]["version"].to_pylist() == ["005010X221A1"] * 4


def test_ta1_before_a_group_and_alone() -> None:
    ta1 = "TA1*000000042*260104*1200*A*000"
    alone = read(interchange(kind="", version="", before_group=[ta1]), file="f", mode="strict")
    assert alone.findings == []
    before = read(interchange("AK1*HC*1~AK9*A*1*1*1~", kind="999", version="005010X231A1", functional="FA",
                              before_group=[ta1]), file="f", mode="strict")  # fmt: skip
    assert before.findings == []
    for result in (alone, before):
        rows = result.tables["TA1.interchanges"].to_pylist()
        assert [
            (r["segment"], r["acknowledged_control"], str(r["acknowledged_date"]), r["code"], r["note"]) for r in rows
        ] == [(2, "000000042", "2026-01-04", "A", "000")]
    assert before.tables["999.sets"].num_rows == 1


def test_a_ta1_file_that_counts_a_group_is_tolerated_by_name() -> None:
    data = interchange(kind="", version="", before_group=["TA1*000000042*260104*1200*R*025"])
    data = data.replace(b"IEA*0*", b"IEA*1*")
    assert rules(data) == {"envelope.iea01_ta1_only": "warning"}
    assert rules(data, "strict") == {"envelope.iea01_ta1_only": "error"}


def test_text_before_the_isa_is_an_error_and_the_interchange_is_read() -> None:
    result = read(b"From the portal:\n" + GOOD, file="f")
    assert [(f.rule, f.severity, f.offset) for f in result.findings] == [("envelope.junk", "error", 0)]
    assert result.tables["835.claims"].num_rows == 2


def test_no_isa_reads_nothing_and_guesses_nothing() -> None:
    result = read(GOOD[GOOD.index(b"ST*") :], file="f")
    assert {f.rule for f in result.findings} == {"envelope.junk", "envelope.isa_missing"}
    assert set(result.tables) == {"interchanges"}
    assert result.tables["interchanges"].num_rows == 0


@pytest.mark.parametrize("data", [b"", b"\r\n \x1a", b"\xef\xbb\xbf"])
def test_an_empty_file_is_an_error(data: bytes) -> None:
    assert rules(data)["file.empty"] == "error"


def test_isa_with_wrong_widths_is_an_error_in_both_modes_and_still_shown() -> None:
    """Where amounts are booked, the proof counts them apart from this reader, by the header's fixed places."""
    data = GOOD.replace(b"SENDER         ", b"SENDER", 1)
    for mode in ("lenient", "strict"):
        assert rules(data, mode) == {"envelope.isa_width": "error"}
    assert read(data).tables["835.claims"].num_rows == 2


def test_an_unreadable_isa_between_two_good_ones_is_skipped_and_named() -> None:
    bad = GOOD.replace(b"ISA*00*", b"ISA*00", 1)
    result = read(GOOD + bad + remittance(control=3), file="f")
    assert {f.rule for f in result.findings} >= {"envelope.isa_unreadable"}
    assert result.tables["835.payments"]["interchange_control"].to_pylist() == ["000000001", "000000003"]


def test_unknown_segments_and_empty_ones_do_not_pass_in_silence() -> None:
    flipped = GOOD.replace(b"~CLP*ACC2", b"~CLQ*ACC2")
    assert rules(flipped)["segment.unknown"] == "error"
    doubled = GOOD.replace(b"~LX*1~", b"~LX*1~~")
    assert rules(doubled)["segment.empty"] == "warning"


def test_repeated_set_numbers_are_named() -> None:
    data = interchange("LX*1~", "LX*1~", kind="835", version="005010X221A1").replace(b"*0002", b"*0001")
    assert rules(data)["envelope.st02_repeated"] == "warning"


def test_findings_are_limited_a_file_and_say_so() -> None:
    body = "BPR*I*0*C*NON************20260105~LX*1~" + "CLP*A*1*x*y~" * 50
    found = read(interchange(body, kind="835", version="005010X221A1"), file="f", limit=10).findings
    assert len(found) == 11
    assert found[-1].rule == "findings.limit"
    assert "90 more" in found[-1].message


@pytest.mark.parametrize(
    ("bad", "rule"), [("CLP*A*1*x*0~", "amount.form"), ("CLQ*A~", "segment.unknown")], ids=["amount", "segment"]
)
def test_no_number_of_warnings_hides_an_error(bad: str, rule: str) -> None:
    body = "BPR*I*0*C*NON************20260105~LX*1~" + bad
    data = interchange(body, kind="835", version="005010X221A1").replace(b"~LX*1~", b"~LX*1~" + b"~" * 30)
    found = read(data, file="f", limit=10).findings
    assert rule in [f.rule for f in found if f.severity == "error"]
    assert [f.rule for f in found].count("segment.empty") == 10
    assert found[-1].rule == "findings.limit"
    assert found[-1].message.startswith(("20 more", "21 more"))


def test_messages_hold_no_data_even_where_data_stands_in_the_place_of_an_id() -> None:
    data = GOOD.replace(b"~NM1*QC*1*DOE", b"~NM1 QC 1 CANARYNAME").replace(
        b"CLP*ACC2*22*-30.55", b"CLP*ACC2*22*CANARYSUM"
    )
    found: list[Finding] = read(data, file="f").findings
    assert len(found) >= 2
    assert not [f for f in found if "CANARY" in str(f.as_dict())]
