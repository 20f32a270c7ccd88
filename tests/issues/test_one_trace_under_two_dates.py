"""'One payment posted twice: the payer sent its 835 again with a payment date one day later.'

A payment is its payer and its trace. Another date, amount or content under a known trace is for a person.
"""

from pathlib import Path

import pytest
import sqlalchemy as sa
from ledger.books import ACME_ORIGIN, ON, ZETA_ORIGIN, Books, file_835, remittance

from pipeline import payers
from pipeline.remittances import stage
from pipeline.store import register as r

CLAIM = "CLP*C1*1*100*80**12*I1*11\nCAS*CO*45*20"


def came(books: Books, control: int, claims: str = CLAIM, **said: str) -> dict[str, int]:
    said.setdefault("amount", "80")
    books.receive(file_835(remittance(claims, **said), control=control), "835")
    return stage.run(books.store, ON)


@pytest.mark.parametrize(
    "other",
    [
        {"on": "20261126"},
        {"amount": "100", "claims": "CLP*C1*1*100*100**12*I1*11"},
        {"amount": "80", "claims": CLAIM.replace("CO*45", "PR*1")},
        {"amount": "70", "claims": CLAIM, "tail": "PLB*1234567893*20261231*WO:X*10"},
    ],
    ids=["another date", "another amount", "another reason", "a provider adjustment"],
)
@pytest.mark.parametrize("together", [True, False], ids=["in one night", "in two"])
def test_another_content_of_a_payment_never_posts_by_itself(
    books: Books, other: dict[str, str], together: bool
) -> None:
    books.send("C1")
    if together:
        text = remittance(**({"claims": CLAIM, "amount": "80"} | other))  # type: ignore[arg-type]
        books.receive(file_835(remittance(CLAIM, amount="80"), text), "835")
        stage.run(books.store, ON)
    else:
        came(books, 1)
        assert came(books, 2, **other)["remittances_conflict"] == 1
    assert books.balances()["clearing:eft:acme"] == 8_000
    assert sorted((row.state, row.reason) for row in books.rows(r.remittances)) == [
        ("held", "835.conflict"), ("posted", ""),
    ]  # fmt: skip
    assert [item.cause for item in books.work()] == ["835.conflict"]
    assert not any(stage.run(books.store, ON).values())


def test_a_copy_in_another_envelope_is_known_whatever_its_zeros(books: Books) -> None:
    books.send("C1")
    came(books, 1)
    counts = came(books, 2, CLAIM.replace("*100*80*", "*100.00*0080.0*"), amount="80.00")
    assert (counts["remittances_known"], counts.get("remittances_conflict", 0)) == (1, 0)
    assert books.work() == []


def test_two_payers_may_use_one_trace(books: Books) -> None:
    books.send("C1")
    books.send("C2", payer_key="zeta", number=2)
    came(books, 1)
    assert came(books, 2, CLAIM.replace("C1", "C2"), origin=ZETA_ORIGIN)["remittances_posted"] == 1
    assert books.work() == []


def test_another_origin_of_the_same_payer_with_a_known_trace_is_for_a_person(books: Books) -> None:
    """A payer with two origins: whether one trace of both is one payment cannot be told."""
    profile = Path(books.store.settings.payers_dir) / "acme.toml"
    profile.write_text(profile.read_text().replace(f'["{ACME_ORIGIN}"]', f'["{ACME_ORIGIN}", "1999999993"]'))
    payers._load.cache_clear()
    books.send("C1")
    came(books, 1)
    assert came(books, 2, origin="1999999993")["remittances_conflict"] == 1
    payers._load.cache_clear()


def test_the_register_itself_refuses_a_second_posting(books: Books) -> None:
    books.send("C1")
    came(books, 1)
    (row,) = books.rows(r.remittances)
    second = r.remittances.insert().values(
        dict(row._mapping) | {"remittance_id": "x", "content_hash": "y", "amount_cents": 1}
    )
    with pytest.raises(sa.exc.IntegrityError), books.store.begin() as c:
        c.execute(second)
