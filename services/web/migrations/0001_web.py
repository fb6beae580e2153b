"""Pages keep nothing: who is signed in is in the browser's cookies, and everything else with the other services."""

revision = "0001_web"
down_revision = None
branch_labels = ("web",)


def upgrade() -> None:
    """Creates no tables."""
