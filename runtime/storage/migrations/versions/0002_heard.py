"""Counts the events of each subject that another service consumes, for the invariants."""

from alembic import op

revision = "0002_heard"
down_revision = "0001_runtime"
branch_labels = None


def upgrade() -> None:
    """Adds the column; null: unknown, because the events were not counted before."""
    op.execute("alter table event_sequence add column heard integer")
