"""The workload: buyers and a seller run sagas of all kinds, and record the accepted cancellations."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from secrets import token_hex
from typing import Any, TypeVar

import httpx

from lab.concurrency import each
from lab.faults.lab import Lab
from lab.faults.outcomes import InvariantBroken
from lab.faults.system import LabSystem
from tests.harness.actors import PASSWORD, Buyer, Person, Seller
from tests.harness.waiting import eventually

P = TypeVar("P", bound=Person)
T = TypeVar("T")

AT_ONCE, BUYERS = 24, 12
VOUCHER: dict[str, Any] = {"code": "LAB", "percent": 7, "cap": 199, "minimum": 1_000, "uses": 1_000_000}
"""The discount of three pieces is the cap: the first of them has a rupiah more of it."""
PAUSE = 2.0
"""Seconds before each saga that only keeps up the load."""
LASTS = 6 * 3600
"""Seconds of validity of their tokens: longer than any run."""
PRICE = 1_000
TIMEOUT = 240.0
"""Seconds within which a service must have consumed an order's event."""


@dataclass
class Workload:
    """Buyers, half of them with DANA, and a seller. `saga(number)` runs one order from beginning to end."""

    lab: Lab
    seller: Seller
    buyers: list[Buyer]
    products: list[str]
    talks: bool = True
    """Whether some sagas use the chat or customer service, which then must consume the order's events."""
    clock: float | None = None
    """The services' time, if it differs from this machine's."""
    accepted: int = 0
    """The number of accepted cancellations."""
    orders: dict[int, str] = field(default_factory=dict)
    """The order of each saga."""
    bought: dict[str, str] = field(default_factory=dict)
    """The product of each order."""

    @classmethod
    async def gather(cls, lab: Lab, *, talks: bool = True) -> "Workload":
        """Creates the seller, the products and the buyers, with tokens and wallets."""
        http, keys = lab.system.base.http, lab.system.base.keys
        seller = Seller.signed(http, keys, "seller", lasts=LASTS)
        products = [await seller.offer(price=PRICE + number) for number in range(20)]
        await seller.send("/orders/vouchers", **VOUCHER)
        signed = [Buyer.signed(http, keys, "buyer", lasts=LASTS) for _ in range(BUYERS)]
        for number, buyer in enumerate(signed[::2]):
            await buyer.link_dana(f"0812{lab.chance.randrange(10**4):04d}{number:04d}")
        return cls(lab, seller, signed, products, talks)

    def at(self, clock: float) -> None:
        """Renews all tokens, so that they are valid at this time of the services."""

        def again(person: P) -> P:
            http, keys, role = person.http, self.lab.system.base.keys, "seller" if person is self.seller else "buyer"
            return type(person).signed(http, keys, role, account_id=person.account_id, lasts=LASTS, clock=clock)

        self.clock = clock
        self.buyers, self.seller = [again(buyer) for buyer in self.buyers], again(self.seller)

    async def sagas(self, count: int) -> None:
        """Runs `count` sagas, some concurrently."""
        await each(range(count), self.saga, AT_ONCE)

    async def run_while(self, minimum: int, faults: Coroutine[Any, Any, None]) -> None:
        """Runs at least `minimum` sagas, and more, with pauses, until the faults are over: each fault meets load."""

        async def run(number: int) -> None:
            if number > minimum:
                await asyncio.sleep(PAUSE)
            await self.saga(number)

        async with asyncio.TaskGroup() as group:
            striking = group.create_task(faults)
            numbers = itertools.takewhile(lambda number: number < minimum or not striking.done(), itertools.count())
            group.create_task(each(numbers, run, AT_ONCE))

    async def saga(self, number: int) -> None:
        """Most orders are paid and cancelled; some are cancelled in parts, in another way, twice, or not at all."""
        buyer, kind = self.buyers[number % len(self.buyers)], number % 20
        if not self.talks and kind in (11, 17, 19):
            kind = 0
        if kind == 17:  # a buyer has one open case at a time
            buyer = Buyer.signed(buyer.http, self.lab.system.base.keys, "buyer", lasts=LASTS, clock=self.clock)
        in_parts, voucher = kind in (1, 9, 15, 19), VOUCHER["code"] if kind in (1, 2, 9, 15) else None
        order_id = await self.place(buyer, number, "cod" if kind == 3 else "bank_transfer", voucher, in_parts)
        self.orders[number] = order_id
        if kind not in (3, 5):
            (await buyer.move(order_id, "pay")).raise_for_status()
        match kind:
            case 1:
                await self.cancel_part(buyer, order_id)
                await self.cancel(buyer, order_id)
            case 7:
                await self._ship(order_id)
            case 9:
                await self._cancel_the_same_pieces(buyer, order_id)
            case 11:
                await self.cancel_in_the_thread(buyer, order_id)
            case 13:
                await self.cancel(buyer, order_id)
                await self.cancel(buyer, order_id)
            case 15:
                await self.cancel_part(buyer, order_id)
                await self.cancel_part(buyer, order_id)
                await self._ship(order_id)
            case 17:
                await self._cancel_with_a_case(buyer, order_id)
            case 19:
                await self.cancel_in_the_thread(buyer, order_id, self._pieces(order_id))
            case _:
                await self.cancel(buyer, order_id)

    async def place(
        self, buyer: Buyer, number: int, method: str = "bank_transfer", voucher: str | None = None, many: bool = False
    ) -> str:
        """Places one order of one to three pieces, or of `many`, that is three, under one Idempotency-Key."""
        product = self.products[number % len(self.products)]
        line = {"product_id": product, "quantity": 3 if many else 1 + number % 3}
        placed = await buyer.send("/orders", lines=[line], payment_method=method, voucher=voucher)
        self.bought[placed["order_id"]] = product
        return str(placed["order_id"])

    async def paid(self, count: int, at_once: int = AT_ONCE) -> list[tuple[Buyer, str]]:
        """Paid orders with their buyers."""

        async def buy(number: int) -> tuple[Buyer, str]:
            buyer = self.buyers[number % len(self.buyers)]
            order_id = await self.place(buyer, number)
            (await buyer.move(order_id, "pay")).raise_for_status()
            return buyer, order_id

        return await each(range(count), buy, at_once)

    async def cancel(self, buyer: Buyer, order_id: str) -> None:
        """Cancels what is left of the order and records the accepted cancellation."""
        self.accept((await buyer.cancel(order_id)).raise_for_status().json())

    def _pieces(self, order_id: str, quantity: int = 1) -> dict[str, Any]:
        return {"lines": [{"product_id": self.bought[order_id], "quantity": quantity}]}

    async def cancel_part(self, buyer: Buyer, order_id: str, quantity: int = 1) -> httpx.Response:
        """Asks to cancel some pieces, and records what is accepted."""
        answer = await buyer.ask("POST", f"/orders/{order_id}/cancel", self._pieces(order_id, quantity), token_hex(8))
        if answer.is_success:
            self.accept(answer.json())
        return answer

    def accept(self, order: dict[str, Any]) -> None:
        """Records the cancellation that is answered with this order: of all that was left, or the latest part."""
        if order["status"] == "cancelled":
            self.lab.history.accept(order["order_id"], order["cancellation"]["cancellation_id"])
        else:
            self.lab.history.accept_part(order["order_id"], order["cancellations"][-1]["cancellation_id"])
        self.accepted += 1

    async def _cancel_the_same_pieces(self, buyer: Buyer, order_id: str) -> None:
        """Two requests for two of three pieces, in the same moment: one of them finds too few."""
        answers = await asyncio.gather(*(self.cancel_part(buyer, order_id, 2) for _ in range(2)))
        codes = sorted(answer.json().get("code", "") for answer in answers)
        self.lab.hold(codes == ["", "not_enough_left"], f"twice two of three pieces of order {order_id}: {codes}")

    async def _ship(self, order_id: str) -> None:
        """The seller packs and ships. A retry after a lost answer is refused, so only the status counts."""
        for step, after in (("pack", "packed"), ("ship", "shipped")):
            answer = await self.seller.move(order_id, step)
            status = (await self.seller.order(order_id))["status"]
            self.lab.hold(status == after, f"order {order_id} is {status} after {step}: {answer.text[:200]}")

    async def _once_consumed(self, service: str, order_id: str, look: Callable[[], Awaitable[T | None]]) -> T:
        """The service's answer, once it has consumed the order's event."""
        try:
            return await eventually(look, TIMEOUT, every=0.2)
        except TimeoutError:
            waiting = await self.lab.system.left_in_queues()
            raise InvariantBroken(
                [f"{service} has not consumed order {order_id} in {TIMEOUT:.0f} s; queues: {waiting}"]
            ) from None

    async def cancel_in_the_thread(self, buyer: Buyer, order_id: str, pieces: dict[str, Any] | None = None) -> None:
        """The buyer opens the thread, and the seller cancels the order in it, or some pieces."""

        async def thread() -> str | None:
            answer = await buyer.ask("POST", "/chat/threads", {"order_id": order_id})
            return str(answer.json()["thread_id"]) if answer.is_success else None

        thread_id = await self._once_consumed("chat", order_id, thread)
        answer = await self.seller.ask("POST", f"/chat/threads/{thread_id}/cancel", pieces, token_hex(8))
        done = answer.is_success or answer.json().get("code") == "already_cancelled"  # the first answer was lost
        self.lab.hold(done, f"the seller cannot cancel order {order_id}: {answer.text[:200]}")

    async def _cancel_with_a_case(self, buyer: Buyer, order_id: str) -> None:
        """The buyer opens a case about the order, and then cancels it in the app."""
        opened = await buyer.ask("POST", "/cs/cases", {"text": "Penjual tidak membalas."}, key=token_hex(8))
        case_id = opened.raise_for_status().json()["case_id"]

        async def known() -> bool:
            handed = await buyer.ask("POST", f"/cs/cases/{case_id}/order", {"order_id": order_id})
            return handed.is_success

        await self._once_consumed("cs", order_id, known)
        await self.cancel(buyer, order_id)


async def register_and_sign_in(system: LabSystem) -> Person:
    """Registers a buyer and signs in, which needs accounts and Redis.

    Registering is not idempotent: a retry after a lost answer gets 409.
    """
    email, http = f"buyer-{token_hex(6)}@example.com", system.base.http
    answer = await http.post(
        "/accounts", json={"email": email, "password": PASSWORD, "name": "A buyer", "role": "buyer"}
    )
    if answer.status_code != httpx.codes.CONFLICT:
        answer.raise_for_status()
    return await Buyer.sign_in(http, email, PASSWORD)
