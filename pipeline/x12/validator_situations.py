"""Situational rules of a guide, judged when a loop ends.

Theory. A rule looks at few elements of few segments. Their values, taken together, are the loop's *signature*; nearly all
claims of a file share a handful of signatures, so the outcome (which rules are broken) is remembered by signature, and an
expression is evaluated once for each that is new. Only places that some rule mentions are kept while a loop is open.

A rule of one loop may look at loops around it, beneath it, or beside it (an earlier child of a loop around both).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pipeline.x12 import expressions
from pipeline.x12.guides import Guide, Loop, Place, Rule, key_of, key_position
from pipeline.x12.validator_standing import Frame, Item, Standing

REMEMBERED = 50_000


class _Compiled:
    """A rule, parsed. ValueError names the rule that cannot be read."""

    __slots__ = ("at", "check", "rule", "when")

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        try:
            self.when = expressions.parse(rule.when) if rule.when else None
            self.check = expressions.parse(rule.check)
            self.at = expressions.parse_path(rule.at) if rule.at else next(iter(self.check.paths), None)
        except ValueError as error:
            raise ValueError(f"rule {rule.id}: {error}") from error

    def pointed(self, items: list[Item], component: str) -> expressions.Path | None:
        """What the finding points to: as the rule says, else the first segment of its check that is missing, else its first."""
        if self.rule.at:
            return self.at
        for path in self.check.paths:
            if path.loop:
                continue
            if not any(
                place.id == path.segment
                and (not path.qualifiers or key_of(place.id, parts, component) in path.qualifiers)
                for place, _, parts in items
            ):
                return path
        return self.at

    def paths(self) -> list[expressions.Path]:
        return [*self.check.paths, *(self.when.paths if self.when else ())]


class _Asker:
    """The rules of one loop of the guide, and where the other loops that they mention stand."""

    def __init__(self, loop: Loop, rules: list[_Compiled], others: set[str]) -> None:
        self.rules = rules
        chain = loop.chain()
        self.above = [(other.id, other.depth) for other in chain[:-1] if other.id in others]
        beneath = {other.id for other in _below(loop)}
        self.beneath = sorted(others & beneath)
        self.around: list[tuple[str, str]] = []  # (loop around both, loop)
        self.beside: list[tuple[int, str]] = []  # (depth of the loop around both, loop)
        for other in sorted(others - {name for name, _ in self.above} - beneath - {loop.id}):
            around = next((up for up in reversed(chain[:-1]) if any(child.id == other for child in up.children)), None)
            if around is None:
                raise ValueError(
                    f"a rule of loop {loop.id} looks at {other}, which is not around, beneath or beside it"
                )
            self.beside.append((around.depth, other))
            self.around.append((around.id, other))
        self.known: dict[Any, tuple[int, ...]] = {}  # signature → the rules that are broken
        self.concerns: dict[Any, bool] = {}  # own signature → whether any rule can be broken
        # What can be told at a glance. Each sign (see `expressions.Sign`) is one bit; a rule can only be broken where one
        # sign of its condition and one sign of its check's failure are seen (0: nothing is known, take it as seen).
        self.marks = 0
        self.absences: list[tuple[int, int]] = []  # (a place's bit, the sign of its absence)
        self.bits = 0  # all those places
        self.lacks = 0  # signs of segments that are not there: seen unless one is met
        #: place → (qualifiers, whether its presence takes the sign away, the sign)
        self.segments: dict[int, list[tuple[frozenset[str], bool, int]]] = {}
        #: place → element → (component, test, whether no value may pass it, the sign)
        self.signs: dict[int, dict[int, list[tuple[int, expressions.Test | None, bool, int]]]] = {}
        self.rare = [
            (self._sign(loop, rule.when.needs if rule.when is not None else None), self._sign(loop, rule.check.fails))
            for rule in rules
        ]

    def _sign(self, loop: Loop, signs: expressions.Signs) -> int:
        """The bits of these signs; 0 where they cannot be told at a glance."""
        if signs is None or not self._usable(loop, signs):
            return 0
        bits = 0
        for sign in signs:
            self.marks += 1
            bit = 1 << self.marks
            bits |= bit
            path = sign.path
            if sign.absent and not path.element:
                self.lacks |= bit
            for place in loop.places:
                if not _may_be(place, path):
                    continue
                if not path.element:
                    sure = place.keys and place.keys <= path.qualifiers
                    some = frozenset[str]() if sure else path.qualifiers
                    self.segments.setdefault(place.index, []).append((some, sign.absent, bit))
                    continue
                if sign.absent:
                    self.absences.append((place.bit, bit))
                    self.bits |= place.bit
                elements = self.signs.setdefault(place.index, {})
                elements.setdefault(path.element, []).append((path.component, sign.test, sign.absent, bit))
        return bits

    @staticmethod
    def _usable(loop: Loop, signs: list[expressions.Sign]) -> bool:
        """That a value is absent can be told where exactly one place, which stands once, is meant."""
        for sign in signs:
            if sign.absent and sign.path.element:
                places = [place for place in loop.places if _may_be(place, sign.path)]
                exact = len(places) == 1 and (not sign.path.qualifiers or places[0].keys <= sign.path.qualifiers)
                if not exact or places[0].limit != 1:
                    return False
        return True

    def concerned(self, mask: int, items: list[Item], component: str) -> bool:
        """False where no rule of this loop can be broken by what it holds."""
        seen = self.lacks
        if self.bits & ~mask:
            for place_bit, sign in self.absences:
                if not mask & place_bit:
                    seen |= sign
        signs = self.signs
        for place, _, parts in items:
            for some, takes_away, sign in self.segments.get(place.index, ()):
                if not some or key_of(place.id, parts, component) in some:
                    seen = seen & ~sign if takes_away else seen | sign
            asked = signs.get(place.index)
            if not asked:
                continue
            length = len(parts)
            for element, listed in asked.items():
                value = parts[element] if element < length else ""
                pieces = value.split(component) if component in value else [value]
                for number, test, absent, sign in listed:
                    if number:
                        piece = pieces[number - 1] if number <= len(pieces) else ""
                        there = piece != "" and (test is None or test(piece))
                    else:
                        there = any(piece and (test is None or test(piece)) for piece in pieces)
                    if there is not absent:
                        seen |= sign
        for condition, failure in self.rare:
            if (not condition or seen & condition) and (not failure or seen & failure):
                return True
        return False


def _may_be(place: Place, path: expressions.Path) -> bool:
    """True where a segment of this place can be the one that the path names."""
    return place.id == path.segment and (not path.qualifiers or not place.keys or bool(place.keys & path.qualifiers))


def _below(loop: Loop) -> list[Loop]:
    found = list(loop.children)
    for child in loop.children:
        found.extend(_below(child))
    return found


class Situations:
    """All rules of one guide, for one set of delimiters."""

    def __init__(self, guide: Guide) -> None:
        compiled: dict[str, list[_Compiled]] = {}
        for rule in guide.rules:
            compiled.setdefault(rule.loop, []).append(_Compiled(rule))
        loops = list(guide.loops())
        known = {loop.id for loop in loops}
        self.askers: dict[int, _Asker] = {}  # id of the loop object → its rules
        self.kept: dict[int, tuple[int, ...]] = {}  # place → elements that belong to the signature
        keeps: set[str] = set()
        #: loop → the loops above that want its segments when it closes
        self.givers: dict[str, set[str]] = {}
        for loop_id, rules in compiled.items():
            if loop_id not in known:
                raise ValueError(f"rule {rules[0].rule.id} names loop {loop_id}, which {guide.version} lacks")
            others = {path.loop for rule in rules for path in rule.paths() if path.loop and path.loop != loop_id}
            if others - known:
                raise ValueError(f"a rule of loop {loop_id} names {', '.join(sorted(others - known))}")
            keeps |= {loop_id, *others}
            for loop in loops:
                if loop.id != loop_id:
                    continue
                asker = self.askers[id(loop)] = _Asker(loop, rules, others)
                for other in asker.beneath:
                    self.givers.setdefault(other, set()).add(loop_id)
                for around, other in asker.around:
                    self.givers.setdefault(other, set()).add(around)
                    keeps.add(around)
            for one in rules:
                for path in one.paths():
                    self._keep(guide, path, path.loop or loop_id)
                # it says where to look, whatever stands there: an id in the signature would make each one new
                if one.at:
                    self._keep(guide, replace(one.at, element=0, component=0), one.at.loop or loop_id)
        self.loops = frozenset(keeps)
        #: loops whose end has work here
        self.closing = frozenset(self.givers) | frozenset(compiled)

    def _keep(self, guide: Guide, path: expressions.Path, loop_id: str) -> None:
        places = [
            place for place in guide.places
            if place.loop.id == loop_id and _may_be(place, path)
        ]  # fmt: skip
        if not places:
            raise ValueError(f"a rule looks at {loop_id}/{path.segment}, which {guide.version} lacks")
        for place in places:
            elements = {*self.kept.get(place.index, ())}
            if path.element:
                elements.add(path.element)
            if path.qualifiers and len(place.keys) != 1:
                elements.add(key_position(place.id)[0])
            self.kept[place.index] = tuple(sorted(elements))

    def closed(self, engine: Standing, frame: Frame) -> None:
        """Judge the rules of a loop that ends, and hand its segments to the loops that will ask for them."""
        items = frame.items
        if items is None:
            return
        signed = self._signature(items)
        takers = self.givers.get(frame.loop.id)
        if takers:
            for above in engine.frames:
                if above.loop.id in takers and above.items is not None:
                    if above.kids is None:
                        above.kids = {}
                    above.kids.setdefault(frame.loop.id, []).append((items, signed))
        asker = self.askers.get(id(frame.loop))
        if asker is None:
            return
        own = frame.mask & asker.bits, signed
        concerned = asker.concerns.get(own)
        if concerned is None:
            if len(asker.concerns) >= REMEMBERED:
                asker.concerns.clear()
            concerned = asker.concerns[own] = asker.concerned(frame.mask, items, engine.delimiters.component)
        if not concerned:
            return
        groups: list[tuple[str, list[Item]]] = []
        signature: list[Any] = [own]
        frames = engine.frames
        for name, depth in asker.above:
            # a frame's place on the stack is its loop's depth
            above = frames[depth]
            known = above.items
            if known is not None:
                groups.append((name, known))
                signature.append(self._remembered(above, known))
        for depth, other in asker.beside:
            kids = frames[depth].kids
            for group, sign in kids.get(other, ()) if kids else ():
                groups.append((other, group))
                signature.append((other, sign))
        if frame.kids:
            for other in asker.beneath:
                for group, sign in frame.kids.get(other, ()):
                    groups.append((other, group))
                    signature.append((other, sign))
        key = tuple(signature)
        broken = asker.known.get(key)
        if broken is None:
            broken = self._judge(asker, items, groups, engine)
            if len(asker.known) >= REMEMBERED:
                asker.known.clear()
            asker.known[key] = broken
        for index in broken:
            _tell(engine, frame, items, asker.rules[index])

    def _remembered(self, frame: Frame, items: list[Item]) -> tuple[Any, ...]:
        """The signature of an open loop, made again only where it has grown since."""
        known = frame.signature
        if known is None or known[0] != len(items):
            known = frame.signature = (len(items), self._signature(items))
        return known

    def _signature(self, items: list[Item]) -> tuple[Any, ...]:
        found: list[Any] = []
        kept = self.kept
        for place, _, parts in items:
            index = place.index
            found.append(index)
            elements = kept[index]
            if elements:
                length = len(parts)
                for element in elements:
                    found.append(parts[element] if element < length else "")
        return tuple(found)

    def _judge(
        self, asker: _Asker, items: list[Item], groups: list[tuple[str, list[Item]]], engine: Standing
    ) -> tuple[int, ...]:
        component = engine.delimiters.component

        def split(listed: list[Item]) -> list[tuple[str, list[str]]]:
            return [(place.id, parts) for place, _, parts in listed]

        others: dict[str, list[list[tuple[str, list[str]]]]] = {}
        for name, group in groups:
            others.setdefault(name, []).append(split(group))
        instance = expressions.Instance(
            split(items), others, component, lambda segment_id, parts: key_of(segment_id, parts, component)
        )
        return tuple(
            index
            for index, rule in enumerate(asker.rules)
            if (rule.when is None or rule.when.holds(instance)) and not rule.check.holds(instance)
        )


def _tell(engine: Standing, frame: Frame, items: list[Item], compiled: _Compiled) -> None:
    """The finding stands at the segment that the rule points to, or at the loop's first one."""
    rule, at = compiled.rule, compiled.pointed(items, engine.delimiters.component)
    number, element, component = frame.number, None, None
    segment_id = at.segment if at is not None else frame.loop.trigger.id
    if at is not None and not at.loop:
        for place, position, parts in items:
            if place.id != at.segment:
                continue
            key = key_of(place.id, parts, engine.delimiters.component)
            if not at.qualifiers or key in at.qualifiers:
                number, element, component = position, at.element or None, at.component or None
                break
    if number == frame.number and element is None and (number, segment_id) in engine.doubted:
        return
    severity = rule.severity
    if engine.lenient and severity == "error" and rule.snip >= 4:
        severity = "warning"
    engine.report(
        rule.id, rule.message, rule.fix, number=number, loop=at.loop if at is not None and at.loop else frame.loop.id,
        segment_id=segment_id, element=element, component=component, severity=severity, snip=rule.snip,
    )  # fmt: skip
