"""835, claim payment and remittance: one table a level.

Theory. A remittance is a payment (BPR, TRN), claims (CLP), lines (SVC) and reasons (CAS) at either level, and provider
adjustments (PLB) at its end. Parents come from counting: the claim of any segment is the number of CLPs before it, the
line the number of SVCs, and a segment is line-level only if its last SVC came after its last CLP. 4010 (X091) has the same
places for all that is read here.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import shapes
from pipeline.transactions.chunk import Chunk, Rows, first_of, joined, repeats
from pipeline.x12.envelope import short_date
from pipeline.x12.scan import Bools, Ints, Picked, Scan, code_of, fixed_array

_IDS = "ST BPR NTE TRN CUR REF DTM N1 N2 N3 N4 PER RDM LX TS3 TS2 CLP CAS NM1 MIA MOA AMT QTY SVC LQ PLB SE"
IDS = frozenset(_IDS.split())
#: what stands in a header (0: no id that counts, for example of an empty segment); any other segment ends it, so that what
#: follows says nothing of the payment, however far the bytes at hand reach
_HEADER = np.array([0, *map(code_of, ["BPR", "NTE", "TRN", "CUR", "REF", "DTM", "N1", "N2", "N3", "N4", "PER", "RDM"])])
#: CAS holds up to six trios; a longer one is read on, so that no amount is lost
_MOST_TRIOS = 40
_CLP, _SVC = code_of("CLP"), code_of("SVC")


def tables(chunk: Chunk) -> dict[str, pa.Table]:
    scan = chunk.scan
    here = chunk.of_kind("835")
    claim_at = _within(scan.of("CLP"), here)
    claim_of, line_of, line_at, line_number = _owners(chunk, here)
    _orphans(chunk, here, claim_of, line_of)
    claim_number = _ordinals(chunk, claim_at)
    children = Children(chunk, here, claim_of, line_of, len(claim_at), len(line_at))
    return {
        "835.payments": payments(chunk, here),
        "835.claims": claims(chunk, children, claim_at, claim_number),
        "835.service_lines": lines(chunk, children, line_at, line_number, claim_at, claim_number),
        "835.adjustments": adjustments(chunk, children, line_number, claim_at, claim_number),
        "835.provider_adjustments": provider_adjustments(chunk, here),
    }


def _owners(chunk: Chunk, here: Bools) -> tuple[Ints, Ints, Ints, Ints]:
    """For each segment its claim and its line, as places among claims and lines (-1: none); the lines' segments and numbers.

    These change only at a CLP, an SVC and the borders of sets: they are found there and repeated up to the next.
    """
    if chunk.scan.kernel is not None:
        is_835 = [s.kind == "835" for s in chunk.sets]
        return chunk.scan.kernel.owners(chunk.scan.codes[: chunk.scan.n], chunk.set_of, is_835, _CLP, _SVC)
    n, codes = chunk.scan.n, chunk.scan.codes[: chunk.scan.n]
    changes = (codes == _CLP) | (codes == _SVC)
    changes[[border for border in (0, *chunk.begins, *chunk.stops) if border < n]] = True
    at = np.flatnonzero(changes)
    inside = here[at]
    is_claim, is_line = inside & (codes[at] == _CLP), inside & (codes[at] == _SVC)
    claim = np.cumsum(is_claim) - 1
    if len(chunk.sets) > 1 and is_claim.any():  # the last claim may stand in an earlier set
        claim[chunk.set_of[at[is_claim]][np.maximum(claim, 0)] != chunk.set_of[at]] = -1
    elif len(chunk.sets) == 1:
        claim[~inside] = -1
    is_line &= claim >= 0
    line = np.cumsum(is_line) - 1
    last_claim = np.maximum.accumulate(np.where(is_claim, at, -1))
    last_line = np.maximum.accumulate(np.where(is_line, at, -1))
    line[(claim < 0) | (last_line < last_claim)] = -1
    lengths = np.diff(at, append=n)
    line_at = at[is_line]
    return np.repeat(claim, lengths), np.repeat(line, lengths), line_at, _line_numbers(claim[is_line])


def _within(segments: Ints, here: Bools) -> Ints:
    return segments[here[segments]]


def _ordinals(chunk: Chunk, claim_at: Ints) -> Ints:
    """The 1-based number of each claim in its set, counting on from earlier chunks."""
    owner = chunk.set_of[claim_at]
    rank = np.arange(len(claim_at))
    firsts = np.searchsorted(owner, np.arange(len(chunk.sets)), side="left")
    before = np.array(chunk.claims_before, dtype=np.int64)
    return rank - firsts[owner] + before[owner] + 1 if len(claim_at) else rank


def _line_numbers(claims_of_lines: Ints) -> Ints:
    if not len(claims_of_lines):
        return np.zeros(0, dtype=np.int64)
    firsts = np.searchsorted(claims_of_lines, claims_of_lines, side="left")
    return np.arange(len(claims_of_lines)) - firsts + 1


def _orphans(chunk: Chunk, here: Bools, claim_of: Ints, line_of: Ints) -> None:
    """Money segments that belong to no claim: never dropped in silence."""
    owned = [_within(chunk.scan.of(money), here) for money in ("SVC", "CAS")]
    for segment in np.sort(np.concatenate([s[claim_of.take(s) < 0] for s in owned])).tolist():
        chunk.error(
            "structure.outside_claim", "This segment belongs to no CLP and is left out of the tables.", segment,
        )  # fmt: skip


#: id and first element of the segments that are looked for below claims, and below lines
_BELOW_CLAIMS = (
    ("NM1", "QC"), ("NM1", "IL"), ("NM1", "74"), ("NM1", "82"), ("NM1", "TT"), ("DTM", "232"), ("DTM", "233"),
    ("DTM", "050"), ("DTM", "036"), ("REF", "F8"), ("AMT", "AU"),
)  # fmt: skip
_BELOW_LINES = (("DTM", "472"), ("DTM", "150"), ("DTM", "151"), ("REF", "6R"), ("REF", "HPI"), ("AMT", "B6"))


class Children:
    """The segments below each claim (outside its lines) or each line."""

    def __init__(self, chunk: Chunk, here: Bools, claim_of: Ints, line_of: Ints, claims: int, lines: int) -> None:
        """`here` is true of segments in an 835, `claim_of` and `line_of` are places among so many claims and lines."""
        self.chunk, self.here, self.claim_of, self.line_of = chunk, here, claim_of, line_of
        self._claims, self._lines = claims, lines
        self._all_here = bool(here[: chunk.scan.n].all())
        self._found: dict[tuple[str, str, bool], Ints | None] = {}
        if chunk.scan.kernel is not None:
            self._look(chunk.scan)

    def _look(self, scan: Scan) -> None:
        """All that is looked for, in one pass."""
        assert scan.kernel is not None
        asked = [(*one, False) for one in _BELOW_CLAIMS] + [(*one, True) for one in _BELOW_LINES]
        wanted = [(scan.head_of(i, q), of_line, self._lines if of_line else self._claims) for i, q, of_line in asked]
        found = scan.kernel.firsts(scan.heads, self.claim_of, self.line_of, wanted)
        self._found = dict(zip(asked, found, strict=True))

    def below_claims(self, segments: Ints) -> tuple[Ints, Ints]:
        """Those of the segments that stand below a claim and in no line, and the places of their claims."""
        segments = segments if self._all_here else _within(segments, self.here)
        claim = self.claim_of.take(segments)
        below = claim >= 0
        below &= self.line_of.take(segments) < 0
        return (segments, claim) if below.all() else (segments[below], claim[below])

    def below_lines(self, segments: Ints) -> tuple[Ints, Ints]:
        """Those of the segments that stand in a line, and the places of their lines."""
        segments = segments if self._all_here else _within(segments, self.here)
        line = self.line_of.take(segments)
        below = line >= 0
        return (segments, line) if below.all() else (segments[below], line[below])

    def of_claim(self, segment_id: str, qualifier: str) -> Ints | None:
        """The first such segment of each claim, -1 where it has none; None where no claim has one."""
        key = (segment_id, qualifier, False)
        if key not in self._found:
            segments, owner = self.below_claims(self.chunk.scan.of_head(segment_id, qualifier))
            self._found[key] = first_of(owner, segments, self._claims) if len(segments) else None
        return self._found[key]

    def of_line(self, segment_id: str, qualifier: str) -> Ints | None:
        key = (segment_id, qualifier, True)
        if key not in self._found:
            segments, owner = self.below_lines(self.chunk.scan.of_head(segment_id, qualifier))
            self._found[key] = first_of(owner, segments, self._lines) if len(segments) else None
        return self._found[key]


def claims(chunk: Chunk, children: Children, claim_at: Ints, claim_number: Ints) -> pa.Table:
    n = len(claim_at)

    def named(entity: str) -> Picked | None:
        found = children.of_claim("NM1", entity)
        return None if found is None else chunk.scan.pick(found)

    rows = Rows(chunk, "835.claims", claim_at)
    rows.place()
    rows.known(claim_number=pa.array(claim_number), remarks=_claim_remarks(chunk, children, n))
    head = chunk.scan.pick(claim_at)
    rows.read(
        "text",
        head,
        claim_id=1,
        status=2,
        filing_indicator=6,
        payer_claim_number=7,
        facility_code=8,
        frequency=9,
        drg=11,
    )
    rows.read("money", head, charge=3, paid=4, patient_responsibility=5)
    rows.read(
        "text", named("QC"), patient_last=3, patient_first=4, patient_middle=5, patient_id_qualifier=8, patient_id=9
    )
    rows.read("text", named("IL"), subscriber_last=3, subscriber_first=4, subscriber_id=9)
    rows.read("text", named("74"), corrected_id=9)
    rows.read("text", named("82"), rendering_id=9)
    rows.read("text", named("TT"), crossover_payer=3, crossover_payer_id=9)
    for qualifier, column in (
        ("232", "statement_from"), ("233", "statement_to"), ("050", "received_date"), ("036", "coverage_expiration")
    ):  # fmt: skip
        rows.read("date", children.of_claim("DTM", qualifier), **{column: 2})
    rows.read("text", children.of_claim("REF", "F8"), original_reference=2)
    rows.read("money", children.of_claim("AMT", "AU"), coverage_amount=2)
    return rows.table()


def _claim_remarks(chunk: Chunk, children: Children, n: int) -> pa.Array:
    """MOA03–07 and MIA05, MIA20–23, in the order of the wire."""
    given: list[tuple[Ints, Ints, int]] = []
    for segment_id, elements in (("MIA", (5, 20, 21, 22, 23)), ("MOA", (3, 4, 5, 6, 7))):
        segments, owner = children.below_claims(chunk.scan.of(segment_id))
        picked = chunk.scan.pick(segments)
        for element in elements if len(segments) else ():
            starts, stops = picked.spans(element)
            if (stops > starts).any():
                given.append((owner, segments, element))
    return _remarks(chunk, given, n)


def _remarks(chunk: Chunk, given: list[tuple[Ints, Ints, int]], n: int) -> pa.Array:
    """Codes at (owners, segments, element), an owner's joined by blanks."""
    if not given:
        return pa.nulls(n, pa.string())
    owner, segments, element = given[0]
    if len(given) == 1 and (owner[1:] > owner[:-1]).all():  # mostly an owner has one, or none
        return chunk.text(first_of(owner, segments, n), element)
    parent = np.concatenate([owner for owner, _, _ in given])
    values = pa.concat_arrays([chunk.text(segments, element) for _, segments, element in given])
    order = np.argsort(parent, kind="stable")
    return joined(parent[order], values.take(pa.array(order)), n)


