"""Checks against official tables: NCCI pairs, unit limits, add-on codes, age and sex, medical necessity, code sets.

The look-ups are `pipeline.codes`: whole columns are asked at once, so that a table of millions of pairs costs a search for each
distinct question. A table that is not loaded says nothing; what was judged by form alone is told once a night.
Lines are held against each other where one patient has them from one provider on one day, over all claims of the batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.codes import judging, necessity, pairs, patients, units
from pipeline.codes.editions import open_set
from pipeline.payers import PayerProfile
from pipeline.scrubbing.batch import EPOCH, Batch, Hits, Mask
from pipeline.scrubbing.checks import INSTITUTIONAL, PROFESSIONAL, WORDS, applies, check
from pipeline.scrubbing.edits import Edit

Ints = np.ndarray
MODIFIERS = ("modifier1", "modifier2", "modifier3", "modifier4")
#: who publishes the pairs → guide → table
PAIRS = {
    "medicare": {PROFESSIONAL: "ncci_ptp_practitioner", INSTITUTIONAL: "ncci_ptp_outpatient"},
    "medicaid": {PROFESSIONAL: "ncci_ptp_medicaid_practitioner", INSTITUTIONAL: "ncci_ptp_medicaid_outpatient"},
}
WORDS |= {
    "ncci_pairs": frozenset({"first", "second"}),
    "unit_limits": frozenset({"limit", "procedure"}),
    "addon_alone": frozenset({"procedure"}),
    "medical_necessity": frozenset({"policy", "procedure"}),
}
LIMITS = {PROFESSIONAL: "mue_practitioner", INSTITUTIONAL: "mue_outpatient"}
#: types of bill of stays: their services are not paid one by one
_STAYS = frozenset({"11", "18", "21", "41", "51", "65", "66"})


def _cells(batch: Batch, table: str, name: str, rows: Ints) -> pa.Array:
    column = batch.tables[table].column(name).combine_chunks()
    if isinstance(column, pa.ChunkedArray):
        column = pa.array([], column.type)
    return column.take(pa.array(rows))


def _profiles(batch: Batch, choose: Any) -> list[Any]:
    """For each claim what its payer's profile says; None without a profile."""
    known: dict[int, Any] = {}
    found: list[Any] = []
    for profile in batch.profile_of:
        if profile is None:
            found.append(None)
            continue
        if id(profile) not in known:
            known[id(profile)] = choose(profile)
        found.append(known[id(profile)])
    return found


def groups(batch: Batch) -> Ints:
    """For each line a number of its patient and provider."""

    def make() -> Ints:
        names = (
            "practice_id",
            "patient_id",
            "patient_last",
            "patient_first",
            "patient_birth_date",
            "billing_npi",
            "rendering_npi",
        )
        number = pairs.groups(*(batch.tables["claims"].column(n) for n in names))
        return np.append(number, -1)[batch.owners["lines"]]

    made: Ints = batch.once("patient and provider", make)
    return made


def _by_table(batch: Batch, edit: Edit, choose: Any) -> Iterator[tuple[str, Ints]]:
    """Tables with the lines that they judge. `choose(profile, guide)` names a claim's table, '' for none."""
    guides = batch.column("claims", "guide")
    bill_types = batch.column("claims", "bill_type")
    stay = bill_types.where(lambda v: v in _STAYS)
    asked: dict[tuple[int, int], str] = {}
    names: list[str] = []
    for row, (profile, guide) in enumerate(zip(batch.profile_of, guides.index.tolist(), strict=True)):
        if profile is None or guide < 0 or stay[row]:
            names.append("")
            continue
        key = (id(profile), guide)
        if key not in asked:
            asked[key] = choose(profile, guides.values[guide])
        names.append(asked[key])
    where = applies(batch, edit)
    owners = batch.owners["lines"]
    for table in sorted(set(names) - {""}):
        if not open_set(table, batch.home):
            continue
        mine = np.array([*(n == table for n in names), False], dtype=bool)[owners]
        rows = np.flatnonzero(where & mine)
        if rows.size:
            yield table, rows


def _line_columns(batch: Batch, rows: Ints) -> dict[str, Any]:
    return {
        "group": groups(batch)[rows],
        "procedure": _cells(batch, "lines", "procedure", rows),
        "day": _cells(batch, "lines", "service_date", rows),
    }


