"""Getting in: with a password, or on with a refresh token."""

from dataclasses import dataclass

from pydantic import BaseModel

from runtime.work import Work
from services.accounts import store, tokens
from services.accounts.domain import Account, SessionOver, WrongPassword
from services.accounts.limits import Limit, Limits, line
from services.accounts.oauth import PasswordGrant, RefreshGrant
from services.accounts.passwords import Passwords
from services.accounts.sessions import Session, Sessions
from services.accounts.tokens import AccessTokens

FAILURES_OF_EMAIL = Limit("email", 10, 15 * 60)
FAILURES_FROM_ADDRESS = Limit("address", 100, 15 * 60)


class TokenAnswer(BaseModel):
    """What a client gets (RFC 6749, 5.1); `expires_in` is in seconds."""

    access_token: str
    refresh_token: str
    token_type: str = "Bearer"  # noqa: S105 (a kind, not a token)
    expires_in: int = tokens.EXPIRES_IN


@dataclass(frozen=True)
class SignIn:
    """The two ways in. Nothing about either tells which accounts there are."""

    work: Work
    passwords: Passwords
    sessions: Sessions
    limits: Limits
    tokens: AccessTokens

    async def with_password(self, grant: PasswordGrant, host: str) -> TokenAnswer:
        """Starts a session; raises `WrongPassword`, `RateLimited`."""
        email = grant.username.lower()
        async with self.limits.guess(FAILURES_OF_EMAIL.of(email), FAILURES_FROM_ADDRESS.of(line(host))):
            account = await self._prove(email, grant.password)
            session = await self.sessions.start(account.account_id, grant.client_id)
        return self._answer(account, session)

    async def with_refresh_token(self, grant: RefreshGrant) -> TokenAnswer:
        """Goes on with a session, if the account is still there; raises `SessionOver`."""
        session = await self.sessions.find(grant.refresh_token, grant.client_id)
        async with self.work.begin() as tx:
            found = await store.by_id(tx, session.account_id)
        if found is None:
            await self.sessions.end(session.session_id)
            raise SessionOver
        return self._answer(found.account, await self.sessions.renew(session))

    async def _prove(self, email: str, password: str) -> Account:
        async with self.work.begin() as tx:
            found = await store.by_email(tx, email)
        if not await self.passwords.verify(found.password_hash if found else None, password) or found is None:
            raise WrongPassword
        if self.passwords.is_outdated(found.password_hash):
            password_hash = await self.passwords.hash(password)
            async with self.work.begin() as tx:
                await store.replace_hash(tx, found, password_hash)
        return found.account

    def _answer(self, account: Account, session: Session) -> TokenAnswer:
        return TokenAnswer(
            access_token=self.tokens.issue(account, session.client, session.session_id),
            refresh_token=session.refresh_token,
        )
