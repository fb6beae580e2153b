"""Pages store nothing: sessions are in the browser's cookies, and everything else is in the other services."""

revision = "0001_web"
down_revision = None
branch_labels = ("web",)


def upgrade() -> None:
    """Creates no tables."""
