"""What may stand in an 837: each column of the coded tables with its place, its alphabet and its length, as data.

X12 has no escape character, so a value that holds a delimiter, or a character outside the payer's set, cannot be sent at
all, and a value that is too long would be cut by the payer. Nothing is mended here: normalising only drops blanks at the
ends and, for the basic set, writes letters in capitals; everything else that does not fit is a finding, and its claim
stays out of the file. Nested rows need no table of their own: the guide says what each element of their segment may hold.
Sources: ASC X12N 005010X222A1, X223A2 and X224A2 for places, lengths and repeats; the 005010 data element dictionary.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import pyarrow as pa

from pipeline import shapes
from pipeline.transactions.claim_837_forms import BOOKKEEPING, Form
from pipeline.transactions.claim_837_tables import Charset, Tables
from pipeline.x12 import columns as x
from pipeline.x12.columns import Mask
from pipeline.x12.segments import DEFAULT_DELIMITERS
from pipeline.x12.writer import BASIC, EXTENDED

DIGITS = frozenset("0123456789")
CAPITALS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
CODE = DIGITS | CAPITALS
_DELIMITERS = frozenset(
    (
        DEFAULT_DELIMITERS.element,
        DEFAULT_DELIMITERS.repetition,
        DEFAULT_DELIMITERS.component,
        DEFAULT_DELIMITERS.segment,
    )
)
#: what a free text may hold, by the payer's character set
TEXT: dict[Charset, frozenset[str]] = {"basic": BASIC - _DELIMITERS, "extended": EXTENDED - _DELIMITERS}


@dataclass(frozen=True, slots=True)
class Field:
    """One column and the place where it stands. `need` names the claims (see `NEEDS`) that must have it and on which it
    is written at all; `characters` None means free text; `lengths` are the least and the greatest number of characters
    (or exactly those listed in `exactly`); `values` are those that the guide knows."""

    column: str
    loop: str
    segment: str
    element: int
    need: str
    most: int
    least: int = 1
    characters: frozenset[str] | None = None
    exactly: tuple[int, ...] = ()
    optional: bool = False
    component: int | None = None
    values: frozenset[str] = frozenset()


def _name(prefix: str, loop: str, last: str, first: str | None, need: str) -> list[Field]:
    names = [Field(f"{prefix}_{last}", loop, "NM1", 3, need, 60)]
    if first:
        names.append(Field(f"{prefix}_{first}", loop, "NM1", 4, need, 35, optional=True))
    return names


def _address(prefix: str, loop: str, need: str, *, second: bool = True) -> list[Field]:
    rows = [
        Field(f"{prefix}_address1", loop, "N3", 1, need, 55),
        Field(f"{prefix}_city", loop, "N4", 1, need, 30, least=2),
        Field(f"{prefix}_state", loop, "N4", 2, need, 2, least=2, characters=CAPITALS),
        Field(f"{prefix}_zip", loop, "N4", 3, need, 9, characters=DIGITS, exactly=(5, 9)),
    ]
    return [*rows, Field(f"{prefix}_address2", loop, "N3", 2, need, 55, optional=True)] if second else rows


def _npi(column: str, loop: str, need: str, *, optional: bool = False) -> Field:
    return Field(column, loop, "NM1", 9, need, 10, characters=DIGITS, exactly=(10,), optional=optional)


def _taxonomy(column: str, loop: str, need: str) -> Field:
    return Field(column, loop, "PRV", 3, need, 10, characters=CODE, exactly=(10,), optional=True)


#: what every form writes of a claim
_ALL_FORMS: tuple[Field, ...] = (
    Field("claim_id", "2300", "CLM", 1, "all", 20),
    *_name("billing", "2010AA", "name", "first", "all"),
    _npi("billing_npi", "2010AA", "all"),
    Field("billing_tin", "2010AA", "REF", 2, "all", 9, characters=DIGITS, exactly=(9,)),
    Field("billing_tin_kind", "2010AA", "REF", 1, "all", 2, characters=frozenset("EISY"), exactly=(2,)),
    _taxonomy("billing_taxonomy", "2000A", "all"),
    *_address("billing", "2010AA", "all"),
    Field("billing_phone", "2010AA", "PER", 4, "all", 10, characters=DIGITS, exactly=(10,), optional=True),
    *_address("pay_to", "2010AB", "pay_to"),
    *_name("patient", "2010BA", "last", "first", "all"),
    Field("patient_middle", "2010BA", "NM1", 5, "all", 25, optional=True),
    Field("patient_suffix", "2010BA", "NM1", 7, "all", 10, optional=True),
    Field("patient_sex", "2010BA", "DMG", 3, "all", 1, characters=frozenset("FMU")),
    *_address("patient", "2010BA", "all"),
    *_name("subscriber", "2010BA", "last", "first", "dependent"),
    Field("subscriber_middle", "2010BA", "NM1", 5, "dependent", 25, optional=True),
    Field("relationship", "2000B", "SBR", 2, "all", 2, characters=CODE, exactly=(2,)),
    Field("member_id", "2010BA", "NM1", 9, "not_numbered", 80, least=2),
    Field("patient_member_id", "2010BA", "NM1", 9, "all", 80, least=2, optional=True),
    Field("group_number", "2000B", "SBR", 3, "all", 50, optional=True),
    Field("group_name", "2000B", "SBR", 4, "all", 60, optional=True),
    Field("payer_responsibility", "2000B", "SBR", 1, "all", 1, characters=frozenset("ABCDEFGHPSTU"), optional=True),
    Field("casualty_claim_number", "2010BA", "REF", 2, "all", 50, optional=True),
    Field("assignment", "2300", "CLM", 7, "all", 1, characters=frozenset("ABC"), optional=True),
    Field("benefits_assignment", "2300", "CLM", 8, "all", 1, characters=frozenset("YNW"), optional=True),
    Field("release_of_information", "2300", "CLM", 9, "all", 1, characters=frozenset("YI"), optional=True),
    Field("delay_reason", "2300", "CLM", 20, "all", 2, characters=DIGITS, optional=True,
          values=frozenset({"1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "15"})),
    Field("authorization_number", "2300", "REF", 2, "all", 50, optional=True),
    Field("payer_claim_number", "2300", "REF", 2, "later_frequency", 50),
)  # fmt: skip

_RELATED = frozenset({"AA", "EM", "OA"})
#: what professional and dental claims write of the cause
_CAUSES: tuple[Field, ...] = (
    Field("place_of_service", "2300", "CLM", 5, "all", 2, characters=DIGITS, exactly=(2,), component=1),
    Field("accident_kind", "2300", "CLM", 11, "all", 2, characters=frozenset("AOEM"), exactly=(2,), optional=True, component=1, values=_RELATED),
    Field("accident_kind2", "2300", "CLM", 11, "all", 2, characters=frozenset("AOEM"), exactly=(2,), optional=True, component=2, values=_RELATED),
    Field("accident_state", "2300", "CLM", 11, "auto_accident", 2, characters=CAPITALS, exactly=(2,), component=4),
    Field("accident_country", "2300", "CLM", 11, "all", 3, least=2, characters=CAPITALS, optional=True, component=5),
    Field("special_program", "2300", "CLM", 12, "all", 3, least=2, characters=DIGITS, optional=True),
)  # fmt: skip
_INSURANCE_TYPE = Field("insurance_type", "2000B", "SBR", 5, "all", 2, characters=DIGITS, exactly=(2,), optional=True,
                        values=frozenset({"12", "13", "14", "15", "16", "41", "42", "43", "47"}))  # fmt: skip
_STAY: tuple[Field, ...] = (
    Field("bill_type", "2300", "CLM", 5, "all", 2, characters=CODE, exactly=(2,), component=1),
    Field("admission_type", "2300", "CL1", 1, "all", 1, characters=CODE),
    Field("admission_source", "2300", "CL1", 2, "all", 1, characters=CODE, optional=True),
    Field("patient_status", "2300", "CL1", 3, "all", 2, characters=DIGITS, exactly=(2,)),
    Field("admission_hour", "2300", "DTP", 3, "all", 4, characters=DIGITS, exactly=(4,), optional=True),
    Field("discharge_hour", "2300", "DTP", 3, "all", 4, characters=DIGITS, exactly=(4,), optional=True),
)

_MODIFIERS = (1, 2, 3, 4)


def _service(segment: str, element: int, *, qualifiers: str, need: str = "all") -> list[Field]:
    return [
        Field("qualifier", "2400", segment, element, need, 2, characters=frozenset("".join(qualifiers.split())), exactly=(2,),
              component=1, values=frozenset(qualifiers.split())),
        Field("procedure", "2400", segment, element, need, 5, characters=CODE, exactly=(5,), component=2),
        *(Field(f"modifier{n}", "2400", segment, element, need, 2, characters=CODE, exactly=(2,), optional=True, component=n + 2)
          for n in _MODIFIERS),
        Field("description", "2400", segment, element, need, 80, optional=True, component=7),
    ]  # fmt: skip


_LINE = (Field("line_control_number", "2400", "REF", 2, "all", 30),)
_DRUG = (
    Field("ndc", "2410", "LIN", 3, "all", 11, characters=DIGITS, exactly=(11,), optional=True),
    Field("ndc_unit_basis", "2410", "CTP", 5, "drug", 2, characters=CAPITALS | DIGITS, exactly=(2,), component=1,
          values=frozenset({"F2", "GR", "ME", "ML", "UN"})),
)  # fmt: skip
_LINE_PLACE = {
    segment: Field(
        "place_of_service", "2400", segment, element, "all", 2, characters=DIGITS, exactly=(2,), optional=True
    )
    for segment, element in (("SV1", 5), ("SV3", 3))
}


def _basis(segment: str, element: int, values: str) -> Field:
    return Field("unit_basis", "2400", segment, element, "all", 2, characters=frozenset("".join(values.split())), exactly=(2,),
                 values=frozenset(values.split()))  # fmt: skip


@cache
def claim_fields(form: Form) -> tuple[Field, ...]:
    """The claim's text columns that the form writes."""
    providers: list[Field] = []
    for role, prefix in (("rendering", "rendering"), ("referring", "referring")):
        if found := form.claim_role(role):
            providers += [*_name(prefix, found.loop, "last", "first", role), _npi(f"{prefix}_npi", found.loop, role)]
            if found.specialty:
                providers.append(_taxonomy(f"{prefix}_taxonomy", found.loop, role))
    if form.place("2010BA", "PER"):
        providers.append(
            Field("casualty_phone", "2010BA", "PER", 4, "all", 10, characters=DIGITS, exactly=(10,), optional=True)
        )
    if found := form.claim_role("facility"):
        if form.place(found.loop, "PER"):
            providers.append(
                Field(
                    "facility_phone",
                    found.loop,
                    "PER",
                    4,
                    "facility",
                    10,
                    characters=DIGITS,
                    exactly=(10,),
                    optional=True,
                )
            )
        providers += [Field("facility_name", found.loop, "NM1", 3, "facility", 60),
                      _npi("facility_npi", found.loop, "facility", optional=True),
                      *_address("facility", found.loop, "facility", second=False)]  # fmt: skip
    own: tuple[Field, ...] = _STAY if form.kind == "837I" else (*_CAUSES, _INSURANCE_TYPE)
    frequency = Field("frequency", "2300", "CLM", 5, "all", 1, characters=frozenset(form.frequencies), component=3)
    return (*_ALL_FORMS, frequency, *own, *providers)


