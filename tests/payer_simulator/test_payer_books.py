"""Replacements, voids and repeats: what the payer holds, takes back and pays anew, over several files and restarts."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from payer_simulator.claims_837 import file_837
from payer_simulator.x12_oracle import pyx12_accepts

from pipeline.payer_simulator.adjudication import Outcome, Step, Table, load_table
from pipeline.payer_simulator.box import Box
from pipeline.payer_simulator.faults import FaultPlan
from pipeline.payers import load_profiles
from pipeline.transactions import read

SHIPPED = load_table()


def table(*steps: Step, correct: Sequence[Step] = ()) -> Table:
    """Every claim meets this one outcome; no provider adjustments of the payer's own."""
    outcome = Outcome(name="only", weight=1, adjust=steps, correct=tuple(correct))
    repeat = SHIPPED.outcome("denied: repeats a paid claim")
    dates = SHIPPED.dates.model_copy(update={"second_permille": 0})
    return SHIPPED.model_copy(
        update={"outcomes": (outcome, repeat), "provider_adjustments": (), "dates": dates},
    )


CONTRACT = Step(group="CO", reason="45", percent=(20, 20))


class Payer:
    """A box without its server; every file is answered at once, by a box started anew from its record."""

    def __init__(self, root: Path, rules: Table) -> None:
        self.root, self.rules, self.control = root, rules, 0

    def submit(self, *claims: tuple[str, list[int]], **given: Any) -> Answers:
        self.control += 1
        box = Box(self.root, load_profiles(), self.rules, 27, FaultPlan(), lambda seconds, action: None)
        to = {"payer_id": "AETNA1", "receiver": "BOXAETNA", "filing": "CI", "member": "W123456789"}
        (box.inbound("aetna") / "claims.edi").write_bytes(file_837(claims, control=self.control, **to | given))
        box.take("aetna", "claims.edi")
        before = set(box.outbound("aetna").iterdir())
        assert box.work() == 1
        return Answers(sorted(set(box.outbound("aetna").iterdir()) - before))


class Answers:
    def __init__(self, paths: list[Path]) -> None:
        self.files = {p.name: p.read_bytes() for p in paths}

    def rows(self, table_name: str) -> list[dict[str, Any]]:
        found = []
        for data in self.files.values():
            tables = read(data).tables
            found += tables[table_name].to_pylist() if table_name in tables else []
        return found

    @property
    def paid(self) -> list[tuple[str, str, Decimal, Decimal, str]]:
        return [
            (c["claim_id"], c["status"], c["charge"], c["paid"], c["payer_claim_number"])
            for c in self.rows("835.claims")
        ]

    @property
    def told(self) -> list[tuple[str, str]]:
        """Category and action of each claim."""
        return [(s["category"], s["action"]) for s in self.rows("277CA.statuses") if s["level"] == "claim"]

    @property
    def balances(self) -> list[tuple[str, Decimal]]:
        return [(a["reason"], a["amount"]) for a in self.rows("835.provider_adjustments")]

    @property
    def amounts(self) -> list[Decimal]:
        return [p["amount"] for p in self.rows("835.payments")]


@pytest.fixture
def payer(tmp_path: Path) -> Payer:
    return Payer(tmp_path / "box", table(CONTRACT))


def money(cents: int) -> Decimal:
    return Decimal(cents).scaleb(-2)


def test_a_replacement_takes_the_payment_back_and_pays_anew(payer: Payer, tmp_path: Path):
    [(_, _, _, _, number)] = payer.submit(("C1", [100]), patient="ANN").paid
    after = payer.submit(("C1V2", [150]), patient="ANN", frequency="7", original=number)
    assert after.told == [("A2", "WQ")]
    [back, anew] = after.paid
    assert back == ("C1", "22", money(-10000), money(-8000), number)
    assert anew[:4] == ("C1V2", "1", money(15000), money(12000))
    assert anew[4] != number
    assert after.amounts == [money(4000)]
    for name, data in after.files.items():
        assert name.endswith("_TA1.edi") or pyx12_accepts(data, tmp_path), name
    third = payer.submit(("C1V3", [100]), patient="ANN", frequency="7", original=anew[4])
    assert [p[:2] for p in third.paid] == [("C1V2", "22"), ("C1V3", "1")]


@pytest.mark.parametrize("number", ["", "NONE", "26324" + "000000001" + "000009", "26324" + "000000009" + "000001"])
def test_a_number_that_the_payer_does_not_hold_is_rejected(payer: Payer, number: str):
    payer.submit(("C1", [100]))
    given = {"original": number} if number else {}
    after = payer.submit(("C1V2", [100]), frequency="7", **given)
    assert after.paid == []
    assert [action for _, action in after.told] in ([], ["U"])  # without REF*F8 the set itself may be refused


