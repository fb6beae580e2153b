"""The refunds side, with FastAPI, SQLAlchemy, FastStream and faststream-outbox."""

from uuid import uuid4

from faststream.rabbit import Channel
from sqlalchemy import text

from lab.bench.faststream import shared
from lab.bench.faststream.shared import NAME, OTHER, SagaEvent, exchange, outbox, queue, rabbit, session_factory

PHONE = text("select phone from dana_links where buyer_id = :buyer_id")
REFUND = text(
    "insert into refunds (refund_id, cancellation_id, order_id, buyer_id, amount, destination, state) "
    "values (:refund_id, :cancellation_id, :order_id, :buyer_id, :paid_amount, 'lazada_credit', 'issued')"
)
TRANSACTION = text(
    "insert into ledger_transactions (transaction_id, refund_id, kind) values (:id, :refund_id, 'credit')"
)
ENTRIES = text(
    "insert into ledger_entries (transaction_id, account, buyer_id, amount) values "
    "(:id, 'cancelled_orders', :buyer_id, -cast(:amount as bigint)), (:id, 'lazada_credit', :buyer_id, :amount)"
)
ISSUED = f"{NAME}.RefundIssued"

app = shared.application()
shared.relay(ISSUED)


@rabbit.subscriber(queue(f"{OTHER}.OrderCancelled"), exchange, channel=Channel(prefetch_count=100))
async def refund(event: SagaEvent) -> None:
    """Refunds the paid amount of a cancelled order."""
    async with session_factory() as session, session.begin():
        if not await shared.is_new(session, event):
            return
        await session.execute(PHONE, {"buyer_id": event.data["buyer_id"]})
        refund_id, transaction_id = uuid4(), uuid4()
        await session.execute(REFUND, {"refund_id": refund_id, "order_id": event.order_id, **event.data})
        await session.execute(TRANSACTION, {"id": transaction_id, "refund_id": refund_id})
        money = {"buyer_id": event.data["buyer_id"], "amount": event.data["paid_amount"]}
        await session.execute(ENTRIES, {"id": transaction_id, **money})
        data = {"refund_id": str(refund_id), "amount": event.data["paid_amount"], "destination": "lazada_credit"}
        issued = SagaEvent(event_id=str(uuid4()), order_id=event.order_id, data=data)
        await outbox.publish(issued, queue=ISSUED, session=session)
