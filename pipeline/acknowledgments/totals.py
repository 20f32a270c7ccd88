"""The totals that a 277CA states, held against the claims that it names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from pipeline.acknowledgments import facts, meaning
from pipeline.findings import Finding

_COLUMNS = [
    "set_number", "segment", "level", "claim_id", "category", "action", "amount", "quantity_accepted",
    "quantity_rejected", "amount_accepted", "amount_rejected",
]  # fmt: skip


def differences(file_id: str, tables: Mapping[str, pa.Table]) -> list[Finding]:
    """The totals that a 277CA states against the claims that it names, by set."""
    if "277CA.statuses" not in tables:
        return []
    stated: dict[int, facts.Row] = {}
    named: dict[int, dict[str, str]] = defaultdict(dict)
    amounts: dict[int, dict[str, Any]] = defaultdict(dict)
    for row in tables["277CA.statuses"].select(_COLUMNS).to_pylist():
        if row["level"] == "receiver" and row["set_number"] not in stated:
            stated[row["set_number"]] = row
        elif row["level"] == "claim" and row["claim_id"]:
            refused = meaning.category_effect(row["category"] or "", row["action"] or "") == "rejected"
            known = named[row["set_number"]].get(row["claim_id"])
            named[row["set_number"]][row["claim_id"]] = "rejected" if refused or known == "rejected" else "accepted"
            amounts[row["set_number"]][row["claim_id"]] = row["amount"]
    found = []
    for number, total in stated.items():
        for outcome in ("accepted", "rejected"):
            claims = [c for c, how in named[number].items() if how == outcome]
            listed = [amounts[number][c] for c in claims]
            have = {"quantity": len(claims), "amount": sum(listed) if None not in listed else None}
            for what, value in have.items():
                says = total[f"{what}_{outcome}"]
                if not claims and outcome == "accepted" and named[number]:
                    continue  # payers may name only the claims that they reject
                if says is not None and value is not None and says != value and named[number]:
                    found.append(
                        Finding(
                            rule="277CA.totals", severity="warning", file=file_id, subject=file_id,
                            segment=total["segment"], loop="2200B", segment_id="QTY" if what == "quantity" else "AMT",
                            message=f"The 277CA says {what} {outcome} {says}, but the claims that it names make {value}.",
                            fix="Ask the payer which is right before the claims are worked.",
                        )
                    )  # fmt: skip
    return found
