"""The errors that end a run."""

from collections.abc import Sequence
from typing import TypeVar

E = TypeVar("E", bound=BaseException)


class InvariantBroken(Exception):
    """An invariant does not hold; one sentence for each violation."""

    def __init__(self, broken: Sequence[str]) -> None:
        super().__init__("\n".join(broken[:20]))
        self.broken = list(broken)


class CannotRun(Exception):
    """This machine lacks a program that the scenario needs; the text says which."""


def found_in(error: BaseException, kind: type[E]) -> E | None:
    """The first error of that kind, also inside of groups."""
    if isinstance(error, kind):
        return error
    if isinstance(error, BaseExceptionGroup):
        return next((one for each in error.exceptions if (one := found_in(each, kind))), None)
    return None
