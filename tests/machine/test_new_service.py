"""`batalkan new service` in a copy of the source tree."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from batalkan.new_service import CannotAdd, add_service

ROOT = Path(__file__).parents[2]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the source tree, without what is hidden or generated."""
    ignored = shutil.ignore_patterns(".?*", "__pycache__", "images", "node_modules")
    return Path(shutil.copytree(ROOT, tmp_path / "tree", ignore=ignored))


def run(tree: Path, program: str, *arguments: str) -> None:
    """Runs a program of the environment on the tree; it must end with exit code 0."""
    command, env = [str(Path(sys.executable).parent / program), *arguments], {**os.environ, "PYTHONPATH": str(tree)}
    done = subprocess.run(command, cwd=tree, env=env, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.processes
@pytest.mark.timeout(400)
def test_a_new_service_passes_every_check_at_once(tree: Path) -> None:
    """Style, types, imports and lists of the new service are right, its test passes, and it runs embedded."""
    run(tree, "python", "-m", "batalkan", "new", "service", "notes")  # `batalkan` itself is that of ROOT.
    run(tree, "ruff", "check", "--quiet", "services", "tests/notes")
    run(tree, "ruff", "format", "--check", "services", "tests/notes")
    run(tree, "mypy", "-p", "services.notes", "-p", "tests.notes")
    run(tree, "lint-imports", "--no-cache")
    lists = ("tests/test_services.py", "tests/test_docs_tables.py", "tests/contracts/test_routes.py")
    run(tree, "pytest", "-q", "tests/notes", *lists)


@pytest.mark.parametrize("name", ["orders", "redis", "flows", "networks", "class", "Notes", "n", "no-tes"])
def test_a_name_that_cannot_be_a_service_is_refused(name: str) -> None:
    """A taken or unfit name is refused, and nothing is written."""
    with pytest.raises(CannotAdd, match=name):
        add_service(name, ROOT)


def test_a_list_that_has_changed_is_named(tree: Path) -> None:
    """If a list of services has another form, the command names its file and writes nothing."""
    (tree / "Dockerfile").write_text("FROM scratch\n")
    with pytest.raises(CannotAdd, match="Dockerfile"):
        add_service("notes", tree)
    assert not (tree / "services" / "notes").exists()
