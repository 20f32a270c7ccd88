"""Made-up coded claims of any number, in the shapes between the stages: for tests and for the benchmark.

Everything is drawn from small lists by a seed, columns at a time. Names and numbers are invented; NPIs have a right check
digit and codes are real numbers.
"""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pyarrow as pa

from pipeline import shapes

LAST = ("ALDER", "BIRCH", "CEDAR", "DOGWOOD", "ELM", "FIR", "HAZEL", "O'LARCH", "MAPLE-OAK", "PINE")
FIRST = ("ADA", "BEN", "CLEO", "DAN", "EVA", "FAY", "GUS", "HAL", "IDA", "JON")
STREETS = ("1 FIRST ST", "22 SECOND AVE", "333 THIRD RD", "4 FOURTH LN APT 4")
CITIES = (("BOSTON", "MA", "021100001"), ("WORCESTER", "MA", "016080001"), ("NASHUA", "NH", "030600001"))
DIAGNOSES = ("E119", "I10", "J069", "M545", "R51", "Z0000", "K219", "N390", "F329", "G43909")
PROCEDURES = ("99213", "99214", "85025", "80053", "93000", "J1100", "96372", "71046")
DAY = date(2024, 3, 1)


def npi(number: int) -> str:
    """The `number`-th NPI: nine digits and the check digit that the Luhn formula asks for over 80840 and them."""
    digits = f"1{number:08d}"
    total = 0
    for place, digit in enumerate(reversed(f"80840{digits}")):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return digits + str(-total % 10)


