"""Versions of a claim: what a changed, cancelled or re-sent visit makes of the claim that a payer has seen.

Theory. Each version of a visit's claim is a row of `claims` with a number (CLM01) of its own, so whatever a payer says of an
older version still finds it, and what a payer did with a version stays that version's state. The payer *holds* the newest
version that it did not reject. From there the rules of the trade decide:

    the newest version is on its way          wait for the answer: nothing is corrected blindly
    the payer holds none, or a void           a new original: frequency 1 without F8
    the payer holds one, the visit changed    replacement: frequency 7 with the payer's number (F8)
    the payer holds one, the visit is off     void: frequency 8 with F8
    the claim would say the same              no new version, unless a person asks for one

A replacement or void may take money back, so a person approves it unless the payer's profile says otherwise. `plan` is a
pure function of the versions, the decisions of people and the profile; the rest of this module reads and rewrites tables.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from pipeline import shapes
from pipeline.store import register as r
from pipeline.store.store import Store, chunks

Policy = Literal["approve", "automatic", "none"]
#: no payer holds these: rejected, or let go again by a person (`claims/release.py`) and in no new file yet
NOT_HELD = frozenset({"rejected", "ready"})
#: the payer's answer to these is still to come
ON_ITS_WAY = frozenset({"batched", "sent", "unknown", "received"})
_TABLES = ("claims", "diagnoses", "lines")
#: columns that say which claim it is and where it comes from, not what it says to the payer
_NOT_CONTENT = frozenset({
    "claim_id", "frequency", "payer_claim_number", "line_control_number", "encounter_key", "content_hash", "source_format",
    "source_file", "source_row", "source", "rule_id", "rule_version", "price_origin", "synthetic", "payer_source", "minutes",
    "visit_class", "visit_system", "visit_code",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Version:
    """A version that went into a file. `number`: the payer's claim number (835 CLP07, else 277CA REF*1K), if known."""

    claim_id: str
    version: int
    frequency: str
    state: str
    payer_key: str
    charge_cents: int = 0
    number: str | None = None
    scrubbed: tuple[date, str] | None = None
    closed: bool = False
    tested: bool = False  # it went in a test file (ISA15)


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person decided about this visit: approve, keep or resend."""

    action: str
    visit_version: int
    claim_id: str


@dataclass(frozen=True, slots=True)
class Plan:
    """`keep`: the version `claim_id` speaks for the visit. `drop`: nothing is left to bill. `make`: a version of the visit's
    present content; `void`: one of what the payer holds. `hold` names why it does not go yet (parameter of an edit)."""

    action: Literal["keep", "drop", "make", "void"]
    claim_id: str = ""
    version: int = 0
    frequency: str = "1"
    number: str | None = None
    replaces: str | None = None
    hold: str = ""


def plan(
    family: Sequence[Version], *, same: bool, cancelled: bool, payer_key: str | None, visit_version: int, policy: Policy,
    decisions: Collection[Decision] = (),
) -> Plan:  # fmt: skip
    """What becomes of a visit whose claim left the house. `family`: its versions, oldest first; `same`: the newest one says
    what the visit says now; `policy`: of the payer that holds it."""
    newest = family[-1]
    let_go = newest.state == "ready"
    resend = any(d.action == "resend" and d.claim_id == newest.claim_id for d in decisions) or (let_go and same)
    decided = {d.action for d in decisions if d.claim_id == newest.claim_id and d.visit_version == visit_version}
    fresh = Plan("make", f"{family[0].claim_id}V{newest.version + 1}", newest.version + 1)
    if newest.state in ON_ITS_WAY:
        unchanged = newest.frequency == "8" if cancelled else same and newest.frequency != "8"
        return Plan("keep", newest.claim_id) if unchanged else _held(fresh, "waits")
    if "keep" in decided or (same and not cancelled and not resend and newest.frequency != "8"):
        return Plan("keep", newest.claim_id)
    base = next((v for v in reversed(family) if v.state not in NOT_HELD), None)
    if base is None or base.frequency == "8":
        return Plan("drop") if cancelled else fresh
    moved = not cancelled and payer_key != base.payer_key
    later = Plan(
        "void" if cancelled or moved else "make", fresh.claim_id, fresh.version, "8" if cancelled or moved else "7", base.number,
        base.claim_id,
    )  # fmt: skip
    if policy == "none":
        anew = resend and base.state == "denied" and not moved
        return fresh if anew else _held(later, "not taken")
    if not base.number:
        return _held(later, "no number")
    if resend or "approve" in decided or policy == "automatic":
        return later
    return _held(later, "void" if cancelled else "other payer" if moved else "replacement")


def _held(made: Plan, why: str) -> Plan:
    return Plan(made.action, made.claim_id, made.version, made.frequency, made.number, made.replaces, why)


# --- from the register ------------------------------------------------------------------------------------------------


def families(store: Store, keys: Sequence[str]) -> dict[str, list[Version]]:
    """Visit → the versions of its claim that went into a file, oldest first; visits without one are left out."""
    c = r.claims.c
    found: dict[str, list[Any]] = defaultdict(list)
    with store.read() as connection:
        if not connection.execute(sa.select(c.claim_id).where(c.file_id.is_not(None)).limit(1)).first():
            return {}
        for some in chunks(keys):
            query = (
                sa.select(r.claims, r.sendings.c.usage)
                .select_from(r.claims.outerjoin(r.sendings, r.sendings.c.file_id == c.file_id))
                .where(c.encounter_key.in_(some), c.file_id.is_not(None))
            )
            for row in connection.execute(query.order_by(c.encounter_key, c.version)):
                found[row.encounter_key].append(row)
        numbers = _numbers(connection, [row.claim_id for rows in found.values() for row in rows])
    return {
        key: [
            Version(
                row.claim_id, row.version, row.frequency, row.state, row.payer_key, row.charge_cents,
                numbers.get(row.claim_id) or row.payer_claim_number, (row.scrubbed_date, row.scrubbed_part),
                row.closed_on is not None, row.usage == "T",
            )
            for row in rows
        ]
        for key, rows in found.items()
    }  # fmt: skip


def _numbers(connection: sa.Connection, claim_ids: Sequence[str]) -> dict[str, str]:
    """Claim → the payer's number of its latest payment that stands."""
    p, m = r.remittance_claims.c, r.remittances.c
    found: dict[str, str] = {}
    for some in chunks(claim_ids):
        taken_back = sa.select(p.reverses).where(p.claim_id.in_(some), p.reverses != "", p.state == "posted")
        undone = set(connection.execute(taken_back).scalars())
        query = (
            sa.select(p.claim_id, p.remittance_id, p.claim_number, p.payer_claim_number)
            .join_from(r.remittance_claims, r.remittances, p.remittance_id == m.remittance_id)
            .where(p.claim_id.in_(some), p.state == "posted", p.outcome != "reversal", p.payer_claim_number != "")
            .order_by(m.payment_date, p.remittance_id, p.claim_number)
        )
        payments = connection.execute(query).all()
        for stands in (False, True):  # where every payment was taken back, the last number is still the payer's
            for row in payments:
                if (f"{row.remittance_id}/{row.claim_number}" not in undone) is stands:
                    found[row.claim_id] = row.payer_claim_number
    return found


