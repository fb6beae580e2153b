"""Accounts, and the refusals of registering and signing in."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from contracts.words import Role
from runtime.errors import InvalidRequest, Problem


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


class EmailTaken(Problem):
    """There is an account with this address already."""

    status, code, title = 409, "email_taken", "There is an account with this e-mail address already"


class WrongPassword(Problem):
    """The password is wrong, or the account does not exist; the answer does not tell which."""

    status, code, title = 400, "invalid_grant", "The e-mail address or the password is wrong"


class NotThePassword(WrongPassword):
    """The current password is wrong, when changing it."""

    status, code, title = 403, "wrong_password", "The current password is wrong"


class WeakPassword(InvalidRequest):
    """A password that is easy to guess."""

    status, code, title = 422, "weak_password", "The password is too weak"


class SessionOver(Problem):
    """The refresh token is not valid; the answer does not tell why."""

    status, code, title = 400, "invalid_grant", "The session is over, sign in again"
