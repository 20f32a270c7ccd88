"""Readers of small sets, segment by segment: acknowledgments (999, 997, 277CA), claim status and eligibility.

Theory. These sets are short and deep: a row is complete only when its level is left (a claim's REF*1K follows its STC). So
each reader is a small machine that is fed segments, holds the row at hand, and gives rows up when the next one begins. One
reader lives for one set, across chunks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal
from typing import Any, ClassVar, Protocol

from pipeline.transactions.chunk import CORRECTED
from pipeline.x12.envelope import FindingList, SetContext, short_date
from pipeline.x12.scan import exact_units
from pipeline.x12.segments import Segment

Row = dict[str, Any]


class PlainReader(Protocol):
    def __init__(self, context: SetContext, findings: FindingList) -> None: ...
    def feed(self, segment: Segment) -> None: ...
    def close(self) -> None: ...
    def taken(self) -> dict[str, list[Row]]: ...


class Rows:
    """What the readers share: places, values with findings, and the rows given up so far."""

    def __init__(self, context: SetContext, findings: FindingList) -> None:
        self.context = context
        self.findings = findings
        self._rows: dict[str, list[Row]] = defaultdict(list)

    def taken(self) -> dict[str, list[Row]]:
        rows, self._rows = self._rows, defaultdict(list)
        return rows

    def give(self, name: str, row: Row) -> None:
        self._rows[name].append({k: (v if v != "" or k == "file" else None) for k, v in row.items() if k[0] != "_"})

    def place(self, segment: Segment) -> Row:
        return {"file": self.context.file, "set_number": self.context.number, "segment": segment.number}

    def header(self) -> Row:
        return {"interchange_control": self.context.interchange_control, "set_control": self.context.control}

    def money(self, segment: Segment, element: int) -> Decimal | None:
        return self._decimal(segment, element, 2, "amount")

    def quantity(self, segment: Segment, element: int) -> Decimal | None:
        return self._decimal(segment, element, 4, "quantity")

    def _decimal(self, segment: Segment, element: int, scale: int, what: str) -> Decimal | None:
        text = segment.element(element)
        if not text:
            return None
        units = exact_units(text.encode("utf-8", "replace"), scale)
        if units is None:
            self._report(f"{what}.form", f"is not a plain {what} that can be kept exactly", segment, element)
            return None
        return Decimal(units).scaleb(-scale)

    def integer(self, segment: Segment, element: int) -> int | None:
        text = segment.element(element)
        if not text:
            return None
        units = exact_units(text.encode("utf-8", "replace"), 0)
        if units is None:
            self._report("number.form", "is not a whole number", segment, element)
        return units

    def date(self, segment: Segment, element: int, text: str | None = None) -> Any:
        text = segment.element(element) if text is None else text
        if not text:
            return None
        when = short_date(text) if len(text) == 8 else None
        if when is None:
            self._report("date.form", "is not a date", segment, element)
        return when

    def period(self, segment: Segment, form: int, value: int) -> tuple[Any, Any]:
        """D8 → one day twice; RD8 → first and last; anything else → nothing, with a finding where it claims to be one."""
        text = segment.element(value)
        match segment.element(form):
            case "RD8":
                first, _, last = text.partition("-")
                return self.date(segment, value, first), self.date(segment, value, last)
            case "D8":
                day = self.date(segment, value, text)
                return day, day
            case "DT":
                day = self.date(segment, value, text[:8])
                return day, day
            case _:
                return None, None

    def _report(self, rule: str, what: str, segment: Segment, element: int) -> None:
        offset = segment.offset + sum(len(e.encode("utf-8", "replace")) + 1 for e in segment.elements[:element])
        self.findings.error(
            rule, f"{segment.id}{element:02d} {what}: the value is left empty.", CORRECTED,
            file=self.context.file, segment=segment.number, segment_id=segment.id, element=element, offset=offset,
        )  # fmt: skip


def handler(reader: Rows, segment_id: str) -> Callable[[Segment], None] | None:
    """The method `on_clm` for CLM: ids are matched exactly, and nothing but handlers can be named."""
    return getattr(reader, "on_" + segment_id.lower(), None) if segment_id.isupper() else None


class Acknowledgment(Rows):
    """999 and 997. A row a set (AK2…IK5/AK5), a row a group (AK9), a row an error (IK3/AK3 without IK4, or each IK4/AK4)."""

    NAMES: ClassVar[dict[str, str]] = {"AK3": "IK3", "AK4": "IK4", "AK5": "IK5"}

    def __init__(self, context: SetContext, findings: FindingList) -> None:
        super().__init__(context, findings)
        self._group: Row = {}
        self._set: Row | None = None
        self._segment_error: Row | None = None  # the IK3 at hand
        self._given = True  # whether the IK3 at hand already stands in a row
        self._error: Row | None = None

    def feed(self, segment: Segment) -> None:
        name = self.NAMES.get(segment.id, segment.id)
        read = handler(self, name)
        if read is not None:
            read(segment)

    def on_ak1(self, s: Segment) -> None:
        self._group = {"functional_id": s.element(1), "group_control": s.element(2), "group_version": s.element(3)}

    def on_ak2(self, s: Segment) -> None:
        self._leave_set()
        self._set = {
            **self.place(s), "interchange_control": self.context.interchange_control, "level": "set", **self._group,
            "set_id": s.element(1), "set_control": s.element(2),
        }  # fmt: skip

    def on_ik3(self, s: Segment) -> None:
        self._leave_error()
        self._segment_error = {
            **self.place(s), "group_control": self._group.get("group_control"),
            "set_control": (self._set or {}).get("set_control"), "segment_id": s.element(1),
            "segment_position": self.integer(s, 2), "loop": s.element(3), "segment_error": s.element(4),
        }  # fmt: skip
        self._given = False

    def on_ik4(self, s: Segment) -> None:
        self._leave_element()
        colon = s.delimiters.component
        self._error = {
            **(self._segment_error or {"group_control": self._group.get("group_control"),
                                       "set_control": (self._set or {}).get("set_control")}),
            **self.place(s), "element_position": s.element(1).replace(colon, "-"), "element_reference": s.element(2),
            "element_error": s.element(3), "copy_of_bad_data": s.element(4),
        }  # fmt: skip
        self._given = True

    def on_ctx(self, s: Segment) -> None:
        target = self._error or self._segment_error
        if target is not None:
            parts = [e.replace(s.delimiters.component, " ").strip() for e in s.elements[1:]]
            text = " ".join(p for p in parts if p)
            target["context"] = "; ".join(t for t in (target.get("context"), text) if t)

    def on_ik5(self, s: Segment) -> None:
        self._leave_error()
        if self._set is None:
            self.findings.error(
                "acknowledgment.set", f"{s.id} answers no transaction set: there is no AK2 before it.", CORRECTED,
                file=self.context.file, segment=s.number, segment_id=s.id, offset=s.offset,
            )  # fmt: skip
            return
        self._set |= {"code": s.element(1), "errors": _codes(s, 2)}
        self._leave_set()

    def on_ak9(self, s: Segment) -> None:
        self._leave_set()
        self._emit("sets", {
            **self.place(s), "interchange_control": self.context.interchange_control, "level": "group", **self._group,
            "code": s.element(1), "sets_included": self.integer(s, 2), "sets_received": self.integer(s, 3),
            "sets_accepted": self.integer(s, 4), "errors": _codes(s, 5),
        })  # fmt: skip

    def close(self) -> None:
        self._leave_set()

    def _leave_element(self) -> None:
        if self._error is not None:
            self._emit("errors", self._error)
            self._error = None

    def _leave_error(self) -> None:
        self._leave_element()
        if self._segment_error is not None and not self._given:
            self._emit("errors", self._segment_error)
        self._segment_error, self._given = None, True

    def _leave_set(self) -> None:
        self._leave_error()
        if self._set is not None:
            self._emit("sets", self._set)
            self._set = None

    def _emit(self, kind: str, row: Row) -> None:
        name = f"{self.context.kind}.{kind}"
        if self.context.kind == "997":
            row = {k: v for k, v in row.items() if k not in ("group_version", "context")}
        self.give(name, row)


def _codes(segment: Segment, first: int) -> str:
    return " ".join(e for e in segment.elements[first:] if e)


#: HL03 → the level's name in the tables
_CA_LEVELS = {"20": "receiver", "21": "receiver", "19": "provider", "PT": "claim"}


class ClaimAcknowledgment(Rows):
    """277CA: a row an STC. What is said of a level (TRN, REF, QTY, AMT) stands in each of its rows."""

    def __init__(self, context: SetContext, findings: FindingList) -> None:
        super().__init__(context, findings)
        self._batch = ""
        self._source: Row = {}
        self._level: Row = {"level": "unknown"}  # until an HL says which
        self._line: Row | None = None
        self._pending: list[tuple[Row, Row, Row | None]] = []

    def feed(self, s: Segment) -> None:
        read = handler(self, s.id)
        if read is not None:
            read(s)

    def close(self) -> None:
        self._leave()

    def _leave(self) -> None:
        for row, level, line in self._pending:
            self.give("277CA.statuses", {**row, **level, **(line or {})})
        self._pending = []

    def on_bht(self, s: Segment) -> None:
        self._batch = s.element(3)

    def on_hl(self, s: Segment) -> None:
        self._leave()
        code = s.element(3)
        if code not in _CA_LEVELS:
            self._no_level(s, 3, "HL03 names a level that a 277CA does not have: nobody can say whom it speaks of.")
        self._level = {"level": _CA_LEVELS.get(code, "unknown"), "_hl": code}
        self._line = None

    def _no_level(self, s: Segment, element: int | None, message: str) -> None:
        self.findings.error(
            "277CA.level", message, CORRECTED, file=self.context.file, segment=s.number,
            segment_id=s.id, element=element, offset=s.offset,
        )  # fmt: skip

    def on_nm1(self, s: Segment) -> None:
        if self._level.get("_hl") == "20":
            self._source = {"source_entity": s.element(1), "source_id": s.element(9)}
        self._level |= {"entity": s.element(1), "entity_id": s.element(9)}

    def on_trn(self, s: Segment) -> None:
        self._level["claim_id" if self._level.get("level") == "claim" else "trace"] = s.element(2)

    def on_svc(self, s: Segment) -> None:
        self._line = {"level": "line"}

    def on_ref(self, s: Segment) -> None:
        match s.element(1):
            case "1K":
                self._level["payer_claim_number"] = s.element(2)
            case "FJ" if self._line is not None:
                self._line["line_control_number"] = s.element(2)

    def on_qty(self, s: Segment) -> None:
        column = {
            "90": "quantity_accepted",
            "QA": "quantity_accepted",
            "AA": "quantity_rejected",
            "QC": "quantity_rejected",
        }
        if s.element(1) in column:
            self._level[column[s.element(1)]] = self.integer(s, 2)

    def on_amt(self, s: Segment) -> None:
        column = {"YU": "amount_accepted", "YY": "amount_rejected"}
        if s.element(1) in column:
            self._level[column[s.element(1)]] = self.money(s, 2)

    def on_stc(self, s: Segment) -> None:
        level = self._level
        if "_hl" not in level:
            self._no_level(s, None, "The status stands below no HL: nobody can say whom it speaks of.")
        row = {
            **self.place(s), **self.header(), "batch_reference": self._batch, **self._source,
            "category": s.component(1, 1), "status": s.component(1, 2), "status_entity": s.component(1, 3),
            "action": s.element(3), "amount": self.money(s, 4), "effective_date": self.date(s, 2),
        }  # fmt: skip
        self._pending.append((row, level, self._line))
        for element in (10, 11):  # further statuses of the same level
            if s.element(element):
                more = row | {"category": s.component(element, 1), "status": s.component(element, 2),
                              "status_entity": s.component(element, 3)}  # fmt: skip
                self._pending.append((more, level, self._line))


class Hierarchy(Rows):
    """What 270, 271, 276 and 277 share: the parties of the levels that are open."""

    LEVELS: ClassVar[dict[str, str]] = {
        "20": "payer", "21": "receiver", "19": "provider", "22": "subscriber", "23": "dependent",
    }  # fmt: skip
    ORDER: ClassVar[tuple[str, ...]] = ("payer", "receiver", "provider", "subscriber", "dependent")

    def __init__(self, context: SetContext, findings: FindingList) -> None:
        super().__init__(context, findings)
        self.batch = ""
        self.level = ""
        self.open: dict[str, Row] = {}  # by level
        self.inside_ls = False

    def feed(self, s: Segment) -> None:
        if s.id in ("LS", "LE"):
            self.inside_ls = s.id == "LS"
        elif s.id == "BHT":
            self.batch = s.element(3)
        elif s.id == "HL":
            self.leave()
            self.inside_ls = False
            self.level = self.LEVELS.get(s.element(3), s.element(3) or "unknown")
            if self.level in self.ORDER:
                for lower in self.ORDER[self.ORDER.index(self.level) :]:
                    self.open.pop(lower, None)
            self.open[self.level] = {"_segment": s}
            self.entered(s)
        elif not self.inside_ls:
            read = handler(self, s.id)
            if read is not None:
                read(s)

    def close(self) -> None:
        self.leave()

    def entered(self, s: Segment) -> None:
        """A level begins."""

    def leave(self) -> None:
        """A level ends: rows at hand are complete."""

    @property
    def here(self) -> Row:
        return self.open.setdefault(self.level, {})

    def on_nm1(self, s: Segment) -> None:
        if self.level in self.open and "id" not in self.here:
            self.here.update(last=s.element(3), first=s.element(4), id=s.element(9))

    def on_dmg(self, s: Segment) -> None:
        self.here.update(birth=self.date(s, 2) if s.element(1) == "D8" else None, sex=s.element(3))

    def person(self) -> Row:
        return self.open.get("dependent") or self.open.get("subscriber") or {}

    def parties(self) -> Row:
        payer, receiver = self.open.get("payer", {}), self.open.get("receiver", {})
        person = self.person()
        return {
            **self.header(), "batch_reference": self.batch, "payer_name": payer.get("last"), "payer_id": payer.get("id"),
            "receiver_name": receiver.get("last"), "receiver_id": receiver.get("id"),
            "provider_id": self.open.get("provider", {}).get("id"),
            "subscriber_id": self.open.get("subscriber", {}).get("id"), "last": person.get("last"),
            "first": person.get("first"), "birth": person.get("birth"), "sex": person.get("sex"),
        }  # fmt: skip


def _renamed(row: Row, names: dict[str, str]) -> Row:
    """The row under the shape's names; what the shape has no name for is left out."""
    return {new: row[old] for old, new in names.items() if old in row}


