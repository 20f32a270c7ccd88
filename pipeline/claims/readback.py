"""What an 837 holds against what was meant, segment by segment: nothing may stand in it, or be absent, that was not meant.

Theory. The segments of a file fall into blocks: a loop's first segment (HL, CLM, SBR, LX, NM1, SVD, LIN, LQ) and what follows it up to the
next such segment. Where each block stands follows from the last HL, CLM, SBR and LX before it, by running maxima of positions. Here
the same blocks are stated a second time, from the tables and by the form, in code that shares nothing with the writer but the form
and what is left out (`claim_837_tables`). For each loop the blocks must be those that were meant, owner by owner; for each kind
of segment in them the texts must be equal, whole. What stands in no block that is known, or in none that was meant, is told.

So the comparison misses no element by forgetting it: an element that nobody stated makes its segment differ.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from datetime import date
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.findings import Finding
from pipeline.transactions.claim_837_forms import BILLING_NUMBERS, DECISIONS, Coding, Form
from pipeline.transactions.claim_837_parts import Column, Parts
from pipeline.transactions.claim_837_route import Numbers
from pipeline.transactions.claim_837_tables import OWN_COLUMNS
from pipeline.transactions.claim_837_writer import Interchange837, batch_reference
from pipeline.wording import counted
from pipeline.x12 import columns as x
from pipeline.x12.columns import Integers, Mask
from pipeline.x12.isa import Wire, read_isa
from pipeline.x12.scan import Scan, code_of, key_of, padded

#: a value of every row, or the same in all
Value: TypeAlias = "pa.Array | str"
_MARKERS = ("HL", "CLM", "SBR", "LX", "NM1", "SVD", "LIN", "LQ")
_LEVELS = {"20": "2000A", "22": "2000B", "23": "2000C"}
_FIX = "Nothing was sent. Report this with the batch's number: it is a defect of the program."


# --- what is in the file ------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Blocks:
    """The blocks of one loop in the order of the file. `owner`: claim, line, other payer or HL, each counted in the file's order."""

    at: Integers  # the first segment of each
    owner: Integers


class _Found:
    """The file cut into blocks by loop. `stray`: segments between ST and SE that stand in no loop that is known."""

    def __init__(self, data: bytes, form: Form, wire: Wire) -> None:
        self.scan = scan = Scan(padded([data]), wire)
        n = scan.n
        codes = self.codes = scan.codes[:n]
        st, se = codes == code_of("ST"), codes == code_of("SE")
        inside = np.cumsum(st) > np.cumsum(np.r_[False, se[:-1]])
        hl, clm, lx = (codes == code_of(m) for m in ("HL", "CLM", "LX"))
        in_claim = _since(clm, hl | st)
        in_line = in_claim & _since(lx, clm | hl | st)
        sbr = (codes == code_of("SBR")) & in_claim & ~in_line
        in_payer = in_claim & ~in_line & _since(sbr, clm | hl | st)
        header = inside & ~_since(hl, st)
        marker = np.zeros(n, dtype=np.bool_)
        for name in _MARKERS:
            marker |= codes == code_of(name)
        marker &= ~((codes == code_of("SBR")) & ~sbr)  # the level's own SBR is no loop of its own
        marker &= inside & ~header
        self.inside, self.header = inside, header
        self.block = np.maximum.accumulate(np.where(marker | st, np.arange(n), -1))
        self.hl_at, self.claim_at, self.line_at, self.payer_at = (
            np.flatnonzero(m & inside) for m in (hl, clm, lx & in_claim, sbr)
        )
        self.sets = np.flatnonzero(st)
        self.set_of = np.cumsum(st) - 1
        places = {"hl": hl, "claim": clm, "line": lx & in_claim, "payer": sbr}
        rank = {name: np.cumsum(mask) - 1 for name, mask in places.items()}
        loops = self._loops(form, marker, in_claim, in_line, in_payer)
        self.loops: dict[str, _Blocks] = {}
        for loop, at in loops.items():
            own = "hl" if loop[:3] in ("200", "201") else "payer" if loop[:3] in ("232", "233") else (
                "line" if loop[:2] == "24" else "claim")  # fmt: skip
            self.loops[loop] = _Blocks(at, rank[own][at])
        known = np.zeros(n, dtype=np.bool_)
        for blocks in self.loops.values():
            known[blocks.at] = True
        body = inside & ~header & ~se
        self.stray = np.flatnonzero(body & ~known[np.maximum(self.block, 0)])
        self.claim_hl = self._levels_of_claims(rank["hl"])

    def _loops(self, form: Form, marker: Mask, in_claim: Mask, in_line: Mask, in_payer: Mask) -> dict[str, Integers]:
        scan, codes = self.scan, self.codes
        level = np.full(scan.n, -1, dtype=np.int64)  # the HL that stands open, by kind
        keys = scan.keys(self.hl_at, 3)
        for number, name in enumerate(_LEVELS):
            level[self.hl_at[keys == key_of(name)]] = number
        at_hl = np.maximum.accumulate(np.where(codes == code_of("HL"), np.arange(scan.n), 0))
        level = level[at_hl]
        loops: dict[str, Integers] = {}

        def put(loop: str, mask: Mask) -> None:
            if mask.any():
                loops[loop] = np.sort(np.r_[loops.get(loop, np.zeros(0, dtype=np.int64)), np.flatnonzero(mask)])

        for number, loop in enumerate(_LEVELS.values()):
            put(loop, marker & (codes == code_of("HL")) & (level == number))
        for name, loop in (("CLM", "2300"), ("SBR", "2320"), ("LX", "2400")):
            put(loop, marker & (codes == code_of(name)))
        for name, loop in (("SVD", "2430"), ("LIN", "2410"), ("LQ", "2440")):
            put(loop, marker & (codes == code_of(name)) & in_line)
        names = np.flatnonzero(marker & (codes == code_of("NM1")))
        entity = scan.keys(names, 1)
        above = {
            **{loop: ~in_claim & (level == number) for number, loop in enumerate(_LEVELS.values())},
            "2300": in_claim & ~in_line & ~in_payer, "2320": in_payer, "2400": in_line,
        }  # fmt: skip
        for place in form.compiled.places:
            if place.id == "NM1" and place.trigger and place.loop.parent and place.loop.parent.id in above:
                mine = above[place.loop.parent.id][names] & np.isin(entity, [key_of(k) for k in place.keys])
                mask = np.zeros(scan.n, dtype=np.bool_)
                mask[names[mine]] = True
                if place.loop.id not in loops or not mask[loops[place.loop.id]].all():
                    put(place.loop.id, mask)
        return loops

    def _levels_of_claims(self, rank: Integers) -> dict[str, Integers]:
        """By claim, the HL of each level that it stands under, counted from 0; -1 where none."""
        keys = self.scan.keys(self.hl_at, 3)
        found: dict[str, Integers] = {}
        before = np.full(len(self.claim_at), -1, dtype=np.int64)
        upper = before
        for key, loop in _LEVELS.items():
            mine = self.hl_at[keys == key_of(key)]
            last = np.searchsorted(mine, self.claim_at) - 1
            at = np.where(last >= 0, mine[np.maximum(last, 0)] if len(mine) else -1, -1)
            at = np.where(at > upper, at, -1)
            found[loop] = np.where(at >= 0, rank[np.maximum(at, 0)], -1)
            upper = np.maximum(upper, at)
        return found

    def texts(self, at: Integers, segment_id: str) -> pa.Array:
        """By block that begins at `at`: its segments of this id, each with a terminator; '' where it has none."""
        mine = np.flatnonzero((self.codes == code_of(segment_id)) & self.inside & ~self.header)
        owner = np.searchsorted(at, self.block[mine])
        inside = owner < len(at)
        inside[inside] = at[owner[inside]] == self.block[mine[inside]]
        mine, owner = mine[inside], owner[inside]
        return _by_owner(self.scan.text(self.scan.starts[mine], self.scan.stops[mine]), owner, len(at))

    def ids(self, at: Integers) -> list[str]:
        """Ids of the segments in these blocks."""
        member = np.zeros(self.scan.n + 1, dtype=np.bool_)
        member[at] = True
        inside = self.inside & ~self.header & member[np.maximum(self.block, 0)] & (self.codes != code_of("SE"))
        codes = np.unique(self.codes[inside])
        return [int(c).to_bytes(3, "little").rstrip(b"\0").decode("ascii", "replace") for c in codes.tolist()]


