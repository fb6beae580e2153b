"""The system's messages in a thread, in Indonesian, and the buyer's replies with one tap."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from pydantic import BaseModel

from contracts.cs import Outcome
from contracts.orders import RejectionCode
from contracts.words import Channel, Destination, Fault, rupiah, wallet
from services.chat.domain import was_silent

WIB = timezone(timedelta(hours=7))
"""Western Indonesian Time."""


class QuickReply(BaseModel):
    """A reply that the buyer can send with one tap."""

    code: str
    id: str
    en: str


QUICK_REPLIES = [
    QuickReply(
        code="sorry_and_thanks",
        id="Mohon maaf sudah merepotkan, dan terima kasih banyak atas bantuannya.",
        en="I am sorry for the trouble, and thank you very much for your help.",
    ),
    QuickReply(
        code="next_time",
        id="Maaf ya, Kak, pesanannya jadi batal. Terima kasih, lain kali saya pesan lagi.",
        en="Sorry that the order came to nothing. Thank you, I will order again another time.",
    ),
    QuickReply(
        code="patience",
        id="Mohon maaf atas pembatalannya. Terima kasih atas pengertian dan kesabarannya.",
        en="My apologies for cancelling. Thank you for your understanding and patience.",
    ),
]
"""A: "jangan lupa untuk meminta maaf … dan berterima kasih": each reply does both."""

GUIDE = (
    "Pesanan ini dapat Anda batalkan sendiri: buka pesanannya, tekan “Batalkan pesanan”, pilih alasannya bila mau, "
    "lalu konfirmasi. Dana yang sudah dibayar dikembalikan sepenuhnya."
)
REJECTIONS: Mapping[str, str] = {
    RejectionCode.ALREADY_SHIPPED: "pesanan sudah dikirim",
    RejectionCode.ALREADY_CANCELLED: "pesanan sudah dibatalkan",
    RejectionCode.WINDOW_CLOSED: "batas waktu 1 × 24 jam sudah lewat",
    RejectionCode.NOT_FOUND: "pesanan tidak ditemukan",
    RejectionCode.NOT_ENOUGH_LEFT: "barang yang tersisa tidak sebanyak itu",
    RejectionCode.WRONG_STATE: "pesanan belum dibayar, jadi hanya bisa dibatalkan seluruhnya",
    RejectionCode.BELOW_VOUCHER_MINIMUM: "sisa pesanan akan kurang dari belanja minimum vouchernya",
}
BY: Mapping[str, str] = {
    Channel.APP: " oleh pembeli melalui aplikasi",
    Channel.WEB: " oleh pembeli melalui situs web",
    Channel.CHAT: " oleh penjual",
    Channel.CS: " oleh layanan pelanggan",
    Channel.SYSTEM: " otomatis oleh sistem",
}
"""A later version may know more channels."""
LATE: Mapping[str, str] = {Fault.NONE: "belum dibayar", Fault.SELLER: "tidak dikirim"}
"""Why `orders` itself cancels: the fault says which deadline has passed."""
OUTCOMES: Mapping[str, str] = {
    Outcome.ORDER_CANCELLED: "pesanan dibatalkan",
    Outcome.SELLER_ANSWERED: "penjual sudah menjawab",
    Outcome.ORDER_PROCESSED: "pesanan sudah diproses penjual",
    Outcome.ANSWERED: "pertanyaan pembeli sudah dijawab",
    Outcome.WITHDRAWN: "pembeli menarik laporannya",
}


def cancelled(channel: Channel | str, fault: Fault | str) -> str:
    """Who has cancelled the order."""
    if was_silent(channel, fault):
        return "Pesanan dibatalkan oleh layanan pelanggan karena penjual tidak memproses dan tidak menjawab."
    if channel is Channel.SYSTEM and fault in LATE:
        return f"Pesanan dibatalkan otomatis karena {LATE[fault]} sampai batas waktunya."
    return f"Pesanan dibatalkan{BY.get(channel, '')}."


def items_cancelled(channel: Channel | str, lines: Sequence[Mapping[str, Any]], refund_amount: int) -> str:
    """Who has cancelled which pieces; `refund_amount` in whole rupiah."""
    pieces = ", ".join(f"{line['quantity']} × {line['title'] or 'produk'}" for line in lines)
    refund = f" Dana {rupiah(refund_amount)} dikembalikan." if refund_amount else ""
    return f"Dibatalkan{BY.get(channel, '')}: {pieces}. Sisa pesanan tetap berlaku.{refund}"


def rejected(code: RejectionCode | str) -> str:
    """Why the seller's cancellation was rejected."""
    why = f": {REJECTIONS[code]}" if code in REJECTIONS else ""
    return f"Pembatalan oleh penjual tidak dapat dilakukan{why}."


def refund_issued(amount: int, destination: Destination | str) -> str:
    """The money is back; `amount` in whole rupiah."""
    return f"Dana {rupiah(amount)} sudah dikembalikan sepenuhnya ke {wallet(destination)} pembeli."


def refund_delayed(destination: Destination | str) -> str:
    """The money is late, and the system keeps trying."""
    return f"Pengembalian dana ke {wallet(destination)} tertunda. Sistem terus mencoba sampai berhasil."


def seller_contacted(question: str, respond_by: datetime) -> str:
    """The question to the seller, and until when customer service waits."""
    until = f"{respond_by.astimezone(WIB):%d-%m-%Y %H.%M} WIB"
    return f"Layanan pelanggan bertanya kepada penjual: “{question}” Mohon dijawab sebelum {until}."


def case_closed(outcome: Outcome | str) -> str:
    """How the case has ended."""
    how = f": {OUTCOMES[outcome]}" if outcome in OUTCOMES else ""
    return f"Layanan pelanggan menutup kasus ini{how}."
