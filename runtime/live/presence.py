"""Who is connected: here, for certain, and at other replicas, as far as Redis knows."""

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
"""Seconds for which somebody counts as connected when nothing more is heard of the replica."""
REFRESH = 15.0
"""Seconds between two rounds in which each replica says who is connected to it, and looks who else is."""
LINGER = 3.0
"""Seconds until somebody who left counts as gone: a page that is loaded anew is no news."""
TOGETHER = 500
"""Accounts that are asked about at once."""

log = logging.getLogger(__name__)


class Presence:
    """Keeps track of the sockets of each account, and tells those who watch an account when it comes and goes."""

    def __init__(self, redis: Redis, service: str, broadcast: RedisBroadcast) -> None:
        self.here: dict[UUID, set[Socket]] = {}
        """The sockets at this replica."""
        self._redis = redis
        self._prefix = f"{service}:online:"
        self._broadcast = broadcast
        self._watchers: dict[UUID, set[Socket]] = {}
        self._elsewhere: set[UUID] = set()
        self._unknown: set[UUID] = set()
        self._asked = asyncio.Event()
        self._due = False

    def enter(self, socket: Socket) -> bool:
        """Somebody has connected; whether it is their first socket here."""
        account = socket.person.account_id
        sockets = self.here.setdefault(account, set())
        sockets.add(socket)
        if len(sockets) > 1:
            return False
        self._keep(account)
        self._changed(account, True)
        return True

    def leave(self, socket: Socket) -> bool:
        """Somebody has disconnected; whether it was their last socket here."""
        for account in socket.watches:
            self._watchers[account].discard(socket)
            if not self._watchers[account]:
                del self._watchers[account]
                self._elsewhere.discard(account)
        account = socket.person.account_id
        sockets = self.here[account]
        sockets.discard(socket)
        if sockets:
            return False
        del self.here[account]
        asyncio.get_running_loop().call_later(LINGER, self._gone, account)
        return True

    def watch(self, socket: Socket, accounts: Iterable[UUID]) -> None:
        """Tells the socket which of the accounts are connected, and when that changes."""
        for account in accounts:
            if account in socket.watches:
                continue
            socket.watches.add(account)
            self._watchers.setdefault(account, set()).add(socket)
            if self.seems_online(account):
                socket.show(_frame(account, True))
            else:
                self._unknown.add(account)
        self._asked.set()

    def on_frame(self, account: UUID, online: bool) -> None:
        """Another replica says that somebody has come or gone."""
        if online:
            self._changed(account, True, elsewhere=True)
        elif account in self.here:
            self._keep(account)  # gone there, but still here: says so before anybody believes it
        else:
            self._changed(account, False)

    def refresh(self) -> None:
        """Says anew who is here, and looks who is elsewhere: Redis may have forgotten, and hints been lost."""
        self._due = True
        self._asked.set()

    def seems_online(self, account: UUID) -> bool:
        """Whether somebody is connected, without asking Redis."""
        return account in self.here or account in self._elsewhere

    async def online(self, accounts: Collection[UUID]) -> set[UUID]:
        """Which of the accounts are connected; while Redis is away, those of whom it is known here."""
        ids = list(accounts)
        known = {account for account in ids if self.seems_online(account)}
        if len(known) == len(ids) or self._broadcast.away:
            return known
        try:
            return known | await self._at_redis(ids)
        except RedisAway:
            return known

    async def run(self) -> None:
        """Says every quarter of a minute who is connected here, and finds out who is elsewhere, until cancelled."""
        while True:
            try:
                async with asyncio.timeout(REFRESH):
                    await self._asked.wait()
            except TimeoutError:
                self._due = True
            self._asked.clear()
            asked, self._unknown = self._unknown, set()
            if self._due:
                self._due = False
                asked = set(self._watchers)
                for account in self.here:
                    self._broadcast.command("SET", self._prefix + str(account), "1", "EX", EXPIRES_IN)
            try:
                if not self._broadcast.away:
                    await self._look(asked - self.here.keys())
            except RedisAway:
                log.debug("who is connected elsewhere is not known now")

    async def _look(self, asked: Collection[UUID]) -> None:
        ids = list(asked)
        for start in range(0, len(ids), TOGETHER):
            some = ids[start : start + TOGETHER]
            online = await self._at_redis(some)
            for account in some:
                if account not in self.here and (account in online) != (account in self._elsewhere):
                    self._changed(account, account in online, elsewhere=True)

    async def _at_redis(self, accounts: list[UUID]) -> set[UUID]:
        async with reached(RedisAway):
            found = await self._redis.mget([self._prefix + str(account) for account in accounts])
        return {account for account, value in zip(accounts, found, strict=True) if value}

    def _keep(self, account: UUID) -> None:
        self._broadcast.command("SET", self._prefix + str(account), "1", "EX", EXPIRES_IN)
        self._say(account, True)

    def _say(self, account: UUID, online: bool) -> None:
        self._broadcast.publish(json.dumps({"presence": str(account), "online": online}))

    def _gone(self, account: UUID) -> None:
        if account not in self.here:
            self._broadcast.command("DEL", self._prefix + str(account))
            self._say(account, False)
            self._changed(account, False)

    def _changed(self, account: UUID, online: bool, *, elsewhere: bool = False) -> None:
        watchers = self._watchers.get(account)
        if watchers and online and elsewhere:
            self._elsewhere.add(account)
        elif not online:
            self._elsewhere.discard(account)
        for socket in tuple(watchers or ()):
            socket.show(_frame(account, online))


def _frame(account: UUID, online: bool) -> str:
    return json.dumps({"type": "presence", "account_id": str(account), "online": online})
