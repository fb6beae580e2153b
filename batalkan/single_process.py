"""Running the services behind one port: `batalkan up` and `batalkan demo`."""

import asyncio
import logging
import socket
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from errno import EACCES, EADDRINUSE
from functools import partial
from ipaddress import ip_address
from typing import Any, cast

import httpx
import uvicorn
from rich.console import Console
from rich.markup import escape
from rich.text import Text
from starlette.types import ASGIApp

from batalkan import demo as steps
from batalkan import local_servers, market, system
from batalkan.bus_tap import BusTap, OnEvent
from batalkan.demo_client import DemoClient, DemoFailed
from batalkan.gateway import Gateway
from batalkan.servers import FolderInUse, missing
from batalkan.subprocesses import ChildFailed
from batalkan.system import System, Where
from batalkan.waiting import Say
from contracts.words import rupiah
from runtime.errors import Refusal
from runtime.http.client import http_client
from runtime.http.connections import BoundedHttp
from runtime.live.server import WEBSOCKETS
from runtime.shutdown.server import HttpServer, serve_until_cancelled
from runtime.shutdown.signals import run_to_end
from runtime.storage.embedded import DataFolderUnusable, PostgresFailed

STOPPING = 3
"""Seconds that open requests get when the process stops."""


class CannotStart(Exception):
    """The services cannot start on this machine; the text says why, and what to do."""


def bind(host: str, port: int) -> socket.socket:
    """The listening socket, for the host's kind of address. Raises `CannotStart`, for a port in use for example."""
    try:
        return _listening(host, port)
    except (OSError, UnicodeError) as error:
        other = "PORT" if getattr(error, "errno", None) in (EACCES, EADDRINUSE) else "HOST"
        why = getattr(error, "strerror", error)
        raise CannotStart(f"port {port} on {host}: {why}; choose another with {other}=…") from error


def _listening(host: str, port: int) -> socket.socket:
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _, _, _, address = min(found, key=lambda one: one[0])  # IPv4 if a name has both, as localhost
    listening = socket.socket(family)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(2048)
    except OSError:
        listening.close()
        raise
    return listening


def origin_of(listening: socket.socket, host: str) -> str:
    """The origin for a browser on this machine; no request may name an address that stands for all of them."""
    address, port = listening.getsockname()[:2]
    if ip_address(address).is_unspecified:
        host = "127.0.0.1" if listening.family == socket.AF_INET else "::1"
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


async def serve_while(
    where: Where,
    listening: socket.socket,
    do: Callable[[System], Awaitable[bool]],
    on_event: OnEvent | None = None,
    say: Say = print,
) -> None:
    """Serves all services on the socket while `do` runs; if it returns true, adds the market and continues until a
    signal.

    `on_event` receives each published event, `say` a line for each server that is not ready.
    """
    logging.basicConfig(level=logging.ERROR, format="%(levelname)s %(name)s: %(message)s")
    for library in ("aio_pika", "aiormq"):
        logging.getLogger(library).setLevel(logging.CRITICAL)
    bus_tap = (lambda bus: BusTap(bus, on_event)) if on_event else (lambda bus: bus)
    async with system.running(where, bus_tap, say) as running:
        http = server(running.app, where.trusted_proxies)
        serving = asyncio.create_task(http.serve([listening]))
        doing = asyncio.ensure_future(do(running))
        tasks: set[asyncio.Future[Any]] = {serving, doing}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if doing.done() and await doing:
                tasks.add(asyncio.create_task(add_market(where, running.database_urls, say)))
                await asyncio.wait({serving})
        except asyncio.CancelledError:
            if not doing.done() or doing.cancelled() or doing.exception() or not doing.result():
                raise
            cast("asyncio.Task[None]", asyncio.current_task()).uncancel()  # a signal has ended it: no error
        finally:
            http.should_exit = True
            for task in tasks - {serving}:
                task.cancel()
            await asyncio.wait(tasks)


async def add_market(where: Where, database_urls: Mapping[str, str], say: Say) -> None:
    """Adds the market, if it is wanted."""
    if not (where.market and where.demonstration):
        return
    try:
        if await market.load(database_urls):
            say("The market is there: products, orders in every state, conversations and cases.")
    except Exception as error:  # the services serve without it
        say(f"The market could not be added: {error!r}")


def run(main: Coroutine[Any, Any, None]) -> None:
    """Runs `main`. An expected error becomes one line and exit code 1."""
    try:
        run_to_end(main, "batalkan")
    except (CannotStart, ChildFailed, DataFolderUnusable, DemoFailed, FolderInUse, PostgresFailed) as error:
        sys.exit(f"batalkan: {error}")


