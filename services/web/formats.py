"""The language of a page; amounts, times and durations in it."""

import re
from datetime import datetime, timedelta, timezone
from typing import Literal

from markupsafe import Markup
from starlette.requests import HTTPConnection

from runtime.numbers import whole

Language = Literal["id", "en"]

WIB = timezone(timedelta(hours=7))
"""Western Indonesian Time."""
_MONTHS = {
    "id": (
        *("Januari", "Februari", "Maret", "April", "Mei", "Juni"),
        *("Juli", "Agustus", "September", "Oktober", "November", "Desember"),
    ),
    "en": (
        *("January", "February", "March", "April", "May", "June"),
        *("July", "August", "September", "October", "November", "December"),
    ),
}
_UNITS = {"id": ("hari", "jam", "menit", "detik"), "en": ("day", "hour", "minute", "second")}


def thousands(typed: str) -> int | None:
    """The number that was typed, `145500` or `145.500`; None for any other text."""
    typed = typed.strip()
    grouped = re.fullmatch(r"[1-9][0-9]{0,2}(\.[0-9]{3})+", typed)
    return whole(typed.replace(".", "") if grouped else typed)


def price(typed: str) -> int | None:
    """As `thousands`; `Rp` may stand before it, with a space or without."""
    return thousands(re.sub(r"\A\s*rp[ \N{NO-BREAK SPACE}]?(?=[0-9])", "", typed, flags=re.IGNORECASE))


def moment(at: str | datetime, language: Language) -> str:
    """`25 November 2026 pukul 05.10 WIB`, `25 November 2026, 05:10 WIB`. Takes RFC 3339, too."""
    local = _in_wib(at)
    return (
        f"{day(local, language)} pukul {local:%H.%M} WIB"
        if language == "id"
        else f"{day(local, language)}, {local:%H:%M} WIB"
    )


def day(at: str | datetime, language: Language) -> str:
    """`25 November 2026`."""
    local = _in_wib(at)
    return f"{local.day} {_MONTHS[language][local.month - 1]} {local.year}"


def clock(at: str | datetime, language: Language) -> str:
    """`05.10`, `05:10`."""
    return f"{_in_wib(at):%H.%M}" if language == "id" else f"{_in_wib(at):%H:%M}"


def when(at: str | datetime, now: datetime, language: Language) -> str:
    """The time if it was today, else the day."""
    return clock(at, language) if _in_wib(at).date() == _in_wib(now).date() else day(at, language)


def seconds_until(at: str, now: datetime) -> int:
    """Whole seconds until `at`; 0 once it has passed."""
    return max(0, int((datetime.fromisoformat(at) - now).total_seconds()))


def seconds_since(at: str, now: datetime) -> int:
    """Whole seconds since `at`; 0 before it."""
    return max(0, int((now - datetime.fromisoformat(at)).total_seconds()))


def number(value: float, language: Language) -> str:
    """`4,5` or `4.5`: one decimal."""
    return f"{value:.1f}".replace(".", "," if language == "id" else ".")


def percent(part: float, language: Language) -> str:
    """`2,5%` or `2.5%` of a part between 0 and 1."""
    return number(100 * part, language) + "%"


def span(seconds: float, language: Language) -> str:
    """`23 jam 12 menit`, `23 hours 12 minutes`: the two largest units, rounded down; below a minute in seconds."""
    left = max(0, int(seconds))
    counts = (left // 86_400, left // 3_600 % 24, left // 60 % 60, left % 60)
    first = next((number for number, count in enumerate(counts) if count), 3)
    shown = [number for number in range(first, min(first + 2, 3 if first < 3 else 4)) if counts[number]]
    return " ".join(_counted(counts[number], number, language) for number in shown or [first])


def countdown(seconds: int) -> str:
    """`23:59:58`, in either language."""
    return f"{seconds // 3_600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def _counted(count: int, unit: int, language: Language) -> str:
    word = _UNITS[language][unit]
    return f"{count} {word}" if language == "id" or count == 1 else f"{count} {word}s"


def short(identifier: object) -> str:
    """The end of an id, by which people distinguish orders."""
    return str(identifier).replace("-", "")[-6:].upper()


def breakable(code: str) -> Markup:
    """A path or another name of several parts: a narrow line may end behind each `/`, `.` and `:` within it."""
    return Markup("<wbr>").join(re.split(r"(?<=[^\s/.:][/.:])(?=[^\s/.:\d])", code))


def _in_wib(at: str | datetime) -> datetime:
    return (datetime.fromisoformat(at) if isinstance(at, str) else at).astimezone(WIB)


def language_of(request: HTTPConnection) -> Language:
    """The chosen language, or the one that the browser prefers, or Indonesian."""
    chosen = request.cookies.get("lang")
    if chosen in ("id", "en"):
        return "id" if chosen == "id" else "en"
    likes = []
    for one in request.headers.get("accept-language", "").split(","):
        name, _, weight = one.strip().partition(";q=")
        try:
            likes.append((float(weight or 1), name.partition("-")[0].lower()))
        except ValueError:
            continue
    best = next((name for _, name in sorted(likes, key=lambda like: -like[0]) if name in ("id", "in", "en")), "id")
    return "en" if best == "en" else "id"
