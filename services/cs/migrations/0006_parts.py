"""Keeps which pieces of an order are cancelled, by cancellation."""

from alembic import op

revision = "0006_parts"
down_revision = "0005_partitions"
branch_labels = None
depends_on = "0001_runtime"


def upgrade() -> None:
    """Adds it. The columns `told_delay`, `told_refunds` and `refund_sequence` of `cases` are not used any more."""
    op.execute("alter table orders add column parts jsonb not null default '{}'")
