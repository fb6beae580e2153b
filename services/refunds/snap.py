"""The client for DANA, which speaks SNAP BI, the Indonesian national open-API standard for payments.

Sources: DANA's Disbursement API, https://dashboard.dana.id/api-docs-v2/api/disbursement/customer-top-up and its
neighbours; the response codes (HTTP status, two digits of the service, two of the case) are SNAP BI's.
"""

import asyncio
import base64
import hashlib
import json
import logging
import secrets
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Final

import httpx
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from runtime.errors import Unavailable
from runtime.http.client import http_client
from services.refunds.answers import Answer, Outcome
from services.refunds.domain import masked_phone
from services.refunds.snap_codes import TOP_UP_CODE, read_inquiry, read_status, read_top_up

if TYPE_CHECKING:
    from runtime.observability.tracing import Tracing

INQUIRY: Final = "/v1.0/emoney/account-inquiry.htm"
TOP_UP: Final = "/v1.0/emoney/topup.htm"
STATUS: Final = "/v1.0/emoney/topup-status.htm"

TIMEOUT: Final = 8.0
"""Seconds for a whole call ("Expected Timeout: 8 second", DANA, Customer Top Up)."""

KEEP_ALIVE: Final = 2.0
"""Seconds an idle connection is kept: less than servers do, so that a top-up is not written into one being closed."""

CONNECTIONS: Final = 20
"""Payments, and questions about them, under way at once; more wait, half of `TIMEOUT` at most. httpx's pool slows down
with every further connection: on two cores, a hundred payments at a time went at 270 a second through 20 connections,
and at 140 through 100."""

INQUIRY_CONNECTIONS: Final = 8
"""Account inquiries under way at once, over connections of their own, so that payments never wait for them."""

JAKARTA: Final = timezone(timedelta(hours=7))

FUND_TYPE: Final = {"fundType": "AGENT_TOPUP_FOR_USER_SETTLE"}
"""The only fund type of a top-up from a merchant to a user; mandatory in `additionalInfo`."""

log = logging.getLogger(__name__)


class DanaUnreachable(Unavailable):
    """DANA gave no usable answer about an account."""

    code, title = "dana_unreachable", "DANA does not answer at the moment"


