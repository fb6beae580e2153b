"""Buyers and sellers who order, pay and cancel continuously, and record every accepted cancellation."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic

import httpx

from tests.harness.actors import Buyer, Seller
from tests.harness.waiting import eventually

PAIRS = 6
PACE = 1.0
"""Seconds between two orders of one buyer: three brokers run on the same machine."""
SIGN_IN_AGAIN = 600.0
"""Seconds between two sign-ins of an account: a token lives for 15 minutes."""
KNOWN_WITHIN = 600.0
"""Seconds within which chat has consumed an order's events, also while the broker fails over."""


class Workload:
    """Buyers with a seller each. Every request must succeed, perhaps after a repeat."""

    def __init__(self, http: httpx.AsyncClient, pairs: int = PAIRS) -> None:
        self._http = http
        self._pairs = pairs
        self._over = False
        self._signing_in = asyncio.Lock()
        self.accepted: dict[str, str] = {}
        """Order: cancellation, as the answer named it; empty where the seller cancelled, who is answered at once."""
        self.slowest = 0.0
        """Seconds that the slowest cancellation took to be answered."""

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Orders and cancels inside the block; at its end each buyer finishes the current order."""
        # One after the other: hashing passwords is what the machine is slow at, on purpose.
        pairs = [
            (await Seller.register(self._http, "seller"), await Buyer.register(self._http, "buyer"))
            for _ in range(self._pairs)
        ]
        async with asyncio.TaskGroup() as group:
            for number, (seller, buyer) in enumerate(pairs):
                group.create_task(self._live(seller, buyer, by_seller=number % 3 == 2))
            try:
                yield
            finally:
                self._over = True

    async def _live(self, seller: Seller, buyer: Buyer, *, by_seller: bool) -> None:
        product, signed_in = await seller.offer(price=10_000), monotonic()
        while not self._over:
            if monotonic() - signed_in > SIGN_IN_AGAIN:
                async with self._signing_in:
                    seller = await Seller.sign_in(self._http, seller.email, seller.password)
                    buyer = await Buyer.sign_in(self._http, buyer.email, buyer.password)
                signed_in = monotonic()
            order_id = await buyer.buy(product)
            if by_seller:
                await self._ask_the_seller(buyer, seller, order_id)
            else:
                await self._cancel(buyer, order_id)
            await asyncio.sleep(PACE)

    async def _cancel(self, buyer: Buyer, order_id: str) -> None:
        began = monotonic()
        answer = await buyer.cancel(order_id)
        self.slowest = max(self.slowest, monotonic() - began)
        self.accepted[order_id] = answer.raise_for_status().json()["cancellation"]["cancellation_id"]

    async def _ask_the_seller(self, buyer: Buyer, seller: Seller, order_id: str) -> None:
        async def thread() -> str | None:
            answer = await buyer.ask("POST", "/chat/threads", {"order_id": order_id})
            return str(answer.json()["thread_id"]) if answer.is_success else None

        thread_id = await eventually(thread, KNOWN_WITHIN, every=0.5)
        await buyer.send(f"/chat/threads/{thread_id}/messages", text="Kak, tolong batalkan ya.")
        answer = await seller.ask("POST", f"/chat/threads/{thread_id}/cancel")
        assert answer.status_code == 202, answer.text
        self.accepted[order_id] = ""
