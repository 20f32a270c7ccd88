"""Guides: which segments may stand where, and what their elements hold. Data in `schemas/guides/*.toml`, compiled here.

Theory. A guide is a tree of loops. A loop is known by its first segment (its trigger); within a loop the places are
ordered by `at`, and what shares an `at` may come in any order. From any place the next segment can only be: a later place of
the same loop, the trigger of a child loop, or the same question asked of the loop around it. So for each place the
compiler works out, once, a table from segment id (and qualifier, where several places share an id) to the next place,
with the loops that are left and entered on the way. Reading a file is then one look-up a segment.

`audit` proves the table sound: no segment at a place may match two nodes of one loop, nor be hidden by an inner one.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from pipeline import shapes
from pipeline.errors import Terminal

#: where the qualifier stands that tells places of one segment id apart: (element, component or 0)
KEY_POSITIONS: dict[str, tuple[int, int]] = {"HL": (3, 0)}
KEY_DEFAULT = (1, 1)

#: allowed values that are lists of others: the codes where the list is short and public, else a pattern for their form
FORMS = {
    # USPS, and the provinces of Canada: N402 is for these two countries
    "state": "A[AEKLPRSZ]|C[AOT]|D[CE]|F[LM]|G[AU]|HI|I[ADLN]|K[SY]|LA|M[ADEHINOPST]|N[CDEHJMVY]|O[HKR]|P[ARW]|RI|S[CD]|T[NX]|"
    "UT|V[AIT]|W[AIVY]|AB|BC|MB|N[BLSTU]|ON|PE|QC|SK|YT",
    "country": r"[A-Z]{2,3}",
    "currency": r"[A-Z]{3}",
    # CMS, places of service
    "place": "0[1-9]|1[0-9]|2[0-7]|3[1-4]|4[12]|49|5[0-8]|6[01256]|7[12]|81|99",
    "reason": "[1-9][0-9]{0,2}|[ABDPWY][0-9]{1,2}",
    "remark": r"[A-Z]{1,3}[0-9]{1,4}[A-Z]?",
    "status": r"[0-9]{1,4}[A-Z]?",
    "category": r"[ACDEFPRS][0-9]{1,2}[A-Z]?",
    "entity": r"[A-Z0-9]{2,3}",
    # of an institutional claim: kind of facility and of bill, priority of the admission, its source, and how the stay ended
    "bill": "[1-8][1-9]",
    "priority": "[1-59]",
    "origin": "[1-9A-F]",
    "discharge": "0[1-79]|2[01]|30|4[0-3]|5[01]|6[1-69]|70|8[1-9]|9[0-5]",
    # of a dental claim: permanent, primary and supernumerary teeth, and areas of the mouth
    "tooth": "[1-9]|[12][0-9]|3[0-2]|5[1-9]|[67][0-9]|8[0-2]|[A-T]S?",
    "area": "0[0-9]|[1-4]0|[LR]",
}
#: how long a value of each may be
WIDEST = {
    "state": 2, "country": 3, "currency": 3, "place": 2, "reason": 3, "remark": 8, "status": 5, "category": 4, "entity": 3, "bill": 2,
    "priority": 1, "origin": 1, "discharge": 2, "tooth": 2, "area": 2,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Element:
    """One element or component. `high` 0: no limit. `codes` empty: any value; `form` names a pattern of FORMS."""

    usage: str  # R, S or N
    type: str = "AN"  # AN, ID, N0, R, DT, TM, B; '' for a composite
    low: int = 1
    high: int = 0
    number: str = ""
    repeat: int = 1  # 0: no limit
    codes: frozenset[str] = frozenset()
    form: str = ""
    components: tuple[Element, ...] = ()


NOT_USED = Element("N")


@dataclass(slots=True, eq=False)
class Place:
    """One segment at one place of a loop. `keys` empty: any qualifier. `limit` 0: no limit."""

    index: int
    id: str
    loop: Loop
    at: int
    required: bool
    limit: int
    elements: tuple[Element, ...]
    syntax: tuple[str, ...]
    keys: frozenset[str]
    trigger: bool
    bit: int = 0
    name: str = ""

    @property
    def label(self) -> str:
        """What a message calls it: `REF*G1` or `NM1`."""
        return f"{self.id}*{'|'.join(sorted(self.keys))}" if 0 < len(self.keys) < 4 else self.id


@dataclass(slots=True, eq=False)
class Loop:
    """`children` and `places` together are its content; `bit` is its own bit in the loop around it."""

    id: str
    name: str
    parent: Loop | None
    required: bool
    limit: int
    at: int
    depth: int
    bit: int = 0
    places: list[Place] = field(default_factory=list)
    children: list[Loop] = field(default_factory=list)
    required_mask: int = 0

    @property
    def trigger(self) -> Place:
        return self.places[0]

    def chain(self) -> list[Loop]:
        """From the root down to itself."""
        up: list[Loop] = []
        loop: Loop | None = self
        while loop is not None:
            up.append(loop)
            loop = loop.parent
        return up[::-1]

    def items(self) -> list[Place | Loop]:
        return sorted([*self.places, *self.children], key=lambda item: (item.at, item.bit))


@dataclass(frozen=True, slots=True)
class Step:
    """The way from one place to the next: close loops down to `keep` open ones, open `enter`, arrive at `place`."""

    place: Place
    keep: int
    enter: tuple[Loop, ...]


Steps = dict[str, "Step | dict[str, Step]"]


@dataclass(frozen=True, slots=True)
class Rule:
    """A situational rule: in each instance of `loop` where `when` holds, `check` must hold. See `expressions.py`."""

    id: str
    loop: str
    when: str
    check: str
    at: str
    snip: int
    severity: str
    message: str
    fix: str


@dataclass(slots=True, eq=False)
class Guide:
    """A compiled guide. `steps(place)` gives the table of what may follow."""

    version: str
    aliases: tuple[str, ...]
    set_id: str
    group: str
    kind: str
    title: str
    root: Loop
    places: list[Place]
    rules: tuple[Rule, ...]
    overlay: Mapping[str, Any]
    _steps: dict[int, Steps] = field(default_factory=dict)
    _by_id: dict[str, list[Place]] = field(default_factory=dict)

    @property
    def versions(self) -> tuple[str, ...]:
        return (self.version, *self.aliases)

    def by_id(self, segment_id: str) -> list[Place]:
        """All places of that segment id, in the guide's order."""
        return self._by_id.get(segment_id, [])

    def loops(self) -> Iterator[Loop]:
        stack = [self.root]
        while stack:
            loop = stack.pop()
            yield loop
            stack.extend(reversed(loop.children))

    def steps(self, place: Place) -> Steps:
        """What may follow `place`: segment id → step, or qualifier → step ('' takes any other qualifier)."""
        known = self._steps.get(place.index)
        if known is None:
            known = self._steps[place.index] = self._compile(place)
        return known

    def candidates(self, place: Place) -> Iterator[Step]:
        """All that may follow `place`, inner loops first, in order."""
        loop: Loop | None = place.loop
        at, own = place.at, place
        inside: Loop | None = None
        while loop is not None:
            for item in loop.items():
                if item.at < at:
                    continue
                if isinstance(item, Loop):
                    if item.limit == 1 and item is inside:
                        continue  # it may not begin again
                    yield Step(item.trigger, loop.depth + 1, (item,))
                elif not item.trigger or (item is own and item.limit != 1):
                    yield Step(item, loop.depth + 1, ())
            at, inside, loop = loop.at, loop, loop.parent

    def _compile(self, place: Place) -> Steps:
        table: dict[str, dict[str, Step]] = {}
        for step in self.candidates(place):
            keyed = table.setdefault(step.place.id, {})
            for key in step.place.keys or ("",):
                keyed.setdefault(key, step)
        return {
            segment_id: keyed[""] if len(keyed) == 1 and "" in keyed else keyed for segment_id, keyed in table.items()
        }

    def way(self, place: Place) -> tuple[Loop, ...]:
        """The loops that must be open for `place`, from the root down."""
        return tuple(place.loop.chain())


