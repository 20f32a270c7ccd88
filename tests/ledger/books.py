"""A practice's books for tests of money: claims that were sent, files that have come, and what the ledger then says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from pipeline import shapes
from pipeline.ledger import earlier, posting
from pipeline.money import dollars
from pipeline.store import Store
from pipeline.store import register as r
from pipeline.store.archive import sha256
from pipeline.store.events import Move, move_claims
from pipeline.store.store import insert_new

SENT = date(2026, 11, 20)
ON = date(2026, 11, 30)
ACME_ORIGIN, ZETA_ORIGIN = "1999999991", "1999999992"
_PROFILE = """
name = "{name}"
payer_id = "{name}1"
matches = ["{name}"]
remittance_origins = ["{origin}"]
[interchange]
receiver_id = "{name}"
[claims]
filing_days = 90
appeal_days = 60
"""


def segments(text: str) -> str:
    """Segments written one a line → as on the wire."""
    return "".join(line.strip() + "~" for line in text.splitlines() if line.strip())


def envelope(functional_id: str, version: str, sets: Iterable[str], *, control: int = 1, ta1: str = "") -> bytes:
    """An interchange around sets that are written without ST and SE: their first two elements of ST come from the guide."""
    set_id = {"HP": "835", "FA": "999", "HN": "277", "HC": "837"}[functional_id]
    head = f"ISA*00*          *00*          *ZZ*ACME           *ZZ*CLAIMPIPE      *261120*0200*^*00501*{control:09d}*0*T*:~"
    body = ""
    count = 0
    for count, text in enumerate(sets, start=1):
        inner = segments(text)
        body += f"ST*{set_id}*{count:04d}*{version}~{inner}SE*{inner.count('~') + 2}*{count:04d}~"
    group = (
        f"GS*{functional_id}*ACME*CLAIMPIPE*20261120*0200*{control}*X*{version}~{body}GE*{count}*{control}~"
        if count
        else ""
    )
    return f"{head}{segments(ta1)}{group}IEA*{1 if count else 0}*{control:09d}~".encode()


def remittance(
    claims: str, *, amount: str, trace: str = "T1", on: str = "20261125", origin: str = ACME_ORIGIN, tail: str = "",
    method: str = "ACH",
) -> str:  # fmt: skip
    """A set of an 835 around its claims (CLP …) and its PLB."""
    return f"""
    BPR*{"H" if method == "NON" else "I"}*{amount}*C*{method}************{on}
    TRN*1*{trace}*{origin}
    DTM*405*{on}
    N1*PR*ACME
    N3*1 STREET
    N4*BOSTON*MA*02101
    PER*BL*HELP*TE*8005550100
    N1*PE*CLINIC*XX*1234567893
    LX*1
    {claims.strip()}
    {tail.strip()}""".rstrip()


def file_835(*sets: str, control: int = 1) -> bytes:
    return envelope("HP", "005010X221A1", sets, control=control)


def file_837(*claims: tuple[str, str]) -> bytes:
    """An 837 of which only the claims' ids and charges matter: the fourth segment of the set is the first CLM."""
    body = "BHT*0019*00*B1*20261120*0200*CH\nHL*1**20*1\n" + "\n".join(f"CLM*{c}*{a}\nLX*1" for c, a in claims)
    return envelope("HC", "005010X222A1", [body])


