"""Buyers, sellers and agents, and what they do through the HTTP interface."""

import json
from dataclasses import dataclass
from secrets import token_hex
from time import time
from typing import Any, Self
from uuid import uuid4

import httpx
import jwt

from batalkan.keys import Keys
from runtime.http.auth import ALGORITHM, ISSUER
from tests.harness.waiting import eventually

PASSWORD = "rahasia-sekali"
PHONE = "081234567890"


@dataclass(frozen=True)
class Person:
    """Somebody with an account, signed in through one client."""

    http: httpx.AsyncClient
    account_id: str
    email: str
    password: str
    token: str

    @classmethod
    async def register(cls, http: httpx.AsyncClient, role: str) -> Self:
        """Somebody new, signed in to the app."""
        email = f"{role}-{token_hex(6)}@example.com"
        body = {"email": email, "password": PASSWORD, "name": f"A {role}", "role": role}
        (await http.post("/accounts", json=body)).raise_for_status()
        return await cls.sign_in(http, email, PASSWORD)

    @classmethod
    async def sign_in(cls, http: httpx.AsyncClient, email: str, password: str, client: str = "app") -> Self:
        """Somebody who has an account, on the app or on the website."""
        form = {"grant_type": "password", "username": email, "password": password, "client_id": client}
        token = (await http.post("/accounts/token", data=form)).raise_for_status().json()["access_token"]
        me = await http.get("/accounts/me", headers={"Authorization": f"Bearer {token}"})
        return cls(http, me.raise_for_status().json()["account_id"], email, password, token)

    @classmethod
    def signed(
        cls,
        http: httpx.AsyncClient,
        keys: Keys,
        role: str,
        *,
        account_id: str = "",
        lasts: int = 900,
        clock: float | None = None,
    ) -> Self:
        """Somebody, new by default, whose token is signed here as accounts would: for crowds, since passwords are slow.

        `lasts` in seconds; `clock` is the time of whoever is to believe it, if that is not ours.
        """
        account_id, now = account_id or str(uuid4()), int(clock or time())
        claims = {"iss": ISSUER, "sub": account_id, "role": role, "client_id": "app", "sid": "s", "iat": now}
        key_id = json.loads(keys.token_keys.read_text())["keys"][0]["kid"]
        token = jwt.encode(
            claims | {"exp": now + lasts}, keys.signing_key.read_text(), ALGORITHM, headers={"kid": key_id}
        )
        return cls(http, account_id, "", "", token)

    async def on_the_website(self) -> Self:
        """The same person, in a browser."""
        return await self.sign_in(self.http, self.email, self.password, "web")

    async def ask(self, method: str, path: str, json: object = None, key: str | None = None) -> httpx.Response:
        """A request under this person's token, and under an idempotency key if one is given."""
        headers = {"Authorization": f"Bearer {self.token}"} | ({"Idempotency-Key": key} if key else {})
        return await self.http.request(method, path, json=json, headers=headers)

    async def get(self, path: str) -> dict[str, Any]:
        """What is there; anything but success is an error."""
        found: dict[str, Any] = (await self.ask("GET", path)).raise_for_status().json()
        return found

    async def post(self, path: str, **body: Any) -> dict[str, Any]:
        """What was made or changed; anything but success is an error."""
        answer = await self.ask("POST", path, body or None, key=token_hex(8))
        assert answer.is_success, (path, answer.status_code, answer.text)
        done: dict[str, Any] = answer.json()
        return done

    async def once_known(self, path: str, **body: Any) -> dict[str, Any]:
        """As `post`, once the service has heard of the order that it is about."""

        async def tell() -> dict[str, Any] | None:
            answer = await self.ask("POST", path, body)
            assert answer.status_code in (200, 201, 404), answer.text
            done: dict[str, Any] = answer.json()
            return done if answer.is_success else None

        return await eventually(tell)

    async def order(self, order_id: str) -> dict[str, Any]:
        """The order as this person sees it."""
        return await self.get(f"/orders/{order_id}")

    async def move(self, order_id: str, to: str) -> httpx.Response:
        """`pay`, `cancel`, `pack`, `ship` or `deliver`."""
        return await self.ask("POST", f"/orders/{order_id}/{to}")


class Seller(Person):
    """Offers products, packs and ships."""

    async def offer(self, price: int = 189_000, stock: int = 1_000_000) -> str:
        """A new product; returns its id."""
        body = {"title": "Kemeja batik", "price": price, "stock": stock}
        answer = await self.ask("POST", "/orders/products", body, key=token_hex(8))
        return str(answer.raise_for_status().json()["product_id"])

    async def done(self, order_id: str, *steps: str) -> None:
        """Packs, ships, delivers."""
        for step in steps:
            (await self.move(order_id, step)).raise_for_status()

    async def score(self) -> dict[str, Any]:
        """What everybody can see of how reliable this seller is."""
        found: dict[str, Any] = (await self.http.get(f"/orders/sellers/{self.account_id}/score")).json()
        return found


class Buyer(Person):
    """Orders, pays, cancels, and looks where the money is."""

    async def place(self, product_id: str, quantity: int = 1, method: str = "bank_transfer") -> str:
        """Places an order; returns its id."""
        body = {"lines": [{"product_id": product_id, "quantity": quantity}], "payment_method": method}
        answer = await self.ask("POST", "/orders", body, key=token_hex(8))
        return str(answer.raise_for_status().json()["order_id"])

    async def buy(self, product_id: str, quantity: int = 1) -> str:
        """Places an order and pays it; returns its id."""
        order_id = await self.place(product_id, quantity)
        (await self.move(order_id, "pay")).raise_for_status()
        return order_id

    async def cancel(self, order_id: str, **why: str) -> httpx.Response:
        """Asks for the cancellation, perhaps saying why."""
        return await self.ask("POST", f"/orders/{order_id}/cancel", why or None)

    async def link_dana(self, phone: str = PHONE) -> None:
        """Has refunds go to DANA."""
        (await self.ask("PUT", "/refunds/wallet/dana", {"phone": phone})).raise_for_status()

    async def unlink_dana(self) -> None:
        """Has refunds go to Lazada Credit."""
        (await self.ask("DELETE", "/refunds/wallet/dana")).raise_for_status()

    async def credit(self) -> int:
        """The balance of the Lazada Credit."""
        return int((await self.get("/refunds/wallet"))["credit_balance"])

    async def refund(self, order_id: str, state: str = "issued") -> dict[str, Any]:
        """The refund that the order shows, once it is in this state."""

        async def look() -> dict[str, Any] | None:
            refund: dict[str, Any] | None = (await self.order(order_id))["refund"]
            return refund if refund and refund["state"] == state else None

        return await eventually(look)
