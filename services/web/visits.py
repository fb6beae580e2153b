"""One request for a page: its session, its language, and the response."""

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from secrets import token_urlsafe
from typing import Annotated, Any

import httpx
import jinja2
from fastapi import Depends, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from runtime.errors import InvalidRequest, NotFound, Unauthenticated, WrongRole
from runtime.http.app import Digits
from runtime.http.auth import Identity, TokenVerifier
from runtime.http.revocations import Revocations
from services.web.formats import Language, language_of
from services.web.guard import check_form, check_same_origin
from services.web.refreshing import Refreshing, SessionEnded
from services.web.seats import CONSOLE, MARGIN, SESSION, SeatName, cookie, seat_path
from services.web.templating import bound
from services.web.upstream import Refused, Upstream, granted

YEAR = 365 * 24 * 3600
NOTICE = 30
"""Seconds for which the next page can show a notice."""

_KEY = re.compile(r"[\x21-\x7e]{0,200}")
_STRANGE = re.compile(r'charset(?!=(utf-8|"utf-8")\s*(;|$))', re.IGNORECASE)
"""Another character set than that of our pages. Some can name half a surrogate pair, fail, or take long to be read."""


@dataclass(frozen=True)
class WebDependencies:
    """What pages need."""

    upstream: Upstream
    refreshing: Refreshing
    revocations: Revocations
    verifier: TokenVerifier
    templates: jinja2.Environment
    demonstration: bool


class Form(dict[str, str]):
    """A form that one of our pages sent; a missing field is empty."""

    def __missing__(self, name: str) -> str:
        return ""

    @property
    def key(self) -> str | None:
        """Its idempotency key."""
        return self["key"] or None


class SignInFirst(Exception):
    """No account is signed in at this seat; `back` is the page to return to."""

    def __init__(self, seat: str, back: str) -> None:
        super().__init__(seat)
        self.seat, self.back = seat, back


