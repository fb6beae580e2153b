"""Adds the offered pieces of a product, and the number of reminders of a cancellation."""

from alembic import op

revision = "0002_offered_and_reminded"
down_revision = "0001_orders"

TABLES = (
    # Null: older than this column, so that its stock is not known.
    "alter table products add column offered integer",
    "alter table cancellations add column reminded smallint not null default 0",
    "create index cancellations_at on cancellations using brin (at)",
)


def upgrade() -> None:
    """Adds them."""
    for statement in TABLES:
        op.execute(statement)
