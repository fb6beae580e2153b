"""Live: positions in the queue, cases and messages reach the people concerned at once."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial

import pytest
from websockets.asyncio.client import connect

from runtime.live.sockets import OVER
from tests.harness import live_client
from tests.harness.chat import on_a_port
from tests.harness.cs import CsHarness
from tests.harness.live_client import address, refusal, ticket

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
            await live_client.end_session(harness.dependencies.live.redis, person.account_id)
            assert await live.closed() == OVER
        assert (await person.ask("POST", "/cs/tickets")).status_code == 401


async def test_both_sides_get_messages_live(harness: CsHarness, origin: str) -> None:
    """Messages and the countdown reach the buyer and the agent of the case, and no other person."""
    case = await harness.active()
    order_id = str((await harness.order(case.buyer)).order_id)
    async with (
        listening(case.buyer, origin) as live,
        listening(case.agent, origin) as desk,
        listening(harness.buyer(), origin) as stranger,
        listening(harness.agent(), origin) as colleague,
    ):
        await case.buyer.send(f"{case.path}/messages", 201, text="Halo")
        await case.agent.send(f"{case.path}/messages", 201, text="Selamat pagi")
        await case.buyer.send(f"{case.path}/order", order_id=order_id)
        asked = await case.agent.send(f"{case.path}/contact-seller")
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
    case = await harness.active()
    for n in range(5):
        await case.buyer.send(f"{case.path}/messages", 201, text=f"{n}")
    async with (
        listening(case.buyer, origin, {case.case_id: 3}) as live,
        listening(harness.agent(), origin, follow=[case.case_id]) as colleague,
    ):
        await live.has(case.case_id, 7, first=4)
        await colleague.has(case.case_id, 7)
        await case.buyer.send(f"{case.path}/messages", 201, text="Halo")
        await live.has(case.case_id, 8, first=4)
        await colleague.has(case.case_id, 8)
        assert [one["message"]["seq"] for one in colleague.of("message")] == [8]


async def test_a_foreign_case_cannot_be_followed(harness: CsHarness, origin: str) -> None:
    """Following the case of another buyer is answered by the error `not_found`."""
    case = await harness.active()
    async with listening(harness.buyer(), origin, follow=[case.case_id]) as live:
        assert [one["code"] for one in live.of("error")] == ["not_found"]
        await case.buyer.send(f"{case.path}/messages", 201, text="Halo")
        await live.echo()
        assert not live.of("message") + live.of("hint")


async def test_a_used_ticket_and_a_foreign_page_are_refused(harness: CsHarness, origin: str) -> None:
    """A ticket opens one socket, and none from a page of another site."""
    url = address(origin, await ticket(harness.buyer(), origin, "cs"), "cs")
    foreign = {"Origin": "http://evil.example"}
    assert await refusal(url, additional_headers=foreign) == (403, "foreign_origin")
    async with connect(url, proxy=None):
        pass
    for used in (url, address(origin, "", "cs"), address(origin, "A" * 43, "cs")):
        assert await refusal(used) == (403, "ticket_refused")


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
    while harness.dependencies.live.connected:
        await asyncio.sleep(0.01)
    await harness.fetch("update agents set seen_at = now() - $1::interval", timedelta(minutes=5))
    await harness.dependencies.presence.check()
    assert await harness.fetch("select on_duty from agents") == [False]
    assert await harness.fetch("select state from cases where case_id = $1", case_id) == ["waiting"]