def _since(begin: Mask, end: Mask) -> Mask:
    """Where the last of both kinds of mark, at or before, is a `begin`."""
    marks = np.maximum.accumulate(np.where(begin | end, np.arange(len(begin)), -1))
    return np.asarray((marks >= 0) & begin[np.maximum(marks, 0)], dtype=np.bool_)


def _by_owner(texts: pa.Array, owner: Integers, owners: int) -> pa.Array:
    """Texts of the same owner, ascending, one after another with a terminator each; '' for none."""
    if len(texts) == owners and np.array_equal(owner, np.arange(owners)):
        return pc.binary_join_element_wise(texts, "", "~")
    offsets = np.searchsorted(owner, np.arange(owners + 1)).astype(np.int32)
    joined = pc.binary_join(pa.ListArray.from_arrays(pa.array(offsets), texts), "~")
    stands = pa.array(np.diff(offsets) > 0)
    return pc.if_else(stands, pc.binary_join_element_wise(joined, "", "~"), "")


# --- what was meant ---------------------------------------------------------------------------------------------------------


def _text(*parts: Value | Column, separator: str) -> pa.Array:
    """Elements or components joined, empty ones at the end left out."""
    rows = next(len(p) for p in parts if not isinstance(p, str))
    made = [p if isinstance(p, str) else pc.fill_null(x.flat(p), "") for p in parts]
    joined = pc.binary_join_element_wise(*made, separator)
    assert len(joined) == rows
    return pc.utf8_rtrim(joined, characters=separator)


def _segment(segment_id: str, *elements: Value | Column) -> pa.Array:
    return _text(segment_id, *elements, separator="*")


def _composite(*components: Value | Column) -> pa.Array:
    return _text(*components, separator=":")


def _where(mask: Mask | pa.Array, value: Value | Column, other: Value | Column = "") -> pa.Array:
    mask = mask if isinstance(mask, pa.Array) else pa.array(mask)
    value, other = (v if isinstance(v, str) else x.flat(v) for v in (value, other))
    return pc.if_else(mask, value, other)


def _day(column: Column) -> pa.Array:
    return pc.strftime(x.flat(column).cast(pa.timestamp("s")), format="%Y%m%d")


def _plain(column: Column) -> pa.Array:
    """A decimal without a point that nothing follows."""
    text = x.flat(column).cast(pa.string())
    return pc.replace_substring_regex(text, r"\.?0+$", "")


def _whole(column: Column) -> pa.Array:
    return x.flat(column).cast(pa.string())


def _flag(column: Column) -> pa.Array:
    return _where(pc.fill_null(x.flat(column), False), "Y")


def _is(column: Column) -> Mask:
    """Rows with a value."""
    array = x.flat(column)
    if pa.types.is_string(array.type):
        return x.as_mask(pc.not_equal(pc.fill_null(array, ""), ""))
    if pa.types.is_boolean(array.type):
        return x.as_mask(array)
    return x.as_mask(array.is_valid())


def _beside(column: Column, qualifier: str) -> pa.Array:
    return _where(_is(column), qualifier)


@dataclass(slots=True)
class _Meant:
    """The blocks of one loop: their owners, ascending, and their segments by id as (place in the guide, texts by block or null)."""

    form: Form
    loop: str
    owner: Integers
    segments: dict[str, list[tuple[int, int, Integers, pa.Array]]] = field(default_factory=dict)

    def put(self, segment_id: str, key: str, texts: pa.Array, where: Mask | None = None) -> None:
        """One segment a block, where the mask holds."""
        rows = np.arange(len(self.owner))
        if where is not None:
            rows, texts = rows[where], texts.filter(pa.array(where))
        self.add(segment_id, key, texts, rows)

    def add(self, segment_id: str, key: str, texts: pa.Array, block: Integers) -> None:
        """Any number of segments a block; `block`: of each, ascending. What the guide has no place for is not sent."""
        place = self.form.place(self.loop, segment_id, key)
        if place is not None and len(texts):
            listed = self.segments.setdefault(segment_id, [])
            listed.append((place.index, len(listed), block, texts))

    def keyed(self, segment_id: str, keys: Column, texts: pa.Array, block: Integers) -> None:
        """As `add`, each by its own key."""
        array = x.flat(keys)
        places: dict[int, list[str]] = {}
        for key in pc.unique(array).to_pylist():
            if place := self.form.place(self.loop, segment_id, key):
                places.setdefault(place.index, []).append(key)
        for values in places.values():
            mine = pc.is_in(array, pa.array(values))
            self.add(segment_id, values[0], texts.filter(mine), block[x.as_mask(mine)])

    def texts(self, segment_id: str) -> pa.Array:
        """By block: its segments of this id in the guide's order; '' for none."""
        listed = sorted(self.segments.get(segment_id, []), key=lambda item: item[:2])
        if not listed:
            return pa.repeat("", len(self.owner))
        block = np.concatenate([b for _, _, b, _ in listed])
        texts = pa.concat_arrays([x.flat(t).cast(pa.string()) for *_, t in listed])
        if len(listed) > 1 or (np.diff(block) < 0).any():
            order = np.argsort(block, kind="stable")
            block, texts = block[order], texts.take(pa.array(order))
        return _by_owner(texts, block, len(self.owner))


