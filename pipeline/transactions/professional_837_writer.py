"""Writing the 837P (005010X222A1): coded tables → the bytes of interchanges, a column at a time.

Theory. Every claim gets four texts that do not depend on where it stands: its billing provider (2000A), its subscriber
(2000B), its dependent (2000C, or none) and itself (2300). Claims are put in an order in which equal texts stand
together, so a loop is opened exactly where its text differs from the claim before, and hierarchy numbers are running
counts of those openings. A row of the file is then 'what opens here, then the claim', followed by the rows of its lines;
one `take` puts claims and lines in order, and the data buffer of the result is the body of the file.

The caller has checked the values (`professional_837_fields.check`) and gives the control numbers; the same input gives
the same bytes. There is no clock here: times in the envelope are 0000.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.transactions import professional_837_fields as fields
from pipeline.transactions.professional_837_fields import Charset
from pipeline.x12 import columns as x
from pipeline.x12.columns import Columns, Integers, Mask
from pipeline.x12.writer import Element, Envelope, gs, isa, render

GUIDE = "005010X222A1"
#: the guide's limit of claims in one subscriber or patient loop
MOST_CLAIMS_IN_A_LOOP = 100
_TIME = "0000"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Who sends, who receives, who pays: what is the same in every claim of a file."""

    submitter_name: str
    submitter_id: str
    submitter_contact: str
    submitter_phone: str
    sender_qualifier: str
    sender_id: str
    group_sender: str
    receiver_name: str
    receiver_qualifier: str
    receiver_id: str
    group_receiver: str
    payer_name: str
    payer_id: str
    payer_address1: str = ""
    payer_city: str = ""
    payer_state: str = ""
    payer_zip: str = ""
    filing_indicator: str = "CI"
    assignment: str = "A"
    benefits_assignment: str = "Y"
    release_of_information: str = "Y"
    charset: Charset = "basic"
    acknowledgment_requested: Literal["0", "1"] = "1"
    usage: Literal["T", "P"] = "T"
    newline: bool = False


@dataclass(frozen=True, slots=True)
class Numbers:
    """Control numbers of one interchange with its one group. Sets are numbered from 0001."""

    interchange: int
    group: int


