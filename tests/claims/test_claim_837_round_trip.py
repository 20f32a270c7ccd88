"""Tables → bytes → tables, for each form: whatever claims may hold comes back from our reader as it went in."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from claims.situations import CLAIMS, CODE, FORM, LINES, NUMBERS, ON
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline import shapes
from pipeline.claims import proofreading
from pipeline.transactions.claim_837_checks import check
from pipeline.transactions.claim_837_forms import Form
from pipeline.transactions.claim_837_route import Route
from pipeline.transactions.claim_837_writer import Interchange837

Row = dict[str, Any]
TEXT = st.text("ABCXYZ 019-'&./", min_size=1, max_size=20).map(lambda t: t.strip() or "X")
IDS = st.text("ABC0123456789", min_size=2, max_size=20)
DAYS = st.integers(0, 60).map(lambda n: date(2024, 1, 1) + timedelta(days=n))
CENTS = st.integers(1, 10**9).map(lambda n: Decimal(n) / 100)
UNITS = st.integers(1, 10**6).map(lambda n: Decimal(n) / 100)
NPIS = st.sampled_from(["1000020002", "1000030001", "1000010003", "1234567893"])
PERSONS = st.fixed_dictionaries({"last": TEXT, "first": TEXT, "npi": NPIS})
PLACES = st.fixed_dictionaries({"last": TEXT, "address1": TEXT, "city": st.just("SALEM"), "state": st.just("MA"), "zip": st.sampled_from(["01970", "019700001"])})  # fmt: skip
PLACE_ROLES = ("facility", "pick_up", "drop_off")
#: by the segment that it stands in: qualifiers with which a row may stand at the claim and at a line
DATES = {"837P": (("454", "304", "484"), ("304", "454", "455")), "837I": ((), ()), "837D": (("452",), ("452", "446"))}
NUMBERS_OF = {
    "837P": (("EA", "9F", "D9"), ("9F", "X4", "G1")),
    "837I": (("EA", "9F", "LX"), ()),
    "837D": (("9F", "G3"), ("G1", "9F")),
}


def some(rows: st.SearchStrategy[Row], most: int = 3) -> st.SearchStrategy[list[Row] | None]:
    return st.none() | st.lists(rows, min_size=1, max_size=most)


def one_each(
    key: str, values: tuple[str, ...], cells: dict[str, st.SearchStrategy[Any]]
) -> st.SearchStrategy[list[Row] | None]:
    """Rows with different values of the key."""
    if not values:
        return st.none()
    return st.none() | st.lists(st.sampled_from(values), min_size=1, max_size=3, unique=True).flatmap(
        lambda keys: st.tuples(*(st.fixed_dictionaries({key: st.just(k)} | cells) for k in keys)).map(list)
    )


def parties(roles: list[str]) -> st.SearchStrategy[list[Row] | None]:
    if not roles:
        return st.none()
    return st.none() | st.lists(st.sampled_from(roles), min_size=1, max_size=4, unique=True).flatmap(
        lambda names: st.tuples(
            *((PLACES if n in PLACE_ROLES else PERSONS).map(lambda cells, n=n: cells | {"role": n}) for n in names)
        ).map(list)
    )


@st.composite
def claim_of(draw: st.DrawFn, form: Form, number: int) -> tuple[Row, list[Row], list[Row]]:
    kind, claim_id = form.kind, f"A{number}"
    draw_one = lambda cells: {name: draw(values) for name, values in cells.items()}  # noqa: E731
    own = {"rendering", "referring", "facility"}
    claim = CLAIMS[kind] | {"claim_id": claim_id, "encounter_key": claim_id, "source_row": number + 1} | draw_one({
        "patient_last": TEXT, "patient_first": TEXT, "member_id": IDS, "relationship": st.sampled_from(["18", "19", "01"]),
        "subscriber_last": TEXT, "subscriber_first": TEXT, "patient_member_id": st.none() | IDS, "group_number": st.none() | TEXT,
        "payer_responsibility": st.sampled_from([None, "P", "S"]), "authorization_number": st.none() | IDS,
        "rendering_npi": st.none() | NPIS, "rendering_last": TEXT, "referring_npi": st.none() | NPIS, "referring_last": TEXT,
        "dates": one_each("qualifier", DATES[kind][0], {"from_date": DAYS}),
        "references": one_each("qualifier", NUMBERS_OF[kind][0], {"value": IDS}),
        "parties": parties([r.role for r in form.claim_roles if r.role not in own and r.role != "attending"]),
    })  # fmt: skip
    if kind == "837I":
        attending = draw(PERSONS) | {"role": "attending"}
        claim["parties"] = [attending, *(claim["parties"] or [])]
        claim["codes"] = draw(some(st.sampled_from([
            {"kind": "value", "rank": 1, "code": "80", "amount": Decimal("2.50")}, {"kind": "condition", "rank": 1, "code": "09"},
            {"kind": "occurrence", "rank": 1, "code": "11", "from_date": date(2024, 1, 1)}])))  # fmt: skip
    if draw(st.booleans()):
        claim["frequency"], claim["payer_claim_number"] = draw(st.sampled_from(["7", "8"])), draw(IDS)
    lines = []
    for n in range(1, draw(st.integers(1, 3)) + 1):
        day = draw(DAYS)
        line = LINES[kind] | {"claim_id": claim_id, "line": n, "line_control_number": f"{claim_id}-{n}", "service_date": day} | draw_one({
            "charge": CENTS, "units": UNITS, "modifier1": st.none() | st.sampled_from(["25", "RT"]), "description": st.none() | TEXT,
            "service_to": st.none() | st.integers(0, 3).map(lambda n, day=day: day + timedelta(days=n)),
            "dates": one_each("qualifier", DATES[kind][1], {"from_date": DAYS}),
            "references": one_each("qualifier", NUMBERS_OF[kind][1], {"value": IDS}),
            "parties": parties([r.role for r in form.line_roles]),
        })  # fmt: skip
        if kind == "837I" and draw(st.booleans()):
            line |= {
                "revenue_code": "0120",
                "procedure": None,
                "modifier1": None,
                "description": None,
                "unit_basis": "DA",
            }
        lines.append(line)
    claim["charge"] = sum((line["charge"] for line in lines), Decimal(0))
    codes = [CODE | {"claim_id": claim_id, "rank": n, "code": code} for n, code in enumerate(
        draw(st.lists(st.sampled_from(["E119", "I10", "K029", "J020"]), min_size=form.least_diagnoses, max_size=4, unique=True)), 1)]  # fmt: skip
    if draw(st.booleans()):
        claim["other_payers"] = _others(lines, draw(st.booleans()), draw(st.integers(0, 100)))
    return claim, codes, lines


def _others(lines: list[Row], by_line: bool, percent: int) -> list[Row]:
    """Another payer that paid so much of everything, the rest adjusted: at the lines or at the claim."""
    paid = [(line["charge"] * percent / 100).quantize(Decimal("0.01")) for line in lines]
    rest = [line["charge"] - p for line, p in zip(lines, paid, strict=True)]
    adjusted = lambda amount: [{"group": "CO", "reason": "45", "amount": amount}] if amount else None  # noqa: E731
    payer = {"responsibility": "T", "payer_name": "ACME", "payer_id": "ACME1", "filing_indicator": "CI", "member_id": "W9",
             "paid": sum(paid, Decimal(0)), "paid_date": date(2024, 2, 20)}  # fmt: skip
    if by_line:
        for line, p, r in zip(lines, paid, rest, strict=True):
            line["adjudications"] = [{"payer_id": "ACME1", "paid": p, "units": Decimal(1), "paid_date": date(2024, 2, 20),
                                      "adjustments": adjusted(r)}]  # fmt: skip
    else:
        payer["adjustments"] = adjusted(sum(rest, Decimal(0)))
    return [payer]


@pytest.mark.parametrize("kind", FORM)
@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_round_trip(kind: str, way: Route, data: st.DataObject) -> None:
    form = FORM[kind]
    claims, codes, lines = [], [], []
    for number in range(data.draw(st.integers(1, 4))):
        claim, its_codes, its_lines = data.draw(claim_of(form, number))
        claims.append(claim)
        codes += its_codes
        lines += its_lines
    tables: tuple[pa.Table, ...] = (shapes.from_rows("coded_claims", claims), shapes.from_rows("coded_diagnoses", codes),
                                    shapes.from_rows("coded_lines", lines))  # fmt: skip
    assert check(*tables, form, charset="basic", accepts_dependents=True) == ([], set())
    meant = Interchange837(*tables, way, form, claims_per_set=2)
    written = meant.render(on=ON, numbers=NUMBERS)
    assert proofreading.compared(written, meant, ON, NUMBERS) == []
    assert [
        f.rule for f in proofreading.validated(written) if f.severity == "error" and f.rule.startswith("x12.")
    ] == []
    assert Interchange837(*(t.take(pa.array(range(t.num_rows - 1, -1, -1), pa.int64())) for t in tables), way, form, claims_per_set=2).render(
        on=ON, numbers=NUMBERS) == written  # fmt: skip
