"""Hints to the other replicas of a service, through Redis. Hints may get lost; then the replica is notified."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from redis.asyncio import Redis
from redis.exceptions import RedisError

from runtime.backoff import Backoff
from runtime.observability.trace_context import new_id
from runtime.storage.redis import CALL_TIMEOUT, MAX_COMMANDS, Command, RedisAway, reached, stop_if_cancelled

HEARTBEAT = 1.0
"""Seconds without a message after which the subscription is checked with a ping."""
MAX_WAITING = 10_000
"""Commands that may wait for Redis; further ones are dropped, and other replicas get a notice that some were lost."""
RETRY = 0.5
"""Seconds between two tries, at most: after a reconnect, clients wait for what was missed."""
MISSED = "look"
"""The notice that notices were lost: read the database."""

log = logging.getLogger(__name__)


class RedisBroadcast:
    """A channel between the replicas of a service, and commands to Redis without waiting for the answer."""

    def __init__(
        self, redis: Redis, channel: str, on_notice: Callable[[str], object], on_missed: Callable[[], object]
    ) -> None:
        """`on_notice` gets each notice of another replica; `on_missed` is called whenever one may have been lost."""
        self._redis = redis
        self._channel = channel
        self._on_notice, self._on_missed = on_notice, on_missed
        self._me = new_id().hex
        self._waiting: deque[Command] = deque()
        self._lost = False
        self._something = asyncio.Event()
        self.away = True
        """Whether notices of other replicas cannot arrive now."""

    def publish(self, notice: str) -> None:
        """Sends a notice to the other replicas, soon, unless it gets lost."""
        self.command("PUBLISH", self._channel, f"{self._me}\n{notice}")

    def command(self, *command: str | int) -> None:
        """Sends a command to Redis, soon, unless it is away."""
        if len(self._waiting) < MAX_WAITING:
            self._waiting.append(command)
        else:
            self._lost = True
        self._something.set()

    async def run(self) -> None:
        """Publishes and receives until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._publish())
            group.create_task(self._subscribe())

    async def _publish(self) -> None:
        backoff = Backoff("Redis, to publish to other replicas", log, RETRY)
        while True:
            if not self._waiting and not self._lost:
                self._something.clear()
                await self._something.wait()
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), MAX_COMMANDS))]
            lost, self._lost = self._lost, False
            if lost:
                batch.insert(0, ("PUBLISH", self._channel, f"{self._me}\n{MISSED}"))
            try:
                async with reached(RedisAway), self._redis.pipeline(transaction=False) as pipeline:
                    for command in batch:
                        pipeline.execute_command(*command)
                    await pipeline.execute()
                backoff.reset()
            except Exception as error:
                self._lost = True
                self._waiting.clear()  # replicas that read the database need no notices
                await backoff.wait(error)

    async def _subscribe(self) -> None:
        backoff = Backoff("Redis, to receive from other replicas", log, RETRY)
        while True:
            pubsub = self._redis.pubsub()
            try:
                async with asyncio.timeout(2 * CALL_TIMEOUT):
                    await pubsub.subscribe(self._channel)
                asked = False
                while True:
                    stop_if_cancelled()
                    message = await pubsub.get_message(timeout=CALL_TIMEOUT if asked else HEARTBEAT)
                    if message is None and asked:
                        raise RedisAway("it does not answer")
                    asked = message is None
                    if message is None:
                        async with asyncio.timeout(CALL_TIMEOUT):
                            await pubsub.ping()
                    elif message["type"] == "subscribe":  # also after the library has reconnected
                        self.away = False
                        self._on_missed()
                    else:
                        if message["type"] == "message":
                            self._receive(message["data"])
                        backoff.reset()  # only after a message or a pong: a subscription alone is no success
            except Exception as error:
                stop_if_cancelled()
                if not isinstance(error, (RedisError, OSError, RedisAway)):
                    log.exception("receiving from other replicas failed")
                self.away = True
                self._on_missed()
                await backoff.wait(error)
            finally:
                with suppress(RedisError, OSError):
                    await pubsub.aclose()  # type: ignore[no-untyped-call]

    def _receive(self, text: str) -> None:
        sender, _, notice = text.partition("\n")
        if sender == self._me:
            return
        if notice == MISSED:
            self._on_missed()
        else:
            self._on_notice(notice)
