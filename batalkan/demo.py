"""The guided run: the four ways to cancel, a part of an order, refusals, and a failure of DANA that is corrected."""

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

from rich.table import Table
from rich.text import Text

from batalkan.demo_client import DemoClient, DemoFailed, Person
from batalkan.invariants import Snapshot, check
from contracts.words import rupiah


async def run(client: DemoClient) -> Snapshot:
    """Runs all steps. Raises `DemoFailed` when a result is not the expected one."""
    joining: list[asyncio.Task[Person]] = []
    try:
        return await _run(client, joining)
    finally:
        for task in joining:
            task.cancel()
        await asyncio.gather(*joining, return_exceptions=True)


async def _run(client: DemoClient, joining: list[asyncio.Task[Person]]) -> Snapshot:
    def meanwhile(join: Coroutine[Any, Any, Person]) -> asyncio.Task[Person]:
        """Hashing a password takes a core for a tenth of a second, in which other steps run."""
        joining.append(task := asyncio.create_task(join))
        return task

    others = meanwhile(client.join("seller", "web"))
    buyer, seller = await client.join("buyer", "app"), await others
    others = meanwhile(client.join("buyer", "web"))
    product = await client.call(
        *("POST", "/orders/products", seller, 201), title="Kopi Gayo 1 kg", price=145_000, stock=99, listed=False
    )
    client.console.print(f"A seller offers {product['title']} for {rupiah(product['price'])}.\n")
    await in_the_app(client, product, buyer)
    dana_buyer, others = await others, meanwhile(client.employ())
    await on_the_website(client, product, dana_buyer, seller)
    await guided_in_the_chat(client, product, buyer, seller)
    await cancelled_by_the_seller(client, product, buyer, seller)
    await in_parts(client, product, buyer, seller)
    agent = await others
    # For the cases of this run only: other cases may be waiting.
    await client.call("PUT", "/cs/duty", agent, 200, on=True, reserved=True)
    await silent_seller(client, product, buyer, agent)
    await seller_answers_in_time(client, product, buyer, seller, agent)
    await client.call("PUT", "/cs/duty", agent, 200, on=False)
    await too_late(client, product, buyer)
    await already_shipped(client, product, buyer, seller)
    await dana_times_out(client, product, dana_buyer)
    return await settle(client)


async def in_the_app(client: DemoClient, product: dict[str, Any], buyer: Person) -> None:
    client.step("Way 1, the app: pay, cancel with a reason, and again")
    order = await client.ordered(buyer, product, 2)
    gone = await client.call("POST", f"/orders/{order}/cancel", buyer, 200, reason="changed_mind")
    client.say(f"cancelled through the {gone['cancellation']['channel']}; {rupiah(gone['paid_amount'])} were paid")
    await client.refunded(buyer, order, "lazada_credit")
    again = await client.call("POST", f"/orders/{order}/cancel", buyer, 200)
    if again["cancellation"]["cancellation_id"] != gone["cancellation"]["cancellation_id"]:
        raise DemoFailed("asking twice made two cancellations")
    client.say("asked a second time: the same cancellation, nothing more is refunded")
    wallet = await client.call("GET", "/refunds/wallet", buyer, 200)
    client.say(f"Lazada Credit now: {rupiah(wallet['credit_balance'])}")
    await client.show_events(order)


async def on_the_website(client: DemoClient, product: dict[str, Any], buyer: Person, seller: Person) -> None:
    client.step("Way 2, the website: packed already, no reason given, DANA linked")
    await client.link_dana(buyer)
    order = await client.ordered(buyer, product, 1)
    await client.call("POST", f"/orders/{order}/pack", seller, 200)
    gone = await client.call("POST", f"/orders/{order}/cancel", buyer, 200)
    client.say(f"cancelled through the {gone['cancellation']['channel']}, although it was packed (Dikemas)")
    await client.refunded(buyer, order, "dana")
    await client.show_events(order)


async def too_late(client: DemoClient, product: dict[str, Any], buyer: Person) -> None:
    client.step("Refused: the order is more than 1 × 24 hours old")
    order = await client.ordered(buyer, product, 1)
    await client.advance(timedelta(hours=24, seconds=1))
    await client.refused(buyer, order, "window_closed")
    await client.show_events(order, "OrderCancelRejected")


async def already_shipped(client: DemoClient, product: dict[str, Any], buyer: Person, seller: Person) -> None:
    client.step("Refused: the order has shipped")
    order = await client.ordered(buyer, product, 1)
    for move in ("pack", "ship"):
        await client.call("POST", f"/orders/{order}/{move}", seller, 200)
    await client.refused(buyer, order, "already_shipped")
    await client.show_events(order, "OrderCancelRejected")


