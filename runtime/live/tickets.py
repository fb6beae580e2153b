"""Who may open a WebSocket: pages of known origins, with a one-use ticket.

A page cannot send its access token with the handshake, so it fetches a ticket with it first.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from secrets import token_urlsafe
from time import time
from uuid import UUID

from pydantic import BaseModel
from redis.asyncio import Redis
from redis.exceptions import RedisError
from starlette.datastructures import Headers

from runtime import urls
from runtime.errors import Forbidden, Unauthenticated, Unavailable
from runtime.http.auth import Identity
from runtime.http.hosts import is_same_origin
from runtime.http.rate_limit import RateLimit
from runtime.http.revocations import ENDED, entry_of
from runtime.settings import Environment, SettingInvalid
from runtime.storage.redis import Shared

EXPIRES_IN = 30
"""Seconds in which a ticket must be used."""
MAX_TICKETS = 60
"""Tickets that one account may get in that time."""

_TICKET = re.compile(r"[A-Za-z0-9_-]{43}")


class LiveUnavailable(Unavailable):
    """Redis is away, so clients cannot connect for live messages. Everything else works, and nothing is lost."""

    code, title = "live_unavailable", "Live messages are not possible right now"
    retry_after = 2


class TicketRefused(Forbidden):
    """The ticket was never issued, has expired, was used before, or outlived its token or session."""

    code, title = "ticket_refused", "The ticket is not valid"


class ForeignOrigin(Forbidden):
    """A page of another site, which must not connect in the name of the person at the browser."""

    code, title = "foreign_origin", "This origin may not connect"


class Ticket(BaseModel):
    """The value of `?ticket=`, valid once and for `expires_in` seconds."""

    ticket: str
    expires_in: int = EXPIRES_IN


@asynccontextmanager
async def _reached() -> AsyncIterator[None]:
    try:
        yield
    except RedisError as error:
        raise LiveUnavailable("Redis cannot be reached. Try again soon.") from error


class Tickets:
    """The tickets of one service, in Redis, so that they can be used at any replica."""

    def __init__(self, redis: Redis, service: str, away: Callable[[], bool] = lambda: False) -> None:
        self._redis = Shared(redis)
        self._rate_limit = RateLimit(redis, f"{service}:tickets", MAX_TICKETS, EXPIRES_IN, away)
        self._prefix = f"{service}:ticket:"

    async def issue(self, person: Identity) -> Ticket:
        """A ticket for `person`; raises `Unauthenticated`, `RateLimited` and `LiveUnavailable`."""
        ticket = Ticket(ticket=token_urlsafe(32))
        proof = json.dumps([str(person.account_id), person.role, person.client, person.session, person.expires])
        async with _reached():
            over, _ = await asyncio.gather(self._is_over(person), self._rate_limit.take(str(person.account_id)))
            if over:
                raise Unauthenticated("The session is over.")
            await self._redis.ask("SET", self._prefix + ticket.ticket, proof, "EX", EXPIRES_IN)
        return ticket

    async def redeem(self, ticket: str) -> Identity:
        """The person that the ticket was issued to. The ticket is used up.

        Raises `TicketRefused` and `LiveUnavailable`.
        """
        if not _TICKET.fullmatch(ticket):
            raise TicketRefused("A ticket is needed: POST …/tickets, then ?ticket=…")
        async with _reached():
            proof = await self._redis.ask("GETDEL", self._prefix + ticket)
            if proof is None:
                raise TicketRefused("The ticket has expired or was used before. Get a new one.")
            account_id, role, client, session, expires = json.loads(proof)
            person = Identity(UUID(account_id), role, client, session, expires)
            if person.expires <= time() or await self._is_over(person):
                raise TicketRefused("The session that the ticket was issued in is over.")
        return person

    async def _is_over(self, person: Identity) -> bool:
        return await self._redis.ask("ZSCORE", ENDED, entry_of(person.account_id, person.session)) is not None


def origins(env: Environment) -> frozenset[str]:
    """The setting ORIGINS: pages of which origins may connect, separated by commas. Raises `SettingInvalid`."""
    text = env.get("ORIGINS", "http://127.0.0.1:8080,http://localhost:8080")
    found = frozenset(one.strip().rstrip("/").lower() for one in text.split(",") if one.strip())
    for origin in found:
        if wrong := urls.what_is_wrong(origin, urls.HTTP):
            raise SettingInvalid("ORIGINS", wrong)
    return found


def check_origin(headers: Headers, allowed: Collection[str]) -> None:
    """Raises `ForeignOrigin`. A client without an Origin is no browser; pages of the service's own host may connect."""
    origin = headers.get("origin")
    if origin is None or origin.lower() in allowed:
        return
    if not is_same_origin(origin, headers.get("host", "")):
        raise ForeignOrigin(f"Pages of {origin!r:.100} may not connect.")
