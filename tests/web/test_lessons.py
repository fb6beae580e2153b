"""The lessons: their texts, who may start what, progress, and runs without the pattern."""

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from runtime.settings import Environment
from services.web.lessons import removal as module
from services.web.lessons.progress import read, written
from services.web.lessons.removal import Removal
from services.web.lessons.stage import SCENES, Scene, Stage
from services.web.lessons.texts import FOLDER, LESSONS, NAMES, RECORDED
from services.web.upstream import Upstream
from services.web.words import knows
from tests.harness.web import Browser, Services, WebHarness


async def lines_of(removal: Removal, name: str = "inbox") -> list[dict[str, Any]]:
    """All lines of a run."""
    return [line async for line in removal.lines(name)]


@pytest.fixture
def laboratory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts this program into the place of the laboratory."""
    folder = tmp_path / "lab" / "lessons"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    monkeypatch.setattr(module, "TREE", tmp_path)

    def be(program: str) -> None:
        (folder / "__main__.py").write_text(program)

    return be


def test_each_lesson_is_there_in_both_languages() -> None:
    """Each has its texts, its choices with the right one, and both recorded runs."""
    assert {path.stem for path in FOLDER.glob("*.toml")} == set(NAMES) == set(RECORDED) == set(SCENES)
    for lesson in LESSONS.values():
        for asked in (lesson.predict, lesson.ask):
            assert asked.right <= len(asked.choices)
        indonesian, english = lesson.said("id"), lesson.said("en")
        for step in ("title", "lead", "do", "see", "remove", "removed", "read"):
            assert indonesian[step].strip() != english[step].strip(), step
            assert indonesian[step].count("`") == english[step].count("`"), step
            assert indonesian[step].count("\n- ") == english[step].count("\n- "), step


def test_every_step_of_a_run_has_words() -> None:
    """What a run tells, and the figures of its verdict, are words of the pages."""
    for one in RECORDED.values():
        for *steps, last in (one.kept, one.removed):
            assert all(knows(f"run.{line['step']}") for line in steps)
            assert all(knows(f"figure.{figure}") for figure in last["verdict"]["figures"])


async def test_outside_of_demonstration_mode_there_are_no_lessons(harness: WebHarness) -> None:
    """Neither the pages nor what they start is found."""
    async with WebHarness(harness.keys, demonstration=False).browser() as browser:
        for path in ("lessons", "lessons/own", "lessons/inbox"):
            assert (await browser.get(f"/web/{path}")).status_code == 404
        assert (await browser.submit("lessons/inbox/do")).status_code == 404
        assert "/web/lessons" not in (await browser.get("/web/")).text


async def test_only_our_forms_start_things(browser: Browser, services: Services) -> None:
    """A form of another site starts nothing, and a lesson that there is not is not found."""
    for path in ("choice", "do", "removed"):
        refused = await browser.post(f"/web/lessons/inbox/{path}", headers={"Origin": "http://evil.example"})
        assert refused.status_code == 403
        assert (await browser.submit(f"lessons/nothing/{path}")).status_code == 404
    assert services.asked == []
    assert (await browser.get("/web/lessons/nothing")).status_code == 404
    assert (await browser.get("/web/lessons/own")).status_code == 200


async def test_a_prediction_is_kept_and_its_answer_comes_later(browser: Browser) -> None:
    """The choice survives a reload, and opens the next step; what is right is not in the page before it has happened.
    A choice that there is not is not kept."""
    path = "/web/lessons/outbox"
    await browser.submit("lessons/outbox/choice", step="predict", choice="9")
    assert 'id="do"' not in (await browser.get(path)).text
    await browser.submit("lessons/outbox/choice", step="predict", choice="1")
    page = (await browser.get(path)).text
    assert 'value="1" required checked' in page
    assert 'id="do"' in page
    assert LESSONS["outbox"].predict.answer[0].strip()[:40] not in page
    assert "1 dari 4 langkah" in (await browser.get("/web/lessons")).text


async def test_an_answer_is_checked_at_once(browser: Browser) -> None:
    """At the end of a lesson the answer is explained, whether it is right or wrong."""
    browser.cookies.set("lessons", "outbox-p1-d-r", path="/web/lessons")
    for choice, tone in (("1", "warn"), (str(LESSONS["outbox"].ask.right), "good")):
        await browser.submit("lessons/outbox/choice", step="ask", choice=choice)
        assert f'notice {tone}" role="status" data-answer="ask"' in (await browser.get("/web/lessons/outbox")).text


@pytest.mark.parametrize("cookie", ["", ".", "outbox", "outbox-p9-x.nothing-d", "-" * 3000, "saga-d-p2-p3"])
def test_a_cookie_of_any_kind_is_progress(cookie: str) -> None:
    """What is not understood is left out, and what is written is read again."""
    progress = read(cookie)
    assert read(written(progress)) == progress
    assert all(set(marks) <= set("pdra") for marks in progress.values())


async def test_a_service_that_is_away_is_said(browser: Browser, services: Services) -> None:
    """If the thing cannot be started, the page says why, and the step is not done."""
    browser.cookies.set("lessons", "poison-p1", path="/web/lessons")
    services.say("POST /accounts", 503)
    answer = await browser.submit("lessons/poison/do")
    assert answer.headers["location"] == "/web/lessons/poison#do"
    page = (await browser.get("/web/lessons/poison")).text
    assert "tidak menjawab" in page
    assert 'id="see"' not in page


async def test_a_fault_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a lesson breaks is broken while its order is cancelled, and mended afterwards."""
    sent: list[tuple[str, Any]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append((request.url.path, json.loads(request.content or "null")))
        return httpx.Response(200, json={})

    async def prepare(*, dana: bool) -> str:
        return "credit"

    async def cancel(count: int, *, dana: bool) -> list[str]:
        sent.append(("cancelled", dana))
        return ["order"]

    monkeypatch.setitem(SCENES, "unknown", Scene({"refunds": {"consuming": False}}, weather="down", dana=True))
    people: Any = SimpleNamespace(prepare=prepare, cancel=cancel)
    stage = Stage(Upstream.read(Environment({}), httpx.MockTransport(answer)), people, lambda hours: asyncio.sleep(0))
    assert await stage.play("unknown") == "order"
    while stage.mending:
        await asyncio.sleep(0)
    switches, dana = "/refunds/demonstration/switches", "/refunds/demonstration/dana"
    assert sent == [
        (switches, {"consuming": False}), (dana, {"weather": "down"}), ("cancelled", True),
        (switches, {}), (dana, {"weather": "well"}),
    ]  # fmt: skip


async def test_without_the_laboratory_the_recorded_run_is_shown(browser: Browser) -> None:
    """The page has both runs, with the sentences of the invariants, and says that they are recorded."""
    browser.app.state.lessons.removal.live = False
    for name in NAMES:
        page = (await browser.submit(f"lessons/{name}/removed")).text
        assert page.count("data-verdict") == 2
        assert page.endswith("</html>")
        assert "Rekaman." in page
    assert (await browser.get("/web/lessons/inbox/removed")).headers["location"] == "/web/lessons/inbox#remove"


@pytest.mark.processes
async def test_the_laboratory_is_a_child_that_ends(laboratory: Callable[[str], None], tmp_path: Path) -> None:
    """Its lines are passed on as they come, without settings of this service; the child ends with the browser's
    interest, and the second run at a time is the recorded one."""
    laboratory(
        "import json, os, sys, time\n"
        "print(json.dumps({'step': 'argv', 'fields': {'argv': sys.argv[1:], 'pid': os.getpid()}}), flush=True)\n"
        "print(json.dumps({'step': 'env', 'fields': {'url': os.environ.get('DATABASE_URL')}}), flush=True)\n"
        "time.sleep(600)\n"
    )
    removal = Removal(live=True)
    lines = removal.lines("inbox")
    first, second = await anext(lines), await anext(lines)
    assert first["fields"]["argv"] == ["inbox", "--removed", "--json"]
    assert second["fields"] == {"url": None}
    assert await lines_of(removal) == [{"recorded": True}, *RECORDED["inbox"].removed]
    await lines.aclose()
    await removal.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(first["fields"]["pid"], 0)


@pytest.mark.processes
@pytest.mark.parametrize("program", ["raise SystemExit(1)", "print('{')", "import time; time.sleep(600)"])
async def test_a_laboratory_that_fails_is_replaced(
    laboratory: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    """Without a verdict, with a broken line or beyond its time, a run is followed by the recorded one."""
    monkeypatch.setattr(module, "LIMIT", 1.0)
    laboratory(program)
    removal = Removal(live=True)
    assert await lines_of(removal) == [{"recorded": True}, *RECORDED["inbox"].removed]
    await removal.stop()
