"""`batalkan new service` in a copy of the source tree."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from batalkan.new_service import CannotAdd, add_service
from services.web.lessons.own import OWN

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
    """Style, types, imports and lists of the new service are right, its test passes, and it runs embedded; also with
    the handler that the last page of the lessons adds, by its commands."""
    assert OWN["new"] == ".venv/bin/batalkan new service thanks"
    run(tree, "python", "-m", "batalkan", "new", "service", "thanks")  # `batalkan` itself is that of ROOT.
    check_style(tree)
    for step in ("listen", "handle"):
        subprocess.run(OWN[step], shell=True, cwd=tree, check=True)  # noqa: S602 - our own commands
    run(tree, "ruff", "format", "--quiet", "contracts")
    run(tree, "python", "-m", "tests.contracts.shapes")
    check_style(tree)
    run(tree, "mypy", "-p", "services.thanks", "-p", "tests.thanks")
    run(tree, "lint-imports", "--no-cache")
    lists = ("tests/test_services.py", "tests/test_docs_tables.py", "tests/contracts/test_routes.py")
    run(tree, "pytest", "-q", "tests/thanks", *lists)


def check_style(tree: Path) -> None:
    """The files of the service, and the contracts, pass the style."""
    run(tree, "ruff", "check", "--quiet", "services", "contracts", "tests/thanks")
    run(tree, "ruff", "format", "--check", "services", "contracts", "tests/thanks")


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
