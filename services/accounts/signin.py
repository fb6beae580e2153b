"""Signing in with a password, or continuing with a refresh token."""

from dataclasses import dataclass

from pydantic import BaseModel

from runtime.errors import Unauthenticated
from runtime.http.auth import Identity
from runtime.messaging.unit_of_work import UnitOfWork
from services.accounts import store, tokens
from services.accounts.devices import Devices
from services.accounts.domain import (
    Account,
    NotThePassword,
    SessionOver,
    SessionsUnavailable,
    WeakPassword,
    WrongPassword,
)
from services.accounts.limits import Count, Limit, Limits, network_of
from services.accounts.oauth import PasswordGrant, RefreshGrant
from services.accounts.passwords import Passwords, is_same
from services.accounts.sessions import MAX_SESSIONS, Session, Sessions
from services.accounts.store import Found
from services.accounts.strength import check_password
from services.accounts.tokens import AccessTokens

QUARTER = 15 * 60
FAILURES_FROM_ADDRESS = Limit("address", 100, QUARTER)
FAILURES_OF_PAIR = Limit("pair", 10, QUARTER)
"""Of one e-mail from one address: locked there, it can still sign in from elsewhere."""
FAILURES_OF_EMAIL = Limit("email", 20, QUARTER, spacing=16)
"""From everywhere. A stranger can cause this, so it slows down and does not lock."""
FAILURES_OF_DEVICE = Limit("device", 10, QUARTER)
"""Of a device that has signed in before; the other limits do not apply to it."""
SIGN_INS = Limit("sign-ins", 60, QUARTER)
SIGN_INS_OF_SHARED = Limit("sign-ins", 1000, QUARTER)
"""Successful ones of one account, and of a shared account."""
PASSWORD_CHANGES = Limit("password changes", 10, QUARTER)
"""Requests of one account, successful or not: each one costs two hashes."""
MAX_SESSIONS_OF_SHARED = 100
"""Sessions of a shared account."""


class TokenAnswer(BaseModel):
    """The token response (RFC 6749, 5.1); `expires_in` is in seconds."""

    access_token: str
    refresh_token: str
    token_type: str = "Bearer"  # noqa: S105 (a kind, not a token)
    expires_in: int = tokens.EXPIRES_IN
    device_token: str | None = None
    """With a password only: sent with the next sign-in, it exempts this device from a stranger's failures."""


@dataclass(frozen=True)
class SignIn:
    """The two ways to sign in. Neither reveals which accounts exist."""

    uow: UnitOfWork
    passwords: Passwords
    sessions: Sessions
    limits: Limits
    devices: Devices
    tokens: AccessTokens
    shared: frozenset[str] = frozenset()
    """E-mail addresses of accounts that many visitors share: those of the demonstration."""

    async def with_password(self, grant: PasswordGrant, host: str) -> TokenAnswer:
        """Starts a session; raises `WrongPassword`, `RateLimited`."""
        email = grant.username.lower()
        device = self.devices.recognise(email, grant.device_token)
        sign_ins = self.limits.count(SIGN_INS_OF_SHARED if email in self.shared else SIGN_INS, email)
        await self.limits.check(sign_ins)
        async with self.limits.guess(*self._failures(email, host, device)):
            proven = await self._prove(email, grant.password)
            account = proven.account
            await self.limits.take(sign_ins)
            limit = MAX_SESSIONS_OF_SHARED if email in self.shared else MAX_SESSIONS
            session = await self.sessions.start(account.account_id, grant.client_id, limit)
            await self._check_unchanged(proven, session, grant.password)
        device_token = self.devices.issue(email) if device is None else grant.device_token
        return self._answer(account, session, device_token)

    async def with_refresh_token(self, grant: RefreshGrant) -> TokenAnswer:
        """Continues a session, if the account still exists; raises `SessionOver`."""
        session = await self.sessions.find(grant.refresh_token, grant.client_id)
        async with self.uow.begin() as tx:
            found = await store.by_id(tx, session.account_id)
        if found is None:
            await self.sessions.end(session.account_id, session.session_id)
            raise SessionOver
        return self._answer(found.account, await self.sessions.renew(session))

    async def change_password(self, person: Identity, current: str, new: str, host: str) -> None:
        """Changes the account's password, and ends its other sessions.

        Raises `WeakPassword`, `NotThePassword`, `RateLimited`, and `Unauthenticated` when there is no such account.
        """
        async with self.uow.begin() as tx:
            found = await store.by_id(tx, person.account_id)
        if found is None:
            raise Unauthenticated("The account does not exist any more.")
        account = found.account
        check_password(new, account.email, account.name)
        if is_same(new, current):
            raise WeakPassword("The new password is the current one. Choose another one.")
        async with self.limits.guess(*self._failures(account.email, host, None)):
            await self.limits.take(self.limits.count(PASSWORD_CHANGES, str(account.account_id)))
            if not await self.passwords.verify(found.password_hash, current):
                raise NotThePassword
        password_hash = await self.passwords.hash(new)
        async with self.uow.begin() as tx:
            if not await store.replace_hash(tx, found, password_hash):
                raise NotThePassword("The password was changed just now. Use the new one.")
        try:
            await self.sessions.end_all(account.account_id, besides=person.session)
        except SessionsUnavailable as error:
            raise SessionsUnavailable(
                "The password is changed, but other sessions go on. Sign out everywhere."
            ) from error

    async def _check_unchanged(self, proven: Found, session: Session, password: str) -> None:
        """Ends the new session if the password was changed meanwhile: ending all sessions may have missed this one.
        Raises `WrongPassword`."""
        async with self.uow.begin() as tx:
            found = await store.by_id(tx, session.account_id)
        if found is not None and found.password_hash == proven.password_hash:
            return
        if found is None or not await self.passwords.verify(found.password_hash, password):
            await self.sessions.end(session.account_id, session.session_id)
            raise WrongPassword

    def _failures(self, email: str, host: str, device: int | None) -> list[Count]:
        if device is not None:
            return [self.limits.count(FAILURES_OF_DEVICE, f"{device} {email}")]
        network = network_of(host)
        return [
            self.limits.count(FAILURES_FROM_ADDRESS, network),
            self.limits.count(FAILURES_OF_PAIR, f"{network} {email}"),
            self.limits.count(FAILURES_OF_EMAIL, email),
        ]

    async def _prove(self, email: str, password: str) -> Found:
        async with self.uow.begin() as tx:
            found = await store.by_email(tx, email)
        if not await self.passwords.verify(found.password_hash if found else None, password) or found is None:
            raise WrongPassword
        if self.passwords.is_outdated(found.password_hash):
            password_hash = await self.passwords.hash(password)
            async with self.uow.begin() as tx:
                await store.replace_hash(tx, found, password_hash)
        return found

    def _answer(self, account: Account, session: Session, device_token: str | None = None) -> TokenAnswer:
        return TokenAnswer(
            access_token=self.tokens.issue(account, session.client, session.session_id),
            refresh_token=session.refresh_token,
            device_token=device_token,
        )
