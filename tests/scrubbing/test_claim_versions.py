"""What a changed, cancelled or re-sent visit makes of a claim that a payer has seen: the plan, and the stage."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from coding.visits_in_store import ON, STATED, put, states

from pipeline import payers
from pipeline.claims import release
from pipeline.claims import stage as building
from pipeline.coding import stage as coding
from pipeline.errors import Terminal
from pipeline.ledger import posting, proof
from pipeline.reports import work
from pipeline.scrubbing import stage
from pipeline.scrubbing.versions import Decision, Plan, Version, plan
from pipeline.store import Store
from pipeline.store import register as r
from pipeline.store.events import Move, move_claims, verify
from pipeline.store.work import WorkItem, open_items

# --- the plan ---------------------------------------------------------------------------------------------------------


def family(*told: str) -> list[Version]:
    """`frequency state [number]` of each version."""
    out = []
    for n, text in enumerate(told, 1):
        frequency, state, *number = text.split()
        out.append(
            Version("C" if n == 1 else f"CV{n}", n, frequency, state, "aetna", 100, number[0] if number else None)
        )
    return out


def planned(*told: str, **given: Any) -> Plan:
    options = {"same": False, "cancelled": False, "payer_key": "aetna", "visit_version": 2, "policy": "approve"} | given
    return plan(family(*told), **options)


def said(action: str, claim_id: str, version: int = 2) -> list[Decision]:
    return [Decision(action, version, claim_id)]


@pytest.mark.parametrize("state", ["batched", "sent", "unknown", "received"])
def test_nothing_is_corrected_before_the_payer_has_answered(state: str) -> None:
    for given in ({}, {"policy": "automatic"}, {"cancelled": True}, {"decisions": said("approve", "C")}):
        assert planned(f"1 {state} N1", **given).hold == "waits"
    assert planned(f"1 {state}", same=True) == Plan("keep", "C")


def test_after_a_rejection_a_new_original_goes_without_the_payers_number() -> None:
    assert planned("1 rejected N1") == Plan("make", "CV2", 2, "1", None, None)
    assert planned("1 rejected", "1 rejected") == Plan("make", "CV3", 3, "1", None, None)
    assert planned("1 rejected", policy="none") == Plan("make", "CV2", 2, "1", None, None)


def test_an_unchanged_visit_is_not_sent_again_unless_a_person_says_so() -> None:
    assert planned("1 rejected", same=True) == Plan("keep", "C")
    assert planned("1 rejected", same=True, decisions=said("resend", "C")).frequency == "1"
    assert planned("1 rejected", "1 rejected", same=True, decisions=said("resend", "C")) == Plan("keep", "CV2")
    assert planned("1 paid N1", same=True) == Plan("keep", "C")


@pytest.mark.parametrize("state", ["accepted", "paid", "denied", "reversed"])
def test_what_the_payer_holds_is_replaced_under_its_number_after_approval(state: str) -> None:
    waiting = planned(f"1 {state} N1")
    assert (waiting.frequency, waiting.number, waiting.replaces, waiting.hold) == ("7", "N1", "C", "replacement")
    for given in ({"policy": "automatic"}, {"decisions": said("approve", "C")}, {"decisions": said("resend", "C")}):
        assert planned(f"1 {state} N1", **given) == Plan("make", "CV2", 2, "7", "N1", "C")


def test_an_approval_is_of_the_change_that_the_person_saw() -> None:
    assert planned("1 paid N1", visit_version=3, decisions=said("approve", "C", 2)).hold == "replacement"
    assert planned("1 paid N1", "7 paid N2", decisions=said("approve", "C")).hold == "replacement"


def test_a_rejected_replacement_leaves_what_was_before_it() -> None:
    again = planned("1 paid N1", "7 rejected", policy="automatic")
    assert again == Plan("make", "CV3", 3, "7", "N1", "C")
    assert planned("1 paid N1", "7 paid N2", policy="automatic").number == "N2"


def test_without_the_payers_number_or_where_none_is_taken_it_is_held() -> None:
    for given in ({"policy": "automatic"}, {"decisions": said("approve", "C")}):
        assert planned("1 accepted", **given).hold == "no number"
    for given in ({}, {"decisions": said("approve", "C")}, {"cancelled": True}):
        assert planned("1 paid N1", policy="none", **given).hold == "not taken"
    for state, action in (("denied", "1"), ("paid", "7")):
        resent = planned(f"1 {state} N1", policy="none", decisions=said("resend", "C"))
        assert (resent.frequency, resent.hold) == (action, "" if action == "1" else "not taken")


def test_a_cancelled_visit_is_voided_where_the_payer_holds_it_and_dropped_where_not() -> None:
    assert planned("1 paid N1", cancelled=True).hold == "void"
    voided = planned("1 paid N1", cancelled=True, decisions=said("approve", "C"))
    assert voided == Plan("void", "CV2", 2, "8", "N1", "C")
    assert planned("1 rejected", cancelled=True) == Plan("drop")
    assert planned("1 paid N1", "8 accepted N2", cancelled=True) == Plan("drop")
    assert planned("1 paid N1", "8 sent", cancelled=True) == Plan("keep", "CV2")
    assert planned("1 paid N1", "8 rejected", cancelled=True, policy="automatic").replaces == "C"


def test_a_visit_that_is_billed_after_all_begins_anew_after_the_void() -> None:
    assert planned("1 paid N1", "8 sent", same=True).hold == "waits"
    assert planned("1 paid N1", "8 accepted N2", same=True) == Plan("make", "CV3", 3, "1", None, None)


def test_another_payer_gets_the_claim_once_the_first_has_taken_the_void() -> None:
    moved = {"payer_key": "cigna"}
    assert planned("1 paid N1", **moved).hold == "other payer"
    assert planned("1 paid N1", decisions=said("approve", "C"), **moved) == Plan("void", "CV2", 2, "8", "N1", "C")
    assert planned("1 paid N1", "8 sent", decisions=said("approve", "C"), **moved).hold == "waits"
    assert planned("1 paid N1", "8 accepted", **moved) == Plan("make", "CV3", 3, "1", None, None)
    assert planned("1 rejected", **moved) == Plan("make", "CV2", 2, "1", None, None)


def test_a_person_may_leave_the_claim_as_it_is() -> None:
    for told in (["1 paid N1"], ["1 accepted"]):
        assert planned(*told, decisions=said("keep", "C")) == Plan("keep", "C")
    assert planned("1 paid N1", cancelled=True, decisions=said("keep", "C")) == Plan("keep", "C")


def test_a_claim_that_was_let_go_again_is_in_no_payers_hands() -> None:
    for same in (True, False):
        assert planned("1 ready", same=same) == Plan("make", "CV2", 2, "1", None, None)
    assert planned("1 ready", cancelled=True) == Plan("drop")
    assert planned("1 paid N1", "7 ready", same=True) == Plan("make", "CV3", 3, "7", "N1", "C")
    assert planned("1 paid N1", "7 ready").hold == "replacement"


def test_claim_numbers_fit_their_place() -> None:
    first = Version(coding.claim_id("P1:A"), 1, "1", "rejected", "aetna")
    versions = [Version(f"{first.claim_id}V{n}", n, "1", "rejected", "aetna") for n in range(2, 999)]
    options = {"same": False, "cancelled": False, "payer_key": "aetna", "visit_version": 2, "policy": "approve"}
    assert len(plan([first, *versions], **options).claim_id) == 17  # type: ignore[arg-type]


# --- the stage --------------------------------------------------------------------------------------------------------


def change(store: Store, key: str, given: dict[str, Any], on: date, extract: str, **values: Any) -> None:
    """The visit comes again as intake would leave it."""
    e = r.encounters.c
    with store.read() as c:
        old = c.execute(sa.select(r.encounters).where(e.encounter_key == f"P1:{key}")).mappings().one()
    with store.begin() as c:
        c.execute(sa.delete(r.encounters).where(e.encounter_key == f"P1:{key}"))
    put(store, {key: given}, on, extract)
    with store.begin() as c:
        c.execute(
            sa.update(r.encounters).where(e.encounter_key == f"P1:{key}").values(version=old["version"] + 1, **values)
        )


def night(store: Store, on: date) -> dict[str, int]:
    coding.run(store, on)
    counts = stage.run(store, on)
    for key in ("aetna", "cigna", "medicare"):
        building.build(store, on, key)
    return counts


def answer(store: Store, claim_id: str, state: str, number: str | None = None) -> None:
    with store.begin() as c:
        move_claims(c, ON, [Move(claim_id, "answer", state)])
        if number:
            c.execute(sa.update(r.claims).where(r.claims.c.claim_id == claim_id).values(payer_claim_number=number))


def claims(store: Store) -> list[tuple[Any, ...]]:
    c = r.claims.c
    query = sa.select(c.claim_id, c.frequency, c.state, c.replaces, c.closed_on.is_not(None)).order_by(c.version)
    with store.read() as connection:
        return [tuple(row) for row in connection.execute(query)]


def open_work(store: Store) -> list[Any]:
    with store.read() as c:
        query = sa.select(r.work_items).where(r.work_items.c.state == "open")
        return c.execute(query.order_by(r.work_items.c.item_id)).fetchall()


def sound(store: Store) -> None:
    """The proof but for the extracts, which these tests do not take in."""
    found = proof.prove(store)
    lines = [line for line in found.lines if line.difference and "ever brought" not in line.name]
    assert [(line.name, line.expected, line.found) for line in lines] == []
    assert [words for words in found.broken if "extracts" not in words] == []


def segments(store: Store, name: str, claim_id: str) -> list[str]:
    """Segments of that name in the claim as it was sent."""
    with store.read() as c:
        file_id = c.execute(sa.select(r.claims.c.file_id).where(r.claims.c.claim_id == claim_id)).scalar_one()
    body = store.archive.get(file_id).decode().split(f"CLM*{claim_id}*")[1].split("~CLM*")[0].split("~HL*")[0]
    return [s for s in f"CLM*{claim_id}*{body}".split("~") if s.startswith(f"{name}*")]


FIRST = coding.claim_id("P1:A")
SECOND = f"{FIRST}V2"
DEARER = {**STATED, "lines": [{"system": "HCPCS", "code": "99214", "charge": "180.00"}]}
NEXT = ON + timedelta(days=1)


def test_a_rejected_claim_goes_again_corrected_and_its_item_closes(any_store: Store):
    store = any_store
    put(store, {"A": STATED})
    night(store, ON)
    answer(store, FIRST, "rejected")
    with store.begin() as c:
        open_items(c, [WorkItem(queue="rejection", subject=FIRST, claim_id=FIRST, cause="A7:562", title="t", reason="r",
                                action="a", opened_on=ON)])  # fmt: skip
    change(store, "A", DEARER, NEXT, "b")
    assert night(store, NEXT)["sent_anew"] == 1
    assert claims(store) == [(FIRST, "1", "rejected", None, True), (SECOND, "1", "batched", None, False)]
    assert states(store) == {"A": ("claimed", "")}
    assert open_work(store) == []
    assert segments(store, "REF", SECOND)[-1] == f"REF*6R*{SECOND}-1"
    assert not [s for s in segments(store, "REF", SECOND) if s.startswith("REF*F8")]
    with store.read() as c:
        assert posting.balances(c) == {"income:charges": -18_000, "receivable:payer:aetna": 18_000}
        assert verify(c) == []
    sound(store)
    assert night(store, NEXT + timedelta(days=1)) == {}


def test_a_paid_claim_is_replaced_once_a_person_has_approved_it(store: Store):
    put(store, {"A": STATED})
    night(store, ON)
    answer(store, FIRST, "paid", "N1")
    change(store, "A", DEARER, NEXT, "b")
    for _ in range(2):
        night(store, NEXT)
        assert states(store) == {"A": ("held", "correction-approval")}
        [item] = open_work(store)
        assert claims(store) == [(FIRST, "1", "paid", None, False)]
        sound(store)
    with pytest.raises(Terminal, match="under way"):
        work.decide(store, item.item_id, "resend", "again", "ann", NEXT)
    work.decide(store, item.item_id, "approve", "checked the chart", "ann", NEXT)
    assert night(store, NEXT)["replacements"] == 1
    assert claims(store) == [(FIRST, "1", "paid", None, True), (SECOND, "7", "batched", FIRST, False)]
    assert segments(store, "REF", SECOND)[0] == "REF*F8*N1"
    assert ":B:7*" in segments(store, "CLM", SECOND)[0]
    with store.read() as c:
        [decision] = c.execute(sa.select(r.decisions)).fetchall()
    assert (decision.actor, decision.reason, decision.action, decision.visit_version) == (
        "ann", "checked the chart", "approve", 2,
    )  # fmt: skip
    sound(store)


def test_content_that_comes_back_needs_no_correction(store: Store):
    put(store, {"A": STATED})
    night(store, ON)
    answer(store, FIRST, "paid", "N1")
    change(store, "A", DEARER, NEXT, "b")
    night(store, NEXT)
    change(store, "A", {**STATED, "minutes": 20}, NEXT, "c")  # and what no payer sees may differ
    assert night(store, NEXT)["kept"] == 1
    assert states(store) == {"A": ("claimed", "")}
    assert open_work(store) == []
    assert claims(store) == [(FIRST, "1", "paid", None, False)]
    sound(store)


def test_a_cancelled_visit_is_voided_with_what_the_payer_holds(store: Store):
    put(store, {"A": STATED})
    night(store, ON)
    answer(store, FIRST, "paid", "N1")
    gone = {"state": "held", "reason": "cancelled", "cancelled": True, "unbilled_cents": 15_000}
    change(store, "A", STATED, NEXT, "b", **gone)
    night(store, NEXT)
    assert states(store) == {"A": ("held", "void-approval")}
    [item] = open_work(store)
    work.decide(store, item.item_id, "approve", "double entry", "ann", NEXT)
    assert night(store, NEXT)["voids"] == 1
    assert states(store) == {"A": ("cancelled", "cancelled")}
    assert claims(store) == [(FIRST, "1", "paid", None, True), (SECOND, "8", "batched", FIRST, False)]
    assert segments(store, "REF", SECOND)[0] == "REF*F8*N1"
    assert ":B:8*" in segments(store, "CLM", SECOND)[0]
    assert segments(store, "SV1", SECOND) == segments(store, "SV1", FIRST)
    with store.read() as c:
        assert set(posting.balances(c).values()) == {0}
    sound(store)
    assert night(store, NEXT + timedelta(days=1)) == {}


def test_a_cancelled_visit_that_was_rejected_is_closed(store: Store):
    put(store, {"A": STATED})
    night(store, ON)
    answer(store, FIRST, "rejected")
    change(store, "A", STATED, NEXT, "b", state="held", reason="cancelled", cancelled=True, unbilled_cents=15_000)
    night(store, NEXT)
    assert states(store) == {"A": ("cancelled", "cancelled")}
    assert claims(store) == [(FIRST, "1", "rejected", None, True)]
    with store.read() as c:
        assert set(posting.balances(c).values()) == {0}
    sound(store)


def test_a_rejected_claim_is_sent_again_unchanged_by_a_persons_command(store: Store):
    put(store, {"A": STATED})
    night(store, ON)
    with store.begin() as c:
        open_items(c, [WorkItem(queue="rejection", subject=FIRST, claim_id=FIRST, cause="E1", title="t", reason="r",
                                action="a", opened_on=ON)])  # fmt: skip
    [item] = open_work(store)
    with pytest.raises(Terminal, match="batched"):
        work.decide(store, item.item_id, "resend", "outage", "bob", NEXT)
    answer(store, FIRST, "rejected")
    work.decide(store, item.item_id, "resend", "outage", "bob", NEXT)
    with pytest.raises(Terminal, match="done already"):
        work.decide(store, item.item_id, "resend", "outage", "bob", NEXT)
    night(store, NEXT)
    assert claims(store) == [(FIRST, "1", "rejected", None, True), (SECOND, "1", "batched", None, False)]
    assert open_work(store) == []
    sound(store)


def test_a_visit_that_changes_after_its_claim_was_let_go_again(store: Store):
    put(store, {"A": STATED})
    night(store, ON)
    with store.begin() as c:
        move_claims(c, ON, [Move(FIRST, "999 R", "rejected")])
    assert release.refused(store, NEXT, "aetna", do=True)["claims"] == 1
    change(store, "A", DEARER, NEXT, "b")
    night(store, NEXT)
    assert claims(store) == [(FIRST, "1", "rejected", None, True), (SECOND, "1", "batched", None, False)]
    sound(store)
    with store.read() as c:
        assert verify(c) == []


def test_what_stays_with_the_payer_speaks_for_the_visit(store: Store):
    put(store, {"A": {**STATED, "payer_key": "medicare", "payer_source": "Medicare", "member_id": "1EG4TE5MK73"}})
    night(store, ON)
    answer(store, FIRST, "paid", "N1")
    change(
        store,
        "A",
        {**DEARER, "payer_key": "medicare", "payer_source": "Medicare", "member_id": "1EG4TE5MK73"},
        NEXT,
        "b",
    )
    night(store, NEXT)
    assert states(store) == {"A": ("held", "correction-not-taken")}
    [item] = open_work(store)
    assert "frequency 1" in item.reason
    with pytest.raises(Terminal, match="--approve"):
        work.decide(store, item.item_id, "approve", "x", "ann", NEXT)
    work.decide(store, item.item_id, "keep", "reopened by telephone", "ann", NEXT)
    night(store, NEXT)
    assert states(store) == {"A": ("claimed", "")}
    assert claims(store) == [(FIRST, "1", "paid", None, False)]
    sound(store)


def test_the_next_change_of_a_held_visit_asks_again(store: Store):
    put(store, {"A": STATED})
    night(store, ON)
    answer(store, FIRST, "paid", "N1")
    change(store, "A", DEARER, NEXT, "b")
    night(store, NEXT)
    [first] = open_work(store)
    work.decide(store, first.item_id, "approve", "x", "ann", NEXT)
    dearest = {**STATED, "lines": [{"system": "HCPCS", "code": "99215", "charge": "220.00"}]}
    change(store, "A", dearest, NEXT, "c")
    night(store, NEXT)
    [second] = open_work(store)
    assert second.item_id != first.item_id
    assert claims(store) == [(FIRST, "1", "paid", None, False)]


def test_a_replacement_passes_the_check_for_duplicates_and_guards_its_content(store: Store):
    """D7: a re-extract under another id is stopped, also by a replacement; the replacement itself is not."""
    put(store, {"A": {**STATED, "patient_id": "42"}})
    night(store, ON)
    answer(store, FIRST, "paid", "N1")
    change(store, "A", {**DEARER, "patient_id": "42"}, NEXT, "b")
    night(store, NEXT)
    [item] = open_work(store)
    work.decide(store, item.item_id, "approve", "x", "ann", NEXT)
    night(store, NEXT)
    put(store, {"B": {**DEARER, "patient_id": "42"}, "C": {**STATED, "patient_id": "42"}}, NEXT, "c")
    night(store, NEXT)
    assert states(store) == {"A": ("claimed", ""), "B": ("held", "duplicate"), "C": ("claimed", "")}


def test_a_payer_whose_profile_says_so_gets_corrections_without_approval(store: Store, tmp_path: Path):
    folder = tmp_path / "payers"
    folder.mkdir()
    text = (payers.shapes.schemas_dir() / "payers" / "aetna.toml").read_text()
    (folder / "aetna.toml").write_text(text.replace("[claims]", '[claims]\ncorrections = "automatic"'))
    store.settings.payers_dir = str(folder)
    put(store, {"A": STATED})
    coding.run(store, ON)
    stage.run(store, ON)
    building.build(store, ON, "aetna")
    answer(store, FIRST, "accepted", "N1")
    change(store, "A", DEARER, NEXT, "b")
    coding.run(store, NEXT)
    assert stage.run(store, NEXT)["replacements"] == 1
    assert claims(store)[-1][:4] == (SECOND, "7", "ready", FIRST)


def test_the_number_of_the_latest_payment_that_stands_goes_before_the_277cas(store: Store):
    put(store, {"A": STATED})
    night(store, ON)
    answer(store, FIRST, "paid", "ACK")
    payment = {
        "claim_id_stated": FIRST, "claim_id": FIRST, "status": "1", "charge_cents": 15000, "paid_cents": 0,
        "adjusted_cents": 0, "patient_cents": 0, "outcome": "paid", "reverses": "", "state": "posted", "reason": "",
    }  # fmt: skip
    with store.begin() as c:
        for n, (day, number) in enumerate(((2, "OLD"), (4, "NEW"), (6, "GONE"), (6, "BACK")), 1):
            c.execute(sa.insert(r.remittances).values(
                remittance_id=f"m{n}", payer_key="aetna", origin="o", trace=f"t{n}", amount_cents=0,
                payment_date=ON + timedelta(days=day), method="NON", file_id="f", set_number=n, content_hash="h", state="posted",
            ))  # fmt: skip
            c.execute(sa.insert(r.remittance_claims).values(
                remittance_id=f"m{n}", claim_number=1, payer_claim_number=number, **payment | (
                    {"outcome": "reversal", "reverses": "m3/1"} if number == "BACK" else {}),
            ))  # fmt: skip
    change(store, "A", DEARER, NEXT, "b")
    night(store, NEXT)
    [item] = open_work(store)
    work.decide(store, item.item_id, "approve", "x", "ann", NEXT)
    night(store, NEXT)
    assert segments(store, "REF", SECOND)[0] == "REF*F8*NEW"
    assert Decimal("180.00") == Decimal(segments(store, "CLM", SECOND)[0].split("*")[2])
