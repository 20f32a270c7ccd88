"""Coding: encounters that intake took in become coded claims, or items of the coder's list, or are not billable.

Encounters in state `extracted` are coded, and those that older rules left on the coder's list or called not billable are
tried again when the rules have changed or a coder has answered. The coded claims, their diagnoses and lines go into the lake, one part for each
part of intake; the register says where each encounter stands.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from pipeline import shapes
from pipeline.coding import answers
from pipeline.coding import rules as tables
from pipeline.coding.history import History
from pipeline.coding.visit import Coded, Diagnosis, ForCoder, NotBillable, Outcome, Service, Visit, code_visit
from pipeline.failpoints import failpoint
from pipeline.findings import Finding
from pipeline.money import cents, dollars, shown
from pipeline.payers import load_profiles
from pipeline.store import register as r
from pipeline.store.store import Store, add_to_stage, record_findings, update_rows
from pipeline.store.work import WorkItem, close_items, open_items

STAGE = "coding"
GUIDES = {"professional": "005010X222A1", "institutional": "005010X223A2", "dental": "005010X224A2"}
#: SBR09 of payers that follow Medicare's own codes
MEDICARE = frozenset({"MA", "MB"})
NOT_BILLABLE = {
    "self_pay": "no insurer: the patient pays",
    "before_icd10cm": "service before 1 October 2015, when claims were coded in ICD-9-CM",
    "nothing_to_bill": "every line is one that is never billed apart",
}


def run(store: Store, on: date) -> dict[str, int]:
    """Code what is to be coded. Returns counts and cents of what this run decided."""
    rules = tables.load(store.settings.home)
    by_time = store.settings.coding.visit_minutes_are_practitioner_time
    fingerprint = hashlib.sha256(f"{rules.fingerprint}{by_time}".encode()).hexdigest()[:16]
    due = _due(store, fingerprint)
    if not due:
        return {}
    with store.read() as connection:
        answered = answers.of_visits(connection, {row.encounter_key: row.version for row in due})
    coder = _Coder(store, rules, by_time, answered)
    counts: Counter[str] = Counter()
    changes: list[dict[str, Any]] = []
    items: list[WorkItem] = []
    findings: list[Finding] = []
    groups: dict[tuple[date, str], list[Any]] = defaultdict(list)
    for row in due:
        groups[(row.logical_date, row.lake_part)].append(row)
    for (day, part), rows in sorted(groups.items()):
        outcomes, claims, lines = coder.code(day, part, [row.encounter_key for row in rows])
        coded_part = _part_name(part, rows, outcomes, fingerprint, answered)
        written = _write(store, day, coded_part, claims, lines, outcomes)
        for row in rows:
            outcome = outcomes[row.encounter_key]
            changes.append(_change(row.encounter_key, outcome, coded_part if written else None, fingerprint))
            _count(counts, row.charge_cents, outcome)
            if isinstance(outcome, ForCoder):
                items.append(_item(row, outcome, on))
            elif isinstance(outcome, Coded):
                findings += _warnings(row.encounter_key, outcome)
    _record(store, on, changes, items, findings, counts)
    return dict(sorted(counts.items()))


def claim_id(encounter_key: str) -> str:
    """CLM01, the same for the same encounter: C and twelve characters of A–Z, 2–7."""
    return "C" + base64.b32encode(hashlib.sha256(encounter_key.encode()).digest())[:12].decode()


def _due(store: Store, fingerprint: str) -> Sequence[Any]:
    e = r.encounters.c
    with store.read() as connection:
        return connection.execute(
            sa.select(
                e.encounter_key, e.version, e.logical_date, e.lake_part, e.content_hash, e.charge_cents, e.payer_key
            )
            .where(
                (e.state == "extracted")
                | (
                    e.state.in_(("coder_list", "not_billable"))
                    & sa.or_(e.coded_with.is_(None), e.coded_with != fingerprint)
                )
            )
            .order_by(e.encounter_key)
        ).all()


class _Coder:
    """Reads the parts of intake and codes their visits."""

    def __init__(
        self,
        store: Store,
        rules: tables.Rules,
        by_time: bool,
        answered: Mapping[str, Mapping[answers.Key, tables.Rule]],
    ) -> None:
        self.store, self.rules, self.by_time, self.answered = store, rules, by_time, answered
        profiles = load_profiles(store.settings.payers_dir)
        self.medicare = {key for key, profile in profiles.items() if profile.claims.filing_indicator in MEDICARE}
        self._history: History | None = None

    @property
    def history(self) -> History:
        if self._history is None:
            self._history = History(self.store)
        return self._history

    def _status(self, practice: str, patient: str, specialty: str, on: date) -> str:
        return self.history.status(practice, patient, specialty, on)

    def code(self, day: date, part: str, keys: list[str]) -> tuple[dict[str, Outcome], pa.Table, pa.Table]:
        """Outcomes by encounter, and the part's tables of encounters and lines."""
        where = ("encounter_key", keys)
        encounters = self.store.lake.read("encounters", day, part, where, required=True)
        diagnoses = self.store.lake.read("encounter_diagnoses", day, part, where)
        lines = self.store.lake.read("encounter_lines", day, part, where)
        stated = _diagnoses(diagnoses)
        services = _services(lines)
        outcomes: dict[str, Outcome] = {}
        names = [
            "encounter_key",
            "claim_type",
            "service_from",
            "service_to",
            "minutes",
            "visit_class",
            "visit_system",
            "visit_code",
            "place_of_service",
            "charge",
            "payer_source",
            "payer_key",
            "patient_birth_date",
            "patient_sex",
            "practice_id",
            "patient_id",
            "rendering_taxonomy",
        ]
        for (key, kind, start, end, minutes, class_, system, code, place, charge, payer, payer_key, birth, sex, practice,
             patient, specialty) in zip(*(encounters.column(n).to_pylist() for n in names), strict=True):  # fmt: skip
            visit = Visit(
                key, kind, start, end, minutes, class_ or "", system or "", code or "", place or "", cents(charge),
                payer or "", "medicare" if payer_key in self.medicare else "other", birth, sex or "",
                stated.get(key, []), services.get(key, []),
                partial(self._status, practice, patient or "", specialty or "", start), self.answered.get(key, {}),
            )  # fmt: skip
            outcomes[key] = code_visit(visit, self.rules, minutes_are_practitioner_time=self.by_time)
        return outcomes, encounters, lines


