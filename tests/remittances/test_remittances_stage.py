"""Posting of 835s: what each claim payment does to the ledger, the claim, and the work queues."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import date, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledger.books import ON, SENT, Books, file_835, remittance

from pipeline.ledger import policy, proof
from pipeline.remittances import stage
from pipeline.store import register as r


def post(books: Books, *files: bytes, on: date = ON, payer_key: str = "acme") -> dict[str, int]:
    for data in files:
        books.receive(data, "835", payer_key)
    return stage.run(books.store, on)


def test_paid_claim_clears_its_receivable(books: Books) -> None:
    """Paid, the contract's discount, and the patient's share leave the receivable; the rest of the charge is 0."""
    books.send("C1")
    claims = """
    CLP*C1*1*100*60*20*12*ICN1*11
    CAS*CO*45*20
    CAS*PR*1*15**2*5
    """
    counts = post(books, file_835(remittance(claims, amount="60")))
    assert books.balances() == {
        "income:charges": -10_000, "adjustment:contractual": 2_000, "clearing:eft:acme": 6_000, "receivable:patient": 2_000,
    }  # fmt: skip
    assert books.by_claim()["C1", "receivable:patient", "PR-1"] == 1_500
    assert books.states() == {"C1": "paid"}
    assert books.work() == []
    assert (counts["remittances_posted"], counts["claims_posted"], counts["paid_cents"]) == (1, 1, 6_000)
    (row,) = books.rows(r.remittance_claims)
    assert (row.outcome, row.paid_cents, row.adjusted_cents, row.patient_cents, row.payer_claim_number) == (
        "paid", 6_000, 2_000, 2_000, "ICN1",
    )  # fmt: skip


#: adjustments of a claim of 100.00 → accounts that move, state, queues with cause
CASES = {
    "CO-16 is not written off: it opens a denial": ("CAS*CO*16*100", "0", {}, "denied", [("denial", "CO-16")]),
    "CO-197 opens a denial": ("CAS*CO*197*100", "0", {}, "denied", [("denial", "CO-197")]),
    "CO with a reason that nobody knows is never written off": (
        "CAS*CO*999*100", "0", {}, "denied", [("denial", "CO-999")],
    ),
    "contract and denial together: denied": (
        "CAS*CO*45*30**50*70", "0", {"adjustment:contractual": 3_000}, "denied", [("denial", "CO-50")],
    ),
    "paid 0 by deductible is not denied": ("CAS*PR*1*100", "0", {"receivable:patient": 10_000}, "paid", []),
    "paid 0 by contract is not denied": ("CAS*CO*45*100", "0", {"adjustment:contractual": 10_000}, "paid", []),
    "capitation is not a denial": ("CAS*CO*24*100", "0", {"adjustment:capitation": 10_000}, "paid", []),
    "not covered, to the patient: denied, and billed to the patient": (
        "CAS*PR*204*100", "0", {"receivable:patient": 10_000}, "denied", [("denial", "PR-204")],
    ),
    "part denied, part paid: paid, and the rest is worked": (
        "CAS*CO*97*40", "60", {"clearing:eft:acme": 6_000}, "paid", [("denial", "CO-97")],
    ),
    "OA goes to review": ("CAS*OA*23*40", "60", {"clearing:eft:acme": 6_000}, "paid", [("remittance", "OA-23")]),
    "PI goes to review even for a reason that CO writes off": (
        "CAS*PI*45*40", "60", {"clearing:eft:acme": 6_000}, "paid", [("remittance", "PI-45")],
    ),
    "sequestration has an account of its own": (
        "CAS*CO*253*2", "98", {"adjustment:sequestration": 200, "clearing:eft:acme": 9_800}, "paid", [],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("cas", "paid", "moved", "state", "queues"), CASES.values(), ids=CASES.keys())
def test_policy_of_group_and_reason(
    books: Books, cas: str, paid: str, moved: dict[str, int], state: str, queues: list[tuple[str, str]]
) -> None:
    books.send("C1")
    post(books, file_835(remittance(f"CLP*C1*1*100*{paid}**12*ICN1*11\n{cas}", amount=paid)))
    left = 10_000 - sum(moved.values())
    expected = {"income:charges": -10_000, "receivable:payer:acme": left, **moved}
    assert books.balances() == {account: cents for account, cents in expected.items() if cents}
    assert books.states() == {"C1": state}
    assert [(item.queue, item.cause) for item in books.work()] == queues


def test_denial_says_why_what_to_do_and_until_when(books: Books) -> None:
    books.send("C1", "C2")
    claims = """
    CLP*C1*1*100*0**12*ICN1*11
    CAS*CO*16*90**45*10
    MOA***N290*MA130
    CLP*C2*1*100*0**12*ICN2*11
    CAS*CO*50*100
    """
    post(books, file_835(remittance(claims, amount="0", method="NON")))
    first, second = books.work("denial")
    assert (first.cause, first.cents, first.claim_id, first.payer_key) == ("CO-16", 9_000, "C1", "acme")
    assert "something the claim needs is missing" in first.reason
    assert "rendering provider's id" in first.reason
    assert "cannot be appealed" in first.action  # MA130: a new claim, so the filing limit counts
    assert first.due_on == SENT + timedelta(days=90)
    assert second.due_on == date(2026, 11, 25) + timedelta(days=60)


@pytest.mark.parametrize(
    ("status", "state", "queue"),
    [("4", "denied", "denial"), ("25", "sent", "remittance"), ("23", "sent", "remittance")],
)
def test_statuses_that_decide_nothing_for_us_move_no_receivable(
    books: Books, status: str, state: str, queue: str
) -> None:
    books.send("C1")
    post(books, file_835(remittance(f"CLP*C1*{status}*100*0**12*ICN1*11\nCAS*OA*109*100", amount="0")))
    assert books.balances() == {"income:charges": -10_000, "receivable:payer:acme": 10_000}
    assert books.states() == {"C1": state}
    assert [(item.queue, item.cause) for item in books.work()] == [(queue, f"status-{status}")]


def test_a_claim_that_can_only_be_sent_again_shows_its_last_day_of_filing(books: Books) -> None:
    books.send("C1", "C2")
    claims = "CLP*C1*4*100*0**12*ICN1*11\nCAS*CO*31*100\nCLP*C2*25*100*0**12*ICN2*11\nCAS*OA*109*100"
    post(books, file_835(remittance(claims, amount="0", method="NON")))
    assert {(item.claim_id, item.cause): item.due_on for item in books.work()} == {
        ("C1", "status-4"): SENT + timedelta(days=90),
        ("C2", "status-25"): None,
    }


@pytest.mark.parametrize("status", ["1", "2", "3", "19", "20", "21"])
def test_statuses_that_are_processed(books: Books, status: str) -> None:
    books.send("C1")
    post(books, file_835(remittance(f"CLP*C1*{status}*100*80**12*ICN1*11\nCAS*CO*45*20", amount="80")))
    assert books.balances()["clearing:eft:acme"] == 8_000
    assert books.states() == {"C1": "paid"}


# --- balance ---------------------------------------------------------------------------------------------------------

_BALANCED = """
    CLP*C1*1*100*60**12*ICN1*11
    CAS*PR*3*10
    SVC*HC:99213*70*50
    DTM*472*20261120
    CAS*CO*45*20
    SVC*HC:85025*30*20
    DTM*472*20261120
    CAS*CO*45*10
    """


def test_line_and_claim_adjustments_balance_together(books: Books) -> None:
    books.send("C1")
    claims = _BALANCED.replace("*100*60**", "*100*60**")
    counts = post(books, file_835(remittance(claims, amount="60", tail="")))
    assert counts["remittances_posted"] == 1
    assert books.balances()["adjustment:contractual"] == 3_000


#: what to break → where the finding must stand and what it must say
OFF_BY_A_CENT = {
    "line": ("SVC*HC:85025*30*20", "SVC*HC:85025*30*20.01", "835.balance.line", "SVC", "difference -0.01"),
    "claim": ("CLP*C1*1*100*60*", "CLP*C1*1*100.01*60*", "835.balance.claim", "CLP", "difference 0.01"),
    "transaction": ("BPR*I*60*", "BPR*I*59.99*", "835.balance.transaction", "BPR", "difference 0.01"),
}


@pytest.mark.parametrize(("old", "new", "rule", "segment", "says"), OFF_BY_A_CENT.values(), ids=OFF_BY_A_CENT.keys())
def test_a_cent_off_at_each_level_is_located_and_holds_the_remittance(
    books: Books, old: str, new: str, rule: str, segment: str, says: str
) -> None:
    books.send("C1")
    data = file_835(remittance(_BALANCED, amount="60"))
    assert old.encode() in data
    counts = post(books, data.replace(old.encode(), new.encode()))
    assert counts["remittances_held"] == 1
    assert books.balances() == {"income:charges": -10_000, "receivable:payer:acme": 10_000}
    assert books.states() == {"C1": "sent"}
    (row,) = books.rows(r.remittances)
    assert (row.state, row.reason) == ("held", rule)
    found = [f for f in books.rows(r.findings) if f.severity == "error"]
    assert [(f.rule, f.segment_id) for f in found] == [(rule, segment)]
    assert says in found[0].message
    text = data.decode().split("~")
    assert text[found[0].segment - 1].startswith(segment)
    assert [(item.queue, item.cause) for item in books.work()] == [("remittance", rule)]


def test_amt_takes_no_part_in_the_balance(books: Books) -> None:
    books.send("C1")
    claims = "CLP*C1*1*100*80**12*ICN1*11\nCAS*CO*45*20\nAMT*I*7.77"
    assert post(books, file_835(remittance(claims, amount="80")))["remittances_posted"] == 1


def test_a_negative_payment_is_held(books: Books) -> None:
    books.send("C1")
    claims = "CLP*C1*22*-100*-80**12*ICN1*11\nCAS*CO*45*-20"
    assert post(books, file_835(remittance(claims, amount="-80")))["remittances_held"] == 1
    (item,) = books.work()
    assert item.title == "A remittance with an amount that cannot be posted"
    assert "places" not in item.reason
    assert books.balances() == {"income:charges": -10_000, "receivable:payer:acme": 10_000}


# --- once ------------------------------------------------------------------------------------------------------------

_ONE = "CLP*C1*1*100*80**12*ICN1*11\nCAS*CO*45*20"


def test_the_same_stage_again_writes_nothing(books: Books) -> None:
    books.send("C1")
    post(books, file_835(remittance(_ONE, amount="80")))
    before = {table.name: books.rows(table) for table in r.metadata.sorted_tables}
    assert not any(stage.run(books.store, ON).values())
    assert {table.name: books.rows(table) for table in r.metadata.sorted_tables} == before


def test_one_remittance_in_a_new_envelope_posts_once(books: Books) -> None:
    books.send("C1")
    post(books, file_835(remittance(_ONE, amount="80")))
    before = books.by_claim()
    counts = post(books, file_835(remittance(_ONE, amount="80"), control=77))
    assert (counts["remittances_known"], counts.get("remittances_posted", 0)) == (1, 0)
    assert books.by_claim() == before
    assert {f.state for f in books.rows(r.files) if f.kind == "835"} == {"processed"}
    assert books.work() == []


def test_both_copies_in_one_night_post_once(books: Books) -> None:
    books.send("C1")
    counts = post(books, file_835(remittance(_ONE, amount="80")), file_835(remittance(_ONE, amount="80"), control=77))
    assert (counts["remittances_posted"], counts["remittances_known"]) == (1, 1)
    assert books.balances()["clearing:eft:acme"] == 8_000


def test_the_same_key_with_other_content_goes_to_a_person(books: Books) -> None:
    books.send("C1")
    post(books, file_835(remittance(_ONE, amount="80")))
    before = books.by_claim()
    other = "CLP*C1*1*100*80**12*ICN1*11\nCAS*PR*1*20"
    counts = post(books, file_835(remittance(other, amount="80"), control=2))
    assert counts["remittances_conflict"] == 1
    assert books.by_claim() == before
    assert [(item.queue, item.cause, item.cents) for item in books.work()] == [("remittance", "835.conflict", 8_000)]


@pytest.mark.parametrize("change", [{"trace": "T2"}, {"origin": "1999999992"}])
def test_another_trace_or_payer_is_another_remittance(books: Books, change: dict[str, str]) -> None:
    books.send("C1", cents=20_000)
    post(books, file_835(remittance(_ONE, amount="80")))
    assert post(books, file_835(remittance(_ONE, amount="80", **change), control=2))["remittances_posted"] == 1


def test_an_unreadable_file_is_set_aside_and_its_neighbour_posts(books: Books) -> None:
    books.send("C1")
    whole = file_835(remittance(_ONE, amount="80"))
    counts = post(books, whole, file_835(remittance(_ONE, amount="80", trace="T9"), control=5)[:-60])
    assert (counts["files_quarantined"], counts["remittances_posted"]) == (1, 1)
    assert [item.queue for item in books.work()] == ["file"]
    assert sorted(f.state for f in books.rows(r.files) if f.kind == "835") == ["processed", "quarantined"]


def test_the_payer_is_known_by_its_origin_not_by_the_route(books: Books) -> None:
    """Two payers' sets in one file: each clears its own account."""
    books.send("C1")
    books.send("C2", payer_key="zeta", number=2)
    other = remittance("CLP*C2*1*100*50**12*ICN2*11\nCAS*CO*45*50", amount="50", origin="1999999992")
    post(books, file_835(remittance(_ONE, amount="80"), other))
    balances = books.balances()
    assert (balances["clearing:eft:acme"], balances["clearing:eft:zeta"]) == (8_000, 5_000)


