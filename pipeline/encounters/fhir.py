"""FHIR R4: bundles (JSON, also gzipped) and NDJSON, as practices' systems and bulk exports give them.

A visit is an Encounter with the Claim that bills it, or a Claim alone. Where a visit has no Claim its Conditions, Procedures and
Immunizations stand in, and the charge master prices them. Every resource that is used is held against the R4B models of the
package fhir.resources first: one that breaks them is set aside and told by its path. Resources may stand in any file and order.

What is worth knowing (docs/extracts.md tells it at length):
- Codings: of several codings of one concept ICD-10-CM, HCPCS and CDT come before clinical ones.
- An item without a price whose code is one of the claim's diagnoses is no service (Synthea writes such items).
- Claims of pharmacies and opticians are not a practice's: they are counted and told, not taken in.
- Synthea's providers have no real numbers: they get the made-up ones of the CSV reader, and the visit is marked synthetic.
"""

from __future__ import annotations

import json
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from pydantic import ValidationError

from pipeline.encounters import records
from pipeline.encounters.identifiers import synthetic_ein, synthetic_npi
from pipeline.encounters.intake import NO_INSURANCE, Context, Intake
from pipeline.encounters.records import Gathered, Key, Place

Resource = Mapping[str, Any]

#: what is read; other resources of an export are passed over
READ = frozenset({
    "Patient", "Encounter", "Claim", "Condition", "Procedure", "Immunization", "Coverage", "Organization", "Practitioner",
    "PractitionerRole", "Location", "RelatedPerson",
})  # fmt: skip
#: a gzipped file may unpack to this many bytes and this many times its size
MOST_BYTES, MOST_RATIO = 2 << 30, 200
_GONE = frozenset({"cancelled", "entered-in-error"})
_DONE = frozenset({"finished", ""})
_NPI = ("hl7.org/fhir/sid/us-npi", "NPI", "npi")
_TIN = ("urn:oid:2.16.840.1.113883.4.4", "TAX")
_SSN = ("hl7.org/fhir/sid/us-ssn", "SS")
_TAXONOMY = "nucc.org/provider-taxonomy"


PATTERNS = ("*.json", "*.ndjson", "*.json.gz", "*.ndjson.gz")


def read(sources: Mapping[str, bytes], context: Context) -> Intake:
    """Read an extract (`sources`: file name → bytes). Terminal where it holds no visit at all."""
    words = records.words("fhir")
    gathered = Gathered("fhir", words["called"])
    shelf = _Shelf(gathered)
    for name in sorted(sources):
        if name != records.PRACTICES:
            shelf.take(name, sources[name])
    _Visits(shelf, gathered, words, context).gather()
    return gathered.result(sources, context, synthetic=shelf.synthetic)


# --- resources ----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Held:
    """One resource and where it stands."""

    place: Place
    data: Resource


