"""Webhooks: Standard Webhooks messages, at least once, each under the same id."""

import asyncio
import json
from base64 import b64decode
from datetime import UTC, datetime, timedelta

import pytest

from batalkan.keys import Keys
from services.notifications import domain
from services.notifications.notifier import Notifier
from services.notifications.receivers import SECRET_PREFIX
from tests.harness.actors import Json, Person, assert_problem
from tests.harness.notifications import (
    NotificationsHarness,
    Receiver,
    delivered,
    deliveries,
    kinds,
    make_webhook,
    receiving,
    running,
    told,
)
from tests.harness.waiting import Gate, blocked, eventually

PATH = "/notifications/webhooks"
PAUSES = [timedelta(seconds=seconds) for seconds in (5, 60, 300, 1800, 3600, 3600, 3600)]
"""What docs/flow.md promises: 5 seconds, 1, 5 and 30 minutes, and then every hour."""


async def test_a_message_is_sent_signed(harness: NotificationsHarness, receiver: Receiver) -> None:
    """A message has the standard's headers and body, is verified with the secret, and the log shows it."""
    deal = harness.deal()
    webhook = await make_webhook(deal.seller, receiver.url, "OrderPaid", "OrderPaid", "OrderCancelled")
    assert webhook["secret"].startswith(SECRET_PREFIX)
    assert len(b64decode(webhook["secret"].removeprefix(SECRET_PREFIX))) == 32
    await harness.deliver(deal.placed(), deal.moved("processing"), deal.cancelled("app"))
    await receiver.has(2)
    receiver.verify(webhook["secret"])
    (headers, body), (_, second) = receiver.got
    assert abs(int(headers["webhook-timestamp"]) - datetime.now(UTC).timestamp()) < 60
    sent = json.loads(body)
    assert (sent["type"], json.loads(second)["type"]) == ("OrderPaid", "OrderCancelled")
    (paid, _) = await told(deal.seller)
    assert datetime.fromisoformat(sent["timestamp"]) == datetime.fromisoformat(paid["at"])
    assert sent["data"] == {"order_id": str(deal.order_id), **paid["data"]}
    await delivered(deal.seller, webhook, kind="OrderCancelled", webhook_id=receiver.ids[1])
    log = await deliveries(deal.seller, webhook)
    assert log[1].items() >= {"kind": "OrderPaid", "attempts": 1, "status_code": 204, "error": None}.items()
    assert (log[1]["webhook_id"], log[1]["next_attempt_at"]) == (headers["webhook-id"], None)


async def test_a_webhook_gets_the_kinds_that_it_wants(harness: NotificationsHarness, receiver: Receiver) -> None:
    """A webhook gets what its seller is told, of its kinds; two webhooks get a message under the same id, and a deleted
    one gets nothing more."""
    deal, other = harness.deal(), harness.deal()
    both = [await make_webhook(deal.seller, receiver.url, "OrderCancelled") for _ in range(2)]
    await harness.deliver(other.placed(), other.cancelled("app"), deal.placed(), deal.moved("processing"))
    await harness.deliver(deal.cancelled("app"))
    await receiver.has(2)
    assert len(set(receiver.ids)) == 1
    assert (await deal.seller.ask("DELETE", f"{PATH}/{both[0]['webhook_id']}")).status_code == 204
    (left,) = (await deal.seller.get(PATH))["items"]
    assert "secret" not in left
    assert left == {name: value for name, value in both[1].items() if name != "secret"}
    again = harness.deal()
    await harness.deliver(
        again.placed(), again.cancelled("app").model_copy(update={"seller_id": deal.seller.account_id})
    )
    await receiver.has(3)


async def test_a_failure_is_tried_again(harness: NotificationsHarness) -> None:
    """A receiver that fails gets the message again after growing pauses, under the same id, until it accepts it."""
    async with receiving(status=500) as receiver:
        deal = harness.deal()
        webhook = await make_webhook(deal.seller, receiver.url)
        early = await now(harness)
        await harness.deliver(deal.placed(), deal.moved("processing"))
        for attempt, pause in enumerate(PAUSES, 1):
            one = await delivered(deal.seller, webhook, "pending", attempts=attempt, status_code=500, error="refused")
            assert early <= datetime.fromisoformat(one["next_attempt_at"]) - pause <= await now(harness)
            receiver.status = 500 if attempt < len(PAUSES) else 200
            early = await now(harness) + pause
            await harness.advance(pause)
        await delivered(deal.seller, webhook, status_code=200)
        assert len(set(receiver.ids)) == 1
        assert len(receiver.got) == len(PAUSES) + 1


async def now(harness: NotificationsHarness) -> datetime:
    """The time of the service."""
    ((moment,),) = await harness.fetch("select clock_now()")
    assert isinstance(moment, datetime)
    return moment


