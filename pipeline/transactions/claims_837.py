"""837, claims: professional, institutional and dental, 5010 and 4010, into one family of tables.

Theory. Where a segment stands follows from the last marker before it: HL opens a level, CLM the claim, SBR below a claim
another payer, LX a line, and NM1, SVD, LIN and LQ the small loops inside. The last marker of each kind is a running maximum of
positions, so every segment knows its claim, line, other payer and party by array arithmetic. Claims take subscriber, patient
and payer from the HL levels that are open above them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.transactions.chunk import Chunk, Rows, first_of, repeats
from pipeline.transactions.loops_837 import LOOPS, guide_of
from pipeline.x12.scan import Bools, Ints, Words, code_of, fixed_array, key_of

_IDS = """
ST BHT REF NM1 N2 N3 N4 PER HL PRV CUR SBR PAT DMG CLM DTP CL1 DN1 DN2 PWK CN1 AMT K3 NTE CR1 CR2 CR3 CR4 CR5 CR6 CR7 CR8
CRC HI HCP HSD QTY CAS OI MIA MOA LX SV1 SV2 SV3 SV4 SV5 SV6 SV7 TOO LIN CTP MEA PS1 SVD LQ FRM UR SE
"""
IDS = frozenset(_IDS.split())
_NONE = 1 << 20  # an element that no segment has
HEADER, BILLING, SUBSCRIBER, PATIENT, CLAIM, OTHER, LINE, UNKNOWN = range(8)
PLACES = ("header", "billing", "subscriber", "patient", "claim", "other", "line", "")
#: diagnosis kinds share one count of positions, so that a line's pointer names its diagnosis
_KINDS = {"ABK": 1, "BK": 1, "ABF": 1, "BF": 1, "BBR": 2, "BR": 2, "BBQ": 2, "BQ": 2, "BP": 3, "BO": 3}


@dataclass(slots=True)
class Layout:
    """For each segment of the chunk: where it stands. -1 where it stands below none."""

    place: Ints  # HEADER … LINE
    hl: Ints  # segment of the last HL
    claim: Ints  # index of the claim
    other: Ints  # index of the other payer (2320)
    line: Ints  # index of the line
    inner: Ints  # the last marker of any kind: NM1, SVD, LIN, LQ or one of the above
    claim_at: Ints
    other_at: Ints
    line_at: Ints


def _running(mask: npt.NDArray[np.bool_]) -> Ints:
    """For each place the last place at or before it where the mask holds; -1 before the first."""
    return np.maximum.accumulate(np.where(mask, np.arange(len(mask)), -1))


def layout(chunk: Chunk) -> Layout:
    scan = chunk.scan
    n = scan.n
    codes = scan.codes[:n].copy()
    here = chunk.of_kind("837")[:n]
    codes[~here] = 0
    st = codes == code_of("ST")
    breaks = st | ~here
    hl, clm = codes == code_of("HL"), codes == code_of("CLM")
    lx, sbr = codes == code_of("LX"), codes == code_of("SBR")
    last_hl = _running(hl | breaks)
    last_clm = _running(clm | hl | breaks)
    in_claim = (last_clm >= 0) & clm[np.maximum(last_clm, 0)]
    last_lx = _running((lx & in_claim) | clm | hl | breaks)
    in_line = in_claim & (last_lx >= 0) & lx[np.maximum(last_lx, 0)]
    other = sbr & in_claim & ~in_line
    last_other = _running(other | clm | hl | breaks)
    in_other = in_claim & ~in_line & (last_other >= 0) & other[np.maximum(last_other, 0)]
    in_hl = (last_hl >= 0) & hl[np.maximum(last_hl, 0)]
    level = np.full(n, HEADER, dtype=np.int64)
    hl_at = np.flatnonzero(hl)
    kinds = scan.keys(hl_at, 3)
    hl_level = np.full(n, UNKNOWN, dtype=np.int64)
    for code, place in (("20", BILLING), ("22", SUBSCRIBER), ("23", PATIENT)):
        hl_level[hl_at[kinds == key_of(code)]] = place
    level[in_hl] = hl_level[last_hl[in_hl]]
    level[in_claim] = CLAIM
    level[in_other] = OTHER
    level[in_line] = LINE
    level[~here] = UNKNOWN
    marker = breaks | hl | clm | other | (lx & in_claim)
    for inner in ("NM1", "SVD", "LIN", "LQ"):
        marker |= codes == code_of(inner)
    claim_at, other_at, line_at = np.flatnonzero(clm), np.flatnonzero(other), np.flatnonzero(lx & in_claim)
    return Layout(
        level,
        np.where(in_hl, last_hl, -1),
        _index(claim_at, last_clm, in_claim),
        _index(other_at, last_other, in_other),
        _index(line_at, last_lx, in_line),
        _running(marker),
        claim_at,
        other_at,
        line_at,
    )


def _among(keys: Words, values: Sequence[str]) -> Bools:
    """Is the key one of these short values?"""
    hit = keys == key_of(values[0])
    for value in values[1:]:
        hit |= keys == key_of(value)
    return hit


def _index(at: Ints, last: Ints, inside: npt.NDArray[np.bool_]) -> Ints:
    rank = np.zeros(len(last) + 1, dtype=np.int64)
    rank[at] = np.arange(len(at))
    return np.where(inside, rank[last], -1)


def open_blocks(chunk: Chunk, begin: int) -> list[tuple[int, int]]:
    """Segments [low, high) of the HL blocks of the open set that still stand above what follows."""
    scan = chunk.scan
    marks = scan.of("HL", "CLM")
    marks = marks[marks >= begin]
    is_hl = scan.codes[marks] == code_of("HL")
    levels = np.where(is_hl, scan.keys(marks, 3), 0)
    after = np.append(marks[1:], scan.n)
    blocks, since = [], -1
    for level in ("20", "22", "23"):  # each counts only if it stands after the level above it, as the reader takes them
        found = np.flatnonzero(levels == key_of(level))
        last = int(found[-1]) if len(found) else -1
        since = last if last > since else -1
        if since >= 0:
            blocks.append((int(marks[since]), int(after[since])))
    return sorted(blocks)


class Reader:
    """The columns of one chunk's 837 sets."""

    def __init__(self, chunk: Chunk) -> None:
        self.chunk = chunk
        self.scan = chunk.scan
        self.lay = layout(chunk)
        self.n = len(self.lay.claim_at)
        self._of: dict[str, Ints] = {}
        self._keys: dict[tuple[str, int], Words] = {}
        self.here = chunk.of_kind("837")
        self._claims()

    def at(self, segment_id: str, element: int = 0, *values: str) -> Ints:
        """Segments of this id in 837 sets, where the element is one of the values."""
        if segment_id not in self._of:
            found = self.scan.of(segment_id)
            self._of[segment_id] = found[self.here[found]]
        found = self._of[segment_id]
        if not element:
            return found
        if (segment_id, element) not in self._keys:
            self._keys[segment_id, element] = self.scan.keys(found, element)
        keys = self._keys[segment_id, element]
        return found[_among(keys, values)]

    # ---- the levels above a claim ------------------------------------------------------------------------------------

    def _claims(self) -> None:
        chunk, lay = self.chunk, self.lay
        at = lay.claim_at
        owner = chunk.set_of[at]
        firsts = np.searchsorted(owner, np.arange(len(chunk.sets)), side="left")
        before = np.array(chunk.claims_before, dtype=np.int64)
        self.claim_number = (
            np.arange(self.n) - firsts[owner] + before[owner] + 1 if self.n else np.zeros(0, dtype=np.int64)
        )
        self.claim_id = chunk.text(at, 1)
        hl_at = self.at("HL")
        levels = lay.place[hl_at]
        self.hl_at = hl_at
        last = {}
        for place in (BILLING, SUBSCRIBER, PATIENT):
            mine = hl_at[levels == place]
            found = np.searchsorted(mine, at) - 1
            segment = np.where(found >= 0, mine[np.maximum(found, 0)] if len(mine) else -1, -1)
            same = (segment >= 0) & (chunk.set_of[segment] == owner)
            last[place] = np.where(same, segment, -1)
        last[SUBSCRIBER] = np.where(last[SUBSCRIBER] > last[BILLING], last[SUBSCRIBER], -1)
        last[PATIENT] = np.where(last[PATIENT] > last[SUBSCRIBER], last[PATIENT], -1)
        self.last = last
        self._check_levels(hl_at, levels)
        for segment in at[last[SUBSCRIBER] < 0].tolist():
            if segment >= chunk.first:
                chunk.error("structure.no_subscriber", "This claim stands below no subscriber level (HL*22).", segment)

    def _check_levels(self, hl_at: Ints, levels: Ints) -> None:
        """HL02 must name the level that stands open above: parents are taken by place."""
        if not len(hl_at):
            return
        scan, chunk = self.scan, self.chunk
        ids = scan.keys(hl_at, 1)
        parents = scan.keys(hl_at, 2)
        owner = chunk.set_of[hl_at]
        for place, above in ((SUBSCRIBER, BILLING), (PATIENT, SUBSCRIBER)):
            mine = np.flatnonzero(levels == place)
            uppers = np.flatnonzero(levels == above)
            found = np.searchsorted(uppers, mine) - 1
            upper = np.where(found >= 0, uppers[np.maximum(found, 0)] if len(uppers) else -1, -1)
            good = (upper >= 0) & (owner[upper] == owner[mine]) & (ids[upper] == parents[mine])
            for row in mine[~good].tolist():
                if hl_at[row] >= chunk.first:
                    chunk.error(
                        "structure.hl02", "HL02 does not name the level that stands open above it.", int(hl_at[row]),
                        element=2,
                    )  # fmt: skip

    def above(self, level: int, segment_id: str, element: int = 0, *values: str) -> Ints:
        """For each claim: the first such segment in the block of its HL at that level (-1 where none)."""
        found = self.at(segment_id, element, *values)
        found = found[self.lay.place[found] == level]
        rank = np.searchsorted(self.hl_at, self.lay.hl[found])
        by_hl = np.append(first_of(rank, found, len(self.hl_at)), -1)
        hl = self.last[level]
        return by_hl[np.where(hl >= 0, np.searchsorted(self.hl_at, hl), -1)]

    def of_claim(self, found: Ints) -> Ints:
        """The first directly below each CLM: before any provider, other payer or line."""
        lay = self.lay
        mine = found[(lay.place[found] == CLAIM) & (lay.claim[found] >= 0)]
        mine = mine[lay.inner[mine] == lay.claim_at[lay.claim[mine]]]
        return first_of(lay.claim[mine], mine, self.n)

    def of_line(self, found: Ints) -> Ints:
        """The first below each LX, wherever: for segments that no smaller loop of a line has."""
        mine = found[self.lay.line[found] >= 0]
        return first_of(self.lay.line[mine], mine, len(self.lay.line_at))

    def ranges(self, dtp_at: Ints) -> tuple[pa.Array, pa.Array]:
        """DTP02/03 → first and last day: D8 is one day, RD8 a range, DT a day with a time."""
        scan, chunk = self.scan, self.chunk
        dtp = scan.pick(dtp_at)
        starts, stops = scan.spans(dtp, 3)
        form = scan.keys(dtp, 2)
        is_range = form == key_of("RD8")
        timed = form == key_of("DT")
        dash = is_range & (stops - starts == 17) & (scan.buffer[np.minimum(starts + 8, len(scan.buffer) - 1)] == 45)
        clock = timed & (stops - starts == 12)
        first_stop = np.where(dash | clock, starts + 8, stops)
        first = chunk.date(dtp, 3, (starts, first_stop))
        last_start = np.where(dash, starts + 9, starts)
        last_stop = np.where(dash, stops, first_stop)
        days, have, bad = scan.dates(last_start, last_stop)
        if (bad & dash).any():
            chunk.date(dtp_at[bad & dash], 3, (last_start[bad & dash], last_stop[bad & dash]))  # reported once
        return first, fixed_array(days, have, pa.date32())

    # ---- tables ------------------------------------------------------------------------------------------------------

    def claims(self) -> pa.Table:
        chunk, scan, at = self.chunk, self.scan, self.lay.claim_at
        head = scan.pick(at)
        member_at = self.above(SUBSCRIBER, "NM1", 1, "IL")
        subscriber = scan.pick(self.above(SUBSCRIBER, "SBR"))
        patient_level = self.last[PATIENT] >= 0
        birth = np.where(patient_level, self.above(PATIENT, "DMG"), self.above(SUBSCRIBER, "DMG"))
        related = np.where(patient_level, self.above(PATIENT, "PAT"), -1)
        billing = self.above(BILLING, "NM1", 1, "85")
        statement_from, statement_to = self.ranges(self.of_claim(self.at("DTP", 1, "434")))
        rows = Rows(chunk, "837.claims", at)
        rows.place()
        rows.known(
            **chunk.envelope(at),
            claim_number=pa.array(self.claim_number),
            claim_id=self.claim_id,
            relationship=pc.if_else(pa.array(patient_level), chunk.text(related, 1), chunk.text(subscriber, 2)),
            statement_from=statement_from,
            statement_to=statement_to,
        )
        rows.read("money", head, charge=2)
        rows.read("text", head, provider_signature=6, assignment=7, benefits_assignment=8, release_of_information=9)
        rows.parts(chunk.composite(head, 5), facility_code=1, facility_qualifier=2, frequency=3)
        rows.parts(chunk.composite(head, 11), related_causes=1)
        rows.read("text", subscriber, payer_responsibility=1, filing_indicator=9)
        rows.read("text", self.of_claim(self.at("REF", 1, "F8")), payer_claim_number=2)
        rows.read("text", self.of_claim(self.at("REF", 1, "G1")), authorization_number=2)
        rows.read("text", np.where(scan.keys(billing, 8) == key_of("XX"), billing, -1), billing_npi=9)
        rows.read("text", member_at, subscriber_id=9, subscriber_last=3, subscriber_first=4)
        person = np.where(patient_level, self.above(PATIENT, "NM1", 1, "QC"), member_at)
        rows.read("text", person, patient_last=3, patient_first=4)
        rows.read("date", birth, patient_birth_date=2)
        rows.read("text", birth, patient_sex=3)
        rows.read("text", self.above(SUBSCRIBER, "NM1", 1, "PR"), payer_name=3, payer_id=9)
        return rows.table()

    def service_lines(self) -> pa.Table:
        chunk, scan, lay = self.chunk, self.scan, self.lay
        at = lay.line_at
        n = len(at)
        owner = lay.claim[at]
        kinds = ("SV1", "SV2", "SV3")
        service = {k: self.of_line(self.at(k)) for k in kinds}
        which = np.select([service[k] >= 0 for k in kinds], [1, 2, 3], 0)
        sv = scan.pick(np.select([which == 1, which == 2, which == 3], [service[k] for k in kinds], -1))

        #       element of …        SV1 SV2 SV3 (0: none)
        def element(*of: int) -> Ints:
            return np.array((_NONE, *[e or _NONE for e in of]), dtype=np.int64)[which]

        pointers = chunk.composite(sv, element(7, 0, 11))
        number, have, bad = scan.integers(*scan.spans(at, 1))
        bad |= ~have
        for segment in at[bad].tolist():
            chunk.error("number.form", "LX01 is not a number: the line is numbered by its place.", segment, element=1)
        firsts = np.searchsorted(owner, owner, side="left") if n else owner
        self.line_number = np.where(bad, np.arange(n) - firsts + 1, number)
        served = self.of_line(self.at("DTP", 1, "472"))
        # a dental claim whose services were given on one day says the day once, at the claim
        first, last = self.ranges(np.where(served >= 0, served, self.of_claim(self.at("DTP", 1, "472"))[owner]))
        rows = Rows(chunk, "837.service_lines", at)
        rows.place()
        rows.known(
            claim_number=pa.array(self.claim_number[owner]),
            line_number=pa.array(self.line_number),
            claim_id=self.claim_id.take(pa.array(owner)),
            service_from=first,
            service_to=last,
            **{f"pointer{i}": chunk.integer(sv, element(7, 0, 11), pointers.spans(i), i) for i in (1, 2, 3, 4)},
        )
        procedure = chunk.composite(sv, element(1, 2, 1))
        rows.parts(
            procedure, qualifier=1, procedure=2, modifier1=3, modifier2=4, modifier3=5, modifier4=6, description=7
        )
        rows.read("text", sv, revenue_code=element(0, 1, 0), unit_basis=element(3, 4, 0))
        rows.read("text", sv, place_of_service=element(5, 0, 3))
        rows.read("money", sv, charge=element(2, 3, 2))
        rows.read("quantity", sv, units=element(4, 5, 6))
        rows.read("text", self.of_line(self.at("REF", 1, "6R")), line_control_number=2)
        rows.read("text", self.of_line(self.at("LIN", 2, "N4")), ndc=3)
        rows.read("text", self.of_line(self.at("TOO")), tooth=2)
        return rows.table()

    def diagnoses(self) -> pa.Table:
        chunk, scan, lay = self.chunk, self.scan, self.lay
        segments = self.at("HI")
        segments = segments[lay.claim[segments] >= 0]
        row, number = repeats(chunk, segments, 1, 1, 40)
        at = segments[row]
        element = number + 1
        owner = lay.claim[at]
        parts = chunk.composite(at, element)
        starts, stops = parts.spans(1)
        keys = scan.words(starts, stops)
        kind = keys.astype(np.int64) + 100
        for qualifier, shared in _KINDS.items():
            kind[keys == key_of(qualifier)] = shared
        form = parts.spans(3)
        when = parts.spans(4)
        is_day = scan.words(*form) == key_of("D8")
        ranged = scan.words(*form) == key_of("RD8")
        # a span (BI, 74) is kept by its first day: the column holds one date
        first_stop = np.where(ranged & (when[1] - when[0] == 17), when[0] + 8, when[1])
        stop = np.where(is_day | ranged, first_stop, when[0])
        rows = Rows(chunk, "837.diagnoses", at)
        rows.place()
        rows.known(
            claim_number=pa.array(self.claim_number[owner]),
            claim_id=self.claim_id.take(pa.array(owner)),
            position=pa.array(_positions(owner, kind)),
            date=chunk.date(at, element, (when[0], stop), 4),
            amount=chunk.money(at, element, parts.spans(5), 5),
        )
        rows.parts(parts, qualifier=1, code=2, poa=9)
        return rows.table()

    def other_payers(self) -> pa.Table:
        chunk, lay = self.chunk, self.lay
        at = lay.other_at
        n = len(at)
        owner = lay.claim[at]

        def inside(found: Ints) -> Ints:
            mine = found[lay.other[found] >= 0]
            return first_of(lay.other[mine], mine, n)

        payer = inside(self.at("NM1", 1, "PR"))
        number = self.at("REF", 1, "F8")
        number = number[lay.other[number] >= 0]
        # REF*F8 counts only inside the other payer's own loop 2330B
        number = number[lay.inner[number] == payer[lay.other[number]]]
        rows = Rows(chunk, "837.other_payers", at)
        rows.place()
        rows.known(
            claim_number=pa.array(self.claim_number[owner]),
            claim_id=self.claim_id.take(pa.array(owner)),
            adjudication_date=self.ranges(inside(self.at("DTP", 1, "573")))[0],
        )
        rows.read("text", at, responsibility=1, relationship=2, group_number=3, filing_indicator=9)
        for qualifier, column in (("D", "paid"), ("A8", "noncovered"), ("EAF", "remaining")):
            rows.read("money", inside(self.at("AMT", 1, qualifier)), **{column: 2})
        rows.read("text", payer, payer_name=3, payer_id=9)
        rows.read("text", first_of(lay.other[number], number, n), payer_claim_number=2)
        return rows.table()

    def parties(self) -> pa.Table:
        chunk, scan, lay = self.chunk, self.scan, self.lay
        at = self.at("NM1")
        at = at[at >= chunk.first]
        n = len(at)
        own = np.full(scan.n + 1, -1, dtype=np.int64)
        own[at] = np.arange(n)

        def child(segment_id: str, element: int = 0, *values: str) -> Ints:
            found = self.at(segment_id, element, *values)
            rank = own[lay.inner[found]]
            return first_of(rank[rank >= 0], found[rank >= 0], n)

        names = scan.pick(at)
        specialty = child("PRV")
        entity = scan.keys(names, 1)
        # the billing provider's taxonomy stands before its name, in loop 2000A
        above = self.at("PRV")
        above = above[(lay.place[above] == BILLING) & (lay.inner[above] == lay.hl[above])]
        by_hl = first_of(np.searchsorted(self.hl_at, lay.hl[above]), above, len(self.hl_at) + 1)
        billing = (entity == key_of("85")) & (lay.place[at] == BILLING)
        specialty = np.where(billing & (specialty < 0), by_hl[np.searchsorted(self.hl_at, lay.hl[at])], specialty)
        claim, line = lay.claim[at], lay.line[at]
        numbers_of = np.append(self.claim_number, 0)
        number = child("REF", 1, "0B", "1G", "G2", "LU")
        payers = at[(entity == key_of("PR")) & (lay.place[at] == OTHER)]
        payer = np.append(first_of(lay.other[payers], payers, len(lay.other_at)), -1)[lay.other[at]]
        rows = Rows(chunk, "837.parties", at)
        rows.place()
        rows.known(
            claim_number=pa.array(numbers_of[claim], mask=claim < 0),
            line_number=pa.array(np.append(self.line_number, 0)[line], mask=line < 0),
            claim_id=pa.concat_arrays([self.claim_id, pa.nulls(1, pa.string())]).take(
                pa.array(np.where(claim >= 0, claim, self.n))
            ),
            loop=self._loops(at, entity),
        )
        rows.read("text", names, entity=1, entity_type=2, last_name=3, first_name=4, middle_name=5, suffix=7)
        rows.read("text", names, id_qualifier=8, id=9)
        rows.read("text", child("N3"), address1=1, address2=2)
        rows.read("text", child("N4"), city=1, state=2, zip=3)
        rows.read("text", child("REF", 1, "EI", "SY"), tax_id=2)
        rows.read("text", specialty, taxonomy=3)
        rows.read("text", number, other_id_qualifier=1, other_id=2)
        rows.read("text", payer, other_payer_id=9)
        return rows.table()

    def _loops(self, at: Ints, entity: npt.NDArray[np.uint64]) -> pa.Array:
        """The loop of each NM1, from the guide, the place and NM101."""
        guides = [self._guide(i) for i in range(len(self.chunk.sets))]
        names: list[str | None] = [None]
        codes = np.zeros(len(at), dtype=np.int64)
        places, owner = self.lay.place[at], self.chunk.set_of[at]
        for guide in sorted(set(guides)):
            mine = np.isin(owner, [i for i, g in enumerate(guides) if g == guide])
            for (place, entities), loop in LOOPS[guide].items():
                hit = mine & (places == PLACES.index(place)) & _among(entity, entities)
                if hit.any():
                    names.append(loop)
                    codes[hit] = len(names) - 1
        return pa.array(names, type=pa.string()).take(pa.array(codes))

    def _guide(self, index: int) -> str:
        """P, I or D with 4010 or 5010: from the guide's name, else from the lines' own segments."""
        context = self.chunk.sets[index]
        known = guide_of(context.version)
        if known is None:
            found: Any = "5010P"
            for segment_id, guide in (("SV2", "5010I"), ("SV3", "5010D")):
                if (self.chunk.set_of[self.at(segment_id)] == index).any():
                    found = guide
            return str(found)
        return known