def lines(
    chunk: Chunk, children: Children, at: Ints, line_number: Ints, claim_at: Ints, claim_number: Ints
) -> pa.Table:
    n = len(at)
    scan = chunk.scan
    owner = children.claim_of.take(at)
    rows = Rows(chunk, "835.service_lines", at)
    rows.place()
    rows.known(
        claim_number=pa.array(claim_number.take(owner)),
        line_number=pa.array(line_number),
        remarks=_line_remarks(chunk, children, n),
    )
    rows.read("text", claim_at.take(owner), claim_id=1)
    service = scan.pick(at)
    procedure, submitted = chunk.composite(service, 1), chunk.composite(service, 6)
    rows.parts(procedure, qualifier=1, procedure=2, modifier1=3, modifier2=4, modifier3=5, modifier4=6)
    rows.read("money", service, charge=2, paid=3)
    rows.read("text", service, revenue_code=4)
    rows.read("quantity", service, units=5, original_units=7)
    rows.parts(submitted, submitted_qualifier=1, submitted_procedure=2)
    single, begin, end = (children.of_line("DTM", q) for q in ("472", "150", "151"))
    rows.read("date", _either(single, begin), service_from=2)
    if end is not None:
        rows.read("date", _either(end, single), service_to=2)
    else:
        rows.read("date", single, service_to=2)
    rows.read("text", children.of_line("REF", "6R"), line_control_number=2)
    rows.read("text", children.of_line("REF", "HPI"), rendering_id=2)
    rows.read("money", children.of_line("AMT", "B6"), allowed=2)
    table = rows.table()
    units = table.column("units").chunk(0) if n else table.column("units").combine_chunks()
    if units.null_count:  # one, where SVC05 is absent
        starts, stops = service.spans(5)
        units = pc.if_else(pa.array(starts == stops), pa.scalar(Decimal("1.0000"), units.type), units)
        table = table.set_column(table.schema.get_field_index("units"), table.schema.field("units"), units)
    return table