def _diagnoses(table: pa.Table) -> dict[str, list[Diagnosis]]:
    names = ("encounter_key", "rank", "system", "code", "source_file", "source_row", "source_column", "kind", "poa")
    found: dict[str, list[Diagnosis]] = {}
    for key, rank, system, code, file, row, column, kind, poa in zip(
        *(table.column(n).to_pylist() for n in names), strict=True
    ):
        place = f"{file} row {row} column {column}" if column else f"{file} row {row}"
        found.setdefault(key, []).append(Diagnosis(rank, system, code, place, kind or "", poa or ""))
    return found


def _services(table: pa.Table) -> dict[str, list[Service]]:
    names = [
        "encounter_key",
        "line",
        "kind",
        "system",
        "code",
        "modifier1",
        "modifier2",
        "modifier3",
        "modifier4",
        "units",
        "charge",
        "service_date",
        "pointers",
        "minutes",
        "source_file",
        "source_row",
        "revenue_code",
    ]
    found: dict[str, list[Service]] = {}
    columns = [table.column(n).to_pylist() for n in names]
    for index, (
        key,
        line,
        kind,
        system,
        code,
        m1,
        m2,
        m3,
        m4,
        units,
        charge,
        day,
        pointers,
        minutes,
        file,
        row,
        revenue,
    ) in enumerate(zip(*columns, strict=True)):
        found.setdefault(key, []).append(
            Service(
                line, kind, system, code, (m1, m2, m3, m4), units, None if charge is None else cents(charge), day,
                pointers or "", minutes, f"{file} row {row}", index, revenue or "",
            )
        )  # fmt: skip
    for services in found.values():
        services.sort(key=lambda s: s.line)
    return found


