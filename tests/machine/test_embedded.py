"""The embedded PostgreSQL: where its things are, and when it ends."""

import asyncio
import gc
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from runtime.storage import embedded
from runtime.storage.database import connect
from tests.machine.command import python
from tests.machine.life import gone, is_there

pytestmark = pytest.mark.processes

USER = """
import asyncio, sys
from runtime.storage import embedded

async def main():
    async with embedded.running(sys.argv[1], ["one"]) as urls:
        print(urls["one"], flush=True)
        await asyncio.to_thread(sys.stdin.read)

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A data folder whose path is hard to pass on, and that all tests share, since making one takes seconds."""
    with TemporaryDirectory(prefix="batalkan-tests-") as name:
        yield Path(name) / """Kopi é, "Gayo" 'x' $HOME"""


@asynccontextmanager
async def user(folder: Path, **environment: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A process that uses the server, and the URL that it got; at the end of the block it leaves."""
    async with python("-c", USER, f"{embedded.SCHEME}{folder}", **environment) as command:
        await command.until(lambda: "\n" in command.said)
        yield command.process, command.said.strip()
        assert command.process.stdin is not None
        command.process.stdin.close()
        await command.process.wait()


def postmaster(folder: Path) -> int:
    """The process of the server that runs in the folder."""
    return int((folder / "postgres" / "postmaster.pid").read_text().split()[0])


async def test_server_writes_into_no_shared_folder(folder: Path, tmp_path: Path) -> None:
    """The server starts with any files of others in the temporary folder, and leaves nothing there."""
    (tmp_path / ".lockfile").mkdir()
    async with user(folder, TMPDIR=str(tmp_path), XDG_RUNTIME_DIR=str(tmp_path)) as (_, url):
        connection = await connect(url.replace("/one?", "/postgres?"))
        await connection.close()
    assert os.listdir(tmp_path) == [".lockfile"]


async def test_the_server_ends_with_its_last_user(folder: Path) -> None:
    """It goes on when the process that started it leaves before another one, and ends with that."""
    async with user(folder) as (first, _):
        server = postmaster(folder)
        async with user(folder) as (_, url):
            assert first.stdin is not None
            first.stdin.close()
            await first.wait()
            connection = await connect(url.replace("/one?", "/postgres?"))
            await connection.close()
    await gone(server)


async def test_server_ends_with_its_killed_user(folder: Path) -> None:
    """When the last process that uses it is killed, the server shuts down, and the next one finds it in order."""
    async with user(folder) as (process, _):
        server = postmaster(folder)
        process.kill()
    await gone(server)
    assert not (folder / "postgres" / "postmaster.pid").exists()


async def test_a_server_that_another_process_keeps_is_reaped_when_it_ends(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process that has started the server leaves it to another user without a warning, and leaves no zombie."""
    warned: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", warned.append)
    async with embedded.running(f"{embedded.SCHEME}{folder}", ["one"]):
        server = postmaster(folder)
        await (other := user(folder)).__aenter__()
    gc.collect()
    assert is_there(server)
    assert not warned
    await other.__aexit__(None, None, None)
    await gone(server)


async def test_a_reused_process_id_is_no_server(folder: Path) -> None:
    """After a power cut the server starts, although a living process has the number that it had."""
    async with user(folder):
        lines = (folder / "postgres" / "postmaster.pid").read_text().splitlines()
    (folder / "postgres" / "postmaster.pid").write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    async with user(folder):
        assert postmaster(folder) != os.getpid()


async def test_a_killed_first_start_is_repeated() -> None:
    """A start that was killed at any point does not prevent the next one."""
    with TemporaryDirectory(prefix="batalkan-tests-") as name:
        folder = Path(name)
        killed = subprocess.Popen([sys.executable, "-c", USER, f"{embedded.SCHEME}{folder}"])  # noqa: S603, ASYNC220
        while not (folder / "postgres.new" / "PG_VERSION").exists():
            await asyncio.sleep(0.005)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        async with user(folder):
            assert is_there(postmaster(folder))


async def test_a_zombie_is_no_server(tmp_path: Path) -> None:
    """A PostgreSQL that has ended and was not reaped does not count as running: the next start would wait for it."""
    program = shutil.copy("/bin/true", tmp_path / "postgres")
    ended = subprocess.Popen([program])  # noqa: S603, ASYNC220
    await gone(ended.pid)
    assert not embedded._is_postgres(ended.pid)
    ended.wait()