def test_a_remittance_of_a_payer_that_nobody_knows_is_held(books: Books) -> None:
    books.send("C1")
    counts = post(books, file_835(remittance(_ONE, amount="80", origin="1777777777")), payer_key="clearinghouse")
    assert counts["remittances_held"] == 1
    assert [item.cause for item in books.work()] == ["835.payer"]


# --- PLB -------------------------------------------------------------------------------------------------------------


def test_each_plb_reason_has_an_account_of_its_own(books: Books) -> None:
    """WO +x with 72 −x is an acknowledged refund; L6 negative is interest paid to the provider."""
    books.send("C1")
    tail = "PLB*1234567893*20261231*WO:ICN0*30*72:ICN0*-30*L6*-1.25*CS:REF7*5"
    post(books, file_835(remittance(_ONE, amount="76.25", tail=tail)))
    balances = books.balances()
    assert {a: c for a, c in balances.items() if a.startswith("provider")} == {
        "provider_adjustment:WO": 3_000, "provider_adjustment:72": -3_000, "provider_adjustment:L6": -125,
        "provider_adjustment:CS": 500,
    }  # fmt: skip
    assert balances["clearing:eft:acme"] == 7_625
    assert books.by_claim()["", "provider_adjustment:CS", "REF7"] == 500


def test_a_forward_balance_nets_to_nothing_over_two_remittances(books: Books) -> None:
    """The payer takes back 100 where it pays 80: FB −20 is carried forward, and consumed two remittances later."""
    books.send("C1", "C2", "C3")
    first = remittance("CLP*C1*1*100*100**12*ICN1*11", amount="100", trace="T1")
    taking = """
    CLP*C1*22*-100*-100**12*ICN1*11
    CLP*C2*1*100*80**12*ICN2*11
    CAS*CO*45*20
    """
    second = remittance(taking, amount="0", trace="T2", tail="PLB*1234567893*20261231*FB:ICN1*-20", method="NON")
    third = remittance(
        "CLP*C3*1*100*100**12*ICN3*11", amount="80", trace="T3", tail="PLB*1234567893*20261231*FB:ICN1*20"
    )
    for number, text in enumerate((first, second, third), start=1):
        post(books, file_835(text, control=number))
    balances = books.balances()
    assert "provider_adjustment:FB" not in balances
    assert balances["clearing:eft:acme"] == 18_000
    assert books.states() == {"C1": "reversed", "C2": "paid", "C3": "paid"}


