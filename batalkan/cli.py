"""The command line. Every command teaches with --help; exit code 0 is success, 1 is no, 2 is a wrong call, 130 and 143
are Ctrl-C and SIGTERM."""

import json
import sys
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, TypeVar
from uuid import UUID

import typer
from rich.console import Console
from rich.table import Table

from runtime import urls
from runtime.numbers import whole
from runtime.settings import Environment
from runtime.shutdown.signals import run_to_end

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Batalkan: how a marketplace order is cancelled, and how the money comes back.",
)
agents = typer.Typer(no_args_is_help=True, help="Customer-service agents, who cannot register themselves.")
clocks = typer.Typer(no_args_is_help=True, help="The demonstration's time, which can be moved forward.")
parked = typer.Typer(no_args_is_help=True, help="Messages that were set aside because they could not be handled.")
app.add_typer(agents, name="agent")
app.add_typer(clocks, name="clock")
app.add_typer(parked, name="parked")

console = Console(highlight=False)
T = TypeVar("T")


def _number(least: int, most: int) -> Callable[[str], int]:
    """Reads whole numbers in plain digits; Python alone would take `8_080` and ` 80 `, too."""

    def read(text: str) -> int:
        number = whole(str(text))
        if number is None or not least <= number <= most:
            raise typer.BadParameter(f"{text!r} is not a whole number from {least} to {most}")
        return number

    return read


def _url(schemes: tuple[str, ...]) -> Callable[[str], str]:
    def read(url: str) -> str:
        if url and (wrong := urls.what_is_wrong(url, schemes)):
            raise typer.BadParameter(wrong)
        return url

    return read


Folder = Annotated[
    Path, typer.Option("--data", envvar="BATALKAN_DATA", help="Where the embedded parts keep their data.")
]
Port = Annotated[
    int,
    typer.Option(
        "--port", envvar="PORT", metavar="INTEGER", parser=_number(1, 65535), help="The port of the one origin."
    ),
]
Host = Annotated[str, typer.Option("--host", envvar="HOST", help="The address to listen on.")]
Database = Annotated[
    str,
    typer.Option(
        envvar="DATABASE_URL", callback=_url(urls.DATABASE), help="A PostgreSQL to use instead of the embedded one."
    ),
]
Broker = Annotated[
    str,
    typer.Option(
        envvar="BROKER_URL", callback=_url(urls.BROKER), help="amqp://…, or memory:// for the one in this process."
    ),
]
Redis = Annotated[
    str,
    typer.Option(
        envvar="REDIS_URL", callback=_url(urls.REDIS), help="redis://…, or memory:// for the one in this process."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="For scripts: JSON instead of a table.")]

DATA = Path(".batalkan")


@app.command()
def up(
    data: Folder = DATA,
    host: Host = "127.0.0.1",
    port: Port = 8080,
    database_url: Database = "",
    broker_url: Broker = "memory://",
    redis_url: Redis = "memory://",
    servers: Annotated[
        str, typer.Option(help='"local": private RabbitMQ, Redis and PostgreSQL, and a process for each service.')
    ] = "",
    demonstration: Annotated[
        bool, typer.Option(envvar="DEMONSTRATION", help="Ready accounts, and a clock that can be moved.")
    ] = True,
) -> None:
    """Serve until Ctrl-C: everything in this process, or with --servers local on real servers, without Docker."""
    from batalkan import single_process
    from batalkan.system import Where

    where = Where(data, database_url, broker_url, redis_url, demonstration, **_entrance(host))
    if servers not in ("", "local"):
        raise typer.BadParameter("only: local", param_hint="--servers")
    serve = single_process.up_on_servers if servers else single_process.up
    single_process.run(serve(where, host, port, console))


@app.command()
def demo(
    data: Folder = DATA,
    host: Host = "127.0.0.1",
    port: Port = 8080,
    database_url: Database = "",
    broker_url: Broker = "memory://",
    redis_url: Redis = "memory://",
    serve: Annotated[bool, typer.Option(help="Go on serving after the guided run, until Ctrl-C.")] = True,
) -> None:
    """A guided run through both ways of cancelling, with what is refused and what goes wrong; then serve."""
    from batalkan import single_process
    from batalkan.system import Where

    where = Where(data, database_url, broker_url, redis_url, dana_timeout=0.5, settling=0.3, **_entrance(host))
    single_process.run(single_process.demo(where, host, port, console, then_serve=serve))


def _entrance(host: str) -> dict[str, Any]:
    """By which names, and through which proxies, clients may come: ALLOWED_HOSTS and TRUSTED_PROXIES."""
    env = Environment.of_process()
    return {"allowed_hosts": env.allowed_hosts(host), "trusted_proxies": env.trusted_proxies()}


