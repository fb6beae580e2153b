"""The rules of paying a refund through DANA. Pure."""

import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, StrEnum
from unicodedata import category
from uuid import UUID, uuid5

from contracts.words import Destination
from services.refunds.answers import Answer, Outcome

PAUSES = tuple(timedelta(seconds=seconds) for seconds in (5, 10, 20, 40, 60))
"""Between two attempts; after as many retries a payment that keeps failing is given up."""
IN_HAND = timedelta(seconds=30)
"""After this a call counts as lost: more than DANA's 8 seconds, so only when a process dies. A call that has not begun
by then never begins."""
DOUBT = timedelta(minutes=11)
"""For so long a call with unknown outcome may still reach DANA: it is signed within `IN_HAND`, by a clock up to 5
minutes ahead of DANA's, and DANA accepts its timestamp for 5 minutes more; half a minute is spare."""
_REFUNDS = UUID("5f3b6a0e-7c1d-4e8a-9b52-0d6c1f2e8a47")
"""The namespace of refund ids. Another one would pay restored refunds a second time."""
CLOSED_WALLET = frozenset({"4033805", "4033809", "4033818", "4043811"})
"""DANA's codes for a wallet that cannot receive money: refused, abnormal, inactive, unknown. Retrying cannot help."""


class State(StrEnum):
    """A refund's state. Only an issued one has arrived."""

    PENDING = "pending"
    SENDING = "sending"
    ISSUED = "issued"


class AtOrders(StrEnum):
    """What `orders` knows of a refund that was lost, or set back, by restoring an older backup."""

    UNHEARD = "unheard"
    """`orders` has not published the cancellation again yet."""
    OPEN = "open"
    """Not that its money has arrived."""
    CREDITED = "credited"
    """That it has arrived in Lazada Credit: no payment to DANA was under way."""
    PAID = "paid"
    """That it has arrived elsewhere; or it may, since its cancellation is parked."""


class Step(Enum):
    """The next step of a refund to DANA."""

    SEND = "send"
    ASK = "ask"
    WAIT = "wait"
    CREDIT = "credit"
    HOLD = "hold"
    NOTHING = "nothing"


@dataclass(frozen=True)
class Refund:
    """The money for one cancellation, in whole rupiah.

    `attempts` counts the payments sent to DANA, `inquiries` the status inquiries since the last of them. While
    `uncertain`, one of them may have paid; until `doubtful_until`, one with unknown outcome may still arrive.
    """

    refund_id: UUID
    cancellation_id: UUID
    order_id: UUID
    buyer_id: UUID
    amount: int
    destination: Destination
    state: State
    phone: str | None = None
    part: bool = False
    """Of some pieces. An order has one refund that is not of a part."""
    attempts: int = 0
    inquiries: int = 0
    uncertain: bool = False
    doubtful_until: datetime | None = None
    wallet_closed: bool = False
    at_orders: AtOrders | None = None
    """None: never touched by a restore."""

    @property
    def reference(self) -> str:
        """DANA's idempotency key: the same for every attempt."""
        return self.refund_id.hex


def refund_id_of(cancellation_id: UUID) -> UUID:
    """The refund's id: always the same for a cancellation, so that DANA knows it also when this service has lost it.
    The first six bytes of both ids are the time, by which refunds are listed."""
    return UUID(bytes=cancellation_id.bytes[:6] + uuid5(_REFUNDS, str(cancellation_id)).bytes[6:])


def restored(refund: Refund, at_orders: AtOrders, now: datetime) -> Refund:
    """The refund as it must be after a restore: DANA may have been sent any payment until now."""
    return replace(
        refund, state=State.SENDING, uncertain=True, inquiries=0, doubtful_until=now + DOUBT, at_orders=at_orders
    )


_EQUIVALENT = {"\N{MINUS SIGN}": "-", "\N{FULLWIDTH PLUS SIGN}": "+"}


def phone_number(typed: str) -> str | None:
    """An Indonesian mobile number in the form 628…. Ignores what pasting adds: direction marks and other
    invisible characters, any kind of space or hyphen, dots, brackets, a country code before the zero (`+62 (0)812…`).
    None for any other text.
    """
    dialled = "".join(_dialled(_EQUIVALENT.get(one, one)) for one in typed.strip())
    found = re.fullmatch(r"(?:(?:\+|00)?620?|0)(8[1-9][0-9]{7,10})", dialled)
    return f"62{found[1]}" if found else None


