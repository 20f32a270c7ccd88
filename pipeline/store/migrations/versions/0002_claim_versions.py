"""Claims have versions, people's decisions are kept, visits can be cancelled, extracts may come again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

#: SQLite's unnamed constraint gets this name while the table is made anew; PostgreSQL named it itself
_NAMES = {"uq": "uq_%(table_name)s_%(column_0_name)s"}


def upgrade() -> None:
    sqlite = op.get_bind().dialect.name == "sqlite"
    op.add_column("imports", sa.Column("files_id", sa.String(64), nullable=False, server_default=""))
    op.execute("UPDATE imports SET files_id = import_id")
    op.create_index("ix_imports_files_id", "imports", ["files_id"])
    op.add_column("encounters", sa.Column("cancelled", sa.Boolean, nullable=False, server_default=sa.false()))
    with op.batch_alter_table("claims", naming_convention=_NAMES) as claims:
        claims.drop_constraint("uq_claims_encounter_key" if sqlite else "claims_encounter_key_key", type_="unique")
        claims.add_column(sa.Column("version", sa.Integer, nullable=False, server_default="1"))
        claims.add_column(sa.Column("replaces", sa.String(20)))
        claims.add_column(sa.Column("closed_on", sa.Date))
        claims.create_unique_constraint("uq_claims_encounter_version", ["encounter_key", "version"])
    op.create_table(
        "decisions",
        sa.Column("decision_id", sa.String(32), primary_key=True),
        sa.Column("encounter_key", sa.Text, nullable=False, index=True),
        sa.Column("action", sa.String(12), nullable=False),
        sa.Column("visit_version", sa.Integer, nullable=False),
        sa.Column("claim_id", sa.String(20), nullable=False),
        sa.Column("item_id", sa.String(32), nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("on_date", sa.Date, nullable=False),
    )
    if sqlite:
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER decisions_no_{verb.lower()} BEFORE {verb} ON decisions "
                f"BEGIN SELECT RAISE(ABORT, 'decisions is append-only'); END"
            )
    else:
        op.execute(
            "CREATE TRIGGER decisions_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON decisions "
            "FOR EACH STATEMENT EXECUTE FUNCTION claimpipe_append_only()"
        )


def downgrade() -> None:
    sqlite = op.get_bind().dialect.name == "sqlite"
    op.drop_table("decisions")
    with op.batch_alter_table("claims") as claims:
        claims.drop_constraint("uq_claims_encounter_version", type_="unique")
        for name in ("closed_on", "replaces", "version"):
            claims.drop_column(name)
        claims.create_unique_constraint(
            "uq_claims_encounter_key" if sqlite else "claims_encounter_key_key", ["encounter_key"]
        )
    op.drop_column("encounters", "cancelled")
    op.drop_index("ix_imports_files_id", "imports")
    op.drop_column("imports", "files_id")
