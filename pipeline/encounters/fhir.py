"""FHIR R4: bundles (JSON, also gzipped) and NDJSON, as practices' systems and bulk exports give them.

A visit is an Encounter with the Claim that bills it, or a Claim alone. Where a visit has no Claim its Conditions, Procedures and
Immunizations stand in, the charge master prices them, and the patient's Coverages of the day say who pays. Every resource that is used is held against the R4B models of the
package fhir.resources first: one that breaks them is set aside and told by its path. Resources may stand in any file and order.

What is worth knowing (docs/extracts.md tells it at length):
- References: a record is looked for in the resource itself (contained), in its own bundle, then in the whole extract: servers
  write them relative, absolute, with a version, as urn:uuid, as a search (`Practitioner?identifier=…`) or by an identifier alone.
- A record that comes twice is one record: the later version counts.
- Codings: of several codings of one concept ICD-10-CM, HCPCS and CDT come before clinical ones.
- An item without a price whose code is one of the claim's diagnoses is no service (Synthea writes such items).
- Claims of pharmacies and opticians are not a practice's: they are counted and told, not taken in.
- Synthea's providers have no real numbers: they get the made-up ones of the CSV reader, and the visit is marked synthetic.
"""

from __future__ import annotations

import json
import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import unquote

from pydantic import ValidationError

from pipeline.encounters import records
from pipeline.encounters.identifiers import synthetic_ein, synthetic_npi
from pipeline.encounters.intake import NO_INSURANCE, Context, Intake
from pipeline.encounters.records import Gathered, Key, Place
from pipeline.wording import counted

Resource = Mapping[str, Any]

#: what is read; other resources of an export are passed over
READ = frozenset({
    "Patient", "Encounter", "Claim", "Condition", "Procedure", "Immunization", "Coverage", "Organization", "Practitioner",
    "PractitionerRole", "Location", "RelatedPerson",
})  # fmt: skip
#: a gzipped file may unpack to this many bytes and this many times its size
MOST_BYTES, MOST_RATIO = 2 << 30, 200
_GONE = frozenset({"cancelled", "entered-in-error"})
_NOT_IN_USE = frozenset({"old", "maiden", "nickname", "anonymous", "temp"})
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
    if not gathered.rows.get("encounters"):
        gathered.kinds = shelf.kinds_of_r4()
    return gathered.result(sources, context, synthetic=shelf.synthetic)


# --- resources ----------------------------------------------------------------------------------------------------------


class _Record(dict[str, Any]):
    """One resource as read, with what its references need: the bundle that it came in, and what contains it."""

    __slots__ = ("bundle", "container", "number")

    def __init__(self, data: Resource, bundle: Place, container: _Record | None = None) -> None:
        super().__init__(data)
        self.bundle, self.container = bundle, container
        #: what a visit is called by: the resource's id; where it has none, an identifier of its own, else its place in the bundle
        self.number = str(data.get("id") or "")


@dataclass(slots=True)
class _Held:
    """One resource and where it stands."""

    place: Place
    data: _Record


_NOTHING: Resource = {}
_HISTORY = re.compile(r"/_history/[^/]*$")
#: a reference as a search: Practitioner?identifier=SYSTEM|VALUE
_SEARCH = re.compile(r"(?:.*/)?(\w+)\?identifier=([^|&]*)\|([^&]+)")


