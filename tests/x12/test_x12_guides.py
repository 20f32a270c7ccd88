"""The guides as data: they load, they are sound, and the quick way of checking a segment agrees with the slow one."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import shapes
from pipeline.errors import Terminal
from pipeline.x12 import expressions, guides
from pipeline.x12.guides import FORMS, Element, Place
from pipeline.x12.segments import Delimiters
from pipeline.x12.validator_elements import pattern, problems
from pipeline.x12.validator_machine import for_guide
from pipeline.x12.validator_meaning import is_npi

KINDS = ("270", "271", "276", "277", "277CA", "835", "837D", "837I", "837P", "997", "999")
DELIMITERS = Delimiters()


def test_there_is_a_guide_for_every_kind() -> None:
    assert guides.names() == KINDS


VERSIONS = {
    "837P": "005010X222A1", "837I": "005010X223A2", "837D": "005010X224A2", "835": "005010X221A1", "997": "005010X230", "999": "005010X231A1",
    "277CA": "005010X214", "270": "005010X279A1", "271": "005010X279A1", "276": "005010X212", "277": "005010X212",
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_guide_is_found_by_its_version_and_set(kind: str) -> None:
    found = guides.for_version(VERSIONS[kind], guides.guide(kind).set_id)
    assert found is guides.guide(kind)
    assert found.version == VERSIONS[kind]
    assert guides.for_version("005010X223A3", "837") is guides.guide("837I")
    assert guides.for_version("004010X098A1", "837") is None


@pytest.mark.parametrize("kind", KINDS)
def test_no_segment_can_be_two_places(kind: str) -> None:
    assert guides.audit(guides.guide(kind)) == []


def test_the_audit_sees_an_ambiguity() -> None:
    """The data of the 835 with a second REF*EV: the audit names both places."""
    data: dict[str, Any] = tomllib.loads((shapes.schemas_dir() / "guides" / "835.toml").read_text("utf-8"))
    root = data["loop"][0]["segments"]
    root.append({**next(s for s in root if s.get("codes") == "EV"), "codes": "EV ZZ"})
    found = guides.audit(guides.build(data))
    assert found
    assert all("REF*EV" in line for line in found)


@pytest.mark.parametrize("kind", KINDS)
def test_the_rules_of_a_guide_can_be_read_and_point_into_it(kind: str) -> None:
    guide = guides.guide(kind)
    meaning = for_guide(guide)
    loops = {loop.id for loop in guide.loops()}
    assert meaning.situations.loops <= loops
    ids = [rule.id for rule in guide.rules]
    assert len(set(ids)) == len(ids)
    for rule in guide.rules:
        assert rule.message.endswith(".")
        assert rule.fix.endswith(".")
        assert rule.id.startswith(f"{kind}.")


@pytest.mark.parametrize("kind", KINDS)
def test_every_place_can_be_reached(kind: str) -> None:
    guide = guides.guide(kind)
    seen, todo = {guide.root.trigger.index}, [guide.root.trigger]
    while todo:
        for step in guide.candidates(todo.pop()):
            if step.place.index not in seen:
                seen.add(step.place.index)
                todo.append(step.place)
    assert seen == {place.index for place in guide.places}


#: facts that others state, one line each: loop, segment (with qualifier), element or 0, what is so
FACTS = [
    ("837P", "2300", "CLM", 0, {"required": True, "limit": 1}),
    ("837P", "2400", "SV1", 0, {"required": True, "limit": 1}),
    ("837P", "2320", "CAS", 0, {"limit": 5}),
    ("837P", "2300", "PWK", 0, {"limit": 10}),
    ("837P", "1000A", "PER", 0, {"limit": 2}),
    ("837P", "ST", "BHT", 1, {"codes": frozenset({"0019"})}),
    ("837P", "ST", "BHT", 2, {"codes": frozenset({"00", "18"})}),
    ("837P", "2000B", "HL", 3, {"codes": frozenset({"22"})}),
    ("837I", "2300", "CL1", 0, {"required": True}),
    ("837I", "2300", "DTP*434", 0, {"required": True}),
    ("837D", "2300", "DN2", 0, {"limit": 35}),
    ("837D", "2400", "TOO", 0, {"limit": 32}),
    ("835", "2110", "SVC", 2, {"usage": "R", "type": "R"}),
    ("835", "2100", "CAS", 1, {"codes": frozenset({"CO", "OA", "PI", "PR"})}),
    ("999", "2100", "IK3", 4, {"codes": frozenset(["1", "2", "3", "4", "5", "6", "7", "8", "I4", "I6", "I7", "I8", "I9"])}),
    ("277CA", "2200D", "STC", 3, {"codes": frozenset({"WQ", "U"})}),
    ("277CA", "2000D", "HL", 3, {"codes": frozenset({"PT"})}),
    ("276", "2200D", "AMT*T3", 0, {"limit": 1}),
    ("271", "2110C", "EB", 3, {"repeat": 99}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "loop", "segment", "element", "facts"), FACTS)
def test_facts_of_the_guides(kind: str, loop: str, segment: str, element: int, facts: dict[str, Any]) -> None:
    name, _, key = segment.partition("*")
    place = next(p for p in guides.guide(kind).by_id(name) if p.loop.id == loop and (not key or key in p.keys))
    holder: Any = place.elements[element - 1] if element else place
    assert {fact: getattr(holder, fact) for fact in facts} == facts


LIMITS = [("837P", "2400", 50), ("837I", "2400", 999), ("837D", "2400", 50), ("837P", "2320", 10), ("837P", "2430", 15),
          ("837P", "2300", 100), ("835", "2110", 999)]  # fmt: skip


@pytest.mark.parametrize(("kind", "loop", "limit"), LIMITS)
def test_limits_of_loops(kind: str, loop: str, limit: int) -> None:
    assert {found.limit for found in guides.guide(kind).loops() if found.id == loop} == {limit}


def test_the_plb_reasons_and_claim_states_of_the_835() -> None:
    guide = guides.guide("835")
    reasons = guide.by_id("PLB")[0].elements[2].components[0].codes
    assert reasons == frozenset(
        [
            "50",
            "51",
            "72",
            "90",
            "AH",
            "AM",
            "AP",
            "B2",
            "B3",
            "BD",
            "BN",
            "C5",
            "CR",
            "CS",
            "CT",
            "CV",
            "CW",
            "DM",
            "E3",
            "FB",
            "FC",
            "GO",
            "HM",
            "IP",
            "IR",
            "IS",
            "J1",
            "L3",
            "L6",
            "LE",
            "LS",
            "OA",
            "OB",
            "PI",
            "PL",
            "RA",
            "RE",
            "SL",
            "TL",
            "WO",
            "WU",
        ]
    )
    assert guide.by_id("CLP")[0].elements[1].codes == frozenset(
        ["1", "2", "3", "4", "19", "20", "21", "22", "23", "25"]
    )


def test_an_unknown_guide_or_overlay_is_named() -> None:
    with pytest.raises(Terminal, match="no guide named 837X"):
        guides.guide("837X")
    with pytest.raises(Terminal, match="ZZZ in loop 2300"):
        guides.overlaid("005010X222A1", "837", {"segments": [{"loop": "2300", "segment": "ZZZ", "usage": "R"}]})


# ── the quick way and the slow way ───────────────────────────────────────────────────────────────────────────────────

PLACES = [place for kind in KINDS for place in guides.guide(kind).places]
DATES = ["20240229", "20230229", "19991231", "00010101", "20261131", "2024022", "20241301"]


def _value(element: Element) -> st.SearchStrategy[str]:
    """Values near the border between good and bad of this element."""
    near = [st.text(alphabet="A1 .-é:^\x07", max_size=3)]
    if element.codes:
        near.append(st.sampled_from(sorted(element.codes)))
    if element.form:
        near.append(st.from_regex(FORMS[element.form], fullmatch=True))
    if element.type in ("AN", "ID"):
        near.append(st.integers(element.low, element.high or 5).map(lambda n: "A" * n))
        near.append(st.sampled_from([*DATES, "20240101-20240101", "20240102-20240101"]))
    if element.type[:1] in ("R", "N"):
        near.append(st.decimals(-999, 999, places=3).map(str))
        near.append(
            st.sampled_from(["0", "1", "12", "1.50", "-3", ".5", "5.", "1E2", "+1", "9" * 19, "12345678.90", "٣"])
        )
    if element.type == "DT":
        near.append(st.sampled_from(DATES))
    if element.type == "TM":
        near.append(st.sampled_from(["0000", "2359", "2400", "12", "120059", "12005999", "1200599"]))
    return st.one_of(near)


def _one(element: Element) -> st.SearchStrategy[str]:
    if not element.components:
        body = _value(element)
    else:
        body = st.tuples(
            *[st.just("") if c.usage == "N" else st.one_of(st.just(""), _value(c)) for c in element.components]
        ).map(lambda parts: ":".join(parts).rstrip(":"))
    repeated = st.lists(body, min_size=1, max_size=2).map("^".join) if element.repeat != 1 else body
    return repeated if element.usage == "R" else st.one_of(st.just(""), repeated)


@st.composite
def segments(draw: st.DrawFn) -> tuple[Place, str]:
    place = draw(st.sampled_from(PLACES))
    values = [
        draw(_one(element)) if element.usage != "N" or draw(st.integers(0, 9)) == 0 else ""
        for element in place.elements
    ]
    text = "*".join([place.id, *values])
    return place, text if draw(st.integers(0, 9)) == 0 else text.rstrip("*")


@given(segments())
@settings(max_examples=1500, deadline=None)
def test_the_pattern_accepts_nothing_that_has_a_problem(case: tuple[Place, str]) -> None:
    place, text = case
    for basic in (False, True):
        if pattern(place, DELIMITERS, basic=basic).match(text):
            assert list(problems(place, text.split("*"), DELIMITERS, basic=basic)) == []


def test_the_pattern_accepts_what_good_files_hold() -> None:
    """Most segments of a good file must take the quick way, or the validator is slow."""
    good = {
        "NM1*85*2*CLINIC*****XX*1234567893": "2010AA", "N4*BOSTON*MA*021010001": "2010AA", "SV1*HC:99213:25*100.5*UN*1***1:2": "2400",
        "DTP*472*D8*20260228": "2400", "HI*ABK:J029*ABF:Z23": "2300", "CAS*CO*45*10*1*97*5": "2320", "CLM*C1*150***11:B:1*Y*A*Y*Y": "2300",
        "DTP*472*RD8*20260228-20260228": "2400", "PER*IC*BILLING*TE*5551234567*EX*12": "1000A",
    }  # fmt: skip
    for text, loop in good.items():
        places = [p for p in guides.guide("837P").by_id(text.partition("*")[0]) if p.loop.id == loop]
        assert any(pattern(place, DELIMITERS).match(text) for place in places), text


# ── expressions ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _instance() -> expressions.Instance:
    own = [(s.split("*")[0], s.split("*")) for s in ("CLM*C1*150***11:B:7*Y", "REF*F8*X1", "DTP*472*D8*20261101")]
    lines = [
        [("LX", ["LX", "1"]), ("SV1", ["SV1", "HC:99213", "100"])],
        [("LX", ["LX", "2"]), ("SV1", ["SV1", "HC:1", "50"])],
    ]
    return expressions.Instance(own, {"2400": lines}, ":", lambda segment_id, parts: parts[1].split(":")[0])


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("CLM.05-3 = '7'", True), ("CLM.05-3 = 7", True), ("CLM.05 in ('B', 'C')", True), ("CLM.05-2 in ('C')", False),
        ("REF*F8", True), ("REF*G1", False), ("not REF*G1 and DTP*472|434", True), ("REF*F8.02 like 'X\\d'", True),
        ("CLM.02 > 149.99", True), ("CLM.02 >= 151 or CLM.02 < 150", False), ("sum(2400/SV1.02) = CLM.02", True),
        ("count(2400/LX) = 2", True), ("2400/SV1.01-2 = '1'", True), ("(CLM.06 = 'N' or CLM.06 = 'Y') and not CLM.20", True),
        ("CLM.06 != 'Y'", False), ("not (CLM.06 = 'Y')", False), ("CLM.01 < CLM.02", False),
    ],
)  # fmt: skip
def test_expressions(text: str, holds: bool) -> None:
    assert expressions.parse(text).holds(_instance()) is holds


@pytest.mark.parametrize(
    "text",
    ["", "CLM.01 =", "CLM.01 in 'A'", "foo", "CLM.01 = 'A", "(CLM", "CLM CLM", "__import__('os')", "CLM.01 like '['"],
)
def test_expressions_that_cannot_be_read_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        expressions.parse(text)


@given(
    st.recursive(
        st.sampled_from(["CLM.05-3 = '7'", "CLM.05-3 != '1'", "REF*F8", "REF*G1", "CLM.02 > 100", "CLM.20", "DTP*472.03 like '2.*'",
                         "CLM.06 in ('N', 'W')", "2400/LX", "CLM.01 = CLM.02"]),
        lambda inner: st.one_of(
            inner.map(lambda a: f"not ({a})"), st.tuples(inner, inner).map(lambda p: f"({p[0]}) and ({p[1]})"),
            st.tuples(inner, inner).map(lambda p: f"({p[0]}) or ({p[1]})"),
        ), max_leaves=8,
    )
)  # fmt: skip
@settings(max_examples=300, deadline=None)
def test_signs_never_pass_over_an_expression_that_holds_or_fails(text: str) -> None:
    """`needs` and `fails` are read to skip work: they must be seen wherever the expression holds, or fails."""
    instance = _instance()
    parsed = expressions.parse(text)

    def seen(signs: list[expressions.Sign]) -> bool:
        for sign in signs:
            values = sign.path.values(instance)
            passing = [v for v in values if sign.test is None or sign.test(v)]
            if bool(passing) is not sign.absent:
                return True
        return False

    signs = parsed.needs if parsed.holds(instance) else parsed.fails
    assert signs is None or seen(signs)


def test_npis() -> None:
    assert is_npi("1234567893")
    assert is_npi("1245319599")
    for wrong in ("1234567890", "3234567893", "123456789", "12345678931", "123456789X", "", "１２３４５６７８９３"):
        assert not is_npi(wrong)


def test_names_in_the_guides_are_ours() -> None:
    """No loop's name is that of the guides that others publish: short, lower-case words of our own."""
    for path in sorted(Path(shapes.schemas_dir() / "guides").glob("*.toml")):
        data = tomllib.loads(path.read_text("utf-8"))
        for loop in data["loop"]:
            assert re.fullmatch(r"[a-z:,\- ]{4,45}", loop["name"]), loop["name"]
