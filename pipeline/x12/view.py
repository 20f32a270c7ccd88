"""A file as a person reads it: each segment with its loop, its elements with their names, and its findings. Bytes in, rows out.

Theory. The validator walks the file and tells, after each segment, which loops are open (`validator.walk`). A row is made of each
segment that will be shown: the first ones of the file, and those around findings, so that a view is bounded whatever the file.
What a value may show of itself is decided by `schemas/view/masking.toml`: a list of what is shown, never of what is hidden, so a
segment out of place, an unknown one, or a value without the form of its type stays masked. Names stand in `schemas/view/words.toml`.
"""

from __future__ import annotations

import csv
import re
import tomllib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

from pipeline import shapes
from pipeline.findings import Finding
from pipeline.wording import counted
from pipeline.x12 import guides, validator
from pipeline.x12.guides import Element, Place
from pipeline.x12.segments import Delimiters

Kind = Literal["code", "amount", "date", "number", "text", "masked"]

#: what stands for a masked value: of one length, so that not even the value's length is told
MASK = "•••"
#: segments shown from the beginning, findings listed, and segments shown before and after each finding
FIRST, FINDINGS, CONTEXT = 2000, 500, 3
#: a value, and the elements of a segment, are cut beyond these: damage can make either as long as the file
LONGEST, MOST_PARTS = 120, 150

_ENVELOPE = {"ISA": "interchange", "GS": "group", "ST": "set"}
_SEGMENT_ID = re.compile(r"[A-Z][A-Z0-9]{1,2}\Z")
_NUMBER = re.compile(r"-?\d{0,15}(?:\.\d{0,6})?\Z", re.ASCII)
_DATE = re.compile(r"\d{2,12}(?:-\d{2,12})?\Z", re.ASCII)
#: a code that its guide does not list: short, or a little longer with a digit; a name or an id in its place is neither
_CODE = re.compile(r"[A-Z0-9]{1,3}\Z|(?=[A-Z]*\d)[A-Z0-9]{4,5}\Z", re.ASCII)
_ID = re.compile(r"[A-Za-z0-9]{1,2}\Z|(?=\D*\d)[A-Za-z0-9._/#+-]{3,50}\Z", re.ASCII)
#: forms that a masking row can name
_FORMS = {"any": re.compile(""), "number": re.compile(r"\d+\Z", re.ASCII), "code": re.compile(r".{1,3}\Z", re.DOTALL)}
_TYPES = {
    "AN": "text",
    "ID": "code",
    "R": "decimal",
    "DT": "date",
    "TM": "time",
    "B": "binary",
    "N0": "number",
    "N2": "number",
}
_USAGE = {"R": "required", "S": "situational", "N": "not used here"}


# ── what a view is ───────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Part:
    """One element or component as it may be shown. `mark` is the separator before it; `severity` that of its worst finding."""

    position: str  # CLM05-3
    mark: str
    text: str
    kind: Kind
    name: str = ""
    meaning: str = ""
    type: str = ""
    severity: str = ""

    @property
    def hint(self) -> str:
        """What a person reads who points at it."""
        return " · ".join(text for text in (self.position, self.name, self.meaning, self.type) if text)


