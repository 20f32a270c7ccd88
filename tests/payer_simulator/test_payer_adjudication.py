from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from payer_simulator.claims_837 import file_837, many

from pipeline.bank_days import bank_days_between, is_bank_day
from pipeline.errors import Terminal
from pipeline.payer_simulator.adjudication import (
    Crossover,
    Decision,
    Outcome,
    Rejection,
    Step,
    Table,
    decide,
    load_table,
    reversal,
)
from pipeline.payer_simulator.payments import pay, payment_dates
from pipeline.payer_simulator.submissions import Submission, SubmittedClaim, read_submission
from pipeline.payers import PayerProfile, load_profiles
from pipeline.shapes import schemas_dir
from pipeline.transactions.remittance_835_writer import ClaimPayment, imbalances

TABLE = load_table()
ON = date(2026, 11, 20)


@pytest.fixture(scope="module")
def medicare() -> PayerProfile:
    return load_profiles()["medicare"]


def only(*outcomes: Outcome, **changes: object) -> Table:
    """The table with these outcomes alone."""
    return TABLE.model_copy(update={"outcomes": outcomes, **changes})


def decisions(submission: Submission, table: Table, profile: PayerProfile, seed: int = 27) -> list[Decision]:
    return [
        decide(c, table=table, profile=profile, seed=seed, on=ON, known=False,
               interchange_control=submission.interchange_control)
        for c in submission.claims
    ]  # fmt: skip


def claim(charges: list[int] | None = None, **header: object) -> SubmittedClaim:
    return read_submission(file_837([("C1", charges or [100, 45])], **header)).claims[0]  # type: ignore[arg-type]


def test_a_submission_is_read_as_it_stands() -> None:
    s = read_submission(file_837([("C1", [100, 45]), ("C2", [60])], control=12, sets=2))
    assert (s.interchange_control, s.on, s.acknowledgment_requested) == ("000000012", ON, True)
    assert [(x.control, x.batch_reference) for x in s.sets] == [("0001", "0000000121"), ("0002", "0000000122")]
    first, second = s.claims
    assert (first.set_index, second.set_index) == (0, 1)
    assert (first.claim_id, first.charge_cents, first.facility_code, first.frequency) == ("C1", 14500, "11", "1")
    assert (first.billing.npi, first.billing.tax_id, first.billing.zip) == ("1234567893", "123456789", "021100001")
    assert (first.subscriber.last, first.subscriber.id) == ("DOE", "1EG4TE5MK73")
    assert first.rendering is not None
    assert first.rendering.id == "1679576722"
    assert [(line.procedure, line.charge_cents, line.control_number) for line in first.lines] == [
        (("HC", "99213"), 10000, "C1L1"),
        (("HC", "99214"), 4500, "C1L2"),
    ]
    assert first.first_service == date(2026, 11, 2)


def test_what_stands_in_another_payers_loop_is_not_taken_for_the_claims() -> None:
    text = file_837([("C1", [100])]).decode()
    other = "SBR*S*18*******CI~OI***Y***Y~NM1*IL*1*ROE*RICHARD****MI*OTHER~NM1*PR*2*OTHER PAYER*****PI*99999~REF*F8*OTHERREF~"
    s = read_submission(text.replace("LX*1~", other + "LX*1~").encode())
    assert (s.claims[0].subscriber.last, s.claims[0].payer_id, s.claims[0].original_reference) == (
        "DOE",
        "MEDICARE1",
        "",
    )


_MEDIGAP = "SBR*S*18*******CI~OI***Y***Y~NM1*IL*1*ROE*RICHARD****MI*H1~NM1*PR*2*NEXT PLAN*****PI*NEXT1~"


def with_other_payer(other: str, *, lines: dict[str, str] | None = None, responsibility: str = "P") -> bytes:
    """One claim of 100 and 45 with another payer's loop, and what stands behind some of its lines."""
    text = file_837([("C1", [100, 45])]).decode().replace("SBR*P*18", f"SBR*{responsibility}*18", 1)
    text = text.replace("LX*1~", other + "LX*1~")
    for control, decided in (lines or {}).items():
        text = text.replace(f"REF*6R*{control}~", f"REF*6R*{control}~{decided}")
    return text.encode()


def test_what_earlier_payers_settled_is_read_by_line_or_by_claim() -> None:
    first = "SBR*P*18*******MB~{}OI***Y***Y~NM1*IL*1*ROE*RICHARD****MI*M1~NM1*PR*2*FIRST PLAN*****PI*FIRST1~"
    by_line = with_other_payer(
        first.format("AMT*D*70~"), responsibility="S",
        lines={"C1L1": "SVD*FIRST1*60*HC:99213**1~CAS*CO*45*20*1*253*1.5~CAS*PR*2*18.5~", "C1L2": "SVD*FIRST1*10*HC:99214**1~CAS*PR*2*35~"},
    )  # fmt: skip
    assert read_submission(by_line).claims[0].settled == [8150, 1000]
    by_claim = with_other_payer(first.format("CAS*CO*45*30~CAS*PR*2*10~AMT*D*105~"), responsibility="S")
    assert read_submission(by_claim).claims[0].settled == [10000, 3500]
    assert claim().settled == [0, 0]


