"""New or established: was the patient seen here within three years?

A patient is established where the same practice, in the same specialty, saw them face to face in the three years before
the visit. That no such visit is known proves something only where the extracts of the practice reach back three years; else
the history cannot tell, and a coder must.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import date

import pyarrow.parquet as pq
import sqlalchemy as sa

from pipeline.store import register as r
from pipeline.store.store import Store

_COLUMNS = ["encounter_key", "practice_id", "patient_id", "service_from", "rendering_taxonomy"]


class History:
    """All current visits of the lake, by practice and patient. Built once a run, and only where a level asks for it."""

    def __init__(self, store: Store) -> None:
        self._seen: dict[tuple[str, str], list[tuple[date, str]]] = defaultdict(list)
        self._reach: dict[str, date] = {}
        self._read(store)

    def status(self, practice: str, patient: str, specialty: str, on: date) -> str:
        """`new`, `established`, or empty where the history cannot tell."""
        since = three_years_before(on)
        unclear = False
        for day, other in self._seen.get((practice, patient), ()):
            if since <= day < on:
                if specialty and other:
                    if specialty == other:
                        return "established"
                else:  # seen here, in a specialty that is not stated
                    unclear = True
        if unclear or not patient:
            return ""
        reach = self._reach.get(practice)
        return "new" if reach is not None and reach <= since else ""

    def _read(self, store: Store) -> None:
        with store.read() as connection:
            rows = connection.execute(
                sa.select(
                    r.encounters.c.encounter_key, r.encounters.c.practice_id, r.encounters.c.lake_part,
                    r.encounters.c.import_id, r.encounters.c.service_from,
                ).where(r.encounters.c.service_from.is_not(None))
            ).all()  # fmt: skip
        current = {row.encounter_key: row.lake_part for row in rows}
        earliest: dict[str, date] = {}
        imports: dict[str, set[str]] = defaultdict(set)
        for row in rows:
            imports[row.practice_id].add(row.import_id)
            earliest[row.import_id] = min(earliest.get(row.import_id, date.max), row.service_from)
        self._reach = {practice: min(earliest[i] for i in ids) for practice, ids in imports.items()}
        for path in sorted((store.lake.root / "encounters").glob("date=*/*.parquet")):
            table = pq.ParquetFile(path).read(columns=_COLUMNS)
            for key, practice, patient, day, specialty in zip(
                *(table.column(name).to_pylist() for name in _COLUMNS), strict=True
            ):
                if patient and current.get(key) == path.stem:
                    self._seen[(practice, patient)].append((day, specialty or ""))


def three_years_before(on: date) -> date:
    try:
        return on.replace(year=on.year - 3)
    except ValueError:  # 29 February
        return date(on.year - 3, 2, 28)
