"""A service line's segments, 2400 to 2440, for all three forms: the service itself (SV1, SV2 or SV3) and what hangs on it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.transactions.claim_837_claim import (
    adjusted,
    contract,
    dates,
    identifiers,
    numbers_of,
    paperwork,
    party,
    transport,
)
from pipeline.transactions.claim_837_levels import beside, number, yes
from pipeline.transactions.claim_837_parts import Parts, Sheet, gather
from pipeline.transactions.claim_837_tables import Tables
from pipeline.x12 import columns as x
from pipeline.x12.columns import Columns, Mask


def line(c: Columns, tables: Tables) -> x.Rows:
    """2400 with all below it, each segment with its terminator."""
    t, form = tables.lines.table, tables.form
    sheet = Sheet(c, form, t.num_rows)
    sheet.segment("2400", "LX", x.counted(t.column("line")))
    service = {"SV1": _professional, "SV2": _institutional, "SV3": _dental}[form.service]
    sheet.put("2400", form.service, "", service(c, tables))
    _service_dates(sheet, tables)
    sheet.segment("2400", "REF", "6R", t.column("line_control_number"))
    for segment_id, qualifier, name in (("QTY", "PT", "ambulance_patients"), ("QTY", "FL", "obstetric_units"),
                                        ("AMT", "T", "sales_tax"), ("AMT", "F4", "postage"), ("AMT", "GT", "service_tax"),
                                        ("AMT", "N8", "facility_tax")):  # fmt: skip
        sheet.segment("2400", segment_id, qualifier, number(t.column(name)), where=_given(t, name))
    _equipment(sheet, t)
    _drug(sheet, t)
    paperwork(sheet, "2400", tables.line_parts)
    transport(sheet, "2400", tables.line_parts)
    contract(sheet, "2400", tables.line_parts)
    if tables.line_dates is not None:
        dates(sheet, ("2400",), tables.line_dates)
    if tables.line_references is not None:
        numbers_of(sheet, ("2400", "2410"), tables.line_references)
    if (rows := tables.line_parts.get("measurements")) is not None:
        text = c.segment("MEA", rows.column("kind"), rows.column("qualifier"), number(rows.column("value")))
        sheet.rows_of("2400", "MEA", "", text, rows)
    if (rows := tables.line_parts.get("teeth")) is not None:
        _teeth(sheet, rows)
    _providers(sheet, tables)
    _adjudications(sheet, tables)
    if (rows := tables.line_parts.get("forms")) is not None:
        _forms(sheet, rows)
    return c.rows(*sheet.columns())


def _given(t: pa.Table, name: str) -> Mask:
    column = t.column(name)
    if column.null_count == len(column):
        return np.zeros(len(column), dtype=np.bool_)
    return x.present(column) if pa.types.is_string(column.type) else x.as_mask(x.flat(column).is_valid())


def _procedure(c: Columns, t: pa.Table) -> x.Composite:
    """The service's composite; nothing where a revenue code says it alone."""
    return c.pieces(beside(t.column("procedure"), t.column("qualifier")), t.column("procedure"), *(t.column(f"modifier{n}") for n in (1, 2, 3, 4)),
                       t.column("description"))  # fmt: skip


def _pointers(c: Columns, t: pa.Table) -> x.Part:
    given = [t.column(f"pointer{n}") for n in (1, 2, 3, 4)]
    if all(p.null_count == len(p) for p in given):
        return ""
    return c.pieces(*("" if p.null_count == len(p) else x.counted(p) for p in given))


def _place(tables: Tables) -> x.Text:
    """The line's place of service, only where it is not the claim's."""
    place = x.flat(tables.lines.table.column("place_of_service"))
    if not x.present(place).any():
        return ""
    return pc.if_else(pc.equal(place, tables.lines.of(tables.claims.column("place_of_service"))), "", place)


def _professional(c: Columns, tables: Tables) -> x.Every:
    t = tables.lines.table
    copay: x.Text = ""
    if (exempt := x.as_mask(t.column("copay_exempt"))).any():
        copay = pc.if_else(pa.array(exempt), "0", "")
    return c.every(
        "SV1", _procedure(c, t), x.amount(t.column("charge")), t.column("unit_basis"), x.amount(t.column("units")),
        _place(tables), "", _pointers(c, t), "", yes(t.column("emergency")), "", yes(t.column("epsdt")),
        yes(t.column("family_planning")), "", "", copay,
    )  # fmt: skip


