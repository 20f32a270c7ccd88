from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.bank_days import add_bank_days, bank_days_between, holidays, is_bank_day


def test_holidays_of_2026_and_of_a_year_with_sundays() -> None:
    assert sorted(holidays(2026)) == [
        date(2026, 1, 1), date(2026, 1, 19), date(2026, 2, 16), date(2026, 5, 25), date(2026, 6, 19), date(2026, 7, 4),
        date(2026, 9, 7), date(2026, 10, 12), date(2026, 11, 11), date(2026, 11, 26), date(2026, 12, 25),
    ]  # fmt: skip
    assert date(2023, 1, 2) in holidays(2023)  # 1 January 2023 was a Sunday
    assert is_bank_day(date(2026, 7, 3))  # 4 July 2026 is a Saturday: not moved
    assert is_bank_day(date(2021, 6, 18))
    assert not is_bank_day(date(2023, 6, 19))


@pytest.mark.parametrize(
    ("on", "days", "expected"),
    [
        (date(2026, 11, 25), 1, date(2026, 11, 27)),  # over Thanksgiving
        (date(2026, 11, 27), 1, date(2026, 11, 30)),
        (date(2026, 11, 28), 0, date(2026, 11, 30)),
        (date(2026, 11, 30), -1, date(2026, 11, 27)),
        (date(2026, 12, 24), 3, date(2026, 12, 30)),
    ],
)
def test_adding(on: date, days: int, expected: date) -> None:
    assert add_bank_days(on, days) == expected


@given(st.dates(date(2000, 1, 1), date(2090, 1, 1)), st.integers(1, 40))
def test_adding_and_counting_agree(on: date, days: int) -> None:
    later = add_bank_days(on, days)
    assert is_bank_day(later)
    assert bank_days_between(on, later) == days
    assert bank_days_between(later, on) == -days
