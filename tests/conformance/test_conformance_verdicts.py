"""Our verdict against that of the samples' sources, file by file.

A file that its source calls valid, and whose guide we have, has no error, or `differences.toml` names it and says why we are
right. A file that is invalid on purpose has an error, at the place that its source names where it names one. Files whose
guide we lack are checked in their envelope.
"""

from __future__ import annotations

import csv
import os
import re
import tomllib
from datetime import date
from pathlib import Path

import pytest

from pipeline.x12 import guides
from pipeline.x12.acknowledge import acknowledge
from pipeline.x12.segments import iter_segments
from pipeline.x12.validator import validate

SAMPLES = Path(os.environ.get("CLAIMPIPE_SAMPLES", Path(__file__).resolve().parents[3] / "shared" / "samples"))
INDEX = SAMPLES / "x12" / "INDEX.tsv"

if not INDEX.exists():
    if os.environ.get("CI"):
        raise FileNotFoundError(f"The samples are missing: {INDEX}")
    pytest.skip("the samples are not here", allow_module_level=True)

DIFFERENCES = tomllib.loads(Path(__file__).with_name("differences.toml").read_text("utf-8"))["difference"]


def _rows() -> list[dict[str, str]]:
    with INDEX.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle, delimiter="\t"))


ROWS = {row["path"]: row for row in _rows()}
OURS = {path: row for path, row in ROWS.items() if guides.kinds_of(row["version"])}


def read(path: str) -> bytes:
    return (SAMPLES / path).read_bytes()


def allowed(path: str) -> set[str]:
    return {rule for entry in DIFFERENCES if path in entry["files"] for rule in entry["rules"]}


@pytest.mark.parametrize("path", [p for p, row in OURS.items() if row["verdict"] in ("valid", "valid*")])
def test_valid_files_have_no_error_but_those_with_a_reason(path: str) -> None:
    errors = [f for f in validate(read(path), file=path) if f.severity == "error"]
    assert [(f.rule, f.segment, f.message) for f in errors if f.rule not in allowed(path)] == []


def test_every_difference_still_holds() -> None:
    for entry in DIFFERENCES:
        assert entry["reason"].endswith(".")
        found: set[str] = set()
        for path in entry["files"]:
            assert ROWS[path]["verdict"] in ("valid", "valid*"), path
            here = {f.rule for f in validate(read(path)) if f.severity == "error"} & set(entry["rules"])
            assert here, f"{path} no longer differs by {entry['rules']}"
            found |= here
        assert found == set(entry["rules"])


@pytest.mark.parametrize("path", [p for p, row in ROWS.items() if row["verdict"] == "invalid" and p in OURS])
def test_files_that_are_invalid_on_purpose_have_an_error(path: str) -> None:
    assert any(f.severity == "error" for f in validate(read(path)))


#: words of one source's expected results → what our finding must be. Loops stand as the source writes them.
SAYINGS = [
    (r"(\w+) in loop (\w+) is required but not found", lambda m: ("x12.segment-missing", m[2], m[1])),
    (r"(\w+) is required but not found in (\w+) iteration", lambda m: ("x12.loop-missing", m[1], None)),
    (r"(\w+) in loop (\w+) is missing a required (?:composite )?element at (\d+)", lambda m: ("x12.element-missing", m[2], m[1])),
    (r"(\w+) in loop (\w+) appears too many times", lambda m: ("x12.segment-repeat", m[2], m[1])),
    (r"(\w+) appears too many times", lambda m: ("x12.loop-repeat", m[1], None)),
    (r"Segment (\w+) in loop (\w+) is not in the correct position", lambda m: ("x12.segment-order", m[2], m[1])),
]  # fmt: skip

#: what a source expects and our finding names otherwise: (file, its words) → ours and why
SAID_OTHERWISE: dict[tuple[str, str], str] = {
    ("x12_loop_errors1_exceeds_max_1_parent.txt", "NM1 in loop 1000B"): "listed for another file of the same test",
    ("x12_loop_errors1_exceeds_max_1_parent.txt", "CLM in loop 2300"): "listed for another file of the same test",
    ("x12_loop_errors2_exceeds_max_repeats_multiple_parents.txt", "NM1 in loop 1000B"): "listed for another file of the same test",
    ("x12_loop_errors2_exceeds_max_repeats_multiple_parents.txt", "CLM in loop 2300"): "listed for another file of the same test",
    ("x12_missing_elements.txt", "2010AA"): "listed for another file of the same test",
}  # fmt: skip


