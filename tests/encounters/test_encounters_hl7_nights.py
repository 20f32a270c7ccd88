"""HL7 charges of one visit over several nights: each message adds to those before it, and no charge is lost or counted twice."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from encounters.extracts import Extract
from encounters.test_encounters_stage import claimed, rows, snapshot

from pipeline.claims import stage as building
from pipeline.coding import stage as coding
from pipeline.encounters import stage
from pipeline.ledger import proof
from pipeline.scrubbing import stage as scrubbing
from pipeline.store import Store
from pipeline.store import register as r
from pipeline.store.events import Move, move_claims

ON = date(2026, 11, 20)
KEY = "P01:V1"
PRACTICE = """practice_id,billing_name,billing_npi,billing_tin,billing_tin_kind,billing_taxonomy,billing_address1,billing_city,billing_state,billing_zip,place_of_service
P01,Northgate Family Medicine,1993999998,042103580,EI,207Q00000X,12 Elm Street,Albany,NY,122071234,11
"""
HEAD = r"""MSH|^~\&|EHR|P01|CLAIMS|X|20261111||DFT^P03|{number}|P|2.5
PID|1||MR77^^^P01^MR||O'Dwyer^Silas^J||19900131|M|||3 Oak Road^^Troy^NY^12180
PV1|1|O|||||||||||||||||V1"""  # PV1-19 is the visit's number
HEAD = HEAD.replace("|||||||||||||||||V1", "|" * 17 + "V1")
COVER = "IN1|1|A|AET|Aetna" + "|" * 13 + "SEL" + "|" * 19 + "W123456789"
_numbers = itertools.count(1)

#: what a charge says: code, amount, day
A, B, C = ("99213", "156.00"), ("87880", "38.00"), ("36415", "12.00")


def charge(what: tuple[str, str], number: str = "", kind: str = "CG", day: str = "20261110") -> tuple[str, ...]:
    code, amount = what
    return (number, kind, code, amount, day)


def message(*charges: tuple[str, ...], control: str = "", cover: bool = True) -> str:
    """One message; without a cover and diagnoses it is a late charge alone."""
    lines = [HEAD.format(number=control or f"M{next(_numbers)}")]
    lines += ["DG1|1||J02.0^strep^I10|||F"] if cover else []
    for place, (number, kind, code, amount, day) in enumerate(charges, 1):
        performed = "1245319599^Okafor^Ben^^^^^^^^^^NPI"
        lines.append(f"FT1|{place}|{number}||{day}||{kind}|||||{amount}{'|' * 8}J02.0^^I10|{performed}|||||{code}^^C4")
    return "\n".join([*lines, *([COVER] if cover else [])]) + "\n"


class Nights:
    """Takes in messages, a night each."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store, self.folder = store, folder

    def take(self, night: int, *messages: str) -> dict[str, int]:
        folder = self.folder / str(next(_numbers))
        folder.mkdir()
        (folder / "charges.hl7").write_text("".join(messages))
        (folder / "practices.csv").write_text(PRACTICE)
        return stage.run(self.store, ON + timedelta(days=night), folder)

    @property
    def visit(self) -> Any:
        [row] = rows(self.store, r.encounters)
        return row

    @property
    def charges(self) -> list[tuple[str, str]]:
        """The lines of the visit as it stands in the lake."""
        visit = self.visit
        where = ("encounter_key", [KEY])
        lines = self.store.lake.read("encounter_lines", visit.logical_date, visit.lake_part, where).to_pylist()
        assert [line["line"] for line in lines] == list(range(1, len(lines) + 1))
        assert sum(line["charge"] for line in lines) * 100 == visit.charge_cents
        return [(line["code"], str(line["charge"])) for line in lines]

    @property
    def found(self) -> list[tuple[str, str]]:
        return [(f.severity, f.rule) for f in rows(self.store, r.findings)]


@pytest.fixture
def nights(store: Store, tmp_path: Path) -> Iterator[Nights]:
    """And whatever came, the proof finds each visit as the extracts brought it."""
    yield Nights(store, tmp_path)
    found = proof.prove(store)
    assert [line for line in found.lines if line.difference and "extracts" in line.name] == []
    assert [line for line in found.lines if line.difference and "ever brought" in line.name] == []
    assert [words for words in found.broken if "xtract" in words] == []


@pytest.mark.parametrize("numbers", [("T1", "T2", "T3"), ("", "", "")], ids=["numbered", "without numbers"])
def test_late_charges_join_those_of_earlier_nights(numbers: tuple[str, ...], nights: Nights) -> None:
    a, b, c = (charge(what, number) for what, number in zip((A, B, C), numbers, strict=True))
    nights.take(0, message(a))
    nights.take(1, message(b, cover=False))
    nights.take(2, message(c))
    assert nights.charges == [A, B, C]
    assert (nights.visit.version, nights.visit.state, nights.visit.payer_key) == (3, "extracted", "aetna")
    assert nights.found == []  # and the late charge without a cover did not make it the patient's own to pay


