"""The coding rules as data: `schemas/coding/*.csv`, read once.

Each row is a rule: what in the source it speaks of, the days on which it holds, the condition, the codes, and how certain it
is. `certain` follows from what the words mean; `policy` follows a stated rule of the practice or the classification's own
default; both are billed. `suggestion` is only shown to the coder. `omit` (of a diagnosis) and `never` (of a service) say that
the source's item is never on a claim of its own; `never-warn` leaves a finding beside it. Where no rule matches, nothing is coded: a code is never invented.

The practice's own rules (`HOME/coding/own_rules.csv`) come before them: see `answers`.

Conditions are `key=value|value` or `key<number`, joined by `;`, all of which must hold. The keys are those of `Facts`.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path

from pipeline import shapes
from pipeline.codes import editions
from pipeline.codes.fees import round_cents
from pipeline.errors import Terminal
from pipeline.money import parse_cents

CERTAIN = ("certain", "policy")
#: the practice's own table; `kind` is diagnosis or service, `codes` may be empty: on no claim
OWN_COLUMNS = (
    "rule_id", "version", "effective_from", "effective_to", "certainty", "kind", "system", "code", "condition", "codes",
    "owner", "origin",
)  # fmt: skip
_OWN_CERTAINTIES = {
    "diagnosis": frozenset({*CERTAIN, "suggestion", "omit"}), "service": frozenset({*CERTAIN, "suggestion", "never"}),
}  # fmt: skip


@dataclass(slots=True)
class Facts:
    """What a condition may ask of a visit."""

    visit_class: str = ""
    sex: str = ""
    age: int | None = None
    days: int | None = None
    payer: str = "other"  # medicare or other
    codes: frozenset[str] = frozenset()  # all source codes of the visit
    first: str = ""  # nature of the first reported diagnosis
    new_disorder: bool = False
    charge: str = "some"  # of the line: none or some


_TERM = re.compile(r"^(?P<key>[a-z_]+)(?P<op><=|>=|=|<|>)(?P<value>.+)$")
_NUMBERS: dict[str, Callable[[Facts], int | None]] = {"age": lambda f: f.age, "days": lambda f: f.days}
_WORDS: dict[str, Callable[[Facts], str]] = {
    "class": lambda f: f.visit_class,
    "sex": lambda f: f.sex,
    "payer": lambda f: f.payer,
    "first": lambda f: f.first,
    "new_disorder": lambda f: "yes" if f.new_disorder else "no",
    "charge": lambda f: f.charge,
}
_COMPARE: dict[str, Callable[[int, int], bool]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "=": lambda a, b: a == b,
}
Condition = Callable[[Facts], bool]


def condition(text: str) -> Condition | None:
    """A condition's text → a test of facts; None where there is none. An unknown number (age not given) holds nothing."""
    if not text:
        return None
    tests: list[Condition] = []
    for term in text.split(";"):
        match = _TERM.match(term.strip())
        if not match:
            raise Terminal(f"The condition {term!r} of a coding rule cannot be read.", fix="See docs/coding.md.")
        key, operator, value = match["key"], match["op"], match["value"]
        if key in _NUMBERS:
            tests.append(_number_test(_NUMBERS[key], _COMPARE[operator], int(value)))
        elif key in _WORDS and operator == "=":
            tests.append(_word_test(_WORDS[key], frozenset(value.split("|"))))
        elif key == "with" and operator == "=":
            tests.append(_with_test(frozenset(value.split("|"))))
        else:
            raise Terminal(
                f"The condition {term!r} of a coding rule asks for something unknown.", fix="See docs/coding.md."
            )
    return lambda facts: all(test(facts) for test in tests)


def _number_test(get: Callable[[Facts], int | None], compare: Callable[[int, int], bool], value: int) -> Condition:
    def test(facts: Facts) -> bool:
        number = get(facts)
        return number is not None and compare(number, value)

    return test


def _word_test(get: Callable[[Facts], str], values: frozenset[str]) -> Condition:
    return lambda facts: get(facts) in values


def _with_test(values: frozenset[str]) -> Condition:
    return lambda facts: not values.isdisjoint(facts.codes)


@dataclass(frozen=True, slots=True)
class Rule:
    """One row. `codes` are ICD-10-CM or HCPCS/CPT; `row` holds the table's other columns."""

    rule_id: str
    version: str
    start: date
    end: date
    certainty: str
    codes: tuple[str, ...]
    test: Condition | None
    origin: str
    row: dict[str, str]

    def holds(self, on: date, facts: Facts) -> bool:
        return self.start <= on <= self.end and (self.test is None or self.test(facts))


@dataclass(frozen=True, slots=True)
class Price:
    procedure: str
    start: date
    end: date
    cents: int
    origin: str
    modifier: str = ""  # the line's first; empty: any