class Interchange837P:
    """The claims of one interchange in the order of the file, each with its texts. `render` gives the bytes.

    Texts are made in the order of the claim ids and put in the order of the file at the very end: moving one column of
    texts is cheaper than moving sixty of values.
    """

    def __init__(
        self, claims: pa.Table, diagnoses: pa.Table, lines: pa.Table, route: Route, *, claims_per_set: int = 5000
    ) -> None:
        """Tables of the shapes `coded_claims`, `coded_diagnoses`, `coded_lines`; each claim has passed `check`."""
        self.route = route
        self.claims_per_set = claims_per_set
        self._x = Columns(newline=route.newline)
        self._claims = _by_id(fields.written(claims, fields.CLAIM_COLUMNS, route.charset))
        ids = x.flat(self._claims.column("claim_id"))
        self._diagnoses = _Children(fields.written(diagnoses, fields.DIAGNOSIS_COLUMNS, route.charset), ids, "rank")
        self._lines = _Children(fields.written(lines, fields.LINE_COLUMNS, route.charset), ids, "line")
        groups = [_codes(build(self._x, self._claims, route)) for build in (_billing, _subscriber, _patient)]
        #: the claim, by the order of the ids, that stands at each place of the file
        self._order = np.lexsort([codes for codes, _ in reversed(groups)])
        #: per level: the number of its text at each place of the file, and the texts
        self._levels = [(codes[self._order], texts) for codes, texts in groups]

    def __len__(self) -> int:
        return len(self._order)

    @cached_property
    def claims(self) -> pa.Table:
        """The claims as they are written, in the order of the file."""
        return self._claims.take(pa.array(self._order))

    @cached_property
    def diagnoses(self) -> pa.Table:
        return self._diagnoses.table.take(pa.array(self._diagnoses.places(self._order)))

    @cached_property
    def lines(self) -> pa.Table:
        return self._lines.table.take(pa.array(self._lines.places(self._order)))

    @property
    def sets(self) -> Integers:
        """Which set each claim stands in, from 0."""
        return np.arange(len(self)) // self.claims_per_set

    def set_controls(self) -> list[str]:
        """ST02 of each claim."""
        return [f"{number + 1:04d}" for number in self.sets.tolist()]

    def claims_and_lines_by_set(self) -> list[tuple[int, int]]:
        starts = np.flatnonzero(_changes(self.sets))
        counts = zip(
            np.diff(np.r_[starts, len(self)]), np.add.reduceat(self._lines.counts[self._order], starts), strict=True
        )
        return [(int(claims), int(lines)) for claims, lines in counts]

    def render(self, *, on: date, numbers: Numbers) -> bytes:
        """The interchange; `on` is ISA09, GS04 and BHT04."""
        data, cuts, segments = self._body
        return self._assemble(on, numbers, data, cuts, segments)

    @cached_property
    def _body(self) -> tuple[np.ndarray, Integers, list[int]]:
        """All that stands between the headers and the trailers of the sets: bytes, where sets begin, segments by set."""
        n, counts = len(self), self._lines.counts[self._order]
        opens_set = _changes(self.sets)
        rows = self._rows(opens_set)
        place = x.flat(self._claims.column("place_of_service")).take(pa.array(self._lines.parents))
        lines = _line(self._x, self._lines.table, place)

        line_places = self._lines.places(self._order)
        before = np.r_[0, np.cumsum(counts)[:-1]]
        claim_at = np.arange(n) + before
        is_line = np.ones(n + len(lines), dtype=np.bool_)
        is_line[claim_at] = False
        order = np.empty(n + len(lines), dtype=np.int64)
        order[claim_at] = self._order
        order[is_line] = n + line_places
        offsets, data = x.buffers(pa.concat_arrays([rows, lines]).take(pa.array(order)))

        set_starts = np.flatnonzero(opens_set)
        cuts = offsets[np.r_[claim_at[set_starts], len(order)]].astype(np.int64)
        end = ord(self._x.delimiters.segment)
        segments = [_count(data[a:b], end) for a, b in itertools.pairwise(cuts.tolist())]
        return data, cuts, segments

    def _rows(self, opens_set: Mask) -> pa.Array:
        """Each claim, in the order of the ids, with the loops that open before it in the file."""
        (billing, a_texts), (subscriber, b_texts), (patient, c_texts) = self._levels
        dependent = (~fields.is_self(self._claims))[self._order]
        a = opens_set | _changes(billing)
        b = _full(a | _changes(subscriber))
        c = _full(b | _changes(patient)) & dependent
        # hierarchy ids run through each set in the order A, B, C
        opened = np.cumsum(a.astype(np.int64) + b + c)
        before = opened - a - b - c
        base = before[np.flatnonzero(opens_set)][self.sets]
        id_a, id_b, id_c = before + a - base, before + a + b - base, opened - base
        parent_of_b = np.maximum.accumulate(np.where(a, np.arange(len(a)), 0))
        parent_of_c = np.maximum.accumulate(np.where(b, np.arange(len(b)), 0))

        hl, whole = self._x.segment, x.whole
        opening = (
            hl("HL", whole(id_a), "", "20", "1", where=a), _pick(a_texts, billing, a),
            hl("HL", whole(id_b), whole(id_a[parent_of_b]), "22", _flag(dependent), where=b), _pick(b_texts, subscriber, b),
            hl("HL", whole(id_c), whole(id_b[parent_of_c]), "23", "0", where=c), _pick(c_texts, patient, c),
        )  # fmt: skip
        # back to the order of the ids, in which the claims' own segments are
        place = np.empty(len(self), dtype=np.int64)
        place[self._order] = np.arange(len(self))
        by_id = [text if text.null_count == len(text) else text.take(pa.array(place)) for text in opening]
        return self._x.loop(*by_id, *_claim(self._x, self._claims, self._diagnoses, self.route))

    def _assemble(self, on: date, numbers: Numbers, whole: np.ndarray, cuts: Integers, segments: list[int]) -> bytes:
        r = self.route
        envelope = Envelope(
            sender_qualifier=r.sender_qualifier, sender_id=r.sender_id, receiver_qualifier=r.receiver_qualifier,
            receiver_id=r.receiver_id, group_sender=r.group_sender, group_receiver=r.group_receiver, on=on, time=_TIME,
            interchange_control=numbers.interchange, group_control=numbers.group, functional_id="HC", version=GUIDE,
            usage=r.usage, acknowledgment_requested=r.acknowledgment_requested, newline=r.newline,
        )  # fmt: skip
        written: Callable[[list[list[Element]]], bytes] = lambda s: render(s, newline=r.newline)  # noqa: E731
        parts: list[Any] = [written([isa(envelope), gs(envelope)])]
        for index in range(len(segments)):
            control = f"{index + 1:04d}"
            head = self._set_header(on, numbers, control)
            parts += [written(head), whole[cuts[index] : cuts[index + 1]]]
            parts.append(written([["SE", str(segments[index] + len(head) + 1), control]]))
        parts.append(
            written([["GE", str(len(segments)), str(numbers.group)], ["IEA", "1", f"{numbers.interchange:09d}"]])
        )
        return b"".join(parts)

    def _set_header(self, on: date, numbers: Numbers, control: str) -> list[list[Element]]:
        r = self.route
        return [
            ["ST", "837", control, GUIDE],
            ["BHT", "0019", "00", batch_reference(numbers.interchange, control), on.strftime("%Y%m%d"), _TIME, "CH"],
            ["NM1", "41", "2", r.submitter_name, "", "", "", "", "46", r.submitter_id],
            ["PER", "IC", r.submitter_contact, "TE", r.submitter_phone],
            ["NM1", "40", "2", r.receiver_name, "", "", "", "", "46", r.receiver_id],
        ]