def _positions(claim: Ints, kind: Ints) -> Ints:
    """1-based count of rows of the same claim and kind, in the order given."""
    order = np.lexsort((np.arange(len(claim)), kind, claim))
    c, k = claim[order], kind[order]
    new = np.ones(len(c), dtype=np.bool_)
    new[1:] = (c[1:] != c[:-1]) | (k[1:] != k[:-1])
    ranks = np.arange(len(c)) - np.maximum.accumulate(np.where(new, np.arange(len(c)), 0)) + 1
    out = np.empty(len(c), dtype=np.int64)
    out[order] = ranks
    return out


def tables(chunk: Chunk) -> dict[str, pa.Table]:
    reader = Reader(chunk)
    out = {"837.claims": reader.claims(), "837.service_lines": reader.service_lines()}
    out |= {
        "837.diagnoses": reader.diagnoses(),
        "837.parties": reader.parties(),
        "837.other_payers": reader.other_payers(),
    }
    _orphans(reader)
    return out


def _orphans(reader: Reader) -> None:
    """Lines and services that belong to no claim or line: never dropped in silence."""
    chunk, lay = reader.chunk, reader.lay
    services = np.sort(np.concatenate([reader.at(s) for s in ("SV1", "SV2", "SV3")]))
    services = services[lay.line[services] >= 0]
    again = services[1:][lay.line[services[1:]] == lay.line[services[:-1]]]
    for segment in again.tolist():
        chunk.error("structure.second_service", "A line has a second service: it is left out of the tables.", segment)
    for segment_id, parent, rule in (
        ("LX", lay.claim, "structure.outside_claim"),
        ("SV1", lay.line, "structure.outside_line"),
        ("SV2", lay.line, "structure.outside_line"),
        ("SV3", lay.line, "structure.outside_line"),
        ("HI", lay.claim, "structure.outside_claim"),
    ):
        found = reader.at(segment_id)
        for segment in found[parent[found] < 0].tolist():
            chunk.error(rule, "This segment belongs to no claim line (LX) and is left out of the tables." if "line" in rule
                        else "This segment belongs to no CLM and is left out of the tables.", segment)  # fmt: skip
