"""Claims of others, billed by us: intake, coding, scrubbing and building as a night does them, in test usage.

Every file that is built has to pass our validator in its strict mode and pyx12, an independent one. What is not built is in a state
of its own with a reason; the counts stand here, so that a claim that begins or ceases to be built is seen. No cent is lost:
what the files claim and what waits are what the extract said.
"""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa
from claims.oracle import pyx12_errors
from conformance import others_claims as others
from encounters.extracts import Extract

from pipeline import settings, shapes, transactions
from pipeline.claims import stage as claims
from pipeline.coding import stage as coding
from pipeline.encounters import stage as intake
from pipeline.encounters.identifiers import synthetic_npi
from pipeline.scrubbing import stage as scrubbing
from pipeline.store import Store, open_store
from pipeline.store import register as r
from pipeline.x12 import validator

ON = date(2026, 11, 20)


@dataclass
class Made:
    """What a night made of an extract. `states`: state and reason of visits → how many; `claims`: guide → how many."""

    states: dict[str, int]
    claims: dict[str, int]
    warned: list[str]
    findings: list[str]
    files: list[bytes]


@pytest.fixture(scope="module")
def payers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The payers that ship, with time enough to file claims of years ago."""
    folder = tmp_path_factory.mktemp("payers")
    for path in (shapes.schemas_dir() / "payers").glob("*.toml"):
        text = re.sub(r"(?m)^filing_days = .*\n", "", path.read_text())
        text = (
            text.replace("[claims]\n", "[claims]\nfiling_days = 36500\n")
            if "[claims]" in text
            else text + "\n[claims]\nfiling_days = 36500\n"
        )
        (folder / path.name).write_text(text)
    return folder


def night(home: Path, payers: Path, extract: Path) -> Made:
    """The stages of a night up to the files, each file judged, each cent looked for."""
    loaded = settings.load(home, payers_dir=str(payers))
    loaded.coding.visit_minutes_are_practitioner_time = True
    store = open_store(loaded)
    try:
        intake.run(store, ON, extract)
        coding.run(store, ON)
        scrubbing.run(store, ON)
        with store.read() as c:
            keys = c.execute(sa.select(r.claims.c.payer_key).distinct()).scalars().all()
        for key in sorted(keys):
            claims.build(store, ON, key)
        return _judged(store)
    finally:
        store.close()


def _judged(store: Store) -> Made:
    with store.read() as c:
        extract = c.execute(sa.select(sa.func.sum(r.imports.c.charge_cents))).scalar_one()
        visits = c.execute(sa.select(r.encounters)).mappings().all()
        made = c.execute(sa.select(r.claims)).mappings().all()
        sendings = c.execute(sa.select(r.sendings)).mappings().all()
        found = c.execute(
            sa.select(r.findings.c.rule, r.findings.c.message).where(r.findings.c.severity == "error")
        ).all()
    charged: dict[str, Decimal] = {}
    warned: set[str] = set()
    files = []
    for sending in sendings:
        data = store.archive.get(sending["file_id"])
        files.append(data)
        told = validator.validate(data)
        assert [f"{f.rule} {f.loop} {f.segment_id}{f.element}" for f in told if f.severity == "error"] == []
        warned |= {f.rule for f in told}
        if sending["guide"] != D837:  # pyx12 has no map of it
            assert pyx12_errors(data) == []
        read = transactions.read(data).tables["837.claims"]
        charged |= zip(read.column("claim_id").to_pylist(), read.column("charge").to_pylist(), strict=True)
    # every claim is in a file, with its charge; every visit that is claimed has one; what waits keeps its charge
    assert charged == {row["claim_id"]: Decimal(row["charge_cents"]) / 100 for row in made}
    claimed = {row["claim_id"] for row in visits if row["state"] == "claimed"}
    assert claimed == set(charged)
    billed = sum(row["billed_cents"] for row in visits if row["state"] == "claimed")
    assert billed == sum(charged.values()) * 100
    waits = sum(row["charge_cents"] for row in visits if row["state"] != "claimed")
    added = sum(row["priced_cents"] - row["unbilled_cents"] for row in visits if row["state"] == "claimed")
    assert sum(charged.values()) * 100 - added + waits == extract
    for row in visits:
        if row["state"] == "claimed":
            assert row["charge_cents"] + row["priced_cents"] == row["billed_cents"] + row["unbilled_cents"]
    return Made(
        states=dict(Counter(f"{row['state']} {row['reason']}".strip() for row in visits)),
        claims=dict(Counter(row["guide"] for row in made)),
        warned=sorted(warned),
        findings=sorted({f"{rule}: {message}" for rule, message in found}),
        files=files,
    )


# --- whose claims -------------------------------------------------------------------------------------------------------

Write = Callable[[Path, Path], Path]
_STATIC = {"bcarrier-multiple-lines": "carrier", "bcarrier": "carrier", "dme": "dme", "hha": "hha", "hospice": "hospice",
           "inpatient": "inpatient", "outpatient": "outpatient", "snf": "snf"}  # fmt: skip


def rif(kind: str) -> Write:
    def write(samples: Path, folder: Path) -> Path:
        place = samples / "encounters" / "cms_bfd_rif_synthea"
        return others.rif(kind, place / f"{kind}.csv", sorted(place.glob("beneficiary_20*.csv"))).write(folder)

    return write


def static(name: str) -> Write:
    def write(samples: Path, folder: Path) -> Path:
        place = samples / "encounters" / "cms_bfd_rif_static"
        people = [place / "sample-a-beneficiaries.txt"]
        return others.rif(_STATIC[name], place / f"sample-a-{name}.txt", people).write(folder)

    return write


def eob(name: str) -> Write:
    def write(samples: Path, folder: Path) -> Path:
        folder.mkdir()
        found = [e for path in sorted((samples / "encounters" / name).glob("*json")) for e in others.explanations(path)]
        (folder / "claims.json").write_text(json.dumps(others.eob_bundle(found)))
        return folder

    return write


def hl7(samples: Path, folder: Path) -> Path:
    folder.mkdir()
    for path in (samples / "encounters" / "hl7v2").glob("DFT-*.hl7"):
        shutil.copy(path, folder)
    practice = {"practice_id": "GHHSFacility", **others.billing("7")}
    (folder / "practices.csv").write_text(f"{','.join(practice)}\n{','.join(practice.values())}\n")
    return folder


def idr(samples: Path, folder: Path) -> Path:
    return others.idr(samples / "encounters" / "cms_bfd_idr_claims").write(folder)


def shared_system(name: str) -> Write:
    def write(samples: Path, folder: Path) -> Path:
        place = samples / "encounters" / "cms_rda_fiss_mcs" / f"SAMPLE-{name}.ndjson"
        return others.shared_system(place, professional=name == "MCS").write(folder)

    return write


def as_it_is(name: str) -> Write:
    return lambda samples, folder: samples / "encounters" / name


P837, I837, D837 = "005010X222A1", "005010X223A2", "005010X224A2"
MEDICARE_ID, ADMITTING, ZIP = "837.medicare-id", "837I.admitting-diagnosis", "837P.billing-zip"

#: (name, whose claims, where visits stand afterwards, claims by guide, what the validator warns of)
CASES: list[tuple[str, Write, dict[str, int], dict[str, int], list[str]]] = [
    ("carrier", rif("carrier"), {"claimed": 25, "held line-charge": 12}, {P837: 25}, [MEDICARE_ID]),
    ("equipment", rif("dme"), {"held icd10cm-unknown": 1}, {}, []),
    ("outpatient", rif("outpatient"), {"claimed": 13, "held line-date": 1, "held manifestation-first": 5}, {I837: 13}, [MEDICARE_ID]),
    ("inpatient", rif("inpatient"), {"claimed": 15, "held icd10cm-unknown": 1}, {I837: 15}, [MEDICARE_ID, ADMITTING]),
    ("nursing facility", rif("snf"), {"claimed": 1}, {I837: 1}, [MEDICARE_ID]),
    ("home health", rif("hha"), {"claimed": 14}, {I837: 14}, [MEDICARE_ID]),
    ("hospice", rif("hospice"), {"claimed": 1}, {I837: 1}, [MEDICARE_ID]),
    # random codes: none of them may leave
    *((f"random {name}", static(name), {state: 1}, {}, []) for name, state in (
        ("bcarrier", "held icd10cm-heading"), ("bcarrier-multiple-lines", "held icd10cm-heading"),
        ("dme", "held icd10cm-heading"), ("hha", "coder_list ICD9CM:53081"), ("hospice", "coder_list ICD9CM:72761"),
        ("inpatient", "held icd10cm-heading"), ("outpatient", "held line-date"), ("snf", "coder_list ICD9CM:3736"),
    )),
    ("explanations of benefit", eob("cms_bfd_eob_fhir"),
     {"claimed": 6, "held icd10cm-heading": 1, "held icd10cm-unknown": 1}, {P837: 2, I837: 4}, [ADMITTING]),
    ("explanations of benefit, many", eob("eob_hccinfhir"),
     {"claimed": 163, "coder_list no-diagnosis": 1, "held icd10cm-heading": 2, "held manifestation-first": 2},
     {P837: 85, I837: 78}, [ADMITTING]),
    ("HL7", hl7, {"coder_list SNOMED:29857009": 1}, {}, []),
    # its check-ups have no class that tells a preventive visit, and its other visits are from before 2021, when history and
    # examination made the level: what a person decides
    ("Synthea in FHIR", as_it_is("fhir_r4_synthea"), {"not_billable before_icd10cm": 270, "coder_list visit:check_up": 90, "coder_list visit:office": 37, "coder_list SNOMED:192127007": 19, "coder_list visit:procedure": 7, "coder_list SNOMED:73761001": 6, "coder_list SNOMED:117015009": 4, "coder_list SNOMED:269911007": 4, "coder_list visit:emergency": 4, "coder_list SNOMED:23426006": 4, "coder_list CVX:140": 3, "coder_list SNOMED:180325003": 3, "coder_list SNOMED:72892002": 3, "coder_list SNOMED:18286008": 2, "coder_list SNOMED:283385000": 2, "coder_list SNOMED:26929004": 2, "coder_list new-or-established": 2, "coder_list SNOMED:56876005": 2, "coder_list SNOMED:39848009": 1, "coder_list SNOMED:44465007": 1, "coder_list SNOMED:62106007": 1, "coder_list SNOMED:755621000000101": 1, "coder_list SNOMED:301807007": 1, "coder_list SNOMED:55680006": 1}, {}, []),
    # principal diagnoses are mostly headings or external causes, and sixteen repeat another claim
    ("repository", idr,
     {"claimed": 3, "held icd10cm-heading": 43, "held icd10cm-unknown": 34, "held duplicate": 16, "held external-cause-first": 3,
      "held line-units": 1, "held x12.element-list": 1,  # a discharge status 32, which nobody has assigned
      "coder_list no-diagnosis": 2, "coder_list revenue-code": 1},
     {P837: 3}, [MEDICARE_ID]),
    # random letters: none of them may leave
    ("FISS", shared_system("FISS"), {"held icd10cm-unknown": 98, "coder_list no-diagnosis": 2}, {}, []),
    ("MCS", shared_system("MCS"),
     {"held icd10cm-unknown": 48, "held line-repeated": 1, "coder_list no-diagnosis": 19, "coder_list ICD9CM": 32}, {}, []),
]  # fmt: skip


@pytest.mark.parametrize(("write", "states", "made", "warned"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_claims_of_others_are_built_or_wait_for_a_reason(
    write: Write, states: dict[str, int], made: dict[str, int], warned: list[str],
    samples: Path, payers: Path, tmp_path: Path,
) -> None:  # fmt: skip
    found = night(tmp_path / "home", payers, write(samples, tmp_path / "extract"))
    if "coder_list ICD9CM" in states:  # each of another random code
        found.states = dict(
            Counter(state.partition(":")[0] for state in found.states for _ in range(found.states[state]))
        )
    assert (found.states, found.claims, found.warned) == (states, made, sorted(warned))


#: folders of others' encounters and claims: the cases above that bill them, or why none does
FOLDERS: dict[str, str] = {
    "cms_bfd_eob_fhir": "explanations of benefit", "cms_bfd_idr_claims": "repository", "cms_bfd_rif_static": "random carrier",
    "cms_bfd_rif_synthea": "carrier", "cms_rda_fiss_mcs": "FISS", "eob_hccinfhir": "explanations of benefit, many", "hl7v2": "HL7",
    "synthea27_full": "of Synthea, below", "synthea_b_1494enc": "of Synthea, below", "fhir_r4_synthea": "Synthea in FHIR",
    "tuva_cclf_seed": "no row", "tuva_demo_seed": "no row",
}  # fmt: skip


def test_every_folder_of_others_claims_is_billed_or_has_its_reason(samples: Path) -> None:
    assert {path.name for path in (samples / "encounters").iterdir()} == set(FOLDERS)
    names = {case[0].replace("bcarrier", "carrier") for case in CASES}
    assert {reason for reason in FOLDERS.values() if reason not in ("no row", "of Synthea, below")} <= names
    for folder in (name for name, reason in FOLDERS.items() if reason == "no row"):
        for path in (samples / "encounters" / folder).iterdir():  # headers alone: nothing to bill
            assert len(path.read_text().splitlines()) == 1, path.name


@pytest.mark.slow
@pytest.mark.parametrize(("name", "claimed", "held"), [
    ("synthea27_full", 40, {"held line-charge": 9, "held patient-address": 51}),
    ("synthea_b_1494enc", 133, {}),
])  # fmt: skip
def test_visits_of_synthea_are_built_or_wait_for_a_reason(
    name: str, claimed: int, held: dict[str, int], samples: Path, payers: Path, tmp_path: Path
) -> None:
    """In SNOMED: what no rule codes is the coder's."""
    found = night(tmp_path / "home", payers, as_it_is(name)(samples, tmp_path))
    assert found.claims == {P837: claimed}
    assert {state: n for state, n in found.states.items() if state.startswith("held")} == held
    assert found.warned == [MEDICARE_ID, ZIP]


