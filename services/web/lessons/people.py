"""The demonstration's people in a lesson: also a buyer whose seller is silent."""

import asyncio

from services.web.flow.rehearsal import Rehearsal
from services.web.upstream import ServiceAway, granted

DEMONSTRATION = {role: f"{role}@example.com" for role in ("buyer", "seller", "agent")}
PASSWORD = "batalkan-demo"  # noqa: S105 - public, of accounts that exist in demonstration mode only
QUESTION = "Penjual tidak menjawab. Tolong batalkan pesanan saya."
KNOWN_WITHIN = 10
"""Seconds until customer service knows an order."""


class People(Rehearsal):
    """Those of the flow page, and an agent."""

    async def prepare(self, *, dana: bool) -> str:
        """Makes sure that there are a product and both buyers, before anything is broken; returns the one to use."""
        async with self._preparing:
            return await self._prepare(dana=dana)

    async def be_ignored(self) -> str:
        """A buyer asks customer service about a paid order, and the agent asks its seller, who has 24 hours from then
        on and does nothing. Returns the order's id. Raises `ServiceAway`, `Refused`."""
        buyer = await self.prepare(dana=False)
        lines = [{"product_id": self._product, "quantity": 1}]
        order = (await self._post("/orders", buyer, {"lines": lines, "payment_method": "dana"}))["order_id"]
        self._remember(order, buyer)
        await self._post(f"/orders/{order}/pay", buyer)
        self._emails["agent"], self._passwords["agent"] = DEMONSTRATION["agent"], PASSWORD
        await self._sign_in("agent", "agent")
        on_duty = granted(await self._ask("GET", "/cs/duty", "agent"))["on"]
        if not on_duty:
            granted(await self._ask("PUT", "/cs/duty", "agent", {"on": True}))
        try:
            case = (await self._post("/cs/cases", buyer, {"text": QUESTION}))["case_id"]
            async with asyncio.timeout(KNOWN_WITHIN):
                while (await self._ask("POST", f"/cs/cases/{case}/order", buyer, {"order_id": order})).is_error:
                    await asyncio.sleep(0.1)  # customer service has not consumed `OrderPlaced` yet
            await self._post(f"/cs/cases/{case}/contact-seller", "agent")
        except TimeoutError:
            raise ServiceAway(f"/cs/cases/{case}/order") from None
        finally:
            if not on_duty:
                granted(await self._ask("PUT", "/cs/duty", "agent", {"on": False}))
        return str(order)
