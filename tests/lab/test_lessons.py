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
from tests.harness.system import gathered

Lines = list[dict[str, Any]]
AT_ONCE = 3
"""Runs that share the machine: they wait more than they work."""
pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
async def prepared() -> None:
    """Databases that each run copies."""
    await stage.prepared()


async def without_it(one: Lesson) -> Lines:
    """The lines of a run in a process of its own, whose code lacks the pattern."""
    return [line async for line in cli.run(one.name, removed=True)]


def check(one: Lesson, lines: Lines, *, removed: bool) -> None:
    """The run ended as promised, and the terminal has words for each of its steps."""
    assert as_promised(one, lines[-1]["verdict"], removed=removed), (one.name, lines)
    assert all(line["step"] in WORDS for line in lines[:-1])


@pytest.mark.parametrize("one", LESSONS, ids=NAMES)
async def test_a_promise_is_kept(one: Lesson, prepared: None) -> None:
    """With its pattern a lesson's promise is kept."""
    lines: Lines = []
    await perform(one, removed=False, tell=lines.append)
    check(one, lines, removed=False)


async def test_a_promise_needs_its_pattern(prepared: None) -> None:
    """Without its pattern a promise is broken: the invariants report the sentence that the lesson names."""
    for one, lines in zip(LESSONS, await gathered([without_it(one) for one in LESSONS], AT_ONCE), strict=True):
        check(one, lines, removed=True)


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
