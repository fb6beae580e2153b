"""The latest account inquiries of each buyer, at most as many as are allowed in an hour."""

from alembic import op

revision = "0002_inquiries"
down_revision = "0001_refunds"

TABLE = """
    create table dana_inquiries (
        buyer_id uuid primary key,
        at timestamptz[] not null
    )
    """


def upgrade() -> None:
    """Creates the table."""
    op.execute(TABLE)
