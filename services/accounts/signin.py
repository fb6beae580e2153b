"""Getting in: with a password, or on with a refresh token."""

from dataclasses import dataclass

from pydantic import BaseModel

from runtime.errors import Unauthenticated
from runtime.http.auth import Identity
from runtime.messaging.unit_of_work import UnitOfWork
from runtime.storage.redis import SessionsUnavailable
from services.accounts import store, tokens
from services.accounts.devices import Devices
from services.accounts.domain import Account, NotThePassword, SessionOver, WrongPassword
from services.accounts.limits import Count, Limit, Limits, line
from services.accounts.oauth import PasswordGrant, RefreshGrant
from services.accounts.passwords import Passwords
from services.accounts.sessions import MOST, Session, Sessions
from services.accounts.store import Found
from services.accounts.strength import check_password
from services.accounts.tokens import AccessTokens

QUARTER = 15 * 60
FAILURES_FROM_ADDRESS = Limit("address", 100, QUARTER)
FAILURES_OF_PAIR = Limit("pair", 10, QUARTER)
"""Of one e-mail from one address: who locks it there is still let in from elsewhere."""
FAILURES_OF_EMAIL = Limit("email", 20, QUARTER, spacing=16)
"""From everywhere. A stranger can bring this about, so it slows down and does not lock."""
FAILURES_OF_DEVICE = Limit("device", 10, QUARTER)
"""Of a device that has signed in before, to which the others do not apply."""
SIGN_INS = Limit("sign-ins", 60, QUARTER)
SIGN_INS_OF_CROWD = Limit("sign-ins", 1000, QUARTER)
"""Of one account, that succeed; and of one that is shared."""
MAX_OF_CROWD = 100
"""Sessions of an account that is shared."""


class TokenAnswer(BaseModel):
    """What a client gets (RFC 6749, 5.1); `expires_in` is in seconds."""

    access_token: str
    refresh_token: str
    token_type: str = "Bearer"  # noqa: S105 (a kind, not a token)
    expires_in: int = tokens.EXPIRES_IN
    device_token: str | None = None
    """With a password only: shown at the next sign-in, it keeps a stranger's failures from slowing this device down."""


@dataclass(frozen=True)
class SignIn:
    """The two ways in. Nothing about either tells which accounts there are."""

    uow: UnitOfWork
    passwords: Passwords
    sessions: Sessions
    limits: Limits
    devices: Devices
    tokens: AccessTokens
    shared: frozenset[str] = frozenset()
    """E-mail addresses of accounts that an audience shares: those of the demonstration."""

    async def with_password(self, grant: PasswordGrant, host: str) -> TokenAnswer:
        """Starts a session; raises `WrongPassword`, `RateLimited`."""
        email = grant.username.lower()
        device = self.devices.recognise(email, grant.device_token)
        sign_ins = self.limits.count(SIGN_INS_OF_CROWD if email in self.shared else SIGN_INS, email)
        await self.limits.check(sign_ins)
        async with self.limits.guess(*self._failures(email, host, device)):
            proven = await self._prove(email, grant.password)
            account = proven.account
            await self.limits.take(sign_ins)
            most = MAX_OF_CROWD if email in self.shared else MOST
            session = await self.sessions.start(account.account_id, grant.client_id, most)
            await self._check_unchanged(proven, session, grant.password)
        device_token = self.devices.issue(email) if device is None else grant.device_token
        return self._answer(account, session, device_token)

    async def with_refresh_token(self, grant: RefreshGrant) -> TokenAnswer:
        """Goes on with a session, if the account is still there; raises `SessionOver`."""
        session = await self.sessions.find(grant.refresh_token, grant.client_id)
        async with self.uow.begin() as tx:
            found = await store.by_id(tx, session.account_id)
        if found is None:
            await self.sessions.end(session.account_id, session.session_id)
            raise SessionOver
        return self._answer(found.account, await self.sessions.renew(session))

    async def change_password(self, person: Identity, current: str, new: str, host: str) -> None:
        """Gives the account another password, and ends its other sessions.

        Raises `WeakPassword`, `NotThePassword`, `RateLimited`, and `Unauthenticated` when there is no such account.
        """
        async with self.uow.begin() as tx:
            found = await store.by_id(tx, person.account_id)
        if found is None:
            raise Unauthenticated("The account is no more.")
        account = found.account
        check_password(new, account.email, account.name)
        async with self.limits.guess(*self._failures(account.email, host, None)):
            if not await self.passwords.verify(found.password_hash, current):
                raise NotThePassword
        password_hash = await self.passwords.hash(new)
        async with self.uow.begin() as tx:
            if not await store.replace_hash(tx, found, password_hash):
                raise NotThePassword("The password was changed just now.")
        try:
            await self.sessions.end_all(account.account_id, besides=person.session)
        except SessionsUnavailable as error:
            raise SessionsUnavailable(
                "The password is changed, but other sessions go on. Sign out everywhere."
            ) from error

    async def _check_unchanged(self, proven: Found, session: Session, password: str) -> None:
        """Ends the session again if the password was changed while it began, and whoever ended all sessions then may
        have missed this one. Raises `WrongPassword`."""
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
        network = line(host)
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
