"""The eight plays. Each is the same with the pattern and without it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import Any
from unittest.mock import patch

from contracts.refunds import RefundDelayed
from lab.lessons import faults
from lab.lessons.catalogue import Lesson
from lab.lessons.stage import PRICE, Stage, Tell, on_database, opened
from runtime.settings import Settings
from services.orders import refund_reminders
from tests.harness.customer_service import contacted, thread_of
from tests.harness.publishing import publish_and_wait

Play = Callable[[Stage], Awaitable[None]]

AWAY, ALLOWED = 3.0, 100
"""Seconds for which the broker is away; attempts of all services per second that do it no harm."""
SLOW = 2.0
"""Seconds for which a handler is slow."""


async def outbox(stage: Stage) -> None:
    """A crash between the commit of a cancellation and the publishing of its event."""
    await stage.start()
    order_id = await stage.paid_order()
    with faults.crash_after_commit("orders") as crashed:
        asking = asyncio.create_task(stage.buyer.cancel(order_id))
        await crashed.wait()
        stage.owed += PRICE
        status = await stage.value("orders", "select status from orders where order_id = $1::uuid", order_id)
        rows = await stage.value("orders", "select count(*) from outbox where type = 'OrderCancelled'")
        stage.step("crashed", order_id=order_id, status=status, outbox_rows=rows)
        asking.cancel()
        await asyncio.wait({asking})
        await stage.stop()
    await stage.restart()
    await stage.later(hours=24)


async def inbox(stage: Stage) -> None:
    """OrderCancelled is delivered again, as after an acknowledgement that was lost."""
    await stage.start()
    with faults.recorded() as messages:
        order_id = await stage.paid_order()
        await stage.cancel(order_id)
        await _refunded(stage)
    again = next(message for message in messages if message.routing_key == "orders.OrderCancelled")
    await publish_and_wait(stage.bus, [again])
    stage.step("delivered_twice", event="OrderCancelled", order_id=order_id)


async def saga(stage: Stage) -> None:
    """The seller cancels an order with a voucher in the chat."""
    await stage.start()
    product = await stage.seller.offer(price=PRICE, stock=2)
    await stage.seller.send("/orders/vouchers", code="HEMAT", amount=20_000, uses=1)
    lines = [{"product_id": product, "quantity": 2}]
    order = await stage.buyer.send("/orders", lines=lines, payment_method="bank_transfer", voucher="HEMAT")
    order_id = str(order["order_id"])
    (await stage.buyer.move(order_id, "pay")).raise_for_status()
    paid = stage.owed = int(order["total"])
    stage.step("ordered", order_id=order_id, paid=paid, pieces=2, voucher="HEMAT")
    thread_id = await thread_of(stage.buyer, order_id)
    await stage.seller.send(f"/chat/threads/{thread_id}/cancel")
    stage.step("requested", event="OrderCancelRequested", order_id=order_id)
    await stage.until("orders", "select status = 'cancelled' from orders where order_id = $1::uuid", order_id)
    stage.step("cancelled", order_id=order_id, owed=paid)
    await _refunded(stage)
    stock = await stage.value("orders", "select stock from products where product_id = $1::uuid", product)
    used = await stage.value("orders", "select used from vouchers")
    stage.step("given_back", stock=stock, offered=2, voucher_uses=used)
    stage.figures |= {"stock": stock, "offered": 2, "voucher_uses": used}


async def deadlines(stage: Stage) -> None:
    """The services start anew while customer service waits for a seller."""
    await stage.start()
    await stage.agent.duty()
    order_id = await stage.paid_order()
    case = await contacted(stage.buyer, [stage.agent], stage.seller, order_id)
    stage.owed += PRICE  # this seller will stay silent
    await _waiting_deadlines(stage, order_id, case.case_id)
    await stage.restart()
    await _waiting_deadlines(stage, order_id, case.case_id)
    await stage.later(hours=24)
    with suppress(TimeoutError):
        await stage.until("cs", "select state = 'resolved' from cases", within=4.0)
    stage.step("case", case_id=case.case_id, state=await stage.value("cs", "select state from cases"))


async def _waiting_deadlines(stage: Stage, order_id: str, case_id: str) -> None:
    kinds = "select string_agg(kind, ', ' order by due_at) from deadlines where subject = $1"
    rows = [await stage.value("orders", kinds, order_id), await stage.value("cs", kinds, case_id)]
    stage.step("waiting", deadlines=", ".join(filter(None, rows)) or "none")


async def unknown(stage: Stage) -> None:
    """DANA pays and closes the connection without an answer."""
    await stage.start()
    await stage.buyer.link_dana()
    order_id = await stage.paid_order()
    await _fault(stage, mode="drop_after", times=1)
    await stage.cancel(order_id)
    await stage.until("orders", "select bool_or(refund_state = 'sending') from cancellations")
    stage.step("no_answer", payments=len(await stage.system.dana_payments()))
    await stage.later(seconds=10)
    await _refunded(stage)
    for payment in await stage.system.dana_payments():
        stage.step("paid_by_dana", reference=payment["reference"], amount=payment["amount"])


async def poison(stage: Stage) -> None:
    """An event that lacks its fields is in front of a cancellation."""
    await stage.start()
    order_id = await stage.paid_order()
    answer = await stage.system.http.post("/orders/demonstration/poison")
    poisoned = answer.raise_for_status().json()
    stage.step("poisoned", event=poisoned["type"], subject=poisoned["subject"])
    await stage.cancel(order_id)
    with suppress(TimeoutError):
        await _refunded(stage, 3.0)
    parked = await stage.value("refunds", "select count(*) from parked")
    waiting = len(stage.bus.queues["refunds"].waiting)
    stage.step("queue", parked=parked, waiting=waiting)
    stage.figures["waiting"] = waiting


async def order(stage: Stage) -> None:
    """One partition of `orders` is slow, and has RefundDelayed; the next event of the order is RefundIssued."""
    with (
        patch("batalkan.system.Settings", partial(Settings, partitions=2)),
        faults.slow_at_orders(RefundDelayed) as released,
    ):
        await stage.start()
    await stage.buyer.link_dana()
    order_id = await stage.paid_order()
    await _fault(stage, mode="fail", recorded=False, times=1)
    await stage.cancel(order_id)
    await stage.until("refunds", "select bool_or(attempts = 1 and not uncertain) from refunds")
    stage.step("delayed", event="RefundDelayed", order_id=order_id)
    await stage.later(seconds=10)
    await _refunded(stage)
    stage.step("issued", event="RefundIssued", order_id=order_id)
    shown = "select coalesce(max(refund_state), 'nothing') from cancellations"
    with suppress(TimeoutError):
        await stage.until("orders", "select bool_or(refund_state = 'issued') from cancellations", within=SLOW)
    stage.step("shown", refund=await stage.value("orders", shown))
    released.set()
    await stage.until("orders", "select count(*) = 2 from inbox")
    last = await stage.value("orders", shown)
    stage.step("shown", refund=last)
    stage.figures["shown"] = PRICE if last == "issued" else 0


async def backoff(stage: Stage) -> None:
    """The broker goes away, and comes back."""
    outage = faults.Outage()
    with outage.patched():
        await stage.start()
        order_id = await stage.paid_order()
        await outage.begin(stage.bus)
        began = monotonic()
        stage.step("broker_away", seconds=AWAY)
        await stage.cancel(order_id)
        answered = round((monotonic() - began) * 1000)
        await asyncio.sleep(began + AWAY - monotonic())
        outage.on = False
    lasted = monotonic() - began
    per_second = round(outage.attempts / lasted)
    found = {"attempts_per_second": per_second, "connections_per_second": round(outage.sessions / lasted)}
    stage.figures |= found | {"cancel_ms": answered}
    stage.step("broker_back", **stage.figures)
    if per_second > ALLOWED:
        stage.wrong.append(f"the broker got {per_second} attempts per second, {ALLOWED} are allowed")
    await _refunded(stage)


async def _refunded(stage: Stage, within: float = 20.0) -> None:
    await stage.until("refunds", "select bool_and(state = 'issued') from refunds", within=within)
    stage.step("refunded", back=await stage.back())


async def _fault(stage: Stage, **fault: Any) -> None:
    (await stage.system.dana.put("/faults", json=fault)).raise_for_status()
    stage.step("dana_fault", mode=fault["mode"])


PLAYS: Mapping[str, Play] = {
    play.__name__: play for play in (outbox, inbox, saga, deadlines, unknown, poison, order, backoff)
}


async def perform(lesson: Lesson, *, removed: bool, tell: Tell) -> bool:
    """Runs a lesson; returns whether its promise was kept. With `removed` the code must be without the pattern already
    (`removal.remove`); this removes the constraints."""

    async def prepare(urls: Mapping[str, str]) -> None:
        if removed:
            for service, statement in lesson.schema:
                await on_database(urls[service], statement)
        for url in urls.values() if lesson.name == "order" else ():
            await on_database(url, "update partitioning set current = 2")

    # Reminders of refunds are due after five minutes; in a lesson they are looked for twice a second.
    often = patch.object(refund_reminders, "EVERY", 0.5 / refund_reminders.AFTER.total_seconds())
    async with opened(tell, prepare) as stage:
        with often:
            await PLAYS[lesson.name](stage)
            return await stage.verdict()
