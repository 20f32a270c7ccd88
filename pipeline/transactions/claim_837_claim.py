"""A claim's own segments: 2300, its providers (2310), and its other payers (2320, 2330), for all three forms.

Each segment is put on a sheet, which knows from the guide where it stands and that it does not stand where the guide has no
such place. So a form needs no branch for what it lacks; only the elements of CLM differ and are asked for.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.transactions.claim_837_forms import DECISIONS, Coding, Form, Role
from pipeline.transactions.claim_837_levels import address, beside, date, default, entity_kind, number, yes
from pipeline.transactions.claim_837_parts import Column, Parts, Sheet, gather, gathered
from pipeline.transactions.claim_837_route import Route
from pipeline.transactions.claim_837_tables import OWN_COLUMNS, Tables
from pipeline.x12 import columns as x
from pipeline.x12.columns import Columns, Integers, Mask
from pipeline.x12.guides import Place

#: codes in one HI, trios in one CAS
_CODES, _TRIOS = 12, 6


def claim(c: Columns, tables: Tables, route: Route) -> list[x.Text | x.Every]:
    """2300 to 2330 of each claim: segments and small loops, in the guide's order."""
    t, form = tables.claims, tables.form
    sheet = Sheet(c, form, t.num_rows)
    sheet.put("2300", "CLM", "", _clm(c, tables, route))
    _dates(sheet, tables)
    _numbers(sheet, tables)
    for qualifier, name in (("F5", "patient_paid"), ("F3", "patient_estimate")):
        sheet.segment("2300", "AMT", qualifier, number(t.column(name)), where=_given(t, name))
    _admission(sheet, tables)
    _orthodontics(sheet, tables)
    paperwork(sheet, "2300", tables.parts)
    transport(sheet, "2300", tables.parts)
    _spinal(sheet, tables.parts)
    contract(sheet, "2300", tables.parts)
    _codes(sheet, tables)
    _providers(sheet, tables)
    _other_payers(sheet, tables, route)
    return sheet.columns()


def _given(t: pa.Table, name: str) -> Mask:
    """Rows in which the column stands."""
    column = t.column(name)
    if column.null_count == len(column):
        return np.zeros(len(column), dtype=np.bool_)
    return x.present(column) if pa.types.is_string(column.type) else x.as_mask(x.flat(column).is_valid())


def _clm(c: Columns, tables: Tables, route: Route) -> x.Every:
    t, form = tables.claims, tables.form
    kind = t.column("accident_kind")
    related: x.Part = ""
    if form.related_causes and x.present(kind).any():
        related = c.pieces(
            kind, t.column("accident_kind2"), "", t.column("accident_state"), t.column("accident_country")
        )
    ahead: x.Text = ""
    if form.place("2300", "DN1") and (wanted := x.as_mask(t.column("predetermination"))).any():
        ahead = pc.if_else(pa.array(wanted), "PB", "")
    return c.every(
        "CLM", t.column("claim_id"), x.amount(t.column("charge")), "", "",
        c.pieces(t.column(form.place_column), form.place_qualifier, t.column("frequency")), form.signature,
        default(t.column("assignment"), route.assignment),
        default(t.column("benefits_assignment"), route.benefits_assignment),
        default(t.column("release_of_information"), route.release_of_information), "", related,
        t.column("special_program") if form.related_causes else "", "", "", "", "", "", "", ahead, t.column("delay_reason"),
    )  # fmt: skip