def batch_reference(interchange_control: int, set_control: str) -> str:
    """BHT03: the set's own name over the life of the route; a 277CA gives it back."""
    return f"{interchange_control:09d}{set_control}"


def _codes(texts: pa.Array) -> tuple[Integers, pa.Array]:
    """Texts → (number of each row's text by first appearance, the different texts)."""
    encoded = texts.dictionary_encode()
    return np.asarray(encoded.indices.to_numpy(), dtype=np.int64), encoded.dictionary


def _count(data: np.ndarray, byte: int) -> int:
    """How often the byte stands there; by and by, since a mask of a whole file is memory that must first be had."""
    return sum(int(np.count_nonzero(data[at : at + _AT_ONCE] == byte)) for at in range(0, len(data), _AT_ONCE))


_AT_ONCE = 1 << 16


def _pick(texts: pa.Array, codes: Integers, where: Mask) -> pa.Array:
    return texts.take(pa.array(codes, mask=~where))


def _flag(mask: Mask) -> pa.Array:
    return pa.array(["0", "1"]).take(pa.array(mask.astype(np.int8)))


def _changes(codes: Integers) -> Mask:
    return np.r_[True, codes[1:] != codes[:-1]]


def _full(opens: Mask) -> Mask:
    """Opens a loop again where it would hold more claims than the guide allows."""
    places = np.arange(len(opens))
    nth = places - np.maximum.accumulate(np.where(opens, places, 0))
    return opens | (nth % MOST_CLAIMS_IN_A_LOOP == 0)


def _by_id(claims: pa.Table) -> pa.Table:
    ids = x.flat(claims.column("claim_id"))
    if pc.all(pc.less(ids[:-1], ids[1:])).as_py():
        return claims
    return claims.take(pc.sort_indices(ids))


