"""People on live connections that break all the time: each fetches what it has missed."""

import asyncio
import json
import random

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from batalkan.local_servers import LocalDeployment
from lab.faults.system import RETRY
from tests.harness.actors import Person
from tests.harness.live_client import Messages, address


class LiveUser:
    """One person's live connection to a replica of a service, opened again whenever it is lost."""

    def __init__(self, system: LocalDeployment, service: str, person: Person, messages: Messages | None = None) -> None:
        self.person = person
        self.messages = messages or Messages(service, person)
        self.connections = 0
        self.errors: list[str] = []
        self._service = service
        self._origins = system.origins[service]

    @property
    def has(self) -> dict[str, int]:
        """The last message of each conversation."""
        return self.messages.last

    @property
    def wrong(self) -> list[str]:
        """Each message that was lost or came in a wrong place, and each error frame."""
        return self.messages.wrong + self.errors

    async def run(self) -> None:
        """Listens until it is cancelled."""
        while True:
            try:
                await self._connection()
            except (OSError, WebSocketException):  # a TimeoutError is one, too
                await asyncio.sleep(RETRY)

    async def _connection(self) -> None:
        ticket = (await self.person.ask("POST", f"/{self._service}/tickets")).raise_for_status().json()["ticket"]
        url = address(random.choice(self._origins).removeprefix("http://"), ticket, self._service)
        async with connect(
            url, proxy=None, compression=None, open_timeout=10, close_timeout=0.1, ping_interval=None
        ) as socket:
            self.connections += 1
            for conversation in list(self.has):
                await self.messages.catch_up(conversation)
            async for text in socket:
                frame = json.loads(text)
                await self.messages.take(frame)
                if frame["type"] == "error":
                    self.errors.append(str(text))
