"""Claims that go to a second payer: what the first one settled is stated by the claim, and OA-23 of the second repeats it.

The claim of these tests: charge 100.00; the first payer has paid 60.00, wrote off 20.00 and left 20.00 to the patient. So 80.00 is
settled and 20.00 is what the second payer (acme) can owe.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledger.books import ON, SENT, Books, file_835, remittance

from pipeline import shapes
from pipeline.ledger import earlier, proof
from pipeline.ledger.earlier_in_files import earlier_in
from pipeline.remittances import stage
from pipeline.store import register as r

SETTLED = 8_000
OPEN = {"income:charges": -10_000, "settled:earlier_payers": SETTLED, "receivable:payer:acme": 2_000}


def post(books: Books, *files: bytes) -> dict[str, int]:
    for data in files:
        books.receive(data, "835")
    return stage.run(books.store, ON)


def second(cas: str, paid: str, status: str = "2") -> str:
    return f"CLP*C1*{status}*100*{paid}**12*ICN1*11\n{cas}"


def work(books: Books) -> list[tuple[str, str, int]]:
    return [(item.queue, item.cause, item.cents) for item in books.work()]


def test_the_receivable_opens_at_what_earlier_payers_left(books: Books) -> None:
    books.send("C1", earlier_cents=SETTLED)
    assert books.balances() == OPEN
    assert proof.prove(books.store, archive=False).residue_cents == 0


#: adjustments and payment of the second payer → accounts that move, and what is left to do
CASES: dict[str, tuple[str, str, dict[str, int], list[tuple[str, str, int]]]] = {
    "it repeats what was stated": (
        "CAS*OA*23*80\nCAS*PR*2*5", "15", {"clearing:eft:acme": 1_500, "receivable:patient": 500}, [],
    ),
    "by line": (
        "SVC*HC:99213*70*10\nDTM*472*20261120\nCAS*OA*23*60\nSVC*HC:85025*30*10\nDTM*472*20261120\nCAS*OA*23*20", "20",
        {"clearing:eft:acme": 2_000}, [],
    ),
    "it pays nothing: the patient owes the rest": ("CAS*OA*23*80\nCAS*PR*1*20", "0", {"receivable:patient": 2_000}, []),
    "it writes off a part of what was left": (
        "CAS*OA*23*80\nCAS*CO*45*7", "13", {"clearing:eft:acme": 1_300, "adjustment:contractual": 700}, [],
    ),
    "OA-23 is what was paid, the earlier write-off comes as its own": (
        "CAS*CO*45*20\nCAS*OA*23*60\nCAS*PR*2*5", "15", {"clearing:eft:acme": 1_500, "receivable:patient": 500}, [],
    ),
    "… with more written off than the first payer did": (
        "CAS*CO*45*30\nCAS*OA*23*60", "10", {"clearing:eft:acme": 1_000, "adjustment:contractual": 1_000}, [],
    ),
    "no OA-23: all of the earlier part is written off as its own": (
        "CAS*CO*45*80\nCAS*PR*2*5", "15", {"clearing:eft:acme": 1_500, "receivable:patient": 500}, [],
    ),
    "… under two reasons": (
        "CAS*CO*253*2\nCAS*CO*45*81\nCAS*PR*2*5", "12",
        {"clearing:eft:acme": 1_200, "receivable:patient": 500, "adjustment:contractual": 100, "adjustment:sequestration": 200}, [],
    ),
    "it takes off more: the rest stays open, and is told": (
        "CAS*OA*23*90", "10", {"clearing:eft:acme": 1_000}, [("remittance", "OA-23", 1_000)],
    ),
    "it takes off less: more was decided than was open": (
        "CAS*OA*23*70", "30", {"clearing:eft:acme": 3_000}, [("remittance", "overposted", 1_000)],
    ),
    "less, and a denial beside it": (
        "CAS*OA*23*70\nCAS*CO*16*30", "0", {}, [("denial", "CO-16", 3_000), ("remittance", "OA-23", 1_000)],
    ),
    "it denies what was left": ("CAS*OA*23*80\nCAS*CO*16*20", "0", {}, [("denial", "CO-16", 2_000)]),
    "another reason to look at stands beside it": (
        "CAS*OA*23*80\nCAS*PI*45*8", "12", {"clearing:eft:acme": 1_200}, [("remittance", "PI-45", 800)],
    ),
    "it says that it was first, and takes no notice": (
        "CAS*CO*45*10", "90", {"clearing:eft:acme": 9_000}, [("remittance", "overposted", 7_000)],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("cas", "paid", "moved", "todo"), CASES.values(), ids=CASES.keys())
def test_oa_23_against_what_the_claim_states(
    books: Books, cas: str, paid: str, moved: dict[str, int], todo: list[tuple[str, str, int]]
) -> None:
    books.send("C1", earlier_cents=SETTLED, lines=[("99213", "", SENT), ("85025", "", SENT)])
    post(books, file_835(remittance(second(cas, paid), amount=paid)))
    left = OPEN["receivable:payer:acme"] - sum(moved.values())
    expected = OPEN | {"receivable:payer:acme": left} | moved
    assert books.balances() == {account: cents for account, cents in expected.items() if cents}
    assert work(books) == todo
    assert proof.prove(books.store, archive=False).residue_cents == 0


def test_a_difference_names_both_amounts(books: Books) -> None:
    books.send("C1", "C2", earlier_cents=SETTLED)
    books.send("C3", number=2)
    claims = """
    CLP*C1*2*100*10**12*ICN1*11
    CAS*OA*23*90
    CLP*C2*2*100*30**12*ICN2*11
    CAS*OA*23*70
    CLP*C3*1*100*60**12*ICN3*11
    CAS*OA*23*40
    """
    post(books, file_835(remittance(claims, amount="100")))
    more, first, less = books.work()
    assert "earlier payers paid and wrote off 80.00" in more.reason
    assert "this payer takes off 90.00 (OA-23)" in more.reason
    assert (first.claim_id, first.cents) == ("C3", 4_000)
    assert "names no earlier payer" in first.reason
    assert "takes off 40.00 (OA-23)" in first.reason
    assert less.cause == "overposted"
    assert "80.00" in less.reason
    assert "takes off 70.00 (OA-23)" in less.reason
    assert (more.cents, less.cents) == (1_000, 1_000)


#: parts of one claim in one remittance → OA-23 items
SPLITS: dict[str, tuple[str, str, int, list[tuple[str, str, int]]]] = {
    "both parts repeat it": (
        "CLP*C1*2*60*12**12*I1*11\nCAS*OA*23*48\nCLP*C1*2*40*8**12*I2*11\nCAS*OA*23*32", "20", 0, [],
    ),
    "OA-23 is what was paid": (
        "CLP*C1*2*60*12**12*I1*11\nCAS*OA*23*36**45*0\nCAS*CO*45*12\nCLP*C1*2*40*8**12*I2*11\nCAS*OA*23*24\nCAS*CO*45*8", "20", 0, [],
    ),
    "the second part takes off more": (
        "CLP*C1*2*60*12**12*I1*11\nCAS*OA*23*48\nCLP*C1*2*40*3**12*I2*11\nCAS*OA*23*37", "15", 500,
        [("remittance", "OA-23", 500)],
    ),
    "one part alone: its own write-off is not taken for the earlier payer's": (
        "CLP*C1*2*60*10**12*I1*11\nCAS*OA*23*48\nCAS*CO*45*2", "10", 800, [("remittance", "charge-too-low", 4_000)],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("claims", "paid", "left", "todo"), SPLITS.values(), ids=SPLITS.keys())
def test_a_claim_that_the_payer_splits_is_compared_as_a_whole(
    books: Books, claims: str, paid: str, left: int, todo: list[tuple[str, str, int]]
) -> None:
    books.send("C1", earlier_cents=SETTLED)
    post(books, file_835(remittance(claims, amount=paid)))
    assert books.balances().get("receivable:payer:acme", 0) == left
    assert work(books) == todo


def test_a_second_payer_that_calls_itself_the_first_is_not_held_against_its_contract(books: Books) -> None:
    """CLP02 1 on a claim with an earlier part: what it allows depends on the first payer."""
    books.send("C1", earlier_cents=SETTLED, lines=[("99213", "", SENT, 10_000)])
    text = second("CAS*OA*23*80\nCAS*PR*2*5", "15", status="1")
    post(books, file_835(remittance(text, amount="15")))
    assert books.work() == []


# --- reversal ----------------------------------------------------------------------------------------------------------

_ORIGINAL = "CLP*C1*2*100*15**12*ICN1*11\nCAS*CO*45*20\nCAS*OA*23*60\nCAS*PR*2*5"
_BACK = "CLP*C1*22*-100*-15**12*ICN1*11\nCAS*CO*45*-20\nCAS*OA*23*-60\nCAS*PR*2*-5\nCLP*C2*1*100*100**12*P1*11"
_AGAIN = "CLP*C1*2*100*12**12*ICN1*11\nCAS*OA*23*80\nCAS*PR*2*8"


def test_a_reversal_gives_back_exactly(books: Books) -> None:
    """The write-off that only repeated the earlier payer's goes back with the rest, though its net is nothing."""
    books.send("C1", earlier_cents=SETTLED)
    books.send("C2", number=2)
    before = {k: v for k, v in books.by_claim().items() if k[0] == "C1"}
    post(books, file_835(remittance(_ORIGINAL, amount="15", trace="T1")))
    assert {k: v for k, v in books.by_claim().items() if k[0] == "C1"} != before
    post(books, file_835(remittance(_BACK, amount="85", trace="T2"), control=2))
    assert {k: v for k, v in books.by_claim().items() if k[0] == "C1"} == before
    assert books.work() == []
    assert books.states()["C1"] == "reversed"


