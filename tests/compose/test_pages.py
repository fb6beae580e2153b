"""The pages, through the gateway: the four ways, and what tests/browser refuses and loses in one process."""

import asyncio
from datetime import timedelta

import httpx
import pytest

from tests.browser.conftest import users as users
from tests.browser.site import BrowserTarget
from tests.browser.test_lost import test_a_page_is_loaded_anew_in_mid_chat as test_a_page_is_loaded_anew_in_mid_chat
from tests.browser.test_lost import test_dana_is_down_and_comes_back as test_dana_is_down_and_comes_back
from tests.browser.test_lost import test_the_server_is_restarted_in_mid_chat as test_the_server_is_restarted_in_mid_chat
from tests.browser.test_refusals import test_already_shipped as test_already_shipped
from tests.browser.test_refusals import test_asked_twice_in_two_tabs as test_asked_twice_in_two_tabs
from tests.browser.test_refusals import test_too_late as test_too_late
from tests.browser.users import BrowserUsers
from tests.browser.ways import WAYS
from tests.compose.stack import Stack

pytestmark = [pytest.mark.compose, pytest.mark.browser, pytest.mark.timeout(400)]


class Composed(BrowserTarget):
    """A container for each service."""

    def __init__(self, stack: Stack) -> None:
        self.url = stack.url
        self._stack = stack

    async def stop(self) -> None:
        await asyncio.to_thread(self._stack.compose, "kill", "chat")

    async def start(self) -> None:
        await asyncio.to_thread(self._stack.compose, "start", "chat")

    async def advance(self, by: timedelta) -> None:
        seconds = f"{int(by.total_seconds())}s"
        await asyncio.to_thread(self._stack.compose, "run", "--rm", "batalkan", "clock", "advance", seconds)


@pytest.fixture
def site(stack: Stack) -> BrowserTarget:
    """Where the tests of tests/browser take place here."""
    return Composed(stack)


async def test_the_four_ways_in_browsers(users: BrowserUsers) -> None:
    """Behind nginx, with a container for each service, people cancel in all four ways and see the money back."""
    for walk in WAYS:
        await walk(users)
        await users.leave()


def test_pages_have_their_own_security_headers(http: httpx.Client) -> None:
    """The gateway leads to the pages, and does not forbid them what they need."""
    assert http.get("/").headers["location"] == "/web/"
    answer = http.get("/web/", headers={"Accept-Encoding": "gzip"})
    (policy,) = answer.headers.get_list("content-security-policy")
    assert "script-src 'self'" in policy
    assert answer.headers.get_list("referrer-policy") == ["same-origin"]
    assert answer.headers.get_list("x-frame-options") == ["DENY"]
    assert "x-request-id" in answer.headers


def test_posts_of_other_sites_do_not_get_through(http: httpx.Client) -> None:
    """What nginx tells the pages of the origin is what the browser said."""
    token = http.get("/web/").text.partition('name="form" value="')[2].partition('"')[0]
    for origin, status in (("http://evil.example", 403), (str(http.base_url).rstrip("/"), 303)):
        answer = http.post("/web/choices", data={"form": token, "lang": "en"}, headers={"Origin": origin})
        assert answer.status_code == status
