"""The orders side, with FastAPI, SQLAlchemy, FastStream and faststream-outbox."""

from typing import Any
from uuid import UUID, uuid4

from fastapi import HTTPException
from faststream.rabbit import Channel
from pydantic import BaseModel
from sqlalchemy import text

from lab.bench.faststream import shared
from lab.bench.faststream.shared import NAME, OTHER, SagaEvent, exchange, outbox, queue, rabbit, session_factory

LOCK = text("select * from orders where order_id = :id for update")
UPDATE = text("update orders set status = 'cancelled', version = version + 1 where order_id = :id")
HISTORY = text(
    "insert into order_history (order_id, version, status, at) values (:id, :version, 'cancelled', clock_now())"
)
STOCK = text("update products set stock = stock + :pieces where product_id = :id")
CANCELLATION = text(
    "insert into cancellations (order_id, cancellation_id, seller_id, channel, requested_by, role, reason, fault, at, "
    "pieces, refund_amount) values (:id, :cancellation_id, :seller_id, 'app', :buyer_id, 'buyer', :reason, 'buyer', "
    "clock_now(), :pieces, :paid_amount)"
)
SHOW = text(
    "update cancellations set refund_id = :refund_id, refund_state = 'issued', destination = :destination, "
    "refund_sequence = 1 where order_id = :order_id and lines is null"
)
CANCELLED = f"{NAME}.OrderCancelled"

app = shared.application()
shared.relay(CANCELLED)


class Cancel(BaseModel):
    """The body of a cancel request."""

    reason: str | None = None


@app.post("/orders/{order_id}/cancel")
async def cancel(order_id: UUID, body: Cancel) -> dict[str, Any]:
    """Cancels an order."""
    async with session_factory() as session, session.begin():
        order = (await session.execute(LOCK, {"id": order_id})).mappings().first()
        if order is None or order["status"] not in ("processing", "packed"):
            raise HTTPException(409)
        cancellation_id = uuid4()
        await session.execute(UPDATE, {"id": order_id})
        await session.execute(HISTORY, {"id": order_id, "version": order["version"] + 1})
        for line in order["lines"]:
            await session.execute(STOCK, {"id": line["product_id"], "pieces": line["quantity"]})
        values = {name: order[name] for name in ("seller_id", "buyer_id", "pieces", "paid_amount")}
        values["reason"] = body.reason
        await session.execute(CANCELLATION, {"id": order_id, "cancellation_id": cancellation_id, **values})
        data = {
            "cancellation_id": str(cancellation_id),
            "buyer_id": str(order["buyer_id"]),
            "paid_amount": order["paid_amount"],
        }
        event = SagaEvent(event_id=str(uuid4()), order_id=str(order_id), data=data)
        await outbox.publish(event, queue=CANCELLED, session=session)
    return {**order, "status": "cancelled", "cancellation_id": cancellation_id}


@rabbit.subscriber(queue(f"{OTHER}.RefundIssued"), exchange, channel=Channel(prefetch_count=100))
async def show_refund(event: SagaEvent) -> None:
    """Shows the refund at the order."""
    async with session_factory() as session, session.begin():
        if await shared.is_new(session, event):
            await session.execute(SHOW, {"order_id": event.order_id, **event.data})
