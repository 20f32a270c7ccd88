"""Durable control numbers: allotted to a batch before its bytes exist, tied to the bytes when they do.

A number comes from a sequence in the register, never from the time. It is recorded with its batch in the same transaction,
so after a power cut the same batch gets the same number again; and once it is tied to bytes it is never tied to others.

Numbers are unique per sender and receiver, as the standard wants it, and per payer, because a payer's answers name its number
and nothing else: where the submitter's or the payer's id changes, the new sequence goes on above the old one.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from pipeline.errors import Terminal
from pipeline.store import outgoing
from pipeline.store import register as r
from pipeline.transactions.claim_837_route import Numbers, Route

GREATEST = 999_999_999  # ISA13 and GS06 have nine digits


def interchange_scope(route: Route) -> str:
    return outgoing.interchange_scope(
        route.sender_qualifier, route.sender_id, route.receiver_qualifier, route.receiver_id
    )


def group_scope(route: Route) -> str:
    return outgoing.group_scope(route.group_sender, route.group_receiver)


def allot(connection: sa.Connection, route: Route, batch_id: str, payer_key: str) -> Numbers:
    """The numbers of the batch: those that it has already, or the next ones. Within the caller's transaction."""
    return Numbers(
        _allot(connection, interchange_scope(route), batch_id, payer_key),
        _allot(connection, group_scope(route), batch_id, payer_key),
    )


def tie(connection: sa.Connection, route: Route, numbers: Numbers, batch_id: str, file_id: str) -> None:
    """Say which bytes carry the numbers. Terminal where a number belongs to another batch or other bytes."""
    for scope, number in ((interchange_scope(route), numbers.interchange), (group_scope(route), numbers.group)):
        n = r.control_numbers.c
        changed = connection.execute(
            sa.update(r.control_numbers)
            .where(n.scope == scope, n.number == number, n.batch_id == batch_id)
            .where(n.file_id.is_(None) | (n.file_id == file_id))
            .values(file_id=file_id)
        ).rowcount
        if changed != 1:
            raise Terminal(
                f"Control number {number} of {scope} belongs to other bytes.",
                fix="Nothing was sent under it. Report this: a number may never be used twice.",
            )


def raise_to(connection: sa.Connection, scope: str, number: int) -> int:
    """Let the sequence of the scope stand at `number` at least; returns where it stands."""
    dialect: Any = {"sqlite": sqlite, "postgresql": postgresql}[connection.dialect.name]
    last = r.control_sequences.c.last
    sequence = dialect.insert(r.control_sequences).values(scope=scope, last=number)
    return int(
        connection.execute(
            sequence.on_conflict_do_update(
                index_elements=["scope"], set_={"last": sa.case((last < number, number), else_=last)}
            ).returning(last)
        ).scalar_one()
    )


def _allot(connection: sa.Connection, scope: str, batch_id: str, payer_key: str) -> int:
    n = r.control_numbers.c
    known = connection.execute(sa.select(n.number).where(n.scope == scope, n.batch_id == batch_id)).scalar()
    if known is not None:
        return int(known)
    stands = raise_to(connection, scope, _last_of_payer(connection, scope, payer_key))
    number = raise_to(connection, scope, stands + 1)
    if number > GREATEST:
        raise Terminal(
            f"The control numbers of {scope} are used up.", fix="Agree a new sender or receiver id with the payer."
        )
    connection.execute(sa.insert(r.control_numbers).values(scope=scope, number=number, batch_id=batch_id))
    return int(number)


def _last_of_payer(connection: sa.Connection, scope: str, payer_key: str) -> int:
    """The greatest number of the same kind (isa, gs) that any file to the payer ever had, under whatever ids."""
    n, s = r.control_numbers.c, r.sendings.c
    query = (
        sa.select(sa.func.max(n.number))
        .select_from(r.control_numbers.join(r.sendings, n.batch_id == s.sending_id))
        .where(s.payer_key == payer_key, n.scope.like(f"{scope.partition(':')[0]}:%"))
    )
    return int(connection.execute(query).scalar() or 0)
