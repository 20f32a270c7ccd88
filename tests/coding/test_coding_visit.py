"""What becomes of one visit."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from pipeline.coding import rules as tables
from pipeline.coding.visit import Coded, Diagnosis, ForCoder, NotBillable, Outcome, Service, Visit, code_visit

RULES = tables.load()
SYMPTOM, WELLNESS, CHECK_UP, VACCINATION = "185345009", "162673000", "185349003", "33879002"
BRONCHITIS, SINUSITIS_VIRAL, STRESS, EMPLOYED, RIB = "10509002", "444814009", "73595000", "160903007", "33737001"


def diagnosis(code: str, rank: int = 1, system: str = "SNOMED") -> Diagnosis:
    return Diagnosis(rank, system, code, f"conditions.csv row {rank} column CODE")


def service(line: int, code: str, kind: str = "procedure", system: str = "SNOMED", **changes: Any) -> Service:
    values: dict[str, Any] = {
        "modifiers": (None, None, None, None), "units": Decimal(1), "charge": 10_000, "service_date": date(2023, 3, 1),
        "pointers": "", "minutes": None, "source": f"services.csv row {line}", "index": line - 1,
    }  # fmt: skip
    return Service(line, kind, system, code, **(values | changes))


def visit(services: Iterable[Service], diagnoses: Iterable[str | Diagnosis] = (), **changes: Any) -> Visit:
    listed = list(services)
    day = changes.get("service_from", date(2023, 3, 1))
    for item in listed:
        if item.service_date == date(2023, 3, 1):
            item.service_date = day
    status = changes.pop("status", "established")
    values: dict[str, Any] = {
        "claim_type": "professional", "service_from": day, "service_to": day, "minutes": 15, "visit_class": "ambulatory",
        "visit_system": "SNOMED", "visit_code": listed[0].code if listed else "", "place_of_service": "",
        "charge": sum(s.charge or 0 for s in listed), "payer_source": "Aetna", "payer_kind": "other",
        "birth_date": date(1980, 6, 1), "sex": "F",
        "diagnoses": [d if isinstance(d, Diagnosis) else diagnosis(d, n) for n, d in enumerate(diagnoses, 1)],
        "services": listed, "patient_status": lambda: status,
    }  # fmt: skip
    return Visit("P1:E1", **(values | changes))


def code(given: Visit, *, by_time: bool = True) -> Outcome:
    return code_visit(given, RULES, minutes_are_practitioner_time=by_time)


def coded(given: Visit) -> Coded:
    outcome = code(given)
    assert isinstance(outcome, Coded), outcome
    return outcome


def causes(given: Visit, *, by_time: bool = True) -> list[str]:
    outcome = code(given, by_time=by_time)
    assert isinstance(outcome, ForCoder), outcome
    return [cause.code for cause in outcome.causes]


def lines(outcome: Coded) -> list[tuple[Any, ...]]:
    return [(line.procedure, *[m for m in line.modifiers if m]) for line in outcome.lines]


def office(*diagnoses: str | Diagnosis, **changes: Any) -> Visit:
    return visit([service(1, SYMPTOM, "visit")], diagnoses, **changes)


def wellness(*more: Service, diagnoses: Iterable[str] = (), **changes: Any) -> Visit:
    return visit([service(1, WELLNESS, "visit"), *more], diagnoses, **({"visit_class": "wellness"} | changes))


# --- office visits


@pytest.mark.parametrize(
    ("status", "minutes", "expected"),
    [("established", 15, "99212"), ("new", 15, "99202"), ("established", 25, "99213")],
)
def test_an_office_visit_by_time(status: str, minutes: int, expected: str):
    outcome = coded(office(BRONCHITIS, status=status, minutes=minutes))
    assert lines(outcome) == [(expected,)]
    assert [d.code for d in outcome.diagnoses] == ["J209"]
    assert outcome.lines[0].pointers == [1]
    assert (outcome.place_of_service, outcome.billed, outcome.unbilled, outcome.priced) == ("11", 10_000, 0, 0)


def test_every_billed_code_cites_its_source_rule_and_version():
    outcome = coded(office(BRONCHITIS))
    (line,), (stated,) = outcome.lines, outcome.diagnoses
    assert (line.rule_id, line.version, line.service.source) == ("level-99212", "2026.1", "services.csv row 1")
    assert (stated.rule_id, stated.version, stated.source) == (
        "sct-10509002", "2026.1", "conditions.csv row 1 column CODE",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "by_time", "cause"),
    [
        ({"service_from": date(2020, 12, 31)}, True, "visit:office"),
        ({"minutes": None}, True, "visit:office"),
        ({"minutes": 9}, True, "visit:office"),
        ({"minutes": 55}, True, "visit:office"),
        ({}, False, "visit:office"),
        ({"status": ""}, True, "new-or-established"),
    ],
)
def test_an_office_visit_whose_level_is_not_certain_goes_to_a_coder(changes: dict[str, Any], by_time: bool, cause: str):
    assert causes(office(BRONCHITIS, **changes), by_time=by_time) == [cause]


def test_a_diagnosis_without_a_certain_code_sends_the_whole_visit_to_a_coder():
    outcome = code(office(RIB))
    assert isinstance(outcome, ForCoder)
    (cause,) = outcome.causes
    assert cause.code == "SNOMED:33737001"
    assert "S2239XA" in cause.words


def test_an_unknown_source_code_is_never_coded():
    assert causes(office("999999")) == ["SNOMED:999999"]
    assert causes(visit([service(1, SYMPTOM, "visit"), service(2, "888888")], [BRONCHITIS])) == ["SNOMED:888888"]


def test_one_concept_may_be_two_codes():
    assert [d.code for d in coded(office(SINUSITIS_VIRAL)).diagnoses] == ["J329", "B9789"]


def test_what_the_visit_was_for_comes_first_and_facts_of_life_last():
    outcome = coded(office(BRONCHITIS, STRESS, "59621000", EMPLOYED))
    assert [d.code for d in outcome.diagnoses] == ["J209", "I10", "Z733"]
    outcome = coded(office(STRESS, BRONCHITIS))
    assert [d.code for d in outcome.diagnoses] == ["J209", "Z733"]


def test_a_fact_that_no_code_says_leaves_the_visit_without_diagnosis():
    assert causes(office(EMPLOYED)) == ["no-diagnosis"]


def test_the_code_is_that_of_the_day_of_service():
    before = coded(office("278860009", service_from=date(2021, 9, 30)))
    after = coded(office("278860009", service_from=date(2021, 10, 1)))
    assert [d.code for d in before.diagnoses] == ["M545", "G8929"]
    assert [d.code for d in after.diagnoses] == ["M5450", "G8929"]


def test_pairs_that_are_coded_together_need_a_person():
    assert causes(office("59621000", "88805009")) == ["combination:I10+I50"]


def test_a_check_up_of_a_known_disease_is_an_office_visit_and_without_one_not_certain():
    assert lines(coded(visit([service(1, CHECK_UP, "visit")], ["55822004"]))) == [("99212",)]
    assert causes(visit([service(1, CHECK_UP, "visit")], [STRESS])) == ["visit:check_up"]


# --- preventive visits


@pytest.mark.parametrize(
    ("born", "status", "expected", "reason"),
    [
        (date(2023, 2, 25), "new", "99381", "Z00110"),
        (date(2023, 2, 15), "established", "99391", "Z00111"),
        (date(2022, 3, 2), "established", "99391", "Z00129"),
        (date(2022, 3, 1), "established", "99392", "Z00129"),
        (date(2005, 3, 2), "new", "99384", "Z00129"),
        (date(2005, 3, 1), "new", "99385", "Z0000"),
        (date(1983, 3, 1), "established", "99396", "Z0000"),
        (date(1958, 3, 1), "established", "99397", "Z0000"),
    ],
)
def test_a_preventive_visit_goes_by_age_and_history(born: date, status: str, expected: str, reason: str):
    outcome = coded(wellness(birth_date=born, status=status))
    assert lines(outcome) == [(expected,)]
    assert [d.code for d in outcome.diagnoses] == [reason]


def test_a_disorder_found_at_the_visit_is_an_abnormal_finding_and_stress_is_not():
    assert [d.code for d in coded(wellness(diagnoses=["55822004"])).diagnoses] == ["Z0001", "E785"]
    assert [d.code for d in coded(wellness(diagnoses=[STRESS])).diagnoses] == ["Z0000", "Z733"]


def test_a_preventive_visit_needs_a_date_of_birth():
    assert causes(wellness(birth_date=None)) == ["age"]
    assert causes(wellness(birth_date=date(2023, 3, 2))) == ["age"]


def test_medicare_has_wellness_visits_of_its_own():
    assert causes(wellness(payer_kind="medicare")) == ["visit:preventive"]


def test_vaccines_carry_their_administration_and_modifier_25_on_the_visit():
    shots = [service(n, cvx, "immunization", "CVX") for n, cvx in ((2, "140"), (3, "113"), (4, "52"))]
    outcome = coded(wellness(*shots))
    assert lines(outcome) == [("99396", "25"), ("90656",), ("90471",), ("90714",), ("90472",), ("90632",)]
    by_code = {line.procedure: line for line in outcome.lines}
    assert by_code["90472"].units == 2
    assert by_code["90472"].charge == 2 * 2000
    assert outcome.priced == 3400 + 4000
    assert outcome.billed == 40_000 + outcome.priced
    assert [d.code for d in outcome.diagnoses] == ["Z0000", "Z23"]
    assert by_code["90471"].pointers == by_code["90656"].pointers == [2]
    assert by_code["99396"].pointers == [1]


def test_an_oral_vaccine_is_given_after_the_injected_ones():
    shots = [service(2, "119", "immunization", "CVX"), service(3, "10", "immunization", "CVX")]
    outcome = coded(wellness(*shots, birth_date=date(2022, 12, 1)))
    assert {p for p, *_ in lines(outcome)} == {"99391", "90681", "90713", "90471", "90474"}
    only = coded(wellness(service(2, "119", "immunization", "CVX"), birth_date=date(2022, 12, 1)))
    assert {p for p, *_ in lines(only)} == {"99391", "90681", "90473"}


def test_a_visit_for_a_vaccine_alone_bills_no_visit():
    flu = service(2, "140", "immunization", "CVX")
    outcome = coded(visit([service(1, VACCINATION, "visit"), flu], visit_class="outpatient"))
    assert lines(outcome) == [("90656",), ("90471",)]
    assert (outcome.billed, outcome.unbilled) == (13_400, 10_000)
    assert [d.code for d in outcome.diagnoses] == ["Z23"]
    assert causes(visit([service(1, VACCINATION, "visit")])) == ["visit:vaccination"]


def test_medicare_pays_the_giving_of_three_vaccines_under_its_own_codes():
    flu, zoster = service(2, "140", "immunization", "CVX"), service(2, "121", "immunization", "CVX")
    given = {"visit_class": "outpatient", "payer_kind": "medicare", "birth_date": date(1950, 1, 1)}
    assert lines(coded(visit([service(1, VACCINATION, "visit"), flu], **given))) == [("90656",), ("G0008",)]
    assert causes(visit([service(1, VACCINATION, "visit"), zoster], **given)) == ["administration:CVX 121"]


@pytest.mark.parametrize(
    ("cvx", "born"), [("140", date(2021, 1, 1)), ("208", date(1980, 1, 1)), ("999", date(1980, 1, 1))]
)
def test_a_vaccine_whose_code_is_not_certain(cvx: str, born: date):
    assert causes(wellness(service(2, cvx, "immunization", "CVX"), birth_date=born)) == [f"CVX:{cvx}"]


# --- services


def test_what_is_never_billed_apart_is_left_with_its_rule():
    more = [service(2, "430193006"), service(3, "171207006", charge=500), service(4, "171207006", charge=500)]
    outcome = coded(wellness(*more))
    assert lines(outcome) == [("99396",)]
    assert outcome.unbilled_by_rule == {"svc-sno-430193006": 10_000, "svc-sno-171207006": 1000}
    assert (outcome.billed, outcome.unbilled) == (10_000, 11_000)


def test_a_questionnaire_with_a_score_is_billed_and_the_shorter_one_stands_in_the_longer():
    two, nine = service(2, "454711000124102"), service(3, "715252007")
    assert lines(coded(wellness(two))) == [("99396",), ("96127",)]
    assert lines(coded(wellness(two, nine))) == [("99396",), ("96127",)]
    assert coded(wellness(two, nine)).unbilled == 10_000


def test_drugs_and_stock_without_a_charge_stay_off_the_claim():
    more = [service(2, "665078", "drug", "RXNORM", charge=0), service(3, "337388004", "supply", charge=None)]
    assert lines(coded(wellness(*more))) == [("99396",)]
    assert causes(wellness(service(2, "337388004", "supply"))) == ["SNOMED:337388004"]


def test_a_charge_without_a_service_is_left_with_a_warning():
    outcome = coded(wellness(service(2, "UNITEMISED", "other", "SYNTHEA", charge=700)))
    assert outcome.unbilled == 700
    assert [(rule.rule_id, left.charge) for rule, left in outcome.warned] == [("svc-syn-UNITEMISED", 700)]


@pytest.mark.parametrize(
    ("class_", "visit_code", "cause"),
    [("emergency", "50849002", "visit:emergency"), ("virtual", "448337001", "visit:telehealth"),
     ("ambulatory", "448337001", "visit:telehealth"), ("ambulatory", "424619006", "visit:maternity"),
     ("ambulatory", "439740005", "visit:postoperative"), ("snf", "32485007", "visit:institutional"),
     ("ambulatory", "123", "SNOMED:123")],
)  # fmt: skip
def test_visits_that_need_a_coder(class_: str, visit_code: str, cause: str):
    assert causes(visit([service(1, visit_code, "visit")], [BRONCHITIS], visit_class=class_)) == [cause]


# --- stays and dental visits: as the source states them

KNEE = diagnosis("M17.11", 1, "ICD10CM")


def stay(*services: Service, diagnoses: Iterable[Diagnosis] = (KNEE,), **changes: Any) -> Visit:
    return visit(services, diagnoses, **({"claim_type": "institutional", "visit_class": "inpatient"} | changes))


def test_a_stay_is_coded_as_the_source_states_it():
    outcome = coded(
        stay(
            service(1, "0120", "other", "REVENUE", units=Decimal(3)),
            service(2, "99283", "visit", "CPT", revenue_code="0450", pointers="1"),
            diagnoses=[KNEE, diagnosis("I10", 2, "ICD10CM"), Diagnosis(1, "ICD10CM", "R07.9", "a", "admitting"),
                       Diagnosis(1, "ICD10CM", "W18.30XA", "b", "external", "Y")],
        )
    )  # fmt: skip
    assert [(x.procedure, x.qualifier, x.revenue_code, x.unit_basis, x.pointers) for x in outcome.lines] == [
        ("", "", "0120", "DA", []), ("99283", "HC", "0450", "UN", [])]  # fmt: skip
    assert [(d.code, d.kind, d.rank, d.poa) for d in outcome.diagnoses] == [
        ("M1711", "", 1, ""), ("R079", "admitting", 1, ""), ("W1830XA", "external", 1, "Y"), ("I10", "", 2, "")]  # fmt: skip
    assert (outcome.billed, outcome.unbilled) == (20_000, 0)


def test_a_rate_code_of_a_stay_keeps_its_qualifier_and_its_nought():
    """HIPPS under revenue codes 0022 to 0024: the grouper's code, which has no charge of its own."""
    rate = service(1, "kagd1", "other", "HIPPS", revenue_code="0022", units=Decimal(14), charge=0)
    outcome = coded(stay(rate, service(2, "0120", "other", "REVENUE", units=Decimal(14))))
    assert [(x.procedure, x.qualifier, x.revenue_code, x.unit_basis, x.units, x.charge) for x in outcome.lines] == [
        ("KAGD1", "HP", "0022", "UN", Decimal(14), 0), ("", "", "0120", "DA", Decimal(14), 10_000)]  # fmt: skip


