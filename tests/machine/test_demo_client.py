"""The client of the guided run."""

import json
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from rich.console import Console

from batalkan.demo_client import DemoClient
from services.accounts.demonstration import PASSWORD


async def test_the_accounts_of_a_run_have_its_own_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each run registers, employs and signs in with one password that no other run has, and that is not published: the
    accounts are still there when demonstration mode has ended."""
    used: list[str] = []

    async def employ(urls: Any, role: str, email: str, password: str, name: str) -> None:
        used.append(password)

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/accounts":
            used.append(json.loads(request.content)["password"])
            return httpx.Response(201, json={})
        if request.url.path == "/accounts/token":
            used.append(parse_qs(request.content.decode())["password"][0])
        return httpx.Response(200, json={"access_token": "t", "account_id": "a"})

    monkeypatch.setattr("batalkan.demo_client.create_for", employ)
    system: Any = SimpleNamespace(database_urls={})
    passwords = []
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="http://demo") as http:
        for _ in range(2):
            used.clear()
            client = DemoClient(http, system, Console(quiet=True), [])
            await client.join("buyer", "app")
            await client.employ()
            assert len(used) == 4
            (password,) = set(used)
            passwords.append(password)
    assert len({*passwords, PASSWORD}) == 3