def test_what_was_replaced_or_voided_cannot_be_replaced_again(payer: Payer):
    [(*_, number)] = payer.submit(("C1", [100])).paid
    payer.submit(("C1V2", [100]), frequency="8", original=number)
    for frequency in "78":
        after = payer.submit((f"C1V{frequency}", [100]), frequency=frequency, original=number)
        assert (after.told, after.paid) == ([("A4", "U")], [])


def test_a_void_takes_the_money_from_what_comes_next(payer: Payer):
    [(*_, number)] = payer.submit(("C1", [100])).paid
    void = payer.submit(("C1V2", [100]), frequency="8", original=number)
    assert void.told == [("A2", "WQ")]
    assert [p[:4] for p in void.paid] == [("C1", "22", money(-10000), money(-8000))]
    assert (void.amounts, void.balances) == ([money(0)], [("FB", money(-8000))])
    part = payer.submit(("C2", [50]))
    assert (part.amounts, part.balances) == ([money(0)], [("FB", money(8000)), ("FB", money(-4000))])
    rest = payer.submit(("C3", [200]))
    assert (rest.amounts, rest.balances) == ([money(12000)], [("FB", money(4000))])
    assert payer.submit(("C4", [10])).balances == []


def test_an_original_with_the_content_of_a_paid_one_is_denied_as_a_repeat(payer: Payer):
    [(*_, number)] = payer.submit(("C1", [100]), patient="ANN").paid
    again = payer.submit(("C9", [100]), patient="ANN")
    assert again.told == [("A2", "WQ")]
    assert [p[:4] for p in again.paid] == [("C9", "1", money(10000), money(0))]
    assert [(a["group"], a["reason"]) for a in again.rows("835.adjustments")] == [("CO", "18")]
    for other in ({"patient": "BEA"}, {"patient": "ANN", "service": "20261103"}, {"patient": "ANN", "modifier": "76"}):
        assert payer.submit((f"C{payer.control}", [100]), **other).paid[0][3] == money(8000)
    payer.submit(("C1V2", [100]), patient="ANN", frequency="8", original=number)
    assert payer.submit(("C10", [100]), patient="ANN").paid[0][3] > 0


def test_two_originals_of_one_content_in_one_file_are_paid_once(payer: Payer):
    assert [p[3] for p in payer.submit(("C1", [100]), ("C2", [100]), patient="ANN").paid] == [money(8000), money(0)]


def test_a_denied_repeat_can_be_replaced(payer: Payer):
    payer.submit(("C1", [100]), patient="ANN")
    [(*_, number)] = payer.submit(("C2", [100]), patient="ANN").paid
    after = payer.submit(("C2V2", [70]), patient="ANN", frequency="7", original=number)
    assert [p[:4] for p in after.paid] == [
        ("C2", "22", money(-10000), money(0)), ("C2V2", "1", money(7000), money(5600)),
    ]  # fmt: skip


def test_after_the_payers_own_correction_the_correction_is_taken_back(tmp_path: Path):
    payer = Payer(tmp_path / "box", table(CONTRACT, correct=[Step(group="CO", reason="45", percent=(10, 10))]))
    first = payer.submit(("C1", [100]), patient="ANN").paid
    assert [p[1] for p in first] == ["1", "22", "1"]
    for number in (first[0][4], first[2][4]):
        one = Payer(tmp_path / f"box{number[-1]}", payer.rules)
        one.submit(("C1", [100]), patient="ANN")
        back = one.submit(("C1V2", [100]), patient="ANN", frequency="8", original=number).paid[0]
        assert back == ("C1", "22", money(-10000), money(-9000), first[2][4])


def test_the_same_file_is_answered_the_same_after_a_kill_before_its_record(payer: Payer, tmp_path: Path):
    """The books are what the record says: an answer that was not recorded has not changed them."""
    [(*_, number)] = payer.submit(("C1", [100])).paid
    again = Payer(tmp_path / "box", payer.rules)
    record = again.root / "record.jsonl"
    kept = record.read_bytes()
    again.control = 1
    first = again.submit(("C1V2", [100]), frequency="8", original=number)
    record.write_bytes(kept)
    for name in ("answered", "done"):
        (again.root / "taken" / "00000002" / name).unlink()
    box = Box(again.root, load_profiles(), again.rules, 27, FaultPlan(), lambda seconds, action: None)
    for path in box.outbound("aetna").iterdir():
        path.unlink()
    assert box.work() == 1
    assert {p.name: p.read_bytes() for p in box.outbound("aetna").iterdir()} == first.files
