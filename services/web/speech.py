"""System messages of a conversation, in the reader's language: from their code and facts, not from their text."""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from contracts.words import rupiah
from services.web.formats import Language, moment, short
from services.web.words import knows, pattern, say

_OPENING, _CLOSING = "\u2066\u2067\u2068", "\u2069"
"""The characters that isolate directions, as `<bdi>` does; one that closes too much would end the element's."""


def closed(text: str) -> str:
    """The text, line by line with as many closing isolates as opening ones, in this order."""
    return "\n".join(map(_closed, text.split("\n")))


def _closed(line: str) -> str:
    kept, depth = [], 0
    for one in line:
        depth += (one in _OPENING) - (one == _CLOSING)
        if depth >= 0:
            kept.append(one)
        depth = max(depth, 0)
    return "".join(kept) + _CLOSING * depth


def isolated(text: object) -> Markup:
    """A user's text; its direction characters do not affect the text beside it."""
    return Markup("<bdi>{}</bdi>").format(closed(str(text)))


def said(language: Language, message: Mapping[str, Any], service: str) -> str | Markup:
    """The words of a system message, `service` being `chat` or `cs`; its own text if a code or a fact is not known."""
    code, data = message["code"], message["data"] or {}
    if code == "order_cancelled" and (why := _WHY.get((data.get("channel"), data.get("fault"), service))):
        return say(language, why)
    key = f"said.{code}.{service}" if knows(f"said.{code}.{service}") else f"said.{code}"
    if not knows(key):
        return isolated(message["text"])
    try:
        facts = {name: write(language, data[name]) for name, write in _FACTS.items() if name in data}
        return Markup.escape(pattern(language, key)).format(**{_NAMES.get(name, name): facts[name] for name in facts})
    except KeyError:  # from another version, with missing facts or more words
        return isolated(message["text"])


def told(language: Language, notification: Mapping[str, Any], role: str) -> str | Markup:
    """The words of a notification for a `buyer` or a `seller`; its own text if its kind or a fact is not known."""
    kind, data = notification["kind"], dict(notification.get("data") or {})
    key = f"told.{kind}.{role}" if knows(f"told.{kind}.{role}") else f"told.{kind}"
    by = f"told.by.{data.get('channel')}.{data.get('fault')}"
    try:
        facts = {name: write(language, data[name]) for name, write in {**_FACTS, **_TOLD}.items() if name in data}
        facts = {"title": short(notification["order_id"] or "")} | facts
        facts |= {"channel": say(language, by)} if knows(by) else {}
        return Markup.escape(pattern(language, key)).format(**{_NAMES.get(name, name): facts[name] for name in facts})
    except KeyError:  # from another version
        return isolated(notification["text"])


_TOLD: Mapping[str, Any] = {
    "title": lambda language, title: isolated(title),
    "url": lambda language, url: isolated(url),
    "ship_by": lambda language, at: moment(at, language),
    "lines": lambda language, lines: sum(line["quantity"] for line in lines),
}
_WHY: Mapping[tuple[Any, Any, str], str] = {
    ("cs", "seller", "chat"): "said.order_cancelled.silent",
    ("system", "none", "chat"): "said.order_cancelled.not_paid",
    ("system", "none", "cs"): "said.order_cancelled.not_paid",
    ("system", "seller", "chat"): "said.order_cancelled.not_shipped",
    ("system", "seller", "cs"): "said.order_cancelled.not_shipped",
}
_NAMES = {"channel": "by", "respond_by": "until", "rejection": "why", "code": "why", "order_id": "short"}
_FACTS: Mapping[str, Any] = {
    "amount": lambda language, amount: rupiah(amount),
    "destination": lambda language, destination: say(language, f"destination.{destination}"),
    "respond_by": lambda language, at: moment(at, language),
    "question": lambda language, question: isolated(question),
    "name": lambda language, name: isolated(name) if name else say(language, "role.agent"),
    "channel": lambda language, channel: say(language, f"by.{channel}"),
    "rejection": lambda language, code: say(language, f"why.{code}"),
    "code": lambda language, code: say(language, f"why.{code}"),
    "outcome": lambda language, outcome: say(language, f"outcome.{outcome}"),
    "order_id": lambda language, order_id: short(order_id),
    "lines": lambda language, lines: Markup(", ").join(map(_pieces, lines)),
    "refund_amount": lambda language, amount: say(language, "said.refunded", amount=rupiah(amount)) if amount else "",
}


def _pieces(line: Mapping[str, Any]) -> Markup:
    return Markup("{} × {}").format(line["quantity"], isolated(line["title"] or short(line["product_id"])))
