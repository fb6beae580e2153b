"""The HTTP interface of `notifications`."""

from base64 import b64encode
from secrets import token_bytes
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field

from runtime.errors import NotFound
from runtime.http.app import Body, Cursor, Digits, Limit, Page, RetryOnConflict, UnitOfWorkDep
from runtime.http.auth import Seller, SignedIn
from runtime.http.idempotency import OncePerKey
from runtime.http.rate_limit import Allowance, RateLimit
from runtime.live.websocket import add_live_routes
from runtime.messaging.unit_of_work import Transaction
from runtime.observability.trace_context import new_id
from services.notifications import domain, sender, store, views, webhooks
from services.notifications.domain import Side, WebhookKind
from services.notifications.notifier import Notifier
from services.notifications.receivers import SECRET_PREFIX, Receivers, parse
from services.notifications.views import (
    DeliveryView,
    NewWebhookView,
    NotificationPage,
    ReadView,
    WebhookView,
    show_delivery,
    show_webhook,
)
from services.notifications.webhooks import Webhook

router = APIRouter(prefix="/notifications", tags=["notifications"], route_class=RetryOnConflict)
add_live_routes(router)
MAX_SEQ = 2**31 - 1
SECRET_BYTES = 32


class Read(Body):
    """The number of the last notification that was read."""

    seq: Annotated[int, Field(ge=0, le=MAX_SEQ)]


class NewWebhook(Body):
    """Where messages go, and which ones: the names of events."""

    url: Annotated[str, Field(min_length=1, max_length=2000)]
    kinds: Annotated[list[Annotated[WebhookKind, Field(strict=False)]], Field(min_length=1, max_length=20)]


async def _notifier(request: Request) -> Notifier:
    notifier: Notifier = request.app.state.notifier
    return notifier


async def _receivers(request: Request) -> Receivers:
    receivers: Receivers = request.app.state.receivers
    return receivers


async def _lookup_limit(request: Request) -> RateLimit:
    lookup_limit: RateLimit = request.app.state.lookup_limit
    return lookup_limit


NotifierDep = Annotated[Notifier, Depends(_notifier)]
ReceiversDep = Annotated[Receivers, Depends(_receivers)]
LookupLimit = Annotated[RateLimit, Depends(_lookup_limit)]
Before = Annotated[
    Annotated[int, Field(ge=1, le=MAX_SEQ)] | None, Digits, Query(description="`next` of the page before")
]


@router.get("")
async def list_notifications(
    person: SignedIn, uow: UnitOfWorkDep, limit: Limit = 50, cursor: Before = None
) -> NotificationPage:
    """The account's own notifications, newest first, and how many it has not read."""
    async with uow.begin() as tx:
        found = await store.page(tx.connection, person.account_id, cursor, limit)
        unread = await store.count_unread(tx.connection, person.account_id)
    side = Side.SELLER if person.role == "seller" else Side.BUYER
    full = len(found) == limit and found[-1].seq > 1
    return NotificationPage(
        items=[views.show(side, one) for one in found], next=found[-1].seq if full else None, unread=unread
    )


@router.post("/read")
async def mark_read(body: Read, person: SignedIn, uow: UnitOfWorkDep, notifier: NotifierDep) -> ReadView:
    """Says that one has seen the notifications up to `seq`; what was seen stays seen."""
    async with uow.begin() as tx:
        last_seq, unread = await store.mark_read(tx, person.account_id, body.seq)
        notifier.send_read(tx, person.account_id, body.seq, unread)
    return ReadView(last_seq=last_seq, unread=unread)


@router.post("/webhooks", status_code=201, response_model=NewWebhookView)
async def make_webhook(
    body: NewWebhook,
    seller: Seller,
    once: OncePerKey,
    receivers: ReceiversDep,
    uow: UnitOfWorkDep,
    lookup_limit: LookupLimit,
) -> Response:
    """Sends messages about the seller's orders to a receiver on the public internet, in the form of Standard Webhooks
    (https://www.standardwebhooks.com): at least once, for a day after the first attempt. The secret verifies them."""
    parse(body.url)

    async def check() -> None:
        await lookup_limit.take(str(seller.account_id))
        async with uow.begin() as tx:
            domain.check_webhooks(len(await webhooks.of_seller(tx, seller.account_id)))
        await receivers.check(body.url)

    async def keep() -> None:
        """A repeat stays counted: its host is looked up as well."""

    async def make(tx: Transaction) -> NewWebhookView:
        await store.lock_people(tx, [seller.account_id])
        domain.check_webhooks(len(await webhooks.of_seller(tx, seller.account_id)))
        secret, kinds = token_bytes(SECRET_BYTES), [str(kind) for kind in dict.fromkeys(body.kinds)]
        webhook = Webhook(new_id(), seller.account_id, body.url, kinds, secret, await tx.now())
        await webhooks.make(tx, webhook)
        shown = f"{SECRET_PREFIX}{b64encode(secret).decode()}"
        return NewWebhookView(**vars(show_webhook(webhook)), secret=shown)

    return await once(str(seller.account_id), make, limit=Allowance(check, keep))


@router.get("/webhooks")
async def list_webhooks(seller: Seller, uow: UnitOfWorkDep) -> Page[WebhookView]:
    """The seller's own webhooks, oldest first."""
    async with uow.begin() as tx:
        return Page(items=[show_webhook(one) for one in await webhooks.of_seller(tx, seller.account_id)], next=None)


@router.delete("/webhooks/{webhook_id}", status_code=204)
async def delete_webhook(webhook_id: UUID, seller: Seller, uow: UnitOfWorkDep) -> None:
    """Sends nothing more there."""
    async with uow.begin() as tx:
        if not await webhooks.delete(tx, webhook_id, seller.account_id):
            raise NoWebhook
        await tx.call_off(webhooks.SEND, str(webhook_id))


@router.get("/webhooks/{webhook_id}/deliveries")
async def list_deliveries(
    webhook_id: UUID, seller: Seller, uow: UnitOfWorkDep, limit: Limit = 50, cursor: Cursor = None
) -> Page[DeliveryView]:
    """What was sent there within 30 days, or will be, newest first."""
    async with uow.begin() as tx:
        found = await webhooks.deliveries(tx, webhook_id, seller.account_id, cursor, limit)
    if found is None:
        raise NoWebhook
    items = [show_delivery(one) for one in found]
    return Page(items=items, next=items[-1].delivery_id if len(items) == limit else None)


@router.post("/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver", status_code=202)
async def redeliver(webhook_id: UUID, delivery_id: UUID, seller: Seller, uow: UnitOfWorkDep) -> DeliveryView:
    """Sends the message again, under the same `webhook-id`. A success enables a disabled webhook."""
    async with uow.begin() as tx:
        asked = await sender.ask_again(tx, seller.account_id, webhook_id, delivery_id)
    if asked is None:
        raise NotFound("There is no such delivery.")
    return show_delivery(asked)


class NoWebhook(NotFound):
    """The webhook does not exist, or is another seller's."""

    def __init__(self) -> None:
        super().__init__("There is no such webhook.")
