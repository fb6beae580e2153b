"""Refusals, each with a stable `code`. They know nothing of HTTP: `runtime.http.problems` answers them."""

from typing import Any


class Refusal(Exception):
    """A caller does not get what it asked for. Subclasses name the reason and carry its code."""

    code: str = "refused"
    title: str = "Not possible"
    retry_after: int | None = None
    """Seconds until another try may succeed, where that is known."""

    def __init__(self, detail: str = "", **extra: Any) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.extra = extra


class NotFound(Refusal):
    """It does not exist, or the caller may not know of it: both look the same."""

    code, title = "not_found", "Not found"


class WrongState(Refusal):
    """The operation is not possible in the current state."""

    code, title = "wrong_state", "Not possible in this state"


class InvalidRequest(Refusal):
    """The request can be read, and cannot be carried out."""

    code, title = "invalid_request", "The request is not valid"


class Unauthenticated(Refusal):
    """There is no token, or it is not valid (any more)."""

    code, title = "unauthenticated", "Sign in first"


class Forbidden(Refusal):
    """The caller is known, and may not do this."""

    code, title = "forbidden", "Not allowed"


class WrongRole(Forbidden):
    """The caller's role may not do this."""

    code, title = "wrong_role", "Not for this role"


class RateLimited(Refusal):
    """Too many tries within a time."""

    code, title = "rate_limited", "Too many requests"

    def __init__(self, detail: str, retry_after: int) -> None:
        super().__init__(detail, retry_after=retry_after)
        self.retry_after = retry_after


class Unavailable(Refusal):
    """A part that the operation needs does not answer."""

    code, title = "unavailable", "Not available at the moment"
