"""The number of partitions in which a service consumes, and its move to another number."""

from alembic import op

revision = "0004_partitioning"
down_revision = "0003_exact_time"
branch_labels = None

STATEMENTS = (
    """
    create table partitioning (
        current integer not null,
        stage text not null check (stage in ('steady', 'draining', 'closing')),
        other integer,
        wanted integer not null,
        messages_left bigint not null
    )
    """,
    "insert into partitioning values (1, 'steady', null, 1, 0)",
)


def upgrade() -> None:
    """Creates the table, with its only row."""
    for statement in STATEMENTS:
        op.execute(statement)
