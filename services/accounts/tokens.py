"""Access tokens: an identity, signed, valid for a quarter of an hour. Every service verifies them itself."""

import hashlib
import hmac
import json
from base64 import urlsafe_b64encode
from pathlib import Path
from time import time
from typing import Literal
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from jwt.algorithms import OKPAlgorithm
from pydantic import BaseModel

from runtime.http.auth import ALGORITHM, ISSUER
from services.accounts.domain import Account, Client

EXPIRES_IN = 15 * 60
"""Seconds. Ending a session stops new tokens; those already issued stay valid until then."""


class Key(BaseModel):
    """A public key (RFC 8037); other content of the file, above all a private part, is not shown."""

    kty: Literal["OKP"]
    crv: Literal["Ed25519"]
    x: str
    kid: str
    alg: Literal["EdDSA"] = "EdDSA"
    use: Literal["sig"] = "sig"


class KeySet(BaseModel):
    """A JSON Web Key Set (RFC 7517)."""

    keys: list[Key]

    @classmethod
    def read(cls, path: Path) -> "KeySet":
        """The keys that services know, as they are in the file now."""
        return cls.model_validate_json(path.read_bytes())

    def __contains__(self, key_id: str) -> bool:
        return key_id in {key.kid for key in self.keys}


def thumbprint(key: Ed25519PublicKey) -> str:
    """The id of a key, computed from the key (RFC 7638)."""
    members = json.dumps(OKPAlgorithm.to_jwk(key, as_dict=True), separators=(",", ":"), sort_keys=True)
    return urlsafe_b64encode(hashlib.sha256(members.encode()).digest()).rstrip(b"=").decode()


class AccessTokens:
    """Signs tokens with one key."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.key_id = thumbprint(key.public_key())

    @classmethod
    def read(cls, path: Path) -> "AccessTokens":
        """With the key in a PEM file (PKCS 8)."""
        key = load_pem_private_key(path.read_bytes(), None)
        if not isinstance(key, Ed25519PrivateKey):
            raise TypeError(f"{path} does not hold an Ed25519 key")
        return cls(key)

    def issue(self, account: Account, client: Client, session: str) -> str:
        """A token for the account. Its times are the machine's: advancing the demonstration's clock must not end it."""
        now = int(time())
        claims = {
            "iss": ISSUER,
            "sub": str(account.account_id),
            "role": account.role,
            "client_id": client,
            "sid": session,
            "iat": now,
            "exp": now + EXPIRES_IN,
            "jti": uuid4().hex,
        }
        return jwt.encode(claims, self._key, ALGORITHM, headers={"kid": self.key_id, "typ": "at+jwt"})

    def secret(self, purpose: str) -> bytes:
        """A secret for another purpose, derived from the key without revealing it."""
        return hmac.digest(self._key.private_bytes_raw(), purpose.encode(), "sha256")
