"""'The state's mainframe sends our remittances in lines of 80 characters, and amounts are missing.' Records of one length were
handed over with a line end after each, in the middle of names and amounts; a reader that took the line ends for data lost
what they fell on."""

from __future__ import annotations

import re

import pytest
from transactions.x12_text import remittance

from pipeline import transactions
from pipeline.transactions.engine import Engine
from pipeline.transport import routing
from pipeline.x12.lines import HEAD, find
from pipeline.x12.segments import iter_segments
from pipeline.x12.validator import validate

PLAIN = remittance()
_BEGINS = re.compile(rb"[A-Z][A-Z0-9]{1,2}[^A-Za-z0-9 ]")
WIDTHS = (72, 80, 106, 132)


def cut(data: bytes, width: int, end: bytes = b"\n") -> bytes:
    return end.join([data[at : at + width] for at in range(0, len(data), width)]) + end


def tables(data: bytes) -> dict[str, list[dict[str, object]]]:
    return {name: table.to_pylist() for name, table in transactions.read(data, file="f").tables.items()}


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("width", WIDTHS)
def test_it_says_what_the_file_without_line_ends_says(width: int, end: bytes) -> None:
    data = cut(PLAIN, width, end)
    assert tables(data) == tables(PLAIN)
    assert [s.elements for s in iter_segments(data)] == [s.elements for s in iter_segments(PLAIN)]
    assert routing.identify(data) == "835"
    assert routing.incomplete(data) == ""
    assert [(f.rule, f.severity) for f in transactions.read(data).findings] == [("text.cut_lines", "warning")]
    for mode, severity in (("lenient", "warning"), ("strict", "error")):  # strict: we never send one
        told = [(f.rule, f.severity, f.segment) for f in validate(PLAIN, mode=mode)]
        assert [(f.rule, f.severity, f.segment) for f in validate(data, mode=mode)] == [
            ("x12.cut-lines", severity, 1),
            *told,
        ]


@pytest.mark.parametrize("last", [b"", b"\n"])
def test_one_line_end_or_two_are_enough(last: bytes) -> None:
    """A short file in wide records: where what follows a line end cannot begin a segment, none has lost its terminator."""
    within = [
        n
        for n in range(len(PLAIN) // 3 + 1, len(PLAIN))
        if PLAIN[n - 1 : n] != b"~" and not any(_BEGINS.match(PLAIN[at:]) for at in range(n, len(PLAIN), n))
    ]
    assert within[-1] > len(PLAIN) * 2 // 3
    for width in within[::17]:
        data = cut(PLAIN, width)[:-1] + last
        assert data.count(b"\n") - len(last) in (1, 2)
        assert [(f.rule, f.severity) for f in transactions.read(data).findings] == [("text.cut_lines", "warning")], (
            width
        )
        assert tables(data) == tables(PLAIN)


def test_a_line_end_in_the_place_of_a_terminator_is_not_taken_away() -> None:
    at = PLAIN.index(b"~SE*")
    assert find(PLAIN[:at] + b"\n" + PLAIN[at + 1 :]) is None


def test_blanks_that_a_transfer_took_from_line_ends_come_back() -> None:
    at = PLAIN.index(b"N1*PR*") + len(b"N1*PR*")
    padded = PLAIN[:at] + b"A" * (76 - at % 80) + b" " * 8 + PLAIN[at:]  # blanks over the end of a line
    stripped = b"".join(line.rstrip() + b"\n" for line in cut(padded, 80).split(b"\n"))
    assert any(len(line) < 80 for line in stripped.split(b"\n")[:-3])
    assert tables(stripped) == tables(padded)
    for found in validate(stripped.replace(b"CLP*", b"CLP**"), limit=1000):
        if found.segment_id == "CLP":
            assert stripped.replace(b"CLP*", b"CLP**")[found.offset :].startswith((b"CLP", b"C\nLP", b"CL\nP"))


@pytest.mark.parametrize("block", [1, 79, 81, 1 << 14])
def test_however_the_bytes_come(block: int) -> None:
    class Names:
        def __init__(self) -> None:
            self.rows = 0

        def add(self, name: str, table: object) -> None:
            self.rows += len(table)  # type: ignore[arg-type]

    data = b"\r\n" + cut(PLAIN * 20, 80, b"\r\n")
    whole, pieces = Names(), Names()
    for sink, size in ((whole, len(data)), (pieces, block)):
        engine = Engine(sink)
        engine.file("f", (data[at : at + size] for at in range(0, len(data), size)))
        engine.finish()
    assert pieces.rows == whole.rows > 0


def test_places_are_those_of_the_file_as_it_stands() -> None:
    wrong = PLAIN.replace(b"BPR*I*", b"BPR*?*", 1)
    at = wrong.index(b"BPR*?")
    (found,) = [f for f in validate(cut(wrong, 80, b"\r\n")) if f.segment_id == "BPR" and f.element == 1]
    assert cut(wrong, 80, b"\r\n")[found.offset :].startswith(b"BPR")
    assert found.offset == at + at // 80 * 2


def test_one_line_end_says_nothing_of_the_width_of_what_follows() -> None:
    whole = PLAIN * (40_000 // len(PLAIN) + 1)
    stray = [whole.index(b"BPR*I", at) + 2 for at in (9_000, 30_000)]
    stray.append(stray[1] + 30)
    data = b"\n".join(whole[a:b] for a, b in zip([0, *stray], [*stray, len(whole)], strict=True))
    lines = find(data[:HEAD])
    assert lines is not None
    assert b"".join(lines.joined([data])) == whole
    for offset in (10, stray[0] + 5, stray[1] + 1, stray[2] + 1, len(whole) - 1):
        assert lines.place(offset) == offset + sum(offset >= at for at in stray)


@pytest.mark.parametrize(
    "data",
    [
        PLAIN,
        PLAIN.replace(b"~", b"~\n"),
        PLAIN.replace(b"~", b"\n"),
        PLAIN.replace(b"~", b"~\n").replace(b"N1*PR*", b"N1*PR*A\n", 1),
        b"".join(segment.ljust(120) + b"\n" for segment in PLAIN.replace(b"~", b"~\n").split(b"\n")),
    ],
    ids=["no line end", "a segment a line", "line ends are terminators", "one stray line end", "padded segments"],
)
def test_no_other_file_is_taken_for_one(data: bytes) -> None:
    assert find(data) is None


def test_a_cut_file_that_has_not_come_to_its_end_waits() -> None:
    assert routing.incomplete(cut(PLAIN[:-30], 80)) == "no_iea"
