"""The types that several events share."""

from enum import StrEnum
from typing import Annotated, Any, TypeVar

from pydantic import Field, GetJsonSchemaHandler, StringConstraints
from pydantic_core import CoreSchema

Rupiah = Annotated[int, Field(ge=0, le=1_000_000_000_000, strict=True, description="whole rupiah (IDR)")]
Note = Annotated[str, StringConstraints(max_length=500, pattern=r"^[^\x00]*$")]

W = TypeVar("W", bound=StrEnum)


class _Described:
    """Describes an open enumeration in the schema: a string, with the words that are known today."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        known, _ = handler(schema)["anyOf"]
        words = handler.resolve_ref_schema(known)["enum"]
        described = "one of " + ", ".join(f"`{word}`" for word in words) + ", or a word that was added later"
        return {"type": "string", "maxLength": LONGEST_WORD, "description": described, "examples": words[:1]}


LONGEST_WORD = 200
Open = Annotated[
    W | Annotated[str, StringConstraints(max_length=LONGEST_WORD, pattern=r"^[^\x00]*$")],
    Field(union_mode="left_to_right"),
    _Described(),
]
"""A word of an enumeration, in an event. A publisher may add words: an unknown word is kept as a string. Without this,
messages with a new word would be parked until all consumers are updated."""


def known(words: type[W], word: str) -> W | str:
    """The member of the enumeration, or the word as it is if there is none."""
    try:
        return words(word)
    except ValueError:
        return word


class Role(StrEnum):
    """The role of an account."""

    BUYER = "buyer"
    SELLER = "seller"
    AGENT = "agent"
    OPERATOR = "operator"


class OrderStatus(StrEnum):
    """An order's status. A: "Sedang diproses", "Dikemas", "Sedang dikirim", "Terkirim", "Dibatalkan"."""

    UNPAID = "unpaid"
    PROCESSING = "processing"
    PACKED = "packed"
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    CANCELLED = "cancelled"

    @property
    def rank(self) -> int:
        """A status is only ever followed by one of a higher rank, so that a late event changes nothing."""
        return tuple(OrderStatus).index(self)

    @property
    def cancellable(self) -> bool:
        """A: until it ships."""
        return self in (OrderStatus.UNPAID, OrderStatus.PROCESSING, OrderStatus.PACKED)


class Channel(StrEnum):
    """The four ways to cancel (A), and `system`: a deadline of orders: it was not paid or not shipped (M)."""

    APP = "app"
    WEB = "web"
    CHAT = "chat"
    CS = "cs"
    SYSTEM = "system"


class Fault(StrEnum):
    """Who caused a cancellation. With `none` it counts in no score."""

    BUYER = "buyer"
    SELLER = "seller"
    PLATFORM = "platform"
    NONE = "none"


class PaymentMethod(StrEnum):
    """How an order is paid; `cod` is cash on delivery."""

    DANA = "dana"
    BANK_TRANSFER = "bank_transfer"
    COD = "cod"


class Destination(StrEnum):
    """Where a refund goes (A: Lazada Credit, or DANA if it is linked)."""

    LAZADA_CREDIT = "lazada_credit"
    DANA = "dana"


def wallet(destination: Destination | str) -> str:
    """The name of the destination; a word that was added later stays as it is."""
    names: dict[str, str] = {Destination.LAZADA_CREDIT: "Lazada Credit", Destination.DANA: "DANA"}
    return names.get(destination, str(destination))


def rupiah(amount: int) -> str:
    """The amount as it is written in Indonesia: `Rp145.000`."""
    return f"Rp{amount:,}".replace(",", ".")
