"""A claim that goes to a later payer says what the earlier ones have settled of its charge.

Of claims that are there already it is not known (null) until a run finds it in the lake (`ledger/earlier.py`); the index holds those
alone, so that nothing is searched once all are known.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_UNKNOWN = sa.text("earlier_cents IS NULL")


def upgrade() -> None:
    op.add_column("claims", sa.Column("earlier_cents", sa.BigInteger))
    op.create_index(
        "ix_claims_earlier_unknown", "claims", ["claim_id"], sqlite_where=_UNKNOWN, postgresql_where=_UNKNOWN
    )


def downgrade() -> None:
    """What was posted of it stays in the ledger, which gives nothing back."""
    op.drop_index("ix_claims_earlier_unknown", table_name="claims")
    with op.batch_alter_table("claims") as claims:
        claims.drop_column("earlier_cents")