class Expected:
    """Every loop of the file, stated from the tables. Owners count by the ids: claims, lines and other payers as their tables stand."""

    def __init__(self, meant: Interchange837) -> None:
        self.meant, self.form, self.route = meant, meant.form, meant.route
        self.t = meant.tables
        self.claims, self.lines = self.t.claims, self.t.lines.table
        self.loops: dict[str, _Meant] = {}
        self._billing()
        self._subscriber()
        self._patient()
        self._claim()
        self._claims_providers()
        self._other_payers()
        self._line()
        self._lines_providers()
        self._decisions()

    def _new(self, loop: str, owner: Integers | Mask) -> _Meant:
        """Blocks of these owners; a mask names the owners that have one."""
        owners = np.flatnonzero(owner) if owner.dtype == np.bool_ else owner.astype(np.int64)
        made = self.loops[loop] = _Meant(self.form, loop, owners)
        return made

    def _kind(self, loop: str, entity: str, first: Column) -> Value:
        """NM102: as the guide has it, else a person is who has a first name."""
        place = self.form.place(loop, "NM1", entity)
        assert place is not None
        allowed = sorted(place.elements[1].codes)
        return allowed[0] if len(allowed) == 1 else _where(_is(first), "1", "2")

    def _used(self, loop: str, segment_id: str, element: int, key: str = "") -> bool:
        place = self.form.place(loop, segment_id, key)
        return place is not None and element <= len(place.elements) and place.elements[element - 1].usage != "N"

    # --- levels -----------------------------------------------------------------------------------------------------------

    def _billing(self) -> None:
        c, n = self.claims, self.claims.num_rows
        every = np.ones(n, dtype=np.bool_)
        self._new("2000A", every).put(
            "PRV", "BI", _segment("PRV", "BI", "PXC", c["billing_taxonomy"]), _is(c["billing_taxonomy"])
        )
        loop = self._new("2010AA", every)
        kind = self._kind("2010AA", "85", c["billing_first"])
        loop.put(
            "NM1",
            "85",
            _segment("NM1", "85", kind, c["billing_name"], c["billing_first"], "", "", "", "XX", c["billing_npi"]),
        )
        self._address(loop, c, "billing_")
        loop.put("REF", "EI", _segment("REF", c["billing_tin_kind"], c["billing_tin"]))
        self._billing_numbers(loop)
        phone = c["billing_phone"]
        called = _is(phone) & ~x.as_mask(pc.equal(phone, self.route.submitter_phone))
        loop.put("PER", "IC", _segment("PER", "IC", c["billing_name"], "TE", phone), called)
        apart = _is(c["pay_to_address1"])
        few = c.filter(pa.array(apart))
        loop = self._new("2010AB", apart)
        if len(few):
            kind = self._kind("2010AB", "87", few["billing_first"])
            loop.put("NM1", "87", _segment("NM1", "87", _where(np.ones(len(few), np.bool_), kind)))
            self._address(loop, few, "pay_to_")

    def _billing_numbers(self, loop: _Meant) -> None:
        rows = self.t.identifiers
        if rows is not None:
            kinds = sorted(dict(BILLING_NUMBERS)[loop.loop])
            rows = rows.where(
                rows.equal("role", "billing") & x.as_mask(pc.is_in(rows.column("id_qualifier"), pa.array(kinds)))
            )
            loop.keyed(
                "REF",
                rows.column("id_qualifier"),
                _segment("REF", rows.column("id_qualifier"), rows.column("id")),
                rows.owner,
            )

    @staticmethod
    def _address(
        loop: _Meant, c: pa.Table, prefix: str, where: Mask | None = None, *, second: str = "address2"
    ) -> None:
        behind: Value | Column = c[f"{prefix}{second}"] if second and f"{prefix}{second}" in c.column_names else ""
        loop.put("N3", "", _segment("N3", c[f"{prefix}address1"], behind), where)
        loop.put("N4", "", _segment("N4", c[f"{prefix}city"], c[f"{prefix}state"], c[f"{prefix}zip"]), where)

    @staticmethod
    def _pat(c: pa.Table, first: Value | Column) -> pa.Array:
        death, weight = c["patient_death_date"], c["patient_weight"]
        return _segment("PAT", first, "", "", "", _beside(death, "D8"), _day(death), _beside(weight, "01"), _plain(weight),
                        _flag(c["patient_pregnant"]))  # fmt: skip

    def _subscriber(self) -> None:
        c, route, own = self.claims, self.route, self.t.own
        every = np.ones(c.num_rows, dtype=np.bool_)
        level = self._new("2000B", every)
        responsible = _where(_is(c["payer_responsibility"]), c["payer_responsibility"], "P")
        plan = _where(_is(c["group_number"]), "", c["group_name"])
        kind: Value | Column = c["insurance_type"] if self._used("2000B", "SBR", 5) else ""
        level.put(
            "SBR",
            "",
            _segment(
                "SBR", responsible, _where(own, "18"), c["group_number"], plan, kind, "", "", "", route.filing_indicator
            ),
        )
        told = _is(c["patient_pregnant"]) | _is(c["patient_death_date"]) | _is(c["patient_weight"])
        level.put("PAT", "", self._pat(c, ""), told & own)
        loop = self._new("2010BA", every)
        name = [_where(own, c[f"patient_{part}"], c[f"subscriber_{part}"]) for part in ("last", "first", "middle")]
        member = _where(_is(c["patient_member_id"]), c["patient_member_id"], c["member_id"])
        loop.put("NM1", "IL", _segment("NM1", "IL", "1", *name, "", _where(own, c["patient_suffix"]), "MI", member))
        self._person(loop, c, own)
        loop = self._new("2010BB", every)
        payer = ["NM1", "PR", "2", route.payer_name, "", "", "", "", "PI", route.payer_id]
        loop.put("NM1", "PR", pa.repeat("*".join(payer), len(c)))
        if route.payer_address1:
            loop.put("N3", "", pa.repeat(f"N3*{route.payer_address1}", len(c)))
            loop.put("N4", "", pa.repeat(f"N4*{route.payer_city}*{route.payer_state}*{route.payer_zip}", len(c)))
        self._billing_numbers(loop)

    def _person(self, loop: _Meant, c: pa.Table, where: Mask) -> None:
        self._address(loop, c, "patient_", where)
        loop.put("DMG", "", _segment("DMG", "D8", _day(c["patient_birth_date"]), c["patient_sex"]), where)
        insured = where & _is(c["casualty_claim_number"])
        loop.put("REF", "Y4", _segment("REF", "Y4", c["casualty_claim_number"]), insured)
        loop.put("PER", "IC", _segment("PER", "IC", "", "TE", c["casualty_phone"]), insured & _is(c["casualty_phone"]))

    def _patient(self) -> None:
        dependent = ~self.t.own
        c = self.claims.filter(pa.array(dependent))
        level, loop = self._new("2000C", dependent), self._new("2010CA", dependent)
        if not len(c):
            return
        related = c["relationship"]
        level.put("PAT", "", self._pat(c, related) if self._used("2000C", "PAT", 5) else _segment("PAT", related))
        loop.put(
            "NM1",
            "QC",
            _segment(
                "NM1", "QC", "1", c["patient_last"], c["patient_first"], c["patient_middle"], "", c["patient_suffix"]
            ),
        )
        self._person(loop, c, np.ones(len(c), dtype=np.bool_))

    # --- claims -----------------------------------------------------------------------------------------------------------

    def _claim(self) -> None:
        c, form, route = self.claims, self.form, self.route
        loop = self._new("2300", np.ones(c.num_rows, dtype=np.bool_))
        causes: Value = ""
        if form.related_causes:
            causes = _composite(c["accident_kind"], c["accident_kind2"], "", c["accident_state"], c["accident_country"])
            causes = _where(_is(c["accident_kind"]) | _is(c["accident_kind2"]), causes)
        agreed = [_where(_is(c[name]), c[name], getattr(route, name))
                  for name in ("assignment", "benefits_assignment", "release_of_information")]  # fmt: skip
        estimate: Value = _where(_is(c["predetermination"]), "PB") if form.kind == "837D" else ""
        loop.put("CLM", "", _segment(
            "CLM", c["claim_id"], _plain(c["charge"]), "", "", _composite(c[form.place_column], form.place_qualifier, c["frequency"]),
            form.signature, *agreed, "", causes, c["special_program"] if form.related_causes else "", "", "", "", "", "", "", estimate,
            c["delay_reason"]))  # fmt: skip
        self._claims_dates(loop)
        for qualifier, name in (("F5", "patient_paid"), ("F3", "patient_estimate")):
            loop.put("AMT", qualifier, _segment("AMT", qualifier, _plain(c[name])), _is(c[name]))
        loop.put("REF", "G1", _segment("REF", "G1", c["authorization_number"]), _is(c["authorization_number"]))
        later = x.as_mask(pc.is_in(c["frequency"], pa.array(["7", "8"])))
        loop.put("REF", "F8", _segment("REF", "F8", c["payer_claim_number"]), later)
        self._references(loop, self.t.own_references)
        loop.put("CL1", "", _segment("CL1", c["admission_type"], c["admission_source"], c["patient_status"]))
        moved = c["orthodontic_transfer"]
        braces = _is(c["orthodontic_months"]) | _is(c["orthodontic_months_left"]) | _is(moved)
        loop.put(
            "DN1",
            "",
            _segment("DN1", _whole(c["orthodontic_months"]), _whole(c["orthodontic_months_left"]), "", _flag(moved)),
            braces,
        )
        if (rows := self.t.parts.get("teeth")) is not None:
            loop.add(
                "DN2", "", _segment("DN2", rows.column("tooth"), rows.column("status"), "", "", "", "JP"), rows.owner
            )
        if (rows := self.t.parts.get("spinal")) is not None:
            loop.add(
                "CR2",
                "",
                _segment(
                    "CR2",
                    *[""] * 7,
                    rows.column("condition"),
                    "",
                    rows.column("description"),
                    rows.column("description2"),
                ),
                rows.owner,
            )
        self._stated(loop, self.t.parts)
        self._codes(loop)

    def _claims_dates(self, loop: _Meant) -> None:
        c, form = self.claims, self.form
        for qualifier, name in (("431", "onset_date"), ("439", "accident_date")):
            loop.put("DTP", qualifier, _segment("DTP", qualifier, "D8", _day(c[name])), _is(c[name]))
        admitted = _is(c["admission_date"])
        if form.kind == "837I":
            span = _text(_day(c["service_from"]), _day(c["service_to"]), separator="-")
            loop.put("DTP", "434", _segment("DTP", "434", "RD8", span))
            hour = c["admission_hour"]
            when = pc.binary_join_element_wise(
                pc.fill_null(_day(c["admission_date"]), ""), pc.fill_null(x.flat(hour), ""), ""
            )
            loop.put("DTP", "435", _segment("DTP", "435", _where(_is(hour), "DT", "D8"), when), admitted)
            loop.put("DTP", "096", _segment("DTP", "096", "TM", c["discharge_hour"]), _is(c["discharge_hour"]))
        else:
            loop.put("DTP", "435", _segment("DTP", "435", "D8", _day(c["admission_date"])), admitted)
        if form.kind == "837D" and (one := self.t.dated_as_one).any():
            children = self.t.lines
            first = self.lines["service_date"].take(pa.array(np.minimum(children.starts, max(len(self.lines) - 1, 0))))
            loop.put("DTP", "472", _segment("DTP", "472", "D8", _day(first)), one)
        self._dates(loop, self.t.parts.get("dates"))

    def _dates(self, loop: _Meant, rows: Parts | None) -> None:
        """A day, or a range where the guide takes one."""
        if rows is None:
            return
        first, last = rows.column("from_date"), rows.column("to_date")
        ranged = np.zeros(len(rows), dtype=np.bool_)
        for qualifier in pc.unique(x.flat(rows.column("qualifier"))).to_pylist():
            if place := self.form.place(loop.loop, "DTP", qualifier):
                taken = place.elements[1].codes
                mine = rows.equal("qualifier", qualifier)
                ranged |= mine & (
                    np.ones_like(mine) if taken == {"RD8"} else _is(last) if "RD8" in taken else np.zeros_like(mine)
                )
        end = pc.coalesce(x.flat(last), x.flat(first))
        span = _where(ranged, _text(_day(first), _day(end), separator="-"), _day(first))
        loop.keyed(
            "DTP",
            rows.column("qualifier"),
            _segment("DTP", rows.column("qualifier"), _where(ranged, "RD8", "D8"), span),
            rows.owner,
        )

    def _references(self, loop: _Meant, rows: Parts | None) -> None:
        if rows is not None:
            loop.keyed("REF", rows.column("qualifier"), self._ref(loop.loop, rows, "qualifier", "value"), rows.owner)

    def _ref(self, loop: str, rows: Parts, qualifier: str, value: str) -> pa.Array:
        """Numbers, with the payer who gave them where the guide asks for it."""
        named, payer = rows.column(qualifier), rows.column("payer_id")
        asked = [q for q in pc.unique(x.flat(named)).to_pylist() if self._used(loop, "REF", 4, q)]
        gave = x.as_mask(pc.is_in(named, pa.array(asked, pa.string()))) & _is(payer)
        return _segment("REF", named, rows.column(value), "", _where(gave, _composite("2U", payer)))

    def _stated(self, loop: _Meant, parts: dict[str, Parts]) -> None:
        """What claims and lines both may state: PWK, CN1, K3, NTE, CR1, CRC."""
        if (rows := parts.get("attachments")) is not None:
            rows = rows.where(_is(rows.column("report_type")))
            sent = rows.column("control_number")
            loop.keyed("PWK", rows.column("report_type"), _segment("PWK", rows.column("report_type"), rows.column("transmission"), "", "",
                                                                    _beside(sent, "AC"), sent), rows.owner)  # fmt: skip
        if (rows := parts.get("contracts")) is not None:
            loop.keyed("CN1", rows.column("kind"), _segment("CN1", rows.column("kind"), _plain(rows.column("amount")), _plain(rows.column("percent")),
                rows.column("code"), _plain(rows.column("discount_percent")), rows.column("version")), rows.owner)  # fmt: skip
        if (rows := parts.get("file_information")) is not None:
            loop.add("K3", "", _segment("K3", rows.column("text")), rows.owner)
        if (rows := parts.get("notes")) is not None:
            loop.keyed(
                "NTE", rows.column("kind"), _segment("NTE", rows.column("kind"), rows.column("text")), rows.owner
            )
        if (rows := parts.get("transport")) is not None:
            weight = rows.column("weight")
            loop.add("CR1", "", _segment("CR1", _beside(weight, "LB"), _plain(weight), "", rows.column("reason"), "DH",
                     _plain(rows.column("miles")), "", "", rows.column("round_trip"), rows.column("stretcher")), rows.owner)  # fmt: skip
        if (rows := parts.get("conditions")) is not None:
            holds = _where(x.as_mask(rows.column("holds")), "Y", "N")
            loop.keyed("CRC", rows.column("category"), _segment("CRC", rows.column("category"), holds, *(rows.column(f"code{n}") for n in range(1, 6))),
                       rows.owner)  # fmt: skip

    def _codes(self, loop: _Meant) -> None:
        """HI: twelve codes a segment; the first of a kind in one of its own where the guide sets it apart."""
        diagnoses = Parts(self.t.diagnoses.table, self.t.diagnoses.parents, self.claims.num_rows)
        stated = [(coding, diagnoses) for coding in self.form.diagnoses]
        if (codes := self.t.parts.get("codes")) is not None:
            stated += [(coding, codes) for coding in self.form.codes]
        for coding, source in stated:
            rows = source.where(source.equal("kind", coding.kind))
            if not len(rows):
                continue
            rank = np.asarray(x.flat(rows.column("rank")).to_numpy())
            order = np.lexsort((rank, rows.owner))
            rows = Parts(rows.table.take(pa.array(order)), rows.owner[order], rows.owners)
            nth = rows.within()
            texts = _composite(
                _where(nth == 0, coding.first, coding.rest), rows.column("code"), *self._beside_code(coding, rows)
            )
            group = nth // 12 if coding.together else np.where(nth == 0, 0, 1 + (nth - 1) // 12)
            starts = np.flatnonzero(np.r_[True, (np.diff(rows.owner) != 0) | (np.diff(group) != 0)])
            offsets = pa.array(np.r_[starts, len(rows)].astype(np.int32))
            segments = pc.binary_join_element_wise(
                "HI", pc.binary_join(pa.ListArray.from_arrays(offsets, texts), "*"), "*"
            )
            first = nth[starts] == 0
            for key, mine in (
                (coding.first, first if not coding.together else np.ones_like(first)),
                (coding.rest, ~first if not coding.together else np.zeros_like(first)),
            ):
                if mine.any():
                    loop.add("HI", key, segments.filter(pa.array(mine)), rows.owner[starts[mine]])

    def _beside_code(self, coding: Coding, rows: Parts) -> tuple[Value, ...]:
        if coding.value == "day":
            return ("D8", _day(rows.column("from_date")))
        if coding.value == "span":
            return ("RD8", _text(_day(rows.column("from_date")), _day(rows.column("to_date")), separator="-"))
        if coding.value == "amount":
            return ("", "", _plain(rows.column("amount")))
        if "poa" in rows.table.column_names:
            place = self.form.place("2300", "HI", coding.first)
            parts = place.elements[0].components if place else ()
            if len(parts) > 8 and parts[8].usage != "N":
                told = rows.column("poa")
                return ("", "", "", "", "", "", _where(x.as_mask(pc.equal(told, "1")), "", told))
        return ()

    # --- providers ----------------------------------------------------------------------------------------------------------

    def _claims_providers(self) -> None:
        for role in self.form.claim_roles:
            numbers = self.t.identifiers
            numbers = numbers.where(numbers.equal("role", role.role)) if numbers is not None else None
            if (names := OWN_COLUMNS.get(role.role)) is not None:
                where = self.t.own_role(role.role)
                owner = np.flatnonzero(where)
                t = self.claims.filter(pa.array(where))
                t = t.select([*names.values(), "billing_npi"]).rename_columns([*names, "billing_npi"])
                if role.role == "facility":  # never the billing provider's own number
                    own = pc.equal(t["npi"], t["billing_npi"])
                    t = t.set_column(t.column_names.index("npi"), "npi", _where(x.as_mask(own), "", t["npi"]))
            else:
                rows = self.t.role(role.role)
                if rows is None:
                    continue
                t, owner = rows.table, rows.owner
            self._party(role.loop, role.entity, role.specialty, role.address, t, owner, numbers)

    def _party(
        self, loop_id: str, entity: str, specialty: str, housed: bool, t: pa.Table, owner: Integers, numbers: Parts | None
    ) -> None:  # fmt: skip
        """Providers of one role; two roles may share a loop."""
        if not len(t):
            return
        loop = _Meant(self.form, loop_id, owner)
        blank = pa.repeat("", len(t))

        def value(name: str, element: int = 0) -> Column:
            used = not element or self._used(loop_id, "NM1", element, entity)
            return t[name] if used and name in t.column_names else blank

        npi = value("npi", 9)
        loop.put("NM1", entity, _segment(
            "NM1", entity, self._kind(loop_id, entity, value("first")), value("last", 3), value("first", 4), value("middle", 5), "",
            value("suffix", 7), _beside(npi, "XX"), npi))  # fmt: skip
        if specialty:
            loop.put("PRV", specialty, _segment("PRV", specialty, "PXC", value("taxonomy")), _is(value("taxonomy")))
        if housed:
            there = _is(value("address1"))
            loop.put("N3", "", _segment("N3", value("address1"), value("address2")), there)
            loop.put("N4", "", _segment("N4", value("city"), value("state"), value("zip")), there)
        own = _is(value("id"))
        texts = _segment("REF", value("id_qualifier"), value("id")).filter(pa.array(own))
        loop.add("REF", "", texts, np.flatnonzero(own))
        if numbers is not None:  # behind its own number, as they are listed
            at = np.searchsorted(owner, numbers.owner)
            known = (at < len(owner)) & (owner[np.minimum(at, len(owner) - 1)] == numbers.owner)
            kept = numbers.where(known)
            loop.add("REF", "", self._ref(loop_id, kept, "id_qualifier", "id"), at[known])
        phone = value("phone")
        loop.put("PER", "", _segment("PER", "IC", value("last"), "TE", phone), _is(phone))
        self._join(loop)

    def _join(self, loop: _Meant) -> None:
        """Blocks of a loop that stands for several roles: each owner's in the order of the roles."""
        before = self.loops.get(loop.loop)
        if before is None:
            self.loops[loop.loop] = loop
            return
        owner = np.r_[before.owner, loop.owner]
        order = np.argsort(owner, kind="stable")
        place = np.empty(len(order), dtype=np.int64)
        place[order] = np.arange(len(order))
        joined = _Meant(self.form, loop.loop, owner[order])
        for source, shift in ((before, 0), (loop, len(before.owner))):
            for segment_id, listed in source.segments.items():
                for index, _, block, texts in listed:
                    mine = joined.segments.setdefault(segment_id, [])
                    mine.append((index, len(mine), place[block + shift], texts))
        self.loops[loop.loop] = joined

    # --- other payers -----------------------------------------------------------------------------------------------------

    def _other_payers(self) -> None:
        rows = self.t.parts.get("other_payers")
        if rows is None:
            return
        t, route, n = rows.table, self.route, len(rows)
        every = np.ones(n, dtype=np.bool_)
        loop = self._new("2320", every)
        kind: Value | Column = t["insurance_type"] if self._used("2320", "SBR", 5) else ""
        loop.put("SBR", "", _segment(
            "SBR", t["responsibility"], _where(_is(t["relationship"]), t["relationship"], "18"), t["group_number"],
            _where(_is(t["group_number"]), "", t["group_name"]), kind, "", "", "", t["filing_indicator"]))  # fmt: skip
        self._adjustments(loop, self.t.below(rows, "adjustments"))
        for qualifier, name in (("D", "paid"), ("A8", "non_covered"), ("EAF", "remaining")):
            loop.put("AMT", qualifier, _segment("AMT", qualifier, _plain(t[name])), _is(t[name]))
        agreed = []
        for name in ("benefits_assignment", "release_of_information"):
            claims = rows.of(_where(_is(self.claims[name]), self.claims[name], getattr(route, name)))
            agreed.append(_where(_is(t[name]), t[name], claims))
        loop.put("OI", "", _segment("OI", "", "", agreed[0], "", "", agreed[1]))
        for name, (segment_id, columns) in DECISIONS.items():
            if (told := self.t.below(rows, name)) is not None:
                values = [_shown(told.column(column)) if column else "" for column in columns]
                loop.add(segment_id, "", _segment(segment_id, *values), told.owner)
        loop = self._new("2330A", every)
        other = _is(t["subscriber_last"])

        def whose(part: str) -> pa.Array:
            known: Value | Column = t[f"subscriber_{part}"] if f"subscriber_{part}" in t.column_names else ""
            return _where(other, known, rows.of(self.claims[f"patient_{part}"]))

        loop.put(
            "NM1",
            "IL",
            _segment(
                "NM1",
                "IL",
                "1",
                whose("last"),
                whose("first"),
                whose("middle"),
                "",
                whose("suffix"),
                "MI",
                t["member_id"],
            ),
        )
        street = whose("address1")
        loop.put("N3", "", _segment("N3", street), _is(street))
        loop.put("N4", "", _segment("N4", whose("city"), whose("state"), whose("zip")), _is(street))
        loop = self._new("2330B", every)
        loop.put("NM1", "PR", _segment("NM1", "PR", "2", t["payer_name"], "", "", "", "", "PI", t["payer_id"]))
        self._address(loop, t, "payer_", _is(t["payer_address1"]))
        decided = _is(t["paid_date"]) & ~self.t.decided_by_line(rows)
        loop.put("DTP", "573", _segment("DTP", "573", "D8", _day(t["paid_date"])), decided)
        for qualifier, name in (("G1", "authorization_number"), ("F8", "payer_claim_number")):
            loop.put("REF", qualifier, _segment("REF", qualifier, t[name]), _is(t[name]))
        self._references(loop, self.t.payer_references)
        self._payers_providers(rows)

    def _payers_providers(self, rows: Parts) -> None:
        numbers = self.t.payer_identifiers
        for role in self.form.payer_roles if numbers is not None else ():
            assert numbers is not None
            mine = numbers.where(numbers.equal("role", role.role))
            if not len(mine):
                continue
            owner = np.unique(mine.owner)
            loop = _Meant(self.form, role.loop, owner)
            claims = self.claims.take(pa.array(rows.owner[owner]))
            first = claims["billing_first"]
            if role.role == "rendering":
                first = _where(_is(claims["rendering_npi"]), claims["rendering_first"], first)
            kind = self._kind(role.loop, role.entity, first)
            loop.put("NM1", role.entity, _segment("NM1", role.entity, _where(np.ones(len(owner), np.bool_), kind)))
            texts = _segment("REF", mine.column("id_qualifier"), mine.column("id"))
            loop.add("REF", "", texts, np.searchsorted(owner, mine.owner))
            self._join(loop)

    @staticmethod
    def _adjustments(loop: _Meant, rows: Parts | None) -> None:
        """CAS, owner by owner: groups in the order of their first reason, six reasons a segment."""
        if rows is None:
            return
        block: list[int] = []
        texts: list[str] = []
        listed = zip(rows.owner.tolist(), rows.table.to_pylist(), strict=True)
        for owner, mine in itertools.groupby(listed, key=lambda item: item[0]):
            groups: dict[str, list[str]] = {}
            for _, row in mine:
                trio = [row["reason"], *(_decimal(row[name]) for name in ("amount", "quantity"))]
                groups.setdefault(row["group"], []).append("*".join(trio))
            for group, trios in groups.items():
                for start in range(0, len(trios), 6):
                    block.append(owner)
                    texts.append("*".join(["CAS", group, *trios[start : start + 6]]).rstrip("*"))
        loop.add("CAS", "", pa.array(texts, pa.string()), np.array(block, dtype=np.int64))

    # --- lines ----------------------------------------------------------------------------------------------------------------

    def _line(self) -> None:
        t, form, n = self.lines, self.form, self.lines.num_rows
        loop = self._new("2400", np.ones(n, dtype=np.bool_))
        loop.put("LX", "", _segment("LX", _whole(t["line"])))
        loop.put(form.service, "", {"SV1": self._sv1, "SV2": self._sv2, "SV3": self._sv3}[form.service]())
        ranged = x.as_mask(pc.greater(t["service_to"], t["service_date"]))
        span = _where(
            ranged, _text(_day(t["service_date"]), _day(t["service_to"]), separator="-"), _day(t["service_date"])
        )
        dated = np.ones(n, dtype=np.bool_)
        if form.kind == "837D":
            dated = ~(self.t.dated_as_one | _is(self.claims["predetermination"]))[self.t.lines.parents]
        loop.put("DTP", "472", _segment("DTP", "472", _where(ranged, "RD8", "D8"), span), dated)
        loop.put(
            "DTP", "441", _segment("DTP", "441", "D8", _day(t["prior_placement_date"])), _is(t["prior_placement_date"])
        )
        self._dates(loop, self.t.line_dates)
        loop.put("REF", "6R", _segment("REF", "6R", t["line_control_number"]))
        for segment_id, qualifier, name in (("QTY", "PT", "ambulance_patients"), ("QTY", "FL", "obstetric_units"), ("AMT", "T", "sales_tax"),
                                            ("AMT", "F4", "postage"), ("AMT", "GT", "service_tax"), ("AMT", "N8", "facility_tax")):  # fmt: skip
            loop.put(segment_id, qualifier, _segment(segment_id, qualifier, _plain(t[name])), _is(t[name]))
        what = _composite(t["qualifier"], t["procedure"])
        loop.put("SV5", "", _segment("SV5", what, "DA", *(_plain(t[name]) for name in ("rental_days", "rental_price", "purchase_price")),
                                     t["rental_unit"]), _is(t["rental_days"]))  # fmt: skip
        loop.put(
            "CR3",
            "",
            _segment("CR3", t["certification_type"], "MO", _plain(t["certification_months"])),
            _is(t["certification_type"]),
        )
        parts = self.t.line_parts
        self._stated(loop, parts)
        if (rows := parts.get("measurements")) is not None:
            loop.add(
                "MEA",
                "",
                _segment("MEA", rows.column("kind"), rows.column("qualifier"), _plain(rows.column("value"))),
                rows.owner,
            )
        if (rows := parts.get("teeth")) is not None:
            surfaces = pc.replace_substring_regex(x.flat(rows.column("surfaces")), r"(.)", r"\1:")
            loop.add(
                "TOO",
                "JP",
                _segment("TOO", "JP", rows.column("tooth"), pc.utf8_rtrim(surfaces, characters=":")),
                rows.owner,
            )
        references = self.t.line_references
        self._references(loop, references)
        drug = _is(t["ndc"])
        if form.place("2410", "LIN"):
            few = t.filter(pa.array(drug))
            loop = self._new("2410", drug)
            loop.put("LIN", "", _segment("LIN", "", "N4", few["ndc"]))
            loop.put("CTP", "", _segment("CTP", "", "", "", _plain(few["ndc_units"]), few["ndc_unit_basis"]))
            if references is not None:
                inside = references.where(x.as_mask(pc.is_in(references.column("qualifier"), pa.array(["VY", "XZ"]))))
                block = np.searchsorted(loop.owner, inside.owner)
                self._references(loop, Parts(inside.table, block, len(few)))

    def _service(self) -> pa.Array:
        t = self.lines
        modifiers = (t[f"modifier{n}"] for n in range(1, 5))
        coded = _is(t["procedure"])
        return _composite(_where(coded, t["qualifier"]), t["procedure"], *modifiers, t["description"])

    def _place(self) -> pa.Array:
        place = self.lines["place_of_service"]
        claims = self.t.lines.of(self.claims["place_of_service"])
        return _where(x.as_mask(pc.equal(x.flat(place), claims)), "", place)

    def _pointers(self) -> pa.Array:
        return _composite(*(_whole(self.lines[f"pointer{n}"]) for n in range(1, 5)))

    def _sv1(self) -> pa.Array:
        t = self.lines
        return _segment("SV1", self._service(), _plain(t["charge"]), t["unit_basis"], _plain(t["units"]), self._place(), "", self._pointers(),
                        "", _flag(t["emergency"]), "", _flag(t["epsdt"]), _flag(t["family_planning"]), "", "",
                        _where(_is(t["copay_exempt"]), "0"))  # fmt: skip

    def _sv2(self) -> pa.Array:
        t = self.lines
        return _segment(
            "SV2",
            t["revenue_code"],
            self._service(),
            _plain(t["charge"]),
            t["unit_basis"],
            _plain(t["units"]),
            "",
            _plain(t["non_covered"]),
        )

    def _sv3(self) -> pa.Array:
        t = self.lines
        areas = pc.replace_substring_regex(pc.replace_substring(x.flat(t["oral_cavity"]), " ", ""), ",", ":")
        return _segment("SV3", self._service(), _plain(t["charge"]), self._place(), areas, t["prosthesis"], _plain(t["units"]), "", "", "", "",
                        self._pointers())  # fmt: skip

    def _lines_providers(self) -> None:
        rows = self.t.line_parties
        if rows is None:
            return
        numbers = self.t.line_parts.get("identifiers")
        for role in self.form.line_roles:
            mine = rows.where(rows.equal("role", role.role))
            listed = numbers.where(numbers.equal("role", role.role)) if numbers is not None else None
            self._party(role.loop, role.entity, role.specialty, role.address, mine.table, mine.owner, listed)
        bought = rows.where(rows.equal("role", "purchased_service"))
        price = bought.of(self.lines["purchased_charge"])
        who = _where(_is(bought.column("npi")), bought.column("npi"), bought.column("id"))
        priced = _is(price)
        texts = _segment("PS1", who, _plain(price)) if len(bought) else pa.array([], pa.string())
        self.loops["2400"].add("PS1", "", texts.filter(pa.array(priced)), bought.owner[priced])

    def _decisions(self) -> None:
        rows, lines = self.t.adjudications, self.lines
        if rows is not None:
            t = rows.table
            own = _is(t["procedure"])
            coded = _is(lines["procedure"])
            names = ("qualifier", "procedure", "modifier1", "modifier2", "modifier3", "modifier4")
            what = _composite(*(_where(own, t[name], rows.of(_where(coded, lines[name]))) for name in names))
            revenue: Value = ""
            if self.form.kind == "837I":
                revenue = _where(_is(t["revenue_code"]), t["revenue_code"], rows.of(lines["revenue_code"]))
            loop = self._new("2430", rows.owner)
            loop.put(
                "SVD",
                "",
                _segment(
                    "SVD",
                    t["payer_id"],
                    _plain(t["paid"]),
                    what,
                    revenue,
                    _plain(t["units"]),
                    _whole(t["bundled_line"]),
                ),
            )
            self._adjustments(loop, self.t.below(rows, "adjustments"))
            loop.put("DTP", "573", _segment("DTP", "573", "D8", _day(t["paid_date"])))
            loop.put("AMT", "EAF", _segment("AMT", "EAF", _plain(t["remaining"])), _is(t["remaining"]))
        if (rows := self.t.line_parts.get("forms")) is not None and self.form.place("2440", "LQ"):
            self._forms(rows)

    def _forms(self, rows: Parts) -> None:
        """LQ names a form; the answers that follow each other on it stand below."""
        t = rows.table
        named = _segment("LQ", t["form_kind"], t["form"])
        key = pc.binary_join_element_wise(named, _whole(pa.array(rows.owner)), "*")
        new = np.r_[True, x.as_mask(pc.not_equal(key[1:], key[:-1]))]
        loop = self._new("2440", rows.owner[new])
        loop.put("LQ", "", named.filter(pa.array(new)))
        loop.add(
            "FRM",
            "",
            _segment("FRM", t["question"], t["answer"], t["text"], _day(t["day"]), _plain(t["percent"])),
            np.cumsum(new) - 1,
        )


