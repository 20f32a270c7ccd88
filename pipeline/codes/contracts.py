"""Contracts, the payment that they let expect, and what is short of it.

Theory. A contract says what a payer agreed to allow: a share of Medicare's schedule, a
share of the charge, or a fixed fee, for a payer and day, narrowed to codes, a modifier, a place. The narrowest term of the day decides.
Expected is what the payer should *allow* (its payment and the patient's share together), and never more than the charge. A line that
no term speaks of, or that the schedule does not price, has no expectation: −1, with the reason.

A payment is short where the payer allowed less than expected. What it denied is a denial, worked elsewhere, and no variance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pipeline.codes import editions, pairs, units
from pipeline.codes.editions import Ints
from pipeline.codes.fees import Fee, FeeSchedules, Reason, round_cents

#: multiple procedures of one day (indicator 2): the dearest in full, the next four at half
_HALVED, _MOST_RANKED = Decimal("0.5"), 5
#: indicators whose reduction needs more than the claim's lines
_OTHER_REDUCTIONS = ("3", "4", "5", "6", "7")
_REDUCED = frozenset(("2", *_OTHER_REDUCTIONS))


# --- contracts ------------------------------------------------------------------------------------------------------------


class Term(NamedTuple):
    """One row of a contract. `value` is dollars for `fixed`, else per cent; `start` and `end` days since 1970."""

    payer: str
    procedure: str
    modifier: str
    place: str
    method: str
    value: Decimal
    locality: str
    start: int
    end: int

    @property
    def name(self) -> str:
        """The term in words, for a work item."""
        of = {
            "percent_of_medicare": f"% of Medicare {self.locality}",
            "percent_of_charge": "% of the charge",
            "fixed": "fixed",
        }
        since = date.fromordinal(self.start + editions.EPOCH) if self.start > editions.OPEN_START else "the beginning"
        what = " ".join(part for part in (self.procedure, self.modifier, self.place) if part)
        return f"{self.value.normalize():f} {of[self.method]} for {what} since {since}"


def check_term(row: dict[str, str]) -> str:
    """What is wrong with a row of a contract file; empty where nothing is."""
    method, value = row.get("method", ""), row.get("value", "")
    if not row.get("payer"):
        return "The payer is missing."
    if not value or value.startswith("-"):
        return "The value is missing or below zero."
    if method == "percent_of_medicare" and not row.get("locality"):
        return "A share of Medicare's schedule needs the locality (contractor and locality, like 13202-01)."
    if row["code"] != "*" and "-" in row["code"] and row["code"][:5] > row["code"][6:]:
        return "The range of procedures ends before it begins."
    return ""


@dataclass(frozen=True, slots=True)
class Expected:
    """For each line the cents that the payer should allow (-1: no expectation), why, and the term (an index into `terms`, or -1)."""

    cents: Ints
    reason: np.ndarray  # of uint8: Reason
    term: Ints
    terms: tuple[Term, ...]


class Contracts:
    """The loaded contracts and fee schedules."""

    def __init__(self, home: Path | None = None) -> None:
        self.schedules = FeeSchedules(home)
        self._held = editions.open_set("contract", home)
        self._terms: dict[str, dict[tuple[str, str], list[Term]]] = {}
        self._places = _facilities(home)

    def __bool__(self) -> bool:
        return bool(self._held)

    def _of(self, edition: editions.Edition) -> dict[tuple[str, str], list[Term]]:
        """The terms of an edition by payer and code; those of ranges and of all codes under an empty code."""
        if edition.name not in self._terms:
            index: dict[tuple[str, str], list[Term]] = {}
            table = edition.table
            texts = ([c or "" for c in table.column(n).to_pylist()]
                     for n in ("payer", "code", "modifier", "place", "method", "locality"))  # fmt: skip
            numbers = (table.column(n).to_pylist() for n in ("value", "start", "end"))
            for payer, code, modifier, place, method, locality, value, start, end in zip(*texts, *numbers, strict=True):
                term = Term(payer, code, modifier, place, method, value, locality, start, end)
                index.setdefault((payer, code if len(code) == 5 else ""), []).append(term)
            self._terms[edition.name] = index
        return self._terms[edition.name]

    def term(self, payer: str, procedure: str, modifiers: Sequence[str], place: str, day: int) -> Term | None:
        """The narrowest term of a day (days since 1970); None where none speaks of the line."""
        facility = self._places.get(place, False)
        best: tuple[tuple[int, ...], Term] | None = None
        for edition, _, _ in self._held.each(np.array([day])):
            terms = self._of(edition)
            for term in [*terms.get((payer, procedure), ()), *terms.get((payer, ""), ())]:
                if not term.start <= day <= term.end or (term.modifier and term.modifier not in modifiers):
                    continue
                narrow, where = _covers(term.procedure, procedure), _where(term.place, place, facility)
                rank = (narrow, bool(term.modifier), where, term.start)
                if narrow and where and (best is None or rank > best[0]):
                    best = (rank, term)
        return best[1] if best else None

    def expected(
        self, *, payer: Any, procedure: Any, modifiers: Sequence[Any], place: Any, units_: Any, charge_cents: Ints, day: Any,
        group: Ints | None = None,
    ) -> Expected:  # fmt: skip
        """What each line's payer should allow.

        Columns of text for payer keys, codes, modifiers and places of service; units as `units.scaled` takes them; charges in cents;
        `group` an integer a claim, so that several procedures of one day are seen together. A pure function of them and of what is loaded.
        """
        on = editions.days_of(day)
        columns = [editions.distinct(c) for c in (payer, procedure, place, *modifiers)]
        texts = [[v if v is not None else "" for v in values] + [""] for _, values in columns]
        number = pairs.groups(on, *(index for index, _ in columns))
        _, firsts, which = np.unique(number, return_index=True, return_inverse=True)
        found: list[tuple[Term | None, Fee]] = []
        for row in firsts.tolist():
            who, code, where, *mods = (texts[i][index[row]] for i, (index, _) in enumerate(columns))
            found.append(self._fee(who, code, [m for m in mods if m], where, int(on[row])))
        amounts = units.scaled(units_)
        charges = np.asarray(charge_cents, dtype=np.int64)
        terms = tuple(dict.fromkeys(t for t, _ in found if t is not None))
        place_of = {t: i for i, t in enumerate(terms)}
        cents = np.full(on.size, -1, dtype=np.int64)
        reason = np.array([fee.reason for _, fee in found], dtype=np.uint8)[which]
        term = np.array([place_of[t] if t is not None else -1 for t, _ in found], dtype=np.int64)[which]
        reduced = self._reduced(found, which, amounts, on, group)
        for line in range(on.size):
            mine, fee = found[which[line]]
            if mine is None or fee.cents is None:
                continue
            if mine.method == "percent_of_charge":
                value = round_cents(Decimal(int(charges[line])).scaleb(-2) * mine.value / 100)
            else:
                share = reduced.get(line, Decimal(1))
                if share < 0:
                    reason[line] = Reason.NOT_COMPUTED
                    continue
                one = fee.cents if share == 1 else round_cents(Decimal(fee.cents).scaleb(-2) * share)
                value = (one * int(amounts[line]) * 2 + units.SCALE) // (2 * units.SCALE)
            cents[line] = min(value, int(charges[line]))
        return Expected(cents, reason, term, terms)

    def _fee(self, payer: str, procedure: str, modifiers: list[str], place: str, day: int) -> tuple[Term | None, Fee]:
        """The term of a line, and what it makes of one unit."""
        term = self.term(payer, procedure, modifiers, place, day)
        if term is None:
            return None, Fee(None, Reason.NO_TERM)
        if term.method == "fixed":
            return term, Fee(round_cents(term.value), Reason.PRICED)
        if term.method == "percent_of_charge":
            return term, Fee(0, Reason.PRICED)
        schedule = self.schedules.on(date.fromordinal(day + editions.EPOCH))
        if schedule is None:
            return term, Fee(None, Reason.NO_SCHEDULE)
        fee = schedule.allowed(procedure, modifiers, term.locality, self._places.get(place, False))
        if fee.cents is None:
            return term, fee
        return term, fee._replace(cents=round_cents(Decimal(fee.cents).scaleb(-2) * term.value / 100))

    def _reduced(
        self, found: list[tuple[Term | None, Fee]], which: Ints, amounts: Ints, on: Ints, group: Ints | None
    ) -> dict[int, Decimal]:
        """Lines whose fee is reduced because of others of the same claim and day → their share; −1 where it is not computed."""
        kinds = [fee.multiple if t is not None and t.method == "percent_of_medicare" else "" for t, fee in found]
        touched = np.array([k in _REDUCED for k in kinds], dtype=bool)[which]
        lines = np.flatnonzero(touched)
        if not lines.size:
            return {}
        owner = group if group is not None else np.arange(on.size)
        together: dict[tuple[int, int], list[int]] = {}
        for line in lines.tolist():
            together.setdefault((int(owner[line]), int(on[line])), []).append(line)
        shares: dict[int, Decimal] = {}
        for mine in together.values():
            surgeries = [n for n in mine if kinds[which[n]] == "2"]
            if len(surgeries) > 1 or any(amounts[n] > units.SCALE for n in surgeries):
                # the same code in several units is as many procedures: which of them is in full the line does not say
                if any(amounts[n] != units.SCALE for n in surgeries) or len(surgeries) > _MOST_RANKED:
                    shares.update(dict.fromkeys(surgeries, Decimal(-1)))
                else:
                    dearest = max(surgeries, key=lambda n: (found[which[n]][1].cents or 0, -n))
                    shares.update({n: _HALVED for n in surgeries if n != dearest})
            for kind in _OTHER_REDUCTIONS:
                like = [n for n in mine if kinds[which[n]] == kind]
                if len(like) > 1 or any(amounts[n] > units.SCALE for n in like):
                    shares.update(dict.fromkeys(like, Decimal(-1)))
        return shares


def _covers(pattern: str, procedure: str) -> int:
    """How narrowly a term's procedures name a code: 3 the code, 2 a range, 1 all; 0 not at all."""
    if pattern == procedure:
        return 3
    if pattern == "*":
        return 1
    low, _, high = pattern.partition("-")
    return 2 if high and low <= procedure <= high and len(procedure) == len(low) else 0


