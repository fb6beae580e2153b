"""How cases look from outside: over HTTP, in live frames, and in the system messages of a case."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from contracts.cs import Outcome
from contracts.orders import OrderCancelled, OrderItemsCancelled, RejectionCode
from contracts.refunds import RefundDelayed, RefundIssued
from contracts.words import Channel, Fault, Open, OrderStatus, PaymentMethod, rupiah, wallet
from runtime.messaging.unit_of_work import Transaction
from services.cs import agents, store
from services.cs.domain import Case, SellerDid, State
from services.cs.store import Message, Phrase


class HandedOver(BaseModel):
    """The order that the buyer has handed over, as far as it is known here."""

    order_id: UUID
    status: OrderStatus
    seller_id: UUID
    seller_name: str | None
    lines: list[dict[str, Any]]
    total: int
    currency: str = "IDR"
    payment_method: Open[PaymentMethod]
    placed_at: datetime | None


class CaseView(BaseModel):
    """A case. `position` is the place in the queue, from 1, null outside of it; `respond_by` is what the seller has or
    had time until; `last_text` is what a person wrote last; `waits_since` is when the buyer wrote what no agent has
    answered, null if there is no such text or the case is over; `correlation_id` is that of all events of the case."""

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
    outcome: Open[Outcome] | None
    rating: int | None
    opened_at: datetime
    ended_at: datetime | None
    last_seq: int
    last_text: Message | None
    waits_since: datetime | None
    correlation_id: UUID


class Messages(BaseModel):
    """Messages in the order of their numbers, without gaps; `next` goes into `?after=` for more, null at the end."""

    items: list[Message]
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
    talks, positions = await agents.talks(tx, ids), await agents.positions(tx, cases)
    orders = await store.orders(tx, [case.order_id for case in cases if case.order_id])
    accounts = {case.buyer_id for case in cases} | {case.agent_id for case in cases if case.agent_id}
    accounts |= {order.seller_id for order in orders.values() if order.seller_id}
    names = await agents.names(tx, list(accounts))
    on_duty = len(await agents.on_duty(tx))
    return [
        CaseView(
            **vars(case) | talks[case.case_id] | {"contacted": case.order_id in case.contacted},
            buyer_name=names.get(case.buyer_id),
            agent_name=names.get(case.agent_id) if case.agent_id else None,
            position=positions.get(case.case_id),
            agents_on_duty=on_duty,
            order=_handed_over(orders.get(case.order_id) if case.order_id else None, names),
        )
        for case in cases
    ]


def _handed_over(order: store.Order | None, names: Mapping[UUID, str]) -> HandedOver | None:
    if order is None or order.seller_id is None:
        return None
    gone = Counter[str]()
    for one in chain.from_iterable(order.parts.values()):
        gone[one["product_id"]] += one["quantity"]
    lines = [line | {"cancelled": gone[line["product_id"]]} for line in order.lines or []]
    return HandedOver(**vars(order) | {"lines": lines}, seller_name=names.get(order.seller_id))


async def show_duty(tx: Transaction, agent_id: UUID, max_cases: int) -> DutyView:
    """The view of an agent's duty."""
    return DutyView(**await agents.duty(tx, agent_id), most=max_cases)


def message_frame(case_id: UUID, message: Message) -> str:
    """A new message."""
    return _frame("message", case_id=case_id, message={**vars(message), "at": message.at.isoformat()})


def case_frame(case: Case) -> str:
    """The state of a case; a countdown runs to `respond_by`."""
    names = ("case_id", "state", "agent_id", "order_id", "respond_by", "outcome")
    fields = {name: getattr(case, name) for name in names}
    return _frame("case", **fields | {"respond_by": case.respond_by and case.respond_by.isoformat()})


def position_frame(case_id: UUID, position: int, agents_on_duty: int) -> str:
    """A buyer's position in the queue, from 1."""
    return _frame("queue", case_id=case_id, position=position, agents_on_duty=agents_on_duty)


def queue_frame(waiting: int, agents_on_duty: int) -> str:
    """The queue as agents see it."""
    return _frame("queue", waiting=waiting, agents_on_duty=agents_on_duty)


def duty_frame(*, on: bool) -> str:
    """Whether the agent is on duty: published also to an agent who was away for too long."""
    return _frame("duty", on=on)


def _frame(kind: str, **fields: Any) -> str:
    return json.dumps({"type": kind, **fields}, default=str, ensure_ascii=False)


QUESTION = (
    "Pembeli menunggu kabar tentang pesanan ini. Mohon dijawab, dikemas atau dikirim dalam 24 jam; "
    "kalau tidak, pesanan dibatalkan otomatis."
)
"""What the seller is asked when the agent has no words of their own."""

