"""The supervisor of the services, tried on a process that is nothing but alive."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from batalkan import processes as module
from batalkan.processes import Processes
from batalkan.servers.data_folder import free_ports
from batalkan.subprocesses import Child, ChildFailed, Reaper
from tests.machine.life import children_of_the_killed, gone, is_there

SAMPLE = "tests.machine.sample"
pytestmark = pytest.mark.processes

STUBBORN = """
import signal, sys, time

def end(*_):
    print("asked to quit", flush=True)
    sys.exit()

signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGQUIT, end)
print("ready", flush=True)
time.sleep(600)
"""
OWNER = f"""
import sys
from pathlib import Path
from batalkan.subprocesses import Child, Reaper
log = Path(sys.argv[1]) / "log"
reaper = Reaper(remove=log.parent / "temporary")
child = Child("sleep", ["sh", "-c", "sleep 600 & echo $!; wait"], reaper=reaper, log=log)
child.spawn()
stubborn = Child("stubborn", [sys.executable, "-c", {STUBBORN!r}], reaper=reaper, log=log.with_name("stubborn"))
stubborn.spawn()
while not log.read_text() or not log.with_name("stubborn").read_text():
    pass
print(child.pid, stubborn.pid, log.read_text().strip(), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def ends() -> list[str]:
    """The supervisor's messages about processes that ended without a request."""
    return []


@pytest.fixture
async def running(tmp_path: Path, ends: list[str], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Processes]:
    """A supervisor that runs `sample`."""
    monkeypatch.setattr(module, "BACKOFF", (0.01,))
    monkeypatch.setattr(module, "GRACE", 0.2)
    async with Processes(tmp_path, say=ends.append) as processes:
        add(processes, "sample")
        await processes.start()
        yield processes


def add(processes: Processes, name: str, **environment: str) -> None:
    """A sample on a port of its own."""
    port = next(free_ports())
    processes.add(name, {"PORT": str(port), **environment}, module=SAMPLE)


def pid(processes: Processes, name: str = "sample") -> int:
    """Which process the name stands for now."""
    found = processes.watched[name].child.pid
    assert found is not None
    return found


async def test_crash_is_followed_by_a_new_start(running: Processes, ends: list[str]) -> None:
    """A process that was killed is reported and comes back, ready, under the same name."""
    first = pid(running)
    await running.kill("sample")
    async with asyncio.timeout(10):
        while running.watched["sample"].restarts == 0:
            await asyncio.sleep(0.01)
    await running.ready("sample", timeout=10)
    assert pid(running) != first
    assert ends == ["sample ended with exit code -9; starting it again in 0.01 s"]


async def test_restart_is_no_crash(running: Processes, ends: list[str]) -> None:
    """A requested restart ends the old process, starts a new one, and raises no alarm."""
    first = pid(running)
    await running.restart("sample")
    assert pid(running) != first
    assert not is_there(first)
    assert ends == []


async def test_paused_process_is_there_and_silent(running: Processes) -> None:
    """A frozen process is not ready, and is again as soon as it goes on."""
    running.pause("sample")
    with pytest.raises(TimeoutError):
        await running.ready("sample", timeout=0.3)
    assert is_there(pid(running))
    running.resume("sample")
    await running.ready("sample", timeout=10)


async def test_stop_kills_a_process_that_ignores_sigterm(running: Processes) -> None:
    """A process that ignores SIGTERM is killed when the grace is over."""
    add(running, "stubborn", STUBBORN="1")
    await running.start("stubborn")
    stubborn = pid(running, "stubborn")
    await running.stop()
    assert not is_there(stubborn)
    assert running.watched["stubborn"].child.exit_code == -9
    assert running.watched["sample"].child.exit_code == -15


async def test_failing_start_shows_the_log(running: Processes) -> None:
    """A process that ends instead of becoming ready raises its last words."""
    add(running, "broken", BROKEN="1")
    with pytest.raises(ChildFailed, match=r"broken ended with exit code 1:[^$]*cannot read its settings"):
        await running.start("broken")


async def test_processes_inherit_no_settings(running: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process gets the environment that it was given, not the supervisor's own."""
    monkeypatch.setenv("BROKEN", "1")
    add(running, "second")
    await running.start("second")
    assert is_there(pid(running, "second"))


async def test_children_end_with_a_killed_owner(tmp_path: Path) -> None:
    """When we are killed, our children end, and theirs too, and then the temporary folder is removed. A child that
    ignores SIGTERM gets SIGQUIT, on which PostgreSQL leaves no lock file, before SIGKILL."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    ids = await asyncio.to_thread(children_of_the_killed, OWNER, tmp_path)
    await gone(*ids)
    assert len(ids) == 3
    assert "asked to quit" in (tmp_path / "stubborn").read_text()
    async with asyncio.timeout(10):
        while temporary.exists():
            await asyncio.sleep(0.02)


async def test_log_is_kept_over_restarts(tmp_path: Path) -> None:
    """One log file holds what every life of a program printed."""
    reaper = Reaper()
    child = Child("echo", ["sh", "-c", "echo life $$"], reaper=reaper, log=tmp_path / "log")
    for _ in range(2):
        child.spawn()
        await child.wait(10)
    reaper.close()
    assert child.tail().count("life") == 2