def _span(row: dict[str, str], place: str) -> tuple[date, date]:
    try:
        return (
            date.fromisoformat(row["effective_from"]) if row.get("effective_from") else date.min,
            date.fromisoformat(row["effective_to"]) if row.get("effective_to") else date.max,
        )
    except ValueError:
        raise Terminal(f"{place}: a date of rule {row.get('rule_id', '')} is not YYYY-MM-DD.") from None


def giving_of(cvx: str) -> tuple[str, str, str]:
    """The giving of a vaccine, which no source writes and which is billed beside it, as answers speak of it."""
    return "service", "administration", f"CVX {cvx.zfill(2)}"


def own_file(home: Path) -> Path:
    return home / "coding" / "own_rules.csv"


def own_rule(row: dict[str, str], place: str) -> Rule:
    """A rule of the practice, or of a coder for one visit. Terminal where the row cannot be used."""
    codes = tuple(row.get("codes", "").split())
    certainty = row["certainty"]
    if certainty not in _OWN_CERTAINTIES.get(row["kind"], ()) or (not codes) != (certainty in ("omit", "never")):
        raise Terminal(
            f"{place}: the rule {row['rule_id']} has a kind, certainty and codes that do not go together.",
            fix="See docs/coding.md, “Own rules”.",
        )
    start, end = _span(row, place)
    nature = "administrative" if codes and codes[0].startswith("Z") else "disorder"
    return Rule(
        row["rule_id"], row["version"], start, end, certainty, codes, condition(row.get("condition", "")),
        row.get("origin", ""), row | {"nature": nature, "separate": "no"},
    )  # fmt: skip


