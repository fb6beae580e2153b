"""The operator's interface of every service: who may use it, and what it shows and does."""

import json
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from contracts.orders import OrderPaid
from contracts.words import Role
from runtime.messaging.bus import Message
from runtime.messaging.bus.memory import MemoryBus
from runtime.observability.trace_context import new_id
from services import SERVICES
from tests.harness.actors import Buyer, Person
from tests.harness.publishing import publish_and_wait
from tests.harness.system import SystemUnderTest, gathered
from tests.harness.waiting import eventually

ASKED = [
    ("GET", "state", None),
    ("GET", "parked", None),
    ("GET", f"parked/{UUID(int=1)}", None),
    ("POST", "parked/replay", {"ids": [str(UUID(int=1))]}),
    ("POST", "parked/discard", {"ids": [str(UUID(int=1))], "reason": "a test"}),
    ("POST", "parked/replay", "nonsense"),
    ("GET", "deadlines", None),
    ("GET", f"trace?id={UUID(int=1)}", None),
    ("GET", "audit", None),
    ("GET", "open", None),
]
PERSONAL = "Siti, Jl. Melati 5, 081234567890"


@pytest.fixture
def operator(system: SystemUnderTest) -> Person:
    """An operator."""
    return Person.signed(system.http, system.keys, Role.OPERATOR)


@pytest.mark.parametrize("role", ["", "buyer", "seller", "agent", "expired"])
async def test_all_others_get_404(system: SystemUnderTest, role: str) -> None:
    """Without an operator's token every path answers as one that does not exist, also to a body that is wrong."""
    person = Person.signed(system.http, system.keys, "operator", lasts=-60)
    if role != "expired":
        person = Person.signed(system.http, system.keys, role) if role else Person(uuid4(), system.http)
    asked = [(method, f"/{name}/operator/{path}", body) for name in SERVICES for method, path, body in ASKED]
    for answer in await gathered([person.ask(*one) for one in asked], 8):
        assert (answer.status_code, answer.json()["detail"]) == (404, "Not Found"), answer.request.url


async def test_the_state_of_every_service(system: SystemUnderTest, operator: Person) -> None:
    """It names the parts, all replicas, of which one leads, and the lag of outbox and queue."""
    for name in SERVICES:
        state = await operator.get(f"/{name}/operator/state")
        replicas = state["workload"]["replicas"]
        assert state["service"] == name
        assert state["parts"]["database"] is True
        assert len(replicas) == (2 if system.full and name in ("orders", "refunds", "cs") else 1)
        assert [one["leads"] for one in replicas].count(True) == 1
        assert state["replica"] in [one["name"] for one in replicas]
        assert state["workload"]["outbox"] >= 0
        assert (state["waiting"] is None) == (name in ("accounts", "web"))


async def parked_at_cs(system: SystemUnderTest, operator: Person, **data: Any) -> dict[str, Any]:
    """Has `cs` park an event with these data; returns it as the list shows it."""
    event_id, order_id = new_id(), str(new_id())
    body = {"order_id": order_id, "buyer_id": str(new_id()), PERSONAL: 1, **data}
    envelope = {
        "specversion": "1.0", "id": str(event_id), "source": "orders", "type": "OrderPaid", "subject": order_id,
        "time": "2026-11-29T00:00:00Z", "datacontenttype": "application/json", "dataschema": OrderPaid.dataschema(),
        "correlationid": str(new_id()), "causationid": str(new_id()), "sequence": 1, "note": PERSONAL,
        "traceparent": f"00-{uuid4().hex}-{uuid4().hex[:16]}-01", "data": body,
    }  # fmt: skip
    await send(system, envelope)

    async def is_parked() -> dict[str, Any] | None:
        found = await operator.get("/cs/operator/trace", id=order_id)
        return dict(found["parked"][0]) | {"subject": order_id} if found["parked"] else None

    return await eventually(is_parked)


async def send(system: SystemUnderTest, envelope: dict[str, Any]) -> None:
    """Publishes it in the name of `orders`."""
    bus, message = system.bus("orders"), Message("orders.OrderPaid", json.dumps(envelope).encode())
    if isinstance(bus, MemoryBus):
        await publish_and_wait(bus, [message])
        return
    publisher = await bus.publisher([])
    await publisher.publish([message])
    await publisher.close()


async def history(operator: Person, parked_id: str) -> list[tuple[str, str | None]]:
    """What was done about a parked message, and why."""
    shown = await operator.get(f"/cs/operator/parked/{parked_id}")
    return [(one["action"], one["reason"]) for one in reversed(shown["history"])]


