"""Settings: one TOML file and the environment, every one documented in `docs/settings.md`.

Order of strength: environment (`CLAIMPIPE_SECTION__KEY`), then the TOML file (`CLAIMPIPE_CONFIG`, else `claimpipe.toml` in
the home folder), then the defaults below, which are the embedded night: SQLite, local folders, the payer in a box.
Secrets (passwords, database URLs with a password, key passphrases) come from the environment or an Airflow connection
only: in the file they are refused.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from pipeline.errors import Terminal
from pipeline.payers import Transport

_URLS = "write sqlite:////folder/claimpipe.db or postgresql+psycopg://user@host/database"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid")


def _database(text: str) -> str:
    """A database URL, or a ValueError that repeats nothing of it: it may hold a password."""
    if not text:
        return text
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise ValueError(f"is no database URL; {_URLS}") from None
    if url.get_backend_name() not in ("sqlite", "postgresql"):
        raise ValueError(f"the register runs on SQLite and PostgreSQL; {_URLS}")
    if url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:"):
        raise ValueError(f"a register in memory would be lost; {_URLS}")
    return text


class StoreSettings(_Section):
    """Where the register, the archive and the lake stand."""

    url: Annotated[str, AfterValidator(_database)] = Field(
        "", description="Database URL; empty: SQLite at HOME/claimpipe.db"
    )
    archive: str = Field("", description="Folder or fsspec URL of the archive; empty: HOME/archive")
    lake: str = Field("", description="Folder of the lake; empty: HOME/lake")
    lock_timeout_seconds: float = Field(30.0, description="How long to wait for a locked database")


class SubmitterSettings(_Section):
    """Who sends: 1000A and the interchange's sender."""

    name: str = Field("CLAIMPIPE DEMO PRACTICE", description="1000A NM103")
    id: str = Field("CLAIMPIPE", description="1000A NM109 and default GS02")
    contact: str = Field("BILLING OFFICE", description="1000A PER02")
    phone: str = Field("6175550100", description="1000A PER04, digits")
    interchange_qualifier: str = Field("ZZ", description="ISA05")
    interchange_id: str = Field("CLAIMPIPE", description="ISA06, at most 15 characters")
    payees: list[str] = Field(
        [],
        description="NPIs and TINs of ours to which payers may pay, beside the billing providers of claims that were sent",
    )
    addresses: list[str] = Field(
        [],
        description="Ids by which payers address us in ISA08, beside `interchange_id` and the payer profiles' `sender_id`",
    )
    usage: Literal["T", "P"] = Field("T", description="ISA15: T test or P production")


class CodingSettings(_Section):
    visit_minutes_are_practitioner_time: bool = Field(
        True,
        description="The practice attests that an extract's visit length is the practitioner's own time, so that office "
        "visits from 2021 on may be coded by time",
    )


class InboxSettings(_Section):
    wait_seconds: float = Field(
        120.0,
        description="How long the night waits for the next answer of the payer in a box; real payers are never waited for",
    )
    stable_seconds: float = Field(0.0, description="A remote file is taken when its size has not changed for so long")
    max_file_bytes: int = Field(
        2_000_000_000,
        description="Larger files are left at the sender and reported. Files are fetched, and remittances worked, in bounded memory",
    )


class TransportSettings(_Section):
    attempts: int = Field(4, description="Tries of a transport error before the run gives up")
    backoff_seconds: float = Field(0.5, description="First pause between tries; doubles each time")
    timeout_seconds: float = Field(20.0, description="Of connecting and of each reply")


class PayerBoxSettings(_Section):
    port: int = Field(0, description="Port of the payer in a box; 0: any free one")
    seed: int = Field(117, description="Seed of the adjudication table")
    faults: str = Field("", description="TOML file of faults to inject")


class Settings(BaseSettings):
    """All settings. `home` holds everything that claimpipe writes unless a section says otherwise."""

    model_config = SettingsConfigDict(
        env_prefix="CLAIMPIPE_", env_nested_delimiter="__", extra="forbid", validate_default=True
    )

    home: Path = Field(Path(".claimpipe"), description="Folder of the register, archive, lake, reports, keys")
    timezone: str = Field("America/New_York", description="The practice's time zone: a night's date is a date there")
    store: StoreSettings = StoreSettings()
    submitter: SubmitterSettings = SubmitterSettings()
    coding: CodingSettings = CodingSettings()
    inbox: InboxSettings = InboxSettings()
    transport: TransportSettings = TransportSettings()
    payer_box: PayerBoxSettings = PayerBoxSettings()
    bank: Transport = Field(
        Transport(inbound=""),
        description="Where the bank's files (NACHA CCD+, BAI2) are fetched: the keys of a payer profile's [transport]",
    )
    practice: Transport = Field(
        Transport(kind="sftp", inbound="", outbound=""),
        description="The server that extracts named sftp:FOLDER are fetched from: the keys of a payer profile's [transport]",
    )
    extract: str = Field(
        "",
        description="Extract that the nightly DAG takes in: a folder or file, sftp:FOLDER, or a store's address; {date} is the night's date",
    )
    payers_dir: str = Field("", description="Folder of payer profiles; empty: schemas/payers")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, _config_file.get("path"))

    @property
    def database_url(self) -> str:
        return self.store.url or f"sqlite:///{self.home.resolve() / 'claimpipe.db'}"

    @property
    def archive_place(self) -> str:
        return self.store.archive or str(self.home.resolve() / "archive")

    @property
    def lake_place(self) -> Path:
        return Path(self.store.lake) if self.store.lake else self.home.resolve() / "lake"

    @property
    def payer_box_dir(self) -> Path:
        """The payer's own folder: its keys, its record, its SFTP tree. Another party's house; we read only its endpoint."""
        return self.home.resolve() / "payer_in_a_box"