@dataclass(slots=True)
class _Shelf:
    """All resources of the extract that are used, found by their references."""

    gathered: Gathered
    by_type: dict[str, list[_Held]] = field(default_factory=lambda: defaultdict(list))
    by_reference: dict[str, _Held] = field(default_factory=dict)
    synthetic: bool = False

    def take(self, file: str, data: bytes) -> None:
        raw = data
        if file.endswith(".gz"):
            unpacked = _gunzip(data)
            if unpacked is None:
                self.gathered.unreadable("intake.file.illegible", (file, 0), raw)
                return
            data = unpacked
        text = records.decoded(data)
        if text is None:
            self.gathered.unreadable("intake.file.illegible", (file, 0), raw)
            return
        if ".ndjson" in file:
            self._take_lines(file, text)
            return
        try:
            whole = _parsed(text)
        except ValueError:
            if _begins_with_a_resource(text):  # a resource a line, whatever the name says
                self._take_lines(file, text)
            else:
                self.gathered.unreadable("intake.file.illegible", (file, 0), raw)
            return
        several = whole if isinstance(whole, list) else [whole]
        if not all(isinstance(one, dict) for one in several):
            self.gathered.unreadable("intake.file.illegible", (file, 0), raw)
            return
        for number, one in enumerate(several, 1):
            self._take_any(one, (file, number))

    def _take_lines(self, file: str, text: str) -> None:
        for number, line in enumerate(text.split("\n"), 1):
            if not line.strip():
                continue
            try:
                resource = _parsed(line)
            except ValueError:
                resource = None
            if isinstance(resource, dict):
                self._take_any(resource, (file, number))
            else:
                self.gathered.unreadable("intake.record.illegible", (file, number), line.encode())

    def _take_any(self, resource: Resource, place: Place) -> None:
        if resource.get("resourceType") != "Bundle":
            self._take_one(resource, place, "")
            return
        self._take_entries(resource, place, numbered=".ndjson" not in place[0])

    def _take_entries(self, bundle: Resource, place: Place, *, numbered: bool) -> None:
        """The resources of a bundle; those of a bundle within it stand at its own place."""
        for number, entry in enumerate(_list(bundle.get("entry")), 1):
            inner = entry.get("resource") if isinstance(entry, dict) else None
            at = (place[0], number) if numbered else place
            if isinstance(inner, dict) and inner.get("resourceType") == "Bundle":
                self._take_entries(inner, at, numbered=False)
            elif isinstance(inner, dict):
                self._take_one(inner, at, str(entry.get("fullUrl") or ""))

    def _take_one(self, resource: Resource, place: Place, url: str) -> None:
        kind = resource.get("resourceType")
        if kind not in READ:
            return
        if fault := _fault(str(kind), resource):
            data = json.dumps(resource, sort_keys=True, default=str).encode()
            if kind in ("Claim", "Encounter"):
                self.gathered.unreadable("intake.record.illegible", place, data, fault)
            else:
                self.gathered.tell("intake.record.illegible", place, fault)
            return
        self.synthetic |= _is_synthea(resource)
        held = _Held(place, resource)
        self.by_type[str(kind)].append(held)
        names = [url] if url else []
        if resource.get("id"):
            names += [f"{kind}/{resource['id']}", f"urn:uuid:{resource['id']}"]
        for name in names:
            self.by_reference.setdefault(name, held)

    def find(self, reference: Any, inside: Resource) -> Resource:
        """What a reference points to: in the resource itself, or in the extract; {} where it is not there."""
        if not isinstance(reference, dict):
            return {}
        name = str(reference.get("reference") or "")
        if name.startswith("#"):
            return next((c for c in _list(inside.get("contained")) if c.get("id") == name[1:]), {})
        held = self.by_reference.get(name) or self.by_reference.get("/".join(name.split("/")[-2:]))
        if held is not None:
            return held.data
        identifier = reference.get("identifier")
        return {"identifier": [identifier], "name": reference.get("display")} if isinstance(identifier, dict) else {}


def _begins_with_a_resource(text: str) -> bool:
    first, _, more = text.strip().partition("\n")
    try:
        return bool(more.strip()) and isinstance(_parsed(first), dict)
    except ValueError:
        return False


def _parsed(text: str) -> Any:
    def refused(_: str) -> Any:
        raise ValueError("no number")

    try:
        return json.loads(text, parse_float=Decimal, parse_constant=refused)
    except (RecursionError, InvalidOperation):
        raise ValueError("not JSON that can be read") from None


def _gunzip(data: bytes) -> bytes | None:
    """The unpacked bytes; None where they are damaged or more than a file of this kind can honestly be."""
    most = min(MOST_BYTES, max(len(data) * MOST_RATIO, 1 << 20))
    unpack = zlib.decompressobj(wbits=31)
    try:
        found = unpack.decompress(data, most)
    except zlib.error:
        return None
    return found if unpack.eof else None


def _fault(kind: str, resource: Resource) -> str:
    """The path of the first thing in the resource that breaks R4; '' where it is sound. Never a value."""
    from fhir.resources.R4B import get_fhir_model_class  # only FHIR extracts need the models

    try:
        get_fhir_model_class(kind).model_validate(resource)
    except ValidationError as error:
        return ".".join([kind, *(str(part) for part in error.errors(include_input=False)[0]["loc"])])
    except (ValueError, TypeError, RecursionError):
        return kind
    return ""


def _is_synthea(resource: Resource) -> bool:
    tags = _list((resource.get("meta") or {}).get("tag")) + _list(resource.get("identifier"))
    return any("synthe" in f"{tag.get('code', '')}{tag.get('system', '')}".lower() for tag in tags)


