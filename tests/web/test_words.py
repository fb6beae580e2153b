"""The words: complete in both languages, and all of them used and known."""

import inspect
import re
from itertools import chain
from pathlib import Path
from string import Formatter

import pytest

import services.web
from batalkan.keys import Keys
from contracts.cs import Outcome
from contracts.orders import RejectionCode
from contracts.words import Channel, Destination, OrderStatus, PaymentMethod, Role, rupiah
from services import SERVICES
from services.chat.domain import Code
from services.cs import views
from services.cs.domain import State
from services.web.formats import breakable, moment, span
from services.web.lessons.prose import phrase
from services.web.speech import _FACTS, _NAMES, _TOLD, said
from services.web.words import TABLES, WORDS, knows, some
from tests.harness.building import built

SERVICE = Path(services.web.__file__).parent
USED = re.compile(r"""\bt\(\s*['"]([\w.]+)['"]\s*[,)]""")
NOTICE = re.compile(r'"(notice\.\w+)"')
BUILT = re.compile(r"""\bt\(\s*['"]([\w.]+\.)['"]\s*~""")


def texts() -> list[str]:
    """The templates and the modules of the pages."""
    return [path.read_text() for path in chain(SERVICE.rglob("*.html"), SERVICE.glob("pages/*.py"))]


def fields(words: str) -> set[str]:
    """The placeholders of a text."""
    return {name for _, name, _, _ in Formatter().parse(words) if name}


def test_no_key_has_two_meanings() -> None:
    """Each key stands in one table."""
    assert sum(len(table) for table in TABLES) == len(WORDS)


def test_both_languages_say_the_same() -> None:
    """Every text exists in both languages, with the same placeholders."""
    for key, (indonesian, english) in WORDS.items():
        assert indonesian.strip(), key
        assert english.strip(), key
        assert fields(indonesian) == fields(english), key


def test_pages_use_words_that_there_are() -> None:
    """Every key that a page names is known, every notice after an action, and something under every beginning of a key
    that is built."""
    used = {key for text in texts() for pattern in (USED, NOTICE) for key in pattern.findall(text)}
    assert used - WORDS.keys() == set()
    for beginning in {key for text in texts() for key in BUILT.findall(text)}:
        assert any(key.startswith(beginning) for key in WORDS), beginning


@pytest.mark.parametrize(
    ("prefix", "members"),
    [
        ("status", OrderStatus), ("order.step", OrderStatus), ("payment", PaymentMethod), ("destination", Destination),
        ("by", Channel), ("why", RejectionCode), ("outcome", Outcome), ("role", Role), ("case.state", State),
        ("flow.channel", Channel),
    ],
)  # fmt: skip
def test_everything_that_services_name_has_words(prefix: str, members: type) -> None:
    """A status, a channel, an outcome that is added needs words here, too."""
    assert all(knows(f"{prefix}.{member.value}") for member in members)  # type: ignore[attr-defined]


def test_the_control_room_says_what_each_deadline_does(keys: Keys) -> None:
    """A deadline without words would stand above an empty line; words without a deadline are never read."""
    kinds = {f"flow.due.{name}.{kind}" for name in SERVICES for kind in built(name, keys)._deadlines}
    assert {key for key in WORDS if re.fullmatch(r"flow\.due\.\w+\.\w+", key)} == kinds


CODES = {("chat", code.value) for code in Code if code is not Code.CANCEL_GUIDE}  # the pages show it as a card
CODES |= {("cs", code) for code in re.findall(r'Phrase\(\s*"(\w+)"', inspect.getsource(views))}
CODES |= {("cs", deed.value) for deed in views.DEEDS}


@pytest.mark.parametrize(("service", "code"), sorted(CODES))
def test_every_system_message_has_words_in_both_languages(service: str, code: str) -> None:
    """A system message whose code the pages do not know would be shown in Indonesian only."""
    assert knows(f"said.{code}") or knows(f"said.{code}.{service}")


@pytest.mark.parametrize(("beginning", "facts"), [("said.", {*_FACTS}), ("told.", {*_FACTS, *_TOLD})])
def test_every_placeholder_of_a_system_message_has_a_fact(beginning: str, facts: set[str]) -> None:
    """A placeholder that is filled by no fact would show all readers the Indonesian text."""
    filled = {_NAMES.get(fact, fact) for fact in facts}
    empty = {key: fields(words[0]) - filled for key, words in WORDS.items() if key.startswith(beginning)}
    assert not {key: names for key, names in empty.items() if names}


def test_the_articles_terms_are_the_articles() -> None:
    """The words of the how-to stand as it has them."""
    terms = {"Sedang diproses", "Dikemas", "Sedang dikirim", "Terkirim", "Dibatalkan", "Batalkan pesanan"}
    terms |= {"Chat Seller", "Bantuan", "Live Chat", "Lazada Kredit"}
    assert terms <= {indonesian for indonesian, _ in WORDS.values()}