def _dates(sheet: Sheet, tables: Tables) -> None:
    t, form = tables.claims, tables.form
    for qualifier, name in (("431", "onset_date"), ("439", "accident_date")):
        sheet.segment("2300", "DTP", qualifier, "D8", date(t.column(name)), where=_given(t, name))
    if form.kind == "837I":
        span = pc.binary_join_element_wise(x.day(t.column("service_from")), x.day(t.column("service_to")), "-")
        sheet.segment("2300", "DTP", "434", "RD8", span)
        hour = t.column("admission_hour")
        timed = pc.if_else(pa.array(x.present(hour)), "DT", "D8")
        admitted = _given(t, "admission_date")
        if admitted.any():
            when = pc.binary_join_element_wise(x.flat(x.day(t.column("admission_date"))), x.flat(hour), "")
            sheet.segment("2300", "DTP", "435", timed, when, where=admitted)
        sheet.segment("2300", "DTP", "096", "TM", t.column("discharge_hour"), where=_given(t, "discharge_hour"))
    else:
        sheet.segment("2300", "DTP", "435", "D8", date(t.column("admission_date")), where=_given(t, "admission_date"))
    if form.kind == "837D" and (one := tables.dated_as_one).any():
        first = np.minimum(tables.lines.starts, max(tables.lines.table.num_rows - 1, 0))
        day = x.day(tables.lines.table.column("service_date")).take(pa.array(first))
        sheet.segment("2300", "DTP", "472", "D8", day, where=one)
    if (rows := tables.parts.get("dates")) is not None:
        dates(sheet, ("2300",), rows)


def dates(sheet: Sheet, loops: tuple[str, ...], rows: Parts) -> None:
    """DTP of child rows: a day, or a range where the guide takes one."""
    for loop, qualifier, mine in _by_place(sheet.form, loops, "DTP", "qualifier", rows):
        place = sheet.form.place(loop, "DTP", qualifier)
        formats = place.elements[1].codes if place else frozenset()
        first, last = x.day(mine.column("from_date")), x.flat(mine.column("to_date"))
        ranged = x.as_mask(last.is_valid()) if "RD8" in formats else np.zeros(len(mine), dtype=np.bool_)
        if formats == {"RD8"}:
            ranged[:] = True
        form: x.Text = "D8"
        value = first
        if ranged.any():
            span = pc.binary_join_element_wise(first, x.day(pc.coalesce(last, x.flat(mine.column("from_date")))), "-")
            form = pc.if_else(pa.array(ranged), "RD8", "D8")
            value = pc.if_else(pa.array(ranged), span, first)
        sheet.rows_of(loop, "DTP", qualifier, sheet.c.segment("DTP", qualifier, form, value), mine)


def _by_place(
    form: Form, loops: tuple[str, ...], segment_id: str, column: str, rows: Parts
) -> list[tuple[str, str, Parts]]:
    """The rows by their place: loop, a qualifier of it, and the rows, in the order given. Without place: left out."""
    values = x.flat(rows.column(column))
    found: dict[int, tuple[str, str, list[str]]] = {}
    for value in pc.unique(values).to_pylist():
        for loop in loops:
            if place := form.place(loop, segment_id, value):
                found.setdefault(place.index, (loop, value, []))[2].append(value)
                break
    return [
        (loop, value, rows.where(x.as_mask(pc.is_in(values, pa.array(all_of_them)))))
        for loop, value, all_of_them in found.values()
    ]


def numbers_of(sheet: Sheet, loops: tuple[str, ...], rows: Parts) -> None:
    """REF of child rows, with the payer who gave the number where that is another than the claim's and the guide asks."""
    for loop, qualifier, mine in _by_place(sheet.form, loops, "REF", "qualifier", rows):
        place = sheet.form.place(loop, "REF", qualifier)
        text = _ref(sheet.c, place, mine.column("qualifier"), mine.column("value"), mine.column("payer_id"))
        sheet.rows_of(loop, "REF", qualifier, text, mine)


def _ref(c: Columns, place: Place | None, qualifier: x.Text, value: x.Text, payer: Column) -> pa.Array:
    asked = place is not None and len(place.elements) > 3 and place.elements[3].usage != "N"
    of: x.Text = c.composite(beside(payer, "2U"), payer) if asked and x.present(payer).any() else ""
    return c.segment("REF", qualifier, value, "", of)