def _part_name(
    part: str, rows: Iterable[Any], outcomes: Mapping[str, Outcome], fingerprint: str,
    answered: Mapping[str, Mapping[answers.Key, tables.Rule]],
) -> str:  # fmt: skip
    """A part is named by what it holds: the same encounters under the same rules and answers give the same part."""
    digest = hashlib.sha256(fingerprint.encode())
    for row in rows:
        if isinstance(outcomes[row.encounter_key], Coded):
            digest.update(f"\0{row.encounter_key}\0{row.content_hash}".encode())
            for rule in answered.get(row.encounter_key, {}).values():
                digest.update(f"\0{rule.rule_id}".encode())
    return f"{part[:16]}-{digest.hexdigest()[:16]}"


def _write(
    store: Store, day: date, part: str, encounters: pa.Table, lines: pa.Table,
    outcomes: Mapping[str, Outcome],
) -> bool:  # fmt: skip
    """The coded claims of one part into the lake; false where there is none."""
    coded = {key: outcome for key, outcome in outcomes.items() if isinstance(outcome, Coded)}
    if not coded:
        return False
    ids = {key: claim_id(key) for key in coded}
    claims = _claims(encounters, coded, ids)
    diagnoses = shapes.from_rows(
        "coded_diagnoses",
        (
            {
                "claim_id": ids[key], "rank": d.rank, "code": d.code, "rule_id": d.rule_id,
                "rule_version": d.version, "source": d.source, "kind": d.kind or None, "poa": d.poa or None,
            }
            for key, outcome in coded.items() for d in outcome.diagnoses
        ),
    )  # fmt: skip
    failpoint("coding.before_lake")
    store.lake.write("coded_claims", day, part, claims)
    store.lake.write("coded_diagnoses", day, part, diagnoses)
    store.lake.write("coded_lines", day, part, _lines(lines, coded, ids))
    return True


def _claims(encounters: pa.Table, coded: Mapping[str, Coded], ids: Mapping[str, str]) -> pa.Table:
    """The encounters' columns, less what coding decides."""
    rows = encounters.filter(pc.is_in(encounters.column("encounter_key"), pa.array(list(coded), pa.string())))
    keys = rows.column("encounter_key").to_pylist()
    decided: dict[str, list[Any]] = {
        "claim_id": [ids[k] for k in keys],
        "guide": [GUIDES[kind] for kind in rows.column("claim_type").to_pylist()],
        "frequency": ["1"] * len(keys),
        "payer_claim_number": [None] * len(keys),
        "place_of_service": [coded[k].place_of_service or None for k in keys],
        "charge": [dollars(coded[k].billed) for k in keys],
    }
    shape = shapes.schema("coded_claims")
    return pa.table(
        [pa.array(decided[f.name], f.type) if f.name in decided else rows.column(f.name) for f in shape], schema=shape
    )


def _lines(lines: pa.Table, coded: Mapping[str, Coded], ids: Mapping[str, str]) -> pa.Table:
    """The coded lines; columns that coding does not touch are handed on from the source's line."""
    shape = shapes.schema("coded_lines")
    columns: dict[str, list[Any]] = {
        n: [] for n in ["claim_id", "line", "qualifier", "procedure", "modifier1", "modifier2", "modifier3", "modifier4", "charge", "unit_basis", "units", "place_of_service", "pointer1", "pointer2", "pointer3", "pointer4", "service_date", "line_control_number", "rule_id", "rule_version", "price_origin", "source", "revenue_code"]
    }  # fmt: skip
    index: list[int] = []
    for key, outcome in coded.items():
        claim = ids[key]
        for number, line in enumerate(outcome.lines, 1):
            index.append(line.service.index)
            columns["claim_id"].append(claim)
            columns["line"].append(number)
            columns["qualifier"].append(line.qualifier or None)
            columns["procedure"].append(line.procedure or None)
            columns["revenue_code"].append(line.revenue_code or None)
            for n in range(4):
                columns[f"modifier{n + 1}"].append(line.modifiers[n] if n < len(line.modifiers) else None)
                columns[f"pointer{n + 1}"].append(line.pointers[n] if n < len(line.pointers) else None)
            columns["charge"].append(dollars(line.charge or 0))
            columns["unit_basis"].append(line.unit_basis)
            columns["units"].append(line.units)
            columns["place_of_service"].append(None)
            columns["service_date"].append(line.service.service_date)
            columns["line_control_number"].append(f"{claim}-{number}")
            columns["rule_id"].append(line.rule_id)
            columns["rule_version"].append(line.version)
            columns["price_origin"].append(line.price_origin)
            columns["source"].append(line.service.source)
    handed = lines.take(pa.array(index, pa.int64()))
    return pa.table(
        [pa.array(columns[f.name], f.type) if f.name in columns else handed.column(f.name) for f in shape],
        schema=shape,
    )


