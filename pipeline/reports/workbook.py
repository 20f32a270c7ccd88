"""The night's report as an Excel workbook for billing staff: one sheet a question, filters on, numbers as numbers.

Text is written as text: a value that begins with =, +, - or @ never becomes a formula. The file's dates are the night's,
so the same register gives the same bytes.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import xlsxwriter

from pipeline.money import dollars
from pipeline.reports.page import STATES
from pipeline.reports.summary import Summary


def render(summary: Summary) -> bytes:
    buffer = io.BytesIO()
    book = xlsxwriter.Workbook(
        buffer, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    )
    book.set_properties(
        {
            "title": f"claimpipe {summary.on.isoformat()}",
            "created": datetime(summary.on.year, summary.on.month, summary.on.day, tzinfo=UTC),
        }
    )
    sheets = _Sheets(book)
    sheets.add("To do", ("Queue", "Cause", "What", "Payer", "Items", "$Dollars", "What to do"),
               ((x.queue, x.cause, x.title, x.payer, x.count, x.cents, x.action) for x in summary.exceptions))  # fmt: skip
    sheets.add("Funnel", ("Stage", "Visits", "$Dollars", "Set aside", "$Set aside dollars", "Why"),
               ((x.name, x.count, x.cents, x.aside_count, x.aside_cents, x.aside) for x in summary.funnel))  # fmt: skip
    sheets.add("States", ("State", "Visits", "$Dollars"),
               ((STATES.get(n, (n, ""))[0], count, cents) for n, count, cents in summary.states))  # fmt: skip
    sheets.add("Files", ("Payer", "Control number", "Claims", "$Dollars", "State", "Usage", "sha256"),
               ((f.payer, f.interchange_control, f.claims, f.cents, f.state, f.usage, f.file_id) for f in summary.files))  # fmt: skip
    sheets.add("Payers", ("Payer", "Claims", "$Billed", "$Paid", "$Adjusted", "$Patients owe", "$Open", "$Denied", "$Rejected"),
               ((p.payer, p.claims, p.charge, p.paid, p.adjusted, p.patient, p.open, p.denied, p.rejected)
                for p in summary.payer_lines))  # fmt: skip
    sheets.add("Ledger", ("Account", "$Dollars (debit +)"), summary.accounts)
    sheets.add("Deposits", ("Date", "Trace", "$Dollars", "State"),
               ((d.on.isoformat(), d.trace, d.cents, d.state) for d in summary.deposits))  # fmt: skip
    sheets.add("Proof", ("What must agree", "$Expected", "$Found", "$Difference"),
               ((x.name, x.expected, x.found, x.difference) for x in summary.proof.lines))  # fmt: skip
    book.close()
    return buffer.getvalue()


class _Sheets:
    """Adds sheets; a heading that begins with $ marks a column of cents, shown as dollars."""

    def __init__(self, book: Any) -> None:
        self.book = book
        self.head = book.add_format({"bold": True, "bg_color": "#E8EEF3", "bottom": 1})
        self.money = book.add_format({"num_format": "#,##0.00;[Red]-#,##0.00"})
        self.wrap = book.add_format({"text_wrap": True, "valign": "top"})

    def add(self, name: str, headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        sheet = self.book.add_worksheet(name)
        listed = list(rows)
        for column, heading in enumerate(headings):
            sheet.write_string(0, column, heading.removeprefix("$"), self.head)
            longest = max([len(str(row[column])) for row in listed] + [len(heading)])
            sheet.set_column(column, column, min(60, max(12, longest + 2)))
        for number, row in enumerate(listed, start=1):
            for column, value in enumerate(row):
                if headings[column].startswith("$"):
                    sheet.write_number(number, column, float(dollars(value)), self.money)
                elif isinstance(value, int):
                    sheet.write_number(number, column, value)
                else:
                    sheet.write_string(number, column, str(value), self.wrap)
        sheet.freeze_panes(1, 0)
        if listed:
            sheet.autofilter(0, 0, len(listed), len(headings) - 1)