# --- parts of resources -------------------------------------------------------------------------------------------------


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _bare(system: Any) -> str:
    return str(system or "").removeprefix("https://").removeprefix("http://").rstrip("/")


def _codings(concept: Any) -> list[Mapping[str, Any]]:
    return _list(concept.get("coding")) if isinstance(concept, dict) else []


def _first_code(concept: Any) -> str:
    return next((str(c["code"]) for c in _codings(concept) if c.get("code")), "")


def _codes(concepts: Any) -> set[str]:
    return {str(c.get("code", "")) for concept in _list(concepts) for c in _codings(concept)}


def _identifier(resource: Resource, systems: Iterable[str]) -> str:
    """The identifier of one of these systems or types."""
    wanted = set(systems)
    for entry in _list(resource.get("identifier")):
        if (
            _bare(entry.get("system")) in wanted
            or entry.get("system") in wanted
            or _codes([entry.get("type")]) & wanted
        ):
            return str(entry.get("value") or "")
    return ""


def _name(resource: Resource) -> dict[str, str]:
    """last, first, middle, suffix of a person: the official name, else the first."""
    names = _list(resource.get("name"))
    name = next((n for n in names if n.get("use") == "official"), names[0] if names else {})
    given = [str(g) for g in _list(name.get("given"))]
    return {
        "last": str(name.get("family") or ""), "first": given[0] if given else "", "middle": " ".join(given[1:]),
        "suffix": " ".join(str(s) for s in _list(name.get("suffix"))),
    }  # fmt: skip


def _address(resource: Resource) -> dict[str, str]:
    found = resource.get("address")
    address = found if isinstance(found, dict) else next(iter(_list(found)), {})
    first, second = records.street(str(line) for line in _list(address.get("line")))
    return {
        "address1": first, "address2": second, "city": str(address.get("city") or ""),
        "state": str(address.get("state") or ""), "zip": str(address.get("postalCode") or "").replace("-", ""),
    }  # fmt: skip


def _phone(resource: Resource) -> str:
    return next((str(t.get("value") or "") for t in _list(resource.get("telecom")) if t.get("system") == "phone"), "")


def _taxonomy(resource: Resource) -> str:
    for field_name in ("qualification", "specialty", "type", "code"):
        for entry in _list(resource.get(field_name)):
            for coding in _codings(entry.get("code") if field_name == "qualification" else entry):
                if _bare(coding.get("system")) == _TAXONOMY:
                    return str(coding.get("code") or "")
    return ""


def _amount(money: Any) -> str:
    """Money.value as text, exactly as it was written."""
    value = money.get("value") if isinstance(money, dict) else None
    return "" if value is None else format(value, "f") if isinstance(value, Decimal) else str(value)


def _prefixed(prefix: str, parts: Mapping[str, str]) -> dict[str, str]:
    return {f"{prefix}_{name}": text for name, text in parts.items()}


