"""Adds the time by which unpaid orders must be paid, for existing ones an hour from now; counts refusals."""

from alembic import op

revision = "0004_pay_within"
down_revision = "0003_waiting_for_money"

TABLES = (
    # Null: paid, cancelled, or cash on delivery.
    "alter table orders add column pay_by timestamptz",
    "update orders set pay_by = clock_now() + interval '3600 seconds' where status = 'unpaid'",
    """
    insert into deadlines (kind, subject, due_at, correlation_id, causation_id, traceparent)
    select 'pay_by', order_id::text, pay_by, order_id, order_id,
           '00-' || replace(order_id::text, '-', '') || '-' || left(md5(order_id::text), 16) || '-01'
    from orders where pay_by is not null
    """,
    "create index orders_to_pay on orders (buyer_id) where pay_by is not null",
    """
    create table refused_cancellations (
        about uuid primary key, -- an order or a buyer
        since timestamptz not null,
        refused integer not null
    )
    """,
)


def upgrade() -> None:
    """Adds them."""
    for statement in TABLES:
        op.execute(statement)
