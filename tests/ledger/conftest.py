from __future__ import annotations

from pathlib import Path

import pytest
from ledger.books import Books

from pipeline.store import Store


@pytest.fixture
def books(store: Store, tmp_path: Path) -> Books:
    return Books.open(store, tmp_path / "payers")
