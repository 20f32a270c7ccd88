"""Official files as tests write them: small, with made-up rows in the publishers' layouts."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import xlsxwriter


def put(folder: Path, name: str, content: str | bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def zipped(folder: Path, name: str, members: dict[str, str | bytes]) -> Path:
    path = folder / name
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    return path


def workbook(rows: list[list[object]]) -> bytes:
    """One sheet of an Excel workbook."""
    held = io.BytesIO()
    book = xlsxwriter.Workbook(held)
    sheet = book.add_worksheet()
    for at, row in enumerate(rows):
        sheet.write_row(at, 0, row)
    book.close()
    return held.getvalue()


#: NCCI pairs as CMS writes them: a line of copyright, a heading over three lines, dates without signs, * for no end
PTP = (
    "Copyright line\t\t\t\t\t\t\n"
    "Column1/Column2 Edits\t\t\t\t\t\t\n"
    "\t\t*=in existence\t\tDeletion\tModifier\tPTP Edit Rationale\n"
    "Column 1\tColumn 2\tprior to 1996\tEffective\tDate\t0=not allowed\t\n"
    "\t\t\tDate\t*=no data\t1=allowed\t\n"
    "\t\t\t\t\t9=not applicable\t\n"
    "10000\t20000\t\t20200101\t*\t0\tOne\n"
    "10000\t20001\t*\t19960101\t*\t1\tTwo\n"
    "10000\t20002\t\t20200101\t20230331\t0\tOne\n"
    "10000\t20003\t\t20200101\t20200101\t9\tOne\n"
    "10000\t20004\t\t20100101\t20121231\t0\tOne\n"
    "10000\t20004\t\t20200101\t*\t1\tOne\n"
)

MUE = (
    '"HCPCS/\nCPT Code",Practitioner Services MUE Values,MUE Adjudication Indicator,MUE Rationale\n'
    "10000,2,1 Line Edit,Words\n"
    "20000,3,2 Date of Service Edit: Policy,Words\n"
    "20001,3,3 Date of Service Edit: Clinical,Words\n"
)
