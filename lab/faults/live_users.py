"""Live connections that break all the time; each resumes after the last message that it has."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Mapping
from secrets import token_hex

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from lab.faults.system import RETRY, LabSystem
from tests.harness.actors import Person

CONVERSATION = {"chat": "thread_id", "cs": "case_id"}


class Listener:
    """A person's live connection to a service, reopened when it breaks."""

    def __init__(self, system: LabSystem, service: str, person: Person) -> None:
        self.person = person
        self.has: dict[str, int] = defaultdict(int)
        """The last message of each conversation, for `after`."""
        self.wrong: list[str] = []
        """Gaps and duplicates."""
        self.connections = 0
        self._resumed: set[str] = set()
        self._waits: set[str] = set()
        self._service = service
        self._origin = system.running.origin(service).removeprefix("http://")

    async def run(self) -> None:
        """Receives until it is cancelled."""
        while True:
            try:
                await self._connection()
            except (OSError, WebSocketException):  # TimeoutError is an OSError
                await asyncio.sleep(RETRY)

    async def _connection(self) -> None:
        ticket = (await self.person.ask("POST", f"/{self._service}/tickets")).raise_for_status().json()["ticket"]
        url = f"ws://{self._origin}/{self._service}/live?ticket={ticket}"
        async with connect(url, proxy=None, compression=None, open_timeout=5, close_timeout=0.1) as socket:
            self._resumed, self._waits = set(self.has), set()
            await self._resume(socket, self.has)
            self.connections += 1
            async for text in socket:
                frame = json.loads(text)
                if frame["type"] == "message":
                    await self._take(socket, frame[CONVERSATION[self._service]], frame["message"]["seq"])
                elif frame["type"] == "error":
                    self.wrong.append(str(text))

    async def _resume(self, socket: ClientConnection, after: Mapping[str, int]) -> None:
        await socket.send(json.dumps({"type": "resume", "after": after}))

    async def _take(self, socket: ClientConnection, conversation: str, seq: int) -> None:
        if self.has[conversation] == 0 and seq > 1 and conversation not in self._resumed:
            # The conversation is older than this connection and was not requested: request it now.
            self._resumed.add(conversation)
            await self._resume(socket, {conversation: 0})
            self._waits.add(conversation)
        if conversation in self._waits and seq > 1:
            return
        self._waits.discard(conversation)
        if seq != self.has[conversation] + 1:
            self.wrong.append(f"{conversation}: {seq} after {self.has[conversation]}")
        self.has[conversation] = max(seq, self.has[conversation])


async def say(person: Person, service: str, conversation: str, text: str) -> None:
    """Sends the message once, under one Idempotency-Key."""
    path = f"/{service}/{'threads' if service == 'chat' else 'cases'}/{conversation}/messages"
    (await person.ask("POST", path, {"text": text}, key=token_hex(8))).raise_for_status()
