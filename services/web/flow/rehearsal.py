"""Demonstration buyers who order, pay and cancel through the public interface."""

import asyncio
from typing import Any

from runtime.observability.trace_context import new_id
from services.web.upstream import ServiceAway, Upstream, granted

AT_ONCE = 4
"""Cancellations under way at a time."""
PASSWORD = "batalkan-demo"  # noqa: S105 - of buyers made for this
TITLE = "Kopi Gayo 1 kg"
PRICE = 145_000
AGENT = "agent@example.com"
"""Exists in demonstration mode, with the same password."""
QUESTION = "Penjual tidak menjawab. Tolong batalkan pesanan saya."
KNOWN_WITHIN = 10
"""Seconds until customer service knows an order."""


class Rehearsal:
    """Two buyers, registered at the first use: one for Lazada Credit, one with DANA linked."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._emails: dict[str, str] = {}
        self._tokens: dict[str, str] = {}
        self._product = ""
        self._linked = False
        self._preparing = asyncio.Lock()
        self._free = asyncio.Semaphore(AT_ONCE)

    async def cancel(self, count: int, *, dana: bool) -> list[str]:
        """Places, pays and cancels `count` orders; returns their ids. Raises `ServiceAway`, `Refused`."""
        buyer = await self.prepare(dana=dana)
        try:
            async with asyncio.TaskGroup() as group:
                orders = [group.create_task(self._cancel_one(buyer)) for _ in range(count)]
        except ExceptionGroup as several:
            raise several.exceptions[0] from None
        return [order.result() for order in orders]

    async def be_ignored(self) -> str:
        """A buyer asks customer service about a paid order, and the agent asks its seller, who has 24 hours from then
        on and does nothing. Returns the order's id. Raises `ServiceAway`, `Refused`."""
        buyer = await self.prepare(dana=False)
        order = await self._buy(buyer)
        self._emails["agent"] = AGENT
        await self._sign_in("agent", "agent")
        duty = await self._send("GET", "/cs/duty", "agent")
        try:
            if not duty["on"]:
                await self._send("PUT", "/cs/duty", "agent", {"on": True})
            case = (await self._post("/cs/cases", buyer, {"text": QUESTION}))["case_id"]
            async with asyncio.timeout(KNOWN_WITHIN):
                while (await self._ask("POST", f"/cs/cases/{case}/order", buyer, {"order_id": order})).is_error:
                    await asyncio.sleep(0.1)  # customer service has not consumed `OrderPlaced` yet
            await self._post(f"/cs/cases/{case}/contact-seller", "agent")
        except TimeoutError:
            raise ServiceAway(f"/cs/cases/{case}/order") from None
        finally:
            if not duty["on"]:
                await self._send("PUT", "/cs/duty", "agent", {"on": False})
        return order

    async def prepare(self, *, dana: bool) -> str:
        """Makes sure that there are a product and both buyers; returns the one to use."""
        async with self._preparing:
            return await self._prepare(dana=dana)

    async def _prepare(self, *, dana: bool) -> str:
        """Prepares both buyers, so that a wallet is linked before DANA is made to fail. Returns the chosen one."""
        await self._sign_in("seller", "seller")
        if not self._product:
            offered = await self._post("/orders/products", "seller", {"title": TITLE, "price": PRICE, "stock": 999_999})
            self._product = offered["product_id"]
        for buyer in ("credit", "dana"):
            await self._sign_in(buyer, "buyer")
        if not self._linked:
            phone = {"phone": f"0812{new_id().int % 10**8:08d}"}
            answer = await self._ask("PUT", "/refunds/wallet/dana", "dana", phone)
            self._linked = answer.is_success
            if dana:
                granted(answer)
        return "dana" if dana else "credit"

    async def _sign_in(self, who: str, role: str) -> None:
        """Registers at the first use, and signs in unless the last token is still valid."""
        if who in self._tokens and (await self._ask("GET", "/accounts/me", who)).is_success:
            return
        if who not in self._emails:
            email = f"{who}-{new_id().hex}@example.com"
            account = {"email": email, "password": PASSWORD, "name": "Demo", "role": role}
            granted(await self._upstream.ask("POST", "/accounts", json=account))
            self._emails[who] = email
        form = {"grant_type": "password", "username": self._emails[who], "password": PASSWORD, "client_id": "web"}
        self._tokens[who] = granted(await self._upstream.ask("POST", "/accounts/token", data=form))["access_token"]

    async def _cancel_one(self, buyer: str) -> str:
        async with self._free:
            order = await self._buy(buyer)
            await self._post(f"/orders/{order}/cancel", buyer)
            return order

    async def _buy(self, buyer: str) -> str:
        lines = [{"product_id": self._product, "quantity": 1}]
        order = await self._post("/orders", buyer, {"lines": lines, "payment_method": "dana"})
        await self._post(f"/orders/{order['order_id']}/pay", buyer)
        return str(order["order_id"])

    async def _post(self, path: str, who: str, body: object = None) -> Any:
        return await self._send("POST", path, who, body)

    async def _send(self, method: str, path: str, who: str, body: object = None) -> Any:
        return granted(await self._ask(method, path, who, body))

    async def _ask(self, method: str, path: str, who: str, body: object = None) -> Any:
        headers = {"Idempotency-Key": new_id().hex}
        return await self._upstream.ask(method, path, token=self._tokens[who], headers=headers, json=body)