def _institutional(c: Columns, tables: Tables) -> x.Every:
    t = tables.lines.table
    return c.every("SV2", t.column("revenue_code"), _procedure(c, t), x.amount(t.column("charge")), t.column("unit_basis"),
                     x.amount(t.column("units")), "", number(t.column("non_covered")))  # fmt: skip


def _dental(c: Columns, tables: Tables) -> x.Every:
    t = tables.lines.table
    areas = pc.replace_substring(
        pc.replace_substring(x.flat(t.column("oral_cavity")), " ", ""), ",", c.delimiters.component
    )
    return c.every("SV3", _procedure(c, t), x.amount(t.column("charge")), _place(tables), areas, t.column("prosthesis"),
                     x.amount(t.column("units")), "", "", "", "", _pointers(c, t))  # fmt: skip


def _service_dates(sheet: Sheet, tables: Tables) -> None:
    t = tables.lines.table
    last = t.column("service_to")
    form: x.Text = "D8"
    value: x.Part = x.dated(t.column("service_date"))
    ranged = x.as_mask(pc.greater(last, t.column("service_date")))
    if ranged.any():
        here, first = pa.array(ranged), x.day(t.column("service_date"))
        span = pc.binary_join_element_wise(first, pc.fill_null(x.day(last), ""), "-")
        form, value = pc.if_else(here, "RD8", "D8"), pc.if_else(here, span, first)
    where: Mask | None = None
    if tables.form.kind == "837D":
        planned = x.as_mask(tables.claims.column("predetermination"))
        where = ~(tables.dated_as_one | planned)[tables.lines.parents]
    sheet.segment("2400", "DTP", "472", form, value, where=where)
    prior = _given(t, "prior_placement_date")
    if prior.any():
        sheet.segment("2400", "DTP", "441", "D8", x.day(t.column("prior_placement_date")), where=prior)


def _equipment(sheet: Sheet, t: pa.Table) -> None:
    """SV5 and CR3: what is rented or bought, and for how long it is certified."""
    if not sheet.form.place("2400", "SV5"):
        return
    rented = _given(t, "rental_days")
    if rented.any():
        code = sheet.c.composite(t.column("qualifier"), t.column("procedure"))
        text = sheet.c.segment("SV5", code, "DA", number(t.column("rental_days")), number(t.column("rental_price")),
                               number(t.column("purchase_price")), t.column("rental_unit"), where=rented)  # fmt: skip
        sheet.put("2400", "SV5", "", text)
    certified = _given(t, "certification_type")
    if certified.any():
        text = sheet.c.segment(
            "CR3", t.column("certification_type"), "MO", number(t.column("certification_months")), where=certified
        )
        sheet.put("2400", "CR3", "", text)


def _drug(sheet: Sheet, t: pa.Table) -> None:
    drug = x.present(t.column("ndc"))
    if drug.any() and sheet.form.place("2410", "LIN"):
        few = t.select(["ndc", "ndc_units", "ndc_unit_basis"]).filter(pa.array(drug))
        c = sheet.c
        sheet.put("2410", "LIN", "", x.Every.spread(c.segment("LIN", "", "N4", few.column("ndc")), drug))
        count = c.segment("CTP", "", "", "", x.amount(few.column("ndc_units")), few.column("ndc_unit_basis"))
        sheet.put("2410", "CTP", "", x.Every.spread(count, drug))


def _teeth(sheet: Sheet, rows: Parts) -> None:
    surfaces = x.flat(rows.column("surfaces"))
    letters = (pc.utf8_slice_codeunits(surfaces, n, n + 1) for n in range(5))
    text = sheet.c.segment("TOO", "JP", rows.column("tooth"), sheet.c.composite(*letters))
    sheet.rows_of("2400", "TOO", "JP", text, rows)


