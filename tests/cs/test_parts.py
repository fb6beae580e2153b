"""Parts of an order in the cases about it."""

from uuid import uuid4

import pytest

from tests.harness.cs import CsHarness
from tests.harness.deals import PRICE, Deal
from tests.harness.publishing import publish_as


@pytest.mark.parametrize("channel", ["app", "chat"])
async def test_a_part_does_not_end_the_24_hours(harness: CsHarness, channel: str) -> None:
    """A part that the buyer or the seller cancels is shown once, and is no answer: what is left is cancelled."""
    case = await harness.contacted()
    part = case.deal.items_cancelled(channel, quantity=2)
    await harness.deliver(part, part)
    shown = (await case.messages())[-1]
    line = {"product_id": str(case.deal.product_id), "title": "Kemeja batik", "quantity": 2}
    facts = {"channel": channel, "lines": [line], "refund_amount": 2 * PRICE // 3}
    assert shown["code"] == "items_cancelled"
    assert shown["data"].items() >= facts.items()
    assert "2 × Kemeja batik" in shown["text"]
    assert "Rp126.000" in shown["text"]
    assert (await case.codes()).count("items_cancelled") == 1
    assert (await case.seen())["state"] == "awaiting_seller"
    request = await harness.run_out(case)
    assert request["data"]["lines"] is None
    await harness.becomes(case.case_id, "resolved")


async def test_the_agent_sees_what_is_left(harness: CsHarness) -> None:
    """The order that was handed over shows how many pieces of each line are cancelled, over all cancellations, also of
    those before it was handed over."""
    case = await harness.active()
    deal = Deal(uuid4(), case.buyer, harness.actors.person("seller"))
    first = deal.items_cancelled()
    await harness.deliver(first, deal.placed(), first)
    await case.buyer.send(f"{case.path}/order", order_id=str(deal.order_id))
    [line] = (await case.agent.case(case.case_id))["order"]["lines"]
    assert (line["quantity"], line["cancelled"]) == (3, 1)
    await harness.deliver(deal.items_cancelled("chat"))
    [line] = (await case.agent.case(case.case_id))["order"]["lines"]
    assert line["cancelled"] == 2
    assert (await case.codes())[-1] == "items_cancelled"


async def test_each_refund_is_shown(harness: CsHarness) -> None:
    """A case shows the delay and the arrival of each refund once, in whichever order they come."""
    case = await harness.contacted()
    first, second = uuid4(), uuid4()
    late, later = case.deal.delayed(first), case.deal.delayed(second)
    await harness.deliver(late, later, late, later)
    await harness.deliver(case.deal.refunded(second), later)
    await publish_as(harness.publisher.bus, "refunds", case.deal.refunded(first, "dana"), sequence=1)  # after a replay
    shown = [(one["code"], one["data"]["refund_id"]) for one in (await case.messages())[-4:]]
    assert shown == [
        ("refund_delayed", str(first)),
        ("refund_delayed", str(second)),
        ("refund_issued", str(second)),
        ("refund_issued", str(first)),
    ]


async def test_an_order_that_was_not_shipped_in_time(harness: CsHarness) -> None:
    """The case says that the deadline for shipping has cancelled the order, and is resolved."""
    case = await harness.contacted()
    await harness.deliver(case.deal.cancelled("system"))
    last = (await case.messages())[-1]
    assert last["text"].startswith("Pesanan dibatalkan otomatis karena tidak dikirim sampai batas waktunya.")
    assert (await case.seen())["state"] == "resolved"


async def test_words_of_parts_that_were_added_later(harness: CsHarness) -> None:
    """A channel of a later version stops no case."""
    case = await harness.contacted()
    await harness.deliver(case.deal.items_cancelled().model_copy(update={"channel": "kiosk", "refund_amount": 0}))
    assert (await case.messages())[-1]["text"] == "Dibatalkan: 1 × Kemeja batik. Sisa pesanan tetap berlaku."
    assert await harness.fetch("select error from parked") == []
