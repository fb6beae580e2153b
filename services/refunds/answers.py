"""What DANA can answer about one payment. The domain decides by these; only `snap.py` knows their wire form."""

from dataclasses import dataclass
from enum import Enum


class Outcome(Enum):
    """What is known about the money. Only PAID and FAILED settle anything."""

    PAID = "paid"
    """The money has arrived in the wallet."""

    PENDING = "pending"
    """DANA is still working on it: ask again later."""

    FAILED = "failed"
    """DANA has refused, or has tried and failed: this call has moved nothing and will move nothing."""

    NOT_FOUND = "not_found"
    """DANA knows no such reference at this moment. A call that timed out may still be on its way to DANA."""

    NOT_SENT = "not_sent"
    """This call never reached DANA, or DANA refused it unread (throttled, not authorised)."""

    WITHDRAWN = "withdrawn"
    """Nothing was sent: the wallet was unlinked while the call was queued."""

    UNKNOWN = "unknown"
    """The money may have moved or not: ask about the same reference before sending again."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, or the lack of one, to a top-up or to a status inquiry.

    It is about that call only: FAILED or NOT_SENT after an earlier UNKNOWN tells nothing about the earlier call.
    `code` is what decided: DANA's seven-digit response code; in an inquiry the two-digit transaction status; or, when
    DANA did not answer, a word of ours: `not_connected`, `throttled`, `timeout`, `dropped`, `unreadable`.
    """

    outcome: Outcome
    code: str = ""