_COMMON = {k: k for k in ("interchange_control", "set_control", "batch_reference", "payer_name", "payer_id", "receiver_id",
                          "subscriber_id")}  # fmt: skip
_CLAIM_NAMES = {**_COMMON, "provider_id": "provider_id", "last": "patient_last", "first": "patient_first"}
_PERSON_NAMES = {**_COMMON, "receiver_name": "receiver_name", "last": "last_name", "first": "first_name",
                 "birth": "birth_date", "sex": "sex"}  # fmt: skip


class StatusInquiry(Hierarchy):
    """276: a row a TRN."""

    def __init__(self, context: SetContext, findings: FindingList) -> None:
        super().__init__(context, findings)
        self._row: Row | None = None

    def leave(self) -> None:
        if self._row is not None:
            parties = _renamed(self.parties(), {**_CLAIM_NAMES, "birth": "birth_date", "sex": "sex"})
            self.give("276.inquiries", {**parties, **self._row})
            self._row = None

    def on_trn(self, s: Segment) -> None:
        self.leave()
        self._row = {**self.place(s), "trace": s.element(2)}

    def on_ref(self, s: Segment) -> None:
        column = {"1K": "payer_claim_number", "EJ": "patient_account"}.get(s.element(1))
        if self._row is not None and column:
            self._row.setdefault(column, s.element(2))

    def on_amt(self, s: Segment) -> None:
        if self._row is not None and s.element(1) == "T3":
            self._row["charge"] = self.money(s, 2)

    def on_dtp(self, s: Segment) -> None:
        if self._row is not None and s.element(1) in ("472", "232") and "service_from" not in self._row:
            self._row["service_from"], self._row["service_to"] = self.period(s, 2, 3)


