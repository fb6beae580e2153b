"""An order has a refund for each of its cancellations: several of parts of it, and one of what was left."""

from alembic import op

revision = "0005_parts"
down_revision = "0004_not_issued"

TABLES = (
    "alter table refunds add column part boolean not null default false",
    "create unique index refunds_of_order on refunds "
    "(order_id, (case when part then cancellation_id else order_id end))",
    "alter table refunds drop constraint refunds_order_id_key",
)


def upgrade() -> None:
    """Adds what tells them apart."""
    for statement in TABLES:
        op.execute(statement)
