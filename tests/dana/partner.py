"""A partner of DANA for the tests: keys and hand-made requests."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any
from uuid import uuid4

import httpx
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from services.refunds.answers import Answer, Outcome
from services.refunds.snap import JAKARTA, TOP_UP, Dana, signature
from tests.harness.waiting import eventually

PHONE = "6281234567890"


def new_key() -> RSAPrivateKey:
    """A key like the one that signs for the partner."""
    return generate_private_key(public_exponent=65537, key_size=2048)


def public_pem(key: RSAPrivateKey) -> bytes:
    """What DANA is given of it."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def new_reference() -> str:
    """A reference that was never used."""
    return f"refund-{uuid4()}"


def rupiah(value: object, currency: str = "IDR") -> dict[str, object]:
    """An amount on the wire."""
    return {"value": value, "currency": currency}


def top_up_body(reference: str, **changes: Any) -> dict[str, Any]:
    """A top-up that DANA accepts, with changes; a field changed to None is left out."""
    body = {
        "partnerReferenceNo": reference,
        "customerNumber": PHONE,
        "amount": rupiah("150000.00"),
        "feeAmount": rupiah("0.00"),
        "additionalInfo": {"fundType": "AGENT_TOPUP_FOR_USER_SETTLE"},
    } | changes
    return {name: value for name, value in body.items() if value is not None}


@dataclass(frozen=True)
class Partner:
    """Signs requests by hand, with its key."""

    http: httpx.AsyncClient
    key: RSAPrivateKey

    async def call(
        self,
        path: str,
        body: dict[str, Any] | bytes,
        *,
        age: timedelta = timedelta(0),
        sent: dict[str, Any] | None = None,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> httpx.Response:
        """A call: `age` makes it old, `sent` replaces the body after signing, `headers` replaces headers or, with empty
        ones, leaves them out."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        timestamp = (datetime.now(JAKARTA) - age).isoformat(timespec="seconds")
        usual = {
            "Content-Type": "application/json",
            "X-TIMESTAMP": timestamp,
            "X-SIGNATURE": signature(self.key, path, content, timestamp),
            "X-PARTNER-ID": "batalkan",
            "X-EXTERNAL-ID": uuid4().hex,
            "CHANNEL-ID": "95221",
        } | dict(headers)
        given = {name: value for name, value in usual.items() if value}
        return await self.http.post(path, content=json.dumps(sent).encode() if sent else content, headers=given)

    async def top_up(self, reference: str, **how: Any) -> httpx.Response:
        """A top-up; `how`: `call`."""
        return await self.call(TOP_UP, top_up_body(reference), **how)


async def settled(dana: Dana, reference: str) -> Answer:
    """The status of a reference that pays 7 rupiah, once it is PAID."""
    return await eventually(lambda: dana.status(reference, 7), enough=lambda answer: answer.outcome is Outcome.PAID)