def decisions(store: Store, keys: Sequence[str]) -> dict[str, list[Decision]]:
    d = r.decisions.c
    found: dict[str, list[Decision]] = defaultdict(list)
    with store.read() as connection:
        for some in chunks(keys):
            for row in connection.execute(sa.select(r.decisions).where(d.encounter_key.in_(some))):
                found[row.encounter_key].append(Decision(row.action, row.visit_version, row.claim_id))
    return found


# --- tables -----------------------------------------------------------------------------------------------------------


def contents(tables: Mapping[str, pa.Table], claim_ids: Collection[str]) -> dict[str, str]:
    """Claim → a hash of what it says to the payer, diagnoses and lines included."""
    parts: dict[str, list[str]] = {claim_id: [] for claim_id in sorted(claim_ids)}
    for name in _TABLES:
        order = {"diagnoses": "rank", "lines": "line"}.get(name)
        rows = _of(tables[name], "claim_id", claim_ids).to_pylist()
        for row in sorted(rows, key=lambda x: x[order] if order else 0):
            told = sorted((k, v) for k, v in row.items() if k not in _NOT_CONTENT and v not in (None, "", []))
            parts[row["claim_id"]].append(f"{name}{told}")
    return {claim_id: hashlib.sha256("\x1e".join(told).encode()).hexdigest() for claim_id, told in parts.items()}