def test_a_plb_reason_that_the_guide_does_not_know_holds_the_remittance(books: Books) -> None:
    books.send("C1")
    counts = post(books, file_835(remittance(_ONE, amount="70", tail="PLB*1234567893*20261231*ZZ*10")))
    assert counts["remittances_held"] == 1


# --- exceptions --------------------------------------------------------------------------------------------------------


def test_a_claim_that_is_not_ours_leaves_its_money_unapplied_and_the_remittance_whole(books: Books) -> None:
    books.send("C1")
    claims = f"{_ONE}\nCLP*STRANGER*1*50*40**12*ICN9*11\nCAS*CO*45*10"
    post(books, file_835(remittance(claims, amount="120")))
    balances = books.balances()
    assert (balances["clearing:eft:acme"], balances["unapplied:remittance"]) == (12_000, -4_000)
    assert [(item.queue, item.cause, item.cents) for item in books.work()] == [("remittance", "claim-not-found", 4_000)]
    assert "STRANGER" not in books.work()[0].reason


def test_a_claim_found_later_settles_its_exception(books: Books) -> None:
    post(books, file_835(remittance(_ONE, amount="80")))
    assert books.balances()["unapplied:remittance"] == -8_000
    books.send("C1")
    counts = stage.run(books.store, ON)
    assert counts["exceptions_settled"] == 1
    assert books.balances() == {"income:charges": -10_000, "clearing:eft:acme": 8_000, "adjustment:contractual": 2_000}
    assert books.states() == {"C1": "paid"}
    assert books.work() == []
    assert not any(stage.run(books.store, ON).values())