@check
def ncci_pairs(batch: Batch, edit: Edit) -> Iterator[Hits]:
    """Two procedures of one patient, provider and day that may not be billed together: parameter `indicator`, 0 or 1."""

    def table(profile: PayerProfile, guide: str) -> str:
        return PAIRS.get(profile.claims.ncci, {}).get(guide, "")

    for name, rows in _by_table(batch, edit, table):

        def ask(name: str = name, rows: Ints = rows) -> pairs.Conflicts:
            return pairs.conflicts(
                name, home=batch.home, modifiers=[_cells(batch, "lines", m, rows) for m in MODIFIERS],
                **_line_columns(batch, rows),
            )  # fmt: skip

        found: pairs.Conflicts = batch.once(f"conflicts {edit.effective_from} {edit.when} {name}", ask)
        here = np.flatnonzero(found.indicator == edit.parameters["indicator"])
        if not here.size:
            continue
        second, first = rows[found.column2[here]], rows[found.column1[here]]
        second, at = np.unique(second, return_index=True)
        codes = batch.column("lines", "procedure")
        words = {
            int(line): {"first": codes.values[codes.index[first[i]]], "second": codes.values[codes.index[line]]}
            for line, i in zip(second.tolist(), at.tolist(), strict=True)
        }
        yield Hits("procedure", second, words)


@check
def unit_limits(batch: Batch, edit: Edit) -> Iterator[Hits]:
    """More units than a line or a day can have: parameter `indicators`, those of the table that the edit is about."""

    def table(profile: PayerProfile, guide: str) -> str:
        if profile.claims.unit_limits == "none":
            return ""
        return "mue_dme" if profile.claims.unit_limits == "dme" else LIMITS.get(guide, "")

    for name, rows in _by_table(batch, edit, table):

        def ask(name: str = name, rows: Ints = rows) -> units.Excess:
            first, last = batch.day("lines", "service_date")[rows], batch.day("lines", "service_to")[rows]
            return units.excess(
                name, home=batch.home, units=_cells(batch, "lines", "units", rows),
                modifiers=[_cells(batch, "lines", m, rows) for m in MODIFIERS],
                days=np.where(last > first, last - first + 1, 1), **_line_columns(batch, rows),
            )  # fmt: skip

        found: units.Excess = batch.once(f"excess {edit.effective_from} {edit.when} {name}", ask)
        here = np.flatnonzero(np.isin(found.indicator, edit.parameters["indicators"]))
        codes = batch.column("lines", "procedure")
        if here.size:
            lines = rows[found.line[here]]
            yield Hits("units", lines, {
                int(line): {"limit": str(int(found.limit[i])), "procedure": codes.values[codes.index[line]]}
                for line, i in zip(lines.tolist(), here.tolist(), strict=True)
            })  # fmt: skip


@check
def addon_alone(batch: Batch, edit: Edit) -> Iterator[Hits]:
    """An add-on code without its primary procedure on the day."""
    for name, rows in _by_table(batch, edit, lambda profile, _: "ncci_addon" if profile.claims.ncci != "none" else ""):
        found = units.alone(name, home=batch.home, **_line_columns(batch, rows))
        if found.size:
            codes = batch.column("lines", "procedure")
            lines = rows[found]
            yield Hits(
                "procedure", lines, {int(i): {"procedure": codes.values[codes.index[i]]} for i in lines.tolist()}
            )


def _of_claims(batch: Batch, name: str) -> pa.Array:
    """A column of the claims, for each diagnosis."""
    return _cells(batch, "claims", name, batch.owners["diagnoses"])


def _service_days(batch: Batch) -> Ints:
    """Days since 1970 of each diagnosis's claim."""
    return np.append(batch.day("claims", "service_from"), 0)[batch.owners["diagnoses"]] - EPOCH


@check
def age_of_diagnosis(batch: Batch, edit: Edit) -> Iterator[Hits]:
    """A diagnosis that fits only other ages."""
    if not open_set("mce_age", batch.home) or not batch.tables["diagnoses"].num_rows:
        return
    years = patients.ages(_of_claims(batch, "patient_birth_date"), _of_claims(batch, "service_from"))
    bad = patients.age_conflicts(batch.tables["diagnoses"].column("code"), _service_days(batch), years, home=batch.home)
    yield from _hits("code", applies(batch, edit) & bad)


@check
def sex_of_diagnosis(batch: Batch, edit: Edit) -> Iterator[Hits]:
    """A diagnosis of the other sex. Condition code 45 or modifier KX on the claim says that it is known and right."""
    if not open_set("mce_sex", batch.home) or not batch.tables["diagnoses"].num_rows:
        return
    bad = patients.sex_conflicts(
        batch.tables["diagnoses"].column("code"),
        _service_days(batch),
        _of_claims(batch, "patient_sex"),
        home=batch.home,
    )
    known = np.append(_says_known(batch), False)[batch.owners["diagnoses"]]
    yield from _hits("code", applies(batch, edit) & bad & ~known)


def _says_known(batch: Batch) -> Mask:
    found = np.zeros(batch.size, dtype=bool)
    owners = batch.owners["lines"]
    for name in MODIFIERS:
        rows = owners[batch.column("lines", name).where(lambda v: v == "KX")]
        found[rows[rows >= 0]] = True
    codes, owner = nested(batch, "codes", "condition")
    found[owner[np.array([c == "45" for c in codes.to_pylist()], dtype=bool)]] = True
    return found


