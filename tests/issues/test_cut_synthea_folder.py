"""'The copy of the Synthea folder broke off, and the night was green.' What was cut is refused; what is torn is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from encounters.test_encounters_synthea import ON, Tables, read, small, spoil, write

from pipeline.encounters import stage, synthea
from pipeline.errors import Terminal
from pipeline.reports.rejects import rejects
from pipeline.store import Store
from pipeline.store import register as r


def said(store: Store) -> list[str]:
    with store.read() as connection:
        return rejects(connection, ON)


@pytest.mark.parametrize("file", synthea.FILES)
def test_a_file_cut_in_the_middle_of_a_row_refuses_the_folder(store: Store, tmp_path: Path, file: str) -> None:
    folder = write(small(), tmp_path / "extract")
    data = (folder / file).read_bytes()
    for size in (len(data) - 1, len(data) - 3):
        (folder / file).write_bytes(data[:size])
        with pytest.raises(Terminal, match=rf"{file} ends in the middle of a row: it was cut on its way\. .*Nothing"):
            stage.run(store, ON, folder)
    with store.read() as connection:
        assert connection.execute(r.encounters.select()).all() == []


def test_a_whole_folder_is_clean(store: Store, tmp_path: Path) -> None:
    assert stage.run(store, ON, write(small(), tmp_path / "extract"))["rows_quarantined"] == 0
    assert said(store) == []


TORN = {
    "a row whose encounter is not there": spoil("conditions", ENCOUNTER="gone"),
    "an encounter whose patient is not there": spoil("encounters", PATIENT="gone"),
}


@pytest.mark.parametrize("change", TORN.values(), ids=TORN.keys())
def test_files_that_are_not_of_one_moment_are_no_clean_night(
    store: Store, tmp_path: Path, change: Callable[[Tables], None]
) -> None:
    """Cut between two rows, a file shows it only by what the others say."""
    tables = small()
    change(tables)
    folder = write(tables, tmp_path / "extract")
    assert read(folder).findings
    stage.run(store, ON, folder)
    torn = [line for line in said(store) if line.startswith("The extract is not whole")]
    assert [line.split(":")[1] for line in torn] == [" 1 row of records that it does not hold"]
