"""The guided run: both ways of cancelling, what is refused, and what goes wrong on the way and ends well."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from secrets import token_hex
from typing import Any, TypeVar

import httpx
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from batalkan.invariants import Books, check
from batalkan.operate import advance_clock
from batalkan.tap import Seen

T = TypeVar("T")

PATIENCE = 20.0
"""Seconds within which something that was set off must have happened."""
PASSWORD = "batalkan-demo"  # noqa: S105 (the demonstration's, and published)


class DemoFailed(Exception):
    """Something did not come out as it must."""


@dataclass(frozen=True)
class Person:
    """Somebody signed in."""

    account_id: str
    headers: Mapping[str, str]


def rupiah(amount: int) -> str:
    """As Indonesia writes it: Rp189.000"""
    return f"Rp{amount:,}".replace(",", ".")


class Demo:
    """Walks through the main job over HTTP, as the app and the website would."""

    def __init__(
        self, http: httpx.AsyncClient, dana: httpx.AsyncClient, database_urls: Mapping[str, str], console: Console
    ) -> None:
        self._http = http
        self._dana = dana
        self._database_urls = database_urls
        self._console = console
        self._seen: list[Seen] = []
        self._steps = 0

    def see(self, event: Seen) -> None:
        """Takes note of an event that travels."""
        self._seen.append(event)

    async def run(self) -> Books:
        """All steps; raises `DemoFailed` when one does not come out as it must."""
        seller = await self._join("seller", "web")
        product = await self._call(
            "POST", "/orders/products", seller, 201, title="Kopi Gayo 1 kg", price=145_000, stock=99
        )
        self._console.print(f"A seller offers {product['title']} for {rupiah(product['price'])}.\n")
        await self._in_the_app(product)
        await self._on_the_website(product, seller)
        await self._too_late(product)
        await self._already_shipped(product, seller)
        await self._dana_times_out(product)
        return await self._settle()

    async def _in_the_app(self, product: dict[str, Any]) -> None:
        self._step("Way 1, the app: pay, cancel with a reason, and again")
        buyer = await self._join("buyer", "app")
        order = await self._ordered(buyer, product, 2)
        gone = await self._call("POST", f"/orders/{order}/cancel", buyer, 200, reason="changed_mind")
        self._say(f"cancelled through the {gone['cancellation']['channel']}; {rupiah(gone['paid_amount'])} were paid")
        await self._refunded(buyer, order, "lazada_credit")
        again = await self._call("POST", f"/orders/{order}/cancel", buyer, 200)
        if again["cancellation"]["cancellation_id"] != gone["cancellation"]["cancellation_id"]:
            raise DemoFailed("asking twice made two cancellations")
        self._say("asked a second time: the same cancellation, nothing more is refunded")
        wallet = await self._call("GET", "/refunds/wallet", buyer, 200)
        self._say(f"Lazada Credit now: {rupiah(wallet['credit_balance'])}")
        await self._show_events(order)

    async def _on_the_website(self, product: dict[str, Any], seller: Person) -> None:
        self._step("Way 2, the website: packed already, no reason given, DANA linked")
        buyer = await self._join("buyer", "web")
        await self._link_dana(buyer)
        order = await self._ordered(buyer, product, 1)
        await self._call("POST", f"/orders/{order}/pack", seller, 200)
        gone = await self._call("POST", f"/orders/{order}/cancel", buyer, 200)
        self._say(f"cancelled through the {gone['cancellation']['channel']}, although it was packed (Dikemas)")
        await self._refunded(buyer, order, "dana")
        await self._show_events(order)

    async def _too_late(self, product: dict[str, Any]) -> None:
        self._step("Refused: the order is more than 1 × 24 hours old")
        buyer = await self._join("buyer", "app")
        order = await self._ordered(buyer, product, 1)
        await self._advance(timedelta(hours=24, seconds=1))
        await self._refused(buyer, order, "window_closed")
        await self._show_events(order, "OrderCancelRejected")

    async def _already_shipped(self, product: dict[str, Any], seller: Person) -> None:
        self._step("Refused: the order has shipped")
        buyer = await self._join("buyer", "web")
        order = await self._ordered(buyer, product, 1)
        for move in ("pack", "ship"):
            await self._call("POST", f"/orders/{order}/{move}", seller, 200)
        await self._refused(buyer, order, "already_shipped")
        await self._show_events(order, "OrderCancelRejected")

    async def _dana_times_out(self, product: dict[str, Any]) -> None:
        self._step("DANA pays and then does not answer: it is asked, and pays once")
        buyer = await self._join("buyer", "app")
        await self._link_dana(buyer)
        order = await self._ordered(buyer, product, 3)
        fault = {"mode": "timeout_after", "times": 1, "seconds": 30}
        (await self._dana.put("faults", json=fault)).raise_for_status()
        await self._call("POST", f"/orders/{order}/cancel", buyer, 200)
        late = await self._until(
            lambda: self._call("GET", f"/orders/{order}", buyer, 200), lambda view: view["refund"] is not None
        )
        self._say(f"no answer from DANA: the refund is {late['refund']['state']}, and the order says so")
        await self._advance(timedelta(seconds=5))
        await self._refunded(buyer, order, "dana")
        journal = (await self._dana.get("journal")).json()
        reference = (await self._call("GET", f"/orders/{order}", buyer, 200))["refund"]["refund_id"].replace("-", "")
        payments = [payment for payment in journal["items"] if payment["reference"] == reference]
        if len(payments) != 1:
            raise DemoFailed(f"DANA paid {len(payments)} times")
        self._say(f"DANA's journal: one payment of {rupiah(payments[0]['amount'])} under {reference[:8]}…")
        await self._show_events(order)

    async def _settle(self) -> Books:
        """The ledger at the end, and whether it is right."""

        async def books() -> Books:
            return await check(self._database_urls, (await self._dana.get("journal")).json()["items"])

        found = await self._until(books, lambda found: not found.open_refunds and not found.broken, fail=False)
        table = Table("account", title="The ledger", title_justify="left")
        table.add_column("balance", justify="right")
        for account, balance in sorted(found.accounts.items()):
            table.add_row(account, rupiah(balance).replace("Rp-", "-Rp"))
        table.add_section()
        table.add_row("sum", rupiah(found.ledger_sum))
        self._console.print(table)
        for sentence in found.broken:
            self._console.print(f"[red]BROKEN[/red] {escape(sentence)}")
        if found.broken or found.open_refunds or found.ledger_sum:
            raise DemoFailed("the books are not right")
        return found

    # What the steps are made of.

    def _step(self, title: str) -> None:
        self._steps += 1
        self._console.print(f"[bold]{self._steps}. {escape(title)}[/bold]")

    def _say(self, line: str) -> None:
        self._console.print(f"   {escape(line)}", soft_wrap=True)

    async def _show_events(self, order: str, last: str = "RefundIssued") -> None:
        """What has travelled about an order, up to the event that ends its story."""

        async def events() -> list[Seen]:
            return [seen for seen in self._seen if seen.subject == order]

        for seen in await self._until(events, lambda events: any(seen.type == last for seen in events)):
            story = seen.correlation_id[-6:]
            self._console.print(f"   [cyan]{seen.source:>8} → {seen.type:<21}[/cyan] [dim]story …{story}[/dim]")
        self._console.print()

    async def _join(self, role: str, client: str) -> Person:
        email = f"{role}-{token_hex(4)}@example.com"
        account = await self._call(
            "POST", "/accounts", None, 201, email=email, password=PASSWORD, name=role.title(), role=role
        )
        form = {"grant_type": "password", "username": email, "password": PASSWORD, "client_id": client}
        answer = await self._http.post("/accounts/token", data=form)
        if answer.status_code != 200:
            raise DemoFailed(f"signing in: {answer.text}")
        return Person(account["account_id"], {"Authorization": f"Bearer {answer.json()['access_token']}"})

    async def _ordered(self, buyer: Person, product: dict[str, Any], quantity: int) -> str:
        lines = [{"product_id": product["product_id"], "quantity": quantity}]
        order = await self._call("POST", "/orders", buyer, 201, lines=lines, payment_method="bank_transfer")
        paid = await self._call("POST", f"/orders/{order['order_id']}/pay", buyer, 200)
        self._say(f"order {paid['order_id'][-6:]}: {quantity} × {product['title']}, paid {rupiah(paid['paid_amount'])}")
        return str(order["order_id"])

    async def _link_dana(self, buyer: Person) -> None:
        wallet = await self._call("PUT", "/refunds/wallet/dana", buyer, 200, phone=f"0812{int(token_hex(3), 16):08d}")
        self._say(f"DANA linked: {wallet['dana']['phone']}")

    async def _refunded(self, buyer: Person, order: str, destination: str) -> None:
        view = await self._until(
            lambda: self._call("GET", f"/orders/{order}", buyer, 200),
            lambda view: view["refund"] is not None and view["refund"]["state"] == "issued",
        )
        refund = view["refund"]
        if (refund["amount"], refund["destination"]) != (view["paid_amount"], destination):
            raise DemoFailed(f"refunded {refund}, not {view['paid_amount']} to {destination}")
        where = {"dana": "DANA", "lazada_credit": "Lazada Credit"}[destination]
        self._say(f"refunded in full: {rupiah(refund['amount'])} to {where}")

    async def _refused(self, buyer: Person, order: str, code: str) -> None:
        problem = await self._call("POST", f"/orders/{order}/cancel", buyer, 409)
        if problem["code"] != code:
            raise DemoFailed(f"refused with {problem['code']}, not {code}")
        self._say(f"409 {problem['code']}: {problem['detail']}")

    async def _advance(self, by: timedelta) -> None:
        await advance_clock(self._database_urls, by)
        self._say(f"(the clock moves on by {by})")

    async def _call(self, method: str, path: str, who: Person | None, status: int, **body: Any) -> dict[str, Any]:
        headers = dict(who.headers) if who else {}
        answer = await self._http.request(method, path, headers=headers, json=body or None)
        if answer.status_code != status:
            raise DemoFailed(f"{method} {path}: {answer.status_code}, not {status}: {answer.text}")
        told: dict[str, Any] = answer.json()
        return told

    async def _until(self, look: Callable[[], Awaitable[T]], enough: Callable[[T], bool], *, fail: bool = True) -> T:
        loop = asyncio.get_running_loop()
        end = loop.time() + PATIENCE
        while not enough(found := await look()):
            if loop.time() > end:
                if fail:
                    raise DemoFailed(f"not within {PATIENCE:.0f} s: {found}")
                break
            await asyncio.sleep(0.02)
        return found
