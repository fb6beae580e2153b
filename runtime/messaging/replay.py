"""Replay: the handlers run again on a parked message when an operator asks for it."""

import asyncio
import logging

import asyncpg

from runtime.backoff import Backoff, unevenly
from runtime.messaging import audit
from runtime.messaging.consumer import Consumer
from runtime.messaging.envelope import MAX_BODY, UnreadableEvent
from runtime.messaging.parked import printable
from runtime.messaging.unit_of_work import UnitOfWork
from runtime.storage.database_errors import is_away, is_transient

POLL = 2.0
"""Seconds within which a replay begins."""

log = logging.getLogger(__name__)

_NEXT_REPLAY = """
update parked set state = 'parked' where parked_id = (
    select parked_id from parked where state = 'replay' order by parked_at limit 1 for update skip locked
)
returning parked_id, routing_key, body, size
"""
_STATE = "select state from parked where parked_id = $1 for update"


class Replays:
    """Replays the parked messages for which a replay was requested."""

    def __init__(self, uow: UnitOfWork, consumer: Consumer) -> None:
        self._uow = uow
        self._consumer = consumer

    async def run(self) -> None:
        """Polls for replays until it is cancelled."""
        backoff = Backoff("PostgreSQL, for replays", log)
        while True:
            try:
                while await self.replay_one(backoff):
                    pass
                await asyncio.sleep(unevenly(POLL))
            except Exception as error:
                if not is_transient(error):
                    log.exception("replaying failed")
                await backoff.wait(error)

    async def replay_one(self, backoff: Backoff) -> bool:
        """Replays one message; after a failure it stays parked with the new error. Returns False if there is none.

        It is marked as parked before the try, so that a message that crashes the process does so once.
        """
        async with self._uow.database.connection() as connection:
            row = await connection.fetchrow(_NEXT_REPLAY)
        while row is not None:
            try:
                await self._replay(row)
            except Exception as error:
                if is_away(error):
                    await backoff.wait(error)
                    continue
                log.warning("the replay of %s failed: %r", row["parked_id"], error)
                async with self._uow.database.transaction() as connection:
                    await connection.execute(
                        "update parked set error = $2 where parked_id = $1", row["parked_id"], printable(_reason(error))
                    )
                    await audit.note(connection, "replay_failed", row["parked_id"])
            backoff.reset()
            return True
        return False

    async def _replay(self, row: asyncpg.Record) -> None:
        if row["size"] > MAX_BODY:
            raise UnreadableEvent(f"too large: {row['size']} bytes, of which only the beginning was kept")
        envelope = self._consumer.reader.read(row["body"], row["routing_key"])
        async with self._uow.begin() as tx:
            # Locked, so that it cannot be discarded while it has its effect.
            state = await tx.connection.fetchval(_STATE, row["parked_id"])
            if state not in ("parked", "replay"):
                return
            is_new = await self._consumer.new_ids(tx, [envelope.id])
            tx.trace(self._uow.service, *(([envelope], []) if is_new else ([], [envelope])), "replay")
            if is_new:  # else a later copy has had its effect
                await self._consumer.acquire_locks(tx, [envelope])
                await self._consumer.act(tx, [envelope])
            await tx.connection.execute("update parked set state = 'replayed' where parked_id = $1", row["parked_id"])
            await audit.note(tx.connection, "replayed", row["parked_id"])


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, UnreadableEvent) else f"failed with {error!r}"
