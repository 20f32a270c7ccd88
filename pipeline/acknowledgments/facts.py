"""Acknowledgment files as facts: tables in, rows of the register's `acknowledgments` out. No register here.

A fact's id is a hash of what it says, not of the file that says it: the same acknowledgment under another name is the
same row. Details hold codes and positions only, in a form that `meaning` reads back.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from pipeline.acknowledgments.answering import GROUP, INTERCHANGE, Answers, Senders

Row = dict[str, Any]
#: a fact, the sender that says it (ISA06), and what it answers: a column of the register and its number
Placed = tuple[Row, str, tuple[str, str | None]]
_KEY = (
    "kind", "payer_key", "level", "interchange_control", "group_control", "set_control", "batch_reference", "claim_id",
    "code", "detail", "payer_claim_number", "on_date",
)  # fmt: skip
_CLAIM_ID_LENGTH = 20
_STATUS_COLUMNS = [
    "set_number", "level", "entity_id", "source_entity", "claim_id", "line_control_number", "category", "status",
    "status_entity", "action", "effective_date", "payer_claim_number", "trace",
]  # fmt: skip
_ERRORS_KEPT = 3
#: BHT03 of our files is ISA13 and ST02
CONTROL_DIGITS = 9


def read(tables: Mapping[str, pa.Table], answers: Answers, file_id: str) -> list[Row]:
    """All facts of one file, in its order; repeats inside the file are one. `answers` says whose each is."""
    rows: dict[str, Row] = {}
    senders = Senders(tables)
    for reader in (_interchanges, _sets, _statuses):
        for fact, sender, (column, number) in reader(tables, senders):
            payer_key = answers(sender, column, number or "")
            fact = _empty() | fact | {"payer_key": payer_key, "file_id": file_id}
            text = "\x1f".join("" if fact[name] is None else str(fact[name]) for name in _KEY)
            fact["ack_id"] = hashlib.sha256(text.encode()).hexdigest()[:32]
            rows.setdefault(fact["ack_id"], fact)
    return list(rows.values())


def _empty() -> Row:
    return dict.fromkeys(_KEY) | {"detail": "", "state": "waiting"}


def _rows(tables: Mapping[str, pa.Table], name: str) -> list[Row]:
    return tables[name].to_pylist() if name in tables else []


def _number(value: str | None) -> str | None:
    """A control number as the register keeps it: at most nine characters (a longer one is never ours)."""
    return value if value is None or len(value) <= 9 else value[:9]


def _interchanges(tables: Mapping[str, pa.Table], senders: Senders) -> Iterator[Placed]:
    for row in _rows(tables, "TA1.interchanges"):
        number = _number(row["acknowledged_control"])
        fact = {
            "kind": "TA1", "level": "interchange", "interchange_control": number,
            "code": row["code"] or "", "detail": row["note"] or "", "on_date": row["acknowledged_date"],
        }  # fmt: skip
        yield fact, senders.of_segment(row["segment"]), (INTERCHANGE, number)


def _sets(tables: Mapping[str, pa.Table], senders: Senders) -> Iterator[Placed]:
    errors: dict[tuple[int, str | None, str | None], list[Row]] = defaultdict(list)
    for error in _rows(tables, "999.errors"):
        errors[error["set_number"], error["group_control"], error["set_control"]].append(error)
    for row in _rows(tables, "999.sets"):
        level = row["level"]
        of_set = errors[row["set_number"], row["group_control"], row["set_control"]] if level == "set" else []
        number = _number(row["group_control"])
        fact = {
            "kind": "999", "level": level, "group_control": number,
            "set_control": _number(row["set_control"]) if level == "set" else None, "code": row["code"] or "",
            "detail": set_detail(row, of_set),
        }  # fmt: skip
        yield fact, senders.of_set(row["set_number"]), (GROUP, number)


def set_detail(row: Row, errors: list[Row]) -> str:
    """Codes of a 999 as text: `seg=NM1 loop=2010AA pos=12 IK304=8 el=9 IK403=7 ; …`, and `codes=5,I5`."""
    parts = []
    told = [e for e in errors if e["element_error"]] or errors  # an IK4 says more than the IK3 that it stands under
    for error in told[:_ERRORS_KEPT]:
        fields = {
            "seg": error["segment_id"], "loop": error["loop"], "pos": error["segment_position"],
            "IK304": error["segment_error"], "el": error["element_position"], "IK403": error["element_error"],
        }  # fmt: skip
        parts.append(" ".join(f"{name}={value}" for name, value in fields.items() if value not in (None, "")))
    if row["errors"]:
        parts.append("codes=" + ",".join(row["errors"].split()))
    return " ; ".join(parts)


def _statuses(tables: Mapping[str, pa.Table], senders: Senders) -> Iterator[Placed]:
    if "277CA.statuses" not in tables:
        return
    rows = tables["277CA.statuses"].select(_STATUS_COLUMNS).to_pylist()
    batch: dict[int, str | None] = {}
    named: set[int] = set()
    for row in rows:
        if row["level"] == "receiver" and row["trace"]:
            batch.setdefault(row["set_number"], row["trace"])
        if row["level"] in ("claim", "line"):
            named.add(row["set_number"])
    for row in rows:
        level = row["level"]
        parts = {
            "action": row["action"],
            "by": row["source_entity"],
            "line": row["line_control_number"] if level == "line" else None,
            "provider": row["entity_id"] if level == "provider" else None,
            "below": "named" if level in ("receiver", "provider") and row["set_number"] in named else None,
        }
        detail = [f"{row['status'] or ''}:{row['status_entity'] or ''}"]
        detail += [f"{name}={value.replace(' ', '_')}" for name, value in parts.items() if value]
        claim_id = row["claim_id"] if level in ("claim", "line") else None
        reference = batch.get(row["set_number"])
        fact = {
            "kind": "277CA", "level": level, "batch_reference": reference,
            "claim_id": claim_id if claim_id and len(claim_id) <= _CLAIM_ID_LENGTH else None,
            "code": row["category"] or "", "detail": " ".join(detail),
            "payer_claim_number": row["payer_claim_number"], "on_date": row["effective_date"],
        }  # fmt: skip
        yield fact, senders.of_set(row["set_number"]), (INTERCHANGE, (reference or "")[:CONTROL_DIGITS])


def fields(detail: str) -> dict[str, str]:
    """The parts of a 277CA fact's detail: status, entity, action, by, line, provider, below."""
    status, _, rest = detail.partition(" ")
    code, _, entity = status.partition(":")
    found = {"status": code, "entity": entity}
    for part in rest.split():
        name, _, value = part.partition("=")
        found[name] = value
    return found
