"""999, 997 and 277CA as tables."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from transactions.x12_text import interchange

from pipeline.transactions import read


def rows(data: bytes, name: str) -> list[dict[str, Any]]:
    result = read(data, file="f", mode="strict")
    assert result.findings == []
    return [{k: v for k, v in r.items() if v is not None and k != "file"} for r in result.tables[name].to_pylist()]


NINE = """
AK1*HC*17456*005010X222A1~
AK2*837*0001*005010X222A1~IK5*A~
AK2*837*0002~
IK3*CLM*22*2300*8~CTX*CLM01:123456789~
IK4*5:2*1331*1*XX~CTX*SITUATIONAL TRIGGER*CLM*43**5:3*C023:1~IK4*2*782*7~
IK3*REF*57**3~
IK5*R*5*I5~
AK2*837*0003~IK5*E*5~
AK9*P*3*3*2*1~
"""


def test_999_sets_and_the_group() -> None:
    data = interchange(NINE, kind="999", version="005010X231A1", functional="FA")
    common = {"set_number": 1, "interchange_control": "000000001", "functional_id": "HC", "group_control": "17456",
              "group_version": "005010X222A1"}  # fmt: skip
    assert rows(data, "999.sets") == [
        {**common, "segment": 5, "level": "set", "set_id": "837", "set_control": "0001", "code": "A"},
        {**common, "segment": 7, "level": "set", "set_id": "837", "set_control": "0002", "code": "R", "errors": "5 I5"},
        {**common, "segment": 15, "level": "set", "set_id": "837", "set_control": "0003", "code": "E", "errors": "5"},
        {**common, "segment": 17, "level": "group", "code": "P", "sets_included": 3, "sets_received": 3, "sets_accepted": 2,
         "errors": "1"},
    ]  # fmt: skip


def test_999_errors_by_element_and_by_segment() -> None:
    data = interchange(NINE, kind="999", version="005010X231A1", functional="FA")
    common = {"set_number": 1, "group_control": "17456", "set_control": "0002"}
    claim = {"segment_id": "CLM", "segment_position": 22, "loop": "2300", "segment_error": "8"}
    assert rows(data, "999.errors") == [
        {**common, "segment": 10, **claim, "context": "CLM01 123456789; SITUATIONAL TRIGGER CLM 43 5 3 C023 1",
         "element_position": "5-2", "element_reference": "1331", "element_error": "1", "copy_of_bad_data": "XX"},
        {**common, "segment": 12, **claim, "context": "CLM01 123456789", "element_position": "2",
         "element_reference": "782", "element_error": "7"},
        {**common, "segment": 13, "segment_id": "REF", "segment_position": 57, "segment_error": "3"},
    ]  # fmt: skip


def test_999_of_a_group_alone() -> None:
    data = interchange("AK1*HC*17456*005010X222A1~AK9*R*1*1*0~", kind="999", version="005010X231A1", functional="FA")
    assert [r["level"] for r in rows(data, "999.sets")] == ["group"]
    assert rows(data, "999.errors") == []


def test_a_999_cut_off_before_its_ik5_still_gives_the_set_without_a_code() -> None:
    data = interchange(NINE, kind="999", version="005010X231A1", functional="FA")
    result = read(data[: data.index(b"IK5*R")], file="f")
    sets = result.tables["999.sets"].to_pylist()
    assert [(r["set_control"], r["code"]) for r in sets] == [("0001", "A"), ("0002", None)]
    assert result.tables["999.errors"].num_rows == 3
    assert any(f.rule == "truncated.se" for f in result.findings)


def test_997_reads_alike() -> None:
    body = "AK1*HC*000001~AK2*837*0021~AK3*NM1*8**8~AK4*8*66*7*MI~AK5*R*5~AK9*R*1*1*0~"
    data = interchange(body, kind="997", version="005010X230", functional="FA")
    (one, group) = rows(data, "997.sets")
    assert (one["set_control"], one["code"], one["errors"], group["level"], group["code"]) == (
        "0021",
        "R",
        "5",
        "group",
        "R",
    )
    (error,) = rows(data, "997.errors")
    assert (error["segment_id"], error["segment_position"], error["element_position"], error["element_error"]) == (
        "NM1", 8, "8", "7",
    )  # fmt: skip


CLAIM_ACKNOWLEDGMENT = """
BHT*0085*08*BATCH1*20260106*1635*TH~
HL*1**20*1~NM1*PR*2*PAYER ONE*****PI*PAY01~TRN*1*SOURCETRACE~DTP*050*D8*20260105~DTP*009*D8*20260106~
HL*2*1*21*1~NM1*41*2*GOOD PRACTICE*****46*SUB1~TRN*2*BATCHTRACE~STC*A1:19:PR*20260106*WQ*500.5~QTY*90*1~QTY*AA*1~AMT*YU*200~AMT*YY*300.5~
HL*3*2*19*1~NM1*85*2*GOOD PRACTICE*****XX*1234567893~TRN*1*0~STC*A1:19:PR**WQ*500.5~QTY*QA*1~QTY*QC*1~AMT*YU*200~AMT*YY*300.5~
HL*4*3*PT~NM1*QC*1*DOE*JANE****MI*MEM1~TRN*2*ACC1~STC*A2:20:PR*20260106*WQ*200~REF*1K*ICN1~DTP*472*D8*20251101~
HL*5*3*PT~NM1*QC*1*DOE*JOHN****MI*MEM2~TRN*2*ACC2~STC*A3:21:82*20260106*U*300.5******A7:562:85~REF*1K*ICN2~
SVC*HC:99213*300.5*****1~STC*A7:122**U~REF*FJ*LINE1~
"""


def test_277ca_one_row_a_status_at_each_level() -> None:
    data = interchange(CLAIM_ACKNOWLEDGMENT, kind="277", version="005010X214", functional="HN")
    found = rows(data, "277CA.statuses")
    columns = ("level", "entity", "entity_id", "claim_id", "category", "status", "status_entity", "action", "amount")
    assert [tuple(r.get(c) for c in columns) for r in found] == [
        ("receiver", "41", "SUB1", None, "A1", "19", "PR", "WQ", Decimal("500.50")),
        ("provider", "85", "1234567893", None, "A1", "19", "PR", "WQ", Decimal("500.50")),
        ("claim", "QC", "MEM1", "ACC1", "A2", "20", "PR", "WQ", Decimal(200)),
        ("claim", "QC", "MEM2", "ACC2", "A3", "21", "82", "U", Decimal("300.50")),
        ("claim", "QC", "MEM2", "ACC2", "A7", "562", "85", "U", Decimal("300.50")),
        ("line", "QC", "MEM2", "ACC2", "A7", "122", None, "U", None),
    ]
    assert {(r["source_entity"], r["source_id"], r["batch_reference"], r["set_control"]) for r in found} == {
        ("PR", "PAY01", "BATCH1", "0001")
    }


def test_277ca_keeps_what_follows_the_status_in_its_level() -> None:
    data = interchange(CLAIM_ACKNOWLEDGMENT, kind="277", version="005010X214", functional="HN")
    receiver, provider, accepted, rejected, _, line = rows(data, "277CA.statuses")
    totals = ("quantity_accepted", "quantity_rejected", "amount_accepted", "amount_rejected")
    for level in (receiver, provider):
        assert tuple(level[t] for t in totals) == (1, 1, Decimal(200), Decimal("300.50"))
    assert (receiver["trace"], receiver["effective_date"]) == ("BATCHTRACE", date(2026, 1, 6))
    assert "effective_date" not in provider
    assert (accepted["payer_claim_number"], rejected["payer_claim_number"]) == ("ICN1", "ICN2")
    assert (line["line_control_number"], line["payer_claim_number"]) == ("LINE1", "ICN2")
    assert "line_control_number" not in rejected
    assert "quantity_accepted" not in accepted


def test_a_277_without_a_guide_is_known_by_its_purpose() -> None:
    data = interchange(CLAIM_ACKNOWLEDGMENT, kind="277", version="005010X214", functional="HN")
    bare = data.replace(b"*X*005010X214", b"*X*").replace(b"ST*277*0001*005010X214", b"ST*277*0001")
    assert "277CA.statuses" in read(bare).tables
    assert "277.statuses" in read(bare.replace(b"BHT*0085", b"BHT*0010")).tables


def test_amounts_in_acknowledgments_are_exact_or_reported() -> None:
    data = interchange(CLAIM_ACKNOWLEDGMENT, kind="277", version="005010X214", functional="HN")
    damaged = data.replace(b"STC*A2:20:PR*20260106*WQ*200~", b"STC*A2:20:PR*20260199*WQ*2OO~")
    result = read(damaged, file="f")
    place = damaged.index(b"STC*A2")
    assert [(f.rule, f.element, f.offset) for f in result.findings] == [
        ("date.form", 2, place + len(b"STC*A2:20:PR*")),
        ("amount.form", 4, place + len(b"STC*A2:20:PR*20260199*WQ*")),
    ]
