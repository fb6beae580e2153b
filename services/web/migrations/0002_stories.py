"""The last traces of a demonstration."""

from alembic import op

revision = "0002_stories"
down_revision = "0001_web"
branch_labels = None

TABLES = (
    """
    create table stories (
        story text primary key,
        last timestamptz not null,
        records jsonb not null
    )
    """,
    "create index stories_last on stories (last desc)",
)


def upgrade() -> None:
    """Creates the table."""
    for statement in TABLES:
        op.execute(statement)
