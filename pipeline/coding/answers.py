"""What coders answered: the codes that a person chose for what the source wrote, for one visit or as a rule of the practice.

An answer speaks of a code as the source wrote it (`diagnosis SNOMED:33737001`, `service CVX:140`; the visit itself is a service too)
and names the codes that go on the claim, or none. It is kept for good as the target of a row of `item_decisions` (`code`), with who,
when and why, and holds for the version of the visit that the person saw. Coding gives it to the visit as a rule whose id is
`coder-` and the decision's first characters, so that a billed code leads back to the person.

A rule of the practice is a row of `HOME/coding/own_rules.csv`, and comes before those that ship.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, unquote

import sqlalchemy as sa

from pipeline.coding.rules import OWN_COLUMNS, Rule, own_file, own_rule
from pipeline.errors import Terminal
from pipeline.store import register as r
from pipeline.store.archive import write_synced
from pipeline.store.store import chunks

ACTION = "code"
Kind = Literal["diagnosis", "service"]
#: (kind, system, code) as the source wrote it
Key = tuple[str, str, str]
#: how a person writes that something is on no claim
NONE = "none"
_TARGET = re.compile(r"visit version (\d+): (.*?)(?: \| rule.*)?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Answer:
    """`codes`: what goes on the claim, procedures with their modifiers behind dashes; empty: nothing does."""

    kind: Kind
    system: str
    code: str
    codes: tuple[str, ...]

    @property
    def key(self) -> Key:
        return self.kind, self.system, self.code

    @property
    def certainty(self) -> str:
        return "policy" if self.codes else "omit" if self.kind == "diagnosis" else "never"


def written(version: int, answers: Iterable[Answer], *, as_rule: bool = False, condition: str = "") -> str:
    """The answers as the target of a decision; `read` gives them back."""
    told = sorted(
        f"{a.kind} {quote(a.system, safe='')}:{quote(a.code, safe='')}={','.join(a.codes) or NONE}" for a in answers
    )
    rule = f" | rule{f' when {condition}' if condition else ''}" if as_rule else ""
    return f"visit version {version}: {'; '.join(told)}{rule}"


def read(target: str) -> tuple[int, list[Answer]]:
    """(visit version, answers) of a decision's target."""
    found = _TARGET.fullmatch(target)
    if found is None:
        raise ValueError("no answer of a coder")
    answers = []
    for part in found[2].split("; "):
        kind, _, rest = part.partition(" ")
        source, _, codes = rest.partition("=")
        system, _, code = source.partition(":")
        chosen = () if codes == NONE else tuple(codes.split(","))
        answers.append(
            Answer("diagnosis" if kind == "diagnosis" else "service", unquote(system), unquote(code), chosen)
        )
    return int(found[1]), answers


def of_visits(connection: sa.Connection, versions: Mapping[str, int]) -> dict[str, dict[Key, Rule]]:
    """Encounter → its answers as rules; of two about one source code the later counts. `versions`: encounter → its version."""
    d = r.item_decisions.c
    keys = list(versions)
    found: dict[str, dict[Key, Rule]] = {}
    rows: list[Any] = []
    for some in chunks(keys):
        rows += connection.execute(
            sa.select(d.decision_id, d.subject, d.target, d.actor, d.reason, d.on_date)
            .where(d.action == ACTION, d.subject.in_(some))
        ).all()  # fmt: skip
    for row in sorted(rows, key=lambda row: (row.on_date, row.decision_id)):
        version, answers = read(row.target)
        if version != versions[row.subject]:
            continue  # the visit has changed since: a coder looks again
        for answer in answers:
            rule = own_rule(
                {"rule_id": f"coder-{row.decision_id[:12]}", "version": "1", "certainty": answer.certainty, "kind": answer.kind,
                 "system": answer.system, "code": answer.code, "codes": " ".join(answer.codes),
                 "origin": f"{row.actor} on {row.on_date}: {row.reason}"},
                "item_decisions",
            )  # fmt: skip
            found.setdefault(row.subject, {})[answer.key] = rule
    return found


def add_rules(
    home: Path, answers: Sequence[Answer], *, decision_id: str, owner: str, reason: str, on: date, first: date, condition: str
) -> Path:  # fmt: skip
    """Write the answers into the practice's own table: in force from `first`, which ends an earlier row of the same source code.

    The same decision again adds nothing. Terminal where a row that begins on that day or later says otherwise.
    """
    path = own_file(home)
    rows = read_own(path)
    for number, answer in enumerate(answers, 1):
        rule_id = f"own-{decision_id[:12]}-{number}"
        if any(row["rule_id"] == rule_id for row in rows):
            continue
        same = [
            row for row in rows
            if (row["kind"], row["system"], row["code"], row["condition"]) == (*answer.key, condition)
        ]  # fmt: skip
        for row in same:
            if row["effective_to"] and date.fromisoformat(row["effective_to"]) < first:
                continue
            if row["effective_from"] and date.fromisoformat(row["effective_from"]) >= first:
                raise Terminal(
                    f"The rule {row['rule_id']} in {path} decides {answer.system} {answer.code} already, from {row['effective_from']}.",
                    fix="Correct that row, or answer this visit alone, without --as-rule.",
                )
            row["effective_to"] = (first - timedelta(days=1)).isoformat()
        rows.append({
            "rule_id": rule_id, "version": str(len(same) + 1), "effective_from": first.isoformat(), "effective_to": "",
            "certainty": answer.certainty, "kind": answer.kind, "system": answer.system, "code": answer.code,
            "condition": condition, "codes": " ".join(answer.codes), "owner": owner,
            "origin": f"{owner} on {on.isoformat()}: {reason}",
        })  # fmt: skip
    text = io.StringIO()
    writer = csv.DictWriter(text, OWN_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    data = text.getvalue().encode()
    if not path.is_file() or path.read_bytes() != data:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_synced(path, data)
    return path


def read_own(path: Path) -> list[dict[str, str]]:
    """The rows of the practice's own table; none where there is no table."""
    if not path.is_file():
        return []
    return list(csv.DictReader(io.StringIO(path.read_bytes().decode("utf-8-sig"))))
