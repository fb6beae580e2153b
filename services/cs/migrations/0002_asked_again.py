"""Keeps since when a case waits for an answer, and which refunds it shows; repeats what is open already."""

from alembic import op

revision = "0002_asked_again"
down_revision = "0001_cs"
branch_labels = None
depends_on = "0001_runtime"

STATEMENTS = (
    "alter table cases add column asked_at timestamptz",
    "alter table cases add column told_refunds uuid[] not null default '{}'",
    "update cases set asked_at = now() where state in ('awaiting_seller', 'cancelling')",
    "insert into deadlines (kind, subject, due_at, correlation_id, causation_id, traceparent) "
    "select 'ask_again', case_id::text, clock_now(), correlation_id, correlation_id, traceparent from cases "
    "where asked_at is not null on conflict do nothing",
)


def upgrade() -> None:
    """Adds them."""
    for statement in STATEMENTS:
        op.execute(statement)
