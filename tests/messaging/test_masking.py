"""Masking: an operator sees no personal data of a message, whatever is wrong with it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contracts import EVENTS
from runtime.messaging.masking import MASK, masked, masked_error

KNOWN = {event.wire_name: event for event in EVENTS}
GOLDEN = Path(__file__).parent.parent / "contracts/golden"
FREE = {"name", "title", "note", "reason", "detail", "question", "phone"}
"""The fields that are masked in any event. A new field of free text is entered here; no other is masked."""
SITI = "Siti, Jl. Melati 5, 081234567890"


def message(kind: str) -> dict[str, Any]:
    """The golden message of this event."""
    found: dict[str, Any] = json.loads((GOLDEN / f"{kind}.json").read_text())
    return found


def leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """The fields of a message that are not objects, in their order."""
    if isinstance(value, dict):
        for key, one in value.items():
            yield from leaves(one, key)
    elif isinstance(value, list):
        for one in value:
            yield from leaves(one, name)
    else:
        yield name, value


@pytest.mark.parametrize("kind", KNOWN)
def test_free_text_is_masked_and_the_rest_is_shown(kind: str) -> None:
    """Of every event: ids, times, numbers and words of enumerations are shown as they are."""
    before = message(kind)
    shown = list(leaves(masked(json.dumps(before).encode(), KNOWN)))
    assert shown == [(name, MASK if name in FREE and value else value) for name, value in leaves(before)]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("order_id", SITI), ("order_id", {"x": SITI}), ("total", SITI), ("total", "081234567890"), ("total", [SITI]),
        ("placed_at", SITI), ("placed_at", "081234567890"), ("placed_at", 81234567890), ("payment_method", SITI),
        ("lines", SITI), ("lines", [SITI]), ("lines", [{"product_id": SITI, SITI: 1}]), (SITI, 1), ("address", SITI),
    ],
)  # fmt: skip
def test_a_value_of_another_type_is_masked(field: str, value: Any) -> None:
    """What is in a field that it does not fit, or in a field that there is not, may be anything; so may its name."""
    bad = message("OrderPlaced")
    bad["data"][field] = value
    for body in (bad, {**bad, field: value}, {**bad, "type": "Unheard"}, {**bad, "type": SITI}, {"type": SITI}):
        text = json.dumps(masked(json.dumps(body).encode(), KNOWN), ensure_ascii=False)
        assert "Siti" not in text
        assert "81234567890" not in text


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b'"Siti"', b"\xff", b"Siti"])
def test_what_is_no_object_is_not_shown(body: bytes) -> None:
    """Nothing is known of its fields."""
    assert masked(body, KNOWN) is None


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        ("not a valid OrderPaid: data.amount: Field required", "not a valid OrderPaid: data.amount: Field required"),
        ("failed 5 times, last with ValueError('Siti')", "failed # times, last with ValueError(•••)"),
        ('failed with KeyError("Siti\'s")', "failed with KeyError(•••)"),
        ("failed with ValueError('Siti, Jl. Me", "failed with ValueError("),
        ("of 0193d5a0-1111-7abc-8000-00000000000a at 17", "of ••• at #"),
    ],
)
def test_an_error_keeps_its_kind(error: str, shown: str) -> None:
    """Quoted parts, ids and numbers are left out, also of a text that was cut off: so errors of one kind are equal."""
    assert masked_error(error) == shown
