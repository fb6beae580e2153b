"""The commands of an operator: databases, accounts, the demonstration's clock, reconciliation, parked messages."""

import json
import sys
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer
from rich.table import Table

from batalkan.cli_options import DATA, Folder, Json, console, on_databases, visible
from contracts import events_for
from contracts.words import Role
from runtime.numbers import whole
from runtime.settings import MOST_PARTITIONS
from services import SERVICES

app = typer.Typer()
agents = typer.Typer(no_args_is_help=True, help="Accounts of customer-service agents, who cannot register themselves.")
operators = typer.Typer(no_args_is_help=True, help="Accounts of operators, who use the console at /web/operate.")
clocks = typer.Typer(no_args_is_help=True, help="The demonstration's clock, which can be moved forward.")
parked = typer.Typer(no_args_is_help=True, help="Parked messages: those that a service could not handle.")
app.add_typer(agents, name="agent")
app.add_typer(operators, name="operator")
app.add_typer(clocks, name="clock")
app.add_typer(parked, name="parked")


@app.command()
def migrate(data: Folder = DATA) -> None:
    """Migrate the databases. Each service also does this when it starts."""
    from batalkan.operate import migrate_all

    for name in on_databases(data, migrate_all):
        console.print(f"{name}: up to date")


@app.command()
def seed(data: Folder = DATA) -> None:
    """Add the demonstration's accounts and a market to running services, if they are missing: sellers with products,
    buyers with orders in every state, conversations, and cases of customer service."""
    from batalkan import market

    added = on_databases(data, market.load)
    console.print("the market is there" if added else "the market was there already")
    console.print("buyer@example.com, seller@example.com, agent@example.com (batalkan-demo)")


@app.command()
def partitions(
    service: Annotated[str, typer.Argument(help="The service to move; without it, all are shown.")] = "",
    count: Annotated[int, typer.Argument(min=1, max=MOST_PARTITIONS, help="Its new number of partitions.")] = 1,
    data: Folder = DATA,
) -> None:
    """Show in how many partitions each service consumes, or move a running one to another number.

    It waits for the end of the move. Set PARTITIONS to the number, too, before the service starts again.
    """
    from batalkan.operate import move_partitions, partitionings

    consuming = [name for name in SERVICES if events_for(name)]
    if service and service not in consuming:
        raise typer.BadParameter(f"{service!r} is none of {', '.join(consuming)}")
    if service:
        on_databases(data, lambda urls: move_partitions(urls[service], count, console.print))
    table = Table("service", "partitions", "moves to", "step", "messages left in the former queues")
    for name, one in on_databases(data, partitionings).items():
        moving = (str(one.wanted), one.stage, str(one.messages_left)) if one.moves else ("", "", "")
        table.add_row(name, str(one.current), *moving)
    console.print(table)


Email = Annotated[str, typer.Option(prompt=True)]
Name = Annotated[str, typer.Option(prompt=True)]


def _password(variable: str) -> Any:
    return typer.Option(prompt=True, hide_input=True, confirmation_prompt=True, envvar=variable)


@agents.command("create")
def create_agent(
    email: Email, name: Name, password: Annotated[str, _password("AGENT_PASSWORD")], data: Folder = DATA
) -> None:
    """Create an agent's account. The command asks for the password, or takes it from AGENT_PASSWORD."""
    _create(Role.AGENT, email, name, password, data)


@operators.command("create")
def create_operator(
    email: Email, name: Name, password: Annotated[str, _password("OPERATOR_PASSWORD")], data: Folder = DATA
) -> None:
    """Create an operator's account. The command asks for the password, or takes it from OPERATOR_PASSWORD."""
    _create(Role.OPERATOR, email, name, password, data)


def _create(role: Role, email: str, name: str, password: str, data: Path) -> None:
    from batalkan.operate import create_for

    account_id = on_databases(data, lambda urls: create_for(urls, role, email, password, name))
    console.print(f"{email} is {role} {account_id}")


