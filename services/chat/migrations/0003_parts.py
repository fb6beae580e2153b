"""Keeps which parts of an order are cancelled, what its products are called, and the pieces that a seller asks for."""

from alembic import op

revision = "0003_parts"
down_revision = "0002_asked_again"

STATEMENTS = (
    "alter table orders_known add column titles jsonb not null default '{}'",
    "alter table orders_known add column parts uuid[] not null default '{}'",
    # Null: older than this column; it is of an order that is cancelled as a whole.
    "alter table refunds_known add column cancellation_id uuid",
    # Null: all that are left.
    "alter table threads add column pending_lines jsonb",
)


def upgrade() -> None:
    """Adds them."""
    for statement in STATEMENTS:
        op.execute(statement)