def _numbers(sheet: Sheet, tables: Tables) -> None:
    t = tables.claims
    sheet.segment("2300", "REF", "G1", t.column("authorization_number"), where=_given(t, "authorization_number"))
    later = x.as_mask(pc.is_in(t.column("frequency"), pa.array(["7", "8"])))
    sheet.segment("2300", "REF", "F8", t.column("payer_claim_number"), where=later)
    if (rows := tables.own_references) is not None:
        numbers_of(sheet, ("2300",), rows)


def _admission(sheet: Sheet, tables: Tables) -> None:
    if sheet.form.place("2300", "CL1"):
        t = tables.claims
        text = sheet.c.segment(
            "CL1", t.column("admission_type"), t.column("admission_source"), t.column("patient_status")
        )
        sheet.put("2300", "CL1", "", text)


def _orthodontics(sheet: Sheet, tables: Tables) -> None:
    if not sheet.form.place("2300", "DN1"):
        return
    t = tables.claims
    stands = (
        _given(t, "orthodontic_months")
        | _given(t, "orthodontic_months_left")
        | x.as_mask(t.column("orthodontic_transfer"))
    )
    if stands.any():
        text = sheet.c.segment("DN1", x.whole(t.column("orthodontic_months")), x.whole(t.column("orthodontic_months_left")),
                               "", yes(t.column("orthodontic_transfer")), where=stands)  # fmt: skip
        sheet.put("2300", "DN1", "", text)
    if (rows := tables.parts.get("teeth")) is not None:
        text = sheet.c.segment("DN2", rows.column("tooth"), rows.column("status"), "", "", "", "JP")
        sheet.rows_of("2300", "DN2", "", text, rows)


def paperwork(sheet: Sheet, loop: str, parts: dict[str, Parts]) -> None:
    """PWK, K3, NTE and CRC."""
    c = sheet.c
    if (rows := parts.get("attachments")) is not None:
        rows = rows.where(x.present(rows.column("report_type")))
        for _, kind, mine in _by_place(sheet.form, (loop,), "PWK", "report_type", rows):
            sent = mine.column("control_number")
            text = c.segment(
                "PWK", mine.column("report_type"), mine.column("transmission"), "", "", beside(sent, "AC"), sent
            )
            sheet.rows_of(loop, "PWK", kind, text, mine)
    if (rows := parts.get("file_information")) is not None:
        sheet.rows_of(loop, "K3", "", c.segment("K3", rows.column("text")), rows)
    if (rows := parts.get("notes")) is not None:
        for _, kind, mine in _by_place(sheet.form, (loop,), "NTE", "kind", rows):
            sheet.rows_of(loop, "NTE", kind, c.segment("NTE", mine.column("kind"), mine.column("text")), mine)
    if (rows := parts.get("conditions")) is not None:
        for _, kind, mine in _by_place(sheet.form, (loop,), "CRC", "category", rows):
            holds = pc.if_else(mine.column("holds"), "Y", "N")
            stated = (mine.column(f"code{n}") for n in (1, 2, 3, 4, 5))
            sheet.rows_of(loop, "CRC", kind, c.segment("CRC", mine.column("category"), holds, *stated), mine)


def transport(sheet: Sheet, loop: str, parts: dict[str, Parts]) -> None:
    """CR1."""
    if (rows := parts.get("transport")) is not None and len(rows):
        weight = rows.column("weight")
        text = sheet.c.segment("CR1", beside(weight, "LB"), number(weight), "", rows.column("reason"), "DH",
                               number(rows.column("miles")), "", "", rows.column("round_trip"), rows.column("stretcher"))  # fmt: skip
        sheet.rows_of(loop, "CR1", "", text, rows)


def _spinal(sheet: Sheet, parts: dict[str, Parts]) -> None:
    """CR2."""
    if (rows := parts.get("spinal")) is not None:
        text = sheet.c.segment("CR2", "", "", "", "", "", "", "", rows.column("condition"), "", rows.column("description"),
                               rows.column("description2"))  # fmt: skip
        sheet.rows_of("2300", "CR2", "", text, rows)


