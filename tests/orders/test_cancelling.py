"""The buyer cancels, in the app or on the website: at once, once, and only in time."""

import asyncio
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from runtime.messaging.unit_of_work import Transaction
from services.orders import store
from services.orders.domain import Order
from tests.harness.actors import Person, assert_problem
from tests.harness.orders import OrdersHarness, Sale


@pytest.mark.parametrize("client", ["app", "web"])
@pytest.mark.parametrize("status", ["unpaid", "processing", "packed"])
async def test_the_buyer_cancels(client: str, status: str, harness: OrdersHarness) -> None:
    """An order that has not shipped is cancelled at once, by the channel of the token; the stock comes back, it cannot
    be paid any more, and request and answer are published with the correlation id of the HTTP answer."""
    sale = await harness.sold(status, client)
    before = await sale.seen()
    assert before["cancellation"]["allowed"]
    assert await harness.stock(sale.product) == 9
    answer = await sale.buyer.ask("POST", f"{sale.path}/cancel", {"reason": "changed_mind", "note": "Maaf 🙏"})
    order = answer.json()
    cancellation = order["cancellation"]
    assert order["status"] == order["history"][-1]["status"] == "cancelled"
    assert order["version"] == before["version"] + 1
    assert (cancellation["allowed"], cancellation["code"]) == (False, "already_cancelled")
    assert (cancellation["channel"], cancellation["fault"]) == (client, "buyer")
    assert (cancellation["reason"], cancellation["note"]) == ("changed_mind", "Maaf 🙏")
    assert await harness.stock(sale.product) == 10
    cancelled = await harness.recorder.wait_for(sale.order_id, "OrderCancelled")
    requested = await harness.recorder.wait_for(sale.order_id, "OrderCancelRequested")
    for event in (cancelled, requested):
        assert event["correlationid"] == answer.headers["x-correlation-id"]
        assert event["data"]["cancellation_id"] == cancellation["cancellation_id"]
        assert event["data"]["channel"] == client
    assert cancelled["sequence"] == requested["sequence"] + 1
    assert (requested["data"]["role"], requested["data"]["reason"]) == ("buyer", "changed_mind")
    assert cancelled["data"]["paid_amount"] == (0 if status == "unpaid" else 50_000)
    assert_problem(await sale.buyer.ask("POST", f"{sale.path}/pay"), 409, "wrong_state")
    assert await sale.seen() == order


async def test_no_reason_is_needed(harness: OrdersHarness) -> None:
    """The reason may be skipped: no body, an empty object and nulls are all well."""
    for body in (None, {}, {"reason": None, "note": None}):
        sale = await harness.sold("unpaid")
        order = await sale.buyer.post(f"{sale.path}/cancel", body)
        assert (order["cancellation"]["reason"], order["cancellation"]["note"]) == (None, None)


async def test_fifty_at_once_are_one_cancellation(harness: OrdersHarness) -> None:
    """Fifty requests at the same time, and later one with another reason, get the same body, to the letter; there is
    one cancellation, the stock is given back once, and no further event is published."""
    sale = await harness.sold("packed")
    answers = await asyncio.gather(*(sale.buyer.ask("POST", f"{sale.path}/cancel") for _ in range(50)))
    answers.append(await sale.buyer.ask("POST", f"{sale.path}/cancel", {"reason": "too_slow"}))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    assert answers[0].json()["cancellation"]["cancellation_id"]
    assert await harness.stock(sale.product) == 10
    await harness.recorder.wait_for(sale.order_id, "OrderCancelled")
    assert harness.recorder.names(sale.order_id)[3:] == ["OrderCancelRequested", "OrderCancelled"]


