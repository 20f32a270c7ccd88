"""The proof closes on books that are whole, and each kind of fault opens the line that it must."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import sqlalchemy as sa
from ledger.books import ON, SENT, Books, file_835, file_837, remittance

from pipeline.ledger import posting, proof
from pipeline.ledger.posting import Entry, Transaction
from pipeline.remittances import stage
from pipeline.store import register as r
from pipeline.store.store import insert_new


@pytest.fixture
def whole(books: Books) -> Books:
    """Three visits of 100.00: paid, denied, and one that is held; and a remittance with a stranger and a PLB."""
    books.send("C1", "C2", data=file_837(("C1", "100"), ("C2", "100")))
    with books.store.begin() as c:
        insert_new(c, r.encounters, [
            {"encounter_key": "E3", "version": 1, "content_hash": "h", "import_id": "i", "logical_date": SENT,
             "practice_id": "P1", "payer_key": "acme", "service_from": SENT, "charge_cents": 9_000, "billed_cents": 7_000,
             "unbilled_cents": 3_000, "priced_cents": 1_000, "state": "held", "reason": "x", "lake_part": "l",
             "source_file": "f", "source_row": 3}
        ])  # fmt: skip
        insert_new(c, r.visit_versions, [
            {"encounter_key": "E3", "version": 1, "import_id": "i", "charge_cents": 9_000}
        ])  # fmt: skip
        insert_new(c, r.imports, [
            {"import_id": "i", "logical_date": SENT, "format": "csv", "name": "x", "rows_read": 3, "charge_cents": 29_000,
             "rows_new": 3, "rows_changed": 0, "rows_known": 0, "rows_quarantined": 0}
        ])  # fmt: skip
    claims = """
    CLP*C1*1*100*60**12*ICN1*11
    CAS*CO*45*25
    CAS*PR*1*15
    CLP*C2*1*100*0**12*ICN2*11
    CAS*CO*50*100
    CLP*STRANGER*1*30*30**12*ICN9*11
    """
    text = remittance(claims, amount="85", tail="PLB*1234567893*20261231*WO:X*5")
    books.receive(file_835(text), "835")
    stage.run(books.store, ON)
    return books


def broken_lines(books: Books) -> set[str]:
    return {line.name for line in proof.prove(books.store).lines if line.difference}


def test_whole_books_close(whole: Books) -> None:
    found = proof.prove(whole.store)
    assert found.closes
    assert found.residue_cents == 0
    assert [(s.state, s.count, s.cents) for s in found.states] == [
        ("held", 1, 9_000), ("paid", 1, 10_000), ("denied", 1, 10_000),
    ]  # fmt: skip
    assert found.accounts["receivable:payer:acme"] == 10_000
    assert all(line.expected for line in found.lines if line.name.startswith(("CLM02 in", "BPR02", "charges of")))
    assert json.loads(json.dumps(found.as_dict()))["residue_cents"] == 0


def test_the_date_limits_the_visits_that_are_shown(whole: Books) -> None:
    assert proof.prove(whole.store, ON).states == []
    assert sum(s.count for s in proof.prove(whole.store, SENT).states) == 3


def change(table: sa.Table, **values: object) -> Callable[[sa.Connection], object]:
    first = next(iter(table.primary_key.columns))
    return lambda c: c.execute(
        sa.update(table).where(first == c.execute(sa.select(sa.func.min(first))).scalar()).values(**values)
    )


def extra(
    *entries: Entry, kind: str = "payment", remittance_id: str | None = None
) -> Callable[[sa.Connection], object]:
    return lambda c: posting.post(c, [Transaction(ON, kind, "extra", entries, remittance_id)])


#: what goes wrong → lines of which one at least must open
FAULTS: dict[str, tuple[Callable[[sa.Connection], object], str]] = {
    "a visit's charge is changed": (change(r.encounters, charge_cents=10_001), "charges of all visits ever brought (newest version) = charges of registered visits"),
    "a held visit's billed part is changed": (
        change(r.encounters, billed_cents=9_999),
        "charges of coded visits, with what the charge master priced = billed + not billed apart",
    ),
    "a claimed visit's billed part is changed": (
        lambda c: c.execute(sa.update(r.encounters).where(r.encounters.c.claim_id == "C1").values(billed_cents=1)),
        "billed by claimed visits = charges of claims",
    ),
    "a claim's charge is changed": (change(r.claims, charge_cents=9_999), "CLM02 of each claim in its file (sum of differences)"),
    "a charge is posted twice": (
        extra(Entry("receivable:payer:acme", 10_000, "C1"), Entry("income:charges", -10_000, "C1"), kind="charge"),
        "each claim's charge is posted once, as billed",
    ),
    "a write-off beside the remittances": (
        extra(Entry("adjustment:contractual", 1, "C1"), Entry("receivable:payer:acme", -1, "C1")),
        "written off by remittances = adjustments in the ledger",
    ),
    "money moved between two claims": (
        extra(Entry("receivable:payer:acme", 7, "C1"), Entry("receivable:payer:acme", -7, "C2")),
        "the payer's receivable of each claim (sum of differences)",
    ),
    "the patient is billed beside the remittances": (
        extra(Entry("receivable:patient", 3, "C2"), Entry("receivable:payer:acme", -3, "C2")),
        "group PR of remittances = the patients' receivable",
    ),
    "a remittance's amount is changed": (change(r.remittances, amount_cents=8_400), "BPR02 of the archived 835 files = amounts of remittances"),
    "a payment is lost": (lambda c: c.execute(sa.delete(r.remittance_claims).where(r.remittance_claims.c.claim_id == "C1")),
                          "paid by claims of posted remittances − provider adjustments = their amounts"),
    "unapplied money vanishes": (
        extra(Entry("unapplied:remittance", 3_000), Entry("provider_adjustment:WO", -3_000)),
        "paid by claims that were not found = unapplied",
    ),
    "the bank account without a deposit": (
        extra(Entry("bank:operating", 5), Entry("suspense:deposits", -5), kind="deposit"),
        "deposits of the bank's reports = the bank account",
    ),
    "clearing without a deposit": (
        extra(Entry("suspense:deposits", 5), Entry("clearing:eft:acme", -5), kind="deposit"),
        "remittances without a deposit = clearing that is open",
    ),
    "a sending says another charge": (change(r.sendings, charge_cents=1), "CLM02 in the archived 837 files = charges of the sendings"),
}  # fmt: skip


@pytest.mark.parametrize(("fault", "line"), FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_opens_its_line(whole: Books, fault: Callable[[sa.Connection], object], line: str) -> None:
    with whole.store.begin() as c:
        fault(c)
    assert line in broken_lines(whole)
    assert not proof.prove(whole.store).closes


def test_faults_that_cancel_out_still_leave_a_residue(whole: Books) -> None:
    """One cent more here, one less there: sums agree, the proof does not close."""
    with whole.store.begin() as c:
        c.execute(sa.update(r.claims).where(r.claims.c.claim_id == "C1").values(charge_cents=10_001))
        c.execute(sa.update(r.claims).where(r.claims.c.claim_id == "C2").values(charge_cents=9_999))
    found = proof.prove(whole.store)
    assert sum(line.difference for line in found.lines if line.name.startswith("billed by")) == 0
    assert found.residue_cents > 0


def test_a_visit_in_no_state_a_broken_chain_and_an_altered_archive_keep_it_open(whole: Books) -> None:
    (file_id,) = [row.file_id for row in whole.rows(r.sendings)]
    path = whole.store.settings.home / "archive" / file_id[:2] / file_id
    path.chmod(0o600)
    path.write_bytes(path.read_bytes().replace(b"CLM*C1*100", b"CLM*C1*999"))
    with whole.store.engine.begin() as c:
        for name in c.exec_driver_sql("SELECT name FROM sqlite_master WHERE type='trigger'").scalars().all():
            c.exec_driver_sql(f'DROP TRIGGER "{name}"')
        c.execute(sa.update(r.claim_events).where(r.claim_events.c.sequence == 2).values(detail="altered"))
        c.execute(sa.update(r.encounters).where(r.encounters.c.encounter_key == "E3").values(state="claimed"))
    broken = " ".join(proof.prove(whole.store).broken)
    assert "event 2" in broken
    assert "was altered" in broken
    assert "1 visit says that it has a claim, and there is none." in broken


def test_names_that_hold_the_letters_of_a_header_do_not_hide_claims() -> None:
    glued = file_837(("C1", "100")).replace(b"BHT*", b"NM1*IL*1*DOE*LISA*X~BHT*") + b"\r\n" + file_837(("C2", "7.5"))
    assert list(proof.claims_in(glued)) == [("C1", 10_000), ("C2", 750)]


def test_a_visit_that_vanishes_is_missed(whole: Books) -> None:
    with whole.store.begin() as c:
        c.execute(sa.delete(r.encounters).where(r.encounters.c.encounter_key == "E3"))
    found = proof.prove(whole.store)
    assert not found.closes
    assert "1 visit that extracts brought is no longer in the register." in found.broken
    line = next(one for one in found.lines if one.name.startswith("charges of all visits ever brought"))
    assert line.expected - line.found == 9_000


def test_an_extract_stays_proved_when_a_later_one_brings_a_visit_anew(whole: Books) -> None:
    with whole.store.begin() as c:
        insert_new(c, r.visit_versions, [
            {"encounter_key": "E3", "version": 2, "import_id": "j", "charge_cents": 9_500}
        ])  # fmt: skip
        insert_new(c, r.imports, [
            {"import_id": "j", "logical_date": ON, "format": "csv", "name": "x", "rows_read": 3, "charge_cents": 29_500,
             "rows_new": 0, "rows_changed": 1, "rows_known": 2, "rows_quarantined": 0}
        ])  # fmt: skip
        e = r.encounters.c
        c.execute(
            sa.update(r.encounters).where(e.encounter_key == "E3")
            .values(version=2, charge_cents=9_500, billed_cents=7_500, import_id="j", logical_date=ON)
        )  # fmt: skip
    found = proof.prove(whole.store)
    assert found.closes
    line = next(one for one in found.lines if one.name.startswith("charges of extracts that were wholly new"))
    assert (line.expected, line.found) == (29_000, 29_000)


def test_an_empty_store_closes(books: Books) -> None:
    assert proof.prove(books.store).closes