class _Children:
    """Lines or diagnoses of these claims: in the order of the claims' ids and their own, and how many each claim has."""

    def __init__(self, table: pa.Table, ids: pa.Array, order: str) -> None:
        parents = _parents(x.flat(table.column("claim_id")), ids)
        if (parents < 0).any():  # of claims that were left out
            known = parents >= 0
            table, parents = table.filter(pa.array(known)), parents[known]
        within = x.flat(table.column(order)).to_numpy()
        step = np.diff(parents)
        if not ((step > 0) | ((step == 0) & (np.diff(within) > 0))).all():
            key = np.lexsort((within, parents))
            table, parents = table.take(pa.array(key)), parents[key]
        self.table: pa.Table = table
        self.parents: Integers = parents
        self.counts: Integers = np.bincount(parents, minlength=len(ids)).astype(np.int64)
        self._starts = np.cumsum(self.counts) - self.counts

    def places(self, order: Integers) -> Integers:
        """Rows of the table when the claims stand in this order."""
        counts = self.counts[order]
        first = np.cumsum(counts) - counts
        return np.repeat(self._starts[order] - first, counts) + np.arange(len(self.parents))


def _parents(of: pa.Array, ids: pa.Array) -> Integers:
    """The place of each row's claim among the ids, -1 where it is none of them."""
    if len(of):  # rows that already stand together in the order of the ids need no look-up
        first = np.r_[True, x.as_mask(pc.not_equal(of[1:], of[:-1]))]
        runs = of.filter(pa.array(first))
        if len(runs) == len(ids) and runs.equals(ids):
            return np.cumsum(first) - 1
    found = pc.fill_null(pc.index_in(of, value_set=ids), -1)
    return np.asarray(found.to_numpy(zero_copy_only=False), dtype=np.int64)


def _either(column: pa.ChunkedArray, default: str) -> pa.Array:
    """The claim's own value, or the agreement with the payer where it has none."""
    array = x.flat(column)
    return pc.if_else(pc.equal(pc.binary_length(array), 0), default, array)


def _address(c: Columns, t: pa.Table, prefix: str, where: Mask | None = None, *, second: bool = True) -> list[pa.Array]:
    return [
        c.segment("N3", t.column(f"{prefix}_address1"), t.column(f"{prefix}_address2") if second else "", where=where),
        c.segment(
            "N4", t.column(f"{prefix}_city"), t.column(f"{prefix}_state"), t.column(f"{prefix}_zip"), where=where
        ),
    ]


def _person(c: Columns, t: pa.Table, prefix: str, entity: str, where: Mask | None = None) -> pa.Array:
    """NM1 of a provider with its NPI: a person where a first name stands, else an organisation (a referrer is a person)."""
    first = t.column(f"{prefix}_first")
    last = t.column(f"{prefix}_name" if prefix == "billing" else f"{prefix}_last")
    kind: x.Text = "1" if entity == "DN" else pa.array(["2", "1"]).take(pa.array(x.present(first).astype(np.int8)))
    return c.segment("NM1", entity, kind, last, first, "", "", "", "XX", t.column(f"{prefix}_npi"), where=where)


_BILLING = (
    "billing_name", "billing_first", "billing_npi", "billing_tin", "billing_tin_kind", "billing_taxonomy", "billing_address1",
    "billing_address2", "billing_city", "billing_state", "billing_zip", "billing_phone", "pay_to_address1", "pay_to_address2",
    "pay_to_city", "pay_to_state", "pay_to_zip",
)  # fmt: skip


