"""Making an extract: visits drawn from `cases`, `further` and `people`, then the errors that real extracts have, at their usual
rates.

The same arguments give the same bytes, on any machine: seeded generators, no clock, no set order. All visits are first made as
visits to a practice; then those of the further groups (stays, dental visits, ambulance …) take the place of as many of them. Errors
are put in last, each kind on visits of its own, so a reader can tell what became of each; an extract of 100 visits or more
has every group and every error at least once. The manifest's totals are what the source system believed: where an
amount is made illegible, its true value is in the total.
"""

from __future__ import annotations

import csv
import io
import json
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from pipeline.encounters import extras, layout
from pipeline.sample import further, people
from pipeline.sample.cases import CASES, LINE_WORDS, PRICES, WORDS, Case, Service
from pipeline.sample.further import GROUPS, KINDS, Group

#: the extract of `sample_edi/extract/`
COMMITTED: dict[str, Any] = {"visits": 200, "seed": 27, "on": date(2026, 11, 20)}
DAYS = 30
#: from so many visits on every group and every error is there at least once
WHOLE = 100
_WORDS = WORDS | further.WORDS

Row = dict[str, str]


@dataclass(slots=True)
class _Visit:
    row: Row
    case: Case
    diagnoses: list[Row] = field(default_factory=list)
    services: list[Row] = field(default_factory=list)
    #: rows of further tables, without the visit's key
    extras: dict[str, list[Row]] = field(default_factory=dict)
    #: true cents of the charges, whatever the cells say
    cents: int = 0
    service_cents: int = 0

    def add(self, table: str, **cells: str) -> None:
        self.extras.setdefault(table, []).append(cells)


