"""Notes for each partition until when its events have been consumed."""

from alembic import op

revision = "0005_partitions"
down_revision = "0004_consumed_until"
branch_labels = None
depends_on = "0001_runtime"


def upgrade() -> None:
    """The only row becomes that of the first partition."""
    op.execute("alter table consumed_until drop column one, add column partition integer primary key default 0")