@dataclass
class Books:
    store: Store

    @classmethod
    def open(cls, store: Store, folder: Path) -> Books:
        """Books with two payers, acme and zeta."""
        folder.mkdir()
        for key, origin in (("acme", ACME_ORIGIN), ("zeta", ZETA_ORIGIN)):
            (folder / f"{key}.toml").write_text(_PROFILE.format(name=key.upper(), origin=origin))
        store.settings.payers_dir = str(folder)
        store.settings.submitter.payees = ["1234567893"]
        return cls(store)

    def send(
        self, *claim_ids: str, cents: int = 10_000, payer_key: str = "acme", state: str = "sent", number: int = 1,
        sets: Sequence[str] = ("0001",), data: bytes | None = None, lines: Sequence[tuple[Any, ...]] = (),
        sending_state: str = "verified", charged: bool = True, earlier_cents: int | None = 0,
    ) -> str:  # fmt: skip
        """Claims that went out in one 837 file, charged in the ledger; returns the file's id.

        `sets` are handed out to the claims in turn. `lines` are (procedure, modifier, date) of each claim's lines, and
        where it matters their charge in cents, place of service and revenue code; their control numbers are CLAIM-1, CLAIM-2 …
        `earlier_cents`: what earlier payers settled of each claim; None: as a register knew it before that was kept.
        """
        data = data or b"\n".join(f"CLM*{c}*{cents}".encode() for c in claim_ids)
        file_id = self.store.archive.put(data)
        part = f"part{number}{payer_key}"
        rows = [
            {"claim_id": c, "line": n, "qualifier": "HC" if code else None, "procedure": code or None, "modifier1": modifier or None,
             "charge": dollars(more[0]) if more else 0, "place_of_service": more[1] if more[1:] else None,
             "revenue_code": more[2] if more[2:] else None,
             "unit_basis": "UN", "units": 1, "service_date": served, "line_control_number": f"{c}-{n}",
             "rule_id": "R", "rule_version": "1", "price_origin": "source", "source": "test"}
            for c in claim_ids for n, (code, modifier, served, *more) in enumerate(lines, start=1)
        ]  # fmt: skip
        self.store.lake.write("scrubbed_lines", SENT, part, _lines(rows))
        with self.store.begin() as c:
            insert_new(c, r.visit_versions, [
                {"encounter_key": f"E{i}", "version": 1, "import_id": "i", "charge_cents": cents} for i in claim_ids
            ])  # fmt: skip
            insert_new(c, r.encounters, [
                {"encounter_key": f"E{i}", "version": 1, "content_hash": "h", "import_id": "i", "logical_date": SENT,
                 "practice_id": "P1", "payer_key": payer_key, "service_from": SENT, "charge_cents": cents,
                 "billed_cents": cents, "unbilled_cents": 0, "state": "claimed", "reason": "", "claim_id": i,
                 "lake_part": "l", "source_file": "f", "source_row": 1}
                for i in claim_ids
            ])  # fmt: skip
            insert_new(c, r.claims, [
                {"claim_id": i, "encounter_key": f"E{i}", "payer_key": payer_key, "practice_id": "P1",
                 "guide": "005010X222A1", "frequency": "1", "charge_cents": cents, "service_from": SENT,
                 "logical_date": SENT, "state": "ready", "file_id": file_id, "interchange_control": f"{number:09d}",
                 "group_control": str(number), "set_control": sets[n % len(sets)], "scrubbed_date": SENT,
                 "scrubbed_part": part, "earlier_cents": earlier_cents}
                for n, i in enumerate(claim_ids)
            ])  # fmt: skip
            insert_new(c, r.sendings, [
                {"sending_id": sha256(f"{payer_key}{number}".encode()), "payer_key": payer_key, "file_id": file_id,
                 "interchange_control": f"{number:09d}", "guide": "005010X222A1", "usage": "T", "logical_date": SENT,
                 "claim_count": len(claim_ids), "charge_cents": cents * len(claim_ids), "size": len(data),
                 "state": sending_state, "attempts": 1, "reason": ""}
            ])  # fmt: skip
            move_claims(c, SENT, [Move(i, "sent", state, file_id) for i in claim_ids])
            if charged:
                mine = sa.select(r.claims).where(r.claims.c.claim_id.in_(claim_ids))
                posting.post(c, earlier.charges(c.execute(mine).all(), payer_key, SENT))
        return file_id

    def receive(self, data: bytes, kind: str, payer_key: str = "acme", on: date = ON) -> str:
        """A file as the inbox leaves it."""
        file_id = self.store.archive.put(data)
        with self.store.begin() as c:
            insert_new(c, r.files, [
                {"file_id": file_id, "direction": "in", "kind": kind, "payer_key": payer_key, "size": len(data),
                 "logical_date": on, "state": "archived", "reason": ""}
            ])  # fmt: skip
        return file_id

    def receive_once(self, data: bytes, kind: str) -> str:
        """As `receive`; the same bytes again are the same file."""
        file_id = sha256(data)
        known = {row.file_id for row in self.rows(r.files)}
        return file_id if file_id in known else self.receive(data, kind)

    def balances(self) -> dict[str, int]:
        """Accounts that are not at 0."""
        with self.store.read() as c:
            return {account: cents for account, cents in posting.balances(c).items() if cents}

    def by_claim(self) -> dict[tuple[str, str, str], int]:
        """(claim, account, detail) → cents, where not 0: what 'the same ledger' means."""
        e = r.ledger_entries.c
        query = sa.select(e.claim_id, e.account, e.detail, sa.func.sum(e.cents)).group_by(
            e.claim_id, e.account, e.detail
        )
        with self.store.read() as c:
            return {
                (claim or "", account, detail): int(cents)
                for claim, account, detail, cents in c.execute(query)
                if cents
            }

    def states(self) -> dict[str, str]:
        with self.store.read() as c:
            return dict(c.execute(sa.select(r.claims.c.claim_id, r.claims.c.state)).tuples().all())

    def work(self, queue: str | None = None, state: str = "open") -> list[Any]:
        """Work items, in the order of their cause and subject."""
        w = r.work_items.c
        query = sa.select(r.work_items).where(w.state == state).order_by(w.queue, w.cause, w.subject)
        with self.store.read() as c:
            return [item for item in c.execute(query) if queue in (None, item.queue)]

    def rows(self, table: sa.Table) -> list[Any]:
        with self.store.read() as c:
            return list(c.execute(sa.select(table).order_by(*table.primary_key.columns)))

    def changes(self) -> int:
        """A number that grows with every row that is written to the register file."""
        with self.store.read() as c:
            return int(c.exec_driver_sql("PRAGMA data_version").scalar_one())


def _lines(rows: list[dict[str, Any]]) -> pa.Table:
    return shapes.from_rows("scrubbed_lines", rows)
