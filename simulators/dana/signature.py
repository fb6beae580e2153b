"""Verification of SNAP BI's asymmetric request signature."""

import base64
import binascii
import hashlib
from datetime import datetime, timedelta, timezone

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

JAKARTA = timezone(timedelta(hours=7))

TOLERANCE = timedelta(minutes=5)
"""The largest difference between a request's timestamp and DANA's clock."""


def public_key(pem: bytes) -> RSAPublicKey:
    """The partner's key. Raises ValueError when it is not an RSA key."""
    key = load_pem_public_key(pem)
    if not isinstance(key, RSAPublicKey):
        raise ValueError("the partner's key must be an RSA key")
    return key


def is_signed(key: RSAPublicKey, path: str, body: bytes, timestamp: str, signature: str) -> bool:
    """Whether the partner signed these bytes for this path at this time."""
    text = f"POST:{path}:{hashlib.sha256(body).hexdigest()}:{timestamp}"
    try:
        key.verify(base64.b64decode(signature, validate=True), text.encode(), PKCS1v15(), SHA256())
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


def is_current(timestamp: datetime, now: datetime) -> bool:
    """Whether a timestamp is within `TOLERANCE` of DANA's clock."""
    return abs(now - timestamp) <= TOLERANCE


def read_timestamp(text: str) -> datetime | None:
    """`YYYY-MM-DDTHH:mm:ss+07:00`, in Jakarta time; None for any other form."""
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S+07:00").replace(tzinfo=JAKARTA)
    except ValueError:
        return None