def contract(sheet: Sheet, loop: str, parts: dict[str, Parts]) -> None:
    """CN1."""
    if (rows := parts.get("contracts")) is not None:
        text = sheet.c.segment("CN1", rows.column("kind"), number(rows.column("amount")), number(rows.column("percent")),
                               rows.column("code"), number(rows.column("discount_percent")), rows.column("version"))  # fmt: skip
        sheet.rows_of(loop, "CN1", "", text, rows)


# --- HI -----------------------------------------------------------------------------------------------------------------


def _codes(sheet: Sheet, tables: Tables) -> None:
    form, d = tables.form, tables.diagnoses
    if d.table.num_rows:
        all_of_them = Parts(d.table, d.parents, tables.claims.num_rows)
        plain = d.table.column("kind").null_count == 0 and not x.present(d.table.column("kind")).any()
        for coding in form.diagnoses:
            rows = all_of_them if plain else all_of_them.where(all_of_them.equal("kind", coding.kind))
            if not len(rows) or (plain and coding.kind):
                continue
            place = form.place("2300", "HI", coding.first)
            poa = (
                place is not None
                and len(place.elements[0].components) > 8
                and place.elements[0].components[8].usage != "N"
            )
            # a diagnosis that is exempt from reporting (1) has none
            told = x.flat(rows.column("poa"))
            if poa and x.present(told).any():
                told = pc.if_else(pc.equal(told, "1"), "", told)
            _hi(sheet, coding, rows, ("", "", "", "", "", "", told) if poa else ())
    if (codes := tables.parts.get("codes")) is not None:
        for coding in form.codes:
            rows = codes.where(codes.equal("kind", coding.kind))
            if len(rows):
                _hi(sheet, coding, _ranked(rows), None)


def _ranked(rows: Parts) -> Parts:
    """In the order of their ranks within each claim."""
    rank = x.flat(rows.column("rank")).to_numpy()
    order = np.lexsort((rank, rows.owner))
    return Parts(rows.table.take(pa.array(order)), rows.owner[order], rows.owners)


def _hi(sheet: Sheet, coding: Coding, rows: Parts, beside_code: tuple[x.Text, ...] | None) -> None:
    """The rows' codes: one segment where first and others stand together, else a segment of the first and others after it."""
    nth = rows.within()
    value = _value(coding, rows) if beside_code is None else beside_code
    if coding.together:
        _segments(sheet, coding.first, coding, rows, value, nth, nth)
        return
    for key, mine, before in ((coding.first, nth == 0, 0), (coding.rest, nth > 0, 1)):
        if mine.any():
            here = pa.array(mine)
            values = [v if isinstance(v, str) else x.flat(v).filter(here) for v in value]
            _segments(sheet, key, coding, rows.where(mine), values, nth[mine], nth[mine] - before)


def _value(coding: Coding, rows: Parts) -> tuple[x.Text, ...]:
    if coding.value == "day":
        return ("D8", x.day(rows.column("from_date")))
    if coding.value == "span":
        days = (x.day(rows.column(n)) for n in ("from_date", "to_date"))
        return ("RD8", pc.binary_join_element_wise(*days, "-"))
    return ("", "", number(rows.column("amount"))) if coding.value == "amount" else ()


def _segments(
    sheet: Sheet, key: str, coding: Coding, rows: Parts, value: Sequence[x.Text], nth: Integers, place: Integers
) -> None:
    """HI segments. A claim's rows stand together, so each row is written with what goes before it, and they are joined."""
    c = sheet.c
    new = np.r_[True, rows.owner[1:] != rows.owner[:-1]]
    begins = f"HI{c.delimiters.element}"
    heads = [
        head + code for code in (coding.first, coding.rest) for head in (begins, c.end + begins, c.delimiters.element)
    ]
    head = np.where(new, 0, np.where(place % _CODES == 0, 1, 2)) + np.where(nth > 0, 3, 0)
    texts = c.composite(x.Picked(pa.array(heads), head), rows.column("code"), *value)
    sheet.put("2300", "HI", key, x.Every.spread(x.runs(texts, np.flatnonzero(new)), rows.counts() > 0))


