"""In demonstration mode a service records the stages of its events, and has fault switches. On both buses."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fakeredis import FakeServer
from fastapi import APIRouter

from batalkan.keys import Keys
from runtime.demo import recorder, switches
from runtime.demo.recorder import MAX_WAITING, STREAM, DemoObserver
from runtime.messaging.bus import Delivery
from runtime.messaging.observer import NO_OBSERVER
from runtime.observability.trace_context import start_context
from runtime.service import Service, ServiceSpec
from runtime.settings import Environment, Settings
from runtime.storage.database import Database
from runtime.storage.redis import connect
from tests.harness.waiting import becomes
from tests.messaging.demo_harness import DemoHarness, in_demonstration
from tests.messaging.toys import MIGRATIONS, Counted, Noted, Toys, running


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Switches are looked at often."""
    monkeypatch.setattr(switches, "POLL", 0.02)
    monkeypatch.setattr(recorder, "PAUSE", 0.005)


@pytest.fixture
async def harness(toys: Toys, keys: Keys) -> AsyncIterator[DemoHarness]:
    """Two services on show."""
    async with in_demonstration(toys, keys) as harness:
        yield harness


async def test_every_stage_of_an_event_is_recorded_in_order(harness: DemoHarness) -> None:
    """Each stage (written, sent, confirmed, handled) is recorded with the event, its trace and its times."""
    await harness.say(1)
    expected = {("orders", "written"), ("orders", "sent"), ("orders", "confirmed"), ("refunds", "handled")}
    await becomes(harness.stages, expected)
    records = [one for one in await harness.records() if one.get("type") == "Counted"]
    assert len({one["id"] for one in records}) == len({one["story"] for one in records}) == 1
    at = {one["stage"]: one["at"] for one in records}
    assert at["written"] <= at["sent"] <= at["confirmed"]
    handled = next(one for one in records if one["stage"] == "handled")
    assert at["sent"] <= handled["taken"] <= handled["began"] <= handled["ended"] <= handled["at"]

    async def follows() -> set[str]:
        return {
            one["cause"] for one in await harness.records() if one.get("type") == "Noted" and one["stage"] == "written"
        }

    await becomes(follows, {records[0]["id"]})


async def test_without_a_broker_events_wait_in_the_outbox(harness: DemoHarness) -> None:
    """Cut off, `orders` still commits; its event is not lost, and arrives when the broker is back."""
    await harness.turn("orders", connected=False)
    await becomes(harness.orders._broker_ready, False)
    await harness.say(1)
    await becomes(harness.of("orders", "unpublished"), 1)
    assert await harness.effects() == []
    await harness.turn("orders")
    await becomes(harness.effects, [1])
    await becomes(harness.of("orders", "unpublished"), 0)


async def test_without_consumers_messages_wait_in_the_queue(harness: DemoHarness) -> None:
    """While `refunds` is paused, messages wait in its queue and are counted; afterwards each is handled once."""
    await harness.turn("refunds", consuming=False)
    await becomes(harness.refunds._broker_ready, False)
    await harness.say(1, 2)
    await becomes(harness.of("refunds", "waiting"), 2)
    await becomes(harness.of("orders", "unpublished"), 0)
    assert await harness.effects() == []
    await harness.turn("refunds")
    await becomes(harness.effects, [1, 2])
    await becomes(harness.of("refunds", "waiting"), 0)


async def test_without_handlers_events_are_parked_and_can_be_replayed(harness: DemoHarness) -> None:
    """Each failure is recorded and the event parked with its error; a replay after the repair has its effect once."""
    await harness.turn("refunds", handling=False)
    await harness.say(1)
    await becomes(harness.of("refunds", "parked_in_all"), 1)
    parked = (await harness.state("refunds"))["parked"][0]
    assert "switched off" in parked["error"]
    await becomes(harness.stages, {("orders", "written"), ("orders", "sent"), ("orders", "confirmed"), *FAILED})
    assert sum(one["stage"] == "failed" for one in await harness.records()) == 5
    await harness.turn("refunds")
    replay = f"/refunds/demonstration/parked/{parked['parked_id']}/replay"
    assert (await harness.http.post(replay)).status_code == 202
    await becomes(harness.effects, [1])
    await becomes(harness.of("refunds", "parked_in_all"), 0)
    assert (await harness.http.post(replay)).status_code == 404


FAILED = {("refunds", "failed"), ("refunds", "parked")}


async def test_a_poison_message_ends_parked_and_harms_nothing_else(harness: DemoHarness) -> None:
    """A poison message is published like every event, and parked; the events behind it are handled."""
    poisoned = (await harness.http.post("/orders/demonstration/poison")).json()
    assert poisoned["type"] == "Counted"
    await harness.say(1)
    await becomes(harness.effects, [1])
    await becomes(harness.of("refunds", "parked_in_all"), 1)
    assert "number: Field required" in (await harness.state("refunds"))["parked"][0]["error"]

    async def records() -> list[bool]:
        written = [one for one in await harness.records() if one.get("type") == "Counted" and one["stage"] == "written"]
        return [one.get("broken", False) for one in written]

    await becomes(records, [True, False])


async def test_the_switches_reach_every_replica(harness: DemoHarness, toys: Toys, keys: Keys) -> None:
    """Turned at one process, they are followed by another that shares its Redis."""
    url = harness.refunds.uow.database.url
    settings = Settings("refunds", url, "", harness.redis_url, "", 0, True, "info")
    description = ServiceSpec("A toy.", APIRouter(), MIGRATIONS, [Noted], {Counted: _unused})
    replica = Service(settings, Database(url), toys.bus("refunds"), keys.token_keys, description)
    async with (
        replica.running(),
        httpx.AsyncClient(transport=httpx.ASGITransport(replica.app), base_url="http://localhost") as http,
    ):
        await replica.until_ready()
        await harness.turn("refunds", handling=False)

        async def followed() -> bool:
            state = (await http.get("/refunds/demonstration/state")).json()
            return bool(state["switches"]["handling"])

        await becomes(followed, False)


