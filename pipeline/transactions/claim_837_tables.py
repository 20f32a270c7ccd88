"""The coded tables as one form writes them, and what follows from them: who is the subscriber, which providers are named.

Theory. A loop that would only repeat what stands above it is left out: a rendering provider who is the billing provider, a
place of service that is the billing provider's own address, a line's provider who is the claim's. Writer, checks and
proofreading must agree on what is left out, so the question is answered here, once, for whole columns.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.transactions.claim_837_forms import Form, Role
from pipeline.transactions.claim_837_parts import Column, Parts, parts
from pipeline.x12 import columns as x
from pipeline.x12.columns import Integers, Mask
from pipeline.x12.kernel import kernel

Charset = Literal["basic", "extended"]

#: identifiers that come back to us in answers: written as they are, never put in capitals; and what is never sent
AS_IS = frozenset({
    "claim_id", "line_control_number", "encounter_key", "source_file", "source", "practice_id", "file", "role", "kind",
    "rule_id", "rule_version", "price_origin", "payer_source", "payer_key", "patient_id", "guide",
})  # fmt: skip

#: what a provider's own columns of a claim are called, by role, as the columns of a party
OWN_COLUMNS: dict[str, dict[str, str]] = {
    "rendering": {"last": "rendering_last", "first": "rendering_first", "npi": "rendering_npi", "taxonomy": "rendering_taxonomy"},
    "referring": {"last": "referring_last", "first": "referring_first", "npi": "referring_npi", "taxonomy": "referring_taxonomy"},
    "facility": {"last": "facility_name", "npi": "facility_npi", "address1": "facility_address1", "city": "facility_city",
                 "state": "facility_state", "zip": "facility_zip", "phone": "facility_phone"},
}  # fmt: skip
PLACES = frozenset({"facility", "pick_up", "drop_off"})
_PLACE = ("address1", "city", "state", "zip")


def normalised(table: pa.Table, charset: Charset) -> pa.Table:
    """The table with texts as they are written: null as '', no blanks at the ends, capitals for the basic set."""
    arrays = []
    blank: pa.Array | None = None
    for name, column in zip(table.column_names, table.columns, strict=True):
        if pa.types.is_string(column.type):
            if column.null_count == len(column):
                blank = pa.repeat("", len(column)) if blank is None else blank
                arrays.append(blank)
                continue
            whole = name in AS_IS
            arrays.append(x.without_nulls(column) if whole else x.cleaned(column, capitals=charset == "basic"))
        else:
            arrays.append(x.flat(column))
    return pa.Table.from_arrays(arrays, names=table.column_names)


class Children:
    """Lines or diagnoses of these claims: in the order of the claims and their own, and how many each claim has."""

    def __init__(self, table: pa.Table, ids: pa.Array, order: tuple[str, ...]) -> None:
        found = parents(x.flat(table.column("claim_id")), ids)
        if (found < 0).any():  # of claims that were left out
            known = found >= 0
            table, found = table.filter(pa.array(known)), found[known]
        keys = [_sortable(table.column(name)) for name in order]
        if not _ascending(found, keys):
            key = np.lexsort((*reversed(keys), found))
            table, found = table.take(pa.array(key)), found[key]
        self.table: pa.Table = table
        self.parents: Integers = found
        self.counts: Integers = np.bincount(found, minlength=len(ids)).astype(np.int64)
        self.starts: Integers = np.cumsum(self.counts) - self.counts

    def places(self, order: Integers) -> Integers:
        """Rows of the table when the claims stand in this order."""
        counts = self.counts[order]
        first = np.cumsum(counts) - counts
        return np.repeat(self.starts[order] - first, counts) + np.arange(len(self.parents))

    def of(self, values: Column) -> pa.Array:
        """A column of the claims, spread over the rows."""
        return x.flat(values).take(pa.array(self.parents))


def _sortable(column: Column) -> np.ndarray:
    array = x.flat(column)
    if pa.types.is_string(array.type):
        if array.null_count == len(array):
            return np.zeros(len(array), dtype=np.int64)
        return np.asarray(pc.fill_null(array, "").to_numpy(zero_copy_only=False), dtype=np.str_)
    return np.asarray(array.to_numpy(zero_copy_only=False))


def _ascending(first: Integers, keys: list[np.ndarray]) -> bool:
    """Do the rows stand in the order of all keys, each combination once?"""
    rising = np.zeros(max(len(first) - 1, 0), dtype=np.bool_)
    equal = np.ones_like(rising)
    for key in (first, *keys):
        rising |= equal & (key[1:] > key[:-1])
        equal &= key[1:] == key[:-1]
    return bool(rising.all())


def parents(of: pa.Array, ids: pa.Array) -> Integers:
    """The place of each row's claim among the ids, -1 where it is none of them."""
    # rows that already stand in the order of the ids need no look-up
    if (compiled := kernel()) is not None and not of.null_count:
        places = compiled.follow(of, ids)
        if places is not None:
            return places
    elif len(of):
        first = np.r_[True, x.as_mask(pc.not_equal(of[1:], of[:-1]))]
        runs = of.filter(pa.array(first))
        if len(runs) == len(ids) and runs.equals(ids):
            return np.cumsum(first) - 1
    found = pc.fill_null(pc.index_in(of, value_set=ids), -1)
    return np.asarray(found.to_numpy(zero_copy_only=False), dtype=np.int64)