@app.command()
def migrate(data: Folder = DATA) -> None:
    """Bring the databases up to date. The services do so too when they start; this is for doing it before."""
    from batalkan.operate import migrate_all

    for name in _run(data, migrate_all):
        console.print(f"{name}: up to date")


@app.command()
def seed(data: Folder = DATA) -> None:
    """Add the demonstration's accounts and catalogue to the databases, where they are missing."""
    from batalkan.operate import seed_all

    _run(data, seed_all)
    console.print("buyer@example.com, seller@example.com, agent@example.com (batalkan-demo), and six products")


@agents.command("create")
def create_agent(
    email: Annotated[str, typer.Option(prompt=True)],
    name: Annotated[str, typer.Option(prompt=True)],
    password: Annotated[
        str, typer.Option(prompt=True, hide_input=True, confirmation_prompt=True, envvar="AGENT_PASSWORD")
    ],
    data: Folder = DATA,
) -> None:
    """Make an agent's account. The password is asked for, or taken from AGENT_PASSWORD."""
    from batalkan.operate import create_agent

    account_id = _run(data, lambda urls: create_agent(urls, email, password, name))
    console.print(f"{email} is agent {account_id}")


@clocks.command("advance")
def advance(
    by: Annotated[str, typer.Argument(help="How far, as 90s, 30m, 24h or 2d.")],
    data: Folder = DATA,
) -> None:
    """Move the time of every service forward. Refused unless they run for demonstration."""
    from batalkan.operate import advance_clock

    far = _duration(by)
    moved = _run(data, lambda urls: advance_clock(urls, far))
    console.print(f"time is moved by {moved} now")


@clocks.command("show")
def show_clock(data: Folder = DATA) -> None:
    """How far the time of each service is moved."""
    from batalkan.operate import clock_shift

    for name, shift in _run(data, clock_shift).items():
        console.print(f"{name}: {shift}")


@parked.command("list")
def list_parked(data: Folder = DATA, as_json: Json = False) -> None:
    """What is set aside, at which service, and why."""
    from batalkan.operate import list_parked

    found = _run(data, list_parked)
    if as_json:
        rows = [{"service": name, **asdict(one)} for name, many in found.items() for one in many]
        console.print_json(json.dumps(rows, default=str))
        return
    table = Table("service", "id", "message", "since", "state", "why")
    for name, many in found.items():
        for one in many:
            since = one.parked_at.isoformat(timespec="seconds")
            table.add_row(name, str(one.parked_id), one.routing_key, since, one.state, one.error)
    console.print(table if table.row_count else "Nothing is set aside.")


@parked.command("show")
def show_parked(parked_id: UUID, data: Folder = DATA) -> None:
    """One message, with its body."""
    from batalkan.operate import show_parked

    found = _run(data, lambda urls: show_parked(urls, parked_id))
    if found is None:
        sys.exit(f"batalkan: nothing with the id {parked_id} is set aside")
    name, one = found
    console.print(f"{one.routing_key}, set aside by {name} at {one.parked_at} ({one.state}, {one.size} bytes)")
    console.print(f"because: {one.error}", markup=False)
    console.print(one.body.decode(errors="replace"), markup=False, soft_wrap=True)


@parked.command("replay")
def replay_parked(
    parked_id: Annotated[UUID | None, typer.Argument(help="Which one; without it, all of them.")] = None,
    data: Folder = DATA,
) -> None:
    """Have the service handle a message again; if it fails again, it is set aside again."""
    from batalkan.operate import replay_parked

    asked = _run(data, lambda urls: replay_parked(urls, [parked_id] if parked_id else None))
    console.print(f"{asked} messages are handled again")
    if parked_id and not asked:
        raise typer.Exit(1)


@app.command()
def load(
    url: Annotated[
        str, typer.Option(callback=_url(urls.HTTP), help="The origin of a running system.")
    ] = "http://127.0.0.1:8080",
    orders: Annotated[
        int,
        typer.Option(
            metavar="INTEGER", parser=_number(1, 1_000_000), help="How many orders are placed, paid and cancelled."
        ),
    ] = 500,
    clients: Annotated[
        int, typer.Option(metavar="INTEGER", parser=_number(1, 1000), help="How many requests are under way at once.")
    ] = 32,
    as_json: Json = False,
) -> None:
    """Cancel many orders at once on a running system, and wait for every refund."""
    from batalkan import load as loading

    async def run() -> loading.Figures:
        async with loading.origin(url, clients) as http:
            return await loading.load(http, orders, clients, Console(stderr=True))

    try:
        figures = run_to_end(run(), "batalkan").as_json()
    except* loading.LoadFailed as failed:
        sys.exit(f"batalkan: {_first(failed)}")
    if as_json:
        console.print_json(json.dumps(figures))
        return
    table = Table("figure", "value")
    for name, value in figures.items():
        table.add_row(name.replace("_", " "), f"{value:,}")
    console.print(table)


