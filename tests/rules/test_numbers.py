"""Typed numbers are read as they are written, or refused; never cleaned into another number."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from batalkan.cli import app
from contracts.words import rupiah
from runtime.numbers import whole
from services.refunds.domain import phone_number
from services.web.formats import price, thousands

NO_NUMBERS = [
    *("", " ", "145.5", "1.23.456", "1,5", "145,500", "145.500,00", "145 500", "145\N{NO-BREAK SPACE}500", ".500"),
    *("0.500", "007", "1.", "1..000", "1.0000", "1234.567", "+5", "-5", "\N{MINUS SIGN}5", "1e3", "1_000", "0x10"),
    *("٥", "५", "\N{FULLWIDTH DIGIT FIVE}", "²", "½", "5\0", "5\n6", "\u202e5", "9" * 16, "nan", "inf", "many"),
]
DRESSING = [" ", "-", ".", "\t", "(", ")", "\N{NO-BREAK SPACE}", "\u202f", "\u2009", "\u2011", "\u2013", "\u2212"]
INVISIBLE = ["\u200e", "\u200f", "\u202a", "\u202c", "\u202e", "\u2066", "\u2069", "\u200b", "\ufeff", "\xad"]


@pytest.mark.parametrize("typed", NO_NUMBERS)
def test_an_invalid_number_is_refused(typed: str) -> None:
    """Fractions, half a grouping, signs, exponents, digits of other scripts, more digits than any amount of ours."""
    assert whole(typed) is thousands(typed) is price(typed) is None


@given(st.integers(0, 10**15 - 1))
def test_indonesian_notation_is_read(amount: int) -> None:
    """Plain, grouped as the pages group, with `Rp` for a price, and with space around it."""
    assert whole(str(amount)) == amount
    shown = rupiah(amount)
    grouped = shown.removeprefix("Rp")
    assert thousands(f" {grouped}\n") == thousands(str(amount)) == amount
    assert price(shown) == price(grouped) == price(f"rp {amount}") == price(f"Rp\N{NO-BREAK SPACE}{grouped}") == amount
    if amount:
        assert thousands(shown) is price(f"Rp{shown}") is price(f"{grouped} Rp") is price(f"Rp  {grouped}") is None


@given(st.text(alphabet="0123456789., -+Rpe٥", max_size=12))
def test_a_number_that_was_read_is_the_one_that_was_typed(typed: str) -> None:
    """An accepted amount is exactly the number as it is written, grouped or not."""
    number = price(typed)
    if number is not None:
        bare = typed.strip().lower().removeprefix("rp").removeprefix(" ")
        assert bare in (str(number), rupiah(number).removeprefix("Rp"))


NATIONAL = st.from_regex(r"8[1-9][0-9]{7,10}", fullmatch=True)
CODES = ["0", "62", "+62", "0062", "+62 0", "+62 (0)", "62 0", "\N{FULLWIDTH PLUS SIGN}62", "(+62)", "(0)"]


@settings(max_examples=50, deadline=None)
@given(
    NATIONAL, st.sampled_from(CODES), st.lists(st.sampled_from(["", *DRESSING, *INVISIBLE]), min_size=19, max_size=19)
)
def test_a_pasted_phone_number_is_read(national: str, code: str, between: list[str]) -> None:
    """A phone number is read with every separator that a paste adds, and with every way to write the country code."""
    digits = code + national
    typed = "".join(one + mark for one, mark in zip(digits, between[: len(digits)], strict=True))
    for around in ("", " ", "\n", "\u202a", "\ufeff"):
        assert phone_number(around + typed + around) == f"62{national}"


@given(st.text(max_size=30) | st.text(alphabet="0123456789+ -()٠٨１\u202a", max_size=20))
def test_a_phone_number_has_the_digits_that_were_typed(typed: str) -> None:
    """What is read has exactly the typed ASCII digits, in their order, behind the country code or the zero."""
    if number := phone_number(typed):
        digits = "".join(one for one in typed if one in "0123456789")
        assert digits.removeprefix("00").removeprefix("62").removeprefix("0") == number[2:]
        assert phone_number(number) == number


@pytest.mark.parametrize(
    "typed",
    [
        *("", "8123456789", "08023456789", "0812345", "08123456789012", "+1 555 0100", "+63 812 3456 789"),
        *("0+62812345678", "٠٨١٢٣٤٥٦٧٨٩٠", "081٢٣٤٥٦٧٨٩٠", "\N{FULLWIDTH DIGIT ZERO}81234567890", "0812345678 / 0813"),
        *("0812345678, 9", "0812345678 ext 1", "081234\n567890", "081234567890\0", "tel:081234567890"),
        *("++62812345678", "0062 0062 812345678"),
    ],
)
def test_an_invalid_phone_number_is_refused(typed: str) -> None:
    """Other countries, too few digits or too many, digits of other scripts, two numbers, words."""
    assert phone_number(typed) is None


@pytest.mark.parametrize(
    "call",
    [
        *(["demo", "--port", port] for port in ("8_080", "80000", "0", " 8080", "+8080", "٨٠٨٠", "80e2", "")),
        *(["load", "--orders", orders] for orders in ("5_0", "0", "1e3")),
        ["load", "--clients", "1001"],
        *(["clock", "advance", by] for by in ("٢٤h", "2_4h", "1.5h", "+1h", "h", "24", "24 h", "100001s", "1e2s")),
    ],
    ids=" ".join,
)
def test_numbers_on_the_command_line(call: list[str]) -> None:
    """A number or a duration that is not written in plain digits is a wrong call."""
    answer = CliRunner().invoke(app, call)
    assert answer.exit_code == 2
    assert "Traceback" not in answer.output
