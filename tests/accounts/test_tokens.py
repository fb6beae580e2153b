"""Access tokens: what is in them, and which ones are refused."""

import hmac
import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path
from time import time
from typing import Any
from uuid import uuid4

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from batalkan.keys import Keys
from contracts.words import Role
from runtime.errors import Unauthenticated
from runtime.http.auth import TokenVerifier
from services.accounts.domain import Account, Client
from services.accounts.tokens import AccessTokens, thumbprint
from tests.harness.accounts import AccountsHarness, Visitor, open_harness

SITI = Account(uuid4(), "siti@example.com", "Siti", Role.BUYER)


@pytest.fixture
def key(keys: Keys) -> Ed25519PrivateKey:
    """The key that the service signs with."""
    key = load_pem_private_key(keys.signing_key.read_bytes(), None)
    assert isinstance(key, Ed25519PrivateKey)
    return key


def test_a_token_says_who_and_through_what(key: Ed25519PrivateKey, keys: Keys) -> None:
    """It is an access token (RFC 9068) for a quarter of an hour, with an id of its own, and without personal data; with
    the published keys it verifies to the account, its role, the client and the session."""
    token = AccessTokens(key).issue(SITI, Client.WEB, "session")
    header = jwt.get_unverified_header(token)
    assert header == {"alg": "EdDSA", "typ": "at+jwt", "kid": thumbprint(key.public_key())}
    claims = jwt.decode(token, options={"verify_signature": False})
    assert set(claims) == {"iss", "sub", "role", "client_id", "sid", "iat", "exp", "jti"}
    assert (claims["iss"], claims["exp"] - claims["iat"]) == ("batalkan", 900)
    assert abs(claims["iat"] - time()) < 5
    identity = TokenVerifier(keys.token_keys).verify(token)
    assert (identity.account_id, identity.role) == (SITI.account_id, "buyer")
    assert (identity.client, identity.session) == ("web", "session")


def test_a_key_is_named_as_the_rfc_says() -> None:
    """The thumbprint of a key is that of the example in RFC 8037, A.3."""
    key = Ed25519PrivateKey.from_private_bytes(part("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"))
    assert thumbprint(key.public_key()) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def part(text: str) -> bytes:
    """The content of a part of a token."""
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def changed(token: str, number: int, **fields: Any) -> str:
    """The token with fields of its header (0) or claims (1) changed, under the old signature."""
    parts = token.split(".")
    content = {**json.loads(part(parts[number])), **fields}
    parts[number] = urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()
    return ".".join(parts)


def signed(key: Ed25519PrivateKey, by: Any = None, algorithm: str = "EdDSA", kid: str = "", **fields: Any) -> str:
    """A token with the claims of accounts, signed by any key, under the id of ours or under another."""
    now = int(time())
    claims = {"iss": "batalkan", "sub": str(SITI.account_id), "role": "agent", "client_id": "app", "iat": now}
    headers = {"kid": kid or AccessTokens(key).key_id}
    return jwt.encode({**claims, "exp": now + 900, **fields}, key if by is None else by, algorithm, headers=headers)


def confused(key: Ed25519PrivateKey, encoding: Encoding, shape: PublicFormat) -> str:
    """A token whose HMAC secret is the public key."""
    content = signed(key, "x" * 40, "HS256").rpartition(".")[0]
    mac = hmac.digest(key.public_key().public_bytes(encoding, shape), content.encode(), "sha256")
    return f"{content}.{urlsafe_b64encode(mac).rstrip(b'=').decode()}"


