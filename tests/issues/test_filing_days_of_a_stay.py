"""'The refused claim of a long stay was due before the patient was discharged.'"""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from acknowledgments.test_acknowledgments_stage import run, ta1
from ledger.books import ON, SENT, Books, file_835, remittance

from pipeline import shapes
from pipeline.remittances import stage as remittances
from pipeline.store import register as r

ADMITTED, DISCHARGED = SENT - timedelta(days=80), SENT - timedelta(days=2)
STAY, VISIT = "005010X223A2", "005010X222A1"
DENIED = "CLP*C1*1*100*0**12*ICN1*11\nCAS*CO*16*100\nMOA***N290*MA130"

#: (claim, what the payer's profile says, first day that counts)
CASES = {
    "a stay counts from its last day": (STAY, "", DISCHARGED),
    "unless the payer says otherwise": (STAY, 'filing_from = "first"', ADMITTED),
    "a professional claim counts from its first day": (VISIT, "", ADMITTED),
    "unless the payer says otherwise, too": (VISIT, 'filing_from = "last"', DISCHARGED),
}


def sent(books: Books, guide: str, said: str) -> None:
    """C1 is a claim from ADMITTED to DISCHARGED, as it stands in register and lake; acme takes claims for 90 days."""
    books.send("C1")
    with books.store.begin() as c:
        c.execute(sa.update(r.claims).values(guide=guide, service_from=ADMITTED, scrubbed_part="stay"))
    books.store.lake.write("scrubbed_claims", SENT, "stay", shapes.from_rows("scrubbed_claims", [{
        "claim_id": "C1", "encounter_key": "EC1", "guide": guide, "frequency": "1", "synthetic": False, "practice_id": "P1",
        "source_file": "f", "source_row": 1, "service_from": ADMITTED, "service_to": DISCHARGED, "charge": 100,
    }]))  # fmt: skip
    profile = Path(books.store.settings.payers_dir) / "acme.toml"
    profile.write_text(profile.read_text() + said + "\n")


@pytest.mark.parametrize(("guide", "said", "start"), CASES.values(), ids=CASES.keys())
def test_a_refused_claim_is_due_within_the_filing_days(books: Books, guide: str, said: str, start: date) -> None:
    sent(books, guide, said)
    run(books, (ta1("R", "022"), "TA1"), on=SENT + timedelta(days=8))
    (item,) = books.work()
    last_day = start + timedelta(days=90)
    five_bank_days = date(2026, 12, 4)
    assert item.due_on == min(last_day, five_bank_days)
    assert (last_day < five_bank_days) == (start == ADMITTED)  # else the case proves nothing


@pytest.mark.parametrize(("guide", "said", "start"), CASES.values(), ids=CASES.keys())
def test_a_denial_that_asks_for_a_new_claim_has_the_filing_days(
    books: Books, guide: str, said: str, start: date
) -> None:
    sent(books, guide, said)
    books.receive(file_835(remittance(DENIED, amount="0", method="NON")), "835")
    remittances.run(books.store, ON)
    (item,) = books.work("denial")
    assert item.due_on == start + timedelta(days=90)