@pytest.mark.parametrize(("status", "meanwhile"), [("processing", "pack"), ("packed", "cancel"), ("packed", "ship")])
async def test_an_order_that_changes_between_reading_and_cancelling_it(
    status: str, meanwhile: str, harness: OrdersHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The decision is made anew when the order has changed after it was read: one that is packed is cancelled, one that
    is cancelled stays as it is, one that has shipped is refused. Nothing of the first decision is published."""
    sale, read, seen = await harness.sold(status), store.read, list[object]()

    async def read_too_early(tx: Transaction, order_id: UUID) -> tuple[Order | None, datetime]:
        found = await read(tx, order_id)
        if not seen:
            seen.append(found)
            who = sale.buyer if meanwhile == "cancel" else sale.seller
            (await who.ask("POST", f"{sale.path}/{meanwhile}")).raise_for_status()
        return found

    monkeypatch.setattr(store, "read", read_too_early)
    answer = await sale.buyer.ask("POST", f"{sale.path}/cancel")
    assert len(seen) == 1
    if meanwhile == "ship":
        assert_problem(answer, 409, "already_shipped")
        await harness.recorder.wait_for(sale.order_id, "OrderCancelRejected")
    else:
        assert answer.json() == await sale.seen()
        cancelled = await harness.recorder.wait_for(sale.order_id, "OrderCancelled")
        assert cancelled["data"]["cancellation_id"] == answer.json()["cancellation"]["cancellation_id"]
    assert await harness.stock(sale.product) == (9 if meanwhile == "ship" else 10)
    names = harness.recorder.names(sale.order_id)
    assert names.count("OrderCancelRequested") == names.count("OrderCancelled") + (meanwhile == "ship") == 1


async def test_cancel_and_ship_never_both_win(harness: OrdersHarness) -> None:
    """Of sixty orders that are cancelled and shipped at the same moment, each is one or the other, the loser is
    refused, and what was cancelled is back in stock."""
    buyer, seller = harness.buyer(), harness.seller()
    ids = await harness.many(60, buyer, seller)

    async def race(number: int, order_id: str) -> tuple[int, int]:
        requests = [buyer.ask("POST", f"/orders/{order_id}/cancel"), seller.ask("POST", f"/orders/{order_id}/ship")]
        answers = await asyncio.gather(*(reversed(requests) if number % 2 else requests))
        cancel, ship = reversed(answers) if number % 2 else answers
        if cancel.status_code != 200:
            assert_problem(cancel, 409, "already_shipped")
        if ship.status_code != 200:
            assert_problem(ship, 409, "wrong_state")
        return cancel.status_code, ship.status_code

    ends = dict(zip(ids, await asyncio.gather(*map(race, range(60), ids)), strict=True))
    rows = await harness.fetch(
        "select order_id::text, status, version, (select count(*) from order_history h where h.order_id = o.order_id) "
        "as steps, (select stock from products where product_id = order_id) as stock, "
        "exists (select from cancellations c where c.order_id = o.order_id) as cancelled from orders o "
        "where buyer_id = $1",
        buyer.account_id,
    )
    assert len(rows) == 60
    expected = {(200, 409): ("cancelled", 1, True), (409, 200): ("shipped", 0, False)}
    for row in rows:
        assert (row["status"], row["stock"], row["cancelled"]) == expected[ends[row["order_id"]]]
        assert row["version"] == row["steps"] == 2


@pytest.mark.parametrize("status", ["shipped", "delivered"])
async def test_a_shipped_order_cannot_be_cancelled(status: str, harness: OrdersHarness) -> None:
    """A shipped order is not cancelled; the order shows that it cannot be, and the refusal is published."""
    sale = await harness.sold(status)
    shown = (await sale.seen())["cancellation"]
    assert (shown["allowed"], shown["code"]) == (False, "already_shipped")
    assert_problem(await sale.buyer.ask("POST", f"{sale.path}/cancel"), 409, "already_shipped")
    rejected = (await harness.recorder.wait_for(sale.order_id, "OrderCancelRejected"))["data"]
    requested = (await harness.recorder.wait_for(sale.order_id, "OrderCancelRequested"))["data"]
    assert rejected["code"] == "already_shipped"
    assert rejected["cancellation_id"] == requested["cancellation_id"]
    assert (await sale.seen())["status"] == status


async def test_the_window_closes_after_24_hours(harness: OrdersHarness) -> None:
    """Shortly before 24 hours have passed an order can be cancelled, shortly after they have it cannot."""
    early, late = await harness.sold(), await harness.sold("packed")
    shown = await early.seen()
    placed, until = (datetime.fromisoformat(text) for text in (shown["placed_at"], shown["cancellation"]["until"]))
    assert until - placed == timedelta(hours=24)
    await harness.later(hours=23, minutes=59)
    assert (await early.buyer.post(f"{early.path}/cancel"))["status"] == "cancelled"
    await harness.later(minutes=1)
    shown = (await late.seen())["cancellation"]
    assert (shown["allowed"], shown["code"]) == (False, "window_closed")
    assert_problem(await late.buyer.ask("POST", f"{late.path}/cancel"), 409, "window_closed")
    assert (await harness.recorder.wait_for(late.order_id, "OrderCancelRejected"))["data"]["code"] == "window_closed"
    assert (await late.seen())["status"] == "packed"
    assert (await early.buyer.post(f"{early.path}/cancel"))["status"] == "cancelled"


async def test_the_score_counts(harness: OrdersHarness) -> None:
    """The buyer's cancellations stand in the seller's score without hurting it; the seller's own do. Several
    sellers are asked for at once."""
    sale = await harness.sold()

    async def score() -> tuple[dict[str, int], int, float, float]:
        score = await harness.actors.anonymous().get(f"/orders/sellers/{sale.seller.account_id}/score")
        return score["cancellations"], score["orders"], score["cancellation_rate"], score["rating"]

    await sale.buyer.post(f"{sale.path}/cancel")
    before = ({"seller": 0, "buyer": 1, "platform": 0}, 1, 0.0, 5.0)
    assert await score() == before
    unpaid = await harness.order(sale.buyer, sale.product)
    await sale.buyer.post(f"/orders/{unpaid['order_id']}/cancel")
    await harness.order(sale.buyer, sale.product)
    assert await score() == before  # what was not paid counts neither here nor there
    [other] = await harness.many(1, sale.buyer, sale.seller)
    path = f"/orders/sellers/{sale.seller.account_id}/score"
    forecast = (await harness.actors.anonymous().get(path, pieces=1))["after_cancelling"]
    assert (await harness.actors.anonymous().get(path, pieces=0))["after_cancelling"]["rating"] == 5.0
    await harness.request(Sale(sale.buyer, sale.seller, other, other))
    await harness.recorder.wait_for(other, "OrderCancelled")
    assert await score() == ({"seller": 1, "buyer": 1, "platform": 0}, 2, 0.5, 1.0)
    assert forecast == {"cancellation_rate": 0.5, "rating": 1.0}
    sellers = [str(sale.seller.account_id), str(harness.seller().account_id)]
    both = (await harness.actors.anonymous().get("/orders/sellers", seller_id=[*sellers, sellers[0]]))["items"]
    scores = [(one["seller_id"], one["orders"], one["rating"]) for one in both]
    assert scores == [(sellers[0], 2, 1.0), (sellers[1], 0, 5.0)]


class TestRefusedCancellations:
    """Refused requests are published up to a limit; beyond it they leave no state."""

    async def ask(self, person: Person, path: str, count: int) -> list[int]:
        return [(await person.ask("POST", f"{path}/cancel")).status_code for _ in range(count)]

    async def test_of_one_order(self, harness: OrdersHarness) -> None:
        """Twenty refusals of an order in an hour are published, the next ones are 429 and leave no state; then it goes
        on. What is granted is not limited."""
        sale = await harness.sold("shipped")
        assert await self.ask(sale.buyer, sale.path, 20) == [409] * 20
        state = "select (select sum(refused) from refused_cancellations), (select sum(last) from event_sequence)"
        before = await harness.fetch(state)
        assert await self.ask(sale.buyer, sale.path, 5) == [429] * 5
        answer = await sale.buyer.ask("POST", f"{sale.path}/cancel")
        assert_problem(answer, 429, "rate_limited")
        assert 3500 < int(answer.headers["Retry-After"]) <= 3600
        assert await harness.fetch(state) == before
        other = await harness.order(sale.buyer, sale.product)
        assert await self.ask(sale.buyer, f"/orders/{other['order_id']}", 30) == [200] * 30
        await harness.later(hours=1)
        assert await self.ask(sale.buyer, sale.path, 1) == [409]
        assert harness.recorder.names(sale.order_id).count("OrderCancelRejected") <= 21

    async def test_of_one_buyer(self, harness: OrdersHarness) -> None:
        """However many orders there are, there are 1,000 in an hour."""
        sale = await harness.sold("shipped")
        await harness.fetch("insert into refused_cancellations values ($1, clock_now(), 999)", sale.buyer.account_id)
        assert await self.ask(sale.buyer, sale.path, 2) == [409, 429]
