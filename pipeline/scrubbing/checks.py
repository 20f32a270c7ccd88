"""The checks that edits name. Each looks at a batch of claims by columns and gives the rows at fault; none raises on data.

A check is `(batch, edit) -> hits`. What it compares with stands in the edit's parameters, so that one check serves many
edits. Messages never hold the value that is at fault.
"""

from __future__ import annotations

import hashlib
import re
import string
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from datetime import date
from typing import Any

import numpy as np

from pipeline import codes
from pipeline.scrubbing.batch import Batch, Hits, Mask
from pipeline.scrubbing.edits import Edit

PROFESSIONAL, INSTITUTIONAL = "005010X222A1", "005010X223A2"
Check = Callable[[Batch, Edit], Iterator[Hits]]
CHECKS: dict[str, Check] = {}

#: before the name of a line's column in `when`
OF_LINE = "line."

#: X12's basic set less our separators (* ~ : ^). Small letters pass: the writer makes them capitals, whatever the field
BASIC = frozenset(string.ascii_letters + string.digits + " !\"&'()+,-./;?=")
EXTENDED = BASIC | frozenset("%@[]_{}\\|<>#$")

_PO_BOX = re.compile(r"^\s*(?:p\.?\s*o\.?\s*box|post\s+office\s+box|box)\b", re.IGNORECASE)
_ZIP = re.compile(r"^\d{5}(?:\d{4})?$", re.ASCII)

#: tests of one value, by name
TESTS: dict[str, Callable[[Any], bool]] = {
    "npi": codes.npi,
    "mbi": codes.mbi,
    "taxonomy": codes.taxonomy_shaped,
    "procedure": codes.procedure_shaped,
    "modifier": codes.modifier_shaped,
    "state": lambda v: v in codes.states(),
    "sex": lambda v: v in codes.sexes(),
    "zip": lambda v: bool(_ZIP.match(v)),
    "zip9": lambda v: bool(_ZIP.match(v)) and len(v) == 9,
    "street": lambda v: not _PO_BOX.match(v),
    "positive": lambda v: v > 0,
    "tin": lambda v: len(v) == 9 and v.isascii() and v.isdigit() and len(set(v)) > 1,
    "phone": lambda v: len(v) == 10 and v.isascii() and v.isdigit(),
    "cents": lambda v: abs(v) < 10**8,
}


#: further words that a check puts into its edit's message, beside {field}
WORDS: dict[str, frozenset[str]] = {"icd10cm": frozenset({"edition", "covers"})}


def check(function: Check) -> Check:
    CHECKS[function.__name__] = function
    return function


def applies(batch: Batch, edit: Edit) -> Mask:
    """Rows of the edit's table that it speaks of: days of service, and `when`."""
    start, end = batch.day("claims", "service_from"), None
    mask = np.ones(batch.size, dtype=bool)
    if edit.effective_from > date.min:
        mask &= start >= edit.effective_from.toordinal()
    if edit.effective_to < date.max:
        end = edit.effective_to.toordinal()
        mask &= start <= end
    if (
        edit.check != "correction" and "frequency" not in edit.when
    ):  # a void repeats what the payer holds, right or wrong
        mask &= ~batch.column("claims", "frequency").where(lambda v: v == "8")
    own = {name.removeprefix(OF_LINE): values for name, values in edit.when.items() if name.startswith(OF_LINE)}
    for name, values in edit.when.items():
        if not name.startswith(OF_LINE):
            mask &= _one_of(batch, "claims", name, values)
    if edit.table == "claims":
        return mask
    mask = np.append(mask, False)[batch.owners[edit.table]]
    for name, values in own.items():
        mask &= _one_of(batch, edit.table, name, values)
    return mask


def _one_of(batch: Batch, table: str, name: str, values: Collection[str]) -> Mask:
    """Rows whose column has one of the values: "*" any, "" none."""
    column, allowed = batch.column(table, name), frozenset(values)
    if "*" in allowed:
        return column.where(lambda v: v != "")
    return column.where(lambda v: str(v) in allowed, null="" in allowed)


def _hit(field: str, mask: Mask) -> Iterator[Hits]:
    rows = np.flatnonzero(mask)
    if rows.size:
        yield Hits(field, rows)


@check
def required(batch: Batch, edit: Edit) -> Iterator[Hits]:
    """Each field has a value."""
    where = applies(batch, edit)
    for field in edit.fields:
        yield from _hit(field, where & batch.column(edit.table, field).where(lambda v: v == "", null=True))


