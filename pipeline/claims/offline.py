"""Building without the store: Parquet in, 837 files out. For trying a profile, and for showing what would be sent.

Control numbers count from 1 and are good for nothing but looking at; such files are never sent.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline import payers, shapes
from pipeline.claims.batches import Build, BuiltFile, build_files, required
from pipeline.errors import Terminal, Transient
from pipeline.settings import Settings
from pipeline.store.archive import write_synced
from pipeline.wording import counted

_KINDS = ("claims", "diagnoses", "lines")
#: stages of the way whose tables can be built from; the later one is taken where both are there
_STAGES = ("scrubbed", "coded")


def build(claims: Path, profile: str, out: Path, settings: Settings, on: date) -> Build:
    """Build the files of the payer `profile` from the tables in the folder `claims` and write them to `out`.

    Claims of all three kinds may stand in it; each guide gets files of its own. The folder holds `coded_claims`, `coded_diagnoses` and `coded_lines` (or `scrubbed_…`), each as one `.parquet` file or as
    a folder of them, as in the lake; instead of the folder its file of claims may be named. Claims of other payers in it are left
    aside. Files are named PROFILE_NUMBER.837. Terminal where a table or the profile is missing or does not fit its shape, or a
    claim stands there twice (a lake keeps what a visit was before it changed).
    """
    known = required(payers.load_profiles(settings.payers_dir), profile)
    folder, stage = _stage(claims)
    tables = {kind: _read(folder, f"{stage}_{kind}") for kind in _KINDS}
    mine = tables["claims"].filter(pc.equal(tables["claims"].column("payer_key"), profile))
    if twice := mine.num_rows - pc.count_distinct(mine.column("claim_id")).as_py():
        raise Terminal(
            f"{stage}_claims in {folder} holds {counted(twice, 'claim')} twice: before and after a change.",
            fix="Give a folder with one version of each claim, for example one date of the lake.",
        )
    made = build_files(
        mine, tables["diagnoses"], tables["lines"], known, settings.submitter, on=on, usage=settings.submitter.usage
    )
    try:
        out.mkdir(parents=True, exist_ok=True)
        for file in made.files:
            write_synced(out / file_name(profile, file), file.data)
    except OSError as error:
        raise Transient(
            f"The folder {out} refused a file ({error.strerror}).", fix="Choose another with --out."
        ) from error
    return made


def file_name(profile: str, file: BuiltFile) -> str:
    return f"{profile}_{file.numbers.interchange:09d}.837"


def _paths(folder: Path, name: str) -> list[Path]:
    single = folder / f"{name}.parquet"
    return [single] if single.is_file() else sorted((folder / name).glob("**/*.parquet"))


def _stage(claims: Path) -> tuple[Path, str]:
    """The folder of the tables, and the stage that they are of."""
    if claims.is_file():
        for stage in _STAGES:
            if claims.name == f"{stage}_claims.parquet":
                return claims.parent, stage
        raise Terminal(
            f"The file {claims} is not a table of claims by its name.",
            fix="Give a folder, or the file coded_claims.parquet or scrubbed_claims.parquet with the other tables beside it.",
        )
    for stage in _STAGES:
        if _paths(claims, f"{stage}_claims"):
            return claims, stage
    raise Terminal(
        f"The folder {claims} has no table coded_claims.",
        fix="Give a folder with coded_claims.parquet or scrubbed_claims.parquet.",
    )


def _read(folder: Path, name: str) -> pa.Table:
    paths = _paths(folder, name)
    if not paths:
        raise Terminal(
            f"The folder {folder} has no table {name}.",
            fix="Claims, diagnoses and lines belong together: give all three.",
        )
    return pa.concat_tables([_fitting(path, name) for path in paths])


def _fitting(path: Path, name: str) -> pa.Table:
    try:
        table = pq.ParquetFile(path).read()
    except (OSError, pa.ArrowException) as error:
        raise Terminal(
            f"The file {path} is not Parquet.", fix="Write the table again, or take the file away."
        ) from error
    known = set(shapes.schema(name).names)  # a name that nobody knows may be a misspelt one: it is told, not left out
    try:
        return shapes.check(shapes.of_today(table, name) if known.issuperset(table.column_names) else table, name)
    except Terminal as error:
        raise Terminal(
            f"{error.message} The file is {path}.",
            fix=f"Write it again with the columns and kinds that schemas/tables/{name}.toml states.",
        ) from error
