"""In demonstration mode a service records the stages of its events, and has fault switches. On both buses."""

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import pytest
from fakeredis import FakeServer

from runtime.demo import recorder, switches
from runtime.demo.instrumentation import DemoInstrumentation
from runtime.demo.recorder import MAX_WAITING, STREAM, DemoObserver
from runtime.messaging.bus import Delivery, partitions
from runtime.messaging.consumer import Handlers
from runtime.messaging.observer import NO_OBSERVER
from runtime.observability.trace_context import new_id, start_context
from runtime.settings import Environment, Settings
from runtime.storage.redis import connect
from tests.harness.waiting import becomes
from tests.messaging.demo_harness import DemoHarness, demo_service, in_demonstration
from tests.messaging.toys import Counted, Toys, message, running, whole_service, write_down

PUBLISHED = {("orders", "written"), ("orders", "sent"), ("orders", "confirmed")}
"""The stages that the publisher records."""
ROUTES = {"state": "GET", "switches": "PUT", "poison": "POST", "clock": "POST", f"parked/{UUID(int=1)}/replay": "POST"}
"""All routes of the demonstration, with their methods."""


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Switches are read often, and records are written often."""
    monkeypatch.setattr(switches, "POLL", 0.02)
    monkeypatch.setattr(recorder, "PAUSE", 0.005)


@pytest.fixture
async def harness(toys: Toys) -> AsyncIterator[DemoHarness]:
    """Two services on show."""
    async with in_demonstration(toys) as harness:
        yield harness


async def test_every_stage_of_an_event_is_recorded_in_order(harness: DemoHarness) -> None:
    """Each stage (written, sent, confirmed, handled) is recorded with the event, its trace and its times."""
    await harness.publish(1)
    await becomes(harness.stages, PUBLISHED | {("refunds", "handled")})
    records = await harness.records()
    assert len({one["id"] for one in records}) == len({one["story"] for one in records}) == 1
    at = {one["stage"]: one["at"] for one in records}
    assert at["written"] <= at["sent"] <= at["confirmed"]
    handled = next(one for one in records if one["stage"] == "handled")
    assert at["sent"] <= handled["taken"] <= handled["began"] <= handled["ended"] <= handled["at"]

    async def causes() -> set[str]:
        return {one["cause"] for one in await harness.records("Noted") if one["stage"] == "written"}

    await becomes(causes, {records[0]["id"]})


async def test_without_a_broker_events_wait_in_the_outbox(harness: DemoHarness) -> None:
    """Cut off, `orders` still commits; its event is not lost, and arrives when the broker is back."""
    await harness.turn("orders", connected=False)
    await becomes(harness.orders._broker_ready, False)
    await harness.publish(1)
    await becomes(harness.of("orders", "unpublished"), 1)
    assert await harness.effects() == []
    await harness.turn("orders")
    await becomes(harness.effects, [1])
    await becomes(harness.of("orders", "unpublished"), 0)


async def test_without_consumers_messages_wait_in_the_queue(harness: DemoHarness) -> None:
    """While `refunds` is paused, messages wait in its queue and are counted; afterwards each is handled once."""
    await harness.turn("refunds", consuming=False)
    await becomes(harness.refunds._broker_ready, False)
    await harness.publish(1, 2)
    await becomes(harness.of("refunds", "waiting"), 2)
    await becomes(harness.of("orders", "unpublished"), 0)
    assert await harness.effects() == []
    await harness.turn("refunds")
    await becomes(harness.effects, [1, 2])
    await becomes(harness.of("refunds", "waiting"), 0)


async def test_after_a_move_the_new_queues_are_measured(embedded_toys: Toys) -> None:
    """The number of waiting messages is that of the queues which are consumed now."""
    bus = embedded_toys.bus("refunds")
    await (await bus.topology("refunds", ["orders.Counted"])).declare(1)
    settings = Settings.read("refunds", Environment({"DEMONSTRATION": "1", "REDIS_URL": f"memory://{new_id().hex}"}))
    toy = await embedded_toys.refunds()
    instrumentation = DemoInstrumentation(settings, toy.uow, bus, {Counted: write_down}, [])
    instrumentation.queues = lambda: ["refunds"]
    await embedded_toys.send(message(1))
    await becomes(instrumentation.waiting, 1)
    await (await bus.topology("refunds", [])).declare(2)
    instrumentation.queues = lambda: [one.queue("refunds") for one in partitions(2)]
    assert await instrumentation.waiting() == 0
    await instrumentation.close()


async def test_without_handlers_events_are_parked_and_can_be_replayed(harness: DemoHarness) -> None:
    """Each failure is recorded and the event parked with its error; a replay after the repair has its effect once."""
    await harness.turn("refunds", handling=False)
    await harness.publish(1)
    await becomes(harness.of("refunds", "parked_in_all"), 1)
    parked = (await harness.state("refunds"))["parked"][0]
    assert "switched off" in parked["error"]
    await becomes(harness.stages, PUBLISHED | {("refunds", "failed"), ("refunds", "parked")})
    assert sum(one["stage"] == "failed" for one in await harness.records()) == 5
    await harness.turn("refunds")
    replay = f"/refunds/demonstration/parked/{parked['parked_id']}/replay"
    assert (await harness.http.post(replay)).status_code == 202
    await becomes(harness.effects, [1])
    await becomes(harness.of("refunds", "parked_in_all"), 0)
    assert (await harness.http.post(replay)).status_code == 404


@pytest.mark.parametrize(("switch", "stage"), [("once", "handled"), ("acknowledging", "lost")])
async def test_a_message_that_is_delivered_again_has_its_effect_once(
    harness: DemoHarness, switch: str, stage: str
) -> None:
    """Delivered twice, or lost with its consumer before it is acknowledged, a message is recorded as repeated, changes
    nothing more and leaves its queue; the state says for how long the switch stays."""
    await harness.turn("refunds", **{switch: False})
    await harness.publish(1, 2)
    await becomes(harness.stages, PUBLISHED | {("refunds", one) for one in ("handled", "repeated", stage)})
    assert 590 < (await harness.state("refunds"))["resets_in"] <= 600
    await harness.turn("refunds")
    await harness.publish(3)
    await becomes(harness.effects, [1, 2, 3])
    await becomes(harness.of("refunds", "waiting"), 0)
    assert (await harness.state("refunds"))["resets_in"] == 0


async def test_a_poison_message_ends_parked_and_harms_nothing_else(harness: DemoHarness) -> None:
    """A poison message is published like every event, and parked; the events behind it are handled."""
    poisoned = (await harness.http.post("/orders/demonstration/poison")).json()
    assert poisoned["type"] == "Counted"
    await harness.publish(1)
    await becomes(harness.effects, [1])
    await becomes(harness.of("refunds", "parked_in_all"), 1)
    assert "number: Field required" in (await harness.state("refunds"))["parked"][0]["error"]

    async def broken() -> list[bool]:
        return [one.get("broken", False) for one in await harness.records() if one["stage"] == "written"]

    await becomes(broken, [True, False])


async def test_the_switches_reach_every_replica(harness: DemoHarness, toys: Toys) -> None:
    """Turned at one process, they are followed by another that shares its Redis."""
    url = harness.refunds.uow.database.url
    replica = demo_service("refunds", url, toys.bus("refunds"), harness.redis_url, {Counted: write_down})
    transport = httpx.ASGITransport(replica.app)
    async with replica.running(), httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        await replica.until_ready()
        await harness.turn("refunds", handling=False)

        async def followed() -> bool:
            state = (await http.get("/refunds/demonstration/state")).json()
            return bool(state["switches"]["handling"])

        await becomes(followed, False)


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
        for path, method in ROUTES.items():
            answer = await harness.http.request(method, f"/orders/demonstration/{path}", headers=foreign, json={})
            assert (answer.status_code, answer.json()["code"]) == (403, "foreign_site"), (foreign, path)
    own = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
    for headers in ({}, own):
        assert (await harness.http.get("/orders/demonstration/state", headers=headers)).status_code == 200


async def test_outside_of_demonstration_mode_a_service_is_plain(embedded_toys: Toys) -> None:
    """It has no route and no observer of the demonstration, and uses bus and handlers as they were given."""
    bus = embedded_toys.bus("refunds")
    handlers: Handlers = {Counted: write_down}
    plain = whole_service(await embedded_toys.database("refunds"), bus, handlers)
    assert plain.uow.observer is NO_OBSERVER
    assert plain._relay._bus is bus
    assert plain._consumers is not None
    assert plain._consumers._handlers is handlers
    async with httpx.AsyncClient(transport=httpx.ASGITransport(plain.app), base_url="http://localhost") as http:
        for path, method in ROUTES.items():
            answer = await http.request(method, f"/refunds/demonstration/{path}", json={})
            assert answer.status_code == 404, path


class Recording:
    """An observer, and another client of its Redis."""

    def __init__(self) -> None:
        name = new_id().hex
        self.observer = DemoObserver("orders", connect(f"memory://{name}"))
        self.redis = connect(f"memory://{name}")
        self.server = FakeServer.get_server(name, (7,), "redis")

    async def entries(self) -> list[tuple[int, int]]:
        """Each entry of the stream: the number of records before it, and of those in it."""
        entries: Any = await self.redis.xrange(STREAM)
        return [(int(entry["passed"]), len(json.loads(entry["records"]))) for _, entry in entries]

    async def recorded(self) -> int:
        """The number of records so far, dropped ones included."""
        return sum((await self.entries() or [(0, 0)])[-1])


@pytest.fixture
async def recording() -> AsyncIterator[Recording]:
    """An observer that does not run yet."""
    made = Recording()
    yield made
    await made.redis.aclose()


async def test_dropped_records_are_counted(recording: Recording) -> None:
    """Records beyond the buffer are dropped; the last entry counts all records, dropped ones too."""
    event = Counted(thing="a", number=1)
    for _ in range(MAX_WAITING + 10):
        recording.observer.written([new_id()], [(event, start_context())])
    async with running(recording.observer.run()):
        await becomes(recording.recorded, MAX_WAITING + 10)
    assert len(await recording.entries()) == MAX_WAITING // recorder.MAX_RECORDS


async def test_no_message_breaks_the_recorder(recording: Recording) -> None:
    """Every parked message is recorded, also one that is nested deeper than the parser reads."""
    for body in (b"[" * 100_000, b"\xff", b"[]", b'{"id": 1}'):
        recording.observer.parked(Delivery(1, "orders.Counted", body, 0), "cannot be read")
    assert [one["stage"] for one in recording.observer._waiting] == ["parked"] * 4


async def test_records_wait_for_redis(recording: Recording, caplog: pytest.LogCaptureFixture) -> None:
    """Records of a time without Redis are written once it is back."""
    recording.server.connected = False

    async def tried() -> bool:
        return "waiting for Redis" in caplog.text

    async with running(recording.observer.run()):
        recording.observer.fired("x", start_context())
        await becomes(tried, True)
        recording.server.connected = True
        await becomes(recording.entries, [(0, 1)])


async def test_the_stream_is_bounded(recording: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stream keeps a bounded number of entries of bounded size, at any rate of records."""
    monkeypatch.setattr(recorder, "KEPT", 100)
    monkeypatch.setattr(recorder, "MAX_RECORDS", 1)
    for _ in range(1_000):
        recording.observer.fired("x" * 10, start_context())
    async with running(recording.observer.run()):
        await becomes(recording.recorded, 1_000)
    assert 100 <= len(await recording.entries()) < 250
