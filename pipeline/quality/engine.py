"""One suite, one frame → which keys fail, why, and whether the stage must stop.

A suite is the JSON of a Great Expectations suite. Each expectation's `meta` says in plain words what is wrong and how to
mend it (`message`, `fix`); `meta.aside` false means that a failure stops the stage at once rather than setting rows
aside (a missing column, a table total). The suite's `meta.stop_above` is the share of failed keys (0 to 1) above which
the stage stops.
"""

from __future__ import annotations

import json
import logging
import os
import warnings
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cache
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from pipeline import shapes
from pipeline.errors import Terminal
from pipeline.findings import Finding
from pipeline.store import register as r
from pipeline.wording import counted

if TYPE_CHECKING:  # frames come from who asks; commands that only show results need not wait for it
    import pandas as pd

os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
#: how many failed keys get a finding of their own; all of them are set aside
_FINDINGS_A_RULE = 1000
#: rows that are held against a suite together, where it looks at each row by itself
_SLICE = 50_000


@dataclass(frozen=True, slots=True)
class Reason:
    rule: str
    message: str
    fix: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """One expectation's result: counts, never values."""

    expectation: str
    column: str
    success: bool
    checked: int
    unexpected: int
    reason: Reason


@dataclass
class Result:
    suite: str
    rows: int
    names: frozenset[str]  # keys of the rows that were looked at
    stop_above: float
    outcomes: list[Outcome] = field(default_factory=list)
    failed: dict[str, Reason] = field(default_factory=dict)
    broken: list[Outcome] = field(default_factory=list)  # failures that no row can be blamed for

    @property
    def share(self) -> float:
        return len(self.failed) / len(self.names) if self.names else 0.0

    @property
    def stops(self) -> bool:
        return bool(self.broken) or self.share > self.stop_above

    def findings(self) -> list[Finding]:
        counts: dict[str, int] = {}
        found = []
        for key, reason in self.failed.items():
            counts[reason.rule] = counts.get(reason.rule, 0) + 1
            if counts[reason.rule] <= _FINDINGS_A_RULE:
                found.append(
                    Finding(rule=reason.rule, severity="error", message=reason.message, fix=reason.fix, subject=key)
                )
        return found

    def raise_if_stopped(self) -> None:
        """Terminal with the suite, the expectation and the shares, where the stage must not go on."""
        if self.broken:
            first = self.broken[0]
            raise Terminal(
                f"Quality suite {self.suite} stopped the night: {first.reason.message} "
                f"({first.expectation} on {first.column or 'the table'}).",
                fix=first.reason.fix,
            )
        if self.stops:
            reasons = Counter(self.failed.values())
            commonest, count = reasons.most_common(1)[0]
            raise Terminal(
                f"Quality suite {self.suite} stopped the night: {len(self.failed)} of {counted(len(self.names), 'row')} fail "
                f"({self.share:.1%}; the threshold is {self.stop_above:.1%}). Nothing of them went on. "
                f"Most often ({count}): {commonest.message} ({commonest.rule})",
                fix=f"{commonest.fix} So many failures usually mean that the source changed its layout.",
            )


@cache
def suite_json(name: str) -> dict[str, Any]:
    path = shapes.schemas_dir() / "expectations" / f"{name}.json"
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Terminal(f"The quality suite {path} cannot be read ({type(error).__name__}).") from error
    return data


@cache
def _context() -> Any:
    logging.getLogger("great_expectations").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import great_expectations as gx

        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = {"globally": False}  # its own bars would break ours
        return context


