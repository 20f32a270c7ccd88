"""What hospitals, dentists, anaesthetists and ambulances do, and what else few visits have: further cases, as data.

A group is a share of the visits of its kind (professional, institutional, dental) with cases of its own, at one practice or, where
none is named, at the patient's. Numbers of codes only, with the project's own words; dental services have none at all.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.sample.cases import CASES, Case, Service

#: kinds of visit in their order → share of a hundred visits, unless told
KINDS = {"professional": 86, "institutional": 8, "dental": 6}
#: our own words for what the further codes of diagnoses stand for
WORDS = {
    "A419": "sepsis", "I110": "heart disease with failure from high blood pressure", "I5033": "heart failure, acute on chronic",
    "R0602": "short of breath", "R079": "chest pain", "R109": "belly pain", "R55": "fainting", "S72001A": "broken right hip",
    "W19XXXA": "fall", "O80": "birth", "Z370": "one living child", "Z3A39": "39 weeks", "K5090": "Crohn's disease",
    "Z1211": "bowel cancer screening", "M1712": "worn left knee", "H2511": "cataract, right eye", "H2512": "cataract, left eye",
    "K0252": "decay in a pit", "K0262": "decay on a smooth surface", "K047": "abscess of a tooth", "K0381": "cracked tooth",
    "K0889": "toothache", "K05322": "gum disease", "Z0120": "dental check",
}  # fmt: skip
#: a diagnosis that is never asked whether it was present on admission begins with one of these
EXEMPT = ("O80", "Z")

_INSURED = frozenset({"medicare", "medicaid", "meridian", "harbor"})
_PLANS = frozenset({"medicaid", "meridian", "harbor"})
_ADULT_TEETH = tuple(str(n) for n in range(1, 33))
_MOLARS = ("2", "3", "14", "15", "18", "19", "30", "31")
_FRONT = ("7", "8", "9", "10", "23", "24", "25", "26")
_MILK_MOLARS = ("A", "B", "I", "J", "K", "L", "S", "T")
_STAY = {"bill_type": "11", "admission_type": "1", "admission_source": "1", "patient_status": "01"}
_PLANNED = {**_STAY, "admission_type": "3"}
_EMERGENCY = {"bill_type": "13", "admission_type": "1", "admission_source": "1", "patient_status": "01"}
_OUTPATIENT = {**_EMERGENCY, "admission_type": "3"}


@dataclass(frozen=True, slots=True)
class Group:
    """`share`: per thousand visits of the kind. `practice`: a key of `people.FURTHER`; empty: the patient's own.

    `after`: Medicare has decided first, and the claim goes to the patient's second payer.
    """

    kind: str
    share: int
    practice: str
    cases: tuple[Case, ...]
    after: bool = False


def _stay(revenue: str, price: int, *, nights: bool = False, units: int = 1) -> Service:
    """A line with a revenue code alone."""
    return Service(
        "other", revenue, "REVENUE", "", units, "", price, {"revenue_code": revenue}, counted="nights" if nights else ""
    )


def _at(revenue: str, code: str, price: int, modifier: str = "", units: int = 1, **cells: str) -> Service:
    kind = "drug" if cells else "procedure"
    return Service(kind, code, "HCPCS", modifier, units, "", price, {"revenue_code": revenue, **cells})


def _drug(code: str, units: int, price: int, ndc: str, ndc_units: str, basis: str = "ML") -> Service:
    return Service("drug", code, "HCPCS", "", units, "1", price, _ndc(ndc, ndc_units, basis))


def _ndc(number: str, units: str, basis: str) -> dict[str, str]:
    """Eleven digits of a maker that there is not."""
    return {"ndc": f"99999{number}", "ndc_units": units, "ndc_unit_basis": basis}


def _dental(
    code: str, price: int, teeth: tuple[str, ...] = (), surfaces: tuple[str, ...] = (), **cells: str
) -> Service:
    return Service("procedure", code, "CDT", "", 1, "", price, cells, teeth, surfaces)


_INPATIENT = (
    Case(30, (("J189", "I10"), ("J189", "E119", "I10")), (
        _stay("0120", 1480, nights=True), _stay("0250", 610), _stay("0300", 540), _stay("0320", 310), _stay("0410", 275)),
        (30, 95), payers=_INSURED, visit_class="inpatient", cells=_STAY, nights=(2, 6), authorized=True,
        further_diagnoses={"admitting": "R0602"}, codes=(("drg", "194"), ("value", "80"), ("occurrence", "11"))),
    Case(30, (("I110", "I5033", "E119"), ("I110", "I5033")), (
        _stay("0206", 2350, nights=True), _stay("0250", 830), _stay("0300", 760), _stay("0730", 190)),
        (50, 95), payers=_INSURED, visit_class="inpatient", cells=_STAY, nights=(3, 7), authorized=True,
        further_diagnoses={"admitting": "R0602"}, codes=(("drg", "291"), ("value", "80"))),
    Case(18, (("M1711", "I10"), ("M1712", "I10")), (
        _stay("0110", 1620, nights=True), _stay("0360", 9400), _stay("0278", 7250), _stay("0370", 1850), _stay("0420", 240, units=2)),
        (50, 90), payers=_INSURED, visit_class="inpatient", cells=_PLANNED, nights=(1, 3), authorized=True, operation=True,
        further_diagnoses={"admitting": "M1711"}, codes=(
            ("drg", "470"), ("value", "80"), ("condition", "C1"), ("procedure", "0SRD0J9"))),
    Case(12, (("O80", "Z370", "Z3A39"),), (
        _stay("0122", 1390, nights=True), _stay("0722", 2900), _stay("0250", 240), _stay("0300", 185)),
        (19, 42), "F", _PLANS, visit_class="inpatient", cells=_STAY, nights=(1, 3), authorized=True, operation=True,
        further_diagnoses={"admitting": "O80"}, codes=(("drg", "807"), ("value", "80"), ("procedure", "10E0XZZ"))),
    Case(12, (("S72001A", "I10"),), (
        _stay("0120", 1480, nights=True), _stay("0360", 7800), _stay("0278", 3100), _stay("0450", 980), _stay("0250", 720)),
        (60, 95), payers=_INSURED, visit_class="inpatient", cells={**_STAY, "patient_status": "03"}, nights=(3, 6), authorized=True,
        operation=True, further_diagnoses={"admitting": "S72001A", "external": "W19XXXA"}, codes=(
            ("drg", "481"), ("value", "80"), ("occurrence", "05"), ("procedure", "0QS634Z"))),
    Case(10, (("A419", "N390"),), (
        _stay("0200", 4100, nights=True), _stay("0250", 1900), _stay("0300", 1340), _stay("0636", 860)),
        (18, 95), payers=_INSURED, visit_class="inpatient", cells=_STAY, nights=(3, 8), authorized=True,
        further_diagnoses={"admitting": "R109"}, codes=(("drg", "872"), ("value", "80"), ("condition", "C1"))),
)  # fmt: skip
_OUTPATIENTS = (
    Case(35, (("R079",), ("R109",)), (
        _at("0450", "99284", 1180, "25"), _at("0300", "85025", 96), _at("0300", "80053", 148), _at("0324", "71046", 320),
        _at("0730", "93005", 210)),
        (18, 95), visit_class="emergency", cells=_EMERGENCY, further_diagnoses={"reason": "R109"}, codes=(("occurrence", "11"),)),
    Case(15, (("S61411A",),), (_at("0450", "99283", 720, "25"), _at("0450", "12001", 540)), (3, 80), visit_class="emergency",
         cells=_EMERGENCY, further_diagnoses={"reason": "S61411A"}, codes=(("occurrence", "05"),)),
    Case(14, (("E119", "E785"),), (_at("0301", "80061", 118), _at("0301", "83036", 92), _at("0300", "36415", 24)), (30, 95),
         cells=_OUTPATIENT),
    Case(14, (("R519",),), (_at("0351", "70450", 1240),), (16, 90), cells=_OUTPATIENT, authorized=True),
    Case(12, (("Z1211",),), (_at("0750", "45378", 2150, "PT"), _at("0370", "00812", 640)), (45, 80), cells=_OUTPATIENT),
    Case(10, (("K5090",),), (
        _at("0335", "96413", 690), _at("0335", "96415", 180), _at("0636", "J1745", 92, units=40, **_ndc("010101", "4", "UN"))),
        (16, 80), cells=_OUTPATIENT, authorized=True),
)  # fmt: skip
_DENTAL = (
    Case(30, (("Z0120",),), (_dental("D0120", 58), _dental("D1110", 112), _dental("D0274", 74)), (14, 90), payers=_PLANS),
    Case(25, (("Z0120",),), (_dental("D0120", 58), _dental("D1120", 84), _dental("D1206", 46)), (3, 13), payers=_PLANS),
    Case(20, (("K0252",),), (_dental("D2392", 248, _MOLARS, ("MO", "DO")), _dental("D2391", 196, _MOLARS, ("O", "B"))), (13, 85),
         payers=_PLANS),
    Case(12, (("K0262",),), (_dental("D2330", 178, _FRONT, ("M", "D", "F", "I")),), (13, 85), payers=_PLANS),
    Case(10, (("K0252",),), (_dental("D2150", 182, _MILK_MOLARS, ("MO", "DO")),), (3, 9), payers=_PLANS),
    Case(12, (("Z0120",),), (_dental("D1351", 62, ("3", "14")), _dental("D1351", 62, ("19", "30"))), (6, 14), payers=_PLANS),
    Case(12, (("K047",), ("K0889",)), (_dental("D0140", 88), _dental("D0220", 36), _dental("D7140", 214, _ADULT_TEETH)), (18, 90),
         payers=_PLANS),
    Case(10, (("K0381",),), (_dental("D2740", 1285, _MOLARS, prosthesis="I"),), (21, 85), payers=_PLANS, authorized=True),
    Case(5, (("K0381",),), (_dental("D2740", 1285, _MOLARS, prosthesis="R"),), (30, 85), payers=_PLANS, authorized=True),
    Case(8, (("K05322",),), (_dental("D4341", 265, oral_cavity="10"), _dental("D4341", 265, oral_cavity="40")), (30, 85),
         payers=_PLANS),
)  # fmt: skip
_IN_THE_HOSPITAL = "22"
_ANAESTHESIA = (
    Case(10, (("M1711",),), (Service("procedure", "01402", modifier="AA", price=1420, counted="minutes"),), (45, 90), minutes=(85, 150),
         visit_class="outpatient", place=_IN_THE_HOSPITAL, codes=(("anesthesia", "27447"),)),
    Case(20, (("Z1211",),), (Service("procedure", "00812", modifier="AA", price=620, counted="minutes"),), (45, 80), minutes=(20, 45),
         visit_class="outpatient", place=_IN_THE_HOSPITAL, codes=(("anesthesia", "45378"),)),
    Case(15, (("H2511",), ("H2512",)), (Service("procedure", "00142", modifier="AA", price=580, counted="minutes"),), (55, 95),
         minutes=(20, 40), visit_class="outpatient", place=_IN_THE_HOSPITAL, codes=(("anesthesia", "66984"),)),
)  # fmt: skip
_AMBULANCE = tuple(
    Case(weight, ((diagnosis,),), (
        Service("procedure", base, modifier=way, price=price), Service("procedure", "A0425", modifier=way, price=14, counted="miles")),
        ages, visit_class="ambulance", place="41", conditions=conditions)
    for weight, diagnosis, base, way, price, ages, conditions in (
        (20, "R55", "A0429", "RH", 690, (18, 95), ("07", "04", "06")),
        (20, "R079", "A0427", "RH", 890, (40, 95), ("07", "04", "06")),
        (10, "S72001A", "A0429", "SH", 690, (60, 95), ("07", "04", "09")),
    )
)  # fmt: skip
_DRUGS = (
    Case(20, (("M5450",), ("R519",)), (
        Service("visit", "99213", modifier="25"), Service("procedure", "96372"), _drug("J1885", 2, 14, "020101", "1")),
        (18, 70)),
    Case(14, (("M1711",),), (Service("procedure", "20610", modifier="RT"), _drug("J3301", 4, 12, "020201", "1")), (45, 90)),
    Case(12, (("N390",), ("J189",)), (
        Service("visit", "99214", modifier="25"), Service("procedure", "96372"), _drug("J0696", 4, 11, "020301", "1", "UN")),
        (18, 95), minutes=(30, 39)),
)  # fmt: skip
#: visits that a first payer has decided are ordinary ones, whose codes the source states
_DECIDED = tuple(case for case in CASES if case.system == "ICD10CM" and "medicare" in case.payers and not case.accident)

GROUPS: dict[str, Group] = {
    "stays in a hospital": Group("institutional", 300, "hospital", _INPATIENT),
    "outpatients of a hospital": Group("institutional", 700, "hospital", _OUTPATIENTS),
    "dental visits": Group("dental", 1000, "dental", _DENTAL),
    "anaesthesia": Group("professional", 10, "anaesthesia", _ANAESTHESIA),
    "ambulance": Group("professional", 10, "ambulance", _AMBULANCE),
    "drugs given in the office": Group("professional", 15, "", _DRUGS),
    "claims to a second payer": Group("professional", 10, "", _DECIDED, after=True),
}
#: of a hundred patients of Medicare: those with a second payer, and who it is (payer name, id, filing indicator, member id)
SECOND = 35
SECOND_PAYERS = (
    (70, "Harbor Mutual", "HARBOR MUTUAL", "HARBOR1", "CI"),
    (30, "Medicaid", "MEDICAID", "MEDICAID1", "MC"),
)  # fmt: skip
