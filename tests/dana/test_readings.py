"""What the client makes of single answers and errors, without a network, and what it sends."""

import asyncio
import hashlib
import json
import logging
from base64 import b64decode
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec_key
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from services.refunds.answers import Outcome
from services.refunds.snap import Dana, DanaUnreachable, money, private_key
from services.refunds.snap_codes import read_inquiry, read_status, read_top_up

from .partner import PHONE

PAID: dict[str, Any] = {"partnerReferenceNo": "r", "amount": money(7)}
OTHERS: list[dict[str, Any]] = [{"partnerReferenceNo": "other"}, {"amount": money(8)}]


def reply(code: str, *, http: int = 0, **fields: Any) -> httpx.Response:
    """A SNAP BI answer; `http` when its status contradicts its code."""
    body = json.dumps({"responseCode": code, "responseMessage": "…", **fields})
    return httpx.Response(http or int(code[:3]), text=body)


@pytest.mark.parametrize(
    ("response", "outcome"),
    [
        (reply("2003800", **PAID), Outcome.PAID),
        *((reply("2003800", **PAID | other), Outcome.UNKNOWN) for other in OTHERS),
        *((reply(code, **PAID), Outcome.UNKNOWN) for code in ("2003801", "2003900")),
        (reply("2023800"), Outcome.PENDING),
        *((reply(code), Outcome.FAILED) for code in ("5003800", "4003801", "4033805", "4033814", "4033818", "4043811")),
        *((reply("5003800", http=status), Outcome.UNKNOWN) for status in (200, 502)),
        *((reply(code), Outcome.UNKNOWN) for code in ("2003800", "5003801", "5003900", "5033800", "5043800")),
        *(
            (reply(code), Outcome.UNKNOWN)
            for code in ("4033800", "4033816", "4043801", "4043818", "4093800", "4093801")
        ),
        *((reply(code), Outcome.NOT_SENT) for code in ("4013800", "4293800")),
        (httpx.Response(429, text="slow down"), Outcome.NOT_SENT),
        (httpx.Response(403, text="<html>blocked</html>"), Outcome.UNKNOWN),
        (httpx.Response(500, text="Internal Server Error"), Outcome.UNKNOWN),
        *((httpx.Response(200, content=body), Outcome.UNKNOWN) for body in (b"", b"\xff\xfe\xfd", b"[" * 100_000)),
        *(
            (httpx.Response(200, json=body), Outcome.UNKNOWN)
            for body in (["2003800"], {"responseCode": 2003800, **PAID})
        ),
        (httpx.Response(302, headers={"Location": "/"}), Outcome.UNKNOWN),
    ],
)
def test_answers_to_a_top_up(response: httpx.Response, outcome: Outcome) -> None:
    """Only a clear answer about this payment is PAID or FAILED; everything doubtful is UNKNOWN."""
    assert read_top_up(response, "r", money(7)).outcome is outcome


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("00", Outcome.PAID),
        *((status, Outcome.PENDING) for status in ("01", "02", "03")),
        *((status, Outcome.FAILED) for status in ("05", "06")),
        ("07", Outcome.NOT_FOUND),
        *((status, Outcome.UNKNOWN) for status in ("04", "08", 0, ["00"], None)),
    ],
)
def test_transaction_statuses(status: Any, outcome: Outcome) -> None:
    """Each transaction status has its meaning, and an unknown one none; another reference's is ignored."""
    fields = {"originalPartnerReferenceNo": "r", "latestTransactionStatus": status}
    assert read_status(reply("2003900", **fields), "r", 7).outcome is outcome
    assert read_status(reply("2003900", **fields), "other", 7).outcome is Outcome.UNKNOWN


@pytest.mark.parametrize(
    ("amount", "outcome"),
    [
        *(({"amount": {"value": value, "currency": "IDR"}}, Outcome.PAID) for value in ("7.00", "7", "7.0", 7, 7.0)),
        *(
            ({"amount": {"value": value, "currency": "IDR"}}, Outcome.UNKNOWN)
            for value in ("8.00", "70", "7.50", "", None)
        ),
        *(({"amount": amount}, Outcome.UNKNOWN) for amount in ({"value": "7.00", "currency": "USD"}, {}, "7.00", 7)),
        ({}, Outcome.PAID),
    ],
)
def test_a_status_of_another_amount_is_unknown(amount: dict[str, Any], outcome: Outcome) -> None:
    """A payment of another amount, or of another currency, under this reference does not count as this payment; the
    form of the number does not matter, and an answer may leave the amount out."""
    fields = {"originalPartnerReferenceNo": "r", "latestTransactionStatus": "00", **amount}
    assert read_status(reply("2003900", **fields), "r", 7).outcome is outcome


