"""Writing 837P, 837I and 837D: coded tables → the bytes of interchanges, a column at a time.

Theory. Every claim gets four texts that do not depend on where it stands: its billing provider (2000A), its subscriber
(2000B), its dependent (2000C, or none) and itself (2300). Claims are put in an order in which equal texts stand
together, so a loop is opened exactly where its text differs from the claim before, and hierarchy numbers are running
counts of those openings. A row of the file is then 'what opens here, then the claim', followed by the rows of its lines;
where each stands is a sum of lengths (`x.Woven`), so rows are made in the order of the ids and laid in the order of the file.

What stands in a claim is the business of `claim_837_claim` and `claim_837_line`; which form has which places, of
`claim_837_forms` and the guides. The caller has checked the values (`claim_837_fields.check`) and gives the control
numbers; the same input gives the same bytes. There is no clock here: times in the envelope are 0000.
"""

from __future__ import annotations

from datetime import date
from functools import cached_property, partial
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.transactions import claim_837_levels as levels
from pipeline.transactions.claim_837_claim import claim
from pipeline.transactions.claim_837_forms import Form
from pipeline.transactions.claim_837_line import line
from pipeline.transactions.claim_837_route import Numbers, Route
from pipeline.transactions.claim_837_tables import Tables
from pipeline.x12 import columns as x
from pipeline.x12.columns import Columns, Integers, Mask
from pipeline.x12.writer import Element, Envelope, gs, isa, render

#: the guides' limit of claims in one subscriber or patient loop
MOST_CLAIMS_IN_A_LOOP = 100
_TIME = "0000"