@dataclass(slots=True, eq=False)
class Level:
    """One loop, set, group or interchange where it stands in the file: two levels of one id differ by `number`."""

    id: str
    name: str
    number: int  # of the segment at which it began
    heading: str = ""  # what tells it from its like: a claim's number and charge
    opened_by: str = ""  # id of its first segment
    _first: tuple[str, Delimiters, Place | None, bool] | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One segment. `path` leads from the interchange down to its loop."""

    number: int
    id: str
    label: str
    path: tuple[Level, ...]
    parts: tuple[Part, ...]
    end: str
    findings: tuple[Finding, ...]

    @property
    def depth(self) -> int:
        return len(self.path)

    @property
    def aside(self) -> str:
        """The label, where the heading just above does not say it already."""
        opens = self.path and self.path[-1].number == self.number
        return "" if opens and (self.id == "HL" or self.path[-1].name == self.label) else self.label

    @property
    def loop(self) -> str:
        return self.path[-1].id if self.path else ""

    @property
    def text(self) -> str:
        return self.id + "".join(part.mark + part.text for part in self.parts) + self.end


@dataclass(slots=True)
class View:
    """What is shown of a file. `segments` counts all of it; rows are bounded. `loose` are findings at no segment shown."""

    file: str
    masked: bool
    bytes: int
    segments: int
    kinds: tuple[str, ...]  # of the sets, in order: 837P, 835 … ; ST01 where there is no guide
    unguided: int  # sets without a guide: their loops are not known
    rows: list[Row] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    loose: list[Finding] = field(default_factory=list)

    @property
    def left_out(self) -> int:
        return self.segments - len(self.rows)


def view(
    data: bytes,
    file: str = "",
    mode: validator.Mode = "lenient",
    masked: bool = True,
    *,
    profile: Mapping[str, Any] | None = None,
    first: int = FIRST,
    findings: int = FINDINGS,
    context: int = CONTEXT,
) -> View:
    """The rows of a file's segments with their findings. Never raises on bad bytes.

    `first` segments are shown whatever they hold; beyond them those with one of the `findings` listed, and `context` around each.
    """
    report = validator.examine(data, file=file, mode=mode, profile=profile, limit=findings)
    total = max((seen.last for seen in report.interchanges), default=0)
    at: dict[int, list[Finding]] = {}
    for finding in report.findings:
        at.setdefault(finding.segment or 0, []).append(finding)
    wanted = set(range(1, min(first, total) + 1))
    for number in at:
        wanted.update(range(max(number - context, 1), min(number + context, total) + 1))
    sets = [seen for interchange in report.interchanges for group in interchange.groups for seen in group.sets]
    made = View(
        _clean(file), masked, len(data), total, tuple(dict.fromkeys(_kind(seen.version, seen.id) for seen in sets)),
        sum(not seen.known for seen in sets), findings=report.findings,
    )  # fmt: skip
    watcher = _Watcher(made.rows, wanted, at, masked)
    if wanted:
        with suppress(_Enough):
            validator.walk(data, watcher.visit, mode=mode, profile=profile, limit=1)
    if not made.kinds and any(row.id == "TA1" for row in made.rows):
        made.kinds = ("TA1",)
    shown = {row.number for row in made.rows}
    made.loose = [finding for finding in report.findings if (finding.segment or 0) not in shown]
    return made


def _kind(version: str, set_id: str) -> str:
    guide = guides.for_version(version, set_id)
    return guide.kind if guide else set_id if _CODE.match(set_id) else "other"


# ── the walk ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Enough(Exception):
    pass


class _Watcher:
    """Follows the validator: keeps the path of open levels and whose data stands here, and makes the wanted rows."""

    def __init__(self, rows: list[Row], wanted: set[int], at: Mapping[int, list[Finding]], masked: bool) -> None:
        self.rows = rows
        self.wanted = wanted
        self.last = max(wanted, default=0)
        self.at = at
        self.masked = masked
        self.envelope: list[Level] = []
        self.inner: list[tuple[Any, Level]] = []
        self.rules = rules()
        self.open = False  # the party that was named last is no patient
        self.held: set[str] = set()  # segments of it that may not come again

    def visit(
        self, number: int, segment: str, delimiters: Delimiters, place: Place | None, opens: tuple[validator.Open, ...]
    ) -> None:
        segment = segment.strip("\r\n\t ")
        segment_id, _, rest = segment.partition(delimiters.element)
        self._envelope(number, segment_id)
        self._loops(opens)
        self._party(segment_id, rest.partition(delimiters.element)[0])
        # where the validator found no place it stands where it stood before
        if place is not None and not _stands(place, segment_id, segment, delimiters):
            place = None
        path = [*self.envelope, *(level for _, level in self.inner)]
        if path and path[-1].number == number:
            path[-1]._first = (segment, delimiters, place, self.open)
        if number in self.wanted:
            for level in path:
                self._head(level)
            parts = self._parts(segment_id, segment, delimiters, place, self.open, self.at.get(number, ()))
            self.rows.append(
                Row(
                    number, self._id(segment_id), label(segment_id, parts), tuple(path), parts, _mark(delimiters.segment),
                    tuple(self.at.get(number, ())),
                )
            )  # fmt: skip
            if number >= self.last:
                raise _Enough
        if segment_id in _TRAILERS:
            self._closed(_TRAILERS[segment_id])

    def _envelope(self, number: int, segment_id: str) -> None:
        if segment_id in _ENVELOPE:
            self._closed(segment_id)
            self.envelope.append(Level(segment_id, _ENVELOPE[segment_id], number))

    def _closed(self, segment_id: str) -> None:
        """Close the level of that id, and what stands in it."""
        rank = list(_ENVELOPE).index(segment_id)
        self.envelope = [level for level in self.envelope if list(_ENVELOPE).index(level.id) < rank]

    def _loops(self, opens: tuple[validator.Open, ...]) -> None:
        inner = self.inner
        own = opens[1:]  # the first is the set itself
        kept = 0
        while kept < min(len(own), len(inner)) and inner[kept][0] == own[kept]:
            kept += 1
        del inner[kept:]
        for key in own[kept:]:
            inner.append((key, Level(key[0].id, key[0].name, key[1])))

    def _party(self, segment_id: str, key: str) -> None:
        rules = self.rules
        if segment_id in rules.party_segments:
            self.open, self.held = key in rules.open_parties, set()
        elif segment_id in rules.party_ends or not _SEGMENT_ID.match(segment_id) or segment_id not in _layouts():
            self.open = False
        elif segment_id in rules.party_once:
            if segment_id in self.held:
                self.open = False
            self.held.add(segment_id)

    def _head(self, level: Level) -> None:
        if level._first is None:
            return
        segment, delimiters, place, is_open = level._first
        level._first = None
        segment_id = level.opened_by = segment.partition(delimiters.element)[0]
        wanted = words()["headings"].get(segment_id, ())
        parts = self._parts(segment_id, segment, delimiters, place, is_open, ())
        values = []
        for position in wanted:
            texts = [p.text for p in parts if p.position == position or p.position.startswith(f"{position}-")]
            if any(texts):
                values.append(delimiters.component.join(texts) if len(texts) > 1 else texts[0])
        # a masked id beside an amount says that there is one; masks alone say nothing
        seen = any(MASK not in value for value in values)
        level.heading = " · ".join(value.strip() for value in values if value.strip()) if seen else ""

    def _id(self, segment_id: str) -> str:
        """A segment's id as it may be shown: damage can put anything in its place."""
        if _SEGMENT_ID.match(segment_id):
            return segment_id
        return MASK if self.masked and segment_id else _clean(segment_id[:LONGEST])

    # elements ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _parts(
        self, segment_id: str, segment: str, delimiters: Delimiters, place: Place | None, is_open: bool,
        found: Iterable[Finding],
    ) -> tuple[Part, ...]:  # fmt: skip
        values = segment.split(delimiters.element)[1:]
        key = values[0].partition(delimiters.component)[0] if values else ""
        layout = _layouts().get(segment_id, ())
        shown_id = self._id(segment_id)
        severities = _worst(found, segment_id)
        loop = place.loop.id if place else ""
        parts: list[Part] = []
        for position, value in enumerate(values, 1):
            if len(parts) >= MOST_PARTS:
                parts.append(Part("", " ", f"… {counted(len(values) - position + 1, 'more element')}", "text"))
                break
            here = place.elements[position - 1] if place and position <= len(place.elements) else None
            if here is None or here.usage == "N":
                here = layout[position - 1] if position <= len(layout) else None
            mark = _mark(delimiters.element)
            name = f"{shown_id}{position:02d}"
            repeats = (
                value.split(delimiters.repetition) if here and here.repeat != 1 and delimiters.repetition else [value]
            )
            for again, one in enumerate(repeats[: MOST_PARTS - len(parts)]):
                mark = _mark(delimiters.repetition) if again else mark
                whole = severities.get((position, 0), "")
                if here is None or not here.components:
                    parts.append(self._part(segment_id, key, loop, name, position, here, one, mark, is_open, whole))
                    continue
                for number, text in enumerate(one.split(delimiters.component), 1):
                    if len(parts) >= MOST_PARTS:
                        break
                    inner = here.components[number - 1] if number <= len(here.components) else None
                    parts.append(
                        self._part(
                            segment_id, key, loop, f"{name}-{number}", position, inner, text,
                            mark if number == 1 else _mark(delimiters.component), is_open,
                            whole or severities.get((position, number), ""),
                        )
                    )  # fmt: skip
        return tuple(parts)

    def _part(
        self, segment_id: str, key: str, loop: str, name: str, position: int, element: Element | None, value: str, mark: str,
        is_open: bool, severity: str,
    ) -> Part:  # fmt: skip
        kind = kind_of(element, value)
        if segment_id in ("ISA", "GS", "TA1", "SE", "GE", "IEA") and element is None:
            kind = "number" if value.isascii() and value.isdigit() else "text"
        type_words = _type_words(element)
        if not value.strip(" "):
            return Part(name, mark, value[:LONGEST], kind, named(name, element), "", type_words, severity)
        if self.masked and not self.rules.shows(segment_id, key, loop, position, element, value, is_open):
            return Part(name, mark, MASK, "masked", named(name, element), "masked", type_words, severity)
        shown = _clean(value if len(value) <= LONGEST else f"{value[:LONGEST]}… ({len(value):,} characters)")
        return Part(name, mark, shown, kind, named(name, element), meaning(name, element, value), type_words, severity)


