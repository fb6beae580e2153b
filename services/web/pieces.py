"""Orders by their pieces: what is cancelled, what is left, what comes back, and which pieces a form chooses."""

from collections.abc import Mapping
from typing import Any

from runtime.errors import Refusal
from runtime.numbers import whole

Order = dict[str, Any]

TAKE = "take-"
"""A form's field with how many pieces to cancel begins so; the product's id follows."""


class NoPieces(Refusal):
    """A form chooses some pieces, but none, or no whole number of them."""

    code, title = "no_pieces", "No pieces are chosen"


def by_pieces(order: Mapping[str, Any]) -> Order:
    """The order with `parts` (its cancellations, unless one ended it as a whole), `partly` (some pieces are cancelled
    and others left), `left` (pieces), `rest` (rupiah that come back if these are cancelled) and `awaited` (a refund has
    not arrived). Adds what an earlier version of orders does not send."""
    gone = order["status"] == "cancelled"
    refunds = [order["refund"]] if order["refund"] else []
    found = {
        "shipping_fee": 0, "discount": 0, "voucher": None, "pay_by": None, "ship_by": None,
        "refunded_amount": order["paid_amount"] if gone else 0, "cancellations": [], "refunds": refunds, **order,
    }  # fmt: skip
    found["lines"] = [_complete(line) for line in order["lines"]]
    arrived = sum(refund["amount"] for refund in found["refunds"] if refund["state"] == "issued")
    end = order["cancellation"].get("cancellation_id") if gone else None
    ended = next((one for one in found["cancellations"] if one["cancellation_id"] == end), None)
    parts = [_with_refund(one, found) for one in found["cancellations"]]
    return found | {
        "parts": [] if gone and len(parts) < 2 else parts,
        "partly": not gone and any(line["cancelled"] for line in found["lines"]),
        "left": sum(line["left"] for line in found["lines"]),
        "rest": found["paid_amount"] - found["refunded_amount"],
        "back": ended["refund_amount"] if ended else found["refunded_amount"],
        "awaited": arrived < found["refunded_amount"],
    }


def _complete(line: Mapping[str, Any]) -> dict[str, Any]:
    """A line with what is left of it, what it costs, and the net price of each piece, None where they differ."""
    price = line["quantity"] * line["unit_price"]
    found = {"net": price, "cancelled": 0, **line}
    each = found["net"] // line["quantity"] if found["net"] % line["quantity"] == 0 else None
    return found | {"price": price, "each": each, "left": line["quantity"] - found["cancelled"]}


def _with_refund(cancellation: Mapping[str, Any], order: Order) -> dict[str, Any]:
    """A cancellation with its refund, and with the titles of its pieces; without `lines` it took what was left."""
    titles = {line["product_id"]: line["title"] for line in order["lines"]}
    ids = {refund.get("cancellation_id"): refund for refund in order["refunds"]}
    lines = [{**one, "title": titles.get(one["product_id"], "")} for one in cancellation["lines"] or ()]
    return {**cancellation, "lines": lines, "refund": ids.get(cancellation["cancellation_id"])}


def chosen(form: Mapping[str, str]) -> list[dict[str, Any]] | None:
    """The pieces that a form chooses; None if it takes all that are left. Raises `NoPieces`."""
    if form["what"] != "part":
        return None
    typed = {name: whole(text.strip() or "0") for name, text in form.items() if name.startswith(TAKE)}
    if None in typed.values() or not any(typed.values()):
        raise NoPieces
    return [{"product_id": name.removeprefix(TAKE), "quantity": count} for name, count in typed.items() if count]
