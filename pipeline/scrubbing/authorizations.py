"""Authorizations: how much of a service a payer has agreed to pay, for whom and when, and whether a claim stays within it.

They are the practice's data: `HOME/authorizations.csv`, and lists that come with extracts (docs/edits.md). What of one is used is never stored. It is counted anew
each night, from the claims of the register in the order of their services, each visit by its newest version, and then over
the claims that are being scrubbed: the same night again counts the same, and a list that comes late counts what went before.

A line takes from the authorization whose number its claim states; without a number, from those of its member that cover the
procedure, the one that ends first. What a payer rejected or denied took nothing.
"""

from __future__ import annotations

import csv
import io
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from pipeline.findings import Finding
from pipeline.scrubbing.authorized import Authorization, Service, in_ranges
from pipeline.scrubbing.batch import Batch, Hits
from pipeline.scrubbing.checks import applies, check
from pipeline.scrubbing.edits import Edit
from pipeline.store import register as r
from pipeline.store.store import Store

FILE = "authorizations.csv"
_COLUMNS = ("payer", "member_id", "number", "procedures", "from", "to", "units", "visits")
Verdict = Literal["", "dates", "used"]
#: a stay may have begun long before the day of one of its services
_LONGEST_STAY = timedelta(days=400)


def ranges(text: str) -> tuple[tuple[str, str], ...]:
    """`97110 70551-70553` → first and last codes. ValueError where a word is neither."""
    found = []
    for word in text.replace(",", " ").replace(";", " ").upper().split():
        if word == "*":
            return ()
        match = re.fullmatch(r"([A-Z0-9]{5})(?:-([A-Z0-9]{5}))?", word, re.ASCII)
        if not match or (match[2] or match[1]) < match[1]:
            raise ValueError(word)
        found.append((match[1], match[2] or match[1]))
    return tuple(found)


# --- the file ---------------------------------------------------------------------------------------------------------


def load(store: Store) -> tuple[list[Authorization], list[Finding]]:
    """What the home's file and the extracts say; a row that cannot be used is left out and told.

    An authorization is known by payer, member and number. The home's file speaks before the extracts, of these the one of the latest
    night.
    """
    found, told = _of_home(store.settings.home)
    known = {(a.payer, a.member, a.number) for a in found}
    for listed in _of_extracts(store):
        mine, wrong = _usable(listed)
        found += [a for a in mine if (a.payer, a.member, a.number) not in known]
        known |= {(a.payer, a.member, a.number) for a in mine}
        told += wrong
    return found, told


def _of_extracts(store: Store) -> Iterator[pa.Table]:
    """The lists of the extracts that were taken in, the latest first."""
    i = r.imports.c
    with store.read() as connection:
        query = sa.select(i.import_id, i.logical_date).order_by(i.logical_date.desc(), i.import_id.desc())
        imports = connection.execute(query).all()
    for import_id, on in imports:
        part = import_id[:16]
        if store.lake.path("authorizations", on, part).is_file():
            yield store.lake.read("authorizations", on, part)


def _usable(listed: pa.Table) -> tuple[list[Authorization], list[Finding]]:
    found, told = [], []
    for row in listed.to_pylist():
        one = "no payer profile belongs to its payer" if row["payer_source"] and not row["payer"] else read_row(row)
        if isinstance(one, str):
            where = f"{row['source_file']} row {row['source_row']}"
            told.append(_told("", f"The row cannot be used: {one}.", "Correct it; the others are used.", where))
        else:
            found.append(one)
    return found, told


def _of_home(home: Path) -> tuple[list[Authorization], list[Finding]]:
    try:
        text = (home / FILE).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return [], []
    except (OSError, UnicodeDecodeError):
        return [], [_told("", "The file cannot be read as UTF-8 text.", "Save it as CSV in UTF-8.")]
    reader = csv.DictReader(io.StringIO(text))
    if missing := [name for name in _COLUMNS if name not in (reader.fieldnames or ())]:
        return [], [
            _told(
                "",
                f"The file has no column {', '.join(missing)}; none of it is used.",
                "Add it; docs/edits.md has them all.",
            )
        ]
    found, told = [], []
    try:
        for row in reader:
            one = read_row(row)
            if isinstance(one, str):
                told.append(
                    _told(
                        f" row {reader.line_num}", f"The row cannot be used: {one}.", "Correct it; the others are used."
                    )
                )
            else:
                found.append(one)
    except csv.Error:
        told.append(
            _told(f" row {reader.line_num}", "The file cannot be read from here on.", "Save it as CSV in UTF-8.")
        )
    return found, told


