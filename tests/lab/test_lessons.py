"""The lessons: each promise holds with its pattern, and breaks without it."""

import asyncio
import json
import os
import sys
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from lab.faults.mutations import TREE
from lab.lessons import cli, removal, stage
from lab.lessons.catalogue import LESSONS, LINES, NAMES, Lesson
from lab.lessons.cli import RECORDED, WORDS, as_promised
from lab.lessons.plays import perform

Lines = list[dict[str, Any]]
pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
async def prepared() -> None:
    """Databases that each run copies."""
    await stage.prepared()


async def with_its_pattern(one: Lesson) -> Lines:
    """The lines of a run in this process."""
    lines: Lines = []
    await perform(one, removed=False, tell=lines.append)
    return lines


async def without_it(one: Lesson) -> Lines:
    """The lines of a run in a process of its own, whose code lacks the pattern."""
    return [line async for line in cli.run(one.name, removed=True)]


@pytest.mark.parametrize("one", LESSONS, ids=NAMES)
async def test_promise_needs_its_pattern(one: Lesson, prepared: None) -> None:
    """A lesson's promise is kept, and without its pattern the invariants report the sentence that it names."""
    runs = await asyncio.gather(with_its_pattern(one), without_it(one))
    for removed, lines in enumerate(runs):
        assert as_promised(one, lines[-1]["verdict"], removed=bool(removed)), lines
        assert all(line["step"] in WORDS for line in lines[:-1])


@pytest.mark.parametrize("one", LESSONS, ids=NAMES)
def test_recorded_run_is_of_this_code(one: Lesson) -> None:
    """The record of a lesson has today's code and removal, both short enough to read, and two runs that ended as
    promised; `make lesson NAME=record` writes it."""
    recorded = json.loads(RECORDED.read_text())
    assert tuple(recorded) == NAMES
    record = recorded[one.name]
    assert (record["code"], record["diff"]) == (removal.code(one), removal.diff(one))
    assert max(len(text.splitlines()) for text in (record["code"]["text"], record["diff"])) <= LINES
    for mode in ("kept", "removed"):
        assert as_promised(one, record[mode][-1]["verdict"], removed=mode == "removed")


async def test_run_ends_on_sigterm(prepared: None) -> None:
    """A run that is ended stops its PostgreSQL and deletes its folder."""
    command = [sys.executable, "-m", "lab.lessons", "unknown", "--json"]
    with TemporaryDirectory() as folder:  # pytest's own are closed to PostgreSQL's user by each start of pytest
        env, pipe = {**os.environ, "TMPDIR": folder}, asyncio.subprocess.PIPE
        child = await asyncio.create_subprocess_exec(*command, cwd=TREE, env=env, stdout=pipe, stderr=pipe)
        assert child.stdout is not None
        assert json.loads(await child.stdout.readline())["step"] == "ordered"
        assert os.listdir(folder)
        child.terminate()
        assert await child.wait() == 128 + 15
        assert os.listdir(folder) == []
