"""The main job through the gateway: buy, cancel, and have the money back."""

import httpx
import pytest

from tests.compose.shopping import Shopper, sign_in

pytestmark = [pytest.mark.compose, pytest.mark.timeout(240)]


def test_a_cancelled_order_is_refunded_in_full(shopper: Shopper) -> None:
    """Who cancels a paid order has its whole amount in the wallet, once, however often the cancel is sent."""
    order_id = shopper.buy()
    assert shopper.cancel(order_id)["status"] == "cancelled"
    assert shopper.cancel(order_id)["status"] == "cancelled"
    refund = shopper.refund(order_id)
    assert (refund["amount"], refund["destination"]) == (50_000, "lazada_credit")
    entries = shopper.get("/refunds/wallet")["entries"]
    assert [entry["amount"] for entry in entries if entry["refund_id"] == refund["refund_id"]] == [50_000]


def test_a_linked_dana_wallet_gets_the_refund(shopper: Shopper) -> None:
    """With a DANA wallet linked, the money goes there, by way of the simulator's container."""
    link = shopper.http.put("/refunds/wallet/dana", json={"phone": "081234567890"}, headers=shopper.headers)
    assert link.raise_for_status().json()["dana"]["linked"]
    order_id = shopper.buy()
    shopper.cancel(order_id)
    assert shopper.refund(order_id)["destination"] == "dana"
    shopper.http.delete("/refunds/wallet/dana", headers=shopper.headers).raise_for_status()


def test_the_demonstration_accounts_are_there(http: httpx.Client) -> None:
    """In demonstration mode, which is compose's default, everybody can sign in with the known password."""
    assert sign_in(http, "buyer@example.com", "batalkan-demo").status_code == 200
