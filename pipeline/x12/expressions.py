"""Situational rules as small expressions: parsed here, never handed to Python's eval.

    CLM.11 in ('AA', 'OA')                 any component of CLM11 of this loop
    DTP*439                                the segment with that qualifier stands in this loop
    2010BA/NM1.09                          a loop around this one, or any loop beneath it
    not REF*F8 and count(2400/LX) <= 50    counts of segments
    BPR.02 = 0 or N4.03 like '\\d{9}'       bare numbers compare as numbers; like matches the whole value

A path gives all the values that it finds, empty ones left out. A comparison holds if it holds for any of them; a bare path
holds if there is any. So `not X = 'A'` says that no X is A, and `X != 'A'` that some X is not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import partial

#: the segments of one loop instance: (segment id, elements)
Segments = Sequence[tuple[str, list[str]]]


@dataclass(frozen=True, slots=True)
class Instance:
    """What an expression may see: its own loop's segments, and by id those of the loops around and beneath it."""

    own: Segments
    others: Mapping[str, Sequence[Segments]]
    component: str
    qualifier: Callable[[str, list[str]], str]


Test = Callable[[str], bool]
Condition = Callable[[Instance], bool]
Values = Callable[[Instance], list[str]]


@dataclass(frozen=True, slots=True)
class Expression:
    """A parsed expression: `holds`, its paths in order, and two quick tests for readers who pass over most loops.

    `needs`: unless one of these is so, the expression cannot hold; `fails`: unless one of these is so, it cannot fail.
    None: no such list is known.
    """

    text: str
    holds: Condition
    paths: tuple[Path, ...]
    needs: Signs
    fails: Signs


@dataclass(frozen=True, slots=True)
class Sign:
    """One thing to look for in a loop's own segments: a value of `path` that passes `test` (None: any value) is there, or,
    where `absent`, is not there."""

    path: Path
    test: Test | None
    absent: bool


Signs = list[Sign] | None


@dataclass(frozen=True, slots=True)
class Path:
    """`loop/segment*qualifier.element-component`; all but the segment may be left out."""

    loop: str
    segment: str
    qualifiers: frozenset[str]
    element: int
    component: int

    def segments(self, instance: Instance) -> list[list[str]]:
        groups = instance.others.get(self.loop, ()) if self.loop else (instance.own,)
        return [
            parts
            for group in groups
            for segment_id, parts in group
            if segment_id == self.segment
            and (not self.qualifiers or instance.qualifier(segment_id, parts) in self.qualifiers)
        ]

    def values(self, instance: Instance) -> list[str]:
        found: list[str] = []
        for parts in self.segments(instance):
            if not self.element:
                found.append(self.segment)
                continue
            value = parts[self.element] if self.element < len(parts) else ""
            pieces = value.split(instance.component)
            if self.component:
                pieces = pieces[self.component - 1 : self.component]
            found.extend(piece for piece in pieces if piece)
        return found


_TOKEN = re.compile(
    r"""\s*(?:
      (?P<path>(?:(?:\d{4}[A-Z]{0,2}|ST)/)?[A-Z][A-Z0-9]{1,2}(?:\*[A-Z0-9|]+)?(?:\.\d\d?(?:-\d\d?)?)?(?![\w(]))
    | (?P<number>-?\d+(?:\.\d+)?)
    | '(?P<text>[^']*)'
    | (?P<word>and|or|not|in|like|count|sum)\b
    | (?P<mark><=|>=|!=|=|<|>|\(|\)|,)
    )""",
    re.VERBOSE,
)
_PATH = re.compile(r"(?:(\d{4}[A-Z]{0,2}|ST)/)?([A-Z][A-Z0-9]{1,2})(?:\*([A-Z0-9|]+))?(?:\.(\d\d?)(?:-(\d\d?))?)?\Z")


def parse_path(text: str) -> Path:
    """ValueError where it is no path."""
    match = _PATH.match(text)
    if not match:
        raise ValueError(f"{text!r} is not a path like 2010AA/NM1*85.09")
    loop, segment, qualifiers, element, component = match.groups()
    return Path(
        loop or "", segment, frozenset((qualifiers or "").split("|")) - {""}, int(element or 0), int(component or 0)
    )


def parse(text: str) -> Expression:
    """ValueError, naming the place, where the expression cannot be read."""
    parser = _Parser(text)
    condition, needs, fails = parser.either()
    if parser.kind:
        raise ValueError(f"{text!r}: unexpected {parser.value!r}")
    return Expression(text, condition, tuple(parser.paths), needs, fails)


Parsed = tuple[Condition, Signs, Signs]


def _any(parts: list[Signs]) -> Signs:
    """One of several suffices: the shortest, tests before mere presence."""
    known = [signs for signs in parts if signs is not None]
    return min(known, key=lambda signs: (sum(sign.test is None for sign in signs), len(signs))) if known else None


def _all(parts: list[Signs]) -> Signs:
    """Every one counts; unknown where one is unknown."""
    joined: list[Sign] = []
    for signs in parts:
        if signs is None:
            return None
        joined += signs
    return joined


