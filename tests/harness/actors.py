"""Buyers, sellers and agents: accounts with access tokens, and what they do through the HTTP interface."""

import json
from dataclasses import dataclass
from secrets import token_hex
from time import time
from typing import Any, Self
from uuid import UUID, uuid4

import httpx
import jwt

from batalkan.keys import Keys
from runtime.http.auth import ALGORITHM, ISSUER
from tests.harness.waiting import eventually

PASSWORD = "rahasia-sekali"
PHONE = "081234567890"
Json = Any


def access_token(
    keys: Keys,
    role: str,
    account_id: UUID,
    *,
    client: str = "app",
    session: str = "s",
    lasts: int = 900,
    clock: float | None = None,
) -> str:
    """A token as accounts signs it, good for `lasts` seconds from `clock`, or from now."""
    now = int(clock or time())
    claims = {"iss": ISSUER, "sub": str(account_id), "role": role, "client_id": client, "sid": session, "iat": now}
    key_id = json.loads(keys.token_keys.read_text())["keys"][0]["kid"]
    claims["exp"] = now + lasts
    return jwt.encode(claims, keys.signing_key.read_text(), ALGORITHM, headers={"kid": key_id})


@dataclass(frozen=True)
class Person:
    """An account, signed in through one client; `token` is empty without a sign-in."""

    account_id: UUID
    http: httpx.AsyncClient
    token: str = ""
    email: str = ""
    password: str = ""

    @classmethod
    async def register(cls, http: httpx.AsyncClient, role: str, name: str = "") -> Self:
        """A new account, signed in to the app."""
        email = f"{role}-{token_hex(6)}@example.com"
        body = {"email": email, "password": PASSWORD, "name": name or f"A {role}", "role": role}
        (await http.post("/accounts", json=body)).raise_for_status()
        return await cls.sign_in(http, email, PASSWORD)

    @classmethod
    async def sign_in(cls, http: httpx.AsyncClient, email: str, password: str, client: str = "app") -> Self:
        """An account that is registered, on the app or on the website."""
        form = {"grant_type": "password", "username": email, "password": password, "client_id": client}
        token = (await http.post("/accounts/token", data=form)).raise_for_status().json()["access_token"]
        me = await http.get("/accounts/me", headers={"Authorization": f"Bearer {token}"})
        return cls(UUID(me.raise_for_status().json()["account_id"]), http, token, email, password)

    @classmethod
    def signed(
        cls, http: httpx.AsyncClient, keys: Keys, role: str, *, account_id: UUID | None = None, **token: Any
    ) -> Self:
        """An account, new by default, whose token is signed here, since passwords are slow; `token`: `access_token`."""
        account_id = account_id or uuid4()
        return cls(account_id, http, access_token(keys, role, account_id, **token))

    async def on_the_website(self) -> Self:
        """The same account, signed in to the website."""
        return await self.sign_in(self.http, self.email, self.password, "web")

    async def ask(
        self, method: str, path: str, json: object = None, key: str | None = None, **more: Any
    ) -> httpx.Response:
        """A request with this account's token, and with an idempotency key if one is given."""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        headers |= {"Idempotency-Key": key} if key else {}
        return await self.http.request(method, path, json=json, headers=headers | more.pop("headers", {}), **more)

    async def get(self, path: str, **params: Any) -> Json:
        """The JSON of an answer, whose status must be 200."""
        response = await self.ask("GET", path, params=params or None)
        assert response.status_code == 200, response.text
        return response.json()

    async def post(self, path: str, body: Json = None, status: int = 200, **headers: str) -> Json:
        """The JSON of an answer, which must have this status."""
        response = await self.ask("POST", path, body, headers=headers)
        assert response.status_code == status, response.text
        return response.json()

    async def send(self, path: str, **body: Any) -> Json:
        """The JSON of an answer to a POST under a new idempotency key; it must be a success."""
        answer = await self.ask("POST", path, body or None, key=token_hex(8))
        assert answer.is_success, (path, answer.status_code, answer.text)
        return answer.json()

    async def once_known(self, path: str, **body: Any) -> Json:
        """As `send`, once the service has consumed the order that it is about."""

        async def succeed() -> Json | None:
            answer = await self.ask("POST", path, body)
            assert answer.status_code in (200, 201, 404), answer.text
            return answer.json() if answer.is_success else None

        return await eventually(succeed)

    async def order(self, order_id: str) -> Json:
        """The order as this account sees it."""
        return await self.get(f"/orders/{order_id}")

    async def move(self, order_id: str, to: str) -> httpx.Response:
        """`pay`, `cancel`, `pack`, `ship` or `deliver`."""
        return await self.ask("POST", f"/orders/{order_id}/{to}")