@dataclass(slots=True)
class _Shelf:
    """All resources of the extract that are used, found by their references."""

    gathered: Gathered
    by_type: dict[str, list[_Held]] = field(default_factory=lambda: defaultdict(list))
    #: (bundle, or None for the whole extract; reference) → what it names
    by_reference: dict[tuple[Place | None, str], _Held] = field(default_factory=dict)
    #: (type, system, value) → what bears this identifier; None where several do
    by_identifier: dict[tuple[str, str, str], _Held | None] = field(default_factory=dict)
    synthetic: bool = False
    #: resourceType as it was written → how many
    kinds: Counter[str] = field(default_factory=Counter)

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
            self._take_one(resource, place, "", (place[0], 0))
            return
        self._take_entries(resource, place, place, numbered=".ndjson" not in place[0])

    def _take_entries(self, bundle: Resource, place: Place, whole: Place, *, numbered: bool) -> None:
        """The resources of a bundle; those of a bundle within it stand at its own place."""
        for number, entry in enumerate(_list(bundle.get("entry")), 1):
            inner = entry.get("resource") if isinstance(entry, dict) else None
            at = (place[0], number) if numbered else place
            if isinstance(inner, dict) and inner.get("resourceType") == "Bundle":
                self._take_entries(inner, at, whole, numbered=False)
            elif isinstance(inner, dict):
                self._take_one(inner, at, str(entry.get("fullUrl") or ""), whole)

    def _take_one(self, resource: Resource, place: Place, url: str, bundle: Place) -> None:
        kind = str(resource.get("resourceType"))
        self.kinds[kind] += 1
        if kind not in READ:
            return
        if fault := _fault(kind, resource):
            data = json.dumps(resource, sort_keys=True, default=str).encode()
            if kind in ("Claim", "Encounter"):
                self.gathered.unreadable("intake.record.illegible", place, data, fault)
            else:
                self.gathered.tell("intake.record.illegible", place, fault)
            return
        self.synthetic |= _is_synthea(resource)
        record = _Record(resource, bundle)
        record["contained"] = [_Record(c, bundle, record) for c in _list(resource.get("contained"))]
        if (
            not record.number
        ):  # in a transaction the server gives the id: until then the entry's URL tells records apart
            record["id"] = re.split("[:/]", url)[-1]
            record.number = next(
                (str(i["value"]) for i in _list(record.get("identifier")) if i.get("value")), record["id"]
            )
        held = self._once(kind, record, place)
        names = [url] if url else []
        if record["id"]:
            names += [f"{kind}/{record['id']}", f"urn:uuid:{record['id']}"]
        for name in names:
            self.by_reference.setdefault((bundle, name), held)
            self.by_reference.setdefault((None, name), held)
        for entry in _list(record.get("identifier")):
            for of_kind in (kind, ""):
                key = (of_kind, str(entry.get("system") or ""), str(entry.get("value") or ""))
                known = self.by_identifier.setdefault(key, held)
                if known is not None and known is not held and known.data != record:
                    self.by_identifier[key] = None

    def _once(self, kind: str, record: _Record, place: Place) -> _Held:
        """Where the record stands; one that came before is the same record, and its later version counts."""
        earlier = self.by_reference.get((None, f"{kind}/{record['id']}")) if record["id"] else None
        if earlier is not None:
            if earlier.data == record:
                if kind in ("Claim", "Encounter"):
                    self.gathered.tell("intake.row.repeated", place, kind, warning=True)
                return earlier
            older = _age(earlier.data, record)
            if older is not None:
                if older:
                    earlier.data, earlier.place = record, place
                return earlier
        held = _Held(place, record)
        self.by_type[kind].append(held)
        return held

    def kinds_of_r4(self) -> Counter[str]:
        """How many resources of each type came. What R4 does not know as a type is not repeated: it may be anything."""
        found: Counter[str] = Counter()
        for kind, number in self.kinds.items():
            found[kind if _is_type(kind) else "unknown"] += number
        return found

    def find(self, reference: Any, inside: Resource) -> Resource:
        """What a reference points to: in the resource itself, in its bundle, or in the extract; {} where it is not there."""
        if not isinstance(reference, dict):
            return _NOTHING
        name = str(reference.get("reference") or "")
        holder = inside.container or inside if isinstance(inside, _Record) else inside
        if name.startswith("#"):
            within = (c for c in _list(holder.get("contained")) if c.get("id") == name[1:])
            return holder if name == "#" else next(within, _NOTHING)
        held = self._named(name, holder.bundle if isinstance(holder, _Record) else None) if name else None
        identifier = reference.get("identifier")
        if held is None and isinstance(identifier, dict):
            kind = str(reference.get("type") or "")
            held = self.by_identifier.get(
                (kind, str(identifier.get("system") or ""), str(identifier.get("value") or ""))
            )
        if held is not None:
            return held.data
        return (
            {"identifier": [identifier], "name": reference.get("display")} if isinstance(identifier, dict) else _NOTHING
        )

    def _named(self, name: str, bundle: Place | None) -> _Held | None:
        if search := _SEARCH.fullmatch(name):
            return self.by_identifier.get((search[1], unquote(search[2]), unquote(search[3])))
        name = _HISTORY.sub("", name)
        for form in (name, "/".join(name.split("/")[-2:])):
            for place in (bundle, None):
                if found := self.by_reference.get((place, form)):
                    return found
        return None


def _age(one: Resource, other: Resource) -> bool | None:
    """Whether `one` is an older version of the resource than `other`; None where they do not say."""
    meta = [resource.get("meta") or {} for resource in (one, other)]
    try:
        moments = [datetime.fromisoformat(str(m.get("lastUpdated"))) for m in meta]
        if moments[0] != moments[1]:
            return moments[0] < moments[1]
    except (ValueError, TypeError):
        pass
    versions = [str(m.get("versionId") or "") for m in meta]
    if all(v.isdecimal() for v in versions) and versions[0] != versions[1]:
        return int(versions[0]) < int(versions[1])
    return None


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