class _Parser:
    """Recursive descent; each method gives a closure."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.kind = self.value = ""
        self.paths: list[Path] = []
        self.next()

    def next(self) -> None:
        rest = self.text[self.position :]
        if not rest.strip():
            self.kind = self.value = ""
            return
        match = _TOKEN.match(self.text, self.position)
        if not match:
            raise ValueError(f"{self.text!r}: cannot read {rest[:20]!r}")
        self.position = match.end()
        self.kind = match.lastgroup or ""
        self.value = match.group(self.kind)

    def take(self, kind: str, value: str) -> bool:
        if self.kind == kind and self.value == value:
            self.next()
            return True
        return False

    def expect(self, value: str) -> None:
        if not self.take("mark", value):
            raise ValueError(f"{self.text!r}: {value!r} expected before {self.value!r}")

    def either(self) -> Parsed:
        parts = [self.both()]
        while self.take("word", "or"):
            parts.append(self.both())
        if len(parts) == 1:
            return parts[0]
        conditions = [part[0] for part in parts]
        return (
            (lambda instance: any(condition(instance) for condition in conditions)),
            _all([part[1] for part in parts]),
            _any([part[2] for part in parts]),
        )

    def both(self) -> Parsed:
        parts = [self.negated()]
        while self.take("word", "and"):
            parts.append(self.negated())
        if len(parts) == 1:
            return parts[0]
        conditions = [part[0] for part in parts]
        return (
            (lambda instance: all(condition(instance) for condition in conditions)),
            _any([part[1] for part in parts]),
            _all([part[2] for part in parts]),
        )

    def negated(self) -> Parsed:
        if self.take("word", "not"):
            inner, needs, fails = self.negated()
            return (lambda instance: not inner(instance)), fails, needs
        if self.take("mark", "("):
            parsed = self.either()
            self.expect(")")
            return parsed
        return self.comparison()

    def comparison(self) -> Parsed:
        left, path = self.term()
        if self.kind == "mark" and self.value in ("=", "!=", "<", "<=", ">", ">="):
            sign = self.value
            self.next()
            constant = self.value if self.kind in ("text", "number") else None
            quoted = self.kind == "text"
            right, _ = self.term()
            if constant is not None and quoted and sign in ("=", "!="):
                exact: Test = constant.__eq__ if sign == "=" else constant.__ne__
                return (
                    (lambda instance: any(exact(value) for value in left(instance))),
                    _signs(path, exact, False),
                    _signs(path, exact, True),
                )
            condition: Condition = lambda instance: any(  # noqa: E731
                _compare(a, sign, b) for a in left(instance) for b in right(instance)
            )
            if constant is None:
                # against another path: only that it has a value is known here
                return condition, _signs(path, None, False), None
            test: Test = partial(_compared, sign, constant)
            return condition, _signs(path, test, False), _signs(path, test, True)
        if self.take("word", "in"):
            self.expect("(")
            listed = {self.literal()}
            while self.take("mark", ","):
                listed.add(self.literal())
            self.expect(")")
            within: Test = listed.__contains__
            return (
                (lambda instance: any(value in listed for value in left(instance))),
                _signs(path, within, False),
                _signs(path, within, True),
            )
        if self.take("word", "like"):
            try:
                match = re.compile(self.literal()).fullmatch
            except re.error as error:
                raise ValueError(f"{self.text!r}: {error}") from error
            return (
                (lambda instance: any(match(value) for value in left(instance))),
                _signs(path, lambda value: match(value) is not None, False),
                _signs(path, lambda value: match(value) is not None, True),
            )
        return (lambda instance: bool(left(instance))), _signs(path, None, False), _signs(path, None, True)

    def literal(self) -> str:
        if self.kind not in ("text", "number"):
            raise ValueError(f"{self.text!r}: a quoted value expected before {self.value!r}")
        value = self.value
        self.next()
        return value

    def term(self) -> tuple[Values, Path | None]:
        """The values, and the path where they are those of one."""
        if self.kind in ("text", "number"):
            constant = [self.literal()]
            return (lambda instance: constant), None
        if self.kind == "word" and self.value in ("count", "sum"):
            function = self.value
            self.next()
            self.expect("(")
            path = self.path()
            self.expect(")")
            if function == "count":
                return (lambda instance: [str(len(path.segments(instance)))]), None
            return (lambda instance: [str(_total(path.values(instance)))]), None
        path = self.path()
        return path.values, path

    def path(self) -> Path:
        if self.kind != "path":
            raise ValueError(f"{self.text!r}: a path expected before {self.value!r}")
        path = parse_path(self.value)
        self.paths.append(path)
        self.next()
        return path


def _signs(path: Path | None, test: Test | None, absent: bool) -> Signs:
    """A sign is known only of the loop's own segments."""
    return [Sign(path, test, absent)] if path is not None and not path.loop else None


def _number(text: str) -> Decimal | None:
    if len(text) > 40 or not re.match(r"-?(\d+(\.\d*)?|\.\d+)\Z", text):
        return None
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


def _total(values: Sequence[str]) -> Decimal:
    return sum((number for value in values if (number := _number(value)) is not None), Decimal(0))


def _compared(sign: str, right: str, left: str) -> bool:
    return _compare(left, sign, right)


def _compare(left: str, sign: str, right: str) -> bool:
    """As numbers where both are numbers, else as texts."""
    a: Decimal | str
    b: Decimal | str
    first, second = _number(left), _number(right)
    a, b = (first, second) if first is not None and second is not None else (left, right)
    if sign == "=":
        return a == b
    if sign == "!=":
        return a != b
    if sign == "<":
        return a < b  # type: ignore[operator]
    if sign == "<=":
        return a <= b  # type: ignore[operator]
    if sign == ">":
        return a > b  # type: ignore[operator]
    return a >= b  # type: ignore[operator]