def test_a_dental_visit_is_coded_as_the_source_states_it():
    outcome = coded(visit([service(1, "d2150", system="CDT")], [], claim_type="dental"))
    assert [(x.procedure, x.qualifier, x.pointers) for x in outcome.lines] == [("D2150", "AD", [])]
    outcome = coded(visit([service(1, "D2150", system="CDT", pointers="2")],
                          [diagnosis("K02.9", 1, "ICD10CM"), diagnosis("K05.1", 2, "ICD10CM")], claim_type="dental"))  # fmt: skip
    assert outcome.lines[0].pointers == [2]


@pytest.mark.parametrize(
    ("given", "cause"),
    [
        (stay(service(1, "99283", system="CPT")), "revenue-code"),
        (stay(service(1, "12", system="REVENUE")), "revenue-code"),
        (stay(service(1, "0120", system="REVENUE"), diagnoses=[]), "no-diagnosis"),
        (stay(service(1, "33737001", system="SNOMED")), "SNOMED:33737001"),
        (visit([service(1, "99213", system="CPT")], [], claim_type="dental"), "CDT:99213"),
        (visit([service(1, "0120", system="REVENUE")], [], claim_type="dental"), "REVENUE:0120"),
    ],
)
def test_stays_and_dental_visits_that_need_a_coder(given: Visit, cause: str):
    assert causes(given) == [cause]