@pytest.mark.parametrize(
    ("status", "sign", "cause"), [("5", "", "status-unknown"), ("22", "", "sign-wrong"), ("1", "-", "sign-wrong")]
)
def test_a_claim_payment_that_makes_no_sense_is_an_exception(books: Books, status: str, sign: str, cause: str) -> None:
    books.send("C1")
    claims = f"CLP*C1*{status}*{sign}10*{sign}10**12*ICN1*11\n{_ONE.replace('C1', 'C2')}"
    books.send("C2", number=2)
    post(books, file_835(remittance(claims, amount="90" if not sign else "70")))
    assert [item.cause for item in books.work()] == [cause]
    assert books.balances()["unapplied:remittance"] == (-1_000 if not sign else 1_000)
    assert books.states() == {"C1": "sent", "C2": "paid"}


def test_overposted_is_told_and_closed_when_it_is_mended(books: Books) -> None:
    """The same claim paid twice under two traces: the credit stands in the receivable, and a person is told."""
    books.send("C1")
    post(
        books, file_835(remittance(_ONE, amount="80", trace="T1")), file_835(remittance(_ONE, amount="80", trace="T2"))
    )
    (item,) = books.work()
    assert (item.cause, item.cents, item.subject) == ("overposted", 10_000, "C1")
    assert books.balances()["receivable:payer:acme"] == -10_000
    back = "CLP*C1*22*-100*-80**12*ICN1*11\nCAS*CO*45*-20\nCLP*C9*1*100*100**12*ICN9*11"
    post(books, file_835(remittance(back, amount="20", trace="T3")))
    assert [item.cause for item in books.work()] == ["claim-not-found"]
    assert books.states() == {"C1": "paid"}


