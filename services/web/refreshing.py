"""Continues sessions. A refresh token is valid once, and using it twice ends the session (accounts); a browser that
loads a page sends several requests at once. So of all requests with one token, in all replicas, only one asks accounts,
and the others take its answer."""

import asyncio
import hashlib
import json
from base64 import urlsafe_b64encode
from secrets import token_urlsafe
from typing import Any

from cryptography.fernet import Fernet
from redis.asyncio import Redis
from redis.exceptions import RedisError

from runtime.storage.redis import reached
from services.web.upstream import Refused, ServiceAway, Upstream, granted

KEPT = 60
"""Seconds for which an answer is stored for late requests with the old token."""
KEPT_OVER = 2
"""Seconds for which the end of a session is stored for waiting requests: short, so that invalid tokens do not fill
Redis."""
MAX_LETTERS = 200
"""Of a refresh token; as in accounts."""
UNDER_WAY = 15
"""Seconds after which a replica that asked counts as dead."""
POLL = 0.05
WAITING, OVER = "waiting", "over"


class SessionEnded(Exception):
    """The refresh token is not valid any more: sign in again."""


class Refreshing:
    """Renews tokens. In Redis an answer is encrypted with the token that it answers, which is not stored."""

    def __init__(self, upstream: Upstream, redis: Redis) -> None:
        self._upstream = upstream
        self._redis = redis
        self._tasks: dict[str, asyncio.Task[dict[str, Any]]] = {}

    async def renew(self, refresh: str, client: str) -> dict[str, Any]:
        """The token answer that follows; raises `SessionEnded` and `ServiceAway`."""
        if not 0 < len(refresh) <= MAX_LETTERS:
            raise SessionEnded
        key = f"web:refresh:{hashlib.sha256(b'name' + refresh.encode()).hexdigest()}"
        task = self._tasks.get(key)
        if task is None:
            task = self._tasks[key] = asyncio.create_task(self._renew_once(key, refresh, client))
            task.add_done_callback(lambda done: self._forget_later(key, done))
        return await asyncio.shield(task)  # a cancelled request does not cancel the others' answer

    def _forget_later(self, key: str, task: asyncio.Task[dict[str, Any]]) -> None:
        failed = task.cancelled() or task.exception() is not None
        asyncio.get_running_loop().call_later(0 if failed else KEPT, self._tasks.pop, key, None)

    async def _renew_once(self, key: str, refresh: str, client: str) -> dict[str, Any]:
        lock = Fernet(urlsafe_b64encode(hashlib.sha256(b"lock" + refresh.encode()).digest()))
        try:
            async with reached(ServiceAway):
                mine = WAITING + token_urlsafe(16)  # after a lost answer the command is sent twice, and finds it
                before = await self._redis.set(key, mine, nx=True, get=True, ex=UNDER_WAY)
        except ServiceAway:
            return await self._ask(refresh, client)  # without Redis: correct with one replica only
        if before not in (None, mine):
            return await self._wait(key, lock)
        try:
            answer = await self._ask(refresh, client)
        except SessionEnded:
            await self._store(key, OVER)
            raise
        except BaseException:
            await self._store(key, None)
            raise
        await self._store(key, lock.encrypt(json.dumps(answer).encode()).decode())
        return answer

    async def _wait(self, key: str, lock: Fernet) -> dict[str, Any]:
        while True:
            async with reached(ServiceAway):
                value = await self._redis.get(key)
            if value is None:
                raise ServiceAway("The tokens could not be renewed. Try again.")
            if value == OVER:
                raise SessionEnded
            if not str(value).startswith(WAITING):
                answer: dict[str, Any] = json.loads(lock.decrypt(str(value).encode()))
                return answer
            await asyncio.sleep(POLL)

    async def _store(self, key: str, what: str | None) -> None:
        try:
            if what is None:
                await self._redis.delete(key)
            else:
                await self._redis.set(key, what, ex=KEPT_OVER if what == OVER else KEPT)
        except (RedisError, OSError):
            return  # waiting requests give up when the key expires

    async def _ask(self, refresh: str, client: str) -> dict[str, Any]:
        form = {"grant_type": "refresh_token", "refresh_token": refresh, "client_id": client}
        try:
            answer: dict[str, Any] = granted(await self._upstream.ask("POST", "/accounts/token", data=form))
        except Refused as refused:
            if refused.status == 429:
                raise ServiceAway(refused.detail) from refused
            raise SessionEnded from refused  # also for an invalid token, as in a truncated cookie
        return answer
