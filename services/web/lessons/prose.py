"""Longer texts: Markdown, of which only our own files make use. HTML in it stays text."""

from markdown_it import MarkdownIt
from markupsafe import Markup

_MARKDOWN = MarkdownIt("commonmark", {"html": False})


def prose(text: str) -> Markup:
    """Paragraphs, lists and code."""
    return Markup(_MARKDOWN.render(text))  # noqa: S704 - it escapes what is not Markdown


def phrase(text: str) -> Markup:
    """The same within one line: no paragraph around it."""
    return Markup(_MARKDOWN.renderInline(text))  # noqa: S704 - as above
