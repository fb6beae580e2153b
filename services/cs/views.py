"""How cases look from outside."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from contracts.cs import Outcome
from contracts.words import OrderStatus, PaymentMethod
from runtime.messaging.unit_of_work import Transaction
from services.cs import agents, store
from services.cs.domain import Case, State


class HandedOver(BaseModel):
    """The order that the buyer has handed over, as far as it is known here."""

    order_id: UUID
    status: OrderStatus
    seller_id: UUID
    seller_name: str | None
    lines: list[dict[str, Any]]
    total: int
    currency: str = "IDR"
    payment_method: PaymentMethod
    placed_at: datetime | None


class CaseView(BaseModel):
    """A case. `position` is the place in the queue, from 1, null outside of it; `respond_by` is what the seller has or
    had time until; `correlation_id` is that of everything that comes of the case."""

    case_id: UUID
    buyer_id: UUID
    buyer_name: str | None
    agent_id: UUID | None
    agent_name: str | None
    state: State
    position: int | None
    agents_on_duty: int
    order_id: UUID | None
    order: HandedOver | None
    contacted: bool
    respond_by: datetime | None
    outcome: Outcome | None
    rating: int | None
    opened_at: datetime
    ended_at: datetime | None
    last_seq: int
    correlation_id: UUID


class MessageView(BaseModel):
    """A message; `code` and `data` belong to system messages."""

    seq: int
    kind: str
    sender_id: UUID | None
    text: str
    code: str | None
    data: dict[str, Any] | None
    at: datetime


class Messages(BaseModel):
    """Messages in the order of their numbers, without gaps; `next` goes into `?after=` for more, null at the end."""

    items: list[MessageView]
    next: int | None


class DutyView(BaseModel):
    """Whether an agent is on duty, with how many cases at hand of how many at the most, and who waits."""

    on: bool
    load: int
    most: int
    waiting: int
    agents_on_duty: int


async def show(tx: Transaction, cases: Sequence[Case]) -> list[CaseView]:
    """The views of some cases."""
    ids = [case.case_id for case in cases]
    dates, positions = await store.dates(tx, ids), await store.positions(tx, cases)
    orders = await store.orders(tx, [case.order_id for case in cases if case.order_id])
    people = {case.buyer_id for case in cases} | {case.agent_id for case in cases if case.agent_id}
    people |= {order.seller_id for order in orders.values() if order.seller_id}
    names = await store.names(tx, list(people))
    on_duty = len(await agents.on_duty(tx))
    return [
        CaseView(
            case_id=case.case_id,
            buyer_id=case.buyer_id,
            buyer_name=names.get(case.buyer_id),
            agent_id=case.agent_id,
            agent_name=names.get(case.agent_id) if case.agent_id else None,
            state=case.state,
            position=positions.get(case.case_id),
            agents_on_duty=on_duty,
            order_id=case.order_id,
            order=_handed_over(orders.get(case.order_id) if case.order_id else None, names),
            contacted=case.order_id in case.contacted,
            respond_by=case.respond_by,
            outcome=case.outcome,
            rating=case.rating,
            opened_at=dates[case.case_id].opened_at,
            ended_at=dates[case.case_id].ended_at,
            last_seq=dates[case.case_id].last_seq,
            correlation_id=case.correlation_id,
        )
        for case in cases
    ]


def _handed_over(order: store.Order | None, names: Mapping[UUID, str]) -> HandedOver | None:
    if order is None or order.seller_id is None:
        return None
    return HandedOver(
        order_id=order.order_id,
        status=order.status,
        seller_id=order.seller_id,
        seller_name=names.get(order.seller_id),
        lines=order.lines or [],
        total=order.total or 0,
        payment_method=order.payment_method or PaymentMethod.COD,
        placed_at=order.placed_at,
    )
