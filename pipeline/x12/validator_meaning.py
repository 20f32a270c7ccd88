"""What a transaction set must mean, beyond its form: balances, sequences, identifiers. SNIP 3 and those of 4 and 5.

A `Meaning` hangs hooks on places of a guide; the walk calls a hook with the segment's elements as it passes, and
`closed` when a loop ends. Sums are integer cents. Nothing raises: what cannot be read as an amount was already reported as
an element, and the balance that would need it is left unjudged.

The balances stand here in code, since they add over loops; whatever one loop can say of itself stands as a rule in the
guide's data (`expressions.py`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from pipeline.x12.guides import Guide, Place
from pipeline.x12.validator_situations import Situations
from pipeline.x12.validator_standing import Frame, Standing

Hook = Callable[[Any, Standing, int, list[str]], None]

_AMOUNT = re.compile(r"(-?)(\d{0,15})(?:\.(\d{0,2}))?\Z", re.ASCII)
_SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,37}\Z")
_ZIP = re.compile(r"\d{5}(?:\d{4})?\Z", re.ASCII)
_PROVINCES = frozenset(("AB", "BC", "MB", "NB", "NL", "NS", "NT", "NU", "ON", "PE", "QC", "SK", "YT"))
_TAXONOMY = re.compile(r"[0-9A-Z]{9}X\Z")


@lru_cache(maxsize=65536)
def cents(text: str) -> int | None:
    """An amount in cents; None where it is none (or has fractions of a cent)."""
    match = _AMOUNT.match(text)
    if not match or not (match[2] or match[3]):
        return None
    value = int(match[2] or "0") * 100 + int((match[3] or "").ljust(2, "0"))
    return -value if match[1] else value


def shown(value: int) -> str:
    return f"{'-' if value < 0 else ''}{abs(value) // 100}.{abs(value) % 100:02d}"


@lru_cache(maxsize=65536)
def is_npi(text: str) -> bool:
    """Ten digits, first 1 or 2, Luhn over 80840 and the number."""
    if len(text) != 10 or not (text.isascii() and text.isdigit()) or text[0] not in "12":
        return False
    total = 24  # what the prefix 80840 adds
    for index, character in enumerate(reversed(text)):
        digit = int(character)
        if index % 2:
            digit = digit * 2 - 9 if digit > 4 else digit * 2
        total += digit
    return total % 10 == 0


def safe_id(text: str) -> str:
    """An account or control number fit for a finding's subject; '' where it does not look like one."""
    return text if _SAFE_ID.match(text) else ""


class Numbers:
    """Numbers that rise by one from 1 (HL01, LX01). One wrong number is one fault: the next ones may follow it, or the count."""

    __slots__ = ("assumed", "count", "last")

    def __init__(self) -> None:
        self.count = self.last = 0
        self.assumed = 0  # since the last number: places whose segment is missing, which may have had a number or not

    def take(self, text: str) -> int | None:
        """The next number as it stands: None where it is right, else the one that is wanted."""
        self.count += 1
        if text == str(self.count) and not self.assumed:
            self.last = self.count
            return None
        stated = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
        wanted, last = self.count, self.last + 1
        self.last, more = stated or wanted, range(self.assumed + 1)
        good = text == str(stated) and any(stated in (wanted + n, last + n) for n in more)
        if self.assumed and good:
            self.count = stated
        self.assumed = 0
        return None if good else wanted


@dataclass(slots=True)
class _Level:
    """An HL. `name`: its number in the order of levels; `names`: what HL02 of a level below may call it; `flag`: HL04."""

    name: str
    names: frozenset[str]
    flag: str
    number: int
    loop: str
    children: int = 0


class State:
    """What the walk of one set has gathered. Levels here; each transaction adds its own."""

    def __init__(self, profile: Mapping[str, Any]) -> None:
        self.profile = profile
        self.numbers = Numbers()
        self.headless: set[str] = set()  # loops whose open level has no HL
        self.levels: list[_Level] = []
        self.open_level: dict[str, _Level] = {}  # loop id → the one open
        self.npis: set[str] = set()  # NPIs found good


