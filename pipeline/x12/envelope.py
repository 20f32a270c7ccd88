"""Envelopes: which sets a file holds, and whether ISA/GS/ST close as they opened.

Theory. The envelope is a small machine over seven segment ids (ISA TA1 GS ST SE GE IEA), fed in file order. Counts and
control numbers are the only witness of a lost segment or a file cut exactly at a terminator, so a disagreement is an
error in every mode; oddities that leave every byte's meaning certain are named and are errors only in strict mode.
Whatever the damage, the machine goes on: a set that opens while another is open closes that one, with a finding.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

from pipeline.findings import Finding, Severity
from pipeline.wording import counted
from pipeline.x12.lines import Lines

Mode = Literal["lenient", "strict"]
ENVELOPE_IDS = ("ISA", "TA1", "GS", "ST", "SE", "GE", "IEA")
#: findings kept for one file; the rest is counted
DEFAULT_LIMIT = 1000


class FindingList:
    """Findings of one reading, at most `limit` errors and `limit` others a file (no number of warnings hides an error), then one
    line that says how many more there were."""

    def __init__(self, mode: Mode, limit: int = DEFAULT_LIMIT) -> None:
        self.mode = mode
        self.limit = limit
        self.items: list[Finding] = []
        self.file = ""
        self.lines: dict[str, Lines] = {}  # files that are read without the line ends that cut them
        self._counts: Counter[tuple[str, bool]] = Counter()  # by file, and whether they are errors
        self._unlisted: Counter[str] = Counter()

    def unlisted(self, file: str, more: int) -> None:
        """So many more in this file, beside as many as can be listed."""
        self._unlisted[file] += more

    def end(self, file: str) -> None:
        """Nothing more will be found in this file."""
        self.lines.pop(file, None)
        counts = (self._counts.pop((file, error), 0) for error in (True, False))
        more = sum(max(count - self.limit, 0) for count in counts) + self._unlisted.pop(file, 0)
        if more:
            self.items.append(
                Finding(
                    rule="findings.limit",
                    severity="warning",
                    message=f"{counted(more, 'more finding in this file is', 'more findings in this file are')} not listed.",
                    fix="Mend the listed ones and read the file again.",
                    file=file,
                )
            )

    def error(self, rule: str, message: str, fix: str = "", **place: Any) -> None:
        self._add(rule, "error", message, fix, place)

    def tolerated(self, rule: str, message: str, fix: str = "", **place: Any) -> None:
        """A fault that leaves the meaning certain: a warning for what we receive, an error for what we send."""
        self._add(rule, "error" if self.mode == "strict" else "warning", message, fix, place)

    def info(self, rule: str, message: str, fix: str = "", **place: Any) -> None:
        self._add(rule, "info", message, fix, place)

    def _add(self, rule: str, severity: Severity, message: str, fix: str, place: dict[str, Any]) -> None:
        file = place.setdefault("file", self.file)
        kind = (file, severity == "error")
        self._counts[kind] += 1
        if self._counts[kind] <= self.limit:
            place.setdefault("snip", 1)
            if file in self.lines and place.get("offset") is not None:
                place["offset"] = self.lines[file].place(place["offset"])
            self.items.append(Finding(rule=rule, severity=severity, message=message, fix=fix, **place))


@dataclass(slots=True)
class SetContext:
    """One ST…SE: what its rows need from the envelope, and how far its claims have been counted."""

    file: str
    number: int  # 1-based ST in the file
    segment: int  # number of the ST
    kind: str  # 835, 837, 999, 997, TA1, 277CA, 277, 276, 270, 271, or ST01; '' where it may not be read
    set_id: str
    control: str
    version: str  # ST03, else GS08
    interchange_control: str
    group_control: str
    functional_id: str
    claims: int = 0  # claims counted in earlier chunks
    reader: Any = None  # the plain reader of a small set, between chunks
    reported: set[tuple[Any, ...]] = field(default_factory=set)  # findings that must not repeat
    row: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class _Interchange:
    readable: bool
    control: str
    segment: int
    offset: int
    groups: int = 0
    acknowledgments: int = 0  # TA1
    row: dict[str, Any] = field(default_factory=dict)
    set_controls: set[str] = field(default_factory=set)


@dataclass(slots=True)
class _Group:
    control: str
    version: str
    functional_id: str
    segment: int
    offset: int
    sets: int = 0
    row: dict[str, Any] = field(default_factory=dict)


_ASK = "Ask the sender for the file again."


def kind_of(set_id: str, version: str) -> str:
    """Which reader a set needs, from ST01 and the guide named in ST03 or GS08."""
    if set_id == "277" and "X214" in version:
        return "277CA"
    return set_id


def short_date(text: str) -> date | None:
    """CCYYMMDD or YYMMDD (1970–2069) → date, or None."""
    if not text.isascii() or not text.isdigit() or len(text) not in (6, 8):
        return None
    if len(text) == 6:
        text = ("19" if text >= "70" else "20") + text
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return None


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None


def _same(one: str, other: str) -> bool:
    """Control numbers agree: as numbers where both are, so that 005 equals 5, else as text."""
    return one == other or (_number(one) is not None and _number(one) == _number(other))


class EnvelopeReader:
    """The machine. `begin` a file, `segment` for each envelope segment in order, `truncated` for bytes after the last
    terminator, `end` the file. `rows` are rows of the shape `interchanges`; `acknowledgments` those of TA1."""

    def __init__(self, findings: FindingList) -> None:
        self.findings = findings
        self.rows: list[dict[str, Any]] = []
        self.acknowledgments: list[dict[str, Any]] = []
        self.file = ""
        self._clear()

    def _clear(self) -> None:
        self.interchange: _Interchange | None = None
        self.group: _Group | None = None
        self.set: SetContext | None = None
        self.sets = 0
        self.interchanges = 0
        self.closed = 0  # segments that ended something, so that "nothing at all" is known

    # ---- a file ------------------------------------------------------------------------------------------------------

    def begin(self, file: str) -> None:
        self.file = file
        self.findings.file = file
        self._clear()

    def end(self, segment: int, offset: int) -> None:
        """The file is over: whatever is still open was cut off."""
        place = {"segment": segment or None, "offset": offset}
        if self.set is not None:
            self.findings.error(
                "truncated.se",
                f"The file ends inside transaction set {self.set.number}: its SE is missing.",
                _ASK,
                **place,
            )
            self._close_set(segment)
        if self.group is not None:
            self.findings.error(
                "truncated.ge", "The file ends inside a functional group: its GE is missing.", _ASK, **place
            )
        if self.interchange is not None:
            self.findings.error(
                "truncated.iea", "The file ends inside an interchange: its IEA is missing.", _ASK, **place
            )
        self.group = self.interchange = None

    def truncated(self, segment: int, offset: int, length: int) -> None:
        self.findings.error(
            "truncated.segment",
            f"{counted(length, 'byte follows', 'bytes follow')} the last segment terminator: the file is cut off or damaged there.",
            _ASK,
            segment=segment,
            offset=offset,
        )

    # ---- segments ----------------------------------------------------------------------------------------------------

    def segment(self, elements: list[str], number: int, offset: int) -> None:
        # an id with a NUL behind it has the number of one without, and is none: its bytes are told as text that may not stand
        if elements[0].upper() in ENVELOPE_IDS:
            getattr(self, "_" + elements[0].lower())(elements, number, offset)

    def _isa(self, e: list[str], number: int, offset: int) -> None:
        self._interrupt(number, offset, "ISA")
        if self.interchange is not None:
            self.findings.error(
                "envelope.iea_missing", "A new interchange begins before IEA closed the one before.", _ASK,
                segment=number, offset=offset, segment_id="ISA",
            )  # fmt: skip
        readable = len(e) == 17
        if not readable:
            self.findings.error(
                "envelope.isa_unreadable",
                f"The ISA has {counted(len(e) - 1, 'element')} instead of 16: its delimiters cannot be known, so the interchange is not read.",
                _ASK, segment=number, offset=offset, segment_id="ISA",
            )  # fmt: skip
            e = e + [""] * 17
        row = {
            "file": self.file, "segment": number, "level": "interchange", "interchange_control": e[13] or None,
            "sender_qualifier": e[5].strip() or None, "sender_id": e[6].strip() or None,
            "receiver_qualifier": e[7].strip() or None, "receiver_id": e[8].strip() or None,
            "interchange_date": short_date(e[9]), "usage": e[15] or None,
        }  # fmt: skip
        self.interchanges += 1
        self.interchange = _Interchange(readable, e[13], number, offset, row=row)
        self.rows.append(row)

    def _ta1(self, e: list[str], number: int, offset: int) -> None:
        if self.interchange is None or self.group is not None:
            self.findings.error(
                "envelope.ta1_place", "A TA1 stands outside an interchange or inside a functional group.", _ASK,
                segment=number, offset=offset, segment_id="TA1",
            )  # fmt: skip
        if self.interchange is not None:
            self.interchange.acknowledgments += 1
        e = e + [""] * 6
        when = short_date(e[2])
        if e[2] and when is None:
            self.findings.error("date.form", "TA102 is not a date.", _ASK, segment=number, offset=offset, segment_id="TA1", element=2)  # fmt: skip
        if self.interchange is None or not self.interchange.readable:
            return
        self.acknowledgments.append({
            "file": self.file, "segment": number, "interchange_control": self.interchange.control or None,
            "acknowledged_control": e[1] or None, "acknowledged_date": when, "acknowledged_time": e[3] or None,
            "code": e[4] or None, "note": e[5] or None,
        })  # fmt: skip

    def _gs(self, e: list[str], number: int, offset: int) -> None:
        self._interrupt(number, offset, "GS")
        if self.interchange is None:
            self.findings.error(
                "envelope.gs_outside", "A functional group stands outside an interchange.", _ASK,
                segment=number, offset=offset, segment_id="GS",
            )  # fmt: skip
        else:
            self.interchange.groups += 1
        e = e + [""] * 9
        base = self.interchange.row if self.interchange is not None else {"file": self.file}
        row = {
            **base, "segment": number, "level": "group", "functional_id": e[1] or None, "group_sender": e[2] or None,
            "group_receiver": e[3] or None, "group_control": e[6] or None, "version": e[8] or None,
        }  # fmt: skip
        self.group = _Group(e[6], e[8], e[1], number, offset, row=row)
        self.rows.append(row)

    def _st(self, e: list[str], number: int, offset: int) -> None:
        if self.set is not None:
            self.findings.error(
                "envelope.se_missing", "A new transaction set begins before SE closed the one before.", _ASK,
                segment=number, offset=offset, segment_id="ST",
            )  # fmt: skip
            self._close_set(number - 1)
        if self.group is None:
            self.findings.error(
                "envelope.st_outside", "A transaction set stands outside a functional group.", _ASK,
                segment=number, offset=offset, segment_id="ST",
            )  # fmt: skip
        else:
            self.group.sets += 1
        e = e + [""] * 4
        self.sets += 1
        group, interchange = self.group, self.interchange
        version = e[3] or (group.version if group else "")
        if interchange is not None and e[2]:
            if e[2] in interchange.set_controls:
                self.findings.tolerated(
                    "envelope.st02_repeated", "ST02 repeats the control number of an earlier set of this interchange.", "",
                    segment=number, offset=offset, segment_id="ST", element=2,
                )  # fmt: skip
            interchange.set_controls.add(e[2])
        base = group.row if group else interchange.row if interchange else {"file": self.file}
        row = {**base, "segment": number, "level": "set", "set_id": e[1] or None, "set_control": e[2] or None,
               "version": version or None, "set_number": self.sets}  # fmt: skip
        readable = interchange is not None and interchange.readable
        self.set = SetContext(
            self.file, self.sets, number, kind_of(e[1], version) if readable else "", e[1], e[2], version,
            interchange.control if interchange else "", group.control if group else "",
            group.functional_id if group else "", row=row,
        )  # fmt: skip

    def _se(self, e: list[str], number: int, offset: int) -> None:
        opened = self.set
        place = {"segment": number, "offset": offset, "segment_id": "SE"}
        if opened is None:
            self.findings.error("envelope.se_alone", "An SE closes no transaction set.", _ASK, **place)
            return
        e = e + [""] * 3
        have = number - opened.segment + 1
        if _number(e[1]) != have:
            self.findings.error(
                "envelope.se01", f"SE01 says {_shown(e[1])}, the set has {counted(have, 'segment')}: a segment was lost or added.",
                _ASK, element=1, **place,
            )  # fmt: skip
        if e[2] != opened.control:
            self.findings.error("envelope.se02", "SE02 differs from ST02.", _ASK, element=2, **place)
        self._close_set(number)

    def _ge(self, e: list[str], number: int, offset: int) -> None:
        self._interrupt_set(number, offset, "GE")
        place = {"segment": number, "offset": offset, "segment_id": "GE"}
        opened, self.group = self.group, None
        if opened is None:
            self.findings.error("envelope.ge_alone", "A GE closes no functional group.", _ASK, **place)
            return
        e = e + [""] * 3
        if _number(e[1]) != opened.sets:
            self.findings.error(
                "envelope.ge01", f"GE01 says {_shown(e[1])}, the group has {counted(opened.sets, 'transaction set')}.", _ASK,
                element=1, **place,
            )  # fmt: skip
        if not _same(e[2], opened.control):
            self.findings.error("envelope.ge02", "GE02 differs from GS06.", _ASK, element=2, **place)

    def _iea(self, e: list[str], number: int, offset: int) -> None:
        self._interrupt(number, offset, "IEA")
        place = {"segment": number, "offset": offset, "segment_id": "IEA"}
        opened, self.interchange = self.interchange, None
        if opened is None:
            self.findings.error("envelope.iea_alone", "An IEA closes no interchange.", _ASK, **place)
            return
        e = e + [""] * 3
        if _number(e[1]) != opened.groups:
            if opened.groups == 0 and opened.acknowledgments and e[1] == "1":
                self.findings.tolerated(
                    "envelope.iea01_ta1_only", "IEA01 counts 1 group in an interchange that holds only TA1.", "",
                    element=1, **place,
                )  # fmt: skip
            else:
                self.findings.error(
                    "envelope.iea01", f"IEA01 says {_shown(e[1])}, the interchange has {counted(opened.groups, 'functional group')}.",
                    _ASK, element=1, **place,
                )  # fmt: skip
        if not _same(e[2], opened.control):
            self.findings.error("envelope.iea02", "IEA02 differs from ISA13.", _ASK, element=2, **place)

    # ---- closing -----------------------------------------------------------------------------------------------------

    def _interrupt_set(self, number: int, offset: int, by: str) -> None:
        if self.set is not None:
            self.findings.error(
                "envelope.se_missing", f"{by} stands where the open transaction set needs its SE.", _ASK,
                segment=number, offset=offset, segment_id=by,
            )  # fmt: skip
            self._close_set(number - 1)

    def _interrupt(self, number: int, offset: int, by: str) -> None:
        self._interrupt_set(number, offset, by)
        if self.group is not None:
            self.findings.error(
                "envelope.ge_missing", f"{by} stands where the open functional group needs its GE.", _ASK,
                segment=number, offset=offset, segment_id=by,
            )  # fmt: skip
            self.group = None

    def _close_set(self, last: int) -> None:
        if self.set is not None:
            self.set.row["segments"] = last - self.set.segment + 1
            self.rows.append(self.set.row)
            self.set = None

    def taken_rows(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Rows since the last call: envelopes, TA1."""
        rows, self.rows = self.rows, []
        acknowledgments, self.acknowledgments = self.acknowledgments, []
        return rows, acknowledgments


def _shown(text: str) -> str:
    return text if _number(text) is not None else "no number of"


def shown_id(text: str) -> str:
    """A segment or set id as findings may show it: up to three capitals and digits, else nothing."""
    return text if len(text) <= 3 and text.isascii() and text.isalnum() and text == text.upper() else ""