def _either(first: Ints | None, second: Ints | None) -> Ints | None:
    """The one segment where it is there, else the other."""
    if first is None or second is None:
        return second if first is None else first
    return np.where(first >= 0, first, second)


def _line_remarks(chunk: Chunk, children: Children, n: int) -> pa.Array:
    """LQ*HE, in the order of the wire."""
    segments, owner = children.below_lines(chunk.scan.of_head("LQ", "HE"))
    return _remarks(chunk, [(owner, segments, 2)] if len(segments) else [], n)


def adjustments(chunk: Chunk, children: Children, line_number: Ints, claim_at: Ints, claim_number: Ints) -> pa.Table:
    scan, claim_of, line_of = chunk.scan, children.claim_of, children.line_of
    segments = scan.of("CAS")
    segments = segments[claim_of.take(segments) >= 0]
    row, trio = repeats(chunk, segments, 2, 3, _MOST_TRIOS)
    at = segments.take(row)
    owner, line = claim_of.take(at), line_of.take(at)
    at_line = line >= 0
    numbers = line_number.take(line, mode="clip") if len(line_number) else line
    rows = Rows(chunk, "835.adjustments", at)
    rows.place()
    rows.known(
        claim_number=pa.array(claim_number.take(owner)),
        line_number=fixed_array(numbers, at_line, pa.int64()),
    )
    rows.read("text", claim_at.take(owner), claim_id=1)
    rows.choice("level", at_line, ("claim", "line"))
    reasons = scan.pick(at)
    first: int | Ints = 2 + 3 * trio if trio.any() else 2
    rows.read("text", reasons, group=1, reason=first)
    rows.read("money", reasons, amount=first + 1)
    rows.read("quantity", reasons, quantity=first + 2)
    return rows.table()


