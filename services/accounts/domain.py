"""Accounts, and the refusals of registering and signing in."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from contracts.words import Role
from runtime.errors import Forbidden, InvalidRequest, Refusal, Unavailable


class Client(StrEnum):
    """The OAuth clients. A token's client is the channel of each request with it (A: app, website)."""

    APP = "app"
    WEB = "web"


@dataclass(frozen=True)
class Account:
    """A person in one role. `email` is in lower case and unique."""

    account_id: UUID
    email: str
    name: str
    role: Role


class EmailTaken(Refusal):
    """There is an account with this address already."""

    code, title = "email_taken", "There is an account with this e-mail address already"


class WrongPassword(Refusal):
    """The password is wrong, or the account does not exist; the answer does not tell which."""

    code, title = "invalid_grant", "The e-mail address or the password is wrong"


class NotThePassword(Forbidden, WrongPassword):
    """The current password is wrong, when changing it."""

    code, title = "wrong_password", "The current password is wrong"


class WeakPassword(InvalidRequest):
    """A password that is easy to guess."""

    code, title = "weak_password", "The password is too weak"


class SessionOver(Refusal):
    """The refresh token is not valid; the answer does not tell why."""

    code, title = "invalid_grant", "The session is over, sign in again"


class SessionsUnavailable(Unavailable):
    """Redis is away: no session can start, and existing ones go on."""

    code, title = "sessions_unavailable", "Signing in is not possible right now"
    retry_after = 2
