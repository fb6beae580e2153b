"""Checks of the host that a request names, and of the page that sends it.

A page of another site can have its own name point to 127.0.0.1 (DNS rebinding); for the browser, page and service then
have the same origin. But the page cannot change the name in `Host`.
"""

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from runtime.errors import Forbidden
from runtime.http.problems import Problem, refuse

LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^:\[\]]+)(:[0-9]*)?")
_FOR_OPERATORS = re.compile(r"(/[a-z]+)?/(health/[a-z]+|metrics)")
"""For clients that know only the address of a process: load balancers, schedulers, Prometheus."""


class UnknownHost(Problem):
    """The request names a host that is not a name of this service."""

    status, code, title = 421, "misdirected_request", "Not a host of this service"


class ForeignSite(Forbidden):
    """The request comes from a page of another site."""

    code, title = "foreign_site", "Not from a page of another site"


class CheckHost:
    """Answers 421 to requests and WebSockets for hosts other than this machine's, `names` and ALLOWED_HOSTS."""

    def __init__(self, app: ASGIApp, names: Iterable[str]) -> None:
        self._app = app
        self._names = LOOPBACK.union(names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and not self._is_known(scope):
            await refuse(UnknownHost("The setting ALLOWED_HOSTS names further hosts."), scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _is_known(self, scope: Scope) -> bool:
        named = [value.decode("latin-1").lower() for name, value in scope["headers"] if name == b"host"]
        host = _HOST.fullmatch(named[0]) if len(named) == 1 else None
        known = host is not None and host[1] in self._names
        return known or (scope["type"] == "http" and _FOR_OPERATORS.fullmatch(scope["path"]) is not None)


def is_foreign(headers: Headers) -> bool:
    """Whether the headers of a browser name a page of another site as the sender; other clients send no such
    headers."""
    sites, origins = headers.getlist("sec-fetch-site"), headers.getlist("origin")
    return any(site not in ("none", "same-origin") for site in sites) or any(
        not is_same_origin(origin, headers.get("host", "")) for origin in origins
    )


def is_same_origin(origin: str, host: str) -> bool:
    """Whether `origin` (`https://name:port`, or `null`) is the host of the request."""
    try:
        return "://" in origin and urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:  # invalid brackets
        return False
