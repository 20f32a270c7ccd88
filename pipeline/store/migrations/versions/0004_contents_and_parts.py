"""People's decisions on work items; a row for each content of a remittance; a deposit matched in parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

#: the tables as they were; SQLite cannot drop their constraints in place, so they are made anew
_REMITTANCES = (
    "remittance_id", "payer_key", "origin", "trace", "amount_cents", "payment_date", "method", "file_id", "set_number",
    "content_hash", "state", "reason",
)  # fmt: skip
_MATCHES = ("deposit_id", "remittance_id", "eft_id", "method", "cents", "on_date")


def upgrade() -> None:
    op.create_table(
        "item_decisions",
        sa.Column("decision_id", sa.String(32), primary_key=True),
        sa.Column("item_id", sa.String(32), nullable=False, index=True),
        sa.Column("action", sa.String(16), nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("on_date", sa.Date, nullable=False),
    )
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER item_decisions_no_{verb.lower()} BEFORE {verb} ON item_decisions "
                f"BEGIN SELECT RAISE(ABORT, 'item_decisions is append-only'); END"
            )
    else:
        op.execute(
            "CREATE TRIGGER item_decisions_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON item_decisions "
            "FOR EACH STATEMENT EXECUTE FUNCTION claimpipe_append_only()"
        )
    op.rename_table("remittances", "remittances_old")
    op.create_table(
        "remittances",
        *_remittance_columns(),
        sa.Column("decision_id", sa.String(32), nullable=False),
        sa.UniqueConstraint("origin", "trace", "content_hash"),
    )
    posted = sa.text("state = 'posted' AND decision_id = ''")
    old = _table("remittances_old", _REMITTANCES)
    first = old.alias("first")
    # a trace could be posted twice, under two dates or amounts: the second one is marked, not lost
    second = sa.exists().where(
        first.c.origin == old.c.origin, first.c.trace == old.c.trace, first.c.state == "posted",
        first.c.remittance_id < old.c.remittance_id,
    )  # fmt: skip
    mark = sa.case((second, "before 0004"), else_="")
    _copy(old, "remittances", sa.select(*old.c, mark), (*_REMITTANCES, "decision_id"))
    op.create_index(
        "remittances_posted_once", "remittances", ["origin", "trace"], unique=True,
        sqlite_where=posted, postgresql_where=posted,
    )  # fmt: skip
    op.rename_table("matches", "matches_old")
    op.create_table(
        "matches",
        sa.Column("match_id", sa.String(32), primary_key=True),
        sa.Column("deposit_id", sa.String(32), nullable=False),
        *_match_columns(),
        sa.UniqueConstraint("deposit_id", "remittance_id"),
    )
    matched = _table("matches_old", _MATCHES)
    _copy(matched, "matches", sa.select(matched.c.deposit_id.label("match_id"), *matched.c), ("match_id", *_MATCHES))
    op.create_index("ix_matches_deposit_id", "matches", ["deposit_id"])
    op.create_index("ix_matches_remittance_id", "matches", ["remittance_id"])


def downgrade() -> None:
    """What the older shape cannot hold (contents that did not post, matches in parts) is lost."""
    op.drop_table("item_decisions")
    op.rename_table("remittances", "remittances_new")
    op.create_table(
        "remittances", *_remittance_columns(), sa.UniqueConstraint("origin", "trace", "amount_cents", "payment_date")
    )
    new = _table("remittances_new", _REMITTANCES)
    key = (new.c.origin, new.c.trace, new.c.amount_cents, new.c.payment_date)
    rank = sa.case((new.c.state == "posted", "0"), else_="1") + new.c.remittance_id  # of one key, what was posted first
    kept = sa.select(sa.func.substr(sa.func.min(rank), 2)).group_by(*key)
    _copy(new, "remittances", sa.select(*new.c).where(new.c.remittance_id.in_(kept)), _REMITTANCES)
    op.rename_table("matches", "matches_new")
    op.create_table(
        "matches",
        sa.Column("deposit_id", sa.String(32), primary_key=True),
        *_match_columns(),
        sa.UniqueConstraint("remittance_id"),
    )
    parts = _table("matches_new", ("match_id", *_MATCHES))
    whole = sa.select(*(parts.c[name] for name in _MATCHES)).where(parts.c.match_id == parts.c.deposit_id)
    _copy(parts, "matches", whole, _MATCHES)


def _table(name: str, columns: Sequence[str]) -> sa.TableClause:
    return sa.table(name, *(sa.column(column) for column in columns))


def _copy(old: sa.TableClause, name: str, rows: sa.Select[Any], columns: Sequence[str]) -> None:
    op.execute(_table(name, columns).insert().from_select(list(columns), rows))
    op.drop_table(old.name)


def _remittance_columns() -> list[sa.Column[object]]:
    return [
        sa.Column("remittance_id", sa.String(32), primary_key=True),
        sa.Column("payer_key", sa.Text, nullable=False),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("trace", sa.Text, nullable=False),
        sa.Column("amount_cents", sa.BigInteger, nullable=False),
        sa.Column("payment_date", sa.Date, nullable=False),
        sa.Column("method", sa.String(3), nullable=False),
        sa.Column("file_id", sa.String(64), nullable=False),
        sa.Column("set_number", sa.Integer, nullable=False),
        sa.Column("content_hash", sa.String(64), nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    ]


def _match_columns() -> list[sa.Column[object]]:
    return [
        sa.Column("remittance_id", sa.String(32)),
        sa.Column("eft_id", sa.String(32)),
        sa.Column("method", sa.String(16), nullable=False),
        sa.Column("cents", sa.BigInteger, nullable=False),
        sa.Column("on_date", sa.Date, nullable=False),
    ]
