"""A rolling restart under load: background traffic that records every error, and restarts in turn."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from secrets import token_hex
from time import monotonic
from typing import Protocol, TypeVar

import httpx

from batalkan.local_servers import LocalDeployment
from tests.harness.actors import Agent, Buyer, Person, Seller
from tests.harness.waiting import eventually

P = TypeVar("P", bound=Person)

SHOPPERS, CALLERS, AGENTS = 6, 3, 2
PAUSE = 1.0
"""Seconds between two actions of a user."""


class ObservingTransport(httpx.AsyncBaseTransport):
    """A transport that never retries, and records each 5xx and each broken connection."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport
        self.answers: Counter[str] = Counter()
        """The number of answers of each service."""
        self.faults: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        asked = f"{request.method} {request.url.path}"
        try:
            response = await self._transport.handle_async_request(request)
        except httpx.TransportError as error:
            self.faults.append(f"{asked}: {error!r}")
            raise
        if response.status_code >= 500:
            self.faults.append(f"{asked}: {response.status_code} {(await response.aread()).decode()}")
        self.answers[request.url.path.split("/")[1]] += 1
        return response

    async def aclose(self) -> None:
        await self._transport.aclose()


class SignIn(Protocol):
    """Creates a signed-in person."""

    async def __call__(self, kind: type[P], role: str) -> P:
        """A signed-in person of this role."""


class BackgroundTraffic:
    """Users of all services, who act until `over` is set."""

    def __init__(self, http: httpx.AsyncClient, sign_in: SignIn, agents: int = AGENTS) -> None:
        self._http, self._sign_in, self._agents = http, sign_in, agents
        self.over = asyncio.Event()
        self.accepted: dict[str, str] = {}
        """Order: cancellation."""
        self.said: Counter[str] = Counter()
        """Thread: number of text messages."""
        self.cases = 0

    async def run(self) -> None:
        """All users repeat their actions; the first failure ends the run."""
        served = asyncio.Event()
        async with asyncio.TaskGroup() as desks:
            for _ in range(self._agents):
                desks.create_task(self._again(await self._agent(), served))
            async with asyncio.TaskGroup() as group:
                for _ in range(SHOPPERS):
                    group.create_task(self._again(await self._shopper(), self.over))
                for _ in range(CALLERS):
                    group.create_task(self._again(await self._caller(), self.over))
                group.create_task(self._again(await self._visitor(), self.over))
            served.set()

    async def _again(self, action: Callable[[], Awaitable[None]], until: asyncio.Event) -> None:
        while not until.is_set():
            await action()
            await asyncio.sleep(PAUSE)

    async def _shopper(self) -> Callable[[], Awaitable[None]]:
        """Orders, pays, writes to the seller, and cancels."""
        buyer, seller = await self._sign_in(Buyer, "buyer"), await self._sign_in(Seller, "seller")
        product = await seller.offer()

        async def action() -> None:
            order_id = await buyer.buy(product)
            thread = await buyer.once_known("/chat/threads", order_id=order_id)
            for person in (buyer, seller):
                await send(person, f"/chat/threads/{thread['thread_id']}")
                self.said[thread["thread_id"]] += 1
            cancelled = (await buyer.cancel(order_id)).raise_for_status().json()
            self.accepted[order_id] = cancelled["cancellation"]["cancellation_id"]

        return action

    async def _caller(self) -> Callable[[], Awaitable[None]]:
        """Opens a case and waits until an agent has closed it."""
        buyer = await self._sign_in(Buyer, "buyer")

        async def action() -> None:
            case = (await buyer.send("/cs/cases", text="Penjual tidak membalas."))["case_id"]
            self.cases += 1

            async def closed() -> bool:
                return bool((await buyer.get(f"/cs/cases/{case}"))["state"] in ("closed", "resolved"))

            await eventually(closed, 60, every=0.2)

        return action

    async def _agent(self) -> Callable[[], Awaitable[None]]:
        """Is on duty, and answers and closes all cases."""
        agent = await self._sign_in(Agent, "agent")

        async def action() -> None:
            await agent.duty()
            for case in (await agent.get("/cs/cases?state=active"))["items"]:
                if case["agent_id"] == str(agent.account_id):
                    await send(agent, f"/cs/cases/{case['case_id']}")
                    await agent.send(f"/cs/cases/{case['case_id']}/close", outcome="answered")

        return action

    async def _visitor(self) -> Callable[[], Awaitable[None]]:
        """Signs in, and reads the catalogue and the wallet."""
        visitor = await Buyer.register(self._http, "buyer")

        async def action() -> None:
            again = await Buyer.sign_in(self._http, visitor.email, visitor.password)
            await again.get("/orders/products")
            await again.get("/refunds/wallet")

        return action


async def send(person: Person, conversation: str, text: str = "Halo?") -> None:
    """Sends one message; waits while the rate limit (30 in 10 seconds) refuses it."""
    key = token_hex(8)
    while (answer := await person.ask("POST", f"{conversation}/messages", {"text": text}, key)).status_code == 429:
        await asyncio.sleep(answer.json()["retry_after"])
    answer.raise_for_status()


async def restart_in_turn(
    running: LocalDeployment, names: Iterable[str], say: Callable[[str], None]
) -> list[tuple[str, float, int | None]]:
    """Restarts one process after the other, each once the previous one is ready: name, seconds to stop, exit code."""
    ended = []
    for name in names:
        child, began = running.processes.watched[name].child, monotonic()
        await running.processes.stop(name)
        ended.append((name, monotonic() - began, child.exit_code))
        await running.processes.start(name)
        say("{}: ended after {:.1f} s with code {}".format(*ended[-1]) + f", ready after {monotonic() - began:.1f} s")
    return ended
