"""Counts, of the events of each subject, those that another service hears: what the invariants are held against."""

from alembic import op

revision = "0002_heard"
down_revision = "0001_runtime"
branch_labels = None

TABLES = (
    # Null: from before they were counted, so that nothing is known.
    "alter table event_sequence add column heard integer",
)


def upgrade() -> None:
    """Adds the column."""
    for statement in TABLES:
        op.execute(statement)
