"""Forms: only our own pages may post."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.harness.web import ORIGIN, WebHarness, form_token

FORM = b"application/x-www-form-urlencoded"
FOREIGN = [
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Origin": "https://localhost.evil.example"},
    {"Sec-Fetch-Site": "cross-site", "Origin": ORIGIN},
    {"Sec-Fetch-Site": "same-site"},
    {},
]


@pytest.mark.parametrize("headers", FOREIGN)
@pytest.mark.parametrize("path", ["/web/s/a/sign-in", "/web/s/a/enter/buyer", "/web/s/a/register", "/web/choices"])
async def test_another_sites_form_is_refused(harness: WebHarness, path: str, headers: dict[str, str]) -> None:
    """A form that no page of ours sent does nothing, even if it carries the right token."""
    async with harness.browser() as browser:
        token = await form_token(browser)
        answer = await browser.post(path, data={"form": token, "lang": "en"}, headers=headers)
    assert answer.status_code == 403
    assert harness.services.asked == []
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("key", ["é", "\n", "\x00", "a b", "k" * 300, "\U0001f600"])
async def test_a_form_with_a_strange_key_is_refused(harness: WebHarness, key: str) -> None:
    """The key of a form becomes a header, and what cannot stand in one is no fault of ours."""
    harness.services.say("POST /orders/products", 201)
    async with harness.browser() as browser:
        await harness.sign_in(browser, role="seller")
        form = {"form": await form_token(browser), "key": key, "title": "Kopi", "price": "1000", "stock": "1"}
        answer = await browser.post("/web/s/a/products", data=form, headers={"Origin": ORIGIN})
        assert 400 <= answer.status_code < 500


async def test_a_form_in_a_strange_character_set_is_refused(harness: WebHarness) -> None:
    """A character set by which text can be named that cannot be written out again makes no error of ours."""
    async with harness.browser() as browser:
        token = await form_token(browser)
        said = {"form": token, "email": "\\ud800", "name": "\\udfff", "password": "x", "role": "buyer"}
        parts = "".join(f'--x\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n' for n, v in said.items())
        kind = "multipart/form-data; boundary=x; charset=unicode_escape"
        headers = {"Origin": ORIGIN, "Content-Type": kind}
        answer = await browser.post("/web/s/a/register", content=f"{parts}--x--\r\n", headers=headers)
    assert 400 <= answer.status_code < 500


async def test_a_form_that_breaks_off_is_no_fault_of_ours(
    harness: WebHarness, caplog: pytest.LogCaptureFixture
) -> None:
    """A client that disconnects in the middle of a form causes no error in the log."""
    async with harness.browser() as browser:
        transport: Any = browser._transport
        sent: list[dict[str, Any]] = [
            {"type": "http.request", "body": b"form=", "more_body": True},
            {"type": "http.disconnect"},
        ]
        headers = [(b"host", b"localhost"), (b"origin", b"http://localhost"), (b"content-type", FORM)]
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/web/choices",
            "raw_path": b"/web/choices",
            "headers": headers,
        }
        more = {
            "query_string": b"",
            "scheme": "http",
            "client": ("127.0.0.1", 1),
            "root_path": "",
            "http_version": "1.1",
        }
        statuses: list[int] = []

        async def receive() -> dict[str, Any]:
            return sent.pop(0)

        async def send(message: dict[str, Any]) -> None:
            statuses.append(message.get("status", 0))

        await transport.app({**scope, **more}, receive, send)
    assert statuses[0] < 500
    assert not caplog.records


@pytest.mark.parametrize("token", ["", "guessed", "ü"])
async def test_a_form_carries_what_its_page_gave_it(harness: WebHarness, token: str) -> None:
    """Without the token of a page of ours, the origin alone does not suffice."""
    async with harness.browser() as browser:
        await form_token(browser)
        answer = await browser.post("/web/choices", data={"form": token}, headers={"Origin": ORIGIN})
    assert answer.status_code == 403


async def test_a_forms_token_is_given_once(harness: WebHarness) -> None:
    """A visit through a link from another site keeps the form token of open pages; frames share one."""
    async with harness.browser() as browser:
        (made,) = (await browser.get("/web/two")).headers.get_list("set-cookie")
        assert made.startswith("form=")
        assert "SameSite=Lax" in made
        for seat in "ab":
            assert "set-cookie" not in (await browser.get(f"/web/s/{seat}/sign-in")).headers


async def test_after_a_form_without_a_session_there_is_a_page_to_go_on_with(harness: WebHarness) -> None:
    """The session ended before the form was sent: signing in leads to the first page, which there is."""
    harness.services.say("GET /orders/products", items=[])
    async with harness.browser() as browser:
        form = {"form": await form_token(browser)}
        answer = await browser.post("/web/s/a/buy", data=form, headers={"Origin": ORIGIN})
        assert answer.status_code == 303
        back = parse_qs(urlsplit(answer.headers["location"]).query)["back"][0]
        await harness.sign_in(browser)
        assert (await browser.get(back)).status_code == 200


async def test_a_form_of_ours_is_taken(harness: WebHarness) -> None:
    """The language that is chosen is kept, and the browser goes back to where it was."""
    async with harness.browser() as browser:
        form = {"form": await form_token(browser), "lang": "en", "back": "/web/s/a/register"}
        answer = await browser.post("/web/choices", data=form, headers={"Origin": ORIGIN})
        assert (answer.status_code, answer.headers["location"]) == (303, "/web/s/a/register")
        assert 'lang="en"' in (await browser.get("/web/")).text


@pytest.mark.parametrize(
    "back",
    [
        "//evil.example",
        "http://evil.example/",
        "/orders",
        "/\\evil.example",
        "/\t/evil.example",
        "/%09/evil.example",
        *(
            f"/web/{evil}"
            for evil in ("\\evil", "/evil.example", "\t/evil.example", "%09/evil.example", "\x00", "\x7f")
        ),
        *(f"/web/{evil}" for evil in ("../x", "..", "./x", "%2e%2e/x", "..%2fx", "%2f%2fx", "%5cx", "a/..//x", " x")),
        *(
            f"/web/{evil}"
            for evil in ("\u2028", "\u202e", "é", "@evil.example", "x#//y", "x?a=\t", "x?a=é", "a" * 3000)
        ),
    ],
)
async def test_redirects_stay_on_the_site(harness: WebHarness, back: str) -> None:
    """A form's redirect target is followed only to our own pages."""
    async with harness.browser() as browser:
        form = {"form": await form_token(browser), "back": back}
        answer = await browser.post("/web/choices", data=form, headers={"Origin": ORIGIN})
    assert answer.headers["location"] == "/web/"


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("orders/products", {}, 404),
        ("chat/tickets/../threads", {}, 404),
        ("chat/tickets", {"Content-Type": "text/plain"}, 415),
        ("chat/tickets", {"Origin": "http://evil.example"}, 403),
        ("chat/tickets", {"Origin": ""}, 403),
        ("chat/tickets", {}, 201),
    ],
)
async def test_scripts_may_ask_for_little(harness: WebHarness, path: str, headers: dict[str, str], status: int) -> None:
    """What is passed on is a short list, from our own origin, in a form that no other site's form can take."""
    harness.services.say("POST /chat/tickets", 201, ticket="t")
    async with harness.browser() as browser:
        await harness.sign_in(browser)
        harness.services.asked.clear()
        ours = {"Origin": ORIGIN, "Content-Type": "application/json"} | headers
        answer = await browser.post(f"/web/s/a/api/{path}", content=b"{}", headers=ours)
    assert answer.status_code == status
    assert len(harness.services.asked) == (1 if status == 201 else 0)


async def test_who_is_not_signed_in_gets_nothing_passed_on(harness: WebHarness) -> None:
    """Without a session the answer is 401, on which a script loads the page again."""
    headers = {"Origin": ORIGIN, "Content-Type": "application/json", "Accept": "*/*"}
    async with harness.browser() as browser:
        answer: httpx.Response = await browser.post("/web/s/a/api/chat/tickets", content=b"{}", headers=headers)
    assert answer.status_code == 401
