"""The made-up world: practices, clinicians, patients. Every name is invented by combination; every number is synthetic."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import date, timedelta

from pipeline.encounters.identifiers import synthetic_ein, synthetic_npi

FIRST = {
    "F": ["Amara", "Beatrix", "Carmen", "Delia", "Edith", "Farah", "Greta", "Harriet", "Imogen", "Jana", "Keiko", "Leonie",
          "Maribel", "Nadia", "Opal", "Priya", "Quilla", "Rosalind", "Saoirse", "Tamsin", "Una", "Vera", "Wilhelmina", "Xenia",
          "Yasmin", "Zelda", "Anne-Marie", "Mary Jo"],
    "M": ["Alden", "Basil", "Cormac", "Dario", "Emeka", "Florian", "Gideon", "Hamish", "Ivor", "Jonas", "Kofi", "Lionel",
          "Matteo", "Niall", "Oswin", "Pavel", "Quentin", "Rafferty", "Silas", "Tobias", "Ulric", "Vikram", "Wendell",
          "Xander", "Yusuf", "Zoltan", "Jean-Luc", "D'Angelo"],
}  # fmt: skip
LAST = [
    "Abernathy", "Balewa", "Castellan", "Dunmore", "Eastlake", "Fairweather", "Galbraith", "Hollis", "Iwamoto", "Jessup",
    "Kowalczyk", "Lindqvist", "Marchetti", "Nakagawa", "O'Dwyer", "Pemberton", "Quigley", "Rasmussen", "Sandoval",
    "Thackeray", "Umarov", "Vandermeer", "Whitlock", "Yarborough", "Zielinski", "Ashdown-Price", "Bello", "Carrow",
    "Delacroix", "Ekwueme", "Farrington", "Greaves", "Hightower", "Inglewood", "Jankovic", "Kettering", "Lockhart",
    "Mbeki", "Northcote", "O'Shaughnessy", "Prescott", "Radcliffe", "Silverstone", "Tran", "Ueda", "Van Houten",
    "Winslow", "Ximenes", "Youngblood", "Zamora",
]  # fmt: skip
#: names with letters outside X12's character sets: few, as in real life
ACCENTED = ["Muñoz", "Lefèvre", "Jørgensen", "Świątek", "Peña"]
SUFFIXES = ["Jr", "Sr", "III"]
STREETS = [
    "Maple",
    "Orchard",
    "Harbor View",
    "Old Mill",
    "Sycamore",
    "Station",
    "Juniper",
    "Lantern",
    "Quarry",
    "Willow",
]
WAYS = ["St", "Ave", "Rd", "Ln", "Ct", "Way"]
#: city, state, ZIP
PLACES = [
    ("Springfield", "MA", "01103"), ("Worcester", "MA", "01608"), ("Lowell", "MA", "01852"), ("Quincy", "MA", "02169"),
    ("Providence", "RI", "02903"), ("Warwick", "RI", "02886"), ("Hartford", "CT", "06103"), ("Nashua", "NH", "03060"),
]  # fmt: skip
#: payer kind → (name as the extract writes it, share of visits)
PAYERS = {
    "medicare": ("Medicare", 28), "medicaid": ("Medicaid", 18), "meridian": ("Meridian Health Plan", 29),
    "harbor": ("Harbor Mutual", 19), "self": ("", 6),
}  # fmt: skip
_MBI = "ACDEFGHJKMNPQRTUVWXY"
#: name, price level in percent, clinicians, kind
_PRACTICES = [
    ("Northgate Family Medicine", 100, 6, "group"),
    ("Lantern Pediatrics", 104, 4, "group"),
    ("Quarry Internal Medicine", 97, 5, "group"),
    ("Tidewater Physical Therapy", 100, 3, "group"),
    ("Harbor View Behavioral Health", 108, 3, "group"),
    ("Whitlock", 95, 1, "solo"),
]
#: what further groups of visits name as their practice → (id, name, taxonomy, clinicians, their taxonomy)
FURTHER = {
    "hospital": ("P07", "Tidewater Community Hospital", "282N00000X", 8, "208M00000X"),
    "dental": ("P08", "Juniper Dental", "1223G0001X", 4, "1223G0001X"),
    "anaesthesia": ("P09", "Eastlake Anesthesia", "207L00000X", 4, "207L00000X"),
    "ambulance": ("P10", "Old Mill Ambulance", "341600000X", 0, ""),
}  # fmt: skip
_TAXONOMIES = ["207Q00000X", "207R00000X", "208D00000X", "363L00000X", "363A00000X"]


@dataclass(frozen=True, slots=True)
class Clinician:
    npi: str
    last: str
    first: str
    taxonomy: str


@dataclass(frozen=True, slots=True)
class Practice:
    """`cells`: the billing columns of its visits; `facility`: those of its second site, empty where it has none."""

    practice_id: str
    percent: int
    clinicians: tuple[Clinician, ...]
    cells: dict[str, str]
    facility: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Patient:
    """`age`: years on the extract's date. `cells`: the patient, subscriber and payer columns of each of the patient's visits."""

    birth: date
    age: int
    sex: str
    payer: str
    practice: int
    cells: dict[str, str]


def practices(rng: random.Random) -> list[Practice]:
    made: list[Practice] = []
    for number, (name, percent, count, kind) in enumerate(_PRACTICES, 1):
        practice_id = f"P{number:02d}"
        city, state, postal = PLACES[(number - 1) % len(PLACES)]
        solo = kind == "solo"
        people = tuple(
            Clinician(
                npi=synthetic_npi(f"sample:{practice_id}:{place}"),
                last=name if solo else rng.choice(LAST),
                first="Rosalind" if solo else rng.choice(FIRST[rng.choice("FM")]),
                taxonomy=rng.choice(_TAXONOMIES),
            )
            for place in range(count)
        )
        cells = {
            "billing_name": name,
            "billing_first": people[0].first if solo else "",
            "billing_npi": people[0].npi if solo else synthetic_npi(f"sample:{practice_id}"),
            "billing_tin": synthetic_ein(f"sample:{practice_id}"),
            "billing_tin_kind": "EI",
            "billing_taxonomy": people[0].taxonomy if solo else "261QP2300X",
            "billing_address1": f"{100 + 17 * number} {STREETS[number]} {WAYS[number % len(WAYS)]}",
            "billing_city": city,
            "billing_state": state,
            "billing_zip": f"{postal}{1000 + number}",
            "billing_phone": f"617555{100 + number:04d}",
        }
        facility = {}
        if number == 1:
            facility = {
                "facility_npi": synthetic_npi(f"sample:{practice_id}:east"),
                "facility_name": f"{name} East",
                "facility_address1": "9 Station Ave",
                "facility_city": "Lowell",
                "facility_state": "MA",
                "facility_zip": "018521009",
            }
        made.append(Practice(practice_id, percent, people, cells, facility))
    return made


def further_practices(rng: random.Random) -> dict[str, Practice]:
    """Hospital, dentists, anaesthetists (who work in the hospital) and ambulance, by the keys of FURTHER."""
    made: dict[str, Practice] = {}
    for number, (kind, (practice_id, name, taxonomy, count, of_clinicians)) in enumerate(FURTHER.items(), 7):
        city, state, postal = PLACES[number % len(PLACES)]
        clinicians = tuple(
            Clinician(
                npi=synthetic_npi(f"sample:{practice_id}:{place}"),
                last=rng.choice(LAST),
                first=rng.choice(FIRST[rng.choice("FM")]),
                taxonomy=of_clinicians,
            )
            for place in range(count)
        )
        cells = {
            "billing_name": name,
            "billing_npi": synthetic_npi(f"sample:{practice_id}"),
            "billing_tin": synthetic_ein(f"sample:{practice_id}"),
            "billing_tin_kind": "EI",
            "billing_taxonomy": taxonomy,
            "billing_address1": f"{100 + 17 * number} {STREETS[number % len(STREETS)]} {WAYS[number % len(WAYS)]}",
            "billing_city": city,
            "billing_state": state,
            "billing_zip": f"{postal}{1000 + number}",
            "billing_phone": f"617555{100 + number:04d}",
        }
        hospital = made["hospital"].cells if kind == "anaesthesia" else {}
        facility = {f"facility_{name}": hospital[f"billing_{name}"] for name in _OF_A_PLACE if hospital}
        made[kind] = Practice(practice_id, 100, clinicians, cells, facility)
    return made


_OF_A_PLACE = ("npi", "name", "address1", "city", "state", "zip")


def member(rng: random.Random, payer: str) -> str:
    """A member number of the form that the payer's have."""
    if payer == "medicare":
        letter = [rng.choice(_MBI) for _ in range(5)]
        digit = [str(rng.randrange(10)) for _ in range(5)]
        return (
            f"{rng.randrange(1, 10)}{letter[0]}{digit[0]}{digit[1]}{letter[1]}{digit[2]}{digit[3]}{letter[2]}{letter[3]}"
            + (f"{rng.randrange(100):02d}")
        )
    prefix, digits = {"medicaid": ("", 12), "meridian": ("MHP", 9), "harbor": ("H", 10)}[payer]
    return prefix + "".join(str(rng.randrange(10)) for _ in range(digits))