@cache
def line_fields(form: Form) -> tuple[Field, ...]:
    if form.kind == "837P":
        return (
            *_service("SV1", 1, qualifiers="HC ER IV WK"), _basis("SV1", 3, "UN MJ"), _LINE_PLACE["SV1"], *_LINE, *_DRUG,
            Field("rental_unit", "2400", "SV5", 6, "rented", 1, characters=frozenset("146")),
            Field("certification_type", "2400", "CR3", 1, "all", 1, characters=frozenset("IRS"), optional=True),
        )  # fmt: skip
    if form.kind == "837I":
        return (
            Field("revenue_code", "2400", "SV2", 1, "all", 4, characters=DIGITS, exactly=(4,)),
            *_service("SV2", 2, qualifiers="HC HP ER IV WK", need="coded"), _basis("SV2", 4, "DA UN"), *_LINE, *_DRUG,
        )  # fmt: skip
    return (
        *_service("SV3", 1, qualifiers="AD"), _LINE_PLACE["SV3"], *_LINE,
        Field("oral_cavity", "2400", "SV3", 4, "all", 19, characters=CODE | {",", " "}, optional=True),
        Field("prosthesis", "2400", "SV3", 5, "all", 1, characters=frozenset("IR"), optional=True),
    )  # fmt: skip


