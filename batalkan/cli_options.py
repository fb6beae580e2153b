"""The options that commands share, and how a command reaches the services' databases."""

import sys
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console

from runtime import urls
from runtime.numbers import whole
from runtime.settings import Environment
from runtime.shutdown.signals import run_to_end

console = Console(highlight=False, markup=False, emoji=False)
"""Prints text as it is, of messages and errors too; `markup=True` is for a line whose foreign parts are escaped."""
T = TypeVar("T")


def number(minimum: int, maximum: int) -> Callable[[str], int]:
    """Parses a whole number in plain digits. Python's `int` also accepts `8_080` and ` 80 `."""

    def parse(text: str) -> int:
        parsed = whole(str(text))
        if parsed is None or not minimum <= parsed <= maximum:
            raise typer.BadParameter(f"{text!r} is not a whole number from {minimum} to {maximum}")
        return parsed

    return parse


def url_in(schemes: tuple[str, ...]) -> Callable[[str], str]:
    """Parses a URL with one of the schemes, or an empty text."""

    def parse(text: str) -> str:
        if text and (wrong := urls.what_is_wrong(text, schemes)):
            raise typer.BadParameter(wrong)
        return text

    return parse


Folder = Annotated[
    Path, typer.Option("--data", envvar="BATALKAN_DATA", help="The folder for the data of the embedded parts.")
]
Port = Annotated[
    int,
    typer.Option("--port", envvar="PORT", metavar="INTEGER", parser=number(1, 65535), help="The port to listen on."),
]
Host = Annotated[str, typer.Option("--host", envvar="HOST", help="The address to listen on.")]
Database = Annotated[
    str,
    typer.Option(
        envvar="DATABASE_URL", callback=url_in(urls.DATABASE), help="A PostgreSQL to use instead of the embedded one."
    ),
]
Broker = Annotated[
    str,
    typer.Option(
        envvar="BROKER_URL", callback=url_in(urls.BROKER), help="amqp://…, or memory:// for a bus in this process."
    ),
]
Redis = Annotated[
    str,
    typer.Option(
        envvar="REDIS_URL", callback=url_in(urls.REDIS), help="redis://…, or memory:// for a Redis in this process."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="For scripts: JSON instead of a table.")]

DATA = Path(".batalkan")


def visible(text: str) -> str:
    """The text of a message, or of its error, for a terminal, which must not obey it: control characters as `\\x1b`."""
    return "".join(sign if sign.isprintable() or sign in "\n\t" else repr(sign)[1:-1] for sign in text)


def on_databases(data: Path, do: Callable[[Mapping[str, str]], Coroutine[Any, Any, T]]) -> T:
    """Runs `do` with the URLs of the services' databases. An expected error becomes one line and exit code 1."""
    from batalkan.operate import CannotSeed, NothingRunning, UnreadableLog, database_urls
    from runtime.errors import Refusal
    from runtime.storage.clock import ClockFixed
    from runtime.storage.embedded import DataFolderUnusable, PostgresFailed

    async def run() -> T:
        async with database_urls(Environment.of_process(), data) as found:
            return await do(found)

    try:
        return run_to_end(run(), "batalkan")
    except (
        CannotSeed,
        NothingRunning,
        UnreadableLog,
        ClockFixed,
        DataFolderUnusable,
        PostgresFailed,
        Refusal,
    ) as error:
        sys.exit(f"batalkan: {error}")
