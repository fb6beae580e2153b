"""Notifications, webhooks and deliveries as the interface shows them, the frames and the messages."""

import json
from datetime import datetime
from uuid import UUID

from pydantic import BaseModel

from services.notifications import words
from services.notifications.domain import Delivery, Facts, Side, State
from services.notifications.store import Notification
from services.notifications.webhooks import Webhook


class NotificationView(BaseModel):
    """A notification: `text` in Indonesian, and `data` for a client with its own words. `kind` is the name of the event
    that it tells of, or `WebhookDisabled`."""

    seq: int
    kind: str
    order_id: UUID | None
    case_id: UUID | None
    text: str
    data: Facts
    read: bool
    at: datetime


class NotificationPage(BaseModel):
    """Notifications, newest first; `next` is the `?cursor=` of the next page, null at the end; `unread` counts all."""

    items: list[NotificationView]
    next: int | None
    unread: int


class ReadView(BaseModel):
    """The number of the last notification, and how many are not read."""

    last_seq: int
    unread: int


class WebhookView(BaseModel):
    """A webhook, without its secret. A disabled one gets no new messages until a delivery that is asked for again
    succeeds."""

    webhook_id: UUID
    url: str
    kinds: list[str]
    made_at: datetime
    disabled_at: datetime | None


class NewWebhookView(WebhookView):
    """A new webhook, with the secret that signs its messages, which is shown only now."""

    secret: str


class DeliveryView(BaseModel):
    """A message to a webhook. `webhook_id` is the header of that name: the same in each attempt, and in the other
    webhooks of the seller. `attempts` counts since it was made or last asked for again."""

    delivery_id: UUID
    webhook_id: str
    kind: str
    state: State
    attempts: int
    status_code: int | None
    error: str | None
    at: datetime
    next_attempt_at: datetime | None


def show(side: Side, notification: Notification) -> NotificationView:
    """The notification, as that side is told it."""
    text = words.text(side, notification.kind, notification.data)
    return NotificationView(**vars(notification), text=text)


def show_webhook(webhook: Webhook) -> WebhookView:
    """The webhook, as its seller sees it."""
    return WebhookView(**{name: getattr(webhook, name) for name in WebhookView.model_fields})


def show_delivery(delivery: Delivery) -> DeliveryView:
    """The delivery, as the webhook's seller sees it."""
    return DeliveryView(**vars(delivery) | {"webhook_id": delivery.message})


def frame(side: Side, notification: Notification, unread: int) -> str:
    """The frame of a new notification."""
    shown = show(side, notification).model_dump_json()
    return f'{{"type":"notification","notification":{shown},"unread":{unread}}}'


def message(notification: Notification) -> str:
    """The body of a webhook's message (Standard Webhooks)."""
    ids = {"order_id": notification.order_id, "case_id": notification.case_id}
    known = {name: str(one) for name, one in ids.items() if one}
    at = f"{notification.at:%Y-%m-%dT%H:%M:%S.%fZ}"
    body = {"type": notification.kind, "timestamp": at, "data": known | notification.data}
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))