class Meaning:
    """The base: levels (HL), NPIs, and the rules that the guide's data states."""

    #: loops that a finding names by the claim's id
    SUBJECTS: frozenset[str] = frozenset()
    #: loops whose end has work here, besides the situations
    closing: frozenset[str] = frozenset()

    def __init__(self, guide: Guide) -> None:
        self.guide = guide
        self.hooks: dict[int, Hook] = {}
        self.situations = Situations(guide)
        for place in guide.places:
            if place.id == "HL":
                self.hang(place, partial(_level, place))
            elif place.id == "NM1" and _takes(place, 8, "XX"):
                self.hang(place, partial(_identifier, place, 8))
            elif place.id == "N1" and _takes(place, 3, "XX"):
                self.hang(place, partial(_identifier, place, 3))
            elif place.id == "PRV" and _takes(place, 2, "PXC"):
                self.hang(place, partial(_specialty, place))
            elif place.id == "N4":
                self.hang(place, partial(_address, place))
            if place.id == "NM1" and "2" in place.elements[1].codes and place.elements[3].usage != "N":
                self.hang(place, partial(_name, place))
        self.prepare()

    def prepare(self) -> None:
        """For the hooks of one transaction."""

    def hang(self, place: Place, hook: Hook) -> None:
        """Add a hook to a place; a second one runs after the first."""
        first = self.hooks.get(place.index)
        if first is None:
            self.hooks[place.index] = hook
            return

        def both(state: Any, walk: Standing, number: int, parts: list[str]) -> None:
            first(state, walk, number, parts)
            hook(state, walk, number, parts)

        self.hooks[place.index] = both

    def hangs_under(self, place: Place, state: State, parts: list[str]) -> bool:
        """An HL of this place would hang under the level that its HL02 names."""
        above = place.loop.parent
        if place.id != "HL" or above is None:
            return False
        level = state.open_level.get(above.id)
        return level is not None and len(parts) > 2 and parts[2] in level.names

    def on(self, loops: str, segment_id: str, hook: Hook, key: str = "") -> None:
        """Hang a hook on all places of a segment in these loops (words), or only on the one that takes `key`."""
        for place in self.guide.by_id(segment_id):
            if place.loop.id in loops.split() and (not key or key in place.keys):
                self.hang(place, hook)

    def state(self, profile: Mapping[str, Any]) -> State:
        return State(profile)

    def closed(self, state: Any, walk: Standing, frame: Frame) -> None:
        """Called at the end of the loops in `closing`, before the situations are judged."""

    def finished(self, state: State, walk: Standing) -> None:
        for level in state.levels:
            if level.flag not in ("0", "1") or (level.flag == "1") == bool(level.children):
                continue
            words = (
                "HL04 is 1 but no level stands below it."
                if level.flag == "1"
                else "HL04 is 0 but a level stands below it."
            )
            walk.report(
                "hl.children", words, "Send 1 where levels follow below, else 0.", number=level.number, loop=level.loop,
                segment_id="HL", element=4,
            )  # fmt: skip


def _takes(place: Place, element: int, code: str) -> bool:
    if element > len(place.elements):
        return False
    holder = place.elements[element - 1]
    return holder.usage != "N" and (not holder.codes or code in holder.codes)


def _identifier(place: Place, element: int, state: State, walk: Standing, number: int, parts: list[str]) -> None:
    if len(parts) > element + 1 and parts[element] == "XX" and parts[element + 1] not in state.npis:
        if is_npi(parts[element + 1]):
            state.npis.add(parts[element + 1])
            return
        walk.report(
            "npi", f"{place.id}{element + 1:02d} is not a valid NPI: ten digits with a check digit.",
            "Correct the NPI in the provider's record.", loop=place.loop.id, segment_id=place.id, element=element + 1,
        )  # fmt: skip