def test_every_order_of_original_reversal_and_correction_is_one_ledger(fresh_books: Callable[[], Books]) -> None:
    files = [
        file_835(remittance(_ORIGINAL, amount="15", trace="T1", on="20261121")),
        file_835(remittance(_BACK, amount="85", trace="T2", on="20261122"), control=2),
        file_835(remittance(_AGAIN, amount="12", trace="T3", on="20261123"), control=3),
    ]
    results = []
    for order in itertools.permutations(files):
        books = fresh_books()
        books.send("C1", earlier_cents=SETTLED)
        books.send("C2", number=2)
        for one in order:
            post(books, one)
        assert work(books) == []
        assert proof.prove(books.store, archive=False).residue_cents == 0
        results.append((books.by_claim(), books.states()))
    assert all(result == results[0] for result in results)
    assert books.balances()["settled:earlier_payers"] == SETTLED
    assert "receivable:payer:acme" not in books.balances()


@st.composite
def decisions(draw: st.DrawFn) -> tuple[int, dict[str, int]]:
    """What is stated, and a decision on 100.00: paid, and amounts by group and reason."""
    cuts = sorted(draw(st.lists(st.integers(0, 100), min_size=5, max_size=5)))
    parts = [b - a for a, b in itertools.pairwise([0, *cuts, 100])]
    names = ("paid", "OA*23", "CO*45", "CO*16", "PR*2", "PI*16")
    return draw(st.integers(0, 100)), dict(zip(names, draw(st.permutations(parts)), strict=True))


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(decisions())
def test_what_stays_open_is_what_the_payer_holds_back_and_the_difference(
    books: Books, decision: tuple[int, dict[str, int]]
) -> None:
    """Whatever the payer says: open is what it denied and held, and by how much its view of the earlier part differs from the
    claim's; that difference is told once; nothing is written off beyond what it wrote off; the reversal gives back exactly."""
    stated, amounts = decision
    number = len(books.rows(r.claims)) + 1
    ours, other = f"A{number}", f"B{number}"

    def entries() -> dict[str, int]:
        found: dict[str, int] = {}
        for (claim, account, _), cents in books.by_claim().items():
            if claim == ours:
                found[account] = found.get(account, 0) + cents
        return {account: cents for account, cents in found.items() if cents}

    books.send(ours, earlier_cents=stated * 100, number=2 * number)
    books.send(other, number=2 * number + 1)
    before = entries()
    cas = "\n".join(f"CAS*{name}*{{s}}{cents}" for name, cents in amounts.items() if name != "paid" and cents)
    paid = f"{{s}}{amounts['paid']}" if amounts["paid"] else "0"
    text = f"CLP*{ours}*{{status}}*{{s}}100*{paid}**12*I{number}*11\n{cas}"
    decided = text.format(s="", status="2")
    post(books, file_835(remittance(decided, amount=str(amounts["paid"]), trace=f"T{number}"), control=2 * number))
    after = entries()
    restated = min(amounts["CO*45"], max(stated - amounts["OA*23"], 0))
    difference = amounts["OA*23"] + restated - stated
    held = amounts["CO*16"] + amounts["PI*16"]
    assert after.get("receivable:payer:acme", 0) == (held + difference) * 100
    assert after.get("adjustment:contractual", 0) == (amounts["CO*45"] - restated) * 100
    told = [item.cause for item in books.work() if item.cause in ("OA-23", "overposted")]
    assert len(told) == (difference != 0)
    assert proof.prove(books.store, archive=False).residue_cents == 0
    taken_back = text.format(s="-", status="22") + f"\nCLP*{other}*1*100*100**12*P{number}*11"
    back = remittance(taken_back, amount=str(100 - amounts["paid"]), trace=f"R{number}")
    post(books, file_835(back, control=2 * number + 1))
    assert entries() == before
    assert books.work() == []