FORGERIES: dict[str, Callable[[Ed25519PrivateKey, str], str]] = {
    "other claims": lambda key, token: changed(token, 1, role="agent"),
    "other account": lambda key, token: changed(token, 1, sub=str(uuid4())),
    "no signature": lambda key, token: token.rpartition(".")[0] + ".",
    "two parts": lambda key, token: token.rpartition(".")[0],
    "alg none": lambda key, token: changed(token, 0, alg="none").rpartition(".")[0] + ".",
    "alg None": lambda key, token: changed(token, 0, alg="None").rpartition(".")[0] + ".",
    "unsigned": lambda key, token: signed(key, "", "none"),
    "HS256 with the PEM": lambda key, token: confused(key, Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    "HS256 with the bytes": lambda key, token: confused(key, Encoding.Raw, PublicFormat.Raw),
    "unknown kid": lambda key, token: signed(key, kid="unknown"),
    "no kid": lambda key, token: changed(token, 0, kid=None),
    "another key under our kid": lambda key, token: signed(key, Ed25519PrivateKey.generate()),
    "key in the header": lambda key, token: changed(token, 0, jwk={"kty": "OKP", "crv": "Ed25519", "x": "AA"}, kid="x"),
    "unknown critical field": lambda key, token: changed(token, 0, crit=["exp"]),
    "expired": lambda key, token: signed(key, exp=int(time()) - 6),
    "from the future": lambda key, token: signed(key, iat=int(time()) + 60),
    "another issuer": lambda key, token: signed(key, iss="elsewhere"),
    "never ending": lambda key, token: signed(key, exp=None),
    "subject without an id": lambda key, token: signed(key, sub="siti"),
    "deep": lambda key, token: urlsafe_b64encode(b'{"a":' + b"[" * 20_000).decode().rstrip("=") + ".e30.x",
    "no token": lambda key, token: "x",
    "not ASCII": lambda key, token: "é.é.é",
}


def test_an_unchanged_token_is_accepted(key: Ed25519PrivateKey, keys: Keys) -> None:
    """The forgeries are refused for what is forged about them: with our key and nothing changed they are tokens."""
    assert TokenVerifier(keys.token_keys).verify(signed(key)).role == "agent"


@pytest.mark.parametrize("forgery", FORGERIES)
async def test_forged_tokens_are_refused(forgery: str, key: Ed25519PrivateKey, keys: Keys, visitor: Visitor) -> None:
    """Every service refuses with 401 what is not signed with our key, not valid now, or changed."""
    token = FORGERIES[forgery](key, AccessTokens(key).issue(SITI, Client.APP, "session"))
    with pytest.raises(Unauthenticated):
        TokenVerifier(keys.token_keys).verify(token)
    headers = {"Authorization": f"Bearer {token}".encode()}
    answer = await visitor.http.get("/accounts/me", headers=headers)  # type: ignore[arg-type]  # bytes are fine, too
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


async def test_a_remembered_token_expires_all_the_same(
    key: Ed25519PrivateKey, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token that was checked before is refused once its time is over."""
    verifier, token = TokenVerifier(keys.token_keys), AccessTokens(key).issue(SITI, Client.APP, "session")
    verifier.verify(token)
    monkeypatch.setattr("runtime.http.auth.time", lambda: time() + 906)
    with pytest.raises(Unauthenticated):
        verifier.verify(token)


async def test_the_public_keys_are_published(visitor: Visitor) -> None:
    """The keys are public, may be cached for five minutes, and verify a token."""
    tokens = await visitor.signed_in()
    answer = await visitor.http.get("/accounts/jwks.json")
    assert answer.headers["cache-control"] == "public, max-age=300"
    key_set = jwt.PyJWKSet.from_dict(answer.json())
    key = key_set[jwt.get_unverified_header(tokens["access_token"])["kid"]]
    assert jwt.decode(tokens["access_token"], key, ["EdDSA"], issuer="batalkan")["client_id"] == "app"


async def test_private_keys_are_never_published(harness: AccountsHarness, keys: Keys, tmp_path: Path) -> None:
    """Of a key file that holds too much, only the public part is shown."""
    key_set = json.loads(keys.token_keys.read_text())
    key_set["keys"][0]["d"] = "the private part"
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps(key_set))
    async with open_harness(harness.database_url, keys, TOKEN_KEYS=str(file)) as other, other.visitor() as visitor:
        shown = (await visitor.http.get("/accounts/jwks.json")).json()["keys"]
    assert [set(key) for key in shown] == [{"kty", "crv", "x", "kid", "alg", "use"}]


async def test_a_service_whose_key_is_not_published_is_not_ready(
    harness: AccountsHarness, keys: Keys, tmp_path: Path
) -> None:
    """As long as the signing key is not among the published ones, the service is not ready."""
    file = tmp_path / "jwks.json"
    async with (
        open_harness(harness.database_url, keys, TOKEN_KEYS=str(file), wait=False) as other,
        other.visitor() as visitor,
    ):
        for content in ('{"keys": []}', "not JSON", keys.token_keys.read_text()):
            ready = await visitor.http.get("/accounts/health/ready")
            assert (ready.status_code, ready.json()["parts"]["keys"]) == (503, False)
            file.write_text(content)
        await other.service.until_ready()
        assert (await visitor.http.get("/accounts/health/ready")).status_code == 200


async def test_logs_hold_no_secrets(
    visitor: Visitor, harness: AccountsHarness, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither passwords nor tokens are logged, however much is."""
    caplog.set_level("DEBUG")
    tokens = await visitor.signed_in()
    await visitor.sign_in(password="the wrong one")
    await visitor.refresh(tokens["refresh_token"])
    await visitor.refresh(tokens["refresh_token"])
    secrets = ("rahasia-sekali", "the wrong one", *tokens["refresh_token"].split("."), tokens["access_token"])
    assert not re.findall("|".join(map(re.escape, secrets)), caplog.text)
