"""The demonstration's buyers."""

from typing import Any

import httpx
import pytest

from runtime.settings import Environment
from services.web.flow.rehearsal import Rehearsal
from services.web.upstream import ServiceAway, Upstream


async def test_a_service_that_is_away_is_said_to_be() -> None:
    """Of several cancellations that fail together one speaks for all, as the page can say it."""

    def answer(request: httpx.Request) -> httpx.Response:
        answer: dict[str, Any] = {"access_token": "t", "product_id": "p"}
        return httpx.Response(503 if request.url.path == "/orders" else 200, json=answer)

    rehearsal = Rehearsal(Upstream.read(Environment({}), httpx.MockTransport(answer)))
    with pytest.raises(ServiceAway):
        await rehearsal.cancel(3, dana=False)
