"""Whatever the bytes: the validator ends, raises nothing, and does not pass a broken file as good."""

from __future__ import annotations

import importlib.util
import random
import time
from datetime import date
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pipeline.x12.acknowledge import acknowledge
from pipeline.x12.validator import Mode, validate

_spec = importlib.util.spec_from_file_location("x12_files", Path(__file__).with_name("x12_files.py"))
assert _spec is not None
assert _spec.loader is not None
files = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(files)

GOOD = {kind: files.render(files.lines(text)) for kind, text in files.FILES.items()}
GOOD["secondary"] = files.render(files.secondary())
ON = date(2026, 11, 20)


def sound(data: bytes) -> None:
    """What must hold of the findings of any bytes."""
    modes: tuple[Mode, Mode] = ("strict", "lenient")
    strict, lenient = (validate(data, mode=mode) for mode in modes)
    for found in (strict, lenient):
        for finding in found:
            assert finding.severity in ("error", "warning", "info")
            assert finding.message
            assert finding.segment is not None
            assert finding.segment >= 1
            assert finding.snip in range(1, 8)
            assert finding.offset is not None
            assert 0 <= finding.offset <= len(data)
    assert [f.rule for f in strict] == [f.rule for f in lenient]
    assert strict == validate(data)


@given(st.binary(max_size=400))
@example(b"ISA")
@example(b"ISA*")
@example(b"ISA" + b"*" * 200)
@example(b"ISA*" * 60)
@settings(max_examples=200, deadline=None)
def test_random_bytes(data: bytes) -> None:
    sound(data)
    assert validate(data)


@given(
    st.sampled_from(sorted(GOOD)),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 7)), min_size=1, max_size=4),
)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_flipped_bits(kind: str, flips: list[tuple[float, int]]) -> None:
    data = bytearray(GOOD[kind])
    for place, bit in flips:
        data[int(place * len(data))] ^= 1 << bit
    sound(bytes(data))


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Segments dropped, doubled, moved, or taken from another file; elements dropped, emptied, swapped or grown."""
    segments = [
        s.split("*") for s in GOOD[draw(st.sampled_from(sorted(GOOD)))].decode("latin-1").rstrip("~").split("~")
    ]
    others = [s for data in GOOD.values() for s in data.decode("latin-1").rstrip("~").split("~")]
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.integers(0, len(segments) - 1))
        match draw(st.sampled_from(["drop", "double", "move", "insert", "empty", "value", "cut", "grow"])):
            case "drop" if len(segments) > 1:
                del segments[at]
            case "double":
                segments.insert(at, list(segments[at]))
            case "move":
                segments.insert(draw(st.integers(0, len(segments) - 1)), segments.pop(at))
            case "insert":
                segments.insert(at, draw(st.sampled_from(others)).split("*"))
            case "empty":
                segments[at][draw(st.integers(0, len(segments[at]) - 1))] = ""
            case "value":
                segments[at][draw(st.integers(0, len(segments[at]) - 1))] = draw(
                    st.text(alphabet="A1:^.- \x00é", max_size=5)
                )
            case "cut":
                segments[at] = segments[at][: draw(st.integers(1, len(segments[at])))]
            case "grow":
                segments[at] += [""] * draw(st.integers(0, 3)) + ["X"]
    return ("~".join("*".join(s) for s in segments) + "~").encode("latin-1", "replace")


@given(mutated())
@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_mutated_files(data: bytes) -> None:
    sound(data)


@given(mutated())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_acknowledgments_of_mutated_files_are_valid_themselves(data: bytes) -> None:
    made = acknowledge(data, on=ON, control=5, answer_ta1="always")
    for answer in (made.ta1, made.functional_999):
        if answer is not None:
            assert validate(answer) == []
    assert made.findings == acknowledge(data, on=ON, control=5).findings


@pytest.mark.parametrize("kind", sorted(GOOD))
def test_dropping_any_required_segment_never_passes(kind: str) -> None:
    """Every segment of these files is there for a reason but the situational ones, which are named."""
    optional = {"DTM", "PRV", "QTY", "AMT", "PLB", "REF", "CTX", "IK4", "IK3", "CAS", "NM1", "DTP", "TRN", "IK5", "AK2"}
    optional |= {
        "270": {"DMG"}, "271": {"N3", "N4", "DMG", "EB", "MSG"}, "276": {"DMG", "SVC"}, "837I": {"HI"}, "837D": {"DN2", "TOO", "HI"},
    }.get(kind, set())  # fmt: skip
    segments = files.secondary() if kind == "secondary" else files.lines(files.FILES[kind])
    for index, segment in enumerate(segments):
        name = segment.partition("*")[0]
        found = validate(files.render(segments[:index] + segments[index + 1 :]))
        if name not in optional:
            assert any(f.severity == "error" for f in found), segment


def test_a_million_short_segments_and_one_endless_segment_end_in_time() -> None:
    head = GOOD["837P"][: GOOD["837P"].index(b"GS*")]
    start = time.process_time()
    assert validate(head + b"~" * 200_000)
    assert validate(head + b"A*" * 500_000)
    assert validate(head + b"ISA" * 300_000)
    assert validate(head + b"IEA*" * 300_000)
    assert validate((head + b"GS*HC~ST*837~") * 2_000)
    assert time.process_time() - start < 60


def test_the_order_of_a_dictionary_never_shows() -> None:
    """The same bytes give the same findings, file after file, however warm the caches are."""
    data = [GOOD[kind].replace(b"*1*", b"*X*") for kind in sorted(GOOD)]
    first = [validate(one) for one in data]
    shuffled = list(range(len(data)))
    random.Random(7).shuffle(shuffled)
    again = {index: validate(data[index]) for index in shuffled}
    assert [again[index] for index in range(len(data))] == first