def check(name: str, frame: pd.DataFrame, key: str) -> Result:
    """Hold `frame` against the suite `name`; rows are told apart by the column `key`."""
    data = suite_json(name)
    meta = data.get("meta", {})
    result = Result(name, len(frame), frozenset(frame[key].astype(str)), float(meta.get("stop_above", 0.5)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        checked = _checkpoint(name, key).run(batch_parameters={"dataframe": frame})
    (validated,) = checked.run_results.values()
    # results come in an order of Great Expectations' own: the rule in `meta` says whose each one is
    by_rule = {one.expectation_config.meta["rule"]: one for one in validated.results}
    for entry in data["expectations"]:
        _take(result, entry, by_rule[entry["meta"]["rule"]], key)
    return result


def check_in_slices(name: str, frame: pd.DataFrame, key: str) -> Result:
    """As `check`, so many rows at a time: for suites that look at each row by itself, and frames of any length."""
    results = [check(name, frame.iloc[at : at + _SLICE], key) for at in range(0, max(len(frame), 1), _SLICE)]
    whole = results[0]
    for other in results[1:]:
        whole.rows += other.rows
        whole.names |= other.names
        whole.outcomes = [
            replace(a, success=a.success and b.success, checked=a.checked + b.checked, unexpected=a.unexpected + b.unexpected)
            for a, b in zip(whole.outcomes, other.outcomes, strict=True)
        ]  # fmt: skip
        whole.failed = other.failed | whole.failed
        whole.broken += other.broken
    return whole


@cache
def _checkpoint(name: str, key: str) -> Any:
    """The checkpoint of a suite: the suite, a frame that comes with the run, and results that name rows by `key`."""
    context = _context()
    import great_expectations as gx

    source = context.data_sources.add_pandas(f"stage_{name}")
    whole = source.add_dataframe_asset("rows").add_batch_definition_whole_dataframe("all")
    suite = context.suites.add(gx.ExpectationSuite(name=name, expectations=suite_json(name)["expectations"]))
    definition = context.validation_definitions.add(gx.ValidationDefinition(name=name, data=whole, suite=suite))
    return context.checkpoints.add(
        gx.Checkpoint(
            name=name,
            validation_definitions=[definition],
            result_format={"result_format": "COMPLETE", "unexpected_index_column_names": [key]},
        )
    )


def _take(result: Result, entry: dict[str, Any], validated: Any, key: str) -> None:
    meta = entry.get("meta", {})
    kwargs = entry.get("kwargs", {})
    column = str(kwargs.get("column") or ", ".join(str(v) for n, v in kwargs.items() if n.startswith("column_")) or "")
    reason = Reason(
        rule=f"quality.{result.suite}.{meta.get('rule', entry['type'])}",
        message=meta.get("message", f"{entry['type']} failed on {column}."),
        fix=meta.get("fix", ""),
    )
    detail = validated.result or {}
    unexpected = detail.get("unexpected_index_list") or []
    outcome = Outcome(
        entry["type"], column, bool(validated.success), int(detail.get("element_count") or result.rows),
        int(detail.get("unexpected_count") or 0), reason,
    )  # fmt: skip
    result.outcomes.append(outcome)
    if validated.success:
        return
    if not unexpected or not meta.get("aside", True):
        result.broken.append(outcome)
        return
    for place in unexpected:
        result.failed.setdefault(str(place[key]), reason)


def record(connection: sa.Connection, on: date, result: Result, subject: str = "") -> None:
    """Keep the counts of this check; the same counts again write nothing."""
    q = r.quality_results
    where = (q.c.logical_date == on) & (q.c.suite == result.suite) & (q.c.subject == subject)
    rows = [
        {
            "logical_date": on, "suite": result.suite, "subject": subject, "ordinal": n, "expectation": o.expectation,
            "column_name": o.column, "success": o.success, "checked": o.checked, "unexpected": o.unexpected,
        }
        for n, o in enumerate(result.outcomes)
    ]  # fmt: skip
    before = [dict(row) for row in connection.execute(sa.select(q).where(where).order_by(q.c.ordinal)).mappings()]
    if before == rows:
        return
    connection.execute(sa.delete(q).where(where))
    connection.execute(sa.insert(q), rows)
