"""What earlier payers have settled of a claim that goes to a later one, as the claim itself says it (loops 2320 and 2430).

Theory. A claim to a second payer states the whole charge (CLM02), and beside it what each payer before decided. Of the charge the
second payer can owe no more than those have left: what they paid and wrote off is settled, though their money came by another way
and is not in these books. So it stands on an account of its own, and the second payer's receivable opens at the rest.

Every payer's decision covers the whole charge (paid + all adjustments = CLM02), and a third payer's repeats what the first two did
(OA-23). Amounts of several payers are therefore never added up: the decision that leaves the least open says it all. Settled is
what a payer paid, what it wrote off under CO for a reason that is a write-off with us too, and OA-23; what it denied, left to the
patient, or held back under OA and PI is what the next payer is asked for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from pipeline.ledger import accounts, policy, posting
from pipeline.money import cents
from pipeline.store import Store
from pipeline.store import register as r
from pipeline.store.store import chunks, update_rows

#: SBR01, in the order of payers
ORDER = "PSTABCDEFGH"
_CLAIM_COLUMNS = ("claim_id", "charge", "payer_responsibility", "other_payers")
_LINE_COLUMNS = ("claim_id", "adjudications")


def settles(group: str, reason: str) -> bool:
    """Does an earlier payer's adjustment leave nothing for the next one to pay?"""
    return (group, reason) == policy.EARLIER_PAYER or policy.kind(group, reason) in policy.WRITTEN_OFF


def largest(charge: int, decisions: Iterable[int]) -> int:
    """Cents that are settled of a charge, from what each earlier payer's decision settles."""
    return max(0, min(charge, max(decisions, default=0)))


def settled(claims: pa.Table, lines: pa.Table) -> dict[str, int]:
    """Claim → cents that earlier payers settled; claims of which they settled nothing are left out.

    `claims` and `lines` have the columns of `scrubbed_claims` and `scrubbed_lines` that are read here.
    """
    others = claims.select(_CLAIM_COLUMNS).filter(_some(claims.column("other_payers")))
    rows = [row for row in others.to_pylist() if row["payer_responsibility"] not in (None, "", "P")]
    if not rows:
        return {}
    ids = pa.array([row["claim_id"] for row in rows], pa.string())
    decided = lines.select(_LINE_COLUMNS).filter(
        pc.and_(pc.is_in(lines.column("claim_id"), ids), _some(lines.column("adjudications")))
    )
    by_line: dict[tuple[str, str], int] = defaultdict(int)  # claim and payer → settled by its adjustments of lines
    for row in decided.to_pylist():
        for decision in row["adjudications"]:
            by_line[row["claim_id"], decision["payer_id"]] += _settled_by(decision["adjustments"])
    found = {}
    for row in rows:
        before = [p for p in row["other_payers"] if _earlier(p["responsibility"], row["payer_responsibility"])]
        amounts = (
            (0 if p["paid"] is None else cents(p["paid"])) + _settled_by(p["adjustments"]) + by_line[row["claim_id"], p["payer_id"]]
            for p in before
        )  # fmt: skip
        if part := largest(cents(row["charge"]), amounts):
            found[row["claim_id"]] = part
    return found


def _some(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.fill_null(pc.greater(pc.list_value_length(column), 0), False)


def _earlier(place: str, own: str) -> bool:
    return 0 <= ORDER.find(place) < ORDER.find(own)


def _settled_by(adjustments: Iterable[Mapping[str, Any]] | None) -> int:
    return sum(cents(a["amount"]) for a in adjustments or () if settles(a["group"], a["reason"]))


def charges(claims: Iterable[Any], payer_key: str, on: date) -> list[posting.Transaction]:
    """The charge of each claim (rows of the register), and what of it earlier payers have settled."""
    found = []
    for row in claims:
        found.append(posting.charge(row.claim_id, payer_key, row.charge_cents, on))
        if row.earlier_cents:
            found.append(_moved(row.claim_id, payer_key, row.earlier_cents, on))
    return found


def _moved(claim_id: str, payer_key: str, part: int, on: date) -> posting.Transaction:
    """Apart from the charge, so that a claim that was charged before this was known gets the same two transactions."""
    entries = (
        posting.Entry(accounts.EARLIER_PAYERS, part, claim_id),
        posting.Entry(accounts.receivable(payer_key), -part, claim_id),
    )
    return posting.Transaction(on, "charge", f"{claim_id}/earlier", entries)


def complete(store: Store, on: date) -> int:
    """Claims that were made before the register kept what earlier payers had settled: find it in the lake, and take it out of
    the receivables that are open. Run again it does nothing; returns how many claims it completed.

    A claim whose payer has already left less open than that has decided otherwise than the claim says: it stays as it was
    posted, and is looked at again. So is one whose part of the lake is lost.
    """
    c = r.claims.c
    with store.read() as connection:
        query = (
            sa.select(r.claims).where(c.earlier_cents.is_(None)).order_by(c.scrubbed_date, c.scrubbed_part, c.claim_id)
        )
        rows = list(connection.execute(query))
    if not rows:
        return 0
    parts: dict[tuple[date, str], list[Any]] = defaultdict(list)
    for row in rows:
        parts[row.scrubbed_date, row.scrubbed_part].append(row)
    done: dict[str, int] = {}
    for (day, part), of_part in parts.items():
        where = ("claim_id", [row.claim_id for row in of_part])
        claims = store.lake.read("scrubbed_claims", day, part, where, _CLAIM_COLUMNS)
        lines = store.lake.read("scrubbed_lines", day, part, where, _LINE_COLUMNS)
        amounts = settled(claims, lines)
        done |= {claim_id: amounts.get(claim_id, 0) for claim_id in claims.column("claim_id").to_pylist()}
    known = [row for row in rows if row.claim_id in done]
    with store.begin() as connection:
        _open_at_the_rest(connection, on, known, done)
        values = [{"claim_id": claim_id, "earlier_cents": part} for claim_id, part in sorted(done.items())]
        update_rows(connection, r.claims, "claim_id", values, ["earlier_cents"])
    return len(done)


def _open_at_the_rest(connection: sa.Connection, on: date, rows: Sequence[Any], done: dict[str, int]) -> None:
    """Post what earlier payers settled of claims whose charge stands already; what cannot be posted leaves `done`."""
    charged = [
        row for row in rows if done[row.claim_id] and row.file_id and row.closed_on is None and row.frequency != "8"
    ]
    balances = posting.claim_balances(connection, [row.claim_id for row in charged])
    moved = []
    for row in charged:
        if balances.get(row.claim_id, {}).get(accounts.receivable(row.payer_key), 0) >= done[row.claim_id]:
            moved.append(row)
        else:
            del done[row.claim_id]
    posting.post(connection, [_moved(row.claim_id, row.payer_key, done[row.claim_id], on) for row in moved])
    w = r.work_items.c
    for some in chunks([row.claim_id for row in moved]):
        items = connection.execute(
            sa.select(w.item_id, w.claim_id, w.cents).where(
                w.queue == "remittance",
                w.state == "open",
                w.cause == "-".join(policy.EARLIER_PAYER),
                w.claim_id.in_(some),
            )
        )
        agree = [item.item_id for item in items if item.cents == done[item.claim_id]]
        connection.execute(
            sa.update(r.work_items)
            .where(w.item_id.in_(agree))
            .values(state="done", resolution="it is what the claim says of the payers before")
        )