@check
def test(batch: Batch, edit: Edit) -> Iterator[Hits]:
    """Each field that has a value passes the named test."""
    passes = TESTS[edit.parameters["test"]]
    where = applies(batch, edit)
    for field in edit.fields:
        bad = batch.column(edit.table, field).where(lambda v: v != "" and not passes(v))
        yield from _hit(field, where & bad)


@check
def pattern(batch: Batch, edit: Edit) -> Iterator[Hits]:
    """Each field that has a value fits the pattern as a whole."""
    expression = re.compile(edit.parameters["pattern"], re.ASCII)
    where = applies(batch, edit)
    for field in edit.fields:
        bad = batch.column(edit.table, field).where(lambda v: v != "" and not expression.fullmatch(str(v)))
        yield from _hit(field, where & bad)


@check
def beside(batch: Batch, edit: Edit) -> Iterator[Hits]:
    """A field that has a value stands beside another column that has one: parameter `other`."""
    alone = applies(batch, edit) & batch.column(edit.table, edit.parameters["other"]).where(
        lambda v: v == "", null=True
    )
    for field in edit.fields:
        yield from _hit(field, alone & batch.column(edit.table, field).where(lambda v: v != ""))


@check
def longest(batch: Batch, edit: Edit) -> Iterator[Hits]:
    """No value is longer than its element takes; parameters: field → length."""
    where = applies(batch, edit)
    for field in edit.fields:
        most = edit.parameters[field]
        yield from _hit(field, where & batch.column(edit.table, field).where(lambda v, m=most: len(str(v)) > m))  # type: ignore[misc]


@check
def characters(batch: Batch, edit: Edit) -> Iterator[Hits]:
    """Only characters that the payer's set has and that do not separate elements."""
    where = applies(batch, edit)
    extended = np.array([p is not None and p.claims.charset == "extended" for p in batch.profile_of], dtype=bool)
    extended = np.append(extended, False)[batch.owners[edit.table]]
    for field in edit.fields:
        column = batch.column(edit.table, field)
        in_basic = column.where(lambda v: set(v) <= BASIC, null=True)
        in_extended = column.where(lambda v: set(v) <= EXTENDED, null=True)
        yield from _hit(field, where & ~np.where(extended, in_extended, in_basic))


@check
def member_id(batch: Batch, edit: Edit) -> Iterator[Hits]:
    """The member number fits the payer's pattern."""
    patterns = {key: re.compile(p.claims.member_id_pattern) for key, p in batch.profiles.items()}
    where = applies(batch, edit)
    keys = batch.column("claims", "payer_key")
    for field, mine in _member_fields(batch):
        members = batch.column("claims", field)
        bad = [
            row for row in np.flatnonzero(where & mine & (keys.index >= 0))
            if (p := patterns.get(keys.values[keys.index[row]])) and not p.fullmatch(members.values[members.index[row]])
        ]  # fmt: skip
        if bad:
            yield Hits(field, np.array(bad))


def _member_fields(batch: Batch) -> Iterator[tuple[str, Mask]]:
    """The column whose number goes on the claim, and the claims of which that is so: a dependent with a number of the own is built
    as subscriber (2010BA NM109), and the subscriber's number is not sent."""
    numbered = batch.column("claims", "patient_member_id").where(lambda v: v != "")
    yield "patient_member_id", numbered
    yield "member_id", ~numbered & batch.column("claims", "member_id").where(lambda v: v != "")


@check
def medicare_id(batch: Batch, edit: Edit) -> Iterator[Hits]:
    """Medicare's members have an identifier of Medicare's pattern; made-up data has not."""
    medicare = np.array(
        [p is not None and p.claims.filing_indicator in ("MA", "MB") for p in batch.profile_of], dtype=bool
    )
    real = batch.column("claims", "synthetic").where(lambda v: not v)
    where = applies(batch, edit) & medicare & real
    for field, mine in _member_fields(batch):
        yield from _hit(field, where & mine & batch.column("claims", field).where(lambda v: not codes.mbi(v)))


@check
def payer_known(batch: Batch, edit: Edit) -> Iterator[Hits]:
    """A profile stands behind the payer, and it is in force."""
    keys = batch.column("claims", "payer_key")
    yield from _hit("payer_key", applies(batch, edit) & keys.where(lambda v: v not in batch.profiles, null=True))