# --- lines -------------------------------------------------------------------------------------------------------------

_LINES = [("99213", "25", SENT), ("85025", "", SENT), ("80053", "", SENT)]


def lined(*lines: str) -> bytes:
    total = 10 * len(lines)
    claims = f"CLP*C1*1*{total}*{total}**12*ICN1*11\n" + "\n".join(lines)
    return file_835(remittance(claims, amount=str(total)))


def svc(code: str, control: str = "", on: str = "20261120") -> str:
    return f"SVC*{code}*10*10\nDTM*472*{on}" + (f"\nREF*6R*{control}" if control else "")


LINE_CASES = {
    "by line control number": ([svc("HC:99213:25", "C1-1"), svc("HC:85025", "C1-2")], []),
    "without the number: by code, modifiers and date": ([svc("HC:99213:25"), svc("HC:80053")], []),
    "the payer dropped the modifiers": ([svc("HC:99213"), svc("HC:85025")], []),
    "the number is not ours: by code": ([svc("HC:85025", "XYZ")], []),
    "the number says one line, the code another": ([svc("HC:99212", "C1-1")], ["code-mismatch"]),
    "the payer changed the code and says so": (
        ["SVC*HC:99212*10*10***HC:99213:25\nDTM*472*20261120\nREF*6R*C1-1"], [],
    ),
    "another date": ([svc("HC:85025", on="20261119")], ["line-not-found"]),
    "a code that we did not send": ([svc("HC:99999")], ["line-not-found"]),
    "one line twice without a number": ([svc("HC:85025"), svc("HC:85025")], ["line-not-found"]),
    "one line split by the payer, with its number": ([svc("HC:85025", "C1-2"), svc("HC:85025", "C1-2")], []),
}  # fmt: skip


