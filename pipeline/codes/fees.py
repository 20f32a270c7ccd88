"""What Medicare's physician fee schedule allows, exactly.

Theory. allowed = (work × GPCI work + practice expense × GPCI PE + malpractice × GPCI MP) × conversion factor, in decimals, rounded once,
half up, to the cent. Practice expense is the facility's or the other one, by the place of service. Modifiers 26, TC (and 53 for some codes)
have rows of their own; others take a share (`schemas/codes/pfs_modifiers.csv`). Imaging is capped at what the outpatient schedule
pays, where that file is loaded.

What the file does not price is not guessed: the answer is then None with a reason. A wrong expectation would send a person after
money that nobody owes.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from enum import IntEnum
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pipeline import shapes
from pipeline.codes import editions
from pipeline.codes.editions import Edition

_CENT = Decimal("0.01")
#: modifiers with rows of their own in the file
_COMPONENTS = ("26", "TC", "53")
#: status → may it be priced by its relative values
_PAYABLE = frozenset("ART")
_BUNDLED = frozenset("BP")  # paid with another service: nothing for itself


class Reason(IntEnum):
    """Why there is an amount, or none."""

    PRICED = 0
    NO_TERM = 1  # no contract speaks of the line
    NO_SCHEDULE = 2  # no fee schedule or locality of that day is loaded
    NOT_LISTED = 3  # the schedule does not have the code (with that modifier)
    NOT_PRICED = 4  # the schedule has it without a price: the contractor sets one, or another schedule does
    NOT_COMPUTED = (
        5  # a rule that needs the record or other lines: reduced services, team surgery, imaging of one session
    )
    BUNDLED = 6  # nothing is paid for it alone


class Fee(NamedTuple):
    """Cents for one unit, or None; `multiple` is the multiple-procedure indicator of the schedule."""

    cents: int | None
    reason: Reason
    multiple: str = ""


def round_cents(amount: Decimal) -> int:
    """Dollars → cents, half up."""
    return int(amount.quantize(_CENT, ROUND_HALF_UP).scaleb(2))


@dataclass(frozen=True, slots=True)
class _Row:
    work: Decimal
    pe: tuple[Decimal, Decimal]  # not facility, facility
    malpractice: Decimal
    factor: Decimal


@dataclass(frozen=True, slots=True)
class _Policy:
    status: str
    pre: Decimal
    intra: Decimal
    post: Decimal
    multiple: str
    bilateral: str
    assistant: str
    co_surgeon: str


class FeeSchedule:
    """One edition of the schedule: relative values with the indices of the same days."""

    def __init__(self, values: Edition, policies: Edition | None, gpci: Edition, cap: Edition | None) -> None:
        zero = Decimal(0)

        def rows(edition: Edition, *names: str) -> Any:
            return zip(*(edition.table.column(n).to_pylist() for n in names), strict=True)

        self.name = values.name
        self.values = {
            (code, modifier or ""): _Row(work or zero, (non or zero, fac or zero), mp or zero, factor or zero)
            for code, modifier, work, non, fac, mp, factor in rows(
                values, "code", "modifier", "work", "pe_nonfacility", "pe_facility", "malpractice", "factor"
            )
        }
        self.policies = {
            (code, modifier or ""): _Policy(
                status or "", pre or zero, intra or zero, post or zero, multiple or "", bilateral or "", assistant or "", co or ""
            )
            for code, modifier, status, pre, intra, post, multiple, bilateral, assistant, co in (
                rows(policies, "code", "modifier", "status", "pre", "intra", "post", "multiple", "bilateral", "assistant", "co_surgeon")
                if policies is not None else ()
            )
        }  # fmt: skip
        self.gpci = {
            locality: (work or zero, pe or zero, mp or zero)
            for locality, work, pe, mp in rows(gpci, "code", "work", "pe", "malpractice")
        }
        self.cap = {
            (code, modifier or "", locality): (non, fac)
            for code, modifier, locality, non, fac in (
                rows(cap, "code", "modifier", "locality", "nonfacility", "facility") if cap is not None else ()
            )
        }

    def allowed(self, code: str, modifiers: Sequence[str], locality: str, facility: bool) -> Fee:
        """Cents that Medicare allows for one unit of a line."""
        component = next((m for m in modifiers if m in _COMPONENTS and (code, m) in self.values), "")
        row = self.values.get((code, component))
        if row is None:
            return Fee(None, Reason.NOT_LISTED)
        indices = self.gpci.get(locality)
        if indices is None:
            return Fee(None, Reason.NO_SCHEDULE)
        policy = self.policies.get((code, component))
        if policy is not None and policy.status in _BUNDLED:
            return Fee(0, Reason.BUNDLED)
        total = row.work + row.pe[facility] + row.malpractice
        if not total or (policy is not None and policy.status not in _PAYABLE):
            return Fee(None, Reason.NOT_PRICED)
        cents = round_cents(
            (row.work * indices[0] + row.pe[facility] * indices[1] + row.malpractice * indices[2]) * row.factor
        )
        capped = self.cap.get((code, component, locality))
        if capped is not None and capped[facility] is not None:
            cents = min(cents, round_cents(capped[facility]))
        for modifier in modifiers:
            if modifier == component:
                continue
            share = _share(modifier, policy)
            if share is None:
                return Fee(None, Reason.NOT_COMPUTED)
            cents = round_cents(Decimal(cents).scaleb(-2) * share)
        return Fee(cents, Reason.PRICED, policy.multiple if policy else "")


class FeeSchedules:
    """The loaded schedules, answering by day."""

    def __init__(self, home: Path | None = None) -> None:
        self._sets = {
            name: editions.open_set(name, home) for name in ("pfs_rvu", "pfs_indicator", "pfs_gpci", "pfs_opps_cap")
        }
        self._made: dict[tuple[str, ...], FeeSchedule] = {}

    def on(self, day: date) -> FeeSchedule | None:
        """The schedule of a day; None where relative values or indices of that day are not loaded."""
        number = np.array([editions.number_of(day)])
        found: dict[str, Edition] = {}
        for name, held in self._sets.items():
            for edition, _, covers in held.each(number):
                if covers[0]:
                    found[name] = edition
        if "pfs_rvu" not in found or "pfs_gpci" not in found:
            return None
        key = tuple(f"{name} {edition.name}" for name, edition in found.items())
        if key not in self._made:
            self._made[key] = FeeSchedule(
                found["pfs_rvu"], found.get("pfs_indicator"), found["pfs_gpci"], found.get("pfs_opps_cap")
            )
        return self._made[key]


def anesthesia_cents(base_units: int, minutes: int, factor: Decimal) -> int:
    """What Medicare allows for anaesthesia: base units and time units (minutes ÷ 15, to one decimal) × the locality's factor."""
    time = (Decimal(minutes) / 15).quantize(Decimal("0.1"), ROUND_HALF_UP)
    return round_cents((base_units + time) * factor)


@cache
def _shares() -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = {}
    path = shapes.schemas_dir() / "codes" / "pfs_modifiers.csv"
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            found.setdefault(row["modifier"], []).append(row)
    return found


def _share(modifier: str, policy: _Policy | None) -> Decimal | None:
    """The share of the fee that a modifier leaves; None where it cannot be computed."""
    rows = _shares().get(modifier)
    if rows is None:
        return Decimal(1)
    if policy is None:
        return None
    for row in rows:
        if row["column"] and getattr(policy, row["column"]) not in row["values"].split():
            continue
        if not row["percent"]:
            return None
        if row["percent"][0].isdigit():
            return Decimal(row["percent"]) / 100
        share = sum((getattr(policy, part) for part in row["percent"].split("+")), Decimal(0))
        return share or None
    return None
