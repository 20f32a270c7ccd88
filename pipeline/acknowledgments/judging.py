"""What a fact implies for the claims that it speaks of, whatever kind of file brought it: effect, rank among others, words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.acknowledgments import facts, meaning


def effect(row: Mapping[str, Any]) -> str:
    """What a fact implies: a claim state, or question, split or none."""
    if is_duplicate(row):
        return "none"
    if row["kind"] in ("TA1", "999"):
        return meaning.SYNTAX_EFFECT.get(row["code"], "none")
    parts = facts.fields(row["detail"])
    implied = meaning.category_effect(row["code"], parts.get("action", ""))
    if row["level"] == "line":
        return "none"  # a line's status tells why; its claim's status decides
    if row["level"] in ("receiver", "provider"):
        return "rejected" if parts.get("action") == "U" else "none"
    return implied


def is_duplicate(row: Mapping[str, Any]) -> bool:
    return bool(row["kind"] == "TA1" and row["code"] == "R" and row["detail"] == meaning.DUPLICATE_INTERCHANGE)


def order(row: Mapping[str, Any]) -> int:
    """Which of several rejections of one claim names the cause best: 277CA before 999 before TA1."""
    return meaning.category_order(row["code"]) if row["kind"] == "277CA" else {"999": 10, "TA1": 20}[row["kind"]]


def words(row: Mapping[str, Any]) -> meaning.Words:
    if row["kind"] == "TA1":
        return meaning.interchange_words(row["detail"])
    if row["kind"] == "999":
        return meaning.set_words(row["level"], row["detail"])
    parts = facts.fields(row["detail"])
    return meaning.claim_words(row["code"], parts["status"], parts["entity"], level=row["level"])