@pytest.mark.parametrize(("lines", "problems"), LINE_CASES.values(), ids=LINE_CASES.keys())
def test_lines_are_matched_or_queued_never_lost(books: Books, lines: list[str], problems: list[str]) -> None:
    books.send("C1", lines=_LINES, cents=1_000 * len(lines))
    post(books, lined(*lines))
    assert [item.cause for item in books.work()] == problems
    assert books.balances()["clearing:eft:acme"] == 1_000 * len(lines)


# --- reversal and correction ---------------------------------------------------------------------------------------------

_ORIGINAL = "CLP*C1*1*100*60**12*ICN1*11\nCAS*CO*45*20**16*5\nCAS*PR*1*15"
_REVERSAL = "CLP*C1*22*-100*-60**12*ICN1*11\nCAS*CO*45*-20**16*-5\nCAS*PR*1*-15"
_CORRECTION = "CLP*C1*1*100*70**12*ICN2*11\nCAS*CO*45*20\nCAS*PR*2*10"
_PADDING = "CLP*C2*1*100*100**12*ICN3*11"


def test_original_and_reversal_are_nothing_in_every_bucket(books: Books) -> None:
    books.send("C1", "C2")
    post(books, file_835(remittance(_ORIGINAL, amount="60", trace="T1")))
    assert [item.queue for item in books.work()] == ["denial"]
    post(books, file_835(remittance(f"{_REVERSAL}\n{_PADDING}", amount="40", trace="T2")))
    of_claim = {key[1:]: cents for key, cents in books.by_claim().items() if key[0] == "C1"}
    assert of_claim == {("income:charges", ""): -10_000, ("receivable:payer:acme", ""): 10_000}
    assert books.states() == {"C1": "reversed", "C2": "paid"}
    assert books.work() == []  # what was denied is no longer


def test_reversal_without_original_is_an_exception(books: Books) -> None:
    books.send("C1", "C2")
    post(books, file_835(remittance(f"{_REVERSAL}\n{_PADDING}", amount="40")))
    assert books.balances()["unapplied:remittance"] == 6_000
    assert books.states() == {"C1": "sent", "C2": "paid"}
    assert [(item.queue, item.cause, item.cents) for item in books.work()] == [
        ("remittance", "reversal-without-original", 6_000)
    ]


@pytest.mark.parametrize(
    "reversal",
    [
        _REVERSAL.replace("-60", "-59").replace("CAS*CO*45*-20", "CAS*CO*45*-21"),
        _REVERSAL.replace("CO*45", "OA*45"),
        _REVERSAL.replace("CAS*PR*1*-15", "CAS*PR*2*-15"),
    ],
    ids=["other amount", "other group", "other reason"],
)
def test_a_reversal_that_is_not_the_mirror_of_its_original_is_an_exception(books: Books, reversal: str) -> None:
    books.send("C1", "C2")
    post(books, file_835(remittance(_ORIGINAL, amount="60", trace="T1")))
    back = "41" if "-59" in reversal else "40"
    post(books, file_835(remittance(f"{reversal}\n{_PADDING}", amount=back, trace="T2")))
    assert "reversal-without-original" in [item.cause for item in books.work("remittance")]
    assert books.states()["C1"] == "paid"


def test_one_original_is_taken_back_once(books: Books) -> None:
    books.send("C1", "C2", "C3")
    post(books, file_835(remittance(_ORIGINAL, amount="60", trace="T1")))
    post(books, file_835(remittance(f"{_REVERSAL}\n{_PADDING}", amount="40", trace="T2")))
    post(books, file_835(remittance(f"{_REVERSAL}\n{_PADDING.replace('C2', 'C3')}", amount="40", trace="T3")))
    assert [item.cause for item in books.work()] == ["reversal-without-original"]
    assert books.balances()["unapplied:remittance"] == 6_000


