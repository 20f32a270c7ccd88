"""'Billing staff are told to supply a segment of the file's header.' A refusal says whose it is, and what to do."""

from __future__ import annotations

import pytest
from acknowledgments.test_acknowledgments_stage import PROVIDER, claim, f277, f999, run, ta1
from ledger.books import ON, Books, file_837

from pipeline.acknowledgments import meaning
from pipeline.claims import release
from pipeline.reports import work
from pipeline.store import register as r


def refused(errors: str) -> tuple[bytes, str]:
    return f999(f"AK2*837*0001*005010X222A1\n{errors}\nIK5*R*5", "AK9*R*1*1*0"), "999"


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        ((ta1("R", "024"), "TA1"), "interchange"),
        (refused("IK3*BHT*2**I6"), "Segment BHT, number 2 of the set"),
        (refused("IK3*NM1*3*1000A*8\nIK4*9**1"), "Segment NM1 in loop 1000A, number 3 of the set, element 9"),
        (refused("IK3*CLM*4*2300*8\nIK4*5**13"), "Segment CLM in loop 2300, number 4 of the set, element 5"),
        (refused(""), "the whole transaction set"),
        ((f999("", "AK9*R*1*1*0*2"), "999"), "the whole group"),
    ],
)  # fmt: skip
def test_the_form_of_a_file_is_a_technical_matter(books: Books, answer: tuple[bytes, str], what: str) -> None:
    books.send("C1", "C2", data=file_837(("C1", "100"), ("C2", "100")))
    run(books, answer)
    items = books.work("rejection")
    assert len(items) == 2
    for item in items:
        assert item.title.startswith("Technical: ")
        assert item.action.startswith("For technical staff: ")
        assert "claimpipe release acme --refused" in item.action
        assert what in item.reason
        assert "staff mend" not in item.action


def test_the_data_of_one_claim_is_a_matter_of_billing_staff_and_its_neighbours_are_innocent(books: Books) -> None:
    books.send("C1", "C2", data=file_837(("C1", "100"), ("C2", "100")))
    run(books, refused("IK3*CLM*4*2300*8\nIK4*2**1"))
    items = {item.claim_id: item for item in books.work("rejection")}
    assert items["C1"].action.startswith("For billing staff: Supply it. Mend the visit at its source")
    assert "stands in this claim" in items["C1"].reason
    assert items["C2"].action.startswith("Nothing of this claim is wrong.")
    assert "claimpipe release acme --refused" in items["C2"].action
    assert len({item.cause for item in items.values()}) == 1


def test_every_code_says_who_acts() -> None:
    assert {row["who"] for row in meaning.table("syntax").values()} == {"staff", "technical"}


def test_refused_claims_go_again_when_a_person_lets_them_and_no_others(books: Books) -> None:
    books.send("C1", "C2")
    books.send("C3", "C4", number=2)
    run(books, (ta1("R", "024"), "TA1"), (f277(f"{PROVIDER}\n{claim('C3', 'A7:562:85*20261120*U*100')}"), "277CA"))
    assert release.refused(books.store, ON, "acme", do=False) == {"claims": 2, "charge_cents": 20_000}
    assert books.states() == {"C1": "rejected", "C2": "rejected", "C3": "rejected", "C4": "sent"}
    release.refused(books.store, ON, "acme", do=True)
    assert books.states() == {"C1": "ready", "C2": "ready", "C3": "rejected", "C4": "sent"}
    assert [item.claim_id for item in books.work("rejection")] == ["C3"]
    assert release.refused(books.store, ON, "acme", do=True)["claims"] == 0


def test_two_hundred_like_refusals_are_one_group_with_its_dollars(books: Books) -> None:
    ids = [f"C{n:03d}" for n in range(200)]
    books.send(*ids)
    run(books, refused("IK3*BHT*2**I6"))
    (group,) = [row for row in work.causes(books.store) if row["queue"] == "rejection"]
    assert (group["items"], group["cents"]) == (200, 2_000_000)
    assert group["due_on"] is not None
    assert {row.state for row in books.rows(r.claims)} == {"rejected"}
