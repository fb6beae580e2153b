"""Which agent gets which case, with several replicas and agents who come and go."""

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any

import pytest

from batalkan.keys import Keys
from services.cs.domain import TRANSITIONS
from tests.conftest import Databases
from tests.harness.cs import CsHarness, open_harness
from tests.harness.cs_actors import AgentCase
from tests.harness.waiting import eventually

MAX_CASES = 3

WATCH = (
    "create table seen (n bigint generated always as identity, tx bigint default txid_current(), case_id uuid, "
    "arrived bigint, was uuid, agent_id uuid, old_state text, state text)",
    "create function see() returns trigger language plpgsql as $$ begin "
    "insert into seen (case_id, arrived, was, agent_id, old_state, state) values "
    "(new.case_id, new.arrived, case when tg_op = 'UPDATE' then old.agent_id end, new.agent_id, "
    "case when tg_op = 'UPDATE' then old.state end, new.state); return null; end $$",
    "create trigger see after insert or update of agent_id, state on cases for each row execute function see()",
)
"""Records every change of a case, in the transaction that makes it."""


@pytest.fixture
async def replicas(embedded_databases: Databases, keys: Keys) -> AsyncIterator[CsHarness]:
    """Three replicas of the service, with all changes of cases recorded."""
    async with embedded_databases.lent() as databases, open_harness(databases, keys, replicas=3) as harness:
        for statement in WATCH:
            await harness.fetch(statement)
        yield harness


def check(steps: list[Any]) -> None:
    """Asserts that no agent had too many cases or another's, and that given cases were the first in line."""
    line: dict[str, int] = {}
    desks: dict[str, set[str]] = defaultdict(set)
    given: dict[int, list[int]] = defaultdict(list)
    last_tx = None
    for tx, case_id, arrived, was, agent_id, state in [*steps, (None, *(None,) * 5)]:
        if tx != last_tx and last_tx is not None and given[last_tx]:
            assert not line or min(line.values()) > max(given[last_tx]), "the order of arrival"
        last_tx = tx
        if tx is None:
            return
        if was is not None and case_id in desks[was] and (agent_id != was or state not in ("active", "seller_replied")):
            desks[was].remove(case_id)
        if agent_id is None:
            line[case_id] = arrived
        elif state in ("active", "seller_replied") and case_id not in desks[agent_id]:
            assert not any(case_id in desk for desk in desks.values()), "with one agent"
            desks[agent_id].add(case_id)
            given[tx].append(line.pop(case_id))
            assert len(desks[agent_id]) <= MAX_CASES, "over the limit"


@pytest.mark.parametrize(("agents", "buyers"), [(5, 25), pytest.param(20, 300, marks=pytest.mark.servers)])
async def test_every_case_is_with_one_agent_in_the_order_of_arrival(
    replicas: CsHarness, agents: int, buyers: int
) -> None:
    """While agents come and go at three replicas, each case is with one agent, in the order of arrival."""
    chance = random.Random(agents)
    over = asyncio.Event()

    async def buy() -> None:
        buyer = replicas.person("buyer", http=chance.choice(replicas.https))
        await asyncio.sleep(chance.random() * buyers / 100)
        await buyer.open_case()

    async def serve_cases() -> None:
        agent = replicas.person("agent", http=chance.choice(replicas.https))
        while not over.is_set():
            await agent.duty()
            for case in (await agent.get("/cs/cases", state="active", limit=MAX_CASES))["items"]:
                if chance.random() < 0.6:
                    answer = await agent.ask("POST", f"/cs/cases/{case['case_id']}/close", {"outcome": "answered"})
                    assert answer.status_code == 200 or answer.json()["code"] == "not_your_case"
            if chance.random() < 0.3:
                await agent.duty(False)
            await asyncio.sleep(0.02)

    working = [asyncio.create_task(serve_cases()) for _ in range(agents)]
    try:
        await asyncio.gather(*(buy() for _ in range(buyers)))
        sql = "select count(*) = $1 from cases where state = 'closed'"
        await eventually(lambda: replicas.fetch(sql, buyers), every=0.02, enough=all)
    finally:
        over.set()
        await asyncio.gather(*working)
    check(await replicas.fetch("select tx, case_id, arrived, was, agent_id, state from seen order by n"))


async def test_the_least_busy_agent_gets_the_next_case(harness: CsHarness) -> None:
    """A new case goes to the agent with the fewest, among equals to the one whose last case is the oldest."""
    agents = {str((await harness.agent_on_duty()).account_id) for _ in range(2)}
    got = [(await harness.buyer().open_case())["agent_id"] for _ in range(7)]
    assert set(got[:2]) == set(got[2:4]) == set(got[4:6]) == agents
    assert got[6] is None


async def test_an_agent_who_goes_off_duty_keeps_nothing(harness: CsHarness) -> None:
    """The cases of an agent who goes off duty go to others, in the order of arrival, before newer ones."""
    leaving = await harness.agent_on_duty()
    cases = [(await harness.buyer().open_case())["case_id"] for _ in range(5)]
    await leaving.duty(False)
    queue = (await leaving.get("/cs/cases", state="waiting"))["items"]
    assert [case["case_id"] for case in queue] == cases
    other = await harness.agent_on_duty()
    held = (await other.get("/cs/cases", state="active"))["items"]
    assert sorted(case["case_id"] for case in held) == sorted(cases[:3])
    assert (await leaving.get("/cs/cases"))["items"] == []


