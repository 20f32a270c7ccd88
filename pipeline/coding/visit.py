"""Coding one visit: from what the source states to a claim's diagnoses and lines, or to the coder's list with reasons.

Nothing is half coded. Every diagnosis and every service of a visit must be coded by a rule, or be one that is never on a
claim; else the whole visit goes to a coder, with the open codes as causes and what the tables suggest.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Any

from pipeline.codes import FIRST_DAY, normal
from pipeline.coding.rules import CERTAIN, Facts, Rule, Rules, chosen, giving_of
from pipeline.wording import counted

#: names that extracts give to the systems that claims themselves use
ICD10CM = frozenset({"ICD10CM", "ICD-10-CM", "ICD10", "ICD-10"})
HCPCS = frozenset({"HCPCS", "CPT", "CPT4", "CPT-4", "HCPCS/CPT"})
CDT = frozenset({"CDT", "ADA"})
REVENUE = frozenset({"REVENUE", "NUBC"})
HIPPS = frozenset({"HIPPS"})
#: by claim type: systems whose codes stand on the claim as the source states them, and the qualifier that they get there
STATED: dict[str, dict[str, str]] = {
    "professional": dict.fromkeys(HCPCS, "HC"),
    "institutional": dict.fromkeys(HCPCS, "HC") | dict.fromkeys(HIPPS, "HP") | dict.fromkeys(REVENUE, ""),
    "dental": dict.fromkeys((*CDT, *HCPCS), "AD"),
}
#: cause of an item that only one patient's record can answer
NEW_OR_ESTABLISHED = "new-or-established"
#: what its codes look like: revenue codes of rooms are counted in days, anaesthesia in minutes
_REVENUE = re.compile(r"\d{4}", re.ASCII)
_ROOM = re.compile(r"0(?:1\d|20|21)\d", re.ASCII)
_DENTAL = re.compile(r"D\d{4}", re.ASCII)
_ANAESTHESIA = re.compile(r"0[01]\d{3}", re.ASCII)
SOURCE_CODED = ("source-coded", "1")
#: families of visits whose code a person chooses, in a few words
FAMILIES = {
    "check_up": "Check-up: a preventive or an office visit?",
    "emergency": "Emergency visit whose level is not stated",
    "home": "Home visit whose level is not stated",
    "institutional": "A stay, which goes on an institutional claim",
    "maternity": "Maternity care: one package or single visits?",
    "office": "Office visit whose level is not stated",
    "postoperative": "Visit after an operation: is it in the global period?",
    "preventive": "Preventive visit whose code is not certain",
    "procedure": "Visit with a procedure: was the visit separate?",
    "telehealth": "Telehealth visit: with picture or by sound alone?",
}
#: what a source's code stands for, by the kind of its line
_KINDS = {
    "diagnosis": "Diagnosis", "visit": "Kind of visit", "procedure": "Procedure", "immunization": "Vaccine",
    "vaccine": "Vaccine", "drug": "Drug", "supply": "Supply", "device": "Device", "other": "Service",
}  # fmt: skip
_SOCIAL_LAST = {"disorder": 0, "finding": 0, "administrative": 0, "history": 1, "social": 2}


@dataclass(slots=True)
class Diagnosis:
    """As the source states it; `source` names the cell."""

    rank: int
    system: str
    code: str
    source: str
    kind: str = ""  # admitting, reason, external; empty: a diagnosis of the claim
    poa: str = ""


@dataclass(slots=True)
class Service:
    """As the source states it; `charge` in cents, None where the charge master decides."""

    line: int
    kind: str
    system: str
    code: str
    modifiers: tuple[str | None, ...]
    units: Any
    charge: int | None
    service_date: date
    pointers: str
    minutes: int | None
    source: str
    index: int  # row of the lines table, for columns that are only handed on
    revenue_code: str = ""


@dataclass(slots=True)
class Visit:
    key: str
    claim_type: str
    service_from: date
    service_to: date
    minutes: int | None
    visit_class: str
    visit_system: str
    visit_code: str
    place_of_service: str
    charge: int
    payer_source: str
    payer_kind: str  # medicare or other
    birth_date: date | None
    sex: str
    diagnoses: list[Diagnosis]
    services: list[Service]
    #: new, established, or empty where the history cannot tell; asked only where the level needs it
    patient_status: Callable[[], str]
    #: (kind, system, code) as the source wrote it → what a coder answered for this visit
    answers: Mapping[tuple[str, str, str], Rule] = field(default_factory=dict)


@dataclass(slots=True)
class CodedDiagnosis:
    code: str
    rule_id: str
    version: str
    source: str
    nature: str = "disorder"
    rank: int = 0
    source_rank: int = 0
    kind: str = ""
    poa: str = ""


@dataclass(slots=True)
class CodedLine:
    service: Service
    procedure: str
    rule_id: str
    version: str
    modifiers: list[str | None]
    units: Any
    charge: int | None
    visit: bool = False  # the visit itself: points to what it was for
    vaccine: bool = False  # points to the vaccination
    separate: bool = False  # asks modifier 25 on the visit
    source_pointers: str = ""
    pointers: list[int] = field(default_factory=list)
    price_origin: str = "source"
    qualifier: str = "HC"
    unit_basis: str = "UN"
    revenue_code: str = ""


@dataclass(slots=True)
class Cause:
    """Why a visit needs a coder. `code` groups like visits; `title`, `words` and `action` are for people."""

    code: str
    title: str
    words: str
    action: str = "Choose the code in the record, then answer the item with it, or add it to the extract."


@dataclass(slots=True)
class Coded:
    diagnoses: list[CodedDiagnosis]
    lines: list[CodedLine]
    place_of_service: str
    billed: int
    unbilled: int
    priced: int
    #: cents by the rule that left them unbilled
    unbilled_by_rule: dict[str, int]
    #: lines left unbilled that a person should know of
    warned: list[tuple[Rule, Service]]


@dataclass(slots=True)
class ForCoder:
    causes: list[Cause]


@dataclass(slots=True)
class NotBillable:
    reason: str


Outcome = Coded | ForCoder | NotBillable


def code_visit(visit: Visit, rules: Rules, *, minutes_are_practitioner_time: bool) -> Outcome:
    """The outcome for one visit."""
    if not visit.payer_source or visit.payer_source.casefold() in rules.self_pay:
        return NotBillable("self_pay")
    if visit.service_from < FIRST_DAY:
        return NotBillable("before_icd10cm")
    return _Coding(visit, rules, minutes_are_practitioner_time).outcome()


class _Coding:
    def __init__(self, visit: Visit, rules: Rules, minutes_are_practitioner_time: bool) -> None:
        self.visit = visit
        self.rules = rules
        self.by_time = minutes_are_practitioner_time
        self.on = visit.service_from
        self.causes: list[Cause] = []
        self.diagnoses: list[CodedDiagnosis] = []
        self.lines: list[CodedLine] = []
        self.unbilled: dict[str, int] = {}
        self.vaccines: list[tuple[CodedLine, Rule]] = []
        self.warned: list[tuple[Rule, Service]] = []
        self.by_person: set[str] = set()  # diagnoses that a coder chose
        self.from_source = bool(visit.diagnoses) and all(d.system in ICD10CM for d in visit.diagnoses)
        self.facts = Facts(
            visit_class=visit.visit_class,
            sex=visit.sex,
            payer=visit.payer_kind,
            codes=frozenset([d.code for d in visit.diagnoses] + [s.code for s in visit.services]),
        )
        if visit.birth_date is not None and visit.birth_date <= visit.service_from:
            self.facts.age = age(visit.birth_date, visit.service_from)
            self.facts.days = (visit.service_from - visit.birth_date).days

    def outcome(self) -> Outcome:
        visit = self.visit
        if not visit.services:
            words = "The visit has no service."
            return ForCoder(
                [Cause("no-service", "Visit without a service", words, "Add what was done to the extract.")]
            )
        known = sum(s.charge for s in visit.services if s.charge is not None)
        if known != visit.charge:
            words = "The charges of the lines do not add up to the charge of the visit."
            action = "Correct the charges in the practice's system and export again."
            return ForCoder([Cause("charges", "Charges that do not add up", words, action)])
        self._diagnose()
        if visit.claim_type != "professional":
            return self._as_stated()
        visits = [s for s in visit.services if s.kind == "visit" and s.system not in HCPCS and not self._answer(s)]
        for service in visit.services:
            if service.system in HCPCS:
                self._from_source(service)
            elif self._answered(service) or service.kind == "visit":
                continue
            elif service.system == "CVX":
                self._vaccine(service)
            else:
                self._service(service)
        for service in visits:
            self._visit(service)
        if self.vaccines:
            self._administer()
            rule = self.rules.visit_diagnosis("vaccination", self.on, self.facts)
            if rule is not None and not any(d.code == rule.codes[0] for d in self.diagnoses):
                source = self.vaccines[0][0].service.source
                self._add(rule.codes[0], rule.rule_id, rule.version, source, "administrative", 0)
        if not self.lines and not self.causes:
            return NotBillable("nothing_to_bill")
        if not self.diagnoses and not self.causes:
            self._cause("no-diagnosis", "Visit without a diagnosis for the claim", "The visit has no diagnosis that a claim can carry.",
                        "Add the diagnosis of the record to the extract.")  # fmt: skip
        self._combine()
        self._point()
        self._modify()
        billed, priced = self._price()
        if self.causes:
            return ForCoder(self.causes)
        self.lines.sort(key=lambda line: (line.service.line, not line.visit, line.procedure.startswith("9047")))
        place = visit.place_of_service or self.rules.places.get(visit.visit_class, "")
        return Coded(
            self.diagnoses, self.lines, place, billed, sum(self.unbilled.values()), priced, self.unbilled, self.warned
        )

    def _as_stated(self) -> Outcome:
        """A stay or a dental visit: its codes are the source's own, or a coder's to choose."""
        visit = self.visit
        kind = "dental" if visit.claim_type == "dental" else "institutional"
        for service in visit.services:
            if service.system in STATED[visit.claim_type]:
                self._from_source(service)
            elif not self._answered(service):
                self._cause(f"{service.system}:{service.code}", f"A service that no {kind} rule codes ({service.system} {service.code})",
                            f"No rule codes {service.system} {service.code} on {kind} claims.")  # fmt: skip
        if not self.diagnoses and not self.causes and visit.claim_type == "institutional":
            self._cause("no-diagnosis", "Visit without a diagnosis for the claim", "The visit has no diagnosis that a claim can carry.",
                        "Add the diagnosis of the record to the extract.")  # fmt: skip
        self._point()
        billed, priced = self._price()
        if self.causes:
            return ForCoder(self.causes)
        self.lines.sort(key=lambda line: line.service.line)
        place = visit.place_of_service or self.rules.places.get(visit.visit_class, "")
        return Coded(self.diagnoses, self.lines, place, billed, 0, priced, {}, [])

    # diagnoses

    def _diagnose(self) -> None:
        for stated in self._stated():
            if stated.system in ICD10CM:
                code = normal(stated.code)
                nature = "administrative" if code.startswith("Z") else "disorder"
                self._add(code, *SOURCE_CODED, stated.source, nature, stated.rank, stated)
                continue
            answer = self.visit.answers.get(("diagnosis", stated.system, stated.code))
            known = [answer] if answer else self.rules.for_diagnosis(stated.system, stated.code)
            rule, suggested = chosen(known, self.on, self.facts)
            if rule is None:
                self._open(stated.system, stated.code, "diagnosis", suggested)
            elif rule.certainty in CERTAIN:
                self.by_person |= set(rule.codes) if answer else set()
                for code in rule.codes:
                    self._add(code, rule.rule_id, rule.version, stated.source, rule.row["nature"], stated.rank)
        if not self.from_source:  # what the visit was for comes first, then diseases, then facts of life
            first, rest = self.diagnoses[:1], self.diagnoses[1:]
            if first and first[0].nature in ("social", "history"):
                first, rest = [], self.diagnoses
            self.diagnoses = first + sorted(rest, key=lambda d: _SOCIAL_LAST[d.nature])
        self.facts.first = self.diagnoses[0].nature if self.diagnoses else ""
        self.facts.new_disorder = any(d.nature in ("disorder", "finding") for d in self.diagnoses)

    def _stated(self) -> list[Diagnosis]:
        """The diagnoses in order. Only stays tell what a patient was admitted or came for, and external causes apart: on
        other claims an external cause is a diagnosis like others, after them."""
        ranked = sorted(self.visit.diagnoses, key=lambda d: d.rank)
        if self.visit.claim_type == "institutional":
            return ranked
        external = [replace(d, kind="", rank=0) for d in ranked if d.kind == "external"]
        return [d for d in ranked if not d.kind] + external

    def _add(
        self, code: str, rule_id: str, version: str, source: str, nature: str, source_rank: int, stated: Diagnosis | None = None
    ) -> None:  # fmt: skip
        """A diagnosis; a code that stands already is not put twice, unless the source itself did so."""
        if not self.from_source and any(d.code == code for d in self.diagnoses):
            return
        kind, poa = (stated.kind, stated.poa) if stated else ("", "")
        self.diagnoses.append(CodedDiagnosis(code, rule_id, version, source, nature, 0, source_rank, kind, poa))

    def _combine(self) -> None:
        """Pairs that the classification codes together need a person, except where the source chose the codes."""
        if self.from_source:
            return
        codes = [d.code for d in self.diagnoses]
        if self.rules.combination_heads.isdisjoint(codes):
            return
        for rule_id, first, second, words in self.rules.combinations:
            if first in self.by_person:
                continue
            if first in codes and any(code.startswith(second) and code not in self.by_person for code in codes):
                self._cause(f"combination:{first}+{second}", f"Two diagnoses that belong in one code ({first}, {second})",
                            f"{rule_id}: {words}.")  # fmt: skip

    # services

    def _from_source(self, service: Service) -> None:
        qualifier = STATED[self.visit.claim_type][service.system]
        procedure, revenue, units, basis = normal(service.code), service.revenue_code, service.units, "UN"
        if self.visit.claim_type == "institutional":
            procedure, revenue = ("", procedure) if not qualifier else (procedure, revenue)
            if not _REVENUE.fullmatch(revenue):
                self._cause("revenue-code", "Service without a revenue code",
                            "A service of an institutional visit has no revenue code of four digits.",
                            "Add the revenue code of the record to the extract.")  # fmt: skip
            basis = "DA" if _ROOM.fullmatch(revenue) else "UN"
        elif self.visit.claim_type == "dental" and not _DENTAL.fullmatch(procedure):
            self._cause(f"CDT:{service.code}", f"No dental code ({service.code})",
                        "A service of a dental visit has no dental code (D and four digits).")  # fmt: skip
        elif service.minutes and _ANAESTHESIA.fullmatch(procedure):
            units, basis = Decimal(service.minutes), "MJ"
        self.lines.append(
            CodedLine(
                service, procedure, *SOURCE_CODED, list(service.modifiers), units, service.charge,
                visit=service.kind == "visit", source_pointers=service.pointers, qualifier=qualifier, unit_basis=basis,
                revenue_code=revenue,
            )
        )  # fmt: skip

    def _answer(self, service: Service) -> Rule | None:
        """What a coder answered for the service in this visit, else the practice's own rule for it."""
        self.facts.charge = "some" if service.charge else "none"
        return self._said(("service", service.system, service.code), service.service_date)

    def _said(self, key: tuple[str, str, str], on: date) -> Rule | None:
        return self.visit.answers.get(key) or chosen(self.rules.own.get(key, []), on, self.facts)[0]

    def _answered(self, service: Service) -> bool:
        """Bill the service as a person said; false where nobody did. The first code has the charge of the source."""
        rule = self._answer(service)
        if rule is None:
            return False
        if not rule.codes:
            self._leave(rule.rule_id, service)
        for number, chosen_code in enumerate(rule.codes):
            procedure, *modifiers = chosen_code.split("-")
            given = service if number == 0 else replace(service, charge=None)
            if self.visit.claim_type == "professional":
                line = self._bill(given, procedure, rule)
                line.visit, line.vaccine = service.kind == "visit" and number == 0, service.system == "CVX"
            else:
                system = "CDT" if _DENTAL.fullmatch(procedure) else "HCPCS"
                self._from_source(replace(given, system=system, code=procedure))
                line = self.lines[-1]
                line.rule_id, line.version = rule.rule_id, rule.version
            if modifiers:
                line.modifiers = list(modifiers)
        return True

    def _service(self, service: Service) -> None:
        self.facts.charge = "some" if service.charge else "none"
        rule, suggested = chosen(
            [
                *self.rules.own.get(("service", service.system, service.code), []),
                *self.rules.for_service(service.system, service.code, service.kind),
            ],
            service.service_date,
            self.facts,
        )
        if rule is None:
            self._open(service.system, service.code, service.kind, suggested)
        elif rule.certainty.startswith("never"):
            self._leave(rule.rule_id, service)
            if rule.certainty == "never-warn" and service.charge:
                self.warned.append((rule, service))
        else:
            for procedure in rule.codes:
                self._bill(service, procedure, rule, separate=rule.row["separate"] == "yes")

    def _vaccine(self, service: Service) -> None:
        rule, suggested = chosen(self.rules.for_vaccine(service.code), service.service_date, self.facts)
        if rule is None:
            self._open("CVX", service.code, "vaccine", suggested)
            return
        line = self._bill(service, rule.codes[0], rule)
        line.vaccine = True
        self.vaccines.append((line, rule))

    def _bill(self, service: Service, procedure: str, rule: Rule, *, separate: bool = False) -> CodedLine:
        line = CodedLine(
            service, procedure, rule.rule_id, rule.version, list(service.modifiers), service.units, service.charge,
            separate=separate, source_pointers=service.pointers,
        )  # fmt: skip
        self.lines.append(line)
        return line

    def _administer(self) -> None:
        """Giving a vaccine is billed beside it: the first, then the further ones together."""
        further: dict[str, CodedLine] = {}
        first = True
        order = sorted(self.vaccines, key=lambda pair: pair[1].row["route"] != "injected")
        for line, vaccine in order:
            said = self._said(giving_of(line.service.code), line.service.service_date)
            if said is not None:
                first = False
                for code in said.codes:
                    procedure, *modifiers = code.split("-")
                    self.lines.append(
                        CodedLine(
                            line.service, procedure, said.rule_id, said.version, list(modifiers), Decimal(1), None,
                            vaccine=True, separate=True,
                        )
                    )  # fmt: skip
                continue
            rule = self.rules.administer(
                self.visit.payer_kind, vaccine.row["family"], vaccine.row["route"], "first" if first else "further"
            )
            first = False
            if rule is None:
                self._cause(
                    ":".join(giving_of(line.service.code)[1:]),
                    f"Giving of a vaccine that no rule codes (CVX {vaccine.row['cvx']})",
                    f"No rule says how this payer pays the giving of CVX {vaccine.row['cvx']}.",
                    "Ask the payer whether this vaccine is covered here, and code its administration.",
                )
                continue
            procedure = rule.codes[0]
            if procedure in further and rule.row["position"] != "each":
                further[procedure].units += 1
                continue
            given = CodedLine(
                line.service,
                procedure,
                rule.rule_id,
                rule.version,
                [None] * 4,
                Decimal(1),
                None,
                vaccine=True,
                separate=True,
            )
            further[procedure] = given
            self.lines.append(given)

    def _leave(self, rule_id: str, service: Service) -> None:
        self.unbilled[rule_id] = self.unbilled.get(rule_id, 0) + (service.charge or 0)

    # the visit itself

    def _visit(self, service: Service) -> None:
        rule = self.rules.for_visit(service.system, service.code, self.on, self.facts)
        if rule is None:
            self._open(service.system, service.code, "visit", [])
            return
        family = rule.row["family"]
        if family == "never":
            self._leave(rule.rule_id, service)
        elif family == "vaccination":
            if any(s.system == "CVX" or s.kind == "immunization" for s in self.visit.services):
                self._leave(rule.rule_id, service)
            else:
                self._cause("visit:vaccination", "Visit for a vaccine, and no vaccine",
                            "A visit for a vaccine, and no vaccine is listed.",
                            "Add the vaccine to the extract.")  # fmt: skip
        elif family == "preventive":
            self._preventive(service)
        elif family == "office":
            self._office(service)
        else:
            self._suggest(family, rule.origin)

    def _preventive(self, service: Service) -> None:
        if self.visit.payer_kind == "medicare":
            self._suggest(
                "preventive", "Medicare does not pay preventive visits; its wellness visits have other contents"
            )
            return
        age_ = self.facts.age
        status = self._status("preventive")
        diagnosis = self.rules.visit_diagnosis("preventive", self.on, self.facts)
        if age_ is None or diagnosis is None:
            self._cause("age", "Date of birth missing or after the visit",
                        "The patient's date of birth is missing or after the visit: the level goes by age.",
                        "Correct the date of birth in the practice's system and export again.")  # fmt: skip
            return
        if not status:
            return
        level = self.rules.level("preventive", status, "age", age_, self.on)
        if level is None:
            self._suggest("preventive", "no level fits this age")
            return
        line = self._bill(service, level.codes[0], level)
        line.visit = True
        if not any(d.code.startswith("Z00") for d in self.diagnoses):
            self._add(diagnosis.codes[0], diagnosis.rule_id, diagnosis.version, service.source, "administrative", 0)
            self.diagnoses.insert(0, self.diagnoses.pop())

    def _office(self, service: Service) -> None:
        minutes = self.visit.minutes if self.visit.minutes is not None else service.minutes
        if not self.by_time or minutes is None or self.on < date(2021, 1, 1):
            why = (
                "before 2021 the level goes by history, examination and decision making" if self.on < date(2021, 1, 1)
                else "the practitioner's time is not stated, so the level goes by decision making"
            )  # fmt: skip
            self._suggest("office", why)
            return
        status = self._status("office")
        if not status:
            return
        level = self.rules.level("office", status, "minutes", minutes, self.on)
        if level is None:
            self._suggest("office", f"no level of a {status} patient goes by {counted(minutes, 'minute')} alone")
            return
        self._bill(service, level.codes[0], level).visit = True

    def _status(self, family: str) -> str:
        status = self.visit.patient_status()
        if not status:
            self._suggest(family, "the history does not reach back three years, so new or established is not known",
                          NEW_OR_ESTABLISHED)  # fmt: skip
        return status

    # together

    def _point(self) -> None:
        """Each line points to at most four diagnoses: the source's own, else what the line was for."""
        ranks: dict[int, int] = {}
        counts: dict[str, int] = {}
        for diagnosis in self.diagnoses:
            diagnosis.rank = counts[diagnosis.kind] = counts.get(diagnosis.kind, 0) + 1
            if diagnosis.source_rank and not diagnosis.kind:
                ranks.setdefault(diagnosis.source_rank, diagnosis.rank)
        if self.visit.claim_type == "institutional":  # its lines do not point
            return
        plain = [d for d in self.diagnoses if not d.kind]
        stated = {d.rank for d in self.visit.diagnoses if not d.kind}
        vaccination = [d.rank for d in plain if d.code == "Z23"]
        others = [d.rank for d in plain if d.code != "Z23"]
        for line in self.lines:
            if line.source_pointers:
                wanted = [int(p) for p in line.source_pointers.split(",") if p.strip().isdigit()]
                # a pointer to a diagnosis that the source does not have is kept: an edit stops it
                line.pointers = [ranks.get(p, 90 + p if p not in stated else 0) for p in wanted]
                line.pointers = [p for p in dict.fromkeys(line.pointers) if p][:4]
            if not line.pointers:
                if line.vaccine and vaccination:
                    line.pointers = vaccination[:1]
                elif line.visit:
                    line.pointers = (others or vaccination)[:4]
                else:
                    line.pointers = (others or vaccination)[:1] if not self.from_source else (others or vaccination)[:4]

    def _modify(self) -> None:
        """A visit beside a vaccine or a procedure was separate from it: modifier 25, on visits that rules have coded."""
        if not any(line.separate for line in self.lines):
            return
        for line in self.lines:
            if line.visit and line.rule_id != SOURCE_CODED[0] and "25" not in line.modifiers:
                kept: list[str | None] = [m for m in line.modifiers if m]
                line.modifiers = ["25", *kept][:4]

    def _price(self) -> tuple[int, int]:
        """The source's charge, else the charge master's on the day of the line. Billed cents, and those of the master."""
        billed = priced = 0
        for line in self.lines:
            if line.charge is None:
                price = self.rules.price(
                    line.procedure, line.service.service_date, next(iter(line.modifiers), None) or ""
                )
                if price is None:
                    self._cause(
                        f"price:{line.procedure}", f"Service without a price ({line.procedure})",
                        f"The charge master has no price of {line.procedure} on that day.",
                        "Add the price with its first day to the charge master.",
                    )  # fmt: skip
                    continue
                # whole units only: a price is never multiplied into fractions of a cent
                whole = int(line.units)
                if whole != line.units:
                    self._cause(f"units:{line.procedure}", f"Parts of a unit without a charge ({line.procedure})",
                                "The charge master prices whole units only.",
                                "Give the line's charge in the extract.")  # fmt: skip
                    continue
                line.charge = price.cents * whole
                line.price_origin = price.origin
                priced += line.charge
            billed += line.charge
        return billed, priced

    # reasons

    def _cause(self, code: str, title: str, words: str, action: str = "") -> None:
        if not any(c.code == code for c in self.causes):
            self.causes.append(Cause(code, title, words, action) if action else Cause(code, title, words))

    def _open(self, system: str, code: str, kind: str, suggested: list[Rule]) -> None:
        """A source code that no rule decides."""
        named = [f"{' '.join(r.codes) or 'no code'} ({r.origin})" if r.origin else " ".join(r.codes) for r in suggested]
        words = f"No rule decides {system} {code} ({kind})."
        if any(named):
            words += " Suggested: " + "; ".join(n for n in named if n) + "."
        what = "that only the record can decide" if any(named) else "that no rule codes"
        self._cause(f"{system}:{code}", f"{_KINDS.get(kind, 'Service')} {what} ({system} {code})", words)

    def _suggest(self, family: str, why: str, cause: str = "") -> None:
        named = [f"{codes} ({words})" for codes, words in self.rules.suggestions.get(family, []) if codes]
        words = f"{why[:1].upper()}{why[1:]}."
        if named:
            words += " Suggested: " + "; ".join(named) + "."
        title = "New or established patient?" if cause == NEW_OR_ESTABLISHED else FAMILIES.get(family, "")
        self._cause(cause or f"visit:{family}", title or "Visit whose code is not certain", words)


def age(birth: date, on: date) -> int:
    """Completed years."""
    return on.year - birth.year - ((on.month, on.day) < (birth.month, birth.day))
