"""What DANA's answers mean, by SNAP BI's response codes: three digits of HTTP, two of the service, two of the case."""

import re
from typing import Any, Final

import httpx

from services.refunds.answers import Answer, Outcome

INQUIRY_CODE: Final = "37"
TOP_UP_CODE: Final = "38"
STATUS_CODE: Final = "39"


def read_top_up(response: httpx.Response, reference: str, amount: dict[str, str]) -> Answer:
    """What an HTTP answer to a top-up means. In doubt UNKNOWN: an inquiry costs little, paying twice costs money."""
    if response.status_code == 429:
        return Answer(Outcome.NOT_SENT, "throttled")
    code, body = _snap(response, TOP_UP_CODE)
    match code[:3], code[5:]:
        case "200", "00" if body.get("partnerReferenceNo") == reference and body.get("amount") == amount:
            return Answer(Outcome.PAID, code)
        case "202", "00":
            return Answer(Outcome.PENDING, code)
        case "500", "00":
            # The one definite 5xx: "Request has been created and the process was failed, will return 5003800" (DANA).
            return Answer(Outcome.FAILED, code)
        case ("403", "00" | "16") | ("404", "01" | "18"):
            # Expired, suspended, inconsistent: DANA already holds something under this reference.
            return Answer(Outcome.UNKNOWN, code)
        case (("400" | "403" | "404"), _):
            return Answer(Outcome.FAILED, code)
        case "401", _:
            return Answer(Outcome.NOT_SENT, code)
    # Among them 409: the conflict may be with this request itself, delivered twice.
    return Answer(Outcome.UNKNOWN, code)


_STATUSES: Final = {
    "00": Outcome.PAID,
    **dict.fromkeys(("01", "02", "03"), Outcome.PENDING),
    **dict.fromkeys(("05", "06"), Outcome.FAILED),
    "07": Outcome.NOT_FOUND,
}
"""The transaction statuses. 04, refunded, is left out: DANA took a payment back, which a person must examine."""


def read_status(response: httpx.Response, reference: str, amount: int) -> Answer:
    """What an HTTP answer to a status inquiry means. A failed inquiry (also 5003900) is not a failed payment, and an
    answer that another amount was paid is no answer about this one."""
    code, body = _snap(response, STATUS_CODE)
    if code == "4043901":
        return Answer(Outcome.NOT_FOUND, code)
    if code != "2003900" or body.get("originalPartnerReferenceNo") != reference:
        return Answer(Outcome.UNKNOWN, code)
    status = body.get("latestTransactionStatus")
    if not isinstance(status, str) or status not in _STATUSES:
        return Answer(Outcome.UNKNOWN, code)
    if status == "00" and not _is_of(body.get("amount"), amount):
        return Answer(Outcome.UNKNOWN, code)
    return Answer(_STATUSES[status], status)


def read_inquiry(response: httpx.Response) -> bool | None:
    """Whether an HTTP answer to an account inquiry names an active account; None when it is not about the account."""
    code, _ = _snap(response, INQUIRY_CODE)
    if code in ("4043711", "4033705", "4033709", "4033718"):
        return False
    return True if code == "2003700" else None


def _is_of(stated: Any, amount: int) -> bool:
    # The amount is optional in this answer, and the number of its decimals is not fixed.
    if not isinstance(stated, dict):
        return stated is None
    return stated.get("currency") == "IDR" and bool(re.fullmatch(rf"{amount}(\.0+)?", str(stated.get("value"))))


def _snap(response: httpx.Response, service: str) -> tuple[str, dict[str, Any]]:
    # A gateway's error page, another service's answer, a code that contradicts the HTTP status: none is DANA's answer.
    try:
        body = response.json()
    except (ValueError, RecursionError):
        return "unreadable", {}
    code = body.get("responseCode") if isinstance(body, dict) else None
    if not isinstance(code, str) or not re.fullmatch(rf"{response.status_code}{service}[0-9]{{2}}", code):
        return "unreadable", {}
    return code, body
