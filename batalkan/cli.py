"""The command line. Exit codes: 0 for success, 1 for "no" or an error, 2 for a wrong call, 130 for Ctrl-C, 143 for
SIGTERM."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from batalkan import operator_commands
from batalkan.cli_options import (
    DATA,
    Broker,
    Database,
    Folder,
    Host,
    Json,
    Port,
    Redis,
    console,
    number,
    on_databases,
    url_in,
)
from runtime import urls
from runtime.settings import Environment
from runtime.shutdown.signals import run_to_end

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Batalkan: how a marketplace order is cancelled, and how the money comes back.",
)
app.add_typer(operator_commands.app)
new = typer.Typer(no_args_is_help=True, help="Parts that are added to the source tree.")
app.add_typer(new, name="new")

WithMarket = Annotated[bool, typer.Option("--market/--no-market", help="Add the market of `batalkan seed` meanwhile.")]


@app.command()
def up(
    data: Folder = DATA,
    host: Host = "127.0.0.1",
    port: Port = 8080,
    database_url: Database = "",
    broker_url: Broker = "memory://",
    redis_url: Redis = "memory://",
    servers: Annotated[
        str, typer.Option(help='"local": private RabbitMQ, Redis and PostgreSQL, and one process for each service.')
    ] = "",
    demonstration: Annotated[
        bool, typer.Option(envvar="DEMONSTRATION", help="Demonstration accounts, and a clock that can be moved.")
    ] = True,
    market: WithMarket = True,
) -> None:
    """Serve until Ctrl-C: all services in this process, or, with --servers local, on real servers without Docker."""
    from batalkan import single_process
    from batalkan.system import Where

    where = Where(data, database_url, broker_url, redis_url, demonstration, market, **_entrance(host))
    if servers not in ("", "local"):
        raise typer.BadParameter("the only value is: local", param_hint="--servers")
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
    serve: Annotated[bool, typer.Option(help="Continue to serve after the guided run, until Ctrl-C.")] = True,
    market: WithMarket = True,
) -> None:
    """A guided run through the four ways to cancel, the refusals and a failure of DANA; then serve."""
    from batalkan import single_process
    from batalkan.system import Where

    more = {"market": market, **_entrance(host)}
    where = Where(data, database_url, broker_url, redis_url, dana_timeout=0.3, settling=0.2, **more)
    single_process.run(single_process.demo(where, host, port, console, then_serve=serve))


def _entrance(host: str) -> dict[str, Any]:
    """The settings ALLOWED_HOSTS and TRUSTED_PROXIES."""
    env = Environment.of_process()
    return {"allowed_hosts": env.allowed_hosts(host), "trusted_proxies": env.trusted_proxies()}


@app.command()
def load(
    url: Annotated[
        str, typer.Option(callback=url_in(urls.HTTP), help="The origin of a running system.")
    ] = "http://127.0.0.1:8080",
    orders: Annotated[
        int,
        typer.Option(metavar="INTEGER", parser=number(1, 1_000_000), help="Number of orders to place, pay and cancel."),
    ] = 500,
    clients: Annotated[
        int, typer.Option(metavar="INTEGER", parser=number(1, 1000), help="Number of concurrent requests.")
    ] = 32,
    as_json: Json = False,
) -> None:
    """Cancel many orders concurrently on a running system, and wait for every refund."""
    from batalkan import load as loading

    try:
        figures = run_to_end(loading.load(url, orders, clients, Console(stderr=True)), "batalkan")
    except loading.LoadFailed as failed:
        sys.exit(f"batalkan: {failed}")
    if as_json:
        console.print_json(json.dumps(figures))
        return
    table = Table("figure", "value")
    for name, value in figures.items():
        table.add_row(name.replace("_", " "), f"{value:,}")
    console.print(table)


@app.command()
def check(
    data: Folder = DATA,
    dana: Annotated[
        str,
        typer.Option(
            callback=url_in(urls.HTTP), help="The DANA simulator's origin, to compare its journal with the ledger."
        ),
    ] = "",
    accepted: Annotated[
        Path | None,
        typer.Option(help="A client's log of accepted cancellations: JSON lines of order_id, cancellation_id, part."),
    ] = None,
    at_rest: Annotated[bool, typer.Option("--at-rest", help="Unfinished work counts as an error.")] = False,
    as_json: Json = False,
) -> None:
    """Check the invariants: compare the stores of all services, DANA's journal and a client's log. Exit code 1 if an
    invariant is broken: ledger, refunds, stock, orders, events, deadlines or conversations."""
    from batalkan.invariants import JournalUnreadable
    from batalkan.operate import check_all

    try:
        snapshot = on_databases(data, lambda urls: check_all(urls, dana, accepted))
    except JournalUnreadable as error:
        raise typer.BadParameter(str(error), param_hint="--dana") from error
    broken = [*snapshot.broken, *(snapshot.pending if at_rest else ())]
    if as_json:
        console.print_json(json.dumps({**asdict(snapshot), "ledger_sum": snapshot.ledger_sum, "ok": not broken}))
    else:
        for sentence in snapshot.pending:
            console.print(f"in flight: {sentence}", soft_wrap=True)
        for sentence in snapshot.broken:
            console.print(f"BROKEN {sentence}", soft_wrap=True)
        console.print(
            f"the ledger sums to {snapshot.ledger_sum}; {snapshot.cancelled_paid_orders} cancellations of paid orders; "
            f"{snapshot.refunds} refunds, {snapshot.open_refunds} of them in flight; {snapshot.parked} messages parked",
            soft_wrap=True,
        )
    raise typer.Exit(1 if broken else 0)


@app.command()
def doctor(data: Folder = DATA, as_json: Json = False) -> None:
    """Show what this machine has, which ports are free, and what each command still needs."""
    from batalkan.doctor import diagnose

    found = diagnose(data)
    if as_json:
        console.print_json(json.dumps(found.as_json()))
    else:
        table = Table("", "part", "found")
        for one in found.findings:
            table.add_row(Text("✓", "green") if one.ok else Text("✗", "red"), one.name, one.detail)
        console.print(table)
        for command, missing in found.commands.items():
            needs = (f"needs {', '.join(missing)}", "red") if missing else "can run here"
            console.print(Text.assemble(f"{command}: ", needs))
    raise typer.Exit(found.exit_code)


@app.command()
def secrets(
    folder: Annotated[
        Path, typer.Argument(help="It gets a folder of files for each Secret. Keep it: not in the source.")
    ],
) -> None:
    """Write new passwords, keys and server configuration for Kubernetes. Existing passwords and keys stay."""
    from batalkan.secrets import fill_folder
    from services import SERVICES

    try:
        fill_folder(folder, list(SERVICES))
    except OSError as error:
        sys.exit(f"batalkan: {error}")
    console.print(f"{folder}: {', '.join(sorted(path.name for path in folder.iterdir()))}", soft_wrap=True)


@new.command("service")
def new_service(
    name: Annotated[str, typer.Argument(help="Lower-case letters; it is also the prefix of its paths.")],
) -> None:
    """Write the files of a new service, with a test, and add its name to every list of services."""
    from batalkan.new_service import CannotAdd, add_service

    try:
        for path in add_service(name, Path(__file__).parent.parent):
            console.print(path, soft_wrap=True)
    except (CannotAdd, OSError) as error:
        sys.exit(f"batalkan: {error}")
