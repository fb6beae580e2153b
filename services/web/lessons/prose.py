"""Longer texts: Markdown, of which only our own files make use. HTML in it stays text."""

from collections.abc import Sequence
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from services.web.formats import breakable


def _code(_self: Any, tokens: Sequence[Token], number: int, *_: Any) -> str:
    return f"<code>{breakable(tokens[number].content)}</code>"


_MARKDOWN = MarkdownIt("commonmark", {"html": False})
_MARKDOWN.add_render_rule("code_inline", _code)


def prose(text: str) -> Markup:
    """Paragraphs, lists and code."""
    return Markup(_MARKDOWN.render(text))  # noqa: S704 - it escapes what is not Markdown


def phrase(text: str) -> Markup:
    """The same within one line: no paragraph around it."""
    return Markup(_MARKDOWN.renderInline(text))  # noqa: S704 - as above
