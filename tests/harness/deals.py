"""One order, and the events that other services publish about it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from contracts.chat import SellerReplied
from contracts.cs import CaseClosed, Outcome, SellerContacted
from contracts.orders import (
    CancelledPieces,
    OrderCancelled,
    OrderCancelRejected,
    OrderItemsCancelled,
    OrderLine,
    OrderPacked,
    OrderPaid,
    OrderPlaced,
    OrderShipped,
    RejectionCode,
)
from contracts.refunds import RefundDelayed, RefundIssued
from contracts.words import Channel, Destination, Fault, PaymentMethod
from runtime.messaging.envelope import Event
from tests.harness.actors import Person

PRICE = 189_000


@dataclass(frozen=True)
class Deal:
    """An order with its buyer and seller."""

    order_id: UUID
    buyer: Person
    seller: Person

    @property
    def ids(self) -> dict[str, Any]:
        """What its events have in common; each event takes what it has fields for."""
        ids = {"order_id": self.order_id, "buyer_id": self.buyer.account_id, "seller_id": self.seller.account_id}
        return ids | {"amount": PRICE, "paid_amount": PRICE, "total": PRICE}

    @property
    def product_id(self) -> UUID:
        """Its only product."""
        return self.order_id

    def placed(self) -> OrderPlaced:
        """Three pieces are ordered."""
        line = OrderLine(product_id=self.product_id, title="Kemeja batik", quantity=3, unit_price=PRICE // 3)
        method, now = PaymentMethod.DANA, datetime.now(UTC)
        return OrderPlaced(**self.ids, lines=(line,), payment_method=method, placed_at=now)

    def moved(self, to: str, at: datetime | None = None) -> Event:
        """The order has become `processing`, `packed` or `shipped`."""
        steps: dict[str, type[Event]] = {"processing": OrderPaid, "packed": OrderPacked, "shipped": OrderShipped}
        return steps[to].model_validate(self.ids | {"at": at or datetime.now(UTC)})

    def cancelled(
        self, channel: str = "app", cancellation_id: UUID | None = None, fault: Fault | None = None
    ) -> OrderCancelled:
        """The order is cancelled."""
        fault = fault or (Fault.BUYER if channel in ("app", "web") else Fault.SELLER)
        cancellation_id = cancellation_id or uuid4()
        return OrderCancelled(**self.ids, cancellation_id=cancellation_id, channel=Channel(channel), fault=fault)

    def items_cancelled(
        self, channel: str = "app", cancellation_id: UUID | None = None, quantity: int = 1
    ) -> OrderItemsCancelled:
        """Some pieces are cancelled."""
        net = quantity * PRICE // 3
        return OrderItemsCancelled(
            **self.ids,
            cancellation_id=cancellation_id or uuid4(),
            channel=Channel(channel),
            lines=(CancelledPieces(product_id=self.product_id, quantity=quantity, net=net),),
            refund_amount=net,
            fault=Fault.BUYER if channel in ("app", "web") else Fault.SELLER,
        )

    def rejected(self, cancellation_id: str, code: str = "already_shipped") -> OrderCancelRejected:
        """The order is not cancelled."""
        request = UUID(cancellation_id)
        return OrderCancelRejected(**self.ids, cancellation_id=request, code=RejectionCode(code), detail="No.")

    def refunded(
        self, refund_id: UUID, destination: str = "lazada_credit", cancellation_id: UUID | None = None
    ) -> RefundIssued:
        """The money is back."""
        ids = {"refund_id": refund_id, "cancellation_id": cancellation_id or uuid4()}
        return RefundIssued(**self.ids | ids, destination=Destination(destination))

    def delayed(self, refund_id: UUID, attempts: int = 1, cancellation_id: UUID | None = None) -> RefundDelayed:
        """The money is late."""
        late: dict[str, Any] = {"attempts": attempts, "next_attempt_at": datetime.now(UTC)}
        late |= {"cancellation_id": cancellation_id}
        return RefundDelayed(**self.ids, refund_id=refund_id, destination=Destination.DANA, **late)

    def contacted(self, case_id: UUID, question: str = "Apakah pesanan sudah diproses?") -> SellerContacted:
        """Customer service asks the seller."""
        until = datetime.now(UTC) + timedelta(hours=24)
        return SellerContacted(**self.ids, case_id=case_id, question=question, respond_by=until)

    def replied(self, case_id: UUID) -> SellerReplied:
        """The seller has answered customer service."""
        return SellerReplied(**self.ids, case_id=case_id)

    def closed(self, case_id: UUID, outcome: Outcome = Outcome.SELLER_ANSWERED) -> CaseClosed:
        """The case is closed."""
        return CaseClosed(case_id=case_id, order_id=self.order_id, outcome=outcome)
