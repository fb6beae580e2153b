"""Cookies, seats, and the renewal of sessions."""

import asyncio
from collections.abc import AsyncIterator
from http.cookies import SimpleCookie
from secrets import token_hex
from urllib.parse import parse_qs
from uuid import UUID

import httpx
import jwt
import pytest

from batalkan.servers import LocalServers
from runtime.http.revocations import revoke
from runtime.settings import Environment
from runtime.storage.redis import connect
from services.web.refreshing import Refreshing
from services.web.upstream import Upstream
from tests.harness.lost_answer import lose_an_answer
from tests.harness.web import ORIGIN, Browser, Services, WebHarness

SIGN_IN = {"email": "a@example.com", "password": "12345678"}


@pytest.fixture
async def browser(harness: WebHarness) -> AsyncIterator[Browser]:
    """A browser at a replica that has renewed no session yet."""
    async with harness.browser() as browser:
        yield browser


def crumbs(answer: httpx.Response) -> SimpleCookie:
    """The cookies that an answer sets."""
    jar: SimpleCookie = SimpleCookie()
    for header in answer.headers.get_list("set-cookie"):
        jar.load(header)
    return jar


def assert_signed_out(answer: httpx.Response) -> None:
    """The browser is redirected to signing in, and loses its tokens."""
    assert answer.headers["location"].startswith("/web/s/a/sign-in")
    assert {crumbs(answer)[name]["max-age"] for name in ("access", "refresh")} == {"0"}


async def test_tokens_are_out_of_reach_of_scripts_and_other_sites(browser: Browser) -> None:
    """The cookies with tokens are HttpOnly, SameSite, and sent below the path of their seat alone."""
    answer = await browser.sign_in()
    cookies = crumbs(answer)
    assert set(cookies) == {"access", "refresh"}
    for crumb in cookies.values():
        assert (crumb["httponly"], crumb["samesite"], crumb["path"]) == (True, "Lax", "/web/s/a")
        assert not crumb["domain"]
    assert cookies["access"].value not in answer.text


async def test_cookies_are_for_encrypted_connections_where_there_are_any(harness: WebHarness, browser: Browser) -> None:
    """Over HTTPS every cookie is Secure."""
    harness.services.say("POST /accounts/token", **harness.token_answer())
    browser.base_url = httpx.URL("https://localhost")
    answer = await browser.submit("s/a/sign-in", {"Origin": "https://localhost"}, **SIGN_IN)
    assert len(crumbs(answer)) == 2
    assert all(crumb["secure"] for crumb in crumbs(answer).values())


async def test_a_browser_that_has_signed_in_before_says_so(harness: WebHarness, browser: Browser) -> None:
    """The device token of a sign-in is kept out of reach of scripts, outlives signing out, and comes with the next."""
    harness.services.say("POST /accounts/token", **harness.token_answer(), device_token="1.abc")
    harness.services.say("POST /accounts/logout", 204)
    crumb = crumbs(await browser.submit("s/a/sign-in", **SIGN_IN))["device"]
    assert (crumb["httponly"], crumb["samesite"], crumb["path"]) == (True, "Lax", "/web/s/a")
    for path in ("sign-out", "sign-in"):
        await browser.submit(f"s/a/{path}", **SIGN_IN)
    first, *_, last = [parse_qs(asked.content.decode()) for asked in harness.services.asked]
    assert "device_token" not in first
    assert last["device_token"] == ["1.abc"]


async def test_seats_do_not_know_of_each_other(browser: Browser) -> None:
    """Signing in at one seat does not sign in at another."""
    await browser.sign_in("seller", seat="b")
    answer = await browser.show("account")
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/web/s/a/sign-in?back=")