_FILES = {
    "original": file_835(remittance(_ORIGINAL, amount="60", trace="T1", on="20261123")),
    "reversal": file_835(remittance(f"{_REVERSAL}\n{_PADDING}", amount="40", trace="T2", on="20261124"), control=2),
    "correction": file_835(remittance(_CORRECTION, amount="70", trace="T3", on="20261125"), control=3),
    "stranger": file_835(remittance("CLP*C4*1*100*55**12*ICN4*11\nCAS*PR*3*45", amount="55", trace="T4"), control=4),
}


def outcome(books: Books, order: list[str], together: int) -> tuple[object, ...]:
    """Files in an order, the first so many in one run, the claim C4 made known in between."""
    books.send("C1", "C2")
    for name in order[:together]:
        books.receive(_FILES[name], "835")
    stage.run(books.store, ON)
    books.send("C4", number=2)
    for name in order[together:]:
        books.receive(_FILES[name], "835")
        stage.run(books.store, ON)
    stage.run(books.store, ON)
    work = sorted((item.queue, item.cause, item.claim_id) for item in books.work())
    payments = sorted(
        (p.remittance_id, p.claim_number, p.state, p.outcome, p.reverses) for p in books.rows(r.remittance_claims)
    )
    return books.by_claim(), books.states(), work, payments


def test_every_order_of_arrival_ends_in_the_same_books(fresh_books: Callable[[], Books]) -> None:
    """Reversal before original, correction before both, a claim that is known only later: one result."""
    expected = None
    for number, order in enumerate(itertools.permutations(_FILES)):
        found = outcome(fresh_books(), list(order), number % 5)
        expected = expected or found
        assert found == expected, order
    assert expected is not None
    ledger, states, work, _ = expected
    assert isinstance(ledger, dict)
    assert not any(account == "unapplied:remittance" for _, account, _ in ledger)
    assert states == {"C1": "paid", "C2": "paid", "C4": "paid"}
    assert work == []


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[str, bool]]:
    """Claim payments of one claim: (file text, reversal?) of a few originals and some of their reversals."""
    found = []
    for number in range(draw(st.integers(1, 3))):
        paid, contract = draw(st.integers(0, 60)), draw(st.integers(0, 30))
        patient = 100 - paid - contract
        cas = f"CAS*CO*45*{{s}}{contract}\nCAS*PR*1*{{s}}{patient}"
        found.append((f"CLP*C1*1*100*{paid}**12*I{number}*11\n" + cas.format(s=""), False))
        if draw(st.booleans()):
            found.append((f"CLP*C1*22*-100*-{paid}**12*I{number}*11\n" + cas.format(s="-"), True))
    return found


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(histories(), st.data())
def test_any_history_in_any_order_gives_the_sum_of_its_parts(
    fresh_books: Callable[[], Books], history: list[tuple[str, bool]], data: st.DataObject
) -> None:
    files = []
    for number, (text, is_reversal) in enumerate(history, start=1):
        paid = int(text.split("*")[4])
        pad = f"\nCLP*C2*1*100*100**12*P{number}*11" if is_reversal else ""
        amount = str(paid + 100 if is_reversal else paid)
        on = f"202611{number:02d}"
        files.append(file_835(remittance(text + pad, amount=amount, trace=f"T{number}", on=on), control=number))
    results = []
    for order in (files, data.draw(st.permutations(files))):
        books = fresh_books()
        books.send("C1", "C2", cents=1_000_000)
        for one in order:
            books.receive(one, "835")
            if data.draw(st.booleans()):
                stage.run(books.store, ON)
        stage.run(books.store, ON)
        results.append((books.by_claim(), books.states()))
        assert sum(books.balances().values()) == 0
        assert "unapplied:remittance" not in books.balances()  # each reversal has its original in the end
    assert results[0] == results[1]