def _billing(c: Columns, claims: pa.Table, route: Route) -> pa.Array:
    """2000A without its HL: PRV, 2010AA, 2010AB. Built once for each different provider, then spread over the claims."""
    differing = [column for column in (x.flat(claims.column(name)) for name in _BILLING) if x.alike(column) is None]
    differing = differing or [x.flat(claims.column("billing_npi"))]
    codes, _ = _codes(pc.binary_join_element_wise(*differing, "\x1f"))
    _, first = np.unique(codes, return_index=True)
    t = claims.select(list(_BILLING)).take(pa.array(first))
    pay_to = x.present(t.column("pay_to_address1"))
    phone = x.present(t.column("billing_phone")) & ~x.as_mask(
        pc.equal(t.column("billing_phone"), route.submitter_phone)
    )
    kind = pa.array(["2", "1"]).take(pa.array(x.present(t.column("billing_first")).astype(np.int8)))
    text = c.body(
        c.segment("PRV", "BI", "PXC", t.column("billing_taxonomy"), where=x.present(t.column("billing_taxonomy"))),
        _person(c, t, "billing", "85"),
        *_address(c, t, "billing"),
        c.segment("REF", t.column("billing_tin_kind"), t.column("billing_tin")),
        c.segment("PER", "IC", t.column("billing_name"), "TE", t.column("billing_phone"), where=phone),
        c.segment("NM1", "87", kind, where=pay_to),
        *_address(c, t, "pay_to", pay_to),
    )  # fmt: skip
    return text.take(pa.array(codes))


def _subscriber(c: Columns, claims: pa.Table, route: Route) -> pa.Array:
    """2000B without its HL: SBR, 2010BA, 2010BB. Address and birth date stand here only where the patient is the subscriber."""
    own = fields.is_self(claims)

    def whose(part: str) -> pa.Array:
        patient = x.flat(claims.column(f"patient_{part}"))
        return patient if own.all() else pc.if_else(pa.array(own), patient, x.flat(claims.column(f"subscriber_{part}")))

    suffix = x.flat(claims.column("patient_suffix"))
    relation = pc.if_else(pa.array(own), "18", "")
    payer: list[list[Element]] = [["NM1", "PR", "2", route.payer_name, "", "", "", "", "PI", route.payer_id]]
    if route.payer_address1:
        payer += [["N3", route.payer_address1], ["N4", route.payer_city, route.payer_state, route.payer_zip]]
    payer_text = render(payer, newline=route.newline).decode("ascii").removesuffix(c.end)
    return c.body(
        c.every("SBR", "P", relation, claims.column("group_number"), "", "", "", "", "", route.filing_indicator),
        c.every("NM1", "IL", "1", whose("last"), whose("first"), whose("middle"), "",
                  suffix if own.all() else pc.if_else(pa.array(own), suffix, ""), "MI", claims.column("member_id")),
        *_address(c, claims, "patient", own),
        _demographics(c, claims, own),
        payer_text,
    )  # fmt: skip


def _patient(c: Columns, claims: pa.Table, route: Route) -> pa.Array:
    """2000C without its HL: PAT and 2010CA; '' where the patient is the subscriber."""
    dependent = ~fields.is_self(claims)
    if not dependent.any():
        return pa.repeat("", claims.num_rows)
    t = claims.filter(pa.array(dependent))
    text = c.body(
        c.every("PAT", t.column("relationship")),
        c.every("NM1", "QC", "1", t.column("patient_last"), t.column("patient_first"), t.column("patient_middle"), "",
                t.column("patient_suffix")),
        *_address(c, t, "patient"),
        _demographics(c, t),
    )  # fmt: skip
    return pc.fill_null(x.spread(text, dependent), "")


def _demographics(c: Columns, claims: pa.Table, where: Mask | None = None) -> pa.Array:
    return c.segment("DMG", "D8", x.day(claims.column("patient_birth_date")), claims.column("patient_sex"), where=where)


