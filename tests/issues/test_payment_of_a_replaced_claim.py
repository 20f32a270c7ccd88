"""'We replaced a claim, the payer paid the first one late, and claimpipe told us to refund what the payer takes back anyway.'

'The payer took the first payment back under the number of the replacement, and it stayed a reversal without an original.'
"""

from __future__ import annotations

import itertools

import pytest
import sqlalchemy as sa
from ledger.books import ON, SENT, Books, file_835, remittance
from reports.test_reports_work_actions import closes, decide

from pipeline.ledger import posting, versions
from pipeline.remittances import stage as remittances
from pipeline.store import register as r
from pipeline.store.events import Move, move_claims
from pipeline.store.store import insert_new

OLD = "CLP*C1*1*100*80**12*ICN1*11\nCAS*CO*45*20"
BACK = "CLP*C1*22*-100*-80**12*ICN1*11\nCAS*CO*45*-20"
NEW = "CLP*C1V2*1*120*90**12*ICN2*11\nCAS*CO*45*30"
PADDING = "CLP*X1*1*100*100**12*IX*11"


def replaced(books: Books, frequency: str = "7", cents: int = 12_000) -> None:
    """C1 was sent, and then C1V2 in its place (8: a void, which has no charge); X1 pays for what is taken back."""
    books.send("C1", "X1")
    with books.store.begin() as c:
        row = c.execute(sa.select(r.claims).where(r.claims.c.claim_id == "C1")).one()._asdict()
        row |= {
            "claim_id": "C1V2", "version": 2, "frequency": frequency, "replaces": "C1", "charge_cents": cents,
            "payer_claim_number": "ICN1", "state": "ready", "file_id": "f" * 64,
        }  # fmt: skip
        insert_new(c, r.claims, [row])
        move_claims(c, SENT, [Move("C1V2", "sent", "sent", "f" * 64)])
        c.execute(sa.update(r.encounters).where(r.encounters.c.claim_id == "C1").values(
            claim_id="C1V2", billed_cents=cents, priced_cents=cents - 10_000,
        ))  # fmt: skip
        versions.close_versions(c, SENT, ["C1"])
        if frequency != "8":
            posting.post(c, [posting.charge("C1V2", "acme", cents, SENT)])


def post(books: Books, *claims: str, trace: str = "T1") -> None:
    text = "\n".join(claims)
    paid = sum(int(line.split("*")[4] or 0) for line in text.splitlines() if line.startswith("CLP"))
    books.receive(file_835(remittance(text, amount=str(paid), trace=trace), control=int(trace[1:])), "835")
    remittances.run(books.store, ON)


def causes(books: Books) -> list[str]:
    return [item.cause for item in books.work()]


def test_a_late_payment_of_the_replaced_version_is_no_alarm_while_the_replacement_is_open(books: Books) -> None:
    replaced(books)
    post(books, OLD)
    assert causes(books) == []
    assert books.balances()["receivable:payer:acme"] == 10_000 + 12_000 - 10_000  # X1, C1V2, and what was settled on C1
    closes(books)


def test_both_versions_paid_is_an_alarm_until_the_reversal(books: Books) -> None:
    replaced(books)
    post(books, OLD)
    post(books, NEW, trace="T2")
    (item,) = books.work()
    assert (item.cause, item.subject, item.claim_id, item.cents) == ("overposted", "C1", "C1V2", 10_000)
    assert "its reversal is due" in item.reason
    post(books, BACK, PADDING, trace="T3")
    assert causes(books) == []
    assert books.states() == {"C1": "reversed", "C1V2": "paid", "X1": "paid"}
    closes(books)


@pytest.mark.parametrize("frequency", ["7", "8"])
def test_a_payment_of_more_than_the_visit_is_charged_is_an_alarm(books: Books, frequency: str) -> None:
    """A void has no charge; a replacement that bills less leaves a credit too."""
    replaced(books, frequency, 4_000)
    post(books, OLD)
    assert [(i.cause, i.cents) for i in books.work()] == [("overposted", 10_000 if frequency == "8" else 6_000)]


