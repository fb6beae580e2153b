"""The runtime's tables, in every service's database: clock, outbox, inbox, deadlines, idempotency keys."""

from alembic import op

revision = "0001_runtime"
down_revision = None
branch_labels = ("runtime",)

TABLES = (
    """
    create table clock (
        one boolean primary key default true check (one),
        demonstration boolean not null default false,
        shift interval not null default interval '0' check (shift >= interval '0')
    )
    """,
    "insert into clock default values",
    # In plpgsql because that keeps the plan for the session; a function in SQL is parsed and planned at each use.
    """
    create function clock_now() returns timestamptz language plpgsql stable as $$
    begin
        return now() + (select shift from clock);
    end $$
    """,
    """
    create table event_sequence (
        subject text primary key,
        last integer not null
    ) with (fillfactor = 70)
    """,
    """
    create table outbox (
        seq bigint generated always as identity primary key,
        event_id uuid not null,
        type text not null,
        subject text not null,
        dataschema text not null,
        routing_key text not null,
        mandatory boolean not null,
        correlation_id uuid not null,
        causation_id uuid not null,
        traceparent text not null,
        data text not null,
        sequence integer not null,
        time timestamptz not null
    ) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000)
    """,
    """
    create table inbox (
        event_id uuid primary key,
        at timestamptz not null default now()
    )
    """,
    "create index inbox_at on inbox using brin (at)",
    """
    create table failures (
        event_id uuid primary key,
        failures integer not null default 1,
        error text not null,
        at timestamptz not null default now()
    )
    """,
    """
    create table parked (
        parked_id uuid primary key,
        event_id uuid,
        routing_key text not null,
        body bytea not null,
        size integer not null,
        digest bytea not null,
        error text not null,
        times integer not null default 1,
        state text not null default 'parked' check (state in ('parked', 'replay', 'replayed')),
        parked_at timestamptz not null default now()
    )
    """,
    "create unique index parked_once on parked (digest, routing_key) where state <> 'replayed'",
    "create index parked_replay on parked (parked_at) where state = 'replay'",
    """
    create table deadlines (
        kind text not null,
        subject text not null,
        due_at timestamptz not null,
        failures integer not null default 0,
        correlation_id uuid not null,
        causation_id uuid not null,
        traceparent text not null,
        primary key (kind, subject)
    )
    """,
    "create index deadlines_due on deadlines (due_at)",
    """
    create table idempotency (
        owner text not null,
        key text not null,
        fingerprint bytea not null,
        status smallint,
        body text,
        at timestamptz not null default now(),
        primary key (owner, key)
    )
    """,
    "create index idempotency_at on idempotency using brin (at)",
)


def upgrade() -> None:
    """Creates the tables."""
    for statement in TABLES:
        op.execute(statement)
