"""Refunds to Lazada Credit: in full, once, and in the ledger for good."""

from uuid import uuid4

import asyncpg
import pytest

from runtime.messaging import consumer
from tests.harness.actors import assert_problem
from tests.harness.publishing import publish_as
from tests.harness.refunds import RefundsHarness


async def test_a_refund_is_credited_in_full(harness: RefundsHarness) -> None:
    """Without a linked wallet the money is in Lazada Credit as soon as OrderCancelled is consumed."""
    buyer = await harness.buyer()
    assert (await buyer.wallet())["credit_balance"] == 0
    order_id = await buyer.cancel(189_000)
    [refund] = await buyer.refunds()
    assert (refund["state"], refund["destination"], refund["attempts"]) == ("issued", "lazada_credit", 0)
    assert (refund["amount"], refund["currency"], refund["order_id"]) == (189_000, "IDR", order_id)
    await buyer.cancel(11_000)
    wallet = await buyer.wallet()
    assert wallet["credit_balance"] == 200_000
    assert [entry["amount"] for entry in wallet["entries"]] == [11_000, 189_000]
    assert wallet["entries"][1].items() >= {"refund_id": refund["refund_id"], "order_id": order_id}.items()
    issued = (await harness.recorder.wait_for(order_id, "RefundIssued"))["data"]
    assert issued == {key: refund[key] for key in issued}


async def test_an_unpaid_order_is_not_refunded(harness: RefundsHarness) -> None:
    """An unpaid order, or one to be paid at the door, is cancelled without a refund."""
    buyer = await harness.buyer(linked=True)
    order_id = await buyer.cancel(0)
    assert await buyer.refunds() == []
    assert harness.recorder.names(order_id) == []


async def test_a_repeated_event_refunds_once(harness: RefundsHarness) -> None:
    """The same event five times makes one refund and one RefundIssued."""
    buyer, event_id = await harness.buyer(), uuid4()
    event = buyer.cancelled()
    await publish_as(harness.recorder.bus, "orders", *[event] * 5, event_ids=[event_id] * 5)
    other = await buyer.cancel(1)
    await harness.recorder.wait_for(other, "RefundIssued")
    assert len(await buyer.refunds()) == 2
    assert harness.recorder.names(str(event.order_id)) == ["RefundIssued"]
    assert (await buyer.wallet())["credit_balance"] == 150_001


async def test_a_reminder_is_answered(harness: RefundsHarness) -> None:
    """A cancellation that is published again under another event id moves no money; RefundIssued is published again.
    Each RefundIssued names the event that caused it."""
    buyer, event_ids = await harness.buyer(), [uuid4(), uuid4()]
    event = buyer.cancelled()
    for event_id in event_ids:
        await publish_as(harness.recorder.bus, "orders", event, event_ids=[event_id])
    await harness.recorder.wait_for(str(event.order_id), "RefundIssued", times=2)
    first, again = harness.recorder.about(str(event.order_id))
    assert again["data"] == first["data"]
    assert [first["causationid"], again["causationid"]] == [str(event_id) for event_id in event_ids]
    assert len(await buyer.refunds()) == 1
    assert (await buyer.wallet())["credit_balance"] == 150_000


@pytest.mark.parametrize("table", ["ledger_entries", "ledger_transactions"])
@pytest.mark.parametrize(
    "change", ["update {} set transaction_id = transaction_id", "delete from {}", "truncate {} cascade"]
)
async def test_the_ledger_is_only_added_to(table: str, change: str, harness: RefundsHarness) -> None:
    """The database refuses to change or delete ledger rows."""
    await (await harness.buyer()).cancel()
    with pytest.raises(asyncpg.RestrictViolationError):
        await harness.fetch(change.format(table))


async def test_the_ledger_sums_to_zero(harness: RefundsHarness) -> None:
    """The database itself refuses entries of one transaction that do not sum to zero."""
    buyer = await harness.buyer()
    await buyer.cancel()
    [refund] = await buyer.refunds()
    for amounts in ((5, -4), (5, 5), (-1, 2)):
        with pytest.raises(asyncpg.CheckViolationError):
            await harness.fetch(
                "with t as (insert into ledger_transactions values (gen_random_uuid(), $1, 'send') returning *) "
                "insert into ledger_entries select transaction_id, account, $2, amount from t, "
                "(values ('dana', $3::bigint), ('lazada_credit', $4)) as side (account, amount)",
                *(refund["refund_id"], refund["buyer_id"], *amounts),
            )
    with pytest.raises(asyncpg.UniqueViolationError):
        await harness.fetch(
            "insert into ledger_transactions values (gen_random_uuid(), $1, 'credit')", refund["refund_id"]
        )


async def test_two_cancellations_of_one_order_are_one_refund(
    harness: RefundsHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Should orders ever cancel an order twice, its money comes back once; the second is set aside for a person."""
    monkeypatch.setattr(consumer, "MAX_FAILURES", 1)
    buyer = await harness.buyer()
    event = buyer.cancelled()
    for cancellation_id in (event.cancellation_id, uuid4()):
        cancelled = event.model_copy(update={"cancellation_id": cancellation_id})
        await publish_as(harness.recorder.bus, "orders", cancelled)
    assert len(await buyer.refunds()) == 1
    assert (await buyer.wallet())["credit_balance"] == 150_000


async def test_refunds_are_private(harness: RefundsHarness) -> None:
    """A refund is there for its buyer and for agents; for other buyers it is like one that does not exist."""
    buyer, stranger, agent = await harness.buyer(), await harness.buyer(), harness.actors.person("agent")
    await buyer.cancel()
    [refund] = await buyer.refunds()
    path = f"/refunds/{refund['refund_id']}"
    assert await buyer.person.get(path) == await agent.get(path) == refund
    foreign, absent = await stranger.person.ask("GET", path), await stranger.person.ask("GET", f"/refunds/{uuid4()}")
    assert_problem(foreign, 404, "not_found")
    assert foreign.text == absent.text
    assert await stranger.refunds() == []
    assert refund in (await agent.get("/refunds", limit=100))["items"]


async def test_refunds_come_in_parts(harness: RefundsHarness) -> None:
    """`next` leads through a buyer's refunds, newest first, and through all refunds for an agent; those of one
    order are found by its id."""
    buyer = await harness.buyer()
    orders = [await buyer.cancel(amount) for amount in range(1, 6)]
    for person in (buyer.person, harness.actors.person("agent")):
        first = await person.get("/refunds", limit=2)
        second = await person.get("/refunds", limit=3, cursor=first["next"])
        found = [refund["order_id"] for refund in first["items"] + second["items"]]
        assert found == orders[::-1]
        of_one = await person.get("/refunds", order_id=orders[2])
        assert [refund["amount"] for refund in of_one["items"]] == [3]
