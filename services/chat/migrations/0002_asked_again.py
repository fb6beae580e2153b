"""Keeps why and since when a seller waits for the answer of `orders`; asks again what is open already."""

from alembic import op

revision = "0002_asked_again"
down_revision = "0001_chat"
branch_labels = None
depends_on = "0001_runtime"

STATEMENTS = (
    "alter table threads add column pending_reason text",
    "alter table threads add column asked_at timestamptz",
    "update threads set asked_at = clock_now() where pending is not null",
    "insert into deadlines (kind, subject, due_at, correlation_id, causation_id, traceparent) "
    "select 'ask_again', thread_id::text, asked_at, pending, pending, "
    "'00-' || replace(pending::text, '-', '') || '-' || left(replace(thread_id::text, '-', ''), 16) || '-01' "
    "from threads where pending is not null on conflict do nothing",
)


def upgrade() -> None:
    """Adds them."""
    for statement in STATEMENTS:
        op.execute(statement)