@check
def dependents(batch: Batch, edit: Edit) -> Iterator[Hits]:
    """The patient is the subscriber where the payer knows no dependents."""
    only_self = np.array([p is not None and not p.claims.accepts_dependents for p in batch.profile_of], dtype=bool)
    other = batch.column("claims", "relationship").where(lambda v: v != "18")
    other &= ~batch.column("claims", "patient_member_id").where(lambda v: v != "")  # is built as subscriber
    yield from _hit("relationship", applies(batch, edit) & only_self & other)


@check
def not_after(batch: Batch, edit: Edit) -> Iterator[Hits]:
    """The field's day is not after another's: parameter `other`, a column of the claim, or `on`, the night's day."""
    where = applies(batch, edit)
    other = edit.parameters["other"]
    limit = (
        np.full(batch.size, batch.on.toordinal()) if other == "on" else batch.day("claims", other)
    )  # fmt: skip
    limit = np.append(limit, 0)[batch.owners[edit.table]]
    for field in edit.fields:
        days = batch.day(edit.table, field)
        yield from _hit(field, where & (days > 0) & (limit > 0) & (days > limit))


@check
def filing(batch: Batch, edit: Edit) -> Iterator[Hits]:
    """The claim is sent within the payer's filing days, from the day of service that the payer counts from."""
    days = np.array([p.claims.filing_days if p is not None else 10**6 for p in batch.profile_of], dtype=np.int64)
    stays = batch.column("claims", "guide").where(lambda v: v == INSTITUTIONAL).tolist()
    last = np.array(
        [p is not None and p.counts_from_last_day(stay) for p, stay in zip(batch.profile_of, stays, strict=True)],
        dtype=bool,
    )
    where = applies(batch, edit)
    for field, mine in (("service_from", ~last), ("service_to", last)):
        age = batch.on.toordinal() - batch.day("claims", field)
        yield from _hit(field, where & mine & (age > days))


@check
def within_claim(batch: Batch, edit: Edit) -> Iterator[Hits]:
    """A line's day lies between the claim's first and last."""
    owners = batch.owners["lines"]
    start = np.append(batch.day("claims", "service_from"), 0)[owners]
    end = np.append(batch.day("claims", "service_to"), 0)[owners]
    days = batch.day("lines", "service_date")
    yield from _hit("service_date", applies(batch, edit) & ((days < start) | (days > end)))


@check
def place_of_service(batch: Batch, edit: Edit) -> Iterator[Hits]:
    """The place is one of the list on the day of service."""
    where = applies(batch, edit)
    days = np.append(batch.day("claims", "service_from"), 0)[batch.owners[edit.table]]
    for field in edit.fields:
        column = batch.column(edit.table, field)
        yield from _hit(field, where & ~_by_day(column.index, column.values, days, codes.place_of_service))


@check
def procedure_in_force(batch: Batch, edit: Edit) -> Iterator[Hits]:
    """A procedure whose days are known is in force on its day."""
    column = batch.column("lines", "procedure")
    days = batch.day("lines", "service_date")
    fine = _by_day(column.index, column.values, days, lambda v, on: codes.known_procedure(v, on) is not False)
    yield from _hit("procedure", applies(batch, edit) & ~fine)


def _by_day(index: np.ndarray, values: list[Any], days: np.ndarray, test: Callable[[Any, date], bool]) -> Mask:
    """The test on each distinct pair of value and day; empty cells pass."""
    pairs, back = np.unique(np.stack([index, days]), axis=1, return_inverse=True)
    answers = np.fromiter(
        (i < 0 or d <= 0 or test(values[i], date.fromordinal(int(d))) for i, d in pairs.T),
        dtype=bool,
        count=pairs.shape[1],
    )
    return answers[back.reshape(-1)]


@check
def icd10cm(batch: Batch, edit: Edit) -> Iterator[Hits]:
    """The diagnosis has the status that the edit forbids, on the day of service: parameter `status`."""
    forbidden = codes.Status(edit.parameters["status"])
    column = batch.column("diagnoses", "code")
    days = np.append(batch.day("claims", "service_from"), 0)[batch.owners["diagnoses"]]
    bad = ~_by_day(column.index, column.values, days, lambda v, on: batch.icd10cm.valid(v, on).status is not forbidden)
    for hits in _hit("code", applies(batch, edit) & bad):
        for row in hits.rows:
            verdict = batch.icd10cm.valid(column.values[column.index[row]], date.fromordinal(int(days[row])))
            hits.words[int(row)] = {
                "edition": verdict.edition or "none",
                "covers": "" if verdict.covers else ", the nearest one that is loaded",
            }
        yield hits


