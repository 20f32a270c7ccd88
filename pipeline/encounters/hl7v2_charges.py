"""Which charges of a visit stand, when its messages come over several nights.

A charge message adds to those before it. What it repeats must not count twice, and what it leaves out must not be lost, so each
charge is held against the charges that earlier extracts brought:

- **With a transaction number** (FT1-2) a charge is known by it: stated again, it takes the place of what it was. Numbers that only
  count the charges of a message are none, nor are those that charges share which have neither code nor day in common.
- **Without one** a charge is known by code, day and modifiers. If an extract repeats every such charge of the earlier ones, it
  states the visit anew, and what it says counts. If it repeats none, it goes on from them. If it repeats some, nobody can know
  whether they are the same or further ones: the visit is held (`doubtful`), until an extract states it anew. So it is where one of the
  two has a number and the other has none.
- **A credit** takes away the last charge that says the same (code, day, units, amount, modifiers), first one with its own number.
  One that finds none stays, and holds the visit, until the charge with its own number comes, or an extract states all charges anew.

Within one extract each charge without a number is one of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Generic, Literal, TypeVar

T = TypeVar("T")
Kind = Literal["charge", "credit", "other"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Charge(Generic[T]):
    """A charge or a credit. `of`: what it was read from; `extract`, `message`: which in the visit's order it came with, from 1;
    `number`: FT1-2; `place`: FT1-1. `kind` other: neither, which nobody can bill."""

    of: T
    extract: int
    message: int
    number: str
    place: str
    kind: Kind
    code: str
    day: str
    modifiers: tuple[str, ...]
    units: str
    amount: str
    doubtful: bool = False

    @property
    def known_by(self) -> tuple[object, ...]:
        return self.code, self.day, self.modifiers

    @property
    def said(self) -> tuple[object, ...]:
        return *self.known_by, self.units, self.amount


@dataclass(slots=True)
class Charges(Generic[T]):
    """`standing`: the charges in their order, with credits that took nothing away. `credited`: days of charges that are gone.
    `told`: (rule, charge) of what was stated before."""

    standing: list[Charge[T]] = field(default_factory=list)
    credited: list[str] = field(default_factory=list)
    told: list[tuple[str, Charge[T]]] = field(default_factory=list)


def stand(stated: Sequence[Charge[T]]) -> Charges[T]:
    """The charges that stand of all that was stated of a visit, in the order in which it came."""
    if not _numbered(stated):
        stated = [replace(each, number="") for each in stated]
    fold = _Fold[T]()
    for _, extract in groupby(stated, lambda each: each.extract):
        fold.add(list(extract))
    return fold.charges


def _numbered(stated: Sequence[Charge[T]]) -> bool:
    """Whether transaction numbers tell charges from each other."""
    counting = True
    for _, message in groupby(stated, lambda each: each.message):
        charges = list(message)
        counted = [each.number.lstrip("0") for each in charges] == [str(n) for n in range(1, len(charges) + 1)]
        counting = counting and (counted or all(each.number in ("", each.place) for each in charges))
    first: dict[str, Charge[T]] = {}
    for each in stated:
        if each.number and each.kind == "charge":
            known = first.setdefault(each.number, each)
            if known.code != each.code and known.day != each.day:
                return False
    return not counting


class _Fold(Generic[T]):
    """Goes through the extracts in their order."""

    def __init__(self) -> None:
        self.charges = Charges[T]()
        #: numbers of charges that were taken back, and of the credits that did it
        self.gone: set[str] = set()
        self.credits: set[str] = set()

    def add(self, extract: Sequence[Charge[T]]) -> None:
        before = list(self.charges.standing)
        again: list[Charge[T]] = []  # charges of `before` that this extract states again by their number
        known: list[Charge[T]] = []  # what it states of them
        for each in extract:
            if each.kind == "credit":
                self._credit(each)
            elif each.kind == "charge" and each.number:
                replaced = self._numbered(each)
                again += replaced
                known += [each] if replaced and not replaced[0].doubtful else []
            else:
                self.charges.standing.append(each)
        self._settle(before, again, known)

    def _credit(self, credit: Charge[T]) -> None:
        if credit.number and credit.number in self.credits:
            return
        standing = self.charges.standing
        twins = [each for each in standing if each.kind == "charge" and each.said == credit.said]
        if not twins:
            standing.append(credit)
            return
        twin = next((each for each in reversed(twins) if credit.number and each.number == credit.number), twins[-1])
        standing.remove(twin)
        self._taken_back(twin, credit)

    def _taken_back(self, charge: Charge[T], credit: Charge[T]) -> None:
        self.charges.credited.append(charge.day)
        self.gone |= {charge.number} - {""}
        self.credits |= {credit.number} - {""}

    def _numbered(self, charge: Charge[T]) -> list[Charge[T]]:
        """Adds a charge that has a number; returns what it takes the place of."""
        if charge.number in self.gone:
            self.charges.told.append(("intake.charge.gone", charge))
            return []
        standing = self.charges.standing
        known = [each for each in standing if each.kind == "charge" and each.number == charge.number]
        if not known:
            waits = next(
                (e for e in standing if e.kind == "credit" and e.number == charge.number and e.said == charge.said),
                None,
            )
            if waits is None:
                standing.append(charge)
            else:  # its credit came before it
                standing.remove(waits)
                self._taken_back(charge, waits)
            return []
        if known[0].said != charge.said:
            self.charges.told.append(("intake.charge.again", charge))
        standing[standing.index(known[0])] = charge
        return known

    def _settle(self, before: Sequence[Charge[T]], again: list[Charge[T]], known: list[Charge[T]]) -> None:
        """What the extract says of charges that stood before and that no number tells, and of the visit as a whole."""
        standing = self.charges.standing
        new = [e for e in standing if e not in before and e not in known and e.kind == "charge"]
        numbered = all(each.number for each in new)
        old = [
            e for e in standing if e in before and e.kind == "charge" and not e.doubtful and not (numbered and e.number)
        ]
        pairs = list(_pairs(old, new))
        if pairs and len(pairs) < len(old):
            standing[:] = [replace(each, doubtful=True) if each in new else each for each in standing]
            return
        for earlier, charge in pairs:
            standing.remove(charge)
            standing[standing.index(earlier)] = charge
            self.charges.told.append(("intake.charge.again", charge))
        sound = {each for each in before if each.kind == "charge" and not each.doubtful}
        restated = bool(pairs) or any(each in sound for each in again)
        if restated and not any(each in sound for each in standing):
            # every charge that stood has been stated anew: what was left open before is settled by it
            standing[:] = [each for each in standing if each not in before]


def _pairs(old: Sequence[Charge[T]], new: Iterable[Charge[T]]) -> Iterator[tuple[Charge[T], Charge[T]]]:
    """Charges that are known by the same, each once; those that say the same first. Two numbers are two charges."""
    rest, left = list(old), list(new)
    for exact in (True, False):
        for charge in list(left):
            for known in rest:
                same = known.said == charge.said if exact else known.known_by == charge.known_by
                if same and not (known.number and charge.number):
                    rest.remove(known)
                    left.remove(charge)
                    yield known, charge
                    break
