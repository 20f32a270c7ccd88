"""Situational rules of a guide, judged when a loop ends.

Theory. A rule looks at few elements of few segments. Their values, taken together, are the loop's *signature*; nearly all
claims of a file share a handful of signatures, so the outcome (which rules are broken) is remembered by signature, and an
expression is evaluated once for each that is new. Only places that some rule mentions are kept while a loop is open.

A rule of one loop may look at loops around it, beneath it, or beside it (an earlier child of a loop around both).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.x12 import expressions
from pipeline.x12.guides import Guide, Loop, Place, Rule, key_of, key_position

if TYPE_CHECKING:
    from pipeline.x12.validator import _Engine, _Frame

#: (place, segment number, the segment as it stands)
Item = tuple[Place, int, str]
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

    def paths(self) -> list[expressions.Path]:
        return [*self.check.paths, *(self.when.paths if self.when else ())]


class _Asker:
    """The rules of one loop of the guide, and where the other loops that they mention stand."""

    def __init__(self, loop: Loop, rules: list[_Compiled], others: set[str]) -> None:
        self.rules = rules
        chain = loop.chain()
        self.above = [other.id for other in chain[:-1] if other.id in others]
        beneath = {other.id for other in _below(loop)}
        self.beneath = sorted(others & beneath)
        self.beside: list[tuple[str, str]] = []  # (loop around both, loop)
        for other in sorted(others - set(self.above) - beneath - {loop.id}):
            around = next((up for up in reversed(chain[:-1]) if any(child.id == other for child in up.children)), None)
            if around is None:
                raise ValueError(
                    f"a rule of loop {loop.id} looks at {other}, which is not around, beneath or beside it"
                )
            self.beside.append((around.id, other))
        self.known: dict[Any, tuple[int, ...]] = {}


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
                for around, other in asker.beside:
                    self.givers.setdefault(other, set()).add(around)
                    keeps.add(around)
            for one in rules:
                for path in [*one.paths(), *([one.at] if one.at else [])]:
                    self._keep(guide, path, path.loop or loop_id)
        self.loops = frozenset(keeps)

    def _keep(self, guide: Guide, path: expressions.Path, loop_id: str) -> None:
        places = [
            place for place in guide.places
            if place.loop.id == loop_id and place.id == path.segment
            and (not path.qualifiers or not place.keys or place.keys & path.qualifiers)
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

    def closed(self, engine: _Engine, frame: _Frame) -> None:
        """Judge the rules of a loop that ends, and hand its segments to the loops that will ask for them."""
        items = frame.items
        if items is None:
            return
        takers = self.givers.get(frame.loop.id)
        if takers:
            for above in engine.frames:
                if above.loop.id in takers and above.kids is not None:
                    above.kids.setdefault(frame.loop.id, []).append(items)
        asker = self.askers.get(id(frame.loop))
        if asker is None:
            return
        groups: list[tuple[str, list[Item]]] = []
        if asker.above or asker.beside:
            for above in engine.frames:
                name = above.loop.id
                if name in asker.above and above.items is not None:
                    groups.append((name, above.items))
                if above.kids:
                    for around, other in asker.beside:
                        if around == name:
                            groups.extend((other, beside) for beside in above.kids.get(other, ()))
        if frame.kids:
            for other in asker.beneath:
                groups.extend((other, beneath) for beneath in frame.kids.get(other, ()))
        mark = engine.delimiters.element
        signature = (self._signature(items, mark), *[(name, self._signature(group, mark)) for name, group in groups])
        broken = asker.known.get(signature)
        if broken is None:
            broken = self._judge(asker, items, groups, engine)
            if len(asker.known) >= REMEMBERED:
                asker.known.clear()
            asker.known[signature] = broken
        for index in broken:
            _tell(engine, frame, items, asker.rules[index])

    def _signature(self, items: list[Item], mark: str) -> tuple[Any, ...]:
        found: list[Any] = []
        for place, _, segment in items:
            index = place.index
            found.append(index)
            elements = self.kept[index]
            if elements:
                parts = segment.split(mark)
                length = len(parts)
                found.extend([parts[element] if element < length else "" for element in elements])
        return tuple(found)

    def _judge(
        self, asker: _Asker, items: list[Item], groups: list[tuple[str, list[Item]]], engine: _Engine
    ) -> tuple[int, ...]:
        mark, component = engine.delimiters.element, engine.delimiters.component

        def split(listed: list[Item]) -> list[tuple[str, list[str]]]:
            return [(place.id, segment.split(mark)) for place, _, segment in listed]

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


def _tell(engine: _Engine, frame: _Frame, items: list[Item], compiled: _Compiled) -> None:
    """The finding stands at the segment that the rule points to, or at the loop's first one."""
    rule, at = compiled.rule, compiled.at
    number, element, component = frame.number, None, None
    segment_id = at.segment if at is not None else frame.loop.trigger.id
    if at is not None and not at.loop:
        for place, position, segment in items:
            if place.id != at.segment:
                continue
            key = key_of(place.id, segment.split(engine.delimiters.element), engine.delimiters.component)
            if not at.qualifiers or key in at.qualifiers:
                number, element, component = position, at.element or None, at.component or None
                break
    severity = rule.severity
    if engine.lenient and severity == "error" and rule.snip >= 4:
        severity = "warning"
    engine.report(
        rule.id, rule.message, rule.fix, number=number, loop=at.loop if at is not None and at.loop else frame.loop.id,
        segment_id=segment_id, element=element, component=component, severity=severity, snip=rule.snip,
    )  # fmt: skip
