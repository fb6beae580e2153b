"""Ctrl-C and SIGTERM at any moment of a process, and its messages while it waits."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

import pytest

from batalkan.local_servers import free_ports
from batalkan.servers.data_folder import PORTS, is_free
from batalkan.waiting import waiting, waits_for
from runtime import urls
from runtime.settings import Environment, SettingInvalid, Settings

pytestmark = [pytest.mark.processes, pytest.mark.timeout(240)]

WITHIN = 5
"""Seconds from the signal to the end, on a machine that has a core for it."""
LINES = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
REFUSING = next(port for port in reversed(PORTS) if is_free(port))
"""A port at which nothing answers."""


@dataclass
class Started:
    """A process, and its standard output so far."""

    process: asyncio.subprocess.Process
    folder: Path
    said: str = ""

    async def until(self, there: Callable[[], bool]) -> None:
        """Waits until it is so; fails when the process ends before."""
        assert self.process.stdout is not None
        async with asyncio.timeout(100):
            while not there():
                assert self.process.returncode is None, "it ended"
                try:
                    async with asyncio.timeout(0.02):
                        self.said += (await self.process.stdout.read(10_000)).decode()
                except TimeoutError:
                    pass

    async def end(self, *signals: signal.Signals) -> tuple[int | None, str]:
        """Sends the signals, 0.1 s apart; returns the exit code and what stood on standard error."""
        began = monotonic()
        for number in signals:
            with suppress(ProcessLookupError):  # it may have ended already
                self.process.send_signal(number)
            await asyncio.sleep(0.05)
        _, complaints = await self.process.communicate()
        assert monotonic() - began < WITHIN
        return self.process.returncode, complaints.decode()


@pytest.fixture
def folder() -> Iterator[Path]:
    """For the data; where PostgreSQL's own user gets in, too."""
    with TemporaryDirectory(prefix="batalkan-tests-") as name:
        yield Path(name)


