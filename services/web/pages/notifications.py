"""Notifications, the unread counts in the header, and the webhooks of sellers."""

from collections.abc import Mapping
from contextlib import suppress
from uuid import UUID

from fastapi import APIRouter, Response

from runtime.numbers import whole
from services.web.upstream import Refused, ServiceAway
from services.web.visits import BuyerOrSeller, Form, Seller, Visit

router = APIRouter(prefix="/web/s/{seat}", include_in_schema=False)

KINDS = ("OrderPlaced", "OrderPaid", "OrderShipmentDue", "OrderCancelled", "OrderItemsCancelled", "SellerContacted")
"""What a webhook can get, by the names of the events."""


@router.get("/unread")
async def unread(visit: BuyerOrSeller) -> dict[str, int]:
    """The numbers of unread messages and notifications; without that of a service that does not answer."""
    counts = {}
    with suppress(ServiceAway):
        threads = (await visit.get("/chat/threads", limit=100))["items"]
        counts["chat"] = sum(thread["unread"] for thread in threads)
    with suppress(ServiceAway):
        counts["notifications"] = (await visit.get("/notifications", limit=1))["unread"]
    return counts


@router.get("/notifications")
async def notifications(visit: BuyerOrSeller, cursor: str = "") -> Response:
    """The account's notifications, the newest first."""
    page = await visit.get("/notifications", limit=30, cursor=cursor or None)
    return visit.page("notifications.html", items=page["items"], next=page["next"], unread=page["unread"],
                      now=await visit.now())  # fmt: skip


@router.post("/notifications/read")
async def read(visit: BuyerOrSeller) -> Response:
    """Marks all up to the newest that the page showed."""
    seq = whole((await visit.form())["seq"])
    return await visit.do("POST", "/notifications/read", {"seq": seq}, then=f"{visit.root}/notifications")


@router.get("/webhooks")
async def webhooks(visit: Seller) -> Response:
    """The seller's webhooks."""
    return await _show(visit)


@router.post("/webhooks")
async def add(visit: Seller) -> Response:
    """Adds a webhook, and shows its secret, once; a refused form is shown as it was typed."""
    form = await visit.form()
    wanted = {"url": form["url"].strip(), "kinds": [kind for kind in KINDS if form[f"kind-{kind}"]]}
    if not wanted["kinds"]:
        return await _show(visit, form, {"kinds": "wrong.kinds"})
    try:
        made = await visit.send("POST", "/notifications/webhooks", wanted, form.key)
    except Refused as refused:
        about_url = refused.code in ("wrong_url", "address_not_allowed") or "url" in refused.fields
        wrong = {"url": "wrong.url"} if about_url else {}
        return await _show(visit, form, wrong, problem="" if wrong else refused.code)
    return await _show(visit, secret=made["secret"])


async def _show(
    visit: Visit, typed: Form | None = None, wrong: Mapping[str, str] = {}, *, problem: str = "", secret: str = ""
) -> Response:
    page = await visit.get("/notifications/webhooks")
    status = 422 if wrong or problem else 200
    return visit.page("webhooks.html", status, webhooks=page["items"], kinds=KINDS, typed=typed, wrong=wrong,
                      problem=problem, secret=secret)  # fmt: skip


@router.post("/webhooks/{webhook_id}/delete")
async def delete(visit: Seller, webhook_id: UUID) -> Response:
    """Deletes a webhook."""
    await visit.form()
    path, then = f"/notifications/webhooks/{webhook_id}", f"{visit.root}/webhooks"
    return await visit.do("DELETE", path, then=then, notice="notice.webhook_deleted")


@router.get("/webhooks/{webhook_id}")
async def deliveries(visit: Seller, webhook_id: UUID, cursor: str = "") -> Response:
    """What a webhook was sent, and what came of it."""
    page = await visit.get(f"/notifications/webhooks/{webhook_id}/deliveries", limit=30, cursor=cursor or None)
    return visit.page("deliveries.html", webhook_id=webhook_id, deliveries=page["items"], next=page["next"])


@router.post("/webhooks/{webhook_id}/{delivery_id}")
async def redeliver(visit: Seller, webhook_id: UUID, delivery_id: UUID) -> Response:
    """Sends a message again."""
    await visit.form()
    path = f"/notifications/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver"
    return await visit.do("POST", path, then=f"{visit.root}/webhooks/{webhook_id}", notice="notice.redelivered")
