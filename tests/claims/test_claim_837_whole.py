"""Claims that say all that can be said: what the guides know and is never sent is named in the docs, and no element of a file can change
without the readback noticing."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from claims import whole
from claims.situations import FORM, NUMBERS, ON, written

from pipeline import shapes
from pipeline.claims import proofreading, readback
from pipeline.transactions.claim_837_route import Route
from pipeline.transactions.claim_837_writer import Interchange837
from pipeline.x12.isa import read_isa

DOC = Path(__file__).parents[2] / "docs" / "claims.md"
#: pyx12 4.0 takes a certificate (CT) for other paperwork and so knows none of its ways of sending
_CERTIFICATE = "(AD) is not a valid code"
#: what every file has, whatever its claims say
_ALWAYS = {"ST", "1000A", "1000B"}
Place = tuple[str, str, str]


@pytest.mark.parametrize("kind", FORM)
def test_they_pass_every_reader(way: Route, kind: str) -> None:
    written(way, kind, whole.tables(kind), but=_CERTIFICATE)


@pytest.fixture
def files(way: Route) -> dict[str, tuple[bytes, Interchange837]]:
    found = {}
    for kind, form in FORM.items():
        meant = Interchange837(*whole.tables(kind), way, form)
        found[kind] = (meant.render(on=ON, numbers=NUMBERS), meant)
    return found


def written_places(data: bytes, kind: str) -> Iterator[Place]:
    """Loop, segment and qualifiers of each segment in the file's blocks."""
    form = FORM[kind]
    isa = read_isa(data, 0)
    assert isa is not None
    found = readback._Found(data, form, isa.wire)
    assert not len(found.stray)
    for loop, blocks in found.loops.items():
        for at in blocks.at.tolist():
            for segment in np.flatnonzero((found.block == at) & found.inside & (found.codes != readback.code_of("SE"))):
                elements = found.scan.elements(int(segment))
                key = elements[3 if elements[0] == "HL" else 1].split(":")[0]
                place = form.place(loop, elements[0], key)
                assert place is not None, elements
                yield loop, elements[0], " ".join(sorted(place.keys))


def unsent_places() -> set[tuple[str, Place]]:
    """The table of the docs: guides, loops, a segment with its qualifiers (without any: whatever they are), and why."""
    section = DOC.read_text(encoding="utf-8").split("## What is never sent")[1].split("\n## ")[0]
    rows = re.findall(r"^\| ([PID ]+) \| ([0-9A-Z ]+) \| `([A-Z0-9* ]+)` \| \S.+ \|$", section, re.M)
    assert len(rows) == section.count("\n| ") - 1  # each row but the head is read
    found = set()
    for kinds, loops, segment in rows:
        segment_id, _, keys = segment.partition("*")
        for kind in (f"837{k}" for k in kinds.split()):
            known = {(p.loop.id, p.id, " ".join(sorted(p.keys))) for p in FORM[kind].compiled.places}
            for loop in loops.split():
                named = {p for p in known if p[:2] == (loop, segment_id) and keys in ("", p[2])}
                assert named, (kind, loop, segment)
                assert not named & {place for k, place in found if k == kind}, (kind, loop, segment)
                found |= {(kind, place) for place in named}
    return found


def test_what_is_never_sent_is_what_the_docs_say(files: dict[str, tuple[bytes, Interchange837]]) -> None:
    """Each place of each guide either stands in one of the files, or in the docs with the reason; in neither list twice."""
    missing = set()
    for kind, (data, _) in files.items():
        known = {
            (p.loop.id, p.id, " ".join(sorted(p.keys))) for p in FORM[kind].compiled.places if p.loop.id not in _ALWAYS
        }
        sent = set(written_places(data, kind))
        assert sent <= known
        missing |= {(kind, place) for place in known - sent}
    assert missing == unsent_places()


# --- one change at a time -----------------------------------------------------------------------------------------------

#: segments that say where others stand: with one more or less of them the claims, lines or levels are others
FRAME = ("ISA", "GS", "ST", "BHT", "HL", "CLM", "SBR", "LX", "SE", "GE", "IEA")
MARKERS = (*FRAME, "NM1", "SVD", "LIN", "LQ")
Change = tuple[str, int, tuple[str, ...]]  # what, which segment, what stands there instead


