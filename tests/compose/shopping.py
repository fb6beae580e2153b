"""What a person does through the gateway."""

from dataclasses import dataclass
from secrets import token_hex
from typing import Any
from uuid import uuid4

import httpx

from tests.compose.stack import wait_for

PASSWORD = "a long enough password"


def sign_in(http: httpx.Client, email: str, password: str = PASSWORD) -> httpx.Response:
    """Asks for tokens, as the app does."""
    form = {"grant_type": "password", "username": email, "password": password, "client_id": "app"}
    return http.post("/accounts/token", data=form)


def register(http: httpx.Client, role: str) -> tuple[str, dict[str, str]]:
    """A new person's address, and the headers of a request of theirs."""
    email = f"{role}-{token_hex(4)}@example.com"
    body = {"email": email, "password": PASSWORD, "name": f"A {role}", "role": role}
    http.post("/accounts", json=body).raise_for_status()
    return email, bearer(sign_in(http, email))


def bearer(answer: httpx.Response) -> dict[str, str]:
    """The header that the tokens are used in."""
    return {"Authorization": f"Bearer {answer.raise_for_status().json()['access_token']}"}


@dataclass
class Shopper:
    """A buyer, with a product of 25,000 rupiah to buy."""

    http: httpx.Client
    email: str
    headers: dict[str, str]
    product_id: str

    @classmethod
    def arrive(cls, http: httpx.Client) -> "Shopper":
        """Registers the buyer, and a seller who offers the product."""
        _, seller = register(http, "seller")
        offer = http.post("/orders/products", json={"title": "Kipas", "price": 25_000, "stock": 500}, headers=seller)
        email, buyer = register(http, "buyer")
        return cls(http, email, buyer, offer.raise_for_status().json()["product_id"])

    def buy(self, method: str = "dana") -> str:
        """Orders two pieces and pays; returns the order's id."""
        order = {"lines": [{"product_id": self.product_id, "quantity": 2}], "payment_method": method}
        placed = self.post("/orders", json=order)
        order_id = str(placed["order_id"])
        self.post(f"/orders/{order_id}/pay")
        return order_id

    def cancel(self, order_id: str) -> dict[str, Any]:
        """Cancels at once; returns the order."""
        return self.post(f"/orders/{order_id}/cancel", json={"reason": None})

    def refund(self, order_id: str) -> dict[str, Any]:
        """The refund of a cancelled order, once it was issued."""

        def look() -> dict[str, Any] | None:
            refund: dict[str, Any] | None = self.get(f"/orders/{order_id}")["refund"]
            return refund if refund and refund["state"] == "issued" else None

        return wait_for(look)

    def get(self, path: str) -> dict[str, Any]:
        found: dict[str, Any] = self.http.get(path, headers=self.headers).raise_for_status().json()
        return found

    def post(self, path: str, json: object = None) -> dict[str, Any]:
        headers = {**self.headers, "Idempotency-Key": str(uuid4())}
        found: dict[str, Any] = self.http.post(path, json=json, headers=headers).raise_for_status().json()
        return found
