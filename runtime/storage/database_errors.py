"""What to do about each fault of the database: one table for all that try again. docs/operations.md shows it."""

import asyncio
from collections.abc import Mapping
from enum import StrEnum

import asyncpg

from runtime.errors import Unavailable


class DatabaseUnavailable(Unavailable):
    """The database cannot be reached now, or broke off. Ask again soon."""

    code, title = "database_unavailable", "The database is away"
    retry_after = 2


class Retry(StrEnum):
    """Whether an event or a deadline is tried again, and whether the try counts against it."""

    UNCOUNTED = "without count"
    """The fault lies in the server or the connection: a new connection, or time, cures it."""
    TRANSIENT = "with count, transient"
    """The statement took too long or lost against another one: it may succeed, and may never."""
    COUNTED = "with count"
    """It may be ours or the data's; a request is answered 500."""
    NEVER = "no"
    """The same input fails in the same way each time."""


RETRIES: Mapping[str, Retry] = {
    "08": Retry.UNCOUNTED,  # connection exception
    "0A": Retry.NEVER,  # feature not supported
    "21": Retry.NEVER,  # cardinality violation
    "22": Retry.NEVER,  # data exception
    "25006": Retry.UNCOUNTED,  # read-only: a standby, or a primary that is one no more
    "25P03": Retry.TRANSIENT,  # idle in transaction
    "25P04": Retry.TRANSIENT,  # transaction timeout
    "28": Retry.UNCOUNTED,  # our role is not let in (yet)
    "3D": Retry.UNCOUNTED,  # our database is not there (yet)
    "40": Retry.TRANSIENT,  # deadlock, serialization
    "53": Retry.UNCOUNTED,  # too many connections, disk full
    "53200": Retry.TRANSIENT,  # out of memory
    "53400": Retry.TRANSIENT,  # a configured limit, as of temporary files
    "54": Retry.NEVER,  # program limit exceeded
    "55": Retry.TRANSIENT,  # lock not available, object in use
    "57014": Retry.TRANSIENT,  # statement timeout, or cancelled
    "57": Retry.UNCOUNTED,  # shutting down, starting, recovering
    "58": Retry.UNCOUNTED,  # an error outside of PostgreSQL, as of the disk
}
"""By SQLSTATE, or by its class, the first two characters. Any other SQLSTATE is `COUNTED`."""


def retry_of(error: BaseException) -> Retry:
    """What the table says of an error; `COUNTED` for all that is not the database's."""
    if isinstance(error, (asyncpg.InvalidCachedStatementError, asyncpg.OutdatedSchemaCacheError)):
        return Retry.UNCOUNTED  # another replica has just migrated the tables; the library has forgotten them by now
    if isinstance(error, asyncpg.PostgresError):
        state = error.sqlstate or ""
        return RETRIES.get(state) or RETRIES.get(state[:2]) or Retry.COUNTED
    if isinstance(error, asyncpg.DataError):
        return Retry.NEVER  # a value that does not fit into its type, found by the library
    if isinstance(error, asyncpg.InterfaceError):
        # A connection or pool that "is closed", "is closing"; the rest is wrong use.
        return Retry.UNCOUNTED if "clos" in str(error) else Retry.COUNTED
    if isinstance(error, asyncio.TimeoutError) and error.errno is None:
        return Retry.TRANSIENT  # a statement's; one that waited for a connection is `DatabaseUnavailable`
    # The library raises InternalClientError when it is used between the server's last words and the connection's end.
    if isinstance(error, (OSError, asyncpg.InternalClientError, DatabaseUnavailable)):
        return Retry.UNCOUNTED
    return Retry.COUNTED


def is_away(error: BaseException) -> bool:
    """Whether to try again without counting: what failed has no part in it."""
    return retry_of(error) is Retry.UNCOUNTED


def is_transient(error: BaseException) -> bool:
    """Whether trying again may help, for loops that go on in any case and for requests, which are answered 503."""
    return retry_of(error) in (Retry.UNCOUNTED, Retry.TRANSIENT)


def is_lost(error: BaseException) -> bool:
    """Whether the transaction lost against another one: nothing of it has happened, and it can run again at once."""
    return isinstance(error, asyncpg.PostgresError) and (error.sqlstate or "").startswith("40")