def test_a_later_payer_looks_at_what_is_left(medicare: PayerProfile) -> None:
    other = "SBR*P*18*******CI~AMT*D*80~OI***Y***Y~NM1*IL*1*ROE*RICHARD****MI*M1~NM1*PR*2*FIRST PLAN*****PI*FIRST1~"
    data = with_other_payer(
        other, responsibility="S", lines={"C1L1": "SVD*FIRST1*80*HC:99213**1~CAS*PR*2*20~", "C1L2": "SVD*FIRST1*0*HC:99214**1~CAS*PR*1*45~"}
    )  # fmt: skip
    steps = (Step(group="PR", reason="2", percent=(10, 10)),)
    payment = decisions(read_submission(data), only(Outcome(name="x", weight=1, adjust=steps)), medicare)[0].payment
    assert payment is not None
    assert (payment.status, payment.paid_cents, payment.patient_cents) == ("2", 1800 + 4050, 200 + 450)
    assert [[(a.group, a.reason, a.cents) for a in line.adjustments] for line in payment.lines] == [
        [("OA", "23", 8000), ("PR", "2", 200)],
        [("PR", "2", 450)],
    ]
    assert [line.allowed_cents for line in payment.lines] == [None, 4500]


def test_a_claim_goes_on_to_the_next_payer(medicare: PayerProfile) -> None:
    shared, whole = (
        (Step(group="PR", reason="2", percent=(20, 20)),),
        (Step(group="CO", reason="45", percent=(20, 20)),),
    )
    always = Crossover(permille=1000, filing_indicators=("MB",))

    def paid(data: bytes, steps: tuple[Step, ...], crossover: Crossover = always) -> ClaimPayment:
        table = only(Outcome(name="x", weight=1, adjust=steps, correct=whole), crossover=crossover)
        payment = decisions(read_submission(data), table, medicare)[0].payment
        assert payment is not None
        return payment

    sent_on = paid(with_other_payer(_MEDIGAP), shared)
    assert sent_on.status == "19"
    assert sent_on.next_payer is not None
    assert (sent_on.next_payer.last, sent_on.next_payer.id) == ("NEXT PLAN", "NEXT1")
    taken_back = reversal(sent_on)
    assert (taken_back.status, taken_back.next_payer) == ("22", None)
    for stays in (
        paid(with_other_payer(_MEDIGAP), whole),  # nothing is left to the patient
        paid(file_837([("C1", [100, 45])]), shared),  # no next payer
        paid(with_other_payer(_MEDIGAP), shared, Crossover(permille=0, filing_indicators=("MB",))),
        paid(with_other_payer(_MEDIGAP), shared, Crossover(permille=1000, filing_indicators=("MA",))),
    ):
        assert (stays.status, stays.next_payer) == ("1", None)


def test_the_shipped_table_draws_every_outcome_in_its_share(medicare: PayerProfile) -> None:
    submission = read_submission(file_837(many(20000)))
    seen = Counter(d.outcome for d in decisions(submission, TABLE, medicare))
    total = sum(o.weight for o in TABLE.outcomes)
    for outcome in TABLE.outcomes:
        assert (seen[outcome.name] > 0) is (outcome.weight > 0), outcome.name
        if outcome.least_lines == 1:
            assert seen[outcome.name] == pytest.approx(20000 * outcome.weight / total, rel=0.35, abs=30)


def test_the_same_claim_meets_the_same_fate_whatever_its_neighbours(medicare: PayerProfile) -> None:
    together = decisions(read_submission(file_837(many(50))), TABLE, medicare)
    alone = decisions(read_submission(file_837(many(50)[20:21])), TABLE, medicare)[0]
    assert alone.outcome == together[20].outcome
    assert alone.payment is None or alone.payment.paid_cents == together[20].payment.paid_cents  # type: ignore[union-attr]
    other_seed = decisions(read_submission(file_837(many(50))), TABLE, medicare, seed=28)
    assert [d.outcome for d in other_seed] != [d.outcome for d in together]


