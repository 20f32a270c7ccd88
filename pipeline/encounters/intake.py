"""What every reader of extracts gives back, and the words in which intake says that a cell cannot be used.

A reader turns the bytes of an extract into three tables of `schemas/tables/` (encounters, encounter_diagnoses,
encounter_lines) for the visits that can go on, and a list of those that were set aside. A fault in any row of a visit, its
diagnoses and services included, sets the whole visit aside and leaves its neighbours alone: half a visit is never billed.
Cells are read exactly or not at all: a date, an amount or a number that is not plain is a fault, never a guess.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.findings import Finding, Severity

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
# zeros behind the last place change nothing: databases write 79.000000 for 79 dollars
_AMOUNT = re.compile(r"\d{1,10}(?:\.\d{0,2}0{0,8})?|\.\d{1,2}0{0,8}", re.ASCII)
_QUANTITY = re.compile(r"\d{1,10}(?:\.\d{0,4}0{0,8})?|\.\d{1,4}0{0,8}", re.ASCII)
_INTEGER = re.compile(r"\d{1,9}", re.ASCII)
#: no patient, accident or visit of a living practice is older; a year below it is a slip of the keyboard
EARLIEST = date(1880, 1, 1)
#: nor will a date lie beyond this one
LATEST = date(2099, 12, 31)
#: the payer's name of a visit that the patient pays for
NO_INSURANCE = "NO_INSURANCE"
#: control characters: never part of an id, and some databases refuse them
CONTROL = "[\\x00-\\x1f\\x7f]"
#: rules after which a row cannot be registered under its own key
NO_KEY = frozenset({"intake.key.missing", "intake.key.illegible"})
#: code of the line that carries what a visit's total holds beyond its itemised rows
UNITEMISED = "UNITEMISED"

#: rule → (what is wrong, what to do, its name in a work queue). The place is put in front of the first.
RULES: dict[str, tuple[str, str, str]] = {
    "intake.key.missing": (
        "the visit has no practice id or no visit id.",
        "Export the visit again with both: without them it cannot be told from other visits.",
        "visit without an id",
    ),
    "intake.key.illegible": (
        "the practice id or the visit id holds control characters.",
        "Correct the id in the source system and export again.",
        "visit id with control characters",
    ),
    "intake.key.duplicate": (
        "another row of this file has the same visit id.",
        "Keep one row a visit. Where the rows differ, find out in the source system which one is right.",
        "two rows with one visit id",
    ),
    "intake.row.width": (
        "the row has more or fewer cells than the header.",
        "Look for a comma or a quotation mark inside a cell that is not quoted, then export again.",
        "row with too many or too few cells",
    ),
    "intake.text.encoding": (
        "the cell holds bytes that are not UTF-8 text, or a stray carriage return.",
        "Export the file as UTF-8, without line breaks inside cells.",
        "text that is not UTF-8",
    ),
    "intake.value.missing": (
        "the cell is empty, and a visit cannot be billed without it.",
        "Fill it in the source.",
        "empty cell that a claim needs",
    ),
    "intake.value.unknown": (
        "the word is not one that the layout knows.",
        "See docs/extracts.md for the words.",
        "word that the layout does not know",
    ),
    "intake.date.illegible": (
        "the date is impossible or not written YYYY-MM-DD.",
        "Correct the date in the source system and export again.",
        "illegible date",
    ),
    "intake.date.order": (
        "the last day of service is before the first.",
        "Correct the dates in the source system.",
        "last day of service before the first",
    ),
    "intake.date.future": (
        "the service lies in the future of this night.",
        "Correct the date, or send the visit again once it has taken place.",
        "service in the future",
    ),
    "intake.birth.after_service": (
        "the patient's date of birth is after the service.",
        "Correct the date of birth or the service date in the source system.",
        "date of birth after the service",
    ),
    "intake.amount.illegible": (
        "the amount is not plain dollars with at most two decimals (no sign, exponent, NaN or thousands separator).",
        "Correct the amount in the source system and export again.",
        "illegible amount",
    ),
    "intake.number.illegible": (
        "the number is not plain digits.",
        "Correct it in the source system.",
        "illegible number",
    ),
    "intake.pointer.illegible": (
        "diagnosis pointers are ranks with commas between them, for example 1,2.",
        "Correct the pointers in the source system.",
        "illegible diagnosis pointer",
    ),
    "intake.rank.duplicate": (
        "the visit has two different rows with this number.",
        "Number the rows of a visit from 1, each number once.",
        "two rows with one number in a visit",
    ),
    "intake.charge.disagrees": (
        "the charges of the visit's services do not add up to the visit's charge.",
        "Find the missing or doubled service in the source system.",
        "charges that do not add up",
    ),
    "intake.reference.missing": (
        "the row refers to a record that the extract does not hold.",
        "Export the whole set of files again: one of them is not of the same moment.",
        "row that refers to a missing record",
    ),
    "intake.file.illegible": (
        "the file cannot be read: it is damaged, cut off, or not what its name says.",
        "Export it again. Its visits are not in the books.",
        "file that cannot be read",
    ),
    "intake.file.count": (
        "the file's trailer counts other messages than the file holds.",
        "Messages were lost or added on the way: send the whole file again. None of its visits was taken in.",
        "file whose trailer counts otherwise",
    ),
    "intake.record.illegible": (
        "the record breaks the rules of its format.",
        "Correct it in the source system, or report it to the system's vendor, and export again.",
        "record that breaks its format",
    ),
    "intake.record.other": (
        "these records are not of a kind that bills a visit, and were passed over.",
        "Nothing to do, unless they should have been charges.",
        "records that bill nothing",
    ),
    "intake.claim.other": (
        "these claims are a pharmacy's or an optician's, or no claims yet, and were passed over.",
        "Nothing to do, unless the practice should have billed them.",
        "claims of others",
    ),
    "intake.attachment.other": (
        "the claim names an attachment whose kind is not written in the claim's own codes; the claim does not announce it.",
        "Write its kind as X12 codes it (PWK01, system https://codesystem.x12.org/005010/755), if the payer is to expect it.",
        "attachment that the claim cannot announce",
    ),
    "intake.visit.unfinished": (
        "the visit is not finished, and is not billed before it is.",
        "Nothing to do: it is taken in once its record says that it is finished.",
        "visit that is not finished",
    ),
    "intake.charge.credited": (
        "a charge of the visit was credited or is no charge.",
        "Send the visit with the charges that stand.",
        "credited charge",
    ),
    "intake.charge.doubtful": (
        "charges without a transaction number repeat some charges of an earlier extract and leave out others: whether they are "
        "the same ones or further ones cannot be known.",
        "Send all charges of the visit that stand in one extract, or give each its own transaction number (FT1-2).",
        "charges that may have come before",
    ),
    "intake.charge.again": (
        "the charge was stated before; it counts once, as it is stated now.",
        "Nothing to do, unless it is a further charge: then give each charge its own transaction number (FT1-2).",
        "charge that was stated before",
    ),
    "intake.charge.gone": (
        "the charge was taken back by a credit, and its transaction number is stated again: it stays taken back.",
        "Nothing to do, unless it was charged anew: then send it with a transaction number of its own (FT1-2).",
        "charge that was taken back before",
    ),
    "intake.earlier.missing": (
        "charges of the visit came before in another format, or the lake has lost them: whether these are all cannot be known.",
        "Send the whole visit in claimpipe's own layout (docs/extracts.md). If the lake was lost, restore it from its backup.",
        "visit whose earlier charges are not there",
    ),
    "intake.earlier.other": (
        "these messages came before, and another format has stated their visits since; they were passed over.",
        "Nothing to do.",
        "messages that another format has overtaken",
    ),
    "intake.cover.missing": (
        "the records name no insurance; the visit is taken for one that the patient pays.",
        "Nothing to do where that is so. Else export the patient's cover with the visit.",
        "visit without an insurance",
    ),
    "intake.cover.order": (
        "the patient has several insurances, and nothing says which pays first; they were taken in the order of the export.",
        "Give each its place (Coverage.order), or export the claim that names them in their order.",
        "insurances without an order",
    ),
    "intake.line.missing": (
        "the row belongs to a service line that the visit does not have.",
        "Give the number of one of the visit's services, or leave the line empty where the row is the visit's own.",
        "row of a service that is not there",
    ),
    "intake.orphan": (
        "the row belongs to a visit that the extract does not hold.",
        "Export the visit with it, or remove the row.",
        "row of a visit that is not in the extract",
    ),
    "intake.row.repeated": (
        "the row repeats an earlier one of the same visit exactly; it was counted once.",
        "Nothing to do; look into the export if it happens often.",
        "row that repeats another",
    ),
    "intake.column.unknown": (
        "the column is not part of the layout and was not read.",
        "Check its spelling against docs/extracts.md.",
        "column that the layout does not know",
    ),
    "intake.file.end": (
        "the file does not end with the end of a line: it may have been cut on its way.",
        "Compare its last row with the source; export with a line end behind each row.",
        "file that may be cut",
    ),
    "intake.total.unproved": (
        "the charges cannot be compared with the manifest's total to the cent, because some amounts are illegible.",
        "Mend the rows named in the other findings and send the extract again.",
        "total of charges that cannot be proved",
    ),
}


@dataclass(frozen=True, slots=True)
class Stated:
    """A record as an extract stated it. `extract`: 1 for the first extract that spoke of the visit, 2 for the next ..."""

    extract: int
    text: str
    file: str
    row: int


@dataclass(frozen=True, slots=True)
class Earlier:
    """What earlier extracts of a format stated of a visit, in its order. `whole`: they are all that the visit is made of; not
    where the lake lost them, or where another format has spoken of the visit since."""

    records: list[Stated]
    whole: bool


def _nothing(keys: Collection[str]) -> Mapping[str, Earlier]:
    return {}


@dataclass(frozen=True, slots=True)
class Context:
    """What a reader may know besides the bytes: the night's date, payer names (case-folded) → keys, the time zone.

    `earlier`: for formats whose extracts are no whole statements of a visit but go on where the one before ended. Keys of visits
    → what was stated of them. A visit that never came is not in it.
    """

    on: date
    payers: Mapping[str, str]
    timezone: ZoneInfo
    earlier: Callable[[Collection[str]], Mapping[str, Earlier]] = _nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAside:
    """A visit that cannot go on, as it is registered: state `quarantined`, `reason` the first rule that it breaks."""

    encounter_key: str
    content_hash: str
    practice_id: str
    payer_key: str | None
    service_from: date | None
    charge_cents: int
    reason: str
    source_file: str
    source_row: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """An extract as read. `rows_read` counts visits, those set aside included; so does `charge_cents` where legible."""

    encounters: pa.Table
    diagnoses: pa.Table
    lines: pa.Table
    set_aside: list[SetAside] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    #: what payers have authorized, where the extract has a list of it
    authorizations: pa.Table | None = None
    #: the records of which each visit is made, where the next extract goes on from there (`Context.earlier`)
    statements: pa.Table | None = None
    rows_read: int = 0
    charge_cents: int = 0


def finding(
    rule: str,
    file: str,
    row: int | None,
    column: str,
    *,
    what: str = "",
    subject: str = "",
    severity: Severity = "error",
) -> Finding:
    """The finding of a rule at a cell, or of so many records of a file (`what`: "3 claims"). Says where and what, never what
    the cell holds."""
    says, fix, _ = RULES[rule]
    place = " ".join(
        part
        for part in (
            file, f"row {row}" if row is not None else "", f"column {column}" if column else "", f"({what})" if what else ""
        )
        if part
    )  # fmt: skip
    return Finding(
        rule=rule, severity=severity, message=f"{place}: {says}", fix=fix, file=file, source=place, subject=subject
    )


def visit_keys(practices: pa.Array, encounters: pa.Array) -> pa.Array:
    """The keys of visits: PRACTICE:VISIT, a percent sign or colon inside of an id written %25 or %3A, so that two visits
    never share one ("A:B" + "C" and "A" + "B:C")."""

    def escaped(ids: pa.Array) -> pa.Array:
        return pc.replace_substring(pc.replace_substring(ids, "%", "%25"), ":", "%3A")

    return pc.binary_join_element_wise(escaped(practices), escaped(encounters), ":")


def visit_key(practice: str, encounter: str) -> str:
    """The key of one visit."""
    return str(visit_keys(pa.array([practice], pa.string()), pa.array([encounter], pa.string()))[0].as_py())


def plain(text: str) -> str:
    """An id as the register may keep it: the text, or nothing where it holds control characters."""
    return "" if re.search(CONTROL, text) else text


def read_date(text: str) -> date:
    """YYYY-MM-DD → date. ValueError where it is anything else or no day of the calendar."""
    if not _DATE.fullmatch(text):
        raise ValueError("not a date")
    value = date.fromisoformat(text)
    if not EARLIEST <= value <= LATEST:
        raise ValueError("a slip of the keyboard")
    return value


def read_amount(text: str) -> Decimal:
    """Plain dollars, at most ten digits and two decimals (zeros behind them aside), without any sign → Decimal with two places."""
    if not _AMOUNT.fullmatch(text):
        raise ValueError("not an amount")
    return Decimal(text).quantize(Decimal("0.01"))


def read_quantity(text: str) -> Decimal:
    """Plain decimal with at most four places (zeros behind them aside) → Decimal with four places."""
    if not _QUANTITY.fullmatch(text):
        raise ValueError("not a quantity")
    return Decimal(text).quantize(Decimal("0.0001"))


_FLAGS = {"y": True, "yes": True, "true": True, "1": True, "n": False, "no": False, "false": False, "0": False}


def read_flag(text: str) -> bool:
    """Y or N, yes or no, true or false, 1 or 0. ValueError for anything else."""
    try:
        return _FLAGS[text.lower()]
    except KeyError:
        raise ValueError("not yes or no") from None


def read_integer(text: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise ValueError("not a number")
    return int(text)
