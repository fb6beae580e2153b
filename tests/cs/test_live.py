"""Live: positions in the queue, cases and messages reach the people concerned at once."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from runtime.http.revocations import revoke
from runtime.live.sockets import OVER
from tests.harness import live_client
from tests.harness.chat import on_a_port
from tests.harness.cs import CsHarness
from tests.harness.waiting import TIMEOUT, eventually

listening = partial(live_client.listening, service="cs")


@pytest.fixture(scope="package")
async def origin(shared_harness: CsHarness) -> AsyncIterator[str]:
    """Where the service listens."""
    async with on_a_port(shared_harness.service) as origin:
        yield origin


async def test_positions_in_the_queue_are_live(harness: CsHarness, origin: str) -> None:
    """A waiting buyer sees the position change and the agent join; agents see how many wait."""
    first, second, agent = harness.buyer(), harness.buyer(), harness.agent()
    await first.open_case()
    async with listening(second, origin) as live, listening(agent, origin) as desk:
        case_id = (await second.open_case())["case_id"]
        await live.until(lambda _: [one["position"] for one in live.of("queue")] == [2])
        harness.cases.max_cases = 1
        await agent.duty()
        await live.until(lambda _: [one["position"] for one in live.of("queue")] == [2, 1])
        await desk.until(lambda _: desk.of("queue"))
        assert (desk.of("queue")[-1]["waiting"], desk.of("queue")[-1]["agents_on_duty"]) == (1, 1)
        await agent.send(f"/cs/cases/{desk.of('case')[0]['case_id']}/close", outcome="answered")
        await live.until(lambda _: live.of("case"))
        assert live.of("case")[-1]["agent_id"] == str(agent.account_id)
        await live.until(lambda _: live.of("message")[-1]["message"]["code"] == "agent_joined")
        assert [one["message"]["seq"] for one in live.of("message")] == [1, 2, 3]
        assert {one["case_id"] for one in live.of("message")} == {case_id}


async def test_the_end_of_a_session_closes_its_socket(harness: CsHarness, origin: str) -> None:
    """The end of a session closes its socket, and it gets no further ticket."""
    for person in (harness.buyer(), harness.agent()):
        async with listening(person, origin) as live:
            async with harness.dependencies.live.redis.pipeline() as pipeline:
                revoke(pipeline, person.account_id, ["s"])
                await pipeline.execute()
            async with asyncio.timeout(TIMEOUT):
                await live.socket.wait_closed()
        assert live.socket.close_code == OVER
        assert (await person.ask("POST", "/cs/tickets")).status_code == 401


async def test_both_sides_get_messages_live(harness: CsHarness, origin: str) -> None:
    """Messages and the countdown reach the buyer and the agent of the case, and no other person."""
    buyer, agent, case_id = await harness.active()
    order_id, _ = await harness.order(buyer)
    others = harness.buyer(), harness.agent()
    async with (
        listening(buyer, origin) as live,
        listening(agent, origin) as desk,
        listening(others[0], origin) as stranger,
        listening(others[1], origin) as colleague,
    ):
        await buyer.send(f"/cs/cases/{case_id}/messages", 201, text="Halo")
        await agent.send(f"/cs/cases/{case_id}/messages", 201, text="Selamat pagi")
        await buyer.send(f"/cs/cases/{case_id}/order", order_id=order_id)
        asked = await agent.send(f"/cs/cases/{case_id}/contact-seller")
        for one in (live, desk):
            await one.until(lambda listener: len(listener.of("message")) == 4)
            assert [frame["message"]["seq"] for frame in one.of("message")] == [3, 4, 5, 6]
            assert one.of("case")[-1]["state"] == "awaiting_seller"
            assert one.of("case")[-1]["respond_by"] == asked["respond_by"].replace("Z", "+00:00")
        for one in (stranger, colleague):
            await one.echo()
            assert not one.of("message") + one.of("case")


async def test_a_client_that_was_away_misses_nothing(harness: CsHarness, origin: str) -> None:
    """A buyer who connects fetches the rest; an agent who follows another's case gets a hint, and further messages."""
    buyer, _, case_id = await harness.active()
    for n in range(5):
        await buyer.send(f"/cs/cases/{case_id}/messages", 201, text=f"{n}")
    async with (
        listening(buyer, origin, {case_id: 3}) as live,
        listening(harness.agent(), origin, follow=[case_id]) as colleague,
    ):
        await live.has(case_id, 7, first=4)
        await colleague.has(case_id, 7)
        await buyer.send(f"/cs/cases/{case_id}/messages", 201, text="Halo")
        await live.has(case_id, 8, first=4)
        await colleague.has(case_id, 8)
        assert [one["message"]["seq"] for one in colleague.of("message")] == [8]


async def test_a_foreign_case_cannot_be_followed(harness: CsHarness, origin: str) -> None:
    """Following the case of another buyer is answered by the error `not_found`."""
    buyer, _, case_id = await harness.active()
    async with listening(harness.buyer(), origin, follow=[case_id]) as live:
        assert [one["code"] for one in live.of("error")] == ["not_found"]
        await buyer.send(f"/cs/cases/{case_id}/messages", 201, text="Halo")
        await live.echo()
        assert not live.of("message") + live.of("hint")


async def test_a_used_ticket_and_a_foreign_page_are_refused(harness: CsHarness, origin: str) -> None:
    """A ticket opens one socket, and none from a page of another site."""
    buyer = harness.buyer()
    ticket = (await buyer.send("/cs/tickets", 201))["ticket"]
    url = f"ws://{origin}/cs/live?ticket="
    with pytest.raises(InvalidStatus, match="403"):
        async with connect(url + ticket, proxy=None, origin="http://evil.example"):  # type: ignore[arg-type]
            pass
    async with connect(url + ticket, proxy=None):
        pass
    for used in (ticket, "", "A" * 43):
        with pytest.raises(InvalidStatus, match="403"):
            async with connect(url + used, proxy=None):
                pass


async def test_an_agent_who_is_connected_stays_on_duty(harness: CsHarness, origin: str) -> None:
    """An agent with a live connection stays on duty without requests, and goes off duty some time after it."""
    agent = await harness.agent_on_duty()
    harness.dependencies.presence._judges_from = 0
    case_id = (await harness.buyer().open_case())["case_id"]
    async with listening(agent, origin):
        await harness.dependencies.presence.check()
        await harness.fetch("update agents set seen_at = now() - $1::interval", timedelta(minutes=5))
        await harness.dependencies.presence.check()
        assert await harness.fetch("select on_duty from agents") == [True]
    await eventually(lambda: _connected(harness), enough=lambda connected: not connected)
    await harness.fetch("update agents set seen_at = now() - $1::interval", timedelta(minutes=5))
    await harness.dependencies.presence.check()
    assert await harness.fetch("select on_duty from agents") == [False]
    assert await harness.fetch("select state from cases where case_id = $1", case_id) == ["waiting"]


async def _connected(harness: CsHarness) -> list[Any]:
    return list(harness.dependencies.live.connected)