# --- what a claim states -------------------------------------------------------------------------------------------------


def payer(place: str, paid: Any, *cas: tuple[str, str, str], key: str = "") -> dict[str, Any]:
    return {
        "responsibility": place, "payer_name": "OTHER", "payer_id": key or f"ID{place}", "paid": paid and Decimal(paid),
        "adjustments": [{"group": g, "reason": c, "amount": Decimal(a)} for g, c, a in cas],
    }  # fmt: skip


#: own place, other payers → cents that are settled of 100.00
STATED: dict[str, tuple[str | None, list[dict[str, Any]], int]] = {
    "paid and written off": ("S", [payer("P", "60", ("CO", "45", "20"), ("PR", "2", "20"))], 8_000),
    "the claim goes to the first payer: nothing came before": (None, [payer("S", None)], 0),
    "… whatever a later one is said to have paid": ("P", [payer("S", "60", ("CO", "45", "40"))], 0),
    "the first payer denied: the next one is asked for all": ("S", [payer("P", "0", ("CO", "96", "100"))], 0),
    "what a payer held back is asked for": ("S", [payer("P", "60", ("OA", "94", "10"), ("PI", "45", "30"))], 6_000),
    "capitation is settled": ("S", [payer("P", "0", ("CO", "24", "90"), ("PR", "3", "10"))], 9_000),
    "a third payer: the second one's decision holds the first one's": (
        "T", [payer("P", "60", ("CO", "45", "20"), ("PR", "2", "20")), payer("S", "15", ("OA", "23", "80"), ("PR", "2", "5"))], 9_500,
    ),
    "… and where it holds nothing of it, the larger one counts": (
        "T", [payer("P", "60", ("CO", "45", "20"), ("PR", "2", "20")), payer("S", "0", ("CO", "22", "100"))], 8_000,
    ),
    "never more than the charge, never less than nothing": ("S", [payer("P", "120")], 10_000),
    "an earlier payer that has decided nothing": ("S", [payer("P", None)], 0),
}  # fmt: skip


