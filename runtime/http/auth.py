"""Who is asking: access tokens (JWT, Ed25519) verified by each service itself with the published keys."""

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
"""Seconds by which clocks of two machines may differ."""
REMEMBERED = 20_000
RELOAD_AFTER = 5.0
"""Seconds between two looks at the key file for a key that is not known."""


@dataclass(frozen=True)
class Identity:
    """The account that a request speaks for; `client` (`app` or `web`) is the channel that it comes through."""

    account_id: UUID
    role: str
    client: str
    session: str = ""
    """The session that the token was issued in, for the service that can end it."""
    expires: float = 0.0
    """When the token proves nothing any more, `LEEWAY` included: seconds since the epoch, by this machine's clock."""


class TokenVerifier:
    """Checks access tokens against the JSON Web Key Set in a file, which may get new keys while this runs."""

    def __init__(self, keys_path: Path) -> None:
        self._path = keys_path
        self._keys: dict[str, Any] = {}
        self._looked = -RELOAD_AFTER
        self._verified: dict[str, Identity] = {}
        self.is_over: Callable[[Identity], bool] = lambda _: False
        """Whether the session has ended, as far as is known (`runtime.http.revocations`)."""

    def verify(self, token: str) -> Identity:
        """The identity that the token proves; raises `Unauthenticated`."""
        identity = self._verified.get(token)
        if identity is None:
            identity = self._check(token)
            if len(self._verified) >= REMEMBERED:
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
            claims = jwt.decode(
                token,
                key,
                algorithms=[ALGORITHM],
                issuer=ISSUER,
                leeway=LEEWAY,
                options={"require": ["exp", "iat", "sub", "iss"]},
            )
            return Identity(
                UUID(claims["sub"]),
                str(claims["role"]),
                str(claims["client_id"]),
                str(claims.get("sid", "")),
                float(claims["exp"]) + LEEWAY,
            )
        except (jwt.PyJWTError, KeyError, ValueError) as error:
            raise Unauthenticated("The access token is not valid.") from error

    def _key(self, key_id: str) -> Any:
        if key_id not in self._keys and monotonic() - self._looked > RELOAD_AFTER:
            self._looked = monotonic()
            keys = json.loads(self._path.read_text())["keys"]
            self._keys = {key["kid"]: jwt.PyJWK.from_dict(key).key for key in keys}
        return self._keys[key_id]


class _Who(OAuth2PasswordBearer):
    """Whose token came with the request. One dependency and not three, because each takes its time at every request."""

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


SignedIn = Annotated[Identity, Depends(_Who())]
"""Anybody with a valid token."""
Buyer = Annotated[Identity, Depends(_Who("buyer"))]
Seller = Annotated[Identity, Depends(_Who("seller"))]
BuyerOrSeller = Annotated[Identity, Depends(_Who("buyer", "seller"))]
BuyerOrAgent = Annotated[Identity, Depends(_Who("buyer", "agent"))]