def _claim(c: Columns, t: pa.Table, diagnoses: _Children, route: Route) -> list[pa.Array]:
    """The segments of 2300 with 2310A, B and C."""
    present = x.present
    kind = t.column("accident_kind")
    related: x.Text = c.composite(kind, "", "", t.column("accident_state")) if present(kind).any() else ""
    place = c.composite(t.column("place_of_service"), "B", t.column("frequency"))
    later = ~x.as_mask(pc.equal(t.column("frequency"), "1"))
    dated = [("431", "onset_date"), ("439", "accident_date"), ("435", "admission_date")]
    numbered = [("G1", t.column("authorization_number"), present(t.column("authorization_number"))),
                ("F8", t.column("payer_claim_number"), later)]  # fmt: skip
    segments: list[pa.Array] = [
        c.segment("CLM", t.column("claim_id"), x.amount(t.column("charge")), "", "", place, "Y",
                  _either(t.column("assignment"), route.assignment),
                  _either(t.column("benefits_assignment"), route.benefits_assignment),
                  _either(t.column("release_of_information"), route.release_of_information), "", related)
    ]  # fmt: skip
    for qualifier, column in dated:
        given = x.as_mask(pc.is_valid(t.column(column)))
        if given.any():
            segments.append(c.segment("DTP", qualifier, "D8", x.day(t.column(column)), where=given))
    segments += [
        c.segment("REF", qualifier, column, where=where) for qualifier, column, where in numbered if where.any()
    ]
    segments.append(_diagnosis_segment(c, diagnoses))
    if (referring := present(t.column("referring_npi"))).any():
        segments.append(_person(c, t, "referring", "DN", referring))
    if (rendering := fields.has_rendering(t)).any():
        specialty = rendering & present(t.column("rendering_taxonomy"))
        segments += [_person(c, t, "rendering", "82", rendering),
                     c.segment("PRV", "PE", "PXC", t.column("rendering_taxonomy"), where=specialty)]  # fmt: skip
    if (facility := fields.has_facility(t)).any():
        npi = x.flat(t.column("facility_npi"))
        own = pc.and_(pc.not_equal(npi, t.column("billing_npi")), pc.greater(pc.binary_length(npi), 0))
        identified = (pc.if_else(own, "XX", ""), pc.if_else(own, npi, ""))
        segments += [c.segment("NM1", "77", "2", t.column("facility_name"), "", "", "", "", *identified, where=facility),
                     *_address(c, t, "facility", facility, second=False)]  # fmt: skip
    return segments


def _diagnosis_segment(c: Columns, diagnoses: _Children) -> pa.Array:
    """HI: ABK for the principal diagnosis, ABF for the others, in the order of their ranks."""
    t = diagnoses.table
    qualifier = pc.if_else(pc.equal(x.flat(t.column("rank")), 1), "ABK", "ABF")
    codes = c.composite(qualifier, t.column("code"))
    offsets = pa.array(np.r_[0, np.cumsum(diagnoses.counts)].astype(np.int32))
    return c.segment("HI", pc.binary_join(pa.ListArray.from_arrays(offsets, codes), c.delimiters.element))


def _line(c: Columns, t: pa.Table, claim_places: pa.Array) -> pa.Array:
    """2400 with 2410, each with its terminators. The place of service stands only where it is not the claim's."""
    place = x.flat(t.column("place_of_service"))
    service = c.composite(
        t.column("qualifier"), t.column("procedure"), *(t.column(f"modifier{n}") for n in (1, 2, 3, 4))
    )
    pointers = c.composite(*(x.whole(t.column(f"pointer{n}")) for n in (1, 2, 3, 4)))
    segments: list[x.Text | x.Every] = [
        c.every("LX", x.whole(t.column("line"))),
        c.every("SV1", service, x.amount(t.column("charge")), t.column("unit_basis"), x.amount(t.column("units")),
                pc.if_else(pc.equal(place, claim_places), "", place), "", pointers),
        c.every("DTP", "472", "D8", x.day(t.column("service_date"))),
        c.every("REF", "6R", t.column("line_control_number")),
    ]  # fmt: skip
    if (drug := x.present(t.column("ndc"))).any():
        few = t.select(["ndc", "ndc_units", "ndc_unit_basis"]).filter(pa.array(drug))
        segments += [
            x.spread(c.segment("LIN", "", "N4", few.column("ndc")), drug),
            x.spread(
                c.segment("CTP", "", "", "", x.amount(few.column("ndc_units")), few.column("ndc_unit_basis")), drug
            ),
        ]
    return c.loop(*segments)
