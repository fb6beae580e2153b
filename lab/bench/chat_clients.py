"""Chat clients, many in one process: each writes messages at an interval, and checks what it receives."""

import asyncio
import random
from time import monotonic
from typing import Any

from batalkan.local_servers import LocalDeployment
from lab.faults.live_users import LiveUser
from lab.faults.rolling_restart import send
from tests.harness.actors import Person
from tests.harness.live_client import Messages


class MeasuredMessages(Messages):
    """The messages of a client, with the seconds from the sending of each to its arrival."""

    def __init__(self, person: Person, thread_id: str) -> None:
        super().__init__("chat", person, {thread_id: 0})
        self.latencies: list[float] = []
        self.doubles = 0
        """Frames with a message that the client had."""

    async def take(self, frame: Any) -> None:
        """As `Messages`; also counts double messages."""
        if frame["type"] == "message":
            self.doubles += frame["message"]["seq"] <= self.last[frame["thread_id"]]
        await super().take(frame)

    def _add(self, conversation: str, message: Any) -> None:
        self.latencies.append(monotonic() - float(message["text"]))
        super()._add(conversation, message)


class ChatClient(LiveUser):
    """One client in one thread."""

    messages: MeasuredMessages

    def __init__(self, system: LocalDeployment, person: Person, thread_id: str) -> None:
        super().__init__(system, "chat", person, MeasuredMessages(person, thread_id))
        self.thread_id = thread_id
        self.answered: list[float] = []
        """Seconds until the answer to each message that it wrote."""

    @property
    def last(self) -> int:
        """The number of messages that it has."""
        return self.has[self.thread_id]

    async def write(self, every: float, until: float) -> None:
        """Writes a message every `every` seconds, the first at a random moment within them."""
        due = monotonic() + random.uniform(0, every)
        while due < until:
            await asyncio.sleep(due - monotonic())
            started = monotonic()
            await send(self.person, f"/chat/threads/{self.thread_id}", repr(started))
            self.answered.append(monotonic() - started)
            due += every
