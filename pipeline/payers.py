"""Payer profiles: what one payer wants, as data in `schemas/payers/*.toml`. The file's stem is the payer's key.

A profile that cannot be used stops whatever needs profiles, with the name of its file and field: a payer that is silently not
there would be claims that silently do not go.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from datetime import date
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from pipeline import shapes
from pipeline.errors import Terminal

Guide = Literal["837P", "837I", "837D"]
GUIDES: tuple[Guide, ...] = ("837P", "837I", "837D")
#: what a key may be: it stands in account names, file routes, names of tasks and pools
_KEY = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_RESERVED = ("bank",)
_FIX = "See docs/payers.md."


def _regular(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"is no regular expression ({error})") from None
    return text


def _procedures(given: tuple[str, ...]) -> tuple[str, ...]:
    for word in given:
        first, _, last = word.partition("-")
        if any(len(code) != 5 or not code.isalnum() for code in (first, last or first)) or (last or first) < first:
            raise ValueError(f"{word!r} is no procedure code and no range of codes like 70551-70553")
    return given


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Interchange(_Section):
    """Addresses of the envelope. Sender qualifier and id come from the submitter's settings unless given here."""

    receiver_qualifier: str = "ZZ"
    receiver_id: str = Field(min_length=1, max_length=15)
    group_receiver: str = ""  # GS03; empty: receiver_id
    sender_qualifier: str = ""
    sender_id: str = ""
    usage: Literal["T", "P"] = "P"  # T: the payer is still tested, whatever the submitter's usage is
    acknowledgment_requested: Literal["0", "1"] = "1"
    newline: bool = False


class Batch(_Section):
    max_claims_per_set: int = Field(5000, gt=0, le=5000)
    max_claims_per_file: int = Field(20000, gt=0)


class Claims(_Section):
    """What its claims must look like. `filing_indicator` is SBR09."""

    filing_indicator: str = "CI"
    member_id_pattern: Annotated[str, AfterValidator(_regular)] = ".{2,80}"
    accepts_dependents: bool = True  # false: the patient is always the subscriber (Medicare)
    filing_days: int = Field(365, gt=0)
    # the day of service that they count from; auto: the last one on institutional claims, else the first
    filing_from: Literal["auto", "first", "last"] = "auto"
    appeal_days: int = Field(120, gt=0)  # after the payment date; add the days that a payer presumes for the post
    underpayment_tolerance_cents: int = Field(0, ge=0)  # a line allowed less than expected by no more is left alone
    charset: Literal["basic", "extended"] = "basic"
    # replacements and voids (frequency 7, 8) of claims that it holds: a person approves each, they go by themselves, or none
    corrections: Literal["approve", "automatic", "none"] = "approve"
    # official tables that it judges by: see docs/codes.md
    ncci: Literal["medicare", "medicaid", "none"] = "medicare"
    unit_limits: Literal["auto", "dme", "none"] = "auto"
    coverage_policies: bool | None = None  # null: Medicare's claims are held against them
    authorize: Annotated[
        tuple[str, ...], AfterValidator(_procedures)
    ] = ()  # procedures that it wants an authorization for
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
    port: int = Field(22, gt=0, lt=65536)
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

    days_999: int = Field(1, gt=0)
    days_277ca: int = Field(3, gt=0)
    days_835: int = Field(30, gt=0)


class PayerProfile(_Section):
    key: str
    name: str = Field(min_length=1, max_length=60)
    payer_id: str = Field(min_length=1, description="2010BB NM109 (PI)")
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

    def counts_from_last_day(self, institutional: bool) -> bool:
        """Whether the filing days of a claim count from its last day of service."""
        return self.claims.filing_from == "last" or (self.claims.filing_from == "auto" and institutional)

    @property
    def uses_coverage_policies(self) -> bool:
        stated = self.claims.coverage_policies
        return self.claims.filing_indicator in ("MA", "MB") if stated is None else stated


def load_profiles(folder: str = "") -> dict[str, PayerProfile]:
    """All profiles by key. Terminal, naming file and field, where one cannot be used."""
    return _load(str(_folder(folder)))


def keys(folder: str = "") -> list[str]:
    """The keys of the profiles, from the names of their files alone. Terminal where there are none or one is no key."""
    place = _folder(folder)
    try:
        stems = sorted(path.stem for path in place.iterdir() if path.suffix == ".toml")
    except OSError as error:
        why = "does not exist" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
        raise Terminal(
            f"The folder of payer profiles {place} {why}.",
            fix="Check payers_dir in the settings; empty is schemas/payers.",
        ) from None
    for stem in stems:
        if not _KEY.fullmatch(stem) or stem in _RESERVED:
            raise Terminal(
                f"The payer profile {place / stem}.toml has a name that cannot be a payer's key.",
                fix="Use at most 40 small letters, digits, - and _, and not `bank`; the key stands in accounts and file routes.",
            )
    if not stems:
        raise Terminal(
            f"The folder of payer profiles {place} holds no profile.", fix=f"Put one KEY.toml a payer there. {_FIX}"
        )
    return stems


def _folder(folder: str) -> Path:
    return Path(folder).expanduser() if folder else shapes.schemas_dir() / "payers"


@cache
def _load(folder: str) -> dict[str, PayerProfile]:
    found = {key: _read(Path(folder) / f"{key}.toml", key) for key in keys(folder)}
    _refuse_shared(found, "matches", lambda p: {name.casefold() for name in (*p.matches, p.name, p.key)})
    _refuse_shared(found, "remittance_origins", lambda p: set(p.remittance_origins))
    return found


def _read(path: Path, key: str) -> PayerProfile:
    try:
        data: dict[str, Any] = tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise Terminal(
            f"The payer profile {path} is not UTF-8 text.", fix="Save it as UTF-8; some editors write UTF-16."
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise Terminal(f"The payer profile {path} is not TOML: {error}.", fix=_FIX) from None
    except OSError as error:
        raise Terminal(
            f"The payer profile {path} cannot be read ({error.strerror}).", fix="Check its rights."
        ) from None
    if "key" in data:
        raise Terminal(f"The payer profile {path} cannot be used: key: the file's name is the key.", fix="Take it out.")
    try:
        return PayerProfile(key=key, **data)
    except ValidationError as error:
        places = "; ".join(
            f"{'.'.join(map(str, e['loc']))}: {e['msg'].removeprefix('Value error, ')}" for e in error.errors()
        )
        raise Terminal(f"The payer profile {path} cannot be used: {places}.", fix=_FIX) from None


def usage(profile: PayerProfile, submitter: Literal["T", "P"]) -> Literal["T", "P"]:
    """ISA15 of files for the payer: production only where both the submitter and the profile say so."""
    return "P" if submitter == "P" and profile.interchange.usage == "P" else "T"


def roads(profiles: dict[str, PayerProfile]) -> dict[str, str]:
    """Key → the first key of those that are reached by the same server and folder, as through a clearinghouse."""
    first: dict[tuple[object, ...], str] = {}
    found = {}
    for key in sorted(profiles):
        t = profiles[key].transport
        road = (key,) if t.kind == "box" else (t.kind, t.host, t.port, t.user, t.outbound)
        found[key] = first.setdefault(road, key)
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