@pytest.mark.parametrize(
    ("said", "headers", "client"),
    [
        ("app", {}, "app"),
        ("web", {"Sec-CH-UA-Mobile": "?1"}, "web"),
        ("", {"Sec-CH-UA-Mobile": "?1"}, "app"),
        ("", {"User-Agent": "Mozilla/5.0 (iPhone)"}, "app"),
        ("", {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64)"}, "web"),
        ("cs", {}, "web"),
    ],
)
async def test_the_channel_is_that_of_the_screen(
    harness: WebHarness, browser: Browser, said: str, headers: dict[str, str], client: str
) -> None:
    """A phone signs in as the app, everything else as the website; the page knows best, then the browser's word."""
    harness.services.say("POST /accounts/token", **harness.token_answer())
    await browser.submit("s/a/sign-in", headers, **SIGN_IN, client=said)
    (asked,) = harness.services.asked
    assert parse_qs(asked.content.decode())["client_id"] == [client]


async def test_ready_accounts_are_for_demonstrations(harness: WebHarness) -> None:
    """Outside of demonstration mode the one-click sign-in does not exist."""
    async with WebHarness(harness.keys, harness.services, demonstration=False).browser() as browser:
        assert (await browser.submit("s/a/enter/buyer")).status_code == 404
        assert "enter/buyer" not in (await browser.show("sign-in")).text
    assert harness.services.asked == []


def with_refresh_once(harness: WebHarness) -> None:
    """Has accounts renew each token once, and end the session when one comes again."""
    used: list[str] = []

    def renew(request: httpx.Request) -> httpx.Response:
        token = parse_qs(request.content.decode())["refresh_token"][0]
        if token in used:
            return httpx.Response(400, json={"code": "invalid_grant", "detail": "reuse"})
        used.append(token)
        return httpx.Response(200, json=harness.token_answer(refresh=f"s.{len(used)}"))

    harness.services.answers["POST /accounts/token"] = renew
    harness.services.say("GET /accounts/me", name="Siti", email="a@example.com")
    harness.services.say("GET /refunds/wallet", credit_balance=0)
    harness.services.say("GET /orders", items=[])


async def test_requests_at_once_renew_a_session_once(harness: WebHarness) -> None:
    """Requests that come together with a token that has run out are all answered, and accounts is asked once, also
    when they reach two replicas."""
    with_refresh_once(harness)
    harness.services.slow = 0.05
    shared = WebHarness(harness.keys, harness.services, redis_url=f"memory://web-{token_hex(4)}")
    async with shared.browser() as one, shared.browser() as other:
        calls = [browser.show("account", Cookie="refresh=app.s.first") for browser in (one, other) for _ in range(5)]
        answers = await asyncio.gather(*calls)
        late = await other.show("account", Cookie="refresh=app.s.first")
    assert [answer.status_code for answer in (*answers, late)] == [200] * 11
    assert [asked.url.path for asked in harness.services.asked].count("/accounts/token") == 1
    assert {crumbs(answer)["refresh"].value for answer in answers} == {"app.s.1"}


@pytest.mark.servers
async def test_a_lost_answer_of_redis_renews_a_session(
    harness: WebHarness, servers: LocalServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replica whose first question to Redis has to be repeated does not wait for itself."""
    with_refresh_once(harness)
    upstream = Upstream.read(Environment({}), httpx.MockTransport(harness.services.answer))
    async with connect(servers.redis.url("web")) as redis, asyncio.timeout(5):
        lose_an_answer(monkeypatch, b"web:refresh:")
        assert (await Refreshing(upstream, redis).renew(f"s.{token_hex(8)}", "app"))["refresh_token"] == "s.1"


async def test_a_session_that_is_over_asks_to_sign_in(browser: Browser, services: Services) -> None:
    """A refresh token that accounts does not take any more is forgotten, and what was wanted comes after signing in."""
    services.say("POST /accounts/token", 400, code="invalid_grant", detail="over")
    answer = await browser.show("orders?status=packed", Cookie="refresh=app.s.old")
    assert_signed_out(answer)
    assert answer.headers["location"].endswith("?back=%2Fweb%2Fs%2Fa%2Forders%3Fstatus%3Dpacked")


async def test_sessions_survive_an_outage_of_accounts(harness: WebHarness, browser: Browser) -> None:
    """While accounts does not answer the page shows it, and keeps the cookies."""
    harness.services.say("POST /accounts/token", 503, code="sessions_unavailable", detail="away")
    answer = await browser.show("account", Cookie="refresh=app.s.old")
    assert answer.status_code == 503
    assert "refresh" not in crumbs(answer)
    with_refresh_once(harness)
    assert (await browser.show("account", Cookie="refresh=app.s.old")).status_code == 200


@pytest.mark.parametrize("status", [200, 401, 503])
async def test_signing_out_ends_the_session(browser: Browser, services: Services, status: int) -> None:
    """Signing out deletes the cookies, and has accounts end the session; the cookies go also if accounts fails."""
    services.say("POST /accounts/logout", status, code="sessions_unavailable", detail="away")
    await browser.sign_in()
    assert_signed_out(await browser.submit("s/a/sign-out"))
    assert services.asked[-1].url.path == "/accounts/logout"


@pytest.mark.parametrize("replica", ["same", "other"])
async def test_copies_of_cookies_are_worthless_after_signing_out(harness: WebHarness, replica: str) -> None:
    """Copies of the cookies are worth nothing once their person has signed out: neither an access token, nor a
    refresh token that was used just before, for which the answer is still kept."""
    with_refresh_once(harness)
    harness.services.answers["POST /accounts/logout"] = lambda _: httpx.Response(204)
    shared = WebHarness(harness.keys, harness.services, redis_url=f"memory://{token_hex(4)}")
    async with shared.browser() as one, shared.browser() as other:
        page = await one.show("account", Cookie="refresh=app.s.first")
        stolen = f"access={crumbs(page)['access'].value}; refresh=app.s.first"
        assert (await other.show("account", Cookie=stolen)).status_code == 200
        await one.submit("s/a/sign-out")
        if replica == "other":  # which learns of it from accounts, through Redis
            who = jwt.decode(crumbs(page)["access"].value, options={"verify_signature": False})
            async with connect(shared.redis_url) as redis, redis.pipeline() as pipeline:
                revoke(pipeline, UUID(who["sub"]), [who["sid"]])
                await pipeline.execute()
        browser = one if replica == "same" else other
        browser.cookies.clear()
        for cookies in [stolen] * (replica == "same") + ["refresh=app.s.first"]:
            assert_signed_out(await browser.show("account", Cookie=cookies))


async def test_a_token_that_a_service_does_not_take_is_renewed(harness: WebHarness, browser: Browser) -> None:
    """A service that knows before this page that a session is over has its person sign in again; if it is not over,
    the page goes on with a new token."""
    with_refresh_once(harness)
    for request in ("POST /chat/tickets", "GET /accounts/me"):
        harness.services.say(request, 401, code="unauthenticated", detail="over")
    await browser.sign_in()
    headers = {"Content-Type": "application/json", "Accept": "*/*", "Origin": ORIGIN}
    script = await browser.post("/web/s/a/api/chat/tickets", content="{}", headers=headers)
    assert (script.status_code, crumbs(script)["access"]["max-age"]) == (401, "0")
    page = await browser.show("account", Cookie=f"access={harness.token()}")
    assert page.headers["location"] == "/web/s/a/sign-in?back=%2Fweb%2Fs%2Fa%2Faccount"
    with_refresh_once(harness)
    again = await browser.get(page.headers["location"], headers={"Cookie": "refresh=app.s.first"})
    assert again.headers["location"] == "/web/s/a/account"


NO_TOKENS = ["x", ".", "app", "app.", ".s.first", "web.%00", "app.\xe9\xff", 'app."\\000\\012"', "cs.s.first"]


@pytest.mark.parametrize("cookie", [*NO_TOKENS, "app." + "x" * 5000], ids=lambda cookie: ascii(cookie)[:20])
async def test_a_cookie_that_holds_no_token_is_forgotten(harness: WebHarness, cookie: str) -> None:
    """A browser with anything but tokens in its cookies is asked to sign in, and loses the cookies."""

    def refuse(request: httpx.Request) -> httpx.Response:
        form = parse_qs(request.content.decode())
        code = "invalid_grant" if form.get("client_id") in (["app"], ["web"]) else "invalid_client"
        return httpx.Response(400, json={"code": code, "detail": "no"})

    harness.services.answers["POST /accounts/token"] = refuse
    harness.services.say("POST /accounts", 422, code="weak_password", detail="no")
    redis_url = f"memory://{token_hex(4)}"
    at_redis = WebHarness(harness.keys, harness.services, redis_url=redis_url)
    async with at_redis.browser() as browser, connect(redis_url) as redis:
        cookies = f"access={cookie}; refresh={cookie}".encode("latin-1")
        headers = {b"Cookie": cookies, b"Origin": ORIGIN.encode(), b"Accept": b"text/html"}
        assert_signed_out(await browser.get("/web/s/a/account", headers=headers))
        form = {"form": await browser.form_token(), "email": "a@example.com", "password": "x", "name": "A"}
        headers[b"Cookie"] += f"; form={form['form']}".encode()
        assert (await browser.post("/web/s/a/register", data=form, headers=headers)).status_code == 400
        assert [key for key in await redis.keys("web:refresh:*") if await redis.ttl(key) > 2] == []


@pytest.mark.parametrize(
    ("status", "code", "says"),
    [
        (204, "", "The password is changed"),
        (422, "weak_password", "too easy to guess"),
        (403, "wrong_password", "The current password is wrong"),
        (429, "rate_limited", "Too many tries"),
    ],
)
async def test_a_password_is_changed_in_the_profile(
    harness: WebHarness, browser: Browser, status: int, code: str, says: str
) -> None:
    """The profile sends both passwords to accounts, shows the result, and keeps the session."""
    with_refresh_once(harness)
    said = {"current_password": "rahasia-sekali", "new_password": "kucing oranye di atap"}
    await browser.sign_in()
    browser.cookies.set("lang", "en", path="/web")
    assert 'action="/web/s/a/password"' in (await browser.show("account")).text
    harness.services.say("POST /accounts/password", status, code=code, detail="no")
    answer = await browser.submit("s/a/password", **said)
    assert harness.services.bodies("POST /accounts/password") == [said]
    assert (answer.status_code, answer.headers["location"]) == (303, "/web/s/a/account")
    page = await browser.show("account")
    assert page.status_code == 200
    assert says in page.text


@pytest.mark.parametrize("status", [204, 503])
async def test_signing_out_everywhere(harness: WebHarness, browser: Browser, status: int) -> None:
    """All sessions end, this one at once; if accounts is away the page does not claim that they have ended."""
    with_refresh_once(harness)
    harness.services.say("POST /accounts/logout-all", status, code="sessions_unavailable", detail="away")
    access = crumbs(await browser.sign_in())["access"].value
    answer = await browser.submit("s/a/sign-out-everywhere")
    again = await browser.show("account", Cookie=f"access={access}")
    if status == 503:
        assert (answer.status_code, again.status_code) == (503, 200)
    else:
        assert answer.headers["location"] == "/web/s/a/sign-in"
        assert_signed_out(answer)
        assert again.headers["location"].startswith("/web/s/a/sign-in")
