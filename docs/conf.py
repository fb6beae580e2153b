"""The docs as a site, by Sphinx: `make docs`. The pages are the Markdown files as they are.

The table "Where to read on" of docs/README.md is the navigation. Code that a page links to becomes a page, too, at its
own path: so links that lead out of docs/ work without a network. A broken link, or a page that the table lacks, is an
error.
"""

import re
from collections.abc import Iterator
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import TextLexer, get_lexer_for_filename
from pygments.util import ClassNotFound
from sphinx import addnodes
from sphinx.application import Sphinx

ROOT = Path(__file__).parent.parent

project = "Batalkan"
extensions = ["myst_parser"]
root_doc = "docs/README"
include_patterns = ["*.md", "docs/**.md"]
exclude_patterns = [path.name for path in ROOT.iterdir() if path.is_dir() and path.name != "docs"]
myst_heading_anchors = 4
html_theme = "furo"
html_title = "Batalkan"
html_favicon = "../services/web/static/icon.svg"
html_static_path = html_css_files = ["site.css"]
html_show_copyright = html_show_sphinx = False
html_copy_source = False
html_theme_options = {
    f"{scheme}_css_variables": {f"color-brand-{part}": colour for part in ("primary", "content", "visited")}
    for scheme, colour in {"light": "#3f37c9", "dark": "#aaa5ff"}.items()
}


def add_navigation(_: Sphinx, page: str, source: list[str]) -> None:
    """Adds what only the site needs: tables of contents, out of the start page's table and out of folders."""
    if page == root_doc:
        for need, cells in re.findall(r"^\| \*\*(.+?)\*\* \|(.+)$", source[0], re.MULTILINE):
            links = re.findall(r"\[([^]]+)\]\(([^)#]+\.md)\)", cells)
            entries = [f"{title[0].upper()}{title[1:]} <{target}>" for title, target in links]
            source[0] += contents(f":caption: {need}", *entries)
    elif page.startswith("docs/") and page.endswith("/README"):
        source[0] += contents(":glob:", "*")


def contents(option: str, *pages: str) -> str:
    """A table of contents in MyST's Markdown, shown in the navigation only."""
    return "\n".join(["", "```{toctree}", ":hidden:", option, "", *pages, "```", ""])


def link_to_code(linked: set[Path], app: Sphinx, page: nodes.document) -> None:
    """Leads the links to files and folders that are no pages to those that `code_pages` makes."""
    here = (ROOT / app.env.docname).parent
    for link in list(page.findall(addnodes.download_reference)) + list(page.findall(addnodes.pending_xref)):
        target = (here / link["reftarget"]).resolve()
        if not link["refdomain"] and target.exists():
            linked.add(target)
            uri = link["reftarget"].rstrip("/") + ".html"
            link.replace_self(nodes.reference("", "", *link.children, refuri=uri, internal=True))


def code_pages(linked: set[Path], _: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Yields name, context and template of a page for each linked file, and for each folder with what is in it."""
    start = f"{root_doc}.html"
    yield "index", {"title": project, "metatags": f'<meta http-equiv="refresh" content="0; url={start}">'}, "page.html"
    waiting, done = sorted(linked), set[Path]()
    while waiting:
        path = waiting.pop()
        if path not in done:
            done.add(path)
            name = path.relative_to(ROOT).as_posix()
            if path.is_dir():
                inside = sorted(one for one in path.iterdir() if is_readable(one))
                waiting += inside
                body = f"<ul>{''.join(entry(path, one) for one in inside)}</ul>"
            else:
                body = coloured(path)
            yield name, {"title": name, "body": f"<h1>{breakable(escape(name))}</h1>{body}"}, "page.html"


def is_readable(path: Path) -> bool:
    """Whether it is a folder of sources or a file of text."""
    if path.name.startswith((".", "__pycache__")):
        return False
    return path.is_dir() or b"\0" not in path.read_bytes()


def entry(folder: Path, path: Path) -> str:
    name = escape(path.name)
    return f'<li><a href="{folder.name}/{name}.html">{name}{"/" * path.is_dir()}</a></li>'


def coloured(path: Path) -> str:
    """The file's text in HTML."""
    try:
        lexer = get_lexer_for_filename(path.name)
    except ClassNotFound:
        lexer = TextLexer()
    return highlight(path.read_text(), lexer, HtmlFormatter())


def breakable(name: str) -> str:
    """A path or another long name in HTML: a narrow line may end behind one of its parts, not within a word."""
    return re.sub(r"(?<=[\w}\]][/.,:=_])(?=[^\W\d]|[{/])", "<wbr>", name)


def serve_phones(_: Sphinx, _name: str, _template: str, context: dict[str, Any], *_rest: object) -> None:
    """Lets names that are longer than a phone is wide break behind their parts; Sphinx keeps all on one line."""
    long = r'(?<=<span class="pre">)[^<]{28,}(?=</span>)'
    context["body"] = re.sub(long, lambda name: breakable(name[0]), str(context.get("body", "")))


def serve_keyboards(_: Sphinx, _name: str, _template: str, context: dict[str, Any], *_rest: object) -> None:
    """Makes what scrolls reachable by keyboard, and gives the headings of the navigation their level."""
    body = str(context.get("body", ""))
    context["body"] = body.replace("<p><img", '<p tabindex="0"><img').replace("<pre>", '<pre tabindex="0">')
    tree = str(context["furo_navigation_tree"])
    context["furo_navigation_tree"] = tree.replace('role="heading"', 'role="heading" aria-level="2"')


def setup(app: Sphinx) -> None:
    linked = set[Path]()
    app.connect("source-read", add_navigation)
    app.connect("doctree-read", partial(link_to_code, linked), priority=400)  # before Sphinx copies them as downloads
    app.connect("html-collect-pages", partial(code_pages, linked))
    app.connect("html-page-context", serve_phones)
    app.connect("html-page-context", serve_keyboards, priority=900)  # after Furo's own
