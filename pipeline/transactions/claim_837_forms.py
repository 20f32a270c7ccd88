"""The three claim forms, 837P, 837I and 837D, as data: what each writes where.

Theory. The guides (`schemas/guides`) already say in which order segments stand, how often, how long their elements are and
which values they take. A form adds only what a guide cannot know: which column of the coded tables means which segment, and
which role of a provider has which loop. So the writer and the checks ask one question, `Form.place(loop, segment, key)`, and
get the guide's own answer: the order to write in, the limit, the elements; None where the guide has no such place.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import Literal

from pipeline.x12 import guides

Kind = Literal["837P", "837I", "837D"]


@dataclass(frozen=True, slots=True)
class Role:
    """A provider or place in a role. `specialty` is PRV01 where the loop has one; `where` tells what it is compared with
    before it is written: a loop that repeats what stands above it is left out."""

    role: str
    loop: str
    entity: str
    specialty: str = ""
    address: bool = False


@dataclass(frozen=True, slots=True)
class Coding:
    """Codes of one kind in HI: the qualifier of the first and of the others, together in one segment or apart.

    `value` names what stands beside the code: '' nothing, day, span, amount."""

    kind: str
    first: str
    rest: str
    together: bool = True
    value: Literal["", "day", "span", "amount"] = ""


@dataclass(frozen=True, eq=False)
class Form:
    kind: Kind
    guide: str
    name: str
    service: str  # SV1, SV2 or SV3
    place_column: str  # CLM05-1
    place_qualifier: str  # CLM05-2
    signature: str  # CLM06
    frequencies: str
    related_causes: bool
    claim_roles: tuple[Role, ...]
    line_roles: tuple[Role, ...]
    #: the providers of a claim as another payer knows them: by numbers alone (2330C and after)
    payer_roles: tuple[Role, ...]
    diagnoses: tuple[Coding, ...]
    codes: tuple[Coding, ...]
    most_lines: int
    #: by kind of diagnosis, the most of a claim
    most_diagnoses: dict[str, int]
    least_diagnoses: int
    #: columns that it has no place for and whose absence changes nothing: what they say stands elsewhere in the claim
    implied: frozenset[str] = frozenset()

    @cached_property
    def compiled(self) -> guides.Guide:
        return guides.guide(self.kind)

    @cached_property
    def _places(self) -> dict[tuple[str, str], list[guides.Place]]:
        found: dict[tuple[str, str], list[guides.Place]] = {}
        for place in self.compiled.places:
            found.setdefault((place.loop.id, place.id), []).append(place)
        return found

    def place(self, loop: str, segment_id: str, key: str = "") -> guides.Place | None:
        """Where the guide puts such a segment; None where it does not. A key of '' asks for the segment alone."""
        for place in self._places.get((loop, segment_id), ()):
            if not key or not place.keys or key in place.keys:
                return place
        return None

    def claim_role(self, role: str) -> Role | None:
        return next((r for r in self.claim_roles if r.role == role), None)

    def line_role(self, role: str) -> Role | None:
        return next((r for r in self.line_roles if r.role == role), None)


PROFESSIONAL = Form(
    kind="837P", guide="005010X222A1", name="professional", service="SV1", place_column="place_of_service",
    place_qualifier="B", signature="Y", frequencies="178", related_causes=True,
    claim_roles=(
        Role("referring", "2310A", "DN"),
        Role("primary_care", "2310A", "P3"),
        Role("rendering", "2310B", "82", "PE"),
        Role("facility", "2310C", "77", address=True),
        Role("supervising", "2310D", "DQ"),
        Role("pick_up", "2310E", "PW", address=True),
        Role("drop_off", "2310F", "45", address=True),
    ),
    line_roles=(
        Role("rendering", "2420A", "82", "PE"),
        Role("purchased_service", "2420B", "QB"),
        Role("facility", "2420C", "77", address=True),
        Role("supervising", "2420D", "DQ"),
        Role("ordering", "2420E", "DK", address=True),
        Role("referring", "2420F", "DN"),
        Role("primary_care", "2420F", "P3"),
        Role("pick_up", "2420G", "PW", address=True),
        Role("drop_off", "2420H", "45", address=True),
    ),
    payer_roles=(
        Role("referring", "2330C", "DN"),
        Role("primary_care", "2330C", "P3"),
        Role("rendering", "2330D", "82"),
        Role("facility", "2330E", "77"),
        Role("supervising", "2330F", "DQ"),
        Role("billing", "2330G", "85"),
    ),
    diagnoses=(Coding("", "ABK", "ABF"),),
    codes=(Coding("anesthesia", "BP", "BO"), Coding("condition", "BG", "BG")),
    most_lines=50, most_diagnoses={"": 12}, least_diagnoses=1,
)  # fmt: skip

INSTITUTIONAL = Form(
    kind="837I", guide="005010X223A2", name="institutional", service="SV2", place_column="bill_type",
    place_qualifier="A", signature="", frequencies="01234578", related_causes=False,
    claim_roles=(
        Role("attending", "2310A", "71", "AT"),
        Role("operating", "2310B", "72"),
        Role("other_operating", "2310C", "ZZ"),
        Role("rendering", "2310D", "82"),
        Role("facility", "2310E", "77", address=True),
        Role("referring", "2310F", "DN"),
    ),
    line_roles=(
        Role("operating", "2420A", "72"),
        Role("other_operating", "2420B", "ZZ"),
        Role("rendering", "2420C", "82"),
        Role("referring", "2420D", "DN"),
    ),
    payer_roles=(
        Role("attending", "2330C", "71"),
        Role("operating", "2330D", "72"),
        Role("other_operating", "2330E", "ZZ"),
        Role("facility", "2330F", "77"),
        Role("rendering", "2330G", "82"),
        Role("referring", "2330H", "DN"),
        Role("billing", "2330I", "85"),
    ),
    diagnoses=(
        Coding("", "ABK", "ABF", together=False),
        Coding("admitting", "ABJ", "ABJ"),
        Coding("reason", "APR", "APR"),
        Coding("external", "ABN", "ABN"),
    ),
    codes=(
        Coding("drg", "DR", "DR"),
        Coding("procedure", "BBR", "BBQ", together=False, value="day"),
        Coding("occurrence_span", "BI", "BI", value="span"),
        Coding("occurrence", "BH", "BH", value="day"),
        Coding("value", "BE", "BE", value="amount"),
        Coding("condition", "BG", "BG"),
        Coding("treatment", "TC", "TC"),
    ),
    most_lines=999, most_diagnoses={"": 25, "admitting": 1, "reason": 3, "external": 12}, least_diagnoses=1,
    implied=frozenset({"place_of_service", "rendering_taxonomy"}),
)  # fmt: skip

DENTAL = Form(
    kind="837D", guide="005010X224A2", name="dental", service="SV3", place_column="place_of_service",
    place_qualifier="B", signature="Y", frequencies="178", related_causes=True,
    claim_roles=(
        Role("referring", "2310A", "DN", "RF"),
        Role("primary_care", "2310A", "P3", "RF"),
        Role("rendering", "2310B", "82", "PE"),
        Role("facility", "2310C", "77", address=True),
        Role("assistant_surgeon", "2310D", "DD", "AS"),
        Role("supervising", "2310E", "DQ"),
    ),
    line_roles=(
        Role("rendering", "2420A", "82", "PE"),
        Role("assistant_surgeon", "2420B", "DD", "AS"),
        Role("supervising", "2420C", "DQ"),
        Role("facility", "2420D", "77", address=True),
    ),
    payer_roles=(
        Role("referring", "2330C", "DN"),
        Role("primary_care", "2330C", "P3"),
        Role("rendering", "2330D", "82"),
        Role("supervising", "2330E", "DQ"),
        Role("billing", "2330F", "85"),
        Role("facility", "2330G", "77"),
        Role("assistant_surgeon", "2330H", "DD"),
    ),
    diagnoses=(Coding("", "ABK", "ABF"),),
    codes=(),
    most_lines=50, most_diagnoses={"": 4}, least_diagnoses=0,
)  # fmt: skip

FORMS = (PROFESSIONAL, INSTITUTIONAL, DENTAL)
KINDS: tuple[Kind, ...] = ("837P", "837I", "837D")


@cache
def form_of(guide: str) -> Form | None:
    """The form of a guide's version (005010X222A1) or kind (837P); None where it is none that is written."""
    return next((f for f in FORMS if guide in (f.kind, f.guide)), None)


