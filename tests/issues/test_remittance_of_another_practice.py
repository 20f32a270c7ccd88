"""'A clearinghouse put another practice's 835 into our folder, and it was posted.'

Ours is what is addressed to us (ISA08) and pays a billing provider of claims that we sent, or one that the settings name.
"""

from datetime import date

import pytest
from ledger.books import ON, SENT, Books, file_835, remittance

from pipeline import shapes
from pipeline.remittances import stage
from pipeline.store import register as r

NPI, TIN = "1234567893", "987654321"
OURS = remittance("CLP*C1*1*100*80**12*I1*11\nCAS*CO*45*20", amount="80")


def practice(books: Books) -> Books:
    """Books whose settings name nobody: what is ours comes from the claims that were sent."""
    books.store.settings.submitter.payees = []
    books.send("C1")
    row = {
        "claim_id": "C1", "encounter_key": "EC1", "guide": "005010X222A1", "frequency": "1", "synthetic": True,
        "practice_id": "P1", "source_file": "f", "source_row": 1, "service_from": date(2026, 11, 20),
        "service_to": date(2026, 11, 20), "charge": 100, "billing_npi": NPI, "billing_tin": TIN,
    }  # fmt: skip
    books.store.lake.write("scrubbed_claims", SENT, "part1acme", shapes.from_rows("scrubbed_claims", [row]))
    return books


def post(books: Books, text: str, old: str = "", new: str = "") -> dict[str, int]:
    data = file_835(text.replace(old, new)) if old else file_835(text)
    books.receive(data, "835")
    return stage.run(books.store, ON)


@pytest.mark.parametrize(
    "payee",
    [f"N1*PE*CLINIC*XX*{NPI}", f"N1*PE*CLINIC*FI*{TIN}", "N1*PE*CLINIC*FI*98-7654321",
     f"N1*PE*CLINIC*XX*1003000126\n    REF*TJ*{TIN}"],
    ids=["NPI", "TIN", "TIN with a hyphen", "another NPI under our TIN"],
)  # fmt: skip
def test_a_payee_is_ours_by_the_npi_or_the_tin_of_claims_that_were_sent(books: Books, payee: str) -> None:
    assert post(practice(books), OURS, f"N1*PE*CLINIC*XX*{NPI}", payee)["remittances_posted"] == 1


@pytest.mark.parametrize("payee", ["N1*PE*OTHER*XX*1003000126", "N1*PE*OTHER*FI*111223333", "N1*PE*OTHER"])
def test_another_payee_is_held_and_told(books: Books, payee: str) -> None:
    counts = post(practice(books), OURS, f"N1*PE*CLINIC*XX*{NPI}", payee)
    assert (counts["remittances_held"], counts.get("remittances_posted", 0)) == (1, 0)
    assert books.balances() == {"income:charges": -10_000, "receivable:payer:acme": 10_000}
    assert [(row.state, row.reason) for row in books.rows(r.remittances)] == [("held", "835.payee")]
    (finding,) = [f for f in books.rows(r.findings) if f.severity == "error"]
    assert (finding.rule, finding.loop, finding.segment_id) == ("835.payee", "1000B", "N1")
    assert [(i.queue, i.cause, i.cents) for i in books.work()] == [("remittance", "835.payee", 8_000)]


def test_another_receiver_is_held_and_told(books: Books) -> None:
    practice(books)
    data = file_835(OURS).replace(b"*ZZ*CLAIMPIPE      *", b"*ZZ*SOMEBODYELSE   *")
    books.receive(data, "835")
    assert stage.run(books.store, ON)["remittances_held"] == 1
    assert [(i.queue, i.cause) for i in books.work()] == [("remittance", "835.receiver")]
    assert "SOMEBODY" not in books.work()[0].reason


def test_the_settings_name_what_claims_do_not(books: Books) -> None:
    practice(books)
    books.store.settings.submitter.addresses = ["somebodyelse"]
    books.store.settings.submitter.payees = ["1003000126"]
    data = file_835(OURS.replace(NPI, "1003000126")).replace(b"*ZZ*CLAIMPIPE      *", b"*ZZ*SOMEBODYELSE   *")
    books.receive(data, "835")
    assert stage.run(books.store, ON)["remittances_posted"] == 1


def test_claims_that_were_never_sent_make_nobody_ours(books: Books) -> None:
    practice(books)
    with books.store.begin() as c:
        c.execute(r.claims.update().values(file_id=None))
    assert post(books, OURS)["remittances_held"] == 1
