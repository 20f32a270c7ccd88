"""'The payer's yearly remittance file was left on its server: it is larger than 250 MB.'

Large files are worked part by part. The limit from which on they are is lowered here, so that a small file takes their way.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import pytest
from acknowledgments.test_acknowledgments_stage import ta1
from ledger.books import ON, ZETA_ORIGIN, Books, file_835, remittance
from reports.test_reports_work_actions import closes, decide

from pipeline import transactions
from pipeline.acknowledgments import stage as acknowledgments
from pipeline.ledger.proof import prove
from pipeline.remittances import stage
from pipeline.remittances.payments import Payment
from pipeline.remittances.settling import Settling
from pipeline.store import register as r

PAID = "CLP*{0}*1*100*80**12*I{0}*11\nCAS*CO*45*20"
BACK = "CLP*{0}*22*-100*-80**12*I{0}*11\nCAS*CO*45*-20"
CLAIMS = tuple(f"C{n}" for n in range(12))


def parts_of(monkeypatch: pytest.MonkeyPatch, rows: int, window: int) -> None:
    """Every file is large, read by such blocks, and worked in parts of so many rows."""
    monkeypatch.setattr(stage, "LARGE", 1)
    given, init = transactions.read_in_parts, transactions.Engine.__init__
    monkeypatch.setattr(given, "__kwdefaults__", {**given.__kwdefaults__, "rows": rows})
    monkeypatch.setattr(init, "__kwdefaults__", {**init.__kwdefaults__, "window": window})
    monkeypatch.setattr(transactions, "WINDOW", window)


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every set is a part of its own."""
    parts_of(monkeypatch, rows=1, window=512)


def sets() -> list[str]:
    """Payments with a reversal before its original, a claim that nobody knows, one that does not balance, and another payer's."""
    made = [remittance(PAID.format(c), amount="80", trace=f"T{c}") for c in CLAIMS[:8]]
    return [
        remittance(f"{BACK.format('C8')}\n{PAID.format('C9')}\n{PAID.format('C10')}", amount="80", trace="B1"),
        *made,
        remittance(PAID.format("C8"), amount="80", trace="B2"),
        remittance(PAID.format("X9"), amount="80", trace="N1"),
        remittance(PAID.format("C11"), amount="79.99", trace="H1"),
        remittance(PAID.format("D1"), amount="80", trace="Z1", origin=ZETA_ORIGIN),
    ]


def world(books: Books) -> tuple[object, ...]:
    tables = (r.files, r.remittances, r.remittance_claims, r.findings)
    work = [(i.queue, i.cause, i.subject, i.cents) for i in books.work()]
    return books.by_claim(), books.states(), work, *(books.rows(t) for t in tables)


def sent(books: Books) -> Books:
    books.send(*CLAIMS)
    books.send("D1", payer_key="zeta", number=2)
    books.receive(file_835(*sets()), "835")
    return books


def test_a_file_in_parts_leaves_the_books_of_the_file_at_once(
    fresh_books: Callable[[], Books], request: pytest.FixtureRequest
) -> None:
    one, other = sent(fresh_books()), sent(fresh_books())
    counts = stage.run(one.store, ON)
    request.getfixturevalue("large")
    in_parts = stage.run(other.store, ON)
    for name in ("files", "remittances_posted", "remittances_held", "paid_cents"):
        assert in_parts[name] == counts[name]
    assert (counts["files"], counts["remittances_posted"], counts["remittances_held"]) == (1, 12, 1)
    assert world(other) == world(one)
    closes(other)
    assert prove(other.store).lines == prove(one.store).lines
    before = world(other)
    assert not any(stage.run(other.store, ON).values())
    assert world(other) == before


def test_nothing_of_a_damaged_file_is_posted(books: Books, large: None) -> None:
    """The damage stands in the last set, after parts that could be posted."""
    books.send(*CLAIMS)
    books.receive(file_835(*sets()).replace(b"CLP*D1*1*100*80*", b"CLP*D1*1*1e2*80*"), "835")
    stage.run(books.store, ON)
    (file,) = books.rows(r.files)
    assert file.state == "quarantined"
    assert (books.rows(r.remittances), [i.queue for i in books.work()]) == ([], ["file"])


def test_a_file_without_remittances_is_set_aside(books: Books, large: None) -> None:
    books.receive(file_835(), "835")
    stage.run(books.store, ON)
    assert [f.state for f in books.rows(r.files)] == ["quarantined"]


def test_what_fails_in_a_part_takes_the_file_alone_and_whole(
    books: Books, large: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    books.send(*CLAIMS)
    books.receive(file_835(*sets()), "835")
    books.receive(file_835(remittance(PAID.format("C0"), amount="80", trace="G1"), control=7), "835")
    place = Settling._place

    def stumbles(settling: Settling, payment: Payment, ours: object) -> None:
        if payment.stated_id == "C7":
            raise KeyError
        place(settling, payment, ours)

    monkeypatch.setattr(Settling, "_place", stumbles)
    stage.run(books.store, ON)
    assert sorted(f.state for f in books.rows(r.files)) == ["processed", "quarantined"]
    assert [m.trace for m in books.rows(r.remittances)] == ["G1"]


def test_a_held_set_of_a_large_file_is_released(books: Books, large: None) -> None:
    sent(books)
    stage.run(books.store, ON)
    decide(books, "release", "835.balance.transaction")
    assert books.states()["C11"] == "paid"


def test_a_mixed_file_waits_for_its_acknowledgments(books: Books, large: None) -> None:
    books.send(*CLAIMS)
    data = file_835(remittance(PAID.format("C0"), amount="80")) + ta1("A", "000", number=3)
    books.receive(data, "mixed")
    stage.run(books.store, ON)
    assert [(f.state, f.reason) for f in books.rows(r.files)] == [("archived", stage.READ_MARK)]
    acknowledgments.run(books.store, ON)
    assert [f.state for f in books.rows(r.files)] == ["processed"]


def test_files_are_worked_some_at_a_time(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    books.send(*CLAIMS)
    for n, claim in enumerate(CLAIMS):
        books.receive(file_835(remittance(PAID.format(claim), amount="80", trace=f"T{n}"), control=n + 1), "835")
    monkeypatch.setattr(stage, "AT_ONCE", 1_500)
    most, recorded = 0, stage.Posting.run

    def counted(posting: stage.Posting, files: list[stage.File], *more: object, **named: object) -> None:
        nonlocal most
        most = max(most, len(files))
        recorded(posting, files, *more, **named)

    monkeypatch.setattr(stage.Posting, "run", counted)
    assert stage.run(books.store, ON)["files"] == len(CLAIMS)
    assert 0 < most < 4
    assert set(books.states().values()) == {"paid"}


def test_the_memory_of_a_large_file_is_that_of_some_of_its_sets(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    """Six times the sets take little more memory."""
    parts_of(monkeypatch, rows=500, window=1 << 16)
    peaks = []
    for number, count in enumerate((20, 100, 600)):  # the first one is for what is imported and kept once
        claims = "\n".join(PAID.format(f"U{n}") for n in range(40))
        data = file_835(
            *(remittance(claims, amount=str(80 * 40), trace=f"{number}M{n}") for n in range(count)), control=number + 1
        )
        file_id = books.receive(data, "835")
        (row,) = [f for f in books.rows(r.files) if f.file_id == file_id]
        del data, claims
        tracemalloc.start()
        stage._read(books.store, row)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] < 1.5 * peaks[1]