@given(st.lists(st.integers(0, 900), min_size=1, max_size=8), st.integers(0, 10**6))
def test_every_payment_and_its_reversal_balance(charges: list[int], seed: int) -> None:
    medicare = load_profiles()["medicare"]
    for outcome in TABLE.outcomes:
        if outcome.reject or outcome.least_lines > len(charges):
            continue
        one = claim(charges)
        decided = decide(
            one, table=only(outcome.model_copy(update={"weight": 1})), profile=medicare, seed=seed, on=ON, known=False,
            interchange_control="000000001",
        )  # fmt: skip
        for payment in (decided.payment, decided.correction):
            if payment is None:
                continue
            assert 0 <= payment.paid_cents <= payment.charge_cents == sum(charges) * 100
            for told in (payment, reversal(payment)):
                balance = sum(a.cents for a in told.adjustments)
                for line in told.lines:
                    of_line = sum(a.cents for a in line.adjustments)
                    assert line.charge_cents - of_line == line.paid_cents
                    balance += of_line
                assert told.charge_cents - balance == told.paid_cents


def test_steps_take_from_what_is_left(medicare: PayerProfile) -> None:
    steps = (
        Step(group="CO", reason="45", percent=(20, 20)),
        Step(group="PR", reason="1", cents=(3000, 3000)),
        Step(group="PR", reason="2", percent=(10, 10)),
    )
    payment = decisions(read_submission(file_837([("C1", [100, 50])])), only(Outcome(name="x", weight=1, adjust=steps)), medicare)[0].payment  # fmt: skip
    assert payment is not None
    assert [[(a.group, a.reason, a.cents) for a in line.adjustments] for line in payment.lines] == [
        [("CO", "45", 2000), ("PR", "1", 3000), ("PR", "2", 500)],
        [("CO", "45", 1000), ("PR", "2", 400)],
    ]
    assert (payment.paid_cents, payment.patient_cents) == (4500 + 3600, 3900)
    assert [line.allowed_cents for line in payment.lines] == [8000, 4000]


def test_a_denial_at_claim_level_has_no_lines(medicare: PayerProfile) -> None:
    outcome = TABLE.outcome("denied: coverage ended").model_copy(update={"weight": 1})
    payment = decisions(read_submission(file_837([("C1", [100, 50])])), only(outcome), medicare)[0].payment
    assert payment is not None
    assert payment.lines == ()
    assert [(a.group, a.reason, a.cents) for a in payment.adjustments] == [("CO", "27", 15000)]
    assert (payment.statement_from, payment.coverage_expiration) == (date(2026, 11, 2), date(2026, 11, 1))


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ({"payer_id": "OTHER"}, TABLE.rules.other_payer),
        ({"member": "123"}, TABLE.rules.member_id),
    ],
)
def test_the_content_itself_is_refused(header: dict[str, str], expected: Rejection, medicare: PayerProfile) -> None:
    profile = medicare.model_copy(update={"claims": medicare.claims.model_copy(update={"member_id_pattern": ".{11}"})})
    d = decide(claim(**header), table=TABLE, profile=profile, seed=1, on=ON, interchange_control="1", known=False)
    assert (d.rejection, d.payment) == (expected, None)


def test_a_claim_number_that_was_accepted_before_is_refused(medicare: PayerProfile) -> None:
    d = decide(claim(), table=TABLE, profile=medicare, seed=1, on=ON, interchange_control="1", known=True)
    assert d.rejection == TABLE.rules.duplicate


def test_lines_that_do_not_add_up_are_refused(medicare: PayerProfile) -> None:
    wrong = replace(claim(), charge_cents=14499)
    d = decide(wrong, table=TABLE, profile=medicare, seed=1, on=ON, interchange_control="1", known=False)
    assert d.rejection == TABLE.rules.charges


def test_a_claim_filed_late_is_denied_from_the_first_day_beyond_the_limit_where_the_table_says_so(
    medicare: PayerProfile,
) -> None:
    paid = TABLE.outcome("paid in full").model_copy(update={"weight": 1})
    late = TABLE.outcome("denied: filed late").model_copy(update={"weight": 0})
    rules = TABLE.rules.model_copy(update={"filed_late": "denied: filed late"})
    strict = TABLE.model_copy(update={"outcomes": (paid, late), "rules": rules})
    mild = TABLE.model_copy(update={"outcomes": (paid, late)})
    for table, service, expected in (
        (strict, "20251120", "paid in full"),
        (strict, "20251119", "denied: filed late"),
        (mild, "20001119", "paid in full"),
    ):
        d = decide(
            claim(service=service), table=table, profile=medicare, seed=1, on=ON, interchange_control="1", known=False
        )
        assert d.outcome == expected


# --- payments ---------------------------------------------------------------------------------------------------------


def test_payment_dates_are_bank_days_in_their_windows() -> None:
    for control in range(1, 200):
        days = payment_dates(TABLE, 27, "medicare", f"{control:09d}", date(2026, 11, 25))
        assert all(is_bank_day(d) for d in days)
        counted = [bank_days_between(date(2026, 11, 25), d) for d in days]
        for n, (low, high) in zip(counted, (TABLE.dates.first_payment, TABLE.dates.second_payment, TABLE.dates.third_payment), strict=True):  # fmt: skip
            assert low <= n <= high