def another(text: str) -> str:
    """Another value of the same kind and length."""
    last = text[-1]
    return text[:-1] + (
        "8" if last.isdigit() and last != "8" else "7" if last.isdigit() else "Q" if last != "Q" else "R"
    )


def changes(segments: list[str], index: int) -> Iterator[Change]:
    """One thing changed in the segment: each component of each element, an element emptied or added, the segment lost, repeated, or
    exchanged with the next where they are of one kind or begin a loop. (The order of others within a loop is the guide's: the
    validator's.)"""
    segment = segments[index]
    elements = segment.split("*")
    what = f"{index + 1} {segment}: "
    fixed = elements[0] == "ISA"  # of fixed width
    if not fixed:
        yield f"{what}lost", index, ()
        yield f"{what}twice", index, (segment, segment)
        yield f"{what}an element more", index, (f"{segment}*X",)
        following = segments[index + 1] if index + 1 < len(segments) else segment
        ids = {elements[0], following.split("*")[0]}
        if following != segment and (len(ids) == 1 or (ids & set(MARKERS) and ids != {"SBR", "PAT"})):
            yield f"{what}exchanged", index, (following, segment)
    for number, element in enumerate(elements[1:], 1):
        parts = [element] if fixed else element.split(":")
        for place, part in enumerate(parts):
            if part.strip():
                new = ":".join([*parts[:place], another(part), *parts[place + 1 :]])
                yield (
                    f"{what}{number:02d}-{place + 1}",
                    index,
                    ("*".join([*elements[:number], new, *elements[number + 1 :]]),),
                )
        if element and not fixed:
            yield f"{what}{number:02d} emptied", index, ("*".join([*elements[:number], "", *elements[number + 1 :]]),)


def all_changes(segments: list[str]) -> list[tuple[int, Change]]:
    """Each change with its number among those of its segment."""
    return [item for index in range(len(segments)) for item in enumerate(changes(segments, index))]


def altered(segments: list[str], change: Change) -> list[str]:
    what, index, instead = change
    return [*segments[:index], *instead, *segments[index + (2 if what.endswith("exchanged") else 1) :]]


def of_frame(segments: list[str], change: Change) -> bool:
    what, index, instead = change
    touched = {s.split("*")[0] for s in segments[index : index + (2 if what.endswith("exchanged") else 1)]}
    moved = not instead or len(instead) > 1
    level = segments[index].startswith(("HL*", "ISA*", "GS*", "ST*", "BHT*", "SE*", "GE*", "IEA*"))
    return level or (moved and bool(touched & set(FRAME)))


def copies(kind: str, claim: str, many: int) -> tuple[pa.Table, ...]:
    """The claim of the kind many times, each with a billing provider of its own, so that no two share a level."""
    tables = []
    for name, table in zip(("coded_claims", "coded_diagnoses", "coded_lines"), whole.tables(kind), strict=True):
        rows = []
        for number in range(many):
            for row in (row for row in table.to_pylist() if row["claim_id"] == claim):
                own = {"claim_id": f"{claim}{number:05d}"}
                if name == "coded_claims":
                    own |= {"billing_tin": f"{number:09d}", "billing_tin_kind": "EI"}
                rows.append(row | own)
        tables.append(shapes.from_rows(name, rows))
    return tuple(tables)


def segments_of(data: bytes) -> list[str]:
    return data.decode("ascii").removesuffix("~").split("~")


def file_of(segments: list[str]) -> bytes:
    return ("~".join(segments) + "~").encode("ascii")


@pytest.mark.parametrize("kind", FORM)
@pytest.mark.parametrize("newline", [True, False])
def test_a_true_file_is_found_true_whatever_its_form(way: Route, kind: str, newline: bool) -> None:
    """Lines or none, small letters, each claim in a set of its own."""
    other = dataclasses.replace(way, newline=newline, charset="extended")
    meant = Interchange837(*whole.tables(kind), other, FORM[kind], claims_per_set=1)
    data = meant.render(on=ON, numbers=NUMBERS)
    assert (data.count(b"ST*837*"), b"Yew" in data, data.count(b"~\n") > 100) == (2, True, newline)
    assert proofreading.compared(data, meant, ON, NUMBERS) == []


