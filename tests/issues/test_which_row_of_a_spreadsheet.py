"""'It says row 5, and there is nothing wrong in row 5.' A spreadsheet counts the header as a row; our rows begin below it."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from pipeline.reports import work

ITEM: dict[str, Any] = {
    "item_id": "0f" * 16, "title": "Extract: illegible amount", "state": "open", "resolution": "", "queue": "file",
    "cause": "intake.amount.illegible", "subject": "ab12", "claim_id": None, "visit": None, "source": None, "payer_key": None,
    "cents": 16_224, "opened_on": "2026-11-20", "due_on": None, "owner": None, "reason": "Set aside.", "action": "Correct it.",
    "decisions": [], "findings": [],
}  # fmt: skip


def finding(source: str) -> dict[str, Any]:
    return {
        "severity": "error",
        "source": source,
        "message": f"{source}: the amount is illegible.",
        "fix": "Correct it.",
    }


@pytest.mark.parametrize(
    "told",
    [
        {"findings": [finding("services.csv row 1234 column charge"), finding("services.csv row 3 column charge")]},
        {
            "visit": "P01:V1",
            "source": "encounters.csv row 1234",
            "findings": [finding("services.csv row 3 column charge")],
        },
        {"reason": "The NPI is not valid. (encounters.csv row 1234 rendering_npi)"},
    ],
)
def test_the_row_of_a_spreadsheet_is_told(told: dict[str, Any]) -> None:
    assert shown_text(told).endswith("what is called row 1,234 here, a spreadsheet shows as row 1,235.\n")


@pytest.mark.parametrize("told", [{}, {"findings": [finding("services.parquet row 5 column charge")]}])
def test_nothing_is_said_where_no_row_of_a_spreadsheet_is_named(told: dict[str, Any]) -> None:
    assert "spreadsheet" not in shown_text(told)


def shown_text(told: dict[str, Any]) -> str:
    console = Console(file=io.StringIO(), width=160)
    work.show_one(console, ITEM | told)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()
