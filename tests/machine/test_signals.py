"""Ctrl-C and SIGTERM at any moment of a process, and its messages while it waits."""

import asyncio
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from batalkan.servers.data_folder import free_ports
from batalkan.waiting import waiting, waits_for
from tests.machine.command import Command, python

pytestmark = [pytest.mark.processes, pytest.mark.timeout(240)]

LINES = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
REFUSING = next(free_ports())
"""A port at which nothing answers."""


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


def log_of(folder: Path) -> str:
    """The end of PostgreSQL's log, if there is one."""
    return "".join(path.read_text()[-2000:] for path in folder.glob("postgres.log"))


async def imports(one: Command, folder: Path) -> None:
    """A quarter of a second after its start: long before its imports are done."""
    await asyncio.sleep(0.25)


async def makes_its_data_folder(one: Command, folder: Path) -> None:
    """PostgreSQL's initdb works."""
    await one.until(lambda: any("initdb" in command for command in left(folder)))


async def waits_for_the_broker(one: Command, folder: Path) -> None:
    """The process has printed that it waits."""
    await one.until(lambda: "Waiting for RabbitMQ" in one.said)


async def shows_something(one: Command, folder: Path) -> None:
    """The guided run is at its third step."""
    await one.until(lambda: "3. Way 3" in one.said)


Moment = Callable[[Command, Path], Awaitable[None]]


async def test_a_process_heeds_signals_at_any_moment(folder: Path, port: int) -> None:
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
        async with python("-m", "batalkan", "demo", "--data", folder, "--port", str(port), *arguments) as one:
            try:
                await moment(one, folder)
            except TimeoutError:
                raise AssertionError(moment.__name__, one.said, left(folder), log_of(folder)) from None
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
        async with python("-m", "services.orders", **environment) as one:
            connection, _ = await asyncio.to_thread(silent.accept)
            with connection:
                code, complaints = await one.end(signal.SIGTERM)
    assert code == 0
    assert "Traceback" not in complaints


async def test_waiting_is_reported_repeatedly(monkeypatch: pytest.MonkeyPatch) -> None:
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


@pytest.mark.parametrize("number", LINES)
def test_a_signal_without_a_terminal_prints_one_line(number: signal.Signals) -> None:
    """What puts the terminal right, after a password was being asked for, says nothing where there is none."""
    script = (
        "import termios, os, sys; from runtime.shutdown.early import exit_on_signal; "
        "exit_on_signal('name'); os.kill(os.getpid(), int(sys.argv[1]))"
    )
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", script, str(int(number))], capture_output=True, start_new_session=True, check=False
    )
    assert (done.returncode, done.stderr.decode()) == (128 + number, f"name: {LINES[number]}\n")