def _decimal(value: object) -> str:
    if value is None:
        return ""
    text = str(value)
    return text.rstrip("0").rstrip(".") if "." in text else text


def _shown(column: Column) -> pa.Array:
    return x.flat(column) if pa.types.is_string(column.type) else _plain(column)


# --- the comparison -----------------------------------------------------------------------------------------------------------


def differences(
    data: bytes, meant: Interchange837, on: date, numbers: Numbers, expected: Expected | None = None
) -> list[Finding]:
    """Where the file's segments are not those that were meant; empty where they are. `data` is a whole interchange; `expected` is
    what `meant` says, where it has been stated already."""
    isa = read_isa(data, 0)
    if isa is None:
        return [_fault("The file does not begin with an interchange header (ISA) that can be read.")]
    found = _Found(data, meant.form, isa.wire)
    findings = _headers(found, meant, on, numbers)
    if len(found.stray):
        findings.append(
            _fault(f"{counted(len(found.stray), 'segment stands', 'segments stand')} in no place that was meant.")
        )
    counts = {"claim": (found.claim_at, len(meant)), "line": (found.line_at, meant.tables.lines.table.num_rows),
              "other payer": (found.payer_at, len(meant.tables.parts["other_payers"]) if "other_payers" in meant.tables.parts else 0)}  # fmt: skip
    wrong = [
        _fault(f"The file holds {counted(len(at), what)}; meant: {number}.")
        for what, (at, number) in counts.items()
        if len(at) != number
    ]
    if wrong:
        return findings + wrong
    return findings + _levels(found, meant) + _compared(found, meant, expected or Expected(meant))