@pytest.mark.parametrize(("kind", "claim", "least"), [
    ("837P", "A1", 700), ("837P", "A2", 200), ("837I", "A1", 600), ("837I", "A2", 150), ("837D", "A1", 450), ("837D", "A2", 150),
])  # fmt: skip
def test_no_change_of_a_claim_passes_the_readback(way: Route, kind: str, claim: str, least: int) -> None:
    """There is no element that cannot matter: each copy of the claims has one thing changed, and each is found out by its claim."""
    form = FORM[kind]

    def visits(data: bytes) -> tuple[list[str], list[list[str]]]:
        segments = segments_of(data)
        starts = [n for n, s in enumerate(segments) if s.startswith("HL*") and s.split("*")[3] == "20"]
        stops = [*starts[1:], len(segments) - 3]
        return segments, [segments[a:b] for a, b in zip(starts, stops, strict=True)]

    [one] = visits(Interchange837(*copies(kind, claim, 1), way, form).render(on=ON, numbers=NUMBERS))[1]
    wanted = [(nth, change) for nth, change in all_changes(one) if not of_frame(one, change)]
    assert len(wanted) > least
    meant = Interchange837(*copies(kind, claim, len(wanted)), way, form)
    segments, each = visits(meant.render(on=ON, numbers=NUMBERS))
    assert {len(visit) for visit in each} == {len(one)}
    made: list[str] = []
    names: dict[str, str] = {}
    for visit, (nth, (what, index, _)) in zip(each, wanted, strict=True):
        # the same change of this copy, whose numbers are its own
        made += altered(visit, next(itertools.islice(changes(visit, index), nth, None)))
        names[next(s.split("*")[1][-5:] for s in visit if s.startswith("CLM*"))] = what
    head = segments[: segments.index(each[0][0])]
    data = file_of([*head, *made, *segments[-3:]])
    told = {finding.subject[-5:] for finding in readback.differences(data, meant, ON, NUMBERS)}
    assert [what for number, what in names.items() if number not in told] == []


@pytest.mark.parametrize(
    ("kind", "claims", "which", "least"),
    [("837P", "A2", FRAME, 120), ("837P", "A1 A2", ("CLM", "SBR", "LX"), 20), ("837I", "A2", FRAME, 120), ("837D", "A2", FRAME, 120)],
)  # fmt: skip
def test_no_change_of_the_frame_passes_the_readback(
    way: Route, kind: str, claims: str, which: tuple[str, ...], least: int
) -> None:
    """Envelope, headers, levels, and the segments by which claims, lines and other payers are counted."""
    few = (t.filter(pc.is_in(t["claim_id"], pa.array(claims.split()))) for t in whole.tables(kind))
    meant = Interchange837(*few, way, FORM[kind])
    data = meant.render(on=ON, numbers=NUMBERS)
    segments = segments_of(data)
    expected = readback.Expected(meant)
    assert readback.differences(data, meant, ON, NUMBERS, expected) == []
    wanted = [
        change
        for _, change in all_changes(segments)
        if of_frame(segments, change) and segments[change[1]].startswith(which)
    ]
    passed = [
        change[0]
        for change in wanted
        if not readback.differences(file_of(altered(segments, change)), meant, ON, NUMBERS, expected)
    ]
    assert (passed, len(wanted) > least) == ([], True)


@pytest.mark.parametrize("kind", FORM)
def test_a_change_is_told_of_the_claim_and_the_segment(
    files: dict[str, tuple[bytes, Interchange837]], kind: str
) -> None:
    data, meant = files[kind]
    changed = data.replace(b"REF*9F*V9F~", b"REF*9F*V9G~", 1)
    assert changed != data
    [found] = readback.differences(changed, meant, ON, NUMBERS)
    assert (found.severity, found.subject, found.message) == (
        "error", "A1", "2300 REF: the file says something else than was meant.",
    )  # fmt: skip
    assert found in proofreading.compared(changed, meant, ON, NUMBERS)
