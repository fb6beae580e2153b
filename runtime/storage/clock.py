"""The database's clock.

Every decision that depends on time takes it from `clock_now()` in the deciding statement: a process with a wrong clock
can neither open nor close a window. A demonstration may move that time forward by one offset; the function adds it only
if the process that last opened the database runs in demonstration mode.
"""

from datetime import timedelta

from runtime.storage.connections import AsyncpgConnection
from runtime.storage.database import Connection


class ClockFixed(Exception):
    """Time can be moved in demonstration mode only."""

    def __init__(self) -> None:
        super().__init__("the clock can only be moved in demonstration mode (DEMONSTRATION=1)")


async def allow(connection: Connection, demonstration: bool) -> None:
    """Sets whether this database's time may be moved; if not, removes the offset."""
    await connection.execute(
        "update clock set demonstration = $1, shift = case when $1 then shift else interval '0' end "
        "where demonstration is distinct from $1",
        demonstration,
    )


async def shift(connection: Connection) -> timedelta:
    """The current offset."""
    moved: timedelta = await connection.fetchval("select shift from clock")
    return moved


async def advance(connection: Connection | AsyncpgConnection, by: timedelta) -> timedelta:
    """Moves time forward and returns the whole offset; raises `ClockFixed` outside demonstration mode."""
    moved: timedelta | None = await connection.fetchval(
        "update clock set shift = shift + $1 where demonstration returning shift", by
    )
    if moved is None:
        raise ClockFixed
    return moved