async def test_after_a_day_the_webhook_is_disabled(harness: NotificationsHarness) -> None:
    """A receiver that fails for a day is called no more, and the seller is told. A delivery that is asked for again is
    sent under its id, and enables the webhook if it succeeds."""
    async with receiving(status=503) as receiver:
        deal, later, last = harness.deal(), harness.deal(), harness.deal()
        webhook = await make_webhook(deal.seller, receiver.url)
        await harness.deliver(deal.placed(), deal.moved("processing"))
        await delivered(deal.seller, webhook, "pending", attempts=1, status_code=503)
        await harness.advance(timedelta(days=1, minutes=1))
        failed = await delivered(deal.seller, webhook, "failed", attempts=2)
        *_, report = await told(deal.seller)
        assert (report["kind"], report["data"]["url"]) == ("WebhookDisabled", receiver.url)
        assert "selama sehari" in report["text"]
        assert (await deal.seller.get(PATH))["items"][0]["disabled_at"]
        await harness.deliver(later.placed().model_copy(update={"seller_id": deal.seller.account_id}))
        await harness.deliver(later.moved("processing"))
        assert len(await deliveries(deal.seller, webhook)) == 1
        again = f"{PATH}/{webhook['webhook_id']}/deliveries/{failed['delivery_id']}/redeliver"
        assert (await deal.seller.post(again, status=202))["state"] == "pending"
        await harness.advance(PAUSES[-1])  # the pause after the failures before
        await delivered(deal.seller, webhook, "failed", attempts=1)
        assert (await kinds(deal.seller)).count("WebhookDisabled") == 1
        receiver.status = 200
        await deal.seller.post(again, status=202)
        await harness.advance(PAUSES[-1])
        await delivered(deal.seller, webhook, attempts=1, status_code=200)
        assert len(set(receiver.ids)) == 1
        await harness.deliver(last.placed().model_copy(update={"seller_id": deal.seller.account_id}))
        await harness.deliver(last.moved("processing"))
        await delivered(deal.seller, webhook, attempts=1, status_code=200)
        assert len(set(receiver.ids)) == 2


async def test_a_receiver_that_is_gone_is_called_no_more(harness: NotificationsHarness) -> None:
    """The status 410 disables a webhook at once."""
    async with receiving(status=410) as receiver:
        deal = harness.deal()
        webhook = await make_webhook(deal.seller, receiver.url)
        await harness.deliver(deal.placed(), deal.moved("processing"))
        await delivered(deal.seller, webhook, "failed", error="gone")
        assert "tidak mau menerima" in (await told(deal.seller))[-1]["text"]


async def test_a_redirect_is_not_followed(harness: NotificationsHarness, receiver: Receiver) -> None:
    """A redirect is a failure, wherever it leads."""
    async with receiving(status=307, location=receiver.url) as wanderer:
        deal = harness.deal()
        webhook = await make_webhook(deal.seller, wanderer.url)
        await harness.deliver(deal.placed(), deal.moved("processing"))
        await delivered(deal.seller, webhook, "pending", status_code=307, error="redirect")
        assert receiver.got == []


