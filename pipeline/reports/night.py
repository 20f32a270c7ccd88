"""Writing the report files of a night into HOME/reports: night-DATE.html, quality-DATE.html, night-DATE.xlsx.

Unchanged bytes are not written again.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.errors import Transient
from pipeline.reports import page, workbook
from pipeline.reports.summary import Summary
from pipeline.store.archive import write_synced


def write(home: Path, summary: Summary) -> list[Path]:
    """Write the two pages and the workbook; returns their paths. Transient where the disk refuses."""
    folder = home / "reports"
    made = {
        folder / f"night-{summary.on.isoformat()}.html": page.render(summary).encode(),
        folder / f"quality-{summary.on.isoformat()}.html": page.render_quality(summary).encode(),
        folder / f"night-{summary.on.isoformat()}.xlsx": workbook.render(summary),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, data in made.items():
            if not path.is_file() or path.read_bytes() != data:
                write_synced(path, data)
    except OSError as error:
        raise Transient(
            f"The reports cannot be written to {folder} ({error.strerror}).", fix="Free some space, run again."
        ) from error
    return list(made)