def _change(key: str, outcome: Outcome, part: str | None, fingerprint: str) -> dict[str, Any]:
    change = {
        "encounter_key": key, "coded_with": fingerprint, "coded_part": None, "billed_cents": 0, "unbilled_cents": 0,
        "priced_cents": 0,
    }  # fmt: skip
    if isinstance(outcome, Coded):
        return change | {
            "state": "coded", "reason": "", "coded_part": part, "billed_cents": outcome.billed,
            "unbilled_cents": outcome.unbilled, "priced_cents": outcome.priced,
        }  # fmt: skip
    if isinstance(outcome, NotBillable):
        return change | {"state": "not_billable", "reason": outcome.reason}
    return change | {"state": "coder_list", "reason": outcome.causes[0].code}


def _count(counts: Counter[str], charge: int, outcome: Outcome) -> None:
    counts["encounters"] += 1
    counts["charge_cents"] += charge
    if isinstance(outcome, Coded):
        counts["coded"] += 1
        counts["billed_cents"] += outcome.billed
        counts["unbilled_cents"] += outcome.unbilled
        counts["priced_cents"] += outcome.priced
        for rule, amount in outcome.unbilled_by_rule.items():
            counts[f"unbilled.{rule}_cents"] += amount
    elif isinstance(outcome, NotBillable):
        counts["not_billable"] += 1
        counts["not_billable_cents"] += charge
        counts[f"not_billable.{outcome.reason}"] += 1
    else:
        counts["coder_list"] += 1
        counts["coder_list_cents"] += charge


def _item(row: Any, outcome: ForCoder, on: date) -> WorkItem:
    cause = outcome.causes[0]
    return WorkItem(
        queue="coding", subject=row.encounter_key, cause=cause.code, payer_key=row.payer_key, title=cause.title,
        reason=" ".join(c.words for c in outcome.causes), action=cause.action, opened_on=on, cents=row.charge_cents,
        reference=f"visit version {row.version}" if row.version > 1 else "",
    )  # fmt: skip


def _warnings(key: str, outcome: Coded) -> list[Finding]:
    return [
        Finding(
            rule=rule.rule_id,
            severity="warning",
            subject=key,
            source=service.source,
            message=f"{shown(service.charge or 0)} of the visit's charge stays unbilled: {rule.origin}.",
            fix="Name the service in the extract, or write the charge off.",
        )
        for rule, service in outcome.warned
    ]


def _record(
    store: Store,
    on: date,
    changes: list[dict[str, Any]],
    items: list[WorkItem],
    findings: list[Finding],
    counts: Counter[str],
) -> None:
    wanted = {item.subject: item.item_id for item in items}
    touched = {change["encounter_key"] for change in changes}
    failpoint("coding.before_register")
    with store.begin() as connection:
        columns = ["state", "reason", "coded_part", "coded_with", "billed_cents", "unbilled_cents", "priced_cents"]
        update_rows(connection, r.encounters, "encounter_key", changes, columns)
        stale = [
            row.subject
            for row in connection.execute(
                sa.select(r.work_items.c.subject, r.work_items.c.item_id).where(
                    r.work_items.c.queue == "coding", r.work_items.c.state == "open"
                )
            )
            if row.subject in touched and wanted.get(row.subject) != row.item_id
        ]
        close_items(connection, "coding", stale, "The visit was coded again with another outcome.")
        open_items(connection, items)
        record_findings(connection, STAGE, on, findings)
        add_to_stage(connection, STAGE, on, counts)
