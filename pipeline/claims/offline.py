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

#: kinds of table, and the names that they have at the stages of the way
_TABLES = {kind: (f"scrubbed_{kind}", f"coded_{kind}") for kind in ("claims", "diagnoses", "lines")}


def build(claims: Path, profile: str, out: Path, settings: Settings, on: date) -> Build:
    """Build the files of the payer `profile` from the tables in the folder `claims` and write them to `out`.

    The folder holds `coded_claims`, `coded_diagnoses` and `coded_lines` (or `scrubbed_…`), each as one `.parquet` file or as
    a folder of them, as in the lake; claims of other payers in it are left aside. Files are named PROFILE_NUMBER.837.
    Terminal where a table or the profile is missing or does not fit its shape.
    """
    known = required(payers.load_profiles(settings.payers_dir), profile)
    tables = {kind: _read(claims, names) for kind, names in _TABLES.items()}
    mine = tables["claims"].filter(pc.equal(tables["claims"].column("payer_key"), profile))
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


def _read(folder: Path, names: tuple[str, ...]) -> pa.Table:
    for name in names:
        single = folder / f"{name}.parquet"
        paths = [single] if single.is_file() else sorted((folder / name).glob("**/*.parquet"))
        if paths:
            try:
                tables = [pq.ParquetFile(path).read() for path in paths]
            except (OSError, pa.ArrowException) as error:
                raise Terminal(f"A file of the table {name} in {folder} is not Parquet.") from error
            return pa.concat_tables([shapes.check(table, name) for table in tables])
    raise Terminal(
        f"The folder {folder} has no table {names[1]}.",
        fix=f"Give a folder with {names[1]}.parquet or {names[0]}.parquet.",
    )
