"""Buyers, sellers and agents, and what they do through the HTTP interface."""

from dataclasses import dataclass
from secrets import token_hex
from typing import Any, Self

import httpx

from tests.flows.waiting import eventually

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