def make(
    visits: int,
    seed: int,
    out: Path,
    on: date = COMMITTED["on"],
    days: int = DAYS,
    kinds: Mapping[str, int] = KINDS,
) -> None:
    """Write an extract of `visits` visits in the `days` days before `on` into the folder `out`.

    `kinds`: the shares of professional, institutional and dental visits, in any unit; a kind without a share has no visit.
    Files: encounters.csv, diagnoses.csv, services.csv, the further tables that are needed, manifest.json (docs/extracts.md).
    Existing files are overwritten. ValueError where a kind is not known or no share is above 0.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    made = _visits(visits, seed, on, days, _shares(kinds))
    rows = {
        "encounters": [visit.row for visit in made],
        "diagnoses": [row for visit in made for row in visit.diagnoses],
        "services": [row for visit in made for row in visit.services],
    }
    for table in extras.EXTRAS:
        found = [
            {key: visit.row[key] for key in layout.KEY} | row for visit in made for row in visit.extras.get(table, [])
        ]
        if found:
            rows[table] = found
    for table, listed in rows.items():
        # columns that no visit uses are left out, as an exporter does
        used = set(layout.REQUIRED.get(table, layout.KEY)).union(*listed)
        columns = [column for column in layout.columns(table) if column in used]
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([row.get(column, "") for column in columns] for row in listed)
        (out / f"{table}.csv").write_bytes(text.getvalue().encode())
    totals: dict[str, dict[str, Any]] = {table: {"rows": len(listed)} for table, listed in rows.items()}
    totals["encounters"]["charge"] = _dollars(sum(v.cents for v in made))
    totals["services"]["charge"] = _dollars(sum(v.service_cents for v in made))
    manifest = {"layout": layout.LAYOUT, "version": layout.VERSION, "synthetic": True, "tables": totals}
    (out / layout.MANIFEST).write_bytes((json.dumps(manifest, indent=2) + "\n").encode())


def read_kinds(text: str) -> dict[str, int]:
    """`professional,dental=20` → the share of each kind; one without a number has its usual share. ValueError says what is
    wrong."""
    kinds: dict[str, int] = {}
    for part in text.split(","):
        kind, equals, share = (word.strip() for word in part.partition("="))
        if equals and not (share.isascii() and share.isdigit()):
            raise ValueError(f"The share of {kind} is not a whole number.")
        kinds[kind] = int(share) if equals else KINDS.get(kind, 0)
    return _shares(kinds)


def _shares(kinds: Mapping[str, int]) -> dict[str, int]:
    """The kinds that have a share, in the order of KINDS."""
    if unknown := [kind for kind in kinds if kind not in KINDS]:
        raise ValueError(f"There is no kind of visit {unknown[0]!r}: they are {', '.join(KINDS)}.")
    if any(share < 0 for share in kinds.values()) or not any(kinds.values()):
        raise ValueError("No kind has a share above 0.")
    return {kind: kinds[kind] for kind in KINDS if kinds.get(kind)}


def _dollars(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d}"


def _visits(count: int, seed: int, on: date, days: int, kinds: Mapping[str, int]) -> list[_Visit]:
    rng = random.Random(seed)  # noqa: S311  made-up data, nothing secret
    houses = people.practices(rng)
    patients = people.patients(rng, max(1, count * 3 // 5), on, len(houses))
    chosen = {kind: [case for case in CASES if kind in case.payers] for kind in people.PAYERS}
    fitting: dict[tuple[str, int, str], tuple[list[Case], list[int]]] = {}
    dates = [day for day in (on - timedelta(days=back) for back in range(days, 0, -1)) if day.weekday() < 6] or [on]
    seen: set[tuple[str, date]] = set()
    made: list[_Visit] = []
    whose: list[people.Patient] = []
    for number in range(1, count + 1):
        for _ in range(20):  # one visit a patient and day, unless the extract is crowded
            patient = patients[rng.randrange(len(patients))]
            day = dates[rng.randrange(len(dates))]
            if (patient.cells["patient_id"], day) not in seen:
                break
        seen.add((patient.cells["patient_id"], day))
        key = (patient.payer, age := _age(patient, day), patient.sex)
        if key not in fitting:
            cases = [c for c in chosen[patient.payer] if c.ages[0] <= age <= c.ages[1] and c.sex in ("", patient.sex)]
            fitting[key] = (cases, [c.weight for c in cases])
        case = rng.choices(*fitting[key])[0]
        made.append(_visit(rng, number, day, case, patient, houses[patient.practice]))
        whose.append(patient)
    furthers = _Further(random.Random(f"{seed}:further"), on, dates, houses, patients)  # noqa: S311
    _spoil(rng, made, on, clean=furthers.put(made, whose, kinds))
    return made


def _age(patient: people.Patient, day: date) -> int:
    return (day - patient.birth).days // 365


def _visit(
    rng: random.Random, number: int, day: date, case: Case, patient: people.Patient, house: people.Practice,
    kind: str = "professional",
) -> _Visit:  # fmt: skip
    """A visit of one day or, where the case has nights, a stay that ends on the day."""
    who = house.clinicians[rng.randrange(len(house.clinicians))] if house.clinicians else None
    key = {"practice_id": house.practice_id, "encounter_id": f"V{number:07d}"}
    nights = rng.randint(*case.nights) if case.nights[1] else 0
    first = day - timedelta(days=nights)
    row = {
        **key,
        "claim_type": kind,
        "service_from": first.isoformat(),
        "service_to": day.isoformat(),
        "visit_class": case.visit_class,
        **house.cells,
        **patient.cells,
        **case.cells,
    }
    if kind != "institutional":
        low, high = case.minutes
        row |= {"minutes": str(rng.randrange(low, high + 1)), "place_of_service": case.place}
        if who:
            row |= {
                "rendering_npi": who.npi, "rendering_last": who.last, "rendering_first": who.first,
                "rendering_taxonomy": who.taxonomy,
            }  # fmt: skip
        if house.facility and (case.place == "22" or rng.random() < 0.25):
            row |= house.facility
    if case.visit:
        row |= {"visit_system": "SNOMED", "visit_code": case.visit}
    if case.accident:
        row |= {"accident_kind": "OA", "accident_date": day.isoformat()}
    visit = _Visit(row, case)
    codes = case.diagnoses[rng.randrange(len(case.diagnoses))]
    for rank, code in enumerate(codes, 1):
        cells = {"rank": str(rank), "system": case.system, "code": code, "text": _WORDS.get(code, "")}
        if nights and not code.startswith(further.EXEMPT):
            cells["poa"] = "Y" if rank == 1 or rng.random() < 0.9 else rng.choice("NU")
        visit.diagnoses.append(key | cells)
    for other, code in case.further_diagnoses.items():
        visit.diagnoses.append(
            key | {"rank": "1", "system": case.system, "code": code, "text": _WORDS.get(code, ""), "kind": other}
        )
    counts = {"": 0, "nights": nights, "minutes": 1, "miles": rng.randrange(3, 31) if case.conditions else 0}
    for line, service in enumerate(case.services, 1):
        units = counts[service.counted] or service.units
        cents = (service.price * 100 if service.price else PRICES[service.code] * house.percent) * units
        visit.cents += cents
        pointers = ",".join(p for p in service.pointers.split(",") if p and int(p) <= len(codes))
        visit.services.append(
            {**key, "line": str(line), "kind": service.kind, "system": service.system, "code": service.code,
             "text": LINE_WORDS.get(service.kind, ""), "modifier1": service.modifier, "units": str(units),
             "charge": _dollars(cents), "service_date": first.isoformat(), "pointers": pointers, **service.cells}
        )  # fmt: skip
        if service.counted == "minutes":
            visit.services[-1]["minutes"] = row["minutes"]
        _teeth(rng, visit, line, service, day)
    visit.service_cents = visit.cents
    row["charge"] = _dollars(visit.cents)
    if kind == "institutional":
        _hospital(rng, visit, first, day, nights, house)
    if case.conditions:
        _ambulance(rng, visit, str(counts["miles"]))
    _coded(visit, first, nights)
    return visit


def _teeth(rng: random.Random, visit: _Visit, line: int, service: Service, day: date) -> None:
    if service.teeth:
        surfaces = {"surfaces": rng.choice(service.surfaces)} if service.surfaces else {}
        visit.add("teeth", line=str(line), tooth=rng.choice(service.teeth), **surfaces)
    if service.cells.get("prosthesis") == "R":
        placed = day - timedelta(days=rng.randrange(6 * 365, 15 * 365))
        visit.services[-1]["prior_placement_date"] = placed.isoformat()


def _hospital(rng: random.Random, visit: _Visit, first: date, last: date, nights: int, house: people.Practice) -> None:
    """Who attended and operated, and when a stay began and ended."""
    attending = rng.choice(house.clinicians)
    operating = rng.choice(house.clinicians) if visit.case.operation else None
    for role, who in (("attending", attending), ("operating", operating)):
        if who:
            taxonomy = {"taxonomy": who.taxonomy} if role == "attending" else {}
            visit.add("parties", role=role, last=who.last, first=who.first, npi=who.npi, **taxonomy)
    if nights:
        visit.row |= {
            "admission_date": first.isoformat(),
            "admission_hour": f"{rng.randrange(24):02d}{rng.randrange(0, 60, 5):02d}",
            "discharge_hour": f"{rng.randrange(9, 17):02d}{rng.randrange(0, 60, 5):02d}",
        }
    for row in visit.services:
        if nights and visit.case.services[int(row["line"]) - 1].counted:
            row["service_to"] = last.isoformat()


def _ambulance(rng: random.Random, visit: _Visit, miles: str) -> None:
    """From the patient's home to the hospital."""
    category, *codes = visit.case.conditions
    numbered = {f"code{n}": code for n, code in enumerate(codes, 1)}
    visit.add("conditions", category=category, holds="Y", **numbered)
    visit.add("transport", weight=str(rng.randrange(110, 261)), reason="A", miles=miles)
    home = {name: visit.row[f"patient_{name}"] for name in ("address1", "city", "state", "zip")}
    visit.add("parties", role="pick_up", **home)
    visit.add("parties", role="drop_off", last="Tidewater Community Hospital", address1="219 Willow St", city="Quincy",
              state="MA", zip="02169")  # fmt: skip


