"""What the system says in a case: a stable code, the words for it, and the facts for a page with words of its own."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from contracts.cs import Outcome
from contracts.orders import OrderCancelled, RejectionCode
from contracts.refunds import RefundDelayed, RefundIssued
from contracts.words import Channel, Destination, Fault
from services.cs.domain import SellerDid

QUESTION = (
    "Pembeli menunggu kabar tentang pesanan ini. Mohon dijawab, dikemas atau dikirim dalam 24 jam; "
    "kalau tidak, pesanan dibatalkan otomatis."
)
"""What the seller is asked when the agent has no words of their own."""

NOT_PAID = "Pesanan dibatalkan otomatis karena belum dibayar sampai batas waktunya."
PLACES: Mapping[str, str] = {Destination.LAZADA_CREDIT: "Lazada Credit", Destination.DANA: "DANA"}
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


@dataclass(frozen=True)
class Phrase:
    """A system message."""

    code: str
    text: str
    data: dict[str, Any] = field(default_factory=dict)


NOBODY_ON_DUTY = Phrase(
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
    if event.channel is Channel.SYSTEM and event.fault is Fault.NONE:
        return Phrase("order_cancelled", NOT_PAID, facts)
    by = f" {BY[event.channel]}" if event.channel in BY else ""  # a later version may know more channels
    return Phrase("order_cancelled", f"Pesanan dibatalkan{by}.{refund}", facts)


def cancel_rejected(order_id: UUID, code: RejectionCode | str, detail: str) -> Phrase:
    """`orders` says no, and why."""
    text = REFUSALS.get(code, "Pesanan tidak dapat dibatalkan.")
    return Phrase("cancel_rejected", text, {"order_id": str(order_id), "code": str(code), "detail": detail})


def refund_issued(event: RefundIssued) -> Phrase:
    """The money has arrived."""
    facts = {"refund_id": str(event.refund_id), "amount": event.amount, "destination": str(event.destination)}
    amount = f"{event.amount:,}".replace(",", ".")
    return Phrase("refund_issued", f"Rp{amount} sudah masuk ke {_place(event.destination)}.", facts)


def refund_delayed(event: RefundDelayed) -> Phrase:
    """The money is not there yet, and nobody says that it is."""
    facts = {
        "refund_id": str(event.refund_id),
        "destination": str(event.destination),
        "next_attempt_at": event.next_attempt_at.isoformat(),
    }
    return Phrase("refund_delayed", f"Uang belum sampai di {_place(event.destination)}; kami coba lagi.", facts)


def _place(destination: Destination | str) -> str:
    return PLACES.get(destination, destination)


def case_closed(outcome: Outcome) -> Phrase:
    """The agent has ended the case."""
    return Phrase("case_closed", "Percakapan ditutup. Silakan beri nilai 1 sampai 5.", {"outcome": outcome.value})
