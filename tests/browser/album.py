"""Every page, with something on it: prepared through the interface, to be looked at in every language and width."""

import asyncio
from dataclasses import dataclass
from secrets import token_hex
from typing import Any

import httpx

DEMO = "batalkan-demo"
SEATS = {"buyer": "a", "seller": "b", "agent": "c"}


@dataclass(frozen=True)
class Sight:
    """A page; `role` is empty if the page needs no sign-in."""

    name: str
    path: str
    role: str = ""
    opens: str = ""
    """A selector of what is pressed when the page is there, for what is not seen at once."""
    signed_out: bool = False
    """Whether the page is for visitors without a sign-in; such pages are last, because visiting them signs out."""

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"/web/s/{SEATS[self.role]}{self.path}" if self.role else self.path


class DemoOrders:
    """What the three users of the demonstration have done before the pages are visited."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http
        self._tokens: dict[str, str] = {}

    async def ask(self, role: str, method: str, path: str, **body: Any) -> Any:
        """A request of one of them; repeated while a service does not know the order yet."""
        if role not in self._tokens:
            form = {"grant_type": "password", "username": f"{role}@example.com", "password": DEMO, "client_id": "app"}
            answer = await self._http.post("/accounts/token", data=form)
            self._tokens[role] = answer.raise_for_status().json()["access_token"]
        headers = {"Authorization": f"Bearer {self._tokens[role]}", "Idempotency-Key": token_hex(8)}
        for _ in range(100):
            answer = await self._http.request(method, path, json=body or None, headers=headers)
            if answer.status_code != 404:
                break
            await asyncio.sleep(0.1)
        return answer.raise_for_status().json()

    async def order(self, product: int, *steps: str, quantity: int = 1) -> str:
        """An order that has come so far; the seller does what buyers cannot."""
        products = (await self.ask("buyer", "GET", "/orders/products"))["items"]
        line = {"product_id": products[product]["product_id"], "quantity": quantity}
        body = {"lines": [line], "payment_method": "bank_transfer"}
        order_id = str((await self.ask("buyer", "POST", "/orders", **body))["order_id"])
        for step in steps:
            role = "buyer" if step in ("pay", "cancel") else "seller"
            await self.ask(role, "POST", f"/orders/{order_id}/{step}")
        return order_id

    async def talk(self, order_id: str) -> str:
        """A conversation with a guide in it."""
        thread = (await self.ask("buyer", "POST", "/chat/threads", order_id=order_id))["thread_id"]
        path = f"/chat/threads/{thread}"
        await self.ask("buyer", "POST", f"{path}/messages", text="Halo Kak, saya salah pilih warna. Bisa dibatalkan?")
        await self.ask("seller", "POST", f"{path}/messages", text="Bisa, Kak. Pesanannya belum kami kirim.")
        await self.ask("buyer", "POST", f"{path}/messages", text="Bagaimana caranya ya?")
        await self.ask("seller", "POST", f"{path}/guide")
        return str(thread)

    async def case(self, order_id: str) -> str:
        """A case with an agent on duty, and with a shared order."""
        await self.ask("agent", "PUT", "/cs/duty", on=True)
        case = (await self.ask("buyer", "POST", "/cs/cases", text="Penjual tidak menjawab sejak kemarin."))["case_id"]
        path = f"/cs/cases/{case}"
        await self.ask("agent", "POST", f"{path}/messages", text="Baik, Kak. Boleh minta data pesanannya?")
        await self.ask("buyer", "POST", f"{path}/order", order_id=order_id)
        return str(case)


async def prepare(http: httpx.AsyncClient) -> list[Sight]:
    """Lets things happen, and names every page."""
    demo = DemoOrders(http)
    await demo.order(3, "pay", "pack", "ship", "deliver")
    shipped = await demo.order(1, "pay", "pack", "ship")
    cancelled = await demo.order(2, "pay", "cancel")
    await demo.order(5)
    open_order = await demo.order(0, "pay")
    packed = await demo.order(4, "pay", "pack", quantity=2)
    thread = await demo.talk(open_order)
    old = await demo.case(packed)
    await demo.ask("agent", "POST", f"/cs/cases/{old}/close", outcome="answered")
    case = await demo.case(packed)
    return [
        Sight("start", "/web/"),
        Sight("two", "/web/two"),
        Sight("flow", "/web/flow"),
        Sight("docs", "/web/docs"),
        Sight("docs-orders", "/web/docs/orders#post-orders-order_id-cancel"),
        Sight("events", "/web/events#OrderCancelled"),
        Sight("missing", "/orders/01a214c5-b79e-7352-95a9-c56f6d9b795d", "buyer"),
        Sight("shop", "/", "buyer"),
        Sight("orders", "/orders", "buyer"),
        Sight("order", f"/orders/{open_order}", "buyer"),
        Sight("order-cancel", f"/orders/{open_order}/cancel", "buyer"),
        Sight("order-cancelled", f"/orders/{cancelled}", "buyer"),
        Sight("order-shipped", f"/orders/{shipped}", "buyer"),
        Sight("wallet", "/wallet", "buyer"),
        Sight("inbox", "/chat", "buyer"),
        Sight("chat", f"/chat/{thread}", "buyer"),
        Sight("help", "/help", "buyer"),
        Sight("case", f"/help/{case}", "buyer"),
        Sight("case-over", f"/help/{old}", "buyer"),
        Sight("account", "/account", "buyer"),
        Sight("seller-orders", "/", "seller"),
        Sight("seller-order", f"/orders/{open_order}", "seller"),
        Sight("seller-inbox", "/chat", "seller"),
        Sight("seller-chat", f"/chat/{thread}", "seller"),
        Sight("seller-cancel", f"/chat/{thread}", "seller", "[data-opens=seller-cancel]"),
        Sight("products", "/products", "seller"),
        Sight("score", "/score", "seller"),
        Sight("seller-account", "/account", "seller"),
        Sight("desk", "/", "agent"),
        Sight("agent-case", f"/cases/{case}", "agent"),
        Sight("history", "/history", "agent"),
        Sight("agent-account", "/account", "agent"),
        Sight("sign-in", "/web/s/a/sign-in", signed_out=True),
        Sight("register", "/web/s/a/register", signed_out=True),
    ]