@check
def first_diagnosis(batch: Batch, edit: Edit) -> Iterator[Hits]:
    """The first diagnosis does not begin with one of the letters. Those of a stay that stand apart (kind) are no first ones."""
    letters = tuple(edit.parameters["letters"])
    first = batch.column("diagnoses", "rank").where(lambda v: v == 1) & (batch.column("diagnoses", "kind").index < 0)
    bad = batch.column("diagnoses", "code").where(lambda v: v.startswith(letters))
    yield from _hit("code", applies(batch, edit) & first & bad)


@check
def repeated_diagnosis(batch: Batch, edit: Edit) -> Iterator[Hits]:
    """No diagnosis stands twice on a claim, among those of its kind."""
    column, kind = batch.column("diagnoses", "code"), batch.column("diagnoses", "kind")
    pair = batch.owners["diagnoses"] * (len(column.values) + 1) + column.index
    pair = pair * (len(kind.values) + 1) + kind.index + 1
    yield from _hit("code", applies(batch, edit) & _later(pair))


def _later(keys: np.ndarray) -> Mask:
    """Rows whose key stood in an earlier row."""
    _, first = np.unique(keys, return_index=True)
    mask = np.ones(keys.size, dtype=bool)
    mask[first] = False
    return mask


@check
def count(batch: Batch, edit: Edit) -> Iterator[Hits]:
    """How many rows of another table the claim has: parameters `of`, `least`, `most`."""
    owners = batch.owners[edit.parameters["of"]]
    number = np.bincount(owners[owners >= 0], minlength=batch.size)
    low, high = edit.parameters.get("least", 0), edit.parameters.get("most", 10**9)
    yield from _hit(edit.fields[0], applies(batch, edit) & ((number < low) | (number > high)))


@check
def pointers(batch: Batch, edit: Edit) -> Iterator[Hits]:
    """Each line points to a diagnosis, and only to diagnoses that the claim has."""
    owners = batch.owners["lines"]
    diagnoses = batch.owners["diagnoses"]
    number = np.append(np.bincount(diagnoses[diagnoses >= 0], minlength=batch.size), 0)[owners]
    bad = np.zeros(owners.size, dtype=bool)
    for n in "1234":
        column = batch.column("lines", f"pointer{n}")
        value = np.array([*column.values, 0], dtype=np.int64)[column.index]
        missing = column.index < 0
        bad |= missing if n == "1" else np.zeros_like(missing)
        bad |= ~missing & ((value < 1) | (value > number))
    yield from _hit("pointer1", applies(batch, edit) & bad)


@check
def total(batch: Batch, edit: Edit) -> Iterator[Hits]:
    """The claim's charge is the sum of its lines'."""
    column = batch.column("lines", "charge")
    amounts = np.array([*(int(v.scaleb(2)) for v in column.values), 0], dtype=np.int64)[column.index]
    owners = batch.owners["lines"]
    sums = np.zeros(batch.size, dtype=np.int64)
    np.add.at(sums, owners[owners >= 0], amounts[owners >= 0])
    charges = batch.column("claims", "charge")
    stated = np.array([*(int(v.scaleb(2)) for v in charges.values), 0], dtype=np.int64)[charges.index]
    yield from _hit("charge", applies(batch, edit) & (sums != stated))


@check
def unique_line_number(batch: Batch, edit: Edit) -> Iterator[Hits]:
    """No line number stands twice on a claim."""
    column = batch.column("lines", "line_control_number")
    pair = batch.owners["lines"] * (len(column.values) + 1) + column.index
    yield from _hit("line_control_number", applies(batch, edit) & _later(pair))


@check
def production(batch: Batch, edit: Edit) -> Iterator[Hits]:
    """Made-up data never goes into a production file."""
    if batch.usage == "P":
        yield from _hit("synthetic", applies(batch, edit) & batch.column("claims", "synthetic").where(bool))


@check
def facility_apart(batch: Batch, edit: Edit) -> Iterator[Hits]:
    """The service facility has not the billing provider's NPI."""
    facility, billing = batch.column("claims", "facility_npi"), batch.column("claims", "billing_npi")
    known = {v: i for i, v in enumerate(billing.values)}
    same = np.array([*(known.get(v, -2) for v in facility.values), -3])[facility.index] == billing.index
    yield from _hit("facility_npi", applies(batch, edit) & same)