def as_sent(store: Store, versions: Iterable[Version]) -> dict[str, pa.Table]:
    """The scrubbed tables of these versions, from the lake."""
    parts: dict[tuple[date, str], list[str]] = defaultdict(list)
    for version in versions:
        if version.scrubbed:
            parts[version.scrubbed].append(version.claim_id)
    found: dict[str, list[pa.Table]] = {name: [shapes.empty(f"coded_{name}")] for name in _TABLES}
    for (day, part), ids in sorted(parts.items()):
        for name in _TABLES:
            where = ("claim_id", sorted(ids))
            found[name].append(store.lake.read(f"scrubbed_{name}", day, part, where, required=name == "claims"))
    return {name: _joined(name, tables) for name, tables in found.items()}


def applied(
    coded: Mapping[str, pa.Table], plans: Mapping[str, Plan], sent: Mapping[str, pa.Table]
) -> dict[str, pa.Table]:
    """The coded tables with each planned visit's claim as its plan has it: renumbered, left out, or a void of `sent`."""
    claims = coded["claims"]
    keys = claims.column("encounter_key").to_pylist()
    roots = dict(zip(keys, claims.column("claim_id").to_pylist(), strict=True))
    planned = pa.array(sorted(plans), pa.string())
    aside = pa.array([roots[key] for key in plans if key in roots], pa.string())
    found = {name: [coded[name].filter(pc.invert(pc.is_in(coded[name].column("claim_id"), aside)))] for name in _TABLES}
    found["claims"] = [claims.filter(pc.invert(pc.is_in(claims.column("encounter_key"), planned)))]
    made = {roots[key]: p for key, p in plans.items() if p.action == "make"}
    voids = {p.replaces: p for p in plans.values() if p.action == "void" and p.replaces}
    for source, wanted in ((coded, made), (sent, voids)):
        if wanted:
            for name in _TABLES:
                rows = _of(source[name], "claim_id", wanted)
                found[name].append(_renumbered(name, rows, wanted))
    return {name: _joined(name, tables).combine_chunks() for name, tables in found.items()}


def _joined(name: str, tables: Sequence[pa.Table]) -> pa.Table:
    """One table of the shape of today; a claim that was written before a column came has it empty."""
    return pa.concat_tables(tables, promote_options="default").select(shapes.schema(f"coded_{name}").names)


def _renumbered(name: str, rows: pa.Table, plans: Mapping[str, Plan]) -> pa.Table:
    old = rows.column("claim_id").to_pylist()
    new: dict[str, list[str | None]] = {"claim_id": [plans[c].claim_id for c in old]}
    if name == "claims":
        new["frequency"] = [plans[c].frequency for c in old]
        new["payer_claim_number"] = [plans[c].number for c in old]
    if name == "lines":
        numbers = rows.column("line_control_number").to_pylist()
        new["line_control_number"] = [
            plans[c].claim_id + n.removeprefix(c) if n and n.startswith(c) else n
            for c, n in zip(old, numbers, strict=True)
        ]
    for column, values in new.items():
        field = rows.schema.field(column)
        rows = rows.set_column(rows.schema.get_field_index(column), field, pa.array(values, field.type))
    return rows


def _of(table: pa.Table, column: str, values: Iterable[str]) -> pa.Table:
    return table.filter(pc.is_in(table.column(column), pa.array(sorted(values), pa.string())))