def tables(own: str | None, others: list[dict[str, Any]], adjudications: list[dict[str, Any]] | None = None) -> Any:
    known = {"claim_id": "C1", "charge": Decimal(100), "payer_responsibility": own, "other_payers": others}
    claims = shapes.schema("scrubbed_claims")
    lines = shapes.schema("scrubbed_lines")
    of_claims = pa.table({n: pa.array([known[n]], claims.field(n).type) for n in known})
    of_lines = pa.table({
        "claim_id": pa.array(["C1"]),
        "adjudications": pa.array([adjudications or []], lines.field("adjudications").type),
    })  # fmt: skip
    return of_claims, of_lines


@pytest.mark.parametrize(("own", "others", "cents"), STATED.values(), ids=STATED.keys())
def test_what_a_claim_states_of_earlier_payers(own: str | None, others: list[dict[str, Any]], cents: int) -> None:
    assert earlier.settled(*tables(own, others)) == ({"C1": cents} if cents else {})


def test_decisions_by_line_count_with_their_payer() -> None:
    of_line = {
        "payer_id": "IDP", "paid": Decimal(60), "units": Decimal(1), "paid_date": SENT,
        "adjustments": [{"group": "CO", "reason": "45", "amount": Decimal(20)}, {"group": "PR", "reason": "2", "amount": Decimal(20)}],
    }  # fmt: skip
    assert earlier.settled(*tables("S", [payer("P", "60")], [of_line])) == {"C1": 8_000}
    later = tables("S", [payer("P", "60"), payer("T", None)], [of_line | {"payer_id": "IDT"}])
    assert earlier.settled(*later) == {"C1": 6_000}


