"""'A payer sent a test 835 after we had gone live, and it was posted as money.'"""

from ledger.books import ON, Books, file_835, remittance

from pipeline.remittances import stage
from pipeline.store import register as r

TEXT = remittance("CLP*C1*1*100*80**12*I1*11\nCAS*CO*45*20", amount="80")


def test_a_test_remittance_does_not_post_in_production(books: Books) -> None:
    books.send("C1")
    books.store.settings.submitter.usage = "P"
    data = file_835(TEXT)
    assert data[102:103] == b"T"
    books.receive(data, "835")
    assert stage.run(books.store, ON)["remittances_held"] == 1
    assert [(row.state, row.reason) for row in books.rows(r.remittances)] == [("held", "835.test")]
    assert [(i.queue, i.cause, i.cents) for i in books.work()] == [("remittance", "835.test", 8_000)]


def test_it_posts_where_the_payer_is_still_tested_and_where_it_is_for_good(books: Books) -> None:
    books.send("C1")
    books.receive(file_835(TEXT), "835")
    assert stage.run(books.store, ON)["remittances_posted"] == 1
    books.send("C2")
    books.store.settings.submitter.usage = "P"
    other = file_835(TEXT.replace("*C1*", "*C2*").replace("TRN*1*", "TRN*1*9"))
    books.receive(other[:102] + b"P" + other[103:], "835")
    assert stage.run(books.store, ON)["remittances_posted"] == 1
