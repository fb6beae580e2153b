"""Cancelling a part of an order: some pieces of its products."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest

from contracts.orders import Pieces
from contracts.refunds import RefundDelayed, RefundIssued
from services.orders.refund_reminders import remind_once, republish
from tests.harness.actors import Json, Person, assert_problem
from tests.harness.orders import OrdersHarness, Sale
from tests.harness.publishing import publish_as
from tests.orders.test_refund_status import AFTER

THREE = 3


async def bought(
    harness: OrdersHarness, method: str = "dana", *, pay: bool = True, client: str = "app", **more: Any
) -> tuple[Sale, str]:
    """An order of three pieces of one product and one of another, at 50,000 and 30,000; the second product's id."""
    buyer, seller = harness.buyer(client), harness.seller()
    one, other = await harness.product(seller), await harness.product(seller, price=30_000)
    lines = [{"product_id": one, "quantity": THREE}, {"product_id": other, "quantity": 1}]
    order = await buyer.post("/orders", {"lines": lines, "payment_method": method, **more}, 201)
    sale = Sale(buyer, seller, one, order["order_id"])
    if pay and method != "cod":
        await buyer.post(f"{sale.path}/pay")
    return sale, other


async def ask(
    sale: Sale, *pieces: tuple[str, int], key: str | None = "", person: Person | None = None
) -> httpx.Response:
    """Asks to cancel pieces, each time under a new key."""
    lines = [{"product_id": product, "quantity": quantity} for product, quantity in pieces]
    who = person or sale.buyer
    return await who.ask("POST", f"{sale.path}/cancel", {"lines": lines}, uuid4().hex if key == "" else key)


async def taken(sale: Sale, *pieces: tuple[str, int]) -> Json:
    """The order after these pieces were cancelled."""
    answer = await ask(sale, *pieces)
    assert answer.status_code == 200, answer.text
    order: Json = answer.json()
    return order


@pytest.mark.parametrize("client", ["app", "web"])
async def test_a_part_is_cancelled(client: str, harness: OrdersHarness) -> None:
    """Two of four pieces: their net is to be refunded, they are back in stock, the order goes on, and shows them; what
    was ordered and paid does not change."""
    sale, other = await bought(harness, client=client)
    before = await sale.seen()
    order = await taken(sale, (sale.product, 1), (other, 1))
    part = order["cancellations"][0]
    lines = {line["product_id"]: (line["quantity"], line["cancelled"], line["net"]) for line in order["lines"]}
    assert lines == {sale.product: (3, 1, 150_000), other: (1, 1, 30_000)}
    same = ("status", "total", "paid_amount", "version", "history", "cancellation", "refund", "ship_by")
    assert {name: order[name] for name in same} == {name: before[name] for name in same}
    assert (order["refunded_amount"], part["refund_amount"], part["channel"]) == (80_000, 80_000, client)
    assert (await harness.stock(sale.product), await harness.stock(other)) == (8, 10)
    event = (await harness.recorder.wait_for(sale.order_id, "OrderItemsCancelled"))["data"]
    assert event["cancellation_id"] == part["cancellation_id"]
    assert (event["refund_amount"], event["fault"], event["lines"]) == (80_000, "buyer", part["lines"])
    asked = (await harness.recorder.wait_for(sale.order_id, "OrderCancelRequested"))["data"]
    assert {line["product_id"]: line["quantity"] for line in asked["lines"]} == {sale.product: 1, other: 1}
    assert await sale.seen() == order == (await sale.buyer.get("/orders"))["items"][0]


async def test_the_last_pieces_end_the_order(harness: OrdersHarness) -> None:
    """The request for all that is left is answered by OrderCancelled, with all that is not yet refunded; all stock is
    back, once."""
    sale, other = await bought(harness)
    await taken(sale, (sale.product, 2))
    order = await taken(sale, (sale.product, 1), (other, 1))
    assert (order["status"], order["refunded_amount"], order["paid_amount"]) == ("cancelled", 180_000, 180_000)
    assert [one["refund_amount"] for one in order["cancellations"]] == [100_000, 80_000]
    assert order["cancellation"]["cancellation_id"] == order["cancellations"][1]["cancellation_id"]
    assert [line["cancelled"] for line in order["lines"]] == [line["quantity"] for line in order["lines"]]
    event = (await harness.recorder.wait_for(sale.order_id, "OrderCancelled"))["data"]
    assert event["paid_amount"] == 80_000
    assert harness.recorder.names(sale.order_id).count("OrderItemsCancelled") == 1
    assert (await harness.stock(sale.product), await harness.stock(other)) == (10, 10)
    again = await ask(sale, (sale.product, 1))
    assert (again.status_code, again.json()) == (200, order)
    assert await sale.seen() == order


