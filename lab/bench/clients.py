"""The clients of the saga benchmark: raw HTTP/1.1 over sockets, in a separate process that needs little CPU.

    python -m lab.bench.clients TASK.json RESULT.json

Closed loop: each client sends its next request when it has the answer. Open loop (with a rate): requests are sent at
that rate, and a latency counts from the moment at which the request was due.
"""

import asyncio
import json
import resource
import socket
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter, time
from typing import cast

import uvloop

END_OF_HEADERS = b"\r\n\r\n"
BUSY, RETRY_AFTER = 503, 0.05
"""The status of a service without a free database connection, and the seconds until the retry."""


@dataclass(frozen=True)
class Task:
    """Cancel each order, at the origins (host, port) in turn, with its buyer's token."""

    origins: list[tuple[str, int]]
    orders: list[tuple[str, str]]
    clients: int
    rate: float = 0.0
    """Requests per second; 0 for a closed loop."""


@dataclass
class Result:
    """When each order's request began (seconds since the epoch), its duration, and the CPU of the clients."""

    began: dict[str, float] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    cpu_seconds: float = 0.0


class Client(asyncio.Protocol):
    """One connection, one request at a time."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self._buffer = b""
        self._answered: asyncio.Future[int] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self.transport = cast(asyncio.Transport, transport)

    async def ask(self, request: bytes) -> int:
        """Sends the request and returns the answer's status."""
        self._answered = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self._answered

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        self._buffer = data = self._buffer + data if self._buffer else data
        end = data.find(END_OF_HEADERS)
        if end < 0:
            return
        head = data[:end].lower()
        start = head.find(b"\r\ncontent-length:") + 17
        stop = head.find(b"\r\n", start)
        length = int(head[start : stop if stop >= 0 else end])
        if len(data) >= end + len(END_OF_HEADERS) + length and self._answered is not None:
            self._buffer = b""
            self._answered.set_result(int(head[9:12]))

    def connection_lost(self, error: Exception | None) -> None:
        """Called by the loop."""
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(error or ConnectionResetError("the service closed the connection"))


def cancel_request(order_id: str, token: str, host: str) -> bytes:
    """A cancel request with only the headers that the service reads."""
    return (
        f"POST /orders/{order_id}/cancel HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n"
        'Content-Type: application/json\r\nContent-Length: 25\r\n\r\n{"reason":"changed_mind"}'
    ).encode()


async def run(task: Task) -> Result:
    """Opens the connections, then cancels every order."""
    loop, result = asyncio.get_running_loop(), Result()
    clients = []
    for n in range(task.clients):
        host, port = task.origins[n % len(task.origins)]
        transport, client = await loop.create_connection(Client, host, port)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        clients.append(client)
    requests = [(order_id, cancel_request(order_id, token, "orders")) for order_id, token in task.orders]
    cpu, started = _cpu(), perf_counter()
    waiting = iter(enumerate(requests))
    workers = (_work(client, waiting, task.rate, started, result) for client in clients)
    await asyncio.gather(*workers)
    result.cpu_seconds = _cpu() - cpu
    for client in clients:
        client.transport.close()
    return result


async def _work(
    client: Client, waiting: Iterator[tuple[int, tuple[str, bytes]]], rate: float, started: float, result: Result
) -> None:
    for n, (order_id, request) in waiting:
        due = perf_counter()
        if rate:
            due = started + n / rate
            await asyncio.sleep(max(0.0, due - perf_counter()))
        result.began[order_id] = time() - (perf_counter() - due)
        while (status := await client.ask(request)) == BUSY:
            result.statuses[status] += 1
            await asyncio.sleep(RETRY_AFTER)
        result.statuses[status] += 1
        result.seconds.append(perf_counter() - due)


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Reads the task, runs it, writes the result."""
    fields = json.loads(Path(sys.argv[1]).read_text())
    task = Task([(host, port) for host, port in fields.pop("origins")], **fields)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        result = runner.run(run(task))
    Path(sys.argv[2]).write_text(json.dumps(vars(result)))


if __name__ == "__main__":
    main()
