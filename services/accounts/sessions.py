"""Sessions: families of refresh tokens, in Redis.

Of a family one token is valid, and using it makes the next. A token that is used a second time was in two hands, and
nobody can tell whose is the right one: so the family ends, and its person signs in again (RFC 9700, 4.14.2).
"""

import hashlib
import secrets
from dataclasses import dataclass
from uuid import UUID

from pydantic import BaseModel
from redis.asyncio import Redis

from runtime.redis import reached
from services.accounts.domain import Client, SessionOver

EXPIRES_IN = 30 * 24 * 3600
"""Seconds for which a session that is not used goes on."""


class _Family(BaseModel):
    """What Redis holds: no token, only the digest of the valid one. Account and client never change."""

    digest: str
    account_id: UUID
    client: Client


@dataclass(frozen=True)
class Session:
    """A session in which `refresh_token` was valid when it was looked at, or is the one to use next."""

    session_id: str
    account_id: UUID
    client: Client
    refresh_token: str


class Sessions:
    """Starts, continues and ends sessions; everything raises `SessionsUnavailable` when Redis is away."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def start(self, account_id: UUID, client: Client) -> Session:
        """A new session."""
        session_id = secrets.token_urlsafe(16)
        session = Session(session_id, account_id, client, _new_token(session_id))
        async with reached():
            await self._redis.set(_key(session_id), _value(session), ex=EXPIRES_IN)
        return session

    async def find(self, refresh_token: str, client: Client) -> Session:
        """The session that the token continues. A token used before ends it. Raises `SessionOver`."""
        session_id = refresh_token.partition(".")[0]
        async with reached():
            value = await self._redis.get(_key(session_id))
        if value is None:
            raise SessionOver
        family = _Family.model_validate_json(value)
        if not secrets.compare_digest(family.digest, _digest(refresh_token)):
            await self.end(session_id)
            raise SessionOver
        if family.client != client:
            raise SessionOver
        return Session(session_id, family.account_id, client, refresh_token)

    async def renew(self, session: Session) -> Session:
        """The same session with its next token; of those who come at once with the same one, only the first has it.

        Raises `SessionOver`.
        """
        renewed = Session(session.session_id, session.account_id, session.client, _new_token(session.session_id))
        async with reached():
            # One command writes the next and returns the one before. Whoever gets back another than expected has
            # put a token there that nobody holds, and then ends the family: cut off in between, it is as good as over.
            before = await self._redis.set(_key(session.session_id), _value(renewed), ex=EXPIRES_IN, xx=True, get=True)
            if not before or _Family.model_validate_json(str(before)).digest != _digest(session.refresh_token):
                await self._redis.delete(_key(session.session_id))
                raise SessionOver
        return renewed

    async def end(self, session_id: str) -> None:
        """Ends the session, if there is one."""
        async with reached():
            await self._redis.delete(_key(session_id))


def _new_token(session_id: str) -> str:
    return f"{session_id}.{secrets.token_urlsafe(32)}"


def _key(session_id: str) -> str:
    return f"accounts:family:{session_id}"


def _value(session: Session) -> str:
    family = _Family(digest=_digest(session.refresh_token), account_id=session.account_id, client=session.client)
    return family.model_dump_json()


def _digest(refresh_token: str) -> str:
    return hashlib.sha256(refresh_token.encode()).hexdigest()
