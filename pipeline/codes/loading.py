"""From official files to editions: recognise, read, check every row, and only then write.

A list with a hole in it makes good claims look bad, so a file loads as a whole or not at all: each row that does not fit is a
finding with its line and what to do, and while there is one error nothing is written and the edition that was there stays.
Files given together make one edition for each set that they hold (CMS cuts its procedure pairs into parts).
"""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pyarrow as pa

from pipeline.codes import catalogue, contracts, editions, pairs, sources
from pipeline.codes.catalogue import CodeSet, Layout
from pipeline.codes.editions import About, Edition
from pipeline.codes.sources import Source
from pipeline.errors import Terminal
from pipeline.findings import Finding, has_errors
from pipeline.wording import counted

#: rows of a file that are looked at to recognise it
_HEAD = 60
#: lines of a heading that is written over several
_DEEP = 8
_MOST_FINDINGS = 50  # shown of one file; the rest is counted

Numbered = tuple[int, list[str]]


@dataclass(slots=True)
class Loaded:
    """What one call loaded: editions, and for each whether it was written (not where it was there already, to the byte)."""

    editions: list[tuple[Edition, bool]] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        return has_errors(self.findings)


@dataclass(slots=True)
class _Gathered:
    """Rows of one set, from all files."""

    columns: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    tables: list[pa.Table] = field(default_factory=list)
    names: list[str] = field(default_factory=list)  # of the files as given
    asked: list[tuple[str, ...]] = field(default_factory=list)  # names that may state a day
    dated: bool = True
    headings: str = ""
    adds: dict[str, dict[str, list[str]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Match:
    layout: Layout
    columns: dict[str, int]  # our column → position in the row
    first: int  # index of the first row of data among the rows looked at
    hint: str


def load(
    paths: Sequence[Path], home: Path, *, set_name: str = "", effective_from: date | None = None,
    effective_to: date | None = None,
) -> Loaded:  # fmt: skip
    """Load official files into `home`/codes.

    Without `set_name` the files are recognised by their form; without `effective_from` the first day is taken from their names;
    without `effective_to` the edition holds for the period of its set. Terminal where a file cannot be read or recognised, or
    where no day is known.
    """
    if set_name:
        catalogue.one(set_name)
    result = Loaded()
    gathered: dict[str, _Gathered] = {}
    hashes: list[str] = []
    known = 0
    for path in sorted(paths, key=lambda p: p.name):
        hashes.append(_hash(path))
        for source in sources.sources(path):
            read = _Reading(source, set_name, gathered, result.findings)
            known += read.run()
    if not known:
        raise Terminal(
            f"The file {paths[0].name} is not a code set file that claimpipe knows.",
            fix="Give the official file of docs/codes.md; say which set it is with --set where its form does not tell.",
        )
    if result.failed:
        return result
    # one file: its own hash, so that a person can compare it with the publisher's
    digest = hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()
    ready: list[tuple[About, pa.Table]] = []
    for name, rows in gathered.items():
        made = _edition(catalogue.one(name), rows, digest, home, effective_from, effective_to, result.findings)
        if made is not None:
            ready.append(made)
    if has_errors(result.findings):
        return result
    for about, table in ready:
        result.findings += _parts(about)
        _, written = editions.write(home, about, table)
        result.editions.append((Edition(replace(about, rows=table.num_rows), table), written))
    return result


def _hash(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise Terminal(
            f"The file {path} cannot be read ({error.strerror or type(error).__name__}).", fix="Check the path."
        ) from error


# --- one file -----------------------------------------------------------------------------------------------------------


class _Reading:
    """Reads one file into the rows of its sets."""

    def __init__(self, source: Source, set_name: str, gathered: dict[str, _Gathered], findings: list[Finding]) -> None:
        self.source, self.set_name, self.gathered, self.findings = source, set_name, gathered, findings
        self.errors = 0

    def run(self) -> int:
        """1 where the file was recognised, else 0."""
        if self.source.kind == "text" and (fast := self._as_pairs()) is not None:
            return fast
        if self.source.kind == "xlsx":
            rows: Iterable[Numbered] = sources.xlsx_rows(self.source)
            return self._table(iter(rows))
        text = sources.decode(sources.read_bytes(self.source))
        if "\0" in text[:4096]:
            return 0
        if text.lstrip()[:5] == "<?xml" or text.lstrip().startswith("<ICD10CM"):
            return self._tabular(text)
        lines = [(n, line.rstrip()) for n, line in enumerate(text.splitlines(), 1)]
        listed = [(n, line) for n, line in lines if line.strip()]
        if layout := self._line_layout(listed):
            return self._lines(layout, listed)
        return self._table(_delimited(text))

    # - recognising -

    def _candidates(self, reader: str) -> list[Layout]:
        found = [y for y in catalogue.layouts() if y.reader == reader or (reader == "table" and y.reader == "pairs")]
        if not self.set_name:
            return found
        own = catalogue.one(self.set_name).columns
        # a plain list tells codes and days, so it serves every set that needs no more
        return [
            y for y in found
            if self.set_name in y.targets or ((y.generic or y.hint_only) and own.keys() <= y.columns.keys())
        ]  # fmt: skip

    def _line_layout(self, listed: list[tuple[int, str]]) -> Layout | None:
        """The layout whose form (nearly) all of the first lines have; the hint of the name decides between several."""
        head = [line for _, line in listed[:200]]
        if not head:
            return None
        best: tuple[float, int, Layout] | None = None
        hint = " ".join(self.source.names)
        for number, layout in enumerate(self._candidates("line")):
            if layout.hint_only and not self.set_name and not layout.chosen(hint):
                continue
            pattern = re.compile(layout.line, re.ASCII)
            fits = [pattern.fullmatch(line) is not None for line in head]
            if layout.preamble and True in fits[:_HEAD]:
                fits = fits[fits.index(True) :]
            share = sum(fits) / len(fits)
            if layout.hint_only and share == 1:
                share = 2  # the name says what it is: no other form is meant
            if layout.preamble:
                share -= 0.01  # a form that may have a preamble gives way to one that has none
            if share >= 0.8 and (best is None or share > best[0]):
                best = (share, -number, layout)
        return best[2] if best else None

    def _matches(self, rows: list[Numbered]) -> list[_Match]:
        """The table layouts that the heading fits: a heading may stand below a preamble and be written over several lines."""
        plain: list[_Match] = []
        for end in range(len(rows)):
            found: dict[str, _Match] = {}  # one file may be of several layouts
            for deep in range(1, min(_DEEP, end + 1) + 1):
                fit = self._fit(rows, end - deep + 1, end)
                if fit is None:
                    break
                for match in fit:
                    if match.layout.generic:
                        plain = plain or [match]
                    elif match.layout.name not in found:
                        found[match.layout.name] = self._lengthened(rows, end - deep + 1, end, match)
            if found:
                return list(found.values())
        return plain

    def _lengthened(self, rows: list[Numbered], start: int, end: int, match: _Match) -> _Match:
        """The match with the lines right below that still belong to the heading: they have no code."""
        key = match.columns.get("code", match.columns.get("mac", 0))
        last = end
        while last + 1 < len(rows) and not _cell(rows[last + 1][1], key):
            last += 1
        longer = self._fit(rows, start, last) if last > end else None
        return next((m for m in longer or () if m.layout is match.layout), match)

    def _fit(self, rows: list[Numbered], start: int, end: int) -> list[_Match] | None:
        """The table layouts that the rows fit as a heading; None where they are too narrow to be one."""
        block = [cells for _, cells in rows[start : end + 1]]
        width = max(len(cells) for cells in block)
        if width == 1 and not self.set_name:
            return None
        heading = [_plain(" ".join(cells[i] for cells in block if i < len(cells))) for i in range(width)]
        following = " ".join(rows[end + 1][1]) if end + 1 < len(rows) else ""
        hint = " | ".join([*self.source.names, " ".join(heading), following])
        return [
            _Match(layout, columns, end + 1, hint)
            for layout in self._candidates("table")
            if (columns := _columns(layout, heading)) is not None
        ]

    def _target(self, layout: Layout, hint: str) -> str:
        """The one set of the layout that this file is of. Terminal where it does not say."""
        if self.set_name and (self.set_name in layout.targets or layout.generic or layout.hint_only):
            return self.set_name
        chosen = layout.chosen(hint)
        if not chosen:
            names = ", ".join(layout.targets)
            raise Terminal(
                f"The file {self.source.name} has the form “{layout.name}”, but does not say of which set it is.",
                fix=f"Say it with --set, one of: {names}.",
            )
        return chosen

    # - reading -

    def _as_pairs(self) -> int | None:
        """Procedure pairs go another way: millions of rows, read by Arrow. None where this is no file of pairs."""
        with self.source.open() as stream:
            try:
                head = sources.decode(stream.read(1 << 16) or b"")
            except sources.UNREADABLE as error:
                raise Terminal(
                    f"The file {self.source.name} cannot be read ({type(error).__name__}).",
                    fix="Fetch it again from its publisher.",
                ) from error
        if "\0" in head:
            return None
        delimiter = _delimiter(head)
        rows = list(itertools.islice(_delimited(head), _HEAD))
        matches = [m for m in self._matches(rows) if m.layout.reader == "pairs"]
        if not matches:
            return None
        match = matches[0]
        name = self._target(match.layout, match.hint)
        skip = rows[match.first - 1][0]
        table, findings, more = pairs.read_text(
            self.source, delimiter, skip, match.columns, catalogue.one(name), _MOST_FINDINGS
        )
        self._keep_pairs(name, table, findings, more, match)
        return 1

    def _keep_pairs(self, name: str, table: pa.Table, findings: list[Finding], more: int, match: _Match) -> None:
        self.findings += findings
        if more:
            self.findings.append(self._more(more))
        rows = self._rows(name)
        rows.tables.append(table)
        rows.dated &= "start" in match.columns
        if "start" not in match.columns:
            self.findings.append(
                Finding(
                    rule="codes-no-first-day", severity="warning", file=self.source.name,
                    message="The file does not say since when each pair holds: every pair is taken to hold up to its last day.",
                    fix="Load the official file of CMS, which has effective dates, to judge services of earlier years.",
                )
            )  # fmt: skip

    def _rows(self, name: str) -> _Gathered:
        rows = self.gathered.setdefault(name, _Gathered())
        if self.source.names not in rows.asked:
            rows.asked.append(self.source.names)
        if self.source.names[0] not in rows.names:
            rows.names.append(self.source.names[0])
        return rows

    def _lines(self, layout: Layout, listed: list[tuple[int, str]]) -> int:
        pattern = re.compile(layout.line, re.ASCII)
        name = self._target(layout, " ".join(self.source.names))
        begun = not layout.preamble

        def rows() -> Iterator[tuple[int, dict[str, str] | None]]:
            nonlocal begun
            for number, line in listed:
                found = pattern.fullmatch(line)
                if found is None and not begun:
                    continue
                begun = True
                yield number, None if found is None else {k: (v or "").strip() for k, v in found.groupdict().items()}

        self._take(layout, name, rows())
        return 1

    def _table(self, rows: Iterator[Numbered]) -> int:
        """A table with a heading: text with delimiters, or a workbook."""
        head = list(itertools.islice(rows, _HEAD))
        matches = self._matches(head)
        if not matches:
            return 0
        if matches[0].layout.reader == "pairs":  # as a workbook
            match = matches[0]
            name = self._target(match.layout, match.hint)
            table, findings, more = pairs.read_rows(
                self.source.name, _chain(head[match.first :], rows), match.columns, catalogue.one(name), _MOST_FINDINGS
            )
            self._keep_pairs(name, table, findings, more, match)
            return 1
        listed = [*head[matches[0].first :], *rows]
        for match in matches:
            layout = match.layout
            name = "" if layout.route else self._target(layout, match.hint)
            self._take(layout, name, _cells(listed, match.columns))
        return 1

    def _tabular(self, text: str) -> int:
        layout = next((y for y in self._candidates("icd10cm_tabular")), None)
        if layout is None:
            return 0
        try:
            root = ElementTree.fromstring(text.encode())  # noqa: S314  (expat refuses bombs; no entity leaves the file)
        except ElementTree.ParseError as error:
            self._finding(error.position[0], "The XML is damaged here.", "Fetch the file again from its publisher.")
            return 1
        if not root.tag.startswith("ICD10CM"):
            return 0
        self._take(layout, "icd10cm", ((n, row) for n, row in enumerate(_tabular_rows(root), 1)))
        self._rows("icd10cm").headings = "stated"
        return 1

    # - checking -

    def _take(self, layout: Layout, name: str, rows: Iterable[tuple[int, dict[str, str] | None]]) -> None:
        """Check each row and put it under its set."""
        before, taken = self.errors, 0
        ignores = {column: re.compile(pattern, re.DOTALL) for column, pattern in layout.ignore.items()}
        sets = [catalogue.one(t) for t in ([name] if name else layout.targets)]
        touched: set[str] = set()
        for number, row in rows:
            if row is None:
                self._finding(
                    number, f"The line has not the form of “{layout.name}”.", "Mend the line, or fetch the file again."
                )
                continue
            if any(p.fullmatch(row.get(c, "")) for c, p in ignores.items()):
                continue
            for column, parts in layout.compose.items():
                first, second = (row[p] for p in parts)
                row[column] = f"{first.zfill(5)}-{second.zfill(2)}"
            row["code"] = row["code"].replace(".", "").strip().upper()
            code_set = self._belongs(layout, row, sets)
            if code_set is None:
                kind = f" of the type {row[layout.route.column]}" if layout.route and layout.route.column else ""
                self._finding(
                    number, f"The code {row['code'][:12]!r}{kind} has not the form of {' or '.join(s.title for s in sets)}.",
                    "Mend the code, or fetch the file again.",
                )  # fmt: skip
                continue
            if layout.adds:
                self._rows(code_set.id).adds.setdefault(layout.adds, {}).setdefault(row["code"], []).append(
                    row[layout.adds]
                )
                taken += 1
                continue
            values = self._values(layout, code_set, row, number)
            if values is None:
                continue
            taken += 1
            touched.add(code_set.id)
            into = self._rows(code_set.id).columns
            for column, value in values.items():
                into[column].append(value)
        for one in touched:
            gathered = self._rows(one)
            gathered.dated &= "start" in layout.columns
            gathered.headings = layout.headings or gathered.headings
        if not taken and self.errors == before:
            self._finding(1, "The file holds no codes.", "Fetch it again from its publisher.")
        if self.errors > _MOST_FINDINGS:
            self.findings.append(self._more(self.errors - _MOST_FINDINGS))

    def _belongs(self, layout: Layout, row: dict[str, str], sets: list[CodeSet]) -> CodeSet | None:
        if layout.route and layout.route.column:
            name = layout.route.values.get(row.get(layout.route.column, ""), "")
            sets = [s for s in sets if s.id == name]
        return next((s for s in sets if s.formed(row["code"])), None)

    def _values(self, layout: Layout, code_set: CodeSet, row: dict[str, str], number: int) -> dict[str, Any] | None:
        """The row's values in the types of its set; None, with a finding, where one does not fit."""
        try:
            values: dict[str, Any] = {
                "code": row["code"],
                "words": " ".join(row.get("words", "").split()),
                "start": editions.published_day(row.get("start", ""), editions.OPEN_START),
                "end": editions.published_day(row.get("end", ""), editions.OPEN_END),
            }
        except ValueError:
            self._finding(number, "A date is none.", "Write dates as YYYY-MM-DD or YYYYMMDD.")
            return None
        if code_set.id == "mce_age" and "age" in row:
            row["lowest"], row["highest"] = _ages(row["age"])
        if code_set.id in _CHECKS and (wrong := _CHECKS[code_set.id](row)):
            self._finding(number, wrong, "Mend the row; docs/codes.md has the layout.")
            return None
        for column, kind in code_set.columns.items():
            text = row.get(column, "").strip() or layout.default.get(column, "")
            try:
                if column in layout.values and text:
                    text = layout.values[column][text.casefold()]
                if column in layout.first_digit:
                    text = text[:1]
                values[column] = _typed(text, kind)
            except (ValueError, KeyError, InvalidOperation):
                what = " or ".join(layout.values[column]) if column in layout.values else _KINDS[kind]
                self._finding(number, f"The column {column} is not {what}.", "Mend the cell, or fetch the file again.")
                return None
        return values

    def _finding(self, line: int, message: str, fix: str) -> None:
        self.errors += 1
        if self.errors <= _MOST_FINDINGS:
            self.findings.append(
                Finding(
                    rule="codes-row", severity="error", message=message, fix=fix, file=self.source.name,
                    source=f"{self.source.name} line {line}",
                )
            )  # fmt: skip

    def _more(self, number: int) -> Finding:
        return Finding(
            rule="codes-row", severity="error", file=self.source.name, message=f"{counted(number, 'further line does', 'further lines do')} not fit.",
            fix="Fetch the file again from its publisher; nothing of it was loaded.",
        )  # fmt: skip


#: sets whose rows have rules of their own
_CHECKS: dict[str, Callable[[dict[str, str]], str]] = {"contract": contracts.check_term}
_KINDS = {"text": "text", "integer": "a whole number", "decimal": "a number", "flag": "yes or no"}


def _typed(text: str, kind: str) -> Any:
    if not text:
        return None
    if kind == "text":
        return text
    if kind == "flag":
        if text not in ("0", "1"):
            raise ValueError
        return text == "1"
    number = Decimal(text.replace(",", "").removeprefix("$"))
    if not number.is_finite() or abs(number) >= 10**12 or number != round(number, 6):
        raise ValueError
    if kind == "decimal":
        return number
    if number != int(number):
        raise ValueError
    return int(number)


def _ages(text: str) -> tuple[str, str]:
    numbers = re.findall(r"\d+", text)
    return numbers[0], "" if "+" in text else numbers[-1]


def _plain(text: str) -> str:
    return " ".join(re.sub(r"[^a-z0-9_*]+", " ", text.casefold()).split())


def _columns(layout: Layout, heading: list[str]) -> dict[str, int] | None:
    """Where each of the layout's columns stands; None where a needed one is missing."""
    found: dict[str, int] = {}
    for column, aliases in layout.columns.items():
        for alias in aliases:
            if (at := _position(alias, heading)) is not None:
                found[column] = at
                break
    needed = {*layout.required, *(() if "code" in layout.compose else ("code",))}
    return found if needed <= found.keys() else None


def _position(alias: str, heading: list[str]) -> int | None:
    alias = alias if "*" in alias else _plain(alias)
    for at, cell in enumerate(heading):
        if cell == alias or (alias.endswith("*") and cell.startswith(alias[:-1])):
            return at
        if alias.startswith("*") and cell.endswith(alias[1:].strip()):
            return at
    return None


def _delimiter(text: str) -> str:
    head = text[:8192]
    return max("\t,|;", key=head.count)


def _delimited(text: str) -> Iterator[Numbered]:
    """The rows of delimited text with the line on which each ends."""
    reader = csv.reader(io.StringIO(text), delimiter=_delimiter(text))
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                yield reader.line_num, row
    except csv.Error as error:
        raise Terminal(
            f"The file is no table of text (line {reader.line_num}: {error}).", fix="Fetch it again from its publisher."
        ) from None


def _cell(cells: list[str], at: int) -> str:
    return cells[at].strip() if at < len(cells) else ""


def _cells(rows: Iterable[Numbered], columns: dict[str, int]) -> Iterator[tuple[int, dict[str, str] | None]]:
    """Rows as named cells. Rows without a code that follow the heading belong to it; a short row is none."""
    widest = max(columns[c] for c in columns)
    begun = False
    key = columns.get("code", columns.get("mac", 0))
    for number, cells in rows:
        if not any(c.strip() for c in cells):
            continue
        if not begun and (len(cells) <= key or not cells[key].strip()):
            continue
        begun = True
        if len(cells) <= key or (len(cells) <= widest and len(cells) < 2):
            yield number, None
            continue
        yield number, {c: cells[i].strip() if i < len(cells) else "" for c, i in columns.items()}


def _chain(head: list[Numbered], rows: Iterator[Numbered]) -> Iterator[Numbered]:
    yield from head
    yield from rows


# --- ICD-10-CM ----------------------------------------------------------------------------------------------------------


def _tabular_rows(root: ElementTree.Element) -> list[dict[str, str]]:
    """The codes of the tabular list, with the seventh characters that it states set behind them.

    A seventh character is stated for a category and holds for everything below it; shorter codes are filled with X.
    """
    rows: list[dict[str, str]] = []
    never = _not_applying(root)

    def walk(diag: ElementTree.Element, sevenths: list[tuple[str, str]]) -> None:
        own = diag.find("sevenChrDef")
        if own is not None:
            sevenths = [(e.get("char", ""), (e.text or "").strip()) for e in own.findall("extension")]
        code = (diag.findtext("name") or "").replace(".", "")
        words = " ".join((diag.findtext("desc") or "").split())
        below = diag.findall("diag")
        for one in below:
            walk(one, sevenths)
        extended = bool(sevenths) and not below and len(code) < 7
        rows.append({"code": code, "words": words, "billable": "0" if below or extended else "1"})
        if extended:
            full = code.ljust(6, "X")
            rows.extend(
                {"code": full + char, "words": f"{words}, {text}", "billable": "1"}
                for char, text in sevenths
                if not any(full.startswith(category) and (full[5], char) in pairs for category, pairs in never.items())
            )

    for diag in root.iterfind("./chapter/section/diag"):
        walk(diag, [])
    return rows


_NOT_APPLYING = re.compile(
    r"7th characters (?P<sevenths>[A-Z](?:(?:, | and )[A-Z])*) do not apply to codes in category (?P<category>\w+) "
    r"with 6th character (?P<sixths>.*)"
)


def _not_applying(root: ElementTree.Element) -> dict[str, set[tuple[str, str]]]:
    """Category → (sixth, seventh character) that the list's notes take out."""
    found: dict[str, set[tuple[str, str]]] = {}
    for note in root.iter("note"):
        if m := _NOT_APPLYING.search(note.text or ""):
            sixths = re.findall(r"(?:^|\bor )(\w) -", m["sixths"])
            sevenths = re.findall(r"[A-Z]", m["sevenths"])
            found.setdefault(m["category"], set()).update((six, seven) for six in sixths for seven in sevenths)
    return found


def _headings(columns: dict[str, list[Any]], kind: str) -> None:
    """Which ICD-10-CM codes are headings: stated by the file, or all that stand above another."""
    codes = columns["code"]
    if kind == "stated":
        columns["billable"] = [bool(b) for b in columns["billable"]]
        return
    listed = set(codes)
    above = {code[:n] for code in listed for n in range(3, len(code))}
    if kind == "above":  # the file has the billable codes alone
        heads = sorted(above - listed)
        columns["billable"] = [True] * len(codes) + [False] * len(heads)
        for name in ("words", "start", "end"):
            filler = {"words": "", "start": editions.OPEN_START, "end": editions.OPEN_END}[name]
            columns[name].extend([filler] * len(heads))
        columns["code"] = [*codes, *heads]
    else:
        columns["billable"] = [code not in above for code in codes]


# --- editions -----------------------------------------------------------------------------------------------------------


def _edition(
    code_set: CodeSet, rows: _Gathered, digest: str, home: Path, effective_from: date | None, effective_to: date | None,
    findings: list[Finding],
) -> tuple[About, pa.Table] | None:  # fmt: skip
    start = effective_from or next(
        (d for names in rows.asked if (d := catalogue.day_in_name(tuple(reversed(names)), code_set))), None
    )
    if start is None:
        raise Terminal(
            f"The first day of service that {', '.join(rows.names)} holds for is not known.",
            fix="Give it: claimpipe codes load FILE --effective YYYY-MM-DD.",
        )
    if code_set.id == "icd10cm" and start < date(2015, 10, 1):
        raise Terminal(f"No ICD-10-CM edition was in force on {start}.", fix="Give the day that the list took effect.")
    end = effective_to or code_set.end(start)
    about = About(
        code_set.id, start.isoformat(), start, end, f"loaded from {', '.join(rows.names)}", digest, dated=rows.dated,
    )  # fmt: skip
    if code_set.storage == "pairs":
        return about, pairs.sort(pa.concat_tables(rows.tables))
    if not rows.columns and rows.adds:
        return _with_words(code_set, rows, about, home, findings)
    if rows.headings and code_set.id == "icd10cm":
        _headings(rows.columns, rows.headings)
    for column, added in rows.adds.items():
        rows.columns[column] = [
            " ".join(added.get(code, [])) or old
            for code, old in zip(rows.columns["code"], rows.columns[column], strict=True)
        ]
    findings += _conflicts(code_set, rows)
    return about, _once(editions.build(code_set, rows.columns))


def _with_words(
    code_set: CodeSet, rows: _Gathered, about: About, home: Path, findings: list[Finding]
) -> tuple[About, pa.Table] | None:
    """A file that only adds a column, given alone: it goes to the edition of the same day that is there."""
    there = [e for e in editions.open_set(code_set.id, home).all if e.name == about.name and not e.about.shipped]
    if not there:
        findings.append(
            Finding(
                rule="codes-words-alone", severity="error", file=rows.names[0],
                message=f"The file only describes codes of {code_set.title}, and the list of {about.name} is not loaded.",
                fix="Give both files in one call: claimpipe codes load LIST DESCRIPTIONS.",
            )
        )  # fmt: skip
        return None
    old = there[0]
    columns = {name: old.table.column(name).to_pylist() for name in old.table.column_names if name != "key"}
    for column, added in rows.adds.items():
        columns[column] = [
            " ".join(added.get(c, [])) or v for c, v in zip(columns["code"], columns[column], strict=True)
        ]
    both = hashlib.sha256(f"{old.about.sha256}{about.sha256}".encode()).hexdigest()
    origin = f"{old.about.origin}, {', '.join(rows.names)}"
    if rows.names[0] in old.about.origin:  # the same file again changes nothing
        both, origin = old.about.sha256, old.about.origin
    return replace(old.about, origin=origin, sha256=both), editions.build(code_set, columns)


def _once(table: pa.Table) -> pa.Table:
    """The same row twice is one row (files that are cut in parts overlap)."""
    names = [n for n in table.column_names if n != "words"]
    keys = table.select(names).group_by(names, use_threads=False).aggregate([]).num_rows
    if keys == table.num_rows:
        return table
    seen: set[tuple[Any, ...]] = set()
    keep = []
    for at, row in enumerate(zip(*(table.column(n).to_pylist() for n in names), strict=True)):
        if row not in seen:
            seen.add(row)
            keep.append(at)
    return table.take(pa.array(keep, pa.int64()))


def _conflicts(code_set: CodeSet, rows: _Gathered) -> list[Finding]:
    """A unit limit or price that stands twice with other values for the same days cannot be chosen between."""
    if code_set.id not in _SINGLE:
        return []
    seen: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    bad = 0
    names = [*_SINGLE[code_set.id]]
    others = [n for n in code_set.columns if n not in names]
    for at, code in enumerate(rows.columns["code"]):
        key = (code, rows.columns["start"][at], *(rows.columns[n][at] for n in names))
        value = tuple(rows.columns[n][at] for n in others)
        bad += seen.setdefault(key, value) != value
    if not bad:
        return []
    return [
        Finding(
            rule="codes-conflict", severity="error", file=rows.names[0],
            message=f"{code_set.title}: {counted(bad, 'row says', 'rows say')} something else than an earlier row of the same code and day.",
            fix="Give the files of one edition only; nothing was loaded.",
        )
    ]  # fmt: skip


#: sets in which a code has one row a day → the further columns that tell rows apart
_SINGLE: dict[str, tuple[str, ...]] = {
    "mue_practitioner": (), "mue_outpatient": (), "mue_dme": (), "pfs_rvu": ("modifier",), "pfs_indicator": ("modifier",),
    "pfs_gpci": (), "pfs_anesthesia": (), "pfs_opps_cap": ("modifier", "locality"), "charge_master": ("modifier",),
    "contract": ("payer", "modifier", "place"),
}  # fmt: skip


def _parts(about: About) -> list[Finding]:
    """CMS cuts its pairs into parts f1, f2, …: one alone is not the whole."""
    if not about.set.startswith("ncci_ptp"):
        return []
    numbers = {int(m) for m in re.findall(r"[-_]f(\d)\b", about.origin)}
    if not numbers or (1 in numbers and numbers == set(range(1, max(numbers) + 1)) and len(numbers) > 1):
        return []
    return [
        Finding(
            rule="codes-part", severity="warning", file=about.origin,
            message="The name says that this is one part of several; pairs of the other parts are not judged.",
            fix="Give all parts in one call: claimpipe codes load F1 F2 …",
        )
    ]  # fmt: skip
