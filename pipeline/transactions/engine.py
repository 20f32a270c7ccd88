"""Files → chunks → tables: the one driver behind `read`, `bulk.export` and `inspect`.

Theory. Bytes arrive in windows. A window is split where a new interchange declares its delimiters; what stands between is
cut by the scanner. Whole interchanges of small files with the same delimiters are packed into one chunk, so that a file
costs little; a window of a large file is cut at the last border (ISA GS ST SE GE IEA, CLP, CLM, HL), and the rest is carried
into the next. What a claim of an 837 needs from above it (the HL blocks that are open at the cut) is carried as bytes and put
before the next window: read as parents, never as rows. Memory is bounded by the window whatever the file.

What bulk sets (835, 837) hold becomes Arrow columns; small sets (acknowledgments, inquiries) are read segment by segment by
a plain reader that lives in their set's context.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline import shapes
from pipeline.transactions import claims_837, remittance_835
from pipeline.transactions.chunk import Chunk, Description, Noted, Run, hand_over, lay_places, rows_table
from pipeline.transactions.crew import Crew, Made
from pipeline.transactions.plain import READERS
from pipeline.wording import counted
from pipeline.x12.envelope import DEFAULT_LIMIT, ENVELOPE_IDS, EnvelopeReader, FindingList, Mode, SetContext, shown_id
from pipeline.x12.isa import LOOSE_LENGTH, Isa, Wire, find_isas, is_whole_iea
from pipeline.x12.lines import joined_blocks
from pipeline.x12.scan import PAD, Cuts, Ints, Scan, code_of, padded
from pipeline.x12.segments import Delimiters, Segment

WINDOW = 1 << 20
#: beside threads or processes the first chunk takes this part of a window, the next twice as much
_FIRST = 8
#: a claim, or a set's header, larger than this is damage and not data
LARGEST_UNIT = 1 << 25
#: so is a segment that has not ended after so many bytes (an attachment in BIN may be large)
LARGEST_SEGMENT = 1 << 24
#: chunks of many sets without tables may wait behind one that is with the crew
_MOST_UNDERWAY = 16
BOM = b"\xef\xbb\xbf"
BULK: dict[str, Callable[[Chunk], dict[str, pa.Table]]] = {"835": remittance_835.tables, "837": claims_837.tables}
KNOWN_IDS = {"835": remittance_835.IDS, "837": claims_837.IDS}
_KNOWN_CODES = {kind: frozenset(map(code_of, ids)) for kind, ids in KNOWN_IDS.items()}
_ENVELOPE_CODES = np.array([code_of(i) for i in ENVELOPE_IDS])
#: what a chunk may end before: segments of the envelope, and those that begin something of its own in a set of a kind
_ENVELOPE_BORDERS = ("ISA", "GS", "ST", "SE", "GE", "IEA")
_SET_BORDERS = {"835": ("CLP", "PLB"), "837": ("CLM", "HL")}
_BLANK = 32  # what is below is no character that X12 has
_INDENTS = (_BLANK, 9)
_SPACE = b"\r\n\t "
_FILL = b"\r\n\t \x1a\x00"
_AGAIN = "Ask the sender for the file again."
_TELL = "The file was read all the same; tell the sender."
_NO_WIRE = Wire(ord("*"), ord("^"), ord(":"), ord("~"))


class Sink(Protocol):
    """Where tables go, chunk by chunk."""

    def add(self, name: str, table: pa.Table) -> None: ...


@dataclass(frozen=True, slots=True)
class _Event:
    """Something seen while splitting, to be reported in its place."""

    rule: str
    message: str
    offset: int
    tolerated: bool = False


@dataclass(slots=True)
class _Piece:
    """Bytes of one file under one set of delimiters, beginning just after a terminator."""

    file: str
    data: bytes
    offset: int
    wire: Wire | None
    events: list[_Event]
    opens: bool  # the file begins here
    closes: bool = False  # the file ends here
    whole: bool = True  # no bytes of the same run follow


@dataclass(frozen=True, slots=True)
class _Cut:
    """The pieces of a pack, cut into segments."""

    scan: Scan
    lengths: list[int]  # bytes of the preamble and of each piece's whole segments
    in_room: bool  # the bytes lie where another process sees them


@dataclass(slots=True)
class _File:
    """How far one file has been split."""

    name: str
    wire: Wire | None = None
    last_isa: int = -3  # offset of the last ISA taken
    opened: bool = False
    fresh: bool = True  # nothing looked at yet
    junk: int = -1  # offset of the first byte that belongs to no interchange
    events: list[_Event] = field(default_factory=list)
    wanted: int = 0  # bytes without which it is no use to try again


class Engine:
    """`file` reads one file after another, `finish` flushes what is packed; then `findings.items` is complete."""

    def __init__(
        self,
        sink: Sink,
        mode: Mode = "lenient",
        *,
        limit: int = DEFAULT_LIMIT,
        window: int = WINDOW,
        threads: int = 0,
        processes: int = 0,
    ) -> None:
        """`threads` or `processes`: so many chunks at once become tables beside the one that cuts (use as a context
        manager then). Nothing else of the result depends on them."""
        self.sink = sink
        self.findings = FindingList(mode, limit)
        self.envelope = EnvelopeReader(self.findings)
        self._most = window
        #: how many bytes become one chunk: with helpers the first ones are small, so that none waits long for its first
        self.window = window // _FIRST if threads or processes else window
        self.numbered = 0  # segments numbered so far in the file at hand
        self._named: set[str] = set()  # rules of characters that were named in it
        self._threads = threads
        if processes:
            _warm()
        self._crew = Crew(_made, processes, window) if processes else None
        self._pool = ThreadPoolExecutor(threads, "x12-tables") if threads and not processes else None
        self._underway: deque[tuple[list[SetContext], list[Noted], Callable[[], Made], list[str]]] = deque()
        self._pack: list[_Piece] = []
        self._packed = 0
        #: with threads, a pack that one of them cuts while the files of the next are read
        self._cutting: tuple[list[_Piece], Future[_Cut]] | None = None
        self._preamble = b""  # open HL blocks of the set at hand, read again before the next window
        self._preamble_numbers = self._preamble_offsets = np.zeros(0, dtype=np.int64)

    # ---- files → pieces ----------------------------------------------------------------------------------------------

    def file(self, name: str, blocks: Iterable[bytes]) -> None:
        """Read one file, given as blocks of any size."""
        state = _File(name)
        blocks, lines = joined_blocks(blocks)
        if lines is not None:
            self.findings.lines[name] = lines
            state.events.append(_Event("text.cut_lines", lines.message, lines.start, tolerated=True))
        data, offset = b"", 0
        for block, final in _with_last(blocks):
            data = data + block if data else block
            used = self._take(state, data, offset, final)
            data, offset = data[used:], offset + used

    def _take(self, file: _File, data: bytes, offset: int, final: bool) -> int:
        """Split the window; returns how many of its bytes are done with."""
        position = 0
        if file.fresh:
            if not final and len(data) < len(BOM):
                return 0
            file.fresh = False
            if data.startswith(BOM):
                position = len(BOM)
                file.events.append(_Event("envelope.bom", "The file begins with a byte order mark.", 0, tolerated=True))
        end = len(data)
        if not final:  # an ISA that the window may cut short waits for the next
            late = data.find(b"ISA", max(position, file.last_isa + 3 - offset, len(data) - LOOSE_LENGTH - 64))
            end = late if late >= 0 else end - 2
            end = max(end, position)
        while True:
            search = max(position, file.last_isa + 3 - offset)
            terminator = file.wire.segment if file.wire else None
            junk = file.wire is None and file.junk >= 0
            isas = find_isas(data, position, search, end, terminator, after_junk=junk)
            found, clean = next(isas, (None, False))
            if file.wire is None:
                if found is None:
                    return self._no_isa(file, data, position, end, offset, final)
                self._note_junk(file, data, position, found.position, offset)
                position = found.position
            elif found is None:
                break
            elif found.wire != file.wire or not clean:
                self._add(_piece(file, data[position : found.position], offset + position))
                position = found.position
            self._open(file, found, offset)
        if final:
            data = self._ended(file, data, offset)
            piece = _piece(file, data[position:], offset + position)
            piece.closes = True
            self._add(piece)
            return len(data)
        if len(data) - position < max(self.window, file.wanted):
            return position
        self._flush()
        self._take_cut()
        piece = _piece(file, data[position:end], offset + position)
        piece.whole = False
        used = self._process([piece], self._cut_up([piece], self._preamble))
        file.wanted = 0 if used else 2 * (end - position)
        return position + used

    def _ended(self, file: _File, data: bytes, offset: int) -> bytes:
        """The last bytes of a file, with the terminator that its IEA may lack."""
        assert file.wire is not None
        rest = data[data.rfind(file.wire.segment) + 1 :] if len(data) else data
        if not is_whole_iea(rest, file.wire.element):
            return data
        where = offset + len(data) - len(rest.lstrip(_FILL))
        message = "The terminator of the last segment, IEA, is missing; the segment is whole."
        file.events.append(_Event("envelope.iea_unterminated", message, where, tolerated=True))
        return data.rstrip(_FILL) + bytes([file.wire.segment])

    def _open(self, file: _File, found: Isa, offset: int) -> None:
        file.wire = found.wire
        file.last_isa = offset + found.position
        match found.fault:
            case "envelope.isa_width":
                file.events.append(
                    _Event(found.fault, "The ISA's elements do not have their fixed widths.", file.last_isa)
                )
            case "envelope.newline_before_terminator":
                file.events.append(
                    _Event(
                        found.fault, "A newline stands before each segment terminator.", file.last_isa, tolerated=True
                    )
                )

    def _note_junk(self, file: _File, data: bytes, start: int, stop: int, offset: int) -> None:
        text = data[start:stop]
        if file.junk < 0 and text.strip(_FILL):
            file.junk = offset + start + len(text) - len(text.lstrip(_FILL))
            unreadable = text.lstrip(_FILL).startswith(b"ISA")
            rule = "envelope.isa_unreadable" if unreadable else "envelope.junk"
            message = (
                "The ISA is not 106 bytes with sixteen separators in their places: its delimiters cannot be known, so the interchange is not read."
                if unreadable
                else "These bytes stand before the first ISA and belong to no interchange."
            )
            file.events.append(_Event(rule, message, file.junk))

    def _no_isa(self, file: _File, data: bytes, position: int, end: int, offset: int, final: bool) -> int:
        """No interchange has begun: what is here belongs to none."""
        self._note_junk(file, data, position, end, offset)
        if not final:
            return end
        if file.junk < 0:
            file.events.append(_Event("file.empty", "The file is empty.", 0))
        elif not any(e.rule == "envelope.isa_unreadable" for e in file.events):
            file.events.append(
                _Event("envelope.isa_missing", "The file holds no ISA: it is not an X12 interchange.", file.junk)
            )
        piece = _piece(file, b"", offset + len(data))
        piece.closes = True
        self._add(piece)
        return len(data)

    def _add(self, piece: _Piece) -> None:
        if self._pack and piece.wire != self._pack[-1].wire:
            self._flush()
        self._pack.append(piece)
        self._packed += len(piece.data)
        if self._packed >= self.window:
            self._flush()

    def finish(self) -> None:
        self._flush()
        self._take_cut()
        while self._underway:
            self._take_oldest()

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
        if self._crew is not None:
            self._crew.close()

    def _flush(self) -> None:
        pack, self._pack, self._packed = self._pack, [], 0
        if not pack:
            return
        if self._pool is None:
            self._process(pack, self._cut_up(pack, self._preamble))
            return
        # the pack before this one was whole, so it leaves no blocks open
        cut = self._pool.submit(self._cut_up, pack, self._preamble if self._cutting is None else b"")
        self._take_cut()
        self._cutting = pack, cut

    def _take_cut(self) -> None:
        """Read the pack that was cut meanwhile."""
        if self._cutting is not None:
            (pack, cut), self._cutting = self._cutting, None
            self._process(pack, cut.result())

    # ---- pieces → chunk → tables -------------------------------------------------------------------------------------

    def _cut_up(self, pieces: list[_Piece], preamble: bytes) -> _Cut:
        """Cut one pack. It needs nothing of the packs before but the blocks that these leave open."""
        wire = pieces[0].wire or _NO_WIRE
        bodies: list[memoryview | bytes] = [preamble]
        for piece in pieces:
            whole = piece.data.rfind(wire.segment) + 1 if piece.wire else 0
            bodies.append(memoryview(piece.data)[: whole if piece.whole else len(piece.data)])
        scan, in_room = self._scan(bodies, wire)
        return _Cut(scan, [len(b) for b in bodies], in_room)

    def _process(self, pieces: list[_Piece], cut: _Cut) -> int:
        """Read one pack; where its last piece is not whole, returns how many of that piece's bytes were read."""
        self.window = min(2 * self.window, self._most)
        scan, lengths = cut.scan, cut.lengths
        bounds = PAD + np.cumsum(lengths)
        tops = np.searchsorted(scan.stops, bounds, side="left")
        first = int(tops[0])
        used = 0
        if not pieces[-1].whole:
            used = self._cut(scan, first, pieces[-1])
            used -= len(self._preamble)
            tops = np.minimum(tops, scan.n)
        n = scan.n
        numbers, offsets = np.empty(n + 1, dtype=np.int64), np.empty(n + 1, dtype=np.int64)
        numbers[n] = offsets[n] = 0
        set_of = np.full(n + 1, -1, dtype=np.int64)
        files = [p.file for p in pieces]
        chunk = Chunk(scan, numbers, offsets, set_of, [], [], [], first, files, tops[:-1])
        if self.envelope.set is not None:
            chunk.sets.append(self.envelope.set)
            chunk.begins.append(0)
        preamble_numbers, preamble_offsets = self._preamble_numbers, self._preamble_offsets
        numbers[:first] = self._preamble_numbers[:first]
        offsets[:first] = self._preamble_offsets[:first]
        at_envelope = scan.of(*ENVELOPE_IDS)
        envelopes = scan.all_elements(at_envelope)
        # what is looked up for each piece is looked up once for all: most pieces are small files
        places, begins = tops.tolist(), bounds.tolist()
        envelope_of = np.searchsorted(at_envelope, tops).tolist()
        which = at_envelope.tolist()
        runs = self._runs(pieces, places, begins)
        lay_places(scan, runs, numbers, offsets)
        plain = _is_plain(scan, first)
        for j, piece in enumerate(pieces):
            low, high = places[j], places[j + 1]
            if piece.opens:
                self.envelope.begin(piece.file)
                self.numbered = 0
                self._named.clear()
            self.numbered += high - low
            for event in piece.events:
                say = self.findings.tolerated if event.tolerated else self.findings.error
                say(event.rule, event.message, _TELL if event.tolerated else _AGAIN, offset=event.offset)
            inside = slice(envelope_of[j], envelope_of[j + 1])
            for i, elements in zip(which[inside], envelopes[inside], strict=True):
                self._envelope_segment(chunk, i, elements)
            if low < high and scan.starts[low] > begins[j]:  # what it follows was cut off before it
                between = scan.buffer[begins[j] : scan.starts[low]]
                if between[0] in _INDENTS and (between == _BLANK).any():
                    self._indented(chunk, low)
            if not plain:
                self._check_text(chunk, low, high)
            if piece.whole:
                self._after(chunk, piece, lengths[j + 1], high)
        if len(chunk.stops) < len(chunk.sets):
            chunk.stops.append(n)
        chunk.say_sets()
        self._check_segments(chunk)
        self._count_claims(chunk)
        described = Description(
            scan.wire, n, runs, preamble_numbers, preamble_offsets, [_known(s) for s in chunk.sets], chunk.begins, chunk.stops,
            first, files, chunk.tops, chunk.claims_before,
        ) if cut.in_room else None  # fmt: skip
        self._tables(chunk, described, [p.file for p in pieces if p.closes])
        self._keep_open_blocks(chunk, pieces[-1].whole)
        return used

    def _runs(self, pieces: list[_Piece], places: list[int], begins: list[int]) -> list[Run]:
        """Of each piece its segments, how many of its file stand before, and what makes a place in the chunk one in the file."""
        runs: list[Run] = []
        before = self.numbered
        for piece, low, high, begin in zip(pieces, places, places[1:], begins, strict=False):
            before = 0 if piece.opens else before
            runs.append((low, high, before, piece.offset - begin))
            before += high - low
        return runs

    def _scan(self, bodies: list[memoryview | bytes], wire: Wire) -> tuple[Scan, bool]:
        """The scanned bytes, and whether they lie where another process sees them."""
        if self._crew is None:
            return Scan(padded(bodies), wire), False
        while self._crew.full:
            self._take_oldest()
        room = self._crew.room(sum(len(b) for b in bodies) + 2 * PAD)
        return Scan(padded(bodies, room), wire), room is not None

    def _cut(self, scan: Scan, first: int, piece: _Piece) -> int:
        """Keep the segments before the last border; returns the bytes that they take, preamble included."""
        total = len(piece.data) + len(self._preamble)
        tail = PAD + total - scan.after
        if tail > LARGEST_SEGMENT:
            message = f"A segment has not ended after {counted(tail, 'byte')}, which are skipped."
            piece.events.append(_Event("segment.endless", message, piece.offset + len(piece.data) - tail))
            return total
        border = self._last_border(scan, first)
        if border is not None:
            m = border
        elif self._kind_at_end(scan) not in BULK:
            m = scan.n
        elif len(piece.data) > LARGEST_UNIT and scan.n > first:
            m = scan.n
            message = f"One claim takes more than {LARGEST_UNIT} bytes."
            piece.events.append(_Event("structure.claim_too_large", message, piece.offset))
        else:
            m = first
        scan.limit(m)
        return scan.after - PAD if m > first else len(self._preamble)

    def _last_border(self, scan: Scan, first: int) -> int | None:
        """The last segment after `first` that a chunk may end before. A claim of one kind of set is none in another."""
        last = scan.last_of(*_ENVELOPE_BORDERS, *_SET_BORDERS.get(self._kind_at_end(scan), ()))
        return last if last > first else None

    def _kind_at_end(self, scan: Scan) -> str:
        sets = scan.of("ST")
        if len(sets):
            return scan.text_at(int(sets[-1]), 1)
        return self.envelope.set.kind if self.envelope.set is not None else ""

    def _envelope_segment(self, chunk: Chunk, i: int, elements: list[str]) -> None:
        before = self.envelope.set
        self.envelope.segment(elements, int(chunk.numbers[i]), int(chunk.offsets[i]))
        after = self.envelope.set
        if after is not before:
            if before is not None:
                chunk.stops.append(i + 1 if elements[0] == "SE" else i)
            if after is not None:
                chunk.sets.append(after)
                chunk.begins.append(i)
                if after.kind == "277" and not after.version:
                    after.kind = _kind_by_purpose(chunk.scan, i)

    def _after(self, chunk: Chunk, piece: _Piece, body: int, high: int) -> None:
        """What follows the last terminator of a piece that no more bytes follow."""
        rest = piece.data[body:] if piece.wire else b""
        where = piece.offset + body + len(rest) - len(rest.lstrip(_FILL))
        if rest.strip(_FILL):
            self.envelope.truncated(self.numbered + 1, where, len(rest.strip(_FILL)))
        elif piece.closes and rest.strip(_SPACE):
            self.findings.tolerated(
                "envelope.trailing_control", "The file ends with control characters (such as Ctrl-Z).", "",
                offset=piece.offset + body + len(rest) - len(rest.lstrip(_SPACE)),
            )  # fmt: skip
        if piece.closes:
            before = self.envelope.set
            self.envelope.end(self.numbered, piece.offset + len(piece.data))
            if before is not None:
                chunk.stops.append(high)

    # ---- what no reader would notice ---------------------------------------------------------------------------------

    def _check_text(self, chunk: Chunk, low: int, high: int) -> None:
        """Characters that X12 does not have: named once a file, however it arrives."""
        scan = chunk.scan
        if high <= low:
            return
        begin, stop = int(scan.starts[low]), int(scan.stops[high - 1])
        if begin == stop:
            return  # one empty segment, and nothing else
        view = scan.buffer[begin:stop]
        # bytes between a terminator and the next segment
        skipped = int(scan.starts[low + 1 : high].sum() - scan.stops[low : high - 1].sum()) - (high - low - 1)
        if skipped or scan.wire.ragged or view.min() < _BLANK:
            odd = view < _BLANK
            for delimiter in (scan.wire.element, scan.wire.segment, scan.wire.component, scan.wire.repetition):
                if 0 <= delimiter < _BLANK:
                    odd &= view != delimiter
            if np.count_nonzero(odd) != skipped or scan.wire.ragged:
                self._name_blanks(chunk, low, high, np.flatnonzero(odd) + begin)
        if not scan.ascii:
            high_bytes = np.flatnonzero(view >= 128)
            if len(high_bytes):
                at = int(high_bytes[0]) + begin
                self._at("text.not_ascii", "holds characters beyond ASCII", chunk, at)

    def _name_blanks(self, chunk: Chunk, low: int, high: int, odd: Ints) -> None:
        scan = chunk.scan
        owner = np.searchsorted(scan.starts[low:high], odd, side="right") - 1 + low
        last = scan.ends[scan.base[owner] + scan.counts[owner] - 1]
        inside = odd[(odd >= scan.starts[owner]) & (odd < last)]
        if len(inside):
            self._at("text.control_character", "holds a control character or a newline", chunk, int(inside[0]))
        gaps = np.flatnonzero(scan.starts[low + 1 : high] - scan.stops[low : high - 1] > 1)
        if len(gaps):
            blank = gaps[np.isin(scan.buffer[scan.stops[low:high][gaps] + 1], _INDENTS)]
            if len(blank):
                self._indented(chunk, low + 1 + int(blank[0]))

    def _indented(self, chunk: Chunk, i: int) -> None:
        self._at("envelope.blank", "is indented", chunk, int(chunk.scan.starts[i]))

    def _at(self, rule: str, what: str, chunk: Chunk, position: int) -> None:
        if rule in self._named:
            return
        self._named.add(rule)
        i = int(np.searchsorted(chunk.scan.starts, position, side="right")) - 1
        self.findings.tolerated(
            rule, f"A segment {what}; others like it are not listed.", "", segment=int(chunk.numbers[i]),
            segment_id=chunk.name_of(i), offset=int(chunk.offsets[i]) + position - int(chunk.scan.starts[i]),
        )  # fmt: skip

    def _check_segments(self, chunk: Chunk) -> None:
        """Segments that no set holds, and ids that no set of this kind has: lost data must not pass in silence."""
        scan = chunk.scan
        outside = np.flatnonzero(chunk.set_of[: scan.n] < 0)
        outside = outside[~np.isin(scan.codes[outside], _ENVELOPE_CODES)]
        nameless = scan.with_code(0)
        strange = [nameless[chunk.set_of[nameless] >= 0]]
        for kind, known in _KNOWN_CODES.items():
            if any(s.kind == kind for s in chunk.sets):
                others = scan.other_than(known)
                strange.append(others[chunk.of_kind(kind)[others]] if len(others) else others)
        odd = np.unique(np.concatenate([outside, *strange]))
        odd = odd[odd >= chunk.first]
        is_outside = np.isin(odd, outside)
        empty = scan.starts[odd] == scan.ends[scan.base[odd]]
        told = np.zeros(len(odd), dtype=np.bool_)
        for alike in (empty, ~empty):  # a warning takes no error's room
            told[alike] = self._told(chunk, odd[alike])
        for i, is_empty, no_set in zip(
            odd[told].tolist(), empty[told].tolist(), is_outside[told].tolist(), strict=True
        ):
            if is_empty:
                self.findings.tolerated(
                    "segment.empty", "A segment is empty: two terminators follow each other.", _AGAIN,
                    segment=int(chunk.numbers[i]), offset=int(chunk.offsets[i]), file=chunk.file_of(i),
                )  # fmt: skip
            elif no_set:
                chunk.error("envelope.outside_set", "This segment stands in no transaction set.", i, _AGAIN)
            else:
                chunk.error("segment.unknown", "No segment of this name belongs to the transaction set.", i, _AGAIN)

    def _told(self, chunk: Chunk, odd: Ints) -> npt.NDArray[np.bool_]:
        """Which of these segments can be listed: no more of a file than there is room for. The rest are counted here."""
        limit = self.findings.limit
        told = np.ones(len(odd), dtype=np.bool_)
        if len(odd) > limit:
            ends = np.searchsorted(odd, np.append(chunk.tops[1:], chunk.scan.n))
            begin = 0
            for file, end in zip(chunk.files, ends.tolist(), strict=True):
                if end - begin > limit:
                    told[begin + limit : end] = False
                    self.findings.unlisted(file, end - begin - limit)
                begin = end
        return told

    # ---- tables ------------------------------------------------------------------------------------------------------

    def _count_claims(self, chunk: Chunk) -> None:
        """Claims are numbered through their set: how many were before, and how many there are now."""
        chunk.claims_before = [s.claims for s in chunk.sets]
        for segment_id, kind in (("CLP", "835"), ("CLM", "837")):
            if any(s.kind == kind for s in chunk.sets):
                owners = chunk.set_of[chunk.scan.of(segment_id)]
                counts = np.bincount(owners[owners >= 0], minlength=len(chunk.sets))
                for context, count in zip(chunk.sets, counts.tolist(), strict=True):
                    context.claims += count if context.kind == kind else 0

    def _tables(self, chunk: Chunk, described: Description | None, closed: list[str]) -> None:
        rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
        rows["interchanges"], rows["TA1.interchanges"] = self.envelope.taken_rows()
        kinds = {s.kind for s in chunk.sets}
        for kind in sorted(kinds & READERS.keys()):
            for name in _shapes_of(kind):
                rows[name] = []  # a kind that is here has all its tables
        if kinds & READERS.keys():
            self._plain(chunk, rows)
        for index, context in enumerate(chunk.sets):
            unread = context.kind and context.kind not in BULK and context.kind not in READERS
            if unread and chunk.numbers[chunk.begins[index]] == context.segment:
                self.findings.info(
                    "set.not_read", f"Transaction sets {shown_id(context.set_id)} are counted but not read into tables.", "",
                    segment=context.segment, segment_id="ST", file=context.file,
                )  # fmt: skip
        for name, found in rows.items():
            if found or name.partition(".")[0] in READERS:
                self.sink.add(name, rows_table(name, found))
        wanted = _wanted(chunk.sets)
        noted, chunk.noted = chunk.noted, []
        made: Callable[[], Made]
        if (
            wanted
            and self._crew is not None
            and described is not None
            and self._crew.give(len(chunk.scan.buffer), described, chunk.scan.cuts)
        ):
            made = self._crew.take
        elif wanted and self._pool is not None:
            made = self._pool.submit(_bulk_tables, chunk, wanted).result
        else:
            done = _bulk_tables(chunk, wanted)
            made = lambda: done  # noqa: E731
        self._underway.append((chunk.sets, noted, made, closed))
        while len(self._underway) > (self._threads if self._crew is None else _MOST_UNDERWAY):
            self._take_oldest()

    def _take_oldest(self) -> None:
        """A chunk is read: its tables go to the sink and its findings to the list, always in the order of the files."""
        sets, noted, made, closed = self._underway.popleft()
        tables, more = made()
        for name, table in tables:
            self.sink.add(name, table)
        hand_over(sets, [*noted, *more], self.findings)
        for file in closed:
            self.findings.end(file)

    def _plain(self, chunk: Chunk, rows: dict[str, list[dict[str, Any]]]) -> None:
        wire = chunk.scan.wire
        repetition = chr(wire.repetition) if wire.repetition >= 0 else ""
        delimiters = Delimiters(chr(wire.element), repetition, chr(wire.component), chr(wire.segment))
        for context, begin, stop in zip(chunk.sets, chunk.begins, chunk.stops, strict=True):
            if context.kind not in READERS:
                continue
            if context.reader is None:
                context.reader = READERS[context.kind](context, self.findings)
            for i in range(max(begin, chunk.first), stop):
                segment = Segment(
                    int(chunk.numbers[i]), int(chunk.offsets[i]), tuple(chunk.scan.elements(i)), delimiters
                )
                context.reader.feed(segment)
            if context is not self.envelope.set:
                context.reader.close()
            for name, found in context.reader.taken().items():
                rows[name] += found

    def _keep_open_blocks(self, chunk: Chunk, whole: bool) -> None:
        """The HL blocks of an 837 that are open at the cut: parents of the claims to come, as bytes and places."""
        context, scan = self.envelope.set, chunk.scan
        blocks = []
        if not whole and context is not None and context.kind == "837":
            blocks = claims_837.open_blocks(chunk, chunk.begins[-1])
        self._preamble = b"".join(scan.buffer[scan.starts[a] : scan.stops[b - 1] + 1].tobytes() for a, b in blocks)
        kept = np.concatenate([np.arange(a, b) for a, b in blocks]) if blocks else np.zeros(0, dtype=np.int64)
        self._preamble_numbers, self._preamble_offsets = chunk.numbers[kept], chunk.offsets[kept]


