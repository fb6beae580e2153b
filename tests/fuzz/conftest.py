"""The system, accounts of every role, and their orders, cases and threads, whose ids requests use."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import strategies as st

from services.accounts.demonstration import ACCOUNTS, PASSWORD
from tests.conftest import Databases
from tests.fuzz.served import served

KNOWN: list[str] = [str(account_id) for account_id, *_ in ACCOUNTS]
"""Ids of things that there are; half of the ids that are tried are among them."""

schemathesis.openapi.format(
    "uuid", st.uuids().map(str) | st.integers(0, 10**6).map(lambda number: KNOWN[number % len(KNOWN)])
)


@pytest.fixture(scope="package")
def origin(embedded_databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the system listens."""
    with served(tmp_path_factory.mktemp("fuzz"), embedded_databases.admin_url) as origin:
        yield origin


@pytest.fixture(scope="package")
def tokens(origin: str) -> dict[str, str]:
    """An access token for each role; the buyer and the seller have orders in several states, and a refund."""
    found = {}
    with httpx.Client(base_url=origin) as http:
        for _, email, _, role in ACCOUNTS:
            form = {"grant_type": "password", "username": email, "password": PASSWORD, "client_id": "app"}
            found[role.value] = http.post("/accounts/token", data=form).raise_for_status().json()["access_token"]

        def ask(role: str, method: str, path: str, **body: Any) -> Any:
            headers = {"Authorization": f"Bearer {found[role]}"}
            return http.request(method, path, json=body or None, headers=headers).raise_for_status().json()

        products = ask("buyer", "GET", "/orders/products")["items"]
        KNOWN.extend(product["product_id"] for product in products)
        for moves in ((), ("pay",), ("pay", "cancel"), ("pay", "pack"), ("pay", "pack", "ship")):
            line = {"product_id": products[0]["product_id"], "quantity": 1}
            order_id = ask("buyer", "POST", "/orders", lines=[line], payment_method="dana")["order_id"]
            for move in moves:
                ask("seller" if move in ("pack", "ship") else "buyer", "POST", f"/orders/{order_id}/{move}")
            KNOWN.append(order_id)
        while not (refunds := ask("buyer", "GET", "/refunds")["items"]):
            pass
        KNOWN.extend(refund["refund_id"] for refund in refunds)
        buyer = {"Authorization": f"Bearer {found['buyer']}"}
        while (opened := http.post("/chat/threads", json={"order_id": order_id}, headers=buyer)).status_code == 404:
            pass
        KNOWN.append(opened.raise_for_status().json()["thread_id"])
        ask("buyer", "POST", f"/chat/threads/{KNOWN[-1]}/messages", text="Halo, Kak")
        ask("agent", "PUT", "/cs/duty", on=True)
        KNOWN.append(ask("buyer", "POST", "/cs/cases", text="Penjual tidak membalas.")["case_id"])
    return found


@pytest.fixture(scope="package")
def strangers(origin: str) -> dict[str, str]:
    """Access tokens of further accounts: their sessions are ended, and their passwords changed."""
    found = {}
    with httpx.Client(base_url=origin) as http:
        for role in ("buyer", "seller"):
            email, password = f"{role}@fuzz.example.com", "kucing oranye di atap"
            body = {"email": email, "password": password, "name": "Siti", "role": role}
            http.post("/accounts", json=body).raise_for_status()
            form = {"grant_type": "password", "username": email, "password": password, "client_id": "app"}
            found[role] = http.post("/accounts/token", data=form).raise_for_status().json()["access_token"]
    return found
