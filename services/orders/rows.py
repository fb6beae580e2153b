"""Orders and cancellations from rows of the database, and lines to them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
from pydantic import BaseModel

from contracts.orders import CancelledPieces, RequesterRole
from contracts.words import Channel, Destination, Fault, OrderStatus, PaymentMethod, known
from services.orders import pricing
from services.orders.domain import Cancellation, Order, Refund, Step
from services.orders.pricing import Line


def order_of(row: asyncpg.Record) -> Order:
    """The order, from its row with the cancellation that ended it, and the earlier ones as JSON."""
    lines = tuple(_line(line) for line in row["lines"])
    made = [_part(one) for one in row["parted"] or ()]
    if row["cancellation_id"] is not None:
        made.append(_cancellation(row, pricing.take(lines), True))
    return Order(
        row["order_id"],
        row["buyer_id"],
        row["seller_id"],
        OrderStatus(row["status"]),
        lines,
        row["total"],
        known(PaymentMethod, row["payment_method"]),
        row["paid_amount"],
        row["placed_at"],
        row["version"],
        row["shipping_fee"],
        row["discount"],
        row["voucher"],
        row["voucher_minimum"],
        row["pay_by"],
        row["ship_by"],
        tuple(Step(OrderStatus(status), at) for status, at in zip(row["steps"], row["times"], strict=True)),
        tuple(made),
    )


def _line(line: dict[str, Any]) -> Line:
    older = {} if "net" in line else {"net": line["quantity"] * line["unit_price"]}
    return Line.model_validate(line | older)


def _part(row: dict[str, Any]) -> Cancellation:
    ids = {name: row[name] and UUID(row[name]) for name in ("cancellation_id", "requested_by", "refund_id")}
    lines = tuple(map(CancelledPieces.model_validate, row["lines"]))
    return _cancellation(row | ids | {"at": datetime.fromisoformat(row["at"])}, lines, False)


def _cancellation(
    row: asyncpg.Record | dict[str, Any], lines: tuple[CancelledPieces, ...], ended: bool
) -> Cancellation:
    refund = None
    if row["refund_id"] is not None:
        destination = known(Destination, row["destination"])
        refund = Refund(row["refund_id"], row["refund_state"], row["refund_amount"], destination)
    return Cancellation(
        row["cancellation_id"],
        known(Channel, row["channel"]),
        row["requested_by"],
        known(RequesterRole, row["role"]),
        row["reason"],
        row["note"],
        known(Fault, row["fault"]),
        row["at"],
        lines,
        row["refund_amount"],
        ended,
        refund,
    )


def as_json(lines: Sequence[BaseModel]) -> list[dict[str, Any]]:
    """Lines as they are kept."""
    return [line.model_dump(mode="json") for line in lines]
