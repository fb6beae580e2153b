"""Demonstration buyers who order, pay and cancel through the public interface."""

import asyncio
from collections import OrderedDict
from secrets import token_hex
from typing import Any

from runtime.observability.trace_context import new_id
from services.web.upstream import Upstream, granted

AT_ONCE = 4
"""Cancellations under way at a time."""
TITLE = "Kopi Gayo 1 kg"
PRICE = 145_000
MAX_ORDERS = 1_000
"""Orders whose buyer is remembered."""


class Rehearsal:
    """Two buyers, registered at the first use: one for Lazada Credit, one with DANA linked."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._password = token_hex(16)  # of no other process: the buyers stay
        self._passwords: dict[str, str] = {}
        """Those of other people."""
        self._emails: dict[str, str] = {}
        self._tokens: dict[str, str] = {}
        self._product = ""
        self._linked = False
        self._buyers: OrderedDict[str, str] = OrderedDict()
        self._preparing = asyncio.Lock()
        self._free = asyncio.Semaphore(AT_ONCE)

    async def cancel(self, count: int, *, dana: bool) -> list[str]:
        """Places, pays and cancels `count` orders; returns their ids. Raises `ServiceAway`, `Refused`."""
        async with self._preparing:
            token = await self._prepare(dana=dana)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._cancel_one(token)) for _ in range(count)]
        except ExceptionGroup as several:
            raise several.exceptions[0] from None
        return [task.result() for task in tasks]

    async def sign_in_as_buyer_of(self, order_id: str) -> Any:
        """A token answer for the buyer of one of these orders; None for any other order."""
        buyer = self._buyers.get(order_id)
        return None if buyer is None else await self._new_session(buyer)

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
            account = {"email": email, "password": self._password, "name": "Demo", "role": role}
            granted(await self._upstream.ask("POST", "/accounts", json=account))
            self._emails[who] = email
        self._tokens[who] = (await self._new_session(who))["access_token"]

    async def _new_session(self, who: str) -> Any:
        password = self._passwords.get(who, self._password)
        form = {"grant_type": "password", "username": self._emails[who], "password": password, "client_id": "web"}
        return granted(await self._upstream.ask("POST", "/accounts/token", data=form))

    async def _cancel_one(self, buyer: str) -> str:
        async with self._free:
            lines = [{"product_id": self._product, "quantity": 1}]
            order = await self._post("/orders", buyer, {"lines": lines, "payment_method": "dana"})
            order_id: str = order["order_id"]
            self._remember(order_id, buyer)
            for step in ("pay", "cancel"):
                await self._post(f"/orders/{order_id}/{step}", buyer)
            return order_id

    def _remember(self, order_id: str, buyer: str) -> None:
        self._buyers[order_id] = buyer
        if len(self._buyers) > MAX_ORDERS:
            self._buyers.popitem(last=False)

    async def _post(self, path: str, who: str, body: object = None) -> Any:
        return granted(await self._ask("POST", path, who, body))

    async def _ask(self, method: str, path: str, who: str, body: object = None) -> Any:
        headers = {"Idempotency-Key": new_id().hex}
        return await self._upstream.ask(method, path, token=self._tokens[who], headers=headers, json=body)
