"""Redis, or its replacement in memory: for data that is shared fast and may be lost without harm."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import BlockingConnectionPool, Connection, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as ConnectionBroken
from redis.exceptions import ReadOnlyError, RedisError
from redis.exceptions import TimeoutError as RedisTimeout

from runtime.errors import Refusal, Unavailable

CALL_TIMEOUT = 0.5
"""Seconds for one connection attempt or one answer."""
TIMEOUT = 0.7
"""Seconds for a whole exchange, with a new connection: a caller gets to know within a second that Redis is away."""
GRACE = 0.05
CONNECTIONS = 50
MAX_COMMANDS = 200
"""Commands that share one round trip."""

Command = tuple[str | int, ...]


class RedisAway(Unavailable):
    """Redis does not answer. What needs it may go on without."""

    code, title = "redis_unavailable", "Redis is away"
    retry_after = 2


class _RedisConnection(Connection):
    """A connection over uvloop, which raises its own error, unknown to the library, for a write after a disconnect.
    After a failover it reconnects, because the server is read-only."""

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        try:
            await super().send_packed_command(command, check_health)
        except RuntimeError as error:
            raise ConnectionBroken(str(error)) from error

    async def read_response(self, *args: Any, **options: Any) -> Any:
        try:
            return await super().read_response(*args, **options)
        except ReadOnlyError:
            self.mark_for_reconnect()  # type: ignore[no-untyped-call]
            raise


def connect(url: str) -> Redis:
    """A client that connects at its first use. It sends a command again whose answer was lost: a command that must
    count once has to know its own work. `memory://` is a Redis inside this process for this client alone;
    `memory://NAME` is shared by all clients of that name."""
    if url.startswith("memory://"):
        from fakeredis import FakeAsyncRedis, FakeServer

        name = url.removeprefix("memory://")
        server = FakeServer.get_server(name, (7,), "redis") if name else FakeServer()
        return FakeAsyncRedis(server=server, decode_responses=True)
    pool = BlockingConnectionPool.from_url(
        url,
        connection_class=_RedisConnection,
        max_connections=CONNECTIONS,
        timeout=CALL_TIMEOUT,
        decode_responses=True,
        socket_timeout=CALL_TIMEOUT,
        socket_connect_timeout=CALL_TIMEOUT,
        retry=Retry(NoBackoff(), 1),
    )
    return Redis.from_pool(pool)


@asynccontextmanager
async def reached(unavailable: type[Refusal] = RedisAway) -> AsyncIterator[None]:
    """Around an exchange with Redis: raises `unavailable` when it fails or takes longer than `TIMEOUT`."""
    try:
        async with asyncio.timeout(TIMEOUT):
            yield
    except (RedisError, OSError) as error:
        stop_if_cancelled()
        raise unavailable("What this needs cannot be reached right now. Try again soon.") from error
    stop_if_cancelled()


def stop_if_cancelled() -> None:
    """Raises `CancelledError` if the task is being cancelled: the library may take that for its own timeout."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


class Shared:
    """Batches commands: those of the same moment share a connection and a round trip, so that a thousand clients that
    reconnect at once do not wait for connections."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._waiting: list[tuple[Command, asyncio.Future[Any]]] = []
        self._task: asyncio.Task[None] | None = None

    async def ask(self, *command: str | int) -> Any:
        """The answer to one command; raises `redis.exceptions.RedisError` when there is none within `TIMEOUT`."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((command, answer))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._exchange())
        try:
            done, _ = await asyncio.wait({answer}, timeout=TIMEOUT)
            if not done:  # perhaps this process was stopped: read once more
                done, _ = await asyncio.wait({answer}, timeout=GRACE)
        finally:
            answer.cancel()  # no effect on an answer that has arrived
        if not done:
            raise RedisTimeout("no answer in time")
        return answer.result()

    async def _exchange(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:MAX_COMMANDS], self._waiting[MAX_COMMANDS:]
            answers: list[Any]
            try:
                async with self._redis.pipeline(transaction=False) as pipeline:
                    for command, _ in batch:
                        pipeline.execute_command(*command)
                    answers = await pipeline.execute(raise_on_error=False)
            except (RedisError, OSError) as error:
                answers = [RedisTimeout(str(error))] * len(batch)
            for (_, future), answer in zip(batch, answers, strict=True):
                if future.done():
                    continue
                if isinstance(answer, Exception):
                    future.set_exception(answer)
                else:
                    future.set_result(answer)


async def writes(redis: Redis, service: str) -> bool:
    """Whether Redis accepts the service's writes: a replica or a full server does not."""
    try:
        async with reached():
            return bool(await redis.set(f"{service}:ready", 1, ex=60))
    except RedisAway:
        return False
