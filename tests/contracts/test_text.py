"""Text of users: what every service refuses, and what counts as invisible."""

import unicodedata
from typing import Annotated

import pytest
from fastapi import FastAPI
from pydantic import BaseModel, StringConstraints, TypeAdapter, ValidationError

import services.accounts.main
import services.chat.main
import services.cs.main
import services.orders.main
from runtime.http.text import MAX_MARKS, BlankIsNone, Printable, Visible, is_blank
from services.accounts.registration import Registration
from services.chat.api import Cancel as CancelInChat
from services.chat.api import NewMessage
from services.cs.api import Ask, Words
from services.orders.api import Cancel as CancelOrder
from services.orders.selling import NewProduct

TEXT: TypeAdapter[str] = TypeAdapter(Annotated[str, StringConstraints(strip_whitespace=True, min_length=1), Visible])
OPTIONAL: TypeAdapter[str | None] = TypeAdapter(Annotated[Annotated[str, Printable] | None, BlankIsNone])

BLANK = {
    **{f"{kind} U+{code:04X}": chr(code) for kind, codes in {
        "space": (0x20, 0xA0, 0x1680, 0x2003, 0x2007, 0x202F, 0x205F, 0x3000, 0x2028, 0x2029),
        "format": (0xAD, 0x61C, 0x180E, 0x200B, 0x200C, 0x200D, 0x200E, 0x2060, 0x2063, 0x2066, 0x202E, 0xFEFF, 0xFFF9),
        "filler": (0x115F, 0x1160, 0x3164, 0xFFA0, 0x2800, 0xFFFC, 0x1D159, 0x13441),
        "mark": (0x300, 0x34F, 0x17B4, 0x180B, 0x20DD, 0x0903, 0xFE00, 0xFE0F, 0xE0100, 0x16FE4),
        "tag": (0xE0001, 0xE0041, 0xE007F),
        "private": (0xE000, 0xF8FF, 0xF0000, 0x10FFFD),
        "unassigned": (0x378, 0xFFFE, 0xE0080, 0x2065, 0x10FFFF),
    }.items() for code in codes},
    "a joiner and a space": "\u200d \u200d",
    "line breaks": "\r\n\t\n",
    "all of them": "\u200b\u2800\u3164\ufe0f\u0300\U000e0041\u00a0",
}  # fmt: skip
SEEN = {
    "a letter": "y", "a digit": "5", "punctuation": "…", "an emoji": "👍", "one with a selector": "❤\ufe0f",
    "a family": "👨\u200d👩\u200d👧",
    "a flag of tags": "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "a keycap": "1\ufe0f\u20e3", "a newer emoji": "\U0001faea", "Arabic": "شكرا", "Persian": "می\u200cخواهم",
    "Hindi": "नमस्ते", "Thai": "ที่นี่", "Tibetan": "བཀྲ་ཤིས", "Hangul": "한글", "jamo": "ㅋㅋ", "Braille": "⠓⠊",
    "directions inside": "a\u202eb", "decomposed": unicodedata.normalize("NFD", "Việt"), "pointed": "בְּרֵאשִׁ֖ית",
}  # fmt: skip


@pytest.mark.parametrize("text", BLANK.values(), ids=BLANK)
def test_what_nothing_can_be_seen_of_is_no_text(text: str) -> None:
    """It is refused where text is needed, and counts as left out where it is not."""
    assert is_blank(text)
    with pytest.raises(ValidationError):
        TEXT.validate_python(text)
    assert OPTIONAL.validate_python(text) is None


@pytest.mark.parametrize("text", SEEN.values(), ids=SEEN)
def test_what_can_be_seen_is_taken_as_it_is(text: str) -> None:
    """Joiners, selectors, marks and directions are accepted."""
    assert TEXT.validate_python(f" {text}\u200b ") == f"{text}\u200b"
    assert OPTIONAL.validate_python(text) == text


@pytest.mark.parametrize("character", ["\0", "\x08", "\x0b", "\x1b", "\x7f", "\x85", "\x9b", "\ud800"])
def test_control_characters_are_refused_everywhere(character: str) -> None:
    """C0 but tab and line break, DEL, C1, and halves of surrogate pairs, however much else can be seen."""
    for adapter in (TEXT, OPTIONAL):
        with pytest.raises(ValidationError):
            adapter.validate_python(f"a{character}b")


def test_line_breaks_of_forms_are_line_breaks() -> None:
    """Browsers send CR LF."""
    assert TEXT.validate_python("a\r\nb\rc") == "a\nb\nc"


@pytest.mark.parametrize("between", ["", "\u200d", "\u034f"])
def test_marks_do_not_pile_up(between: str) -> None:
    """A few combining marks on one character are a script, dozens cover the lines around."""
    max_marks = MAX_MARKS if between != "\u034f" else MAX_MARKS // 2
    assert TEXT.validate_python("e" + f"\u0301{between}" * max_marks)
    with pytest.raises(ValidationError, match="marks"):
        TEXT.validate_python("e" + f"\u0301{between}" * (max_marks + 1))


@pytest.mark.parametrize(
    ("model", "field", "known"),
    [
        (NewMessage, "text", {}),
        (Words, "text", {}),
        (NewProduct, "title", {"price": 1, "stock": 1}),
        (Registration, "name", {"email": "siti@example.com", "password": "correct horse battery", "role": "buyer"}),
    ],
    ids=["message", "case", "title", "name"],
)
@pytest.mark.parametrize("blank", ["\u200d", "\u2800", "\u3164", "\u0301", " \u200c "])
def test_every_text_that_is_needed_must_be_seen(
    model: type[BaseModel], field: str, known: dict[str, object], blank: str
) -> None:
    """Messages, what a case is about, titles and names."""
    model.model_validate({**known, field: "Siti"})
    with pytest.raises(ValidationError):
        model.model_validate({**known, field: blank})


@pytest.mark.parametrize(
    ("model", "field"),
    [(CancelInChat, "reason"), (CancelOrder, "note"), (Ask, "question")],
    ids=["chat", "order", "cs"],
)
@pytest.mark.parametrize("blank", ["", "  ", "\u200b", "\u2800\u3164"])
def test_every_text_that_may_be_left_out_is_left_out_when_blank(model: type[BaseModel], field: str, blank: str) -> None:
    """Reasons, notes, and the question to a seller."""
    assert getattr(model.model_validate({field: blank}), field) is None
    assert getattr(model.model_validate({field: "Maaf"}), field) == "Maaf"


@pytest.mark.parametrize("service", [services.accounts, services.orders, services.chat, services.cs])
def test_the_rule_is_in_the_document(service: object) -> None:
    """The answer tells the client what is refused."""
    app = FastAPI()
    app.include_router(service.main.SPEC.router)  # type: ignore[attr-defined]
    assert "combining marks" in str(app.openapi())
