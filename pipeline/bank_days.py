"""Days on which banks settle: Monday to Friday but the holidays of the Federal Reserve.

Holidays are rules, not a list that ends: a date of the year, or the n-th weekday of a month. One that falls on a Sunday is
kept on the Monday after; one that falls on a Saturday is not moved (Federal Reserve Banks open the Friday before).
"""

from __future__ import annotations

from datetime import date, timedelta
from functools import cache

MONDAY, THURSDAY = 0, 3
#: name → (month, day)
FIXED = {
    "New Year's Day": (1, 1),
    "Juneteenth": (6, 19),
    "Independence Day": (7, 4),
    "Veterans Day": (11, 11),
    "Christmas Day": (12, 25),
}
#: name → (month, weekday, which one; -1 is the last)
FLOATING = {
    "Martin Luther King Jr. Day": (1, MONDAY, 3),
    "Presidents' Day": (2, MONDAY, 3),
    "Memorial Day": (5, MONDAY, -1),
    "Labor Day": (9, MONDAY, 1),
    "Columbus Day": (10, MONDAY, 2),
    "Thanksgiving Day": (11, THURSDAY, 4),
}
JUNETEENTH_SINCE = 2022  # the first year in which the Federal Reserve kept it


@cache
def holidays(year: int) -> frozenset[date]:
    """The bank holidays of a year, on the days when banks are closed for them."""
    found = set()
    for name, (month, day) in FIXED.items():
        if name == "Juneteenth" and year < JUNETEENTH_SINCE:
            continue
        on = date(year, month, day)
        found.add(on + timedelta(days=1) if on.weekday() == 6 else on)
    for month, weekday, which in FLOATING.values():
        if which > 0:
            first = date(year, month, 1)
            found.add(first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (which - 1)))
        else:
            last = date(year, month + 1, 1) - timedelta(days=1)
            found.add(last - timedelta(days=(last.weekday() - weekday) % 7))
    return frozenset(found)


def is_bank_day(on: date) -> bool:
    return on.weekday() < 5 and on not in holidays(on.year)


def add_bank_days(on: date, days: int) -> date:
    """The bank day that lies `days` bank days after `on` (before it where negative); 0 gives `on` or the next one."""
    step = timedelta(days=1 if days >= 0 else -1)
    if days == 0:
        while not is_bank_day(on):
            on += step
        return on
    for _ in range(abs(days)):
        on += step
        while not is_bank_day(on):
            on += step
    return on


def bank_days_between(first: date, last: date) -> int:
    """How many bank days after `first` are on or before `last`; negative where `last` is earlier."""
    if last < first:
        return -bank_days_between(last, first)
    return sum(is_bank_day(first + timedelta(days=n)) for n in range(1, (last - first).days + 1))
