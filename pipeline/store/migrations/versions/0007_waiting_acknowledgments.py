"""Each night asks for the answers that still wait for what they answer: few, among all that ever came.

The index holds those alone, so that the question costs no more as the years go by.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_WAITING = sa.text("state = 'waiting'")


def upgrade() -> None:
    op.create_index(
        "ix_acknowledgments_waiting", "acknowledgments", ["ack_id"], sqlite_where=_WAITING, postgresql_where=_WAITING
    )


def downgrade() -> None:
    op.drop_index("ix_acknowledgments_waiting", table_name="acknowledgments")
