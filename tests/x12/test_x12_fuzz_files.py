"""A few cases of the fuzz target each time; `python tests/x12/fuzz_files.py` goes on without end."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from x12 import fuzz_files

SEEDS = list(fuzz_files.good().values())


@pytest.mark.parametrize("check", fuzz_files.CHECKS)
def test_what_must_hold_of_any_bytes(check: Callable[[bytes], None]) -> None:
    for data in itertools.islice(fuzz_files.cases(2026, SEEDS), 60):
        check(data)


def test_a_case_can_be_made_again() -> None:
    first, second = (list(itertools.islice(fuzz_files.cases(7, SEEDS), 20)) for _ in range(2))
    assert first == second
    assert len({*first}) > 15
