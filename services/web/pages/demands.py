"""What customer service demands of a seller: an answer within 24 hours, or the order is cancelled (A)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from contracts.cs import ANSWER_WITHIN
from services.web.pieces import by_pieces
from services.web.upstream import Refused, ServiceAway
from services.web.visits import Visit

MOST = 10
"""Demands that a page shows."""


async def demands(visit: Visit, now: datetime) -> list[dict[str, Any]]:
    """The `thread`s and `order`s of this seller's open demands, the most urgent first; none while `chat` is away."""
    try:
        threads = (await visit.get("/chat/threads", demanded=True, limit=MOST))["items"]
        asked = [thread for thread in threads if thread.get("demand")]
        found = [{"thread": one, "order": by_pieces(await visit.get(f"/orders/{one['order_id']}"))} for one in asked]
    except (Refused, ServiceAway):
        return []
    waiting = [one for one in found if is_open(one["thread"], one["order"], now)]
    return sorted(waiting, key=lambda one: str(one["thread"]["demand"]["respond_by"]))


def is_open(thread: Mapping[str, Any], order: Mapping[str, Any], now: datetime) -> bool:
    """Whether customer service waits for this seller: the time runs, and the order was not packed since (A)."""
    demand = thread.get("demand")  # an earlier version of chat has none
    if demand is None or order["status"] not in ("unpaid", "processing", "packed"):
        return False
    until = datetime.fromisoformat(demand["respond_by"])
    packed = [datetime.fromisoformat(step["at"]) for step in order["history"] if step["status"] == "packed"]
    return now < until and all(at < until - ANSWER_WITHIN for at in packed)
