"""Removes a pattern from the code of this process, and shows the code and the change."""

import ast
import sys
from collections.abc import Sequence
from difflib import unified_diff
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from types import CodeType
from typing import Any

from lab.faults.mutations import TREE, Mutation, mutated
from lab.lessons.catalogue import Lesson


class _Loader(SourceFileLoader):
    def __init__(self, name: str, mutation: Mutation) -> None:
        super().__init__(name, str(TREE / mutation.file))
        self._mutation = mutation

    def get_code(self, fullname: str) -> CodeType:
        source = mutated(self._mutation, (TREE / self._mutation.file).read_text())
        return compile(source, self.path, "exec", dont_inherit=True)


class _Finder(MetaPathFinder):
    def __init__(self, mutations: Sequence[Mutation]) -> None:
        self._mutations = {one.file.removesuffix(".py").replace("/", "."): one for one in mutations}

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        if (mutation := self._mutations.get(fullname)) is None:
            return None
        return spec_from_file_location(fullname, TREE / mutation.file, loader=_Loader(fullname, mutation))


def remove(lesson: Lesson) -> None:
    """Has the modules of this process load without the pattern, before their first import. Raises `DoesNotApply` at
    the import."""
    sys.meta_path.insert(0, _Finder(lesson.mutations))


def diff(lesson: Lesson) -> str:
    """What the removal changes, as a unified diff. Raises `DoesNotApply`."""
    lines: list[str] = []
    for mutation in lesson.mutations:
        before = (TREE / mutation.file).read_text()
        after, name = mutated(mutation, before).splitlines(), mutation.file
        lines += unified_diff(before.splitlines(), after, f"a/{name}", f"b/{name}", n=1, lineterm="")
    lines += [f"+{statement};  -- in the database of {service}" for service, statement in lesson.schema]
    return "\n".join(lines)


def code(lesson: Lesson) -> dict[str, str | int]:
    """The code to read: `file`, `name`, `text`, and the number of its first `line`. Raises `StopIteration` without
    it."""
    file, name = lesson.reads
    source = (TREE / file).read_text()
    node: Any = ast.parse(source)
    for part in name.split("."):
        node = next(one for one in node.body if getattr(one, "name", None) == part)
    first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
    return {
        "file": file,
        "name": name,
        "line": first,
        "text": "\n".join(source.splitlines()[first - 1 : node.end_lineno]),
    }