_TRAILERS = {"SE": "ST", "GE": "GS", "IEA": "ISA"}


def _stands(place: Place, segment_id: str, segment: str, delimiters: Delimiters) -> bool:
    if place.id != segment_id.upper():
        return False
    return (
        not place.keys
        or guides.key_of(place.id, segment.split(delimiters.element, 4), delimiters.component) in place.keys
    )


def _worst(found: Iterable[Finding], segment_id: str) -> dict[tuple[int, int], str]:
    """(element, component or 0) → the worst severity of its findings."""
    order = ("info", "warning", "error")
    worst: dict[tuple[int, int], str] = {}
    for finding in found:
        if finding.element and finding.segment_id in (segment_id, ""):
            place = (finding.element, finding.component or 0)
            worst[place] = max(worst.get(place, "info"), finding.severity, key=order.index)
    return worst


# ── what may be shown ────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _RuleRow:
    rule: str
    form: str
    keys: frozenset[str]
    loops: frozenset[str]
    elements: frozenset[int]


@dataclass(frozen=True, slots=True)
class Rules:
    """`masking.toml`, ready to ask."""

    shown_types: frozenset[str]
    shown_numbers: frozenset[str]
    open_parties: frozenset[str]
    party_segments: frozenset[str]
    party_ends: frozenset[str]
    party_once: frozenset[str]
    rows: Mapping[str, tuple[_RuleRow, ...]]

    def shows(
        self, segment_id: str, key: str, loop: str, position: int, element: Element | None, value: str, is_open: bool
    ) -> bool:
        """True where the value may be shown: its place is listed and it has the form that belongs there."""
        if (element is None and _layouts().get(segment_id)) or "\n" in value or "\r" in value:
            return False  # no guide has an element there, or a line ends in it: the next segment may stand in this one
        for row in self.rows.get(segment_id, ()):
            if (
                (row.elements and position not in row.elements)
                or (row.keys and key not in row.keys)
                or (row.loops and loop not in row.loops)
            ):
                continue
            if row.rule == "mask" or (row.rule == "party" and not is_open):
                return False
            if row.form in _FORMS:
                return bool(_FORMS[row.form].match(value))
            break
        else:
            listed = element is not None and element.number in self.shown_numbers
            if element is None:
                return segment_id in _PLAIN and bool(_ID.match(value))
            if element.type not in self.shown_types and not listed:
                return False
        return has_form(element, value)


