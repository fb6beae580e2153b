"""The flow page and what it stands on, through the gateway."""

import json

import httpx
import pytest

from services import SERVICES
from tests.compose.stack import Stack

pytestmark = [pytest.mark.compose, pytest.mark.timeout(240)]


def test_events_are_streamed_stage_by_stage(http: httpx.Client) -> None:
    """A cancellation that is started on the page arrives in its stream, stage by stage, while the answer goes on."""
    origin = {"Origin": str(http.base_url).rstrip("/")}
    seen: set[str] = set()
    with http.stream("GET", "/web/flow/live", headers={"Accept": "text/event-stream"}, timeout=60) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        with httpx.Client(base_url=http.base_url, timeout=60) as other:
            assert other.post("/web/flow/stories", headers=origin).status_code == 202
        for line in stream.iter_lines():
            if line.startswith("data: ") and "moves" in line:
                seen |= {f"{move['service']} {move['stage']}" for move in json.loads(line[6:])["moves"]}
            if {"orders written", "orders sent", "refunds handled", "refunds written", "orders handled"} <= seen:
                break


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_shows_its_state(http: httpx.Client, service: str) -> None:
    """Outbox, queue, parked messages and switches, for the page; not for the page of another site."""
    state = http.get(f"/{service}/demonstration/state").raise_for_status().json()
    assert state["service"] == service
    switches = ("connected", "consuming", "acknowledging", "handling", "once")
    assert state["switches"] == dict.fromkeys(switches, True)
    refused = http.get(f"/{service}/demonstration/state", headers={"Sec-Fetch-Site": "cross-site"})
    assert refused.status_code == 403


def test_refunds_controls_dana(http: httpx.Client, stack: Stack) -> None:
    """DANA is made slow and well again through refunds; web cannot even resolve its name."""
    for weather in ("slow", "well"):
        assert http.put("/refunds/demonstration/dana", json={"weather": weather}).json()["weather"] == weather
    assert stack.resolves("web", "refunds")
    assert not stack.resolves("web", "dana")
