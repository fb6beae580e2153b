"""Migration of a service's database with Alembic: the runtime's tables and the service's own."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from runtime.storage.database import Database, connect

MIGRATIONS = Path(__file__).parent / "migrations"
LOCK = 0x0B0A7A2

_LOCK = "select set_config('lock_timeout', '0', false), pg_advisory_lock($1)"
_migrating = threading.Lock()
"""Alembic keeps its state in a module: the services of one process must not migrate concurrently, also not on different
event loops."""

log = logging.getLogger(__name__)


def _heads(folders: list[Path]) -> set[str]:
    """The newest revision of each folder: files are named after their revisions, which count up."""
    return {max(path.stem for path in folder.glob("[0-9]*.py")) for folder in folders}


async def migrate(database: Database, own_migrations: Path) -> None:
    """Runs the missing migrations. Replicas that start together take turns; the later ones have nothing to do."""
    folders = [MIGRATIONS / "versions", own_migrations]
    if await _revisions(database) == _heads(folders):
        return
    async with database.connection() as connection:
        await connection.execute(_LOCK, LOCK, timeout=300)
        try:
            if await _revisions(database) != _heads(folders):
                async with _one_at_a_time():
                    await _upgrade(database.url, folders)
        finally:
            await connection.execute("select pg_advisory_unlock($1)", LOCK)
            await connection.execute("reset lock_timeout")


@asynccontextmanager
async def _one_at_a_time() -> AsyncIterator[None]:
    while not _migrating.acquire(blocking=False):
        await asyncio.sleep(0.01)
    try:
        yield
    finally:
        _migrating.release()


async def _revisions(database: Database) -> set[str]:
    async with database.connection() as connection:
        if await connection.fetchval("select to_regclass('alembic_version')") is None:
            return set()
        return {row["version_num"] for row in await connection.fetch("select version_num from alembic_version")}


async def _upgrade(url: str, folders: list[Path]) -> None:
    # Imported here because they take half a second, and a database is up to date nearly always.
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import Connection
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.ext.asyncio import create_async_engine
    from sqlalchemy.pool import NullPool

    def upgrade(connection: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.set_main_option("path_separator", "newline")
        config.set_main_option("version_locations", "\n".join(map(str, folders)))
        config.attributes["connection"] = connection
        command.upgrade(config, "runtime@head")  # first, because the services' tables use its functions
        command.upgrade(config, "heads")

    engine = create_async_engine("postgresql+asyncpg://", poolclass=NullPool, async_creator=lambda: connect(url))
    try:
        async with engine.begin() as connection:
            await connection.run_sync(upgrade)
    except DBAPIError as error:
        raise (error.orig and error.orig.__cause__) or error from None  # the database's own error
    finally:
        await engine.dispose()
    log.info("the database is up to date: %s", ", ".join(sorted(_heads(folders))))
