from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import Terminal
from pipeline.money import parse_cents
from pipeline.transactions.remittance_835_writer import (
    Adjustment,
    BankAccount,
    ClaimPayment,
    Organisation,
    Person,
    ProviderAdjustment,
    Remittance,
    ServicePayment,
    amount,
    imbalances,
    write,
)
from pipeline.x12.validator import validate
from pipeline.x12.writer import Envelope

LINE = ServicePayment(
    procedure=("HC", "99213", "25"),
    charge_cents=12000,
    paid_cents=7950,
    adjustments=(
        Adjustment(group="PR", reason="2", cents=1550),
        Adjustment(group="CO", reason="45", cents=2500),
    ),
    units="2",
    service_from=date(2026, 11, 2),
    service_to=date(2026, 11, 2),
    line_control_number="L1",
    allowed_cents=9500,
    remarks=("N115",),
)
CLAIM = ClaimPayment(
    claim_id="C1",
    status="1",
    charge_cents=12000,
    paid_cents=7950,
    patient_cents=1550,
    filing_indicator="MB",
    payer_claim_number="P1",
    patient=Person(last="DOE", first="JANE", id_qualifier="MI", id="1EG4TE5MK73"),
    facility_code="11",
    frequency="1",
    remarks=("MA130",),
    received_date=date(2026, 11, 20),
    lines=(LINE,),
)
REMITTANCE = Remittance(
    set_control="0001",
    amount_cents=7950,
    payment_date=date(2026, 11, 30),
    production_date=date(2026, 11, 27),
    trace="T1",
    origin="1520000001",
    payer=Organisation(name="MEDICARE", address1="1 A ST", city="BOSTON", state="MA", zip="02110"),
    payee=Organisation(name="CLINIC", id_qualifier="XX", id="1234567893", tax_id="123456789"),
    from_account=BankAccount(routing="011900254", number="1"),
    to_account=BankAccount(routing="011900377", number="2"),
    claims=(CLAIM,),
)
ENVELOPE = Envelope(
    sender_qualifier="ZZ", sender_id="PAYER", receiver_qualifier="ZZ", receiver_id="CLINIC", group_sender="PAYER",
    group_receiver="CLINIC", on=date(2026, 11, 27), time="0200", interchange_control=1, group_control=1, functional_id="HP",
    version="005010X221A1", usage="T",
)  # fmt: skip


def lines(data: bytes) -> list[str]:
    return data.decode().rstrip("~").split("~")


def test_a_remittance_word_for_word() -> None:
    assert lines(write(ENVELOPE, [REMITTANCE]))[2:-2] == [
        "ST*835*0001",
        "BPR*I*79.5*C*ACH*CCP*01*011900254*DA*1*1520000001**01*011900377*DA*2*20261130",
        "TRN*1*T1*1520000001",
        "DTM*405*20261127",
        "N1*PR*MEDICARE",
        "N3*1 A ST",
        "N4*BOSTON*MA*02110",
        "PER*BL*EDI SUPPORT*TE*8005550100",
        "N1*PE*CLINIC*XX*1234567893",
        "REF*TJ*123456789",
        "LX*1",
        "CLP*C1*1*120*79.5*15.5*MB*P1*11*1",
        "NM1*QC*1*DOE*JANE****MI*1EG4TE5MK73",
        "MOA***MA130",
        "DTM*050*20261120",
        "SVC*HC:99213:25*120*79.5**2",
        "DTM*472*20261102",
        "CAS*CO*45*25",
        "CAS*PR*2*15.5",
        "REF*6R*L1",
        "AMT*B6*95",
        "LQ*HE*N115",
        "SE*23*0001",
    ]


def test_it_passes_the_validator() -> None:
    assert validate(write(ENVELOPE, [REMITTANCE])) == []


def test_the_next_payer_is_named_where_the_claim_goes_on() -> None:
    to = Person(entity_type="2", last="NEXT PLAN", id_qualifier="PI", id="NEXT1")
    remittance = replace(REMITTANCE, claims=(replace(CLAIM, status="19", next_payer=to),))
    data = write(ENVELOPE, [remittance])
    assert lines(data)[14:16] == ["NM1*QC*1*DOE*JANE****MI*1EG4TE5MK73", "NM1*TT*2*NEXT PLAN*****PI*NEXT1"]
    assert validate(data) == []