async def test_the_whole_after_a_part_is_the_rest(harness: OrdersHarness) -> None:
    """Cancelling without naming pieces cancels all that are left, by the buyer as by customer service."""
    for by_buyer in (True, False):
        sale, other = await bought(harness)
        await taken(sale, (sale.product, 2))
        if by_buyer:
            await sale.buyer.post(f"{sale.path}/cancel")
        else:
            await harness.request(sale, "cs")
        event = (await harness.recorder.wait_for(sale.order_id, "OrderCancelled"))["data"]
        assert event["paid_amount"] == 80_000
        assert (await harness.stock(sale.product), await harness.stock(other)) == (10, 10)
        left = (await sale.seen())["cancellations"][1]["lines"]
        assert {line["product_id"]: line["quantity"] for line in left} == {sale.product: 1, other: 1}


async def test_a_part_of_cash_on_delivery_refunds_nothing(harness: OrdersHarness) -> None:
    """Nothing was paid, so nothing comes back, also for the last pieces."""
    sale, other = await bought(harness, "cod")
    assert (await taken(sale, (sale.product, 3)))["refunded_amount"] == 0
    assert (await harness.recorder.wait_for(sale.order_id, "OrderItemsCancelled"))["data"]["refund_amount"] == 0
    assert (await taken(sale, (other, 1)))["status"] == "cancelled"
    assert (await harness.recorder.wait_for(sale.order_id, "OrderCancelled"))["data"]["paid_amount"] == 0


async def test_parts_that_are_refused(harness: OrdersHarness) -> None:
    """Each refusal has its code, is published, and changes nothing."""
    sale, other = await bought(harness)
    unpaid, _ = await bought(harness, pay=False)
    shipped = await harness.sold("shipped")
    late = await harness.sold()
    before = await sale.seen()
    assert_problem(await ask(sale, (sale.product, 1), key=None), 422, "idempotency_key_required")
    assert_problem(await sale.buyer.ask("POST", f"{sale.path}/cancel", {"lines": []}, "k"), 422)
    assert_problem(await ask(sale, (sale.product, 0)), 422)
    assert_problem(await ask(sale, (sale.product, 1), person=harness.buyer()), 404, "not_found")
    for one, code, pieces in (
        (sale, "not_enough_left", [(sale.product, 4)]),
        (sale, "not_enough_left", [(sale.product, 2), (sale.product, 2)]),
        (sale, "not_enough_left", [(str(uuid4()), 1), (other, 1)]),
        (unpaid, "wrong_state", [(unpaid.product, 1)]),
        (shipped, "already_shipped", [(shipped.product, 1)]),
    ):
        assert_problem(await ask(one, *pieces), 409, code)
        rejected = await harness.recorder.wait_for(one.order_id, "OrderCancelRejected")
        assert rejected["data"]["code"] == code
    assert await sale.seen() == before
    await harness.later(hours=24, seconds=1)
    assert_problem(await ask(late, (late.product, 1)), 409, "window_closed")


class TestIdempotencyKey:
    """Asking twice takes no second piece."""

    async def test_the_same_key_takes_once(self, harness: OrdersHarness) -> None:
        """Ten times at once and again later: one part, one answer; with other pieces the key is refused."""
        sale, _ = await bought(harness)
        answers = await asyncio.gather(*(ask(sale, (sale.product, 1), key="k") for _ in range(10)))
        answers.append(await ask(sale, (sale.product, 1), key="k"))
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.text for answer in answers}) == 1
        assert len((await sale.seen())["cancellations"]) == 1
        assert await harness.stock(sale.product) == 8
        assert_problem(await ask(sale, (sale.product, 2), key="k"), 422, "idempotency_key_reused")
        whole = await sale.buyer.ask("POST", f"{sale.path}/cancel", key="k")
        assert_problem(whole, 422, "idempotency_key_reused")

    async def test_a_refusal_does_not_take_the_key(self, harness: OrdersHarness) -> None:
        """What was refused may be asked again under its key, once it is possible."""
        sale, _ = await bought(harness, pay=False)
        assert_problem(await ask(sale, (sale.product, 1), key="k"), 409, "wrong_state")
        await sale.buyer.post(f"{sale.path}/pay")
        assert (await ask(sale, (sale.product, 1), key="k")).status_code == 200