def _where(wanted: str, place: str, facility: bool) -> int:
    """How narrowly a term's place names the line's: 3 the code, 2 facility or not, 1 any; 0 not at all."""
    if not wanted:
        return 1
    if wanted in ("facility", "nonfacility"):
        return 2 if (wanted == "facility") is facility else 0
    return 3 if wanted == place else 0


def _facilities(home: Path | None) -> dict[str, bool]:
    """Place of service → is it a facility, by the newest list that says so."""
    found: dict[str, bool] = {}
    for edition in editions.open_set("place_of_service", home).all:
        codes, flags = (edition.table.column(n).to_pylist() for n in ("code", "facility"))
        found.update({c: f for c, f in zip(codes, flags, strict=True) if f is not None})
    return found


# --- underpayment ---------------------------------------------------------------------------------------------------------


class Variance(NamedTuple):
    """A line that was allowed less than expected. `line` is its row; amounts in cents."""

    line: int
    expected: int
    allowed: int

    @property
    def short(self) -> int:
        return self.expected - self.allowed


def variances(
    expected_cents: Ints, allowed_cents: Ints, *, denied: Ints | None = None, tolerance_cents: int = 0
) -> list[Variance]:
    """Lines that are short by more than the tolerance. Lines without an expectation (-1) and denied lines are none."""
    expected, allowed = np.asarray(expected_cents, dtype=np.int64), np.asarray(allowed_cents, dtype=np.int64)
    short = (expected >= 0) & (expected - allowed > tolerance_cents)
    if denied is not None:
        short &= ~np.asarray(denied, dtype=bool)
    return [Variance(n, int(expected[n]), int(allowed[n])) for n in np.flatnonzero(short).tolist()]
