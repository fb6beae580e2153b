"""Stand-in answers of all services, with the same text in every field of users."""

from typing import Any

import httpx
import jwt

from tests.harness.web import Browser, WebHarness

ID = "01a214c5-b79e-7352-95a9-c56f6d9b795d"
GONE = "01a214c5-b79e-7352-95a9-c56f6d9b795e"
"""An order that is cancelled."""
AT = "2026-11-25T10:00:00Z"
LATER = "2026-11-25T12:00:00Z"


def message(text: str, **more: Any) -> dict[str, Any]:
    """A message from another account."""
    return {"seq": 1, "kind": "text", "sender_id": ID, "text": text, "code": None, "data": None, "at": AT, **more}


def talk(text: str) -> list[dict[str, Any]]:
    """Messages of every kind."""
    data = {"question": text, "respond_by": AT, "name": text}
    return [
        message(text),
        message(text, seq=2, kind="guide"),
        message(text, seq=3, kind="system", code="seller_contacted", data=data),
        message(text, seq=4, kind="system", code="agent_joined", data=data),
        message(text, seq=5, kind="system", code="unknown"),
    ]


def order(text: str, **more: Any) -> dict[str, Any]:
    """A paid order of two pieces, with a voucher, that can be cancelled."""
    way = {"allowed": True, "code": None, "until": AT}
    return {
        "order_id": ID, "buyer_id": ID, "seller_id": ID, "status": "processing", "total": 145_000,
        "paid_amount": 145_000, "currency": "IDR",
        "lines": [
            {"product_id": ID, "title": text, "quantity": 1, "unit_price": 72_500, "net": 67_500, "cancelled": 0}
        ] * 2,
        "shipping_fee": 10_000, "discount": 10_000, "voucher": text, "refunded_amount": 0, "cancellations": [],
        "refunds": [], "pay_by": None, "ship_by": None,
        "payment_method": "dana", "placed_at": AT, "version": 2, "history": [{"status": "processing", "at": AT}],
        "cancellation": way, "refund": None, **more,
    }  # fmt: skip


def partly(text: str, **more: Any) -> dict[str, Any]:
    """The order with three pieces, of which one is cancelled and refunded."""
    line = {"product_id": ID, "title": text, "quantity": 3, "unit_price": 50_000, "net": 135_000, "cancelled": 1}
    part = {
        "cancellation_id": ID, "channel": "app", "lines": [{"product_id": ID, "quantity": 1, "net": 45_000}],
        "refund_amount": 45_000, "reason": text, "note": text, "fault": "buyer", "at": AT,
    }  # fmt: skip
    refund = {"refund_id": ID, "cancellation_id": ID, "state": "issued", "amount": 45_000, "destination": "dana"}
    money = {"discount": 15_000, "refunded_amount": 45_000, "cancellations": [part], "refunds": [refund]}
    return order(text, **{"lines": [line], **money, **more})


def cancelled(text: str) -> dict[str, Any]:
    """An order whose end has a note."""
    way = {"allowed": False, "code": "already_cancelled", "until": AT, "channel": "app", "reason": text, "note": text}
    return order(text, status="cancelled", cancellation={**way, "cancellation_id": GONE, "at": AT})


def thread(text: str, **more: Any) -> dict[str, Any]:
    """A conversation about the order."""
    return {
        "thread_id": ID, "order_id": ID, "buyer_name": text, "seller_name": text, "unread": 1, "last_seq": 5,
        "order_status": "processing", "title": text, "active_at": AT, "online": True, "pending_cancellation": None,
        "quick_replies": [{"code": "x", "id": text, "en": text}], "last_message": message(text),
        "demand": {"case_id": ID, "question": text, "respond_by": LATER}, **more,
    }  # fmt: skip


def case(text: str, **more: Any) -> dict[str, Any]:
    """A case with an agent."""
    return {
        "case_id": ID, "buyer_id": ID, "agent_id": ID, "state": "active", "position": None, "order_id": None,
        "respond_by": None, "outcome": None, "rating": None, "last_seq": 5, "opened_at": AT, "buyer_name": text,
        "agent_name": text, "agents_on_duty": 1, "order": None, "contacted": False, "last_text": message(text),
        "waits_since": AT, **more,
    }  # fmt: skip