def _is_plain(scan: Scan, first: int) -> bool:
    """Do the segments from `first` on follow each other closely, of characters that X12 has? Mostly so: one look at all."""
    if scan.n <= first or scan.wire.ragged or not scan.ascii:
        return False
    begin, stop = int(scan.starts[first]), int(scan.stops[scan.n - 1])
    close = bool((scan.starts[first + 1 : scan.n] - scan.stops[first : scan.n - 1] == 1).all())
    return close and begin < stop and int(scan.buffer[begin:stop].min()) >= _BLANK


def _bulk_tables(chunk: Chunk, kinds: list[str]) -> Made:
    return [item for kind in kinds for item in BULK[kind](chunk).items()], chunk.noted


def _wanted(sets: Iterable[SetContext]) -> list[str]:
    kinds = {s.kind for s in sets}
    return [kind for kind in BULK if kind in kinds]


def _made(buffer: npt.NDArray[np.uint8], described: Description, cuts: Cuts | None) -> Made:
    """What a process of the crew does with a chunk."""
    return _bulk_tables(described.chunk(buffer, cuts), _wanted(described.sets))


def _known(context: SetContext) -> SetContext:
    """What the tables need of a set: without what only this process uses."""
    return replace(context, reader=None, reported=set(), row={})


@cache
def _warm() -> None:
    """Read something small, so that what is made or loaded on first use is shared by the processes and not each one's own."""
    engine = Engine(_Nowhere())
    engine.file("", [_SMALL])
    engine.finish()


