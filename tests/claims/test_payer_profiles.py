"""The profiles that ship: nothing that must tell payers apart is shared, and every field is documented."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from pipeline.claims.batches import route
from pipeline.errors import Terminal
from pipeline.payers import PayerProfile, Terms, by_source_name, load_profiles
from pipeline.settings import SubmitterSettings
from pipeline.transactions.claim_837_forms import DENTAL, INSTITUTIONAL, PROFESSIONAL

PROFILES = load_profiles()
DOCS = (Path(__file__).parents[2] / "docs" / "payers.md").read_text(encoding="utf-8")


def test_what_tells_payers_apart_is_shared_by_none() -> None:
    origins = [o for p in PROFILES.values() for o in p.remittance_origins]
    assert len(origins) == len(set(origins)) >= len(PROFILES)
    assert all(len(o) == 10 and o.isdigit() and o[0] == "1" for o in origins)
    for values in ([p.payer_id for p in PROFILES.values()], [p.interchange.receiver_id for p in PROFILES.values()]):
        assert len(values) == len(set(values))
    names = [n.casefold() for p in PROFILES.values() for n in {*p.matches, p.name}]
    assert all(by_source_name(PROFILES)[n] for n in names)
    for p in PROFILES.values():
        assert {by_source_name(PROFILES)[n.casefold()] for n in (*p.matches, p.name, p.key)} == {p.key}


def test_the_payers_of_our_extracts_are_known() -> None:
    known = by_source_name(PROFILES)
    for name in ("Medicare", "Medicaid", "Dual Eligible", "Blue Cross Blue Shield", "Anthem", "Aetna", "Cigna Health", "Humana",
                 "UnitedHealthcare", "MERIDIAN HEALTH PLAN", "HARBOR MUTUAL"):  # fmt: skip
        assert name.casefold() in known
    assert not PROFILES["medicare"].claims.accepts_dependents
    assert PROFILES["meridian"].batch.max_claims_per_set == 25


@pytest.mark.parametrize("key", PROFILES)
def test_a_route_can_be_made_of_each(key: str) -> None:
    way = route(PROFILES[key], SubmitterSettings(), "T", PROFESSIONAL)
    assert (way.payer_id, way.receiver_id, way.usage) == (
        PROFILES[key].payer_id,
        PROFILES[key].interchange.receiver_id,
        "T",
    )


def test_a_payer_may_know_the_sender_by_another_id() -> None:
    profile = PROFILES["harbor"]
    other = profile.model_copy(update={"interchange": profile.interchange.model_copy(
        update={"sender_qualifier": "30", "sender_id": "041234567", "group_receiver": "HARBORGS"})})  # fmt: skip
    way = route(other, SubmitterSettings(), "P", PROFESSIONAL)
    assert (way.sender_qualifier, way.sender_id, way.group_receiver, way.usage) == ("30", "041234567", "HARBORGS", "P")


def test_what_differs_by_guide() -> None:
    medicare = PROFILES["medicare"]
    assert [route(medicare, SubmitterSettings(), "T", f).filing_indicator for f in (PROFESSIONAL, INSTITUTIONAL)] == [
        "MB",
        "MA",
    ]
    assert medicare.takes == ("837P", "837I")
    other = PROFILES["harbor"].model_copy(
        update={"guides": {"837D": Terms(payer_id="HARBORDENT", receiver_id="DENTALHUB")}}
    )
    ways = [route(other, SubmitterSettings(), "T", f) for f in (PROFESSIONAL, DENTAL)]
    assert [(w.payer_id, w.receiver_id, w.group_receiver) for w in ways] == [
        ("HARBOR1", "BOXHARBOR", "BOXHARBOR"), ("HARBORDENT", "DENTALHUB", "DENTALHUB")]  # fmt: skip


def test_every_field_is_documented() -> None:
    def names(model: type[BaseModel]) -> set[str]:
        found = set()
        for name, info in model.model_fields.items():
            kind = info.annotation
            found |= names(kind) if isinstance(kind, type) and issubclass(kind, BaseModel) else {name}
        return found

    assert {n for n in names(PayerProfile) - {"key"} if f"`{n}`" not in DOCS} == set()


def test_a_misspelt_field_stops_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "odd.toml").write_text(
        'name = "ODD"\npayer_id = "1"\nmatches = []\n[interchange]\nreceiver_idd = "X"\n'
    )
    with pytest.raises(Terminal, match=r"odd\.toml.*interchange\.receiver_idd"):
        load_profiles(str(tmp_path))
