from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from payer_simulator.claims_837 import file_837, many
from payer_simulator.x12_oracle import assert_balanced, bai2_deposits, nacha_entries, pyx12_accepts, remittances

from pipeline.bank_days import is_bank_day
from pipeline.payer_simulator.adjudication import Table, load_table
from pipeline.payer_simulator.answers import Answered, answer
from pipeline.payer_simulator.submissions import read_submission
from pipeline.payers import load_profiles
from pipeline.x12.segments import iter_segments
from pipeline.x12.validator import validate

SHIPPED = load_table()
#: the same table, minding the age of a claim
TABLE = SHIPPED.model_copy(update={"rules": SHIPPED.rules.model_copy(update={"filed_late": "denied: filed late"})})


def answered(data: bytes, *, table: Table = TABLE, seed: int = 27, **options: Any) -> Answered:
    given = {"duplicate": False, "number": 1, "known": set(), "faults": {}, **options}
    return answer(data, read_submission(data), profile=load_profiles()["medicare"], table=table, seed=seed, **given)


def of_kind(found: Answered, kind: str) -> list[bytes]:
    return [a.data for a in found.answers if a.kind == kind]


def elements(data: bytes, segment_id: str) -> list[tuple[str, ...]]:
    return [s.elements for s in iter_segments(data) if s.id == segment_id]


@pytest.fixture(scope="module")
def whole() -> Answered:
    return answered(file_837(many(300), control=7, sets=2))


def test_everything_passes_our_validator_and_pyx12(whole: Answered, tmp_path: Path) -> None:
    edi = [a for a in whole.answers if a.kind in ("835", "999", "277CA", "TA1")]
    assert [a.kind for a in edi if a.kind != "835"] == ["TA1", "277CA", "999"]
    for one in edi:
        assert validate(one.data) == [], one.kind
        if one.kind != "TA1":
            assert pyx12_accepts(one.data, tmp_path), one.kind


def test_acknowledgments_come_last(whole: Answered) -> None:
    kinds = [a.kind for a in whole.answers]
    last_money = max(i for i, k in enumerate(kinds) if k in ("835", "NACHA", "BAI2"))
    assert all(k in ("835", "NACHA", "BAI2") for k in kinds[: last_money + 1])
    assert sorted(kinds[last_money + 1 :]) == ["277CA", "999", "TA1"]


def test_the_same_bytes_get_the_same_answers(whole: Answered) -> None:
    data = file_837(many(300), control=7, sets=2)
    assert [(a.name, a.data) for a in answered(data, number=99).answers] == [(a.name, a.data) for a in whole.answers]
    other = answered(data, seed=28)
    assert {a.data for a in other.answers if a.kind == "835"}.isdisjoint(a.data for a in whole.answers)


def test_every_claim_is_told_once_at_the_277ca_and_paid_or_refused(whole: Answered) -> None:
    sent = {claim_id: Decimal(sum(charges)) for claim_id, charges in many(300)}
    (ack,) = of_kind(whole, "277CA")
    told: dict[str, str] = {}
    claim_id = ""
    for s in iter_segments(ack):
        if s.id == "TRN":
            claim_id = s.element(2)
        elif s.id == "STC" and claim_id in sent:
            told[claim_id] = s.element(3)
            assert Decimal(s.element(4)) == sent[claim_id]
    assert told.keys() == sent.keys()
    refused = {c for c, action in told.items() if action == "U"}
    assert set(whole.refused) == refused
    assert 4 < len(refused) < 40
    paid = [c for data in of_kind(whole, "835") for r in remittances(data) for c in r["claims"]]
    firsts = [c for c in paid if c["status"] != "22" and not c["number"].endswith("C")]
    assert sorted(c["id"] for c in firsts) == sorted(told.keys() - refused)
    assert all(c["charge"] == sent[c["id"]] for c in firsts)
    assert all(
        [line["control"] for line in c["lines"]] == [f"{c['id']}L{n}" for n in range(1, len(c["lines"]) + 1)]
        for c in paid
    )


