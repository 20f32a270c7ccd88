"""Claims that are with a payer though a restored register had lost them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "recovered_claims",
        sa.Column("file_id", sa.String(64), primary_key=True),
        sa.Column("claim_id", sa.String(20), primary_key=True),
        sa.Column("payer_key", sa.Text, nullable=False),
        sa.Column("interchange_control", sa.String(9), nullable=False),
        sa.Column("group_control", sa.String(9), nullable=False),
        sa.Column("set_control", sa.String(9), nullable=False),
        sa.Column("charge_cents", sa.BigInteger, nullable=False),
        sa.Column("state", sa.String(12), nullable=False, index=True),
    )


def downgrade() -> None:
    op.drop_table("recovered_claims")
