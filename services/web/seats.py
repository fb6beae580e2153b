"""Seats: several people can be signed in at once in one browser, each under a path of their own.

The cookies of a seat are sent only below its path, so that seats do not see each other, and scripts see none.
"""

from http.cookies import SimpleCookie
from typing import Literal, get_args

CONSOLE = "operate"
"""The operator's console: as a seat, with cookies of its own, outside of the seats of all others."""
SeatName = Literal["a", "b", "c"]
SEATS: tuple[SeatName, ...] = get_args(SeatName)
MARGIN = 30
"""Seconds by which a token's cookie ends before the token, which may still be in transit then."""
SESSION = 30 * 24 * 3600
"""Seconds for which an unused session stays valid; as in accounts."""


def seat_path(seat: str) -> str:
    """Where the pages of a seat begin."""
    return "/web/operate" if seat == CONSOLE else f"/web/s/{seat}"


def cookie(name: str, value: str, path: str, max_age: int, *, secure: bool) -> str:
    """A `Set-Cookie` header: for this host alone, out of reach of scripts, and not sent with other sites' posts."""
    jar: SimpleCookie = SimpleCookie()
    jar[name] = value
    crumb = jar[name]
    crumb["path"], crumb["max-age"], crumb["httponly"] = path, max_age, True
    crumb["samesite"], crumb["secure"] = "Lax", secure
    return crumb.OutputString()
