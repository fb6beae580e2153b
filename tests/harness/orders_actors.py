"""People with access tokens, who talk to one service over HTTP."""

import json
from dataclasses import dataclass
from time import time
from typing import Any
from uuid import UUID, uuid4

import httpx
import jwt

from batalkan.keys import Keys
from runtime.http.auth import ALGORITHM, ISSUER

Json = Any


@dataclass(frozen=True)
class Person:
    """An account at a service; `token` is empty for a passer-by."""

    account_id: UUID
    http: httpx.AsyncClient
    token: str = ""

    async def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Any request."""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        return await self.http.request(method, path, headers=headers | more.pop("headers", {}), **more)

    async def get(self, path: str, **params: Any) -> Json:
        """The JSON of an answer, which must be 200."""
        response = await self.ask("GET", path, params=params)
        assert response.status_code == 200, response.text
        return response.json()

    async def post(self, path: str, body: Json = None, status: int = 200, **headers: str) -> Json:
        """The JSON of an answer, which must have this status."""
        response = await self.ask("POST", path, json=body, headers=headers)
        assert response.status_code == status, response.text
        return response.json()


class People:
    """Makes people out of nothing: signs their tokens as accounts does."""

    def __init__(self, keys: Keys, http: httpx.AsyncClient) -> None:
        self._key = keys.signing_key.read_text()
        self._key_id = json.loads(keys.token_keys.read_text())["keys"][0]["kid"]
        self._http = http

    def person(
        self, role: str, client: str = "app", account_id: UUID | None = None, *, session: str = "s", lasts: int = 900
    ) -> Person:
        """Somebody, new if no account is named, whose token lasts so many seconds."""
        account_id = account_id or uuid4()
        now = int(time())
        claims = {
            "iss": ISSUER,
            "sub": str(account_id),
            "role": role,
            "client_id": client,
            "sid": session,
            "iat": now,
            "exp": now + lasts,
        }
        token = jwt.encode(claims, self._key, ALGORITHM, headers={"kid": self._key_id})
        return Person(account_id, self._http, token)

    def passer_by(self) -> Person:
        """Somebody who is not signed in."""
        return Person(uuid4(), self._http)


def assert_problem(response: httpx.Response, status: int, code: str | None = None) -> None:
    """The answer is a problem of this status, with a code, in the form of RFC 9457."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == status
    assert {"type", "title", "detail", "code"} <= problem.keys()
    assert problem["code"]
    assert code in (None, problem["code"]), problem
