"""How a run can end other than well."""

from collections.abc import Sequence
from typing import TypeVar

E = TypeVar("E", bound=BaseException)


class InvariantBroken(Exception):
    """What a run is for: the sentences say which promises did not hold."""

    def __init__(self, broken: Sequence[str]) -> None:
        super().__init__("\n".join(broken[:20]))
        self.broken = list(broken)


class CannotRun(Exception):
    """This machine lacks what the scenario needs; the text says what."""


def found_in(error: BaseException, kind: type[E]) -> E | None:
    """The first error of that kind, however deep in groups."""
    if isinstance(error, kind):
        return error
    if isinstance(error, BaseExceptionGroup):
        return next((one for each in error.exceptions if (one := found_in(each, kind))), None)
    return None