def _expected() -> list[tuple[str, str, tuple[str, str, str | None]]]:
    cases = []
    for path, row in OURS.items():
        for expected in filter(None, row["expected_files"].split("|")):
            file = SAMPLES / expected
            if file.suffix != ".txt" or "imsweb" not in file.name:
                continue
            for line in file.read_text("utf-8").splitlines():
                if not line.startswith("error: "):
                    continue
                for pattern, make in SAYINGS:
                    match = re.match(pattern, line.removeprefix("error: "))
                    if match:
                        cases.append((path, line.removeprefix("error: "), make(match)))
                        break
    return cases


EXPECTED = _expected()


def test_there_are_expected_results() -> None:
    assert len(EXPECTED) >= 15


@pytest.mark.parametrize(("path", "words", "expected"), EXPECTED, ids=lambda v: v if isinstance(v, str) else "")
def test_the_fault_that_the_source_names_is_found_there(
    path: str, words: str, expected: tuple[str, str, str | None]
) -> None:
    name = Path(path).name.removeprefix("imsweb__")
    findings = validate(read(path), limit=5000)
    rule, loop, segment_id = expected
    found = [f for f in findings if f.rule == rule and f.loop == loop and segment_id in (None, f.segment_id)]
    otherwise = [why for (file, said), why in SAID_OTHERWISE.items() if file == name and words.startswith(said)]
    assert bool(found) is not bool(otherwise), (words, otherwise, [(f.rule, f.loop, f.segment_id) for f in findings])


ENVELOPE_WORDS = {
    "SE01": {"x12.se-count"}, "SE02": {"x12.se-control"}, "GE01": {"x12.ge-count"}, "GE02": {"x12.ge-control"},
    "IEA01": {"x12.iea-count"}, "IEA02": {"x12.iea-control"}, "missing-GE": {"x12.ge-missing"},
    "missing-IEA": {"x12.iea-missing"}, "missing-SE": {"x12.se-missing"}, "no-ISA": {"x12.not-x12"},
    "ISA-field-widths": {"x12.isa-length", "x12.unterminated", "x12.isa-element"},
}  # fmt: skip


#: files in which the index reads segments that we do not: why
UNREAD = {
    "x12/835/keiron__blue_cross_nc_sample.txt": "there is no ISA: nothing says what the delimiters are",
    "x12/837P/imsweb__x12_no_isa_line.txt": "there is no ISA: nothing says what the delimiters are",
}


@pytest.mark.parametrize("path", [p for p, row in ROWS.items() if row["envelope_problems"]])
def test_faults_of_the_envelope_are_found_in_every_file(path: str) -> None:
    """For all files, those without a guide of ours included: what the index's own count found wrong, we find."""
    rules = {f.rule for f in validate(read(path), limit=100_000)}
    if path in UNREAD:
        assert rules & {"x12.not-x12", "x12.segment-id"}
        return
    for problem in ROWS[path]["envelope_problems"].split(";"):
        word = next((w for w in ENVELOPE_WORDS if problem.startswith(w)), None)
        if word is not None:
            assert rules & ENVELOPE_WORDS[word], (problem, sorted(rules))


@pytest.mark.parametrize(
    "path", [p for p, row in ROWS.items() if not row["envelope_problems"] and row["verdict"] == "valid"]
)
def test_good_envelopes_are_found_good(path: str) -> None:
    """Files that the index calls valid: nothing is wrong with their interchanges, groups and sets, guide or not."""
    envelope = [
        f
        for f in validate(read(path), limit=5000)
        if f.segment_id in ("ISA", "GS", "SE", "GE", "IEA") and f.severity == "error"
    ]
    known = {"x12.gs-version", "x12.isa-element", "x12.isa-version", "x12.gs-element"}
    assert [f for f in envelope if f.rule not in known] == []


def test_every_file_of_the_samples_is_answered_validly() -> None:
    """A 999 and a TA1 for each file, themselves without a finding; the same bytes the second time."""
    answered = 0
    for path in ROWS:
        made = acknowledge(read(path), on=date(2026, 11, 20), control=7, answer_ta1="always")
        again = acknowledge(read(path), on=date(2026, 11, 20), control=7, answer_ta1="always")
        assert (made.ta1, made.functional_999) == (again.ta1, again.functional_999)
        for answer in (made.ta1, made.functional_999):
            if answer is not None:
                answered += 1
                assert validate(answer) == [], path
    assert answered > 300


