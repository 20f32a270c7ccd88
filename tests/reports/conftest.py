"""One real small night in trouble, that all tests of the reports read: real claims, real answers, a faulty payer and bank.

Its patients' names end in letters that no word of a report has, so that one of them on a page is seen.
"""

from __future__ import annotations

import csv
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from night.nights import ON, payer_in_a_box, run_night

from pipeline import night, sample
from pipeline import settings as settings_module
from pipeline.reports import summary as summaries
from pipeline.reports.summary import Summary
from pipeline.store import Store, open_store

#: a deposit that nothing explains, a remittance that does not balance, a file that nobody knows, a payer that refuses
FAULTS = """
[[fault]]
kind = "extra_deposit"
cents = 4321
[[fault]]
kind = "unbalanced_835"
payer = "harbor"
[[fault]]
kind = "unknown_file"
payer = "meridian"
[[fault]]
kind = "permission_denied"
payer = "medicaid"
times = 0
"""
MARK = "zqx"
PATIENT = ("patient_last", "patient_first", "patient_id", "patient_address1", "patient_city", "member_id", "subscriber_last",
           "subscriber_first")  # fmt: skip
MARKED = ("patient_last", "patient_first", "patient_address1", "patient_city", "subscriber_last", "subscriber_first")


@dataclass(frozen=True)
class Night:
    home: Path
    summary: Summary
    secrets: frozenset[str]

    def sql(self, query: str) -> list[tuple]:
        """Straight from the register's file, past the code under test."""
        connection = sqlite3.connect(f"file:{self.home / 'claimpipe.db'}?mode=ro", uri=True)
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()


def gathered(store: Store, troubles: list[str] | None = None, on=ON) -> Summary:
    return summaries.gather(store, on, night.prove(store, on), troubles)


def _marked(folder: Path) -> frozenset[str]:
    """Mark the names of an extract; gives everything in it that tells who a patient is."""
    path = folder / "encounters.csv"
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        for column in MARKED:
            row[column] += MARK if row[column] else ""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return frozenset(row[column] for row in rows for column in PATIENT if row[column])


@pytest.fixture(scope="session")
def bad_night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    home, extract = tmp_path_factory.mktemp("bad_night"), tmp_path_factory.mktemp("extract") / "visits"
    sample.make(visits=120, seed=5, out=extract)
    secrets = _marked(extract)
    with payer_in_a_box(home, FAULTS, transport={"backoff_seconds": 0.01}) as loaded:
        report = run_night(loaded, extract)
        store = open_store(loaded)
        found = gathered(store, report.troubles)
        store.close()
    return Night(home, found, secrets)


@pytest.fixture
def copied(bad_night: Night, tmp_path: Path) -> Iterator[Callable[..., Store]]:
    """Stores on copies of the bad night's home, for tests that change them."""
    opened: list[Store] = []

    def copy(**changes: object) -> Store:
        home = tmp_path / f"copy{len(opened)}"
        shutil.copytree(bad_night.home, home, ignore=shutil.ignore_patterns("payer_in_a_box"))
        opened.append(open_store(settings_module.load(home, **changes)))
        return opened[-1]

    yield copy
    for store in opened:
        store.close()