async def test_a_parked_message_is_shown_masked_replayed_and_discarded(
    system: SystemUnderTest, operator: Person
) -> None:
    """It is grouped by its error and shown without personal data; a replay that fails parks it again; once discarded it
    is gone from the list, and the audit log has all of it, by whom and why. Nothing is done twice."""
    one = await parked_at_cs(system, operator, amount=PERSONAL)
    chosen = {"ids": [one["parked_id"]]}
    listed = await operator.get("/cs/operator/parked")
    (group,) = [
        group for group in listed["groups"] if one["parked_id"] in [each["parked_id"] for each in group["messages"]]
    ]
    assert (group["routing_key"], group["error"]) == (
        "orders.OrderPaid",
        "not a valid OrderPaid: data.amount: Input should be a valid integer",
    )
    shown = await operator.ask("GET", f"/cs/operator/parked/{one['parked_id']}")
    payload = shown.json()["payload"]
    assert "Siti" not in shown.text
    assert payload["subject"] == payload["data"]["order_id"] == one["subject"]
    assert payload["data"]["amount"] == payload["•••"] == payload["data"]["•••"] == "•••"

    await operator.post("/cs/operator/parked/replay", chosen, 202)

    async def failed() -> bool:
        return await history(operator, one["parked_id"]) == [("replay", None), ("replay_failed", None)]

    await eventually(failed)
    for reason, status in (("", 422), ("published by hand", 204)):
        answer = await operator.ask("POST", "/cs/operator/parked/discard", {**chosen, "reason": reason})
        assert answer.status_code == status
    for action, more in (("replay", {}), ("discard", {"reason": "again"})):
        answer = await operator.ask("POST", f"/cs/operator/parked/{action}", {**chosen, **more})
        assert (answer.status_code, answer.json()["code"]) == (409, "not_parked")
    done = [("replay", None), ("replay_failed", None), ("discard", "published by hand")]
    assert await history(operator, one["parked_id"]) == done
    assert one["parked_id"] not in (await operator.ask("GET", "/cs/operator/parked")).text
    (latest, *_) = await operator.get("/cs/operator/audit")
    assert (latest["action"], latest["account_id"]) == ("discard", str(operator.account_id))

    for name in {*OrderPaid.consumed_by} - {"cs"}:  # they have parked it, too

        async def there(name: str = name) -> Any:
            return (await operator.get(f"/{name}/operator/trace", id=one["subject"]))["parked"]

        ids = [each["parked_id"] for each in await eventually(there)]
        discarding = {"ids": ids, "reason": "as at cs"}
        assert (await operator.ask("POST", f"/{name}/operator/parked/discard", discarding)).status_code == 204


@pytest.mark.parametrize("change", ["update {} set reason = ''", "delete from {}", "truncate {}"])
async def test_the_audit_log_is_append_only(system: SystemUnderTest, change: str) -> None:
    """Every service's database refuses to change it."""
    for name in SERVICES:
        with pytest.raises(asyncpg.RestrictViolationError, match="only ever added"):
            await system.run(name, change.format("audit_log"))


async def test_one_id_finds_the_whole_trace(
    system: SystemUnderTest, operator: Person, buyer: Buyer, product: str
) -> None:
    """The services' stores have every event of a cancellation and what each consumer did, under the id of the order, of
    the cancellation, of the refund, of an event, and of the trace. No fact in it is personal."""
    order_id = await buyer.buy(product)
    await buyer.cancel(order_id)
    refund = await buyer.refund(order_id)

    async def handled() -> dict[str, Any] | None:
        found = await operator.get("/orders/operator/trace", id=order_id)
        theirs = await operator.get("/refunds/operator/trace", id=order_id)
        ids = [one["event_id"] for one in theirs["events"]]
        return found if ids and (await operator.get("/orders/operator/trace", id=ids[0]))["handled"] else None

    found = await eventually(handled)
    types = {one["type"]: one for one in found["events"]}
    assert list(types) == ["OrderPlaced", "OrderPaid", "OrderCancelRequested", "OrderCancelled"]
    assert {one["subject"] for one in found["events"]} == {order_id}
    kinds = {one["kind"]: one for one in found["records"]}
    assert kinds.keys() == {"order", "cancellation"}
    trace_id = types["OrderCancelled"]["correlation_id"]
    for wanted in (trace_id, types["OrderCancelled"]["event_id"], kinds["cancellation"]["id"], refund["refund_id"]):
        answers = [await operator.get(f"/{one}/operator/trace", id=wanted) for one in ("orders", "refunds")]
        assert any(answer["events"] or answer["records"] for answer in answers), wanted
    (theirs,) = (await operator.get("/refunds/operator/trace", id=trace_id))["events"]
    assert (theirs["type"], theirs["causation_id"]) == ("RefundIssued", types["OrderCancelled"]["event_id"])
    (effect,) = (await operator.get("/refunds/operator/trace", id=types["OrderCancelled"]["event_id"]))["handled"]
    assert effect["at"] >= types["OrderCancelled"]["at"]


async def test_open_refunds_name_their_next_step(
    system: SystemUnderTest, operator: Person, dana_buyer: Buyer, product: str
) -> None:
    """While DANA is down, a refund is listed with what is known, and when DANA is asked or paid next."""
    await system.dana.put("/faults", json={"mode": "down"})
    order_id = await dana_buyer.buy(product)
    await dana_buyer.cancel(order_id)

    async def tried() -> dict[str, Any] | None:
        listed = await operator.get("/refunds/operator/open")
        return next((one for one in listed if one["order_id"] == order_id and one["attempts"]), None)

    one = await eventually(tried)
    assert one["reference"] == one["refund_id"].replace("-", "")
    assert one["next_step"] in ("send", "ask")
    assert (one["linked"], one["wallet_closed"], one["next_at"] is not None) == (True, False, True)