def provider_adjustments(chunk: Chunk, here: Bools) -> pa.Table:
    scan = chunk.scan
    segments = _within(scan.of("PLB"), here)
    row, pair = repeats(chunk, segments, 3, 2, 60)
    at = segments[row]
    rows = Rows(chunk, "835.provider_adjustments", at)
    rows.place()
    if len(at):
        first = 3 + 2 * pair
        rows.read("text", at, provider_id=1)
        rows.read("date", at, fiscal_date=2)
        rows.parts(chunk.composite(at, first), reason=1, reference=2)
        rows.read("money", at, amount=first + 1)
    else:
        rows.known(**dict.fromkeys(("provider_id", "fiscal_date", "reason", "reference", "amount")))
    return rows.table()


def payments(chunk: Chunk, here: Bools) -> pa.Table:
    """One row a set that begins here, from the segments of its header. Of what should stand once, the last counts."""
    own = [
        (begin, stop)
        for begin, stop, context in zip(chunk.begins, chunk.stops, chunk.sets, strict=True)
        if context.kind == "835" and begin >= chunk.first and chunk.numbers[begin] == context.segment
    ]
    if not own:
        return shapes.empty("835.payments")
    begins, stops = np.array(own).T
    header = _Headers(chunk.scan, begins, stops)
    rows = Rows(chunk, "835.payments", begins)
    rows.place()
    rows.known(**chunk.envelope(begins))
    money = header.last(header.named("BPR"))
    rows.read("text", money, handling=1, credit_debit=3, method=4)
    rows.read("money", money, amount=2)
    rows.known(payment_date=_days(chunk, money, 16))
    rows.read("text", header.last(header.named("TRN")), trace=2, origin=3, origin_supplement=4)
    rows.known(production_date=_days(chunk, header.last(header.headed("DTM", "405")), 2))
    rows.read("text", header.last(header.headed("REF", "EV") & header.below("")), receiver_id=2)
    payer, payee = (header.last(header.headed("N1", who)) for who in ("PR", "PE"))
    rows.read("text", payer, payer_name=2, payer_id=4)
    rows.read("text", payee, payee_name=2, payee_id_qualifier=3, payee_id=4)
    rows.read("text", header.last(header.headed("REF", "TJ") & header.below("PE")), payee_tin=2)
    table = rows.table()
    if table.column("payer_id").null_count:  # its number may stand in a REF
        other = header.headed("REF", "2U") & header.below("PR") & header.given(2)
        number = chunk.text(header.first(other, after=payer), 2)
        at = table.schema.get_field_index("payer_id")
        table = table.set_column(at, table.schema.field(at), pc.coalesce(table.column(at), number))
    return table