@pytest.mark.parametrize(
    ("seconds", "indonesian", "english"),
    [
        (83_520, "23 jam 12 menit", "23 hours 12 minutes"),
        (86_400, "1 hari", "1 day"),
        (90_061, "1 hari 1 jam", "1 day 1 hour"),
        (3_600, "1 jam", "1 hour"),
        (61, "1 menit", "1 minute"),
        (59, "59 detik", "59 seconds"),
        (0, "0 detik", "0 seconds"),
        (-5, "0 detik", "0 seconds"),
    ],
)
def test_a_span_is_its_two_largest_units(seconds: int, indonesian: str, english: str) -> None:
    """Spans of time are rounded down, so that the page never promises more time than is left."""
    assert (span(seconds, "id"), span(seconds, "en")) == (indonesian, english)


def test_amounts_and_times_have_indonesian_notation() -> None:
    """Rupiah with points; times in Western Indonesian Time, the date in words."""
    assert rupiah(145_000) == "Rp145.000"
    assert moment("2026-11-25T22:10:00Z", "id") == "26 November 2026 pukul 05.10 WIB"
    assert moment("2026-11-25T22:10:00Z", "en") == "26 November 2026, 05:10 WIB"


@pytest.mark.parametrize(
    ("code", "parts"),
    [
        ("/orders/{order_id}/cancel", ["/orders/", "{order_id}/", "cancel"]),
        ("lines[].unit_price", ["lines[].", "unit_price"]),
        ("urn:batalkan:event", ["urn:", "batalkan:", "event"]),
        ("GET /orders", ["GET /orders"]),
        ("uniform(0.5)", ["uniform(0.5)"]),
        ("https://batalkan", ["https://batalkan"]),
        ("…", ["…"]),
    ],
)
def test_a_path_ends_a_line_behind_one_of_its_parts(code: str, parts: list[str]) -> None:
    """Paths and names may break, also within a text, and only where a part ends."""
    assert breakable(code).split("<wbr>") == parts
    assert phrase(f"See `{code}`.") == f"See <code>{breakable(code)}</code>."


def test_the_system_speaks_the_readers_language() -> None:
    """A system message is worded from its code and data; an unknown code keeps the service's own text."""
    issued = {"code": "refund_issued", "data": {"amount": 145_000, "destination": "dana"}, "text": "Dana …"}
    assert said("en", issued, "chat") == "Rp145.000 came back in full, to DANA."
    silent = {"code": "order_cancelled", "data": {"channel": "cs", "fault": "seller"}, "text": "…"}
    assert said("id", silent, "chat").startswith("Pesanan dibatalkan otomatis")
    unpaid = {"code": "order_cancelled", "data": {"channel": "system", "fault": "none"}, "text": "…"}
    for page in ("chat", "cs"):
        assert said("en", unpaid, page) == "The order was cancelled automatically, because it was not paid in time."
    unshipped = {"code": "order_cancelled", "data": {"channel": "system", "fault": "seller"}, "text": "…"}
    assert "because it was not shipped in time" in said("en", unshipped, "cs")
    assert said("en", {"code": "new", "data": None, "text": "Halo"}, "cs") == "<bdi>Halo</bdi>"
    assert said("en", {"code": "refund_issued", "data": {}, "text": "Halo"}, "cs") == "<bdi>Halo</bdi>"
    newer = {"code": "refund_issued", "data": {"amount": 1, "destination": "moon"}, "text": "Halo"}
    assert said("en", newer, "chat") == "<bdi>Halo</bdi>"


@pytest.mark.parametrize(("amount", "money"), [(0, ""), (90_000, " Rp90.000 comes back.")])
def test_a_part_is_said_by_its_pieces(amount: int, money: str) -> None:
    """A part names its pieces, those of an unknown title by their product's id, and its money if there is any."""
    lines = [{"quantity": 2, "title": "<Kopi>", "product_id": "1"}, {"quantity": 1, "title": None, "product_id": "2a"}]
    data = {"channel": "chat", "fault": "seller", "lines": lines, "refund_amount": amount}
    pieces = "2 × <bdi>&lt;Kopi&gt;</bdi>, 1 × <bdi>2A</bdi>"
    for page in ("chat", "cs"):
        shown = said("en", {"code": "items_cancelled", "data": data, "text": "…"}, page)
        assert shown == f"Cancelled by the seller: {pieces}. The rest of the order stays.{money}"


def test_scripts_put_the_facts_in_themselves() -> None:
    """Texts for scripts keep their placeholders."""
    assert some("en", "flow")["clock.hours"] == "{count} hours"
    assert all(some(language, key.partition(".")[0]) for language in ("id", "en") for key in WORDS if "." in key)
