"""What an account is, and the ways in which somebody does not get one, or does not get in."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from contracts.words import Role
from runtime.errors import InvalidRequest, Problem


class Client(StrEnum):
    """The OAuth clients. Which one a token was given to is the channel of what is done with it (A: app, website)."""

    APP = "app"
    WEB = "web"


@dataclass(frozen=True)
class Account:
    """A person in one role. `email` is in lower case, and nobody else's."""

    account_id: UUID
    email: str
    name: str
    role: Role


class EmailTaken(Problem):
    """There is an account with this address already."""

    status, code, title = 409, "email_taken", "There is an account with this e-mail address already"


class WrongPassword(Problem):
    """Not the password, or there is no such account: which of them is not said."""

    status, code, title = 400, "invalid_grant", "The e-mail address or the password is wrong"


class NotThePassword(WrongPassword):
    """Somebody who is signed in does not know the password of their account."""

    status, code, title = 403, "wrong_password", "The current password is wrong"


class WeakPassword(InvalidRequest):
    """A password that would be guessed soon."""

    status, code, title = 422, "weak_password", "The password is too weak"


class SessionOver(Problem):
    """A refresh token that is not valid, or not any more: why is not said."""

    status, code, title = 400, "invalid_grant", "The session is over, sign in again"
