"""What a buyer may give as the reason (A: a reason may be given, or skipped)."""

from enum import StrEnum

from pydantic import BaseModel


class Reason(StrEnum):
    """The codes of the reasons."""

    CHANGED_MIND = "changed_mind"
    WRONG_ADDRESS = "wrong_address"
    WRONG_PRODUCT = "wrong_product"
    FOUND_CHEAPER = "found_cheaper"
    TOO_SLOW = "too_slow"
    DUPLICATE_ORDER = "duplicate_order"
    PAYMENT_METHOD = "payment_method"
    OTHER = "other"


class ReasonLabels(BaseModel):
    """A reason with its words in Indonesian and English."""

    code: Reason
    id: str
    en: str


REASONS = [
    ReasonLabels(code=Reason.CHANGED_MIND, id="Berubah pikiran", en="Changed my mind"),
    ReasonLabels(code=Reason.WRONG_ADDRESS, id="Alamat pengiriman salah", en="Wrong delivery address"),
    ReasonLabels(code=Reason.WRONG_PRODUCT, id="Salah memilih produk atau variasi", en="Wrong product or variant"),
    ReasonLabels(code=Reason.FOUND_CHEAPER, id="Menemukan harga yang lebih murah", en="Found it cheaper elsewhere"),
    ReasonLabels(code=Reason.TOO_SLOW, id="Pengiriman terlalu lama", en="Delivery takes too long"),
    ReasonLabels(code=Reason.DUPLICATE_ORDER, id="Pesanan ganda", en="Ordered twice"),
    ReasonLabels(code=Reason.PAYMENT_METHOD, id="Ingin mengganti metode pembayaran", en="Want to pay another way"),
    ReasonLabels(code=Reason.OTHER, id="Alasan lain", en="Another reason"),
]
