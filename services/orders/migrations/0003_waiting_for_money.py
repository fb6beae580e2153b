"""Adds when a cancellation was last published and its correlation id, until its refund has arrived; an index for the
products of one seller."""

from alembic import op

revision = "0003_waiting_for_money"
down_revision = "0002_offered_and_reminded"

TABLES = (
    # Null: the refund has arrived, or none is due.
    "alter table cancellations add column said_at timestamptz",
    # Null: older than this column.
    "alter table cancellations add column correlation_id uuid",
    "update cancellations c set said_at = c.at from orders o where o.order_id = c.order_id and o.paid_amount > 0 "
    "and not exists (select from order_refunds r where r.order_id = c.order_id)",
    "create index cancellations_waiting on cancellations (said_at) where said_at is not null",
    "drop index cancellations_at",
    "create index products_of_seller on products (seller_id, product_id)",
)


def upgrade() -> None:
    """Adds them."""
    for statement in TABLES:
        op.execute(statement)