_config_file: dict[str, Path | None] = {"path": None}
#: variables with our prefix that are no settings
_OTHER_VARIABLES = {
    "CLAIMPIPE_CONFIG": "Settings file to read instead of HOME/claimpipe.toml",
    "CLAIMPIPE_SCHEMAS": "Folder `schemas/` where it is neither beside the package nor inside it",
    "CLAIMPIPE_DAGS": "Folder `dags/` where it is not beside the package",
    "CLAIMPIPE_KERNEL": "off: read X12 without the compiled kernel, more slowly and to the same end",
    "CLAIMPIPE_TRACEBACK": "1: show the traceback of a defect; it may hold patient data",
    "CLAIMPIPE_SAMPLES": "Folder of other people's sample files, for the tests",
    "CLAIMPIPE_FAIL_AT": "Kill the process at this failure point, for the tests",
    "CLAIMPIPE_FAIL_LOG": "File that lists the failure points passed, for the tests",
}
#: variables of the user's own (passwords named by payer profiles) begin so
_SECRET_PREFIX = "CLAIMPIPE_SECRET_"  # noqa: S105 (a prefix, not a secret)


#: pydantic's words that say nothing to a person
_SAID = {"extra_forbidden": "there is no such setting"}


def load(home: Path | str | None = None, config: Path | str | None = None, **overrides: Any) -> Settings:
    """Read the settings. Terminal, with the name of each bad setting, where they cannot be used."""
    named = config or os.environ.get("CLAIMPIPE_CONFIG")
    start = Path(home or os.environ.get("CLAIMPIPE_HOME") or ".claimpipe")
    path = Path(named) if named else start / "claimpipe.toml"
    if named and not path.is_file():
        raise Terminal(f"The settings file {path} does not exist.", fix="Create it or unset CLAIMPIPE_CONFIG.")
    _refuse_unknown_variables()
    if path.is_file():
        _refuse_secrets(path)
    _config_file["path"] = path if path.is_file() else None
    if home is not None:
        overrides["home"] = Path(home)
    try:
        return Settings(**overrides)
    except ValidationError as error:
        places = "; ".join(
            f"{'.'.join(map(str, e['loc']))}: {_SAID.get(e['type'], e['msg'].removeprefix('Value error, '))}"
            for e in error.errors(include_input=False)
        )
        file = f" of {path} and the environment" if path.is_file() else " of the environment"
        raise Terminal(f"The settings{file} cannot be used: {places}.", fix="See docs/settings.md.") from None
    except tomllib.TOMLDecodeError as error:
        raise Terminal(f"The settings file {path} is not TOML: {error}.") from None
    finally:
        _config_file["path"] = None


def _refuse_secrets(path: Path) -> None:
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Terminal(f"The settings file {path} is not TOML: {error}.") from None
    url = data.get("store", {}).get("url", "") if isinstance(data.get("store"), dict) else ""
    if _password(url):
        raise Terminal(
            f"The settings file {path} holds a database password.",
            fix="Give the URL in CLAIMPIPE_STORE__URL instead.",
        )


def _password(url: object) -> bool:
    try:
        return bool(url) and bool(make_url(str(url)).password)
    except (ArgumentError, ValueError):
        return False  # no URL: told with the other settings


def _refuse_unknown_variables() -> None:
    """A misspelt variable would be a setting that is silently not set."""
    for name in sorted(os.environ):
        if not name.startswith("CLAIMPIPE_") or name in _OTHER_VARIABLES or name.startswith(_SECRET_PREFIX):
            continue
        parts = name.removeprefix("CLAIMPIPE_").lower().split("__")
        field = Settings.model_fields.get(parts[0])
        section = getattr(field.annotation, "model_fields", None) if field else None
        known = field is not None and (
            len(parts) == 1 or (len(parts) == 2 and section is not None and parts[1] in section)
        )
        if not known:
            raise Terminal(f"The environment variable {name} is no setting.", fix="See docs/settings.md for the names.")


def documented() -> str:
    """docs/settings.md, made from the settings themselves: `python -m pipeline.settings > docs/settings.md`."""
    lines = [
        "# Settings",
        "",
        "Strongest first: an environment variable, then the TOML file `HOME/claimpipe.toml` (or the one that `CLAIMPIPE_CONFIG`",
        "names), then the default. The defaults are the embedded night: SQLite, local folders, the payer in a box. Secrets",
        "come from the environment only; a database password in the file is refused. A variable that begins with `CLAIMPIPE_`",
        "and is no setting is refused too, so that a misspelt one is noticed. Passwords that a payer profile names by",
        f"`password_variable` stand in variables of your own that begin with `{_SECRET_PREFIX}`.",
        "",
        "| TOML | environment | default | what |",
        "|---|---|---|---|",
    ]
    for name, field in Settings.model_fields.items():
        section = getattr(field.annotation, "model_fields", None)
        if section is None:
            lines.append(_row(name, f"CLAIMPIPE_{name.upper()}", field.default, field.description))
            continue
        for key, inner in section.items():
            default = getattr(field.default, key)
            about = inner.description or field.description
            lines.append(_row(f"{name}.{key}", f"CLAIMPIPE_{name.upper()}__{key.upper()}", default, about))
    lines += ["", "## Other variables", "", "| variable | what |", "|---|---|"]
    lines += [f"| `{name}` | {about} |" for name, about in _OTHER_VARIABLES.items()]
    return "\n".join(lines)


def _row(toml: str, variable: str, default: object, about: str | None) -> str:
    shown = "empty" if default == "" else f"`{str(default).lower() if isinstance(default, bool) else default}`"
    return f"| `{toml}` | `{variable}` | {shown} | {about} |"


if __name__ == "__main__":
    print(documented())