@clocks.command("advance")
def advance(
    by: Annotated[str, typer.Argument(help="By how much, such as 90s, 30m, 24h or 2d.")],
    data: Folder = DATA,
) -> None:
    """Move the clock of every service forward. Refused unless all run in demonstration mode."""
    from batalkan.operate import advance_clock

    far = _duration(by)
    moved = on_databases(data, lambda urls: advance_clock(urls, far))
    console.print(f"the clock is now {moved} ahead")


@clocks.command("show")
def show_clock(data: Folder = DATA) -> None:
    """Show how far the clock of each service is ahead."""
    from batalkan.operate import clock_shift

    for name, shift in on_databases(data, clock_shift).items():
        console.print(f"{name}: {shift}")


@app.command()
def reconcile(
    hold: Annotated[
        bool, typer.Option("--hold", help="Only stop payments: after restoring files, before refunds starts.")
    ] = False,
    data: Folder = DATA,
) -> None:
    """Compare a restored database of refunds with orders and DANA, book what was paid or credited, then let it pay.
    Can be run again at any time. Exit code 1 if DANA does not know a payment that orders knows, or if refunds
    has parked a cancellation."""
    from batalkan import reconciling

    if hold:
        on_databases(data, reconciling.hold)
        console.print("refunds pays nothing until this has run: batalkan reconcile")
        return
    found = on_databases(data, lambda urls: reconciling.reconcile(urls, console.print))
    console.print(
        f"{found.paid} restored refunds are paid by DANA, {found.credited} are in Lazada Credit, {found.open} go on as "
        "usual; refunds pays again",
        soft_wrap=True,
    )
    for reference in found.disputed:
        console.print(
            f"DANA does not know {reference}; orders knows it as paid, or its cancellation is parked: not paid",
            soft_wrap=True,
        )
    for cancellation_id in found.parked:
        console.print(
            f"refunds has parked cancellation {cancellation_id}: see batalkan parked list; remove the cause, then "
            "run this again",
            soft_wrap=True,
        )
    raise typer.Exit(1 if found.disputed or found.parked else 0)


@parked.command("list")
def list_parked(data: Folder = DATA, as_json: Json = False) -> None:
    """List the parked messages of each service, with their errors."""
    from batalkan.operate import list_parked

    found = on_databases(data, list_parked)
    if as_json:
        rows = [{"service": name, **asdict(one)} for name, many in found.items() for one in many]
        console.print_json(json.dumps(rows, default=str))
        return
    table = Table("service", "id", "message", "since", "state", "error")
    for name, many in found.items():
        for one in many:
            since = one.parked_at.isoformat(timespec="seconds")
            key, error = visible(one.routing_key), visible(one.error)
            table.add_row(name, str(one.parked_id), key, since, one.state, error)
    console.print(table if table.row_count else "No message is parked.")


@parked.command("show")
def show_parked(parked_id: UUID, data: Folder = DATA) -> None:
    """Show one parked message with its body."""
    from batalkan.operate import show_parked

    found = on_databases(data, lambda urls: show_parked(urls, parked_id))
    if found is None:
        sys.exit(f"batalkan: no parked message has the id {parked_id}; list them with: batalkan parked list")
    name, one = found
    console.print(visible(f"{one.routing_key}, parked by {name} at {one.parked_at} ({one.state}, {one.size} bytes)"))
    console.print(visible(f"error: {one.error}"))
    console.print(visible(one.body.decode(errors="replace")), soft_wrap=True)


@parked.command("replay")
def replay_parked(
    parked_id: Annotated[UUID | None, typer.Argument(help="The message; without it, all of them.")] = None,
    data: Folder = DATA,
) -> None:
    """Replay a parked message. If it fails again, the service parks it again."""
    from batalkan.operate import replay_parked

    asked = on_databases(data, lambda urls: replay_parked(urls, [parked_id] if parked_id else None))
    console.print(f"{asked} messages will be replayed")
    if parked_id and not asked:
        raise typer.Exit(1)


def _duration(text: str) -> timedelta:
    units = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
    number, unit = text[:-1], text[-1:]
    count = whole(number)
    if unit not in units or count is None or count > 100_000:
        raise typer.BadParameter(f"{text!r} is not a duration such as 90s, 30m, 24h or 2d")
    return timedelta(**{units[unit]: count})