#: elements of MOA and MIA by the columns of the decision's shape; '' is not used
MOA = (
    "rate",
    "hcpcs_payable",
    "remark1",
    "remark2",
    "remark3",
    "remark4",
    "remark5",
    "esrd_paid",
    "nonpayable_professional",
)
MIA = (
    "covered_days", "", "lifetime_psychiatric_days", "drg_amount", "remark1", "disproportionate_share", "msp_pass_through",
    "pps_capital", "capital_federal_drg", "capital_hospital_drg", "capital_disproportionate_drg", "old_capital", "capital_teaching",
    "operating_hospital_drg", "cost_report_days", "operating_federal_drg", "capital_outlier", "indirect_teaching",
    "nonpayable_professional", "remark2", "remark3", "remark4", "remark5", "capital_exception",
)  # fmt: skip
#: by nested column of another payer: the segment and its elements
DECISIONS = {"outpatient_decision": ("MOA", MOA), "inpatient_decision": ("MIA", MIA)}
#: where a number of the billing provider's stands, by its kind
BILLING_NUMBERS = (("2010AA", frozenset({"0B", "1G"})), ("2010BB", frozenset({"G2", "LU"})))

#: columns that belong to the program and its tables and are never sent
BOOKKEEPING = frozenset(
    [
        "claim_id",
        "encounter_key",
        "guide",
        "frequency",
        "synthetic",
        "practice_id",
        "source_file",
        "source_row",
        "service_from",
        "service_to",
        "charge",
        "patient_id",
        "payer_source",
        "payer_key",
        "line",
        "rule_id",
        "rule_version",
        "price_origin",
        "source",
        "rank",
        "kind",
        "file",
    ]
)
