"""The events that travel between the services, one file per publisher."""

from contracts.accounts import AccountRegistered
from contracts.chat import SellerReplied
from contracts.cs import CaseClosed, SellerContacted
from contracts.orders import (
    OrderCancelled,
    OrderCancelRejected,
    OrderCancelRequested,
    OrderDelivered,
    OrderPacked,
    OrderPaid,
    OrderPlaced,
    OrderShipped,
)
from contracts.refunds import RefundDelayed, RefundIssued, WalletLinked, WalletUnlinked
from runtime.messaging.envelope import Event

EVENTS: tuple[type[Event], ...] = (
    AccountRegistered,
    OrderPlaced,
    OrderPaid,
    OrderPacked,
    OrderShipped,
    OrderDelivered,
    OrderCancelRequested,
    OrderCancelled,
    OrderCancelRejected,
    RefundIssued,
    RefundDelayed,
    WalletLinked,
    WalletUnlinked,
    SellerContacted,
    SellerReplied,
    CaseClosed,
)
"""Every event there is, in the order in which a story meets them."""
