"""The words that several events share."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

Rupiah = Annotated[int, Field(ge=0, le=1_000_000_000_000, strict=True, description="whole rupiah (IDR)")]
Note = Annotated[str, StringConstraints(max_length=500, pattern=r"^[^\x00]*$")]


class Role(StrEnum):
    """Whose account it is."""

    BUYER = "buyer"
    SELLER = "seller"
    AGENT = "agent"


class Channel(StrEnum):
    """The four ways in which a cancellation comes (A)."""

    APP = "app"
    WEB = "web"
    CHAT = "chat"
    CS = "cs"


class Fault(StrEnum):
    """On whose account a cancellation goes."""

    BUYER = "buyer"
    SELLER = "seller"
    PLATFORM = "platform"


class PaymentMethod(StrEnum):
    """How an order is paid; `cod` is cash on delivery."""

    DANA = "dana"
    BANK_TRANSFER = "bank_transfer"
    COD = "cod"


class Destination(StrEnum):
    """Where a refund goes (A: Lazada Credit, or DANA if it is linked)."""

    LAZADA_CREDIT = "lazada_credit"
    DANA = "dana"
