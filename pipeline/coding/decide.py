"""A coder's answer to an item of the coder's list: checked against the visit, kept, and acted on by the next night."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa

from pipeline.codes import Status, normal, open_icd10cm, procedure_shaped
from pipeline.codes.lists import modifier_shaped
from pipeline.coding import answers, rules
from pipeline.coding.answers import NONE, Answer
from pipeline.coding.visit import HCPCS, ICD10CM, NEW_OR_ESTABLISHED
from pipeline.errors import Terminal
from pipeline.store import register as r
from pipeline.store.store import Store

_HOW = "Write --code CODE, or --code SYSTEM:CODE=CODE where the visit has more than one open code. See docs/coding.md."


@dataclass(frozen=True, slots=True)
class Decision:
    """What a coder said of one visit, as the coder saw it."""

    encounter_key: str
    version: int
    first: date
    answers: tuple[Answer, ...]
    cause: str = ""

    def target(self, *, as_rule: bool, condition: str) -> str:
        """The text under which it is kept."""
        return answers.written(self.version, self.answers, as_rule=as_rule, condition=condition)


def read(store: Store, connection: sa.Connection, item: dict[str, Any], given: Sequence[str]) -> Decision:
    """The answer that `given` (`CODE`, `CODE,CODE` or `SYSTEM:CODE=CODE,CODE`; codes or `none`) is to a coding item.

    Terminal where the visit does not wait for a coder, has no such source code, or a code is none.
    """
    if not given:
        raise Terminal("The action code needs --code.", fix=_HOW)
    e = r.encounters.c
    visit = connection.execute(sa.select(r.encounters).where(e.encounter_key == item["subject"])).first()
    if visit is None or visit.state != "coder_list":
        raise Terminal("The visit of this item does not wait for a coder any more.", fix="Close the item with a note.")
    stated = _stated(store, visit)
    found: dict[answers.Key, Answer] = {}
    for text in given:
        source, equals, wanted = text.rpartition("=")
        codes = () if wanted.strip().lower() == NONE else tuple(_code(c) for c in wanted.split(","))
        for kind, system, code in _meant(source if equals else "", item, stated, codes):
            _check(kind, codes, visit.service_from)
            found[(kind, system, code)] = Answer("diagnosis" if kind == "diagnosis" else "service", system, code, codes)
    chosen = tuple(found[key] for key in sorted(found))
    return Decision(visit.encounter_key, visit.version, visit.service_from, chosen, item["cause"])


def keep(
    store: Store, connection: sa.Connection, decision: Decision, *, decision_id: str, owner: str, reason: str, on: date,
    as_rule: bool, condition: str,
) -> None:  # fmt: skip
    """The visit is coded again in the next night; `as_rule`: so are all others of which the answer speaks."""
    if condition and not as_rule:
        raise Terminal("--when is the condition of a rule.", fix="Give --as-rule with it.")
    rules.condition(condition)
    if as_rule and decision.cause == NEW_OR_ESTABLISHED:
        raise Terminal(
            "Whether a patient is new or established stands in each patient's record: no rule can say it for all visits.",
            fix="Answer this visit alone, without --as-rule.",
        )
    if as_rule:
        answers.add_rules(
            store.settings.home, decision.answers, decision_id=decision_id, owner=owner, reason=reason, on=on,
            first=decision.first, condition=condition,
        )  # fmt: skip
    connection.execute(
        sa.update(r.encounters).where(r.encounters.c.encounter_key == decision.encounter_key).values(coded_with=None)
    )


def _stated(store: Store, visit: Any) -> set[answers.Key]:
    """What the visit's record writes in codes that are not the claim's own; the visit itself under the kind `visit`."""
    where = ("encounter_key", [visit.encounter_key])
    found: set[answers.Key] = set()
    for row in store.lake.read(
        "encounter_diagnoses", visit.logical_date, visit.lake_part, where, required=True
    ).to_pylist():
        if row["system"] not in ICD10CM:
            found.add(("diagnosis", row["system"], row["code"]))
    for row in store.lake.read(
        "encounter_lines", visit.logical_date, visit.lake_part, where, required=True
    ).to_pylist():
        if row["system"] not in HCPCS:
            found.add(("visit" if row["kind"] == "visit" else "service", row["system"], row["code"]))
        if row["system"] == "CVX":
            found.add(rules.giving_of(row["code"]))
    return found


def _meant(source: str, item: dict[str, Any], stated: set[answers.Key], codes: Sequence[str]) -> list[answers.Key]:
    """The source codes that an answer speaks of: the one that is named, else the one that the item is about."""
    about = source.strip() or item["cause"]
    mine = {key for key in stated if f"{key[1]}:{key[2]}" == about}
    if not mine and not source and item["cause"].startswith(("visit:", NEW_OR_ESTABLISHED)):
        mine = {key for key in stated if key[0] == "visit"}
    if len(mine) > 1 and codes:  # one code for a diagnosis and for a service: the answer's own form tells
        diagnosis = all(open_icd10cm().valid(c, date.max).status in (Status.billable, Status.heading) for c in codes)
        mine = {key for key in mine if (key[0] == "diagnosis") == diagnosis}
    if len(mine) != 1:
        what = f"no code {about}" if source else "no single code that this item is about"
        raise Terminal(f"The visit's record has {what}.", fix=_HOW)
    (kind, system, code) = mine.pop()
    return [("diagnosis" if kind == "diagnosis" else "service", system, code)]


def _code(text: str) -> str:
    """As claims write it: no point in a diagnosis, capitals; a procedure keeps the dashes before its modifiers."""
    return "-".join(normal(part) for part in text.strip().split("-"))


def _check(kind: str, codes: Sequence[str], on: date) -> None:
    for code in codes:
        procedure, *modifiers = code.split("-")
        if kind == "diagnosis":
            status = open_icd10cm().valid(code, on).status
            if status is not Status.billable:
                raise Terminal(
                    f"{code} is no ICD-10-CM code that can be billed on {on.isoformat()} ({status.value}).",
                    fix="Look the code up for that day; a heading needs more characters.",
                )
        elif not (procedure_shaped(procedure) or _dental(procedure)) or not all(map(modifier_shaped, modifiers)):
            raise Terminal(
                f"{code} has not the form of a procedure code.",
                fix="Write CODE or CODE-MODIFIER, for example 99213-25.",
            )


def _dental(code: str) -> bool:
    return len(code) == 5 and code[0] == "D" and code[1:].isdigit()
