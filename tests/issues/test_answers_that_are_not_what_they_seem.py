"""'The payer sent us an acknowledgment and then …': answers that once moved claims which they could not speak of."""

from __future__ import annotations

from datetime import date

import pytest
import sqlalchemy as sa
from acknowledgments.test_acknowledgments_stage import PROVIDER, claim, f277, f999, run, sending_states, ta1
from ledger.books import ON, SENT, Books

from pipeline.acknowledgments import stage
from pipeline.store import register as r
from pipeline.store.events import Move, move_claims, verify
from pipeline.transport import sending

ACCEPTED, REJECTED = "A2:20:PR*20261120*WQ*100", "A7:562:85*20261120*U*100"


def f277_of(batch: str, stc: str, claim_id: str = "C1", control: int = 9) -> tuple[bytes, str]:
    return f277(f"{PROVIDER}\n{claim(claim_id, stc)}", batch=batch, control=control), "277CA"


def causes(books: Books) -> list[tuple[str, str]]:
    return [(item.queue, item.cause) for item in books.work()]


# --- 'a duplicate counted as received, though another program had used the number' ---------------------------------------


@pytest.mark.parametrize(("sending_state", "state"), [("verified", "sent"), ("unknown", "unknown")])
def test_a_duplicate_by_itself_proves_nothing_of_our_bytes(books: Books, sending_state: str, state: str) -> None:
    books.send("C1", "C2", sending_state=sending_state, state=state)
    run(books, (ta1("R", "025"), "TA1"))
    assert books.states() == {"C1": state, "C2": state}
    assert sending_states(books) == [sending_state]
    (item,) = books.work()
    assert (item.queue, item.cause, item.cents) == ("sending", "TA1:025", 20_000)
    assert "Ask the payer what it holds under number 000000001" in item.action
    run(books, (f999("AK2*837*0001*005010X222A1\nIK5*A"), "999"))  # so it was ours after all
    assert books.states() == {"C1": "received", "C2": "received"}
    assert books.work() == []


# --- 'an acknowledgment for a file that had failed: it never went' --------------------------------------------------------


@pytest.mark.parametrize("sending_state", ["built", "failed"])
@pytest.mark.parametrize(
    "answer", [(ta1("A", "000"), "TA1"), (f999("AK2*837*0001*005010X222A1\nIK5*R*5"), "999"), f277_of("B1", ACCEPTED)],
    ids=["TA1", "999", "277CA"],
)  # fmt: skip
def test_an_answer_to_a_file_that_never_left_is_a_persons(
    books: Books, sending_state: str, answer: tuple[bytes, str]
) -> None:
    books.send("C1", state="batched", sending_state=sending_state)
    run(books, answer)
    assert books.states() == {"C1": "unknown"}  # neither received nor sent by itself
    assert sending_states(books) == ["unknown"]
    assert {row.state for row in books.rows(r.acknowledgments) if row.level != "receiver"} == {"ignored"}
    (item,) = books.work()
    assert (item.queue, item.cause) == ("sending", "answered_unsent")
    assert "claimpipe settle acme 1 --received or --not-received" in item.action
    stage.run(books.store, ON)  # and it is not tried again
    assert books.states() == {"C1": "unknown"}

    assert sending.settle(books.store, ON, "acme", 1, arrived=False, note="a mistake of theirs") == {"claims": 1}
    assert (books.states(), sending_states(books)) == ({"C1": "batched"}, ["failed"])  # it goes with the next run
    assert causes(books) == []
    with books.store.read() as c:
        assert verify(c) == []


def test_where_the_payer_has_it_after_all_its_answer_counts_then(books: Books) -> None:
    books.send("C1", state="batched", sending_state="failed")
    run(books, (ta1("A", "000"), "TA1"))
    sending.settle(books.store, ON, "acme", 1, arrived=True, note="they have it")
    assert books.states() == {"C1": "sent"}
    stage.run(books.store, ON)
    assert (books.states(), sending_states(books)) == ({"C1": "received"}, ["acknowledged"])


@pytest.mark.parametrize("sending_state", ["intent", "sent_temporary", "renaming", "renamed"])
def test_fault_12_an_answer_before_the_upload_is_recorded_counts(books: Books, sending_state: str) -> None:
    books.send("C1", state="batched", sending_state=sending_state)
    run(books, (ta1("A", "000"), "TA1"))
    assert (books.states(), sending_states(books)) == ({"C1": "received"}, ["acknowledged"])
    assert books.work() == []


# --- 'a late 277CA for the first file took the second one along' ----------------------------------------------------------


