"""The documentation holds: the walk-through works as written, and every link leads to an existing target."""

import asyncio
import os
import re
from pathlib import Path

import pytest

from batalkan import single_process
from batalkan.system import System, Where
from tests.conftest import Databases

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def walk_through() -> str:
    """The first block of shell under the heading."""
    _, _, section = (ROOT / "docs/http.md").read_text().partition("\n## With curl\n")
    found = re.search(r"^```sh\n(.+?)^```$", section, re.DOTALL | re.MULTILINE)
    assert found
    return found[1]


async def run(script: str, base: str) -> tuple[list[str], str]:
    """Runs the script in bash; returns the lines of its standard output, and its standard error."""
    bash = await asyncio.create_subprocess_exec(
        "bash",
        "-euo",
        "pipefail",
        "-c",
        script,
        env={"PATH": os.environ["PATH"], "BASE": base, "no_proxy": "*"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, complaints = await bash.communicate()
    return output.decode().splitlines(), complaints.decode()


@pytest.mark.processes
async def test_the_walk_through_works_as_written(embedded_databases: Databases, tmp_path: Path) -> None:
    """The commands of docs/http.md, pasted into a shell, print the whole price as the wallet's balance at the end."""
    listening = single_process.bind("127.0.0.1", 0)
    base = f"http://127.0.0.1:{listening.getsockname()[1]}"
    printed: list[tuple[list[str], str]] = []

    async def walk(_: System) -> bool:
        printed.append(await run(walk_through(), base))
        return False

    async with embedded_databases.of_a_system() as url:
        await single_process.serve_while(Where(tmp_path, url), listening, walk)
    ((lines, complaints),) = printed
    assert not complaints
    assert [line.split()[-1] for line in lines] == ["unpaid", "processing", "cancelled", "Rp290000"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_has_a_target(page: Path) -> None:
    """Every link of a page names an existing file and, with an anchor, an existing heading of it."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", text):
        linked = (page.parent / target).resolve() if target else page
        assert linked.exists(), target
        if anchor:
            assert anchor in headings(linked), f"{target}#{anchor}"


def test_the_start_page_leads_to_every_page() -> None:
    """docs/README.md names every page of the docs, or the README of its folder: it is the navigation of the site."""
    start = ROOT / "docs/README.md"
    linked = {(start.parent / target).resolve() for target in re.findall(r"\]\(([^)#]+)\)", start.read_text())}
    assert [
        page
        for page in PAGES
        if page not in {start, *linked} and (page.parent == ROOT or page.parent / "README.md" not in linked)
    ] == []


def headings(page: Path) -> set[str]:
    """The anchors that a page's headings get."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
