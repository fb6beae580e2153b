"""Adds whether a cancellation counts in its seller's score: only if the order was paid or cash on delivery. Indexes
those that count."""

from alembic import op

revision = "0005_scored"
down_revision = "0004_pay_within"

TABLES = (
    "alter table cancellations add column scored boolean not null default true",
    "update cancellations c set scored = false from orders o "
    "where o.order_id = c.order_id and o.paid_amount = 0 and o.payment_method <> 'cod'",
    "create index cancellations_scored on cancellations (seller_id, fault) where scored",
    "create index orders_scored on orders (seller_id) where paid_amount > 0 or payment_method = 'cod'",
    "drop index cancellations_of_seller",
)


def upgrade() -> None:
    """Adds them."""
    for statement in TABLES:
        op.execute(statement)
