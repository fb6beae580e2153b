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


def reply(code: str, *, http: int = 0, **fields: Any) -> httpx.Response:
    """A SNAP BI answer; `http` when its status contradicts its code."""
    body = json.dumps({"responseCode": code, "responseMessage": "…", **fields})
    return httpx.Response(http or int(code[:3]), text=body)


@pytest.mark.parametrize(
    ("response", "outcome"),
    [
        (reply("2003800", **PAID), Outcome.PAID),
        (reply("2003800", **PAID | {"partnerReferenceNo": "other"}), Outcome.UNKNOWN),
        (reply("2003800", **PAID | {"amount": money(8)}), Outcome.UNKNOWN),
        (reply("2003800"), Outcome.UNKNOWN),
        (reply("2003801", **PAID), Outcome.UNKNOWN),
        (reply("2003900", **PAID), Outcome.UNKNOWN),
        (reply("2023800"), Outcome.PENDING),
        (reply("5003800"), Outcome.FAILED),
        (reply("5003800", http=200), Outcome.UNKNOWN),
        (reply("5003800", http=502), Outcome.UNKNOWN),
        (reply("5003801"), Outcome.UNKNOWN),
        (reply("5003900"), Outcome.UNKNOWN),
        (reply("5033800"), Outcome.UNKNOWN),
        (reply("5043800"), Outcome.UNKNOWN),
        (reply("4003801"), Outcome.FAILED),
        (reply("4033805"), Outcome.FAILED),
        (reply("4033814"), Outcome.FAILED),
        (reply("4033818"), Outcome.FAILED),
        (reply("4043811"), Outcome.FAILED),
        (reply("4033800"), Outcome.UNKNOWN),
        (reply("4033816"), Outcome.UNKNOWN),
        (reply("4043801"), Outcome.UNKNOWN),
        (reply("4043818"), Outcome.UNKNOWN),
        (reply("4093800"), Outcome.UNKNOWN),
        (reply("4093801"), Outcome.UNKNOWN),
        (reply("4013800"), Outcome.NOT_SENT),
        (reply("4293800"), Outcome.NOT_SENT),
        (httpx.Response(429, text="slow down"), Outcome.NOT_SENT),
        (httpx.Response(403, text="<html>blocked</html>"), Outcome.UNKNOWN),
        (httpx.Response(500, text="Internal Server Error"), Outcome.UNKNOWN),
        (httpx.Response(200, text=""), Outcome.UNKNOWN),
        (httpx.Response(200, content=b"\xff\xfe\xfd"), Outcome.UNKNOWN),
        (httpx.Response(200, text="[" * 100_000), Outcome.UNKNOWN),
        (httpx.Response(200, json=["2003800"]), Outcome.UNKNOWN),
        (httpx.Response(200, json={"responseCode": 2003800, **PAID}), Outcome.UNKNOWN),
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
        ("01", Outcome.PENDING),
        ("02", Outcome.PENDING),
        ("03", Outcome.PENDING),
        ("04", Outcome.UNKNOWN),
        ("05", Outcome.FAILED),
        ("06", Outcome.FAILED),
        ("07", Outcome.NOT_FOUND),
        ("08", Outcome.UNKNOWN),
        (0, Outcome.UNKNOWN),
        (["00"], Outcome.UNKNOWN),
        (None, Outcome.UNKNOWN),
    ],
)
def test_transaction_statuses(status: Any, outcome: Outcome) -> None:
    """Each transaction status has its meaning, and an unknown one none; another reference's is ignored."""
    fields = {"originalPartnerReferenceNo": "r", "latestTransactionStatus": status}
    assert read_status(reply("2003900", **fields), "r").outcome is outcome
    assert read_status(reply("2003900", **fields), "other").outcome is Outcome.UNKNOWN


@pytest.mark.parametrize("code", ["5003900", "5003901", "4003902", "4013900", "4093900", "4293900", "4043900"])
def test_a_failed_inquiry_is_not_a_failed_payment(code: str) -> None:
    """When the inquiry itself is refused or fails, the payment is as unknown as before."""
    assert read_status(reply(code), "r").outcome is Outcome.UNKNOWN


@pytest.mark.parametrize("code", ["5003700", "4013700", "4003701", "4033702", "4093700", "4293700", "2023700"])
def test_other_inquiry_answers_say_nothing(code: str) -> None:
    """Only an answer about the account decides about it."""
    assert read_inquiry(reply(code)) is None


def test_messages_are_made_safe() -> None:
    """DANA's text is shortened, and stripped of characters that a database or a terminal does not accept."""
    answer = read_top_up(reply("4033805", responseMessage="a\x00b\ud800c\n" + "d" * 200), "r", money(7))
    assert answer.message == "abc" + "d" * 147


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (httpx.ConnectError, Outcome.NOT_SENT),
        (httpx.ConnectTimeout, Outcome.NOT_SENT),
        (httpx.PoolTimeout, Outcome.NOT_SENT),
        (httpx.WriteTimeout, Outcome.UNKNOWN),
        (httpx.ReadTimeout, Outcome.UNKNOWN),
        (httpx.WriteError, Outcome.UNKNOWN),
        (httpx.ReadError, Outcome.UNKNOWN),
        (httpx.CloseError, Outcome.UNKNOWN),
        (httpx.RemoteProtocolError, Outcome.UNKNOWN),
        (httpx.LocalProtocolError, Outcome.UNKNOWN),
        (httpx.ProxyError, Outcome.UNKNOWN),
        (httpx.DecodingError, Outcome.UNKNOWN),
    ],
)
async def test_errors_on_the_way(error: Callable[[str], Exception], outcome: Outcome, key: RSAPrivateKey) -> None:
    """Without a connection the payment is NOT_SENT; after that every error is UNKNOWN; an inquiry is UNKNOWN always."""

    async def fail(request: httpx.Request) -> httpx.Response:
        raise error("on the way")

    dana = client(key, fail)
    assert (await dana.top_up("r", PHONE, 7)).outcome is outcome
    assert (await dana.status("r")).outcome is Outcome.UNKNOWN
    with pytest.raises(DanaUnreachable):
        await dana.account_inquiry(PHONE)
    await dana.close()


async def test_the_whole_call_has_a_deadline(key: RSAPrivateKey) -> None:
    """A transport that knows no timeouts is left after the client's own."""

    async def never(request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        return httpx.Response(200)

    dana = client(key, never, timeout=0.05)
    assert (await dana.top_up("r", PHONE, 7)).code == "timeout"
    await dana.close()


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
    await dana.close()
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


async def test_no_phone_number_is_logged(key: RSAPrivateKey, caplog: pytest.LogCaptureFixture) -> None:
    """Logs name the wallet by a masked number only."""

    async def fail(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("gone")

    dana = client(key, fail)
    with caplog.at_level(logging.DEBUG):
        await dana.top_up("r", PHONE, 7)
        with pytest.raises(DanaUnreachable):
            await dana.account_inquiry(PHONE)
    await dana.close()
    assert "0812****890" in caplog.text
    assert "1234567890" not in caplog.text


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


def test_the_url_is_checked(key: RSAPrivateKey) -> None:
    """A URL that is not one of http or https is refused at the start."""
    with pytest.raises(ValueError, match="URL"):
        Dana("dana:8090", "batalkan", key)


def client(
    key: RSAPrivateKey, handler: Callable[[httpx.Request], Awaitable[httpx.Response]], timeout: float = 8
) -> Dana:
    """A client whose calls all end in `handler`."""
    return Dana("http://dana", "batalkan", key, timeout=timeout, transport=httpx.MockTransport(handler))  # type: ignore[arg-type]