async def up(where: Where, host: str, port: int, console: Console) -> None:
    """Serves until Ctrl-C."""
    listening = bind(host, port)

    async def say(running: System) -> bool:
        show_urls(console, origin_of(listening, host), running, demonstration=where.demonstration)
        return True

    await serve_while(where, listening, say)


async def up_on_servers(where: Where, host: str, port: int, console: Console) -> None:
    """Serves until Ctrl-C, with a process for each service on private RabbitMQ, Redis and PostgreSQL."""
    if lacking := missing():
        raise CannotStart(f"not installed: {', '.join(lacking)}; install them with: make servers")
    listening = bind(host, port)
    console.print("Starting RabbitMQ, PostgreSQL and Redis, then the services …")
    folder = where.folder / "local"
    async with local_servers.running(
        folder, demonstration=where.demonstration, allowed_hosts=where.allowed_hosts, say=console.print
    ) as running:
        serving = f"Serving on {origin_of(listening, host)}", "bold"
        console.print(Text.assemble("\n", serving, f" until Ctrl-C; logs in {folder / 'logs'}"))
        for name, origins in running.origins.items():
            console.print(f"  {name:>8} {' '.join(origins)}", soft_wrap=True)
        for name, url in running.database_urls.items():
            console.print(f"  export {name.upper()}_DATABASE_URL='{url}'", soft_wrap=True, highlight=False)
        console.print(f"  RabbitMQ {running.servers.rabbitmq.admin_url}", soft_wrap=True)
        gateway = Gateway(running.public, where.allowed_hosts)
        adding = asyncio.create_task(add_market(where, running.database_urls, console.print))
        await serve_until_cancelled(server(gateway, where.trusted_proxies), [listening])
        adding.cancel()
        await asyncio.wait({adding})
        await gateway.close()


def server(app: ASGIApp, trusted_proxies: Sequence[str] = ()) -> HttpServer:
    """The HTTP server; it takes a client's address and scheme from the headers of `trusted_proxies` (networks)."""
    return HttpServer(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            http=BoundedHttp,
            forwarded_allow_ips=list(trusted_proxies),
            server_header=False,
            lifespan="off",
            timeout_graceful_shutdown=STOPPING,
            **WEBSOCKETS,
        )
    )


async def demo(where: Where, host: str, port: int, console: Console, *, then_serve: bool) -> None:
    """Runs the guided run; then serves until Ctrl-C if `then_serve` is true."""
    listening = bind(host, port)
    origin = origin_of(listening, host)
    seen: list[dict[str, Any]] = []

    async def walk(running: System) -> bool:
        async with http_client(base_url=origin, timeout=20) as http:
            client = DemoClient(http, running, console, seen)
            try:
                snapshot = await steps.run(client)
            except (DemoFailed, Refusal, httpx.HTTPError, OSError) as error:
                if not then_serve:
                    raise
                show_urls(console, origin, running, demonstration=where.demonstration)
                console.print(f"The guided run failed: {error!r}", style="red", soft_wrap=True)
                return True
        if then_serve:
            show_urls(console, origin, running)
        else:
            console.print()
        console.print(
            f"The ledger sums to zero, and each of {snapshot.cancelled_paid_orders} cancellations of paid "
            f"orders has exactly one refund of its full amount: {rupiah(snapshot.refunded)} in all"
            f"{f', {snapshot.open_refunds} of them in flight' if snapshot.open_refunds else ''}.",
            style="green",
            soft_wrap=True,
        )
        return then_serve

    console.print(f"All services in one process, on {origin}, data in {where.folder.absolute()}\n", soft_wrap=True)
    await serve_while(where, listening, walk, seen.append)


def show_urls(console: Console, origin: str, running: System, *, demonstration: bool = True) -> None:
    """Prints the URLs and the demonstration's accounts."""
    say, origin = partial(console.print, markup=True, soft_wrap=True), escape(origin)
    say(f"\n[bold]Serving on {origin}[/bold] until Ctrl-C; the pages begin there")
    for name in running.services:
        say(f"  {origin}/{name}/openapi.json  [dim]the interface of {name}[/dim]")
        say(f"  {origin}/{name}/health/ready  {origin}/{name}/metrics")
    if not demonstration:
        return
    say(f"  {origin}/dana/control/journal  [dim]DANA's payments[/dim]")
    say(f"  {origin}/dana/control/faults  [dim]faults for DANA to simulate (PUT)[/dim]")
    say("  sign in as buyer@example.com, seller@example.com or agent@example.com, password batalkan-demo\n")
