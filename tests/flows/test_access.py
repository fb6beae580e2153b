"""Access: every route of every service, for accounts without permission, and for invalid tokens."""

from typing import Any
from uuid import uuid4

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from runtime.http.auth import ALGORITHM
from services import SERVICES
from tests.harness.actors import Buyer, Person, Seller, access_token
from tests.harness.system import SystemUnderTest, gathered

OPEN = {
    ("POST", "/accounts"),
    ("POST", "/accounts/token"),
    ("GET", "/accounts/jwks.json"),
    ("GET", "/accounts/sellers"),
    ("GET", "/orders/products"),
    ("GET", "/orders/products/{product_id}"),
    ("GET", "/orders/sellers"),
    ("GET", "/orders/cancel-reasons"),
    ("GET", "/orders/clock"),
    ("GET", "/orders/sellers/{seller_id}/score"),
}
"""Public routes, and the health and metrics of each service."""
ELSEWHERE = ("/chat/", "/cs/", "/notifications", "/accounts/password", "/accounts/logout")
"""Routes whose access is tested in the folders of their services."""
NOT_FOR_SELLERS = {"seller": 403, "other seller": 403}
BUYERS_ONLY = {**NOT_FOR_SELLERS, "agent": 403}
SELLERS_ONLY = {"buyer": 403, "other buyer": 403, "agent": 403}
LINES = {"lines": [{"product_id": str(uuid4()), "quantity": 1}], "payment_method": "cod"}
PRODUCT = {"title": "Kopi", "price": 1, "stock": 1}

Route = tuple[str, str]

REFUSED: dict[Route, tuple[Any, dict[str, int]]] = {
    ("GET", "/accounts/me"): (None, {}),
    ("POST", "/orders"): (LINES, BUYERS_ONLY),
    ("POST", "/orders/products"): (PRODUCT, SELLERS_ONLY),
    ("GET", "/orders/vouchers"): (None, SELLERS_ONLY),
    ("POST", "/orders/vouchers"): ({"code": "HEMAT", "amount": 1, "uses": 1}, SELLERS_ONLY),
    ("GET", "/orders"): (None, {"agent": 403}),
    ("GET", "/orders/counts"): (None, {"agent": 403}),
    ("GET", "/orders/{order_id}"): (None, {"other buyer": 404, "other seller": 404}),
    ("POST", "/orders/{order_id}/cancel"): (None, {**BUYERS_ONLY, "other buyer": 404}),
    ("POST", "/orders/{order_id}/pay"): (None, {**BUYERS_ONLY, "other buyer": 404}),
    ("POST", "/orders/{order_id}/pack"): (None, {**SELLERS_ONLY, "other seller": 404}),
    ("POST", "/orders/{order_id}/ship"): (None, {**SELLERS_ONLY, "other seller": 404}),
    ("POST", "/orders/{order_id}/deliver"): (None, {**SELLERS_ONLY, "other seller": 404}),
    ("GET", "/refunds"): (None, NOT_FOR_SELLERS),
    ("GET", "/refunds/{refund_id}"): (None, {**NOT_FOR_SELLERS, "other buyer": 404}),
    ("GET", "/refunds/wallet"): (None, BUYERS_ONLY),
    ("PUT", "/refunds/wallet/dana"): ({"phone": "081234567890"}, BUYERS_ONLY),
    ("DELETE", "/refunds/wallet/dana"): (None, BUYERS_ONLY),
}
"""The body of a valid request, and the status for each account without permission."""
CODES = {401: "unauthenticated", 403: "wrong_role", 404: "not_found"}


@pytest.fixture(scope="package")
async def refunded(buyer: Buyer, product: str) -> dict[str, str]:
    """The ids in the paths: those of an order of the buyer's that was cancelled, and of its refund."""
    order_id = await buyer.buy(product)
    await buyer.cancel(order_id)
    return {"order_id": order_id, "refund_id": (await buyer.refund(order_id))["refund_id"]}


@pytest.fixture(scope="package")
async def accounts(
    system: SystemUnderTest, buyer: Buyer, stranger: Buyer, seller: Seller, agent: Person
) -> dict[str, Person]:
    """An account of each kind."""
    rival = await Seller.register(system.http, "seller")
    return {"buyer": buyer, "other buyer": stranger, "seller": seller, "other seller": rival, "agent": agent}


async def closed_routes(system: SystemUnderTest) -> set[Route]:
    """All routes of the services' OpenAPI documents, without public ones and without those for
    demonstration mode (`runtime.demo`)."""
    found: set[Route] = set()
    for service in SERVICES:
        paths = (await system.http.get(f"/{service}/openapi.json")).raise_for_status().json()["paths"]
        found |= {(method.upper(), path) for path, methods in paths.items() for method in methods}
    public = ("/health/", "/metrics", "/demonstration/")
    return {(method, path) for method, path in found - OPEN if not any(part in path for part in public)}


async def test_every_route_is_in_the_table(system: SystemUnderTest) -> None:
    """A route that is new must be entered here, or in the table of its service."""
    assert {route for route in await closed_routes(system) if not route[1].startswith(ELSEWHERE)} == REFUSED.keys()


@pytest.mark.parametrize(("method", "path"), REFUSED, ids=lambda value: str(value))
async def test_access(accounts: dict[str, Person], refunded: dict[str, str], method: str, path: str) -> None:
    """A resource of another account answers 404, a wrong role 403, all others succeed."""
    body, refused = REFUSED[method, path]
    for name, person in accounts.items():
        answer = await person.ask(method, path.format(**refunded), body)
        status = refused.get(name)
        if status is None:
            assert answer.status_code not in CODES, (name, answer.text)
            assert answer.status_code < 500, (name, answer.text)
        else:
            assert (answer.status_code, answer.json()["code"]) == (status, CODES[status]), name
            assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("kind", ["missing", "expired", "of another key", "unsigned", "of another issuer", "nonsense"])
async def test_a_token_that_is_none(system: SystemUnderTest, agent: Person, kind: str) -> None:
    """Every route refuses a token that accounts has not signed or that has expired."""
    headers = {} if kind == "missing" else {"Authorization": f"Bearer {token(system, agent, kind)}"}
    calls = [
        system.http.request(method, path.replace("{", "").replace("}", ""), headers=headers)
        for method, path in sorted(await closed_routes(system))
    ]
    for answer in await gathered(calls, 8):
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated"), answer.request.url
        assert answer.headers["www-authenticate"] == "Bearer"


def token(system: SystemUnderTest, whose: Person, kind: str) -> str:
    """A token that is invalid in one way."""
    if kind == "nonsense":
        return kind
    valid = access_token(system.keys, "agent", whose.account_id, lasts=-60 if kind == "expired" else 900)
    claims = jwt.decode(valid, options={"verify_signature": False})
    if kind == "of another issuer":
        claims["iss"] = "another"
    if kind == "unsigned":
        return jwt.encode(claims, "", "none")
    key: Any = Ed25519PrivateKey.generate() if kind == "of another key" else system.keys.signing_key.read_text()
    return jwt.encode(claims, key, ALGORITHM, headers=jwt.get_unverified_header(valid))
