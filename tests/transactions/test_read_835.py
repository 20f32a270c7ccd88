"""The remittance as tables: each value from its place, in 5010 and 4010."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from transactions.x12_text import REMITTANCE, interchange, isa, remittance

from pipeline import shapes
from pipeline.transactions import read


def only(row: dict[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple(row[n] for n in names)


@pytest.fixture(scope="module")
def tables() -> dict[str, list[dict[str, Any]]]:
    result = read(remittance(), file="era.835", mode="strict")
    assert result.findings == []
    for name, table in result.tables.items():
        shapes.check(table, name)
    return {name: table.to_pylist() for name, table in result.tables.items()}


def test_an_835_gives_its_five_tables_and_the_envelopes(tables: dict[str, Any]) -> None:
    kinds = ("payments", "claims", "service_lines", "adjustments", "provider_adjustments")
    assert set(tables) == {f"835.{k}" for k in kinds} | {"interchanges"}


def test_payment(tables: dict[str, Any]) -> None:
    (row,) = tables["835.payments"]
    assert row == {
        "file": "era.835", "set_number": 1, "segment": 3, "interchange_control": "000000001", "group_control": "1",
        "set_control": "0001", "version": "005010X221A1", "handling": "I", "amount": Decimal("170.00"),
        "credit_debit": "C", "method": "ACH", "payment_date": date(2026, 1, 7), "trace": "TRACE77",
        "origin": "1512345678", "origin_supplement": "SUPP", "production_date": date(2026, 1, 6), "receiver_id": "RECV9",
        "payer_name": "PAYER ONE", "payer_id": "PAY01", "payee_name": "GOOD PRACTICE", "payee_id_qualifier": "XX",
        "payee_id": "1234567893", "payee_tin": "123456789",
    }  # fmt: skip


def test_payer_is_known_by_its_ref_where_n104_is_absent() -> None:
    data = interchange(
        REMITTANCE.replace("N1*PR*PAYER ONE*XV*PAY01", "N1*PR*PAYER ONE"), kind="835", version="005010X221A1"
    )
    assert read(data).tables["835.payments"]["payer_id"].to_pylist() == ["PAY99"]


def test_claims(tables: dict[str, Any]) -> None:
    first, second = tables["835.claims"]
    assert first == {
        "file": "era.835", "set_number": 1, "segment": 16, "claim_number": 1, "claim_id": "ACC1", "status": "1",
        "charge": Decimal("200.00"), "paid": Decimal("150.00"), "patient_responsibility": Decimal("20.00"),
        "filing_indicator": "12", "payer_claim_number": "ICN1", "facility_code": "11", "frequency": "1", "drg": "470",
        "patient_last": "DOE", "patient_first": "JANE", "patient_middle": "Q", "patient_id_qualifier": "MI",
        "patient_id": "MEM1", "subscriber_last": "DOE", "subscriber_first": "JOHN", "subscriber_id": "MEM0",
        "corrected_id": "MEM2", "rendering_id": "1999999984", "crossover_payer": "NEXT PAYER",
        "crossover_payer_id": "NXT01", "statement_from": date(2025, 11, 1), "statement_to": date(2025, 11, 2),
        "received_date": date(2025, 12, 3), "coverage_expiration": date(2026, 12, 31), "original_reference": "ORIG5",
        "remarks": "MA01 MA02 N1 N2", "coverage_amount": Decimal("175.50"),
    }  # fmt: skip
    # nothing of the first claim leaks into the second
    assert {k: v for k, v in second.items() if v is not None} == {
        "file": "era.835", "set_number": 1, "segment": 44, "claim_number": 2, "claim_id": "ACC2", "status": "22",
        "charge": Decimal("-30.55"), "paid": Decimal("-20.00"),
    }  # fmt: skip


def test_service_lines(tables: dict[str, Any]) -> None:
    first, second = tables["835.service_lines"]
    assert first == {
        "file": "era.835", "set_number": 1, "segment": 31, "claim_number": 1, "line_number": 1, "claim_id": "ACC1",
        "qualifier": "HC", "procedure": "99213", "modifier1": "25", "modifier2": "59", "modifier3": None, "modifier4": None,
        "charge": Decimal("120.00"), "paid": Decimal("100.00"), "revenue_code": None, "units": Decimal("2.0000"),
        "submitted_qualifier": "HC", "submitted_procedure": "99214", "original_units": Decimal("3.0000"),
        "service_from": date(2025, 11, 1), "service_to": date(2025, 11, 2), "line_control_number": "LINE1",
        "rendering_id": "1888888882", "allowed": Decimal("105.00"), "remarks": "N130 M15",
    }  # fmt: skip
    assert only(second, "line_number", "procedure", "modifier1", "units", "service_from", "service_to") == (
        2, "85025", None, Decimal(1), date(2025, 11, 1), date(2025, 11, 1),
    )  # fmt: skip


def test_adjustments_at_both_levels_with_all_trios(tables: dict[str, Any]) -> None:
    columns = ("claim_number", "line_number", "level", "group", "reason", "amount", "quantity")
    assert [only(r, *columns) for r in tables["835.adjustments"]] == [
        (1, None, "claim", "CO", "253", Decimal("5.00"), None),
        (1, 1, "line", "CO", "45", Decimal("15.00"), None),
        (1, 2, "line", "PR", "1", Decimal("10.00"), None),
        (1, 2, "line", "PR", "2", Decimal("10.00"), Decimal("1.5000")),
        (1, 2, "line", "CO", "45", Decimal("10.00"), None),
        (2, None, "claim", "OA", "23", Decimal("-10.55"), None),
    ]


def test_provider_adjustments_in_pairs(tables: dict[str, Any]) -> None:
    columns = ("provider_id", "fiscal_date", "reason", "reference", "amount")
    assert [only(r, *columns) for r in tables["835.provider_adjustments"]] == [
        ("1234567893", date(2026, 12, 31), "WO", "REF1", Decimal("10.00")),
        ("1234567893", date(2026, 12, 31), "72", "REF2", Decimal("-50.00")),
    ]


def test_4010_is_read_alike() -> None:
    body = REMITTANCE.replace("LQ*HE*N130~", "")
    new = read(interchange(body, kind="835", version="005010X221A1"), file="f")
    old = read(interchange(body, kind="835", version="004010X091A1", delimiters="*U:~"), file="f", mode="strict")
    assert old.findings == []
    for name in ("835.claims", "835.service_lines", "835.adjustments", "835.provider_adjustments"):
        assert old.tables[name].equals(new.tables[name]), name


def test_cas_with_more_trios_than_the_guide_loses_no_amount() -> None:
    cas = "CAS*CO" + "".join(f"*{n}*{n}.25*" for n in range(1, 9))
    body = f"BPR*I*0*C*NON************20260105~LX*1~CLP*A*1*100*0~{cas}~"
    rows = read(interchange(body, kind="835", version="005010X221A1")).tables["835.adjustments"].to_pylist()
    assert [(r["reason"], r["amount"]) for r in rows] == [(str(n), Decimal(f"{n}.25")) for n in range(1, 9)]


@pytest.mark.parametrize(
    ("wire", "value"),
    [("1E5", None), ("NaN", None), ("12.345", None), ("1,000", None), ("+5", None), ("12345678901234567.00", None),
     ("-0", Decimal(0)), ("1234567890123456.78", Decimal("1234567890123456.78")), (".5", Decimal("0.5")), ("7.10", Decimal("7.1"))],
)  # fmt: skip
@pytest.mark.parametrize("mode", ["lenient", "strict"])
def test_amounts_are_exact_or_null_with_a_finding_at_their_place(wire: str, value: Decimal | None, mode: str) -> None:
    data = remittance().replace(b"CLP*ACC2*22*-30.55*", f"CLP*ACC2*22*{wire}*".encode())
    result = read(data, file="f", mode=mode)  # type: ignore[arg-type]
    assert result.tables["835.claims"]["charge"].to_pylist() == [Decimal("200.00"), value]
    expected = [] if value is not None else [("amount.form", "error", 44, "CLP", 3, data.index(b"CLP*ACC2") + 12)]
    assert [(f.rule, f.severity, f.segment, f.segment_id, f.element, f.offset) for f in result.findings] == expected
    assert not [f for f in result.findings if wire in f.message]


def test_bad_amounts_in_repeated_places_name_their_element() -> None:
    data = remittance().replace(b"*10**2*10*1.5~", b"*10**2*1O*1.5~").replace(b"72:REF2*-50", b"72:REF2*-5E1")
    found = read(data, file="f").findings
    assert [(f.segment_id, f.element) for f in found] == [("CAS", 6), ("PLB", 6)]


def test_units_may_have_more_than_two_places() -> None:
    data = remittance().replace(b"**2*HC:99214", b"**2.125*HC:99214")
    result = read(data)
    assert result.findings == []
    assert result.tables["835.service_lines"]["units"].to_pylist()[0] == Decimal("2.1250")


def test_units_that_cannot_be_kept_are_null_and_not_one() -> None:
    result = read(remittance().replace(b"**2*HC:99214", b"**2.12345*HC:99214"))
    assert result.tables["835.service_lines"]["units"].to_pylist()[0] is None
    assert [f.rule for f in result.findings] == ["quantity.form"]


def test_dates_that_are_none_are_null_with_a_finding() -> None:
    result = read(remittance().replace(b"DTM*232*20251101", b"DTM*232*20251131").replace(b"*20260107~", b"*2026017~"))
    assert result.tables["835.claims"]["statement_from"].to_pylist()[0] is None
    assert result.tables["835.payments"]["payment_date"].to_pylist() == [None]
    assert [(f.rule, f.segment_id, f.element) for f in result.findings] == [
        ("date.form", "BPR", 16),
        ("date.form", "DTM", 2),
    ]


def test_lines_and_reasons_outside_a_claim_are_errors_and_not_rows() -> None:
    body = "BPR*I*0*C*NON************20260105~SVC*HC:99213*1*1~CAS*CO*45*1~LX*1~CLP*A*1*0*0~"
    result = read(interchange(body, kind="835", version="005010X221A1"))
    assert [(f.rule, f.segment_id) for f in result.findings] == [
        ("structure.outside_claim", "SVC"),
        ("structure.outside_claim", "CAS"),
    ]
    assert result.tables["835.service_lines"].num_rows == 0
    assert result.tables["835.adjustments"].num_rows == 0


def test_line_numbers_start_again_in_each_claim_and_set() -> None:
    body = (
        "BPR*I*0*C*NON************20260105~LX*1~"
        + "CLP*A*1*0*0~SVC*HC:1*0*0~SVC*HC:2*0*0~CLP*B*1*0*0~CLP*C*1*0*0~SVC*HC:3*0*0~"
    )
    rows = read(interchange(body, body, kind="835", version="005010X221A1")).tables["835.service_lines"].to_pylist()
    places = [only(r, "set_number", "claim_number", "line_number", "claim_id", "procedure") for r in rows]
    assert places == [(s, *p) for s in (1, 2) for p in ((1, 1, "A", "1"), (1, 2, "A", "2"), (3, 1, "C", "3"))]


def _envelope(body: str) -> bytes:
    return f"{isa()}~GS*HP*A*B*20260105*0830*1*X*005010X221A1~{body}".encode()


def _paid(header: str) -> dict[str, object]:
    data = _envelope(f"ST*835*0001~{header}LX*1~CLP*A*1*1*1~")
    (row,) = read(data).tables["835.payments"].to_pylist()
    return {column: value for column, value in row.items() if value is not None}


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("N1*PR*P~REF*2U*~REF*2U*77~REF*2U*88~", {"payer_name": "P", "payer_id": "77"}),  # the first that says one
        ("N1*PR*P*XV*55~REF*2U*77~", {"payer_name": "P", "payer_id": "55"}),
        ("REF*2U*66~N1*PR*P~", {"payer_name": "P"}),  # before the payer it is not the payer's
        ("N1*PR*P~N1*PE*Q~REF*2U*77~REF*TJ*9~", {"payer_name": "P", "payee_name": "Q", "payee_tin": "9"}),
        ("N1*PR*P*XV*1~REF*2U*77~N1*PR*R~REF*2U*78~", {"payer_name": "R", "payer_id": "78"}),  # the last N1 counts
        ("REF*EV*A~REF*EV*B~N1*PR*P~REF*EV*C~", {"receiver_id": "B", "payer_name": "P"}),
        ("N1**X~REF*EV*C~REF*TJ*9~", {"receiver_id": "C"}),
        ("TRN*1*A*B*C~TRN*1*D~DTM*405*20260105~DTM*405*20260106~DTM*404*20260107~",
         {"trace": "D", "production_date": date(2026, 1, 6)}),
        ("BPR*I*1*C*CHK~BPR*H*-2.50*D*ACH************20260108~",
         {"handling": "H", "amount": Decimal("-2.50"), "credit_debit": "D", "method": "ACH", "payment_date": date(2026, 1, 8)}),
        ("PLB*1*20261231*WO*5~N1*PR*P~", {}),  # what ends the header ends it
        ("~~N1*PR*P~", {"payer_name": "P"}),  # an empty segment does not
        ("PER*CX*A~" * 70 + "N1*PR*P~", {"payer_name": "P"}),
    ],
)  # fmt: skip
def test_what_of_a_header_is_the_payments(header: str, expected: dict[str, object]) -> None:
    always = {"file", "set_number", "segment", "interchange_control", "group_control", "set_control", "version"}
    assert {c: v for c, v in _paid(header).items() if c not in always} == expected


def test_each_set_of_many_has_its_own_header() -> None:
    """A party of one set is none of the next, and a header that says nothing leaves its row empty."""
    sets = ["N1*PR*P1*XV*1~", "", "REF*EV*R~REF*2U*77~REF*TJ*9~", "N1*PE*Q~", "REF*TJ*8~N1*PR*P5~REF*2U*5~"]
    body = "".join(f"ST*835*{n}~{header}CLP*A{n}*1*1*1~SE*1*{n}~" for n, header in enumerate(sets, 1))
    rows = read(_envelope(body)).tables["835.payments"].to_pylist()
    columns = ("set_control", "receiver_id", "payer_name", "payer_id", "payee_name", "payee_tin")
    assert [tuple(row[c] for c in columns) for row in rows] == [
        ("1", None, "P1", "1", None, None), ("2", None, None, None, None, None), ("3", "R", None, None, None, None),
        ("4", None, None, None, "Q", None), ("5", None, "P5", "5", None, None),
    ]  # fmt: skip
