"""Claims of others as extracts of ours: what a practice with those very claims would hand to intake.

The sources hold claims as a payer keeps them, so some of what a provider knows is not in them. It is made up here, always the same
for the same source: addresses, names and numbers of providers (theirs fail the check digit), and, for carrier lines that have no
procedure, a procedure by the number of the line; for nursing facilities and home health the rate code (HIPPS) that their claims
bear. What they do hold stays: diagnoses, procedures, revenue codes,
charges, units, dates (moved by whole years, to where their diagnosis codes are in force).
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from encounters.extracts import Extract

from pipeline.codes import procedure_shaped
from pipeline.encounters.identifiers import synthetic_ein, synthetic_npi

#: carrier lines without a procedure get one, by their number
PROCEDURES = (
    "99213", "80053", "85025", "93000", "71046", "81001", "36415", "83036", "84443", "80061", "82306", "82607", "84153",
    "86803", "87086", "82728", "83540", "84550", "86140", "85652", "82043", "83735", "84100", "84439", "82746",
)  # fmt: skip
PLACE = {"address1": "1 Elm Street", "city": "Boston", "state": "MA", "zip": "021100001"}
HOME = {"address1": "2 Oak Street", "city": "Boston", "state": "MA", "zip": "02111"}
#: total lines (0001) stand where the source has one line a claim: the revenue code of the care itself
REVENUE = {"outpatient": "0510", "inpatient": "0450", "snf": "0550", "hha": "0551", "hospice": "0651"}
#: revenue code and rate code
RATE = {"snf": ("0022", "KAGD1"), "hha": ("0023", "1FC11")}
BILL_TYPE = {"outpatient": "13", "inpatient": "11", "snf": "21", "hha": "32", "hospice": "81"}


def prefixed(prefix: str, cells: Mapping[str, str]) -> dict[str, str]:
    return {f"{prefix}_{name}": text for name, text in cells.items()}


def billing(seed: str) -> dict[str, str]:
    return {
        "billing_name": f"Practice {''.join(chr(65 + int(d)) for d in seed if d.isdecimal())}", "billing_npi": synthetic_npi(seed),
        "billing_tin": synthetic_ein(seed), "billing_tin_kind": "EI", "billing_taxonomy": "207Q00000X", **prefixed("billing", PLACE),
    }  # fmt: skip


def years_on(first: str) -> int:
    """By how many whole years a claim is moved: made-up claims write ICD-10 codes of all editions under any day; 2022 knows most."""
    return max(0, 2022 - int(first[:4]))


# --- CMS Research Identifiable Files ----------------------------------------------------------------------------------


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return [{k: (v or "").strip() for k, v in row.items() if k} for row in csv.DictReader(file, delimiter="|")]


def _day(text: str, years: int) -> str:
    if not text:
        return ""
    found = datetime.strptime(text, "%d-%b-%Y").date()
    day = 28 if (found.month, found.day) == (2, 29) else found.day
    return found.replace(year=found.year + years, day=day).isoformat()


def rif(kind: str, claims: Path, beneficiaries: Iterable[Path]) -> Extract:
    """`kind`: carrier, dme, outpatient, inpatient, snf, hha or hospice."""
    people = {row["BENE_ID"]: row for path in beneficiaries for row in rows(path)}
    extract = Extract()
    by_claim: dict[str, list[dict[str, str]]] = {}
    for row in rows(claims):
        by_claim.setdefault(row["CLM_ID"], []).append(row)
    for identity, lines in by_claim.items():
        _rif_claim(extract, kind, identity, lines, people.get(lines[0]["BENE_ID"], {}))
    return extract


def _rif_claim(
    extract: Extract, kind: str, identity: str, lines: list[dict[str, str]], person: Mapping[str, str]
) -> None:
    if kind == "snf":
        lines = _merged(lines)
    head = lines[0]
    years = years_on(_day(head["CLM_FROM_DT"], 0))
    key = {"practice_id": f"cms-{kind}", "encounter_id": identity}
    professional = kind in ("carrier", "dme")
    charged = "LINE_SBMTD_CHRG_AMT" if professional else "REV_CNTR_TOT_CHRG_AMT"
    first, last = _day(head["CLM_FROM_DT"], years), _day(head["CLM_THRU_DT"], years)
    charges = [Decimal(line[charged]) for line in lines]
    rest = max(Decimal(0), Decimal(head.get("CLM_TOT_CHRG_AMT") or 0) - sum(charges))
    if rest and not charges[0]:  # one line of a claim is kept, and not what it cost
        charges[0], rest = rest, Decimal(0)
    total = sum(charges) + rest
    row = key | {
        "claim_type": "professional" if professional else "institutional", "service_from": first, "service_to": last,
        "charge": f"{total:.2f}", "payer": "Medicare", "member_id": person.get("MBI_NUM") or "1EG4TE5MK73",
        "patient_id": head["BENE_ID"], "patient_last": person.get("BENE_SRNM_NAME") or "Doe",
        "patient_first": person.get("BENE_GVN_NAME") or "Alex",
        "patient_birth_date": _day(person.get("BENE_BIRTH_DT") or "17-Jan-1942", 0),
        "patient_sex": {"1": "M", "2": "F"}.get(person.get("BENE_SEX_IDENT_CD", ""), "U"), "relationship": "18",
        **prefixed("patient", HOME), **billing(head.get("ORG_NPI_NUM") or head.get("TAX_NUM") or head["PRVDR_NUM"]),
    }  # fmt: skip
    if professional:
        doctor = head.get("PRF_PHYSN_NPI") or head.get("PRVDR_NPI", "")
        row |= {"rendering_npi": synthetic_npi(doctor), "rendering_last": "Ash", "rendering_first": "Al",
                "place_of_service": head["LINE_PLACE_OF_SRVC_CD"]}  # fmt: skip
        if head.get("RFR_PHYSN_NPI"):
            row |= {
                "referring_npi": synthetic_npi(head["RFR_PHYSN_NPI"]),
                "referring_last": "Elder",
                "referring_first": "Eve",
            }
    else:
        row |= {"bill_type": BILL_TYPE[kind], "patient_status": head["PTNT_DSCHRG_STUS_CD"].zfill(2),
                "admission_type": head.get("CLM_IP_ADMSN_TYPE_CD") or "9", "admission_source": head.get("CLM_SRC_IP_ADMSN_CD") or "9"}  # fmt: skip
        admitted = head.get("CLM_ADMSN_DT") or head.get("CLM_HOSPC_START_DT_ID")
        if admitted:
            row |= {"admission_date": _day(admitted, years), "admission_hour": "0900"}
        if kind in ("inpatient", "snf"):
            row |= {"discharge_hour": "1000"}
        for role, column in (("attending", "AT_PHYSN_NPI"), ("operating", "OP_PHYSN_NPI")):
            if head.get(column):
                number = len(extract.encounters)
                extract.add("parties", number, role=role, last="Yew", first="Una", npi=synthetic_npi(head[column]))
                extract.further["parties"][-1] |= key
    extract.encounters.append(row)
    _rif_diagnoses(extract, key, head, stay=not professional)
    ranks = {d["code"]: d["rank"] for d in extract.diagnoses if key.items() <= d.items() and not d["kind"]}
    if kind in RATE and not any(line["REV_CNTR"].zfill(4) in ("0022", "0023") for line in lines):
        revenue, rate = RATE[kind]
        extract.services.append(key | {
            "line": "99", "kind": "other", "system": "HIPPS", "code": rate, "units": "1", "charge": "0.00", "service_date": first,
            "pointers": "", "revenue_code": revenue,
        })  # fmt: skip
    for number, line in enumerate(lines, 1):
        revenue = ""
        if not professional:
            revenue = line["REV_CNTR"].zfill(4)
            revenue = REVENUE[kind] if revenue == "0001" else revenue
        code = line["HCPCS_CD"] or ("" if not professional else PROCEDURES[(number - 1) % len(PROCEDURES)])
        modifiers = [line.get(f"HCPCS_{n}_MDFR_CD") or "" for n in ("1ST", "2ND")]
        rated = revenue in ("0022", "0023", "0024") and len(code) == 5 and not procedure_shaped(code)
        units = line.get("LINE_SRVC_CNT") or line.get("REV_CNTR_UNIT_CNT") or "1"
        extract.services.append(key | {
            "line": str(number), "kind": "procedure", "system": "HIPPS" if rated else "HCPCS" if code else "REVENUE", "code": code or revenue,
            "units": units if Decimal(units) > 0 else "1", "charge": f"{charges[number - 1]:.2f}",
            "service_date": _day(line.get("LINE_1ST_EXPNS_DT") or line.get("REV_CNTR_DT") or head["CLM_FROM_DT"], years),
            "pointers": ranks.get(line.get("LINE_ICD_DGNS_CD", ""), ""), "revenue_code": revenue,
            "modifier1": modifiers[0], "modifier2": modifiers[1],
        })  # fmt: skip
    if rest:  # what the lines that the source left out had charged
        extract.services.append(key | {
            "line": str(len(lines) + 1), "kind": "other", "system": "REVENUE", "code": "0250", "units": "1", "charge": f"{rest:.2f}",
            "service_date": first, "pointers": "", "revenue_code": "0250",
        })  # fmt: skip


def _merged(lines: list[dict[str, str]]) -> list[dict[str, str]]:
    """Lines of one day that say the same as one line with their units and charges: as a biller writes them."""
    made: dict[tuple[str, ...], dict[str, str]] = {}
    for line in lines:
        same = tuple(
            line.get(n) or "" for n in ("REV_CNTR", "HCPCS_CD", "HCPCS_1ST_MDFR_CD", "HCPCS_2ND_MDFR_CD", "REV_CNTR_DT")
        )
        if (known := made.get(same)) is None:
            made[same] = dict(line) | {"REV_CNTR_UNIT_CNT": line.get("REV_CNTR_UNIT_CNT") or "1"}
            continue
        for name in ("REV_CNTR_UNIT_CNT", "REV_CNTR_TOT_CHRG_AMT"):
            known[name] = str(Decimal(known[name]) + Decimal(line.get(name) or ("1" if "UNIT" in name else "0")))
    return list(made.values())


def _rif_diagnoses(extract: Extract, key: Mapping[str, str], head: Mapping[str, str], *, stay: bool) -> None:
    def system(column: str) -> str:
        return "ICD9CM" if head.get(column) == "9" else "ICD10CM"

    principal = head["PRNCPAL_DGNS_CD"]
    poa = {head.get(f"ICD_DGNS_CD{n}"): head.get(f"CLM_POA_IND_SW{n}", "") for n in range(1, 26)}
    codes = [(principal, system("PRNCPAL_DGNS_VRSN_CD"))] + [
        (head[f"ICD_DGNS_CD{n}"], system(f"ICD_DGNS_VRSN_CD{n}")) for n in range(1, 26) if head.get(f"ICD_DGNS_CD{n}")
    ]
    listed = list(dict.fromkeys(c for c in codes if c[0]))[: 25 if stay else 12]
    found = [(code, name, "") for code, name in listed]
    if stay:
        if head.get("ADMTG_DGNS_CD"):
            found.append((head["ADMTG_DGNS_CD"], system("ADMTG_DGNS_VRSN_CD"), "admitting"))
        external = [head.get(f"ICD_DGNS_E_CD{n}", "") for n in range(1, 13)]
        # most are cut to their heading in the source: no code at all
        found += [(code, "ICD10CM", "external") for code in dict.fromkeys(external) if len(code) > 3]
        for n in range(1, 26):
            if head.get(f"ICD_PRCDR_CD{n}"):
                row = key | {"kind": "procedure", "rank": str(n), "code": head[f"ICD_PRCDR_CD{n}"],
                             "from_date": extract.encounters[-1]["service_from"]}  # fmt: skip
                extract.further.setdefault("codes", []).append(row)
        if head.get("CLM_DRG_CD"):
            row = key | {"kind": "drg", "rank": "1", "code": head["CLM_DRG_CD"], "from_date": ""}
            extract.further.setdefault("codes", []).append(row)
    ranks: dict[str, int] = {}
    for code, name, kind in found:
        ranks[kind] = ranks.get(kind, 0) + 1
        extract.diagnoses.append(key | {
            "rank": str(ranks[kind]), "system": name, "code": code, "text": "", "kind": kind,
            "poa": (poa.get(code, "") if kind == "" and stay else ""),
        })  # fmt: skip


# --- explanations of benefit in FHIR -----------------------------------------------------------------------------------

_CLAIM_TYPE = "http://terminology.hl7.org/CodeSystem/claim-type"
_ICD = "http://hl7.org/fhir/sid/icd-10-cm"
_HCPCS = "https://bluebutton.cms.gov/resources/codesystem/hcpcs"
_NUBC = "https://www.nubc.org/CodeSystem/RevenueCodes"
_INFO = "http://terminology.hl7.org/CodeSystem/claiminformationcategory"
_NPI = "http://hl7.org/fhir/sid/us-npi"
_PROFESSIONAL = {"71", "72", "81", "82", "2700", "CARRIER", "DME"}
_BILL = {"40": "0131", "60": "0111", "50": "0811", "10": "0321", "20": "0211", "30": "0211"}


def _coded(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]}


def _codes(concept: Any) -> list[Mapping[str, Any]]:
    return list((concept or {}).get("coding") or [])


def _code(concept: Any, *systems: str) -> str:
    return next(
        (str(c.get("code", "")) for c in _codes(concept) if any(s in str(c.get("system", "")) for s in systems)), ""
    )


def eob_bundle(explanations: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """FHIR resources that bill what the explanations explain: Claim, Patient, Practitioner, Organization, Coverage. The sources
    name few patients and the same claim often: each claim gets a patient of its own."""
    resources: list[dict[str, Any]] = [
        {"resourceType": "Organization", "id": "PAYER", "name": "Medicare"},
        {"resourceType": "Organization", "id": "CLINIC", "name": "Northgate Clinic",
         "identifier": [{"system": _NPI, "value": synthetic_npi("clinic")},
                        {"system": "urn:oid:2.16.840.1.113883.4.4", "value": synthetic_ein("clinic")}],
         "address": [{"line": ["1 Elm Street"], "city": "Boston", "state": "MA", "postalCode": "021100001"}]},
        {"resourceType": "Practitioner", "id": "DOCTOR", "name": [{"family": "Ash", "given": ["Al"]}],
         "identifier": [{"system": _NPI, "value": synthetic_npi("doctor")}]},
    ]  # fmt: skip
    for number, eob in enumerate(explanations, 1):
        resources += [*_patient(number), _claim(number, eob)]
    return {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": r} for r in resources]}


def _patient(number: int) -> list[dict[str, Any]]:
    return [
        {"resourceType": "Patient", "id": f"P{number}", "name": [{"family": "Doe", "given": ["Alex"]}], "gender": "female",
         "birthDate": f"19{40 + number % 20}-01-17",
         "address": [{"line": ["2 Oak Street"], "city": "Boston", "state": "MA", "postalCode": "02111"}]},
        {"resourceType": "Coverage", "id": f"V{number}", "status": "active", "subscriberId": f"1EG4TE5MK{number % 100:02d}",
         "beneficiary": {"reference": f"Patient/P{number}"}, "payor": [{"reference": "Organization/PAYER"}],
         "relationship": _coded("http://terminology.hl7.org/CodeSystem/subscriber-relationship", "self")},
    ]  # fmt: skip


def _moved(text: str, years: int) -> str:
    day = text[4:10] if text[5:10] != "02-29" else "-02-28"
    return f"{int(text[:4]) + years}{day}"


def _claim(number: int, eob: Mapping[str, Any]) -> dict[str, Any]:
    kinds = {str(c.get("code")) for c in _codes(eob["type"])}
    professional = bool(kinds & _PROFESSIONAL)
    kind = "professional" if professional else "institutional"
    if kinds & {"PDE", "pharmacy"}:
        kind = "pharmacy"
    years = years_on(eob["billablePeriod"]["start"])
    period = {name: _moved(eob["billablePeriod"][name], years) for name in ("start", "end")}
    items = [_item(n, item, professional, period, years) for n, item in enumerate(eob.get("item") or [], 1)]
    role = "http://terminology.hl7.org/CodeSystem/claimcareteamrole"
    info = []
    if kind == "institutional":
        bill = next((_BILL[k] for k in sorted(kinds) if k in _BILL), "0131")
        entries = [("typeofbill", bill), ("discharge-status", "01"), ("admtype", "3"), ("pointoforigin", "1")]
        info = [
            {"sequence": n, "category": _coded(_INFO, name), "code": _coded(_INFO, code)}
            for n, (name, code) in enumerate(entries, 1)
        ]
        if bill[:3] in ("011", "021"):
            info.append({"sequence": 5, "category": _coded(_INFO, "admissionperiod"), "timingDate": period["start"]})
    return {
        "resourceType": "Claim", "id": f"C{number}", "status": "active", "use": "claim", "created": period["end"],
        "type": _coded(_CLAIM_TYPE, kind), "patient": {"reference": f"Patient/P{number}"},
        "priority": _coded("http://terminology.hl7.org/CodeSystem/processpriority", "normal"),
        "provider": {"reference": "Organization/CLINIC"}, "billablePeriod": period,
        "careTeam": [{"sequence": 1, "provider": {"reference": "Practitioner/DOCTOR"},
                      "role": _coded(role, "primary" if professional else "attending")}],
        "diagnosis": [_diagnosis(n, d) for n, d in enumerate(eob.get("diagnosis") or [], 1)],
        "supportingInfo": info or None, "item": items or None,
        "insurance": [{"sequence": 1, "focal": True, "coverage": {"reference": f"Coverage/V{number}"}}],
        "total": {"value": float(sum(Decimal(str(i["net"]["value"])) for i in items)), "currency": "USD"},
    }  # fmt: skip


def _diagnosis(number: int, entry: Mapping[str, Any]) -> dict[str, Any]:
    code = _code(entry.get("diagnosisCodeableConcept"), "icd-10") or "R69"
    kinds = {str(c.get("code")) for concept in entry.get("type") or [] for c in _codes(concept)}
    found: dict[str, Any] = {"sequence": number, "diagnosisCodeableConcept": _coded(_ICD, code)}
    if "principal" in kinds:
        found["type"] = [_coded("http://terminology.hl7.org/CodeSystem/ex-diagnosistype", "principal")]
    return found


def _item(
    number: int, item: Mapping[str, Any], professional: bool, period: Mapping[str, str], years: int
) -> dict[str, Any]:
    submitted = next(
        (a["amount"]["value"] for a in item.get("adjudication") or []
         if "submitted" in {str(c.get("code")) for c in _codes(a.get("category"))} and a.get("amount")),
        None,
    )  # fmt: skip
    code = _code(item.get("productOrService"), "hcpcs", "HCPCS", "cpt")
    if not code and professional:
        code = PROCEDURES[(number - 1) % len(PROCEDURES)]
    stated = (item.get("servicedPeriod") or {}).get("start") or item.get("servicedDate")
    when = _moved(stated, years) if stated else period["start"]
    if not period["start"] <= when <= period["end"]:
        when = period["start"]
    quantity = (item.get("quantity") or {}).get("value") or 1
    made: dict[str, Any] = {
        "sequence": number, "productOrService": _coded(_HCPCS, code) if code else {"text": "none"},
        "servicedDate": when, "quantity": {"value": quantity}, "diagnosisSequence": item.get("diagnosisSequence"),
        "net": {"value": submitted if submitted is not None else 100 + number, "currency": "USD"},
        "modifier": [_coded(_HCPCS, _codes(m)[0]["code"]) for m in item.get("modifier") or [] if code and _codes(m)] or None,
    }  # fmt: skip
    if professional:
        made["locationCodeableConcept"] = _coded("https://www.cms.gov/Medicare/Coding/place-of-service-codes", "11")
    else:
        revenue = _code(item.get("revenue"), "rev_cntr", "RevenueCodes", "nubc").zfill(4)
        made["revenue"] = _coded(_NUBC, "0510" if revenue in ("0000", "0001") else revenue)
    return {k: v for k, v in made.items() if v is not None}


def explanations(path: Path) -> list[dict[str, Any]]:
    """The explanations of benefit in a file (JSON or NDJSON) that are of claims."""
    text = path.read_text()
    found = [json.loads(line) for line in text.splitlines()] if path.suffix == ".ndjson" else [json.loads(text)]
    return [e for e in found if e.get("resourceType") == "ExplanationOfBenefit" and e.get("use", "claim") == "claim"]


# --- CMS, from the Integrated Data Repository -------------------------------------------------------------------------------

#: claim types whose claims a practice or a hospital files; others are of pharmacies (1 to 4) or only partly adjudicated (1011 …)
IDR_PROFESSIONAL = frozenset({"71", "72", "81", "82"})
IDR_BILL_TYPE = {"10": "32", "20": "21", "30": "18", "40": "13", "50": "81", "60": "11"}
_POA = frozenset("YNUW1")


def _idr_rows(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / f"SYNTHETIC_{name}.csv").open(encoding="utf-8-sig", newline="") as file:
        return [{k: v.strip() for k, v in row.items() if k and v} for row in csv.DictReader(file)]


def _idr_key(row: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(row.get(n, "") for n in ("GEO_BENE_SK", "CLM_DT_SGNTR_SK", "CLM_TYPE_CD", "CLM_NUM_SK"))


def idr(folder: Path) -> Extract:
    """The claims of the repository that a provider files: 104 of 150. What its claims charge as a whole is drawn apart from what their lines
    charge: the lines count."""
    below: dict[str, dict[tuple[str, ...], list[dict[str, str]]]] = {"CLM_PROD": {}, "CLM_LINE": {}, "CLM_INSTNL": {}}
    for name, found in below.items():
        for row in _idr_rows(folder, name):
            found.setdefault(_idr_key(row), []).append(row)
    people = {row["BENE_SK"]: row for row in _idr_rows(folder, "BENE_HSTRY")}
    extract = Extract()
    for claim in _idr_rows(folder, "CLM"):
        if claim["CLM_TYPE_CD"] in IDR_PROFESSIONAL or claim["CLM_TYPE_CD"] in IDR_BILL_TYPE:
            parts = {name: found.get(_idr_key(claim), []) for name, found in below.items()}
            _idr_claim(extract, claim, parts, people.get(claim.get("BENE_SK", ""), {}))
    return extract


def _idr_claim(
    extract: Extract, claim: Mapping[str, str], parts: Mapping[str, list[dict[str, str]]], person: Mapping[str, str]
) -> None:
    kind, years = claim["CLM_TYPE_CD"], years_on(claim["CLM_FROM_DT"])
    professional = kind in IDR_PROFESSIONAL
    key = {"practice_id": f"idr-{kind}", "encounter_id": f"{claim['CLM_UNIQ_ID']}-{claim['CLM_NUM_SK']}"}
    lines = parts["CLM_LINE"]
    charges = [Decimal(line.get("CLM_LINE_SBMT_CHRG_AMT") or "0").quantize(Decimal("0.01")) for line in lines]
    doctor = claim.get("CLM_ATNDG_PRVDR_NPI_NUM") or claim.get("PRVDR_RFRG_PRVDR_NPI_NUM") or "doctor"
    first, last = (_moved(claim[name], years) for name in ("CLM_FROM_DT", "CLM_THRU_DT"))
    row = key | {
        "claim_type": "professional" if professional else "institutional", "service_from": first, "service_to": last,
        "charge": f"{sum(charges, Decimal(0)):.2f}", "payer": "Medicare", "member_id": person.get("BENE_MBI_ID") or "1EG4TE5MK73",
        "patient_id": claim.get("BENE_SK", ""), "patient_last": person.get("BENE_LAST_NAME") or "Doe",
        "patient_first": person.get("BENE_1ST_NAME") or "Alex", "patient_birth_date": person.get("BENE_BRTH_DT") or "1942-01-17",
        "patient_sex": {"1": "M", "2": "F"}.get(person.get("BENE_SEX_CD", ""), "U"), "relationship": "18",
        **prefixed("patient", HOME), **billing(claim.get("CLM_BLG_PRVDR_NPI_NUM") or claim.get("PRVDR_BLG_PRVDR_NPI_NUM") or kind),
    }  # fmt: skip
    if professional:
        row |= {"rendering_npi": synthetic_npi(doctor), "rendering_last": "Ash", "rendering_first": "Al",
                "place_of_service": lines[0].get("CLM_POS_CD", "11") if lines else "11"}  # fmt: skip
    else:
        stay = parts["CLM_INSTNL"][0] if parts["CLM_INSTNL"] else {}
        row |= {"bill_type": IDR_BILL_TYPE[kind], "patient_status": stay.get("BENE_PTNT_STUS_CD", "01").zfill(2),
                "admission_type": stay.get("CLM_ADMSN_TYPE_CD", "9"), "admission_source": stay.get("CLM_ADMSN_SRC_CD", "9")}  # fmt: skip
        if kind in ("20", "30", "60"):
            row |= {"admission_date": first, "admission_hour": "0900", "discharge_hour": "1000"}
        number = len(extract.encounters)
        extract.add("parties", number, role="attending", last="Yew", first="Una", npi=synthetic_npi(doctor))
        extract.further["parties"][-1] |= key
    extract.encounters.append(row)
    listed = [p for kind_of in ("P", "D") for p in parts["CLM_PROD"] if p["CLM_PROD_TYPE_CD"] == kind_of]
    codes = {p["CLM_DGNS_CD"]: p for p in reversed(listed)}
    ordered = list(dict.fromkeys(p["CLM_DGNS_CD"] for p in listed))[: 12 if professional else 25]
    for rank, code in enumerate(ordered, 1):
        poa = codes[code].get("CLM_POA_IND", "")
        extract.diagnoses.append(key | {
            "rank": str(rank), "system": "ICD9CM" if codes[code].get("CLM_DGNS_PRCDR_ICD_IND") == "9" else "ICD10CM", "code": code, "text": "",
            "kind": "", "poa": poa if kind == "60" and poa in _POA else "",
        })  # fmt: skip
    for number, line in enumerate(lines, 1):
        revenue = "" if professional else line.get("CLM_LINE_REV_CTR_CD", "0510")
        code = line.get("CLM_LINE_HCPCS_CD", "") or ("99213" if professional else "")
        modifiers = [line.get(f"HCPCS_{n}_MDFR_CD", "") if code else "" for n in (1, 2, 3, 4)]
        drug = line.get("CLM_LINE_NDC_CD", "") if line.get("CLM_LINE_NDC_QTY") else ""
        extract.services.append(key | {
            "line": str(number), "kind": "procedure", "system": "HCPCS" if code else "REVENUE", "code": code or revenue,
            "units": line.get("CLM_LINE_SRVC_UNIT_QTY") or "1", "charge": f"{charges[number - 1]:.2f}",
            "service_date": _moved(line.get("CLM_LINE_FROM_DT") or claim["CLM_FROM_DT"], years), "revenue_code": revenue,
            "pointers": str(ordered.index(line["CLM_LINE_DGNS_CD"]) + 1) if line.get("CLM_LINE_DGNS_CD") in ordered else "1",
            **{f"modifier{n}": m for n, m in enumerate(modifiers, 1)},
            "ndc": drug, "ndc_units": line["CLM_LINE_NDC_QTY"] if drug else "", "ndc_unit_basis": line.get("CLM_LINE_NDC_QTY_QLFYR_CD", "UN") if drug else "",
        })  # fmt: skip


# --- CMS, as the shared systems FISS and MCS hold claims that are being worked ------------------------------------------------


def shared_system(path: Path, *, professional: bool) -> Extract:
    """Claims of `SAMPLE-FISS` or `SAMPLE-MCS`. Their texts are random letters; what few dates and amounts are there stay. FISS keeps no lines:
    its total is one."""
    extract = Extract()
    for number, text in enumerate(path.read_text().splitlines(), 1):
        claim = json.loads(text)["claim"]
        identity = claim["idrClmHdIcn"] if professional else claim["dcn"]
        key = {"practice_id": "mcs" if professional else "fiss", "encounter_id": f"{identity}-{number}"}
        first = claim.get("idrHdrFromDos" if professional else "stmtCovFromCymd") or "2021-06-01"
        years = years_on(first)
        first = _moved(first, years)
        details = claim.get("mcsDetails", []) if professional else [{}]
        total = Decimal(claim.get("idrTotBilledAmt" if professional else "totalChargeAmount") or "100.00")
        charges = [total - 10 * (len(details) - 1), *[Decimal(10)] * (len(details) - 1)]
        if charges[0] <= 0:
            total, charges = Decimal(10 * len(details)), [Decimal(10)] * len(details)
        extract.encounters.append(key | billing(str(number)) | prefixed("patient", HOME) | {
            "claim_type": "professional" if professional else "institutional", "service_from": first, "service_to": first, "charge": f"{total:.2f}",
            "payer": "Medicare", "member_id": claim.get("idrClaimMbi" if professional else "mbi") or "1EG4TE5MK73", "patient_id": key["encounter_id"],
            "patient_last": "Doe", "patient_first": "Alex", "patient_birth_date": "1942-01-17", "patient_sex": "U", "relationship": "18",
            **({"place_of_service": "11"} if professional else {"bill_type": "13", "patient_status": "01", "admission_type": "9", "admission_source": "9"}),
        })  # fmt: skip
        if professional:
            codes = [
                (d.get("idrDiagCode", ""), d.get("idrDiagIcdTypeEnum", "")) for d in claim.get("mcsDiagnosisCodes", [])
            ]
        else:
            extract.add("parties", number, role="attending", last="Yew", first="Una", npi=synthetic_npi(str(number)))
            extract.further["parties"][-1] |= key
            codes = [
                (code, "")
                for code in (claim.get("principleDiag", ""), *(d["diagCd2"] for d in claim.get("fissDiagCodes", [])))
            ]
        listed = dict.fromkeys((c, "ICD9CM" if kind.endswith("ICD9") else "ICD10CM") for c, kind in codes if c)
        for rank, (code, system) in enumerate(list(listed)[:12], 1):
            extract.diagnoses.append(key | {"rank": str(rank), "system": system, "code": code, "text": ""})
        for line, detail in enumerate(details, 1):
            code = detail.get("idrProcCode", "") or "99213"
            extract.services.append(key | {
                "line": str(line), "kind": "procedure", "system": "HCPCS" if professional else "REVENUE", "code": code if professional else "0510",
                "units": "1", "charge": f"{charges[line - 1]:.2f}", "service_date": first, "pointers": "1" if listed else "",
                "revenue_code": "" if professional else "0510", "modifier1": detail.get("idrModOne", ""),
            })  # fmt: skip
    return extract
