"""A simple load test: places, pays and cancels many orders, and waits for every refund."""

import asyncio
import statistics
from collections.abc import Awaitable, Callable
from secrets import token_hex
from time import perf_counter
from typing import Any

import httpx
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from batalkan.subprocesses import run_all
from runtime.http.client import http_client

PASSWORD = token_hex(16)
PRICE = 50_000
PRODUCTS = 50
"""Enough products that orders do not wait for the lock of one product's stock."""
TIMEOUT = 120.0
"""Seconds for the refunds after the last cancellation."""


class LoadFailed(Exception):
    """A request failed, or the refunds are not the paid amount."""


async def load(url: str, orders: int, clients: int, console: Console) -> dict[str, float]:
    """Runs the load against the origin `url` with `clients` concurrent clients. Raises `LoadFailed`.

    The result has counts, seconds, milliseconds, and the refunded whole rupiah. `settled_seconds` is the time from the
    first cancellation to the last refund.
    """
    limits = httpx.Limits(max_connections=clients + 1, max_keepalive_connections=clients + 1)
    async with http_client(base_url=url, timeout=30, limits=limits) as http:
        return await _load(http, orders, clients, console)


async def _load(http: httpx.AsyncClient, orders: int, clients: int, console: Console) -> dict[str, float]:
    run = token_hex(4)
    seller = await _join(http, f"load-seller-{run}@example.com", "seller")
    # One buyer may have only a few unpaid orders at a time.
    buyers = [await _join(http, f"load-buyer-{run}-{n}@example.com", "buyer") for n in range(clients // 4 + 1)]
    products = [
        await _call(http, "POST", "/orders/products", seller, title=f"Load {n}", price=PRICE, stock=orders)
        for n in range(PRODUCTS)
    ]
    columns = (TextColumn("{task.description:<16}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:

        async def place(n: int) -> tuple[str, dict[str, str]]:
            buyer = buyers[n % len(buyers)]
            lines = [{"product_id": products[n % PRODUCTS]["product_id"], "quantity": 1}]
            order = await _call(http, "POST", "/orders", buyer, lines=lines, payment_method="bank_transfer")
            await _call(http, "POST", f"/orders/{order['order_id']}/pay", buyer)
            return str(order["order_id"]), buyer

        placed = await _each(progress, "placed and paid", range(orders), clients, place)
        times: list[float] = []

        async def cancel(one: tuple[str, dict[str, str]]) -> None:
            (order_id, buyer), started = one, perf_counter()
            await _call(http, "POST", f"/orders/{order_id}/cancel", buyer)
            times.append(perf_counter() - started)

        started = perf_counter()
        await _each(progress, "cancelled", placed, clients, cancel)
        cancelled = perf_counter() - started
        refunded = await _refunded(http, buyers, orders * PRICE, progress)
        settled = perf_counter() - started
    cuts = statistics.quantiles(times, n=100) if len(times) > 1 else times * 99
    return {
        "orders": orders,
        "clients": clients,
        "cancel_seconds": round(cancelled, 2),
        "settled_seconds": round(settled, 2),
        "sagas_per_second": round(orders / settled, 1),
        "cancel_p50_ms": round(cuts[49] * 1000, 1),
        "cancel_p99_ms": round(cuts[98] * 1000, 1),
        "refunded": refunded,
    }


async def _each(
    progress: Progress, words: str, items: Any, clients: int, do: Callable[[Any], Awaitable[Any]]
) -> list[Any]:
    """Runs `do` for each item with `clients` concurrent workers."""
    waiting = list(items)
    task = progress.add_task(words, total=len(waiting))
    done: list[Any] = []

    async def worker() -> None:
        while waiting:
            done.append(await do(waiting.pop()))
            progress.advance(task)

    await run_all(*(worker() for _ in range(clients)))
    return done


async def _refunded(http: httpx.AsyncClient, buyers: list[dict[str, str]], due: int, progress: Progress) -> int:
    task = progress.add_task("refunded", total=due // PRICE)
    end = perf_counter() + TIMEOUT
    while True:
        wallets = await asyncio.gather(*(_call(http, "GET", "/refunds/wallet", buyer) for buyer in buyers))
        arrived = sum(int(wallet["credit_balance"]) for wallet in wallets)
        progress.update(task, completed=arrived // PRICE)
        if arrived == due:
            return arrived
        if arrived > due or perf_counter() > end:
            raise LoadFailed(f"{arrived} rupiah were refunded, but {due} were paid")
        await asyncio.sleep(0.05)


async def _join(http: httpx.AsyncClient, email: str, role: str) -> dict[str, str]:
    await _call(http, "POST", "/accounts", {}, email=email, password=PASSWORD, name=f"Load {role}", role=role)
    form = {"grant_type": "password", "username": email, "password": PASSWORD, "client_id": "web"}
    answer = await _call(http, "POST", "/accounts/token", {}, form)
    return {"Authorization": f"Bearer {answer['access_token']}"}


async def _call(
    http: httpx.AsyncClient, method: str, path: str, headers: dict[str, str], form: Any = None, **body: Any
) -> Any:
    try:
        answer = await http.request(method, path, headers=headers, data=form, json=body or None)
        if answer.is_success:
            return answer.json()
    except (httpx.HTTPError, ValueError) as error:
        raise LoadFailed(f"{method} {path}: {str(error) or type(error).__name__}") from error
    raise LoadFailed(f"{method} {path}: {answer.status_code} {answer.text}")
