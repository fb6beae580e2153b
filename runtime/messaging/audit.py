"""The audit log: what operators do, and what comes of it. A trigger refuses any change of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from runtime.storage.database import Connection


@dataclass(frozen=True)
class Entry:
    """One line of the log. Without an account it is by the command line, or by the service itself."""

    entry: int
    at: datetime
    account_id: UUID | None
    action: str
    subject: str
    reason: str | None


async def note(connection: Connection, action: str, subject: UUID) -> None:
    """Adds what the service itself has done."""
    await connection.execute("insert into audit_log (action, subject) values ($1, $2)", action, str(subject))


async def latest(connection: Connection, limit: int, subject: str | None = None) -> Sequence[Entry]:
    """The latest entries, or those about one subject, newest first."""
    rows = await (
        connection.fetch(_READ + _ABOUT, limit, subject) if subject else connection.fetch(_READ + _LATEST, limit)
    )
    return [Entry(**row) for row in rows]


_READ = "select entry, at, account_id, action, subject, reason from audit_log "
_LATEST = "order by entry desc limit $1"
_ABOUT = "where subject = $2 order by entry desc limit $1"
