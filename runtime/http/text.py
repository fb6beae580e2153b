"""Rules for text that people enter, the same in every service."""

import unicodedata
from typing import Any

from pydantic import AfterValidator, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core.core_schema import (
    CoreSchema,
    no_info_after_validator_function,
    no_info_before_validator_function,
)

MAX_MARKS = 10
"""Combining marks on one character: more than any script needs, too few to cover the lines around."""

_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0\ufffc\U00013441\U00013442\U0001d159")
"""Letters and symbols that show nothing: fillers of Hangul and hieroglyphs, Braille without dots, the object
replacement character, a note without a head."""
_NEWER = range(0x1F000, 0x1FB00)
"""The range of new symbols in Unicode; they are visible, also if this version of Python does not know them."""


def is_blank(text: str) -> bool:
    """Whether the text shows nothing: no letter, digit, punctuation or symbol.

    Spaces, line breaks, control and format characters (joiners, directions, tags, soft hyphens), variation selectors,
    combining marks without a base, fillers, and private or unassigned characters show nothing by themselves.
    """
    return not any(map(_is_seen, text))


def _is_seen(character: str) -> bool:
    category = unicodedata.category(character)
    return (category[0] in "LNPS" and character not in _BLANK) or (category == "Cn" and ord(character) in _NEWER)


def _check_printable(text: str) -> str:
    if any(unicodedata.category(character) in ("Cc", "Cs") and character not in "\n\t" for character in text):
        raise ValueError("must not contain control characters")
    marks = 0
    for character in text:
        category = unicodedata.category(character)
        marks = marks + 1 if category in ("Mn", "Me") else marks if category == "Cf" else 0
        if marks > MAX_MARKS:
            raise ValueError(f"must not have more than {MAX_MARKS} marks on one character")
    return text


def _check_visible(text: str) -> str:
    if is_blank(text):
        raise ValueError("must contain something visible")
    return _check_printable(text)


def _one_line_break(text: Any) -> Any:
    return text.replace("\r\n", "\n").replace("\r", "\n") if isinstance(text, str) else text


class _Rule:
    def __init__(self, check: Any, description: str) -> None:
        self._check = check
        self._description = description

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return no_info_before_validator_function(
            _one_line_break, no_info_after_validator_function(self._check, handler(source))
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        pattern = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$"
        return {"description": self._description, **handler(schema), "pattern": pattern}


_PRINTABLE = f"no control characters but tabs and line breaks, at most {MAX_MARKS} combining marks on one character"

Printable = _Rule(_check_printable, _PRINTABLE)
"""Refuses control characters (C0 but tab and line break, DEL, C1), lone surrogates, and stacks of combining marks."""

Visible = _Rule(_check_visible, f"something that can be seen; {_PRINTABLE}")
"""As `Printable`, and refuses text that `is_blank`."""

BlankIsNone = AfterValidator(lambda text: None if text is None or is_blank(text) else text)
"""For optional text: turns text that `is_blank` into None."""