async def test_a_part_by_the_seller(harness: OrdersHarness) -> None:
    """A request from the chat cancels pieces at the seller's fault; repeated, it takes nothing more and gets the same
    answer; without pieces that it may take it is rejected."""
    sale, other = await bought(harness)
    pieces = (Pieces(product_id=UUID(sale.product), quantity=2),)
    request = await harness.request(sale, lines=pieces)
    first = await harness.recorder.wait_for(sale.order_id, "OrderItemsCancelled")
    assert (first["data"]["fault"], first["data"]["refund_amount"]) == ("seller", 100_000)
    await publish_as(harness.recorder.bus, "chat", request, request.model_copy(update={"lines": None}))
    again = await harness.recorder.wait_for(sale.order_id, "OrderItemsCancelled", 3)
    assert again["data"] == first["data"]
    assert await harness.stock(sale.product) == 9
    await harness.request(sale, lines=pieces)
    rejected = await harness.recorder.wait_for(sale.order_id, "OrderCancelRejected")
    assert rejected["data"]["code"] == "not_enough_left"
    score = await sale.buyer.get(f"/orders/sellers/{sale.seller.account_id}/score")
    assert (score["orders"], score["cancellations"]["seller"], score["cancellation_rate"]) == (1, 1, 0.5)
    await harness.request(sale, lines=(Pieces(product_id=UUID(other), quantity=1),))
    await harness.recorder.wait_for(sale.order_id, "OrderItemsCancelled", 4)
    await sale.buyer.post(f"{sale.path}/cancel")
    score = await sale.buyer.get(f"/orders/sellers/{sale.seller.account_id}/score")
    assert score["cancellations"] == {"seller": 1, "buyer": 1, "platform": 0}
    assert (score["cancellation_rate"], score["rating"]) == (0.75, 1.0)


async def test_each_part_has_its_refund(harness: OrdersHarness) -> None:
    """Two parts and the rest: the order shows each refund by itself, and publishes again only those cancellations whose
    refund has not arrived, each as it was."""
    await harness.fetch("update cancellations set said_at = null")  # no reminders of what other tests have cancelled
    sale, other = await bought(harness)
    await taken(sale, (sale.product, 1))
    await taken(sale, (other, 1))
    made = (await sale.buyer.post(f"{sale.path}/cancel"))["cancellations"]
    assert [one["refund_amount"] for one in made] == [50_000, 30_000, 100_000]
    ids = {"order_id": UUID(sale.order_id), "buyer_id": sale.buyer.account_id}
    refunds = [uuid4() for _ in made]
    issued = [
        RefundIssued(
            **ids,
            refund_id=refund_id,
            cancellation_id=one["cancellation_id"],
            amount=one["refund_amount"],
            destination="dana",
        )
        for refund_id, one in zip(refunds, made, strict=True)
    ]
    delayed = RefundDelayed(
        **ids,
        refund_id=refunds[1],
        destination="dana",
        attempts=1,
        next_attempt_at="2026-03-01T00:00:00Z",
        cancellation_id=made[1]["cancellation_id"],
        amount=30_000,
    )
    await publish_as(harness.recorder.bus, "refunds", issued[0], delayed)
    order = await sale.seen()
    states = {one["refund_id"]: (one["cancellation_id"], one["state"], one["amount"]) for one in order["refunds"]}
    assert states == {
        str(refunds[0]): (made[0]["cancellation_id"], "issued", 50_000),
        str(refunds[1]): (made[1]["cancellation_id"], "sending", 30_000),
    }
    assert order["refund"] is None
    await harness.later(minutes=8)
    assert await remind_once(harness.service.uow, AFTER) == 2
    first, again = [await harness.recorder.wait_for(sale.order_id, "OrderItemsCancelled", times) for times in (2, 3)]
    assert again["data"] == first["data"] | {"refund_id": str(refunds[1])}
    assert (await harness.recorder.wait_for(sale.order_id, "OrderCancelled", 2))["data"]["paid_amount"] == 100_000
    await publish_as(harness.recorder.bus, "refunds", *issued[1:], sequence=3)
    assert (await sale.seen())["refund"] == {
        "refund_id": str(refunds[2]), "state": "issued", "amount": 100_000, "destination": "dana"
    }  # fmt: skip
    await harness.later(minutes=80)
    assert await remind_once(harness.service.uow, AFTER) == 0
    repeated = set(await republish(harness.service.uow, UUID(int=0), 1000))
    assert {UUID(one["cancellation_id"]) for one in made} <= repeated


async def test_a_replica_of_an_earlier_version_cancels(harness: OrdersHarness) -> None:
    """During an update it cancels orders as before, but none of which a part is cancelled, since it would give the part
    back again."""
    old = (
        "insert into cancellations (order_id, cancellation_id, seller_id, channel, role, fault, at) "
        "values ($1, $1, $1, 'app', 'buyer', 'buyer', clock_now())"
    )
    whole, (parted, _) = await harness.sold(), await bought(harness)
    await taken(parted, (parted.product, 1))
    await harness.fetch(old, whole.order_id)
    [row] = await harness.fetch("select pieces, refund_amount from cancellations where order_id = $1", whole.order_id)
    assert tuple(row) == (1, 50_000)
    with pytest.raises(asyncpg.SerializationError, match="needs a newer version"):
        await harness.fetch(old, parted.order_id)
