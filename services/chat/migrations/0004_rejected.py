"""Finds the requests of a thread that were rejected, which are limited."""

from alembic import op

revision = "0004_rejected"
down_revision = "0003_parts"


def upgrade() -> None:
    """Adds the index."""
    op.execute("create index messages_rejected on messages (thread_id, at) where code = 'cancel_rejected'")
