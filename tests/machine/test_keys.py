"""The key files."""

import json
import stat
from base64 import urlsafe_b64decode
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from batalkan.keys import jwks, make_keys


def test_private_keys_stay_and_are_private(tmp_path: Path) -> None:
    """Making the keys again keeps the private keys, which only their owner may read, and makes lost public keys of
    them."""
    keys = make_keys(tmp_path / "keys")
    for path in (keys.signing_key, keys.dana_private_key):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = {path.name: path.read_bytes() for path in (tmp_path / "keys").iterdir()}
    keys.token_keys.unlink()
    keys.dana_partner_key.unlink()
    make_keys(tmp_path / "keys")
    assert {path.name: path.read_bytes() for path in (tmp_path / "keys").iterdir()} == before
    assert len(before) == 4


def test_tokens_verify_with_the_published_key(tmp_path: Path) -> None:
    """What the private key signs, the published set verifies; it holds no private part."""
    keys = make_keys(tmp_path)
    published = json.loads(keys.token_keys.read_text())
    token = jwt.encode({"sub": "someone"}, keys.signing_key.read_text(), "EdDSA")
    assert jwt.decode(token, jwt.PyJWKSet.from_dict(published)[published["keys"][0]["kid"]], ["EdDSA"])
    assert published["keys"][0].keys() == {"kty", "crv", "x", "kid", "alg", "use"}


def test_key_id_is_the_thumbprint() -> None:
    """The key of RFC 8037, appendix A, has the thumbprint that stands there."""
    secret = urlsafe_b64decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=")
    key = Ed25519PrivateKey.from_private_bytes(secret)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    assert json.loads(jwks(pem))["keys"][0]["kid"] == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_dana_keys_are_a_pair(tmp_path: Path) -> None:
    """DANA verifies with its file what refunds signs with the other, an RSA key of 2048 bits."""
    keys = make_keys(tmp_path)
    private = load_pem_private_key(keys.dana_private_key.read_bytes(), None)
    public = load_pem_public_key(keys.dana_partner_key.read_bytes())
    assert isinstance(private, RSAPrivateKey)
    assert isinstance(public, RSAPublicKey)
    assert private.key_size == 2048
    public.verify(private.sign(b"body", padding.PKCS1v15(), SHA256()), b"body", padding.PKCS1v15(), SHA256())