def test_on_a_professional_claim_an_external_cause_is_a_diagnosis_after_the_others():
    fall = Diagnosis(1, "ICD10CM", "W18.30XA", "a", "external")
    came = Diagnosis(1, "ICD10CM", "R07.9", "b", "reason")
    outcome = coded(visit([service(1, "99213", "visit", "CPT", pointers="1")], [fall, came, KNEE]))
    assert [(d.code, d.kind, d.rank) for d in outcome.diagnoses] == [("M1711", "", 1), ("W1830XA", "", 2)]
    assert outcome.lines[0].pointers == [1]


def test_anaesthesia_is_billed_in_minutes():
    given = visit(
        [service(1, "00790", system="CPT", minutes=95), service(2, "99213", system="CPT", minutes=20)], [KNEE]
    )
    assert [(x.units, x.unit_basis) for x in coded(given).lines] == [(Decimal(95), "MJ"), (Decimal(1), "UN")]


# --- not billable


@pytest.mark.parametrize("payer", ["", "NO_INSURANCE", "Self-pay", "self pay"])
def test_who_pays_for_himself_gets_no_claim(payer: str):
    assert code(office(BRONCHITIS, payer_source=payer)) == NotBillable("self_pay")


def test_before_icd10cm_nothing_is_billed():
    assert code(office(BRONCHITIS, service_from=date(2015, 9, 30))) == NotBillable("before_icd10cm")


