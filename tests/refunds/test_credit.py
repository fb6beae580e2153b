"""Refunds to Lazada Credit: in full, once, and in the ledger for good."""

from uuid import uuid4

import asyncpg
import pytest

from contracts.orders import OrderCancelled
from runtime.messaging import consumer
from tests.harness.bus_events import say
from tests.harness.orders_actors import assert_problem
from tests.harness.refunds import Bank


async def test_what_was_paid_is_credited_in_full(bank: Bank) -> None:
    """Without a linked wallet the money is in Lazada Credit as soon as the cancellation is heard of."""
    buyer = await bank.buyer()
    assert (await buyer.wallet())["credit_balance"] == 0
    order_id = await buyer.cancel(189_000)
    [refund] = await buyer.refunds()
    assert (refund["state"], refund["destination"], refund["attempts"]) == ("issued", "lazada_credit", 0)
    assert (refund["amount"], refund["currency"], refund["order_id"]) == (189_000, "IDR", order_id)
    await buyer.cancel(11_000)
    wallet = await buyer.wallet()
    assert wallet["credit_balance"] == 200_000
    assert [entry["amount"] for entry in wallet["entries"]] == [11_000, 189_000]
    assert wallet["entries"][1]["refund_id"] == refund["refund_id"]
    issued = (await bank.ears.hear(order_id, "RefundIssued"))["data"]
    assert issued == {key: refund[key] for key in issued}


async def test_nothing_paid_is_nothing_refunded(bank: Bank) -> None:
    """An unpaid order, or one to be paid at the door, is cancelled without a refund."""
    buyer = await bank.buyer(linked=True)
    order_id = await buyer.cancel(0)
    assert await buyer.refunds() == []
    assert bank.ears.names(order_id) == []


async def test_a_repeated_event_refunds_once(bank: Bank) -> None:
    """The same event five times is one refund, said once."""
    buyer, event_id = await bank.buyer(), uuid4()
    event = buyer.cancelled()
    await say(bank.ears.bus, "orders", *[event] * 5, event_ids=[event_id] * 5)
    other = await buyer.cancel(1)
    await bank.ears.hear(other, "RefundIssued")
    assert len(await buyer.refunds()) == 2
    assert bank.ears.names(str(event.order_id)) == ["RefundIssued"]
    assert (await buyer.wallet())["credit_balance"] == 150_001


async def test_a_reminder_is_answered(bank: Bank) -> None:
    """A cancellation that is said again under another event id moves no money; the refund's arrival is said again."""
    buyer, reminder_id = await bank.buyer(), uuid4()
    event = buyer.cancelled()
    await say(bank.ears.bus, "orders", event)
    await say(bank.ears.bus, "orders", event, event_ids=[reminder_id])
    again = await bank.ears.hear(str(event.order_id), "RefundIssued", times=2)
    first = bank.ears.events[str(event.order_id)][0]
    assert again["data"] == first["data"]
    assert again["causationid"] == str(reminder_id)
    assert len(await buyer.refunds()) == 1
    assert (await buyer.wallet())["credit_balance"] == 150_000


async def test_the_refund_belongs_to_the_story_of_the_cancellation(bank: Bank) -> None:
    """What refunds says is caused by what it heard."""
    buyer, event_id = await bank.buyer(), uuid4()
    event = buyer.cancelled()
    await say(bank.ears.bus, "orders", event, event_ids=[event_id])
    assert (await bank.ears.hear(str(event.order_id), "RefundIssued"))["causationid"] == str(event_id)


@pytest.mark.parametrize("table", ["ledger_entries", "ledger_transactions"])
@pytest.mark.parametrize(
    "change", ["update {} set transaction_id = transaction_id", "delete from {}", "truncate {} cascade"]
)
async def test_the_ledger_is_only_added_to(table: str, change: str, bank: Bank) -> None:
    """The database itself refuses to change or remove what is in the ledger."""
    await (await bank.buyer()).cancel()
    with pytest.raises(asyncpg.RestrictViolationError):
        await bank.fetch(change.format(table))


async def test_the_ledger_sums_to_zero(bank: Bank) -> None:
    """The database itself refuses entries of one transaction that do not sum to zero."""
    buyer = await bank.buyer()
    await buyer.cancel()
    [refund] = await buyer.refunds()
    for amounts in ((5, -4), (5, 5), (-1, 2)):
        with pytest.raises(asyncpg.CheckViolationError):
            await bank.fetch(
                "with t as (insert into ledger_transactions values (gen_random_uuid(), $1, 'send') returning *) "
                "insert into ledger_entries select transaction_id, account, $2, amount from t, "
                "(values ('dana', $3::bigint), ('lazada_credit', $4)) as side (account, amount)",
                *(refund["refund_id"], refund["buyer_id"], *amounts),
            )
    with pytest.raises(asyncpg.UniqueViolationError):
        await bank.fetch(
            "insert into ledger_transactions values (gen_random_uuid(), $1, 'credit')", refund["refund_id"]
        )


async def test_two_cancellations_of_one_order_are_one_refund(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    """Should orders ever cancel an order twice, its money comes back once; the second is set aside for a person."""
    monkeypatch.setattr(consumer, "MOST_FAILURES", 1)
    buyer = await bank.buyer()
    event = buyer.cancelled()
    await say(bank.ears.bus, "orders", event)
    second = event.model_copy(update={"cancellation_id": uuid4()})
    assert isinstance(second, OrderCancelled)
    await say(bank.ears.bus, "orders", second)
    assert len(await buyer.refunds()) == 1
    assert (await buyer.wallet())["credit_balance"] == 150_000


async def test_refunds_are_private(bank: Bank) -> None:
    """A refund is there for its buyer and for agents; for other buyers it is not, and sellers have no business here."""
    buyer, stranger, agent = await bank.buyer(), await bank.buyer(), bank.people.person("agent")
    await buyer.cancel()
    [refund] = await buyer.refunds()
    path = f"/refunds/{refund['refund_id']}"
    assert await buyer.person.get(path) == await agent.get(path) == refund
    foreign, absent = await stranger.person.ask("GET", path), await stranger.person.ask("GET", f"/refunds/{uuid4()}")
    assert_problem(foreign, 404, "not_found")
    assert foreign.text == absent.text
    assert await stranger.refunds() == []
    assert refund in (await agent.get("/refunds", limit=100))["items"]
    for private in ("/refunds", path, "/refunds/wallet"):
        assert_problem(await bank.people.person("seller").ask("GET", private), 403, "wrong_role")
        assert_problem(await bank.people.passer_by().ask("GET", private), 401, "unauthenticated")
    assert_problem(await agent.ask("GET", "/refunds/wallet"), 403, "wrong_role")


async def test_refunds_come_in_parts(bank: Bank) -> None:
    """`next` leads through one's refunds, newest first, and through everybody's for an agent."""
    buyer = await bank.buyer()
    orders = [await buyer.cancel(amount) for amount in range(1, 6)]
    for person in (buyer.person, bank.people.person("agent")):
        first = await person.get("/refunds", limit=2)
        second = await person.get("/refunds", limit=3, cursor=first["next"])
        found = [refund["order_id"] for refund in first["items"] + second["items"]]
        assert found == orders[::-1]
