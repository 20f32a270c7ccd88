"""'The file stands as acknowledged, though one of its sets was refused.' An answer came, so the sending is settled; but what the
payer refused it does not have, and the list of files says so until those claims have gone again.
"""

from __future__ import annotations

from ledger.books import ON, SENT, Books, envelope

from pipeline.acknowledgments import stage as acknowledgments
from pipeline.claims import release
from pipeline.ledger import proof
from pipeline.reports import summary, words
from pipeline.store.events import Move, move_claims

_ANSWER = ["AK1*HC*1\nAK2*837*0001\nIK5*A\nAK2*837*0002\nIK3*BHT*2**8\nIK4*1**I6\nIK5*R*I5\nAK9*P*2*2*1"]


def state_of_the_file(books: Books) -> tuple[str, bool]:
    found = summary.gather(books.store, SENT, proof.prove(books.store, archive=False))
    (file,) = found.files
    return words.sending(file.state, file.refused)


def test_the_list_of_files_says_what_was_refused(books: Books) -> None:
    books.send("C1", "C2", "C3", sets=("0001", "0002", "0002"))
    books.receive(envelope("FA", "005010X231A1", _ANSWER, control=5), "999")
    acknowledgments.run(books.store, ON)
    assert books.states() == {"C1": "received", "C2": "rejected", "C3": "rejected"}
    assert state_of_the_file(books) == ("acknowledged, 2 claims refused", False)
    release.refused(books.store, ON, "acme", do=True)
    assert state_of_the_file(books) == ("acknowledged", True)


def test_a_claim_that_was_rejected_by_its_data_refuses_nothing_of_the_file(books: Books) -> None:
    books.send("C1")
    books.receive(envelope("FA", "005010X231A1", ["AK1*HC*1\nAK2*837*0001\nIK5*A\nAK9*A*1*1*1"], control=5), "999")
    acknowledgments.run(books.store, ON)
    with books.store.begin() as c:
        move_claims(c, ON, [Move("C1", "277CA A7", "rejected")])
    assert state_of_the_file(books) == ("acknowledged", True)