async def test_cases_are_given_and_taken_by_the_rules(harness: CsHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """Routing refuses a transition that is not in the table of `domain`."""
    agent, buyer = await harness.agent_on_duty(), harness.buyer()
    monkeypatch.setitem(TRANSITIONS, "given", {})
    assert await buyer.refused("/cs/cases", text="Halo") == "wrong_state"
    monkeypatch.undo()
    await buyer.open_case()
    monkeypatch.setitem(TRANSITIONS, "taken_away", {})
    answer = await agent.ask("PUT", "/cs/duty", json={"on": False})
    assert (answer.status_code, answer.json()["code"]) == (409, "wrong_state")


async def test_closing_and_contacting_make_room(harness: CsHarness) -> None:
    """An agent who closes a case or contacts its seller gets the next in line at once."""
    agent = await harness.agent_on_duty()
    buyers = [harness.buyer() for _ in range(5)]
    cases = [AgentCase(buyer, agent, (await buyer.open_case())["case_id"]) for buyer in buyers]
    await cases[0].close()
    assert (await cases[3].seen())["state"] == "active"
    await harness.contact(cases[1])
    assert (await cases[4].seen())["state"] == "active"


@pytest.mark.parametrize("room", [True, False])
async def test_a_case_comes_back_to_its_agent_if_there_is_room(harness: CsHarness, room: bool) -> None:
    """A case whose agent has no room goes to one who has, before those that came later."""
    case = await harness.contacted()
    for _ in range(2 if room else 4):
        await harness.buyer().open_case()
    await harness.deliver(case.replied)
    if room:
        await case.back()
    else:
        shown = await case.seen()
        assert (shown["state"], shown["agent_id"], shown["position"]) == ("seller_replied", None, 1)
        other = await harness.agent_on_duty()
        assert (await case.seen())["agent_id"] == str(other.account_id)


async def test_an_agent_who_is_gone_for_too_long_is_off_duty(harness: CsHarness) -> None:
    """An agent not seen for too long in real time goes off duty; others stay, also when the clock is moved. Right after
    a start, agents get time to return."""
    gone, there = await harness.agent_on_duty(), await harness.agent_on_duty()
    buyers = [harness.buyer() for _ in range(2)]
    cases = [(await buyer.open_case())["case_id"] for buyer in buyers]
    await harness.fetch("update clock set shift = interval '24 hours'")
    await harness.fetch("update agents set seen_at = now() - interval '59 seconds'")
    await harness.dependencies.presence.check()
    assert (await there.get("/cs/duty"))["agents_on_duty"] == 2
    await harness.fetch("update agents set seen_at = now() - interval '61 seconds'")
    await there.get("/cs/duty")
    for judges_from, on_duty in ((float("inf"), 2), (0, 1)):
        harness.dependencies.presence._judges_from = judges_from
        await harness.dependencies.presence.check()
        assert (await there.get("/cs/duty"))["agents_on_duty"] == on_duty
    assert (await gone.get("/cs/duty"))["on"] is False
    for buyer, case_id in zip(buyers, cases, strict=True):
        assert (await buyer.case(case_id))["agent_id"] == str(there.account_id)


async def test_a_reserved_agent_takes_what_asks_for_it_alone(harness: CsHarness) -> None:
    """A case that asks for a reserved agent is with it at once, and returns to it; the agent gets no others, and its
    cases go to any agent when it leaves."""
    reserved, waiting = harness.agent(), [await harness.buyer().open_case() for _ in range(5)]
    assert (await reserved.ask("PUT", "/cs/duty", json={"on": True, "reserved": True})).status_code == 200
    buyer = harness.buyer()
    shown = await buyer.send("/cs/cases", 201, text="Halo", agent_id=str(reserved.account_id))
    assert (shown["agent_id"], shown["state"]) == (str(reserved.account_id), "active")
    assert [(await reserved.case(one["case_id"]))["state"] for one in waiting] == ["waiting"] * 5
    other = await harness.agent_on_duty()
    assert len((await other.get("/cs/cases", state="active"))["items"]) == MAX_CASES
    case = await harness.contact(AgentCase(buyer, reserved, shown["case_id"]))
    await harness.deliver(case.replied)
    await case.back()
    assert (await case.seen())["state"] == "seller_replied"
    await reserved.duty(False)
    assert (await case.seen())["position"] == 3


async def test_only_a_reserved_agent_can_be_asked_for(harness: CsHarness) -> None:
    """A request for an agent who is not reserved, or not on duty, is refused, and opens no case; nor does it write into
    an open one."""
    agent, buyer = await harness.agent_on_duty(), harness.buyer()
    for agent_id in (agent.account_id, buyer.account_id):
        assert await buyer.refused("/cs/cases", text="Halo", agent_id=str(agent_id)) == "agent_not_available"
    assert (await buyer.get("/cs/cases"))["items"] == []
    before = await buyer.open_case()
    assert await buyer.refused("/cs/cases", text="Halo", agent_id=str(agent.account_id)) == "agent_not_available"
    assert (await buyer.case(before["case_id"]))["last_seq"] == before["last_seq"]