def test_no_money_no_bank() -> None:
    denied = replace(
        LINE, paid_cents=0, adjustments=(Adjustment(group="CO", reason="197", cents=12000),), allowed_cents=None
    )
    claim = replace(CLAIM, paid_cents=0, patient_cents=0, lines=(denied,))
    text = lines(write(ENVELOPE, [replace(REMITTANCE, amount_cents=0, claims=(claim,))]))
    assert "BPR*H*0*C*NON************20261130" in text
    assert "CLP*C1*1*120*0**MB*P1*11*1" in text


def test_seven_reasons_of_a_group_take_two_segments() -> None:
    reasons = tuple(Adjustment(group="CO", reason=str(n), cents=n * 100) for n in range(1, 8))
    line = replace(LINE, paid_cents=12000 - 2800, adjustments=reasons)
    claim = replace(CLAIM, paid_cents=9200, patient_cents=0, lines=(line,))
    text = lines(write(ENVELOPE, [replace(REMITTANCE, amount_cents=9200, claims=(claim,))]))
    assert [s for s in text if s.startswith("CAS")] == ["CAS*CO*1*1**2*2**3*3**4*4**5*5**6*6", "CAS*CO*7*7"]


def test_provider_adjustments_share_a_segment_and_reduce_the_payment() -> None:
    plb = tuple(
        ProviderAdjustment(
            provider_id="1234567893", fiscal_date=date(2026, 12, 31), reason=reason, reference="R", cents=cents
        )
        for reason, cents in (("L6", -125), ("WO", 1000), ("72", -1000))
    )
    text = lines(write(ENVELOPE, [replace(REMITTANCE, amount_cents=8075, provider_adjustments=plb)]))
    assert "PLB*1234567893*20261231*L6:R*-1.25*WO:R*10*72:R*-10" in text


def test_a_reversal_states_no_patient_share() -> None:
    line = replace(
        LINE, charge_cents=-12000, paid_cents=-7950, adjustments=tuple(replace(a, cents=-a.cents) for a in LINE.adjustments)
    )  # fmt: skip
    back = replace(CLAIM, status="22", charge_cents=-12000, paid_cents=-7950, patient_cents=-1550, lines=(line,))
    text = lines(write(ENVELOPE, [replace(REMITTANCE, amount_cents=0, claims=(back, CLAIM))]))
    assert "CLP*C1*22*-120*-79.5**MB*P1*11*1" in text
    assert "CAS*PR*2*-15.5" in text


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        (replace(REMITTANCE, amount_cents=7951), "sum of CLP04"),
        (replace(REMITTANCE, claims=(replace(CLAIM, paid_cents=7951),), amount_cents=7951), "CLP 1: CLP03"),
        (
            replace(REMITTANCE, claims=(replace(CLAIM, lines=(replace(LINE, paid_cents=7951),)),)),
            "CLP 1, SVC 1: SVC02",
        ),
        (
            replace(
                REMITTANCE,
                amount_cents=-100,
                provider_adjustments=(
                    ProviderAdjustment(
                        provider_id="1", fiscal_date=date(2026, 12, 31), reason="WO", reference="R", cents=8050
                    ),
                ),
            ),
            "BPR02 is negative",
        ),
    ],
)
def test_what_does_not_balance_is_refused_and_located(wrong: Remittance, where: str) -> None:
    assert len(imbalances(wrong)) == 1
    with pytest.raises(ValueError, match=where):
        write(ENVELOPE, [wrong])
    assert write(ENVELOPE, [wrong], balanced=False) != write(ENVELOPE, [REMITTANCE])


def test_a_delimiter_in_a_name_never_gets_out() -> None:
    claim = replace(CLAIM, patient=Person(last="DOE*JANE"))
    with pytest.raises(Terminal) as raised:
        write(ENVELOPE, [replace(REMITTANCE, claims=(claim,))])
    assert "DOE" not in str(raised.value)


@given(st.integers(-(10**15), 10**15))
def test_amounts_are_exact_and_short(cents: int) -> None:
    text = amount(cents)
    assert parse_cents(text) == cents
    assert not (("." in text) and text.endswith(("0", ".")))
