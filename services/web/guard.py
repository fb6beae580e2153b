"""Protection from other sites: which posts are accepted, and what a page may load."""

import hmac

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runtime.errors import Forbidden
from runtime.http.hosts import is_foreign

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; manifest-src 'self'; frame-ancestors {}"
)
PROTECTION = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",  # `no-referrer` would make forms send `Origin: null`
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=()",
}
"""Headers of every response."""


class ForeignRequest(Forbidden):
    """A request that changes something was not sent by one of our pages."""

    code, title = "foreign_request", "Only pages of this site can do that"


def check_same_origin(headers: Headers) -> None:
    """Raises `ForeignRequest` unless a page of our own origin sent the request.

    Browsers send `Sec-Fetch-Site` on secure origins, and `Origin` with every post: one must be there, and none differ.
    """
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if (site is None and origin is None) or site == "none" or is_foreign(headers):
        raise ForeignRequest


def check_form(cookie: str | None, field: str) -> None:
    """Raises `ForeignRequest` unless the form has the token that our page put into it and into a cookie."""
    if not cookie or not hmac.compare_digest(cookie.encode(), field.encode()):
        raise ForeignRequest("The form is old. Load the page again.")


class SecurityHeadersMiddleware:
    """Adds security headers to every response, and the cookies that were set while it was made."""

    def __init__(self, app: ASGIApp, framed: bool) -> None:
        """`framed`: pages of ours may show those of a seat in a frame, for two roles side by side."""
        self._app = app
        self._framed = framed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        cookies: list[str] = []
        scope.setdefault("state", {})["cookies"] = cookies
        framed = self._framed and scope["path"].startswith("/web/s/")
        frames, option = ("'self'", "SAMEORIGIN") if framed else ("'none'", "DENY")

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update({**PROTECTION, "content-security-policy": POLICY.format(frames)})
                headers["x-frame-options"] = option
                headers.setdefault("cache-control", "no-store")
                for cookie in cookies:
                    headers.append("set-cookie", cookie)
            await send(message)

        await self._app(scope, receive, send_with_headers)