def test_claim_numbers_of_the_277ca_are_those_of_the_835(whole: Answered) -> None:
    numbers = {e[2] for e in elements(of_kind(whole, "277CA")[0], "REF") if e[1] == "1K"}
    firsts = {
        c["number"] for data in of_kind(whole, "835") for r in remittances(data) for c in r["claims"]
        if not c["number"].endswith("C")
    }  # fmt: skip
    assert firsts == numbers


def test_835_and_eft_and_deposit_agree(whole: Answered) -> None:
    remits = [r for data in of_kind(whole, "835") for r in remittances(data)]
    for r in remits:
        assert_balanced(r)
    assert {r["origin"] for r in remits} == {"1520000001"}
    assert len({r["trace"] for r in remits}) == len(remits)
    due = sorted((rf"TRN*1*{r['trace']}*{r['origin']}" + "\\", int(r["amount"] * 100), r["date"][2:], r["account"]) for r in remits if r["amount"])  # fmt: skip
    efts = [e for data in of_kind(whole, "NACHA") for e in nacha_entries(data)]
    assert sorted((e["addenda"], e["cents"], e["effective"], e["account"]) for e in efts) == due
    assert {(e["class"], e["description"], e["code"]) for e in efts} == {("CCD", "HCCLAIMPMT", "22")}
    deposits = [d for data in of_kind(whole, "BAI2") for d in bai2_deposits(data)]
    assert sorted((d["text"].split("HCCLAIMPMT ")[1], d["cents"], d["day"], d["account"]) for d in deposits) == due
    assert {d["code"] for d in deposits} == {"165"}
    assert sum(r["amount"] for r in remits) > 5_000


def test_payment_dates_lie_after_the_submission_on_bank_days(whole: Answered) -> None:
    from datetime import datetime

    for data in of_kind(whole, "835"):
        for r in remittances(data):
            day = datetime.strptime(r["date"], "%Y%m%d").date()
            assert is_bank_day(day)
            assert 3 <= (day - datetime(2026, 11, 20).date()).days <= 20


def test_control_numbers_of_all_answers_differ(whole: Answered) -> None:
    numbers = [elements(a.data, "ISA")[0][13] for a in whole.answers if a.kind not in ("NACHA", "BAI2")]
    assert len(set(numbers)) == len(numbers)
    assert all(n.startswith("00000007") for n in numbers)


def test_a_zero_payment_moves_no_money() -> None:
    only = TABLE.outcome("denied: no authorisation").model_copy(update={"weight": 1})
    found = answered(file_837(many(5)), table=TABLE.model_copy(update={"outcomes": (only,)}))
    assert not of_kind(found, "NACHA")
    assert not of_kind(found, "BAI2")
    remits = [r for data in of_kind(found, "835") for r in remittances(data)]
    assert {(r["amount"], r["method"], r["handling"]) for r in remits} == {(Decimal(0), "NON", "H")}
    assert sum(len(r["claims"]) for r in remits) == 5
    for data in of_kind(found, "835"):
        assert validate(data) == []


def test_no_ta1_where_none_is_asked() -> None:
    assert not of_kind(answered(file_837(many(2), ack_requested="0")), "TA1")


def test_a_duplicate_gets_ta1_025_and_nothing_else() -> None:
    data = file_837(many(3), ack_requested="0")
    found = answered(data, duplicate=True, number=2)
    (one,) = found.answers
    assert one.kind == "TA1"
    assert elements(one.data, "TA1") == [("TA1", "000000001", "261120", "0200", "R", "025")]
    again = answered(data, duplicate=True, number=3).answers[0]
    assert again.name != one.name
    assert elements(again.data, "ISA")[0][13] != elements(one.data, "ISA")[0][13]


