"""The web service with stand-ins for the other services."""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
from fastapi import FastAPI

from batalkan.keys import Keys
from runtime.messaging.bus.memory import MemoryBus
from runtime.settings import Environment, Settings
from services.web.main import build
from tests.harness.actors import access_token

ORIGIN = "http://localhost"
Answer = httpx.Response | Callable[[httpx.Request], httpx.Response]


@dataclass
class Services:
    """The other services: what each path answers, and what was asked."""

    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[httpx.Request] = field(default_factory=list)
    slow: float = 0.0

    async def answer(self, request: httpx.Request) -> httpx.Response:
        """What stands under method and path, or else 404."""
        self.asked.append(request)
        await asyncio.sleep(self.slow)
        known = self.answers.get(f"{request.method} {request.url.path}")
        if callable(known):
            return known(request)
        if known is None:
            return httpx.Response(404, json={"code": "not_found", "detail": "There is no such thing."})
        return httpx.Response(known.status_code, content=known.content, headers={"Content-Type": "application/json"})

    def say(self, request: str, status: int = 200, /, **body: Any) -> None:
        """Has a method and path answer this from now on."""
        self.answers[request] = httpx.Response(status, json=body)

    def bodies(self, request: str) -> list[Any]:
        """The JSON that came to a method and path."""
        return [json.loads(one.content) for one in self.asked if f"{one.method} {one.url.path}" == request]


@dataclass(frozen=True)
class WebHarness:
    """A web service, and tokens that it accepts."""

    keys: Keys
    services: Services = field(default_factory=Services)
    demonstration: bool = True
    redis_url: str = "memory://"

    def app(self) -> FastAPI:
        """A replica."""
        settings = Settings(
            "web", "postgresql://nowhere", "memory://", self.redis_url, "", 0, self.demonstration, "info"
        )
        env = Environment({"TOKEN_KEYS": str(self.keys.token_keys)})
        transport = httpx.MockTransport(self.services.answer)
        return build(settings, env, settings.database_url, MemoryBus(), transport).app

    def browser(self, app: FastAPI | None = None) -> "Browser":
        """A browser without cookies, at this replica or at one of its own."""
        return Browser(self, app or self.app())

    def token(self, role: str = "buyer") -> str:
        """An access token, as accounts would sign it."""
        return access_token(self.keys, role, uuid4())

    def token_answer(self, role: str = "buyer", refresh: str = "s.next") -> dict[str, Any]:
        """What the token endpoint answers."""
        token = self.token(role)
        return {"access_token": token, "refresh_token": refresh, "token_type": "Bearer", "expires_in": 900}


class Browser(httpx.AsyncClient):
    """A browser at a web service."""

    def __init__(self, harness: WebHarness, app: FastAPI) -> None:
        super().__init__(transport=httpx.ASGITransport(app), base_url=ORIGIN, headers={"Accept": "text/html"})
        self.app = app
        self._harness = harness

    async def form_token(self) -> str:
        """What our forms carry for this browser."""
        page = (await self.get("/web/")).text
        return page.partition('name="form" value="')[2].partition('"')[0]

    async def submit(self, path: str, headers: Mapping[str, str] | None = None, /, **fields: str) -> httpx.Response:
        """Sends a form of one of our pages."""
        form = {"form": await self.form_token(), **fields}
        return await self.post(f"/web/{path}", data=form, headers={"Origin": ORIGIN, **(headers or {})})

    async def sign_in(self, role: str = "buyer", seat: str = "a") -> httpx.Response:
        """Signs in through the form."""
        self._harness.services.say("POST /accounts/token", **self._harness.token_answer(role))
        return await self.submit(f"s/{seat}/sign-in", email="a@example.com", password="12345678", client="app")

    async def show(self, path: str, **headers: str) -> httpx.Response:
        """A page below the seat."""
        return await self.get(f"/web/s/a/{path}", headers=headers)

    async def send_raw(
        self, method: str, path: str, receive: Callable[[], Any], send: Callable[[Any], Any], **headers: str
    ) -> None:
        """A request whose body and answer pass message by message, for clients that leave in the middle."""
        host = urlsplit(ORIGIN).netloc
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
            "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "",
            "headers": [(name.encode(), value.encode()) for name, value in ({"host": host} | headers).items()],
            "client": ("127.0.0.1", 1), "server": (host, 80),
        }  # fmt: skip
        await self.app(scope, receive, send)