@check
def medical_necessity(batch: Batch, edit: Edit) -> Iterator[Hits]:
    """A procedure that none of its diagnoses supports under the payer's policies, and no waiver modifier says so."""
    if not open_set("necessity_procedure", batch.home):
        return
    judged = [bool(p) for p in _profiles(batch, lambda profile: profile.uses_coverage_policies)]
    owners = batch.owners["lines"]
    rows = np.flatnonzero(applies(batch, edit) & np.array([*judged, False], dtype=bool)[owners])
    if not rows.size:
        return
    decided = necessity.decide(
        procedure=_cells(batch, "lines", "procedure", rows), day=_cells(batch, "lines", "service_date", rows),
        diagnoses=[_pointed(batch, n)[rows] for n in "1234"],
        modifiers=[_cells(batch, "lines", m, rows) for m in MODIFIERS],
        payer=_cells(batch, "claims", "payer_key", owners[rows]), home=batch.home,
    )  # fmt: skip
    bad = np.flatnonzero(decided.coverage == necessity.Coverage.NOT_COVERED)
    if bad.size:
        codes = batch.column("lines", "procedure")
        yield Hits("procedure", rows[bad], {
            int(rows[i]): {"policy": decided.policies[decided.policy[i]], "procedure": codes.values[codes.index[rows[i]]]}
            for i in bad.tolist()
        })  # fmt: skip


def _pointed(batch: Batch, number: str) -> Any:
    """For each line the code of the diagnosis that its pointer names, as an array of objects (None where none)."""

    def make() -> dict[tuple[int, int], str]:
        t = batch.tables["diagnoses"]
        kinds = t.column("kind").to_pylist()
        found = zip(
            batch.owners["diagnoses"].tolist(),
            t.column("rank").to_pylist(),
            t.column("code").to_pylist(),
            kinds,
            strict=True,
        )
        return {(owner, rank): code for owner, rank, code, kind in found if kind is None}

    known = batch.once("diagnosis of rank", make)
    pointer = batch.column("lines", f"pointer{number}")
    ranks = [*pointer.values, None]
    return np.array(
        [known.get((o, ranks[i])) for o, i in zip(batch.owners["lines"].tolist(), pointer.index.tolist(), strict=True)],
        dtype=object,
    )  # fmt: skip


@check
def code_set(batch: Batch, edit: Edit) -> Iterator[Hits]:
    """Codes are of the set on their day: parameter `set`; for coded facts of a claim also `kind`. What a partial list lacks passes."""
    name = edit.parameters["set"]
    if kind := edit.parameters.get("kind"):
        codes, owner = nested(batch, "codes", kind)
        days = batch.day("claims", "service_from")[owner] - EPOCH
        bad = np.zeros(batch.size, dtype=bool)
        if len(codes):
            bad[owner[_wrong(batch, name, codes, days)]] = True
        yield from _hits(edit.fields[0], applies(batch, edit) & bad)
        return
    where = applies(batch, edit)
    days = np.append(batch.day("claims", "service_from"), 0)[batch.owners[edit.table]] - EPOCH
    for field in edit.fields:
        column = batch.tables[edit.table].column(field)
        if column.length():
            filled = pc.if_else(pc.equal(column, ""), None, column)
            yield from _hits(field, where & _wrong(batch, name, filled, days))


def _wrong(batch: Batch, name: str, codes: Any, days: Ints) -> Mask:
    if name == "procedure":
        status, _, judgements = judging.judge_procedures(codes, days, batch.home)
        batch.judgements += list(judgements.values())
        return np.isin(
            status, (judging.Status.UNKNOWN, judging.Status.ENDED, judging.Status.NOT_YET, judging.Status.HEADING)
        )
    judgement = judging.judge(name, codes, days, batch.home)
    batch.judgements.append(judgement)
    return judgement.wrong


def nested(batch: Batch, column: str, kind: str) -> tuple[pa.Array, Ints]:
    """The codes of one kind among the claims' coded facts, and the claim of each."""
    lists = batch.tables["claims"].column(column).combine_chunks()
    if isinstance(lists, pa.ChunkedArray) or not len(lists) or lists.null_count == len(lists):
        return pa.array([], pa.string()), np.zeros(0, dtype=np.int64)
    rows, owner = pc.list_flatten(lists), pc.list_parent_indices(lists)
    mine = pc.equal(rows.field("kind"), kind)
    return rows.field("code").filter(mine), owner.filter(mine).to_numpy()


def _hits(field: str, mask: Mask) -> Iterator[Hits]:
    rows = np.flatnonzero(mask)
    if rows.size:
        yield Hits(field, rows)


def added_up(judgements: Iterable[judging.Judgement]) -> list[judging.Judgement]:
    """One judgement a set: several edits may have asked the same one."""
    found: dict[str, list[judging.Judgement]] = {}
    for judgement in judgements:
        found.setdefault(judgement.set, []).append(judgement)
    return [replace(same[0], status=np.concatenate([j.status for j in same])) for same in found.values()]
