"""Authentication: each service verifies access tokens (JWT, Ed25519) with the published keys."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, time
from typing import Annotated, Any
from uuid import UUID

import jwt
from fastapi import Depends, Request
from fastapi.security import OAuth2PasswordBearer

from runtime.errors import Unauthenticated, WrongRole

ISSUER = "batalkan"
ALGORITHM = "EdDSA"
LEEWAY = 5
"""The largest difference between the clocks of two machines, in seconds."""
MAX_VERIFIED = 20_000
RELOAD_AFTER = 5.0
"""Seconds between two reads of the key file because of an unknown key."""


@dataclass(frozen=True)
class Identity:
    """The account of a request; `client` (`app` or `web`) is its channel."""

    account_id: UUID
    role: str
    client: str
    session: str = ""
    """The session in which the token was issued."""
    expires: float = 0.0
    """When the token expires, `LEEWAY` included: seconds since the epoch, by this machine's clock."""


class TokenVerifier:
    """Verifies access tokens with the JSON Web Key Set in a file, which is read again for an unknown key."""

    def __init__(self, keys_path: Path) -> None:
        self._path = keys_path
        self._keys: dict[str, Any] = {}
        self._loaded_at = -RELOAD_AFTER
        self._verified: dict[str, Identity] = {}
        self.is_over: Callable[[Identity], bool] = lambda _: False
        """Whether the session has ended (`runtime.http.revocations`)."""

    def verify(self, token: str) -> Identity:
        """The identity in the token; raises `Unauthenticated`."""
        identity = self._verified.get(token)
        if identity is None:
            identity = self._check(token)
            if len(self._verified) >= MAX_VERIFIED:
                self._verified.clear()
            self._verified[token] = identity
        if identity.expires <= time():
            raise Unauthenticated("The access token has expired.")
        if self.is_over(identity):
            raise Unauthenticated("The session is over.")
        return identity

    def _check(self, token: str) -> Identity:
        try:
            key = self._key(str(jwt.get_unverified_header(token).get("kid")))
            payload = jwt.decode(
                token,
                key,
                algorithms=[ALGORITHM],
                issuer=ISSUER,
                leeway=LEEWAY,
                options={"require": ["exp", "iat", "sub", "iss"]},
            )
            return Identity(
                UUID(payload["sub"]),
                str(payload["role"]),
                str(payload["client_id"]),
                str(payload.get("sid", "")),
                float(payload["exp"]) + LEEWAY,
            )
        except (jwt.PyJWTError, KeyError, ValueError) as error:
            raise Unauthenticated("The access token is not valid.") from error

    def _key(self, key_id: str) -> Any:
        if key_id not in self._keys and monotonic() - self._loaded_at > RELOAD_AFTER:
            self._loaded_at = monotonic()
            keys = json.loads(self._path.read_text())["keys"]
            self._keys = {key["kid"]: jwt.PyJWK.from_dict(key).key for key in keys}
        return self._keys[key_id]


class _Authenticated(OAuth2PasswordBearer):
    """Reads the identity from the token of the request. One dependency, because each one costs time in every
    request."""

    def __init__(self, *roles: str) -> None:
        super().__init__(tokenUrl="/accounts/token", scheme_name="OAuth2PasswordBearer", auto_error=False)
        self._roles = roles

    async def __call__(self, request: Request) -> Identity:  # type: ignore[override]
        token = await super().__call__(request)
        if token is None:
            raise Unauthenticated("An access token is needed: Authorization: Bearer …")
        verifier: TokenVerifier = request.app.state.verifier
        identity = verifier.verify(token)
        if self._roles and identity.role not in self._roles:
            raise WrongRole(f"Only for: {', '.join(self._roles)}.")
        return identity


SignedIn = Annotated[Identity, Depends(_Authenticated())]
"""Any account with a valid token."""
Buyer = Annotated[Identity, Depends(_Authenticated("buyer"))]
Seller = Annotated[Identity, Depends(_Authenticated("seller"))]
BuyerOrSeller = Annotated[Identity, Depends(_Authenticated("buyer", "seller"))]
BuyerOrAgent = Annotated[Identity, Depends(_Authenticated("buyer", "agent"))]
OPERATOR = _Authenticated("operator")
"""Of `runtime.http.operator`, which hides its routes from all others."""
