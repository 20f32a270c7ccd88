"""Provider roles by kind of claim: exactly the loops that are expected, and nothing that repeats what stands above (row E6)."""

from __future__ import annotations

from typing import Any

import pytest
from claims.situations import FORM, findings, tables, written

from pipeline import transactions
from pipeline.transactions.claim_837_route import Route

Row = dict[str, Any]
#: role → (loop at the claim, loop at the line) by kind; '' is none: the claim is stopped and says so
MATRIX: dict[str, dict[str, tuple[str, str]]] = {
    "rendering": {"837P": ("2310B", "2420A"), "837I": ("2310D", "2420C"), "837D": ("2310B", "2420A")},
    "referring": {"837P": ("2310A", "2420F"), "837I": ("2310F", "2420D"), "837D": ("2310A", "")},
    "primary_care": {"837P": ("2310A", "2420F"), "837I": ("", ""), "837D": ("2310A", "")},
    "facility": {"837P": ("2310C", "2420C"), "837I": ("2310E", ""), "837D": ("2310C", "2420D")},
    "supervising": {"837P": ("2310D", "2420D"), "837I": ("", ""), "837D": ("2310E", "2420C")},
    "ordering": {"837P": ("2420E", "2420E"), "837I": ("", ""), "837D": ("", "")},
    "purchased_service": {"837P": ("2420B", "2420B"), "837I": ("", ""), "837D": ("", "")},
    "pick_up": {"837P": ("2310E", "2420G"), "837I": ("", ""), "837D": ("", "")},
    "drop_off": {"837P": ("2310F", "2420H"), "837I": ("", ""), "837D": ("", "")},
    "attending": {"837P": ("", ""), "837I": ("2310A", ""), "837D": ("", "")},
    "operating": {"837P": ("", ""), "837I": ("2310B", "2420A"), "837D": ("", "")},
    "other_operating": {"837P": ("", ""), "837I": ("2310C", "2420B"), "837D": ("", "")},
    "assistant_surgeon": {"837P": ("", ""), "837I": ("", ""), "837D": ("2310D", "2420B")},
}
PERSON: Row = {"last": "Yew", "first": "Una", "npi": "1000030001"}
PLACE: Row = {"last": "Hill House", "address1": "3 Hill Rd", "city": "Salem", "state": "MA", "zip": "019700001"}
#: loops that every claim of the kind has, and the attending provider of a stay
ABOVE = {"1000A", "1000B", "2010AA", "2010BA", "2010BB"}
ALWAYS = {"837P": ABOVE, "837I": ABOVE | {"2310A"}, "837D": ABOVE}


def party(role: str) -> Row:
    return {"role": role} | (PLACE if role in ("facility", "pick_up", "drop_off") else PERSON)


def at_claim(kind: str, role: str) -> Row:
    """The claim's cells that name one more provider in the role."""
    if role == "facility":
        names = {"last": "facility_name"}
        return {names.get(k, f"facility_{k}"): v for k, v in PLACE.items()}
    if role in ("rendering", "referring"):
        return {f"{role}_{k}": v for k, v in PERSON.items()}
    attending = [{"role": "attending", "last": "Ash", "first": "Al", "npi": "1000020002"}]
    return {"parties": ([] if kind != "837I" or role == "attending" else attending) + [party(role)]}


def loops(way: Route, kind: str, claim: Row, lines: list[Row] | None = None) -> list[str]:
    """The loops of the file's parties, as our reader names them."""
    data = written(way, kind, tables(kind, claim, lines), oracle=False)
    return sorted(transactions.read(data).tables["837.parties"].column("loop").to_pylist())


@pytest.mark.parametrize("kind", FORM)
@pytest.mark.parametrize("role", MATRIX)
def test_a_role_of_a_claim(way: Route, kind: str, role: str) -> None:
    loop = MATRIX[role][kind][0]
    if not loop:
        assert {f.rule for f in findings(kind, at_claim(kind, role))} >= {f"{kind}.no_place"}
        return
    expected = sorted(ALWAYS[kind] | {loop})
    assert loops(way, kind, at_claim(kind, role)) == expected


@pytest.mark.parametrize("kind", FORM)
@pytest.mark.parametrize("role", MATRIX)
def test_a_role_of_a_line(way: Route, kind: str, role: str) -> None:
    loop = MATRIX[role][kind][1]
    line = {"parties": [party(role)]}
    if not loop:
        assert {f.rule for f in findings(kind, lines=[line])} == {f"{kind}.no_place"}
        return
    assert loops(way, kind, {}, [line, {}]) == sorted([*ALWAYS[kind], loop])


