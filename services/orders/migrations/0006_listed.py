"""Adds whether a product is in the catalogue of all sellers."""

from alembic import op

revision = "0006_listed"
down_revision = "0005_scored"
depends_on = "0001_runtime"


def upgrade() -> None:
    """Adds it; what there is, is listed."""
    op.execute("alter table products add column listed boolean not null default true")
