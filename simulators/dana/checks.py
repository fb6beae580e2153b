"""DANA's checks of a request: headers, signature, fields. They raise `Refused`."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from simulators.dana import replies
from simulators.dana.replies import Refused, Service
from simulators.dana.signature import is_current, is_signed, read_timestamp

MANDATORY_HEADERS = ("Content-Type", "X-TIMESTAMP", "X-SIGNATURE", "X-PARTNER-ID", "X-EXTERNAL-ID", "CHANNEL-ID")

MAX_AMOUNT = 20_000_000
"""Rupiah, the limit of a registered e-money account (Bank Indonesia); DANA refuses a larger top-up with case 02."""

MOBILE_NUMBER = re.compile(r"628[1-9][0-9]{6,10}")
REFERENCE = re.compile(r"[!-~]{1,64}")
EXTERNAL_ID = re.compile(r"[!-~]{1,36}")
CHANNEL_ID = re.compile(r"[!-~]{1,5}")
AMOUNT = re.compile(r"([0-9]{1,16})\.00")


@dataclass(frozen=True)
class Partner:
    """A partner that DANA knows, with its public key."""

    id: str
    key: RSAPublicKey


@dataclass(frozen=True)
class TopUp:
    """A well-formed top-up. The same reference must always come with the same number and amount."""

    reference: str
    number: str
    amount: int


def authenticate(headers: Mapping[str, str], body: bytes, service: Service, partner: Partner, now: datetime) -> str:
    """The X-EXTERNAL-ID of a request that the partner has signed now. Raises `Refused`."""
    for name in MANDATORY_HEADERS:
        if not headers.get(name):
            raise Refused(replies.missing(name))
    if headers["Content-Type"].partition(";")[0].strip().lower() != "application/json":
        raise Refused(replies.invalid_format("Content-Type"))
    timestamp = read_timestamp(headers["X-TIMESTAMP"])
    if timestamp is None:
        raise Refused(replies.invalid_format("X-TIMESTAMP"))
    for name, form in (("X-EXTERNAL-ID", EXTERNAL_ID), ("CHANNEL-ID", CHANNEL_ID)):
        if not form.fullmatch(headers[name]):
            raise Refused(replies.invalid_format(name))
    if headers["X-PARTNER-ID"] != partner.id:
        raise Refused(replies.unauthorized("Unknown Client"))
    if not is_signed(partner.key, service.path, body, headers["X-TIMESTAMP"], headers["X-SIGNATURE"]):
        raise Refused(replies.unauthorized("Invalid Signature"))
    if not is_current(timestamp, now):
        raise Refused(replies.unauthorized("X-TIMESTAMP out of range"))
    return headers["X-EXTERNAL-ID"]


def read_top_up(body: bytes) -> TopUp:
    """Reads a top-up. Raises `Refused`."""
    fields = _object(body)
    reference = _text(fields, "partnerReferenceNo", REFERENCE)
    amount = _amount(fields, "amount")
    _amount(fields, "feeAmount")
    _fund_type(fields)
    if amount == 0:
        raise Refused(replies.invalid_format("amount.value"))
    if amount > MAX_AMOUNT:
        raise Refused(replies.OVER_LIMIT)
    return TopUp(reference, _number(fields), amount)


def read_status(body: bytes) -> str:
    """Reads the reference of a status request. Raises `Refused`."""
    fields = _object(body)
    reference = _text(fields, "originalPartnerReferenceNo", REFERENCE)
    if _text(fields, "serviceCode") != Service.TOP_UP.value:
        raise Refused(replies.invalid_format("serviceCode"))
    return reference


def read_inquiry(body: bytes) -> str:
    """Reads the number of an account inquiry. Raises `Refused`."""
    fields = _object(body)
    _amount(fields, "amount")
    _fund_type(fields)
    return _number(fields)


def is_mobile_number(number: str) -> bool:
    """Whether it is an Indonesian mobile number in the form 628xxx; every such number has an account."""
    return MOBILE_NUMBER.fullmatch(number) is not None


def _object(body: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused(replies.BAD_REQUEST) from None
    if not isinstance(fields, dict):
        raise Refused(replies.BAD_REQUEST)
    return fields


def _text(fields: dict[str, Any], name: str, form: re.Pattern[str] | None = None) -> str:
    value = fields.get(name)
    if value is None or value == "":
        raise Refused(replies.missing(name))
    if not isinstance(value, str) or (form and not form.fullmatch(value)):
        raise Refused(replies.invalid_format(name))
    return value


def _number(fields: dict[str, Any]) -> str:
    number = _text(fields, "customerNumber")
    if not is_mobile_number(number):
        raise Refused(replies.NO_SUCH_NUMBER)
    return number


def _amount(fields: dict[str, Any], name: str) -> int:
    money = fields.get(name)
    if money is None:
        raise Refused(replies.missing(name))
    if not isinstance(money, dict) or money.get("currency") != "IDR":
        raise Refused(replies.invalid_format(f"{name}.currency"))
    value = money.get("value")
    match = AMOUNT.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise Refused(replies.invalid_format(f"{name}.value"))
    return int(match[1])


def _fund_type(fields: dict[str, Any]) -> None:
    more = fields.get("additionalInfo")
    if not isinstance(more, dict) or not more.get("fundType"):
        raise Refused(replies.missing("additionalInfo.fundType"))
    if more["fundType"] != "AGENT_TOPUP_FOR_USER_SETTLE":
        raise Refused(replies.invalid_format("additionalInfo.fundType"))