def _oracle() -> list[tuple[str, Path]]:
    """Files of ours with a pyx12 acknowledgment (999) as second opinion."""
    found = []
    for path, row in OURS.items():
        oracle = SAMPLES / row["pyx12_ack"] if row["pyx12_ack"] else None
        if oracle is not None and oracle.exists() and b"ST*999" in oracle.read_bytes():
            found.append((path, oracle))
    return found


def _rejected(data: bytes) -> list[str]:
    return [s.element(1) for s in iter_segments(data) if s.id == "IK5"]


#: files that pyx12 accepts and we reject in the 999, or the reverse, and why we are right
SECOND_OPINIONS: dict[str, str] = {
    "x12/837I/stupidedi__X223A2_two-claims-for-the-same-provider.edi": "a five-digit ZIP is a warning (accepted with errors), not an error",
    "x12/837P/stupidedi__X222A1_oxygen.edi": "PWK*CT*AD is the line's certificate of medical necessity; pyx12 takes it for the other PWK",
}


@pytest.mark.parametrize(("path", "oracle"), _oracle(), ids=lambda v: v if isinstance(v, str) else "")
def test_a_set_that_a_second_opinion_rejects_is_never_accepted(path: str, oracle: Path) -> None:
    """pyx12 is a second opinion, not the truth: it may be stricter than the guide only where a reason is named."""
    theirs = _rejected(oracle.read_bytes())
    made = acknowledge(read(path), on=date(2026, 11, 20))
    ours = _rejected(made.functional_999 or b"")
    if not ours or len(ours) != len(theirs):
        # the interchange is rejected as a whole, or pyx12's answer is cut short
        assert not ours or len(theirs) < len(ours) or made.answers[0].code == "R"
        return
    differs = [(a, b) for a, b in zip(ours, theirs, strict=True) if b == "R" and a in ("A", "E")]
    assert bool(differs) is (path in SECOND_OPINIONS), (path, [f.message for f in made.findings][:5])


def _named(data: bytes) -> tuple[set[tuple[int, int]], int]:
    """(set, position) of each segment that a 999 or 997 names, and how many sets it answers."""
    found, sets = set(), 0
    for s in iter_segments(data):
        sets += s.id == "AK2"
        if s.id in ("IK3", "AK3"):
            found.add((sets, int(s.element(2) or 0)))
    return found, sets


def _answers() -> list[tuple[str, Path]]:
    """Files of ours with an expected acknowledgment of their source, or one that pyx12 made."""
    listed = []
    for path, row in OURS.items():
        for name in [*row["expected_files"].split("|"), row["pyx12_ack"]]:
            if name.endswith(".x12") and (SAMPLES / name).exists():
                listed.append((path, SAMPLES / name))
    return listed


OPINIONS = tomllib.loads(Path(__file__).with_name("differences.toml").read_text("utf-8"))["opinion"]


@pytest.mark.parametrize(("path", "other"), _answers(), ids=lambda v: v if isinstance(v, str) else "")
def test_each_segment_that_another_acknowledgment_names_is_named_by_ours(path: str, other: Path) -> None:
    """The content of the answers, segment by segment; where we name less, `differences.toml` says why."""
    theirs, sets = _named(other.read_bytes())
    ours, answered = _named(acknowledge(read(path), on=date(2026, 11, 20), mode="lenient").functional_999 or b"")
    if sets == 0:
        assert not theirs  # pyx12 gave up before the first set
        return
    missing = theirs - ours if answered == sets else theirs
    reasons = [entry["reason"] for entry in OPINIONS if path in entry["files"]]
    assert bool(missing) is bool(reasons), (path, sorted(missing))


NIGHT = Path(__file__).resolve().parents[2] / "sample_edi" / "night"


@pytest.mark.parametrize("path", sorted(NIGHT.rglob("*.edi")), ids=lambda path: path.name)
def test_the_files_of_our_own_night_have_no_finding(path: Path) -> None:
    """What the project itself writes (837, TA1, 999, 277CA, 835) is without a finding, warnings included."""
    assert validate(path.read_bytes()) == []