def _fault(message: str, subject: str = "") -> Finding:
    return Finding(rule="837.readback", severity="error", message=message, fix=_FIX, subject=subject)


def _headers(found: _Found, meant: Interchange837, on: date, numbers: Numbers) -> list[Finding]:
    """ISA, GS, GE, IEA, and of each set what stands before its first level, and SE."""
    route, scan = meant.route, found.scan
    day = on.strftime("%Y%m%d")
    sets = meant.claims_and_lines_by_set()
    isa = ["ISA", "00", " " * 10, "00", " " * 10, route.sender_qualifier, route.sender_id.ljust(15), route.receiver_qualifier,
           route.receiver_id.ljust(15), day[2:], "0000", "^", "00501", f"{numbers.interchange:09d}", route.acknowledgment_requested,
           route.usage, ":"]  # fmt: skip
    around = [
        isa,
        ["GS", "HC", route.group_sender, route.group_receiver, day, "0000", str(numbers.group), "X", meant.form.guide],
        ["GE", str(len(sets)), str(numbers.group)],
        ["IEA", "1", f"{numbers.interchange:09d}"],
    ]
    outside = [scan.elements(at) for at in np.flatnonzero(~found.inside).tolist()]
    findings = [] if outside == around else [_fault("The file's envelope does not say what was meant.")]
    if len(found.sets) != len(sets):
        return [*findings, _fault(f"The file holds {counted(len(found.sets), 'set')}; meant: {len(sets)}.")]
    ends = np.flatnonzero((found.codes == code_of("SE")) & found.inside)
    for index, start in enumerate(found.sets.tolist()):
        control = f"{index + 1:04d}"
        head = [
            ["ST", "837", control, meant.form.guide],
            ["BHT", "0019", "00", batch_reference(numbers.interchange, control), day, "0000", "CH"],
            ["NM1", "41", "2", route.submitter_name, "", "", "", "", "46", route.submitter_id],
            ["PER", "IC", route.submitter_contact, "TE", route.submitter_phone],
            ["NM1", "40", "2", route.receiver_name, "", "", "", "", "46", route.receiver_id],
        ]
        here = np.flatnonzero(found.header & (found.set_of == index)).tolist()
        end = int(ends[index]) if index < len(ends) else -1
        said = [scan.elements(at) for at in here]
        if said != head or end < 0 or scan.elements(end) != ["SE", str(end - start + 1), control]:
            findings.append(_fault(f"The header or the end of set {control} does not say what was meant."))
    return findings


