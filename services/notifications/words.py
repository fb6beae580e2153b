"""What notifications say, in Indonesian. A client with its own words uses `kind` and `data`."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone

from contracts.cs import Outcome
from contracts.words import Channel, Fault, rupiah, wallet
from services.notifications.domain import GONE, WEBHOOK_DISABLED, Facts, Side

WIB = timezone(timedelta(hours=7))
"""Western Indonesian Time."""
CHANNELS: Mapping[str, str] = {
    Channel.APP: "oleh pembeli melalui aplikasi",
    Channel.WEB: "oleh pembeli melalui situs web",
    Channel.CHAT: "oleh penjual",
    Channel.CS: "oleh layanan pelanggan",
    Channel.SYSTEM: "otomatis oleh sistem",
}
REASONS: Mapping[tuple[str, str], str] = {
    (Channel.CS, Fault.SELLER): "oleh layanan pelanggan karena penjual tidak memproses dan tidak menjawab",
    (Channel.SYSTEM, Fault.NONE): "otomatis karena belum dibayar sampai batas waktunya",
    (Channel.SYSTEM, Fault.SELLER): "otomatis karena penjual tidak mengirimnya sampai batas waktunya",
}
"""Where channel and fault together say more than the channel."""
OUTCOMES: Mapping[str, str] = {
    Outcome.ORDER_CANCELLED: "pesanan dibatalkan",
    Outcome.SELLER_ANSWERED: "penjual sudah menjawab",
    Outcome.ORDER_PROCESSED: "pesanan sudah diproses penjual",
    Outcome.ANSWERED: "pertanyaan Anda sudah dijawab",
    Outcome.WITHDRAWN: "laporan Anda ditarik",
}


def text(side: Side, kind: str, data: Facts) -> str:
    """The notification in one or two sentences."""
    return _TEXTS.get(kind, _news)(side, data)


def _news(side: Side, data: Facts) -> str:
    """Of a kind that only a newer version knows."""
    return f"Ada kabar baru{' tentang ' + _order(data, 'pesanan') if 'title' in data else ''}."


def _cancelled(side: Side, data: Facts) -> str:
    return f"{_order(data)} dibatalkan{_by(data)}.{_money(side, data)}"


def _items_cancelled(side: Side, data: Facts) -> str:
    pieces = sum(line["quantity"] for line in data["lines"])
    return f"{pieces} barang dari {_order(data, 'pesanan')} dibatalkan{_by(data)}.{_money(side, data)}"


def _contacted(side: Side, data: Facts) -> str:
    until = _time(data["respond_by"])
    if side is Side.SELLER:
        asked = f"Layanan pelanggan bertanya tentang {_order(data, 'pesanan')}: “{data['question']}”"
        return f"{asked} Jawab, kemas, atau kirim sebelum {until}, jika tidak, pesanan dibatalkan otomatis."
    return f"Layanan pelanggan sudah menghubungi penjual tentang {_order(data, 'pesanan')}. Ditunggu sampai {until}."


def _closed(side: Side, data: Facts) -> str:
    how = f": {OUTCOMES[data['outcome']]}" if data["outcome"] in OUTCOMES else ""
    return f"Layanan pelanggan menutup kasus tentang {_order(data, 'pesanan')}{how}."


_TEXTS: Mapping[str, Callable[[Side, Facts], str]] = {
    "OrderPlaced": lambda _, data: (
        f"Pesanan baru, bayar di tempat: {_order(data, 'pesanan')}, {rupiah(data['amount'])}. Silakan diproses."
    ),
    "OrderPaid": lambda _, data: (
        f"Pesanan baru sudah dibayar: {_order(data, 'pesanan')}, {rupiah(data['amount'])}. Silakan diproses."
    ),
    "OrderShipped": lambda _, data: f"{_order(data)} sedang dikirim.",
    "OrderDelivered": lambda _, data: f"{_order(data)} sudah sampai.",
    "OrderShipmentDue": lambda _, data: (
        f"Kirim {_order(data, 'pesanan')} sebelum {_time(data['ship_by'])}, jika tidak, pesanan dibatalkan otomatis."
    ),
    "OrderCancelled": _cancelled,
    "OrderItemsCancelled": _items_cancelled,
    "RefundIssued": lambda _, data: (
        f"Dana {rupiah(data['amount'])} untuk {_order(data, 'pesanan')} sudah masuk ke "
        f"{wallet(data['destination'])} Anda."
    ),
    "RefundDelayed": lambda _, data: (
        f"Pengembalian dana untuk {_order(data, 'pesanan')} ke {wallet(data['destination'])} tertunda. "
        "Sistem terus mencoba sampai berhasil."
    ),
    "SellerContacted": _contacted,
    "SellerReplied": lambda _, data: f"Penjual sudah menjawab layanan pelanggan tentang {_order(data, 'pesanan')}.",
    "CaseClosed": _closed,
    WEBHOOK_DISABLED: lambda _, data: (
        f"Webhook {data['url']} dinonaktifkan: pesan tidak dapat dikirim selama sehari."
        if data["error"] != GONE
        else f"Webhook {data['url']} dinonaktifkan: penerimanya tidak mau menerima pesan lagi."
    ),
}


def _order(data: Facts, word: str = "Pesanan") -> str:
    """The order; its title is missing if it is older than this service."""
    return f"{word} “{data['title']}”" if data.get("title") else word


def _by(data: Facts) -> str:
    """By whom and why; a later version may know more channels."""
    said = REASONS.get((data["channel"], data["fault"])) or CHANNELS.get(data["channel"])
    return f" {said}" if said else ""


def _money(side: Side, data: Facts) -> str:
    """What comes back to the buyer, if it was paid."""
    back = f" Dana {rupiah(data['amount'])} dikembalikan ke"
    return f"{back} {'Anda' if side is Side.BUYER else 'pembeli'}." if data["amount"] else ""


def _time(text: str) -> str:
    return f"{datetime.fromisoformat(text).astimezone(WIB):%d-%m-%Y %H.%M} WIB"