async def dana_times_out(client: DemoClient, product: dict[str, Any], buyer: Person) -> None:
    client.step("DANA pays and then does not answer: it is asked, and pays once")
    order = await client.ordered(buyer, product, 3)
    fault = {"mode": "timeout_after", "times": 1, "seconds": 30}
    (await client.running.dana.put("faults", json=fault)).raise_for_status()
    await client.call("POST", f"/orders/{order}/cancel", buyer, 200)
    late = await client.until(
        lambda: client.call("GET", f"/orders/{order}", buyer, 200), lambda view: view["refund"] is not None
    )
    client.say(f"no answer from DANA: the refund is {late['refund']['state']}, and the order says so")
    await client.advance(timedelta(seconds=5))
    await client.refunded(buyer, order, "dana")
    journal = (await client.running.dana.get("journal")).json()
    reference = (await client.call("GET", f"/orders/{order}", buyer, 200))["refund"]["refund_id"].replace("-", "")
    payments = [payment for payment in journal["items"] if payment["reference"] == reference]
    if len(payments) != 1:
        raise DemoFailed(f"DANA paid {len(payments)} times")
    client.say(f"DANA's journal: one payment of {rupiah(payments[0]['amount'])} under {reference[:8]}…")
    await client.show_events(order)


async def guided_in_the_chat(client: DemoClient, product: dict[str, Any], buyer: Person, seller: Person) -> None:
    """A: the seller answers with directions, and the buyer cancels."""
    client.step("Way 3, chat: the seller shows the way, the buyer cancels")
    order = await client.ordered(buyer, product, 1)
    thread = await _thread(client, buyer, order)
    await _write(client, "buyer", buyer, f"/chat/threads/{thread}/messages", "Maaf, saya salah pilih. Bisa dibatalkan?")
    await client.call("POST", f"/chat/threads/{thread}/guide", seller, 201)
    client.say("seller: [guide card: how to cancel this order]")
    await client.call("POST", f"/orders/{order}/cancel", buyer, 200, reason="wrong_product")
    await client.refunded(buyer, order, "lazada_credit")
    await _shown(client, f"/chat/threads/{thread}/messages", buyer, "refund_issued")
    await client.show_events(order)


async def cancelled_by_the_seller(client: DemoClient, product: dict[str, Any], buyer: Person, seller: Person) -> None:
    """A: the seller may cancel the order; its score falls."""
    client.step("Way 3, chat: the seller cancels, and the score falls")
    order = await client.ordered(buyer, product, 1)
    before = await client.call("GET", f"/orders/sellers/{seller.account_id}/score", None, 200)
    thread = await _thread(client, buyer, order)
    await _write(client, "buyer", buyer, f"/chat/threads/{thread}/messages", "Kak, tolong batalkan ya.")
    await client.call("POST", f"/chat/threads/{thread}/cancel", seller, 202, reason="out_of_stock")
    await client.refunded(buyer, order, "lazada_credit")
    after = await client.call("GET", f"/orders/sellers/{seller.account_id}/score", None, 200)
    if after["rating"] >= before["rating"]:
        raise DemoFailed(f"the score did not fall: {before['rating']} and {after['rating']}")
    client.say(f"the seller's rating falls from {before['rating']} to {after['rating']}")
    await _shown(client, f"/chat/threads/{thread}/messages", buyer, "refund_issued")
    await _write(client, "buyer", buyer, f"/chat/threads/{thread}/messages", "Maaf merepotkan, dan terima kasih, Kak.")
    await client.show_events(order)


async def in_parts(client: DemoClient, product: dict[str, Any], buyer: Person, seller: Person) -> None:
    client.step("A part: a voucher, two of three pieces, and then the rest")
    terms: dict[str, Any] = {"percent": 10, "cap": 50_000, "minimum": 100_000, "uses": 1}
    voucher = await client.call("POST", "/orders/vouchers", seller, 201, code="HEMAT10", **terms)
    client.say(f"the seller's voucher {voucher['code']}: 10 percent off, once")
    order = await client.ordered(buyer, product, 3, voucher=voucher["code"])
    lines = [{"product_id": product["product_id"], "quantity": 2}]
    for time in ("two pieces are cancelled", "sent again under its Idempotency-Key: the same answer"):
        view = await client.call("POST", f"/orders/{order}/cancel", buyer, 200, key="two-pieces", lines=lines)
        client.say(f"{time}; {rupiah(view['refunded_amount'])} of {rupiah(view['paid_amount'])} come back")
    await client.call("POST", f"/orders/{order}/cancel", buyer, 200)
    await client.refunded(buyer, order, "lazada_credit")
    left = (await client.call("GET", "/orders/vouchers", seller, 200))["items"][0]
    client.say(f"nothing is left of the order, so the voucher was used {left['used']} times")
    await client.show_events(order)