def _first(group: BaseExceptionGroup[Any]) -> BaseException:
    one = group.exceptions[0]
    return _first(one) if isinstance(one, BaseExceptionGroup) else one


@app.command()
def check(
    data: Folder = DATA,
    dana: Annotated[
        str,
        typer.Option(
            callback=_url(urls.HTTP), help="The DANA simulator's origin, to hold its journal against the books."
        ),
    ] = "",
    accepted: Annotated[
        Path | None, typer.Option(help="A client's log: JSON lines of order_id and cancellation_id, all accepted.")
    ] = None,
    at_rest: Annotated[bool, typer.Option("--at-rest", help="What is on its way is wrong, too.")] = False,
    as_json: Json = False,
) -> None:
    """Hold the stores of all services, DANA's journal and a client's log against each other. Exit code 1 if one thing
    is wrong: money, stock, an order's history, an event's effect, a deadline, a conversation."""
    from batalkan.operate import check_all

    snapshot = _run(data, lambda urls: check_all(urls, dana, accepted))
    broken = [*snapshot.broken, *(snapshot.pending if at_rest else ())]
    if as_json:
        console.print_json(json.dumps({**asdict(snapshot), "ledger_sum": snapshot.ledger_sum, "ok": not broken}))
    else:
        for sentence in snapshot.pending:
            console.print(f"on its way: {sentence}", markup=False, soft_wrap=True)
        for sentence in snapshot.broken:
            console.print(f"BROKEN {sentence}", markup=False, soft_wrap=True)
        console.print(
            f"the ledger sums to {snapshot.ledger_sum}; {snapshot.cancelled_paid_orders} cancelled, paid orders; "
            f"{snapshot.refunds} refunds, {snapshot.open_refunds} of them in flight; {snapshot.parked} messages parked",
            soft_wrap=True,
        )
    raise typer.Exit(1 if broken else 0)


@app.command()
def doctor(data: Folder = DATA, as_json: Json = False) -> None:
    """What this machine has, which ports are free, and what is missing for which command."""
    from batalkan.doctor import diagnose

    found = diagnose(data)
    if as_json:
        console.print_json(json.dumps(found.as_json()))
    else:
        table = Table("", "what", "found")
        for one in found.findings:
            table.add_row("[green]✓[/green]" if one.ok else "[red]✗[/red]", one.name, one.detail)
        console.print(table)
        for command, missing in found.commands.items():
            console.print(f"{command}: " + (f"[red]needs {', '.join(missing)}[/red]" if missing else "can run here"))
    raise typer.Exit(found.exit_code)


@app.command()
def docs(check: Annotated[bool, typer.Option("--check", help="Only say whether it is up to date.")] = False) -> None:
    """Write docs/events.md and docs/asyncapi.json, the catalogue of events, from the contracts."""
    from batalkan.catalogue import written

    for path, text in written().items():
        if not check:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            sys.exit(f"batalkan: {path} is not what the contracts say; run: batalkan docs")


def _env() -> Environment:
    return Environment.of_process()


def _run(data: Path, uow: Callable[[Mapping[str, str]], Coroutine[Any, Any, T]]) -> T:
    """Runs a short piece of work on the services' databases; what is in the way becomes one line and exit code 1."""
    from batalkan.operate import NothingRunning, UnreadableLog, database_urls
    from runtime.errors import Problem
    from runtime.storage.clock import ClockFixed
    from runtime.storage.embedded import DataFolderUnusable, PostgresFailed

    async def run() -> T:
        async with database_urls(_env(), data) as urls:
            return await uow(urls)

    try:
        return run_to_end(run(), "batalkan")
    except (NothingRunning, UnreadableLog, ClockFixed, DataFolderUnusable, PostgresFailed, Problem) as error:
        sys.exit(f"batalkan: {error}")


def _duration(text: str) -> timedelta:
    units = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
    number, unit = text[:-1], text[-1:]
    count = whole(number)
    if unit not in units or count is None or count > 100_000:
        raise typer.BadParameter(f"{text!r} is not a duration such as 90s, 30m, 24h or 2d")
    return timedelta(**{units[unit]: count})
