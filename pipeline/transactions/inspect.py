"""What a file holds, at a glance: interchanges, groups, sets, counts and totals, without a patient's value in it.

The file is read once as a stream; only sums are kept, so a file of any size can be described.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import Terminal
from pipeline.money import cents
from pipeline.transactions.engine import WINDOW, Engine
from pipeline.x12.envelope import DEFAULT_LIMIT, Mode, shown_id

#: table → its count's name, and (column → name of its sum in cents)
_TOTALS: dict[str, tuple[str, dict[str, str]]] = {
    "835.payments": ("payments", {"amount": "payments_cents"}),
    "835.claims": ("claims", {"charge": "charges_cents", "paid": "paid_cents",
                              "patient_responsibility": "patient_responsibility_cents"}),
    "835.service_lines": ("service_lines", {}),
    "835.adjustments": ("adjustments", {"amount": "adjustments_cents"}),
    "835.provider_adjustments": ("provider_adjustments", {"amount": "provider_adjustments_cents"}),
    "837.claims": ("claims", {"charge": "charges_cents"}),
    "837.service_lines": ("service_lines", {"charge": "line_charges_cents"}),
    "837.diagnoses": ("diagnoses", {}),
    "837.other_payers": ("other_payers", {"paid": "other_payers_paid_cents"}),
    "277CA.statuses": ("statuses", {}),
    "277.statuses": ("statuses", {}),
    "276.inquiries": ("inquiries", {}),
    "270.inquiries": ("inquiries", {}),
    "271.benefits": ("benefits", {}),
    "271.rejections": ("rejections", {}),
    "999.sets": ("answers", {}),
    "999.errors": ("errors", {}),
    "997.sets": ("answers", {}),
    "997.errors": ("errors", {}),
    "TA1.interchanges": ("interchange_acknowledgments", {}),
}  # fmt: skip
#: columns of codes worth counting: accepted, rejected, paid, denied
_CODES = {"835.claims": "status", "277CA.statuses": "category", "999.sets": "code", "997.sets": "code",
          "TA1.interchanges": "code", "837.claims": "frequency"}  # fmt: skip
#: interchanges and groups listed one by one; the rest is only counted
LISTED = 100
_EXAMPLES = {"835.claims": ("claim_id", "patient_last", "patient_first", "charge", "paid"),
             "837.claims": ("claim_id", "patient_last", "patient_first", "charge")}  # fmt: skip


def _code(text: str | None) -> str:
    """A code as it may be shown: damage can put anything in its place."""
    return "none" if not text else shown_id(text) or "other"


class _Sums:
    """A sink that keeps counts and sums."""

    def __init__(self, examples: int) -> None:
        self.counts: dict[str, Counter[str]] = {}
        self.codes: dict[str, Counter[str]] = {}
        self.sets: Counter[str] = Counter()
        self.interchanges: list[dict[str, Any]] = []
        self.levels: Counter[str] = Counter()
        self.examples: list[dict[str, Any]] = []
        self._room = examples

    def add(self, name: str, table: pa.Table) -> None:
        if name == "interchanges":
            for row in table.to_pylist():
                self._envelope(row)
            return
        kind = name.partition(".")[0]
        if name in _TOTALS:
            label, sums = _TOTALS[name]
            have = self.counts.setdefault(kind, Counter())
            have[label] += table.num_rows
            for column, total in sums.items():
                amount = pc.sum(pc.cast(table.column(column), pa.decimal128(38, 2))).as_py()
                have[total] += cents(amount or Decimal(0))
        if name in _CODES and table.num_rows:
            tally = self.codes.setdefault(kind, Counter())
            for item in pc.value_counts(table.column(_CODES[name]).combine_chunks()).to_pylist():
                tally[_code(item["values"])] += item["counts"]
        if name in _EXAMPLES and self._room > 0:
            rows = table.select(["set_number", "segment", *_EXAMPLES[name]]).slice(0, self._room).to_pylist()
            self._room -= len(rows)
            self.examples += [{k: str(v) if isinstance(v, Decimal) else v for k, v in row.items()} for row in rows]

    def _envelope(self, row: dict[str, Any]) -> None:
        self.levels[row["level"]] += 1
        match row["level"]:
            case "interchange" if len(self.interchanges) < LISTED:
                when = row["interchange_date"]
                self.interchanges.append({
                    "control": row["interchange_control"], "sender": row["sender_id"], "receiver": row["receiver_id"],
                    "date": when.isoformat() if when else None, "usage": row["usage"], "groups": [],
                })  # fmt: skip
            case "group" if self.interchanges and len(self.interchanges[-1]["groups"]) < LISTED:
                self.interchanges[-1]["groups"].append({
                    "functional_id": row["functional_id"], "control": row["group_control"], "version": row["version"],
                    "sets": {}, "segments": 0,
                })  # fmt: skip
            case "set":
                self.sets[_code(row["set_id"])] += 1
                groups = self.interchanges[-1]["groups"] if self.interchanges else []
                if groups:
                    sets = groups[-1]["sets"]
                    sets[_code(row["set_id"])] = sets.get(_code(row["set_id"]), 0) + 1
                    groups[-1]["segments"] += row["segments"] or 0


def describe(
    source: bytes | Path | str,
    *,
    mode: Mode = "lenient",
    masked: bool = True,
    limit: int = DEFAULT_LIMIT,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """A file's contents in plain JSON: {file, bytes, interchanges, counts, totals, codes, findings}.

    Sums are whole cents. Masked, nothing of a patient appears; unmasked adds `examples`, the first claims by name. Terminal
    where a path cannot be read.
    """
    sums = _Sums(0 if masked else 20)
    engine = Engine(sums, mode, limit=limit)
    if isinstance(source, bytes):
        name, size = "", len(source)
        engine.file(name, _pieces(source))
    else:
        path = Path(source)
        name = path.name
        try:
            size = path.stat().st_size
            engine.file(name, _read(path, size, progress))
        except OSError as error:
            raise Terminal(f"The file cannot be read: {error.strerror}: {path}.", fix="Check the path.") from error
    engine.finish()
    severities = Counter(f.severity for f in engine.findings.items)
    out: dict[str, Any] = {
        "file": name,
        "bytes": size,
        "counts": {
            "interchanges": sums.levels["interchange"],
            "groups": sums.levels["group"],
            "sets": dict(sorted(sums.sets.items())),
        },
        "interchanges": sums.interchanges,
        "totals": {kind: dict(counts) for kind, counts in sorted(sums.counts.items())},
        "codes": {kind: dict(sorted(tally.items())) for kind, tally in sorted(sums.codes.items())},
        "findings": {s: severities.get(s, 0) for s in ("error", "warning", "info")},
        "first_findings": [f.as_dict() for f in engine.findings.items[:20]],
    }
    if not masked:
        out["examples"] = sums.examples
    return out


def _pieces(data: bytes) -> Iterable[bytes]:
    return (data[at : at + WINDOW] for at in range(0, len(data), WINDOW))


def _read(path: Path, size: int, progress: Callable[[int, int], None] | None) -> Iterable[bytes]:
    done = 0
    with path.open("rb", buffering=0) as handle:
        while block := handle.read(WINDOW):
            done += len(block)
            yield block
            if progress is not None:
                progress(done, size)
