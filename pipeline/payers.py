"""Payer profiles: what one payer wants, as data in `schemas/payers/*.toml`. The file's stem is the payer's key."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline import shapes
from pipeline.errors import Terminal

Guide = Literal["837P", "837I", "837D"]
GUIDES: tuple[Guide, ...] = ("837P", "837I", "837D")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Interchange(_Section):
    """Addresses of the envelope. Sender qualifier and id come from the submitter's settings unless given here."""

    receiver_qualifier: str = "ZZ"
    receiver_id: str = Field(max_length=15)
    group_receiver: str = ""  # GS03; empty: receiver_id
    sender_qualifier: str = ""
    sender_id: str = ""
    acknowledgment_requested: Literal["0", "1"] = "1"
    newline: bool = False


class Batch(_Section):
    max_claims_per_set: int = Field(5000, gt=0, le=5000)
    max_claims_per_file: int = Field(20000, gt=0)


class Claims(_Section):
    """What its claims must look like. `filing_indicator` is SBR09."""

    filing_indicator: str = "CI"
    member_id_pattern: str = ".{2,80}"
    accepts_dependents: bool = True  # false: the patient is always the subscriber (Medicare)
    filing_days: int = 365
    appeal_days: int = 120  # after the payment date; add the days that a payer presumes for the post
    underpayment_tolerance_cents: int = Field(0, ge=0)  # a line allowed less than expected by no more is left alone
    charset: Literal["basic", "extended"] = "basic"
    # replacements and voids (frequency 7, 8) of claims that it holds: a person approves each, they go by themselves, or none
    corrections: Literal["approve", "automatic", "none"] = "approve"
    # official tables that it judges by: see docs/codes.md
    ncci: Literal["medicare", "medicaid", "none"] = "medicare"
    unit_limits: Literal["auto", "dme", "none"] = "auto"
    coverage_policies: bool | None = None  # null: Medicare's claims are held against them
    # what the practice agreed with this payer, where the encounter does not say otherwise
    assignment: Literal["A", "B", "C"] = "A"  # CLM07
    benefits_assignment: Literal["Y", "N", "W"] = "Y"  # CLM08
    release_of_information: Literal["Y", "I"] = "Y"  # CLM09


class Terms(_Section):
    """What differs for one guide. Empty: as for the others."""

    payer_id: str = ""
    receiver_id: str = Field("", max_length=15)
    group_receiver: str = ""
    filing_indicator: str = ""


class Transport(_Section):
    """How to reach it. `box` is the payer in a box; `sftp` a real server; `folder` a local directory."""

    kind: Literal["box", "sftp", "folder"] = "box"
    host: str = ""
    port: int = 22
    user: str = ""
    known_hosts: str = ""  # file with the pinned host key
    key_file: str = ""
    password_variable: str = ""  # name of the environment variable that holds the password
    inbound: str = "/inbound"  # where we upload
    outbound: str = "/outbound"  # where we fetch
    upload: Literal["rename", "direct"] = "rename"  # direct only where the payer forbids rename
    temporary_prefix: str = ".part-"


class Acknowledgment(_Section):
    """How many business days until an answer is late."""

    days_999: int = 1
    days_277ca: int = 3
    days_835: int = 30


class PayerProfile(_Section):
    key: str
    name: str = Field(max_length=60)
    payer_id: str = Field(description="2010BB NM109 (PI)")
    matches: tuple[str, ...] = Field(description="names of the payer in extracts, compared without case")
    effective_from: date = date(2000, 1, 1)
    address1: str = ""
    city: str = ""
    state: str = ""
    zip: str = ""
    remittance_origins: tuple[str, ...] = Field((), description="TRN03 values that its 835s and EFTs carry")
    edit: tuple[dict[str, Any], ...] = Field((), description="its own rules, with examples: docs/payers.md")
    takes: tuple[Guide, ...] = Field(GUIDES, description="the claims that it takes from this practice")
    guides: dict[Guide, Terms] = Field({}, description="what differs by guide")
    interchange: Interchange
    batch: Batch = Batch()
    claims: Claims = Claims()
    transport: Transport = Transport()
    acknowledgment: Acknowledgment = Acknowledgment()

    @property
    def uses_coverage_policies(self) -> bool:
        stated = self.claims.coverage_policies
        return self.claims.filing_indicator in ("MA", "MB") if stated is None else stated


def load_profiles(folder: str = "") -> dict[str, PayerProfile]:
    """All profiles by key. Terminal, naming file and field, where one cannot be used."""
    return _load(str(Path(folder) if folder else shapes.schemas_dir() / "payers"))


@cache
def _load(folder: str) -> dict[str, PayerProfile]:
    found: dict[str, PayerProfile] = {}
    for path in sorted(Path(folder).glob("*.toml")):
        try:
            data = tomllib.loads(path.read_text(encoding="utf-8"))
            found[path.stem] = PayerProfile(key=path.stem, **data)
        except tomllib.TOMLDecodeError as error:
            raise Terminal(f"The payer profile {path} is not TOML: {error}.") from None
        except ValidationError as error:
            places = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise Terminal(f"The payer profile {path} cannot be used: {places}.", fix="See docs/payers.md.") from None
    _refuse_shared(found, "matches", lambda p: {name.casefold() for name in (*p.matches, p.name, p.key)})
    _refuse_shared(found, "remittance_origins", lambda p: set(p.remittance_origins))
    return found


def _refuse_shared(profiles: dict[str, PayerProfile], field: str, values: Callable[[PayerProfile], set[str]]) -> None:
    """What two profiles claim for themselves would go to the one that is read last: money and claims on a wrong account."""
    owners: dict[str, str] = {}
    for key, profile in profiles.items():
        for value in sorted(values(profile)):
            other = owners.setdefault(value, key)
            if other != key:
                raise Terminal(
                    f"The payer profiles {other} and {key} both have {value!r} in `{field}`.",
                    fix="Leave it in one of them. See docs/payers.md.",
                )


def by_source_name(profiles: dict[str, PayerProfile]) -> dict[str, str]:
    """Source name (case-folded) → key of the profile."""
    return {name.casefold(): key for key, profile in profiles.items() for name in (*profile.matches, profile.name, key)}