async def silent_seller(client: DemoClient, product: dict[str, Any], buyer: Person, agent: Person) -> None:
    """A: the seller has neither processed the order nor answered within 24 hours, so it is cancelled automatically."""
    client.step("Way 4, customer service: the seller is silent for 24 hours")
    order = await client.ordered(buyer, product, 2)
    case = await _contacted(client, buyer, agent, order)
    await client.advance(timedelta(hours=24))
    await client.refunded(buyer, order, "lazada_credit")
    ended = await client.until(
        lambda: client.call("GET", f"/cs/cases/{case}", buyer, 200), lambda view: view["state"] == "resolved"
    )
    view = await client.call("GET", f"/orders/{order}", buyer, 200)
    channel = view["cancellation"]["channel"]
    client.say(f"cancelled automatically through {channel}; the case is {ended['state']}: {ended['outcome']}")
    await client.call("POST", f"/cs/cases/{case}/rate", buyer, 200, rating=5)
    await client.show_events(order)


async def seller_answers_in_time(
    client: DemoClient, product: dict[str, Any], buyer: Person, seller: Person, agent: Person
) -> None:
    """A: the seller answers in time, so the order is not cancelled."""
    client.step("Way 4, customer service: the seller answers in the 23rd hour")
    order = await client.ordered(buyer, product, 1)
    case = await _contacted(client, buyer, agent, order)
    await client.advance(timedelta(hours=23))
    threads = await client.until(
        lambda: client.call("GET", "/chat/threads", seller, 200),
        lambda page: any(thread["order_id"] == order for thread in page["items"]),
    )
    thread = next(thread["thread_id"] for thread in threads["items"] if thread["order_id"] == order)
    await _write(client, "seller", seller, f"/chat/threads/{thread}/messages", "Mohon maaf, besok kami kirim.")
    await client.until(
        lambda: client.call("GET", f"/cs/cases/{case}", agent, 200), lambda view: view["state"] == "seller_replied"
    )
    await client.advance(timedelta(hours=2))
    view = await client.call("GET", f"/orders/{order}", buyer, 200)
    if view["status"] != "processing":
        raise DemoFailed(f"the order is {view['status']}")
    client.say(f"two hours later the order is still {view['status']} (Sedang diproses); the agent has the case again")
    await client.call("POST", f"/cs/cases/{case}/close", agent, 200, outcome="answered")
    await client.show_events(order, "SellerReplied")


async def _thread(client: DemoClient, buyer: Person, order: str) -> str:
    """The order's thread; chat consumes the order's event a moment after it was placed."""

    async def opened() -> dict[str, Any]:
        return await client.ask("POST", "/chat/threads", buyer, order_id=order)

    return str((await client.until(opened, lambda thread: "thread_id" in thread))["thread_id"])


async def _write(client: DemoClient, who: str, person: Person, path: str, text: str) -> None:
    await client.call("POST", path, person, 201, text=text)
    client.say(f"{who}: {text}")


async def _shown(client: DemoClient, path: str, person: Person, code: str) -> None:
    """Waits until the conversation shows the message with this code."""
    page = await client.until(
        lambda: client.call("GET", path, person, 200),
        lambda page: any(message["code"] == code for message in page["items"]),
    )
    for message in page["items"]:
        if message["kind"] == "system":
            client.say(f"[{message['text']}]")


async def _contacted(client: DemoClient, buyer: Person, agent: Person, order: str) -> str:
    """The buyer opens a case and shares the order; the agent contacts the seller."""
    text = "Penjual tidak membalas. Tolong batalkan pesanan saya."
    case = await client.call("POST", "/cs/cases", buyer, 201, text=text, agent_id=agent.account_id)
    path = f"/cs/cases/{case['case_id']}"
    await client.until(lambda: client.call("GET", path, buyer, 200), lambda view: view["state"] == "active")
    client.say(f"buyer: {text}   (connected with an agent)")
    await client.until(
        lambda: client.ask("POST", f"{path}/order", buyer, order_id=order), lambda view: "case_id" in view
    )
    contacted = await client.call("POST", f"{path}/contact-seller", agent, 200)
    client.say(f"the agent contacts the seller, who has until {contacted['respond_by']}")
    return str(case["case_id"])


async def settle(client: DemoClient) -> Snapshot:
    """Shows the ledger and checks the invariants. Raises `DemoFailed`."""

    async def snapshot() -> Snapshot:
        return await check(client.running.database_urls, client.running.dana)

    found = await client.until(snapshot, lambda found: not found.broken, fail=False)
    table = Table("account", title="The ledger", title_justify="left")
    table.add_column("balance", justify="right")
    for account, balance in sorted(found.accounts.items()):
        table.add_row(account, rupiah(balance).replace("Rp-", "-Rp"))
    table.add_section()
    table.add_row("sum", rupiah(found.ledger_sum))
    client.console.print(table)
    for sentence in found.broken:
        client.console.print(Text.assemble(("BROKEN", "red"), f" {sentence}"))
    if found.broken or found.ledger_sum:
        raise DemoFailed("an invariant is broken; see the sentences above")
    return found