def test_the_replacement_has_the_lines_of_both_nights(nights: Nights) -> None:
    """What the payer has is replaced by a claim with both charges, and not by the late one alone."""
    store = nights.store

    def night(number: int, *messages: str) -> list[Any]:
        on = ON + timedelta(days=number)
        nights.take(number, *messages)
        coding.run(store, on)
        scrubbing.run(store, on)
        building.build(store, on, "aetna")
        return rows(store, r.claims)

    [first] = night(0, message(charge(A, "T1")))
    assert (first.state, first.charge_cents) == ("batched", 15600)
    with store.begin() as c:
        move_claims(c, ON, [Move(first.claim_id, "answer", "accepted")])
        c.execute(sa.update(r.claims).values(payer_claim_number="ICN1"))
        c.execute(sa.insert(r.decisions).values(
            decision_id="d", encounter_key=KEY, action="approve", visit_version=2, claim_id=first.claim_id, item_id="i",
            actor="x", reason="y", on_date=ON,
        ))  # fmt: skip
    claims = {claim.claim_id: claim for claim in night(1, message(charge(B, "T2"), cover=False))}
    second = claims[f"{first.claim_id}V2"]
    assert (second.frequency, second.replaces, second.charge_cents) == ("7", first.claim_id, 19400)
    sent = store.archive.get(second.file_id).decode()
    assert [s.split("*")[1:3] for s in sent.split("~") if s.startswith("SV1*")] == [
        ["HC:99213", "156"],
        ["HC:87880", "38"],
    ]


def test_a_credit_takes_away_the_charge_of_an_earlier_night(nights: Nights) -> None:
    nights.take(0, message(charge(A)))
    nights.take(1, message(charge(B)))
    nights.take(2, message(charge(A, kind="CR"), cover=False))
    assert nights.charges == [B]
    nights.take(3, message(charge(B, kind="CD"), cover=False))
    assert (nights.visit.state, nights.charges) == ("cancelled", [])
    nights.take(4, message(charge(C)))
    assert (nights.visit.state, nights.charges) == ("extracted", [C])


def test_a_message_that_comes_again_on_another_night_doubles_nothing(nights: Nights, home: Path) -> None:
    first, second = message(charge(A)), message(charge(B))
    nights.take(0, first)
    nights.take(1, second)
    again = first.replace("|20261111||DFT", "|20261123||DFT")  # the header's time is the interface's
    before = rows(nights.store, r.encounters), rows(nights.store, r.visit_versions)
    counts = nights.take(2, again, second)
    assert (counts["rows_known"], counts["rows_changed"], counts["findings"]) == (1, 0, 0)
    assert (rows(nights.store, r.encounters), rows(nights.store, r.visit_versions)) == before
    nights.take(3, again, message(charge(C)))  # a cumulative extract
    assert nights.charges == [A, B, C]


def test_one_night_three_times_changes_no_byte(nights: Nights, home: Path, tmp_path: Path) -> None:
    nights.take(0, message(charge(A)))
    folder = tmp_path / "second"
    folder.mkdir()
    (folder / "b.hl7").write_text(message(charge(B)) + message(charge(A, kind="CR")))
    (folder / "practices.csv").write_text(PRACTICE)
    counts = stage.run(nights.store, ON + timedelta(days=1), folder)
    before = snapshot(home)
    for _ in range(2):
        assert stage.run(nights.store, ON + timedelta(days=1), folder) == counts
        assert snapshot(home) == before
    assert stage.run(nights.store, ON + timedelta(days=5), folder)["rows_known"] == 1  # nor on a later night
    assert snapshot(home) == before
    assert nights.charges == [B]


def test_a_backfill_of_an_earlier_night_is_told_and_joins_when_it_is_run_today(nights: Nights, tmp_path: Path) -> None:
    nights.take(0, message(charge(A)))
    nights.take(2, message(charge(C)))
    late = message(charge(B))
    nights.take(1, late)
    assert nights.charges == [A, C]
    assert [(i.cause, i.state) for i in rows(nights.store, r.work_items)] == [("intake.older", "open")]
    nights.take(3, late)
    assert nights.charges == [A, C, B]


