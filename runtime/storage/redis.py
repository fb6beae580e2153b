"""Redis, or a stand-in in memory: for what may be lost without harm and must be shared fast."""

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


class _Connection(Connection):
    """Over uvloop, which has an error of its own, unknown to the library, for what is written after a break. One that
    leads to a replica, as after a failover, is made anew."""

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
    """A client that connects when it is first used. `memory://` is a Redis inside this process, for this client alone;
    `memory://NAME` is one that all clients of that name share."""
    if url.startswith("memory://"):
        from fakeredis import FakeAsyncRedis, FakeServer

        name = url.removeprefix("memory://")
        server = FakeServer.get_server(name, (7,), "redis") if name else FakeServer()
        return FakeAsyncRedis(server=server, decode_responses=True)
    pool = BlockingConnectionPool.from_url(
        url,
        connection_class=_Connection,
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
    """Ends a task that was cancelled while the library waited: it may take a cancellation for a timeout of its own."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


class Shared:
    """Asks Redis together: what is asked at the same moment shares a connection and a round trip. A thousand clients
    who come back at once then wait for one answer, and not for connections."""

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
            if not done:  # or it is there, and this process stood still: that shows when it has looked once more
                done, _ = await asyncio.wait({answer}, timeout=GRACE)
        finally:
            answer.cancel()  # does nothing to an answer that is there
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
            for (_, asked), answer in zip(batch, answers, strict=True):
                if asked.done():
                    continue
                if isinstance(answer, Exception):
                    asked.set_exception(answer)
                else:
                    asked.set_result(answer)


async def writes(redis: Redis, service: str) -> bool:
    """Whether Redis takes right now what the service writes: a replica does not, nor one that is full."""
    try:
        async with reached():
            return bool(await redis.set(f"{service}:ready", 1, ex=60))
    except RedisAway:
        return False
