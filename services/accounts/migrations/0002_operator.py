"""Accounts of operators."""

from alembic import op

revision = "0002_operator"
down_revision = "0001_accounts"


def upgrade() -> None:
    """Allows the role."""
    op.execute(
        "alter table accounts drop constraint accounts_role_check, "
        "add constraint accounts_role_check check (role in ('buyer', 'seller', 'agent', 'operator'))"
    )