def _levels(found: _Found, meant: Interchange837) -> list[Finding]:
    """HL: numbered from 1 in each set, each below the level that stands open, 1 where another level hangs below it."""
    scan, at = found.scan, found.hl_at
    wanted = []
    number, of_set = 0, -1
    last: dict[str, str] = {}
    kinds = [scan.text_at(segment, 3) for segment in at.tolist()]
    owners = found.set_of[at].tolist()
    for index, (kind, owner) in enumerate(zip(kinds, owners, strict=True)):
        if owner != of_set:
            number, last, of_set = 0, {}, owner
        number += 1
        last[kind] = str(number)
        above = {"22": "20", "23": "22"}.get(kind, "")
        below = index + 1 < len(kinds) and owners[index + 1] == owner and kinds[index + 1] > kind
        wanted.append(["HL", str(number), last.get(above, ""), kind, "1" if below else "0"])
    said = [scan.elements(segment) for segment in at.tolist()]
    findings = [] if said == wanted else [_fault("The levels of the file (HL) do not hang together as they should.")]
    used = {loop: np.unique(hl[hl >= 0]) for loop, hl in found.claim_hl.items()}
    empty = sum(len(found.loops[loop].at) - len(hl) for loop, hl in used.items() if loop in found.loops)
    if empty:
        findings.append(_fault(f"{empty} levels of the file (HL) have no claim below them."))
    sets = meant.in_file(np.arange(len(meant)))
    if not np.array_equal(found.set_of[found.claim_at], meant.sets[np.arange(len(sets))]):
        findings.append(_fault("Claims stand in other sets than was meant."))
    return findings


