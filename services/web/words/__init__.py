"""The words of the pages, in Indonesian and English: a file for each area, `key = [Indonesian, English]`."""

import tomllib
from collections.abc import Mapping
from pathlib import Path

from services.web.formats import Language

Table = Mapping[str, tuple[str, str]]

AREAS = Path(__file__).parent.glob("*.toml")
TABLES: tuple[Table, ...] = tuple(tomllib.loads(area.read_text("utf-8")) for area in AREAS)
WORDS: Table = {key: words for table in TABLES for key, words in table.items()}


def pattern(language: Language, key: str) -> str:
    """The words under a key, with places for facts; raises `KeyError` for an unknown key."""
    return WORDS[key][0 if language == "id" else 1]


def say(language: Language, key: str, **facts: object) -> str:
    """The words under a key, with facts put in; raises `KeyError` for an unknown key or a missing fact."""
    return pattern(language, key).format(**facts)


def knows(key: str) -> bool:
    """Whether there are words under the key."""
    return key in WORDS


def word(language: Language, kind: str, value: str) -> str:
    """What a value of an enumeration is called, `kind` being the enumeration; the value itself where there are no words
    for it: a service may know more values than these pages."""
    return pattern(language, f"{kind}.{value}") if knows(f"{kind}.{value}") else value


def some(language: Language, prefix: str) -> dict[str, str]:
    """All words whose keys begin with `prefix.`, for a script, which puts the facts in; without the prefix."""
    return {key.removeprefix(f"{prefix}."): pattern(language, key) for key in WORDS if key.startswith(f"{prefix}.")}
