"""Orders: the list by status, and one order with its history and actions."""

import asyncio
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Response

from services.web.pages.demands import demands
from services.web.pages.shop import sellers_of
from services.web.pieces import NoPieces, by_pieces, chosen
from services.web.upstream import Refused, ServiceAway
from services.web.visits import Buyer, BuyerOrSeller, Form, Seller, Visit

router = APIRouter(prefix="/web/s/{seat}", include_in_schema=False)

PATH = ("unpaid", "processing", "packed", "shipped", "delivered")
STATUSES = (*PATH, "cancelled")
REPLICATED_WITHIN = 5.0
"""Seconds in which chat and customer service consume the event of a new order."""


async def show_list(visit: Visit, status: str, cursor: str, first: str = "") -> Response:
    """The account's orders with a status, or with `first` if none is chosen; `all` is any."""
    wanted = status if status in (*STATUSES, "all") else first or "all"
    page = await visit.get("/orders", status=None if wanted == "all" else wanted, cursor=cursor or None, limit=20)
    now = await visit.now()
    asked = await demands(visit, now) if visit.person.role == "seller" else []
    return visit.page("orders.html", orders=[by_pieces(order) for order in page["items"]], next=page["next"],
                      demands=asked, chosen=wanted, counts=await _counts(visit), statuses=STATUSES,
                      now=now)  # fmt: skip


async def _counts(visit: Visit) -> dict[str, int]:
    """How many orders have each status, and `all`; empty if an earlier version of orders does not count."""
    try:
        counts: dict[str, int] = await visit.get("/orders/counts")
    except Refused:
        return {}
    return {**counts, "all": sum(counts.values())}


@router.get("/orders")
async def list_orders(visit: BuyerOrSeller, status: str = "", cursor: str = "") -> Response:
    """The orders by status (A: the profile shows them so)."""
    return await show_list(visit, status, cursor)


@router.get("/orders/{order_id}")
async def show_order(visit: BuyerOrSeller, order_id: UUID) -> Response:
    """One order."""
    return await _show(visit, order_id)


@router.get("/orders/{order_id}/cancel")
async def ask_why(visit: Buyer, order_id: UUID) -> Response:
    """The order with its cancel dialog open; a guide card links here."""
    return await _show(visit, order_id, asking=True)


@router.post("/orders/{order_id}/cancel")
async def cancel(visit: Buyer, order_id: UUID) -> Response:
    """Cancels the order or some of its pieces, with a reason or without."""
    form = await visit.form()
    typed = {key: form[key].strip() for key in ("reason", "note")}
    body: dict[str, Any] = {key: text for key, text in typed.items() if text}
    try:
        if lines := chosen(form):
            body["lines"] = lines
        answer = await visit.send("POST", f"/orders/{order_id}/cancel", body or None, form.key if lines else None)
    except (NoPieces, Refused) as refused:
        return await _show(visit, order_id, refused=refused.code, typed=form)
    notice = "notice.cancelled" if answer["status"] == "cancelled" else "notice.part_cancelled"
    return visit.go(f"{visit.root}/orders/{order_id}", notice)


@router.post("/orders/{order_id}/pay")
async def pay(visit: Buyer, order_id: UUID) -> Response:
    """Pays the order, which is simulated."""
    await visit.form()
    there = f"/orders/{order_id}"
    return await visit.do("POST", f"{there}/pay", then=visit.root + there, notice="notice.paid")


@router.post("/orders/{order_id}/chat")
async def chat(visit: Buyer, order_id: UUID) -> Response:
    """Opens the conversation with the seller about this order."""
    await visit.form()
    thread = await await_replication(visit, "/chat/threads", {"order_id": str(order_id)})
    return visit.go(f"{visit.root}/chat/{thread['thread_id']}")


@router.post("/orders/{order_id}/{step}")
async def move(visit: Seller, order_id: UUID, step: Annotated[str, Path(pattern="^(pack|ship|deliver)$")]) -> Response:
    """The seller has packed, shipped or delivered it."""
    form = await visit.form()
    then = f"{visit.root}/orders/{order_id}" if form["stay"] else f"{visit.root}/"
    return await visit.do("POST", f"/orders/{order_id}/{step}", then=then, notice=f"notice.{step}")


async def await_replication(visit: Visit, path: str, body: object) -> dict[str, str]:
    """The answer of a service that has to consume an order's event first; raises `Refused` if it does not in time."""
    loop = asyncio.get_running_loop()
    until = loop.time() + REPLICATED_WITHIN
    while True:
        try:
            answer: dict[str, str] = await visit.send("POST", path, body)
        except Refused as refused:
            if refused.code != "not_found" or loop.time() > until:
                raise
            await asyncio.sleep(0.1)
        else:
            return answer


async def _show(
    visit: Visit, order_id: UUID, *, asking: bool = False, refused: str = "", typed: Form | None = None
) -> Response:
    """The order; with its cancel dialog if the buyer is `asking`, or may try again what was refused as it was typed."""
    order = by_pieces(await visit.get(f"/orders/{order_id}"))
    threads, reasons, destination, refunds, sellers = await asyncio.gather(
        visit.get("/chat/threads", order_id=str(order_id)),
        visit.get("/orders/cancel-reasons"),
        _destination(visit, order),
        _refunds(visit, order),
        sellers_of(visit, [order["seller_id"]]),
    )
    return visit.page(
        "order.html",
        409 if refused else 200,
        order=order,
        ahead=PATH[PATH.index(order["status"]) + 1 :] if order["status"] in PATH else (),
        thread=next(iter(threads["items"]), None),
        reasons={one["code"]: one[visit.language] for one in reasons["items"]},
        now=await visit.now(),
        asking=(asking or bool(refused)) and order["cancellation"]["allowed"],
        refused=refused,
        typed=typed or Form(),
        destination=destination,
        refunds=refunds,
        seller=sellers[order["seller_id"]],
    )


async def _destination(visit: Visit, order: dict[str, Any]) -> dict[str, Any] | None:
    """The destination of the refund if the buyer cancelled, with the end of DANA's number; None if it is not known."""
    if visit.person.role != "buyer" or not order["rest"] or not order["cancellation"]["allowed"]:
        return None
    try:
        dana = (await visit.get("/refunds/wallet"))["dana"]
    except ServiceAway:
        return None
    return {"name": "dana" if dana["linked"] else "lazada_credit", "phone": dana["phone"]}


async def _refunds(visit: Visit, order: dict[str, Any]) -> dict[str, Any]:
    """The order's refunds as `refunds` has them, for its buyer: earlier than `orders` knows them, and with the end of
    DANA's number. By their cancellations; empty while it is away."""
    if visit.person.role != "buyer" or not order["refunded_amount"]:
        return {}
    try:
        found = (await visit.get("/refunds", order_id=order["order_id"], limit=100))["items"]
    except ServiceAway:
        return {}
    return {one["cancellation_id"]: one for one in found if one["order_id"] == order["order_id"]}
