"""The templates: all values are escaped, and all names must exist."""

from collections.abc import Callable
from functools import cache, partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from contracts.words import rupiah
from services.web.formats import (
    Language,
    breakable,
    clock,
    countdown,
    day,
    moment,
    number,
    percent,
    seconds_since,
    seconds_until,
    short,
    span,
    when,
)
from services.web.speech import closed, isolated, said, told
from services.web.words import knows, pattern, some, word

FOLDER = Path(__file__).parent
STATIC = FOLDER / "static"

FORMATS: list[Callable[..., str]] = [moment, day, when, clock, number, percent, span]
"""Functions of templates that also take the language."""
DRAWINGS = {
    **dict.fromkeys(("kemeja", "batik", "kaus", "baju", "shirt"), "shirt"),
    **dict.fromkeys(("sepatu", "sandal", "shoe"), "shoe"),
    **dict.fromkeys(("blender", "mixer"), "blender"),
    **dict.fromkeys(("headset", "earphone", "headphone"), "headset"),
    **dict.fromkeys(("kopi", "teh", "coffee", "tea "), "coffee"),
    **dict.fromkeys(("tas", "ransel", "bag"), "bag"),
}
"""The drawing for a word in a product's title."""


def version() -> str:
    """A digest of the static files: browsers cache them until it changes."""
    digest = sha256()
    for path in sorted(STATIC.rglob("*")):
        if path.is_file():
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:12]


@cache
def environment(static: str) -> jinja2.Environment:
    """The template environment, with its compiled templates; `static` is the address of the static files."""
    env = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    env.globals |= {"static": static, "drawing": drawing}
    env.filters |= {"rupiah": rupiah, "short": short, "until": seconds_until, "since": seconds_since}
    env.filters |= {"countdown": countdown, "breakable": breakable}
    env.filters |= {"isolated": isolated, "isolated_text": isolated_text, "initial": initial}
    return env


def isolated_text(text: str) -> str:
    """As `isolated`, where there cannot be elements: in a page's title, in an option."""
    return f"\N{FIRST STRONG ISOLATE}{closed(text)}\N{POP DIRECTIONAL ISOLATE}"


def initial(name: str) -> str:
    """The initial of a name."""
    return next((one for one in name if one.isalnum()), "?").upper()


def drawing(title: str) -> str:
    """The name of a product's drawing."""
    words = title.lower()
    return next((name for word, name in DRAWINGS.items() if word in words), "box")


def _filled(language: Language, key: str, **facts: object) -> str | Markup:
    """The words with their facts, which are escaped unless they are markup."""
    words = pattern(language, key)
    return Markup.escape(words).format(**facts) if facts else words


def bound(language: Language) -> dict[str, Any]:
    """The functions of templates for one language."""
    return {
        "lang": language,
        "t": partial(_filled, language),
        "knows": knows,
        "word": partial(word, language),
        "words": partial(some, language),
        "said": partial(said, language),
        "told": partial(told, language),
        **{write.__name__: partial(write, language=language) for write in FORMATS},
    }
