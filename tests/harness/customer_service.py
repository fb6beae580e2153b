"""Actions of buyers, sellers and agents in conversations: chat and customer service."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.harness.actors import Buyer, Json, Person, Seller
from tests.harness.waiting import eventually


@dataclass(frozen=True)
class ContactedCase:
    """A case whose seller was contacted, and its order's thread."""

    buyer: Buyer
    agent: Person
    order_id: str
    case_id: str
    thread_id: str
    respond_by: datetime
    correlation_id: str
    """The correlation id of all events that follow."""

    async def now(self) -> Json:
        """The case as its buyer sees it."""
        return await self.buyer.get(f"/cs/cases/{self.case_id}")

    async def becomes(self, *states: str) -> Json:
        """The case, once it is in one of these states."""
        return await eventually(self.now, enough=lambda case: case["state"] in states)

    async def back(self) -> None:
        """Waits until the case is with its agent again."""
        await eventually(self.now, enough=lambda case: case["agent_id"] == str(self.agent.account_id))

    async def seller(self, seller: Seller, deed: str) -> None:
        """The seller replies, packs or ships."""
        if deed == "reply":
            await seller.send(f"/chat/threads/{self.thread_id}/messages", text="Mohon maaf, besok kami kirim.")
        else:
            await seller.done(self.order_id, deed)


async def thread_of(buyer: Buyer, order_id: str) -> str:
    """The conversation about the order, opened by its buyer."""
    return str((await buyer.once_known("/chat/threads", order_id=order_id))["thread_id"])


async def says(person: Person, thread_id: str, text: str) -> None:
    """One message in the thread."""
    await person.send(f"/chat/threads/{thread_id}/messages", text=text)


async def messages(person: Person, path: str) -> list[dict[str, Any]]:
    """All messages of a thread or a case."""
    items: list[dict[str, Any]] = (await person.get(f"{path}/messages?limit=100"))["items"]
    assert [message["seq"] for message in items] == list(range(1, len(items) + 1))
    return items


async def system_message(person: Person, path: str, code: str) -> dict[str, Any]:
    """The system message with this code in a thread or a case, once it is there."""

    async def find() -> dict[str, Any] | None:
        return next((message for message in await messages(person, path) if message["code"] == code), None)

    return await eventually(find)


async def codes(person: Person, path: str) -> list[str]:
    """The codes of the system messages, in order."""
    return [message["code"] for message in await messages(person, path) if message["kind"] == "system"]


async def contacted(buyer: Buyer, agents: Sequence[Person], seller: Seller, order_id: str) -> ContactedCase:
    """The buyer opens a case, gets an agent and shares the order; the agent contacts the seller."""
    by_id = {str(agent.account_id): agent for agent in agents}
    case_id = (await buyer.send("/cs/cases", text="Penjual tidak membalas. Tolong batalkan."))["case_id"]
    path = f"/cs/cases/{case_id}"

    given = await eventually(lambda: buyer.get(path), every=0.05, enough=lambda case: case["agent_id"])
    agent = by_id[given["agent_id"]]
    await buyer.once_known(f"{path}/order", order_id=order_id)
    case = await agent.send(f"{path}/contact-seller")
    assert case["state"] == "awaiting_seller"

    async def shown() -> str | None:
        items = (await seller.get(f"/chat/threads?order_id={order_id}"))["items"]
        asked = items and items[0]["last_message"] and items[0]["last_message"]["code"] == "seller_contacted"
        return str(items[0]["thread_id"]) if asked else None

    thread_id = await eventually(shown, every=0.05)
    until = datetime.fromisoformat(case["respond_by"])
    return ContactedCase(buyer, agent, order_id, case_id, thread_id, until, case["correlation_id"])
