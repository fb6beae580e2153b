"""`kill -9` of chat, customer service and Redis during conversations: no message and no case is lost or doubled."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest

from lab.faults.live_users import LiveUser
from lab.faults.rolling_restart import send
from lab.faults.system import LabSystem
from tests.harness.actors import Agent, Buyer, Person, Seller
from tests.harness.customer_service import thread_of
from tests.harness.waiting import eventually

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]

THREADS = 50
KILLS = ["chat", "redis", "cs"] * 3
PAUSE = 2.5
"""Seconds between two kills."""
EVERY = 2.0
"""Seconds between two messages of one person."""
AGENTS, CALLERS, MAX_CASES = 3, 12, 3


@asynccontextmanager
async def listening(listeners: list[LiveUser]) -> AsyncIterator[None]:
    """Runs the listeners inside the block."""
    tasks = {asyncio.create_task(listener.run()) for listener in listeners}
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        done, _ = await asyncio.wait(tasks)
    for task in done:
        assert task.cancelled(), task.exception()


async def test_conversations_survive_crashes(system: LabSystem) -> None:
    """While chat, customer service and Redis are killed three times each, both sides receive every message once and in
    order, and every case is handled, by one agent at a time."""
    http, keys, over = system.base.http, system.base.keys, asyncio.Event()
    buyers = [Buyer.signed(http, keys, "buyer") for _ in range(THREADS)]
    sellers = [Seller.signed(http, keys, "seller") for _ in range(THREADS)]
    pairs = list(zip(buyers, sellers, strict=True))
    threads = [await thread_of(buyer, await buyer.place(await seller.offer())) for buyer, seller in pairs]
    said: Counter[str] = Counter()
    sides = [LiveUser(system.running, "chat", person) for person in (*buyers, *sellers)]
    for one, thread in zip(sides, threads * 2, strict=True):
        one.has[thread] = 0
    agents = [Agent.signed(http, keys, "agent") for _ in range(AGENTS)]
    callers = [Buyer.signed(http, keys, "buyer") for _ in range(CALLERS)]
    desks = [LiveUser(system.running, "cs", person) for person in (*agents, *callers)]
    cases: dict[str, Person] = {}

    async def talk(person: Person, thread: str) -> None:
        await asyncio.sleep(random.uniform(0, EVERY))
        while not over.is_set():
            await send(person, f"/chat/threads/{thread}")
            said[thread] += 1
            await asyncio.sleep(EVERY)

    async def call(caller: Person) -> None:
        while not over.is_set():
            case = await caller.send("/cs/cases", text="Penjual tidak membalas.")
            cases[case["case_id"]] = caller
            await eventually(partial(is_over, caller, case["case_id"]), 60, every=0.2)

    async def serve(agent: Agent) -> None:
        while not (over.is_set() and await all_over(cases, agent)):
            await agent.duty()
            mine = (await agent.get("/cs/cases?state=active"))["items"]
            assert len(mine) <= MAX_CASES
            for case in mine:
                await handle(agent, case["case_id"])
                await asyncio.sleep(0.4)  # the limit is 30 messages in 10 seconds
            await asyncio.sleep(0.1)

    async def fire() -> None:
        for name in KILLS:
            await asyncio.sleep(PAUSE)
            if name == "redis":
                await system.servers[name].kill()
                await asyncio.sleep(0.5)
                await system.servers[name].start()
            else:
                await system.running.processes.kill(name)
        await asyncio.sleep(1)
        over.set()

    async with listening([*sides, *desks]):
        async with asyncio.TaskGroup() as group:
            group.create_task(fire())
            for (buyer, seller), thread in zip(pairs, threads, strict=True):
                group.create_task(talk(buyer, thread))
                group.create_task(talk(seller, thread))
            for caller in callers:
                group.create_task(call(caller))
            for agent in agents:
                group.create_task(serve(agent))
        heads = {thread: await length(seller, thread) for (_, seller), thread in zip(pairs, threads, strict=True)}
        assert heads == said
        await eventually(lambda: arrived(sides, heads), 20, every=0.1)
        ends = {case: (await caller.get(f"/cs/cases/{case}"))["last_seq"] for case, caller in cases.items()}
        await eventually(lambda: arrived(desks[AGENTS:], ends, cases), 20, every=0.1)
    assert [fault for one in (*sides, *desks) for fault in one.wrong] == []
    assert min(one.connections for one in (*sides, *desks)) >= 3
    for case_id, owner in cases.items():
        await was_handled_by_one_at_a_time(owner, case_id)
    assert len(cases) > CALLERS
    for agent in agents:
        await agent.duty(False)


async def length(person: Person, thread: str) -> int:
    """The number of messages in a thread's history, which must be complete and in order."""
    seqs: list[int] = []
    while page := (await person.get(f"/chat/threads/{thread}/messages?limit=100&after={len(seqs)}"))["items"]:
        seqs += [message["seq"] for message in page]
    assert seqs == list(range(1, len(seqs) + 1))
    return len(seqs)


async def is_over(person: Person, case_id: str) -> bool:
    """Whether the case has ended."""
    return bool((await person.get(f"/cs/cases/{case_id}"))["state"] == "closed")


async def all_over(cases: dict[str, Person], agent: Person) -> bool:
    """Whether the latest cases have ended."""
    return all([await is_over(agent, case_id) for case_id in list(cases)[-2 * CALLERS :]])


async def handle(agent: Person, case_id: str) -> None:
    """The agent answers and closes the case; a retry after a lost answer is harmless."""
    greeted = await agent.ask("POST", f"/cs/cases/{case_id}/messages", {"text": "Baik, kami bantu."}, key=case_id)
    closed = await agent.ask("POST", f"/cs/cases/{case_id}/close", {"outcome": "answered"})
    for answer in (greeted, closed):
        assert answer.is_success or answer.json()["code"] in ("not_your_case", "case_over"), answer.text


async def arrived(listeners: list[LiveUser], heads: dict[str, int], whose: dict[str, Person] | None = None) -> bool:
    """Whether every listener has all messages of its conversations."""
    for one in listeners:
        for conversation, last in one.has.items():
            if conversation in heads and last != heads[conversation]:
                return False
    known = {conversation for one in listeners for conversation in one.has}
    return known >= heads.keys() and (
        whose is None or all(case in one.has for one in listeners for case, who in whose.items() if who is one.person)
    )


async def was_handled_by_one_at_a_time(buyer: Person, case_id: str) -> None:
    """Asserts that agents joined one after the other, and that one closed the case, once."""
    items = (await buyer.get(f"/cs/cases/{case_id}/messages?limit=100"))["items"]
    assert [message["seq"] for message in items] == list(range(1, len(items) + 1))
    codes = [message["code"] for message in items if message["code"] in ("agent_joined", "agent_left", "case_closed")]
    assert codes[:-1:2] == ["agent_joined"] * len(codes[:-1:2])
    assert codes[1:-1:2] == ["agent_left"] * len(codes[1:-1:2])
    assert codes[-1] == "case_closed"
    assert codes.count("case_closed") == 1
    assert sum(message["text"] == "Baik, kami bantu." for message in items) == 1