class Tables:
    """Claims in the order of their ids, with diagnoses, lines and nested rows, as they are written by the form."""

    def __init__(self, claims: pa.Table, diagnoses: pa.Table, lines: pa.Table, form: Form, charset: Charset) -> None:
        """Tables of the shapes `coded_claims`, `coded_diagnoses`, `coded_lines`, the claims of one form."""
        self.form, self.charset = form, charset
        ids = x.flat(claims.column("claim_id"))
        if len(ids) > 1 and not pc.all(pc.less(ids[:-1], ids[1:])).as_py():
            claims = claims.take(pc.sort_indices(ids))
            ids = x.flat(claims.column("claim_id"))
        self.ids: pa.Array = ids
        self.claims = self._plain(claims)
        self.parts = self._nested(claims)
        self.diagnoses = Children(diagnoses, ids, ("kind", "rank"))
        self.diagnoses.table = normalised(self.diagnoses.table, charset)
        self.lines = Children(_slim(lines), ids, ("line",))
        self.line_parts = self._nested(self.lines.table)
        self.lines.table = self._plain(self.lines.table)

    def _plain(self, table: pa.Table) -> pa.Table:
        return normalised(table.select([f.name for f in table.schema if not pa.types.is_list(f.type)]), self.charset)

    def _nested(self, table: pa.Table) -> dict[str, Parts]:
        found = {}
        for f in table.schema:
            if pa.types.is_list(f.type) and (rows := parts(table, f.name)) is not None:
                found[f.name] = Parts(normalised(rows.table, self.charset), rows.owner, rows.owners)
        return found

    def below(self, rows: Parts, column: str) -> Parts | None:
        """Rows nested in nested rows."""
        found = parts(rows.table, column)
        return found and Parts(normalised(found.table, self.charset), found.owner, found.owners)

    # --- patient and subscriber ---------------------------------------------------------------------------------------

    @cached_property
    def own(self) -> Mask:
        """Claims that are built with the patient as subscriber: it is so, or the patient has a member number of the own."""
        return x.as_mask(pc.equal(self.claims.column("relationship"), "18")) | self.numbered

    @cached_property
    def numbered(self) -> Mask:
        return x.present(self.claims.column("patient_member_id"))

    @cached_property
    def member_id(self) -> pa.Array:
        column = x.flat(self.claims.column("member_id"))
        if not self.numbered.any():
            return column
        return pc.if_else(pa.array(self.numbered), x.flat(self.claims.column("patient_member_id")), column)

    # --- providers and places -----------------------------------------------------------------------------------------

    def role(self, role: str) -> Parts | None:
        """Rows of the claims' further parties in this role."""
        rows = self.parts.get("parties")
        if rows is None:
            return None
        rows = rows.where(rows.equal("role", role))
        return rows if len(rows) else None

    def _first(self, role: str, column: str) -> pa.Array | None:
        """By claim: a column of its first party in the role, '' where there is none."""
        rows = self.role(role)
        if rows is None:
            return None
        rows = rows.where(rows.within() == 0)
        return pc.fill_null(x.spread(x.flat(rows.column(column)), rows.counts() > 0), "")

    @cached_property
    def has_rendering(self) -> Mask:
        """Written only where the rendering provider is not the billing provider; on a stay, not the attending one."""
        npi = self.claims.column("rendering_npi")
        above: Column | None = self.claims.column("billing_npi")
        if self.form.claim_role("attending"):
            above = self._first("attending", "npi")
        present = x.present(npi)
        return present & x.as_mask(pc.not_equal(npi, above)) if above is not None else present

    @cached_property
    def has_referring(self) -> Mask:
        return x.present(self.claims.column("referring_npi"))

    @cached_property
    def has_facility(self) -> Mask:
        """Written only where the service was given elsewhere than at the billing provider's address; never beside an
        ambulance's pick-up and drop-off, which say where."""
        there = x.present(self.claims.column("facility_address1"))
        if not there.any():
            return there
        if (transport := self.parts.get("transport")) is not None:
            there &= transport.counts() == 0
        names = [side + name for side in ("facility_", "billing_") for name in _PLACE]
        few = self.claims.select(names).filter(pa.array(there))
        there = there.copy()
        there[there] = x.as_mask(pc.not_equal(_place(few, "facility_"), _place(few, "billing_")))
        return there

    def own_role(self, role: str) -> Mask:
        return {"rendering": self.has_rendering, "referring": self.has_referring, "facility": self.has_facility}[role]

    @cached_property
    def line_parties(self) -> Parts | None:
        """The lines' parties that are written: those that say something else than the claim. A role that the form knows
        at lines only, and the claim has, stands at each of its lines that has none of its own."""
        rows = self._with_claims_own(self.line_parts.get("parties"))
        if rows is None:
            return None
        keep = np.ones(len(rows), dtype=np.bool_)
        for role in self.form.line_roles:
            mine = rows.equal("role", role.role)
            above = self._above(role) if mine.any() and self.form.claim_role(role.role) else None
            if above is not None:
                same = pc.equal(_identity(rows.table, role), above.take(pa.array(self.lines.parents[rows.owner])))
                keep &= ~(mine & x.as_mask(same))
        rows = rows.where(keep)
        return rows if len(rows) else None

    def _with_claims_own(self, rows: Parts | None) -> Parts | None:
        claims = self.parts.get("parties")
        line_only = [r.role for r in self.form.line_roles if self.form.claim_role(r.role) is None]
        if claims is None or not line_only:
            return rows
        claims = claims.where(x.as_mask(pc.is_in(claims.column("role"), pa.array(line_only))))
        if not len(claims):
            return rows
        counts = self.lines.counts[claims.owner]
        index = np.repeat(np.arange(len(claims)), counts)
        first = np.repeat(self.lines.starts[claims.owner] - (np.cumsum(counts) - counts), counts)
        owner = first + np.arange(len(index))
        table = claims.table.take(pa.array(index))
        if rows is not None:
            mine = pc.binary_join_element_wise(x.whole(rows.owner), x.flat(rows.column("role")), "\x1f")
            theirs = pc.binary_join_element_wise(x.whole(owner), x.flat(table.column("role")), "\x1f")
            new = ~x.as_mask(pc.is_in(theirs, value_set=mine))
            table, owner = (
                pa.concat_tables([rows.table, table.filter(pa.array(new))]),
                np.r_[rows.owner, owner[new]],
            )
        order = np.argsort(owner, kind="stable")
        return Parts(table.take(pa.array(order)), owner[order], self.lines.table.num_rows)

    def _above(self, role: Role) -> pa.Array | None:
        """Who stands for this role at the claim, as `_identity` tells it; None where nobody does."""
        claims = self.claims
        if role.role == "rendering":
            npi = x.flat(claims.column("rendering_npi"))
            above: Column | None = claims.column("billing_npi")
            if self.form.claim_role("attending"):
                above = self._first("attending", "npi")
            return npi if above is None else pc.if_else(pc.equal(npi, ""), x.flat(above), npi)
        if role.role == "referring":
            return x.flat(claims.column("referring_npi"))
        if role.role == "facility":
            here = pc.not_equal(x.flat(claims.column("facility_address1")), "")
            return pc.if_else(here, _place(claims, "facility_"), _place(claims, "billing_"))
        rows = self.role(role.role)
        if rows is None:
            return None
        rows = rows.where(rows.within() == 0)
        return pc.fill_null(x.spread(_identity(rows.table, role), rows.counts() > 0), "")

    # --- other payers -------------------------------------------------------------------------------------------------

    @cached_property
    def adjudications(self) -> Parts | None:
        return self.line_parts.get("adjudications")

    def decided_by_line(self, payers: Parts) -> Mask:
        """Other payers that decided some line: their date of decision stands there, and not at the claim."""
        if self.adjudications is None:
            return np.zeros(len(payers), dtype=np.bool_)
        lines = _keyed(self._claim_of(self.adjudications), x.flat(self.adjudications.column("payer_id")))
        mine = _keyed(payers.of(self.ids), x.flat(payers.column("payer_id")))
        return x.as_mask(pc.is_in(mine, value_set=lines))

    @cached_property
    def own_references(self) -> Parts | None:
        """The claims' numbers, less those that other payers gave."""
        return self._named("references", other=False)

    @cached_property
    def payer_references(self) -> Parts | None:
        """Numbers that other payers gave, by other payer."""
        return self._at_payers(self._named("references", other=True))

    @cached_property
    def identifiers(self) -> Parts | None:
        """Further numbers of the claims' providers, less those at other payers."""
        return self._named("identifiers", other=False)

    @cached_property
    def payer_identifiers(self) -> Parts | None:
        """Numbers of the claims' providers at other payers, by other payer."""
        return self._at_payers(self._named("identifiers", other=True))

    def _named(self, column: str, *, other: bool) -> Parts | None:
        """The claims' rows that name another payer, or those that do not."""
        rows = self.parts.get(column)
        if rows is None:
            return None
        rows = rows.where(x.present(rows.column("payer_id")) == other)
        return rows if len(rows) else None

    def payer_of(self, rows: Parts) -> Integers:
        """The other payer of its claim that each row of claims names; -1 where none."""
        payers = self.parts.get("other_payers")
        if payers is None:
            return np.full(len(rows), -1, dtype=np.int64)
        return parents(
            _keyed(rows.of(self.ids), x.flat(rows.column("payer_id"))),
            _keyed(payers.of(self.ids), x.flat(payers.column("payer_id"))),
        )

    def _at_payers(self, rows: Parts | None) -> Parts | None:
        if rows is None:
            return None
        owner = self.payer_of(rows)
        order = np.argsort(owner, kind="stable")
        order = order[owner[order] >= 0]
        if not len(order):
            return None
        return Parts(rows.table.take(pa.array(order)), owner[order], len(self.parts["other_payers"]))

    # --- what a line does not repeat ----------------------------------------------------------------------------------

    @cached_property
    def line_references(self) -> Parts | None:
        """The lines' numbers, less those that repeat their claim's."""
        rows = self.line_parts.get("references")
        if rows is None:
            return None
        known = [_keyed(self.ids, "G1", x.flat(self.claims.column("authorization_number")))]
        if (claims := self.own_references) is not None:
            known.append(
                _keyed(claims.of(self.ids), x.flat(claims.column("qualifier")), x.flat(claims.column("value")))
            )
        mine = _keyed(self._claim_of(rows), x.flat(rows.column("qualifier")), x.flat(rows.column("value")))
        same = x.as_mask(pc.is_in(mine, value_set=pa.concat_arrays(known))) & ~x.present(rows.column("payer_id"))
        rows = rows.where(~same)
        return rows if len(rows) else None

    @cached_property
    def line_dates(self) -> Parts | None:
        """The lines' further dates, less those that repeat their claim's."""
        rows, claims = self.line_parts.get("dates"), self.parts.get("dates")
        if rows is None or claims is None:
            return rows
        mine, theirs = (
            _keyed(ids, x.flat(part.column("qualifier")), *(
                pc.fill_null(pc.cast(part.column(n), pa.int32()).combine_chunks().cast(pa.string()), "")
                for n in ("from_date", "to_date")))
            for ids, part in ((self._claim_of(rows), rows), (claims.of(self.ids), claims))
        )  # fmt: skip
        rows = rows.where(~x.as_mask(pc.is_in(mine, value_set=theirs)))
        return rows if len(rows) else None

    def _claim_of(self, rows: Parts) -> pa.Array:
        return self.ids.take(pa.array(self.lines.parents[rows.owner]))

    @cached_property
    def dated_as_one(self) -> Mask:
        """Dental: claims whose services were all given on one day, which then stands at the claim alone."""
        lines = self.lines.table
        day = np.asarray(x.flat(lines.column("service_date")).cast(pa.int32()).to_numpy(zero_copy_only=False), np.int64)
        last = x.flat(lines.column("service_to")).cast(pa.int32())
        several = x.as_mask(pc.not_equal(pc.fill_null(last, 0), x.flat(lines.column("service_date")).cast(pa.int32())))
        ranged = several & x.as_mask(last.is_valid())
        one = self.lines.counts > 0
        same = (
            day == day[np.minimum(self.lines.starts, max(len(day) - 1, 0))][self.lines.parents] if len(day) else ranged
        )
        one[self.lines.parents[~same | ranged]] = False
        return one & ~x.as_mask(self.claims.column("predetermination"))