DIAGNOSIS_FIELDS: tuple[Field, ...] = (
    Field("code", "2300", "HI", 1, "all", 7, least=3, characters=CODE, component=2),
    Field("poa", "2300", "HI", 1, "all", 1, characters=frozenset("NUWY1"), optional=True, component=9),
)

#: columns that are no texts, by form the place where they are written: without a place the value stays unsent
_VALUES: dict[str, tuple[str, str, str]] = {
    "patient_birth_date": ("2010BA", "DMG", ""), "onset_date": ("2300", "DTP", "431"), "accident_date": ("2300", "DTP", "439"),
    "admission_date": ("2300", "DTP", "435"), "patient_death_date": ("2000B", "PAT", ""), "patient_weight": ("2000B", "PAT", ""),
    "patient_pregnant": ("2000B", "PAT", ""), "predetermination": ("2300", "DN1", ""), "orthodontic_months": ("2300", "DN1", ""),
    "orthodontic_months_left": ("2300", "DN1", ""), "orthodontic_transfer": ("2300", "DN1", ""),
    "patient_paid": ("2300", "AMT", "F5"), "patient_estimate": ("2300", "AMT", "F3"),
}  # fmt: skip
_LINE_VALUES: dict[str, tuple[str, str, str]] = {
    "units": ("2400", "LX", ""), "service_date": ("2400", "LX", ""), "service_to": ("2400", "LX", ""), "ndc_units": ("2410", "CTP", ""),
    "non_covered": ("2400", "SV2", ""), "emergency": ("2400", "SV1", ""), "epsdt": ("2400", "SV1", ""),
    "family_planning": ("2400", "SV1", ""), "copay_exempt": ("2400", "SV1", ""),
    "prior_placement_date": ("2400", "DTP", "441"), "rental_price": ("2400", "SV5", ""), "purchase_price": ("2400", "SV5", ""),
    "rental_days": ("2400", "SV5", ""), "certification_months": ("2400", "CR3", ""), "obstetric_units": ("2400", "QTY", "FL"),
    "ambulance_patients": ("2400", "QTY", "PT"), "sales_tax": ("2400", "AMT", "T"), "postage": ("2400", "AMT", "F4"),
    "purchased_charge": ("2400", "PS1", ""), "service_tax": ("2400", "AMT", "GT"), "facility_tax": ("2400", "AMT", "N8"),
}  # fmt: skip


