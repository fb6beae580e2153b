"""How far a learner is: kept in a cookie, since it is worth no account."""

import re
from collections.abc import Mapping

from services.web.lessons.texts import NAMES

PREDICTED, DONE, REMOVED, ANSWERED = MARKS = "pdra"
"""The marks of the steps that leave one. Behind `p` and `a` stands the choice, from 1."""

Marks = dict[str, str]
_MARK = re.compile("[pa][1-4]|[dr]")


def read(cookie: str) -> dict[str, Marks]:
    """The marks of each lesson; what is not understood is left out."""
    entries = [entry.split("-") for entry in cookie.split(".")]
    return {
        name: {mark[0]: mark[1:] for mark in marks if _MARK.fullmatch(mark)}
        for name, *marks in entries
        if name in NAMES
    }


def written(progress: Mapping[str, Marks]) -> str:
    """The cookie."""
    return ".".join(
        "-".join([name, *(f"{mark}{value}" for mark, value in marks.items())]) for name, marks in progress.items()
    )
