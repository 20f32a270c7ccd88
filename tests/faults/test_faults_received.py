"""Faults 19, 22 and 28 over the stages that work received files: cut, miscounted, altered and absurd files beside good ones.

What is held: no stage raises, a bad file is quarantined whole with a work item, nothing of it is posted, and every good file
beside it is worked as if it had come alone.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator

import pytest
from acknowledgments.test_acknowledgments_stage import PROVIDER, claim, f277, f999, ta1
from deposits.test_deposits_stage import bai2, eft_credit, nacha
from ledger.books import ON, Books, file_835, file_837, remittance

from pipeline import night
from pipeline.ledger import posting, proof
from pipeline.store import register as r
from pipeline.transport import routing


def _835(n: int) -> bytes:
    return file_835(
        remittance(
            f"CLP*C{n}*1*100*80**12*ICN{n}*11\nSVC*HC:99213*100*80\nDTM*472*20261101\nCAS*CO*45*20",
            amount="80",
            trace=f"T{n}",
        ),
        control=n,
    )


def _277(n: int) -> bytes:
    return f277(f"{PROVIDER}\n{claim(f'C{n}', 'A2:20:PR*20261120*WQ*100')}", control=100 + n)


def _999(n: int) -> bytes:
    return f999(f"AK2*837*{n:04d}\nIK5*A", control=200 + n)


X12: dict[str, Callable[[int], bytes]] = {"835": _835, "277CA": _277, "999": _999}
BANK: dict[str, Callable[[int], bytes]] = {
    "BAI2": lambda n: bai2(eft_credit(100 + n, f"B{n}")),
    "NACHA": lambda n: nacha(100 + n, f"B{n}"),
}


def work(books: Books) -> None:
    night.acknowledge(books.store, ON)
    night.post(books.store, ON)
    night.reconcile(books.store, ON)


def states(books: Books) -> dict[str, str]:
    return {row.file_id: row.state for row in books.rows(r.files) if row.direction == "in"}


def facts(books: Books) -> set[str]:
    """Ids of the files of which something stands in the books."""
    return {
        row.file_id for table in (r.remittances, r.acknowledgments, r.deposits, r.efts) for row in books.rows(table)
    }


def cut(data: bytes) -> Iterator[bytes]:
    """The file cut after each of its segments, but the last."""
    ends = [m.end() for m in re.finditer(b"~", data)]
    for end in ends[:-1]:
        yield data[:end]


def trailer(data: bytes) -> bytes:
    return data[data.rindex(b"IEA*") :]


@pytest.mark.parametrize("kind", X12)
def test_fault_19_a_file_cut_after_any_segment_is_not_at_its_end(kind: str) -> None:
    data = X12[kind](1)
    assert routing.incomplete(data) == ""
    assert {routing.incomplete(part) for part in cut(data)} == {"no_iea"}
    assert {routing.incomplete(data[:n]) for n in range(110, len(data) - len("000000001~"))} == {"no_iea"}


@pytest.mark.parametrize("kind", X12)
def test_fault_19_a_file_with_a_hole_after_any_segment_is_quarantined(books: Books, kind: str) -> None:
    """Cut, and its end put there: the inbox takes it, and no stage posts anything of it."""
    books.send("C1", "C2")
    whole = X12[kind](1)
    holed = [part + trailer(whole) for part in cut(whole) if part + trailer(whole) != whole]
    bad = {books.receive(data, kind) for data in holed}
    good = books.receive(X12[kind](2), kind)
    work(books)
    found = states(books)
    assert found.pop(good) == "processed"
    # an interchange of nothing but its envelope says nothing, and is worked as that
    assert {state for file_id, state in found.items()} <= {"quarantined", "processed"}
    assert facts(books) == {good}
    quarantined = {file_id for file_id, state in found.items() if state == "quarantined"}
    assert len(quarantined) >= len(bad) - 1
    assert quarantined == {item.subject for item in books.work("file")}


COUNTS = {
    "SE01": (rb"~SE\*\d+\*", b"~SE*999*"), "GE01": (rb"~GE\*\d+\*", b"~GE*7*"), "IEA01": (rb"~IEA\*\d+\*", b"~IEA*9*"),
    "SE02": (rb"~SE\*(\d+)\*\d+~", rb"~SE*\1*7777~"), "GE02": (rb"~GE\*(\d+)\*\d+~", rb"~GE*\1*7777~"),
    "IEA02": (rb"~IEA\*(\d+)\*\d+~", rb"~IEA*\1*000007777~"),
}  # fmt: skip


@pytest.mark.parametrize("kind", X12)
def test_fault_19_wrong_counts_and_numbers_quarantine_the_file(books: Books, kind: str) -> None:
    books.send("C1", "C2")
    for pattern, by in COUNTS.values():
        data = re.sub(pattern, by, X12[kind](1), count=1)
        assert data != X12[kind](1)
        books.receive(data, kind)
    good = books.receive(X12[kind](2), kind)
    work(books)
    found = states(books)
    assert found.pop(good) == "processed"
    assert set(found.values()) == {"quarantined"}
    assert facts(books) == {good}


AMOUNTS = ["NaN", "1E5", "-0", "9" * 19, "9" * 5_000, "1.234", "²", "Infinity", "0x10", "1,5", " "]


@pytest.mark.parametrize("place", ["BPR*I*80", "*100*80*", "SVC*HC:99213*100", "CAS*CO*45*20"])
def test_fault_22_absurd_amounts_in_a_remittance_post_nothing(books: Books, place: str) -> None:
    books.send("C1", "C2")
    whole = _835(1)
    assert place.encode() in whole
    head = place.rstrip("*").rpartition("*")[0]
    for text in AMOUNTS:
        books.receive(
            whole.replace(place.encode(), f"{head}*{text}{'*' if place.endswith('*') else ''}".encode()), "835"
        )
    good = books.receive(_835(2), "835")
    work(books)
    assert states(books)[good] == "processed"
    posted = [row for row in books.rows(r.remittances) if row.state == "posted"]
    assert [row.file_id for row in posted] == [good]
    assert books.states()["C1"] == "sent"
    proof.prove(books.store)


NASTY = [
    b"NaN", b"1E5", b"-0", b"9" * 19, b"9" * 25, b"9" * 5_000, "²".encode(), b"\xb2", b"\x00", b"", b"-5", b"ZZ", b"00000000",
    b"A" * 300, b"494.850", b".", b"+", b"\xff\xfe", b"20261399", b"\xe2\x80\xa8", b"16", b"ISA", b"~", b"*", b"\n", b"/",
]  # fmt: skip


def mutated(data: bytes, separators: bytes, rng: random.Random) -> bytes:
    """The file with one to three faults: an absurd value, a doubled or lost piece, a flipped byte."""
    for _ in range(rng.randint(1, 3)):
        how, at = rng.random(), rng.randrange(len(data))
        if how < 0.7 and separators:
            parts = re.split(b"([" + re.escape(separators) + b"])", data)
            place = rng.randrange(len(parts))
            parts[place : place + (1 if how < 0.55 else rng.randint(1, 6))] = [] if how > 0.62 else [rng.choice(NASTY)]
            data = b"".join(parts) or b"x"
        else:
            data = data[:at] + (rng.choice(NASTY) or b"?") + data[at + 1 :]
    return data


MUTATED = {**dict.fromkeys(X12, b"*~:"), "TA1": b"*~", "BAI2": b",/\n", "NACHA": b"\n"}


@pytest.mark.parametrize("seed", range(3))
def test_fault_28_no_mutated_file_stops_the_stages_or_its_neighbours(books: Books, seed: int) -> None:
    rng = random.Random(seed)
    makers = {**X12, **BANK, "TA1": lambda n: ta1("A", "000", number=300 + n)}
    for kind, separators in MUTATED.items():
        for _ in range(25):
            data = mutated(makers[kind](1), separators, rng)
            if data not in (makers[kind](1), makers[kind](2)):
                books.receive_once(data, kind)
    books.send("C2", data=file_837(("C2", "100")))
    good = {books.receive(makers[kind](2), kind) for kind in makers}
    work(books)
    found = states(books)
    assert {found[file_id] for file_id in good} == {"processed"}
    assert set(found.values()) <= {"processed", "quarantined"}
    with books.store.read() as connection:
        assert sum(posting.balances(connection).values()) == 0
    assert proof.prove(books.store).residue_cents == 0
    aside = {file_id for file_id, state in found.items() if state == "quarantined"}
    assert len(aside) > 25
    assert aside <= {item.subject for item in books.work("file")}
