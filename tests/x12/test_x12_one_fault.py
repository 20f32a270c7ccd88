"""One fault, one finding, at its place: each good file is broken in every one of its segments and elements, one at a time.

What must come is worked out from the guide's place of the segment, as the unbroken file was read; the few faults that truly
break two sums are named.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.findings import Finding
from pipeline.x12.guides import Element, Place
from pipeline.x12.validator import validate, walk

_spec = importlib.util.spec_from_file_location("x12_files", Path(__file__).with_name("x12_files.py"))
assert _spec is not None
assert _spec.loader is not None
files = importlib.util.module_from_spec(_spec)
sys.modules.setdefault("x12_files", files)
_spec.loader.exec_module(files)

KINDS = [*files.FILES, "secondary"]
ENVELOPE = ("ISA", "GS", "ST", "SE", "GE", "IEA")
#: an adjustment counts in its line and in its claim, a payment of one line in the other payer's total too
SUMS = {
    "835.line-balance",
    "835.claim-balance",
    "835.patient-share",
    "837.line-paid",
    "837.payer-paid",
    "837.claim-paid",
    "837.payer-amount",
}


def segments_of(kind: str) -> list[str]:
    return files.secondary() if kind == "secondary" else files.lines(files.FILES[kind])


def places_of(segments: list[str]) -> dict[int, Place]:
    found: dict[int, Place] = {}
    walk(
        files.render(segments), lambda number, text, marks, place, loops: found.update({number: place} if place else {})
    )
    return found


def told(findings: list[Finding]) -> list[tuple[str, int | None, int | None, int | None]]:
    return [(f.rule, f.segment, f.element, f.component) for f in findings]


@pytest.mark.parametrize("kind", KINDS)
def test_a_lost_segment_gives_one_finding(kind: str) -> None:
    segments = segments_of(kind)
    places = places_of(segments)
    required = 0
    for index, segment in enumerate(segments):
        if segment.split("*")[0] in ENVELOPE:
            continue
        found = validate(files.render([*segments[:index], *segments[index + 1 :]]))
        place = places[index + 1]
        rules = {f.rule for f in found}
        if rules <= SUMS and rules:
            continue  # an amount is gone: that is what is told
        later = segments[: index + 1].count(segment) > 1 or f"{kind} {segment}" in SECOND
        assert len(found) <= 1 or later, (segment, told(found))
        if place.required and not (place.trigger and not place.loop.required):
            required += 1
            assert found, segment
            assert index - 1 <= (found[0].segment or 0) <= index + 3, (segment, told(found))
            assert found[0].segment_id in (place.id, place.loop.trigger.id), (segment, told(found))
    assert required > 3


#: the first segment of a loop that stands a second time, or by situation, where the rest may as well belong to what is open
SECOND = {
    "835 SVC*HC:87880*50*45**1",
    "997 AK2*837*0002",
    "999 AK2*837*0002*005010X222A1",
    "270 HL*4*3*23*0",
}


@pytest.mark.parametrize(("kind", "segment"), [tuple(text.split(" ", 1)) for text in sorted(SECOND)])
def test_a_lost_second_start_is_told_all_the_same(kind: str, segment: str) -> None:
    segments = segments_of(kind)
    index = segments.index(segment)
    found = validate(files.render([*segments[:index], *segments[index + 1 :]]))
    assert next(f.severity for f in found if (f.segment or 0) > index) == "error"


def test_a_lost_line_start_is_told_where_the_line_begins() -> None:
    """The second LX is lost: SV1 comes again after all that the first line needs."""
    segments = segments_of("837P")
    index = segments.index("LX*2")
    found = validate(files.render([*segments[:index], *segments[index + 1 :]]))
    assert [(f.rule, f.segment, f.loop, f.segment_id) for f in found] == [("x12.loop-missing", index + 1, "2400", "LX")]


def test_the_numbers_after_a_wrong_one_are_not_told_again() -> None:
    segments = segments_of("837P")
    for old, new, rule in (("HL*2*1*22*0", "HL*7*1*22*0", "hl.number"), ("LX*1", "LX*4", "837.line-number")):
        broken = [new if s == old else s for s in segments]
        assert [f.rule for f in validate(files.render(broken))] == [rule]
        # those after it may follow the wrong number, or the count
        more = [s.replace("LX*2", "LX*5") if new == "LX*4" else s for s in broken]
        assert [f.rule for f in validate(files.render(more))] == [rule]


def variants(element: Element, value: str) -> Iterator[tuple[str, str]]:
    """(what stands there instead, the rule that tells it)."""
    if element.usage == "N":
        if not value:
            yield "1", "x12.element-not-used"
        return
    if not value:
        return
    if element.usage == "R":
        yield "", "x12.element-missing"
    if element.codes or element.form:
        wrong = "%" * max(element.low, 1)
        yield (
            wrong,
            "x12.element-type" if element.type == "N0" else "x12.element-code" if element.codes else "x12.element-list",
        )
    elif element.type in ("AN", "ID"):
        if element.high:
            yield value + "X" * (element.high + 1 - len(value)), "x12.element-long"
        if element.low > 1:
            yield "X" * (element.low - 1), "x12.element-short"
        if element.high > len(value):
            yield value + " ", "x12.element-padded"
    if element.type == "R":
        yield "1E2", "x12.element-type"
    if element.type == "R" and element.number == "782":
        yield "1.234", "x12.element-decimals"
    if element.type == "N0" and not element.codes:
        yield "A", "x12.element-type"
    if element.type == "DT":
        yield "20261332", "x12.element-date"
    if element.type == "TM":
        yield "2460", "x12.element-time"


def put(values: list[str], position: int, value: str) -> list[str]:
    """The values with that one, without empty ones at the end."""
    out = [*values, *[""] * (position + 1 - len(values))]
    out[position] = value
    while out and not out[-1]:
        out.pop()
    return out


def broken_elements(place: Place, segment: str) -> Iterator[tuple[str, str, int, int | None]]:
    """(the segment, rule, element, component) for each way to break one value."""
    parts = segment.split("*")
    for position, element in enumerate(place.elements, start=1):
        value = parts[position] if position < len(parts) else ""
        if "^" in value:
            continue
        if not element.components:
            for wrong, rule in variants(element, value):
                yield "*".join(put(parts, position, wrong)), rule, position, None
            continue
        pieces = value.split(":") if value else []
        for number, part in enumerate(element.components if pieces else (), start=1):
            piece = pieces[number - 1] if number <= len(pieces) else ""
            if pieces == [piece] and part.usage == "R":
                continue  # the whole element would be gone
            for wrong, rule in variants(part, piece):
                yield "*".join(put(parts, position, ":".join(put(pieces, number - 1, wrong)))), rule, position, number


@pytest.mark.parametrize("kind", KINDS)
def test_a_broken_element_gives_one_finding(kind: str) -> None:
    segments = segments_of(kind)
    places = places_of(segments)
    tried = 0
    for index, segment in enumerate(segments):
        if segment.split("*")[0] in ENVELOPE:
            continue
        for broken, rule, element, component in broken_elements(places[index + 1], segment):
            found = validate(files.render([*segments[:index], broken, *segments[index + 1 :]]))
            # the id of another payer is broken: the lines that name it are told as well
            found = [f for f in found if f.rule != "837.paid-by" or not broken.startswith("NM1*PR")]
            assert told(found) == [(rule, index + 1, element, component)], (broken, [f.message for f in found])
            tried += 1
    assert tried > 20


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_is_cut_off_is_told_as_that_alone(kind: str) -> None:
    """What the segment at the cut lacks, and what its loops would still have held, is not known and not asked."""
    data = files.render(segments_of(kind))
    trailers = ["x12.se-missing", "x12.ge-missing", "x12.iea-missing"]
    for cut in range(106, len(data) - 1, 5):
        rules = [f.rule for f in validate(data[:cut])]
        whole = data[cut - 1 : cut] == b"~"
        assert whole is ("x12.unterminated" not in rules), cut
        rest = [rule for rule in rules if rule != "x12.unterminated"]
        assert len(rules) - len(rest) <= 1, cut
        assert rest in (trailers, trailers[1:], trailers[2:], []), (cut, rest)
        assert rest or not whole, cut  # a last segment that is cut off may be the IEA itself


def test_faults_before_the_cut_are_still_told() -> None:
    data = files.render(segments_of("837P")).replace(b"NM1*85*2*CLINIC*", b"NM1*85*2**")
    found = validate(data[: data.index(b"LX*2") + 2])
    assert [f.rule for f in found][1:] == ["x12.unterminated", "x12.se-missing", "x12.ge-missing", "x12.iea-missing"]
    assert (found[0].segment_id, found[0].segment) == ("NM1", 9)


def test_a_cut_in_the_first_of_two_interchanges_leaves_the_second_judged() -> None:
    data = files.render(segments_of("837P"))
    wrong = data.replace(b"CLM*C1*150", b"CLM*C1*151")
    found = validate(data[: data.index(b"LX*2") + 2] + wrong)
    assert {f.rule for f in found[:4]} == {"x12.unterminated", "x12.se-missing", "x12.ge-missing", "x12.iea-missing"}
    assert [f.rule for f in found[4:]] == ["x12.isa-duplicate", "837.charges"]