def _told(where: str, message: str, fix: str, source: str = "") -> Finding:
    source = source or f"{FILE}{where}"
    return Finding(rule="authorization-list", severity="warning", message=message, fix=fix, source=source, subject=FILE)


def read_row(row: Mapping[str, str | None]) -> Authorization | str:
    """The row, or what is wrong with it. Its values are not told: they may be a patient's."""
    value = {name: (row.get(name) or "").strip() for name in _COLUMNS}
    for name in ("payer", "member_id", "number"):
        if not value[name]:
            return f"{name} is empty"
    try:
        procedures = ranges(value["procedures"])
    except ValueError:
        return "procedures is no list of codes and ranges like 97110 70551-70553"
    days = []
    for name in ("from", "to"):
        try:
            days.append(date.fromisoformat(value[name]))
        except ValueError:
            return f"{name} is no date written YYYY-MM-DD"
    if days[1] < days[0]:
        return "to is before from"
    if value["units"] and value["visits"]:
        return "it has units and visits; it can have one of them"
    limit = None
    if amount := value["units"] or value["visits"]:
        try:
            limit = Decimal(amount)
        except InvalidOperation:
            limit = Decimal(0)
        if not limit.is_finite() or limit <= 0:
            return "units or visits is no number above 0"
    return Authorization(
        value["payer"], value["member_id"].upper(), value["number"], procedures, days[0], days[1], limit,
        "visits" if value["visits"] else "units",
    )  # fmt: skip


# --- what is used -----------------------------------------------------------------------------------------------------


class Account:
    """What is left of each authorization while services are taken from them, in their order."""

    def __init__(self, authorizations: Sequence[Authorization]) -> None:
        self.of: dict[tuple[str, str], list[int]] = defaultdict(list)
        self.all = sorted(authorizations, key=lambda a: (a.end, a.start, a.number))
        for index, one in enumerate(self.all):
            self.of[(one.payer, one.member)].append(index)
        self.taken = [Decimal(0)] * len(self.all)
        self.visits: list[set[str]] = [set() for _ in self.all]

    def take(self, service: Service) -> Verdict:
        mine = self.of.get((service.payer, service.member), [])
        covering = [
            i for i in mine
            if self.all[i].covers(service.procedure) and (not service.number or self.all[i].number == service.number)
        ]  # fmt: skip
        if not covering:
            return ""
        in_force = [i for i in covering if self.all[i].start <= service.day <= self.all[i].end]
        if not in_force:
            return "dates"
        return "" if any(self._take(i, service) for i in in_force) else "used"

    def _take(self, index: int, service: Service) -> bool:
        one = self.all[index]
        again = one.counts == "visits" and service.visit in self.visits[index]
        wanted = Decimal(0) if again else Decimal(1) if one.counts == "visits" else service.units
        if one.limit is not None and self.taken[index] + wanted > one.limit:
            return False
        self.taken[index] += wanted
        self.visits[index].add(service.visit)
        return True


def history(store: Store, authorizations: Sequence[Authorization], scrubbed: Iterable[str]) -> list[Service]:
    """Services of the register's claims that may have taken from these, in their order. `scrubbed`: visits whose claims are
    being scrubbed now, and are not counted from before."""
    if not authorizations:
        return []
    c, now = r.claims.c, set(scrubbed)
    first, last = min(a.start for a in authorizations), max(a.end for a in authorizations)
    query = (
        sa.select(c.claim_id, c.encounter_key, c.version, c.frequency, c.state, c.scrubbed_date, c.scrubbed_part)
        .where(
            c.payer_key.in_(sorted({a.payer for a in authorizations})), c.service_from.between(first - _LONGEST_STAY, last),
            c.closed_on.is_(None),
        )
        .order_by(c.encounter_key, c.version)
    )  # fmt: skip
    with store.read() as connection:
        newest = {row.encounter_key: row for row in connection.execute(query) if row.encounter_key not in now}
    parts: dict[tuple[date, str], list[str]] = defaultdict(list)
    for row in newest.values():
        if row.frequency != "8" and row.state not in ("rejected", "denied"):
            parts[(row.scrubbed_date, row.scrubbed_part)].append(row.claim_id)
    members = {a.member for a in authorizations}
    found: list[tuple[Any, ...]] = []
    for (day, part), ids in sorted(parts.items()):
        claims = store.lake.read("scrubbed_claims", day, part, ("claim_id", ids), _OF_CLAIM, required=True)
        mine = pc.is_in(_members(claims), pa.array(sorted(members), pa.string()))
        claims = claims.filter(pc.fill_null(mine, False))
        if claims.num_rows:
            wanted = claims.column("claim_id").to_pylist()
            lines = store.lake.read("scrubbed_lines", day, part, ("claim_id", wanted), _OF_LINE, required=True)
            found += _services(claims, lines)
    return [service for *_, service in sorted(found, key=lambda x: x[:3])]


