"""A service that crashes at a named point: `python -m lab.faults.crashing_service services.orders`.

This module patches the points into the runtime, so that the product contains none. Settings: CRASH_POINTS, of which
each start draws one; CRASH_WITHIN, the maximum number of visits until it crashes; CRASH_LOG, a file that gets a line
for each crash.
"""

import asyncio
import os
import random
import runpy
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from runtime.messaging.bus import Delivery, Message, rabbitmq
from runtime.messaging.unit_of_work import Transaction
from runtime.storage.database import Connection, Database
from services.refunds.snap import Dana

T = TypeVar("T")

COMMIT = ("before_commit", "after_commit")
PUBLISH = ("before_publish", "after_publish", "after_confirm")
ACKNOWLEDGE = ("before_acknowledge", "after_acknowledge")
DANA = ("before_dana_call", "after_dana_call", "after_dana_answer")
POINTS = (*COMMIT, *PUBLISH, *ACKNOWLEDGE, *DANA)
"""After a publish or a call, the request is sent and unanswered."""
ON_THE_WIRE = 0.003
"""Seconds after which a request is sent, and probably not answered."""


class CrashPoint:
    """Counts the visits of one point, and kills the process at the drawn visit."""

    def __init__(self, point: str, visits: int, log: str) -> None:
        self.point, self.visits, self._log = point, visits, log

    def reached(self, point: str) -> None:
        """Kills the process if this is the drawn visit."""
        if point != self.point:
            return
        self.visits -= 1
        if self.visits <= 0:
            self.die()

    def die(self) -> None:
        """Writes a line to the log, then kills the process with SIGKILL."""
        file = os.open(self._log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, f"{self.point}\n".encode())
        os.kill(os.getpid(), signal.SIGKILL)

    async def around(self, points: Sequence[str], call: Callable[[], Awaitable[T]]) -> T:
        """Runs a call with a point before it, one while it is unanswered, and one after it."""
        before, under_way, after = points
        self.reached(before)
        calling = asyncio.ensure_future(call())
        if self.point == under_way:
            await asyncio.sleep(ON_THE_WIRE)
            self.reached(under_way)
        result = await calling
        self.reached(after)
        return result


def wrap(crash_point: CrashPoint) -> None:
    """Patches the points around commits, publishing, acknowledging, and calls to DANA."""
    transaction, write, publish = Database.transaction, Transaction.write, rabbitmq._RabbitPublisher.publish
    acknowledge, post = rabbitmq._RabbitSubscription.acknowledge, Dana._post

    @asynccontextmanager
    async def crashing_transaction(self: Database) -> AsyncIterator[Connection]:
        async with transaction(self) as connection:
            yield connection
            # A crash cannot damage a transaction that only reads.
            writes = await connection.fetchval("select pg_current_xact_id_if_assigned() is not null")
            if writes:
                crash_point.reached("before_commit")
        if writes:
            crash_point.reached("after_commit")

    async def crashing_write(self: Transaction, change: str, *arguments: object) -> Any:
        commits = not self.connection.is_in_transaction()
        if commits:
            crash_point.reached("before_commit")
        value = await write(self, change, *arguments)
        if commits:
            crash_point.reached("after_commit")
        return value

    async def crashing_publish(self: rabbitmq._RabbitPublisher, messages: Sequence[Message]) -> None:
        if messages:
            await crash_point.around(PUBLISH, lambda: publish(self, messages))
        else:
            await publish(self, messages)

    async def crashing_acknowledge(self: rabbitmq._RabbitSubscription, last: Delivery) -> None:
        crash_point.reached("before_acknowledge")
        await acknowledge(self, last)
        crash_point.reached("after_acknowledge")

    async def crashing_post(self: Dana, *call: Any) -> Any:
        return await crash_point.around(DANA, lambda: post(self, *call))

    for owner, name, crashing in (
        (Database, "transaction", crashing_transaction),
        (Transaction, "write", crashing_write),
        (rabbitmq._RabbitPublisher, "publish", crashing_publish),
        (rabbitmq._RabbitSubscription, "acknowledge", crashing_acknowledge),
        (Dana, "_post", crashing_post),
    ):
        setattr(owner, name, crashing)


def main() -> None:
    """Draws the point, and runs the service that the command line names."""
    points = os.environ["CRASH_POINTS"].split(",")
    visits = random.randint(1, int(os.environ["CRASH_WITHIN"]))
    wrap(CrashPoint(random.choice(points), visits, os.environ["CRASH_LOG"]))
    module = sys.argv.pop(1)
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
