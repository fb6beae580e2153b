"""Which accounts are connected: to this replica for certain, to others as far as Redis knows."""

import asyncio
import json
import logging
from collections.abc import Collection, Iterable
from uuid import UUID

from redis.asyncio import Redis

from runtime.live.sockets import Socket
from runtime.storage.broadcast import RedisBroadcast
from runtime.storage.redis import RedisAway, reached

EXPIRES_IN = 40
"""Seconds after which the accounts of a replica that has died count as disconnected."""
REFRESH = 15.0
"""Seconds between two rounds in which each replica writes down its accounts, and reads those of the others."""
LINGER = 3.0
"""Seconds after which an account without a socket counts as gone, so that reloading a page changes nothing."""
MAX_ACCOUNTS = 500
"""Accounts that are read from Redis at once."""

log = logging.getLogger(__name__)


class Presence:
    """Knows the sockets of each account. Sends a frame to its watchers when an account connects or disconnects."""

    def __init__(self, redis: Redis, service: str, broadcast: RedisBroadcast) -> None:
        self.sockets: dict[UUID, set[Socket]] = {}
        """The sockets at this replica."""
        self._redis = redis
        self._prefix = f"{service}:online:"
        self._broadcast = broadcast
        self._watchers: dict[UUID, set[Socket]] = {}
        self._at_others: set[UUID] = set()
        self._unknown: set[UUID] = set()
        self._woken = asyncio.Event()
        self._due = False

    def enter(self, socket: Socket) -> bool:
        """Adds a socket; whether it is the first of its account at this replica."""
        account = socket.person.account_id
        sockets = self.sockets.setdefault(account, set())
        sockets.add(socket)
        if len(sockets) > 1:
            return False
        self._write(account)
        self._changed(account, True)
        return True

    def leave(self, socket: Socket) -> None:
        """Removes a socket."""
        for account in socket.watches:
            self._watchers[account].discard(socket)
            if not self._watchers[account]:
                del self._watchers[account]
                self._at_others.discard(account)
        account = socket.person.account_id
        sockets = self.sockets[account]
        sockets.discard(socket)
        if not sockets:
            del self.sockets[account]
            asyncio.get_running_loop().call_later(LINGER, self._gone, account)

    def watch(self, socket: Socket, accounts: Iterable[UUID]) -> None:
        """Sends the socket which of the accounts are connected, and each change."""
        for account in accounts:
            if account in socket.watches:
                continue
            socket.watches.add(account)
            self._watchers.setdefault(account, set()).add(socket)
            if self.seems_online(account):
                socket.send(_frame(account, True))
            else:
                self._unknown.add(account)
        self._woken.set()

    def on_frame(self, account: UUID, online: bool) -> None:
        """Takes the news of another replica that an account has come or gone."""
        if online:
            self._changed(account, True, at_others=True)
        elif account in self.sockets:
            self._write(account)  # gone there, still connected here: corrects it
        else:
            self._changed(account, False)

    def refresh(self) -> None:
        """Writes and reads all accounts once more: Redis may have lost keys, and this replica hints."""
        self._due = True
        self._woken.set()

    def seems_online(self, account: UUID) -> bool:
        """Whether an account is connected, without asking Redis."""
        return account in self.sockets or account in self._at_others

    async def online(self, accounts: Collection[UUID]) -> set[UUID]:
        """Which of the accounts are connected; while Redis is away, as far as this replica knows."""
        ids = list(accounts)
        known = {account for account in ids if self.seems_online(account)}
        if len(known) == len(ids) or self._broadcast.away:
            return known
        try:
            return known | await self._at_redis(ids)
        except RedisAway:
            return known

    async def run(self) -> None:
        """Writes down its accounts and reads those of the others, every `REFRESH` seconds, until cancelled."""
        while True:
            try:
                async with asyncio.timeout(REFRESH):
                    await self._woken.wait()
            except TimeoutError:
                self._due = True
            self._woken.clear()
            asked, self._unknown = self._unknown, set()
            if self._due:
                self._due = False
                asked = set(self._watchers)
                for account in self.sockets:
                    self._broadcast.command("SET", self._prefix + str(account), "1", "EX", EXPIRES_IN)
            try:
                if not self._broadcast.away:
                    await self._look(asked - self.sockets.keys())
            except RedisAway:
                log.debug("Redis is away: which accounts other replicas have is unknown")

    async def _look(self, asked: Collection[UUID]) -> None:
        ids = list(asked)
        for start in range(0, len(ids), MAX_ACCOUNTS):
            some = ids[start : start + MAX_ACCOUNTS]
            online = await self._at_redis(some)
            for account in some:
                if account not in self.sockets and (account in online) != (account in self._at_others):
                    self._changed(account, account in online, at_others=True)

    async def _at_redis(self, accounts: list[UUID]) -> set[UUID]:
        async with reached(RedisAway):
            found = await self._redis.mget([self._prefix + str(account) for account in accounts])
        return {account for account, value in zip(accounts, found, strict=True) if value}

    def _write(self, account: UUID) -> None:
        self._broadcast.command("SET", self._prefix + str(account), "1", "EX", EXPIRES_IN)
        self._announce(account, True)

    def _announce(self, account: UUID, online: bool) -> None:
        self._broadcast.publish(json.dumps({"presence": str(account), "online": online}))

    def _gone(self, account: UUID) -> None:
        if account not in self.sockets:
            self._broadcast.command("DEL", self._prefix + str(account))
            self._announce(account, False)
            self._changed(account, False)

    def _changed(self, account: UUID, online: bool, *, at_others: bool = False) -> None:
        watchers = self._watchers.get(account)
        if watchers and online and at_others:
            self._at_others.add(account)
        elif not online:
            self._at_others.discard(account)
        for socket in tuple(watchers or ()):
            socket.send(_frame(account, online))


def _frame(account: UUID, online: bool) -> str:
    return json.dumps({"type": "presence", "account_id": str(account), "online": online})