# --- providers ------------------------------------------------------------------------------------------------------------


def _providers(sheet: Sheet, tables: Tables) -> None:
    t = tables.claims
    for role in tables.form.claim_roles:
        names = OWN_COLUMNS.get(role.role)
        if names is None:
            rows = tables.role(role.role)
            if rows is not None:
                numbers = identifiers(sheet.c, tables, role, tables.identifiers)
                numbers = None if numbers is None else numbers.take(pa.array(rows.owner))
                text = party(sheet.c, tables, role, rows.table, {n: n for n in rows.table.column_names}, numbers)
                sheet.rows_of(role.loop, "NM1", role.entity, text, rows)
            continue
        where = tables.own_role(role.role)
        if not where.any():
            continue
        numbers = identifiers(sheet.c, tables, role, tables.identifiers)
        # providers come again and again: each different one is written once
        few = t.select([*names.values(), *(["billing_npi"] if role.role == "facility" else [])])
        number, first = x.distinct(*few.columns, *([] if numbers is None else [numbers]), where=where)
        few, numbers = few.take(pa.array(first)), None if numbers is None else numbers.take(pa.array(first))
        if role.role == "facility":  # an organisation's number there must not be the billing provider's
            npi = x.flat(few.column("facility_npi"))
            own = pc.if_else(pc.not_equal(npi, few.column("billing_npi").combine_chunks()), npi, "")
            few = few.set_column(few.column_names.index("facility_npi"), "facility_npi", own)
        text = party(sheet.c, tables, role, few, names, numbers)
        sheet.put(role.loop, "NM1", role.entity, x.Every.picked(text, number, where))


def identifiers(c: Columns, tables: Tables, role: Role, rows: Parts | None) -> pa.Array | None:
    """By owner: REF of the further numbers of its provider in the role, joined; None where nobody has one."""
    if rows is None or not len(rows := rows.where(rows.equal("role", role.role))):
        return None
    texts = pa.nulls(len(rows), pa.string())
    for _, qualifier, mine in _by_place(tables.form, (role.loop,), "REF", "id_qualifier", rows):
        here = pc.is_in(rows.column("id_qualifier"), pc.unique(mine.column("id_qualifier")))
        place = tables.form.place(role.loop, "REF", qualifier)
        text = _ref(c, place, mine.column("id_qualifier"), mine.column("id"), mine.column("payer_id"))
        texts = pc.if_else(x.flat(here), x.spread(text, x.as_mask(here)), texts)
    return gathered(texts, rows.owner, rows.owners, c.end)


def party(
    c: Columns, tables: Tables, role: Role, t: pa.Table, names: dict[str, str], numbers: pa.Array | None = None
) -> pa.Array:
    """A provider's or place's loop, one text a row. `names` says which column holds what; elements that the guide does
    not use are left out. `numbers`: further REF of each row."""
    form = tables.form
    place = form.place(role.loop, "NM1", role.entity)
    elements = place.elements if place else ()

    def value(part: str, element: int) -> x.Text:
        used = element <= len(elements) and elements[element - 1].usage != "N"
        return t.column(names[part]) if used and part in names else ""

    first = value("first", 4)
    kind = entity_kind(
        tables, role.loop, role.entity, t.column(names["first"]) if "first" in names else pa.repeat("", t.num_rows)
    )
    npi = value("npi", 9)
    name = c.every("NM1", role.entity, kind if isinstance(kind, pa.Array) else pa.repeat(kind, t.num_rows), value("last", 3),
                     first, value("middle", 5), "", value("suffix", 7), "" if isinstance(npi, str) else beside(npi, "XX"), npi)  # fmt: skip
    segments = [name]
    if role.specialty and form.place(role.loop, "PRV", role.specialty) and "taxonomy" in names:
        code = t.column(names["taxonomy"])
        segments.extend(_if_any(c, x.present(code), "PRV", role.specialty, "PXC", code))
    if role.address and form.place(role.loop, "N3"):
        there = x.present(t.column(names["address1"]))
        second: x.Text = t.column(names["address2"]) if "address2" in names else ""
        segments.extend(_if_any(c, there, "N3", t.column(names["address1"]), second))
        segments.extend(_if_any(c, there, "N4", *(t.column(names[n]) for n in ("city", "state", "zip"))))
    if "id" in names:
        other = t.column(names["id"])
        segments.extend(_if_any(c, x.present(other), "REF", t.column(names["id_qualifier"]), other))
    if numbers is not None:
        segments.append(numbers)
    if "phone" in names and form.place(role.loop, "PER"):
        phone = t.column(names["phone"])
        named: x.Text = t.column(names["last"])
        segments.extend(_if_any(c, x.present(phone), "PER", "IC", named, "TE", phone))
    return c.body(*segments)


