"""What the made-up visits to a practice are about: codes that belong together, as data.

Codes only, with the project's own words; prices are this practice's own. A case has an age range, a sex (empty: any), the
kinds of payer that it may meet, a weight, diagnoses (one list is drawn) and services. A service names its kind, system, code,
modifiers, units and the ranks of the diagnoses that it was for. What hospitals, dentists, anaesthetists and ambulances do stands
in `further`, in the same two shapes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

#: the practice's prices in whole dollars
PRICES = {
    "11042": 246, "12001": 233, "17110": 205, "20610": 163, "36415": 15, "69210": 103, "71046": 77, "73030": 75,
    "80053": 36, "80061": 45, "81002": 13, "83036": 34, "84443": 58, "85025": 28, "87880": 38, "90471": 37, "90472": 22,
    "90633": 62, "90651": 316, "90662": 90, "90677": 316, "90686": 35, "90700": 47, "90707": 112, "90715": 66,
    "90716": 188, "90734": 180, "90750": 210, "90791": 321, "90834": 188, "90837": 278, "93000": 49, "94010": 68,
    "96372": 43, "97110": 68, "97140": 64, "99202": 126, "99203": 190, "99204": 282, "99212": 98, "99213": 156,
    "99214": 222, "99215": 310, "99381": 196, "99391": 176, "99392": 186, "99393": 186, "99394": 204, "99395": 208,
    "99396": 222, "99397": 238, "G0008": 39, "G0009": 39, "G0439": 210,
    # visits, vaccines and procedures that the source states in SNOMED or CVX
    "185345009": 156, "185347001": 156, "390906007": 156, "410620009": 186, "140": 35,
}  # fmt: skip

#: our own words for what the codes of diagnoses stand for
WORDS = {
    "I10": "high blood pressure", "E785": "raised blood fats", "E119": "type 2 diabetes", "E1165": "type 2 diabetes, high sugar",
    "J029": "sore throat", "J020": "strep throat", "J069": "cold", "J0190": "sinus infection", "J209": "acute bronchitis",
    "J189": "pneumonia", "R059": "cough", "N390": "urinary infection", "K219": "reflux", "M5450": "low back pain",
    "M1711": "worn right knee", "M25561": "pain in right knee", "M25511": "pain in right shoulder", "R519": "headache",
    "F411": "anxiety", "F331": "recurrent depression", "F4323": "adjustment with anxiety and low mood", "E039": "underactive thyroid",
    "L309": "eczema", "B079": "warts", "H6123": "wax in both ears", "I4891": "irregular heartbeat", "R002": "palpitations",
    "J45909": "asthma", "D649": "anaemia", "S61411A": "cut of right hand", "Z0000": "adult examination",
    "Z00129": "child examination", "Z23": "vaccination", "L89152": "pressure sore, stage 2", "Z9181": "falls before",
    "38341003": "Hypertensive disorder", "10509002": "Acute bronchitis", "43878008": "Streptococcal sore throat",
    "44054006": "Type 2 diabetes", "195662009": "Acute viral pharyngitis", "444814009": "Viral sinusitis",
}  # fmt: skip
#: our own words for services
LINE_WORDS = {"visit": "visit", "procedure": "service", "immunization": "vaccine"}


@dataclass(frozen=True, slots=True)
class Service:
    """`price`: whole dollars a unit where it is not the one of PRICES."""

    kind: str
    code: str
    system: str = "HCPCS"
    modifier: str = ""
    units: int = 1
    pointers: str = "1"
    price: int = 0
    #: other cells of the table `services`
    cells: dict[str, str] = field(default_factory=dict)
    #: a tooth is drawn from the first, its surfaces from the second
    teeth: tuple[str, ...] = ()
    surfaces: tuple[str, ...] = ()
    #: what the units are instead: `nights` of the stay, `miles` driven; `minutes`: they stand in a cell of their own
    counted: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    weight: int
    diagnoses: tuple[tuple[str, ...], ...]
    services: tuple[Service, ...]
    ages: tuple[int, int] = (0, 120)
    sex: str = ""
    payers: frozenset[str] = frozenset({"medicare", "medicaid", "meridian", "harbor", "self"})
    minutes: tuple[int, int] = (20, 29)
    visit_class: str = "ambulatory"
    place: str = "11"
    system: str = "ICD10CM"
    accident: bool = False
    #: the SNOMED code of the visit where the source states one
    visit: str = ""
    #: the plan has authorised it, where it is one that wants to
    authorized: bool = False
    #: other cells of the table `encounters`
    cells: dict[str, str] = field(default_factory=dict)
    #: nights of a stay, least and most
    nights: tuple[int, int] = (0, 0)
    #: diagnoses of other kinds (admitting, reason, external), by kind
    further_diagnoses: dict[str, str] = field(default_factory=dict)
    #: rows of the table `codes` as kind and code; of some kinds the day or the amount follows from the visit
    codes: tuple[tuple[str, str], ...] = ()
    #: an operation: there is an operating provider
    operation: bool = False
    #: codes of the table `conditions`, the category first
    conditions: tuple[str, ...] = ()


def _s(kind: str, code: str, **more: object) -> Service:
    return Service(kind, code, **more)  # type: ignore[arg-type]


_V, _P, _I = "visit", "procedure", "immunization"
_NOT_MEDICARE = frozenset({"medicaid", "meridian", "harbor", "self"})
_MEDICARE = frozenset({"medicare"})

CASES: tuple[Case, ...] = (
    # chronic disease
    Case(90, (("I10",), ("I10", "E785"), ("I10", "E119")), (_s(_V, "99213"),), (30, 95)),
    Case(60, (("I10", "E785"),), (_s(_V, "99214", pointers="1,2"), _s(_P, "80061", pointers="2"), _s(_P, "80053"),
                                  _s(_P, "36415", pointers="1,2")), (35, 95), minutes=(30, 39)),
    Case(55, (("E119",), ("E119", "I10"), ("E1165", "I10")), (_s(_V, "99214"), _s(_P, "83036"), _s(_P, "36415")), (35, 95),
         minutes=(30, 39)),
    Case(20, (("E039",),), (_s(_V, "99213"), _s(_P, "84443"), _s(_P, "36415")), (25, 95)),
    Case(20, (("J45909",),), (_s(_V, "99214", modifier="25"), _s(_P, "94010")), (6, 70), minutes=(30, 39)),
    Case(18, (("I4891",), ("R002",)), (_s(_V, "99214"), _s(_P, "93000")), (45, 95), minutes=(30, 39)),
    Case(10, (("I10", "E119", "E785", "J45909"),), (_s(_V, "99215", pointers="1,2,3,4"), _s(_P, "85025")), (50, 95),
         minutes=(40, 54)),
    # short illness
    Case(60, (("J069",), ("J0190",), ("J209",), ("R519",), ("K219",), ("L309",)), (_s(_V, "99213"),), (1, 90)),
    Case(20, (("J069",), ("L309",)), (_s(_V, "99212"),), (1, 90), minutes=(10, 19)),
    Case(35, (("J020",), ("J029",)), (_s(_V, "99213"), _s(_P, "87880", modifier="QW")), (3, 50)),
    Case(25, (("N390",),), (_s(_V, "99213"), _s(_P, "81002")), (18, 95), "F"),
    Case(20, (("J189",), ("R059",)), (_s(_V, "99214"), _s(_P, "71046")), (20, 95), minutes=(30, 39)),
    Case(30, (("M5450",), ("M25561",), ("M25511",)), (_s(_V, "99203"),), (16, 80), minutes=(30, 44)),
    Case(10, (("D649",),), (_s(_V, "99204"), _s(_P, "85025"), _s(_P, "36415")), (18, 90), minutes=(45, 59)),
    # minor procedures
    Case(15, (("M1711",),), (_s(_V, "99213", modifier="25"), _s(_P, "20610", modifier="RT")), (45, 90)),
    Case(12, (("B079",),), (_s(_P, "17110"),), (6, 70)),
    Case(12, (("H6123",),), (_s(_V, "99212", modifier="25"), _s(_P, "69210", modifier="50")), (20, 95), minutes=(10, 19)),
    Case(8, (("S61411A",),), (_s(_P, "12001"),), (5, 70), accident=True),
    Case(4, (("L89152", "E119"),), (_s(_P, "11042"),), (60, 95)),
    Case(8, (("M25511",),), (_s(_V, "99213"), _s(_P, "73030", modifier="RT")), (20, 85)),
    # prevention
    Case(30, (("Z00129",),), (_s(_V, "99391"),), (0, 0), payers=_NOT_MEDICARE, visit_class="wellness"),
    Case(25, (("Z00129", "Z23"),), (_s(_V, "99392", modifier="25"), _s(_I, "90707", pointers="2"), _s(_I, "90716", pointers="2"),
                                    _s(_P, "90471", pointers="2"), _s(_P, "90472", pointers="2")), (1, 4),
         payers=_NOT_MEDICARE, visit_class="wellness"),
    Case(25, (("Z00129",),), (_s(_V, "99393"),), (5, 11), payers=_NOT_MEDICARE, visit_class="wellness"),
    Case(22, (("Z00129", "Z23"),), (_s(_V, "99394", modifier="25"), _s(_I, "90734", pointers="2"), _s(_P, "90471", pointers="2")),
         (12, 17), payers=_NOT_MEDICARE, visit_class="wellness"),
    Case(30, (("Z0000",),), (_s(_V, "99395"),), (18, 39), payers=_NOT_MEDICARE, visit_class="wellness"),
    Case(40, (("Z0000",),), (_s(_V, "99396"), _s(_P, "80061"), _s(_P, "80053"), _s(_P, "36415")), (40, 64),
         payers=_NOT_MEDICARE, visit_class="wellness"),
    Case(45, (("Z0000",),), (_s(_V, "G0439"),), (66, 95), payers=_MEDICARE, visit_class="wellness"),
    Case(50, (("Z23",),), (_s(_I, "90686"), _s(_P, "90471")), (5, 64), payers=_NOT_MEDICARE, minutes=(5, 9)),
    Case(50, (("Z23",),), (_s(_I, "90662"), _s(_P, "G0008")), (65, 100), payers=_MEDICARE, minutes=(5, 9)),
    Case(12, (("Z23",),), (_s(_I, "90677"), _s(_P, "G0009")), (65, 100), payers=_MEDICARE, minutes=(5, 9)),
    Case(12, (("Z23",),), (_s(_I, "90750"), _s(_P, "90471")), (50, 64), payers=_NOT_MEDICARE, minutes=(5, 9)),
    # mind and movement
    Case(25, (("F411",), ("F331",), ("F4323",)), (_s(_P, "90834"),), (16, 75), minutes=(45, 50)),
    Case(12, (("F331", "F411"),), (_s(_P, "90837", pointers="1,2"),), (18, 75), minutes=(55, 60)),
    Case(5, (("F411",),), (_s(_P, "90791"),), (16, 75), minutes=(50, 60)),
    Case(25, (("M25561",), ("M5450",), ("M25511",)), (_s(_P, "97110", modifier="GP", units=2), _s(_P, "97140", modifier="GP")),
         (16, 90), minutes=(40, 45), authorized=True),
    # as an electronic record without billing codes states it: coding has to find the codes
    Case(30, (("195662009",), ("10509002",), ("444814009",)), (_s(_V, "185345009", system="SNOMED"),), (2, 90),
         system="SNOMED", visit="185345009"),
    Case(20, (("38341003",), ("44054006",)), (_s(_V, "390906007", system="SNOMED"),), (35, 95), system="SNOMED",
         visit="390906007"),
    Case(8, (("43878008",),), (_s(_V, "185347001", system="SNOMED"),), (4, 40), system="SNOMED", visit="185347001"),
    Case(10, ((),), (_s(_V, "410620009", system="SNOMED", pointers=""), _s(_I, "140", system="CVX", pointers="")), (5, 11),
         payers=_NOT_MEDICARE, visit_class="wellness", system="SNOMED", visit="410620009"),
)  # fmt: skip
