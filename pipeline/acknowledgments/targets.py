"""Which claims of ours, and which 837, a fact speaks of.

A TA1 names an interchange, a 999 a group or a set of it, a 277CA a claim, or above its claims a batch (BHT03) and a provider in
it. Numbers are those of one payer; what meets nothing of ours is left out, and asked again another night.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import sqlalchemy as sa

from pipeline import payers, transactions
from pipeline.acknowledgments import facts, judging, meaning
from pipeline.store import Store
from pipeline.store import register as r
from pipeline.store.store import chunks

#: days around an acknowledgment within which the 837 that it names by batch is looked for
_BATCH_DAYS = 60


@dataclass
class Target:
    """Claims that a fact speaks of, and the 837 that carries them."""

    claim_ids: Sequence[str]
    file_ids: frozenset[str] = frozenset()
    foreign: bool = False  # the claim was sent to another payer than the one that answers


def targets(store: Store, connection: sa.Connection, rows: Sequence[Mapping[str, Any]]) -> dict[str, Target]:
    """ack_id → what it speaks of; facts that meet nothing of ours are left out."""
    found: dict[str, Target] = {}
    by_interchange = _by_interchange(connection, [row for row in rows if row["kind"] == "TA1"])
    by_group = _by_group(connection, [row for row in rows if row["kind"] == "999"])
    named = {row["claim_id"] for row in rows if row["claim_id"]}
    known = _payers_of(connection, named)
    roads = payers.roads(payers.load_profiles(store.settings.payers_dir))
    batches = _Batches(store, connection)
    for row in rows:
        ack_id = row["ack_id"]
        if row["kind"] == "TA1":
            target = by_interchange.get((row["payer_key"], row["interchange_control"]))
        elif row["kind"] == "999":
            target = by_group.get((row["payer_key"], row["group_control"], row["set_control"]))
        elif row["level"] in ("claim", "line"):
            target = _of_claim(row, known, roads)
        elif judging.effect(row) != "rejected":
            target = Target([])  # an acceptance above the claims says nothing that its claims do not say themselves
        else:
            target = batches.beneath(row)
        if target is not None:
            found[ack_id] = target
    return found


def _of_claim(row: Mapping[str, Any], known: Mapping[str, str], roads: Mapping[str, str]) -> Target | None:
    """The claim that a 277CA names: ours, and sent to the payer that answers or to one that is reached by the same road."""
    payer_key = known.get(row["claim_id"] or "")
    if payer_key is None:
        return None
    same = payer_key == row["payer_key"] or roads.get(payer_key, payer_key) == roads.get(row["payer_key"])
    return Target([row["claim_id"]] if same else [], foreign=not same)


def _by_interchange(
    connection: sa.Connection, rows: Sequence[Mapping[str, Any]]
) -> dict[tuple[str, str | None], Target]:
    """(payer, ISA13) → all claims of the interchange."""
    wanted = {row["interchange_control"] for row in rows if row["interchange_control"]}
    files: dict[str, tuple[str, str | None]] = {}
    for part in chunks(sorted(wanted)):
        query = sa.select(r.sendings.c.file_id, r.sendings.c.payer_key, r.sendings.c.interchange_control).where(
            r.sendings.c.interchange_control.in_(part)
        )
        files |= {row.file_id: (row.payer_key, row.interchange_control) for row in connection.execute(query)}
    claims = defaultdict(list)
    for claim in _claims_of_files(connection, list(files)):
        claims[files[claim.file_id]].append(claim.claim_id)
    return {key: Target(claims[key], frozenset({file_id})) for file_id, key in files.items()}


def _by_group(
    connection: sa.Connection, rows: Sequence[Mapping[str, Any]]
) -> dict[tuple[str, str | None, str | None], Target]:
    """(payer, GS06, ST02 or None) → claims of the set, or of the whole group. A number that two files share meets none."""
    wanted = {(row["payer_key"], row["group_control"]) for row in rows}
    if not wanted:
        return {}
    columns = r.claims.c
    query = (
        sa.select(columns.payer_key, columns.group_control, columns.file_id)
        .where(columns.file_id.is_not(None), columns.group_control.in_({group for _, group in wanted if group}))
        .distinct()
    )
    files: dict[tuple[str, str], set[str]] = defaultdict(set)
    for row in connection.execute(query):
        if (row.payer_key, row.group_control) in wanted:
            files[row.payer_key, row.group_control].add(row.file_id)
    single = {next(iter(ids)) for ids in files.values() if len(ids) == 1}
    claims: dict[tuple[str, str | None, str | None], list[str]] = defaultdict(list)
    sent_in: dict[tuple[str, str | None, str | None], str] = {}
    for claim in _claims_of_files(connection, sorted(single)):
        for key in (
            (claim.payer_key, claim.group_control, claim.set_control),
            (claim.payer_key, claim.group_control, None),
        ):
            claims[key].append(claim.claim_id)
            sent_in[key] = claim.file_id
    return {key: Target(ids, frozenset({sent_in[key]})) for key, ids in claims.items()}


class _Batches:
    """Finds what a 277CA rejects above its claims (2200B, 2200C): by the batch number (BHT03) in the archived 837."""

    def __init__(self, store: Store, connection: sa.Connection) -> None:
        self.store, self.connection = store, connection
        self._sets: dict[str, list[tuple[str, bytes]]] = {}
        self._providers: dict[str, dict[str, str]] = {}

    def beneath(self, row: Mapping[str, Any]) -> Target | None:
        parts = facts.fields(row["detail"])
        if parts.get("below") == "named" and row["level"] == "receiver":
            return Target([])  # its claims are named one by one
        file_id = self._file(row["payer_key"], row["batch_reference"], row["on_date"])
        if file_id is None:
            return None
        providers = self._provider_of_claims(file_id, row["batch_reference"])
        claims = [
            claim_id
            for claim_id, npi in providers.items()
            if row["level"] == "receiver" or npi == parts.get("provider")
        ]
        if parts.get("below") == "named" and self._named(row) & set(claims):
            return Target([], frozenset({file_id}))
        ours = [c.claim_id for c in _claims_of_files(self.connection, [file_id]) if c.claim_id in set(claims)]
        return Target(ours, frozenset({file_id}))

    def _file(self, payer_key: str, reference: str | None, on: date | None) -> str | None:
        if not reference:
            return None
        columns = r.sendings.c
        query = sa.select(columns.file_id).where(columns.payer_key == payer_key)
        if on is not None:
            query = query.where(columns.logical_date >= on - timedelta(days=_BATCH_DAYS))
        for file_id in self.connection.execute(query.order_by(columns.logical_date.desc(), columns.file_id)).scalars():
            if reference in self._references(file_id):
                return file_id
        return None

    def _references(self, file_id: str) -> set[str]:
        """BHT03 of every set in an 837 that we wrote."""
        data = self.store.archive.get(file_id)
        element, segment = re.escape(data[3:4]), re.escape(data[105:106])
        third = (
            segment
            + rb"\s*BHT"
            + element
            + (rb"[^" + element + rb"]*" + element) * 2
            + rb"([^"
            + element
            + segment
            + rb"]*)"
        )
        return {found.decode("latin-1") for found in re.findall(third, data)}

    def _provider_of_claims(self, file_id: str, reference: str | None) -> dict[str, str]:
        """claim → NPI of its billing provider, for the sets of the file that carry the batch number."""
        if file_id not in self._providers:
            tables = transactions.read(self.store.archive.get(file_id), file=file_id).tables
            rows = tables["837.claims"].select(["claim_id", "billing_npi"]).to_pylist()
            self._providers[file_id] = {row["claim_id"]: row["billing_npi"] for row in rows}
        return self._providers[file_id]

    def _named(self, row: Mapping[str, Any]) -> set[str]:
        columns = r.acknowledgments.c
        query = sa.select(columns.claim_id).where(
            columns.kind == "277CA",
            columns.claim_id.is_not(None),
            sa.or_(columns.file_id == row["file_id"], columns.batch_reference == row["batch_reference"]),
        )
        return set(self.connection.execute(query).scalars())


@dataclass(frozen=True, slots=True)
class _Set:
    """A set of an 837 of ours: its first segment, how many it has, and where its claims begin."""

    start: int
    segments: int
    claims: Sequence[tuple[int, str]]


class Written:
    """What stands where in 837 files that we wrote. A payer may refuse many sets of a file: it is read once."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._files: dict[str, dict[str, _Set]] = {}

    def guilty(self, row: Mapping[str, Any], target: Target) -> str | None:
        """The claim in which the segment stands that a 999 refuses a set for; None where it is in no claim."""
        if row["kind"] != "999" or row["level"] != "set" or len(target.file_ids) != 1:
            return None
        stated = meaning.error_field(row["detail"], "pos")
        if not stated.isdigit():
            return None
        position = int(stated)
        (file_id,) = target.file_ids
        of_set = self._sets(file_id).get(row["set_control"])
        if of_set is None or position > of_set.segments:
            return None
        wanted = of_set.start + position - 1
        loop = meaning.error_field(row["detail"], "loop")
        if loop.startswith(("23", "24")):  # stands below its CLM
            return next((claim_id for segment, claim_id in reversed(of_set.claims) if segment <= wanted), None)
        if loop.startswith(("2000B", "2010B", "2000C", "2010C")):  # subscriber and patient stand before their CLM
            return next((claim_id for segment, claim_id in of_set.claims if segment > wanted), None)
        return None

    def _sets(self, file_id: str) -> dict[str, _Set]:
        """ST02 → the set, of one file; the first of a number that stands there twice."""
        if file_id not in self._files:
            tables = transactions.read(self.store.archive.get(file_id), file=file_id).tables
            claims: dict[str, list[tuple[int, str]]] = defaultdict(list)
            if "837.claims" in tables:
                for claim in tables["837.claims"].select(["segment", "claim_id", "set_control"]).to_pylist():
                    claims[claim["set_control"]].append((claim["segment"], claim["claim_id"]))
            sets: dict[str, _Set] = {}
            for start in tables["interchanges"].select(["level", "set_control", "segment", "segments"]).to_pylist():
                control = start["set_control"]
                if start["level"] == "set" and control not in sets:
                    sets[control] = _Set(start["segment"], start["segments"] or 0, sorted(claims[control]))
            self._files[file_id] = sets
        return self._files[file_id]


def _payers_of(connection: sa.Connection, claim_ids: Iterable[str]) -> dict[str, str]:
    """Claims of ours → their payers."""
    columns = r.claims.c
    found: dict[str, str] = {}
    for part in chunks(sorted(claim_ids)):
        query = sa.select(columns.claim_id, columns.payer_key).where(columns.claim_id.in_(part))
        found |= {row.claim_id: row.payer_key for row in connection.execute(query)}
    return found


def _claims_of_files(connection: sa.Connection, file_ids: Sequence[str]) -> list[Any]:
    columns = r.claims.c
    found: list[Any] = []
    for part in chunks(file_ids):
        query = (
            sa.select(columns.claim_id, columns.file_id, columns.payer_key, columns.group_control, columns.set_control)
            .where(columns.file_id.in_(part))
            .order_by(columns.claim_id)
        )
        found += connection.execute(query).fetchall()
    return found