#: envelope segments whose elements no guide lists: control numbers, counts and codes
_PLAIN = frozenset(("TA1", "SE", "GE", "IEA"))


def has_form(element: Element | None, value: str) -> bool:
    """True where the value looks like what its type says: a name in the place of a code does not."""
    if element is None:
        return bool(_ID.match(value))
    if value in element.codes:
        return True
    if element.number == "1251" or element.type in ("DT", "TM"):
        return bool(_DATE.match(value))
    if element.type in ("R", "N0", "N2"):
        return bool(_NUMBER.match(value))
    return bool((_CODE if element.type == "ID" else _ID).match(value))


@cache
def rules() -> Rules:
    """The rules of what is shown, from `schemas/view/masking.toml`."""
    data = _read("masking")
    rows: dict[str, list[_RuleRow]] = {}
    for row in data["row"]:
        rows.setdefault(row["segment"], []).append(
            _RuleRow(
                row["rule"], row.get("form", "id"), frozenset(row.get("keys", ())), frozenset(row.get("loops", ())),
                frozenset(row.get("elements", ())),
            )
        )  # fmt: skip
    return Rules(
        frozenset(data["shown_types"]), frozenset(data["shown_numbers"]), frozenset(data["open_parties"]),
        frozenset(data["party_segments"]), frozenset(data["party_ends"]), frozenset(data["party_once"]),
        {segment_id: tuple(listed) for segment_id, listed in rows.items()},
    )  # fmt: skip


