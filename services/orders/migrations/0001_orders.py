"""Products, orders with their history and cancellation, and the state of their refunds."""

from alembic import op

revision = "0001_orders"
down_revision = None
branch_labels = ("orders",)

TABLES = (
    """
    create table products (
        product_id uuid primary key,
        seller_id uuid not null,
        title text not null,
        price bigint not null check (price > 0),
        stock integer not null check (stock >= 0)
    ) with (fillfactor = 80)
    """,
    """
    create table orders (
        order_id uuid primary key,
        buyer_id uuid not null,
        seller_id uuid not null,
        status text not null check (status in ('unpaid', 'processing', 'packed', 'shipped', 'delivered', 'cancelled')),
        lines jsonb not null,
        total bigint not null check (total > 0),
        payment_method text not null,
        paid_amount bigint not null check (paid_amount in (0, total)),
        placed_at timestamptz not null,
        version integer not null check (version > 0)
    ) with (fillfactor = 80)
    """,
    "create index orders_of_buyer on orders (buyer_id, order_id desc)",
    "create index orders_of_seller on orders (seller_id, order_id desc)",
    """
    create table order_history (
        order_id uuid not null references orders,
        version integer not null,
        status text not null,
        at timestamptz not null,
        primary key (order_id, version)
    )
    """,
    """
    create table cancellations (
        order_id uuid primary key references orders,
        cancellation_id uuid not null unique,
        seller_id uuid not null,
        channel text not null,
        requested_by uuid,
        role text not null,
        reason text,
        note text,
        fault text not null,
        at timestamptz not null
    )
    """,
    "create index cancellations_of_seller on cancellations (seller_id, fault)",
    """
    create table order_refunds (
        order_id uuid primary key references orders,
        refund_id uuid not null,
        state text not null,
        amount bigint not null,
        destination text not null,
        sequence integer not null
    )
    """,
)


def upgrade() -> None:
    """Creates the tables."""
    for statement in TABLES:
        op.execute(statement)