def _coded(visit: _Visit, first: date, nights: int) -> None:
    """The rows of `codes`: numbered within their kind, with the day or the amount that the kind has."""
    ranks: Counter[str] = Counter()
    for kind, code in visit.case.codes:
        ranks[kind] += 1
        cells = {}
        if kind == "value":  # covered days
            cells["amount"] = f"{nights}.00"
        elif kind == "occurrence":
            cells["from_date"] = (first - timedelta(days=1 if code == "11" else 0)).isoformat()
        elif kind == "procedure":
            cells["from_date"] = (first + timedelta(days=min(nights, 1))).isoformat()
        visit.add("codes", kind=kind, rank=str(ranks[kind]), code=code, **cells)


# --- the further groups ----------------------------------------------------------------------------------------------


class _Further:
    """Puts the visits of the further groups into the place of others, and gives patients their second payers and
    authorisations."""

    def __init__(
        self, rng: random.Random, on: date, dates: list[date], houses: list[people.Practice], patients: list[people.Patient]
    ) -> None:  # fmt: skip
        self.rng, self.on, self.dates, self.houses, self.patients = rng, on, dates, houses, list(patients)
        self.practices = people.further_practices(rng)
        self.second: dict[str, Row] = {}
        for patient in patients:
            if patient.payer == "medicare" and rng.randrange(100) < further.SECOND:
                self._covered(patient)

    def put(self, made: list[_Visit], whose: list[people.Patient], kinds: Mapping[str, int]) -> set[int]:
        """Gives the place of the first visit of each group: it shall go the whole way, and gets no error."""
        first: set[int] = set()
        for name, places in self._places(len(made), kinds).items():
            group = GROUPS[name]
            fits = [p for p in self.patients if self._cases(group, p)]
            while places and not fits:
                drawn = people.patients(self.rng, 1, self.on, len(self.houses), first=len(self.patients) + 1)
                self.patients += drawn
                fits = [p for p in drawn if self._cases(group, p)]
            first.update(places[:1])
            for place in places:
                whose[place] = self.rng.choice(fits)
                made[place] = self._visit(place + 1, group, whose[place])
        for visit, patient in zip(made, whose, strict=True):
            second = self.second.get(patient.cells["patient_id"])
            if second and visit.row["payer"] == people.PAYERS["medicare"][0]:
                visit.add("other_payers", responsibility="S", **{k: v for k, v in second.items() if k != "name"})
            if visit.case.authorized and patient.payer in ("meridian", "harbor"):
                visit.row["authorization_number"] = f"PA{self.rng.randrange(10**8):08d}"
        return first

    def _places(self, count: int, kinds: Mapping[str, int]) -> dict[str, list[int]]:
        """The numbers of the visits of each group; what no group takes is an ordinary visit."""
        order = list(range(count))
        self.rng.shuffle(order)
        most = max(kinds, key=lambda kind: kinds[kind])
        of_kind = {kind: _at_least_one(count * share // sum(kinds.values()), count) for kind, share in kinds.items()}
        of_kind[most] = count - sum(n for kind, n in of_kind.items() if kind != most)
        places: dict[str, list[int]] = {}
        for kind, number in of_kind.items():
            groups = [(name, group.share) for name, group in GROUPS.items() if group.kind == kind]
            left, shared = number, sum(share for _, share in groups)
            for name, share in groups:
                last = shared == 1000 and name == groups[-1][0]
                mine = left if last else min(left, _at_least_one(number * share // 1000, count))
                left -= mine
                places[name] = order[:mine]
                del order[:mine]
            del order[:left]
        return places

    @staticmethod
    def _cases(group: Group, patient: people.Patient) -> list[Case]:
        if group.after and patient.payer != "medicare":
            return []
        return [c for c in group.cases if _fits(c, patient)]

    def _visit(self, number: int, group: Group, patient: people.Patient) -> _Visit:
        rng = self.rng
        # a first payer has had time to decide
        dates = self.dates[: (len(self.dates) + 1) // 2] if group.after else self.dates
        day = rng.choice(dates)
        cases = self._cases(group, patient)
        case = rng.choices(cases, [c.weight for c in cases])[0]
        house = self.practices[group.practice] if group.practice else self.houses[patient.practice]
        visit = _visit(rng, number, day, case, patient, house, group.kind)
        if group.after:
            self._decided(visit, day, self.second.get(patient.cells["patient_id"]) or self._covered(patient))
        return visit

    def _covered(self, patient: people.Patient) -> Row:
        """Give the patient a second payer: the cells of other_payers, and under `name` its name as extracts write it."""
        weights = [share for share, *_ in further.SECOND_PAYERS]
        _, name, payer_name, payer_id, filing = self.rng.choices(further.SECOND_PAYERS, weights)[0]
        key = next(key for key, (stated, _) in people.PAYERS.items() if stated == name)
        self.second[patient.cells["patient_id"]] = cells = {
            "name": name, "payer_name": payer_name, "payer_id": payer_id, "filing_indicator": filing, "relationship": "18",
            "member_id": people.member(self.rng, key), "benefits_assignment": "Y", "release_of_information": "Y",
        }  # fmt: skip
        return cells

    def _decided(self, visit: _Visit, day: date, second: Row) -> None:
        """Medicare has paid its part; the claim goes to the second payer with what Medicare decided on each line."""
        paid_date = min(day + timedelta(days=14), self.on - timedelta(days=1)).isoformat()
        paid, reduced = 0, self.rng.randrange(15, 46)
        for row, line in zip(visit.services, visit.case.services, strict=True):
            cents = round(float(row["charge"]) * 100)
            contract = cents * reduced // 100
            patients_part = (cents - contract) * 20 // 100
            of_line = cents - contract - patients_part
            paid += of_line
            of = {"line": row["line"], "payer_id": "MEDICARE1"}
            visit.add("adjudications", **of, paid=_dollars(of_line), units=str(line.units), paid_date=paid_date)
            for group, reason, amount in (("CO", "45", contract), ("PR", "2", patients_part)):
                if amount:
                    visit.add("adjustments", **of, group=group, reason=reason, amount=_dollars(amount))
        visit.add(
            "other_payers", responsibility="P", payer_name="MEDICARE", payer_id="MEDICARE1", filing_indicator="MB",
            relationship="18", member_id=visit.row["member_id"], benefits_assignment="Y", release_of_information="Y",
            paid=_dollars(paid), payer_claim_number=f"26{self.rng.randrange(10**11):011d}",
        )  # fmt: skip
        visit.row |= {"payer": second["name"], "member_id": second["member_id"], "payer_responsibility": "S"}


def _fits(case: Case, patient: people.Patient) -> bool:
    low, high = case.ages
    return patient.payer in case.payers and case.sex in ("", patient.sex) and low <= patient.age <= high


def _at_least_one(number: int, count: int) -> int:
    return max(number, 1) if count >= WHOLE else number


# --- errors ----------------------------------------------------------------------------------------------------------


def _npi(rng: random.Random, visit: _Visit, on: date) -> None:
    good = visit.row["rendering_npi"]
    visit.row["rendering_npi"] = good[:-1] + str((int(good[-1]) + 1 + rng.randrange(8)) % 10)


def _no_member(_rng: random.Random, visit: _Visit, _on: date) -> None:
    visit.row["member_id"] = ""


def _truncated(_rng: random.Random, visit: _Visit, _on: date) -> None:
    if visit.diagnoses:
        visit.diagnoses[0] |= {"system": "ICD10CM", "code": "E11"}


def _no_such_code(rng: random.Random, visit: _Visit, _on: date) -> None:
    if visit.diagnoses:
        visit.diagnoses[0] |= {"system": "ICD10CM", "code": rng.choice(["I1O", "J0299", "ZZ9999"])}


def _no_diagnosis(_rng: random.Random, visit: _Visit, _on: date) -> None:
    visit.diagnoses.clear()
    for row in visit.services:
        row["pointers"] = ""


def _pointer(_rng: random.Random, visit: _Visit, _on: date) -> None:
    visit.services[0]["pointers"] = "7"


def _unknown_payer(rng: random.Random, visit: _Visit, _on: date) -> None:
    visit.row["payer"] = rng.choice(["Pinnacle Benefit Trust", "Acorn Workers Fund"])


def _zero(_rng: random.Random, visit: _Visit, _on: date) -> None:
    for row in visit.services:
        row["charge"] = "0.00"
    visit.row["charge"] = "0.00"
    visit.cents = visit.service_cents = 0


def _amount(rng: random.Random, visit: _Visit, _on: date) -> None:
    visit.row["charge"] = rng.choice(["NaN", "1E5", "-0", "1,200.00", "##"])


def _line_amount(rng: random.Random, visit: _Visit, _on: date) -> None:
    visit.services[-1]["charge"] = rng.choice(["", "n/a", "$15"]) or "NULL"


def _bad_date(rng: random.Random, visit: _Visit, _on: date) -> None:
    visit.row["service_from"] = rng.choice(["2026-11-31", "11/05/2026", "20261105", "0000-00-00"])


def _future(rng: random.Random, visit: _Visit, on: date) -> None:
    day = (on + timedelta(days=rng.randrange(5, 300))).isoformat()
    visit.row |= {"service_from": day, "service_to": day}
    for row in visit.services:
        row["service_date"] = day


def _unborn(rng: random.Random, visit: _Visit, on: date) -> None:
    visit.row["patient_birth_date"] = (on + timedelta(days=rng.randrange(1, 400))).isoformat()


def _lost_service(_rng: random.Random, visit: _Visit, _on: date) -> None:
    visit.row["charge"] = _dollars(visit.cents + 1500)
    visit.cents += 1500


def _unattended(_rng: random.Random, visit: _Visit, _on: date) -> None:
    visit.extras["parties"] = [row for row in visit.extras["parties"] if row["role"] != "attending"]


def _no_revenue_code(_rng: random.Random, visit: _Visit, _on: date) -> None:
    visit.services[-1]["revenue_code"] = ""
    visit.services[-1]["system"] = "HCPCS"


def _dental_code(_rng: random.Random, visit: _Visit, _on: date) -> None:
    visit.services[0]["code"] = visit.services[0]["code"][:-1]


def _taken_back(_rng: random.Random, visit: _Visit, _on: date) -> None:
    visit.row["cancelled"] = "Y"


def _any(_visit: _Visit) -> bool:
    return True


def _of_kind(*kinds: str) -> Callable[[_Visit], bool]:
    return lambda visit: visit.row["claim_type"] in kinds


def _rendered(visit: _Visit) -> bool:
    return "rendering_npi" in visit.row


def _first_payer(visit: _Visit) -> bool:
    return "adjudications" not in visit.extras


_PROFESSIONAL, _MEDICAL = _of_kind("professional"), _of_kind("professional", "institutional")
_INSTITUTIONAL, _AT_THE_DENTIST = _of_kind("institutional"), _of_kind("dental")
Error = tuple[int, Callable[[random.Random, _Visit, date], None], Callable[[_Visit], bool]]
#: error → (per 10,000 visits, how it is made, the visits that can have it)
ERRORS: dict[str, Error] = {
    "rendering NPI with a wrong check digit": (40, _npi, _rendered),
    "member id missing": (50, _no_member, _any),
    "diagnosis code cut short": (50, _truncated, _any),
    "diagnosis code that does not exist": (20, _no_such_code, _any),
    "no diagnosis": (20, _no_diagnosis, _MEDICAL),
    "pointer to no diagnosis": (20, _pointer, _PROFESSIONAL),
    "payer without profile": (30, _unknown_payer, _first_payer),
    "charge of zero": (20, _zero, _first_payer),
    "visit's amount illegible": (8, _amount, _any),
    "service's amount illegible": (5, _line_amount, _any),
    "date illegible": (8, _bad_date, _any),
    "service in the future": (8, _future, _any),
    "birth after the service": (5, _unborn, _any),
    "services do not add up": (5, _lost_service, _any),
    "hospital visit without attending provider": (3, _unattended, _INSTITUTIONAL),
    "service of a hospital without revenue code": (3, _no_revenue_code, _INSTITUTIONAL),
    "dental code cut short": (3, _dental_code, _AT_THE_DENTIST),
}
#: per 10,000 visits: a visit that was exported again under a new id; a row that stands twice; a visit that is taken back
DOUBLED, REPEATED, TAKEN_BACK = 30, 10, 20


def _spoil(rng: random.Random, made: list[_Visit], on: date, clean: set[int]) -> None:
    """Put the errors in, each on a visit that has none yet and is not to stay `clean`; small extracts of less than 100 visits stay mostly clean."""
    # who pays himself has no member id to lose
    order = [index for index in range(1, len(made)) if made[index].row["payer"]]
    rng.shuffle(order)
    order = [index for index in order if index not in clean]

    def take(rate: int, fits: Callable[[_Visit], bool] = _any) -> list[int]:
        count = _at_least_one(len(made) * rate // 10_000, len(made))
        taken = list(islice((index for index in order if fits(made[index])), count))
        gone = set(taken)
        order[:] = [index for index in order if index not in gone]
        return taken

    for rate, spoil, fits in ERRORS.values():
        for index in take(rate, fits):
            spoil(rng, made[index], on)
    for index in take(TAKEN_BACK):
        _taken_back(rng, made[index], on)
    for index in take(DOUBLED):
        made[index] = _copy(made[index - 1], encounter_id=made[index].row["encounter_id"])
    for index in take(REPEATED):
        made[index] = _copy(made[index - 1])
        made[index].diagnoses, made[index].services, made[index].extras, made[index].service_cents = [], [], {}, 0


def _copy(visit: _Visit, **cells: str) -> _Visit:
    return _Visit(
        {**visit.row, **cells},
        visit.case,
        [{**row, **cells} for row in visit.diagnoses],
        [{**row, **cells} for row in visit.services],
        {table: [dict(row) for row in rows] for table, rows in visit.extras.items()},
        visit.cents,
        visit.service_cents,
    )
