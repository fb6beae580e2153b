"""DANA's decisions about valid requests, inside the transaction of the journal."""

from datetime import timedelta
from typing import Any

from simulators.dana import replies
from simulators.dana.checks import TopUp
from simulators.dana.faults import Fault, Mode
from simulators.dana.journal import AccountState, JournalTransaction, Payment
from simulators.dana.replies import Reply, Service

ACCOUNT_REASONS: dict[AccountState, str] = {"frozen": "PAYEE_USER_STATUS_DISABLE", "closed": "PAYEE_USER_NOT_EXIST"}

STATUSES = {"paid": ("00", "Success"), "pending": ("03", "Pending"), "failed": ("06", "Failed")}


def top_up(tx: JournalTransaction, wanted: TopUp, fault: Fault) -> Reply:
    """Pays once. A known reference gets its first result, also if the account has changed since."""
    payment = tx.find(wanted.reference)
    if payment is None:
        state = tx.account(wanted.number)
        if state != "active":
            return replies.do_not_honor(ACCOUNT_REASONS[state])
        if fault.mode is Mode.FAIL and not fault.recorded:
            return replies.failed()
        payment = _enter(tx, wanted, fault)
    elif (payment.number, payment.amount) != (wanted.number, wanted.amount):
        return replies.INCONSISTENT
    fields = {
        "referenceNo": payment.dana_reference,
        "partnerReferenceNo": payment.reference,
        "customerNumber": payment.number,
        "amount": _money(payment),
    }
    match payment.state:
        case "paid":
            return replies.successful(**fields)
        case "pending":
            return replies.in_progress(**fields)
        case "failed":
            return replies.failed(**fields)


def status(tx: JournalTransaction, reference: str) -> Reply:
    """The state of the payment under a reference."""
    payment = tx.find(reference)
    if payment is None:
        return replies.not_found(reference)
    code, description = STATUSES[payment.state]
    return replies.successful(
        originalPartnerReferenceNo=payment.reference,
        originalReferenceNo=payment.dana_reference,
        serviceCode=Service.TOP_UP.value,
        amount=_money(payment),
        latestTransactionStatus=code,
        transactionStatusDesc=description,
    )


def inquiry(tx: JournalTransaction, number: str) -> Reply:
    """Whether the account of a number can receive money."""
    state = tx.account(number)
    if state != "active":
        return replies.do_not_honor(ACCOUNT_REASONS[state])
    rupiah = {"value": "1.00", "currency": "IDR"}
    return replies.successful(customerNumber=number, customerName="Pengguna DANA", amount=rupiah)


def _enter(tx: JournalTransaction, wanted: TopUp, fault: Fault) -> Payment:
    match fault.mode:
        case Mode.FAIL:
            return tx.enter(wanted.reference, wanted.number, wanted.amount, "failed")
        case Mode.PENDING:
            at = None if fault.seconds is None else tx.now + timedelta(seconds=fault.seconds)
            settles = (at, fault.settles_as) if at else None
            return tx.enter(wanted.reference, wanted.number, wanted.amount, "pending", settles)
    return tx.enter(wanted.reference, wanted.number, wanted.amount, "paid")


def _money(payment: Payment) -> dict[str, Any]:
    return {"value": f"{payment.amount}.00", "currency": "IDR"}