class StatusResponse(Hierarchy):
    """277 (X212): a row an STC, at the levels of payer, receiver, provider, claim and line."""

    def __init__(self, context: SetContext, findings: FindingList) -> None:
        super().__init__(context, findings)
        self._pending: list[Row] = []
        self._claim: Row = {}
        self._line: Row | None = None

    def entered(self, s: Segment) -> None:
        self._claim, self._line = {}, None

    def leave(self) -> None:
        parties = _renamed(self.parties(), _CLAIM_NAMES)
        for row in self._pending:
            claim, line = row.pop("_claim"), row.pop("_line")
            merged = {**parties, **row, **claim, **(line or {})}
            if line:
                merged |= {k: row[k] for k in ("charge", "paid") if row.get(k) is not None}
            self.give("277.statuses", merged)
        self._pending = []

    def on_trn(self, s: Segment) -> None:
        self.leave()
        self._claim, self._line = {"trace": s.element(2)}, None

    def on_svc(self, s: Segment) -> None:
        self._line = {
            "level": "line", "procedure_qualifier": s.component(1, 1), "procedure": s.component(1, 2),
            "charge": self.money(s, 2), "paid": self.money(s, 3),
        }  # fmt: skip

    def on_ref(self, s: Segment) -> None:
        column = {"1K": "payer_claim_number", "EJ": "patient_account"}.get(s.element(1))
        if s.element(1) == "FJ" and self._line is not None:
            self._line["line_control_number"] = s.element(2)
        elif column:
            self._claim.setdefault(column, s.element(2))

    def on_dtp(self, s: Segment) -> None:
        if s.element(1) in ("472", "232"):
            target = self._claim if self._line is None else self._line
            target["service_from"], target["service_to"] = self.period(s, 2, 3)

    def on_stc(self, s: Segment) -> None:
        level = self.level if self.level else "unknown"
        row = {
            **self.place(s), "level": level, "effective_date": self.date(s, 2), "charge": self.money(s, 4),
            "paid": self.money(s, 5), "adjudication_date": self.date(s, 6), "payment_date": self.date(s, 8),
            "check_number": s.element(9), "message": s.element(12), "_claim": self._claim, "_line": self._line,
        }  # fmt: skip
        for element in (1, 10, 11):
            if element == 1 or s.element(element):
                self._pending.append(row | {"category": s.component(element, 1), "status": s.component(element, 2),
                                            "status_entity": s.component(element, 3)})  # fmt: skip