# --- visits -------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Visits:
    shelf: _Shelf
    gathered: Gathered
    words: Mapping[str, Any]
    context: Context

    def gather(self) -> None:
        claims, passed_over = self._claims()
        roles = {
            self.shelf.find(role.data.get("practitioner"), role.data).get("id"): role.data
            for role in self.shelf.by_type["PractitionerRole"]
        }
        children: dict[str, list[_Held]] = defaultdict(list)
        for kind in ("Condition", "Procedure", "Immunization"):
            for held in self.shelf.by_type[kind]:
                encounter = self.shelf.find(held.data.get("encounter"), held.data)
                children[str(encounter.get("id"))].append(held)
        for held in self.shelf.by_type["Encounter"]:
            identity = str(held.data.get("id"))
            if identity in passed_over and identity not in claims:
                continue  # a prescription alone: the pharmacy bills it
            mine = claims.pop(identity, [])
            for number, claim in enumerate(mine or [None]):
                own = str(claim.data.get("id")) if claim is not None and len(mine) > 1 and number else identity
                _Visit(self, held, claim, children[identity], roles, own).write()
        for alone in claims.values():
            for claim in alone:
                _Visit(self, None, claim, [], roles, str(claim.data.get("id") or "")).write()

    def _claims(self) -> tuple[dict[str, list[_Held]], set[str]]:
        """Claims by the encounter that they bill (by their own id where they name none), and encounters of other bills."""
        found: dict[str, list[_Held]] = defaultdict(list)
        passed_over: set[str] = set()
        others: Counter[str] = Counter()
        for held in self.shelf.by_type["Claim"]:
            claim = held.data
            encounter = next(
                (
                    self.shelf.find(ref, claim)
                    for item in _list(claim.get("item"))
                    for ref in _list(item.get("encounter"))
                ),
                {},
            )
            identity = str(encounter.get("id") or "")
            if claim.get("use", "claim") != "claim" or _first_code(claim.get("type")) not in self.words["claim_types"]:
                others[held.place[0]] += 1
                passed_over |= {identity} - {""}
                continue
            found[identity or f"claim:{claim.get('id')}"].append(held)
        for file, count in sorted(others.items()):
            self.gathered.tell("intake.claim.other", (file, 0), f"({count} claims)", warning=True)
        return found, passed_over

    def day(self, text: Any) -> str:
        """A FHIR date or moment as the day in the practice's time zone; anything else as it was written."""
        written = str(text or "")
        if "T" not in written:
            return written
        try:
            moment = datetime.fromisoformat(written)
        except ValueError:
            return written
        return (moment.astimezone(self.context.timezone) if moment.tzinfo else moment).date().isoformat()

    def minutes(self, period: Any) -> str:
        try:
            start, end = (datetime.fromisoformat(str(period[name])) for name in ("start", "end"))
            whole = int((end - start).total_seconds() // 60)
        except (KeyError, TypeError, ValueError):
            return ""
        return str(whole) if 0 < whole < 1440 else ""

    def coding(self, concept: Any) -> tuple[str, str, str]:
        """(system, code, text) of the coding that counts; a system that is not known keeps its own name."""
        found: dict[str, tuple[str, str, str]] = {}
        for coding in _codings(concept):
            if coding.get("code"):
                system = self.words["systems"].get(
                    _bare(coding.get("system")), _bare(coding.get("system")) or "UNKNOWN"
                )
                text = str(coding.get("display") or concept.get("text") or "")
                found.setdefault(system, (system, str(coding["code"]), text))
        for system in self.words["prefer"]:
            if system in found:
                return found[system]
        return next(iter(found.values()), ("", "", ""))


class _Visit:
    """One visit: the Encounter, the Claim that bills it, or both."""

    def __init__(
        self, visits: _Visits, encounter: _Held | None, claim: _Held | None, children: list[_Held],
        roles: Mapping[Any, Resource], identity: str,
    ) -> None:  # fmt: skip
        self.v, self.words, self.shelf = visits, visits.words, visits.shelf
        held = claim or encounter
        assert held is not None
        self.place = held.place
        self.encounter: Resource = encounter.data if encounter else {}
        self.claim: Resource = claim.data if claim else {}
        self.children, self.roles = children, roles
        self.synthea = self.shelf.synthetic and (_is_synthea(self.encounter) or _is_synthea(self.claim))
        self.organization = self._find(self.encounter, "serviceProvider") or self._find(self.claim, "provider")
        self.key: Key = (str(self.organization.get("id") or ""), identity)
        self.ranks: dict[int, int] = {}
        self.diagnosed: set[tuple[str, str]] = set()

    def _find(self, owner: Resource, name: str) -> Resource:
        return self.shelf.find(owner.get(name), owner)

    def _add(self, table: str, cells: Mapping[str, str | None], place: Place | None = None) -> None:
        self.v.gathered.add(table, self.key, place or self.place, cells)

    def write(self) -> None:
        status = str(self.encounter.get("status") or "")
        if status not in _DONE and status not in _GONE:
            self.v.gathered.tell("intake.visit.unfinished", self.place, "Encounter.status", warning=True)
            return
        gone = status in _GONE or str(self.claim.get("status") or "") in _GONE
        self._diagnoses()
        charges = self._services()
        amount = _amount(self.claim.get("total")) or records.total(c for c in charges if c)
        self._add("encounters", self._row(amount) | ({"cancelled": "Y"} if gone else {}))
        self._facts()

    def _row(self, charge: str) -> dict[str, str]:
        period = self.claim.get("billablePeriod") or self.encounter.get("period") or {}
        patient = self._find(self.claim, "patient") or self._find(self.encounter, "subject")
        visit_class = str((self.encounter.get("class") or {}).get("code") or "")
        visit_system, visit_code, _ = self.v.coding(next(iter(_list(self.encounter.get("type"))), None))
        stated = self.words["claim_types"].get(_first_code(self.claim.get("type")), "professional")
        if self.synthea:  # it calls every claim institutional
            stated = "institutional" if self.words["classes"].get(visit_class) == "inpatient" else "professional"
        return {
            "claim_type": stated,
            "service_from": self.v.day(period.get("start")),
            "service_to": self.v.day(period.get("end")),
            "minutes": self.v.minutes(self.encounter.get("period")),
            "visit_class": self.words["classes"].get(visit_class, visit_class.lower()),
            "visit_system": visit_system,
            "visit_code": visit_code,
            "place_of_service": self._place_of_service(),
            "charge": charge,
            "patient_id": _identifier(patient, ("MR",)) or str(patient.get("id") or ""),
            "patient_birth_date": str(patient.get("birthDate") or ""),
            "patient_sex": self.words["sexes"].get(patient.get("gender"), ""),
            **_prefixed("patient", _name(patient)),
            **_prefixed("patient", _address(patient)),
            **self._billing(),
            **self._care_team(),
            **self._facility(),
            **self._cover(patient),
            **self._accident(),
            **self._supporting(),
        }

    def _place_of_service(self) -> str:
        for item in _list(self.claim.get("item")):
            code = _first_code(item.get("locationCodeableConcept"))
            if len(code) == 2 and code.isdigit():
                return code
        return ""

    # --- providers ------------------------------------------------------------------------------------------------------

    def _billing(self) -> dict[str, str]:
        provider = self._find(self.claim, "provider") or self.organization
        person = provider.get("resourceType") == "Practitioner"
        if person and self.synthea:
            provider, person = self.organization, False
        name = _name(provider) if person else {"last": str(provider.get("name") or ""), "first": ""}
        identity = str(provider.get("id") or "")
        tin = synthetic_ein(identity) if self.synthea else _identifier(provider, _TIN)
        ssn = "" if tin else _identifier(provider, _SSN)
        return {
            "billing_name": name["last"],
            "billing_first": name["first"],
            "billing_npi": synthetic_npi(identity) if self.synthea else _identifier(provider, _NPI),
            "billing_tin": (tin or ssn).replace("-", ""),
            "billing_tin_kind": "EI" if tin else "SY" if ssn else "",
            "billing_taxonomy": _taxonomy(provider),
            "billing_phone": _phone(provider),
            **_prefixed("billing", _address(provider)),
        }

    def _person(self, provider: Resource) -> dict[str, str]:
        role = self.roles.get(provider.get("id"), {})
        name = _name(provider) if isinstance(provider.get("name"), list) else {"last": str(provider.get("name") or "")}
        npi = synthetic_npi(str(provider.get("id") or "")) if self.synthea else _identifier(provider, _NPI)
        return {**name, "npi": npi, "taxonomy": _taxonomy(provider) or _taxonomy(role)}

    def _care_team(self) -> dict[str, str]:
        """Rendering and referring in their columns; other roles, and whoever a line names, as parties."""
        row: dict[str, str] = {}
        team: dict[int, tuple[str, Resource]] = {}
        for member in _list(self.claim.get("careTeam")):
            provider = self.shelf.find(member.get("provider"), self.claim)
            role = self.words["roles"].get(_first_code(member.get("role")), "")
            if not provider or not role:
                continue
            team[int(member.get("sequence") or 0)] = (role, provider)
        of_lines = {
            int(number)
            for item in _list(self.claim.get("item"))
            for number in _list(item.get("careTeamSequence"))
        }  # fmt: skip
        for number, (role, provider) in team.items():
            parts = self._person(provider)
            if role in ("rendering", "referring") and f"{role}_last" not in row:
                kept = {
                    n: parts.get(n, "")
                    for n in ("npi", "last", "first", *(["taxonomy"] if role == "rendering" else []))
                }
                row |= _prefixed(role, kept)
            elif number not in of_lines:
                self._add("parties", {"role": role, **parts})
        for item in _list(self.claim.get("item")):
            for number in _list(item.get("careTeamSequence")):
                role, provider = team.get(int(number), ("", {}))
                parts = self._person(provider)
                if role and parts.get("npi") != row.get(f"{role}_npi"):
                    self._add("parties", {"role": role, **parts, "line": str(item.get("sequence"))})
        if "rendering_last" not in row:
            for participant in _list(self.encounter.get("participant")):
                provider = self.shelf.find(participant.get("individual"), self.encounter)
                if provider.get("resourceType") == "Practitioner":
                    parts = self._person(provider)
                    row |= _prefixed("rendering", {n: parts.get(n, "") for n in ("npi", "last", "first", "taxonomy")})
                    break
        return row

    def _facility(self) -> dict[str, str]:
        place = self._find(self.claim, "facility")
        if not place:
            return {}
        address = _address(place)
        del address["address2"]
        return {
            "facility_name": str(place.get("name") or ""),
            "facility_npi": _identifier(place, _NPI),
            **_prefixed("facility", address),
        }

    # --- cover ----------------------------------------------------------------------------------------------------------

    def _cover(self, patient: Resource) -> dict[str, str]:
        """The focal insurance in the visit's columns, the others as other payers, in the order of their sequence."""
        listed = sorted(_list(self.claim.get("insurance")), key=lambda entry: int(entry.get("sequence") or 0))
        if not listed:
            return {}
        focal = next((e for e in listed if e.get("focal")), listed[0])
        ranks = "PST" + "ABCDEFGH"
        row: dict[str, str] = {}
        for rank, entry in zip(ranks, listed, strict=False):
            cover = self.shelf.find(entry.get("coverage"), self.claim)
            payer = self.shelf.find(next(iter(_list(cover.get("payor"))), None), cover)
            shown = (entry.get("coverage") or {}).get("display") or next(
                (p.get("display") for p in _list(cover.get("payor")) if p.get("display")), ""
            )
            name = str(payer.get("name") or shown or "")
            relationship = self.words["relationships"].get(_first_code(cover.get("relationship")), "")
            subscriber = self._find(cover, "subscriber")
            own = relationship in ("", "18") or subscriber.get("id") == patient.get("id")
            group = {
                _first_code(c.get("type")): (str(c.get("value") or ""), str(c.get("name") or ""))
                for c in _list(cover.get("class"))
            }
            number, plan = group.get("group", ("", "")) if "group" in group else ("", group.get("plan", ("", ""))[1])
            member = str(cover.get("subscriberId") or _identifier(cover, ("MB",)))
            if entry is focal:
                person = {} if own else _name(subscriber) | _address(subscriber)
                row = {
                    "payer": "" if name.upper() == NO_INSURANCE else name,
                    "member_id": member,
                    "relationship": "18" if own and name else relationship,
                    "group_number": number,
                    "group_name": "" if number else plan,
                    "payer_responsibility": "" if rank == "P" else rank,
                    "authorization_number": next((str(a) for a in _list(entry.get("preAuthRef"))), ""),
                    **_prefixed("subscriber", {k: t for k, t in person.items() if k not in ("suffix", "address2")}),
                }
                if not own:
                    row["subscriber_birth_date"] = str(subscriber.get("birthDate") or "")
                    row["subscriber_sex"] = self.words["sexes"].get(subscriber.get("gender"), "")
            else:
                person = {} if own else _name(subscriber) | _address(subscriber)
                address = {k: t for k, t in _address(payer).items() if k != "address2"}
                self._add("other_payers", {
                    "responsibility": rank, "payer_name": name,
                    "payer_id": _identifier(payer, ("NAIC", "payerid", "PLAC")) or str(payer.get("id") or ""),
                    "relationship": "18" if own else relationship, "member_id": member, "group_number": number,
                    "group_name": plan, **_prefixed("payer", address),
                    **_prefixed("subscriber", {k: t for k, t in person.items() if k not in ("suffix", "address2")}),
                })  # fmt: skip
        return row

    def _accident(self) -> dict[str, str]:
        accident = self.claim.get("accident")
        if not isinstance(accident, dict):
            return {}
        return {
            "accident_kind": self.words["accidents"].get(_first_code(accident.get("type")), "OA"),
            "accident_date": str(accident.get("date") or ""),
            "accident_state": str((accident.get("locationAddress") or {}).get("state") or ""),
        }

    # --- what else the claim says ---------------------------------------------------------------------------------------

    def _supporting(self) -> dict[str, str]:
        row: dict[str, str] = {}
        for entry in _list(self.claim.get("supportingInfo")):
            known = self.words["supporting"].get(_first_code(entry.get("category")))
            if known is None:
                continue
            when = entry.get("timingDate") or (entry.get("timingPeriod") or {}).get("start")
            row[known["column"]] = _first_code(entry.get("code")) if known["from"] == "code" else self.v.day(when)
        if "bill_type" in row:  # four digits with a leading 0, or three; the last is the frequency
            row["bill_type"] = row["bill_type"].lstrip("0")[:2]
        return row

    def _facts(self) -> None:
        """Procedures of a stay, and condition, occurrence and value codes."""
        ranks: Counter[str] = Counter()
        for entry in sorted(_list(self.claim.get("procedure")), key=lambda p: int(p.get("sequence") or 0)):
            system, code, _ = self.v.coding(entry.get("procedureCodeableConcept"))
            if system == "ICD10PCS":
                ranks["procedure"] += 1
                self._add("codes", {"kind": "procedure", "rank": str(ranks["procedure"]), "code": code.replace(".", ""),
                                    "from_date": self.v.day(entry.get("date"))})  # fmt: skip
        for entry in _list(self.claim.get("supportingInfo")):
            kind = self.words["facts"].get(_first_code(entry.get("category")))
            if kind is None:
                continue
            ranks[kind] += 1
            period = entry.get("timingPeriod") or {}
            value = entry.get("valueQuantity") or {}
            self._add("codes", {
                "kind": kind, "rank": str(ranks[kind]), "code": _first_code(entry.get("code")),
                "from_date": self.v.day(entry.get("timingDate") or period.get("start")),
                "to_date": self.v.day(period.get("end")) if kind == "occurrence_span" else "",
                "amount": _amount(value) if kind == "value" else "",
            })  # fmt: skip

    def _diagnoses(self) -> None:
        counts: Counter[str] = Counter()

        def add(concept: Any, place: Place, kind: str = "", poa: str = "", sequence: int | None = None) -> None:
            system, code, text = self.v.coding(concept)
            if not kind and (system, code) in self.diagnosed:
                return
            counts[kind] += 1
            if not kind:
                self.diagnosed.add((system, code))
                if sequence is not None:
                    self.ranks[sequence] = counts[kind]
            self._add("diagnoses", {"rank": str(counts[kind]), "system": system, "code": code, "text": text, "kind": kind, "poa": poa}, place)  # fmt: skip

        stated = _list(self.claim.get("diagnosis"))
        principal = [d for d in stated if "principal" in _codes(d.get("type"))]
        for entry in [*principal, *(d for d in stated if d not in principal)]:
            condition = self._find(entry, "diagnosisReference")
            concept = entry.get("diagnosisCodeableConcept") or condition.get("code")
            kind = next((self.words["diagnosis_kinds"][c] for c in sorted(_codes(entry.get("type"))) if c in self.words["diagnosis_kinds"]), "")  # fmt: skip
            add(
                concept,
                self.place,
                kind,
                _first_code(entry.get("onAdmission")).upper(),
                int(entry.get("sequence") or 0),
            )
        if self.claim and stated:
            return
        for reason in _list(self.encounter.get("reasonCode")):
            add(reason, self.place)
        for held in self.children:
            if held.data.get("resourceType") == "Condition":
                add(held.data.get("code"), held.place)
        for held in self.children:
            if held.data.get("resourceType") == "Procedure":
                for reason in _list(held.data.get("reasonCode")):
                    add(reason, held.place)

    # --- services -------------------------------------------------------------------------------------------------------

    def _services(self) -> list[str]:
        """The visit's lines; returns their charges, '' where the charge master decides."""
        items = _list(self.claim.get("item"))
        return self._items(items) if items else self._deeds()

    def _items(self, items: list[Resource]) -> list[str]:
        visit_codes = {self.v.coding(t)[:2] for t in _list(self.encounter.get("type"))}
        charges: list[str] = []
        open_items = []
        written: list[tuple[int, dict[str, str]]] = []
        for item in items:
            system, code, text = self.v.coding(item.get("productOrService"))
            charge = _amount(item.get("net")) or self._extended(item)
            if not charge and (system, code) in self.diagnosed:
                continue
            number = int(item.get("sequence") or len(written) + 1)
            revenue = _first_code(item.get("revenue"))
            period = item.get("servicedPeriod") or {}
            first = self.v.day(item.get("servicedDate") or period.get("start"))
            last = self.v.day(period.get("end"))
            modifiers = [_first_code(m) for m in _list(item.get("modifier"))]
            drug = self._drug(item)
            cells = {
                "line": str(number),
                "kind": "visit" if (system, code) in visit_codes else records.kind_of(system, code),
                "system": system or ("REVENUE" if revenue else ""),
                "code": code or revenue,
                "text": text,
                "units": _amount(item.get("quantity")) or "1",
                "charge": charge,
                "service_date": first,
                "service_to": last if last != first else "",
                "pointers": ",".join(
                    str(self.ranks[s]) for s in _list(item.get("diagnosisSequence")) if s in self.ranks
                ),
                "revenue_code": revenue.zfill(4) if revenue else "",
                **{f"modifier{n}": m for n, m in enumerate(modifiers[:4], 1)},
                **drug,
            }
            if not charge:
                open_items.append(cells)
            written.append((number, cells))
            charges.append(charge)
            tooth = _first_code(item.get("bodySite"))
            if tooth:
                surfaces = "".join(_first_code(s) for s in _list(item.get("subSite")))
                self._add("teeth", {"line": str(number), "tooth": tooth, "surfaces": surfaces})
        if self.synthea and len(open_items) == 1:  # the visit itself: what the itemised services leave of the total
            left = _left(_amount(self.claim.get("total")), charges)
            if left:
                open_items[0]["charge"] = left
                charges = [cells["charge"] for _, cells in written]
        for _, cells in written:
            self._add("services", cells)
        return charges

    @staticmethod
    def _extended(item: Resource) -> str:
        price = _amount(item.get("unitPrice"))
        return records.product(price, _amount(item.get("quantity")) or "1") if price else ""

    def _drug(self, item: Resource) -> dict[str, str]:
        for detail in _list(item.get("detail")):
            system, code, _ = self.v.coding(detail.get("productOrService"))
            if system == "NDC":
                quantity = detail.get("quantity") or {}
                return {"ndc": code.replace("-", ""), "ndc_units": _amount(quantity),
                        "ndc_unit_basis": str(quantity.get("unit") or quantity.get("code") or "").upper()}  # fmt: skip
        return {}

    def _deeds(self) -> list[str]:
        """A visit without a claim: what was done, priced by the charge master."""
        found: list[tuple[Any, str, Place]] = [(t, "", self.place) for t in _list(self.encounter.get("type"))[:1]]
        for held in self.children:
            data = held.data
            if data.get("status") not in (None, "completed"):
                continue
            if data.get("resourceType") == "Procedure":
                when = data.get("performedDateTime") or (data.get("performedPeriod") or {}).get("start")
                found.append((data.get("code"), self.v.day(when), held.place))
            elif data.get("resourceType") == "Immunization":
                found.append((data.get("vaccineCode"), self.v.day(data.get("occurrenceDateTime")), held.place))
        for number, (concept, day, place) in enumerate(found, 1):
            system, code, text = self.v.coding(concept)
            kind = "visit" if number == 1 and place == self.place else records.kind_of(system, code)
            self._add("services", {"line": str(number), "kind": kind, "system": system, "code": code, "text": text,
                                   "units": "1", "service_date": day}, place)  # fmt: skip
        return []


def _left(total: str, charges: Iterable[str]) -> str:
    try:
        left = Decimal(total) - sum((Decimal(c) for c in charges if c), Decimal(0))
    except InvalidOperation:
        return ""
    return f"{left:.2f}" if left >= 0 else ""