def key_position(segment_id: str) -> tuple[int, int]:
    return KEY_POSITIONS.get(segment_id, KEY_DEFAULT)


def key_of(segment_id: str, parts: list[str], component: str, repetition: str = "") -> str:
    """The qualifier of a segment that was split into its elements: of a composite its first part, of repeats the first."""
    element, _ = KEY_POSITIONS.get(segment_id, KEY_DEFAULT)
    if element >= len(parts):
        return ""
    return first_part(parts[element], component, repetition)


def first_part(value: str, component: str, repetition: str) -> str:
    if repetition and repetition in value:
        value = value.partition(repetition)[0]
    return value.partition(component)[0] if component and component in value else value


# ── reading the data ─────────────────────────────────────────────────────────────────────────────────────────────────


def parse_element(text: str | list[str]) -> Element:
    """`R ID 2-3 #98 = 85 87` → Element; a list is a composite: `["S C022", component, …]`."""
    if isinstance(text, list):
        usage, *rest = text[0].split()
        repeat = next((int(word[1:]) for word in rest if word.startswith("x")), 1)
        number = next((word for word in rest if not word.startswith("x")), "")
        return Element(
            usage, "", 1, 0, number.lstrip("#"), repeat, components=tuple(parse_element(part) for part in text[1:])
        )
    if text == "N":
        return NOT_USED
    head, _, values = text.partition(" = ")
    usage, kind, length, *rest = head.split()
    low, _, high = length.partition("-")
    number, repeat = "", 1
    for word in rest:
        if word.startswith("#"):
            number = word[1:]
        elif word.startswith("x"):
            repeat = int(word[1:])
        else:
            raise ValueError(f"unknown word {word}")
    codes, form = _values(values)
    return Element(usage, kind, int(low), int(high or low), number, repeat, codes, form)