class EligibilityInquiry(Hierarchy):
    """270: a row an EQ; a person without one gives one row."""

    def __init__(self, context: SetContext, findings: FindingList) -> None:
        super().__init__(context, findings)
        self._rows_here: list[Row] = []
        self._dates: Row = {}
        self._trace = ""

    def entered(self, s: Segment) -> None:
        self._dates = {}
        if self.level != "dependent":
            self._trace = ""
        self._opened = s

    def leave(self) -> None:
        if self.level not in ("subscriber", "dependent"):
            return
        parties = _renamed(self.parties(), _PERSON_NAMES)
        rows = self._rows_here
        if not rows and self.here.get("asked"):
            rows = [self.place(self._opened)]
        for row in rows:
            self.give("270.inquiries", {**parties, "level": self.level, "trace": self._trace, **self._dates, **row})
        self._rows_here = []

    def on_trn(self, s: Segment) -> None:
        self._trace = self._trace or s.element(2)
        self.here["asked"] = True

    def on_eq(self, s: Segment) -> None:
        self._rows_here.append({
            **self.place(s), "service_types": _repeated(s, 1), "procedure_qualifier": s.component(2, 1),
            "procedure": s.component(2, 2),
        })  # fmt: skip

    def on_dtp(self, s: Segment) -> None:
        if s.element(1) in ("291", "307", "472"):
            first, last = self.period(s, 2, 3)
            if self._rows_here:
                self._rows_here[-1].update(plan_from=first, plan_to=last)
            else:
                self._dates = {"plan_from": first, "plan_to": last}