def open_market(harness: WebHarness, text: str) -> None:
    """Has every service say so."""
    said = harness.services.say
    product = {"product_id": ID, "seller_id": ID, "title": text, "price": 1, "stock": 2}
    said("GET /accounts/me", name=text, email=text)
    said("GET /orders/products", items=[product], next=None)
    said(f"GET /orders/products/{ID}", **product)
    harness.services.answers["GET /accounts/sellers"] = httpx.Response(200, json=[{"account_id": ID, "name": text}])
    said("GET /orders/sellers", items=[{"seller_id": ID, "rating": 4.2}])
    said("GET /orders/counts", processing=2, cancelled=1)
    said("GET /orders", items=[order(text), partly(text), cancelled(text)], next=None)
    said(f"GET /orders/{ID}", **partly(text))
    said(f"GET /orders/{GONE}", **cancelled(text))
    voucher = {"code": text, "amount": None, "percent": 10, "cap": 5_000, "minimum": 50_000, "uses": 9, "used": 2}
    said("GET /orders/vouchers", items=[voucher], next=None)
    said("GET /orders/cancel-reasons", items=[{"code": "other", "id": "lain", "en": "other"}])
    said("GET /orders/clock", now=AT)
    said("GET /refunds", items=[], next=None)
    said("GET /refunds/wallet", credit_balance=0, dana={"linked": False, "phone": None}, entries=[])
    said("GET /chat/threads", items=[thread(text)], next=None)
    said(f"GET /chat/threads/{ID}", **thread(text))
    said(f"GET /chat/threads/{ID}/messages", items=talk(text), next=None)
    said("GET /cs/cases", items=[case(text)], next=None)
    said(f"GET /cs/cases/{ID}", **case(text))
    said(f"GET /cs/cases/{ID}/messages", items=talk(text), next=None)
    back = {"amount": 45_000, "destination": "dana", "title": text}
    news = {"kind": "RefundIssued", "order_id": ID, "case_id": None, "text": text, "data": back, "at": AT}
    told = [news | {"seq": 2, "read": False}, news | {"seq": 1, "read": True}]
    said("GET /notifications", items=told, next=None, unread=1)
    hook = {"webhook_id": ID, "url": text, "kinds": ["OrderPaid"], "disabled_at": None}
    said("GET /notifications/webhooks", items=[hook], next=None)
    sent = {"delivery_id": ID, "kind": "OrderPaid", "state": "failed", "attempts": 3, "status_code": 500}
    sent |= {"error": text, "at": AT, "next_attempt_at": None}
    said(f"GET /notifications/webhooks/{ID}/deliveries", items=[sent], next=None)
    said("GET /cs/duty", on=True, load=1, most=3, waiting=1, agents_on_duty=1)


async def enter(harness: WebHarness, browser: Browser, role: str) -> None:
    """Signs in, and makes the other services know the account."""
    await browser.sign_in(role)
    meet(harness, role, browser.cookies["access"])


def meet(harness: WebHarness, role: str, token: str) -> None:
    """A seller has a score; what an agent sees is about an order."""
    if role == "agent":
        me = harness.services.answers["GET /accounts/me"]
        text = me.json()["name"] if isinstance(me, httpx.Response) else ""
        with_order = case(text, order_id=ID, order={"seller_name": text})
        harness.services.say("GET /cs/cases", items=[with_order], next=None)
        harness.services.say(f"GET /cs/cases/{ID}", **with_order)
    score = {"rating": 4.2, "cancellation_rate": 0.0741}
    counts = {"seller": 1, "buyer": 0, "platform": 0}
    who = jwt.decode(token, options={"verify_signature": False})["sub"]
    numbers = {"orders": 9, "pieces": 27, "pieces_by_seller": 2, "cancellations": counts}
    harness.services.say(f"GET /orders/sellers/{who}/score", **numbers, **score, after_cancelling=score)
