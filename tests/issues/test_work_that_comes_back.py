"""'The same claim was overpaid a second time and nobody was told', 'I closed it with a note, and now nobody can release it.'"""

from __future__ import annotations

import pytest
from ledger.books import ON, Books
from reports.test_reports_work_actions import CLAIM, closes, decide, post

from pipeline.errors import Terminal
from pipeline.remittances import stage as remittances
from pipeline.reports import work_actions
from pipeline.store.work import WorkItem, close_items, open_items

BACK = CLAIM.replace("*1*100*80*", "*22*-100*-80*").replace("*20", "*-20")
PADDING = "CLP*C2*1*100*100**12*I2*11"


def test_an_alarm_that_closed_by_itself_opens_again_with_its_cause(books: Books) -> None:
    books.send("C1", "C2")
    post(books, CLAIM, trace="T1")
    post(books, CLAIM, trace="T2", control=2)
    (first,) = books.work()
    assert first.cause == "overposted"
    post(books, f"{BACK}\n{PADDING}", trace="T3", control=3, amount="20")
    assert books.work() == []
    post(books, CLAIM, trace="T4", control=4)
    (again,) = books.work()
    assert (again.item_id, again.cause, again.cents, again.resolution) == (first.item_id, "overposted", 10_000, "")


def test_what_a_person_has_closed_stays_closed(books: Books) -> None:
    item = WorkItem(queue="file", subject="S", cause="c", title="t", reason="r", action="a", opened_on=ON)
    with books.store.begin() as c:
        assert open_items(c, [item, item]) == 1
        assert open_items(c, [item]) == 0
    work_actions.close(books.store, item.item_id, work_actions.Wanted("ann", "called them", ON))
    with books.store.begin() as c:
        assert open_items(c, [item]) == 0
    assert books.work() == []


def test_an_item_that_closed_by_itself_says_what_is_true_now(books: Books) -> None:
    def item(cents: int) -> WorkItem:
        return WorkItem(
            queue="file", subject="S", cause="c", title="t", reason=f"{cents}", action="a", opened_on=ON, cents=cents
        )

    with books.store.begin() as c:
        open_items(c, [item(1)])
        close_items(c, "file", ["S"], "gone")
        assert open_items(c, [item(2)]) == 1
    (now,) = books.work()
    assert (now.cents, now.reason, now.resolution) == (2, "2", "")


def test_a_note_alone_takes_no_decision_away(books: Books) -> None:
    books.send("C1")
    post(books, CLAIM, amount="79.99")
    (item,) = books.work()
    work_actions.close(books.store, item.item_id, work_actions.Wanted("ann", "looks odd", ON))
    assert books.work() == []
    wanted = work_actions.Wanted("ann", "The payer confirmed it.", ON)
    with pytest.raises(Terminal, match="done already"):
        work_actions.close(books.store, item.item_id, wanted)
    assert work_actions.decide(books.store, item.item_id, "release", wanted).left == ""
    assert books.states() == {"C1": "paid"}
    closes(books)
    with pytest.raises(Terminal, match="done already"):
        work_actions.decide(books.store, item.item_id, "discard", wanted)


def test_a_decision_is_made_once(books: Books) -> None:
    books.send("C1")
    post(books, CLAIM, amount="79.99")
    (item,) = books.work()
    decide(books, "discard")
    with pytest.raises(Terminal, match="done already"):
        work_actions.decide(books.store, item.item_id, "release", work_actions.Wanted("ann", "no", ON))


def test_a_larger_overpayment_after_a_person_closed_the_first_is_new_work(books: Books) -> None:
    books.send("C1")
    for number in (1, 2):
        post(books, CLAIM, trace=f"T{number}", control=number)
    (first,) = books.work()
    work_actions.close(books.store, first.item_id, work_actions.Wanted("ann", "refunded", ON))
    remittances.run(books.store, ON)
    assert books.work() == []  # the same facts
    post(books, CLAIM, trace="T3", control=3)
    (second,) = books.work()
    assert (second.cause, second.subject, second.cents) == ("overposted", "C1", 20_000)
    assert second.item_id != first.item_id


def test_the_same_credit_from_another_payment_is_new_work_too(books: Books) -> None:
    books.send("C1", "C2")
    for number in (1, 2):
        post(books, CLAIM, trace=f"T{number}", control=number)
    (first,) = books.work()
    work_actions.close(books.store, first.item_id, work_actions.Wanted("ann", "the payer takes it back", ON))
    post(books, f"{BACK}\n{PADDING}", trace="T3", control=3, amount="20")
    assert books.work() == []
    post(books, CLAIM, trace="T4", control=4)
    (second,) = books.work()
    assert (second.cause, second.cents) == ("overposted", 10_000)


def test_an_open_overpayment_that_grows_is_one_item_with_the_amount_of_today(books: Books) -> None:
    books.send("C1")
    for number in (1, 2, 3):
        post(books, CLAIM, trace=f"T{number}", control=number)
    assert [(i.cause, i.cents) for i in books.work()] == [("overposted", 20_000)]