def again(books: Books, *, state: str, sending_state: str) -> None:
    """C1 was rejected in interchange 1, mended, and stands in interchange 2 now."""
    first = books.send("C1", state="rejected")
    second = books.send("X1", number=2, sending_state=sending_state, state=state)
    with books.store.begin() as c:
        move_claims(c, SENT, [Move("C1", "batched", "batched", first), Move("C1", "scrubbed", "ready")])
        move_claims(c, SENT, [Move("C1", "batched", "batched", second), Move("C1", state, state, second)])
        c.execute(
            sa.update(r.claims)
            .where(r.claims.c.claim_id == "C1")
            .values(file_id=second, interchange_control="000000002", group_control="2")
        )


@pytest.mark.parametrize("batch", ["0000000010001", "B1"], ids=["our number", "theirs"])
def test_a_late_answer_to_the_earlier_file_leaves_the_next_one_to_go(books: Books, batch: str) -> None:
    again(books, state="batched", sending_state="built")
    run(books, f277_of(batch, ACCEPTED))
    assert books.states()["C1"] == "batched"
    assert sorted(sending_states(books)) == ["built", "verified"]
    assert books.work() == []


def test_a_late_refusal_of_the_earlier_file_does_not_refuse_the_next_one(books: Books) -> None:
    again(books, state="sent", sending_state="verified")
    run(books, f277_of("0000000010001", REJECTED))
    assert books.states()["C1"] == "sent"
    assert books.work() == []
    run(books, f277_of("0000000020001", REJECTED, control=10))
    assert books.states()["C1"] == "rejected"


@pytest.mark.parametrize("stc", [ACCEPTED, REJECTED])
def test_a_claim_that_waits_to_go_again_is_not_moved_by_its_old_answers(books: Books, stc: str) -> None:
    books.send("C1", state="rejected")
    with books.store.begin() as c:
        move_claims(c, SENT, [Move("C1", "scrubbed", "ready")])
    run(books, f277_of("B1", stc), (ta1("A", "000"), "TA1"))
    assert books.states() == {"C1": "ready"}
    assert books.work() == []


# --- 'another payer's 277CA rejected our claims' --------------------------------------------------------------------------


def test_a_277ca_moves_no_claim_of_another_payer(books: Books) -> None:
    books.send("C1", "C2")
    data, kind = f277_of("B1", REJECTED)
    books.receive(data, kind, payer_key="zeta")
    stage.run(books.store, SENT)
    assert books.states() == {"C1": "sent", "C2": "sent"}
    assert sending_states(books) == ["verified"]
    assert causes(books) == [("file", "277CA.other_payer")]
    run(books, f277_of("B1", REJECTED, control=10))  # the same by the payer itself
    assert books.states() == {"C1": "rejected", "C2": "sent"}


def test_payers_of_one_clearinghouse_answer_for_each_other(books: Books, tmp_path) -> None:
    folder = tmp_path / "payers"
    for key in ("acme", "zeta"):
        text = (folder / f"{key}.toml").read_text()
        (folder / f"{key}.toml").write_text(text + '[transport]\nkind = "folder"\noutbound = "/srv/out"\n')
    books.send("C1")
    data, kind = f277_of("B1", REJECTED)
    books.receive(data, kind, payer_key="zeta")
    stage.run(books.store, SENT)
    assert books.states() == {"C1": "rejected"}


# --- 'a paid claim was refused afterwards, and nobody was told' -----------------------------------------------------------


@pytest.mark.parametrize("state", ["paid", "denied"])
@pytest.mark.parametrize(
    ("answer", "cause"),
    [(f277_of("B1", REJECTED), "A7:562:85"), ((f999("AK2*837*0001*005010X222A1\nIK5*R*5"), "999"), "999:5")],
)
def test_a_refusal_of_a_claim_that_was_adjudicated_is_a_work_item(
    books: Books, state: str, answer: tuple[bytes, str], cause: str
) -> None:
    books.send("C1", state=state)
    run(books, answer)
    assert books.states() == {"C1": state}
    (item,) = books.work("rejection")
    assert (item.claim_id, item.cause, item.cents) == ("C1", f"{cause}:after-835", 10_000)
    assert state in item.title
    stage.run(books.store, ON)
    assert len(books.work()) == 1


# --- 'a file stuck here for days raised no alarm' -------------------------------------------------------------------------


def test_a_file_that_cannot_be_sent_is_an_alarm_until_it_is_sent(books: Books) -> None:
    books.send("C1", state="batched", sending_state="intent")
    stage.run(books.store, date(2026, 11, 23))
    assert causes(books) == []
    stage.run(books.store, date(2026, 11, 24))
    assert causes(books) == [("sending", "no-sending")]
    with books.store.begin() as c:
        c.execute(sa.update(r.sendings).values(state="renamed"))
    stage.run(books.store, date(2026, 11, 24))
    assert causes(books) == [("sending", "no-999")]  # its claims are batched still, and wait for an answer all the same
