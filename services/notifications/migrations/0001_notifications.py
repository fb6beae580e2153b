"""Notifications, numbered 1, 2, 3, … for each account; orders as their events tell; webhooks and their deliveries."""

from alembic import op

revision = "0001_notifications"
down_revision = None
branch_labels = ("notifications",)
depends_on = "0001_runtime"

TABLES = (
    # A row without a title is of an order whose OrderPlaced has not come yet.
    """
    create table orders_known (
        order_id uuid primary key,
        buyer_id uuid,
        seller_id uuid,
        title text
    ) with (fillfactor = 80)
    """,
    # What a side of such an order is told once it is known who that is.
    """
    create table early (
        order_id uuid not null,
        side text not null check (side in ('buyer', 'seller')),
        kind text not null,
        about uuid not null,
        case_id uuid,
        data jsonb not null,
        at timestamptz not null default clock_now(),
        primary key (order_id, side, kind, about)
    )
    """,
    """
    create table people (
        account_id uuid primary key,
        last_seq integer not null default 0,
        read_seq integer not null default 0 check (read_seq between 0 and last_seq),
        active_at timestamptz not null default clock_now()
    ) with (fillfactor = 70)
    """,
    """
    create table notifications (
        account_id uuid not null references people,
        seq integer not null check (seq > 0),
        kind text not null,
        about uuid not null,
        order_id uuid,
        case_id uuid,
        data jsonb not null,
        at timestamptz not null,
        primary key (account_id, seq)
    )
    """,
    "create unique index notifications_once on notifications (account_id, about, kind, order_id)",
    "create index notifications_at on notifications using brin (at)",
    """
    create table webhooks (
        webhook_id uuid primary key,
        seller_id uuid not null,
        url text not null,
        kinds text[] not null,
        secret bytea not null,
        made_at timestamptz not null default clock_now(),
        disabled_at timestamptz,
        failures integer not null default 0,
        not_before timestamptz
    ) with (fillfactor = 70)
    """,
    "create index webhooks_of_seller on webhooks (seller_id)",
    # Not deleted with their webhook, which may have many, but when they are old.
    """
    create table deliveries (
        delivery_id uuid primary key,
        webhook_id uuid not null,
        message_id uuid not null,
        kind text not null,
        order_id uuid,
        body text not null,
        state text not null default 'pending' check (state in ('pending', 'delivered', 'failed')),
        attempts integer not null default 0,
        first_tried_at timestamptz,
        next_attempt_at timestamptz check ((state = 'pending') = (next_attempt_at is not null)),
        status_code smallint,
        error text,
        at timestamptz not null
    ) with (fillfactor = 70)
    """,
    "create index deliveries_of_webhook on deliveries (webhook_id, delivery_id desc)",
    "create index deliveries_pending on deliveries (webhook_id, next_attempt_at) where state = 'pending'",
    "create index deliveries_of_order on deliveries (order_id)",
    "create index deliveries_at on deliveries using brin (at)",
)


def upgrade() -> None:
    """Creates the tables."""
    for statement in TABLES:
        op.execute(statement)