#: segments of a claim, one a line, and the HL before it → cents, as the proof reads them from the archived file
_SECOND = """
HL*2*1*22*0
SBR*S*18*******CI
NM1*PR*2*ACME*****PI*ACME1
CLM*C1*100
SBR*P*18*******MB
CAS*CO*45*20
AMT*D*60
NM1*PR*2*MEDICARE*****PI*M1
LX*1
SV1*HC:99213*100
"""
FILES = {
    "at the claim": (_SECOND, [("C1", 8_000)]),
    "by line": (
        _SECOND.replace("CAS*CO*45*20\n", "") + "SVD*M1*60*HC:99213**1\nCAS*CO*45*15**253*5\nCAS*PR*2*20\n", [("C1", 8_000)],
    ),
    "to the first payer": (_SECOND.replace("SBR*S", "SBR*P").replace("SBR*P*18*******MB", "SBR*S*18*******MB"), []),
    "a claim without other payers stands before and after": (
        "HL*2*1*22*0\nSBR*P*18\nCLM*C0*50\nLX*1\n" + _SECOND + "HL*3*1*22*0\nSBR*P*18\nCLM*C2*50\nLX*1\n", [("C1", 8_000)],
    ),
    "the patient is a dependant, and the second of a family": (
        _SECOND.replace("*22*0", "*22*1").replace("CLM*C1", "HL*3*2*23*0\nPAT*19\nCLM*C1")
        + "HL*4*2*23*0\nPAT*19\nCLM*C5*100\nSBR*P*18\nAMT*D*70\nNM1*PR*2*M*****PI*M1\nLX*1\n",
        [("C1", 8_000), ("C5", 7_000)],
    ),
    "the patient's own payment is none of a payer": (_SECOND.replace("AMT*D*60", "AMT*EAF*60"), []),
}  # fmt: skip


@pytest.mark.parametrize(("text", "found"), FILES.values(), ids=FILES.keys())
@pytest.mark.parametrize("ends", ["~", "~\r\n"])
def test_the_proof_reads_it_from_the_file_again(text: str, found: list[tuple[str, int]], ends: str) -> None:
    head = "ISA*00*          *00*          *ZZ*A              *ZZ*B              *261120*0200*^*00501*000000001*0*T*:"
    lines = [
        head,
        "GS*HC*A*B*20261120*0200*1*X*005010X222A1",
        "ST*837*0001",
        "HL*1**20*1",
        *text.split("\n"),
        "SE*9*0001",
    ]
    data = ends.join(line for line in lines if line).encode() + ends.encode()
    assert list(earlier_in(data)) == found
    assert list(earlier_in(data + data.replace(b"CLM*C", b"CLM*D"))) == [
        *found,
        *((f"D{c[1:]}", cents) for c, cents in found),
    ]


# --- homes of before -------------------------------------------------------------------------------------------------------


