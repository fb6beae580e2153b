"""Sessions: families of refresh tokens, in Redis.

One token of a family is valid, and its use makes the next. A token that is used a second time may be stolen, and the
rightful holder is unknown: so the family ends, and its person signs in again (RFC 9700, 4.14.2).

Every end is published to the other services, which close the session's sockets (`runtime.http.revocations`).
"""

import hashlib
import secrets
from dataclasses import dataclass
from time import time
from typing import Any
from uuid import UUID

from pydantic import BaseModel
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline

from runtime.http.revocations import revoke
from runtime.storage.redis import reached
from services.accounts.domain import Client, SessionOver, SessionsUnavailable

EXPIRES_IN = 30 * 24 * 3600
"""Seconds for which a session that is not used goes on."""
MAX_SESSIONS = 10
"""Sessions of one account. A further one ends the session that was not used for longest."""


class _Family(BaseModel):
    """What Redis holds: no token, only the digest of the valid one. Account and client never change."""

    digest: str
    account_id: UUID
    client: Client


@dataclass(frozen=True)
class Session:
    """A session; `refresh_token` was valid when it was read, or is the next one to use."""

    session_id: str
    account_id: UUID
    client: Client
    refresh_token: str


class Sessions:
    """Starts, continues and ends sessions; everything raises `SessionsUnavailable` when Redis is away."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def start(self, account_id: UUID, client: Client, limit: int = MAX_SESSIONS) -> Session:
        """A new session; beyond `limit`, the account's session that was not used for longest ends."""
        session_id = secrets.token_urlsafe(16)
        session = Session(session_id, account_id, client, _new_token(session_id))
        async with reached(SessionsUnavailable), self._redis.pipeline(transaction=False) as pipeline:
            self._list(pipeline, session)
            pipeline.set(_key(session_id), _value(session), ex=EXPIRES_IN)
            pipeline.zrange(_list_key(account_id), 0, -limit - 1)
            *_, surplus = await pipeline.execute()
        await self.end(account_id, *surplus)
        return session

    def _list(self, pipeline: Pipeline, session: Session) -> None:
        """Puts the session at the end of its account's list: before anything else, so that none is missing there."""
        pipeline.zadd(_list_key(session.account_id), {session.session_id: time()})
        pipeline.expire(_list_key(session.account_id), EXPIRES_IN)

    async def is_alive(self, session_id: str) -> bool:
        """Whether the session goes on."""
        async with reached(SessionsUnavailable):
            return bool(await self._redis.exists(_key(session_id)))

    async def find(self, refresh_token: str, client: Client) -> Session:
        """The session that the token continues. A token used before ends it. Raises `SessionOver`."""
        session_id = refresh_token.partition(".")[0]
        async with reached(SessionsUnavailable):
            value = await self._redis.get(_key(session_id))
        if value is None:
            raise SessionOver
        family = _Family.model_validate_json(value)
        if not secrets.compare_digest(family.digest, _digest(refresh_token)):
            await self.end(family.account_id, session_id)
            raise SessionOver
        if family.client != client:
            raise SessionOver
        return Session(session_id, family.account_id, client, refresh_token)

    async def renew(self, session: Session) -> Session:
        """The same session with its next token; of concurrent uses of one token, only the first gets it.

        Raises `SessionOver`.
        """
        renewed = Session(session.session_id, session.account_id, session.client, _new_token(session.session_id))
        async with reached(SessionsUnavailable), self._redis.pipeline(transaction=False) as pipeline:
            self._list(pipeline, renewed)
            # One command writes the next token and returns the one before. If that is not the expected one, no client
            # holds the token just written: the family ends here, or after a crash has no usable token. After a lost
            # answer the command is sent twice, and finds its own token.
            pipeline.set(_key(session.session_id), _value(renewed), ex=EXPIRES_IN, xx=True, get=True)
            *_, before = await pipeline.execute()
        expected = {_digest(session.refresh_token), _digest(renewed.refresh_token)}
        if not before or _Family.model_validate_json(str(before)).digest not in expected:
            await self.end(session.account_id, session.session_id)
            raise SessionOver
        return renewed

    async def end(self, account_id: UUID, *session_ids: str) -> None:
        """Ends sessions of the account, if they exist."""
        if not session_ids:
            return
        async with reached(SessionsUnavailable), self._redis.pipeline(transaction=True) as pipeline:
            pipeline.delete(*map(_key, session_ids))
            pipeline.zrem(_list_key(account_id), *session_ids)
            revoke(pipeline, account_id, session_ids)
            await pipeline.execute()

    async def end_all(self, account_id: UUID, besides: str = "") -> None:
        """Ends all sessions of the account, or all but one."""
        async with reached(SessionsUnavailable):
            found: Any = await self._redis.zrange(_list_key(account_id), 0, -1)
        await self.end(account_id, *(session_id for session_id in found if session_id != besides))


def _new_token(session_id: str) -> str:
    return f"{session_id}.{secrets.token_urlsafe(32)}"


def _key(session_id: str) -> str:
    return f"accounts:family:{session_id}"


def _list_key(account_id: UUID) -> str:
    return f"accounts:sessions:{account_id}"


def _value(session: Session) -> str:
    family = _Family(digest=_digest(session.refresh_token), account_id=session.account_id, client=session.client)
    return family.model_dump_json()


def _digest(refresh_token: str) -> str:
    return hashlib.sha256(refresh_token.encode()).hexdigest()
