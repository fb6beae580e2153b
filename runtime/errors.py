"""Refusals, as problem details (RFC 9457) with a stable `code`."""

from typing import Any, ClassVar

MEDIA_TYPE = "application/problem+json"


class Problem(Exception):
    """Something that a caller asked for and does not get. Subclasses name it and carry its HTTP status and code."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Something went wrong"
    headers: ClassVar[dict[str, str]] = {}

    def __init__(self, detail: str = "", **extra: Any) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.extra = extra

    def body(self) -> dict[str, Any]:
        """The problem details object."""
        return {
            "type": f"urn:batalkan:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
            **self.extra,
        }


class NotFound(Problem):
    """There is no such thing, or it is none of the caller's business: the two look the same."""

    status, code, title = 404, "not_found", "Not found"


class WrongState(Problem):
    """The thing is not in a state in which this can be done."""

    status, code, title = 409, "wrong_state", "Not possible in this state"


class InvalidRequest(Problem):
    """The request is well-formed HTTP and still not one that can be carried out."""

    status, code, title = 422, "invalid_request", "The request is not valid"


class Unauthenticated(Problem):
    """No token, or one that is not valid (any more)."""

    status, code, title = 401, "unauthenticated", "Sign in first"
    headers: ClassVar[dict[str, str]] = {"WWW-Authenticate": "Bearer"}


class WrongRole(Problem):
    """Signed in, but not as somebody who may do this."""

    status, code, title = 403, "wrong_role", "Not for this role"


class RateLimited(Problem):
    """Too many tries; `retry_after` (seconds) says when the next may succeed."""

    status, code, title = 429, "rate_limited", "Too many requests"

    def __init__(self, detail: str, retry_after: int) -> None:
        super().__init__(detail, retry_after=retry_after)
        self.headers = {"Retry-After": str(retry_after)}  # type: ignore[misc]