def test_the_night_that_brought_a_visit_backfilled_after_later_ones_changes_nothing(
    nights: Nights, home: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "first"
    folder.mkdir()
    (folder / "a.hl7").write_text(message(charge(A)))
    (folder / "practices.csv").write_text(PRACTICE)
    stage.run(nights.store, ON, folder)
    nights.take(1, message(charge(B)))
    before = snapshot(home)
    stage.run(nights.store, ON, folder)
    assert snapshot(home) == before
    assert nights.charges == [A, B]


def test_a_transaction_number_that_comes_again_replaces_its_charge(nights: Nights) -> None:
    nights.take(0, message(charge(A, "T1"), charge(B, "T2")))
    nights.take(1, message(charge(("99213", "150.00"), "T1")))
    assert nights.charges == [("99213", "150.00"), B]
    assert nights.found == [("warning", "intake.charge.again")]
    nights.take(2, message(charge(("99213", "150.00"), "T1"), charge(B, "T2"), charge(C, "T3")))
    assert nights.charges == [("99213", "150.00"), B, C]
    assert len(nights.found) == 1  # what says the same again needs no word


def test_a_credited_charge_that_is_stated_again_stays_credited(nights: Nights) -> None:
    nights.take(0, message(charge(A, "T1"), charge(B, "T2")))
    credit = charge(A, "T3", "CR")
    nights.take(1, message(credit))
    nights.take(2, message(charge(A, "T1"), charge(B, "T2"), credit))
    assert nights.charges == [B]
    nights.take(3, message(charge(A, "T1"), charge(C, "T5")))
    assert (nights.charges, nights.found) == ([B, C], [("warning", "intake.charge.gone")])
    nights.take(4, message(charge(A, "T4")))
    assert nights.charges == [B, C, A]


def test_a_credit_that_comes_before_its_charge_takes_it_away(nights: Nights) -> None:
    nights.take(0, message(charge(A, "T1", "CR"), charge(B, "T2")))
    assert nights.visit.reason == "intake.charge.credited"
    late = message(charge(A, "T1"), charge(C, "T3"))
    for night in (1, 2):  # delivered twice, it is not billed either
        nights.take(night, late.replace("|M", f"|N{night}", 1))
        assert (nights.visit.state, nights.charges) == ("extracted", [B, C])


def test_a_visit_of_which_nothing_is_left_whichever_came_first(nights: Nights) -> None:
    nights.take(0, message(charge(A, "T1", "CR")))
    nights.take(1, message(charge(A, "T1")))
    late = nights.visit.state, nights.visit.reason
    nights.take(2, message(charge(A, "T1"), charge(A, "T1", "CR")))
    assert (nights.visit.state, nights.visit.reason) == late


def test_numbers_that_only_count_the_charges_of_a_message_tell_nothing(nights: Nights) -> None:
    nights.take(0, message(charge(A, "1"), charge(B, "2")))
    nights.take(1, message(charge(C, "1")))
    assert nights.charges == [A, B, C]


def test_a_number_of_two_charges_with_nothing_in_common_tells_nothing(nights: Nights) -> None:
    nights.take(0, message(charge(A, "77")))
    nights.take(1, message(charge(B, "77", day="20261111")))
    assert nights.charges == [A, B]


def test_an_extract_that_repeats_every_charge_states_the_visit_anew(nights: Nights) -> None:
    """Senders without transaction numbers that send the visit as it is, each time."""
    nights.take(0, message(charge(A), charge(B)))
    nights.take(1, message(charge(A), charge(("87880", "40.00")), charge(C)))
    assert nights.charges == [A, ("87880", "40.00"), C]
    assert nights.found == [("warning", "intake.charge.again")]


def test_the_same_charge_on_another_day_is_a_further_one(nights: Nights) -> None:
    nights.take(0, message(charge(A)))
    nights.take(1, message(charge(A, day="20261111")))
    assert nights.charges == [A, A]
    assert (str(nights.visit.service_from), nights.found) == ("2026-11-10", [])


def test_charges_that_repeat_some_of_the_earlier_ones_hold_the_visit_until_all_are_stated(nights: Nights) -> None:
    nights.take(0, message(charge(A), charge(B)))
    nights.take(1, message(charge(B), charge(C)))
    assert (nights.visit.state, nights.visit.reason) == ("quarantined", "intake.charge.doubtful")
    assert set(nights.found) == {("error", "intake.charge.doubtful")}
    nights.take(2, message(charge(A, day="20261112")))  # a further one alone does not settle it
    assert (nights.visit.state, nights.visit.reason) == ("quarantined", "intake.charge.doubtful")
    nights.take(3, message(charge(A), charge(B), charge(B), charge(C), charge(A, day="20261112")))
    assert (nights.visit.state, nights.charges) == ("extracted", [A, B, A, B, C])


def test_two_extracts_of_one_night_are_two_statements_in_any_number_of_runs(
    nights: Nights, home: Path, tmp_path: Path
) -> None:
    folders = []
    for name, what in (("first", A), ("second", B)):
        folders.append(tmp_path / name)
        folders[-1].mkdir()
        (folders[-1] / "a.hl7").write_text(message(charge(what)))
        (folders[-1] / "practices.csv").write_text(PRACTICE)
        stage.run(nights.store, ON, folders[-1])
    assert nights.charges == [A, B]
    before = snapshot(home)
    for folder in (*folders, *reversed(folders)):
        stage.run(nights.store, ON, folder)
    assert snapshot(home) == before


def test_a_charge_in_doubt_leaves_the_claim_that_left_and_is_settled_by_a_whole_statement(nights: Nights) -> None:
    nights.take(0, message(charge(A), charge(B)))
    claimed(nights.store, "sent", "f" * 64, KEY)
    nights.take(1, message(charge(B), charge(C)))
    assert (nights.visit.version, nights.visit.state) == (1, "claimed")
    assert ("error", "intake.charge.doubtful") in nights.found
    assert "intake.charge.doubtful" in [item.cause for item in rows(nights.store, r.work_items) if item.state == "open"]
    nights.take(2, message(charge(A), charge(B), charge(B), charge(C)))
    assert (nights.visit.version, nights.charges) == (2, [A, B, B, C])


def test_what_another_format_stated_since_is_not_undone_by_messages(nights: Nights, home: Path, tmp_path: Path) -> None:
    """The own layout states the visit with a second charge; messages that come again say nothing, and a late one is no whole visit."""
    first = message(charge(A))
    nights.take(0, first)
    whole = Extract()
    whole.visit(1)
    stage.run(nights.store, ON + timedelta(days=1), whole.write(tmp_path / "csv"))
    assert nights.charges == [A, B]
    nights.take(2, first)
    assert (nights.visit.version, nights.visit.state, nights.charges) == (2, "extracted", [A, B])
    assert ("warning", "intake.earlier.other") not in nights.found  # what changes nothing writes no findings
    nights.take(3, message(charge(C)))
    assert (nights.visit.state, nights.visit.reason) == ("quarantined", "intake.earlier.missing")
    whole.encounters[0]["charge"] = "206.00"
    whole.services.append(whole.services[1] | {"line": "3", "code": "36415", "charge": "12.00"})
    stage.run(nights.store, ON + timedelta(days=4), whole.write(tmp_path / "mended"))
    assert (nights.visit.state, nights.charges) == ("extracted", [A, B, C])


def test_charges_that_waited_in_quarantine_are_not_lost(nights: Nights) -> None:
    """The first extract was set aside for one bad charge; the late charge alone does not become the visit."""
    nights.take(0, message(charge(A, "T1"), charge(("87880", "1E2"), "T2")))
    assert nights.visit.state == "quarantined"
    nights.take(1, message(charge(C, "T3")))
    assert (nights.visit.state, nights.visit.reason) == ("quarantined", "intake.amount.illegible")
    nights.take(2, message(charge(B, "T2")))
    assert (nights.visit.state, nights.charges) == ("extracted", [A, B, C])


@pytest.mark.parametrize(("first", "later"), [("T", ""), ("", "T")], ids=["numbers end", "numbers begin"])
def test_a_charge_with_a_number_and_one_without_may_be_the_same(first: str, later: str, nights: Nights) -> None:
    def numbered(mark: str, *charges: tuple[str, str]) -> str:
        return message(*(charge(what, mark and f"{mark}{what[0]}") for what in charges))

    nights.take(0, numbered(first, A, B))
    nights.take(1, numbered(later, C))  # like none of them
    assert (nights.visit.state, nights.charges) == ("extracted", [A, B, C])
    nights.take(2, numbered(later, A))
    assert (nights.visit.state, nights.visit.reason) == ("quarantined", "intake.charge.doubtful")
    nights.take(3, numbered(later, A, B, C))
    assert (nights.visit.state, nights.charges) == ("extracted", [A, B, C])


def test_a_credit_of_nothing_holds_the_visit_until_all_charges_are_stated(nights: Nights) -> None:
    nights.take(0, message(charge(A), charge(B)))
    nights.take(1, message(charge(("99213", "150.00"), kind="CR")))
    assert (nights.visit.state, nights.visit.reason) == ("quarantined", "intake.charge.credited")
    nights.take(2, message(charge(C)))
    assert nights.visit.state == "quarantined"
    nights.take(3, message(charge(A), charge(B), charge(C)))
    assert (nights.visit.state, nights.charges) == ("extracted", [A, B, C])


def test_a_visit_whose_earlier_charges_are_lost_is_held(nights: Nights, home: Path) -> None:
    nights.take(0, message(charge(A)))
    for part in (home / "lake" / "encounter_statements").rglob("*.parquet"):
        part.unlink()
    nights.take(1, message(charge(B)))
    assert (nights.visit.state, nights.visit.reason) == ("quarantined", "intake.earlier.missing")
