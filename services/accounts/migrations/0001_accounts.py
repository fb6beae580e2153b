"""The accounts. Sessions are in Redis: they may be lost, and people then sign in again."""

from alembic import op

revision = "0001_accounts"
down_revision = None
branch_labels = ("accounts",)

TABLES = (
    """
    create table accounts (
        account_id uuid primary key,
        email text not null unique check (email = lower(email) and length(email) <= 254),
        password_hash text not null,
        name text not null,
        role text not null check (role in ('buyer', 'seller', 'agent')),
        registered_at timestamptz not null default clock_now()
    )
    """,
)


def upgrade() -> None:
    """Creates the tables."""
    for statement in TABLES:
        op.execute(statement)
