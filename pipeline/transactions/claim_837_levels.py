"""What stands above a claim: billing provider (2000A), subscriber (2000B) and patient (2000C), each as one text a claim.

Texts are without their HL, which the writer adds where a text differs from the one before.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.transactions.claim_837_forms import BILLING_NUMBERS
from pipeline.transactions.claim_837_parts import Column, gathered
from pipeline.transactions.claim_837_route import Route
from pipeline.transactions.claim_837_tables import Tables
from pipeline.x12 import columns as x
from pipeline.x12.columns import Columns, Mask
from pipeline.x12.writer import Element, render

_BILLING = (
    "billing_name", "billing_first", "billing_npi", "billing_tin", "billing_tin_kind", "billing_taxonomy", "billing_address1",
    "billing_address2", "billing_city", "billing_state", "billing_zip", "billing_phone", "pay_to_address1", "pay_to_address2",
    "pay_to_city", "pay_to_state", "pay_to_zip",
)  # fmt: skip


#: by claim: the number of its text, the same where texts are, and the text
Level: TypeAlias = "tuple[x.Integers, x.Part]"


def address(c: Columns, t: pa.Table, prefix: str, where: Mask | None = None, *, second: bool = True) -> list[x.Every]:
    column = t.column
    return [
        c.every("N3", column(f"{prefix}address1"), column(f"{prefix}address2") if second else "", where=where),
        c.every("N4", column(f"{prefix}city"), column(f"{prefix}state"), column(f"{prefix}zip"), where=where),
    ]


def entity_kind(tables: Tables, loop: str, entity: str, first: Column) -> x.Text:
    """NM102: what the guide allows; where it allows both, a person is who has a first name."""
    place = tables.form.place(loop, "NM1", entity)
    allowed = place.elements[1].codes if place else frozenset()
    if len(allowed) == 1:
        return next(iter(allowed))
    return pa.array(["2", "1"]).take(pa.array(x.present(first).astype(np.int8)))


def billing(c: Columns, tables: Tables, route: Route) -> Level:
    """2000A: PRV, 2010AA, 2010AB. Built once for each different provider, then spread over the claims."""
    claims = tables.claims
    differing = [column for column in (x.flat(claims.column(name)) for name in _BILLING) if x.alike(column) is None]
    further = _billing_numbers(c, tables, "2010AA")
    if further is not None:
        differing.append(pc.fill_null(further, ""))
    differing = differing or [x.flat(claims.column("billing_npi"))]
    numbers, first = x.distinct(*differing)
    t = claims.select(list(_BILLING)).take(pa.array(first))
    pay_to = x.present(t.column("pay_to_address1"))
    phone = x.present(t.column("billing_phone")) & ~x.as_mask(
        pc.equal(t.column("billing_phone"), route.submitter_phone)
    )
    kind = entity_kind(tables, "2010AA", "85", t.column("billing_first"))
    text = c.body(
        c.every("PRV", "BI", "PXC", t.column("billing_taxonomy"), where=x.present(t.column("billing_taxonomy"))),
        c.every("NM1", "85", kind, t.column("billing_name"), t.column("billing_first"), "", "", "", "XX",
                  t.column("billing_npi")),
        *address(c, t, "billing_"),
        c.every("REF", t.column("billing_tin_kind"), t.column("billing_tin")),
        *([] if further is None else [further.take(pa.array(first))]),
        c.every("PER", "IC", t.column("billing_name"), "TE", t.column("billing_phone"), where=phone),
        c.every("NM1", "87", kind if isinstance(kind, pa.Array) else pa.repeat(kind, t.num_rows), where=pay_to),
        *address(c, t, "pay_to_", pay_to),
    )  # fmt: skip
    again, _ = x.distinct(text)  # what differs may not be written
    return again[numbers], x.Picked(text, numbers)


def _billing_numbers(c: Columns, tables: Tables, loop: str) -> pa.Array | None:
    """By claim: REF of the billing provider's further numbers that stand in the loop, joined."""
    rows = tables.identifiers
    if rows is None:
        return None
    here = rows.equal("role", "billing")
    for qualifier in pc.unique(x.flat(rows.column("id_qualifier"))).to_pylist():
        if qualifier not in dict(BILLING_NUMBERS)[loop] or not tables.form.place(loop, "REF", qualifier):
            here &= ~rows.equal("id_qualifier", qualifier)
    if not here.any():
        return None
    rows = rows.where(here)
    return gathered(c.segment("REF", rows.column("id_qualifier"), rows.column("id")), rows.owner, rows.owners, c.end)


