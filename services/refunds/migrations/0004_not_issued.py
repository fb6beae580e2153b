"""Indexes the refunds whose money has not arrived: metrics count them often."""

from alembic import op

revision = "0004_not_issued"
down_revision = "0003_restored"


def upgrade() -> None:
    """Adds the index."""
    op.execute("create index refunds_not_issued on refunds (state, opened_at) where state <> 'issued'")
