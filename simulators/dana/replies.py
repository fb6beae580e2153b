"""DANA's replies: SNAP BI's response codes with the messages of DANA's sandbox."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Service(Enum):
    """The three services, by their two digits in SNAP BI's response codes."""

    INQUIRY = "37"
    TOP_UP = "38"
    STATUS = "39"

    @property
    def path(self) -> str:
        """The path of the service, which is signed."""
        return _PATHS[self]


_PATHS = {
    Service.INQUIRY: "/v1.0/emoney/account-inquiry.htm",
    Service.TOP_UP: "/v1.0/emoney/topup.htm",
    Service.STATUS: "/v1.0/emoney/topup-status.htm",
}


@dataclass(frozen=True)
class Reply:
    """A reply. HTTP status, service and case make the response code."""

    status: int
    case: str
    message: str
    fields: dict[str, Any] = field(default_factory=dict)

    def code(self, service: Service) -> str:
        """The response code, seven digits."""
        return f"{self.status}{service.value}{self.case}"

    def body(self, service: Service) -> dict[str, Any]:
        """The JSON body."""
        return {"responseCode": self.code(service), "responseMessage": self.message, **self.fields}


class Refused(Exception):
    """The request is refused; the reply gives the reason."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.message)
        self.reply = reply


BAD_REQUEST = Reply(400, "00", "Bad Request")
OVER_LIMIT = Reply(403, "02", "Exceed maximum limit amount|Nilai transaksi melebihi batas maksimum limit")
NO_SUCH_NUMBER = Reply(404, "11", "Invalid Card/Account/Customer Number/Virtual Account")
INCONSISTENT = Reply(404, "18", "Inconsistent Request")
CONFLICT = Reply(409, "00", "Conflict. Cannot use same X-EXTERNAL-ID in same day")
THROTTLED = Reply(429, "00", "Too Many Requests")
TIMED_OUT = Reply(504, "00", "Timeout")


def successful(**fields: Any) -> Reply:
    return Reply(200, "00", "Successful", fields)


def in_progress(**fields: Any) -> Reply:
    return Reply(202, "00", "Request In Progress", fields)


def invalid_format(name: str) -> Reply:
    return Reply(400, "01", f"Invalid Field Format {name}")


def missing(name: str) -> Reply:
    return Reply(400, "02", f"Invalid Mandatory Field {name}")


def unauthorized(reason: str) -> Reply:
    return Reply(401, "00", f"Unauthorized. {reason}")


def do_not_honor(reason: str) -> Reply:
    return Reply(403, "05", "Do Not Honor", {"additionalInfo": {"resultMsg": reason}})


def not_found(reference: str) -> Reply:
    fields = {"originalPartnerReferenceNo": reference, "latestTransactionStatus": "07"}
    return Reply(404, "01", "Transaction Not Found", fields)


def failed(**fields: Any) -> Reply:
    return Reply(500, "00", "General Error", fields)
