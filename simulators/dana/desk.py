"""What DANA decides about a well-formed request, inside the transaction that writes it down."""

from datetime import timedelta
from typing import Any

from simulators.dana import replies
from simulators.dana.checks import TopUp
from simulators.dana.faults import Fault, Mode
from simulators.dana.journal import AccountState, Books, Payment
from simulators.dana.replies import Reply, Service

ACCOUNT_REASONS: dict[AccountState, str] = {
    "frozen": "PAYEE_USER_STATUS_DISABLE",
    "closed": "PAYEE_USER_NOT_EXIST",
}

STATUSES = {"paid": ("00", "Success"), "pending": ("03", "Pending"), "failed": ("06", "Failed")}


def top_up(books: Books, wanted: TopUp, fault: Fault) -> Reply:
    """Pays once. A reference that is known gets its first result, whatever has happened to the account since."""
    payment = books.find(wanted.reference)
    if payment is None:
        state = books.account(wanted.number)
        if state != "active":
            return replies.do_not_honor(ACCOUNT_REASONS[state])
        if fault.mode is Mode.FAIL and not fault.recorded:
            return replies.failed()
        payment = _enter(books, wanted, fault)
    elif (payment.number, payment.amount) != (wanted.number, wanted.amount):
        return replies.inconsistent()
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


def status(books: Books, reference: str) -> Reply:
    """What became of a reference."""
    payment = books.find(reference)
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


def inquiry(books: Books, number: str) -> Reply:
    """Whether a number's account can receive money."""
    state = books.account(number)
    if state != "active":
        return replies.do_not_honor(ACCOUNT_REASONS[state])
    rupiah = {"value": "1.00", "currency": "IDR"}
    return replies.successful(customerNumber=number, customerName="Pengguna DANA", amount=rupiah)


def _enter(books: Books, wanted: TopUp, fault: Fault) -> Payment:
    match fault.mode:
        case Mode.FAIL:
            return books.enter(wanted.reference, wanted.number, wanted.amount, "failed")
        case Mode.PENDING:
            at = None if fault.seconds is None else books.now + timedelta(seconds=fault.seconds)
            settles = (at, fault.settles_as) if at else None
            return books.enter(wanted.reference, wanted.number, wanted.amount, "pending", settles)
    return books.enter(wanted.reference, wanted.number, wanted.amount, "paid")


def _money(payment: Payment) -> dict[str, Any]:
    return {"value": f"{payment.amount}.00", "currency": "IDR"}
