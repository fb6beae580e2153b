"""Adds which database may pay, and what `orders` knows of refunds that a restore has lost."""

from alembic import op

revision = "0003_restored"
down_revision = "0002_inquiries"

TABLES = (
    """
    create table paying_database (
        one boolean primary key default true check (one),
        system_identifier bigint not null,
        oid bigint not null
    )
    """,
    "alter table refunds add column at_orders text check (at_orders in ('unheard', 'open', 'credited', 'paid'))",
    "create index refunds_restored on refunds (refund_id) where at_orders is not null",
)


def upgrade() -> None:
    """Adds them."""
    for statement in TABLES:
        op.execute(statement)