def _is_type(kind: str) -> bool:
    from fhir.resources.R4B import get_fhir_model_class

    try:
        return get_fhir_model_class(kind).get_resource_type() == kind
    except (KeyError, ValueError, AttributeError):
        return False


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


def _current(entries: Any) -> Resource:
    """Of several names or addresses the one that is in use: not an old one or one that ended, an official one before others, a
    street before a post box."""

    def behind(entry: Resource) -> tuple[bool, ...]:
        ended = bool((entry.get("period") or {}).get("end"))
        return entry.get("use") in _NOT_IN_USE, ended, entry.get("type") == "postal", entry.get("use") != "official"

    return min(_list(entries), key=behind, default=_NOTHING)


def _name(resource: Resource) -> dict[str, str]:
    """last, first, middle, suffix of a person: the official name, else the first that is in use."""
    name = _current(resource.get("name"))
    given = [str(g) for g in _list(name.get("given"))]
    return {
        "last": str(name.get("family") or ""), "first": given[0] if given else "", "middle": " ".join(given[1:]),
        "suffix": " ".join(str(s) for s in _list(name.get("suffix"))),
    }  # fmt: skip


def _address(resource: Resource) -> dict[str, str]:
    found = resource.get("address")
    address = found if isinstance(found, dict) else _current(found)
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
        roles: dict[str, list[Resource]] = defaultdict(list)
        for held in self.shelf.by_type["PractitionerRole"]:
            roles[str(self.shelf.find(held.data.get("practitioner"), held.data).get("id"))].append(held.data)
        covers: dict[int, list[Resource]] = defaultdict(list)
        for held in self.shelf.by_type["Coverage"]:
            covers[id(self.shelf.find(held.data.get("beneficiary"), held.data))].append(held.data)
        children: dict[int, list[_Held]] = defaultdict(list)
        for kind in ("Condition", "Procedure", "Immunization"):
            for held in self.shelf.by_type[kind]:
                if encounter := self.shelf.find(held.data.get("encounter"), held.data):
                    children[id(encounter)].append(held)
        known = _Around(roles, covers)
        for held in self.shelf.by_type["Encounter"]:
            if id(held.data) in passed_over and id(held.data) not in claims:
                continue  # a prescription alone: the pharmacy bills it
            mine: list[_Held] = sorted(claims.pop(id(held.data), []), key=_made)
            bills: list[_Held | None] = [*mine] or [None]
            for claim in bills:
                further = claim is not None and claim.data["id"] != mine[0].data["id"]
                number = claim.data.number if claim is not None and further else held.data.number
                _Visit(self, held, claim, children[id(held.data)], known, number).write()
        by_visit: dict[str, list[_Held]] = defaultdict(list)
        for alone in claims.values():
            for claim in alone:
                by_visit[_visit_named(claim.data) or f"claim {claim.data.number}"].append(claim)
        for together in by_visit.values():
            for nth, claim in enumerate(sorted(together, key=_made)):
                number = claim.data.number if nth else _visit_named(claim.data) or claim.data.number
                _Visit(self, None, claim, [], known, number).write()

    def _claims(self) -> tuple[dict[int, list[_Held]], set[int]]:
        """Claims by the encounter that they bill (by themselves where they name none), and encounters of other bills."""
        found: dict[int, list[_Held]] = defaultdict(list)
        passed_over: set[int] = set()
        others: Counter[str] = Counter()
        for held in self.shelf.by_type["Claim"]:
            claim = held.data
            encounter = next(
                (
                    self.shelf.find(ref, claim)
                    for item in _list(claim.get("item"))
                    for ref in _list(item.get("encounter"))
                ),
                _NOTHING,
            )
            if claim.get("use", "claim") != "claim" or _first_code(claim.get("type")) not in self.words["claim_types"]:
                others[held.place[0]] += 1
                if (
                    encounter and claim.get("use", "claim") == "claim"
                ):  # what was only asked for bills nothing, nor keeps the visit from it
                    passed_over.add(id(encounter))
                continue
            found[id(encounter or claim)].append(held)
        for file, count in sorted(others.items()):
            self.gathered.tell("intake.claim.other", (file, 0), what=counted(count, "claim"), warning=True)
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

    def hour(self, text: Any) -> str:
        """Hour and minute (HHMM) of a FHIR moment in the practice's time zone; '' where it is a day alone."""
        try:
            moment = datetime.fromisoformat(str(text or ""))
        except ValueError:
            return ""
        if "T" not in str(text):
            return ""
        return f"{moment.astimezone(self.context.timezone) if moment.tzinfo else moment:%H%M}"

    def minutes(self, period: Any) -> str:
        try:
            start, end = (datetime.fromisoformat(str(period[name])) for name in ("start", "end"))
            whole = records.length(start, end)
        except (KeyError, TypeError, ValueError):
            return ""
        return str(whole or "")

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


