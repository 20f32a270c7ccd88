"""Writing 837P, 837I and 837D: coded tables → the bytes of interchanges, a column at a time.

Theory. Every claim gets four texts that do not depend on where it stands: its billing provider (2000A), its subscriber
(2000B), its dependent (2000C, or none) and itself (2300). Claims are put in an order in which equal texts stand
together, so a loop is opened exactly where its text differs from the claim before, and hierarchy numbers are running
counts of those openings. A row of the file is then 'what opens here, then the claim', followed by the rows of its lines;
one `take` puts claims and lines in order, and the data buffer of the result is the body of the file.

What stands in a claim is the business of `claim_837_claim` and `claim_837_line`; which form has which places, of
`claim_837_forms` and the guides. The caller has checked the values (`claim_837_fields.check`) and gives the control
numbers; the same input gives the same bytes. There is no clock here: times in the envelope are 0000.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import date
from functools import cached_property
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

    Texts are made in the order of the claim ids and put in the order of the file at the very end: moving one column of
    texts is cheaper than moving sixty of values.
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
        #: the claim, by the order of the ids, that stands at each place of the file
        self._order = np.lexsort([codes for codes, _ in reversed(groups)])
        #: per level: the number of its text at each place of the file, and the texts
        self._levels = [(codes[self._order], texts) for codes, texts in groups]

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
        data, cuts, segments = self._body
        return self._assemble(on, numbers, data, cuts, segments)

    @cached_property
    def _body(self) -> tuple[np.ndarray, Integers, list[int]]:
        """All that stands between the headers and the trailers of the sets: bytes, where sets begin, segments by set."""
        n, children = len(self), self.tables.lines
        counts = children.counts[self._order]
        opens_set = _changes(self.sets)
        rows = self._rows(opens_set)
        lines = line(self._x, self.tables)

        before = np.r_[0, np.cumsum(counts)[:-1]]
        claim_at = np.arange(n) + before
        is_line = np.ones(n + len(lines), dtype=np.bool_)
        is_line[claim_at] = False
        order = np.empty(n + len(lines), dtype=np.int64)
        order[claim_at] = self._order
        order[is_line] = children.places(self._order)
        offsets, data = x.buffers(x.taken(len(order), (rows, order, ~is_line), (lines, order, is_line)))

        set_starts = np.flatnonzero(opens_set)
        cuts = offsets[np.r_[claim_at[set_starts], len(order)]].astype(np.int64)
        end = ord(self._x.delimiters.segment)
        segments = [_count(data[a:b], end) for a, b in itertools.pairwise(cuts.tolist())]
        return data, cuts, segments

    def _rows(self, opens_set: Mask) -> pa.Array:
        """Each claim, in the order of the ids, with the loops that open before it in the file."""
        (billing, a_texts), (subscriber, b_texts), (patient, c_texts) = self._levels
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
        place = np.empty(len(self), dtype=np.int64)
        place[self._order] = np.arange(len(self))
        numbers = x.whole(np.arange(int((opened - base).max(initial=0)) + 1))
        hl, number = self._x.every, lambda ids: x.Picked(numbers, ids[place])
        at_a, at_b, at_c = a[place], b[place], c[place]
        opening = (
            hl("HL", number(id_a), "", "20", "1", where=at_a),
            x.Every((x.Picked(a_texts, billing[place]),), at_a),
            hl("HL", number(id_b), number(id_a[parent_of_b]), "22", x.Picked(_FLAGS, dependent[place].astype(np.int64)), where=at_b),
            x.Every((x.Picked(b_texts, subscriber[place]),), at_b),
            hl("HL", number(id_c), number(id_b[parent_of_c]), "23", "0", where=at_c),
            x.Every((x.Picked(c_texts, patient[place]),), at_c),
        )  # fmt: skip
        return self._x.loop(*opening, *claim(self._x, self.tables, self.route))

    def _assemble(self, on: date, numbers: Numbers, whole: np.ndarray, cuts: Integers, segments: list[int]) -> bytes:
        r = self.route
        envelope = Envelope(
            sender_qualifier=r.sender_qualifier, sender_id=r.sender_id, receiver_qualifier=r.receiver_qualifier,
            receiver_id=r.receiver_id, group_sender=r.group_sender, group_receiver=r.group_receiver, on=on, time=_TIME,
            interchange_control=numbers.interchange, group_control=numbers.group, functional_id="HC", version=self.form.guide,
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
            ["ST", "837", control, self.form.guide],
            ["BHT", "0019", "00", batch_reference(numbers.interchange, control), on.strftime("%Y%m%d"), _TIME, "CH"],
            ["NM1", "41", "2", r.submitter_name, "", "", "", "", "46", r.submitter_id],
            ["PER", "IC", r.submitter_contact, "TE", r.submitter_phone],
            ["NM1", "40", "2", r.receiver_name, "", "", "", "", "46", r.receiver_id],
        ]


def batch_reference(interchange_control: int, set_control: str) -> str:
    """BHT03: the set's own name over the life of the route; a 277CA gives it back."""
    return f"{interchange_control:09d}{set_control}"


def _count(data: np.ndarray, byte: int) -> int:
    """How often the byte stands there; by and by, since a mask of a whole file is memory that must first be had."""
    return sum(int(np.count_nonzero(data[at : at + _AT_ONCE] == byte)) for at in range(0, len(data), _AT_ONCE))


_AT_ONCE = 1 << 16
_FLAGS = pa.array(["0", "1"])


def _changes(codes: Integers) -> Mask:
    return np.r_[True, codes[1:] != codes[:-1]]


def _full(opens: Mask) -> Mask:
    """Opens a loop again where it would hold more claims than the guide allows."""
    places = np.arange(len(opens))
    nth = places - np.maximum.accumulate(np.where(opens, places, 0))
    return opens | (nth % MOST_CLAIMS_IN_A_LOOP == 0)