def _providers(sheet: Sheet, tables: Tables) -> None:
    rows = tables.line_parties
    if rows is None:
        return
    for role in tables.form.line_roles:
        mine = rows.where(rows.equal("role", role.role))
        if len(mine):
            numbers = identifiers(sheet.c, tables, role, tables.line_parts.get("identifiers"))
            numbers = None if numbers is None else numbers.take(pa.array(mine.owner))
            text = party(sheet.c, tables, role, mine.table, {n: n for n in mine.table.column_names}, numbers)
            sheet.rows_of(role.loop, "NM1", role.entity, text, mine)
    _purchased(sheet, tables, rows)


def _purchased(sheet: Sheet, tables: Tables, rows: Parts) -> None:
    """PS1: who sold the service, and for how much."""
    if not sheet.form.place("2400", "PS1"):
        return
    mine = rows.where(rows.equal("role", "purchased_service"))
    price = mine.of(tables.lines.table.column("purchased_charge"))
    npi, other = x.flat(mine.column("npi")), x.flat(mine.column("id"))
    who = pc.if_else(pc.equal(npi, ""), other, npi)
    where = x.as_mask(price.is_valid())
    if where.any():
        text = sheet.c.segment("PS1", who, x.amount(price), where=where)
        sheet.rows_of("2400", "PS1", "", text, mine)


def _adjudications(sheet: Sheet, tables: Tables) -> None:
    """2430: what other payers decided on the line. A procedure that they do not name is the line's."""
    rows = tables.adjudications
    if rows is None:
        return
    c, t, lines = sheet.c, rows.table, tables.lines.table
    own = pa.array(x.present(t.column("procedure")))

    coded = pa.array(x.present(lines.column("procedure")))  # else a revenue code says it alone

    def code(name: str) -> pa.Array:
        lines_own = rows.of(pc.if_else(coded, x.flat(lines.column(name)), ""))
        return pc.if_else(own, x.flat(t.column(name)), lines_own)

    names = ("qualifier", "procedure", "modifier1", "modifier2", "modifier3", "modifier4")
    revenue: x.Text = ""
    if sheet.form.service == "SV2":
        stated = x.flat(t.column("revenue_code"))
        revenue = pc.if_else(pc.equal(stated, ""), rows.of(lines.column("revenue_code")), stated)
    bundled = t.column("bundled_line")
    inner = Sheet(c, sheet.form, len(rows))
    inner.put("2430", "SVD", "", c.segment(
        "SVD", t.column("payer_id"), x.amount(t.column("paid")), c.composite(*map(code, names)), revenue,
        x.amount(t.column("units")), "" if bundled.null_count == len(bundled) else x.whole(bundled)))  # fmt: skip
    if (adjustments := tables.below(rows, "adjustments")) is not None:
        inner.put("2430", "CAS", "", adjusted(c, adjustments))
    inner.put("2430", "DTP", "573", c.segment("DTP", "573", "D8", x.day(t.column("paid_date"))))
    inner.segment("2430", "AMT", "EAF", number(t.column("remaining")), where=_given(t, "remaining"))
    sheet.rows_of("2430", "SVD", "", c.body(*inner.columns()), rows)


def _forms(sheet: Sheet, rows: Parts) -> None:
    """2440: LQ names the form, once for the answers that follow each other on it."""
    c, t = sheet.c, rows.table
    percent = number(t.column("percent"))
    answers = c.segment("FRM", t.column("question"), t.column("answer"), t.column("text"), _day(t), percent)
    form = pc.binary_join_element_wise(
        x.whole(rows.owner), x.flat(t.column("form_kind")), x.flat(t.column("form")), "\x1f"
    )
    new = np.r_[True, x.as_mask(pc.not_equal(form[1:], form[:-1]))] if len(form) else np.zeros(0, dtype=np.bool_)
    heads = c.segment("LQ", t.column("form_kind"), t.column("form"), where=new)
    text = c.body(heads, answers)
    sheet.put("2440", "LQ", "", gather(text, rows.owner, rows.owners, c.end))


def _day(t: pa.Table) -> x.Text:
    column = t.column("day")
    return "" if column.null_count == len(column) else pc.fill_null(x.day(column), "")
