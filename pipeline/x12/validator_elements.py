"""What one segment may hold, checked against its place in the guide. Two ways that must agree.

The truth is `problems`: element by element, slow, and able to say what is wrong. Before it stands `pattern`, one regular
expression a place, which accepts only what `problems` has nothing to say about: nearly every segment of a good file takes
that way and costs one match. A pattern may refuse a good segment (then `problems` decides); it may never accept a bad
one. A test holds the two against each other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache

from pipeline.x12.guides import FORMS, WIDEST, Element, Place
from pipeline.x12.segments import Delimiters


@dataclass(frozen=True, slots=True)
class Problem:
    rule: str
    element: int
    component: int | None
    message: str
    fix: str


#: data elements whose form is told by the element before them (a format qualifier)
DATE_FORMAT, DATE_VALUE = "1250", "1251"
MONEY = "782"

_NUMBER = re.compile(r"-?(?:\d+(?:\.\d*)?|\.\d+)\Z")
_INTEGER = re.compile(r"-?\d+\Z")
_TIME = re.compile(r"(?:[01]\d|2[0-3])[0-5]\d(?:[0-5]\d(?:\d{1,2})?)?\Z")
_CONTROL = re.compile(r"[^ -~]")
_LOWER = re.compile(r"[^A-Z0-9 !\"&'()*+,\-./:;?=]")
_FORMS = {name: re.compile(rf"(?:{pattern})\Z") for name, pattern in FORMS.items()}


def times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


@cache
def is_date(text: str) -> bool:
    """CCYYMMDD, a day of the calendar."""
    if len(text) != 8 or not text.isascii() or not text.isdigit():
        return False
    try:
        date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return False
    return True


def is_time(text: str) -> bool:
    return _TIME.match(text) is not None


def is_number(text: str) -> bool:
    return _NUMBER.match(text) is not None


def _period(qualifier: str, text: str) -> tuple[str, str] | None:
    """What is wrong with a date of that format: (rule, words), or None. Unknown qualifiers are not judged."""
    if qualifier == "D8":
        return None if is_date(text) else ("x12.element-date", "is not a date CCYYMMDD")
    if qualifier == "RD8":
        first, dash, last = text.partition("-")
        if not (dash and is_date(first) and is_date(last)):
            return ("x12.element-date", "is not a range CCYYMMDD-CCYYMMDD")
        return None if first <= last else ("x12.element-range", "is a range that ends before it starts")
    if qualifier == "DT":
        good = len(text) in (12, 14) and is_date(text[:8]) and is_time(text[8:])
        return None if good else ("x12.element-date", "is not a date and time CCYYMMDDHHMM")
    if qualifier == "TM":
        return None if is_time(text) else ("x12.element-time", "is not a time HHMM")
    if qualifier == "D6":
        return None if is_date("20" + text) else ("x12.element-date", "is not a date YYMMDD")
    return None


def simple(element: Element, text: str, basic: bool) -> tuple[str, str, str] | None:
    """The first thing wrong with one value that is present: (rule, words, fix)."""
    kind = element.type
    if _CONTROL.search(text):
        return (
            "x12.element-character",
            "holds a control character or a letter outside ASCII",
            "Replace the character.",
        )
    if basic and _LOWER.search(text):
        return ("x12.element-character", "holds a character outside the basic set", "Use capitals and the basic set.")
    if kind in ("AN", "ID"):
        if not text.strip(" "):
            return ("x12.element-padded", "holds only spaces", "Leave it out or give a value.")
        if len(text) < element.low:
            return ("x12.element-short", f"is shorter than {element.low}", f"Give at least {element.low} characters.")
        if element.high and len(text) > element.high:
            return ("x12.element-long", f"is longer than {element.high}", f"Shorten it to {element.high} characters.")
        if text[-1] == " ":
            return ("x12.element-padded", "ends with spaces", "Cut the spaces.")
        if element.codes and text not in element.codes:
            return ("x12.element-code", "holds a value that is not allowed here", _allowed(element.codes))
        if element.form and text not in element.codes and not _FORMS[element.form].match(text):
            return ("x12.element-list", f"is no {element.form} code", "Give a value of that code list.")
        return None
    if kind == "R":
        if not _NUMBER.match(text):
            return ("x12.element-type", "is not a decimal number", "Use digits, one decimal point, a leading minus.")
        return _length(element, sum(c.isdigit() for c in text)) or _decimals(element, text)
    if kind[0] == "N":
        if not _INTEGER.match(text):
            return ("x12.element-type", "is not a whole number", "Use digits only.")
        return _length(element, len(text.lstrip("-"))) or _code(element, text)
    if kind == "DT":
        good = is_date(text) if len(text) != 6 or element.low > 6 else is_date("20" + text)
        return None if good else ("x12.element-date", "is not a date CCYYMMDD", "Give a date of the calendar.")
    if kind == "TM":
        return (
            None if is_time(text) else ("x12.element-time", "is not a time HHMM or HHMMSS", "Give a time of the day.")
        )
    return _length(element, len(text))


def _length(element: Element, length: int) -> tuple[str, str, str] | None:
    if length < element.low:
        return ("x12.element-short", f"has fewer than {element.low} digits", f"Give at least {element.low} digits.")
    if element.high and length > element.high:
        return ("x12.element-long", f"has more than {element.high} digits", f"At most {element.high} digits.")
    return None


def _decimals(element: Element, text: str) -> tuple[str, str, str] | None:
    if element.number == MONEY and len(text.partition(".")[2]) > 2:
        return ("x12.element-decimals", "is an amount with more than two decimals", "Give dollars and cents.")
    return None


def _code(element: Element, text: str) -> tuple[str, str, str] | None:
    if element.codes and text not in element.codes:
        return ("x12.element-code", "holds a value that is not allowed here", _allowed(element.codes))
    return None


def _allowed(codes: frozenset[str]) -> str:
    listed = sorted(codes)
    return f"Allowed: {', '.join(listed[:20])}{' …' if len(listed) > 20 else ''}."


def problems(place: Place, parts: Sequence[str], delimiters: Delimiters, *, basic: bool = False) -> Iterator[Problem]:
    """All that is wrong inside one segment. `parts[0]` is its id."""
    elements = place.elements
    count = len(parts) - 1
    while count and not parts[count]:
        count -= 1
    if count < len(parts) - 1:
        yield Problem(
            "x12.trailing-separator", len(parts) - 1, None, f"{place.id} ends with empty elements.",
            "End the segment after its last value.",
        )  # fmt: skip
    if not count and elements and all(element.usage != "R" for element in elements):
        yield Problem(
            "x12.element-missing", 1, None, f"{place.id} holds no element: a segment has one at least.",
            f"Give its values, or leave {place.id} out.",
        )  # fmt: skip
    for position in range(1, max(count, len(elements)) + 1):
        value = parts[position] if position <= count else ""
        if position > len(elements):
            yield Problem(
                "x12.element-many", position, None, f"{place.id} has more elements than the {len(elements)} of its place.",
                f"End it after {place.id}{len(elements):02d}.",
            )  # fmt: skip
            break
        element = elements[position - 1]
        label = f"{place.id}{position:02d}"
        if not value:
            if element.usage == "R":
                yield Problem(
                    "x12.element-missing", position, None, f"{label} is required and empty.", f"Give {label}."
                )
            continue
        if element.usage == "N":
            yield Problem("x12.element-not-used", position, None, f"{label} is not used here.", f"Leave {label} empty.")
            continue
        qualifier = ""
        if element.number == DATE_VALUE and position > 1 and elements[position - 2].number == DATE_FORMAT:
            qualifier = parts[position - 1]
        yield from _values(element, value, label, position, delimiters, qualifier, basic)
    yield from _paired(place.id, place.syntax, parts, count)


def _values(
    element: Element, value: str, label: str, position: int, delimiters: Delimiters, qualifier: str, basic: bool
) -> Iterator[Problem]:
    repeats = [value]
    if delimiters.repetition and delimiters.repetition in value:
        repeats = value.split(delimiters.repetition)
        if element.repeat and len(repeats) > element.repeat:
            yield Problem(
                "x12.element-repeat", position, None, f"{label} may stand {times(element.repeat)} and stands {times(len(repeats))}.",
                "Send the first ones only, or a further segment.",
            )  # fmt: skip
    for text in repeats:
        if not element.components:
            if delimiters.component in text:
                yield Problem(
                    "x12.component-many", position, 2, f"{label} has no components and holds a component separator.",
                    "Send one value.",
                )  # fmt: skip
                continue
            wrong = (
                simple(element, text, basic) if text else ("x12.element-missing", "has an empty repetition", "Cut it.")
            )
            if wrong is None and qualifier:
                found = _period(qualifier, text)
                wrong = (*found, "Give dates of the calendar in the form that the qualifier names.") if found else None
            if wrong:
                yield Problem(wrong[0], position, None, f"{label} {wrong[1]}.", wrong[2])
            continue
        pieces = text.split(delimiters.component)
        last = len(pieces)
        while last and not pieces[last - 1]:
            last -= 1
        if last < len(pieces):
            yield Problem(
                "x12.trailing-separator", position, len(pieces), f"{label} ends with empty components.",
                "End it after its last component.",
            )  # fmt: skip
        before: Element | None = None
        for number in range(1, max(last, len(element.components)) + 1):
            piece = pieces[number - 1] if number <= last else ""
            name = f"{label}-{number}"
            if number > len(element.components):
                yield Problem(
                    "x12.component-many", position, number,
                    f"{label} has more components than the {len(element.components)} of its place.", "Cut the rest.",
                )  # fmt: skip
                break
            part = element.components[number - 1]
            if not piece:
                if part.usage == "R":
                    yield Problem(
                        "x12.element-missing", position, number, f"{name} is required and empty.", f"Give {name}."
                    )
            elif part.usage == "N":
                yield Problem(
                    "x12.element-not-used", position, number, f"{name} is not used here.", f"Leave {name} empty."
                )
            else:
                wrong = simple(part, piece, basic)
                if wrong is None and part.number == DATE_VALUE and before is not None and before.number == DATE_FORMAT:
                    found = _period(pieces[number - 2], piece)
                    wrong = (
                        (*found, "Give dates of the calendar in the form that the qualifier names.") if found else None
                    )
                if wrong:
                    yield Problem(wrong[0], position, number, f"{name} {wrong[1]}.", wrong[2])
            before = part


def _paired(segment_id: str, syntax: Sequence[str], parts: Sequence[str], count: int) -> Iterator[Problem]:
    for note in syntax:
        positions = [int(note[i : i + 2]) for i in range(1, len(note), 2)]
        present = [p for p in positions if p <= count and parts[p]]
        names = [f"{segment_id}{p:02d}" for p in positions]
        absent = [p for p in positions if p not in present]
        kind, first = note[0], positions[0]
        rule, text, at = "x12.element-paired", "", absent[0] if absent else first
        if kind == "P" and present and absent:
            text = f"{' and '.join(names)} go together: all or none."
        elif kind == "R" and not present:
            text = f"At least one of {', '.join(names)} is needed."
        elif kind == "C" and first in present and absent:
            text = f"{names[0]} needs {' and '.join(names[1:])}."
        elif kind == "L" and first in present and len(present) == 1:
            text = f"{names[0]} needs one of {', '.join(names[1:])}."
        elif kind == "E" and len(present) > 1:
            rule, text, at = "x12.element-excluded", f"Only one of {', '.join(names)} may be given.", present[1]
        if text:
            yield Problem(rule, at, None, text, "Give what goes together, or leave all out.")


# ── the quick way ────────────────────────────────────────────────────────────────────────────────────────────────────

_DAY = r"(?:19|20)\d\d(?:(?:0[1-9]|1[0-2])(?:0[1-9]|1\d|2[0-8])|(?:0[13-9]|1[0-2])(?:29|30)|(?:0[13578]|1[02])31)"
_CLOCK = r"(?:[01]\d|2[0-3])[0-5]\d(?:[0-5]\d(?:\d{1,2})?)?"
_NEVER = r"(?!)"
_BASIC = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!\"&'()*+,-./:;?="


def pattern(place: Place, delimiters: Delimiters, *, basic: bool = False) -> re.Pattern[str]:
    """The expression that good segments of this place match as a whole."""
    return _compiled(place.id, place.elements, place.syntax, delimiters, basic)


@cache
def _compiled(
    segment_id: str, elements: tuple[Element, ...], syntax: tuple[str, ...], delimiters: Delimiters, basic: bool
) -> re.Pattern[str]:
    body = _Pattern(delimiters, basic)
    element = body.element
    pairs = {(int(note[1:3]), int(note[3:5])) for note in syntax if note[0] == "P" and len(note) == 5}
    joined = frozenset(
        first for first, last in pairs
        if last == first + 1 and last <= len(elements) and {elements[first - 1].usage, elements[first].usage} == {"S"}
        and sum(first in pair or last in pair for pair in pairs) == 1
    )  # fmt: skip
    trios = frozenset(
        int(note[1:3]) for note in syntax if note[0] == "L" and len(note) == 7 and _is_trio(note, syntax, elements)
    )
    rest = tuple(
        note for note in syntax
        if not (note[0] == "P" and len(note) == 5 and int(note[1:3]) in joined)
        and not (note[0] == "L" and int(note[1:3]) in trios)
        and not (note[0] == "C" and len(note) == 5 and int(note[3:5]) in trios)
    )  # fmt: skip
    # a bare id is no segment, even where no element is required
    bare = "" if any(e.usage == "R" for e in elements) else f"(?={element})"
    text = (
        segment_id
        + bare
        + body.notes(rest)
        + body.sequence(elements, element, leading=True, joined=joined, trios=trios)
    )
    return re.compile(rf"{text}(?<!{element})\Z", re.ASCII)


def _is_trio(note: str, syntax: tuple[str, ...], elements: tuple[Element, ...]) -> bool:
    """Three elements in a row, as in CAS: the first needs one of the others, each of which needs the first."""
    first, second, third = (int(note[i : i + 2]) for i in (1, 3, 5))
    return (
        (second, third) == (first + 1, first + 2)
        and third <= len(elements)
        and all(elements[p - 1].usage == "S" for p in (first, second, third))
        and {f"C{second:02d}{first:02d}", f"C{third:02d}{first:02d}"} <= set(syntax)
        and sum(str(p).zfill(2) in (n[i : i + 2] for i in range(1, len(n), 2)) for n in syntax for p in (first,)) == 3
    )


def _is_dated(element: Element, following: Element | None) -> bool:
    """A format qualifier and the date that it speaks of: they are judged together."""
    return (
        following is not None
        and element.number == DATE_FORMAT
        and following.number == DATE_VALUE
        and element.usage != "N"
        and following.usage != "N"
    )


class _Pattern:
    """Writes the expression. Empty places inside are let through here and refused at the end by one look behind."""

    def __init__(self, delimiters: Delimiters, basic: bool) -> None:
        self.element, self.component = re.escape(delimiters.element), re.escape(delimiters.component)
        self.repetition = re.escape(delimiters.repetition)
        letters = _BASIC if basic else "".join(chr(n) for n in range(33, 127))
        allowed = "".join(re.escape(c) for c in letters if c not in delimiters)
        self.one, self.within = f"[{allowed}]", f"[ {allowed}]"
        self.groups = 0

    def sequence(
        self,
        elements: tuple[Element, ...],
        separator: str,
        *,
        leading: bool,
        joined: frozenset[int] = frozenset(),
        trios: frozenset[int] = frozenset(),
    ) -> str:
        """Values in order, each after its separator (the first one only where `leading`).

        `joined`: positions of an element that stands with its follower or not at all; `trios`: of one that stands with
        one or both of its two followers.
        """
        slots: list[tuple[bool, str]] = []  # required, what stands after the separator
        index = 0
        while index < len(elements):
            element = elements[index]
            following = elements[index + 1] if index + 1 < len(elements) else None
            if _is_dated(element, following):
                absent = "" if element.usage == "R" else f"|{separator}"
                slots.append((element.usage == "R", f"(?:{self.dated(element, separator)}{absent})"))
                index += 2
                continue
            if index + 1 in joined and following is not None:
                slots.append((False, f"(?:{self.repeated(element)}{separator}{self.repeated(following)}|{separator})"))
                index += 2
                continue
            if index + 1 in trios:
                one, two, three = (self.repeated(elements[index + n]) for n in range(3))
                tail = f"{two}(?:{separator}(?:{three})?|\\Z)|{separator}{three}"
                slots.append((False, f"(?:{one}{separator}(?:{tail})|{separator}{separator})"))
                index += 3
                continue
            required = element.usage == "R"
            value = "" if element.usage == "N" else self.repeated(element)
            slots.append((required, value if required or not value else f"(?:{value})?"))
            index += 1
        text = ""
        needed = False
        for place, (required, value) in reversed(list(enumerate(slots))):
            needed = needed or required
            text = (separator if place or leading else "") + value + text
            if not needed:
                text = f"(?:{text})?"
        return text

    def repeated(self, element: Element) -> str:
        value = self.value(element)
        if element.repeat == 1:
            return value
        more = "*" if element.repeat == 0 else f"{{0,{element.repeat - 1}}}"
        return f"{value}(?:{self.repetition}{value}){more}"

    def dated(self, qualifier: Element, separator: str) -> str:
        ways = []
        if not qualifier.codes or "D8" in qualifier.codes:
            ways.append(f"D8{separator}{_DAY}")
        if not qualifier.codes or "RD8" in qualifier.codes:
            self.groups += 1
            ways.append(f"RD8{separator}(?P<d{self.groups}>{_DAY})-(?P=d{self.groups})")
        return f"(?:{'|'.join(ways)})" if ways else _NEVER

    def value(self, element: Element) -> str:
        if element.components:
            inner = self.sequence(element.components, self.component, leading=False)
            return rf"(?=[^{self.element}{self.repetition}]){inner}(?<!{self.component})"
        low, high = element.low, element.high
        if element.form:
            if 0 < high < WIDEST[element.form]:
                return _NEVER
            return f"(?:{'|'.join([FORMS[element.form], *self.codes(element)])})"
        if element.codes:
            return f"(?:{'|'.join(self.codes(element)) or _NEVER})"
        if element.type in ("AN", "ID"):
            return f"{self.within}{{{max(low, 1)},{high or ''}}}+(?<! )" if high != 1 else self.one
        if element.type == "R":
            if 0 < high < 4:
                return rf"-?\d{{{low},{high}}}"
            return rf"-?\d{{{low},{min(high or 18, 18) - 2}}}(?:\.\d{{1,2}})?"
        if element.type[:1] == "N":
            return rf"-?\d{{{low},{high or ''}}}"
        if element.type == "DT":
            return _DAY
        return _CLOCK if element.type == "TM" else _NEVER

    def codes(self, element: Element) -> list[str]:
        fits = [c for c in element.codes if element.low <= len(c) and (not element.high or len(c) <= element.high)]
        return [re.escape(code) for code in sorted(fits, key=lambda code: (-len(code), code))]

    def notes(self, syntax: tuple[str, ...]) -> str:
        """The paired-element rules as looks ahead, skipped at once where the segment ends before any of them bites."""
        e = self.element

        def has(position: int) -> str:
            return rf"(?=(?:{e}[^{e}]*){{{position - 1}}}{e}[^{e}])"

        always, later, first_position = "", "", 99
        for note in syntax:
            positions = [int(note[i : i + 2]) for i in range(1, len(note), 2)]
            first, others = positions[0], positions[1:]
            if note[0] == "R":
                always += f"(?:{'|'.join(has(p) for p in positions)})"
                continue
            # the first element without which the note cannot be broken
            bites = first if note[0] in "CL" else sorted(positions)[1] if note[0] == "E" else min(positions)
            first_position = min(first_position, bites)
            if note[0] == "P":
                for one, other in zip(positions, [*others, first], strict=True):
                    later += f"(?!{has(one)}(?!{has(other)}))"
            elif note[0] == "C":
                later += "".join(f"(?!{has(first)}(?!{has(other)}))" for other in others)
            elif note[0] == "L":
                later += f"(?!{has(first)}{''.join(f'(?!{has(other)})' for other in others)})"
            elif note[0] == "E":
                later += "".join(
                    f"(?!{has(one)}{has(other)})" for i, one in enumerate(positions) for other in positions[i + 1 :]
                )
        if later:
            always += rf"(?:(?!(?:{e}[^{e}]*){{{first_position}}})|{later})"
        return always
