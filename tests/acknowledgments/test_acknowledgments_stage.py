"""TA1, 999 and 277CA against claims that were sent: states, work, sendings, and any order of arrival."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledger.books import ON, SENT, Books, envelope, file_835, file_837, remittance

from pipeline.acknowledgments import stage
from pipeline.remittances import stage as remittances_stage
from pipeline.store import register as r
from pipeline.store.events import verify


def ta1(code: str, note: str, control: str = "000000001", number: int = 9) -> bytes:
    return envelope("FA", "005010X231A1", [], control=number, ta1=f"TA1*{control}*261120*0200*{code}*{note}")


def f999(sets: str, group: str = "AK9*A*1*1*1", *, number: int = 1, control: int = 9) -> bytes:
    return envelope("FA", "005010X231A1", [f"AK1*HC*{number}*005010X222A1\n{sets}\n{group}"], control=control)


def f277(
    claims: str, *, totals: str = "", batch: str = "B1", receiver: str = "A1:19:PR*20261120*WQ*200", control: int = 9
) -> bytes:
    text = f"""
    BHT*0085*08*X1*20261120*0200*TH
    HL*1**20*1
    NM1*PR*2*ACME*****PI*ACME1
    TRN*1*T0
    DTP*050*D8*20261120
    DTP*009*D8*20261120
    HL*2*1*21*1
    NM1*41*2*CLAIMPIPE*****46*CLAIMPIPE
    TRN*2*{batch}
    STC*{receiver}
    {totals}
    {claims.strip()}
    """
    lines = "\n".join(line for line in text.splitlines() if line.strip())
    return envelope("HN", "005010X214", [lines], control=control)


PROVIDER = "HL*3*2*19*1\nNM1*85*2*CLINIC*****XX*1234567893\nTRN*2*0"


def claim(claim_id: str, stc: str, number: int = 4, extra: str = "") -> str:
    return f"HL*{number}*3*PT\nNM1*QC*1*DOE*JANE****MI*M1\nTRN*2*{claim_id}\nSTC*{stc}\n{extra}DTP*472*D8*20261120"


def run(books: Books, *files: tuple[bytes, str], on: date = SENT) -> dict[str, int]:
    for data, kind in files:
        books.receive(data, kind)
    return stage.run(books.store, on)


def sending_states(books: Books) -> list[str]:
    return [row.state for row in books.rows(r.sendings)]


# --- TA1 and 999 -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["A", "E"])
def test_ta1_accepted_means_received_and_nothing_is_sent_again(books: Books, code: str) -> None:
    books.send("C1", "C2")
    counts = run(books, (ta1(code, "000"), "TA1"))
    assert books.states() == {"C1": "received", "C2": "received"}
    assert sending_states(books) == ["acknowledged"]
    assert counts["claims_received"] == 2
    assert books.work() == []


def test_ta1_rejected_rejects_every_claim_of_the_interchange(books: Books) -> None:
    books.send("C1", "C2")
    books.send("C3", number=2)
    counts = run(books, (ta1("R", "006"), "TA1"))
    assert books.states() == {"C1": "rejected", "C2": "rejected", "C3": "sent"}
    items = books.work("rejection")
    assert [(item.claim_id, item.cause, item.cents) for item in items] == [
        ("C1", "TA1:006", 10_000),
        ("C2", "TA1:006", 10_000),
    ]
    assert "sender's id is not valid" in items[0].reason
    assert len({item.title for item in items}) == 1  # like ones make one group
    assert counts["rejected_cents"] == 20_000


@pytest.mark.parametrize("order", ["duplicate first", "duplicate last", "together"])
def test_ta1_duplicate_rejects_nothing_where_the_payer_has_acknowledged_the_first_one(books: Books, order: str) -> None:
    books.send("C1", sending_state="unknown", state="unknown")
    first, again = (ta1("A", "000"), "TA1"), (ta1("R", "025", number=10), "TA1")
    for files in {"duplicate first": [[again], [first]], "duplicate last": [[first], [again]]}.get(
        order, [[again, first]]
    ):
        run(books, *files)
    assert books.states() == {"C1": "received"}
    assert sending_states(books) == ["acknowledged"]
    assert [f.rule for f in books.rows(r.findings) if f.severity == "warning"] == ["TA1.duplicate"]
    assert books.work() == []


@pytest.mark.parametrize(
    ("code", "state"), [("A", "received"), ("E", "received"), ("R", "rejected"), ("M", "rejected"), ("X", "rejected")]
)
def test_999_by_set(books: Books, code: str, state: str) -> None:
    """Two sets: the first is answered with the code, the second accepted."""
    books.send("C1", "C2", sets=("0001", "0002"))
    run(books, (f999(f"AK2*837*0001*005010X222A1\nIK5*{code}\nAK2*837*0002*005010X222A1\nIK5*A", "AK9*P*2*2*1"), "999"))
    assert books.states() == {"C1": state, "C2": "received"}


def test_999_group_rejected_without_sets(books: Books) -> None:
    books.send("C1", "C2", sets=("0001", "0002"))
    run(books, (f999("", "AK9*R*2*2*0*2"), "999"))
    assert books.states() == {"C1": "rejected", "C2": "rejected"}
    assert books.work()[0].cause == "999:2"
    assert "version" in books.work()[0].reason


def test_999_partial_group_leaves_it_to_its_sets(books: Books) -> None:
    books.send("C1", "C2", sets=("0001", "0002"))
    run(books, (f999("AK2*837*0001*005010X222A1\nIK5*R*5", "AK9*P*2*2*1"), "999"))
    assert books.states() == {"C1": "rejected", "C2": "sent"}


def test_999_says_which_element_in_plain_words(books: Books) -> None:
    books.send("C1")
    errors = "AK2*837*0001*005010X222A1\nIK3*NM1*23*2010*8\nIK4*9*67*7*SECRET\nIK5*R*I5"
    run(books, (f999(errors, "AK9*R*1*1*0"), "999"))
    (item,) = books.work()
    assert item.cause == "999:NM1:8:9:7"
    assert "Segment NM1" in item.reason
    assert "number 23 of the set, element 9" in item.reason
    assert "code is not valid" in item.reason
    assert "SECRET" not in str(item)
    assert "Use a code of the list" in item.action
    assert (item.opened_on, item.due_on) == (SENT, date(2026, 11, 30))  # five business days: Thanksgiving lies between


@pytest.mark.parametrize(
    ("error", "guilty"),
    [("LX*7*2400*8", "C2"), ("LX*5*2400*8", "C1"), ("HL*3*2000B*8", "C1"), ("CLM*6*2300*8", "C2"), ("NM1*3*2010AA*8", None), ("LX*7**8", None)],
)  # fmt: skip
def test_999_names_the_claim_in_which_the_segment_stands(books: Books, error: str, guilty: str | None) -> None:
    """ST is segment 1, so BHT 2, HL 3, CLM of C1 4, its LX 5, CLM of C2 6, its LX 7."""
    books.send("C1", "C2", data=file_837(("C1", "100"), ("C2", "100")))
    run(books, (f999(f"AK2*837*0001*005010X222A1\nIK3*{error}\nIK4*1**1\nIK5*R*5", "AK9*R*1*1*0"), "999"))
    items = {item.claim_id: item for item in books.work("rejection")}
    assert items["C1"].cause == items["C2"].cause
    for claim_id, item in items.items():
        assert ("stands in this claim" in item.reason) == (claim_id == guilty)
        assert (f"stands in claim {guilty}" in item.reason) == (guilty not in (None, claim_id))


def test_a_rejection_is_due_before_the_filing_limit(books: Books) -> None:
    books.send("C1")
    late = SENT + timedelta(days=88)
    run(books, (ta1("R", "022"), "TA1"), on=late)
    assert books.work()[0].due_on == SENT + timedelta(days=90)


# --- 277CA ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stc", "state", "causes"),
    [
        ("A0:16:PR*20261120*WQ*100", "sent", []),
        ("A1:19:PR*20261120*WQ*100", "sent", []),
        ("A2:20:PR*20261120*WQ*100", "accepted", []),
        ("A3:33:IL*20261120*U*100", "rejected", ["A3:33:IL"]),
        ("A6:145:85*20261120*U*100", "rejected", ["A6:145:85"]),
        ("A7:562:85*20261120*U*100", "rejected", ["A7:562:85"]),
        ("A8:488*20261120*U*100", "rejected", ["A8:488"]),
        ("A4:35*20261120*WQ*100", "sent", ["A4:35"]),
        ("A1:19:PR*20261120*U*100", "rejected", ["A1:19:PR"]),  # STC03 decides against the category
        ("A7:99999*20261120*U*100", "rejected", ["A7:99999"]),  # a status that no table knows
    ],
)
def test_277ca_by_category(books: Books, stc: str, state: str, causes: list[str]) -> None:
    books.send("C1")
    run(books, (f277(f"{PROVIDER}\n{claim('C1', stc)}"), "277CA"))
    assert books.states() == {"C1": state}
    assert [item.cause for item in books.work()] == causes
    assert sending_states(books) == ["acknowledged"]


def test_277ca_keeps_the_payers_claim_number(books: Books) -> None:
    books.send("C1")
    run(
        books, (f277(f"{PROVIDER}\n{claim('C1', 'A2:20:PR*20261120*WQ*100', extra='REF*1K*ICN77' + chr(10))}"), "277CA")
    )
    assert [row.payer_claim_number for row in books.rows(r.claims)] == ["ICN77"]


def test_like_rejections_make_one_group_with_its_dollars(books: Books) -> None:
    ids = [f"C{n:03d}" for n in range(200)]
    books.send(*ids)
    named = "\n".join(claim(i, "A7:562:85*20261120*U*100", number=4 + n) for n, i in enumerate(ids))
    run(books, (f277(f"{PROVIDER}\n{named}"), "277CA"))
    items = books.work("rejection")
    assert len(items) == 200
    assert {(item.cause, item.title) for item in items} == {("A7:562:85", "Rejected: NPI of the billing provider")}
    assert sum(item.cents for item in items) == 2_000_000


def test_the_line_tells_why_and_the_claim_decides(books: Books) -> None:
    books.send("C1")
    line = "SVC*HC:99213*100****1\nSTC*A7:454*20261120*U\nREF*FJ*C1-1\n"
    text = claim("C1", "A2:20:PR*20261120*WQ*100").replace("DTP*472*D8*20261120", line + "DTP*472*D8*20261120")
    run(books, (f277(f"{PROVIDER}\n{text}"), "277CA"))
    assert books.states() == {"C1": "accepted"}


def sent_837(*providers: tuple[str, list[str]], batch: str = "B1") -> bytes:
    body = f"BHT*0019*00*{batch}*20261120*0200*CH\nNM1*41*2*CLAIMPIPE*****46*CLAIMPIPE\nPER*IC*X*TE*6175550100\nNM1*40*2*ACME*****46*ACME"
    number = 0
    for npi, ids in providers:
        number += 1
        parent = number
        body += f"\nHL*{number}**20*1\nNM1*85*2*CLINIC*****XX*{npi}\nN3*1 ST\nN4*BOSTON*MA*021010000\nREF*EI*123456789"
        for claim_id in ids:
            number += 1
            body += (
                f"\nHL*{number}*{parent}*22*0\nSBR*P*18*******CI\nNM1*IL*1*DOE*JANE****MI*M1\nNM1*PR*2*ACME*****PI*ACME1"
                f"\nCLM*{claim_id}*100***11:B:1*Y*A*Y*Y\nHI*ABK:R69\nLX*1\nSV1*HC:99213*100*UN*1***1\nDTP*472*D8*20261120"
            )
    return envelope("HC", "005010X222A1", [body])


_REFUSED = "A7:500:85*20261120*U*200"


def test_a_reject_above_the_claims_reaches_every_claim_beneath(books: Books) -> None:
    """2200B refuses the batch and names no claim: all three claims of the batch are rejected, those of another are not."""
    data = sent_837(("1234567893", ["C1", "C2"]), ("1999999984", ["C3"]))
    books.send("C1", "C2", "C3", data=data)
    books.send("D1", number=2, data=sent_837(("1234567893", ["D1"]), batch="B2"))
    counts = run(books, (f277("", receiver=_REFUSED), "277CA"))
    assert books.states() == {"C1": "rejected", "C2": "rejected", "C3": "rejected", "D1": "sent"}
    assert counts["claims_rejected"] == 3
    assert len(books.work("rejection")) == 3


def test_a_reject_of_one_provider_reaches_its_claims_only(books: Books) -> None:
    data = sent_837(("1234567893", ["C1", "C2"]), ("1999999984", ["C3"]))
    books.send("C1", "C2", "C3", data=data)
    named = f"HL*3*2*19*0\nNM1*85*2*CLINIC*****XX*1234567893\nTRN*1*0\nSTC*{_REFUSED}\n{PROVIDER.replace('HL*3', 'HL*4').replace('1234567893', '1999999984')}\n"
    run(books, (f277(named + claim("C3", "A2:20:PR*20261120*WQ*100", 5).replace("*3*PT", "*4*PT")), "277CA"))
    assert books.states() == {"C1": "rejected", "C2": "rejected", "C3": "accepted"}


def test_a_reject_above_claims_that_are_named_does_not_reach_others(books: Books) -> None:
    books.send("C1", "C2", data=sent_837(("1234567893", ["C1", "C2"])))
    run(books, (f277(f"{PROVIDER}\n{claim('C1', 'A7:562:85*20261120*U*100')}", receiver=_REFUSED), "277CA"))
    assert books.states() == {"C1": "rejected", "C2": "sent"}


def test_totals_of_a_277ca_are_reconciled(books: Books) -> None:
    books.send("C1", "C2")
    named = f"{PROVIDER}\n{claim('C1', 'A2:20:PR*20261120*WQ*100')}\n{claim('C2', 'A7:562:85*20261120*U*100', 5)}"
    right = "QTY*90*1\nQTY*AA*1\nAMT*YU*100\nAMT*YY*100"
    run(books, (f277(named, totals=right), "277CA"))
    assert [f for f in books.rows(r.findings) if f.rule == "277CA.totals"] == []
    run(books, (f277(named, totals=right.replace("AA*1", "AA*2").replace("YU*100", "YU*101"), control=10), "277CA"))
    assert sorted(f.segment_id for f in books.rows(r.findings) if f.rule == "277CA.totals") == ["AMT", "QTY"]


# --- order, waiting, repeats -------------------------------------------------------------------------------------------

_CLAIM_FILES = {
    "TA1": (ta1("A", "000"), "TA1"),
    "999": (f999("AK2*837*0001*005010X222A1\nIK5*A\nAK2*837*0002*005010X222A1\nIK5*R*5", "AK9*P*2*2*1"), "999"),
    "clearinghouse": (f277(f"{PROVIDER}\n{claim('C1', 'A1:19:PR*20261120*WQ*100')}\n{claim('C3', 'A2:20:PR*20261120*WQ*100', 5, 'REF*1K*CH1' + chr(10))}", control=20).replace(b"NM1*PR*2*ACME*****PI*ACME1", b"NM1*AY*2*HOUSE*****46*HOUSE1"), "277CA"),
    "payer": (f277(f"{PROVIDER}\n{claim('C1', 'A2:20:PR*20261121*WQ*100', extra='REF*1K*ICN1' + chr(10))}\n{claim('C3', 'A3:54*20261121*U*100', 5)}", control=21), "277CA"),
    "835": (file_835(remittance("CLP*C1*1*100*80**12*ICN1*11\nCAS*CO*45*20", amount="80"), control=22), "835"),
}  # fmt: skip


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.permutations(list(_CLAIM_FILES)), st.lists(st.booleans(), min_size=5, max_size=5), st.integers(0, 4))
def test_any_order_of_arrival_gives_the_same_states(
    fresh_books: Callable[[], Books], order: list[str], runs: list[bool], known_after: int
) -> None:
    """Files in any order, runs in between or not, the upload recorded before, between or after them."""
    books = fresh_books()
    for number, (name, now) in enumerate(zip(order, runs, strict=True)):
        if number == known_after:
            books.send("C1", "C2", "C3", sets=("0001", "0002", "0001"), state="unknown", sending_state="unknown")
        books.receive(*_CLAIM_FILES[name])
        if now:
            stage.run(books.store, ON)
            remittances_stage.run(books.store, ON)
    stage.run(books.store, ON)
    remittances_stage.run(books.store, ON)
    assert books.states() == {"C1": "paid", "C2": "rejected", "C3": "rejected"}
    assert sending_states(books) == ["acknowledged"]
    assert sorted(item.claim_id for item in books.work("rejection")) == ["C2", "C3"]
    assert {row.claim_id: row.payer_claim_number for row in books.rows(r.claims)} == {
        "C1": "ICN1",
        "C2": None,
        "C3": "CH1",
    }
    assert {row.state for row in books.rows(r.acknowledgments)} == {"applied"}
    with books.store.read() as c:
        assert verify(c) == []


def test_an_acknowledgment_before_its_upload_is_recorded_waits_and_is_applied(books: Books) -> None:
    counts = run(
        books, (ta1("A", "000"), "TA1"), (f277(f"{PROVIDER}\n{claim('C1', 'A2:20:PR*20261120*WQ*100')}"), "277CA")
    )
    assert counts["waiting"] == 2
    assert {row.state for row in books.rows(r.acknowledgments) if row.level != "receiver"} == {"waiting"}
    books.send("C1", state="batched", sending_state="intent")
    stage.run(books.store, ON)
    assert books.states() == {"C1": "accepted"}
    assert sending_states(books) == ["acknowledged"]


def test_an_acknowledgment_for_another_payers_file_meets_nothing(books: Books) -> None:
    books.send("C1", payer_key="zeta")
    run(books, (ta1("A", "000"), "TA1"), (f999("AK2*837*0001*005010X222A1\nIK5*R", "AK9*R*1*1*0"), "999"))
    assert books.states() == {"C1": "sent"}
    assert sending_states(books) == ["verified"]


def test_an_accepted_claim_never_falls_back(books: Books) -> None:
    books.send("C1", state="accepted")
    run(books, (ta1("A", "000"), "TA1"), (f999("AK2*837*0001*005010X222A1\nIK5*A"), "999"))
    assert books.states() == {"C1": "accepted"}


def test_the_same_fact_in_another_file_is_one_fact(books: Books) -> None:
    books.send("C1")
    run(books, (ta1("R", "022"), "TA1"))
    events = len(books.rows(r.claim_events))
    run(books, (ta1("R", "022", number=10), "TA1"))
    assert len(books.rows(r.acknowledgments)) == 1
    assert len(books.rows(r.claim_events)) == events
    assert len(books.work()) == 1


def test_the_stage_again_writes_nothing(books: Books) -> None:
    books.send("C1", "C2", sets=("0001", "0002"))
    run(books, _CLAIM_FILES["999"], (ta1("A", "000", control="000000777"), "TA1"))
    before = {table.name: books.rows(table) for table in r.metadata.sorted_tables}
    assert not any(stage.run(books.store, SENT).values())
    assert {table.name: books.rows(table) for table in r.metadata.sorted_tables} == before


def test_an_unreadable_file_is_set_aside_and_its_neighbour_applied(books: Books) -> None:
    books.send("C1")
    counts = run(books, (f999("AK2*837*0001*005010X222A1\nIK5*R", control=3)[:-30], "999"), (ta1("A", "000"), "TA1"))
    assert counts["files_quarantined"] == 1
    assert books.states() == {"C1": "received"}
    assert [(item.queue, item.payer_key) for item in books.work()] == [("file", "acme")]


def test_a_mixed_file_is_done_when_both_stages_have_read_it(books: Books) -> None:
    books.send("C1")
    glued = ta1("A", "000") + file_835(remittance("CLP*C1*1*100*100**12*ICN1*11", amount="100"), control=30)
    run(books, (glued, "mixed"))
    assert [f.state for f in books.rows(r.files)] == ["archived"]
    assert books.states() == {"C1": "received"}
    remittances_stage.run(books.store, ON)
    assert [f.state for f in books.rows(r.files)] == ["processed"]
    assert books.states() == {"C1": "paid"}
    assert not any(stage.run(books.store, ON).values())


# --- what does not come --------------------------------------------------------------------------------------------------


def test_silence_alarms_after_its_business_days_and_sends_nothing(books: Books) -> None:
    """Sent on Friday 20 November: one business day for the 999 is over after Monday, three for the 277CA after Wednesday."""
    books.send("C1", "C2")
    stage.run(books.store, date(2026, 11, 23))
    assert books.work() == []
    stage.run(books.store, date(2026, 11, 24))
    assert [(item.queue, item.cause, item.cents) for item in books.work()] == [("sending", "no-999", 20_000)]
    stage.run(books.store, date(2026, 11, 27))  # Thanksgiving does not count
    assert [item.cause for item in books.work()] == ["no-277CA", "no-999"]
    assert sending_states(books) == ["verified"]
    assert books.states() == {"C1": "sent", "C2": "sent"}
    assert "Do not send it again" in books.work()[0].action
    run(books, (f999("AK2*837*0001*005010X222A1\nIK5*A"), "999"), on=date(2026, 11, 27))
    assert [item.cause for item in books.work()] == ["no-277CA"]


def test_a_set_without_its_999_is_silence_too(books: Books) -> None:
    books.send("C1", "C2", sets=("0001", "0002"))
    run(books, (f999("AK2*837*0001*005010X222A1\nIK5*A", "AK9*P*2*2*1"), "999"), on=date(2026, 11, 24))
    assert [item.cause for item in books.work("sending")] == []  # the group as a whole is answered
    books.send("C3", "C4", sets=("0001", "0002"), number=2)
    run(books, (f999("AK2*837*0001*005010X222A1\nIK5*A", "", number=2, control=11), "999"), on=date(2026, 11, 24))
    assert [item.cause for item in books.work("sending")] == ["no-999"]


def test_texts_for_people_hold_no_names(books: Books) -> None:
    books.send("C1")
    run(
        books,
        (f277(f"{PROVIDER}\n{claim('C1', 'A7:562:85*20261120*U*100').replace('DOE*JANE', 'CANARY*JANE')}"), "277CA"),
    )
    told = [
        *books.rows(r.work_items),
        *books.rows(r.findings),
        *books.rows(r.claim_events),
        *books.rows(r.acknowledgments),
    ]
    assert told
    assert not any("CANARY" in str(value) for row in told for value in row)
