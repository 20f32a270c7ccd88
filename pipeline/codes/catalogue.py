"""Which code sets there are, and how their official files are written: `schemas/codes/sets.toml` and `layouts.toml`.

Both are data. A new file layout of a set that is known already is a new row there, not code.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from datetime import date, timedelta
from functools import cache
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline import shapes
from pipeline.errors import Terminal

Kind = Literal["text", "integer", "decimal", "flag"]


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CodeSet(_Row):
    """One code set, as `sets.toml` describes it."""

    id: str
    title: str
    pattern: str
    period: Literal["fiscal_year", "year", "quarter", "open"]
    source: str
    one: str
    history: bool = False
    shipped: str = ""
    partial: bool = False
    owner: str = ""
    storage: Literal["list", "pairs"] = "list"
    columns: dict[str, Kind] = {}

    def formed(self, code: str) -> bool:
        """Has the code the form of this set?"""
        return re.fullmatch(self.pattern, code, re.ASCII) is not None

    def end(self, start: date) -> date:
        """Last day of an edition that begins on `start`, where nothing else is said."""
        if self.period == "fiscal_year":
            return date(start.year + (start.month >= 10), 9, 30)
        if self.period == "year":
            return date(start.year, 12, 31)
        if self.period == "quarter":
            month = (start.month - 1) // 3 * 3 + 4
            return date(start.year + (month > 12), month if month <= 12 else 1, 1) - timedelta(days=1)
        return date.max


class Route(_Row):
    column: str = ""
    values: dict[str, str] = {}
    forms: tuple[str, ...] = ()


class Layout(_Row):
    """One way in which official files are written, as `layouts.toml` describes it."""

    name: str
    set: str = ""
    sets: dict[str, str] = {}
    route: Route | None = None
    reader: Literal["table", "line", "pairs", "icd10cm_tabular"] = "table"
    columns: dict[str, tuple[str, ...]] = {}
    required: tuple[str, ...] = ()
    line: str = ""
    headings: Literal["", "stated", "above", "listed"] = ""
    compose: dict[str, tuple[str, ...]] = {}
    values: dict[str, dict[str, str]] = {}
    default: dict[str, str] = {}
    ignore: dict[str, str] = {}
    first_digit: tuple[str, ...] = ()
    adds: str = ""
    generic: bool = False
    preamble: bool = False
    hint_only: bool = False
    example: str = ""

    @property
    def targets(self) -> tuple[str, ...]:
        """Every set that rows of this layout may belong to."""
        if self.route:
            return self.route.forms or tuple(self.route.values.values())
        return (self.set,) if self.set else tuple(self.sets)

    def chosen(self, text: str) -> str:
        """The set that the file's name, heading and first row point to; empty where they do not say."""
        if self.set:
            return self.set
        return next((name for name, hint in self.sets.items() if re.search(hint, text, re.IGNORECASE)), "")


@cache
def sets() -> dict[str, CodeSet]:
    """All code sets by id, in the order of the file."""
    return {name: CodeSet(id=name, **row) for name, row in _toml("sets").items()}


@cache
def layouts() -> tuple[Layout, ...]:
    try:
        return tuple(
            Layout(**({"reader": "line"} if "line" in row else {}), **row) for row in _toml("layouts")["layout"]
        )
    except ValidationError as error:
        raise Terminal(f"schemas/codes/layouts.toml cannot be used: {error.errors()[0]['msg']}.") from None


def one(name: str) -> CodeSet:
    """The set of that id. Terminal, with all ids, where there is none."""
    found = sets().get(name)
    if found is None:
        raise Terminal(f"There is no code set {name}.", fix=f"Known sets: {', '.join(sets())}.")
    return found


def _toml(name: str) -> dict[str, Any]:
    path = shapes.schemas_dir() / "codes" / f"{name}.toml"
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise Terminal(
            f"The table {path} cannot be read ({type(error).__name__}).", fix="Reinstall claimpipe."
        ) from error


_MONTHS = {
    m: i for i, m in enumerate(("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), 1)
}
_NAMED = (
    re.compile(r"(?P<year>20\d\d)[-_. ]?(?P<month>0[1-9]|1[0-2])(?:[-_. ]?(?P<day>[0-3]\d))?(?!\d)"),
    re.compile(r"(?<!\d)(?P<month>0[1-9]|1[0-2])[-_. ](?P<day>[0-3]\d)[-_. ](?P<year>20\d\d)(?!\d)"),
    re.compile(r"(?P<name>jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*[-_. ]*(?:\d\d?[-_., ]+)?(?P<year>20\d\d)"),
    re.compile(r"(?P<year>20\d\d)[-_. ]*(?P<name>jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)"),
    re.compile(r"q(?P<quarter>[1-4])[-_. ]*(?P<year>20\d\d)"),
    re.compile(r"(?P<year>20\d\d)[-_. ]*q(?P<quarter>[1-4])"),
)  # fmt: skip


def day_in_name(names: Sequence[str], code_set: CodeSet) -> date | None:
    """The first day that a file's name states: 2024-07, July 2024, Q3 2024, or a year (1 January; 1 October before for a fiscal year)."""
    for name in names:
        text = name.lower()
        for pattern in _NAMED:
            if not (found := pattern.search(text)):
                continue
            parts = found.groupdict()
            month = int(parts.get("month") or 0) or _MONTHS.get(parts.get("name") or "", 0)
            month = month or int(parts["quarter"]) * 3 - 2
            try:
                return date(int(parts["year"]), month, int(parts.get("day") or 1))
            except ValueError:
                continue
        if code_set.period in ("fiscal_year", "year") and (found := re.search(r"(?<!\d)20\d\d(?!\d)", text)):
            year = int(found[0])
            return date(year - 1, 10, 1) if code_set.period == "fiscal_year" else date(year, 1, 1)
    return None
