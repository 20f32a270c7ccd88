"""What is loaded: one row an edition, for `claimpipe codes list`, and which sets have none."""

from __future__ import annotations

from pathlib import Path

from pipeline.codes import catalogue, editions


def loaded(home: Path | None = None, name: str = "") -> list[dict[str, object]]:
    """Every edition of every set (or of one), by set and first day.

    `codes` counts rows, `billable` those that may stand on a claim, `partial` says that the edition is not the whole set,
    `shipped` that it came with claimpipe, `sha256` is the hash of the files that it was loaded from.
    """
    rows: list[dict[str, object]] = []
    for code_set in [catalogue.one(name)] if name else catalogue.sets().values():
        for edition in editions.open_set(code_set.id, home).all:
            about = edition.about
            rows.append(
                {
                    "set": code_set.title, "edition": about.name,
                    "effective_from": "" if about.effective_from.year == 1 else about.effective_from.isoformat(),
                    "effective_to": "" if about.effective_to.year == 9999 else about.effective_to.isoformat(),
                    "billable": edition.billable, "origin": about.origin, "id": code_set.id, "codes": edition.table.num_rows,
                    "partial": about.partial, "shipped": about.shipped, "sha256": about.sha256,
                }
            )  # fmt: skip
    return rows


def not_loaded(home: Path | None = None) -> list[dict[str, object]]:
    """Sets of which there is no list at all: their codes are judged by their form."""
    return [
        {"id": s.id, "set": s.title, "owner": s.owner, "source": s.source}
        for s in catalogue.sets().values()
        if not editions.open_set(s.id, home)
    ]
