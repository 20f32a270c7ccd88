"""The night's report as an Excel workbook for billing staff: one sheet a question, filters on, numbers as numbers.

Text is written as text: a value that begins with =, +, - or @ never becomes a formula. The file's dates are the
night's, so the same register gives the same bytes.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from typing import Any

import xlsxwriter

from pipeline.money import dollars
from pipeline.reports.summary import ITEMS, Summary
from pipeline.reports.words import ACCOUNTS, QUEUES, STATES, SUITES, family, sending


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
    sheets.add("To do", ("Queue", "What", "Payer", "Items", "$Dollars", "Due", "What to do", "Cause"),
               ((_queue(x.queue), x.title, x.payer, x.count, x.cents, x.due_on, x.action, x.cause)
                for x in summary.todo))  # fmt: skip
    sheets.add("Items", ("Item", "Queue", "What", "Why", "What to do", "Payer", "Claim", "About", "$Dollars", "Opened",
                         "Due", "Owner", "Cause", "Visit", "Source"),
               ((x.item_id, _queue(x.queue), x.title, x.reason, x.action, x.payer, x.claim_id, x.subject, x.cents,
                 x.opened_on, x.due_on, x.owner, x.cause, x.visit, x.source) for x in summary.items))  # fmt: skip
    sheets.add("Filing days", ("Last day", "Days left", "Payer", "Visit", "Claim", "$Dollars", "Where it waits", "Why",
                               "What to do"),
               ((x.last_day, x.days_left, x.payer, x.encounter_key, x.claim_id, x.cents, STATES[x.state][0], x.why, x.action)
                for x in summary.at_risk[:ITEMS]))  # fmt: skip
    sheets.add("Funnel", ("Stage", "Visits", "$Dollars", "Set aside", "$Set aside dollars", "$Of it not billed",
                          "$Priced here", "Why"),
               ((x.name, x.count, x.cents, x.aside_count, x.aside_cents, x.unbilled_cents, x.priced_cents, x.aside)
                for x in summary.funnel))  # fmt: skip
    sheets.add("States", ("State", "Visits", "$Dollars charged"),
               ((STATES.get(n, (n, ""))[0], count, cents) for n, count, cents in summary.states))  # fmt: skip
    sheets.add("Files", ("Payer", "Control number", "Claims", "$Dollars", "State", "Usage", "sha256"),
               ((f.payer, f.interchange_control, f.claims, f.cents, sending(f.state, f.refused)[0],
                 "test" if f.usage == "T" else "production", f.file_id) for f in summary.files))  # fmt: skip
    sheets.add("Payers", ("Payer", "Claims", "$Billed", "$Paid", "$Written off", "$Patients owe", "$Open",
                          "$Claims denied", "$Claims rejected", "$Earlier payers"),
               ((p.payer, p.claims, p.charge, p.paid, p.adjusted, p.patient, p.open, p.denied, p.rejected, p.earlier)
                for p in summary.payer_lines))  # fmt: skip
    sheets.add("Ledger", ("Account", "What it holds", "$Dollars (debit +)"),
               ((account, ACCOUNTS.get(family(account), ""), cents)
                for account, cents in summary.accounts))  # fmt: skip
    sheets.add("Provider level", ("Payer", "What", "PLB reasons", "Reference", "$Open (taken +)", "Since", "Last", "Remittances",
                                  "Claims", "What to do"),
               ((x.payer, x.what, x.reasons, x.shown_reference, x.cents, x.since, x.last, x.remittances, ", ".join(x.claims),
                 x.action) for x in summary.provider_level[:ITEMS]))  # fmt: skip
    sheets.add("Deposits", ("Date", "Trace", "$Dollars", "State"),
               ((d.on, d.trace, d.cents, d.state.replace("_", " ")) for d in summary.deposits))  # fmt: skip
    sheets.add("Daily tie", ("Date", "Account", "$Bank", "$Posted", "$In transit", "$Unapplied", "$No claim payments",
                             "$Not explained"),
               ((t.on, t.account, t.bank, t.posted, t.in_transit, t.unapplied, t.not_claims, t.residue)
                for t in summary.tie))  # fmt: skip
    sheets.add("Proof", ("What must agree", "$Expected", "$Found", "$Difference"),
               ((x.name, x.expected, x.found, x.difference) for x in summary.proof.lines))  # fmt: skip
    sheets.add("Quality", ("Stage", "What would be wrong", "Column", "Rows checked", "Rows failed", "Passed"),
               ((SUITES.get(q.name, q.name), c.says, c.column, c.checked, c.failed, "yes" if c.success else "no")
                for q in summary.suites for c in q.checks))  # fmt: skip
    sheets.add("Good to know", ("Stage", "Times", "What", "What to do", "Rule"),
               ((n.stage, n.count, n.says, n.fix, n.rule) for n in summary.notices))  # fmt: skip
    book.close()
    return buffer.getvalue()


def _queue(name: str) -> str:
    return QUEUES.get(name, name)


class _Sheets:
    """Adds sheets; a heading that begins with $ marks a column of cents, shown as dollars."""

    def __init__(self, book: Any) -> None:
        self.book = book
        self.head = book.add_format({"bold": True, "bg_color": "#E8EEF3", "bottom": 1, "valign": "top"})
        self.money = book.add_format({"num_format": "#,##0.00;[Red]-#,##0.00", "valign": "top"})
        self.whole = book.add_format({"num_format": "#,##0", "valign": "top"})
        self.day = book.add_format({"num_format": "yyyy-mm-dd", "align": "left", "valign": "top"})
        self.wrap = book.add_format({"text_wrap": True, "valign": "top"})

    def add(self, name: str, headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        sheet = self.book.add_worksheet(name)
        listed = list(rows)
        for column, heading in enumerate(headings):
            sheet.write_string(0, column, heading.removeprefix("$"), self.head)
            longest = max([len(_shown(row[column])) for row in listed] + [len(heading)])
            sheet.set_column(column, column, min(60, max(10, longest + 3)))
        for number, row in enumerate(listed, start=1):
            for column, value in enumerate(row):
                if value is None:
                    continue
                if headings[column].startswith("$"):
                    sheet.write_number(number, column, float(dollars(value)), self.money)
                elif isinstance(value, int):
                    sheet.write_number(number, column, value, self.whole)
                elif isinstance(value, date):
                    sheet.write_datetime(number, column, value, self.day)
                else:
                    sheet.write_string(number, column, str(value), self.wrap)
        sheet.freeze_panes(1, 0)
        sheet.set_landscape()
        sheet.fit_to_pages(1, 0)
        sheet.repeat_rows(0)
        if listed:
            sheet.autofilter(0, 0, len(listed), len(headings) - 1)


def _shown(value: Any) -> str:
    return "" if value is None else str(value)
