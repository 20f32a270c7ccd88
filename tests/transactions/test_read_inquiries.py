"""Eligibility (270, 271) and claim status (276, 277) as tables."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from transactions.x12_text import interchange

from pipeline.transactions import read


def rows(body: str, kind: str, version: str, functional: str, name: str) -> list[dict[str, Any]]:
    result = read(interchange(body, kind=kind, version=version, functional=functional), file="f", mode="strict")
    assert result.findings == []
    skipped = ("file", "set_number", "interchange_control", "set_control")
    return [{k: v for k, v in r.items() if v is not None and k not in skipped} for r in result.tables[name].to_pylist()]


PARTIES = "HL*1**20*1~NM1*PR*2*PAYER ONE*****PI*PAY01~HL*2*1*21*1~NM1*1P*2*GOOD PRACTICE*****XX*1234567893~"


def test_270_one_row_a_question() -> None:
    body = (
        "BHT*0022*13*Q1*20260105*0830~" + PARTIES
        + "HL*3*2*22*0~TRN*1*T1*9SENDER~NM1*IL*1*DOE*JO****MI*M1~DMG*D8*19800101*F~DTP*291*D8*20260105~EQ*30^1~EQ**HC:99213~"
        "HL*4*2*22*1~NM1*IL*1*ROE*RI****MI*M2~HL*5*4*23*0~TRN*1*T2*9SENDER~NM1*03*1*ROE*KIM~DTP*291*RD8*20260101-20260105~EQ*30~"
        "HL*6*2*22*0~TRN*1*T3*9SENDER~NM1*IL*1*POE*ED****MI*M3~"
    )  # fmt: skip
    found = rows(body, "270", "005010X279A1", "HS", "270.inquiries")
    common = {"batch_reference": "Q1", "payer_name": "PAYER ONE", "payer_id": "PAY01", "receiver_name": "GOOD PRACTICE",
              "receiver_id": "1234567893"}  # fmt: skip
    first = {**common, "trace": "T1", "level": "subscriber", "subscriber_id": "M1", "last_name": "DOE", "first_name": "JO",
             "birth_date": date(1980, 1, 1), "sex": "F", "plan_from": date(2026, 1, 5), "plan_to": date(2026, 1, 5)}  # fmt: skip
    assert found == [
        {**first, "segment": 14, "service_types": "30 1"},
        {**first, "segment": 15, "procedure_qualifier": "HC", "procedure": "99213"},
        {**common, "segment": 22, "trace": "T2", "level": "dependent", "subscriber_id": "M2", "last_name": "ROE",
         "first_name": "KIM", "plan_from": date(2026, 1, 1), "plan_to": date(2026, 1, 5), "service_types": "30"},
        {**common, "segment": 23, "trace": "T3", "level": "subscriber", "subscriber_id": "M3", "last_name": "POE", "first_name": "ED"},
    ]  # fmt: skip


def test_271_one_row_a_benefit_with_its_own_dates_and_messages() -> None:
    body = (
        "BHT*0022*11*A1*20260105*0830~" + PARTIES
        + "HL*3*2*22*0~TRN*2*T1*9SENDER~NM1*IL*1*DOE*JO****MI*M1~DTP*346*D8*20250101~"
        "EB*1*IND*30^1^33*PR*GOLD PLAN~EB*C*IND*30***23*600.5*****Y~DTP*292*RD8*20260101-20261231~MSG*PER YEAR~MSG*MEDICAL~"
        "LS*2120~NM1*P3*1*OTHER*DOC~LE*2120~EB*A*IND*98*****.2*VS*4*Y*N*HC:99213~"
    )  # fmt: skip
    active, deductible, share = rows(body, "271", "005010X279A1", "HB", "271.benefits")
    assert active == {
        "segment": 13, "batch_reference": "A1", "trace": "T1", "payer_name": "PAYER ONE", "payer_id": "PAY01",
        "receiver_name": "GOOD PRACTICE", "receiver_id": "1234567893", "level": "subscriber", "subscriber_id": "M1",
        "last_name": "DOE", "first_name": "JO", "information": "1", "coverage_level": "IND", "service_types": "30 1 33",
        "insurance_type": "PR", "plan": "GOLD PLAN",
    }  # fmt: skip
    assert (deductible["amount"], deductible["period"], deductible["in_network"]) == (Decimal("600.50"), "23", "Y")
    assert (deductible["date_qualifier"], deductible["date_from"], deductible["date_to"]) == (
        "292", date(2026, 1, 1), date(2026, 12, 31),
    )  # fmt: skip
    assert deductible["message"] == "PER YEAR MEDICAL"
    assert (share["percent"], share["quantity_qualifier"], share["quantity"], share["procedure"]) == (
        Decimal("0.2"), "VS", Decimal(4), "99213",
    )  # fmt: skip
    assert share["last_name"] == "DOE"


def test_271_refusals() -> None:
    body = "BHT*0022*11*A1*20260105*0830~" + PARTIES + "HL*3*2*22*0~TRN*2*T1*9S~NM1*IL*1*DOE*JO****MI*M1~AAA*N**72*C~"
    (row,) = rows(body, "271", "005010X279A1", "HB", "271.rejections")
    assert (row["level"], row["trace"], row["valid_request"], row["reason"], row["follow_up"]) == (
        "subscriber", "T1", "N", "72", "C",
    )  # fmt: skip


STATUS_PARTIES = (
    "HL*1**20*1~NM1*PR*2*PAYER ONE*****PI*PAY01~HL*2*1*21*1~NM1*41*2*SENDER*****46*S1~"
    "HL*3*2*19*1~NM1*1P*2*GOOD PRACTICE*****XX*1234567893~"
)


def test_276_one_row_a_claim_asked_for() -> None:
    body = (
        "BHT*0010*13*S1*20260105*0830~" + STATUS_PARTIES
        + "HL*4*3*22*0~DMG*D8*19800101*F~NM1*IL*1*DOE*JO****MI*M1~TRN*1*T1~REF*1K*ICN1~REF*EJ*ACC1~AMT*T3*100.5~DTP*472*D8*20251101~"
        "TRN*1*T2~DTP*472*RD8*20251101-20251103~"
        "HL*5*3*22*1~NM1*IL*1*ROE*RI****MI*M2~HL*6*5*23~NM1*QC*1*ROE*KIM~TRN*1*T3~"
    )  # fmt: skip
    first, second, third = rows(body, "276", "005010X212", "HR", "276.inquiries")
    assert first == {
        "segment": 14, "batch_reference": "S1", "payer_name": "PAYER ONE", "payer_id": "PAY01", "receiver_id": "S1",
        "provider_id": "1234567893", "subscriber_id": "M1", "patient_last": "DOE", "patient_first": "JO",
        "birth_date": date(1980, 1, 1), "sex": "F", "trace": "T1", "payer_claim_number": "ICN1", "patient_account": "ACC1",
        "charge": Decimal("100.50"), "service_from": date(2025, 11, 1), "service_to": date(2025, 11, 1),
    }  # fmt: skip
    assert (second["trace"], second["service_to"], second.get("charge")) == ("T2", date(2025, 11, 3), None)
    assert (third["trace"], third["patient_first"], third["subscriber_id"]) == ("T3", "KIM", "M2")


def test_277_one_row_a_status() -> None:
    body = (
        "BHT*0010*08*S1*20260105*0830*DG~" + STATUS_PARTIES
        + "HL*4*3*22*0~NM1*IL*1*DOE*JO****MI*M1~TRN*2*T1~STC*F1:65*20260103**200*150.25*20260104**20260105*CHK9~REF*1K*ICN1~"
        "REF*EJ*ACC1~DTP*472*D8*20251101~SVC*HC:99213*120*100.25~STC*F1:65*20260103~REF*FJ*L1~DTP*472*D8*20251102~"
        "TRN*2*T2~STC*P1:20*20260103**50~"
    )  # fmt: skip
    claim, line, other = rows(body, "277", "005010X212", "HN", "277.statuses")
    assert claim == {
        "segment": 14, "batch_reference": "S1", "level": "subscriber", "payer_name": "PAYER ONE", "payer_id": "PAY01",
        "receiver_id": "S1", "provider_id": "1234567893", "subscriber_id": "M1", "patient_last": "DOE", "patient_first": "JO",
        "trace": "T1", "payer_claim_number": "ICN1", "patient_account": "ACC1", "category": "F1", "status": "65",
        "effective_date": date(2026, 1, 3), "charge": Decimal(200), "paid": Decimal("150.25"),
        "adjudication_date": date(2026, 1, 4), "payment_date": date(2026, 1, 5), "check_number": "CHK9",
        "service_from": date(2025, 11, 1), "service_to": date(2025, 11, 1),
    }  # fmt: skip
    assert (line["level"], line["procedure"], line["charge"], line["paid"], line["line_control_number"], line["trace"]) == (
        "line", "99213", Decimal(120), Decimal("100.25"), "L1", "T1",
    )  # fmt: skip
    assert line["service_from"] == date(2025, 11, 2)
    assert (other["trace"], other["category"], other["charge"], other.get("payer_claim_number")) == (
        "T2",
        "P1",
        Decimal(50),
        None,
    )
