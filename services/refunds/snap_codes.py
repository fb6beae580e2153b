"""What DANA's answers mean, by SNAP BI's response codes: three digits of HTTP, two of the service, two of the case."""

import re
from typing import Any, Final

import httpx

from services.refunds.answers import AccountInquiry, Answer, Outcome

INQUIRY_CODE: Final = "37"
TOP_UP_CODE: Final = "38"
STATUS_CODE: Final = "39"


def read_top_up(response: httpx.Response, reference: str, amount: dict[str, str]) -> Answer:
    """What an HTTP answer to a top-up means. In doubt UNKNOWN: an inquiry costs little, paying twice costs money."""
    if response.status_code == 429:
        return Answer(Outcome.NOT_SENT, "throttled", "Too many requests")
    body = _snap(response, TOP_UP_CODE)
    if body is None:
        return _unreadable(response)
    code, message = str(body["responseCode"]), _message(body)
    match code[:3], code[5:]:
        case "200", "00" if body.get("partnerReferenceNo") == reference and body.get("amount") == amount:
            return Answer(Outcome.PAID, code, message)
        case "202", "00":
            return Answer(Outcome.PENDING, code, message)
        case "500", "00":
            # The one definite 5xx: "Request has been created and the process was failed, will return 5003800" (DANA).
            return Answer(Outcome.FAILED, code, message)
        case ("403", "00" | "16") | ("404", "01" | "18"):
            # Expired, suspended, inconsistent: DANA already holds something under this reference.
            return Answer(Outcome.UNKNOWN, code, message)
        case (("400" | "403" | "404"), _):
            return Answer(Outcome.FAILED, code, message)
        case "401", _:
            return Answer(Outcome.NOT_SENT, code, message)
    # Among them 409: the conflict may be with this request itself, delivered twice.
    return Answer(Outcome.UNKNOWN, code, message)


_STATUSES: Final = {
    "00": Outcome.PAID,
    "01": Outcome.PENDING,
    "02": Outcome.PENDING,
    "03": Outcome.PENDING,
    "05": Outcome.FAILED,
    "06": Outcome.FAILED,
    "07": Outcome.NOT_FOUND,
}
"""The transaction statuses. 04, refunded, is left out: DANA took a payment back, which a person must examine."""


def read_status(response: httpx.Response, reference: str) -> Answer:
    """What an HTTP answer to a status inquiry means. A failed inquiry (also 5003900) is not a failed payment."""
    body = _snap(response, STATUS_CODE)
    if body is None:
        return _unreadable(response)
    code, message = str(body["responseCode"]), _message(body)
    if code == "4043901":
        return Answer(Outcome.NOT_FOUND, code, message)
    if code != "2003900" or body.get("originalPartnerReferenceNo") != reference:
        return Answer(Outcome.UNKNOWN, code, message)
    status = body.get("latestTransactionStatus")
    if not isinstance(status, str) or status not in _STATUSES:
        return Answer(Outcome.UNKNOWN, code, "No known transaction status")
    return Answer(_STATUSES[status], status, _message(body, "transactionStatusDesc"))


def read_inquiry(response: httpx.Response) -> AccountInquiry | None:
    """What an HTTP answer to an account inquiry means; None when it is not about the account."""
    body = _snap(response, INQUIRY_CODE)
    if body is None:
        return None
    code, message = str(body["responseCode"]), _message(body)
    more = body.get("additionalInfo")
    reason = more.get("resultMsg") if isinstance(more, dict) else None
    match code[:3], code[5:]:
        case "200", "00":
            return AccountInquiry(exists=True, active=True, code=code, message=message)
        case "404", "11":
            return AccountInquiry(exists=False, active=False, code=code, message=message)
        case "403", "05" | "09" | "18":
            exists = reason != "PAYEE_USER_NOT_EXIST"
            return AccountInquiry(exists=exists, active=False, code=code, message=message)
    return None


def _snap(response: httpx.Response, service: str) -> dict[str, Any] | None:
    # A gateway's error page, another service's answer, a code that contradicts the HTTP status: none is DANA's answer.
    try:
        body = response.json()
    except (ValueError, RecursionError):
        return None
    code = body.get("responseCode") if isinstance(body, dict) else None
    if not isinstance(code, str) or not re.fullmatch(rf"{response.status_code}{service}[0-9]{{2}}", code):
        return None
    return dict(body)


def _message(body: dict[str, Any], field: str = "responseMessage") -> str:
    # It is stored and shown: SNAP BI's length, and no control characters.
    return "".join(c for c in str(body.get(field, "")) if c.isprintable())[:150]


def _unreadable(response: httpx.Response) -> Answer:
    return Answer(Outcome.UNKNOWN, "unreadable", f"HTTP {response.status_code} without a SNAP BI answer")
