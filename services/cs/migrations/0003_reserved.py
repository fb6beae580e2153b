"""Keeps which agents on duty take only the cases that ask for them."""

from alembic import op

revision = "0003_reserved"
down_revision = "0002_asked_again"
branch_labels = None
depends_on = "0001_runtime"


def upgrade() -> None:
    """Adds it; all agents take what comes."""
    op.execute("alter table agents add column reserved boolean not null default false")