class Agent(Person):
    """Works in customer service."""

    async def duty(self, on: bool = True) -> None:
        """Goes on or off duty."""
        (await self.ask("PUT", "/cs/duty", {"on": on})).raise_for_status()


class Seller(Person):
    """Offers products, packs and ships."""

    async def offer(self, price: int = 189_000, stock: int = 1_000_000) -> str:
        """A new product; returns its id."""
        return str((await self.send("/orders/products", title="Kemeja batik", price=price, stock=stock))["product_id"])

    async def done(self, order_id: str, *steps: str) -> None:
        """Packs, ships, delivers."""
        for step in steps:
            (await self.move(order_id, step)).raise_for_status()

    async def score(self) -> Json:
        """What everyone can see of how reliable this seller is."""
        return await self.get(f"/orders/sellers/{self.account_id}/score")


class Buyer(Person):
    """Orders, pays, cancels, and reads where the money is."""

    async def place(self, product_id: str, quantity: int = 1, method: str = "bank_transfer") -> str:
        """Places an order; returns its id."""
        lines = [{"product_id": product_id, "quantity": quantity}]
        return str((await self.send("/orders", lines=lines, payment_method=method))["order_id"])

    async def buy(self, product_id: str, quantity: int = 1) -> str:
        """Places an order and pays it; returns its id."""
        order_id = await self.place(product_id, quantity)
        (await self.move(order_id, "pay")).raise_for_status()
        return order_id

    async def cancel(self, order_id: str, **why: str) -> httpx.Response:
        """Asks for the cancellation, perhaps with a reason."""
        return await self.ask("POST", f"/orders/{order_id}/cancel", why or None)

    async def cancel_pieces(
        self, order_id: str, product_id: str, quantity: int = 1, key: str | None = None
    ) -> httpx.Response:
        """Asks for the cancellation of pieces, under a new key unless one is given."""
        body = {"lines": [{"product_id": product_id, "quantity": quantity}]}
        return await self.ask("POST", f"/orders/{order_id}/cancel", body, key or token_hex(8))

    async def link_dana(self, phone: str = PHONE) -> None:
        """Has refunds go to DANA. Asks again when DANA has not answered in time: it has little in tests."""

        async def answer() -> httpx.Response | None:
            found = await self.ask("PUT", "/refunds/wallet/dana", {"phone": phone})
            return None if found.status_code == 503 else found

        (await eventually(answer)).raise_for_status()

    async def unlink_dana(self) -> None:
        """Has refunds go to Lazada Credit."""
        (await self.ask("DELETE", "/refunds/wallet/dana")).raise_for_status()

    async def credit(self) -> int:
        """The balance of the Lazada Credit."""
        return int((await self.get("/refunds/wallet"))["credit_balance"])

    async def refund(self, order_id: str, state: str = "issued") -> Json:
        """The refund that the order shows, once it is in this state."""

        async def in_state() -> Json | None:
            refund = (await self.order(order_id))["refund"]
            return refund if refund and refund["state"] == state else None

        return await eventually(in_state)


@dataclass(frozen=True)
class Actors:
    """Makes accounts for one service: signs their tokens as accounts does."""

    keys: Keys
    http: httpx.AsyncClient

    def person(self, role: str, client: str = "app", account_id: UUID | None = None, **token: Any) -> Person:
        """An account, new by default; `token`: `access_token`."""
        return Person.signed(self.http, self.keys, role, account_id=account_id, client=client, **token)

    def anonymous(self) -> Person:
        """A client without an account."""
        return Person(uuid4(), self.http)


def assert_problem(response: httpx.Response, status: int, code: str | None = None) -> None:
    """The answer is a problem of this status, with a code, in the form of RFC 9457."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == status
    assert {"type", "title", "detail", "code"} <= problem.keys()
    assert problem["code"]
    assert code in (None, problem["code"]), problem