def _specialty(place: Place, state: State, walk: Standing, number: int, parts: list[str]) -> None:
    if len(parts) > 3 and parts[2] == "PXC" and not _TAXONOMY.match(parts[3]):
        walk.report(
            "taxonomy", f"{place.id}03 does not look like a taxonomy code: ten letters and digits, the last one an X.",
            "Correct the specialty in the provider's record.", loop=place.loop.id, segment_id=place.id, element=3,
        )  # fmt: skip


@lru_cache(maxsize=65536)
def _of_address(state: str, code: str, country: str) -> tuple[int, str] | None:
    """What is wrong with state, postal code and country together: (element, words)."""
    if country not in ("", "US", "CA"):
        return None
    if not state:
        return 2, "is empty, and the address is in the United States or Canada"
    if not code:
        return 3, "is empty, and the address is in the United States or Canada"
    if country != "CA" and state not in _PROVINCES and not _ZIP.match(code):
        return 3, "is no ZIP code of five or nine digits"
    return None


def _address(place: Place, state: State, walk: Standing, number: int, parts: list[str]) -> None:
    fault = _of_address(nth(parts, 2), nth(parts, 3), nth(parts, 4))
    if fault is not None:
        walk.report(
            "address", f"N4{fault[0]:02d} {fault[1]}.", "Correct the address; N404 names a country other than the United States.",
            loop=place.loop.id, segment_id="N4", element=fault[0],
        )  # fmt: skip


def _name(place: Place, state: State, walk: Standing, number: int, parts: list[str]) -> None:
    if nth(parts, 2) != "2" or not any(parts[4:8]):
        return
    element = next(n for n in range(4, 8) if parts[n])
    walk.report(
        "name", f"NM1{element:02d} is a part of a person's name, and NM102 says organization.",
        "Send the organization's name in NM103 alone, or 1 in NM102.", loop=place.loop.id, segment_id="NM1", element=element,
    )  # fmt: skip


def _level(place: Place, state: State, walk: Standing, number: int, parts: list[str]) -> None:
    """HL01 rises by one; HL02 names the open level around it."""
    loop = place.loop
    above = loop.parent if loop.parent is not None and loop.parent.trigger.id == "HL" else None
    around = state.open_level.get(above.id) if above is not None else None
    if walk.muted:
        # its HL is missing, which was told
        state.numbers.assumed += 1
        state.headless.add(loop.id)
        state.open_level.pop(loop.id, None)
        if around is not None:
            around.children += 1
        return
    identifier = parts[1] if len(parts) > 1 else ""
    parent = parts[2] if len(parts) > 2 else ""

    def say(rule: str, message: str, fix: str, element: int) -> None:
        walk.report(rule, message, fix, loop=loop.id, segment_id="HL", element=element)

    wanted = state.numbers.take(identifier)
    if wanted is not None:
        say(
            "hl.number",
            f"HL01 is not {wanted}: levels are numbered from 1, one after another.",
            "Number them again.",
            1,
        )
    name = str(wanted or identifier)
    level = _Level(name, frozenset((identifier, name)), parts[4] if len(parts) > 4 else "", number, loop.id)
    state.levels.append(level)
    state.open_level[loop.id] = level
    state.headless.discard(loop.id)
    if above is None:
        return
    if above.id in state.headless:
        around = next((one for one in reversed(state.levels[:-1]) if parent in one.names), None)
    elif around is None or parent not in around.names:
        wants = around.name if around is not None else "once it stands"
        say("hl.parent", f"HL02 does not name the loop {above.id} above it.", f"Send its HL01, {wants}.", 2)
    if around is not None:
        around.children += 1


def nth(parts: list[str], element: int) -> str:
    return parts[element] if element < len(parts) else ""


def trios(parts: list[str]) -> int | None:
    """The sum of CAS03, CAS06 …; None where one of them is no amount."""
    if len(parts) == 4:
        return cents(parts[3])
    total = 0
    for index in range(3, max(len(parts) + 1, 4), 3):
        text = parts[index] if index < len(parts) else ""
        if not text and not any(parts[index - 1 : index]):
            continue
        amount = cents(text)
        if amount is None:
            return None
        total += amount
    return total