class Dana:
    """The client. One instance serves the whole process; `close()` it at the end."""

    def __init__(
        self,
        base_url: str,
        partner_id: str,
        private_key: RSAPrivateKey,
        *,
        timeout: float = TIMEOUT,
        transport: httpx.AsyncBaseTransport | None = None,
        tracing: "Tracing | None" = None,
    ) -> None:
        """Takes seconds as `timeout`, and another `transport` to reach a DANA in this process."""
        self._url = base_url.rstrip("/")
        self._tracing = tracing
        self._partner_id = partner_id
        self._private_key = private_key
        self._timeout = timeout
        # Connecting gets half of the time, to distinguish a host that never accepts from one that never answers.
        self._payments, self._inquiries = (
            http_client(
                base_url=base_url,
                timeout=httpx.Timeout(timeout, connect=timeout / 2, pool=timeout / 2),
                limits=httpx.Limits(max_connections=connections, keepalive_expiry=KEEP_ALIVE),
                transport=transport,
            )
            for connections in (CONNECTIONS, INQUIRY_CONNECTIONS)
        )

    async def close(self) -> None:
        """Closes the connections; afterwards the client cannot be used."""
        await self._payments.aclose()
        await self._inquiries.aclose()

    async def account_inquiry(self, phone: str) -> bool:
        """Asks whether a number, in the form 628…, has a DANA account that can receive money. Raises
        `DanaUnreachable`."""
        body = {"customerNumber": phone, "amount": money(1), "additionalInfo": FUND_TYPE}
        try:
            response = await self._post(INQUIRY, body)
        except (httpx.HTTPError, TimeoutError) as error:
            log.warning("DANA account inquiry for %s: %s", masked_phone(phone), type(error).__name__)
            raise DanaUnreachable from error
        is_active = read_inquiry(response)
        if is_active is None:
            log.warning(
                "DANA account inquiry for %s: HTTP %d, no usable answer", masked_phone(phone), response.status_code
            )
            raise DanaUnreachable
        return is_active

    async def top_up(self, reference: str, phone: str, amount: int, at: datetime | None = None) -> Answer:
        """Pays `amount` rupiah into the wallet of `phone`. Never raises for network errors, never answers NOT_FOUND.

        `reference` is DANA's idempotency key: the same one with the same phone and amount is paid once at most. DANA
        refuses the payment when it comes more than 5 minutes after `at`, by default now.
        """
        body = {
            "partnerReferenceNo": reference,
            "customerNumber": phone,
            "amount": money(amount),
            "feeAmount": {"value": "0.00", "currency": "IDR"},
            "additionalInfo": FUND_TYPE,
        }
        try:
            answer = read_top_up(await self._post(TOP_UP, body, at), reference, money(amount))
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout):
            answer = Answer(Outcome.NOT_SENT, "not_connected")
        except (httpx.HTTPError, TimeoutError) as error:
            answer = _no_answer(error)
        log.info("DANA top-up %s to %s: %s (%s)", reference, masked_phone(phone), answer.outcome.value, answer.code)
        return answer

    async def status(self, reference: str, amount: int) -> Answer:
        """Asks for the status of `reference`, which is to pay `amount` rupiah: PAID, PENDING, FAILED, NOT_FOUND, or
        UNKNOWN when the inquiry failed.

        Never NOT_SENT, which would mean that the payment, not the inquiry, was not sent. Never raises.
        """
        body = {"originalPartnerReferenceNo": reference, "serviceCode": TOP_UP_CODE}
        try:
            answer = read_status(await self._post(STATUS, body), reference, amount)
        except (httpx.HTTPError, TimeoutError) as error:
            answer = _no_answer(error)
        log.info("DANA status of %s: %s (%s)", reference, answer.outcome.value, answer.code)
        return answer

    async def _post(self, path: str, body: dict[str, Any], at: datetime | None = None) -> httpx.Response:
        http = self._inquiries if path == INQUIRY else self._payments
        content = json.dumps(body, separators=(",", ":")).encode()

        async def send(_: str = "") -> httpx.Response:
            # httpx limits each read and write; only a deadline around them limits the call (a trickled answer).
            async with asyncio.timeout(self._timeout):
                return await http.post(path, content=content, headers=self._headers(path, content, at))

        # DANA is another company: it does not get the trace.
        return await (self._tracing.client("POST", self._url + path, send, path) if self._tracing else send())

    def _headers(self, path: str, content: bytes, at: datetime | None) -> dict[str, str]:
        # The wall clock, never the demonstration's: DANA compares it with its own.
        timestamp = (at or datetime.now(JAKARTA)).astimezone(JAKARTA).isoformat(timespec="seconds")
        return {
            "Content-Type": "application/json",
            "X-TIMESTAMP": timestamp,
            "X-SIGNATURE": signature(self._private_key, path, content, timestamp),
            "X-PARTNER-ID": self._partner_id,
            "X-EXTERNAL-ID": f"{secrets.randbelow(10**36):036d}",
            "CHANNEL-ID": "95221",
        }


def private_key(pem: bytes) -> RSAPrivateKey:
    """The key that signs requests. Raises ValueError unless it is an RSA key of at least 2,048 bits."""
    key = load_pem_private_key(pem, password=None)
    if not isinstance(key, RSAPrivateKey) or key.key_size < 2048:
        raise ValueError("DANA_PRIVATE_KEY must be an RSA key of at least 2048 bits")
    return key


def signature(key: RSAPrivateKey, path: str, content: bytes, timestamp: str) -> str:
    """SNAP BI's asymmetric signature over a POST: SHA256withRSA, base64."""
    text = f"POST:{path}:{hashlib.sha256(content).hexdigest()}:{timestamp}"
    return base64.b64encode(key.sign(text.encode(), PKCS1v15(), SHA256())).decode()


def money(amount: int) -> dict[str, str]:
    """Whole rupiah on the wire. Raises ValueError for what cannot be paid."""
    if amount <= 0:
        raise ValueError("only a positive amount can be paid")
    return {"value": f"{amount}.00", "currency": "IDR"}


def _no_answer(error: Exception) -> Answer:
    late = isinstance(error, (TimeoutError, httpx.TimeoutException))
    return Answer(Outcome.UNKNOWN, "timeout" if late else "dropped")