def _values(text: str) -> tuple[frozenset[str], str]:
    words = [word.replace("_", " ") for word in text.split()]
    forms = [word[1:] for word in words if word.startswith("@")]
    if any(form not in FORMS for form in forms) or len(forms) > 1:
        raise ValueError(f"unknown list {forms}")
    return frozenset(word for word in words if not word.startswith("@")), forms[0] if forms else ""


def _with_codes(elements: tuple[Element, ...], codes: str) -> tuple[Element, ...]:
    """The layout with the allowed values of its first element (or its first component) given by the place."""
    if not codes:
        return elements
    allowed, form = _values(codes)
    first = elements[0]
    if first.components:
        inner = first.components[0]
        changed = _replace(inner, allowed, form)
        first = Element(
            first.usage, "", first.low, first.high, first.number, first.repeat, frozenset(), "",
            (changed, *first.components[1:]),
        )  # fmt: skip
    else:
        first = _replace(first, allowed, form)
    return (first, *elements[1:])


def _replace(element: Element, codes: frozenset[str], form: str) -> Element:
    return Element(
        element.usage, element.type, element.low, element.high, element.number, element.repeat, codes, form,
        element.components,
    )  # fmt: skip


def build(data: Mapping[str, Any], overlay: Mapping[str, Any] | None = None) -> Guide:
    """The data of a guide, with a payer's overlay → compiled guide. ValueError names what cannot be read."""
    layouts: dict[str, tuple[str, tuple[Element, ...], tuple[str, ...]]] = {}
    for name, layout in data["layout"].items():
        try:
            elements = tuple(parse_element(item) for item in layout["elements"])
        except ValueError as error:
            raise ValueError(f"layout {name}: {error}") from error
        layouts[name] = (name.partition(".")[0], elements, tuple(layout.get("syntax", ())))
    listed = {loop["id"]: loop for loop in data["loop"]}
    places: list[Place] = []

    def make(spec: Mapping[str, Any], parent: Loop | None) -> Loop:
        under = parent.id if parent else ""
        loop = Loop(
            spec["id"], spec.get("name", ""), parent, spec.get("usage_under", {}).get(under, spec["usage"]) == "R",
            spec["repeat"], spec.get("at_under", {}).get(under, spec["at"]), parent.depth + 1 if parent else 0,
        )  # fmt: skip
        for number, use in enumerate(spec["segments"]):
            segment_id, elements, syntax = layouts[use["layout"]]
            elements = _with_codes(elements, use.get("codes", ""))
            usage, limit = use["use"].split()
            element, component = key_position(segment_id)
            keys: frozenset[str] = frozenset()
            if element <= len(elements):
                holder = elements[element - 1]
                holder = holder.components[component - 1] if holder.components and component else holder
                # an element that may be absent tells no place from another
                keys = holder.codes if not holder.form and holder.usage == "R" else frozenset()
            place = Place(
                len(places), segment_id, loop, use["at"], usage == "R", 0 if limit == "*" else int(limit), elements,
                syntax, keys, number == 0, name=use.get("name", ""),
            )  # fmt: skip
            places.append(place)
            loop.places.append(place)
        for child in data["loop"]:
            if spec["id"] in child.get("parents", ()):
                loop.children.append(make(listed[child["id"]], loop))
        content: list[Place | Loop] = [*loop.places, *loop.children]
        for bit, item in enumerate(sorted(content, key=lambda item: item.at)):
            item.bit = 1 << bit
            if item.required:
                loop.required_mask |= item.bit
        return loop

    root = make(data["loop"][0], None)
    overlay = dict(overlay or {})
    rules = tuple(_rule(entry) for entry in [*data.get("rule", ()), *overlay.get("rules", ())])
    guide = Guide(
        data["version"], tuple(data.get("aliases", ())), data["set"], data["group"], data["kind"], data["title"], root,
        places, rules, overlay,
    )  # fmt: skip
    _apply(guide, overlay)
    for place in places:
        guide._by_id.setdefault(place.id, []).append(place)
    return guide


