"""Each edit's own examples: what passes, what fails, and that nothing else is said of the good claim."""

from __future__ import annotations

import re
import tomllib
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from pipeline import shapes
from pipeline.errors import Terminal
from pipeline.scrubbing import edits as books
from pipeline.scrubbing.edits import Book, Edit
from pipeline.scrubbing.examples import batch, load_tables
from pipeline.scrubbing.registry import faults
from pipeline.scrubbing.stage import judge

BOOK = books.load()
OFFICIAL = {
    edit["id"] for edit in tomllib.loads((shapes.schemas_dir() / "edits" / "tables.toml").read_text("utf-8"))["edit"]
}
EXAMPLES = [
    pytest.param(edit, example, fails, id=f"{edit.id}-{'fails' if fails else 'passes'}-{n}")
    for edit in BOOK.edits
    for fails in (False, True)
    for n, example in enumerate(edit.fails if fails else edit.passes, 1)
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the example tables loaded, as a practice would load the official ones."""
    place = tmp_path_factory.mktemp("home")
    load_tables(place)
    return place


def rules(*examples: dict[str, Any], home: Path | None = None) -> set[str]:
    """Ids of the edits that find something."""
    return {finding.rule for finding in judge(batch(*examples, home=home), BOOK).findings}


def test_the_good_claim_passes_every_edit(home: Path):
    assert rules({}) == rules({}, home=home) == set()


def test_without_its_table_an_edit_is_silent():
    for edit in BOOK.edits:
        if edit.id in OFFICIAL:
            assert all(edit.id not in rules(example) for example in edit.fails), edit.id


@pytest.mark.parametrize(("edit", "example", "fails"), EXAMPLES)
def test_examples_of_the_edits(edit: Edit, example: dict[str, Any], fails: bool, home: Path):
    assert (edit.id in rules(example, home=home)) is fails


@pytest.mark.parametrize("edit", BOOK.edits, ids=lambda edit: edit.id)
def test_every_edit_has_a_failing_example_a_known_check_and_names_its_columns(edit: Edit):
    assert edit.fails
    assert faults(edit) == []
    assert edit.message.endswith(".")
    assert edit.fix.endswith(".")
    for field in edit.fields:
        assert BOOK.place(field, edit.table).loop or field in ("guide", "synthetic"), field


@pytest.mark.parametrize(("number", "held"), [(50, False), (51, True)])
def test_fifty_lines_a_claim(number: int, held: bool):
    lines = [{"charge": f"{n}.00"} for n in range(1, number + 1)]
    total = f"{sum(range(1, number + 1))}.00"
    assert ("line-count" in rules({"lines": lines, "charge": total})) is held


@pytest.mark.parametrize("name", [f.stem for f in sorted((shapes.schemas_dir() / "edits").glob("*.toml"))])
def test_every_file_of_edits_is_read(name: str):
    data = tomllib.loads((shapes.schemas_dir() / "edits" / f"{name}.toml").read_text(encoding="utf-8"))
    ids = {edit["id"] for edit in data.get("edit", [])}
    assert ids <= {edit.id for edit in BOOK.edits}


def test_a_finding_says_where_in_the_extract_and_in_the_837_and_how_to_mend_it():
    (finding,) = judge(batch({"billing_npi": "1234567890"}), BOOK).findings
    assert (finding.rule, finding.severity, finding.snip) == ("npi", "error", 5)
    assert (finding.loop, finding.segment_id, finding.element) == ("2010AA", "NM1", 9)
    assert (finding.subject, finding.source) == ("P1:E1", "encounters.csv row 7 billing_npi")
    assert finding.message.startswith("The billing provider's NPI is not a valid NPI")
    assert "NPPES" in finding.fix


def test_findings_of_diagnoses_and_lines_name_their_own_cells():
    found = judge(batch({"diagnoses": ["J209", "QQQ"], "lines": [{"units": "0"}]}), BOOK).findings
    assert {(f.rule, f.source) for f in found} == {
        ("icd10cm-unknown", "diagnoses.csv row 2 column code"), ("line-units", "services.csv row 9"),
    }  # fmt: skip


def test_one_bad_claim_leaves_its_neighbours_alone():
    judged = judge(batch({}, {"member_id": ""}, {"patient_id": "43"}), BOOK)
    assert set(judged.errors) == {1}
    assert [f.subject for f in judged.findings] == ["P1:E2"]


def test_what_a_practice_has_to_mend_is_said_once():
    found = judge(batch({"billing_zip": "02139"}, {"billing_zip": "02139", "patient_id": "43"}), BOOK).findings
    assert [(f.rule, f.subject, f.severity) for f in found] == [("zip-plus-four", "P1", "warning")]


def test_no_message_holds_the_value_that_is_at_fault():
    """Every failing example of every edit: no text of a finding repeats a value of the claim."""
    secrets = {
        "patient_last": "ZEBRASTRIPE*",
        "patient_first": "QUAGGA^",
        "member_id": "^OKAPI77",
        "patient_address1": "9 NUMBAT:CT",
    }
    for edit in BOOK.edits:
        for example in edit.fails:
            for finding in judge(batch({**secrets, **example}), BOOK).findings:
                text = f"{finding.message}{finding.fix}{finding.source}{finding.subject}"
                assert not re.search("ZEBRA|QUAGGA|OKAPI|NUMBAT", text), finding.rule


def test_days_of_service_choose_the_edit(tmp_path: Path):
    """An expired edit is silent."""
    (tmp_path / "ours.toml").write_text("""
[[edit]]
id = "no-x"
title = "An X"
effective_from = 2026-05-01
effective_to = 2026-05-31
snip = 7
fields = ["group_number"]
check = "pattern"
parameters = { pattern = "[^X]*" }
message = "No X."
fix = "Take it away."
""")
    book = Book(tmp_path)

    def found(day: str) -> bool:
        example = {"group_number": "X", "service_from": day, "service_to": day}
        return bool(judge(batch(example), book).findings)

    assert [found(d) for d in ("2026-04-30", "2026-05-01", "2026-05-31", "2026-06-01")] == [False, True, True, False]


@pytest.mark.parametrize(
    "content",
    ["[[edit]]\nid = 'x'\n", "[[edit]\n", "[edits]\n",
     "[[edit]]\nid='x'\ntitle='t'\nsnip=9\nfields=['member_id']\ncheck='required'\nmessage='m'\nfix='f'\n"],
)  # fmt: skip
def test_edits_that_cannot_be_used_stop_the_night_with_the_files_name(content: str, tmp_path: Path):
    (tmp_path / "ours.toml").write_text(content)
    with pytest.raises(Terminal, match=r"ours\.toml"):
        Book(tmp_path)


def test_an_edit_without_its_check_stops_the_night(tmp_path: Path):
    (tmp_path / "ours.toml").write_text(
        "[[edit]]\nid='x'\ntitle='t'\nsnip=7\nfields=['member_id']\ncheck='nothing'\nmessage='m.'\nfix='f.'\n"
    )
    with pytest.raises(Terminal, match="nothing"):
        judge(batch({}), Book(tmp_path))


def test_dates_of_the_edits_are_in_order():
    assert all(edit.effective_from <= edit.effective_to <= date.max for edit in BOOK.edits)


def test_every_edit_has_a_name_of_its_own_that_people_understand():
    """Versions of one edit share it; it is no rule id and no sentence."""
    names = {edit.id: edit.title for edit in BOOK.edits}
    assert len(set(names.values())) == len(names)
    for name in names.values():
        assert re.fullmatch(r"[A-Z][^_{}.]* [^_{}]+[^.]", name), name
