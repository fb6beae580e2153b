"""The web service with stand-ins for the other services."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
from fastapi import FastAPI

from batalkan.keys import Keys
from runtime.messaging.bus.memory import MemoryBus
from runtime.settings import Environment, Settings
from services.web.main import build
from tests.harness.actors import access_token

ORIGIN = "http://localhost"
HTML = {"Accept": "text/html"}
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


@dataclass(frozen=True)
class WebHarness:
    """A web service, and tokens that it accepts."""

    keys: Keys
    services: Services
    demonstration: bool = True
    redis_url: str = "memory://"

    def app(self) -> FastAPI:
        """A replica."""
        settings = Settings(
            "web", "postgresql://nowhere", "memory://", self.redis_url, "", 0, self.demonstration, "info"
        )
        env = Environment({"TOKEN_KEYS": str(self.keys.token_keys)})
        transport = httpx.MockTransport(self.services.answer)
        service = build(settings, env, settings.database_url, MemoryBus(), transport)
        return service.app

    def browser(self) -> httpx.AsyncClient:
        """A browser without cookies, at a replica of its own."""
        return httpx.AsyncClient(transport=httpx.ASGITransport(self.app()), base_url=ORIGIN, headers=HTML)

    def token(self, role: str = "buyer", client: str = "app", lasts: int = 900) -> str:
        """An access token, as accounts would sign it."""
        return access_token(self.keys, role, uuid4(), client=client, lasts=lasts)

    def token_answer(self, refresh: str = "s.next", **about: Any) -> dict[str, Any]:
        """What the token endpoint answers."""
        return {
            "access_token": self.token(**about),
            "refresh_token": refresh,
            "token_type": "Bearer",
            "expires_in": 900,
        }

    async def sign_in(self, browser: httpx.AsyncClient, role: str = "buyer", seat: str = "a") -> httpx.Response:
        """Signs in through the form."""
        self.services.say("POST /accounts/token", **self.token_answer(role=role))
        form = {"form": await form_token(browser), "email": "a@example.com", "password": "12345678", "client": "app"}
        return await browser.post(f"/web/s/{seat}/sign-in", data=form, headers={"Origin": ORIGIN})


async def form_token(browser: httpx.AsyncClient) -> str:
    """What our forms carry for this browser."""
    page = (await browser.get("/web/")).text
    return page.partition('name="form" value="')[2].partition('"')[0]