_OF_CLAIM = (
    "claim_id",
    "encounter_key",
    "payer_key",
    "member_id",
    "patient_member_id",
    "authorization_number",
    "service_from",
)
_OF_LINE = ("claim_id", "line", "procedure", "units", "service_date")


def _members(claims: pa.Table) -> pa.ChunkedArray:
    """The number by which the payer knows the patient: a dependent's own, else the subscriber's."""
    own = claims.column("patient_member_id")
    return pc.utf8_upper(pc.if_else(pc.not_equal(pc.fill_null(own, ""), ""), own, claims.column("member_id")))


def _services(claims: pa.Table, lines: pa.Table) -> Iterator[tuple[date, str, int, int, Service]]:
    """Day, visit, line, row of `lines`, and the service."""
    known = {row["claim_id"]: row for row in claims.select(_OF_CLAIM).to_pylist()}
    for number, line in enumerate(lines.select(_OF_LINE).to_pylist()):
        claim = known.get(line["claim_id"])
        if claim is None or not line["procedure"]:
            continue
        day = line["service_date"] or claim["service_from"]
        service = Service(
            claim["payer_key"] or "", (claim["patient_member_id"] or claim["member_id"] or "").upper(), claim["authorization_number"] or "",
            claim["encounter_key"], day, line["procedure"], line["units"] or Decimal(1),
        )  # fmt: skip
        yield day, claim["encounter_key"], line["line"], number, service


# --- checks -----------------------------------------------------------------------------------------------------------


def _verdicts(batch: Batch) -> list[Verdict]:
    """For each line of the batch."""

    def make() -> list[Verdict]:
        found: list[Verdict] = [""] * batch.tables["lines"].num_rows
        account = Account(batch.authorizations)
        for service in batch.authorized:
            account.take(service)
        claims = batch.tables["claims"]
        mine = pc.is_in(_members(claims), pa.array(sorted({a.member for a in batch.authorizations}), pa.string()))
        mine = pc.and_(pc.fill_null(mine, False), pc.not_equal(claims.column("frequency"), "8"))
        for *_, row, service in sorted(_services(claims.filter(mine), batch.tables["lines"]), key=lambda x: x[:4]):
            found[row] = account.take(service)
        return found

    made: list[Verdict] = batch.once("authorizations", make)
    return made


@check
def authorization(batch: Batch, edit: Edit) -> Iterator[Hits]:
    """The service is outside of the days of its authorization, or nothing is left of it: parameter `verdict`, dates or used."""
    if not batch.authorizations:
        return
    bad = np.array([v == edit.parameters["verdict"] for v in _verdicts(batch)], dtype=bool)
    rows = np.flatnonzero(applies(batch, edit) & bad)
    if rows.size:
        yield Hits("procedure", rows)


@check
def authorization_missing(batch: Batch, edit: Edit) -> Iterator[Hits]:
    """The payer wants an authorization for the procedure and the claim states none."""
    wanted = {key: ranges(" ".join(p.claims.authorize)) for key, p in batch.profiles.items() if p.claims.authorize}
    if not wanted:
        return
    owners = batch.owners["lines"]
    procedures, payers = batch.column("lines", "procedure"), batch.column("claims", "payer_key")
    bad = np.zeros(owners.size, dtype=bool)
    for key, some in wanted.items():
        mine = np.append(payers.where(lambda v, k=key: v == k), False)[owners]  # type: ignore[misc]
        bad |= mine & procedures.where(lambda v, s=some: in_ranges(v, s))  # type: ignore[misc]
    bad &= np.append(batch.column("claims", "authorization_number").where(lambda v: v == "", null=True), False)[owners]
    rows = np.flatnonzero(applies(batch, edit) & bad)
    if rows.size:
        own = batch.tables["lines"].column("references").take(pa.array(rows)).to_pylist()
        stated = [any(x["qualifier"] == "G1" and x["value"] for x in given or ()) for given in own]
        rows = rows[~np.array(stated, dtype=bool)]
    if rows.size:
        yield Hits("procedure", rows)
