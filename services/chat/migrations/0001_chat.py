"""Read models of accounts, orders, refunds and questions of customer service; threads and their messages."""

from alembic import op

revision = "0001_chat"
down_revision = None
branch_labels = ("chat",)

TABLES = (
    """
    create table people (
        account_id uuid primary key,
        name text not null
    )
    """,
    """
    create table orders_known (
        order_id uuid primary key,
        buyer_id uuid,
        seller_id uuid,
        title text,
        status_rank smallint not null default 0
    ) with (fillfactor = 80)
    """,
    """
    create table threads (
        thread_id uuid primary key,
        order_id uuid not null unique references orders_known,
        buyer_id uuid not null,
        seller_id uuid not null,
        last_seq integer not null default 0,
        buyer_read integer not null default 0,
        seller_read integer not null default 0,
        asked boolean not null default false,
        guided boolean not null default false,
        thanks_due boolean not null default false,
        pending uuid,
        active_at timestamptz not null,
        check (buyer_read between 0 and last_seq and seller_read between 0 and last_seq)
    ) with (fillfactor = 70)
    """,
    "create index threads_of_buyer on threads (buyer_id, active_at desc, thread_id desc)",
    "create index threads_of_seller on threads (seller_id, active_at desc, thread_id desc)",
    """
    create table messages (
        thread_id uuid not null references threads,
        seq integer not null check (seq > 0),
        kind text not null check (kind in ('text', 'guide', 'system')),
        sender_id uuid check ((kind = 'system') = (sender_id is null)),
        text text not null,
        code text,
        data jsonb,
        at timestamptz not null,
        primary key (thread_id, seq)
    )
    """,
    """
    create table refunds_known (
        refund_id uuid primary key,
        order_id uuid not null,
        destination text not null,
        amount bigint,
        told text not null default 'nothing' check (told in ('nothing', 'delayed', 'issued'))
    )
    """,
    "create index refunds_of_order on refunds_known (order_id)",
    """
    create table questions (
        case_id uuid primary key,
        order_id uuid not null,
        question text,
        respond_by timestamptz,
        state text not null check (state in ('untold', 'open', 'answered', 'closed')),
        correlation_id uuid,
        traceparent text
    )
    """,
    "create index questions_of_order on questions (order_id) where state in ('untold', 'open')",
)


def upgrade() -> None:
    """Creates the tables."""
    for statement in TABLES:
        op.execute(statement)
