"""Names the table by what it keeps: until when events have been consumed."""

from alembic import op

revision = "0004_consumed_until"
down_revision = "0003_reserved"
branch_labels = None
depends_on = "0001_runtime"


def upgrade() -> None:
    """Renames it."""
    op.execute("alter table hearing rename to consumed_until")
