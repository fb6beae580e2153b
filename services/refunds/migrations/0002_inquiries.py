"""When each buyer had DANA asked about a number: the latest times, no more than are allowed in an hour."""

from alembic import op

revision = "0002_inquiries"
down_revision = "0001_refunds"
branch_labels = None

TABLE = """
    create table dana_inquiries (
        buyer_id uuid primary key,
        at timestamptz[] not null
    )
    """


def upgrade() -> None:
    """Creates the table."""
    op.execute(TABLE)