def _compared(found: _Found, meant: Interchange837, expected: Expected) -> list[Finding]:
    tables = meant.tables
    order = meant.in_file(np.arange(len(meant)))
    lines = tables.lines.places(order)
    payers = np.zeros(0, dtype=np.int64)
    if (rows := tables.parts.get("other_payers")) is not None:
        place = np.empty(len(order), dtype=np.int64)
        place[order] = np.arange(len(order))
        payers = np.argsort(place[rows.owner], kind="stable")
    ids = {
        "claim": tables.ids,
        "line": tables.lines.of(tables.ids),
        "payer": rows.of(tables.ids) if rows is not None else tables.ids,
    }
    filed = {"claim": order, "line": lines, "payer": payers}
    findings: list[Finding] = []
    for loop in sorted({*found.loops, *expected.loops}):
        kind = "payer" if loop[:3] in ("232", "233") else "line" if loop[:2] == "24" else "claim"
        wanted = expected.loops.get(loop) or _Meant(meant.form, loop, np.zeros(0, dtype=np.int64))
        blocks = found.loops.get(loop) or _Blocks(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))
        if loop[:3] in ("200", "201"):
            blocks = _of_claims(found, loop, blocks)
        rank = np.empty(len(filed[kind]), dtype=np.int64)
        rank[filed[kind]] = np.arange(len(rank))
        owner = filed[kind][blocks.owner]  # by the ids
        in_order = np.argsort(
            rank[wanted.owner], kind="stable"
        )  # the blocks that were meant, as the file should have them
        if not np.array_equal(owner, wanted.owner[in_order]):
            lacks = np.bincount(owner, minlength=len(rank)) != np.bincount(wanted.owner, minlength=len(rank))
            findings += _missing(loop, lacks, ids[kind])
            same, kept = ~lacks[owner], ~lacks[wanted.owner[in_order]]
            owner, blocks, in_order = owner[same], _Blocks(blocks.at[same], blocks.owner[same]), in_order[kept]
        findings += _unequal(found, loop, blocks, wanted, in_order, ids[kind].take(pa.array(owner)))
    return findings


