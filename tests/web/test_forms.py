"""Forms: only our own pages may post."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.harness.web import ORIGIN, Browser, Services
from tests.web.market import ID

FOREIGN = [
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Origin": "https://localhost.evil.example"},
    {"Sec-Fetch-Site": "cross-site", "Origin": ORIGIN},
    {"Sec-Fetch-Site": "same-site"},
    {},
]
EVIL_PATHS = [
    *("\\evil", "/evil.example", "\t/evil.example", "%09/evil.example", "\x00", "\x7f", "../x", "..", "./x"),
    *("%2e%2e/x", "..%2fx", "%2f%2fx", "%5cx", "a/..//x", " x", "\u2028", "\u202e", "é", "@evil.example"),
    *("x#//y", "x?a=\t", "x?a=é", "a" * 3000),
]


@pytest.mark.parametrize("headers", FOREIGN)
@pytest.mark.parametrize("path", ["s/a/sign-in", "s/a/enter/buyer", "s/a/register", "choices"])
async def test_another_sites_form_is_refused(
    browser: Browser, services: Services, path: str, headers: dict[str, str]
) -> None:
    """A form that no page of ours sent does nothing, even if it carries the right token."""
    form = {"form": await browser.form_token(), "lang": "en"}
    answer = await browser.post(f"/web/{path}", data=form, headers=headers)
    assert answer.status_code == 403
    assert services.asked == []
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("key", ["é", "\n", "\x00", "a b", "k" * 300, "\U0001f600"])
async def test_a_form_with_a_strange_key_is_refused(browser: Browser, services: Services, key: str) -> None:
    """The key of a form becomes a header, and what cannot stand in one is no fault of ours."""
    services.say("POST /orders/products", 201)
    await browser.sign_in("seller")
    answer = await browser.submit("s/a/products", key=key, title="Kopi", price="1000", stock="1")
    assert 400 <= answer.status_code < 500


@pytest.mark.parametrize(
    ("charset", "status"),
    [
        *((strange, 422) for strange in ("unicode_escape", "raw_unicode_escape", "undefined", "punycode", "utf-7")),
        *((strange, 422) for strange in ("utf-8; charset=undefined", '"utf-8;undefined"', "")),
        *((usual, 303) for usual in ("UTF-8", '"utf-8"', "utf-8 ; x=y")),
    ],
)
async def test_a_form_is_in_the_character_set_of_its_page(browser: Browser, charset: str, status: int) -> None:
    """One by which text can be named that cannot be written out again, or that fails, makes no error of ours."""
    said = {"form": await browser.form_token(), "back": "\\ud800", "lang": "en"}
    if status == 422:
        said["form"] = "\\ud800"
    parts = "".join(f'--x\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n' for n, v in said.items())
    headers = {"Origin": ORIGIN, "Content-Type": f"multipart/form-data; boundary=x; charset={charset}"}
    answer = await browser.post("/web/choices", content=f"{parts}--x--\r\n", headers=headers)
    assert answer.status_code == status


async def test_a_form_that_breaks_off_is_no_fault_of_ours(browser: Browser, caplog: pytest.LogCaptureFixture) -> None:
    """A client that disconnects in the middle of a form causes no error in the log."""
    sent: list[dict[str, Any]] = [
        {"type": "http.request", "body": b"form=", "more_body": True},
        {"type": "http.disconnect"},
    ]
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        return sent.pop(0)

    async def send(message: dict[str, Any]) -> None:
        statuses.append(message.get("status", 0))

    headers = {"origin": ORIGIN, "content-type": "application/x-www-form-urlencoded"}
    await browser.send_raw("POST", "/web/choices", receive, send, **headers)
    assert statuses[0] < 500
    assert not caplog.records


@pytest.mark.parametrize("token", ["", "guessed", "ü"])
async def test_a_form_carries_what_its_page_gave_it(browser: Browser, token: str) -> None:
    """Without the token of a page of ours, the origin alone does not suffice."""
    assert (await browser.submit("choices", form=token)).status_code == 403


async def test_a_forms_token_is_given_once(browser: Browser) -> None:
    """A visit through a link from another site keeps the form token of open pages; frames share one."""
    (made,) = (await browser.get("/web/two")).headers.get_list("set-cookie")
    assert made.startswith("form=")
    assert "SameSite=Lax" in made
    for seat in "ab":
        assert "set-cookie" not in (await browser.get(f"/web/s/{seat}/sign-in")).headers


async def test_after_a_form_without_a_session_there_is_a_page_to_go_on_with(
    browser: Browser, services: Services
) -> None:
    """The session ended before the form was sent: signing in leads to the first page, which there is."""
    services.say("GET /orders/products", items=[])
    answer = await browser.submit(f"s/a/products/{ID}")
    assert answer.status_code == 303
    back = parse_qs(urlsplit(answer.headers["location"]).query)["back"][0]
    await browser.sign_in()
    assert (await browser.get(back)).status_code == 200


async def test_a_form_of_ours_is_taken(browser: Browser) -> None:
    """The language that is chosen is kept, and the browser goes back to where it was."""
    answer = await browser.submit("choices", lang="en", back="/web/s/a/register")
    assert (answer.status_code, answer.headers["location"]) == (303, "/web/s/a/register")
    assert 'lang="en"' in (await browser.get("/web/")).text


@pytest.mark.parametrize(
    "back",
    [
        *("//evil.example", "http://evil.example/", "/orders", "/\\evil.example", "/\t/evil.example"),
        *("/%09/evil.example", *(f"/web/{evil}" for evil in EVIL_PATHS)),
    ],
)
async def test_redirects_stay_on_the_site(browser: Browser, back: str) -> None:
    """A form's redirect target is followed only to our own pages."""
    assert (await browser.submit("choices", back=back)).headers["location"] == "/web/"


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
async def test_scripts_may_ask_for_little(
    browser: Browser, services: Services, path: str, headers: dict[str, str], status: int
) -> None:
    """What is passed on is a short list, from our own origin, in a form that no other site's form can take."""
    services.say("POST /chat/tickets", 201, ticket="t")
    await browser.sign_in()
    services.asked.clear()
    ours = {"Origin": ORIGIN, "Content-Type": "application/json"} | headers
    assert (await browser.post(f"/web/s/a/api/{path}", content=b"{}", headers=ours)).status_code == status
    assert len(services.asked) == (1 if status == 201 else 0)


async def test_without_a_session_nothing_is_passed_on(browser: Browser) -> None:
    """Without a session the answer is 401, on which a script loads the page again."""
    headers = {"Origin": ORIGIN, "Content-Type": "application/json", "Accept": "*/*"}
    assert (await browser.post("/web/s/a/api/chat/tickets", content=b"{}", headers=headers)).status_code == 401