def _if_any(c: Columns, where: Mask, segment_id: str, *elements: x.Text) -> list[x.Every]:
    return [c.every(segment_id, *elements, where=where)] if where.any() else []


# --- other payers -----------------------------------------------------------------------------------------------------------


def _other_payers(sheet: Sheet, tables: Tables, route: Route) -> None:
    rows = tables.parts.get("other_payers")
    if rows is None:
        return
    c, t = sheet.c, rows.table
    inner = Sheet(c, sheet.form, len(rows))
    place = sheet.form.place("2320", "SBR")
    secondary: x.Text = t.column("insurance_type") if place and place.elements[4].usage != "N" else ""
    group = x.flat(t.column("group_number"))
    plan = pc.if_else(pc.equal(group, ""), x.flat(t.column("group_name")), "")
    inner.put("2320", "SBR", "", c.segment(
        "SBR", t.column("responsibility"), default(t.column("relationship"), "18"), group, plan, secondary, "", "", "",
        t.column("filing_indicator")))  # fmt: skip
    if (adjustments := tables.below(rows, "adjustments")) is not None:
        inner.put("2320", "CAS", "", adjusted(c, adjustments))
    for qualifier, name in (("D", "paid"), ("A8", "non_covered"), ("EAF", "remaining")):
        inner.segment("2320", "AMT", qualifier, number(t.column(name)), where=_given(t, name))
    agreed = [
        _or_claims(rows, tables, name, value)
        for name, value in (("benefits_assignment", route.benefits_assignment),
                            ("release_of_information", route.release_of_information))
    ]  # fmt: skip
    inner.put("2320", "OI", "", c.segment("OI", "", "", agreed[0], "", "", agreed[1]))
    for name, (segment_id, columns) in DECISIONS.items():
        if (told := tables.below(rows, name)) is not None:
            values = (_value_of(told.column(column)) if column else "" for column in columns)
            inner.rows_of("2320", segment_id, "", c.segment(segment_id, *values), told)
    _other_subscriber(inner, tables, rows)
    inner.put(
        "2330B",
        "NM1",
        "PR",
        c.segment("NM1", "PR", "2", t.column("payer_name"), "", "", "", "", "PI", t.column("payer_id")),
    )
    there = x.present(t.column("payer_address1"))
    if there.any():
        street, city = address(c, t, "payer_", there, second=False)
        inner.put("2330B", "N3", "", street)
        inner.put("2330B", "N4", "", city)
    decided = _given(t, "paid_date") & ~tables.decided_by_line(rows)
    inner.segment("2330B", "DTP", "573", "D8", date(t.column("paid_date")), where=decided)
    for qualifier, name in (("G1", "authorization_number"), ("F8", "payer_claim_number")):
        inner.segment("2330B", "REF", qualifier, t.column(name), where=_given(t, name))
    if (numbers := tables.payer_references) is not None:
        numbers_of(inner, ("2330B",), numbers)
    _other_providers(inner, tables, rows)
    sheet.rows_of("2320", "SBR", "", c.body(*inner.columns()), rows)


def _value_of(column: Column) -> x.Text:
    return column if pa.types.is_string(column.type) else number(column)