def _of_claims(found: _Found, loop: str, blocks: _Blocks) -> _Blocks:
    """The blocks of a level, each for every claim below it."""
    level = loop if loop in _LEVELS.values() else f"2000{loop[4]}"
    hl = found.claim_hl[level]
    low, high = (np.where(hl < 0, 0, np.searchsorted(blocks.owner, hl, side=side)) for side in ("left", "right"))
    counts = high - low
    claims = np.repeat(np.arange(len(hl)), counts)
    first = np.repeat(low - (np.cumsum(counts) - counts), counts)
    return _Blocks(blocks.at[first + np.arange(len(claims))], claims)


def _missing(loop: str, lacks: Mask, ids: pa.Array) -> list[Finding]:
    """A finding a claim whose loops are other than was meant; `ids`: of each owner, `lacks`: where the number of loops differs."""
    claims = sorted(set(ids.filter(pa.array(lacks)).to_pylist()))
    if not claims:
        return [_fault(f"Loops {loop} of the file stand in another order than was meant.")]
    return [_fault(f"{loop}: the file has other loops of this kind than were meant.", claim) for claim in claims]


def _unequal(
    found: _Found, loop: str, blocks: _Blocks, wanted: _Meant, in_order: Integers, subjects: pa.Array
) -> list[Finding]:
    """A finding a claim and kind of segment that differ."""
    findings: list[Finding] = []
    at, back = np.unique(blocks.at, return_inverse=True)
    for segment_id in sorted({*found.ids(at), *wanted.segments} - {"HL"}):
        here = found.texts(at, segment_id).take(pa.array(back))
        meant = wanted.texts(segment_id).take(pa.array(in_order))
        wrong = x.as_mask(pc.not_equal(here, meant))
        if wrong.any():
            findings += [
                _fault(f"{loop} {segment_id}: the file says something else than was meant.", claim)
                for claim in sorted(set(subjects.filter(pa.array(wrong)).to_pylist()))
            ]
    return findings