async def _unused(*_: object) -> list[Noted]:
    raise AssertionError("the replica stands by")


async def test_the_clock_of_a_service_moves_forward(harness: DemoHarness) -> None:
    """The hours that were asked for are added."""
    assert (await harness.http.post("/orders/demonstration/clock", json={"hours": 24})).json() == {"clock": 86400.0}
    async with harness.orders.uow.begin() as tx:
        moved = await tx.connection.fetchval("select extract(epoch from clock_now() - now())")
    assert moved == 86400
    assert (await harness.http.post("/orders/demonstration/clock", json={"hours": -1})).status_code == 422


async def test_a_page_of_another_site_can_do_nothing(harness: DemoHarness) -> None:
    """A request from another site's page is refused."""
    for foreign in (
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:8081"},
        {"Origin": "http://[", "Sec-Fetch-Site": "same-origin"},
    ):
        answers = [
            await harness.http.post("/orders/demonstration/poison", headers=foreign),
            await harness.http.post("/orders/demonstration/clock", headers=foreign),
            await harness.http.put("/orders/demonstration/switches", headers=foreign, json={}),
            await harness.http.get("/orders/demonstration/state", headers=foreign),
        ]
        assert [answer.status_code for answer in answers] == [403] * 4, foreign
        assert answers[0].json()["code"] == "foreign_site"
    own = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
    for headers in ({}, own):
        assert (await harness.http.get("/orders/demonstration/state", headers=headers)).status_code == 200


async def test_outside_of_demonstration_mode_there_is_nothing_of_it(embedded_toys: Toys, keys: Keys) -> None:
    """No route, no witness, and the bus and the handlers as they were given."""
    url, bus = await embedded_toys.database("refunds"), embedded_toys.bus("refunds")
    description = ServiceSpec("A toy.", APIRouter(), MIGRATIONS, [Noted], {Counted: _unused})
    plain = Service(Settings.read("refunds", Environment({})), Database(url), bus, keys.token_keys, description)
    assert plain.uow.observer is NO_OBSERVER
    assert plain._relay._bus is bus
    assert plain._consumer is not None
    assert plain._consumer._handlers is description.handlers
    async with httpx.AsyncClient(transport=httpx.ASGITransport(plain.app), base_url="http://localhost") as http:
        for method, path in (
            ("GET", "state"),
            ("PUT", "switches"),
            ("POST", "poison"),
            ("POST", "clock"),
            ("POST", f"parked/{start_context().correlation_id}/replay"),
        ):
            answer = await http.request(method, f"/refunds/demonstration/{path}", json={})
            assert answer.status_code == 404, path


async def test_records_that_are_dropped_are_counted() -> None:
    """Records beyond the buffer are dropped; the last entry counts all records, dropped ones too."""
    redis_url = f"memory://{start_context().correlation_id}"
    observer = DemoObserver("orders", connect(redis_url))
    event = Counted(thing="a", number=1)
    for _ in range(MAX_WAITING + 10):
        observer.written([start_context().correlation_id], [(event, start_context())])
    redis = connect(redis_url)

    async def passed() -> int:
        entries: Any = await redis.xrevrange(STREAM, count=1)
        return sum(int(entry["passed"]) + len(json.loads(entry["records"])) for _, entry in entries)

    async with running(observer.run()):
        await becomes(passed, MAX_WAITING + 10)
    assert await redis.xlen(STREAM) == MAX_WAITING // recorder.MAX_RECORDS
    await redis.aclose()


async def test_no_message_breaks_the_recorder() -> None:
    """Every parked message is recorded, also one that is nested deeper than the parser reads."""
    observer = DemoObserver("orders", connect("memory://"))
    for body in (b"[" * 100_000, b"\xff", b"[]", b'{"id": 1}'):
        observer.parked(Delivery(1, "orders.Counted", body, 0), "cannot be read")
    assert [one["stage"] for one in observer._waiting] == ["parked"] * 4


async def test_what_was_dropped_while_redis_was_away_is_said_afterwards() -> None:
    """Old records are dropped instead of sent late; an entry without records counts them."""
    name = start_context().correlation_id.hex
    observer, redis = DemoObserver("orders", connect(f"memory://{name}")), connect(f"memory://{name}")
    server = FakeServer.get_server(name, (7,), "redis")
    server.connected = False

    async def waiting() -> int:
        return len(observer._waiting)

    async def records() -> list[tuple[str, str]]:
        entries: Any = await redis.xrange(STREAM)
        return [(entry["passed"], entry["records"]) for _, entry in entries]

    async with running(observer.run()):
        observer.fired("x", start_context())
        await becomes(waiting, 0)
        server.connected = True
        await becomes(records, [("1", "[]")])
    await redis.aclose()


async def test_the_stream_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stream keeps a bounded number of entries of bounded size, at any rate of records."""
    monkeypatch.setattr(recorder, "KEPT", 100)
    monkeypatch.setattr(recorder, "MAX_RECORDS", 1)
    redis_url = f"memory://{start_context().correlation_id}"
    observer, redis = DemoObserver("orders", connect(redis_url)), connect(redis_url)
    for _ in range(1_000):
        observer.fired("x" * 10, start_context())

    async def all_recorded() -> bool:
        entries: Any = await redis.xrevrange(STREAM, count=1)
        return bool(entries) and entries[0][1]["passed"] == "999"

    async with running(observer.run()):
        await becomes(all_recorded, True)
    assert 100 <= await redis.xlen(STREAM) < 250
    await redis.aclose()
