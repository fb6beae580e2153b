"""Connections to PostgreSQL: exact time, several hosts, and commits that are never cancelled."""

import asyncio
import random
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import asyncpg

if TYPE_CHECKING:
    AsyncpgConnection = asyncpg.Connection[asyncpg.Record]
else:
    AsyncpgConnection = asyncpg.Connection

CONNECT_TIMEOUT = 5.0
"""Seconds for connecting, for all hosts of a URL together."""
UTC = {"timezone": "UTC"}
"""In a time zone with summer time PostgreSQL adds a day of 23 or 25 hours. It overrides the settings of server,
database, role and URL."""
MICROSECOND = timedelta(microseconds=1)
BUILT_IN = 10_000
"""The first type id that PostgreSQL does not assign by hand: those below are the same everywhere."""
ARRAYS = frozenset({1000, 1007, 1009, 1016, 1185, 2951, 3807})
"""The arrays of boolean, integer, text, bigint, timestamptz, uuid and jsonb, all of which our statements use."""
_described: dict[frozenset[int], Any] = {}


class SafeConnection(AsyncpgConnection):
    """Closes the connection where the library would cancel a commit.

    A commit that waits for a synchronous standby stops waiting when it is cancelled: the row becomes visible, and is on
    one disk only. When the connection closes instead, the row stays invisible until a standby has it.

    And it asks once per process, not once per connection and type, what built-in array types consist of: that takes
    17 ms.
    """

    _loop: asyncio.AbstractEventLoop
    _top_xact: object

    def _cancel_current_command(self, *waiters: Any) -> None:
        # The library forgets its transaction before it commits. A statement outside of one commits by itself.
        if self._top_xact is None:
            self._loop.call_soon(self.terminate)  # the caller has yet to set its exception
        else:
            super()._cancel_current_command(*waiters)  # type: ignore[misc]

    async def _introspect_types(self, typeoids: Any, timeout: float) -> Any:
        types = ARRAYS if ARRAYS.issuperset(typeoids) else frozenset(typeoids)
        if types not in _described:
            described = await super()._introspect_types(types, timeout)  # type: ignore[misc]
            if max(types) >= BUILT_IN:
                return described
            _described[types] = described
        return _described[types]


async def connect(
    url: str, *, server_settings: dict[str, str] | None = None, timeout: float | None = None, **options: Any
) -> AsyncpgConnection:
    """A connection in UTC, and with durations in microseconds, never in days.

    Tries the hosts of the URL in random order, each with its share of `timeout`, until one is as
    `target_session_attrs` in the URL demands. All connections are made here; `options` are those of `asyncpg.connect`.
    """
    settings, hosts = {**(server_settings or {}), **UTC}, _each_host(url)
    random.shuffle(hosts)
    options |= {"server_settings": settings, "connection_class": SafeConnection}
    options["timeout"] = (timeout or CONNECT_TIMEOUT) / len(hosts)
    failures: list[Exception] = []
    for host in hosts:
        try:
            connection: AsyncpgConnection = await asyncpg.connect(host, **options)  # noqa: TID251
            break
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
            failures.append(error)
        except AttributeError:  # of uvloop, when the server closes the socket while it opens
            failures.append(ConnectionResetError("The database closed a connection while it opened."))
    else:  # a primary without free connections says more than a standby that is none
        raise next((error for error in failures if isinstance(error, asyncpg.TooManyConnectionsError)), failures[-1])
    try:
        await connection.set_type_codec(
            "interval", encoder=_exact, decoder=_duration, schema="pg_catalog", format="tuple"
        )
    except BaseException:
        connection.terminate()
        raise
    return connection


def _each_host(url: str) -> list[str]:
    """The URL with each of its hosts."""
    whole = urlsplit(url)
    account, at, hosts = whole.netloc.rpartition("@")
    return [whole._replace(netloc=f"{account}{at}{host}").geturl() for host in hosts.split(",")]


def _exact(duration: timedelta) -> tuple[int, int, int]:
    return 0, 0, duration // MICROSECOND


def _duration(parts: tuple[int, int, int]) -> timedelta:
    months, days, microseconds = parts
    return timedelta(days=30 * months + days, microseconds=microseconds)  # as in PostgreSQL: a day is 24 hours