@pytest.mark.parametrize("kind", FORM)
def test_all_roles_at_once(way: Route, kind: str) -> None:
    """Every role of claims and lines in one file, which pyx12 takes too."""
    roles = [role for role, loops_of in MATRIX.items() if loops_of[kind][0][:2] == "23"]
    claim: Row = {}
    for role in roles:
        cells = at_claim(kind, role)
        if role == "attending":  # not the one who renders
            cells = {"parties": [party(role) | {"npi": "1000020002"}]}
        claim |= cells | {
            "parties": [*claim.get("parties", []), *(p for p in cells.get("parties", []) if p["role"] == role)]
        }
    parties = [
        party(role) | ({"address1": "7 Hill Rd"} if "address1" in party(role) else {"npi": "1000010003"})
        for role, found in MATRIX.items()
        if found[kind][1]
    ]
    data = written(way, kind, tables(kind, claim, [{"parties": parties}]))
    found = transactions.read(data).tables["837.parties"].column("loop").to_pylist()
    expected = [MATRIX[r][kind][0] for r in roles] + [MATRIX[p["role"]][kind][1] for p in parties]
    assert sorted(found) == sorted([*ABOVE, *expected])


def test_every_role_of_the_shape_stands_in_the_matrix() -> None:
    known = {r.role for f in FORM.values() for r in (*f.claim_roles, *f.line_roles)}
    assert known == set(MATRIX)


SAME: list[tuple[str, str, Row, list[Row], set[str]]] = [
    ("the rendering provider bills", "837P", {"rendering_npi": "1234567893", "rendering_last": "Elm"}, [{}], set()),
    ("the same at a dental claim", "837D", {"rendering_npi": "1234567893", "rendering_last": "Elm"}, [{}], set()),
    ("the rendering provider attends", "837I", {"rendering_npi": "1000020002", "rendering_last": "Ash"}, [{}], set()),
    ("the line's is the claim's", "837P", at_claim("837P", "rendering"), [{"parties": [party("rendering")]}], {"2310B"}),
    ("the line's bills", "837P", {}, [{"parties": [{"role": "rendering", "last": "Elm", "npi": "1234567893"}]}], set()),
    ("the line's bills, the claim's does not", "837P", at_claim("837P", "rendering"),
     [{"parties": [{"role": "rendering", "last": "Elm", "npi": "1234567893"}]}], {"2310B", "2420A"}),
    ("the line's referrer is the claim's", "837P", at_claim("837P", "referring"), [{"parties": [party("referring")]}], {"2310A"}),
    ("the line's supervisor is the claim's", "837P", at_claim("837P", "supervising"), [{"parties": [party("supervising")]}], {"2310D"}),
    ("the line's surgeon is the claim's", "837I", at_claim("837I", "operating"), [{"parties": [party("operating")]}], {"2310B"}),
    ("the line's place is the claim's", "837P", at_claim("837P", "facility"), [{"parties": [party("facility")]}], {"2310C"}),
    ("the line's place is the billing provider's", "837P", {}, [{"parties": [
        {"role": "facility", "last": "Elm", "address1": "1 elm st", "city": "Boston", "state": "MA", "zip": "02110"}]}], set()),
    ("the claim orders, one line has its own", "837P", at_claim("837P", "ordering"),
     [{}, {"parties": [{"role": "ordering", "last": "Ash", "first": "Al", "npi": "1000020002"}]}], {"2420E"}),
    ("a place beside an ambulance", "837P", at_claim("837P", "facility") | {
        "parties": [party("pick_up"), party("drop_off") | {"address1": "9 Hill Rd"}], "transport": [{"reason": "A", "miles": 3}]}, [{}],
     {"2310E", "2310F"}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "claim", "lines", "expected"), [case[1:] for case in SAME], ids=[case[0] for case in SAME]
)
def test_what_repeats_is_left_out(way: Route, kind: str, claim: Row, lines: list[Row], expected: set[str]) -> None:
    assert set(loops(way, kind, claim, lines)) == ALWAYS[kind] | expected


def test_the_claims_ordering_provider_stands_at_each_line(way: Route) -> None:
    own = {"parties": [{"role": "ordering", "last": "Ash", "first": "Al", "npi": "1000020002"}]}
    data = written(way, "837P", tables("837P", at_claim("837P", "ordering"), [{}, own, {}]))
    parties = transactions.read(data).tables["837.parties"].to_pylist()
    assert [(p["line_number"], p["id"]) for p in parties if p["loop"] == "2420E"] == [
        (1, "1000030001"), (2, "1000020002"), (3, "1000030001")]  # fmt: skip