# ── what things are called ───────────────────────────────────────────────────────────────────────────────────────────


@cache
def words() -> Mapping[str, Any]:
    return _read("words")


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads((shapes.schemas_dir() / "view" / f"{name}.toml").read_text(encoding="utf-8"))


@cache
def _layouts() -> Mapping[str, tuple[Element | None, ...]]:
    """Segment id → its elements as any guide has them: types and numbers are the same in all."""
    found: dict[str, list[Element | None]] = {segment_id: [] for segment_id in words()["segments"]}
    for name in guides.names():
        for place in guides.guide(name).places:
            known = found.setdefault(place.id, [])
            known += [None] * (len(place.elements) - len(known))
            for at, element in enumerate(place.elements):
                old = known[at]
                if element.usage != "N" and (old is None or len(element.components) > len(old.components)):
                    # what is allowed differs from guide to guide
                    known[at] = Element(
                        "", element.type, 1, 0, element.number, element.repeat, components=element.components
                    )
    return {segment_id: tuple(elements) for segment_id, elements in found.items()}


@cache
def _list(file: str, code: str, column: str, where: tuple[tuple[str, str], ...]) -> Mapping[str, str]:
    path = shapes.schemas_dir() / file
    if not path.exists():
        return {}
    with path.open(encoding="utf-8", newline="") as handle:
        return {row[code]: row[column] for row in csv.DictReader(handle) if all(row[k] == v for k, v in where)}


def named(position: str, element: Element | None) -> str:
    """What an element is called: by its position, by the element around it, else by its number in the dictionary."""
    book = words()
    own = book["elements"].get(position)
    return str(own or (book["numbers"].get(element.number, "") if element else ""))


def meaning(position: str, element: Element | None, value: str) -> str:
    """What a code means, or ''."""
    book = words()
    number = element.number if element else ""
    source = book["lists"]["elements"].get(position) or book["lists"].get(number)
    if source:
        where = tuple(sorted(source.get("where", {}).items()))
        return _list(source["file"], source["code"], source["words"], where).get(value, "")
    return str(book["codes"].get(number, {}).get(value, ""))


def label(segment_id: str, parts: Iterable[Part]) -> str:
    """What a segment is, in a few words: `prior authorization` for REF*G1."""
    book = words()
    word = str(book["segments"].get(segment_id, ""))
    position = book["labels"].get(segment_id)
    says = next((part.meaning for part in parts if part.position == position and part.kind != "masked"), "")
    if not says:
        return word
    return says if segment_id in book["labels"]["alone"] else f"{word}: {says}"


def kind_of(element: Element | None, value: str) -> Kind:
    """How a value is coloured."""
    if element is None:
        return "text"
    if element.number == "1251" or element.type in ("DT", "TM"):
        return "date"
    if element.number == "782":
        return "amount"
    if element.type in ("R", "N0", "N2"):
        return "number"
    if element.type == "ID" or element.number in ("234", "1271", "1339", "1331"):
        return "code"
    return "text"


def _type_words(element: Element | None) -> str:
    if element is None or not element.type:
        return ""
    length = (
        ""
        if not element.high
        else f" {element.low}–{element.high}"
        if element.low != element.high
        else f" {element.high}"
    )
    usage = _USAGE.get(element.usage, "")
    return f"{_TYPES.get(element.type, element.type)}{length}" + (f", {usage}" if usage else "")


def _mark(character: str) -> str:
    """A delimiter as it can be seen: line ends and control characters by signs of their own."""
    return "".join("↵" if c in "\r\n" else c if c.isprintable() else "·" for c in character)


def _clean(text: str) -> str:
    """Text that cannot steer a terminal: bytes of UTF-8 are read as such, and what cannot be printed becomes a mark."""
    if not text.isascii():
        with suppress(UnicodeEncodeError, UnicodeDecodeError):
            text = text.encode("latin-1").decode("utf-8")
    return "".join(c if c.isprintable() else "�" for c in text)
