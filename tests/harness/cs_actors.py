"""People with access tokens, who talk to customer service over HTTP."""

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
    """An account; `token` is empty for a passer-by."""

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

    async def post(self, path: str, status: int = 200, **body: Any) -> Json:
        """The JSON of an answer, which must have this status."""
        response = await self.ask("POST", path, json=body)
        assert response.status_code == status, response.text
        return response.json()

    async def refused(self, path: str, **body: Any) -> str:
        """The code of a refusal."""
        response = await self.ask("POST", path, json=body)
        assert response.status_code >= 400, response.text
        assert response.headers["content-type"] == "application/problem+json"
        return str(response.json()["code"])

    async def open_case(self, text: str = "Penjual tidak menjawab.") -> Json:
        """A new case of this buyer."""
        return await self.post("/cs/cases", 201, text=text)

    async def case(self, case_id: str) -> Json:
        """How a case stands."""
        return await self.get(f"/cs/cases/{case_id}")

    async def codes(self, case_id: str) -> list[str]:
        """What the system has said in a case, in its order."""
        messages = (await self.get(f"/cs/cases/{case_id}/messages"))["items"]
        assert [message["seq"] for message in messages] == list(range(1, len(messages) + 1))
        return [message["code"] for message in messages if message["kind"] == "system"]

    async def duty(self, on: bool = True) -> Json:
        """Goes on or off duty."""
        response = await self.ask("PUT", "/cs/duty", json={"on": on})
        assert response.status_code == 200, response.text
        return response.json()


class People:
    """Makes people out of nothing: signs their tokens as accounts does."""

    def __init__(self, keys: Keys, http: httpx.AsyncClient) -> None:
        self._key = keys.signing_key.read_text()
        self._key_id = json.loads(keys.token_keys.read_text())["keys"][0]["kid"]
        self._http = http

    def person(self, role: str, account_id: UUID | None = None, http: httpx.AsyncClient | None = None) -> Person:
        """Somebody, new if no account is named."""
        account_id, now = account_id or uuid4(), int(time())
        claims: dict[str, str | int] = {"iss": ISSUER, "sub": str(account_id), "role": role}
        claims |= {"client_id": "app", "sid": "s", "iat": now, "exp": now + 900}
        token = jwt.encode(claims, self._key, ALGORITHM, headers={"kid": self._key_id})
        return Person(account_id, http or self._http, token)
