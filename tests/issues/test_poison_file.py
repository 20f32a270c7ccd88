"""'One file of the bank, and no later night got past it.' A file that nobody thought of costs itself alone, whatever it holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from acknowledgments.test_acknowledgments_stage import PROVIDER, claim, f277, f999
from deposits.test_deposits_stage import bai2, eft_credit, nacha
from ledger.books import ON, Books, file_835, remittance

from pipeline import night
from pipeline.acknowledgments import stage as acknowledgments_stage
from pipeline.deposits import nacha as nacha_reader
from pipeline.deposits import stage as deposits_stage
from pipeline.errors import Terminal
from pipeline.ledger import proof
from pipeline.remittances import arriving
from pipeline.remittances import stage as remittances_stage
from pipeline.store import Store, received
from pipeline.store import register as r


def states(books: Books) -> dict[str, str]:
    return {row.file_id: row.state for row in books.rows(r.files) if row.direction == "in"}


def amount(text: str) -> bytes:
    return bai2("165,8000,0,,,X").replace(b"8000", text.encode())


POISON: dict[str, tuple[bytes, str]] = {
    "BAI2: 25 digits": (amount("9" * 25), "BAI2"),
    "BAI2: 5,000 digits": (amount("9" * 5_000), "BAI2"),
    "BAI2: a superscript type code": (bai2("165,8000,0,,,X").replace(b"16,165", "16,16²".encode()), "BAI2"),
    "BAI2: counts of 5,000 digits": (bai2("165,1,0,,,X").replace(b",1,5/", b"," + b"9" * 5_000 + b",5/"), "BAI2"),
    "NACHA: superscript digits": (nacha(8_000, "T1").replace(b"0000008000123", "000000800²123".encode()), "NACHA"),
}  # fmt: skip


@pytest.mark.parametrize(("data", "kind"), POISON.values(), ids=POISON.keys())
def test_a_poison_bank_file_is_set_aside_and_its_neighbours_are_booked(books: Books, data: bytes, kind: str) -> None:
    bad = books.receive(data, kind, "bank")
    good = books.receive(bai2(eft_credit(700, "T7")), "BAI2", "bank")
    deposits_stage.run(books.store, ON)
    assert states(books) == {bad: "quarantined", good: "processed"}
    assert [row.amount_cents for row in books.rows(r.deposits)] == [700]
    assert bad in {item.subject for item in books.work("file")}
    assert deposits_stage.run(books.store, ON).get("files", 0) == 0
    proof.prove(books.store)


STRAY = {
    "rejected at a level ZZ": "HL*3*2*ZZ*1\nNM1*85*2*CLINIC*****XX*1234567893\nTRN*2*0\nSTC*A3:21:PR*20261120*U*100",
    "accepted at a level ZZ": "HL*3*2*ZZ*1\nNM1*85*2*CLINIC*****XX*1234567893\nTRN*2*0\nSTC*A2:20:PR*20261120*WQ*100",
    "a level without a name": "HL*3*2**1\nSTC*A2:20:PR*20261120*WQ*100",
}


@pytest.mark.parametrize("level", STRAY.values(), ids=STRAY.keys())
def test_a_277ca_with_a_level_that_does_not_exist_is_set_aside(books: Books, level: str) -> None:
    """HL03 ZZ: its statuses would be of nobody, and a rejection there ended the night."""
    books.send("C1", "C2")
    bad = books.receive(f277(f"{level}\n{claim('C1', 'A2:20:PR*20261120*WQ*100')}"), "277CA")
    good = books.receive(f277(f"{PROVIDER}\n{claim('C2', 'A2:20:PR*20261120*WQ*100')}", control=10), "277CA")
    night.acknowledge(books.store, ON)
    assert states(books) == {bad: "quarantined", good: "processed"}
    assert books.states() == {"C1": "sent", "C2": "accepted"}
    (item,) = books.work("file")
    assert (item.subject, item.cause) == (bad, "277CA.level")


# --- the mechanism: anything raised over one file ---------------------------------------------------------------------


def _acknowledgment(n: int) -> bytes:
    return f999(f"AK2*837*{n:04d}\nIK5*A", control=n)


STAGES: dict[str, tuple[Any, str, Callable[[int], bytes]]] = {
    "acknowledgments": (acknowledgments_stage, "999", _acknowledgment),
    "remittances": (remittances_stage, "835",
                    lambda n: file_835(remittance("", amount="0", trace=f"T{n}", method="NON"), control=n)),
    "deposits": (deposits_stage, "BAI2", lambda n: bai2(eft_credit(n, f"T{n}"))),
}  # fmt: skip


@pytest.mark.parametrize(("stage", "kind", "make"), STAGES.values(), ids=STAGES.keys())
def test_what_is_raised_while_one_file_is_read_costs_that_file(
    books: Books, monkeypatch: pytest.MonkeyPatch, stage: Any, kind: str, make: Callable[[int], bytes]
) -> None:
    ids = [books.receive(make(n), kind) for n in (1, 2, 3)]
    read = stage._read

    def stumbling(store: Store, row: Any, *more: Any) -> Any:
        if row.file_id == ids[1]:
            raise KeyError("JANE DOE")
        return read(store, row, *more)

    monkeypatch.setattr(stage, "_read", stumbling)
    counts = stage.run(books.store, ON)
    assert states(books) == {ids[0]: "processed", ids[1]: "quarantined", ids[2]: "processed"}
    assert (counts["files"], counts["files_quarantined"]) == (3, 1)
    (item,) = books.work("file")
    assert (item.subject, item.cause) == (ids[1], received.UNWORKABLE)
    assert "KeyError at test_poison_file.py:" in item.reason
    assert "DOE" not in repr([item, *books.rows(r.findings)])


@pytest.mark.parametrize(("stage", "kind", "make"), STAGES.values(), ids=STAGES.keys())
def test_what_is_raised_while_one_file_is_recorded_costs_that_file(
    books: Books, monkeypatch: pytest.MonkeyPatch, stage: Any, kind: str, make: Callable[[int], bytes]
) -> None:
    ids = [books.receive(make(n), kind) for n in (1, 2, 3)]
    marks = arriving if stage is remittances_stage else stage  # the room that says what becomes of a file
    update = marks.update_rows

    def marking(connection: Any, table: Any, key: str, values: Any, columns: Any) -> None:
        update(connection, table, key, values, columns)
        if any(value.get("file_id") == ids[1] for value in values):
            raise OverflowError("Python int too large to convert to SQLite INTEGER")

    monkeypatch.setattr(marks, "update_rows", marking)
    counts = stage.run(books.store, ON)
    assert states(books) == {ids[0]: "processed", ids[1]: "quarantined", ids[2]: "processed"}
    assert (counts["files"], counts["files_quarantined"]) == (3, 1)
    assert [item.subject for item in books.work("file")] == [ids[1]]
    kept = {row.file_id for row in books.rows(r.acknowledgments)} | {row.file_id for row in books.rows(r.deposits)}
    kept |= {row.file_id for row in books.rows(r.remittances)}
    assert kept == {ids[0], ids[2]}


def test_a_defect_that_no_file_is_to_blame_for_quarantines_none(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    file_id = books.receive(bai2(eft_credit(1, "T1")), "BAI2", "bank")

    def broken(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(deposits_stage, "_alarms", broken)
    with pytest.raises(ZeroDivisionError):
        deposits_stage.run(books.store, ON)
    assert states(books) == {file_id: "archived"}


def test_a_trouble_of_the_machine_quarantines_nothing(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    file_id = books.receive(bai2(eft_credit(1, "T1")), "BAI2", "bank")

    def gone(*_: Any) -> bytes:
        raise Terminal("The archive has no such file.")

    monkeypatch.setattr(deposits_stage, "_read", gone)
    with pytest.raises(Terminal):
        deposits_stage.run(books.store, ON)
    assert states(books) == {file_id: "archived"}


# --- quality looks at received files before the stages do ---------------------------------------------------------------


def test_a_single_illegible_835_is_set_aside_and_the_next_night_goes_on(books: Books) -> None:
    bad = books.receive(file_835(remittance("", amount="NaN")), "835")
    night.post(books.store, ON)
    assert states(books) == {bad: "quarantined"}
    (item,) = books.work("file")
    assert item.cause == "quality.remittances.amount.present"
    books.send("C1", cents=100)
    good = books.receive(file_835(remittance("CLP*C1*1*1*1**12*I*11", amount="1"), control=2), "835")
    night.post(books.store, ON)
    assert states(books) == {bad: "quarantined", good: "processed"}


def test_quality_that_stumbles_over_one_file_sets_that_one_aside(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.quality import engine

    bad = books.receive(file_835(remittance("", amount="1", trace="BAD")), "835")
    books.send("C1", cents=100)
    good = books.receive(file_835(remittance("CLP*C1*1*1*1**12*I*11", amount="1"), control=2), "835")
    check = engine.check

    def stumbling(name: str, frame: Any, key: str) -> engine.Result:
        if (frame[key] == bad).any():
            raise ValueError("JANE DOE")
        return check(name, frame, key)

    monkeypatch.setattr(engine, "check", stumbling)
    counts = night.post(books.store, ON)
    assert states(books) == {bad: "quarantined", good: "processed"}
    assert counts["quality_checked"] == 1
    assert "DOE" not in repr(books.work())


def test_quality_that_can_blame_no_row_blames_the_file(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.quality import engine

    bad = books.receive(file_835(remittance("", amount="1", trace="BAD")), "835")
    books.send("C1", cents=100)
    good = books.receive(file_835(remittance("CLP*C1*1*1*1**12*I*11", amount="1"), control=2), "835")
    check = engine.check

    def broken(name: str, frame: Any, key: str) -> engine.Result:
        result = check(name, frame, key)
        if (frame[key] == bad).any():
            reason = engine.Reason("quality.remittances.odd", "Odd.", "Look.")
            result.broken.append(engine.Outcome("odd", "amount", False, 1, 0, reason))
        return result

    monkeypatch.setattr(engine, "check", broken)
    night.post(books.store, ON)
    assert states(books) == {bad: "quarantined", good: "processed"}
    assert [item.cause for item in books.work("file")] == ["quality.remittances.odd"]


def test_endless_days_of_funds_take_no_memory(books: Books) -> None:
    books.receive(bai2("165,1,D," + "9" * 15 + ",,X"), "BAI2", "bank")
    deposits_stage.run(books.store, ON)
    assert [row.amount_cents for row in books.rows(r.deposits)] == [1]


def test_the_readers_of_bank_files_never_raise_on_digits_of_other_scripts() -> None:
    for text in ("²", "٣", "Ⅷ"):
        found = nacha_reader.read(nacha(8_000, "T1").replace(b"0000008000", f"000000800{text}".encode()))
        assert (found.findings[0].rule, found.efts) == ("nacha.entry", [])


@pytest.mark.parametrize("day", ["99991231", "00010101", "21000101"])
def test_a_payment_date_ages_away_is_no_date(books: Books, day: str) -> None:
    """Bank days were counted up to it, one by one, every night."""
    books.send("C1", cents=100)
    books.receive(
        file_835(remittance("CLP*C1*1*1*1**12*I*11", amount="1", on=day).replace("DTM*405*" + day, "")), "835"
    )
    remittances_stage.run(books.store, ON)
    deposits_stage.run(books.store, ON)
    assert books.rows(r.remittances) == []
    assert [item.cause for item in books.work("remittance")] == ["835.key"]


def test_a_defect_in_one_step_of_a_night_is_a_trouble_and_holds_no_values() -> None:
    report = night.Report(ON)
    with night._noting(report, "posting"):
        raise KeyError("JANE DOE")
    with night._noting(report, "deposits") as noted:
        pass
    [trouble] = report.troubles
    assert trouble.startswith("posting: A defect (KeyError at test_poison_file.py:")
    assert "DOE" not in trouble
    assert noted == []