class _Nowhere:
    def add(self, name: str, table: pa.Table) -> None:
        pass


_SMALL = (
    b"ISA*00*          *00*          *ZZ*A              *ZZ*B              *260105*0830*^*00501*000000001*0*T*:~"
    b"GS*HP*A*B*20260105*0830*1*X*005010X221A1~ST*835*0001~BPR*I*1.5*C*CHK************20260105~LX*1~CLP*1*1*2*1.5*0.5~"
    b"MOA***MA01~DTM*232*20260105~SVC*HC:1*2*1.5**1~CAS*CO*45*.5~LQ*HE*N1~SE*11*0001~GE*1*1~IEA*1*000000001~"
)


def _piece(file: _File, data: bytes, offset: int) -> _Piece:
    events, file.events = file.events, []
    opens, file.opened = not file.opened, True
    return _Piece(file.name, data, offset, file.wire, events, opens)


def _with_last(blocks: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Each block with: is it the last? Always at least one."""
    held: bytes | None = None
    for block in blocks:
        if held is not None:
            yield held, False
        held = block
    yield held or b"", True


def _kind_by_purpose(scan: Scan, st: int) -> str:
    """A 277 whose guide is not named: BHT01 0085 is the claim acknowledgment."""
    known = st + 1 < scan.n and scan.id_at(st + 1) == "BHT" and scan.text_at(st + 1, 1) == "0085"
    return "277CA" if known else "277"


@cache
def _shapes_of(kind: str) -> tuple[str, ...]:
    return tuple(name for name in shapes.names() if name.startswith(f"{kind}."))