def test_nothing_to_bill():
    assert code(visit([service(1, "308646001", "visit")], [BRONCHITIS])) == NotBillable("nothing_to_bill")


# --- codes that the source states


def from_source(*services: Service, diagnoses: Iterable[str] = ("J20.9", "I10"), **changes: Any) -> Visit:
    stated = [diagnosis(c, n, "ICD10CM") for n, c in enumerate(diagnoses, 1)]
    return visit(services, stated, **changes)


def test_codes_of_the_source_pass_as_they_are():
    line = service(1, "99213", "visit", "HCPCS", modifiers=("25", None, None, None), pointers="2,1", charge=15_000)
    outcome = coded(from_source(line, place_of_service="22"))
    assert lines(outcome) == [("99213", "25")]
    assert [(d.code, d.rule_id) for d in outcome.diagnoses] == [("J209", "source-coded"), ("I10", "source-coded")]
    assert outcome.lines[0].pointers == [2, 1]
    assert (outcome.lines[0].price_origin, outcome.place_of_service) == ("source", "22")


def test_a_pointer_to_a_diagnosis_that_is_not_there_is_kept_for_the_edits():
    outcome = coded(from_source(service(1, "99213", "visit", "HCPCS", pointers="3")))
    assert outcome.lines[0].pointers == [93]


