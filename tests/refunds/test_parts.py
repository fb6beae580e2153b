"""Refunds of parts of an order: each cancellation has its own, and DANA knows each by a reference of its own."""

from uuid import UUID, uuid4

import pytest

from contracts.orders import OrderItemsCancelled
from contracts.words import Destination
from runtime.observability.trace_context import new_id
from services.refunds import hold
from services.refunds.domain import DOUBT
from tests.harness.publishing import publish_as
from tests.harness.refunds import RefundsHarness, RefundsSetup
from tests.harness.waiting import eventually


@pytest.mark.parametrize("linked", [False, True])
async def test_two_parts_and_the_rest(harness: RefundsHarness, linked: bool) -> None:
    """Each cancellation of an order, also in one batch with others, is refunded once, with its own amount."""
    buyer, order_id = await harness.buyer(linked=linked), uuid4()
    rest = buyer.cancelled(100_000).model_copy(update={"order_id": order_id})
    first, second = buyer.part(order_id, 20_000), buyer.part(order_id, 30_000)
    await publish_as(harness.recorder.bus, "orders", first, second, rest)
    await harness.recorder.wait_for(str(order_id), "RefundIssued", times=3)
    refunds = await buyer.refunds()
    amounts = {refund["cancellation_id"]: refund["amount"] for refund in refunds}
    ids = (str(one.cancellation_id) for one in (first, second, rest))
    assert amounts == dict(zip(ids, (20_000, 30_000, 100_000), strict=True))
    assert {(refund["order_id"], refund["state"]) for refund in refunds} == {(str(order_id), "issued")}
    assert (await buyer.wallet())["credit_balance"] == (0 if linked else 150_000)
    paid = await harness.dana.paid()
    at_dana = {UUID(refund["refund_id"]).hex: refund["amount"] for refund in refunds if linked}
    assert {reference: paid.get(reference) for reference in at_dana} == at_dana


async def test_a_part_without_money(harness: RefundsHarness) -> None:
    """A part of an order that is to be paid at the door has no refund."""
    buyer, order_id = await harness.buyer(linked=True), uuid4()
    await publish_as(harness.recorder.bus, "orders", buyer.part(order_id, 0))
    assert await buyer.refunds() == []
    assert harness.recorder.names(str(order_id)) == []


async def test_a_reminder_of_a_part_is_answered(harness: RefundsHarness) -> None:
    """A part that is published again moves no money; its own RefundIssued is published again, and no other."""
    buyer, order_id = await harness.buyer(), uuid4()
    first, second = buyer.part(order_id, 20_000), buyer.part(order_id, 30_000)
    for cancellations in ([first, second], [first]):
        await publish_as(harness.recorder.bus, "orders", *cancellations)
    await harness.recorder.wait_for(str(order_id), "RefundIssued", times=3)
    issued = [event["data"]["cancellation_id"] for event in harness.recorder.about(str(order_id))]
    assert issued == [str(one.cancellation_id) for one in (first, second, first)]
    assert (await buyer.wallet())["credit_balance"] == 50_000


async def test_a_late_refund_says_of_what_it_is(harness: RefundsHarness) -> None:
    """RefundDelayed names the cancellation and the amount."""
    buyer = await harness.buyer(linked=True)
    harness.dana.fails("fail", recorded=False, times=1)
    part = buyer.part(uuid4(), 20_000)
    await publish_as(harness.recorder.bus, "orders", part)
    late, _ = await harness.carry_on(str(part.order_id))
    assert late["type"] == "RefundDelayed"
    assert late["data"].items() >= {"cancellation_id": str(part.cancellation_id), "amount": 20_000}.items()


async def test_parts_after_a_restore(setup: RefundsSetup) -> None:
    """What `orders` knows of the refund of one part says nothing about those of others of the same order."""
    async with setup.opened() as harness:
        buyer, order_id = await harness.buyer(linked=True), uuid4()

        def known(destination: Destination | None) -> OrderItemsCancelled:
            facts = {"refund_id": destination and new_id(), "refunded_to": destination}
            return buyer.part(order_id, 20_000).model_copy(update=facts)

        parts = [known(Destination.LAZADA_CREDIT), known(None), known(Destination.DANA)]
        async with harness.service.uow.begin() as tx:
            await hold.begin(tx)
        await publish_as(setup.recorder.bus, "orders", *parts)
        asked = "select cancellation_id from refunds where not uncertain or inquiries > 0"
        await eventually(lambda: harness.fetch(asked), enough=lambda rows: len(rows) == 3)
        await harness.later(DOUBT)
        async with harness.service.uow.begin() as tx:
            await hold.end(tx)
        await setup.recorder.wait_for(str(order_id), "RefundIssued", times=2)
        rows = await harness.fetch("select cancellation_id, state, destination from refunds")
        assert {row["cancellation_id"]: (row["state"], row["destination"]) for row in rows} == {
            parts[0].cancellation_id: ("issued", "lazada_credit"),
            parts[1].cancellation_id: ("issued", "dana"),
            parts[2].cancellation_id: ("sending", "dana"),
        }
        assert (await buyer.wallet())["credit_balance"] == 20_000
        assert len(await setup.dana.paid()) == 1