@asynccontextmanager
async def started(folder: Path, module: str, *arguments: str, **environment: str) -> AsyncIterator[Started]:
    """A process of a module, killed at the end of the block if it is still there."""
    settings = {name: value for name, value in os.environ.items() if not name.endswith("_URL")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *arguments),
        env={**settings, "COLUMNS": "200", **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield Started(process, folder)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


def demo(folder: Path, *more: str) -> "asyncio._AsyncGeneratorContextManager[Started]":  # type: ignore[name-defined]
    """`batalkan demo` on a port of its own."""
    port = free_ports(1)[0]
    return started(folder, "batalkan", "demo", "--data", str(folder), "--port", str(port), *more)


def left(folder: Path) -> list[str]:
    """The processes that have to do with the folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        found += [command] if str(folder) in command else []
    return found


async def imports(one: Started) -> None:
    """A quarter of a second after its start: long before its imports are done."""
    await asyncio.sleep(0.25)


async def makes_its_data_folder(one: Started) -> None:
    """PostgreSQL's initdb works."""
    await one.until(lambda: any("initdb" in command for command in left(one.folder)))


async def waits_for_the_broker(one: Started) -> None:
    """The process has printed that it waits."""
    await one.until(lambda: "Waiting for RabbitMQ" in one.said)


async def shows_something(one: Started) -> None:
    """The guided run is at its third step."""
    await one.until(lambda: "3. Way 3" in one.said)


Moment = Callable[[Started], Awaitable[None]]


async def test_a_process_heeds_signals_at_any_moment(folder: Path) -> None:
    """While it imports, makes its data folder, waits for a broker or shows the guided run, one signal or several in a
    row end it with one line and 128 + the number, and nothing of what it has started is left."""
    moments: list[tuple[Moment, Sequence[signal.Signals], Sequence[str]]] = [
        (imports, (signal.SIGINT,), ()),
        (makes_its_data_folder, (signal.SIGTERM, signal.SIGTERM), ()),
        (
            waits_for_the_broker,
            (signal.SIGINT, signal.SIGINT),
            ("--broker-url", f"amqp://u:secret@127.0.0.1:{REFUSING}"),
        ),
        (shows_something, (signal.SIGTERM, signal.SIGINT), ()),
    ]
    for moment, signals, arguments in moments:
        async with demo(folder, *arguments) as one:
            await moment(one)
            code, complaints = await one.end(*signals)
        assert (code, complaints) == (128 + signals[0], f"batalkan: {LINES[signals[0]]}\n"), moment.__name__
        assert left(folder) == [], moment.__name__
        if moment is waits_for_the_broker:
            assert f"Waiting for RabbitMQ at 127.0.0.1:{REFUSING} (connection refused) …" in one.said
            assert "secret" not in one.said


async def test_a_service_that_cannot_reach_its_database_heeds_signals(folder: Path) -> None:
    """A service whose database accepts connections and never answers stops cleanly within five seconds."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        environment = {
            "DATABASE_URL": f"postgresql://orders:x@127.0.0.1:{silent.getsockname()[1]}/orders",
            "TOKEN_KEYS": str(folder / "keys"),
            "PORT": "0",
        }
        async with started(folder, "services.orders", **environment) as one:
            connection, _ = await asyncio.to_thread(silent.accept)
            with connection:
                code, complaints = await one.end(signal.SIGTERM)
    assert code == 0
    assert "Traceback" not in complaints


async def test_what_is_waited_for_is_said_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is a line soon, and one every few seconds until it is there; what fails is raised at once."""
    monkeypatch.setattr("batalkan.waiting.SOON", 0.01)
    monkeypatch.setattr("batalkan.waiting.EVERY", 0.01)
    enough, said = asyncio.Event(), list[str]()

    async def missing() -> AsyncIterator[str]:
        if len(said) == 3:
            enough.set()
        yield await waits_for("RabbitMQ", f"amqp://me:secret@127.0.0.1:{REFUSING}/v")

    assert await waiting(enough.wait(), missing, said.append) is True
    assert set(said) == {f"Waiting for RabbitMQ at 127.0.0.1:{REFUSING} (connection refused) …"}
    with pytest.raises(ZeroDivisionError):
        await waiting(_fails(), missing, said.append)


async def _fails() -> None:
    raise ZeroDivisionError


WRONG = [
    ("DATABASE_URL", "mysql://x/y", "must begin with embedded:// or postgresql:// or postgres://"),
    ("DATABASE_URL", "postgresql://me:secret@/x", "must name a host"),
    ("DATABASE_URL", "postgresql://me:sec/ret@host/x", "must name a host"),
    ("BROKER_URL", "http://x", "must begin with memory:// or amqp:// or amqps://"),
    ("BROKER_URL", "amqp:host", "must begin with"),
    ("BROKER_URL", "amqp://orders:secret@one:5672,two:70000/x", "must name a port from 1 to 65535, not 70000"),
    ("BROKER_URL", "amqp://orders:secret@one:5672,/x", "must name a host"),
    ("REDIS_URL", "redis://me:secret@host:0/0", "must name a port from 1 to 65535"),
    ("REDIS_URL", "redis://[::1/0", "cannot be read"),
    ("REDIS_URL", "redis://ho st/0", "must have no spaces"),
    ("PORT", "80000", "'80000' is not a whole number from 0 to 65535"),
    ("PORT", " 8_080", "is not a whole number"),
    ("LOG_LEVEL", "loud", "'loud' is none of debug, info, warning, error, critical"),
    ("DEMONSTRATION", "maybe", "'maybe' is neither"),
    ("BROKER_URL_FILE", "/no/such/file", "cannot be read"),
]


@pytest.mark.parametrize(("name", "value", "complaint"), WRONG)
def test_a_setting_that_cannot_be_meant_is_refused(name: str, value: str, complaint: str) -> None:
    """The complaint names the setting and what it must be, and holds no password."""
    with pytest.raises(SettingInvalid, match=f"^{name}: ") as refused:
        Settings.read("orders", Environment({name: value}))
    assert complaint in str(refused.value)
    assert "sec" not in str(refused.value)


@pytest.mark.parametrize("text", ["soon", "nan", "inf", "-1", "1e9", "", "99999999"])
def test_a_time_that_cannot_be_meant_is_refused(text: str) -> None:
    """Seconds are digits, perhaps with a fraction, and within bounds; an empty setting is none."""
    env = Environment({"AGENT_GRACE": text})
    if not text:
        assert env.seconds("AGENT_GRACE", 60, 1, 100) == 60
        return
    with pytest.raises(SettingInvalid, match="AGENT_GRACE"):
        env.seconds("AGENT_GRACE", 60, 1, 100)


@pytest.mark.parametrize(
    ("url", "schemes"),
    [
        ("postgresql://orders:p%40ss@one,two:5433/orders?sslmode=require", urls.DATABASE),
        ("postgresql://postgres@/orders?host=/run/postgresql", urls.DATABASE),
        ("amqp://orders:p@rabbit-1:5672,[::1]:5673/vhost", urls.BROKER),
        ("memory://", urls.BROKER),
        ("rediss://me:p@redis.example:6380/0", urls.REDIS),
        ("http://dana", urls.HTTP),
    ],
)
def test_a_url_that_can_be_meant_is_taken(url: str, schemes: tuple[str, ...]) -> None:
    """Several hosts, ports, IPv6 addresses, sockets and options are no obstacle."""
    assert urls.what_is_wrong(url, schemes) is None


async def test_a_wrong_call_gets_one_line(folder: Path) -> None:
    """The command line and a service's process say it in one line, and end with code 2."""
    async with (
        started(folder, "batalkan", "demo", "--broker-url", "http://x") as command,
        started(folder, "services.orders", BROKER_URL="http://x") as service,
    ):
        for one in (command, service):
            said, complaints = await one.process.communicate()
            assert (one.process.returncode, said, complaints.count(b"\n")) == (2, b"", 1)
            assert b"must begin with memory:// or amqp:// or amqps://" in complaints


@pytest.mark.parametrize("number", LINES)
def test_without_a_terminal_there_is_one_line_too(number: signal.Signals) -> None:
    """What puts the terminal right, after a password was being asked for, says nothing where there is none."""
    script = (
        "import termios, os, sys; from runtime.shutdown.early import exit_on_signal; "
        "exit_on_signal('name'); os.kill(os.getpid(), int(sys.argv[1]))"
    )
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", script, str(int(number))], capture_output=True, start_new_session=True, check=False
    )
    assert (done.returncode, done.stderr.decode()) == (128 + number, f"name: {LINES[number]}\n")