def masked_phone(phone: str) -> str:
    """The number as answers, events and logs show it: all of them the same digits."""
    return f"+62•••••{phone[-4:]}"


def _dialled(one: str) -> str:
    return "" if one in "\t.-()" or category(one) in ("Zs", "Pd", "Cf") else one


def next_step(refund: Refund, linked: bool, now: datetime, *, on_hold: bool = False) -> Step:
    """What to do next. `linked`: the wallet that the refund was meant for is still linked.

    An unknown outcome is inquired before anything is sent again; a refund goes to Lazada Credit instead only when no
    payment can be under way any more. On hold, DANA is only asked, and lost credit is booked again.
    """
    if refund.state is State.ISSUED:
        return Step.NOTHING
    if refund.uncertain:
        return Step.ASK
    if refund.at_orders is AtOrders.CREDITED:
        return Step.CREDIT
    if on_hold:
        return Step.HOLD
    if linked and not refund.wallet_closed and refund.attempts <= len(PAUSES):
        return Step.SEND
    if refund.doubtful_until is None:
        return Step.CREDIT
    return Step.WAIT if now < refund.doubtful_until else Step.ASK


def pause(refund: Refund, step: Step, now: datetime) -> timedelta:
    """How long to wait before `step`."""
    if step is Step.WAIT and refund.doubtful_until:
        return refund.doubtful_until - now
    if step is Step.HOLD:
        return PAUSES[-1]
    tries = refund.inquiries if step is Step.ASK else refund.attempts - 1
    return PAUSES[max(0, min(tries, len(PAUSES) - 1))]


def sent(refund: Refund, now: datetime) -> Refund:
    """The refund from the moment on at which a payment may be on its way."""
    return replace(
        refund,
        state=State.SENDING,
        attempts=refund.attempts + 1,
        inquiries=0,
        uncertain=True,
        doubtful_until=max(now + DOUBT, refund.doubtful_until or now),
    )


def answered(before: Refund, refund: Refund, answer: Answer) -> Refund:
    """The refund after DANA's answer to a payment; `before` is the refund before anything was sent."""
    match answer.outcome:
        case Outcome.PAID:
            return replace(refund, state=State.ISSUED, uncertain=False)
        case Outcome.WITHDRAWN:
            return before
        case Outcome.FAILED | Outcome.NOT_SENT:
            return replace(
                refund,
                uncertain=False,
                doubtful_until=before.doubtful_until,
                wallet_closed=answer.code in CLOSED_WALLET,
            )
        case _:
            return refund


def inquired(refund: Refund, answer: Answer, asked_at: datetime) -> Refund:
    """The refund after DANA's answer to a status inquiry.

    "Not found" is final only if it was asked, not merely received, when no payment could arrive any more. A failure is
    final: DANA keeps it under the reference, so a payment that arrives later fails with it. If DANA does not know of a
    payment that `orders` knows has arrived, it is asked again, and nothing is paid.
    """
    match answer.outcome:
        case Outcome.PAID:
            return replace(refund, state=State.ISSUED, uncertain=False, destination=Destination.DANA)
        case Outcome.FAILED | Outcome.NOT_FOUND if refund.at_orders is AtOrders.PAID:
            return replace(refund, inquiries=refund.inquiries + 1)
        case Outcome.FAILED:
            return replace(refund, uncertain=False, doubtful_until=None)
        case Outcome.NOT_FOUND:
            open_still = refund.doubtful_until is not None and asked_at < refund.doubtful_until
            return replace(refund, uncertain=False, doubtful_until=refund.doubtful_until if open_still else None)
        case Outcome.PENDING:
            return replace(refund, uncertain=True, inquiries=refund.inquiries + 1)
        case _:
            return replace(refund, inquiries=refund.inquiries + 1)


def credited(refund: Refund) -> Refund:
    """The refund, credited to Lazada Credit instead."""
    return replace(refund, state=State.ISSUED, destination=Destination.LAZADA_CREDIT)