@dataclass(frozen=True, slots=True)
class _Around:
    """Records found by whom they are about: roles by the practitioner's id, covers by the patient (as the object read)."""

    roles: Mapping[str, list[Resource]]
    covers: Mapping[int, list[Resource]]


def _visit_named(claim: _Record) -> str:
    """The id of the encounter that a claim names though the extract does not hold it: an export of what changed brings the claim of
    a visit that an earlier night brought, and it is the same visit."""
    named = (
        str(ref.get("reference") or "") for item in _list(claim.get("item")) for ref in _list(item.get("encounter"))
    )
    kind, _, number = _HISTORY.sub("", next((n for n in named if n), "")).rpartition("/")
    return number if kind.rpartition("/")[2] == "Encounter" else ""


def _made(claim: _Held) -> tuple[str, str]:
    """For the order of an encounter's claims, which must be the same whatever order an export writes them in."""
    return str(claim.data.get("created") or ""), str(claim.data["id"])


class _Visit:
    """One visit: the Encounter, the Claim that bills it, or both."""

    def __init__(
        self, visits: _Visits, encounter: _Held | None, claim: _Held | None, children: list[_Held],
        around: _Around, number: str,
    ) -> None:  # fmt: skip
        self.v, self.words, self.shelf = visits, visits.words, visits.shelf
        held = claim or encounter
        assert held is not None
        self.place = held.place
        self.encounter: Resource = encounter.data if encounter else {}
        self.claim: Resource = claim.data if claim else {}
        self.children, self.around = children, around
        self.synthea = self.shelf.synthetic and (_is_synthea(self.encounter) or _is_synthea(self.claim))
        self.provider = self._provider()
        self.organization = self._find(self.encounter, "serviceProvider") or self.provider
        practice = self.organization.number if isinstance(self.organization, _Record) else self.organization.get("id")
        self.key: Key = (str(practice or ""), number)
        self.patient = self._find(self.claim, "patient") or self._find(self.encounter, "subject")
        self.ranks: dict[int, int] = {}
        #: (system, code) of the claim's diagnoses → rank
        self.diagnosed: dict[tuple[str, str], int] = {}

    def _find(self, owner: Resource, name: str) -> Resource:
        return self.shelf.find(owner.get(name), owner)

    def _provider(self) -> Resource:
        """Who bills by the claim: an organisation or a person; of a person in a role at an organisation, the organisation."""
        found = self._find(self.claim, "provider")
        if found.get("resourceType") == "PractitionerRole":
            return self._find(found, "organization") or self._find(found, "practitioner")
        return found

    def _add(self, table: str, cells: Mapping[str, str | None], place: Place | None = None) -> None:
        self.v.gathered.add(table, self.key, place or self.place, cells)

    def _tell(self, rule: str, column: str, *, warning: bool = False) -> None:
        self.v.gathered.tell(rule, self.place, column, warning=warning, subject=":".join(self.key))

    @property
    def stay(self) -> bool:
        return self.words["classes"].get(self._class()) == "inpatient"

    def _class(self) -> str:
        return str((self.encounter.get("class") or {}).get("code") or "")

    def write(self) -> None:
        status = str(self.encounter.get("status") or "")
        if status not in _DONE and status not in _GONE:
            self.v.gathered.tell("intake.visit.unfinished", self.place, "Encounter.status", warning=True)
            return
        if str(self.claim.get("status") or "") == "draft":
            self.v.gathered.tell("intake.visit.unfinished", self.place, "Claim.status", warning=True)
            return
        gone = status in _GONE or str(self.claim.get("status") or "") in _GONE
        if not self.patient:
            self._tell("intake.reference.missing", "Claim.patient" if self.claim else "Encounter.subject")
        self._diagnoses()
        charges = self._services()
        amount = _amount(self.claim.get("total")) or records.total(c for c in charges if c)
        self._add("encounters", self._row(amount) | ({"cancelled": "Y"} if gone else {}))
        self._facts()
        self._attachments()

    def _row(self, charge: str) -> dict[str, str]:
        period = self.claim.get("billablePeriod") or self.encounter.get("period") or {}
        patient, visit_class = self.patient, self._class()
        visit_system, visit_code, _ = self.v.coding(next(iter(_list(self.encounter.get("type"))), None))
        stated = self.words["claim_types"].get(_first_code(self.claim.get("type")), "")
        if self.synthea:  # it calls every claim institutional
            stated = "institutional" if self.stay else "professional"
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
            **self._cover(),
            **self._accident(),
            **self._admission(),
            **self._supporting(),
        }

    def _admission(self) -> dict[str, str]:
        """What the encounter of a stay says of it; supporting information of the claim goes before it."""
        if not self.stay:
            return {}
        period, told = self.encounter.get("period") or {}, self.encounter.get("hospitalization") or {}
        self.v.gathered.stays[self.key] = {
            "admission_hour": self.v.hour(period.get("start")),
            "discharge_hour": self.v.hour(period.get("end")),
            "admission_source": self._nubc(told.get("admitSource"), "admit_sources"),
            "patient_status": self._nubc(told.get("dischargeDisposition"), "dispositions"),
        }
        return {"admission_date": self.v.day(period.get("start"))}

    def _nubc(self, concept: Any, table: str) -> str:
        """The claim's own code of a concept: as it is written, or what HL7's code for it is in the claim's."""
        for coding in _codings(concept):
            code = str(coding.get("code") or "")
            if "nubc" in str(coding.get("system") or "").lower():
                return code
            if found := self.words[table].get(code):
                return str(found)
        return ""

    def _place_of_service(self) -> str:
        for item in _list(self.claim.get("item")):
            code = _first_code(item.get("locationCodeableConcept"))
            if len(code) == 2 and code.isdigit():
                return code
        return ""

    # --- providers ------------------------------------------------------------------------------------------------------

    def _billing(self) -> dict[str, str]:
        provider = self.provider or self.organization
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

    def _who(self, reference: Any, inside: Resource) -> dict[str, str]:
        """A person by the practitioner or by a role of the practitioner; {} where the reference leads nowhere."""
        provider = self.shelf.find(reference, inside)
        role: Resource = {}
        if provider.get("resourceType") == "PractitionerRole":
            role, provider = provider, self._find(provider, "practitioner")
        if not provider:
            return {}
        if not role:  # of several roles the one at this organisation
            roles = self.around.roles.get(str(provider.get("id")), [])
            here = [r for r in roles if self._find(r, "organization") is self.organization]
            role = next(iter(here or roles), {})
        name = _name(provider) if isinstance(provider.get("name"), list) else {"last": str(provider.get("name") or "")}
        npi = synthetic_npi(str(provider.get("id") or "")) if self.synthea else _identifier(provider, _NPI)
        return {**name, "npi": npi, "taxonomy": _taxonomy(provider) or _taxonomy(role)}

    def _unknown(self, member: Resource) -> dict[str, str]:
        """Someone whose record the extract does not hold: without a number the claim is held, not sent as if nobody had been there."""
        provider = member.get("provider") or {}
        self._tell("intake.reference.missing", "Claim.careTeam.provider")
        return {"last": str(provider.get("display") or provider.get("reference") or "UNKNOWN")}

    def _care_team(self) -> dict[str, str]:
        """Rendering and referring in their columns; other roles, and whoever a line names, as parties."""
        row: dict[str, str] = {}
        team: dict[int, tuple[str, dict[str, str]]] = {}
        for member in _list(self.claim.get("careTeam")):
            stated = _first_code(member.get("role")) or ("" if member.get("role") else "primary")
            role = self.words["roles"].get(stated, "")
            if role:
                team[int(member.get("sequence") or 0)] = (
                    role,
                    self._who(member.get("provider"), self.claim) or self._unknown(member),
                )
        of_lines = {
            int(number)
            for item in _list(self.claim.get("item"))
            for number in _list(item.get("careTeamSequence"))
        }  # fmt: skip
        for number, (role, parts) in team.items():
            if role in ("rendering", "referring") and f"{role}_last" not in row:
                row |= self._column(role, parts)
            elif number not in of_lines or role == "attending":
                self._add("parties", {"role": role, **parts})
        for item in _list(self.claim.get("item")):
            for number in _list(item.get("careTeamSequence")):
                role, parts = team.get(int(number), ("", {}))
                if role not in ("", "attending") and parts.get("npi") != row.get(f"{role}_npi"):
                    self._add("parties", {"role": role, **parts, "line": str(item.get("sequence"))})
        return self._participants({role for role, _ in team.values()}) | row

    @staticmethod
    def _column(role: str, parts: Mapping[str, str]) -> dict[str, str]:
        names = ("npi", "last", "first", *(["taxonomy"] if role == "rendering" else []))
        return _prefixed(role, {n: parts.get(n, "") for n in names})

    def _participants(self, stated: set[str]) -> dict[str, str]:
        """Who took part in the encounter, in roles that the claim leaves open: who performed before who attended before others."""
        found: dict[str, list[tuple[int, dict[str, str]]]] = defaultdict(list)
        for participant in _list(self.encounter.get("participant")):
            codes = _codes(participant.get("type")) or {""}
            someone = self.shelf.find(participant.get("individual"), self.encounter)
            if someone.get("resourceType") not in ("Practitioner", "PractitionerRole"):
                continue  # a relative, or a device
            if not (parts := self._who(participant.get("individual"), self.encounter)):
                continue
            for rank, (code, role) in enumerate(self.words["participants"].items()):
                if code in codes:
                    found[role].append((rank, parts))
                if code == "ATND" and code in codes:
                    found["attending"].append((rank, parts))
        row: dict[str, str] = {}
        for role, people in found.items():
            parts = min(people, key=lambda ranked: ranked[0])[1]
            if role in stated:
                continue
            if role in ("rendering", "referring"):
                row |= self._column(role, parts)
            else:
                self.v.gathered.add_where(True, "parties", self.key, self.place, {"role": role, **parts})
        return row

    def _facility(self) -> dict[str, str]:
        place = self._find(self.claim, "facility")
        if not place and not self.claim:  # a ward has neither number nor address of its own
            visited = (
                self.shelf.find(entry.get("location"), self.encounter)
                for entry in _list(self.encounter.get("location"))
            )
            place = next((v for v in visited if _identifier(v, _NPI) and _address(v)["address1"]), _NOTHING)
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

    def _cover(self) -> dict[str, str]:
        """The focal insurance in the visit's columns, the others as other payers, in the order of their sequence."""
        listed = sorted(_list(self.claim.get("insurance")), key=lambda entry: int(entry.get("sequence") or 0))
        if not listed:
            listed = [{"of": cover} for cover in self._covers_of_the_day()]
        if not listed:
            self._tell("intake.cover.missing", "Coverage", warning=True)
            return {}
        focal = next((e for e in listed if e.get("focal")), listed[0])
        ranks = "PST" + "ABCDEFGH"
        row: dict[str, str] = {}
        for rank, entry in zip(ranks, listed, strict=False):
            cover = entry.get("of") or self.shelf.find(entry.get("coverage"), self.claim)
            payer, name = self._payer(cover, entry.get("coverage") or {})
            relationship = self.words["relationships"].get(_first_code(cover.get("relationship")), "")
            subscriber = self._find(cover, "subscriber") or self._find(cover, "policyHolder")
            if subscriber.get("resourceType") not in ("Patient", "RelatedPerson"):
                subscriber = _NOTHING
            itself = not subscriber or subscriber is self.patient
            own = relationship == "18" or (relationship == "" and itself) or (bool(subscriber) and itself)
            group = {
                _first_code(c.get("type")): (str(c.get("value") or ""), str(c.get("name") or ""))
                for c in _list(cover.get("class"))
            }
            number, plan = group.get("group", ("", "")) if "group" in group else ("", group.get("plan", ("", ""))[1])
            member = str(cover.get("subscriberId") or _identifier(cover, ("MB",)))
            person = {} if own else _name(subscriber) | _address(subscriber)
            if entry is focal:
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
            elif name:
                address = {k: t for k, t in _address(payer).items() if k != "address2"}
                self._add("other_payers", {
                    "responsibility": rank, "payer_name": name,
                    "payer_id": _identifier(payer, ("NAIC", "payerid", "PLAC")) or str(payer.get("id") or ""),
                    "relationship": "18" if own else relationship, "member_id": member, "group_number": number,
                    "group_name": plan, **_prefixed("payer", address),
                    **_prefixed("subscriber", {k: t for k, t in person.items() if k not in ("suffix", "address2")}),
                })  # fmt: skip
        return row

    def _payer(self, cover: Resource, entry: Mapping[str, Any]) -> tuple[Resource, str]:
        """Who pays by a cover, and the name; no name where the patient or a relative does.

        A payer whose record is not there is told, and known by what is written of it: a visit that names a cover never
        becomes one that the patient pays.
        """
        payors = _list(cover.get("payor"))
        payer = self.shelf.find(next(iter(payors), None), cover)
        if payer.get("resourceType") in ("Patient", "RelatedPerson"):
            return payer, ""
        shown = (
            str(payer.get("name") or ""),
            str(entry.get("display") or ""),
            *(str(p.get("display") or "") for p in payors),
        )
        if name := next((text for text in shown if text), ""):
            return payer, name
        if not payer:
            self._tell("intake.reference.missing", "Coverage.payor" if cover else "Claim.insurance")
        numbers = (str(i.get("value") or "") for i in _list(payer.get("identifier")) if isinstance(i, dict))
        written = (str(p.get("reference") or "") for p in [*payors, entry])
        return payer, next((text for text in (*numbers, *written) if text), "UNKNOWN")

    def _covers_of_the_day(self) -> list[Resource]:
        """The patient's covers that were in force on the visit's day, in the order in which they pay."""
        day = self.v.day((self.claim.get("billablePeriod") or self.encounter.get("period") or {}).get("start"))
        found = []
        for cover in self.around.covers.get(id(self.patient), []) if self.patient else []:
            period = cover.get("period") or {}
            first, last = (self.v.day(period.get(end)) for end in ("start", "end"))
            if cover.get("status", "active") == "active" and first <= day and (not last or day[: len(last)] <= last):
                found.append(cover)
        found.sort(key=lambda cover: int(cover.get("order") or 99))
        orders = [cover.get("order") for cover in found]
        if len(found) > 1 and (None in orders or len(set(orders)) < len(orders)):
            self._tell("intake.cover.order", "Coverage.order", warning=True)
        return found

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
        stated = _list(self.claim.get("procedure"))
        for entry in sorted(
            stated, key=lambda p: ("primary" not in _codes(p.get("type")), int(p.get("sequence") or 0))
        ):
            deed = self.shelf.find(entry.get("procedureReference"), self.claim)
            concept = entry.get("procedureCodeableConcept") or deed.get("code")
            if cells := self._operation(ranks, concept, entry.get("date") or _performed(deed)):
                self._add("codes", cells)
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

    def _attachments(self) -> None:
        """Paperwork, where its kind is written in the claim's own codes (X12 element 755): of the lines that name it, else of the claim.

        How it goes (756) and its control number (the identifier of what it refers to) are not guessed: a claim that needs them is
        held. An attachment whose kind only other code systems tell is told.
        """
        words = self.words["attachments"]
        named = [
            (int(s), item) for item in _list(self.claim.get("item")) for s in _list(item.get("informationSequence"))
        ]
        for entry in _list(self.claim.get("supportingInfo")):
            if _codes([entry.get("category")]).isdisjoint(words["categories"]):
                continue
            codings = (c for name in ("category", "code", "reason") for c in _codings(entry.get(name)))
            stated = {words["systems"].get(_bare(c.get("system")), ""): str(c.get("code") or "") for c in codings}
            if not stated.get("report_type"):
                self._tell("intake.attachment.other", "Claim.supportingInfo", warning=True)
                continue
            number = (entry.get("valueReference") or {}).get("identifier") or {}
            cells = {
                "report_type": stated["report_type"],
                "transmission": stated.get("transmission", ""),
                "control_number": str(number.get("value") or entry.get("valueString") or ""),
            }
            lines = [str(item.get("sequence")) for s, item in named if s == int(entry.get("sequence") or 0)]
            for line in lines or [""]:
                self._add("attachments", {"line": line, **cells})

    def _operation(self, ranks: Counter[str], concept: Any, when: Any) -> dict[str, str]:
        """A procedure of a stay, where it is coded as such; else {}."""
        system, code, _ = self.v.coding(concept)
        if system != "ICD10PCS":
            return {}
        ranks["procedure"] += 1
        return {
            "kind": "procedure",
            "rank": str(ranks["procedure"]),
            "code": code.replace(".", ""),
            "from_date": self.v.day(when),
        }

    def _diagnoses(self) -> None:
        counts: Counter[str] = Counter()

        def add(concept: Any, place: Place, kind: str = "", poa: str = "", sequence: int | None = None) -> None:
            system, code, text = self.v.coding(concept)
            known = self.diagnosed.get((system, code)) if not kind else None
            if known is None:
                counts[kind] += 1
            if not kind:
                rank = self.diagnosed.setdefault((system, code), counts[kind])
                if sequence is not None:
                    self.ranks[sequence] = rank
            if known is not None:
                return
            self._add("diagnoses", {"rank": str(counts[kind]), "system": system, "code": code, "text": text, "kind": kind, "poa": poa}, place)  # fmt: skip

        stated = _list(self.claim.get("diagnosis"))
        principal = [d for d in stated if "principal" in _codes(d.get("type"))]
        for entry in [*principal, *(d for d in stated if d not in principal)]:
            condition = self.shelf.find(entry.get("diagnosisReference"), self.claim)
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
        listed = sorted(_list(self.encounter.get("diagnosis")), key=lambda d: int(d.get("rank") or 10**6))
        for entry in listed:
            found = self.shelf.find(entry.get("condition"), self.encounter)
            if found.get("resourceType") == "Condition" and self._certain(found):
                admitting = self.stay and _first_code(entry.get("use")) == "AD"
                add(found.get("code"), self.place, "admitting" if admitting else "")
        for reason in _list(self.encounter.get("reasonCode")):
            add(reason, self.place)
        for held in self.children:
            if held.data.get("resourceType") == "Condition" and self._certain(held.data):
                add(held.data.get("code"), held.place)
        for held in self.children:
            if held.data.get("resourceType") == "Procedure":
                for reason in _list(held.data.get("reasonCode")):
                    add(reason, held.place)

    def _certain(self, condition: Resource) -> bool:
        """Whether the record says that the patient had it: what is only suspected is coded on stays alone."""
        status = _first_code(condition.get("verificationStatus"))
        return status not in self.words["no_diagnosis"] and (self.stay or status not in self.words["suspected"])

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
                **self._quantity(system, code, item.get("quantity")),
                "charge": charge,
                "service_date": first,
                "service_to": last if last != first else "",
                "pointers": ",".join(
                    str(self.ranks[s]) for s in _list(item.get("diagnosisSequence")) if s in self.ranks
                ),
                "revenue_code": records.revenue_code(revenue),
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

    def _quantity(self, system: str, code: str, quantity: Any) -> dict[str, str]:
        """Units of a service; of anaesthesia the minutes, which are billed for it."""
        amount = _amount(quantity) or "1"
        unit = str(quantity.get("code") or quantity.get("unit") or "").lower() if isinstance(quantity, dict) else ""
        if unit not in ("min", "minutes", "minute"):
            return {"units": amount}
        first, last = records.words("common")["anaesthesia"]
        timed = system == "HCPCS" and len(code) == 5 and first <= code <= last
        return {"units": "1" if timed else amount, "minutes": amount.removesuffix(".0")}

    @staticmethod
    def _extended(item: Resource) -> str:
        price = _amount(item.get("unitPrice"))
        return records.product(price, _amount(item.get("quantity")) or "1") if price else ""

    def _drug(self, item: Resource) -> dict[str, str]:
        for detail in _list(item.get("detail")):
            system, code, _ = self.v.coding(detail.get("productOrService"))
            if system == "NDC":
                quantity = detail.get("quantity") or {}
                return {"ndc": records.ndc(code), "ndc_units": _amount(quantity),
                        "ndc_unit_basis": records.drug_unit(str(quantity.get("code") or quantity.get("unit") or ""))}  # fmt: skip
        return {}

    def _deeds(self) -> list[str]:
        """A visit without a claim: what was done, priced by the charge master."""
        found: list[tuple[Any, str, Place]] = [(t, "", self.place) for t in _list(self.encounter.get("type"))[:1]]
        for held in self.children:
            data = held.data
            if data.get("status") not in (None, "completed"):
                continue
            if data.get("resourceType") == "Procedure":
                found.append((data.get("code"), self.v.day(_performed(data)), held.place))
            elif data.get("resourceType") == "Immunization":
                found.append((data.get("vaccineCode"), self.v.day(data.get("occurrenceDateTime")), held.place))
        operations: Counter[str] = Counter()
        for number, (concept, day, place) in enumerate(found, 1):
            system, code, text = self.v.coding(concept)
            kind = "visit" if number == 1 and place == self.place else records.kind_of(system, code)
            service = {"line": str(number), "kind": kind, "system": system, "code": code, "text": text, "units": "1",
                       "service_date": day}  # fmt: skip
            if operation := self._operation(operations, concept, day):
                self.v.gathered.add_where(True, "codes", self.key, place, operation)
                self.v.gathered.add_where(False, "services", self.key, place, service)
            else:
                self._add("services", service, place)
        return []


def _performed(procedure: Resource) -> Any:
    return procedure.get("performedDateTime") or (procedure.get("performedPeriod") or {}).get("start")


def _left(total: str, charges: Iterable[str]) -> str:
    try:
        left = Decimal(total) - sum((Decimal(c) for c in charges if c), Decimal(0))
    except InvalidOperation:
        return ""
    return f"{left:.2f}" if left >= 0 else ""