class Rules:
    """All tables, indexed by what they are asked for. `fingerprint` changes with any byte of them."""

    def __init__(self, folder: Path, home: Path | None = None) -> None:
        self.folder = folder
        self._digest = hashlib.sha256()
        self.diagnoses = self._index("diagnoses", "icd10cm", "system", "code")
        self.services = self._index("services", "hcpcs", "system", "code", "kind")
        self.vaccines = self._index("vaccines", "hcpcs", "cvx")
        self.visits = self._rules("visits", "")
        self.levels = self._rules("visit_levels", "hcpcs")
        self.visit_diagnoses = self._rules("visit_diagnoses", "icd10cm")
        self.administration = self._rules("administration", "hcpcs")
        self.suggestions: dict[str, list[tuple[str, str]]] = {}
        for row in self._rows("suggestions"):
            self.suggestions.setdefault(row["family"], []).append((row["hcpcs"], row["words"]))
        self.combinations = [
            (row["rule_id"], row["first"], row["second"], row["words"]) for row in self._rows("combinations")
        ]
        self.combination_heads = frozenset(first for _, first, _, _ in self.combinations)
        self.places = {row["visit_class"]: row["place_of_service"] for row in self._rows("places")}
        self.self_pay = frozenset(row["name"].casefold() for row in self._rows("self_pay"))
        self.prices: dict[str, list[Price]] = {}  # what ships, for demonstration
        for row in self._rows("charge_master"):
            start, end = _span(row, "charge_master.csv")
            origin = f"charge_master.csv {row['procedure']} from {row['effective_from']} version {row['version']}"
            price = Price(row["procedure"], start, end, parse_cents(row["amount"]), origin)
            self.prices.setdefault(row["procedure"], []).append(price)
        #: the practice's own, which takes the place of what ships: edition → procedure → prices
        self.master = editions.open_set("charge_master", home)
        self._of_edition = {edition.name: self._read_master(edition) for edition in self.master.all}
        #: (kind, system, code) → the practice's own rules
        self.own: dict[tuple[str, str, str], list[Rule]] = {}
        if home is not None and own_file(home).is_file():
            self._read_own(own_file(home))
        self.fingerprint = self._digest.hexdigest()[:16]

    def _read_own(self, path: Path) -> None:
        try:
            data = path.read_bytes()
            rows = list(csv.DictReader(data.decode("utf-8-sig").splitlines()))
        except (OSError, UnicodeDecodeError):
            raise Terminal(f"The rule table {path} cannot be read.", fix="Save it as UTF-8 text.") from None
        if not rows:
            return
        if missing := [name for name in OWN_COLUMNS if name not in rows[0]]:
            raise Terminal(f"{path} has no column {', '.join(missing)}.", fix="See docs/coding.md, “Own rules”.")
        self._digest.update(b"own\0" + data)
        for row in rows:
            rule = own_rule({name: row.get(name) or "" for name in OWN_COLUMNS}, str(path))
            self.own.setdefault((row["kind"], row["system"], row["code"]), []).append(rule)

    def _rows(self, name: str) -> list[dict[str, str]]:
        path = self.folder / f"{name}.csv"
        try:
            data = path.read_bytes()
        except OSError as error:
            raise Terminal(f"The rule table {path} cannot be read.", fix="Reinstall claimpipe.") from error
        self._digest.update(name.encode() + b"\0" + data)
        return list(csv.DictReader(data.decode("utf-8").splitlines()))

    def _rules(self, name: str, codes: str) -> list[Rule]:
        found = []
        for row in self._rows(name):
            start, end = _span(row, f"{name}.csv")
            found.append(
                Rule(
                    row["rule_id"],
                    row["version"],
                    start,
                    end,
                    row["certainty"],
                    tuple(row.get(codes, "").split()),
                    condition(row.get("condition", "")),
                    row.get("origin", ""),
                    row,
                )
            )
        return found

    def _index(self, name: str, codes: str, *keys: str) -> dict[tuple[str, ...], list[Rule]]:
        index: dict[tuple[str, ...], list[Rule]] = {}
        for rule in self._rules(name, codes):
            index.setdefault(tuple(rule.row[k] for k in keys), []).append(rule)
        return index

    def for_diagnosis(self, system: str, code: str) -> list[Rule]:
        return [*self.own.get(("diagnosis", system, code), []), *self.diagnoses.get((system, code), [])]

    def for_service(self, system: str, code: str, kind: str) -> list[Rule]:
        """Rules of the code, whatever the kind; else those of the kind."""
        return self.services.get((system, code, "*")) or self.services.get(("*", "*", kind), [])

    def for_vaccine(self, cvx: str) -> list[Rule]:
        return self.vaccines.get((cvx.zfill(2),), [])

    def for_visit(self, system: str, code: str, on: date, facts: Facts) -> Rule | None:
        """The first rule that fits; the order of the table is the order of strength."""
        for rule in self.visits:
            row = rule.row
            if row["system"] not in ("*", system) or row["code"] not in ("*", code):
                continue
            if row["visit_class"] != "*" and facts.visit_class not in row["visit_class"].split("|"):
                continue
            if rule.holds(on, facts):
                return rule
        return None

    def level(self, family: str, status: str, measure: str, value: int, on: date) -> Rule | None:
        for rule in self.levels:
            row = rule.row
            if (
                row["family"] == family and row["status"] == status and row["measure"] == measure
                and int(row["low"]) <= value <= int(row["high"]) and rule.start <= on <= rule.end
            ):  # fmt: skip
                return rule
        return None

    def visit_diagnosis(self, family: str, on: date, facts: Facts) -> Rule | None:
        return next((r for r in self.visit_diagnoses if r.row["family"] == family and r.holds(on, facts)), None)

    def administer(self, payer: str, family: str, route: str, position: str) -> Rule | None:
        for rule in self.administration:
            row = rule.row
            if (
                row["payer"] == payer and row["family"] in ("*", family) and row["position"] in ("each", position)
                and (row["route"] == "*" or route in row["route"].split("|"))
            ):  # fmt: skip
                return rule
        return None

    def price(self, procedure: str, on: date, modifier: str = "") -> Price | None:
        """The charge master's row in force on the day; one with the line's first modifier goes before one without."""
        prices = self.prices
        if self.master:
            (edition, _, _), *_ = self.master.each(editions.days_of([on]))
            prices = self._of_edition[edition.name]
        fitting = [p for p in prices.get(procedure, ()) if p.start <= on <= p.end and p.modifier in ("", modifier)]
        return max(fitting, key=lambda p: (bool(p.modifier), p.start), default=None)

    def _read_master(self, edition: editions.Edition) -> dict[str, list[Price]]:
        """The prices of a loaded charge master."""
        self._digest.update(b"charge_master\0" + edition.about.as_json())
        found: dict[str, list[Price]] = {}
        columns = (edition.table.column(name).to_pylist() for name in ("code", "modifier", "amount", "start", "end"))
        for code, modifier, amount, start, end in zip(*columns, strict=True):
            first, last = editions.date_of(start), editions.date_of(end)
            since = f" from {first.isoformat()}" if first > date.min else ""
            origin = f"charge master {edition.name}: {'-'.join(filter(None, (code, modifier)))}{since}"
            found.setdefault(code, []).append(Price(code, first, last, round_cents(amount), origin, modifier or ""))
        return found


def load(home: Path | None = None) -> Rules:
    """The rules that the installed schemas give, and before them the practice's own, which may change at any time."""
    folder = shapes.schemas_dir() / "coding"
    if home is not None and (own_file(home).is_file() or editions.open_set("charge_master", home)):
        return Rules(folder, home)
    return _load(str(folder))


@cache
def _load(folder: str) -> Rules:
    return Rules(Path(folder))


def chosen(rules: Iterable[Rule], on: date, facts: Facts) -> tuple[Rule | None, list[Rule]]:
    """The rule that decides, and the suggestions; the first deciding rule of the table wins."""
    suggestions: list[Rule] = []
    for rule in rules:
        if rule.holds(on, facts):
            if rule.certainty != "suggestion":
                return rule, []
            suggestions.append(rule)
    return None, suggestions