def _rule(entry: Mapping[str, Any]) -> Rule:
    return Rule(
        entry["id"], entry["loop"], entry.get("when", ""), entry["check"], entry.get("at", ""), entry.get("snip", 4),
        entry.get("severity", "error"), entry["message"], entry.get("fix", ""),
    )  # fmt: skip


def _apply(guide: Guide, overlay: Mapping[str, Any]) -> None:
    """A payer's differences: `elements` = [{loop, segment, element, usage?, codes?, max?}], `segments` = [{loop, segment, usage?, max?}]."""
    for change in overlay.get("elements", ()):
        for place in _chosen(guide, change):
            position = change["element"] - 1
            elements = [*place.elements, *([NOT_USED] * (position + 1 - len(place.elements)))]
            old = elements[position]
            codes, form = _values(" ".join(change["codes"])) if "codes" in change else (old.codes, old.form)
            elements[position] = Element(
                change.get("usage", old.usage), old.type, old.low, change.get("max", old.high), old.number, old.repeat,
                codes, form, old.components,
            )  # fmt: skip
            place.elements = tuple(elements)
    for change in overlay.get("segments", ()):
        for place in _chosen(guide, change):
            place.limit = change.get("max", place.limit)
            if "usage" in change:
                place.required = change["usage"] == "R"
                place.loop.required_mask &= ~place.bit
                if place.required:
                    place.loop.required_mask |= place.bit


def _chosen(guide: Guide, change: Mapping[str, Any]) -> list[Place]:
    segment_id, _, key = change["segment"].partition("*")
    found = [
        place
        for place in guide.places
        if place.id == segment_id and place.loop.id == change["loop"] and (not key or key in place.keys)
    ]
    if not found:
        raise ValueError(
            f"The overlay names {change['segment']} in loop {change['loop']}, which {guide.version} lacks."
        )
    return found


# ── finding them ─────────────────────────────────────────────────────────────────────────────────────────────────────


@cache
def names() -> tuple[str, ...]:
    """Kinds that have a guide: 837P, 835, 999 ..."""
    return tuple(sorted(path.stem for path in (shapes.schemas_dir() / "guides").glob("*.toml")))


@cache
def data(name: str) -> Mapping[str, Any]:
    path = shapes.schemas_dir() / "guides" / f"{name}.toml"
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Terminal(f"There is no guide named {name}.", fix=f"Known guides: {', '.join(names())}.") from None


@cache
def guide(name: str) -> Guide:
    """The compiled guide of a kind (`837P`). Terminal where its data cannot be read."""
    try:
        return build(data(name))
    except (ValueError, KeyError) as error:
        raise Terminal(f"The guide {name} cannot be read: {error}.") from error


@cache
def _versions() -> dict[tuple[str, str], str]:
    found: dict[tuple[str, str], str] = {}
    for name in names():
        read = data(name)
        for version in (read["version"], *read.get("aliases", ())):
            found[version, read["set"]] = name
    return found


def kinds_of(version: str) -> tuple[str, ...]:
    """The guides that share a version (GS08): 005010X279A1 is for 270 and 271."""
    return tuple(name for (known, _), name in sorted(_versions().items()) if known == version)


def for_version(version: str, set_id: str) -> Guide | None:
    """The guide of a version and a transaction set (ST01), or None where we have none."""
    name = _versions().get((version, set_id))
    return guide(name) if name else None


def overlaid(version: str, set_id: str, overlay: Mapping[str, Any]) -> Guide | None:
    """The guide with a payer's overlay. Terminal where the overlay names what the guide lacks."""
    name = _versions().get((version, set_id))
    if not name:
        return None
    try:
        return build(data(name), overlay)
    except (ValueError, KeyError) as error:
        raise Terminal(f"The profile's overlay of {name} cannot be used: {error}.") from error


def audit(guide: Guide) -> list[str]:
    """Ambiguities, in words: two candidates after one place that a single segment could match. Empty: sound."""
    problems: list[str] = []
    for place in guide.places:
        seen: dict[str, list[Step]] = {}
        for step in guide.candidates(place):
            for other in seen.setdefault(step.place.id, []):
                mine, theirs = step.place.keys, other.place.keys
                if step.place is not other.place and (not mine or not theirs or mine & theirs):
                    problems.append(
                        f"{guide.kind}: after {place.loop.id}/{place.label}, {step.place.id} is "
                        f"{other.place.loop.id}/{other.place.label} or {step.place.loop.id}/{step.place.label}"
                    )
            seen[step.place.id].append(step)
    return problems
