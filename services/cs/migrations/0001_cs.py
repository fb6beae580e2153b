"""Cases with their messages, agents on duty, and what is known of accounts and orders."""

from alembic import op

revision = "0001_cs"
down_revision = None
branch_labels = ("cs",)

TABLES = (
    """
    create table accounts (
        account_id uuid primary key,
        role text not null,
        name text not null
    )
    """,
    """
    create table orders (
        order_id uuid primary key,
        status text not null check (status in ('unpaid', 'processing', 'packed', 'shipped', 'delivered', 'cancelled')),
        sequence integer not null,
        buyer_id uuid,
        seller_id uuid,
        lines jsonb,
        total bigint,
        payment_method text,
        placed_at timestamptz
    ) with (fillfactor = 80)
    """,
    # `seen_at` is the real time of the database, which no demonstration moves.
    """
    create table agents (
        agent_id uuid primary key,
        on_duty boolean not null,
        seen_at timestamptz not null default now(),
        turn bigint not null default 0
    ) with (fillfactor = 50)
    """,
    "create sequence agent_turns",
    """
    create table cases (
        case_id uuid primary key,
        arrived bigint generated always as identity,
        buyer_id uuid not null,
        state text not null check (state in
            ('waiting', 'active', 'awaiting_seller', 'seller_replied', 'cancelling', 'resolved', 'closed')),
        agent_id uuid,
        returns_to uuid,
        order_id uuid,
        contacted uuid[] not null default '{}',
        respond_by timestamptz,
        settles_at timestamptz,
        cancellation_id uuid,
        outcome text,
        rating smallint check (rating between 1 and 5),
        opened_at timestamptz not null,
        ended_at timestamptz,
        last_seq integer not null default 0,
        spoken_at timestamptz not null,
        told_delay uuid,
        refund_sequence integer not null default 0,
        correlation_id uuid not null,
        traceparent text not null,
        check (agent_id is null or state <> 'waiting'),
        check (agent_id is not null or state <> 'active'),
        check ((outcome is not null) = (state in ('resolved', 'closed')))
    ) with (fillfactor = 70)
    """,
    "create unique index cases_one_open on cases (buyer_id) where state not in ('resolved', 'closed')",
    "create index cases_queue on cases (arrived) where agent_id is null and state in ('waiting', 'seller_replied')",
    "create index cases_at_hand on cases (agent_id) where state in ('active', 'seller_replied')",
    "create index cases_of_buyer on cases (buyer_id, case_id desc)",
    "create index cases_of_agent on cases (agent_id, case_id desc)",
    "create index cases_spoken_in on cases (spoken_at)",
    "create index cases_of_order on cases (order_id) where order_id is not null",
    # In the current slice of real time, and in the one before: when the oldest event was published that arrived in it.
    """
    create table hearing (
        one boolean primary key default true check (one),
        slice bigint not null default 0,
        oldest timestamptz,
        oldest_before timestamptz
    )
    """,
    "insert into hearing default values",
    """
    create table messages (
        case_id uuid not null references cases,
        seq integer not null,
        kind text not null check (kind in ('text', 'system')),
        sender_id uuid,
        text text not null,
        code text,
        data jsonb,
        at timestamptz not null,
        primary key (case_id, seq)
    )
    """,
)


def upgrade() -> None:
    """Creates the tables."""
    for statement in TABLES:
        op.execute(statement)
