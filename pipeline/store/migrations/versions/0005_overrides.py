"""A decision may be about an edit: which one is kept with it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("decisions", sa.Column("rule", sa.Text, nullable=False, server_default=""))


def downgrade() -> None:
    """What was overridden is lost; that a person decided stays."""
    op.drop_column("decisions", "rule")
