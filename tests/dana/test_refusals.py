"""DANA refuses invalid requests, and pays nothing for them."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from services.refunds.answers import Outcome
from services.refunds.snap import INQUIRY, STATUS, TOP_UP, Dana

from .conftest import Control
from .partner import PHONE, call, new_key, new_reference, top_up_body


async def refused(response: httpx.Response, code: str, control: Control, reference: str) -> None:
    """Asserts that the answer has this code, and that the journal has no payment."""
    assert response.json()["responseCode"] == code, response.text
    assert response.status_code == int(code[:3])
    assert await control.payments(reference, "all") == []


async def test_a_tampered_body_is_refused(http: httpx.AsyncClient, key: RSAPrivateKey, control: Control) -> None:
    """A body that was changed after signing is 4013800."""
    reference = new_reference()
    body = top_up_body(reference)
    more = str(top_up_body(reference, amount={"value": "9150000.00", "currency": "IDR"})).replace("'", '"').encode()
    await refused(await call(http, key, TOP_UP, body, sent=more), "4013800", control, reference)


async def test_a_foreign_key_is_refused(url: str, http: httpx.AsyncClient, control: Control) -> None:
    """A signature by another key is 4013800, and so the client's payment is NOT_SENT and its inquiry UNKNOWN."""
    stranger, reference = new_key(), new_reference()
    await refused(await call(http, stranger, TOP_UP, top_up_body(reference)), "4013800", control, reference)
    dana = Dana(url, "batalkan", stranger)
    assert (await dana.top_up(reference, PHONE, 7)).outcome is Outcome.NOT_SENT
    assert (await dana.status(reference)).outcome is Outcome.UNKNOWN
    await dana.close()


async def test_a_signature_for_another_service_is_refused(
    http: httpx.AsyncClient, key: RSAPrivateKey, control: Control
) -> None:
    """A signature holds for one path only."""
    reference = new_reference()
    seen: dict[str, str] = {}

    async def spy(request: httpx.Request) -> httpx.Response:
        seen.update(request.headers)
        return httpx.Response(500)

    dana = Dana("http://dana", "batalkan", key, transport=httpx.MockTransport(spy))
    await dana.top_up(reference, PHONE, 150_000)
    response = await call(
        http,
        key,
        STATUS,
        top_up_body(reference),
        headers={"X-SIGNATURE": seen["x-signature"], "X-TIMESTAMP": seen["x-timestamp"]},
    )
    await refused(response, "4013900", control, reference)
    await dana.close()


@pytest.mark.parametrize("minutes", [6, -6])
async def test_an_old_or_future_timestamp_is_refused(
    minutes: int, http: httpx.AsyncClient, key: RSAPrivateKey, control: Control
) -> None:
    """A timestamp more than five minutes from DANA's clock is unauthorised."""
    reference = new_reference()
    response = await call(http, key, TOP_UP, top_up_body(reference), age=timedelta(minutes=minutes))
    await refused(response, "4013800", control, reference)


async def test_four_minutes_are_accepted(http: httpx.AsyncClient, key: RSAPrivateKey, control: Control) -> None:
    """Clocks may differ a little."""
    response = await call(http, key, TOP_UP, top_up_body(new_reference()), age=timedelta(minutes=4))
    assert response.json()["responseCode"] == "2003800"