REVERSALS = {
    "the number of the payment": "CLP*C1V2*22*-100*-80**12*ICN1*11\nCAS*CO*45*-20",
    "the original reference (REF*F8)": "CLP*C1V2*22*-100*-80**12*ICN2*11\nCAS*CO*45*-20\nREF*F8*ICN1",
}


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
@pytest.mark.parametrize("back", REVERSALS.values(), ids=REVERSALS.keys())
def test_a_reversal_under_the_replacements_number_takes_the_first_payment_back(
    books: Books, back: str, order: tuple[int, ...]
) -> None:
    replaced(books)
    files = [(OLD,), (back, PADDING), (NEW,)]
    for number in order:
        post(books, *files[number], trace=f"T{number + 1}")
    assert causes(books) == []
    assert books.states() == {"C1": "reversed", "C1V2": "paid", "X1": "paid"}
    of_visit = {key: cents for key, cents in books.by_claim().items() if key[0] in ("C1", "C1V2")}
    assert of_visit == {
        ("C1V2", "income:charges", ""): -12_000, ("C1V2", "adjustment:contractual", "CO-45"): 3_000,
        ("C1V2", "clearing:eft:acme", ""): 9_000,
    }  # fmt: skip
    closes(books)
    before = books.by_claim()
    assert not any(remittances.run(books.store, ON).values())
    assert books.by_claim() == before


def test_one_file_takes_back_and_pays_again_under_one_number_and_amount(books: Books) -> None:
    """A correction that changes no amount: the version that is paid in the end is the replacement."""
    replaced(books, cents=10_000)
    post(books, OLD)
    post(books, OLD.replace("C1*", "C1V2*"), BACK.replace("C1*", "C1V2*"), PADDING, trace="T2")
    assert books.states() == {"C1": "reversed", "C1V2": "paid", "X1": "paid"}
    assert causes(books) == []


@pytest.mark.parametrize(
    "back",
    [
        "CLP*C1V2*22*-100*-80**12*ICN9*11\nCAS*CO*45*-20",  # another number of the payer
        "CLP*C1V2*22*-100*-80**12**11\nCAS*CO*45*-20",  # none
        "CLP*C1V2*22*-100*-80**12*ICN1*11\nCAS*CO*96*-20",  # another reason
        "CLP*C1V2*22*-100*-70**12*ICN1*11\nCAS*CO*45*-30",  # another amount
    ],
)
def test_without_the_payers_number_or_the_same_amounts_nothing_is_guessed(books: Books, back: str) -> None:
    replaced(books)
    post(books, OLD)
    post(books, back, PADDING, trace="T2")
    assert causes(books) == ["reversal-without-original"]
    assert books.states()["C1"] == "paid"


def test_a_reversal_of_the_older_version_never_takes_the_newer_payment_back(books: Books) -> None:
    replaced(books, cents=10_000)
    post(books, OLD.replace("C1*", "C1V2*"))
    post(books, BACK, PADDING, trace="T2")
    assert causes(books) == ["reversal-without-original"]
    assert books.states()["C1V2"] == "paid"
    post(books, OLD, trace="T3")
    assert causes(books) == []
    assert books.states() == {"C1": "reversed", "C1V2": "paid", "X1": "paid"}


def test_a_person_applies_a_reversal_to_the_version_that_it_takes_back(books: Books) -> None:
    replaced(books)
    post(books, OLD)
    post(books, "CLP*C1V2*22*-100*-80**12*ICN9*11\nCAS*CO*45*-20", PADDING, trace="T2")
    decide(books, "apply", "reversal-without-original", claim="C1")
    assert causes(books) == []
    assert books.states()["C1"] == "reversed"
    closes(books)
