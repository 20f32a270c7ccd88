"""Medical necessity: policies by group and day, and what waiver modifiers make of a line that is not covered (D5)."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from codes.files import put

from pipeline import shapes
from pipeline.codes import loading, necessity
from pipeline.codes.necessity import Coverage

PROCEDURES = (
    "policy,group,procedure,payer,effective_from,effective_to\n"
    "P1,1,10000,,2023-01-01,\n"
    "P1,2,10001,,2023-01-01,\n"
    "P2,,10000,,2024-06-01,\n"
    "P3,1,10002,harbor,2023-01-01,2024-12-31\n"
    "P4,1,10003,,2023-01-01,\n"
)
DIAGNOSES = (
    "policy,group,diagnosis,covered,effective_from,effective_to\n"
    "P1,1,E11.9,yes,2023-01-01,2024-03-31\n"
    "P1,1,I10,yes,2023-01-01,\n"
    "P1,2,J209,yes,2023-01-01,\n"
    "P2,,I10,yes,2024-06-01,\n"
    "P2,,E119,yes,2024-06-01,\n"
    "P3,1,I10,yes,2023-01-01,\n"
    "P4,1,Z0000,no,2023-01-01,\n"
)
DAY = date(2024, 2, 1)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    files = [put(tmp_path, "p.csv", PROCEDURES), put(tmp_path, "d.csv", DIAGNOSES)]
    done = loading.load(files, tmp_path, effective_from=date(2023, 1, 1))
    assert done.findings == []
    assert {e.about.set for e, _ in done.editions} == {"necessity_procedure", "necessity_diagnosis"}
    return tmp_path


def ask(
    home: Path,
    procedure: str,
    diagnoses: list[str | None],
    day: date = DAY,
    modifier: str = "",
    payer: str = "medicare",
):
    columns = [[d] for d in (diagnoses + [None] * 4)[:4]]
    found = necessity.decide(
        procedure=[procedure], day=[day], diagnoses=columns, modifiers=[[modifier or None]], payer=[payer], home=home
    )
    policy = int(found.policy[0])
    return Coverage(int(found.coverage[0])), found.policies[policy] if policy >= 0 else ""


def test_a_diagnosis_not_covered_without_ga_is_held_and_with_it_goes_out(home: Path):
    assert ask(home, "10000", ["I10"]) == (Coverage.COVERED, "P1")
    assert ask(home, "10000", ["J209"]) == (Coverage.NOT_COVERED, "P1")
    assert ask(home, "10000", ["J209"], modifier="GA") == (Coverage.WAIVER, "P1")


@pytest.mark.parametrize(
    ("modifier", "standing"),
    [("GX", Coverage.NOTICE), ("GY", Coverage.EXCLUDED), ("GZ", Coverage.NO_WAIVER), ("59", Coverage.NOT_COVERED)],
)
def test_each_waiver_modifier(home: Path, modifier: str, standing: Coverage):
    assert ask(home, "10000", ["J209"], modifier=modifier)[0] is standing
    assert ask(home, "10000", ["I10"], modifier=modifier)[0] is Coverage.COVERED


def test_any_of_the_diagnoses_that_the_line_points_to_covers_it(home: Path):
    assert ask(home, "10000", ["J209", None, "I10"])[0] is Coverage.COVERED
    assert ask(home, "10000", [])[0] is Coverage.NOT_COVERED


def test_groups_and_days_of_a_policy(home: Path):
    assert ask(home, "10001", ["I10"])[0] is Coverage.NOT_COVERED  # of the other group
    assert ask(home, "10001", ["J20.9"])[0] is Coverage.COVERED
    assert ask(home, "10000", ["E119"], date(2024, 3, 31))[0] is Coverage.COVERED
    assert ask(home, "10000", ["E119"], date(2024, 4, 1))[0] is Coverage.NOT_COVERED


def test_every_policy_of_the_procedure_must_be_met(home: Path):
    assert ask(home, "10000", ["E119"], date(2024, 6, 1)) == (Coverage.NOT_COVERED, "P1")
    assert ask(home, "10000", ["I10"], date(2024, 6, 1))[0] is Coverage.COVERED


def test_a_policy_of_one_payer_speaks_of_its_lines_only_and_ends(home: Path):
    assert ask(home, "10002", ["J209"], payer="harbor")[0] is Coverage.NOT_COVERED
    assert ask(home, "10002", ["J209"], payer="medicare")[0] is Coverage.NO_POLICY
    assert ask(home, "10002", ["J209"], date(2025, 1, 1), payer="harbor")[0] is Coverage.NO_POLICY


def test_a_policy_that_lists_only_what_it_does_not_cover(home: Path):
    assert ask(home, "10003", ["Z0000"])[0] is Coverage.NOT_COVERED
    assert ask(home, "10003", ["I10"])[0] is Coverage.COVERED


def test_without_policies_nothing_is_said(home: Path, tmp_path_factory: pytest.TempPathFactory):
    assert ask(home, "99999", ["J209"]) == (Coverage.NO_POLICY, "")
    assert ask(tmp_path_factory.mktemp("empty"), "10000", ["J209"]) == (Coverage.NO_POLICY, "")


def test_the_example_of_the_documentation_loads_and_judges(tmp_path: Path):
    folder = shapes.schemas_dir() / "codes" / "examples"
    files = [folder / "necessity_procedures.csv", folder / "necessity_diagnoses.csv"]
    assert loading.load(files, tmp_path, effective_from=date(2024, 1, 1)).findings == []
    assert ask(tmp_path, "93000", ["I10"]) == (Coverage.COVERED, "EXAMPLE-1")
    assert ask(tmp_path, "93000", ["E119"]) == (Coverage.NOT_COVERED, "EXAMPLE-1")
    assert ask(tmp_path, "83036", ["E119"]) == (Coverage.COVERED, "EXAMPLE-2")
