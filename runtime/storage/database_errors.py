"""The reaction to each error of the database, in one table. docs/availability.md shows it."""

import asyncio
from collections.abc import Mapping
from enum import StrEnum

import asyncpg

from runtime.errors import Unavailable


class DatabaseUnavailable(Unavailable):
    """The database cannot be reached now, or the connection was lost. Try again soon."""

    code, title = "database_unavailable", "The database is away"
    retry_after = 2


class Retry(StrEnum):
    """Whether an event or a deadline is tried again, and whether the try counts against it."""

    UNCOUNTED = "without count"
    """The cause is the server or the connection: a new connection, or time, cures it."""
    TRANSIENT = "with count, transient"
    """The statement timed out, or conflicted with another one: it may succeed later, or never."""
    COUNTED = "with count"
    """The cause may be the code or the data; a request is answered 500."""
    NEVER = "no"
    """The same input fails in the same way each time."""


RETRIES: Mapping[str, Retry] = {
    "08": Retry.UNCOUNTED,  # connection exception
    "08P01": Retry.NEVER,  # protocol violation: a pooler that refuses a setting of the session, for example
    "0A": Retry.NEVER,  # feature not supported
    "21": Retry.NEVER,  # cardinality violation
    "22": Retry.NEVER,  # data exception
    "25006": Retry.UNCOUNTED,  # read-only: a standby, or a former primary
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
    """The table's reaction to an error; `COUNTED` for errors other than the database's."""
    if isinstance(error, (asyncpg.InvalidCachedStatementError, asyncpg.OutdatedSchemaCacheError)):
        return Retry.UNCOUNTED  # another replica has just migrated the tables; the library has dropped its cache
    if isinstance(error, asyncpg.PostgresError):
        state = error.sqlstate or ""
        return RETRIES.get(state) or RETRIES.get(state[:2]) or Retry.COUNTED
    if isinstance(error, asyncpg.DataError):
        return Retry.NEVER  # the library refuses a value that does not fit its type
    if isinstance(error, asyncpg.InterfaceError):
        # A connection or pool "is closed" or "is closing"; other errors are wrong use.
        return Retry.UNCOUNTED if "clos" in str(error) else Retry.COUNTED
    if isinstance(error, asyncio.TimeoutError) and error.errno is None:
        return Retry.TRANSIENT  # a statement's; one that waited for a connection is `DatabaseUnavailable`
    # The library raises InternalClientError if it is used between the server's shutdown and the end of the connection.
    if isinstance(error, (OSError, asyncpg.InternalClientError, DatabaseUnavailable)):
        return Retry.UNCOUNTED
    return Retry.COUNTED


def is_away(error: BaseException) -> bool:
    """Whether to try again without counting: the failed operation is not the cause."""
    return retry_of(error) is Retry.UNCOUNTED


def is_transient(error: BaseException) -> bool:
    """Whether another try may help: loops go on, and requests are answered 503."""
    return retry_of(error) in (Retry.UNCOUNTED, Retry.TRANSIENT)


def is_lost(error: BaseException) -> bool:
    """Whether the transaction was rolled back because of a conflict: it can run again at once."""
    return isinstance(error, asyncpg.PostgresError) and (error.sqlstate or "").startswith("40")
