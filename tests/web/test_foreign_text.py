"""Text of users is isolated: characters that turn its direction do not reach the page's own words beside it."""

from html.parser import HTMLParser

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.web.speech import closed
from services.web.templating import FOLDER
from tests.harness.web import WebHarness
from tests.web.market import GONE, ID, enter, open_market

FOREIGN = "\u2069\u202e\u2067FØREIGN<script>alert(1)</script>'\"&"
"""Closes what is open around it, turns what comes behind it, and would run."""
KEPT = {("input", "value"), ("button", "data-quick")}
"""Attributes that are shown in a box of their own, or not at all."""
PAGES = {
    "buyer": f"products/{ID} orders orders/{ID} orders/{GONE} orders/{ID}/cancel wallet chat chat/{ID} "
    f"chat/{ID}/messages help help/{ID} help/{ID}/messages account notifications nowhere",
    "seller": f"orders/{ID} chat chat/{ID} chat/{ID}/messages products vouchers score notifications "
    f"webhooks webhooks/{ID}",
    "agent": f"cases/{ID} cases/{ID}/messages history account",
}
OURS_ALONE = {"wallet", "help", "score", "nowhere"}
"""Pages without text of users."""
ELSEWHERE = {"flow.html", "flow_part.html", "flow_trace.html", "docs.html", "docs_events.html", "docs_service.html"}
ELSEWHERE |= {"docs_parts.html", *(path.name for path in (FOLDER / "templates").glob("operate*.html"))}
ELSEWHERE |= {path.name for path in (FOLDER / "templates").glob("lesson*.html")}
"""Templates of what services say of themselves, of the lessons, and of the console: tests/web/test_operate.py."""


def is_isolated(text: str, depth: int) -> bool:
    """Whether what turns directions stays inside, and foreign text is isolated; `depth` 1 is inside of `bdi`."""
    least = depth
    for one in text:
        depth -= one == "\u2069"
        if depth < least or (one in "\u202eØ" and not depth):
            return False
        depth += one in "\u2066\u2067\u2068"
    return depth == least


class Reader(HTMLParser):
    """Finds foreign text that is not isolated."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found = 0
        self.bare: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        for name, value in attrs:
            if "FØREIGN" in (value or "") and (tag, name) not in KEPT:
                self.bare.append(f"{tag} {name}={value!r}")

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:
            continue

    def handle_data(self, data: str) -> None:
        if "FØREIGN" not in data:
            return
        self.found += 1
        if not is_isolated(data, 1 if "bdi" in self.open else 0):
            self.bare.append(f"{' > '.join(self.open[-3:])}: {data.strip()!r}")


@pytest.fixture
def rendered(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The templates that were used."""
    names: set[str] = set()
    get = jinja2.Environment.get_template

    def noted(env: jinja2.Environment, name: str, *more: object) -> jinja2.Template:
        names.add(name)
        return get(env, name, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(jinja2.Environment, "get_template", noted)
    return names


@given(st.text(alphabet="ab \n\u202e\u2066\u2067\u2068\u2069", max_size=12))
def test_isolates_end_where_they_began(text: str) -> None:
    """In each line nothing is closed that was not opened, and nothing stays open; nothing else changes."""
    for line in closed(text).split("\n"):
        assert is_isolated(line, 1)
    without = str.maketrans("", "", "\u2069")
    assert closed(text).translate(without) == text.translate(without)
    assert closed(closed(text)) == closed(text)


async def test_foreign_text_is_isolated_on_every_page(harness: WebHarness, rendered: set[str]) -> None:
    """Titles, names, messages, notes, reasons and questions are in elements of their own, or between isolates, on every
    page of every role, in parts that scripts fetch, in titles of pages and in options; and none runs as a script."""
    bare = []
    open_market(harness, FOREIGN)
    for role, paths in PAGES.items():
        async with harness.browser() as browser:
            await enter(harness, browser, role)
            for path in ("", *paths.split()):
                page = await browser.show(path)
                assert page.status_code == (404 if path == "nowhere" else 200), page.text
                assert "<script>alert" not in page.text, path
                reader = Reader()
                reader.feed(page.text)
                assert bool(reader.found) is not (path in OURS_ALONE), path
                bare += [f"{role} {path}: {one}" for one in reader.bare]
            await browser.get("/web/two")
    async with harness.browser() as browser:
        for path in ("sign-in", "register"):
            await browser.show(path)
    assert bare == []
    assert {path.name for path in (FOLDER / "templates").iterdir()} - rendered == ELSEWHERE
