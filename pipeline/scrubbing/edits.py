"""Edits as data: `schemas/edits/*.toml`, and `[[edit]]` in a payer's profile for what only that payer asks.

An edit says what must hold, for which days of service, who keeps it, how bad a breach is, and what to tell the person who
mends it. It names a check of `checks.py` with its parameters, and carries claims that pass and claims that fail: they are
tests (`tests/scrubbing`), written as changes to one good claim (`examples.py`).
"""

from __future__ import annotations

import copy
import hashlib
import tomllib
from collections.abc import Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline import shapes
from pipeline.errors import Terminal
from pipeline.payers import PayerProfile


class Edit(BaseModel):
    """One rule. `fields` are columns of the table that the check looks at; `when` limits it to claims whose columns have
    one of the listed values ("*" any value, "" none), and to lines whose column `line.NAME` has."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    title: str = Field(min_length=1, max_length=60, description="what people call the fault, in a few words")
    version: str = "1"
    effective_from: date = date.min
    effective_to: date = date.max
    owner: str = "billing office"
    severity: Literal["error", "warning", "info"] = "error"
    snip: int = Field(ge=1, le=7)
    table: Literal["claims", "diagnoses", "lines"] = "claims"
    fields: tuple[str, ...]
    check: str
    parameters: dict[str, Any] = {}
    when: dict[str, tuple[str, ...]] = {}
    #: report once a claim, or once a practice where the cause is the practice's
    per: Literal["claim", "practice"] = "claim"
    #: whether a person may let a claim pass all the same, with a reason that is kept
    overridable: bool = False
    message: str = Field(description="{field} stands for what people call the column")
    fix: str
    passes: tuple[dict[str, Any], ...] = ()
    fails: tuple[dict[str, Any], ...] = ()


class Place(BaseModel):
    """Where a column stands in the 837P, and its name among people."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    loop: str
    segment: str
    element: int
    words: str


class Repair(BaseModel):
    """A change that loses nothing, made before the edits look. `log`: a finding a claim, or only a count a night."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    version: str = "1"
    change: str
    fields: tuple[str, ...]
    log: Literal["finding", "count"] = "finding"
    charset: tuple[Literal["basic", "extended"], ...] = ("basic", "extended")
    message: str
    passes: tuple[tuple[str, str], ...] = Field(description="before and after")


class Book:
    """All edits and repairs, and where fields stand."""

    def __init__(self, folder: Path) -> None:
        self.edits: tuple[Edit, ...] = ()
        self.repairs: tuple[Repair, ...] = ()
        digest = hashlib.sha256()
        edits: list[Edit] = []
        places: dict[str, Place] = {}
        for path in sorted(folder.glob("*.toml")):
            try:
                data = path.read_bytes()
                digest.update(data)
                content = tomllib.loads(data.decode("utf-8"))
                if path.stem == "fields":
                    places = {name: Place(**place) for name, place in content.items()}
                elif path.stem == "repairs":
                    self.repairs = tuple(Repair(**repair) for repair in content["repair"])
                else:
                    edits += [Edit(**edit) for edit in content["edit"]]
            except _UNREADABLE as error:
                raise _refused(path, error) from None
        ids = [edit.id for edit in edits]
        doubled = sorted(
            {i for i in ids if ids.count(i) > 1 and len({e.effective_from for e in edits if e.id == i}) == 1}
        )
        if doubled:
            raise Terminal(f"Two edits are called {', '.join(doubled)}.", fix="Give each its own id, or other days.")
        self.edits = tuple(edits)
        self.places = places
        self.fingerprint = digest.hexdigest()[:16]

    def with_profiles(self, profiles: Mapping[str, PayerProfile]) -> Book:
        """The book with the payers' own rules, each for its payer's claims alone. Terminal where one cannot be used."""
        if not any(profile.edit for profile in profiles.values()):
            return self
        added: list[Edit] = []
        for key, profile in sorted(profiles.items()):
            for content in profile.edit:
                added.append(_of_payer(key, content))
        ids = [(edit.id, edit.effective_from) for edit in (*self.edits, *added)]
        if doubled := sorted({i for i, start in ids if ids.count((i, start)) > 1}):
            raise Terminal(f"Two edits are called {', '.join(doubled)}.", fix="Give each its own id, or other days.")
        book = copy.copy(self)
        book.edits = (*self.edits, *added)
        book.fingerprint = hashlib.sha256(
            "".join([self.fingerprint, *(edit.model_dump_json() for edit in added)]).encode()
        ).hexdigest()[:16]
        return book

    def place(self, field: str, table: str) -> Place:
        key = f"line.{field}" if table == "lines" else field
        found = self.places.get(key)
        return found or Place(loop="", segment="", element=0, words=field.replace("_", " "))


def read(path: Path) -> tuple[Edit, ...]:
    """The `[[edit]]` of one file: of a file of rules, or of a payer's profile, where they are that payer's. Terminal where
    it has none, or one that cannot be used."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        if "payer_id" in content and content.get("edit"):
            return tuple(_of_payer(path.stem, edit) for edit in content["edit"])
        return tuple(Edit(**edit) for edit in content["edit"])
    except (*_UNREADABLE, TypeError) as error:
        raise _refused(path, error) from None


_UNREADABLE = (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, ValidationError)


def _refused(path: Path, error: Exception) -> Terminal:
    if isinstance(error, ValidationError):
        places = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        return Terminal(f"The edits in {path} cannot be used: {places}.", fix="See docs/edits.md.")
    if isinstance(error, OSError):
        why = error.strerror or type(error).__name__
        return Terminal(f"The edits in {path} cannot be read ({why}).", fix="Check its name and its permissions.")
    if isinstance(error, KeyError):
        return Terminal(f"The file {path} holds no [[edit]].", fix="See docs/edits.md for its form.")
    return Terminal(f"The edits in {path} cannot be read: {error}.", fix="See docs/edits.md.")


def _of_payer(key: str, content: Mapping[str, Any]) -> Edit:
    when = dict(content.get("when", {}))
    if set(when.get("payer_key", [key])) != {key}:
        raise Terminal(
            f"A rule in the profile of {key} speaks of another payer.", fix="Leave out payer_key: it is this payer's."
        )
    try:
        return Edit(**{**content, "when": when | {"payer_key": (key,)}})
    except ValidationError as error:
        places = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise Terminal(f"A rule in the profile of {key} cannot be used: {places}.", fix="See docs/edits.md.") from None


def load() -> Book:
    """The edits that the installed schemas give."""
    return _load(str(shapes.schemas_dir() / "edits"))


@cache
def _load(folder: str) -> Book:
    return Book(Path(folder))
