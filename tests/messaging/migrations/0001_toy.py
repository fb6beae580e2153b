"""The tables of a toy service."""

from alembic import op

revision = "0001_toy"
down_revision = None
branch_labels = ("toy",)


def upgrade() -> None:
    """Creates the table: a row for each effect, in their order."""
    op.execute(
        "create table effects (place bigint generated always as identity, thing text not null, number integer not null,"
        " note text not null)"
    )