async def test_an_external_id_is_used_once_a_day(http: httpx.AsyncClient, key: RSAPrivateKey, control: Control) -> None:
    """The second request with an X-EXTERNAL-ID is a conflict, whichever service it is for."""
    once, reference = uuid4().hex, new_reference()
    first = await call(http, key, TOP_UP, top_up_body(new_reference()), headers={"X-EXTERNAL-ID": once})
    assert first.json()["responseCode"] == "2003800"
    response = await call(http, key, TOP_UP, top_up_body(reference), headers={"X-EXTERNAL-ID": once})
    await refused(response, "4093800", control, reference)
    other = {"originalPartnerReferenceNo": reference, "serviceCode": "38"}
    assert (await call(http, key, STATUS, other, headers={"X-EXTERNAL-ID": once})).json()["responseCode"] == "4093900"


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"X-TIMESTAMP": ""}, "4003802"),
        ({"X-SIGNATURE": ""}, "4003802"),
        ({"X-PARTNER-ID": ""}, "4003802"),
        ({"X-EXTERNAL-ID": ""}, "4003802"),
        ({"CHANNEL-ID": ""}, "4003802"),
        ({"Content-Type": ""}, "4003802"),
        ({"Content-Type": "text/plain"}, "4003801"),
        ({"X-TIMESTAMP": "2025-01-01T00:00:00Z"}, "4003801"),
        ({"X-EXTERNAL-ID": "1" * 37}, "4003801"),
        ({"CHANNEL-ID": "123456"}, "4003801"),
        ({"X-PARTNER-ID": "another"}, "4013800"),
        ({"X-SIGNATURE": "not base64!"}, "4013800"),
    ],
)
async def test_odd_headers_are_refused(
    headers: dict[str, str], code: str, http: httpx.AsyncClient, key: RSAPrivateKey, control: Control
) -> None:
    """Every header is mandatory and has one form."""
    reference = new_reference()
    await refused(await call(http, key, TOP_UP, top_up_body(reference), headers=headers), code, control, reference)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"customerNumber": None}, "4003802"),
        ({"amount": None}, "4003802"),
        ({"feeAmount": None}, "4003802"),
        ({"additionalInfo": None}, "4003802"),
        ({"partnerReferenceNo": "\ud800"}, "4003801"),
        ({"partnerReferenceNo": "r" * 65}, "4003801"),
        ({"customerNumber": 6281234567890}, "4003801"),
        ({"customerNumber": "081234567890"}, "4043811"),
        ({"customerNumber": "62812345678901234"}, "4043811"),
        ({"amount": {"value": "150000", "currency": "IDR"}}, "4003801"),
        ({"amount": {"value": 150000, "currency": "IDR"}}, "4003801"),
        ({"amount": {"value": "-1.00", "currency": "IDR"}}, "4003801"),
        ({"amount": {"value": "0.00", "currency": "IDR"}}, "4003801"),
        ({"amount": {"value": "150000.50", "currency": "IDR"}}, "4003801"),
        ({"amount": {"value": "150000.00", "currency": "USD"}}, "4003801"),
        ({"amount": "150000.00"}, "4003801"),
    ],
)
async def test_odd_fields_are_refused(
    changes: dict[str, Any], code: str, http: httpx.AsyncClient, key: RSAPrivateKey, control: Control
) -> None:
    """Every field is checked, and nothing is paid for a request with a bad one."""
    reference = new_reference()
    await refused(await call(http, key, TOP_UP, top_up_body(reference, **changes)), code, control, reference)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b"[" * 5_000])
async def test_what_is_not_json_is_refused(
    body: bytes, http: httpx.AsyncClient, key: RSAPrivateKey, control: Control
) -> None:
    """A signed body that is no JSON object is a bad request for every service."""
    for path, service in ((INQUIRY, "37"), (TOP_UP, "38"), (STATUS, "39")):
        assert (await call(http, key, path, body)).json()["responseCode"] == f"400{service}00"


async def test_an_inquiry_about_another_service_is_refused(
    http: httpx.AsyncClient, key: RSAPrivateKey, control: Control
) -> None:
    """A status inquiry is for top-ups alone."""
    response = await call(http, key, STATUS, {"originalPartnerReferenceNo": "r", "serviceCode": "ab"})
    assert response.json()["responseCode"] == "4003901"


async def test_every_request_is_in_the_journal(http: httpx.AsyncClient, key: RSAPrivateKey, control: Control) -> None:
    """Accepted or refused, a request leaves a line with its code and a masked number."""
    reference = new_reference()
    await call(http, key, TOP_UP, top_up_body(reference))
    await call(http, new_key(), TOP_UP, top_up_body(reference))
    refusal, accepted = (await control.requests())[:2]
    assert (accepted["code"], accepted["reference"]) == ("2003800", reference)
    assert (accepted["phone"], refusal["phone"]) == ("62812****890", None)
    assert refusal["code"] == "4013800"