def _slim(lines: pa.Table) -> pa.Table:
    """Without nested columns that hold nothing: they would be moved about for nothing."""
    empty = {
        f.name for f in lines.schema if pa.types.is_list(f.type) and lines.column(f.name).null_count == lines.num_rows
    }
    return lines.select([name for name in lines.column_names if name not in empty]) if empty else lines


def _keyed(ids: pa.Array, *values: pa.Array | str) -> pa.Array:
    return pc.binary_join_element_wise(ids, *values, "\x1f")


def _place(table: pa.Table, prefix: str) -> pa.Array:
    zip5 = pc.utf8_slice_codeunits(x.flat(table.column(f"{prefix}zip")), 0, 5)
    values = [x.flat(table.column(f"{prefix}{part}")) for part in _PLACE[:3]]
    return pc.binary_join_element_wise(*values, zip5, "\x1f")


def _identity(table: pa.Table, role: Role) -> pa.Array:
    """What tells two parties of a role apart: a place by its address, a provider by NPI, else by name and number."""
    if role.role in PLACES:
        return _place(table, "")
    npi = x.flat(table.column("npi"))
    others: Iterable[pa.Array] = (x.flat(table.column(name)) for name in ("last", "first", "id"))
    return pc.if_else(pc.equal(npi, ""), pc.binary_join_element_wise(*others, "\x1f"), npi)