def _other_providers(inner: Sheet, tables: Tables, rows: Parts) -> None:
    """2330C and after: the claim's providers as the other payer knows them, each by its numbers there."""
    claims = tables.claims
    for role in tables.form.payer_roles:
        numbers = identifiers(inner.c, tables, role, tables.payer_identifiers)
        if numbers is None:
            continue
        here = x.as_mask(numbers.is_valid())
        rendering = pc.and_(pc.not_equal(claims.column("rendering_npi"), ""), role.role == "rendering")
        first = pc.if_else(rendering, claims.column("rendering_first"), claims.column("billing_first"))
        kind = entity_kind(tables, role.loop, role.entity, rows.of(first))
        name = inner.c.segment("NM1", role.entity, kind if isinstance(kind, pa.Array) else pa.repeat(kind, len(rows)))
        few = inner.c.body(name.filter(pa.array(here)), numbers.filter(pa.array(here)))
        inner.put(role.loop, "NM1", role.entity, x.Every.spread(few, here))


def _or_claims(rows: Parts, tables: Tables, name: str, agreed: str) -> pa.Array:
    """The other payer's own value, else the claim's, else what was agreed."""
    own = x.flat(rows.column(name))
    claims = x.flat(tables.claims.column(name))
    claims = pc.if_else(pc.equal(claims, ""), agreed, claims)
    return pc.if_else(pc.equal(own, ""), rows.of(claims), own)


def _other_subscriber(inner: Sheet, tables: Tables, rows: Parts) -> None:
    """2330A: the other payer's subscriber, who is the patient where no other name stands."""
    t, claims = rows.table, tables.claims
    other = x.present(t.column("subscriber_last"))

    def whose(part: str) -> pa.Array:
        patient = rows.of(claims.column(f"patient_{part}"))
        if f"subscriber_{part}" not in t.column_names:
            return pc.if_else(pa.array(other), "", patient)
        return pc.if_else(pa.array(other), x.flat(t.column(f"subscriber_{part}")), patient)

    name = inner.c.segment("NM1", "IL", "1", whose("last"), whose("first"), whose("middle"), "", whose("suffix"), "MI",
                           t.column("member_id"))  # fmt: skip
    inner.put("2330A", "NM1", "IL", name)
    street = whose("address1")
    there = x.present(street)
    if there.any():
        inner.put("2330A", "N3", "", inner.c.segment("N3", street, where=there))
        city = inner.c.segment("N4", whose("city"), whose("state"), whose("zip"), where=there)
        inner.put("2330A", "N4", "", city)


def adjusted(c: Columns, rows: Parts) -> pa.Array:
    """CAS by owner: one group a segment, at most six reasons a segment, groups in the order of their first reason."""
    groups = np.asarray(x.flat(rows.column("group")).dictionary_encode().indices.to_numpy(), dtype=np.int64)
    key = rows.owner * (groups.max(initial=0) + 1) + groups
    _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    order = np.lexsort((np.arange(len(rows)), first[inverse]))  # owners stay ascending: first rises with them
    t, owner, key = rows.table.take(pa.array(order)), rows.owner[order], key[order]
    sorted_rows = Parts(t, owner, rows.owners)
    segment = sorted_rows.within(key) // _TRIOS
    starts = np.flatnonzero(np.r_[True, (key[1:] != key[:-1]) | (segment[1:] != segment[:-1])])
    quantity = number(t.column("quantity"))
    filled = quantity if isinstance(quantity, str) else pc.fill_null(quantity, "")
    element = c.delimiters.element
    trios = pc.binary_join_element_wise(x.flat(t.column("reason")), x.amount(t.column("amount")), filled, element)
    lists = pa.ListArray.from_arrays(pa.array(np.r_[starts, len(rows)].astype(np.int32)), trios)
    group = x.flat(t.column("group")).take(pa.array(starts))
    text = pc.ascii_rtrim(
        pc.binary_join_element_wise("CAS", group, pc.binary_join(lists, element), element), characters=element
    )
    return gather(text, owner[starts], rows.owners, c.end)
