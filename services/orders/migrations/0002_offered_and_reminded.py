"""Keeps how many pieces of a product were offered, and how often `refunds` was reminded of a cancellation."""

from alembic import op

revision = "0002_offered_and_reminded"
down_revision = "0001_orders"
branch_labels = None

TABLES = (
    # Null: from before it was kept, so that nothing is known of its stock.
    "alter table products add column offered integer",
    "alter table cancellations add column reminded smallint not null default 0",
    "create index cancellations_at on cancellations using brin (at)",
)


def upgrade() -> None:
    """Adds them."""
    for statement in TABLES:
        op.execute(statement)