def before(books: Books, *claim_ids: str) -> None:
    """Claims that went out before the register kept what earlier payers settled; the lake has what they state."""
    books.send(*claim_ids, earlier_cents=None)
    rows = [
        {
            "claim_id": c, "encounter_key": f"E{c}", "guide": "005010X222A1", "frequency": "1", "synthetic": True, "practice_id": "P1",
            "source_file": "f", "source_row": 1, "service_from": SENT, "service_to": SENT, "charge": Decimal(100),
            "payer_responsibility": "S", "other_payers": [payer("P", "60", ("CO", "45", "20"), ("PR", "2", "20"))],
        }
        for c in claim_ids
    ]  # fmt: skip
    books.store.lake.write("scrubbed_claims", SENT, "part1acme", shapes.from_rows("scrubbed_claims", rows))


def settle_as_before(books: Books, monkeypatch: pytest.MonkeyPatch, cas: str, paid: str) -> None:
    """A second payer's decision, posted when nothing was known of the first one's."""
    with monkeypatch.context() as old:
        old.setattr(earlier, "complete", lambda store, on: 0)
        post(books, file_835(remittance(second(cas, paid), amount=paid)))
    assert books.balances()["receivable:payer:acme"] >= 6_000


def again(books: Books) -> None:
    """The next run; the one after it changes nothing."""
    stage.run(books.store, ON)
    rows = {table.name: books.rows(table) for table in r.metadata.sorted_tables}
    assert not any(stage.run(books.store, ON).values())
    assert {table.name: books.rows(table) for table in r.metadata.sorted_tables} == rows
    assert proof.prove(books.store, archive=False).residue_cents == 0


def test_claims_of_before_open_at_the_rest_with_the_next_run(books: Books) -> None:
    before(books, "C1", "C2")
    assert books.balances()["receivable:payer:acme"] == 20_000
    post(books, file_835(remittance(second("CAS*OA*23*80\nCAS*PR*2*5", "15"), amount="15")))
    assert books.balances() == {
        "income:charges": -20_000, "settled:earlier_payers": 16_000, "receivable:payer:acme": 2_000, "receivable:patient": 500,
        "clearing:eft:acme": 1_500,
    }  # fmt: skip
    assert books.work() == []
    again(books)


def test_what_was_to_be_looked_at_and_agrees_is_done_with_the_next_run(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    before(books, "C1")
    settle_as_before(books, monkeypatch, "CAS*OA*23*80\nCAS*PR*2*5", "15")
    assert work(books) == [("remittance", "OA-23", 8_000)]
    again(books)
    assert work(books) == []
    assert "receivable:payer:acme" not in books.balances()
    assert books.balances()["settled:earlier_payers"] == SETTLED
    back = "CLP*C1*22*-100*-15**12*ICN1*11\nCAS*OA*23*-80\nCAS*PR*2*-5\nCLP*C9*1*100*100**12*P1*11"
    post(books, file_835(remittance(back, amount="85", trace="T2"), control=2))
    assert books.balances()["receivable:payer:acme"] == 2_000


def test_what_was_decided_otherwise_before_stays_as_it_was_until_it_is_taken_back(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The write-off that repeats the first payer's is posted already: to take its part out as well would settle it twice."""
    before(books, "C1")
    settle_as_before(books, monkeypatch, "CAS*CO*45*20\nCAS*OA*23*60\nCAS*PR*2*5", "15")
    again(books)
    assert books.balances()["receivable:payer:acme"] == 6_000
    assert work(books) == [("remittance", "OA-23", 6_000)]
    post(
        books,
        file_835(
            remittance(_BACK.split("\nCLP*C2")[0] + "\nCLP*C9*1*100*100**12*P1*11", amount="85", trace="T2"), control=2
        ),
    )
    again(books)
    assert books.balances()["receivable:payer:acme"] == 2_000
    assert books.balances()["settled:earlier_payers"] == SETTLED


def test_a_claim_whose_part_of_the_lake_is_lost_is_posted_all_the_same(books: Books) -> None:
    books.send("C1", earlier_cents=None)
    post(books, file_835(remittance(second("CAS*OA*23*80\nCAS*PR*2*5", "15"), amount="15")))
    assert books.balances()["receivable:payer:acme"] == 8_000
    assert work(books) == [("remittance", "OA-23", 8_000)]
    again(books)