def test_without_pointers_a_line_is_for_all_first_four_diagnoses():
    outcome = coded(
        from_source(service(1, "99213", "visit", "HCPCS"), diagnoses=["J209", "I10", "E785", "D649", "N184"])
    )
    assert outcome.lines[0].pointers == [1, 2, 3, 4]


def test_a_repeated_diagnosis_of_the_source_is_left_to_the_edits():
    outcome = coded(from_source(service(1, "99213", "visit", "HCPCS"), diagnoses=["J209", "J209"]))
    assert [d.code for d in outcome.diagnoses] == ["J209", "J209"]


# --- charges


def test_the_charge_master_prices_by_the_day_of_service():
    """A price change inside a batch: the last day of the old price and the first of the new."""

    def priced(day: date) -> Coded:
        return coded(from_source(service(1, "99213", "visit", "HCPCS", charge=None), service_from=day))

    old, new = priced(date(2023, 12, 31)), priced(date(2024, 1, 1))
    assert (old.billed, old.priced) == (14_600, 14_600)
    assert (new.billed, new.priced) == (15_600, 15_600)
    assert old.lines[0].price_origin == "charge_master.csv 99213 from 2015-10-01 version 2015"
    assert new.lines[0].price_origin == "charge_master.csv 99213 from 2024-01-01 version 2024"


def test_no_price_no_claim():
    assert causes(from_source(service(1, "77777", "procedure", "HCPCS", charge=None))) == ["price:77777"]


def test_the_master_prices_units():
    line = service(1, "96127", "procedure", "HCPCS", charge=None, units=Decimal("2.0000"))
    assert coded(from_source(line)).billed == 2400
    line = service(1, "96127", "procedure", "HCPCS", charge=None, units=Decimal("1.5000"))
    assert causes(from_source(line)) == ["units:96127"]


def test_charges_that_do_not_add_up_go_to_a_person():
    assert causes(office(BRONCHITIS, charge=9_999)) == ["charges"]


def test_charge_and_master_equal_billed_and_unbilled():
    more = [service(2, "430193006", charge=333), service(3, "140", "immunization", "CVX", charge=777)]
    outcome = coded(wellness(*more))
    assert 10_000 + 333 + 777 + outcome.priced == outcome.billed + outcome.unbilled
    assert outcome.billed == sum(line.charge or 0 for line in outcome.lines)