def subscriber(c: Columns, tables: Tables, route: Route) -> Level:
    """2000B: SBR, PAT, 2010BA, 2010BB. Address and birth date stand here only where the patient is the subscriber."""
    claims, own = tables.claims, tables.own

    def whose(part: str) -> pa.Array:
        patient = x.flat(claims.column(f"patient_{part}"))
        return patient if own.all() else pc.if_else(pa.array(own), patient, x.flat(claims.column(f"subscriber_{part}")))

    suffix = x.flat(claims.column("patient_suffix"))
    relation: x.Text = "18" if own.all() else pc.if_else(pa.array(own), "18", "")
    payer: list[list[Element]] = [["NM1", "PR", "2", route.payer_name, "", "", "", "", "PI", route.payer_id]]
    if route.payer_address1:
        payer += [["N3", route.payer_address1], ["N4", route.payer_city, route.payer_state, route.payer_zip]]
    payer_text = render(payer, newline=route.newline).decode("ascii").removesuffix(c.end)
    group = x.flat(claims.column("group_number"))
    further = _billing_numbers(c, tables, "2010BB")
    place = tables.form.place("2000B", "SBR")
    secondary = place is not None and place.elements[4].usage != "N"
    text = c.body(
        c.every("SBR", default(claims.column("payer_responsibility"), "P"), relation, group,
                  _plan(group, claims.column("group_name")),
                  claims.column("insurance_type") if secondary else "", "", "", "", route.filing_indicator),
        *_condition(c, tables, own),
        c.every("NM1", "IL", "1", whose("last"), whose("first"), whose("middle"), "",
                  suffix if own.all() else pc.if_else(pa.array(own), suffix, ""), "MI", tables.member_id),
        *address(c, claims, "patient_", own),
        _demographics(c, claims, own),
        *_casualty(c, tables, claims, "2010BA", own),
        payer_text,
        *([] if further is None else [further]),
    )  # fmt: skip
    return x.distinct(text)[0], text


def patient(c: Columns, tables: Tables, route: Route) -> Level:
    """2000C: PAT and 2010CA; '' where the patient is the subscriber."""
    dependent = ~tables.own
    if not dependent.any():
        return np.zeros(tables.claims.num_rows, dtype=np.int64), ""
    t = tables.claims.select([n for n in tables.claims.column_names if n.startswith("patient_")] + ["relationship", "casualty_claim_number", "casualty_phone"])  # fmt: skip
    t = x.kept(t, dependent)
    place = tables.form.place("2000C", "PAT")
    condition = _condition_elements(t) if place and place.elements[4].usage != "N" else []
    text = c.body(
        c.every("PAT", t.column("relationship"), "", "", "", *condition),
        c.every("NM1", "QC", "1", t.column("patient_last"), t.column("patient_first"), t.column("patient_middle"), "",
                  t.column("patient_suffix")),
        *address(c, t, "patient_"),
        _demographics(c, t),
        *_casualty(c, tables, t, "2010CA"),
    )  # fmt: skip
    numbers = np.zeros(len(dependent), dtype=np.int64)
    numbers[dependent] = x.distinct(text)[0] + 1
    return numbers, x.Picked(text, np.cumsum(dependent) - 1)


def _plan(group: pa.Array, name: Column) -> x.Text:
    """SBR04: the plan's name, where there is no group number."""
    return pc.if_else(pc.equal(group, ""), x.flat(name), "") if x.present(name).any() else ""


def default(column: Column, value: str) -> x.Text:
    """The claim's own value, or the default where it has none."""
    array = x.flat(column)
    missing = ~x.present(array)
    if missing.all():
        return value
    return pc.if_else(pa.array(missing), value, array)


def beside(column: Column, text: x.Text) -> x.Text:
    """A qualifier that stands only where the value beside it does."""
    array = x.flat(column)
    stands = x.as_mask(array.is_valid())
    if pa.types.is_string(array.type):
        stands = x.present(array)
    if stands.all() or not stands.any():
        return text if stands.any() else ""
    return pc.if_else(pa.array(stands), text if isinstance(text, str) else x.flat(text), "")


def yes(column: Column) -> x.Text:
    """Y where it holds, else nothing."""
    holds = x.as_mask(column)
    return pc.if_else(pa.array(holds), "Y", "") if holds.any() else ""


def date(column: Column) -> x.Text:
    """Days as text; '' where there is none."""
    return "" if column.null_count == len(column) else x.day(column)


def number(column: Column) -> x.Text:
    return "" if column.null_count == len(column) else x.amount(column)


def _condition_elements(t: pa.Table) -> list[x.Text]:
    death, weight = t.column("patient_death_date"), t.column("patient_weight")
    return [beside(death, "D8"), date(death), beside(weight, "01"), number(weight), yes(t.column("patient_pregnant"))]


def _condition(c: Columns, tables: Tables, own: Mask) -> list[pa.Array]:
    """PAT of a subscriber who is the patient: day of death, weight, pregnancy."""
    if not tables.form.place("2000B", "PAT"):
        return []
    t = tables.claims
    known = x.as_mask(t.column("patient_pregnant"))
    for name in ("patient_death_date", "patient_weight"):
        known = known | x.as_mask(x.flat(t.column(name)).is_valid())
    if not (known & own).any():
        return []
    return [c.segment("PAT", "", "", "", "", *_condition_elements(t), where=known & own)]


def _demographics(c: Columns, claims: pa.Table, where: Mask | None = None) -> x.Every:
    return c.every("DMG", "D8", x.dated(claims.column("patient_birth_date")), claims.column("patient_sex"), where=where)


def _casualty(c: Columns, tables: Tables, claims: pa.Table, loop: str, where: Mask | None = None) -> list[pa.Array]:
    """The insurer's number on property and casualty claims, and whom to call about the patient."""
    stands = x.present(claims.column("casualty_claim_number"))
    if where is not None:
        stands = stands & where
    if not stands.any():
        return []
    found = [c.segment("REF", "Y4", claims.column("casualty_claim_number"), where=stands)]
    called = stands & x.present(claims.column("casualty_phone"))
    if called.any() and tables.form.place(loop, "PER"):
        found.append(c.segment("PER", "IC", "", "TE", claims.column("casualty_phone"), where=called))
    return found