@check
def correction(batch: Batch, edit: Edit) -> Iterator[Hits]:
    """The correction of a claim that left the house is held for the reason that the edit is about: parameter `hold`."""
    if batch.holds:
        keys = batch.column("claims", "encounter_key")
        yield from _hit(
            "claim_id", applies(batch, edit) & keys.where(lambda key: batch.holds.get(key) == edit.parameters["hold"])
        )


@check
def duplicate(batch: Batch, edit: Edit) -> Iterator[Hits]:
    """No other claim has the same patient, provider and lines: in the register or earlier in the batch. Replacements and
    voids are exempt: they repeat a claim on purpose."""
    keys = duplicate_keys(batch)
    where = applies(batch, edit)
    exempt = ~batch.column("claims", "frequency").where(lambda v: v == "1")
    encounters = batch.tables["claims"].column("encounter_key").to_pylist()
    held: dict[str, set[str]] = defaultdict(set)
    for known, encounter in batch.known:
        held[known].add(encounter)
    seen: dict[str, str] = {}
    bad = []
    for row in sorted(range(batch.size), key=lambda i: encounters[i]):
        key = keys[row]
        if key is None or not where[row]:
            continue
        if exempt[row]:
            seen.setdefault(key, encounters[row])
        elif held.get(key, set()) - {encounters[row]} or seen.get(key, encounters[row]) != encounters[row]:
            bad.append(row)
        else:
            seen[key] = encounters[row]
    if bad:
        yield Hits("claim_id", np.array(sorted(bad)))


@check
def repeated_line(batch: Batch, edit: Edit) -> Iterator[Hits]:
    """No line stands twice on a claim, unless a modifier says that it was done again."""
    keys = _line_keys(batch)
    owners = batch.owners["lines"]
    numbered: dict[tuple[int, str], int] = {}
    bad = []
    where = applies(batch, edit)
    for row, key in enumerate(keys):
        if key is None or not where[row]:
            continue
        if (int(owners[row]), key) in numbered:
            bad.append(row)
        numbered.setdefault((int(owners[row]), key), row)
    if bad:
        yield Hits("procedure", np.array(bad))


#: repeat procedure by the same or another practitioner, repeat laboratory test
AGAIN = frozenset({"76", "77", "91"})
_LINE_KEY = ("service_date", "procedure", "modifier1", "modifier2", "modifier3", "modifier4", "units", "charge")


def _line_keys(batch: Batch) -> list[str | None]:
    """What makes a line the same as another; None where a modifier says that it was done again."""
    found: list[str | None] = batch.once("line_keys", lambda: _make_line_keys(batch))
    return found


def _make_line_keys(batch: Batch) -> list[str | None]:
    columns = [batch.tables["lines"].column(n).to_pylist() for n in _LINE_KEY]
    return [
        None if not AGAIN.isdisjoint(cells[2:6]) else "|".join("" if c is None else str(c) for c in cells)
        for cells in zip(*columns, strict=True)
    ]


def duplicate_keys(batch: Batch) -> list[str | None]:
    """For each claim a hash of patient, provider and lines; None where it may repeat (void, modifiers)."""
    found: list[str | None] = batch.once("duplicate_keys", lambda: _make_duplicate_keys(batch))
    return found


def _make_duplicate_keys(batch: Batch) -> list[str | None]:
    lines: dict[int, list[str] | None] = {}
    for owner, key in zip(batch.owners["lines"].tolist(), _line_keys(batch), strict=True):
        if key is None:
            lines[owner] = None
        elif (found := lines.setdefault(owner, [])) is not None:
            found.append(key)
    names = (
        "practice_id", "patient_id", "patient_last", "patient_first", "patient_birth_date", "member_id", "billing_npi",
        "rendering_npi", "frequency",
    )  # fmt: skip
    claims = batch.tables["claims"]
    keys: list[str | None] = []
    columns = [claims.column(n).to_pylist() for n in names]
    for row, cells in enumerate(zip(*columns, strict=True)):
        own = lines.get(row)
        if not own or cells[-1] == "8":
            keys.append(None)
            continue
        said = [*cells[:-1], "1"]  # a replacement says the same as its original
        text = "\x1f".join(["" if c is None else str(c) for c in said] + sorted(own))
        keys.append(hashlib.sha256(text.encode()).hexdigest()[:32])
    return keys