def dental() -> Extract:
    """Three visits: a filling with its surfaces, a crown that replaces one, an estimate of braces."""
    extract = Extract()
    for number, (code, charge) in enumerate((("D2392", "180.00"), ("D2740", "1250.00"), ("D8080", "5200.00")), 1):
        key = {"practice_id": "P01", "encounter_id": f"V{number}"}
        extract.encounters.append(key | others.billing("9") | others.prefixed("patient", others.HOME) | {
            "claim_type": "dental", "service_from": "2026-11-10", "service_to": "2026-11-10", "charge": charge,
            "place_of_service": "11", "payer": "Harbor Mutual", "member_id": f"HM{number:07d}", "patient_id": f"PT{number}",
            "patient_last": "O'Dwyer", "patient_first": "Silas", "patient_birth_date": "2012-01-31", "patient_sex": "M",
            "relationship": "18", "rendering_npi": synthetic_npi("dentist"), "rendering_last": "Ash", "rendering_first": "Al",
            **({"orthodontic_months": "24", "orthodontic_months_left": "24", "predetermination": "Y"} if number == 3 else {}),
        })  # fmt: skip
        extract.diagnoses.append(key | {"rank": "1", "system": "ICD10CM", "code": "K02.9", "text": ""})
        extract.services.append(key | {
            "line": "1", "kind": "procedure", "system": "CDT", "code": code, "units": "1", "charge": charge,
            "service_date": "2026-11-10", "pointers": "1", "oral_cavity": "10" if number == 3 else "",
            "prosthesis": "R" if number == 2 else "", "prior_placement_date": "2019-05-06" if number == 2 else "",
        })  # fmt: skip
    extract.add("teeth", 1, line="1", tooth="14", surfaces="MO")
    extract.add("teeth", 2, line="1", tooth="3")
    extract.add("teeth", 3, tooth="19", status="M")
    return extract


def test_dental_visits_are_built_and_read_back_equal(payers: Path, tmp_path: Path) -> None:
    """Building compares what our reader gives back with the tables that were written, and refuses the file where they differ."""
    found = night(tmp_path / "home", payers, dental().write(tmp_path / "extract"))
    assert (found.states, found.claims, found.findings) == ({"claimed": 3}, {D837: 3}, [])
    [data] = found.files
    text = data.decode()
    for segment in (
        "TOO*JP*14*M:O",
        "TOO*JP*3",
        "DN2*19*M****JP",
        "DN1*24*24",
        "SV3*AD:D2740*1250",
        "DTP*441*D8*20190506",
    ):
        assert f"{segment}~" in text or f"{segment}*" in text, segment