class Interchange837:
    """The claims of one interchange in the order of the file, each with its texts. `render` gives the bytes.

    Texts are made in the order of the claim ids and put in the order of the file at the very end: laying a row elsewhere
    costs nothing, moving sixty columns of values much.
    """

    def __init__(
        self, claims: pa.Table, diagnoses: pa.Table, lines: pa.Table, route: Route, form: Form, *, claims_per_set: int = 5000
    ) -> None:  # fmt: skip
        """Tables of the shapes `coded_claims`, `coded_diagnoses`, `coded_lines`; each claim is one of `form` and has passed
        `check`."""
        self.route, self.form = route, form
        self.claims_per_set = claims_per_set
        self._x = Columns(newline=route.newline)
        self.tables = Tables(claims, diagnoses, lines, form, route.charset)
        groups = [build(self._x, self.tables, route) for build in (levels.billing, levels.subscriber, levels.patient)]
        #: per level, by claim in the order of the ids: the number of its text, and the text
        self._codes, self._texts = [codes for codes, _ in groups], [texts for _, texts in groups]
        #: the claim, by the order of the ids, that stands at each place of the file
        self._order = _sorted(self._codes)

    def __len__(self) -> int:
        return len(self._order)

    @cached_property
    def claims(self) -> pa.Table:
        """The claims as they are written, in the order of the file."""
        return self.tables.claims.take(pa.array(self._order))

    @cached_property
    def diagnoses(self) -> pa.Table:
        return self.tables.diagnoses.table.take(pa.array(self.tables.diagnoses.places(self._order)))

    @cached_property
    def lines(self) -> pa.Table:
        return self.tables.lines.table.take(pa.array(self.tables.lines.places(self._order)))

    def in_file(self, values: Any) -> Any:
        """Values by claim in the order of the ids → in the order of the file."""
        return values.take(pa.array(self._order)) if isinstance(values, pa.Array) else values[self._order]

    @property
    def sets(self) -> Integers:
        """Which set each claim stands in, from 0."""
        return np.arange(len(self)) // self.claims_per_set

    def set_controls(self) -> list[str]:
        """ST02 of each claim."""
        return [f"{number + 1:04d}" for number in self.sets.tolist()]

    def claims_and_lines_by_set(self) -> list[tuple[int, int]]:
        starts = np.flatnonzero(_changes(self.sets))
        lines = np.add.reduceat(self.tables.lines.counts[self._order], starts)
        counts = zip(np.diff(np.r_[starts, len(self)]), lines, strict=True)
        return [(int(claims), int(of_them)) for claims, of_them in counts]

    def render(self, *, on: date, numbers: Numbers) -> bytes:
        """The interchange; `on` is ISA09, GS04 and BHT04."""
        r, sets = self.route, self._body
        envelope = Envelope(
            sender_qualifier=r.sender_qualifier, sender_id=r.sender_id, receiver_qualifier=r.receiver_qualifier,
            receiver_id=r.receiver_id, group_sender=r.group_sender, group_receiver=r.group_receiver, on=on, time=_TIME,
            interchange_control=numbers.interchange, group_control=numbers.group, functional_id="HC", version=self.form.guide,
            usage=r.usage, acknowledgment_requested=r.acknowledgment_requested, newline=r.newline,
        )  # fmt: skip
        written = partial(render, newline=r.newline)
        heads, tails = [], []
        for index, segments in enumerate(sets.segments):
            control = f"{index + 1:04d}"
            head = self._set_header(on, numbers, control)
            heads.append(written(head))
            tails.append(written([["SE", str(segments + len(head) + 1), control]]))
        heads[0] = written([isa(envelope), gs(envelope)]) + heads[0]
        tails[-1] += written([["GE", str(len(tails)), str(numbers.group)], ["IEA", "1", f"{numbers.interchange:09d}"]])
        return sets.between(heads, tails)

    @cached_property
    def _body(self) -> x.Woven:
        """All that stands between the headers and the trailers of the sets: claims, each followed by its lines."""
        children = self.tables.lines
        counts = children.counts[self._order]
        opens_set = _changes(self.sets)
        place = _places(self._order)
        #: where each claim stands among claims and lines, in the order of the file
        claim_at = np.arange(len(self)) + np.cumsum(counts) - counts
        claims = claim_at[place]
        lines = claims[children.parents] + 1 + np.arange(len(children.parents)) - children.starts[children.parents]
        rows = ((self._rows(opens_set, place), claims), (line(self._x, self.tables), lines))
        return x.Woven(rows, claim_at[np.flatnonzero(opens_set)], self._x.delimiters.segment)

    def _rows(self, opens_set: Mask, place: Integers) -> x.Rows:
        """Each claim, in the order of the ids, with the loops that open before it in the file; `place` is where it stands there."""
        billing, subscriber, patient = (codes[self._order] for codes in self._codes)
        dependent = (~self.tables.own)[self._order]
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

        # back to the order of the ids, in which the claims' own segments are
        numbers = x.whole(np.arange(int((opened - base).max(initial=0)) + 1))
        hl, number = self._x.every, lambda ids: x.Picked(numbers, ids[place])
        at_a, at_b, at_c = a[place], b[place], c[place]
        a_texts, b_texts, c_texts = self._texts
        opening = (
            hl("HL", number(id_a), "", "20", "1", where=at_a),
            x.Every((a_texts,), at_a),
            hl("HL", number(id_b), number(id_a[parent_of_b]), "22", x.Picked(_FLAGS, dependent[place].astype(np.int64)), where=at_b),
            x.Every((b_texts,), at_b),
            hl("HL", number(id_c), number(id_b[parent_of_c]), "23", "0", where=at_c),
            x.Every((c_texts,), at_c),
        )  # fmt: skip
        return self._x.rows(*opening, *claim(self._x, self.tables, self.route))

    def _set_header(self, on: date, numbers: Numbers, control: str) -> list[list[Element]]:
        r = self.route
        return [
            ["ST", "837", control, self.form.guide],
            ["BHT", "0019", "00", batch_reference(numbers.interchange, control), on.strftime("%Y%m%d"), _TIME, "CH"],
            ["NM1", "41", "2", r.submitter_name, "", "", "", "", "46", r.submitter_id],
            ["PER", "IC", r.submitter_contact, "TE", r.submitter_phone],
            ["NM1", "40", "2", r.receiver_name, "", "", "", "", "46", r.receiver_id],
        ]


def batch_reference(interchange_control: int, set_control: str) -> str:
    """BHT03: the set's own name over the life of the route; a 277CA gives it back."""
    return f"{interchange_control:09d}{set_control}"


_FLAGS = pa.array(["0", "1"])


def _sorted(keys: list[Integers]) -> Integers:
    """Rows in the order of the keys, none below 0; equal ones as they stand."""
    rows, most = len(keys[0]), 1
    for key in keys:
        most *= int(key.max(initial=0)) + 1
    if most * max(rows, 1) >= 1 << 63:
        return np.lexsort(keys[::-1])
    # one number says it all, its own place at last: then any sort will do
    whole = np.zeros(rows, dtype=np.int64)
    for key in keys:
        whole = whole * (int(key.max(initial=0)) + 1) + key
    return np.sort(whole * rows + np.arange(rows)) % max(rows, 1)


def _places(order: Integers) -> Integers:
    """Where each row stands in the order."""
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return place


def _changes(codes: Integers) -> Mask:
    return np.r_[True, codes[1:] != codes[:-1]]


def _full(opens: Mask) -> Mask:
    """Opens a loop again where it would hold more claims than the guide allows."""
    places = np.arange(len(opens))
    nth = places - np.maximum.accumulate(np.where(opens, places, 0))
    return opens | (nth % MOST_CLAIMS_IN_A_LOOP == 0)