class EligibilityResponse(Hierarchy):
    """271: a row an EB and a row an AAA."""

    def __init__(self, context: SetContext, findings: FindingList) -> None:
        super().__init__(context, findings)
        self._row: Row | None = None
        self._rejections: list[Row] = []
        self._trace = ""

    def entered(self, s: Segment) -> None:
        if self.level != "dependent":
            self._trace = ""

    def leave(self) -> None:
        parties = {**_renamed(self.parties(), _PERSON_NAMES), "level": self.level or "unknown", "trace": self._trace}
        if self._row is not None:
            self.give("271.benefits", {**parties, **self._row})
            self._row = None
        for row in self._rejections:
            self.give("271.rejections", {**parties, **row})
        self._rejections = []

    def on_trn(self, s: Segment) -> None:
        self._trace = self._trace or s.element(2)

    def on_aaa(self, s: Segment) -> None:
        self._rejections.append({
            **self.place(s), "valid_request": s.element(1), "reason": s.element(3), "follow_up": s.element(4),
        })  # fmt: skip

    def on_eb(self, s: Segment) -> None:
        if self._row is not None:
            rejections, self._rejections = self._rejections, []
            self.leave()
            self._rejections = rejections
        self._row = {
            **self.place(s), "information": s.element(1), "coverage_level": s.element(2), "service_types": _repeated(s, 3),
            "insurance_type": s.element(4), "plan": s.element(5), "period": s.element(6), "amount": self.money(s, 7),
            "percent": self.quantity(s, 8), "quantity_qualifier": s.element(9), "quantity": self.quantity(s, 10),
            "authorization": s.element(11), "in_network": s.element(12), "procedure_qualifier": s.component(13, 1),
            "procedure": s.component(13, 2),
        }  # fmt: skip

    def on_nm1(self, s: Segment) -> None:
        if self._row is None:
            super().on_nm1(s)

    def on_dtp(self, s: Segment) -> None:
        if self._row is not None and "date_qualifier" not in self._row:
            first, last = self.period(s, 2, 3)
            self._row |= {"date_qualifier": s.element(1), "date_from": first, "date_to": last}

    def on_msg(self, s: Segment) -> None:
        if self._row is not None:
            self._row["message"] = " ".join(t for t in (self._row.get("message"), s.element(1)) if t)


def _repeated(segment: Segment, element: int) -> str:
    text, mark = segment.element(element), segment.delimiters.repetition
    return text.replace(mark, " ") if mark else text


READERS: dict[str, type[PlainReader]] = {
    "999": Acknowledgment,
    "997": Acknowledgment,
    "277CA": ClaimAcknowledgment,
    "276": StatusInquiry,
    "277": StatusResponse,
    "270": EligibilityInquiry,
    "271": EligibilityResponse,
}