LATE: Mapping[str, str] = {Fault.NONE: "belum dibayar", Fault.SELLER: "tidak dikirim"}
"""Why `orders` itself cancels: the fault says which deadline has passed."""
DEEDS = {
    SellerDid.REPLIED: "Penjual sudah menjawab. Pesanan tidak dibatalkan; petugas melanjutkan dengan Anda.",
    SellerDid.PACKED: "Penjual sudah mengemas pesanan. Pesanan tidak dibatalkan.",
    SellerDid.SHIPPED: "Penjual sudah mengirim pesanan. Pesanan tidak dibatalkan.",
}
REFUSALS: Mapping[str, str] = {
    RejectionCode.ALREADY_SHIPPED: "Pesanan sudah dikirim, jadi tidak bisa dibatalkan lagi.",
    RejectionCode.ALREADY_CANCELLED: "Pesanan ternyata sudah dibatalkan lebih dulu.",
    RejectionCode.WINDOW_CLOSED: "Batas waktu pembatalan sudah lewat.",
    RejectionCode.NOT_FOUND: "Pesanan tidak ditemukan, jadi tidak dibatalkan.",
}
BY: Mapping[str, str] = {
    Channel.APP: "oleh pembeli lewat aplikasi",
    Channel.WEB: "oleh pembeli lewat situs web",
    Channel.CHAT: "oleh penjual",
    Channel.CS: "oleh layanan pelanggan",
    Channel.SYSTEM: "otomatis oleh sistem",
}
NO_AGENT_ON_DUTY = Phrase(
    "nobody_on_duty", "Saat ini tidak ada petugas yang bertugas. Anda tetap di antrean dan disambungkan begitu ada."
)
AGENT_LEFT = Phrase("agent_left", "Petugas sudah tidak bertugas. Anda disambungkan dengan petugas lain secepatnya.")
SELLER_SILENT = Phrase(
    "seller_silent", "Penjual tidak menjawab dan tidak memproses pesanan dalam 24 jam. Pesanan akan dibatalkan."
)


def agent_joined(agent_id: UUID, name: str | None) -> Phrase:
    """The case is with an agent now."""
    return Phrase("agent_joined", f"{name or 'Petugas'} bergabung.", {"agent_id": str(agent_id), "name": name})


def order_handed_over(order_id: UUID) -> Phrase:
    """The agent has the data of the order (A)."""
    return Phrase("order_handed_over", "Pembeli menyerahkan data pesanan.", {"order_id": str(order_id)})


def seller_contacted(order_id: UUID, question: str, respond_by: datetime) -> Phrase:
    """The 24 hours run (A)."""
    facts = {"order_id": str(order_id), "question": question, "respond_by": respond_by.isoformat()}
    return Phrase("seller_contacted", "Penjual sudah dihubungi dan punya waktu 24 jam untuk menjawab.", facts)


def called_off(deed: SellerDid, order_id: UUID) -> Phrase:
    """The seller did something in time, so that nothing is cancelled (A)."""
    return Phrase(deed.value, DEEDS[deed], {"order_id": str(order_id)})


def too_late(deed: SellerDid, order_id: UUID) -> Phrase:
    """The seller did something when the 24 hours were over, or when the order's end had been asked for."""
    facts = {"order_id": str(order_id), "deed": deed.value}
    return Phrase("seller_too_late", "Penjual baru menanggapi setelah 24 jam lewat.", facts)


def order_cancelled(event: OrderCancelled, *, ours: bool) -> Phrase:
    """The order is cancelled; `ours` says whether by this case."""
    refund = " Uang Anda dikembalikan sepenuhnya." if event.paid_amount else ""
    facts = {
        "order_id": str(event.order_id),
        "cancellation_id": str(event.cancellation_id),
        "channel": str(event.channel),
        "fault": str(event.fault),
        "paid_amount": event.paid_amount,
        "ours": ours,
    }
    by = f" {BY[event.channel]}" if event.channel in BY else ""  # a later version may know more channels
    if event.channel is Channel.SYSTEM and event.fault in LATE:
        by = f" otomatis karena {LATE[event.fault]} sampai batas waktunya"
    return Phrase("order_cancelled", f"Pesanan dibatalkan{by}.{refund}", facts)


def items_cancelled(event: OrderItemsCancelled, order: store.Order) -> Phrase:
    """Some pieces are cancelled; the rest is not."""
    titles = {line["product_id"]: line["title"] for line in order.lines or []}
    lines = [
        {"product_id": str(one.product_id), "title": titles.get(str(one.product_id)), "quantity": one.quantity}
        for one in event.lines
    ]
    facts = {
        "order_id": str(event.order_id),
        "cancellation_id": str(event.cancellation_id),
        "channel": str(event.channel),
        "fault": str(event.fault),
        "lines": lines,
        "refund_amount": event.refund_amount,
    }
    by = f" {BY[event.channel]}" if event.channel in BY else ""
    pieces = ", ".join(f"{one['quantity']} × {one['title'] or 'produk'}" for one in lines)
    refund = f" {rupiah(event.refund_amount)} dikembalikan." if event.refund_amount else ""
    return Phrase("items_cancelled", f"Dibatalkan{by}: {pieces}. Sisa pesanan tetap berlaku.{refund}", facts)


def cancel_rejected(order_id: UUID, code: RejectionCode | str, detail: str) -> Phrase:
    """`orders` rejects the cancellation, with the reason."""
    text = REFUSALS.get(code, "Pesanan tidak dapat dibatalkan.")
    return Phrase("cancel_rejected", text, {"order_id": str(order_id), "code": str(code), "detail": detail})


def refund_issued(event: RefundIssued) -> Phrase:
    """The money has arrived."""
    facts = {"refund_id": str(event.refund_id), "amount": event.amount, "destination": str(event.destination)}
    return Phrase("refund_issued", f"{rupiah(event.amount)} sudah masuk ke {wallet(event.destination)}.", facts)


def refund_delayed(event: RefundDelayed) -> Phrase:
    """The money has not arrived yet."""
    facts = {
        "refund_id": str(event.refund_id),
        "destination": str(event.destination),
        "next_attempt_at": event.next_attempt_at.isoformat(),
    }
    return Phrase("refund_delayed", f"Uang belum sampai di {wallet(event.destination)}; kami coba lagi.", facts)


def case_closed(outcome: Outcome) -> Phrase:
    """The agent has ended the case."""
    return Phrase("case_closed", "Percakapan ditutup. Silakan beri nilai 1 sampai 5.", {"outcome": outcome.value})