@pytest.mark.parametrize("name", [o.name for o in TABLE.outcomes if o.correct])
@pytest.mark.parametrize("together", [0, 1000])
@pytest.mark.parametrize("recoup", [0, 1000])
def test_reversals_leave_the_correction_and_no_open_balance(
    name: str, together: int, recoup: int, medicare: PayerProfile
) -> None:
    """Original, reversal and correction: whatever the order of dates, the payee ends with the correction's amount."""
    table = only(
        TABLE.outcome(name).model_copy(update={"weight": 1}),
        reversals=TABLE.reversals.model_copy(update={"same_remittance_permille": together, "recoup_permille": recoup}),
        provider_adjustments=(),
    )
    data = file_837(many(3))
    s = read_submission(data)
    made = [
        r
        for day in pay(s, decisions(s, table, medicare), table=table, profile=medicare, seed=27)
        for r in day.remittances
    ]
    assert all(imbalances(r) == [] for r in made)
    received = sum(r.amount_cents for r in made)
    told = [c for r in made for c in r.claims]
    assert received == sum(c.paid_cents for c in told)  # every PLB came back to nothing
    by_reason: Counter[tuple[str, str]] = Counter()
    for r in made:
        for p in r.provider_adjustments:
            by_reason[(p.reason, p.reference)] += p.cents
    assert set(by_reason.values()) <= {0}
    reversed_ids = {c.claim_id for c in told if c.status == "22"}
    corrected = {c.claim_id for c in told if c.original_reference}
    assert reversed_ids == corrected
    for claim_id in reversed_ids:
        own = [c for c in told if c.claim_id == claim_id]
        assert [c.status for c in own] == ["1", "22", "1"]
        assert sum(c.paid_cents for c in own) == own[-1].paid_cents
    if name == "reversed: too little was paid":
        assert len(reversed_ids) == 3  # the money is always there
        if not together:
            reasons = {p.reason for r in made for p in r.provider_adjustments}
            assert reasons == ({"WO"} if recoup else {"FB"})


def test_provider_adjustments_come_with_their_pair(medicare: PayerProfile) -> None:
    steps = tuple(p.model_copy(update={"permille": 1000}) for p in TABLE.provider_adjustments)
    table = only(TABLE.outcome("paid in full").model_copy(update={"weight": 1}), provider_adjustments=steps)
    s = read_submission(file_837(many(40)))
    days = pay(s, decisions(s, table, medicare), table=table, profile=medicare, seed=27)
    assert len(days) == 2
    for day in days:
        (r,) = day.remittances
        assert imbalances(r) == []
        cents = {p.reason: p.cents for p in r.provider_adjustments}
        assert set(cents) == {"L6", "WO", "72"}
        assert cents["L6"] < 0 < cents["WO"] == -cents["72"]
        numbers = {c.payer_claim_number for c in r.claims}
        assert all(p.reference in numbers for p in r.provider_adjustments)


def test_each_payee_has_a_remittance_of_its_own(medicare: PayerProfile) -> None:
    text = file_837(many(40), sets=2).decode()
    head, _, tail = text.partition("ST*837*0002")
    two = (head + "ST*837*0002" + tail.replace("1234567893", "1679576722").replace("123456789~", "987654321~")).encode()
    table = only(TABLE.outcome("paid in full").model_copy(update={"weight": 1}))
    s = read_submission(two)
    days = pay(s, decisions(s, table, medicare), table=table, profile=medicare, seed=27)
    traces = [r.trace for day in days for r in day.remittances]
    assert len(set(traces)) == len(traces) == 4
    for day in days:
        first, second = day.remittances
        assert [first.set_control, second.set_control] == ["0001", "0002"]
        assert [first.payee.id, second.payee.id] == ["1234567893", "1679576722"]
        assert first.to_account != second.to_account
        assert first.from_account == second.from_account


# --- the table as data ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("weight = 150", "weight = -1"), "outcomes.0.weight"),
        (('group = "CO", reason = "45", percent = [12, 55]', 'group = "XX", reason = "45"'), "group"),
        (('filed_late = ""', 'filed_late = "no such"'), "filed_late"),
        (("[dates]", "[dates"), "not TOML"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(change: tuple[str, str], message: str, tmp_path: Path) -> None:
    text = (schemas_dir() / "payer_box" / "adjudication.toml").read_text()
    assert change[0] in text
    path = tmp_path / "adjudication.toml"
    path.write_text(text.replace(*change, 1))
    with pytest.raises(Terminal, match=message):
        load_table(path)
