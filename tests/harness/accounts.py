"""The accounts service, running in the test's own process, and its visitors."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from secrets import token_hex
from typing import Any
from unittest.mock import patch

import httpx
from argon2 import PasswordHasher

from batalkan.keys import Keys
from runtime.messaging.bus.memory import MemoryBus
from runtime.service import Service
from runtime.settings import Environment, Settings
from services.accounts import main
from services.accounts.api import Dependencies
from tests.harness.event_recorder import EventRecorder, recording_service

MIGRATIONS = Path(main.__file__).parent / "migrations"
PASSWORD = "rahasia-sekali"
QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
"""Hashes that take no time; what real ones cost is not what these tests are about."""

_addresses = count(1)


@dataclass
class Visitor:
    """A client with an IP address of its own, and the e-mail of an account."""

    http: httpx.AsyncClient
    email: str

    async def register(self, headers: Mapping[str, str] | None = None, **fields: Any) -> httpx.Response:
        """Asks for an account; `fields` say what is other than usual."""
        body = {"email": self.email, "password": PASSWORD, "name": "Siti", "role": "buyer", **fields}
        return await self.http.post("/accounts", json=body, headers=headers)

    async def sign_in(self, client: str = "app", **fields: str) -> httpx.Response:
        """The password grant."""
        form = {"grant_type": "password", "username": self.email, "password": PASSWORD, "client_id": client}
        return await self.http.post("/accounts/token", data={**form, **fields})

    async def refresh(self, token: str, client: str = "app") -> httpx.Response:
        """The refresh token grant."""
        form = {"grant_type": "refresh_token", "refresh_token": token, "client_id": client}
        return await self.http.post("/accounts/token", data=form)

    async def signed_in(self, client: str = "app") -> dict[str, Any]:
        """Registers and signs in; the token answer."""
        assert (await self.register()).status_code == 201
        answer = await self.sign_in(client)
        assert answer.status_code == 200, answer.text
        tokens: dict[str, Any] = answer.json()
        return tokens

    async def me(self, access_token: str) -> httpx.Response:
        """Who the token says one is."""
        return await self.http.get("/accounts/me", headers={"Authorization": f"Bearer {access_token}"})

    async def post(self, path: str, access_token: str, **body: str) -> httpx.Response:
        """`logout`, `logout-all` or `password` with this token."""
        headers = {"Authorization": f"Bearer {access_token}"}
        return await self.http.post(f"/accounts/{path}", json=body or None, headers=headers)

    async def change_password(self, access_token: str, current: str, new: str) -> httpx.Response:
        """Asks for another password."""
        return await self.post("password", access_token, current_password=current, new_password=new)


@dataclass(frozen=True)
class AccountsHarness:
    """A running service, and the events that it publishes. It takes any number of visitors."""

    service: Service
    recorder: EventRecorder

    @property
    def database_url(self) -> str:
        """Its database."""
        return self.service.uow.database.url

    @property
    def dependencies(self) -> Dependencies:
        """What its routes work with."""
        dependencies: Dependencies = self.service.app.state.dependencies
        return dependencies

    @asynccontextmanager
    async def visitor(self) -> AsyncIterator[Visitor]:
        """A new visitor, from an unused IP address."""
        number = next(_addresses)
        host = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        transport = httpx.ASGITransport(self.service.app, client=(host, 1), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://accounts") as http:
            yield Visitor(http, f"{token_hex(6)}@example.com")


@asynccontextmanager
async def open_harness(
    database_url: str,
    keys: Keys,
    *,
    redis_url: str = "memory://",
    demonstration: bool = False,
    wait: bool = True,
    **env: str,
) -> AsyncIterator[AccountsHarness]:
    """Runs the service; `env` holds further settings."""
    environment = Environment({"SIGNING_KEY": str(keys.signing_key), "TOKEN_KEYS": str(keys.token_keys), **env})
    settings = replace(Settings.read("accounts", environment), redis_url=redis_url, demonstration=demonstration)
    bus = MemoryBus()
    with patch("services.accounts.passwords.PasswordHasher", lambda: QUICK):
        service = main.build(settings, environment, database_url, bus)
    async with recording_service(bus, "chat", "accounts", main.SPEC.publishes) as recorder, service.running():
        if wait:
            await service.until_ready()
        yield AccountsHarness(service, recorder)
