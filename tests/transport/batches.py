"""Claim files that wait to be sent, as the stage before leaves them."""

from __future__ import annotations

from datetime import date
from typing import Any

import sqlalchemy as sa

from pipeline.store import Store
from pipeline.store import register as r
from pipeline.store.archive import sha256
from pipeline.store.events import Move, move_claims
from pipeline.x12.writer import Envelope, interchange

ON = date(2026, 11, 20)


def claim_file(number: int, claims: int = 2, usage: str = "T", padding: int = 0) -> bytes:
    """An 837P interchange, thin but whole. `padding` adds so many NTE segments, for size."""
    envelope = Envelope(
        sender_qualifier="ZZ", sender_id="CLAIMPIPE", receiver_qualifier="ZZ", receiver_id="ACMERECEIVER",
        group_sender="CLAIMPIPE", group_receiver="ACMERECEIVER", on=ON, time="0200", interchange_control=number,
        group_control=number, functional_id="HC", version="005010X222A1", usage=usage,
    )  # fmt: skip
    body: list[list[Any]] = [["ST", "837", "0001", "005010X222A1"]]
    body += [["CLM", f"C{number:05d}{n:03d}", "100"] for n in range(claims)]
    body += [["NTE", "ADD", "X" * 70]] * padding
    return interchange(envelope, [body])


def waiting(store: Store, number: int = 1, claims: int = 2, payer_key: str = "acme", **kwargs: Any) -> bytes:
    """Archive a file and record it as built, with its claims in state batched; returns its bytes."""
    data = claim_file(number, claims, **kwargs)
    file_id = store.archive.put(data)
    ids = [f"C{number:05d}{n:03d}" for n in range(claims)]
    with store.begin() as c:
        c.execute(sa.insert(r.files).values(
            file_id=file_id, direction="out", kind="837", payer_key=payer_key, size=len(data), logical_date=ON,
            state="archived", reason="",
        ))  # fmt: skip
        c.execute(sa.insert(r.control_numbers).values(
            scope="isa:ZZ/CLAIMPIPE>ZZ/ACMERECEIVER", number=number, batch_id=sha256(f"{payer_key}{number}".encode()),
            file_id=file_id,
        ))  # fmt: skip
        c.execute(sa.insert(r.sendings).values(
            sending_id=sha256(f"{payer_key}{number}".encode()), payer_key=payer_key, file_id=file_id,
            interchange_control=f"{number:09d}", guide="005010X222A1", usage=kwargs.get("usage", "T"), logical_date=ON,
            claim_count=claims, charge_cents=10_000 * claims, size=len(data), state="built", attempts=0, reason="",
        ))  # fmt: skip
        c.execute(sa.insert(r.claims), [
            {"claim_id": i, "encounter_key": f"E{i}", "payer_key": payer_key, "practice_id": "P1", "guide": "005010X222A1",
             "frequency": "1", "charge_cents": 10_000, "service_from": ON, "logical_date": ON, "state": "ready",
             "file_id": file_id, "interchange_control": f"{number:09d}", "scrubbed_date": ON, "scrubbed_part": "part"}
            for i in ids
        ])  # fmt: skip
        move_claims(
            c, ON, [Move(i, "made", "ready") for i in ids] + [Move(i, "batched", "batched", file_id) for i in ids]
        )
    return data


def sending_states(store: Store) -> dict[str, str]:
    """Control number → state."""
    with store.read() as c:
        query = sa.select(r.sendings.c.interchange_control, r.sendings.c.state)
        return {row.interchange_control: row.state for row in c.execute(query)}


def claim_states(store: Store) -> list[str]:
    with store.read() as c:
        return sorted(set(c.execute(sa.select(r.claims.c.state)).scalars()))


def open_work(store: Store) -> list[tuple[str, str]]:
    with store.read() as c:
        w = r.work_items.c
        query = sa.select(w.queue, w.cause).where(w.state == "open").order_by(w.queue, w.cause)
        return [tuple(row) for row in c.execute(query)]