#: what the guides ask of a subscriber only where the subscriber is the patient, whose own columns say it then
_NOT_ASKED = frozenset(f"subscriber_{part}" for part in ("birth_date", "sex", "address1", "city", "state", "zip"))


@cache
def unsent(form: Form) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Columns of claims and of lines that the form has no place for: what stands in them is told, not sent."""
    found = []
    for name, fields, values in (
        ("coded_claims", claim_fields(form), _VALUES),
        ("coded_lines", line_fields(form), _LINE_VALUES),
    ):
        sent = {f.column for f in fields} | {column for column, where in values.items() if form.place(*where)}
        if form.service == "SV2":
            sent |= {"admission_date"}
        pointers = {f"pointer{n}" for n in _MODIFIERS}
        implied = (
            form.implied | _NOT_ASKED | BOOKKEEPING | pointers | ({"unit_basis"} if name == "coded_lines" else set())
        )
        plain = [f.name for f in shapes.schema(name) if not pa.types.is_list(f.type)]
        found.append(tuple(column for column in plain if column not in sent | implied))
    return found[0], found[1]


NEEDS: dict[str, Callable[[Tables, pa.Table], Mask]] = {
    "all": lambda tables, t: np.ones(t.num_rows, dtype=np.bool_),
    "dependent": lambda tables, t: ~tables.own,
    "not_numbered": lambda tables, t: ~tables.numbered,
    "pay_to": lambda tables, t: x.present(t.column("pay_to_address1")),
    "rendering": lambda tables, t: tables.has_rendering,
    "referring": lambda tables, t: tables.has_referring,
    "facility": lambda tables, t: tables.has_facility,
    "auto_accident": lambda tables, t: (
        ~x.present(t.column("accident_country"))
        & (x.equals(t.column("accident_kind"), "AA") | x.equals(t.column("accident_kind2"), "AA"))
    ),
    "later_frequency": lambda tables, t: x.equals(t.column("frequency"), "7") | x.equals(t.column("frequency"), "8"),
    "drug": lambda tables, t: x.present(t.column("ndc")),
    "coded": lambda tables, t: x.present(t.column("procedure")),
    "rented": lambda tables, t: x.as_mask(x.flat(t.column("rental_days")).is_valid()),
}