async def test_a_message_that_comes_as_the_last_one_is_done(
    harness: NotificationsHarness, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message whose transaction commits after the sender has found no other one is sent."""
    deal = harness.deal()
    await make_webhook(deal.seller, receiver.url, "OrderPaid", "OrderCancelled")
    receiver.open.clear()
    await harness.deliver(deal.placed(), deal.moved("processing"))
    await receiver.has(1)
    gate = Gate(monkeypatch, Notifier, "tell")
    delivering = asyncio.create_task(harness.deliver(deal.cancelled("app")))
    await gate.reached.wait()
    receiver.open.set()
    await blocked(harness.fetch)
    gate.opened.set()
    await delivering
    await receiver.has(2)


async def test_a_slow_receiver_delays_only_itself(
    harness: NotificationsHarness, receiver: Receiver, keys: Keys
) -> None:
    """While one receiver does not answer it gets one call at a time, and others get theirs; then the call has timed
    out."""
    async with receiving() as slow:
        slow.open.clear()
        deals = [harness.deal() for _ in range(3)]
        seller = deals[0].seller
        hanging, quick = await make_webhook(seller, slow.url), await make_webhook(seller, receiver.url)
        for deal in deals:
            await harness.deliver(deal.placed().model_copy(update={"seller_id": seller.account_id}))
            await harness.deliver(deal.moved("processing"))
        await receiver.has(3)
        await slow.has(1)
        await delivered(seller, quick)
        (first,) = (one for one in await deliveries(seller, hanging) if one["attempts"])
        late = await until_error(seller, hanging, first["delivery_id"])
        assert (late["state"], late["status_code"], late["error"]) == ("pending", None, "timeout")
        assert len(slow.got) == 1


async def until_error(seller: Person, webhook: Json, delivery_id: str) -> Json:
    """The delivery, once its call has failed."""

    async def failed() -> Json | None:
        found = await deliveries(seller, webhook)
        return next((one for one in found if one["delivery_id"] == delivery_id and one["error"]), None)

    return await eventually(failed)


async def test_two_replicas_call_once(harness: NotificationsHarness, receiver: Receiver, keys: Keys) -> None:
    """Of two replicas one sends a message: 30 messages arrive once each."""
    async with running(harness.service.uow.database.url, keys):
        deals = [harness.deal() for _ in range(30)]
        seller = deals[0].seller
        webhook = await make_webhook(seller, receiver.url)
        placed = [deal.placed().model_copy(update={"seller_id": seller.account_id}) for deal in deals]
        await harness.deliver(*placed)
        await asyncio.gather(*(harness.deliver(deal.moved("processing")) for deal in deals))
        await receiver.has(30)
        await delivered(seller, webhook)
        assert len(set(receiver.ids)) == 30
        receiver.verify(webhook["secret"])


async def test_a_crash_repeats_the_message(harness: NotificationsHarness, keys: Keys) -> None:
    """A call whose process dies before the answer is saved is made again, under the same id."""
    async with receiving() as receiver:
        deal = harness.deal()
        receiver.open.clear()
        webhook = await make_webhook(deal.seller, receiver.url)
        await harness.deliver(deal.placed(), deal.moved("processing"))
        await receiver.has(1)
        # What another replica finds after a crash: a delivery that was tried, and a deadline.
        await harness.advance(domain.IN_HAND)
        await receiver.has(2)
        receiver.open.set()
        await delivered(deal.seller, webhook)
        assert len(set(receiver.ids)) == 1


async def test_webhooks_are_their_sellers_own(harness: NotificationsHarness, receiver: Receiver) -> None:
    """Other sellers, and other roles, find no webhook of the seller's; there are ten of one seller at the most."""
    deal = await harness.sold()
    webhook = await make_webhook(deal.seller, receiver.url)
    await harness.deliver(deal.cancelled("app"))
    rival, path = harness.actors.person("seller"), f"{PATH}/{webhook['webhook_id']}"
    for method, where in (
        ("DELETE", path),
        ("GET", f"{path}/deliveries"),
        ("POST", f"{path}/deliveries/{webhook['webhook_id']}/redeliver"),
    ):
        assert_problem(await rival.ask(method, where), 404, "not_found")
        assert_problem(await deal.buyer.ask(method, where), 403, "wrong_role")
    assert (await rival.get(PATH))["items"] == []
    body = {"url": receiver.url, "kinds": ["OrderPaid"]}
    answers = await asyncio.gather(*(rival.ask("POST", PATH, body) for _ in range(domain.MAX_WEBHOOKS + 2)))
    assert sorted(answer.status_code for answer in answers) == [201] * domain.MAX_WEBHOOKS + [409] * 2
    assert_problem(await rival.ask("POST", PATH, body), 409, "too_many_webhooks")


async def test_the_same_key_makes_one_webhook(harness: NotificationsHarness, receiver: Receiver) -> None:
    """A request with the key of an earlier one gets that one's answer."""
    seller = harness.actors.person("seller")
    body = {"url": receiver.url, "kinds": ["OrderPaid"]}
    one, other = [await seller.ask("POST", PATH, body, key="k") for _ in range(2)]
    assert one.json() == other.json()
    assert len((await seller.get(PATH))["items"]) == 1


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"url": "ftp://example.com/", "kinds": ["OrderPaid"]}, "wrong_url"),
        ({"url": "https:///path", "kinds": ["OrderPaid"]}, "wrong_url"),
        ({"url": "example.com", "kinds": ["OrderPaid"]}, "wrong_url"),
        ({"url": "https://me:secret@example.com/", "kinds": ["OrderPaid"]}, "wrong_url"),
        ({"url": "https://example.com/#here", "kinds": ["OrderPaid"]}, "wrong_url"),
        ({"url": "https://example.com:0/", "kinds": ["OrderPaid"]}, "wrong_url"),
        ({"url": "https://example.com:99999/", "kinds": ["OrderPaid"]}, "wrong_url"),
        ({"url": "http://exa mple.com/\x00", "kinds": ["OrderPaid"]}, "wrong_url"),
        ({"url": "https://example.com/", "kinds": []}, "invalid_request"),
        ({"url": "https://example.com/", "kinds": ["RefundIssued"]}, "invalid_request"),
    ],
)
async def test_what_is_no_webhook_is_refused(harness: NotificationsHarness, body: dict[str, object], code: str) -> None:
    """A URL without a host, with an account or a fragment, or of another scheme is refused, and so is a wrong kind."""
    assert_problem(await harness.actors.person("seller").ask("POST", PATH, body), 422, code)
