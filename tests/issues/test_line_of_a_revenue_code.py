"""'Every room and every ward charge of every stay was work: "another procedure than ours".'

A line of a stay may have a revenue code and nothing else; the payer names it by that (qualifier NU). It is the line's own code.
"""

import pytest
from ledger.books import ON, SENT, Books, file_835, remittance

from pipeline.remittances import stage

_STAY = [("", "", SENT, 6_000, None, "0120"), ("99283", "", SENT, 4_000, None, "0450")]


@pytest.mark.parametrize(
    ("room", "problems"),
    [
        ("SVC*NU:0120*60*60\nDTM*472*20261120\nREF*6R*C1-1", []),
        ("SVC*NU:0120*60*60\nDTM*472*20261120", []),
        ("SVC*NU:0210*60*60\nDTM*472*20261120\nREF*6R*C1-1", ["code-mismatch"]),
        ("SVC*NU:0450*60*60\nDTM*472*20261120", ["line-not-found"]),
    ],
)
def test_a_line_of_a_revenue_code_is_known_by_it(books: Books, room: str, problems: list[str]) -> None:
    books.send("C1", lines=_STAY)
    visit = "SVC*HC:99283*40*40*0450\nDTM*472*20261120\nREF*6R*C1-2"
    books.receive(file_835(remittance(f"CLP*C1*1*100*100**12*I1*11\n{room}\n{visit}", amount="100")), "835")
    stage.run(books.store, ON)
    assert [item.cause for item in books.work()] == problems
