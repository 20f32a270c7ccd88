"""Making an extract: visits drawn from `cases` and `people`, then the errors that real extracts have, at their usual rates.

The same arguments give the same bytes, on any machine: one seeded generator, no clock, no set order. Errors are put in last, each
kind on visits of its own, so a reader can tell what became of each; an extract of 100 visits or more has every kind at
least once. The manifest's totals are what the source system believed: where an amount is made illegible, its true
value is in the total.
"""

from __future__ import annotations

import csv
import io
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from pipeline.encounters import layout
from pipeline.sample import people
from pipeline.sample.cases import CASES, LINE_WORDS, PRICES, WORDS, Case

#: the extract of `sample_edi/extract/`
COMMITTED: dict[str, Any] = {"visits": 200, "seed": 27, "on": date(2026, 11, 20)}
DAYS = 30

Row = dict[str, str]


@dataclass(slots=True)
class _Visit:
    row: Row
    diagnoses: list[Row] = field(default_factory=list)
    services: list[Row] = field(default_factory=list)
    #: true cents of the charges, whatever the cells say
    cents: int = 0
    service_cents: int = 0


def make(visits: int, seed: int, out: Path, on: date = COMMITTED["on"], days: int = DAYS) -> None:
    """Write an extract of `visits` visits in the `days` days before `on` into the folder `out`.

    Files: encounters.csv, diagnoses.csv, services.csv, manifest.json (docs/extracts.md). Existing files are overwritten.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    made = _visits(visits, seed, on, days)
    rows = {
        "encounters": [visit.row for visit in made],
        "diagnoses": [row for visit in made for row in visit.diagnoses],
        "services": [row for visit in made for row in visit.services],
    }
    for table, listed in rows.items():
        # columns that no visit uses are left out, as an exporter does
        used = set(layout.REQUIRED[table]).union(*listed)
        columns = [column for column in layout.columns(table) if column in used]
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([row.get(column, "") for column in columns] for row in listed)
        (out / f"{table}.csv").write_bytes(text.getvalue().encode())
    manifest = {
        "layout": layout.LAYOUT,
        "version": layout.VERSION,
        "synthetic": True,
        "tables": {
            "encounters": {"rows": len(rows["encounters"]), "charge": _dollars(sum(v.cents for v in made))},
            "diagnoses": {"rows": len(rows["diagnoses"])},
            "services": {"rows": len(rows["services"]), "charge": _dollars(sum(v.service_cents for v in made))},
        },
    }
    (out / layout.MANIFEST).write_bytes((json.dumps(manifest, indent=2) + "\n").encode())


def _dollars(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d}"


def _visits(count: int, seed: int, on: date, days: int) -> list[_Visit]:
    rng = random.Random(seed)  # noqa: S311  made-up data, nothing secret
    houses = people.practices(rng)
    patients = people.patients(rng, max(1, count * 3 // 5), on, len(houses))
    chosen = {kind: [case for case in CASES if kind in case.payers] for kind in people.PAYERS}
    fitting: dict[tuple[str, int, str], tuple[list[Case], list[int]]] = {}
    dates = [day for day in (on - timedelta(days=back) for back in range(days, 0, -1)) if day.weekday() < 6]
    seen: set[tuple[int, date]] = set()
    made: list[_Visit] = []
    for number in range(1, count + 1):
        for _ in range(20):  # one visit a patient and day, unless the extract is crowded
            who = rng.randrange(len(patients))
            day = dates[rng.randrange(len(dates))] if dates else on
            if (who, day) not in seen:
                break
        seen.add((who, day))
        patient = patients[who]
        age = (day - patient.birth).days // 365
        key = (patient.payer, age, patient.sex)
        if key not in fitting:
            cases = [c for c in chosen[patient.payer] if c.ages[0] <= age <= c.ages[1] and c.sex in ("", patient.sex)]
            fitting[key] = (cases, [c.weight for c in cases])
        cases, weights = fitting[key]
        case = rng.choices(cases, weights)[0]
        made.append(_visit(rng, number, day, case, patient, houses[patient.practice]))
    _spoil(rng, made, on)
    return made


def _visit(
    rng: random.Random, number: int, day: date, case: Case, patient: people.Patient, house: people.Practice
) -> _Visit:
    who = house.clinicians[rng.randrange(len(house.clinicians))]
    key = {"practice_id": house.practice_id, "encounter_id": f"V{number:07d}"}
    low, high = case.minutes
    row = {
        **key,
        "claim_type": "professional",
        "service_from": day.isoformat(),
        "service_to": day.isoformat(),
        "minutes": str(rng.randrange(low, high + 1)),
        "visit_class": case.visit_class,
        "place_of_service": case.place,
        **house.cells,
        "rendering_npi": who.npi,
        "rendering_last": who.last,
        "rendering_first": who.first,
        "rendering_taxonomy": who.taxonomy,
        **patient.cells,
    }
    if house.facility and rng.random() < 0.25:
        row |= house.facility
    if case.visit:
        row |= {"visit_system": "SNOMED", "visit_code": case.visit}
    if case.accident:
        row |= {"accident_kind": "OA", "accident_date": day.isoformat()}
    visit = _Visit(row)
    codes = case.diagnoses[rng.randrange(len(case.diagnoses))]
    for rank, code in enumerate(codes, 1):
        visit.diagnoses.append(
            {**key, "rank": str(rank), "system": case.system, "code": code, "text": WORDS.get(code, "")}
        )
    for line, service in enumerate(case.services, 1):
        cents = PRICES[service.code] * house.percent * service.units
        visit.cents += cents
        pointers = ",".join(p for p in service.pointers.split(",") if p and int(p) <= len(codes))
        visit.services.append(
            {**key, "line": str(line), "kind": service.kind, "system": service.system, "code": service.code,
             "text": LINE_WORDS[service.kind], "modifier1": service.modifier, "units": str(service.units),
             "charge": _dollars(cents), "service_date": day.isoformat(), "pointers": pointers}
        )  # fmt: skip
    visit.service_cents = visit.cents
    row["charge"] = _dollars(visit.cents)
    return visit


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


#: error → (per 10,000 visits, how it is made)
ERRORS: dict[str, tuple[int, Callable[[random.Random, _Visit, date], None]]] = {
    "rendering NPI with a wrong check digit": (40, _npi),
    "member id missing": (50, _no_member),
    "diagnosis code cut short": (50, _truncated),
    "diagnosis code that does not exist": (20, _no_such_code),
    "no diagnosis": (20, _no_diagnosis),
    "pointer to no diagnosis": (20, _pointer),
    "payer without profile": (30, _unknown_payer),
    "charge of zero": (20, _zero),
    "visit's amount illegible": (8, _amount),
    "service's amount illegible": (5, _line_amount),
    "date illegible": (8, _bad_date),
    "service in the future": (8, _future),
    "birth after the service": (5, _unborn),
    "services do not add up": (5, _lost_service),
}
#: per 10,000 visits: a visit that was exported again under a new id; a row that stands twice
DOUBLED, REPEATED = 30, 10


def _spoil(rng: random.Random, made: list[_Visit], on: date) -> None:
    """Put the errors in, each on a visit that has none yet; small extracts of less than 100 visits stay mostly clean."""
    # who pays himself has no member id to lose
    order = [index for index in range(1, len(made)) if made[index].row["payer"]]
    rng.shuffle(order)

    def take(rate: int) -> list[int]:
        count = len(made) * rate // 10_000
        count = max(count, 1) if len(made) >= 100 else count
        taken = order[:count]
        del order[:count]
        return taken

    for rate, spoil in ERRORS.values():
        for index in take(rate):
            spoil(rng, made[index], on)
    for index in take(DOUBLED):
        made[index] = _copy(made[index - 1], encounter_id=made[index].row["encounter_id"])
    for index in take(REPEATED):
        made[index] = _copy(made[index - 1])
        made[index].diagnoses, made[index].services, made[index].service_cents = [], [], 0


def _copy(visit: _Visit, **cells: str) -> _Visit:
    return _Visit(
        {**visit.row, **cells},
        [{**row, **cells} for row in visit.diagnoses],
        [{**row, **cells} for row in visit.services],
        visit.cents,
        visit.service_cents,
    )
