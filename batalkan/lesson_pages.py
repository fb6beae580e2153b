"""Writes docs/lessons from the texts of the lessons."""

from functools import partial
from pathlib import Path
from typing import Any

from batalkan.catalogue import DOCS
from services.web.lessons.own import OWN
from services.web.lessons.texts import LESSONS, NAMES, RECORDED, Recorded
from services.web.words import say

FOLDER = DOCS / "lessons"
WRITTEN = "Written by `make contracts` from `services/web/lessons/`; do not edit it by hand."

_said = partial(say, "en")


def written() -> dict[Path, str]:
    """The pages, with their text."""
    said: dict[str, Any] = {name: LESSONS[name].said("en") for name in NAMES}
    pages = {FOLDER / f"{name}.md": _page(name, said[name], RECORDED[name]) for name in NAMES}
    return {FOLDER / "README.md": _contents(said)} | pages | {FOLDER / "own.md": _own()}


def _contents(said: dict[str, Any]) -> str:
    rows = [
        f"| {number}. [{one['title']}]({name}.md) | {one['lead']} | {one['minutes']} min |"
        for number, (name, one) in enumerate(said.items(), 1)
    ]
    rows.append(f"| {len(rows) + 1}. [{_said('own.title')}](own.md) | {_said('own.lead')} | 10 min |")
    lead = (
        "Each takes one pattern: predict what happens, do it in the running system, see it, remove the pattern and\n"
        "see what the invariants report about the money, read the code, answer a question. With `make demo` they are\n"
        "at http://127.0.0.1:8080/web/lessons, in Indonesian and English, and each step is a button. Here they are\n"
        "to be read; `make lesson NAME=inbox` runs one in the terminal, with its pattern and without."
    )
    table = "| lesson | | |\n| --- | --- | --- |\n" + "\n".join(rows)
    return f"# Lessons\n\n{WRITTEN}\n\n{lead}\n\n{_said('lesson.basics')}\n\n{table}\n"


def _page(name: str, lesson: dict[str, Any], run: Recorded) -> str:
    code = run.code
    parts = [
        f"# {lesson['title']}",
        WRITTEN,
        lesson["lead"],
        "## Predict",
        _question(lesson["predict"]),
        "## Do it",
        lesson["do"].strip(),
        f"The button is at `/web/lessons/{name}` of a running demonstration.",
        "## See it",
        lesson["see"].strip(),
        "## Remove the pattern",
        lesson["remove"].strip(),
        f"```sh\nmake lesson NAME={name}\n```",
        f"```diff\n{run.diff}\n```",
        "What the invariants report then:",
        "\n".join(f"- {sentence}" for sentence in run.removed[-1]["verdict"]["broken"]),
        lesson["removed"].strip(),
        "## Read the code",
        lesson["read"].strip(),
        f"[{code.file}](../../{code.file}), lines {code.line} to {code.last}:",
        "```python\n" + "\n".join(line for _, line in code.lines) + "\n```",
        "## Answer",
        _question(lesson["ask"]),
        "## The answers",
        f"To *predict*: {_answer(lesson['predict'])}",
        f"To *answer*: {_answer(lesson['ask'])}",
    ]
    return "\n\n".join(parts) + "\n"


def _own() -> str:
    parts = [f"# {_said('own.title')}", WRITTEN, _said("own.lead")]
    for step, commands in OWN.items():
        parts += [f"## {_said(f'own.{step}')}", _said(f"own.{step}.text"), f"```sh\n{commands}\n```"]
    return "\n\n".join([*parts, _said("own.question")]) + "\n"


def _question(asked: dict[str, Any]) -> str:
    choices = "\n".join(f"{number}. {choice}" for number, choice in enumerate(asked["choices"], 1))
    return f"{asked['question']}\n\n{choices}"


def _answer(asked: dict[str, Any]) -> str:
    return f"**{asked['right']}.** {asked['answer'].strip()}"
