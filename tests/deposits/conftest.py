from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ledger.books import Books

from pipeline import settings as settings_module
from pipeline.store import Store, open_store


@pytest.fixture
def books(store: Store, tmp_path: Path) -> Books:
    return Books.open(store, tmp_path / "payers")


@pytest.fixture
def fresh_books(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Books]]:
    """New, empty books each time it is called: for tests that compare orders of arrival."""
    opened: list[Store] = []
    numbers = itertools.count()
    root = tmp_path_factory.mktemp("books")

    def make() -> Books:
        place = root / str(next(numbers))
        place.mkdir()
        opened.append(open_store(settings_module.load(place / "home")))
        return Books.open(opened[-1], place / "payers")

    yield make
    for store in opened:
        store.close()
