"""Moves time by seconds: a shift of days would add 23 or 25 hours in a time zone with summer time."""

from alembic import op

revision = "0003_exact_time"
down_revision = "0002_heard"
branch_labels = None

STATEMENTS = (
    "update clock set shift = make_interval(secs => extract(epoch from shift)::float8)",
    """
    create or replace function clock_now() returns timestamptz language plpgsql stable as $$
    begin
        return now() + (select make_interval(secs => extract(epoch from shift)::float8) from clock);
    end $$
    """,
)


def upgrade() -> None:
    """Changes clock and function."""
    for statement in STATEMENTS:
        op.execute(statement)
