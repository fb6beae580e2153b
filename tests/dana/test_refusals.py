"""DANA refuses invalid requests, and pays nothing for them."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from services.refunds.answers import Answer, Outcome
from services.refunds.snap import INQUIRY, STATUS, TOP_UP, Dana

from .conftest import Control
from .partner import PHONE, Partner, new_key, new_reference, rupiah, top_up_body

HEADERS = ("X-TIMESTAMP", "X-SIGNATURE", "X-PARTNER-ID", "X-EXTERNAL-ID", "CHANNEL-ID", "Content-Type")
FIELDS = ("customerNumber", "amount", "feeAmount", "additionalInfo")


async def refused(response: httpx.Response, code: str, control: Control, reference: str) -> None:
    """Asserts that the answer has this code, and that the journal has no payment."""
    assert response.json()["responseCode"] == code, response.text
    assert response.status_code == int(code[:3])
    assert await control.payments(reference, "all") == []


@pytest.mark.parametrize(
    ("how", "code"),
    [
        *(({"headers": {name: ""}}, "4003802") for name in HEADERS),
        ({"headers": {"Content-Type": "text/plain"}}, "4003801"),
        ({"headers": {"X-TIMESTAMP": "2025-01-01T00:00:00Z"}}, "4003801"),
        ({"headers": {"X-EXTERNAL-ID": "1" * 37}}, "4003801"),
        ({"headers": {"CHANNEL-ID": "123456"}}, "4003801"),
        ({"headers": {"X-PARTNER-ID": "another"}}, "4013800"),
        ({"headers": {"X-SIGNATURE": "not base64!"}}, "4013800"),
        *(({"age": timedelta(minutes=minutes)}, "4013800") for minutes in (6, -6)),
    ],
)
async def test_wrong_headers_are_refused(how: dict[str, Any], code: str, partner: Partner, control: Control) -> None:
    """Every header is mandatory and has one form; a timestamp more than five minutes from DANA's clock is
    unauthorised."""
    reference = new_reference()
    await refused(await partner.top_up(reference, **how), code, control, reference)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        *(({name: None}, "4003802") for name in FIELDS),
        *(({"partnerReferenceNo": bad}, "4003801") for bad in ("\ud800", "r" * 65)),
        ({"customerNumber": 6281234567890}, "4003801"),
        *(({"customerNumber": bad}, "4043811") for bad in ("081234567890", "62812345678901234")),
        *(({"amount": rupiah(bad)}, "4003801") for bad in ("150000", 150000, "-1.00", "0.00", "150000.50")),
        *(({"amount": bad}, "4003801") for bad in (rupiah("150000.00", "USD"), "150000.00")),
        ({"amount": rupiah("20000001.00")}, "4033802"),
    ],
)
async def test_wrong_fields_are_refused(changes: dict[str, Any], code: str, partner: Partner, control: Control) -> None:
    """Every field is checked, an amount has a limit, and nothing is paid for a request with a bad one."""
    reference = new_reference()
    await refused(await partner.call(TOP_UP, top_up_body(reference, **changes)), code, control, reference)


async def test_a_tampered_body_is_refused(partner: Partner, control: Control) -> None:
    """A body that was changed after signing is 4013800."""
    reference = new_reference()
    response = await partner.top_up(reference, sent=top_up_body(reference, amount=rupiah("9150000.00")))
    await refused(response, "4013800", control, reference)


async def test_a_foreign_key_is_refused(url: str, http: httpx.AsyncClient, control: Control) -> None:
    """A signature by another key is 4013800, and so the client's payment is NOT_SENT and its inquiry UNKNOWN."""
    stranger, reference = new_key(), new_reference()
    await refused(await Partner(http, stranger).top_up(reference), "4013800", control, reference)
    dana = Dana(url, "batalkan", stranger)
    assert await dana.top_up(reference, PHONE, 7) == Answer(Outcome.NOT_SENT, "4013800")
    assert await dana.status(reference, 7) == Answer(Outcome.UNKNOWN, "4013900")
    await dana.close()


async def test_a_signature_for_another_service_is_refused(partner: Partner, control: Control) -> None:
    """A signature holds for one path only."""
    reference = new_reference()
    seen: dict[str, str] = {}

    async def spy(request: httpx.Request) -> httpx.Response:
        seen.update(request.headers)
        return httpx.Response(500)

    async with httpx.AsyncClient(base_url="http://dana", transport=httpx.MockTransport(spy)) as http:
        await Partner(http, partner.key).top_up(reference)
    headers = {"X-SIGNATURE": seen["x-signature"], "X-TIMESTAMP": seen["x-timestamp"]}
    await refused(await partner.call(STATUS, top_up_body(reference), headers=headers), "4013900", control, reference)


async def test_four_minutes_are_accepted(partner: Partner) -> None:
    """Clocks may differ a little."""
    response = await partner.top_up(new_reference(), age=timedelta(minutes=4))
    assert response.json()["responseCode"] == "2003800"


async def test_an_external_id_is_used_once_a_day(partner: Partner, control: Control) -> None:
    """The second request with an X-EXTERNAL-ID is a conflict, whichever service it is for."""
    headers, reference = {"X-EXTERNAL-ID": uuid4().hex}, new_reference()
    assert (await partner.top_up(new_reference(), headers=headers)).json()["responseCode"] == "2003800"
    await refused(await partner.top_up(reference, headers=headers), "4093800", control, reference)
    other = {"originalPartnerReferenceNo": reference, "serviceCode": "38"}
    assert (await partner.call(STATUS, other, headers=headers)).json()["responseCode"] == "4093900"


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b"[" * 5_000])
async def test_a_body_that_is_not_json_is_refused(body: bytes, partner: Partner) -> None:
    """A signed body that is no JSON object is a bad request for every service."""
    for path, service in ((INQUIRY, "37"), (TOP_UP, "38"), (STATUS, "39")):
        assert (await partner.call(path, body)).json()["responseCode"] == f"400{service}00"


async def test_an_inquiry_about_another_service_is_refused(partner: Partner) -> None:
    """A status inquiry is for top-ups alone."""
    response = await partner.call(STATUS, {"originalPartnerReferenceNo": "r", "serviceCode": "ab"})
    assert response.json()["responseCode"] == "4003901"


async def test_every_request_is_in_the_journal(partner: Partner, control: Control) -> None:
    """Accepted or refused, a request leaves a line with its code and a masked number."""
    reference = new_reference()
    await partner.top_up(reference)
    await Partner(partner.http, new_key()).top_up(reference)
    latest = await control.requests()  # among them perhaps one that an earlier test has left behind
    (place,) = [place for place, one in enumerate(latest) if one["reference"] == reference]
    refusal = next(one for one in latest[:place] if one["code"] == "4013800")
    assert (latest[place]["code"], latest[place]["phone"], refusal["phone"]) == ("2003800", "62812****890", None)
