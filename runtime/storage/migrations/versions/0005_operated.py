"""What the operator's console needs: the event log, the audit log, and parked messages that are discarded."""

from alembic import op

revision = "0005_operated"
down_revision = "0004_partitioning"
branch_labels = None

STATEMENTS = (
    # Without the events' data: ids, names and times only. `at` is real time, by which rows are deleted.
    """
    create table event_log (
        event_id uuid primary key,
        type text not null,
        subject text not null,
        sequence integer not null,
        correlation_id uuid not null,
        causation_id uuid not null,
        at timestamptz not null default now()
    )
    """,
    "create index event_log_correlation on event_log (correlation_id)",
    "create index event_log_subject on event_log (subject)",
    "create index event_log_at on event_log using brin (at)",
    # `account_id` is null for what the command line and the service itself do.
    """
    create table audit_log (
        entry bigint generated always as identity primary key,
        at timestamptz not null default now(),
        account_id uuid,
        action text not null,
        subject text not null,
        reason text
    )
    """,
    "create index audit_log_subject on audit_log (subject)",
    """
    create function audit_log_is_append_only() returns trigger language plpgsql as $$
    begin
        raise exception 'the audit log is only ever added to' using errcode = 'restrict_violation';
    end $$
    """,
    """
    create trigger audit_log_append_only before update or delete or truncate on audit_log
    for each statement execute function audit_log_is_append_only()
    """,
    "alter table parked drop constraint parked_state_check, "
    "add constraint parked_state_check check (state in ('parked', 'replay', 'replayed', 'discarded'))",
    # Null: older than these columns, or a body in which they cannot be read.
    "alter table parked add column subject uuid, add column correlation_id uuid",
)


def upgrade() -> None:
    """Adds them."""
    for statement in STATEMENTS:
        op.execute(statement)
