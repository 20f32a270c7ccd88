"""Makes `sample_edi/night/`: the files that the night of the sample extract sends and receives. `python -m night.make_sample_edi`
in `tests/`, or the test beside this file says that they are stale.

Names: <payer>_<kind>_<n>.edi|ach|bai, in the order of the payer's answers; bank files by what they pay. The kind of a claim file says
which guide it follows: 837P, 837I, 837D.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import sqlalchemy as sa

from pipeline.cli import SAMPLE_DATE, sample_extract
from pipeline.store import open_store
from pipeline.store import register as r

ROOT = Path(__file__).resolve().parents[2]
HERE = ROOT / "sample_edi" / "night"
SUFFIX = {"NACHA": "ach", "BAI2": "bai"}
GUIDES = {b"005010X222A1": "837P", b"005010X223A2": "837I", b"005010X224A2": "837D"}


def files_of_the_night(home: Path) -> dict[str, bytes]:
    """Run the night of the sample extract in `home`; file name → bytes."""
    from night.nights import payer_in_a_box, run_night

    with payer_in_a_box(home) as loaded:
        report = run_night(loaded, sample_extract(), "csv", SAMPLE_DATE)
        assert not report.troubles
        assert report.proof is not None
        assert report.proof.closes
        store = open_store(loaded)
        found: dict[str, bytes] = {}
        with store.read() as connection:
            f, a = r.files.c, r.file_arrivals.c
            rows = connection.execute(
                sa.select(f.file_id, f.kind, f.payer_key, a.remote_name)
                .select_from(r.files.outerjoin(r.file_arrivals, a.file_id == f.file_id))
                .where(f.kind != "extract")
                .order_by(f.payer_key, f.kind, a.remote_name, f.file_id)
            ).all()
        counts: dict[tuple[str, str], int] = {}
        for row in rows:
            data = store.archive.get(row.file_id)
            kind = next(kind for guide, kind in GUIDES.items() if guide in data) if row.kind == "837" else row.kind
            key = (row.payer_key, kind)
            counts[key] = counts.get(key, 0) + 1
            found[f"{row.payer_key}_{kind}_{counts[key]}.{SUFFIX.get(kind, 'edi')}"] = data
        store.close()
    return found


def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        found = files_of_the_night(Path(home))
    shutil.rmtree(HERE, ignore_errors=True)
    HERE.mkdir(parents=True)
    for name, data in found.items():
        (HERE / name).write_bytes(data)
    print(f"{len(found)} files in {HERE}", file=sys.stderr)


if __name__ == "__main__":
    main()
