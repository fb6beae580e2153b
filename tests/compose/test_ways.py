"""The four ways through the gateway, its WebSockets included. tests/flows compares the events of each."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from services.accounts.demonstration import PASSWORD
from tests.compose.stack import Stack
from tests.harness.actors import Agent, Buyer, Person, Seller
from tests.harness.customer_service import contacted, says, system_message, thread_of

pytestmark = [pytest.mark.compose, pytest.mark.timeout(240)]


@asynccontextmanager
async def live(stack: Stack, person: Person, service: str, origin: str) -> AsyncIterator[ClientConnection]:
    """A live connection through the gateway, from a page of that origin."""
    ticket = (await person.send(f"/{service}/tickets"))["ticket"]
    url = f"{stack.url.replace('http', 'ws')}/{service}/live?ticket={ticket}"
    async with connect(url, origin=origin, proxy=None) as socket:  # type: ignore[arg-type]
        yield socket


async def receive(socket: ClientConnection, code: str) -> None:
    """Waits until the socket receives a message with this code."""
    async with asyncio.timeout(30):
        while True:
            frame = json.loads(await socket.recv())
            if frame["type"] == "message" and frame["message"]["code"] == code:
                return


async def test_the_app_and_the_website(actors: tuple[Buyer, Seller, str]) -> None:
    """Ways 1 and 2: one account, two clients; the channel is the client's, and all money comes back, once, however
    often the cancel is sent."""
    buyer, _, product = actors
    for channel, person in (("app", buyer), ("web", await buyer.on_the_website())):
        answer = await person.cancel(order_id := await person.buy(product, 2))
        assert answer.json()["cancellation"]["channel"] == channel
        assert (await person.cancel(order_id)).json()["status"] == "cancelled"
        refund = await person.refund(order_id)
        assert (refund["amount"], refund["destination"]) == (378_000, "lazada_credit")
        entries = (await person.get("/refunds/wallet"))["entries"]
        assert [entry["amount"] for entry in entries if entry["refund_id"] == refund["refund_id"]] == [378_000]


async def test_a_linked_dana_wallet_gets_the_refund(actors: tuple[Buyer, Seller, str]) -> None:
    """With a DANA wallet linked, the money goes there, by way of the simulator's container."""
    buyer, _, product = actors
    await buyer.link_dana()
    await buyer.cancel(order_id := await buyer.buy(product))
    assert (await buyer.refund(order_id))["destination"] == "dana"


async def test_the_chat_with_the_seller(stack: Stack, actors: tuple[Buyer, Seller, str]) -> None:
    """Way 3: the seller guides and the buyer cancels, or the seller cancels; the buyer's page sees it live."""
    buyer, seller, product = actors
    guided, given_up = await buyer.buy(product), await buyer.buy(product)
    async with live(stack, buyer, "chat", stack.url) as socket:
        thread = await thread_of(buyer, guided)
        await says(buyer, thread, "Maaf, saya salah pilih. Bisa dibatalkan?")
        await seller.send(f"/chat/threads/{thread}/guide")
        await receive(socket, "cancel_guide")
        (await buyer.cancel(guided)).raise_for_status()
        await receive(socket, "refund_issued")
        thread = await thread_of(buyer, given_up)
        await says(buyer, thread, "Kak, tolong batalkan ya.")
        await seller.send(f"/chat/threads/{thread}/cancel")
        await receive(socket, "refund_issued")
    assert (await buyer.order(given_up))["cancellation"]["channel"] == "chat"


async def test_customer_service(stack: Stack, actors: tuple[Buyer, Seller, str]) -> None:
    """Way 4: a reply in the 23rd hour keeps the order, a silent seller's order is cancelled after 24; the clock of
    all containers is moved by one command."""
    buyer, seller, product = actors
    agent = await Agent.sign_in(buyer.http, "agent@example.com", PASSWORD)
    await agent.duty()
    second = await Buyer.register(buyer.http, "buyer")
    answered = await contacted(buyer, [agent], seller, await buyer.buy(product))
    silent = await contacted(second, [agent], seller, await second.buy(product))
    async with live(stack, second, "cs", stack.url) as socket:
        await asyncio.to_thread(stack.compose, "run", "--rm", "batalkan", "clock", "advance", "23h")
        await answered.seller(seller, "reply")
        await system_message(buyer, f"/cs/cases/{answered.case_id}", "seller_replied")
        await asyncio.to_thread(stack.compose, "run", "--rm", "batalkan", "clock", "advance", "2h")
        await receive(socket, "refund_issued")
    assert (await silent.becomes("resolved"))["outcome"] == "order_cancelled"
    assert (await second.order(silent.order_id))["cancellation"]["channel"] == "cs"
    assert (await buyer.order(answered.order_id))["status"] == "processing"
    agent = await Agent.sign_in(buyer.http, "agent@example.com", PASSWORD)  # 15 minutes may have gone by for a token
    await agent.duty(False)


async def test_a_socket_of_a_foreign_page(stack: Stack, actors: tuple[Buyer, Seller, str]) -> None:
    """A page of another origin gets no live connection, even with a valid ticket."""
    buyer, _, _ = actors
    for service in ("chat", "cs"):
        with pytest.raises(InvalidStatus) as refused:
            async with live(stack, buyer, service, "https://evil.example"):
                pass
        assert refused.value.response.status_code == 403