@pytest.mark.parametrize("code", ["5003900", "5003901", "4003902", "4013900", "4093900", "4293900", "4043900"])
def test_a_failed_inquiry_is_not_a_failed_payment(code: str) -> None:
    """When the inquiry itself is refused or fails, the payment is as unknown as before."""
    assert read_status(reply(code), "r", 7).outcome is Outcome.UNKNOWN


@pytest.mark.parametrize("code", ["5003700", "4013700", "4003701", "4033702", "4093700", "4293700", "2023700"])
def test_other_inquiry_answers_say_nothing(code: str) -> None:
    """Only an answer about the account decides about it."""
    assert read_inquiry(reply(code)) is None


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        *((error, Outcome.NOT_SENT) for error in (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)),
        *((error, Outcome.UNKNOWN) for error in (httpx.WriteTimeout, httpx.ReadTimeout, httpx.WriteError)),
        *((error, Outcome.UNKNOWN) for error in (httpx.ReadError, httpx.CloseError, httpx.RemoteProtocolError)),
        *((error, Outcome.UNKNOWN) for error in (httpx.LocalProtocolError, httpx.ProxyError, httpx.DecodingError)),
    ],
)
async def test_errors_on_the_way(
    error: Callable[[str], Exception], outcome: Outcome, key: RSAPrivateKey, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a connection the payment is NOT_SENT; after that every error is UNKNOWN; an inquiry is UNKNOWN always.
    Logs name the wallet by a masked number only."""
    caplog.set_level(logging.DEBUG)

    async def fail(request: httpx.Request) -> httpx.Response:
        raise error("on the way")

    dana = client(key, fail)
    assert (await dana.top_up("r", PHONE, 7)).outcome is outcome
    assert (await dana.status("r", 7)).outcome is Outcome.UNKNOWN
    with pytest.raises(DanaUnreachable):
        await dana.account_inquiry(PHONE)
    assert "+62•••••7890" in caplog.text
    assert "1234567890" not in caplog.text


async def test_the_whole_call_has_a_deadline(key: RSAPrivateKey) -> None:
    """A transport that knows no timeouts is left after the client's own."""

    async def never(request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        return httpx.Response(200)

    dana = client(key, never, timeout=0.05)
    assert (await dana.top_up("r", PHONE, 7)).code == "timeout"


async def test_the_signature_is_over_what_is_sent(key: RSAPrivateKey) -> None:
    """The signature verifies over the method, the path, the hash of the very bytes, and the time in Jakarta; the body
    is minified; every call has an X-EXTERNAL-ID of its own."""
    seen: list[httpx.Request] = []

    async def record(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(500)

    dana = client(key, record)
    await dana.top_up("r", PHONE, 150_000)
    await dana.top_up("r", PHONE, 150_000)
    first, second = seen
    assert first.content == second.content
    assert json.loads(first.content)["amount"] == {"value": "150000.00", "currency": "IDR"}
    assert json.loads(first.content)["customerNumber"] == "6281234567890"
    assert b" " not in first.content
    stamp = first.headers["X-TIMESTAMP"]
    assert stamp.endswith("+07:00")
    assert abs(datetime.fromisoformat(stamp) - datetime.now(UTC)) < timedelta(minutes=1)
    text = f"POST:/v1.0/emoney/topup.htm:{hashlib.sha256(first.content).hexdigest()}:{stamp}"
    key.public_key().verify(b64decode(first.headers["X-SIGNATURE"]), text.encode(), PKCS1v15(), SHA256())
    assert first.headers["X-EXTERNAL-ID"] != second.headers["X-EXTERNAL-ID"]
    assert len(first.headers["X-EXTERNAL-ID"]) <= 36


@pytest.mark.parametrize("amount", [0, -1])
def test_only_positive_amounts_can_be_paid(amount: int) -> None:
    """Nothing and less than nothing is a mistake of the caller's."""
    with pytest.raises(ValueError, match="positive"):
        money(amount)


def test_keys_are_checked(key: RSAPrivateKey) -> None:
    """The client signs with RSA keys alone."""
    form = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    assert private_key(key.private_bytes(*form)).key_size == 2048
    with pytest.raises(ValueError, match="RSA"):
        private_key(generate_ec_key(SECP256R1()).private_bytes(*form))


def client(
    key: RSAPrivateKey, handler: Callable[[httpx.Request], Awaitable[httpx.Response]], timeout: float = 8
) -> Dana:
    """A client whose calls all end in `handler`."""
    return Dana("http://dana", "batalkan", key, timeout=timeout, transport=httpx.MockTransport(handler))  # type: ignore[arg-type]