def _born(rng: random.Random, on: date, payer: str) -> date:
    low, high = {"medicare": (66, 94), "medicaid": (0, 63), "meridian": (0, 63), "harbor": (0, 63), "self": (1, 63)}[
        payer
    ]
    return on - timedelta(days=int(365.25 * (low + (high - low + 0.9) * rng.random())) + 40)


def patients(rng: random.Random, count: int, on: date, practice_count: int, first: int = 1) -> list[Patient]:
    """`count` patients, numbered from `first` on."""
    kinds = list(PAYERS)
    shares = [PAYERS[kind][1] for kind in kinds]
    made: list[Patient] = []
    for number in range(first, first + count):
        payer = rng.choices(kinds, shares)[0]
        sex = rng.choice("FFFMM")
        born = _born(rng, on, payer)
        age = (on - born).days // 365
        last = rng.choice(ACCENTED) if rng.random() < 0.004 else rng.choice(LAST)
        city, state, postal = rng.choice(PLACES)
        street = f"{rng.randrange(1, 990)} {rng.choice(STREETS)} {rng.choice(WAYS)}"
        cells = {
            "patient_id": f"A{number:07d}",
            "patient_last": last,
            "patient_first": rng.choice(FIRST[sex]),
            "patient_middle": rng.choice("ABCDEFGHJKLMNPRSTW") if rng.random() < 0.4 else "",
            "patient_suffix": rng.choice(SUFFIXES) if sex == "M" and rng.random() < 0.04 else "",
            "patient_birth_date": born.isoformat(),
            "patient_sex": sex,
            "patient_address1": street,
            "patient_address2": f"Apt {rng.randrange(1, 60)}" if rng.random() < 0.2 else "",
            "patient_city": city,
            "patient_state": state,
            "patient_zip": postal,
            "payer": PAYERS[payer][0],
        }
        if payer != "self":
            cells["relationship"] = "18"
            cells["member_id"] = member(rng, payer)
        if payer in ("meridian", "harbor"):
            cells["group_number"] = f"G{rng.randrange(100, 400)}"
            if age < 18 or rng.random() < 0.12:  # covered by a parent's or a spouse's policy
                other = rng.choice("FM")
                cells |= {
                    "relationship": "19" if age < 18 else "01",
                    "subscriber_last": last,
                    "subscriber_first": rng.choice(FIRST[other]),
                    "subscriber_birth_date": _adult(rng, born, age).isoformat(),
                    "subscriber_sex": other,
                    "subscriber_address1": street,
                    "subscriber_city": city,
                    "subscriber_state": state,
                    "subscriber_zip": postal,
                }
        made.append(Patient(born, age, sex, payer, _practice(rng, age, practice_count), cells))
    return made


def _adult(rng: random.Random, born: date, age: int) -> date:
    """A parent is 20 to 42 years older; a spouse is of about the same age."""
    years = rng.randrange(20, 43) if age < 18 else rng.randrange(-4, 5)
    return born - timedelta(days=int(365.25 * years) + rng.randrange(300))


def _practice(rng: random.Random, age: int, count: int) -> int:
    """Children go to the paediatricians, the others anywhere else."""
    if age < 16:
        return 1 if rng.random() < 0.8 else 0
    return rng.choices(range(count), [34, 0, 28, 13, 12, 13])[0]
