"""From a firing alert to its cause: the walk-through of docs/monitoring.md."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.harness.actors import Buyer, Person
from tests.harness.prometheus import prometheus
from tests.harness.serving import served
from tests.harness.system import SystemUnderTest
from tests.tracing.receiver import Receiver
from tests.tracing.trees import CLICK, ISSUED, Click, attributes

ALERT = 'ALERTS{alertname="MessagesParked", alertstate="firing", service="refunds", error="BrokenOnPurpose"}'


@pytest.mark.servers
async def test_from_an_alert_to_its_cause(
    receiver: Receiver, system: SystemUnderTest, buyer: Buyer, product: str, tmp_path: Path
) -> None:
    """The alert names service and error. The console has the message and its trace, which shows each attempt. With the
    cause removed and the message replayed, the refund arrives and the alert ends."""
    switches = "/refunds/demonstration/switches"
    operator = Person.signed(system.http, system.keys, "operator")
    assert system.app is not None
    async with (
        served(system.app) as origin,
        prometheus(tmp_path, {"/orders/metrics": [urlsplit(origin).netloc]}, "500ms", "1s") as found,
    ):
        (await system.http.put(switches, json={"handling": False})).raise_for_status()
        order_id, click = await buyer.buy(product), Click(receiver)
        await click.cancels(buyer, order_id)
        await found.becomes(f"{ALERT} == 1")

        (group,) = (await operator.get("/refunds/operator/parked"))["groups"]
        (message,) = group["messages"]
        assert group["routing_key"] == "orders.OrderCancelled"
        assert "BrokenOnPurpose" in group["error"]
        shown = await operator.get(f"/refunds/operator/parked/{message['parked_id']}")
        assert shown["payload"]["data"]["order_id"] == order_id
        events = (await operator.get("/orders/operator/trace", id=order_id))["events"]
        (published,) = [one for one in events if one["event_id"] == message["event_id"]]
        attempt = "    refunds: process orders.OrderCancelled:refunds (BrokenOnPurpose)\n"
        await click.becomes(CLICK + 5 * attempt)
        failed, *_ = receiver.named("process batalkan.events:orders.OrderCancelled:refunds", click.trace_id)
        assert attributes(failed)["messaging.message.conversation_id"] == published["correlation_id"]

        (await system.http.put(switches, json={"handling": True})).raise_for_status()
        await operator.post("/refunds/operator/parked/replay", {"ids": [message["parked_id"]]}, 202)
        await buyer.refund(order_id)
        await click.becomes(CLICK + 5 * attempt + "    refunds: replay orders.OrderCancelled:refunds\n" + ISSUED)
        await found.becomes(f"({ALERT} or vector(0)) == 0")
        actions = [one["action"] for one in await operator.get("/refunds/operator/audit")]
        assert actions[:2] == ["replayed", "replay"]