def _days(chunk: Chunk, segments: Ints, element: int) -> pa.Array:
    """Dates of any year: one that no payment can have is the business of who books it, and here no damage of the file."""
    days: list[date | None] = []
    for segment, text in zip(segments.tolist(), chunk.text(segments, element).to_pylist(), strict=True):
        days.append(short_date(text) if text and len(text) == 8 else None)
        if text and days[-1] is None:
            chunk.error(
                "date.form", f"{chunk.name_of(segment)}{element:02d} is not a date: the value is left empty.", segment,
                element=element,
            )  # fmt: skip
    return pa.array(days, pa.date32())


class _Headers:
    """The segments of some sets' headers, one set after another. A header is short, and the first segment that is of none
    ends it."""

    def __init__(self, scan: Scan, begins: Ints, stops: Ints) -> None:
        """Sets that begin with their ST at `begins` and end before `stops`."""
        self._scan, self._sets = scan, len(begins)
        ends = _header_ends(scan, begins + 1, stops)
        lengths = ends - begins - 1
        self._set = np.repeat(np.arange(len(begins)), lengths)  # of each segment here
        firsts = np.cumsum(lengths) - lengths
        place = np.arange(len(self._set))
        self.at = place + np.repeat(begins + 1 - firsts, lengths)
        self._codes, self._heads = scan.codes.take(self.at), scan.heads.take(self.at)
        # the N1 that each stands below, if it is of the same set
        party = np.maximum.accumulate(np.where(self.named("N1"), place, -1))
        self._party = np.where(party >= np.repeat(firsts, lengths), party, -1)

    def named(self, segment_id: str) -> Bools:
        return self._codes == code_of(segment_id)

    def headed(self, segment_id: str, first: str) -> Bools:
        """With this id and this first element."""
        return self._heads == np.uint64(self._scan.head_of(segment_id, first))

    def below(self, who: str) -> Bools:
        """Below the N1 of this party; '' before any, or below one that says none."""
        if not len(self.at):
            return np.zeros(0, dtype=np.bool_)
        here = self._party >= 0
        there = self._party.clip(0)
        if who:
            return here & self.headed("N1", who)[there]
        return ~here | ~self.given(1)[there]

    def given(self, element: int) -> Bools:
        starts, stops = self._scan.spans(self.at, element)
        return np.asarray(stops > starts)

    def last(self, which: Bools) -> Ints:
        """The last such segment of each set, -1 where it has none."""
        out = np.full(self._sets, -1, dtype=np.int64)
        out[self._set[which]] = self.at[which]
        return out

    def first(self, which: Bools, after: Ints) -> Ints:
        """The first such segment of each set that comes after these, -1 where it has none."""
        which = which & (self.at > after.take(self._set))
        out = np.full(self._sets, -1, dtype=np.int64)
        out[self._set[which][::-1]] = self.at[which][::-1]
        return out


#: so many segments are looked at first for a header's end
_HEADER_LENGTH = 32


def _header_ends(scan: Scan, begins: Ints, stops: Ints) -> Ints:
    """Of each set the first segment from `begins` on that is not of a header, at most `stops`."""
    ends = begins.copy()
    open_ = np.flatnonzero(ends < stops)
    while len(open_):
        near = ends[open_, None] + np.arange(_HEADER_LENGTH)
        over = near >= stops[open_, None]
        over |= ~np.isin(scan.codes.take(near, mode="clip"), _HEADER)
        found = over.any(axis=1)
        ends[open_] += np.where(found, over.argmax(axis=1), _HEADER_LENGTH)
        open_ = open_[~found]
    return ends