def test_a_set_with_an_error_is_rejected_and_its_neighbour_paid() -> None:
    text = file_837(many(4), sets=2).decode()
    broken = text.replace("DMG*D8*19500214*F~", "DMG*D8*19501314*F~", 1).encode()
    found = answered(broken)
    (nine,) = of_kind(found, "999")
    assert [(e[1]) for e in elements(nine, "IK5")] == ["R", "A"]
    assert elements(nine, "AK9")[0][1:5] == ("P", "2", "2", "1")
    assert set(found.refused) >= {"C00000001", "C00000002"}
    told = {e[2] for e in elements(of_kind(found, "277CA")[0], "TRN")}
    assert "C00000003" in told
    assert "C00000001" not in told


def test_a_file_whose_only_set_is_rejected_gets_no_277ca_and_no_money() -> None:
    broken = file_837(many(2)).replace(b"DMG*D8*19500214*F~", b"DMG*D8*19501314*F~")
    found = answered(broken)
    assert [a.kind for a in found.answers] == ["TA1", "999"]
    assert elements(of_kind(found, "999")[0], "AK9")[0][1] == "R"
    assert found.refused == ["C00000001", "C00000002"]


@pytest.mark.parametrize("permille", [0, 1000])
def test_the_seeded_refusal_of_sets(permille: int) -> None:
    sets = TABLE.sets.model_copy(update={"rejected_permille": permille})
    table = TABLE.model_copy(update={"sets": sets})
    codes = [e[1] for e in elements(of_kind(answered(file_837(many(4), sets=2), table=table), "999")[0], "IK5")]
    assert codes == (["R", "R"] if permille else ["A", "A"])
    single = elements(of_kind(answered(file_837(many(4)), table=table), "999")[0], "IK5")
    assert [e[1] for e in single] == ["A"]
    table = table.model_copy(update={"sets": sets.model_copy(update={"single_sets": True})})
    refused = of_kind(answered(file_837(many(4)), table=table), "999")[0]
    assert [e[1] for e in elements(refused, "IK5")] == (["R"] if permille else ["A"])
    assert validate(refused) == []


@pytest.mark.parametrize(
    ("spoil", "note"),
    [
        (lambda d: d.replace(b"IEA*1*000000001", b"IEA*1*000000009"), "001"),
        (lambda d: d.replace(b"IEA*1*", b"IEA*3*"), "021"),
        (lambda d: d[: len(d) // 2], "023"),
    ],
)
def test_a_broken_envelope_is_rejected_by_ta1_alone(spoil: Any, note: str) -> None:
    found = answered(spoil(file_837(many(3))))
    assert [a.kind for a in found.answers] == ["TA1"]
    ((*_, code, told),) = elements(found.answers[0].data, "TA1")
    assert (code, told) == ("R", note)
    assert set(found.refused) <= {"C00000001", "C00000002", "C00000003"}


def test_what_is_no_x12_gets_no_answer_and_an_acknowledgment_neither(whole: Answered) -> None:
    assert answered(b"%PDF-1.4").answers == []
    assert answered(b"").answers == []
    assert answered(of_kind(whole, "999")[0]).answers == []


def test_two_claims_with_one_number_in_a_file_the_second_is_refused() -> None:
    found = answered(file_837([("C00000001", [100]), ("C00000001", [100])]))
    (ack,) = of_kind(found, "277CA")
    actions = [(e[1], e[3]) for e in elements(ack, "STC")][2:]
    assert actions[1] == ("A3:54", "U")
    assert (
        len([c for d in of_kind(found, "835") for r in remittances(d) for c in r["claims"] if c["status"] == "1"]) == 1
    )


def test_a_name_with_our_usual_delimiters_comes_back_under_the_senders_own(tmp_path: Path) -> None:
    theirs = (
        file_837(many(3), patient="JANE")
        .translate(bytes.maketrans(b"*:~^", b"|>\x1d!"))
        .replace(b"|DOE|JANE|", b"|D*E|JANE:A~|")
    )
    found = answered(theirs)
    assert [e[1] for e in elements(of_kind(found, "999")[0], "IK5")] == ["A"]
    for kind in ("835", "277CA"):
        for data in of_kind(found, kind):
            assert {e[3:5] for e in elements(data, "NM1") if e[1] == "QC"} == {("D*E", "JANE:A~")}
            assert validate(data) == []
