"""The texts of the lessons, each in Indonesian and English, and the code that they show."""

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from services.web.formats import Language

FOLDER = Path(__file__).parent
TREE = FOLDER.parents[2]
"""Where `services` and `runtime` lie; in a source tree also `lab`."""
NAMES = ("outbox", "inbox", "saga", "deadlines", "unknown", "poison", "order", "backoff")
"""In the order in which they build on each other."""

Words = tuple[str, str]
"""Markdown, in Indonesian and English."""
Line = dict[str, Any]
"""What happened in a run: `step` and `fields`; at its end `verdict`."""


class _Text(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Question(_Text):
    """A question with its choices; `right` counts them from 1, `answer` explains."""

    question: Words
    choices: Annotated[list[Words], Field(min_length=3, max_length=4)]
    right: Annotated[int, Field(ge=1, le=4)]
    answer: Words


class Lesson(_Text):
    """The texts of one lesson, by its steps."""

    title: Words
    lead: Words
    minutes: int
    predict: Question
    do: Words
    see: Words
    remove: Words
    removed: Words
    """Why that happened."""
    read: Words
    ask: Question

    def said(self, language: Language) -> dict[str, Any]:
        """The same in one language."""
        said: dict[str, Any] = _chosen(self.model_dump(), 0 if language == "id" else 1)
        return said


def _chosen(value: Any, index: int) -> Any:
    match value:
        case tuple():
            return value[index]
        case dict():
            return {key: _chosen(one, index) for key, one in value.items()}
        case list():
            return [_chosen(one, index) for one in value]
    return value


@dataclass(frozen=True)
class Code:
    """A function or class as it is in the source; `line` is the number of its first line."""

    file: str
    name: str
    text: str
    line: int

    @property
    def lines(self) -> list[tuple[int, str]]:
        """Its lines with their numbers, without what all are indented by."""
        return list(enumerate(dedent(self.text).splitlines(), self.line))

    @property
    def last(self) -> int:
        """The number of its last line."""
        return self.line + self.text.count("\n")


@dataclass(frozen=True)
class Recorded:
    """Both runs of a lesson, as `python -m lab.lessons record` keeps them; what the removal changes, and where."""

    kept: list[Line]
    removed: list[Line]
    diff: str
    code: Code


LESSONS = {name: Lesson.model_validate(tomllib.loads((FOLDER / f"{name}.toml").read_text("utf-8"))) for name in NAMES}
RECORDED = {
    name: Recorded(one["kept"], one["removed"], one["diff"], Code(**one["code"]))
    for name, one in json.loads((FOLDER / "recorded.json").read_text("utf-8")).items()
}