def test_texts_for_people_hold_no_names(books: Books) -> None:
    books.send("C1")
    claims = "CLP*C1*1*100*0**12*ICN1*11\nCAS*CO*16*100\nNM1*QC*1*CANARY*JANE****MI*M1\nSVC*HC:99213*100*100"
    post(books, file_835(remittance(claims, amount="0")))
    told = [*books.rows(r.work_items), *books.rows(r.findings), *books.rows(r.claim_events)]
    assert told
    assert not any("CANARY" in str(value) for row in told for value in row)


# --- the next payer (H5) -----------------------------------------------------------------------------------------------

_SENT_ON = "CLP*C1*19*100*60**12*ICN1*11\nCAS*CO*45*20\nCAS*PR*2*20"


@pytest.mark.parametrize(
    "claim",
    [_SENT_ON, _SENT_ON.replace("*19*", "*1*") + "\nNM1*TT*2*ZETA*****PI*Z1"],
    ids=["CLP02 is 19", "NM1*TT"],
)
def test_what_a_payer_leaves_open_and_sends_on_is_owed_by_the_next_payer(books: Books, claim: str) -> None:
    books.send("C1")
    post(books, file_835(remittance(claim, amount="60")))
    assert books.balances() == {
        "income:charges": -10_000, "adjustment:contractual": 2_000, "clearing:eft:acme": 6_000, "receivable:next_payer": 2_000,
    }  # fmt: skip
    assert books.work() == []
    assert books.rows(r.remittance_claims)[0].patient_cents == 0


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["in order", "the next payer first"])
def test_the_next_payer_settles_what_was_sent_on_and_leaves_the_rest_to_the_patient(
    books: Books, order: tuple[int, ...]
) -> None:
    """OA-23 of the next payer is what the first one decided: nothing to look at."""
    books.send("C1")
    second = "CLP*C1*2*100*15**12*ZICN*11\nCAS*OA*23*80\nCAS*PR*2*5"
    files = [
        file_835(remittance(_SENT_ON, amount="60")),
        file_835(remittance(second, amount="15", trace="Z1", origin="1999999992"), control=2),
    ]
    for number in order:
        post(books, files[number])
    assert books.balances() == {
        "income:charges": -10_000, "adjustment:contractual": 2_000, "receivable:patient": 500, "clearing:eft:acme": 6_000,
        "clearing:eft:zeta": 1_500,
    }  # fmt: skip
    assert books.work() == []
    assert books.states() == {"C1": "paid"}
    assert proof.prove(books.store, archive=False).residue_cents == 0


def test_a_next_payer_that_pays_what_nobody_sent_on_is_told(books: Books) -> None:
    books.send("C1")
    post(books, file_835(remittance(_ONE, amount="80")))
    second = "CLP*C1*2*100*20**12*ZICN*11\nCAS*OA*23*80"
    post(books, file_835(remittance(second, amount="20", trace="Z1", origin="1999999992"), control=2))
    assert [(i.cause, i.cents) for i in books.work()] == [("overposted", 2_000)]


def test_a_reversal_of_another_payer_takes_nothing_back(books: Books) -> None:
    books.send("C1", "C2")
    post(books, file_835(remittance(_ORIGINAL, amount="60", trace="T1")))
    text = remittance(f"{_REVERSAL}\n{_PADDING}", amount="40", trace="T2", origin="1999999992")
    post(books, file_835(text, control=2))
    assert "reversal-without-original" in [item.cause for item in books.work("remittance")]
    assert books.states()["C1"] == "paid"


def test_no_reason_is_written_off_but_those_that_the_table_lists() -> None:
    """H5 over the whole table: under CO alone, and never a denial."""
    for number, listed in policy.reasons().items():
        for group in policy.GROUPS:
            account = policy.account(group, number)
            written_off = account is not None and account.startswith("adjustment:")
            assert written_off == (group == "CO" and listed.policy in ("write_off", "capitation"))
            assert (account == "receivable:patient") == (group == "PR")
    written = {number for number, listed in policy.reasons().items() if listed.policy in ("write_off", "capitation")}
    assert {"45", "24", "253"} <= written
    assert not {"16", "18", "22", "29", "50", "96", "97", "109", "197", "A1"} & written