def make(
    n: int, seed: int = 27, *, payer_key: str = "harbor", dependents: bool = True, prefix: str = "C"
) -> tuple[pa.Table, pa.Table, pa.Table]:
    """(claims, diagnoses, lines) of `n` claims, in the shapes coded_claims, coded_diagnoses, coded_lines."""
    random = np.random.default_rng(seed)
    number = np.arange(n)

    def pick(values: tuple[str, ...] | list[str], index: np.ndarray) -> pa.Array:
        return pa.array(list(values)).take(pa.array(index))

    def some(share: float) -> np.ndarray:
        return random.random(n) < share

    def where(mask: np.ndarray, array: pa.Array) -> pa.Array:
        return pa.array(
            [v if m else None for v, m in zip(array.to_pylist(), mask.tolist(), strict=True)], type=array.type
        )

    patients = max(1, n * 2 // 3)
    patient = random.integers(0, patients, n)
    self_patient = np.random.default_rng(seed + 1).random(patients) >= (0.25 if dependents else 0)
    own = self_patient[patient]
    practice = random.integers(0, 7, n)
    npis = [npi(1000 + i) for i in range(7)]
    doctors = [npi(2000 + i) for i in range(20)]
    doctor = random.integers(0, 20, n)
    days = np.datetime64(DAY) - random.integers(0, 20, n)
    births = np.datetime64("1950-01-01") + patient * 7 % 20000
    lines_of = random.integers(1, 5, n)
    codes_of = random.integers(1, 6, n)
    accident, referred, elsewhere, authorised = some(0.03), some(0.1), some(0.1), some(0.1)
    alone = practice == 6  # a practitioner who bills in the own name
    cents = random.integers(1_000, 90_000, int(lines_of.sum()))
    claim_of_line = np.repeat(number, lines_of)
    totals = np.bincount(claim_of_line, weights=cents, minlength=n).astype(np.int64)
    ids = pa.array([f"{prefix}{i:09d}" for i in range(n)])
    city = [practice % 3, patient % 3]

    claims = {
        "claim_id": ids,
        "encounter_key": pa.array([f"practice:{prefix}{i:09d}" for i in range(n)]),
        "guide": pa.repeat("005010X222A1", n),
        "frequency": pa.repeat("1", n),
        "synthetic": pa.repeat(True, n),
        "practice_id": pick([f"P{i}" for i in range(7)], practice),
        "source_file": pa.repeat("visits.csv", n),
        "source_row": pa.array(number + 1),
        "service_from": pa.array(days.astype("datetime64[D]")),
        "service_to": pa.array(days.astype("datetime64[D]")),
        "place_of_service": pick(["11", "22"], elsewhere.astype(int)),
        "charge": money(totals),
        "billing_name": pick([f"PRACTICE {i}" for i in range(6)] + ["SOLO"], practice),
        "billing_first": where(alone, pa.repeat("SAM", n)),
        "billing_npi": pick(npis, practice),
        "billing_tin": pick([f"04{i:07d}" for i in range(7)], practice),
        "billing_tin_kind": pick(["EI", "SY"], alone.astype(int)),
        "billing_taxonomy": pa.repeat("207Q00000X", n),
        "billing_address1": pick(STREETS, practice % 4),
        "billing_city": pick([c[0] for c in CITIES], city[0]),
        "billing_state": pick([c[1] for c in CITIES], city[0]),
        "billing_zip": pick([c[2] for c in CITIES], city[0]),
        "billing_phone": pick(["6175550100", "6175550101"], practice % 2),
        "rendering_npi": where(~alone, pick(doctors, doctor)),
        "rendering_last": where(~alone, pick(LAST, doctor % 10)),
        "rendering_first": where(~alone, pick(FIRST, doctor % 10)),
        "rendering_taxonomy": where(~alone, pa.repeat("207R00000X", n)),
        "referring_npi": where(referred, pick(doctors, (doctor + 1) % 20)),
        "referring_last": where(referred, pick(LAST, (doctor + 1) % 10)),
        "referring_first": where(referred, pick(FIRST, (doctor + 1) % 10)),
        "facility_name": where(elsewhere, pa.repeat("GENERAL HOSPITAL", n)),
        "facility_npi": where(elsewhere, pa.repeat(npi(3000), n)),
        "facility_address1": where(elsewhere, pa.repeat("900 HOSPITAL DR", n)),
        "facility_city": where(elsewhere, pa.repeat("BOSTON", n)),
        "facility_state": where(elsewhere, pa.repeat("MA", n)),
        "facility_zip": where(elsewhere, pa.repeat("021180001", n)),
        "patient_id": pa.array([f"PT{p}" for p in patient.tolist()]),
        "patient_last": pick(LAST, patient % 10),
        "patient_first": pick(FIRST, patient // 10 % 10),
        "patient_middle": where(patient % 3 == 0, pa.repeat("Q", n)),
        "patient_suffix": where(patient % 50 == 0, pa.repeat("JR", n)),
        "patient_birth_date": pa.array(births.astype("datetime64[D]")),
        "patient_sex": pick(["F", "M"], patient % 2),
        "patient_address1": pick(STREETS, patient % 4),
        "patient_city": pick([c[0] for c in CITIES], city[1]),
        "patient_state": pick([c[1] for c in CITIES], city[1]),
        "patient_zip": pick([c[2] for c in CITIES], city[1]),
        "relationship": pick(["19", "18"], own.astype(int)),
        "subscriber_last": where(~own, pick(LAST, patient % 10)),
        "subscriber_first": where(~own, pa.repeat("PAT", n)),
        "payer_source": pa.repeat(payer_key, n),
        "payer_key": pa.repeat(payer_key, n),
        "member_id": pa.array([f"M{p // 2 if not o else p:08d}" for p, o in zip(patient.tolist(), own.tolist(), strict=True)]),
        "group_number": where(patient % 2 == 0, pa.repeat("GRP1", n)),
        "authorization_number": where(authorised, pa.repeat("AUTH1", n)),
        "accident_kind": where(accident, pa.repeat("AA", n)),
        "accident_state": where(accident, pa.repeat("MA", n)),
        "accident_date": where(accident, pa.array(days.astype("datetime64[D]"))),
    }  # fmt: skip

    line = np.arange(len(cents)) - np.repeat(np.r_[0, np.cumsum(lines_of)[:-1]], lines_of) + 1
    two = (codes_of[claim_of_line] > 1) & (line % 2 == 0)
    procedure = random.integers(0, len(PROCEDURES), len(cents))
    drug = procedure == 5
    lines = {
        "claim_id": ids.take(pa.array(claim_of_line)),
        "line": pa.array(line),
        "qualifier": pa.repeat("HC", len(cents)),
        "procedure": pa.array(list(PROCEDURES)).take(pa.array(procedure)),
        "modifier1": pa.array(["25" if p == 0 else None for p in procedure.tolist()]),
        "charge": money(cents),
        "unit_basis": pa.repeat("UN", len(cents)),
        "units": pa.array(["1.0000", "2.0000"]).take(pa.array(drug.astype(int))).cast(shapes.QUANTITY),
        "pointer1": pa.repeat(1, len(cents)),
        "pointer2": pa.array([2 if t else None for t in two.tolist()], type=pa.int64()),
        "service_date": pa.array(days[claim_of_line].astype("datetime64[D]")),
        "ndc": pa.array(["00026063512" if d else None for d in drug.tolist()]),
        "ndc_units": pa.array(["10.5000" if d else None for d in drug.tolist()]).cast(shapes.QUANTITY),
        "ndc_unit_basis": pa.array(["ML" if d else None for d in drug.tolist()]),
        "line_control_number": pa.array([f"{prefix}{c:09d}-{x}" for c, x in zip(claim_of_line.tolist(), line.tolist(), strict=True)]),
        "rule_id": pa.repeat("source-coded", len(cents)),
        "rule_version": pa.repeat("1", len(cents)),
        "price_origin": pa.repeat("source", len(cents)),
        "source": pa.array([f"lines.csv row {i + 1}" for i in range(len(cents))]),
    }  # fmt: skip

    claim_of_code = np.repeat(number, codes_of)
    rank = np.arange(len(claim_of_code)) - np.repeat(np.r_[0, np.cumsum(codes_of)[:-1]], codes_of) + 1
    diagnoses = {
        "claim_id": ids.take(pa.array(claim_of_code)),
        "rank": pa.array(rank),
        "code": pick(DIAGNOSES, (claim_of_code + rank) % 10),
        "rule_id": pa.repeat("source-coded", len(rank)),
        "rule_version": pa.repeat("1", len(rank)),
        "source": pa.array([f"visits.csv row {c + 1} column dx{x}" for c, x in zip(claim_of_code.tolist(), rank.tolist(), strict=True)]),
    }  # fmt: skip
    return (shaped("coded_claims", claims, n), shaped("coded_diagnoses", diagnoses, len(rank)),
            shaped("coded_lines", lines, len(cents)))  # fmt: skip


def money(cents: np.ndarray) -> pa.Array:
    return pa.array([f"{c // 100}.{c % 100:02d}" for c in cents.tolist()]).cast(shapes.MONEY)


def shaped(name: str, columns: dict[str, pa.Array], rows: int) -> pa.Table:
    schema = shapes.schema(name)
    arrays = [columns[f.name].cast(f.type) if f.name in columns else pa.nulls(rows, f.type) for f in schema]
    return shapes.check(pa.Table.from_arrays(arrays, schema=schema), name)


def replace(table: pa.Table, row: int, **values: object) -> pa.Table:
    """The table with some cells of one row changed."""
    for name, value in values.items():
        index = table.column_names.index(name)
        cells = table.column(name).to_pylist()
        cells[row] = value
        table = table.set_column(index, table.schema.field(index), pa.array(cells, type=table.schema.field(index).type))
    return table


def next_day(day: date, days: int = 1) -> date:
    return day + timedelta(days=days)


def tables_of_one(*, lines: int, codes: int) -> tuple[pa.Table, pa.Table, pa.Table]:
    """One claim with so many lines and diagnoses."""
    claims, some_codes, some_lines = (t.to_pylist() for t in make(1, dependents=False))
    line, code = some_lines[0], some_codes[0]
    per_line = line["charge"]
    return (
        shapes.from_rows("coded_claims", [claims[0] | {"charge": per_line * lines}]),
        shapes.from_rows("coded_diagnoses", [code | {"rank": n + 1, "code": f"E{100 + n}"} for n in range(codes)]),
        shapes.from_rows("coded_lines", [
            line | {"line": n + 1, "line_control_number": f"L{n + 1}", "pointer2": None} for n in range(lines)
        ]),
    )  # fmt: skip