class Visit:
    """A request for a page outside of any seat, or at one."""

    def __init__(self, request: Request, dependencies: WebDependencies, seat: str = "") -> None:
        self.request, self.dependencies, self.seat = request, dependencies, seat
        self.language: Language = language_of(request)
        self.who: Identity | None = None
        self._token = ""

    @property
    def root(self) -> str:
        """Where the pages of this seat begin."""
        return seat_path(self.seat)

    @property
    def host(self) -> str:
        """The browser's network address."""
        return self.request.client.host if self.request.client else ""

    @property
    def person(self) -> Identity:
        """Who is signed in, on pages that need a session."""
        assert self.who is not None
        return self.who

    # Requests to the services.

    async def get(self, path: str, **query: Any) -> Any:
        """GETs from a service; raises `Refused` and `ServiceAway`."""
        return granted(await self._ask("GET", path, params={k: v for k, v in query.items() if v is not None}))

    async def send(self, method: str, path: str, body: object = None, key: str | None = None) -> Any:
        """Sends a request to a service and returns its answer; raises `Refused` and `ServiceAway`."""
        headers = {"Idempotency-Key": key} if key else None
        return granted(await self._ask(method, path, json=body, headers=headers))

    async def pass_on(self, method: str, path: str, content: bytes) -> httpx.Response:
        """The unchanged answer to a script's request."""
        headers = {"Content-Type": "application/json"}
        return await self._ask(method, path, content=content, headers=headers)

    async def _ask(self, method: str, path: str, **body: Any) -> httpx.Response:
        answer = await self.dependencies.upstream.ask(method, path, token=self._token, host=self.host, **body)
        if answer.status_code == 401 and self._token:  # the session has ended, or keys were changed
            self.who, self._token = None, ""
            self.set_cookie("access", "", 0)  # refreshing finds out
            raise self.sign_in_first()
        return answer

    async def now(self) -> datetime:
        """The services' time; the browser's clock and ours may differ."""
        return datetime.fromisoformat((await self.get("/orders/clock"))["now"])

    async def do(
        self, method: str, path: str, body: object = None, *, then: str, notice: str = "", key: str | None = None
    ) -> Response:
        """Sends a request to a service and redirects the browser to `then`, which shows the result."""
        try:
            await self.send(method, path, body, key)
        except Refused as refused:
            return self.go(then, f"error.{refused.code}")
        return self.go(then, notice)

    # Responses to the browser.

    def page(self, template: str, status: int = 200, **context: Any) -> HTMLResponse:
        """The page."""
        return HTMLResponse(self.render(template, **context), status)

    def render(self, template: str, **context: Any) -> str:
        """A page, or a part of one, as text."""
        env = self.dependencies.templates
        return env.get_template(template).render(
            **bound(self.language),
            visit=self,
            who=self.who,
            seat=self.seat,
            root=self.root if self.seat else "",
            theme=self.request.cookies.get("theme", "auto"),
            url_path=self.request.url.path,
            query=self.request.url.query,
            demonstration=self.dependencies.demonstration,
            **context,
        )

    def go(self, path: str, notice: str = "") -> RedirectResponse:
        """Redirects the browser with a GET; the next page shows `notice`, a key of `words`."""
        if notice:
            self.set_cookie("notice", notice, NOTICE)
        return RedirectResponse(path, 303)

    def take_notice(self) -> str:
        """The notice for this page, shown once."""
        notice = self.request.cookies.get("notice", "")
        if notice:
            self.set_cookie("notice", "", 0)
        return notice

    def new_key(self) -> str:
        """An idempotency key for a form: sent twice, it has one effect."""
        return token_urlsafe(12)

    def form_token(self) -> str:
        """The token that proves that a form comes from one of our pages."""
        token = self.request.cookies.get("form", "")
        if not re.fullmatch(r"[\w-]{32}", token):
            token = self.request.scope["state"].setdefault("form", token_urlsafe(24))
            self.set_cookie("form", token, YEAR, "/web")
        return token

    async def form(self) -> Form:
        """The submitted form; raises `ForeignRequest` unless one of our pages sent it, and `InvalidRequest` for what no
        browser sends."""
        check_same_origin(self.request.headers)
        if _STRANGE.search(self.request.headers.get("content-type", "")):
            raise InvalidRequest
        sent = await self.request.form(max_files=0, max_fields=100)
        form = Form({name: str(value) for name, value in sent.items()})
        check_form(self.request.cookies.get("form"), form["form"])
        if not _KEY.fullmatch(form["key"]):  # it becomes a header
            raise InvalidRequest
        return form

    def set_cookie(self, name: str, value: str, max_age: int, path: str = "") -> None:
        """Sets a cookie for `max_age` seconds, below a path or below this seat."""
        path = path or (self.root if self.seat else "/web")
        made = cookie(name, value, path, max_age, secure=self.request.url.scheme == "https")
        known: list[str] = self.request.scope["state"]["cookies"]
        if made not in known:
            known.append(made)

    # The session.

    def sit(self, answer: Mapping[str, Any]) -> Identity:
        """Starts or continues a session with this token answer."""
        self._token = answer["access_token"]
        self.who = self.dependencies.verifier.verify(self._token)
        self.set_cookie("access", self._token, max(0, answer["expires_in"] - MARGIN))
        self.set_cookie("refresh", f"{self.who.client}.{answer['refresh_token']}", SESSION)
        if device := answer.get("device_token"):  # survives signing out: the next sign-in sends it
            self.set_cookie("device", device, YEAR)
        return self.who

    def leave(self) -> None:
        """Ends the session at this seat."""
        self.who, self._token = None, ""
        for name in ("access", "refresh"):
            self.set_cookie(name, "", 0)

    def remember(self) -> None:
        """Takes the identity from the browser's access token, if it is valid."""
        with contextlib.suppress(Unauthenticated):
            token = self.request.cookies.get("access", "")
            self.who = self.dependencies.verifier.verify(token)
            self._token = token  # only a valid token is put into headers

    async def recognise(self) -> None:
        """Finds the seat's identity, renewing its tokens; raises `ServiceAway` when that fails for the moment."""
        self.remember()
        stored = self.request.cookies.get("refresh", "")
        if self.who is None and stored:
            client, _, refresh = stored.partition(".")
            try:
                answer = await self.dependencies.refreshing.renew(refresh, client)
                renewed = self.dependencies.verifier.verify(answer["access_token"])
                if await self.dependencies.revocations.is_over(renewed):
                    raise SessionEnded  # an older answer was stored
                self.sit(answer)
            except (SessionEnded, Unauthenticated):
                self.leave()

    def sign_in_first(self) -> SignInFirst:
        """The exception to raise without a session."""
        url = self.request.url
        back = url.path + (f"?{url.query}" if url.query else "")
        return SignInFirst(self.seat, back if self.request.method == "GET" else f"{self.root}/")


async def _visit(request: Request) -> Visit:
    return Visit(request, request.app.state.dependencies)


async def _at_seat(request: Request, seat: SeatName) -> Visit:
    visit = Visit(request, request.app.state.dependencies, seat)
    await visit.recognise()
    return visit


class _Signed:
    """A visit with a session at the seat, in one of these roles."""

    def __init__(self, *roles: str) -> None:
        self._roles = roles

    async def __call__(self, request: Request, seat: SeatName) -> Visit:
        visit = await _at_seat(request, seat)
        if visit.who is None:
            raise visit.sign_in_first()
        if visit.who.role not in self._roles:
            raise WrongRole
        return visit


async def _at_console(request: Request) -> Visit:
    visit = Visit(request, request.app.state.dependencies, CONSOLE)
    await visit.recognise()
    return visit


async def _operating(request: Request) -> Visit:
    visit = await _at_console(request)
    if visit.who is None:
        raise visit.sign_in_first()
    if visit.who.role != "operator":
        raise NotFound
    request.state.seat = CONSOLE  # also of the page that shows an error
    return visit


After = Annotated[int, Digits, Query(ge=0, le=2**31 - 1)]
"""The number of the last message that a page shows."""

Public = Annotated[Visit, Depends(_visit)]
AtSeat = Annotated[Visit, Depends(_at_seat)]
Person = Annotated[Visit, Depends(_Signed("buyer", "seller", "agent"))]
Buyer = Annotated[Visit, Depends(_Signed("buyer"))]
Seller = Annotated[Visit, Depends(_Signed("seller"))]
BuyerOrSeller = Annotated[Visit, Depends(_Signed("buyer", "seller"))]
Agent = Annotated[Visit, Depends(_Signed("agent"))]
AtConsole = Annotated[Visit, Depends(_at_console)]
Operator = Annotated[Visit, Depends(_operating)]
