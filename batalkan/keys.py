"""The key pairs: Ed25519 for the access tokens of accounts, RSA for the requests of refunds to DANA."""

import base64
import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)


@dataclass(frozen=True)
class Keys:
    """Paths of the keys; the names are those of the settings."""

    signing_key: Path
    token_keys: Path
    dana_private_key: Path
    dana_partner_key: Path


def make_keys(folder: Path) -> Keys:
    """The keys in `folder`. Existing private keys stay; missing ones are created."""
    folder.mkdir(parents=True, exist_ok=True)
    keys = Keys(
        signing_key=folder / "signing_key.pem",
        token_keys=folder / "jwks.json",
        dana_private_key=folder / "dana_private_key.pem",
        dana_partner_key=folder / "dana_partner_key.pem",
    )
    _write(keys.token_keys, jwks(_ensure(keys.signing_key, new_signing_key)), mode=0o644)
    _write(keys.dana_partner_key, public_pem(_ensure(keys.dana_private_key, new_dana_key)), mode=0o644)
    return keys


def new_signing_key() -> str:
    """An Ed25519 private key, PEM."""
    return _private_pem(Ed25519PrivateKey.generate())


def new_dana_key() -> str:
    """An RSA-2048 private key, PEM."""
    return _private_pem(generate_private_key(public_exponent=65537, key_size=2048))


def jwks(signing_key: str) -> str:
    """The public half of an Ed25519 private key as a JSON Web Key Set; `kid` is the key's thumbprint (RFC 7638)."""
    private = load_pem_private_key(signing_key.encode(), None)
    raw = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    members = {"crv": "Ed25519", "kty": "OKP", "x": _base64url(raw)}  # RFC 7638: these members only, in this order
    canonical = json.dumps(members, separators=(",", ":"), sort_keys=True)
    kid = _base64url(hashlib.sha256(canonical.encode()).digest())
    return json.dumps({"keys": [{**members, "kid": kid, "alg": "EdDSA", "use": "sig"}]})


def public_pem(private_key: str) -> str:
    """The public half of a private key, PEM."""
    public = load_pem_private_key(private_key.encode(), None).public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _private_pem(key: Ed25519PrivateKey | RSAPrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _ensure(path: Path, make: Callable[[], str]) -> str:
    if not path.exists():
        _write(path, make(), mode=0o600)
    return path.read_text()


def _write(path: Path, text: str, *, mode: int) -> None:
    """Writes the file completely or not at all; it is never readable by others, not even for a moment."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        file.write(text)
    new.replace(path)


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
