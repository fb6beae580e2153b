"""How amounts, times and durations are written in Indonesian and English."""

import re
from datetime import datetime, timedelta, timezone
from typing import Literal

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
    """The number that was typed, `145500` or `145.500`; None for what is not written exactly so."""
    typed = typed.strip()
    grouped = re.fullmatch(r"[1-9][0-9]{0,2}(\.[0-9]{3})+", typed)
    return whole(typed.replace(".", "") if grouped else typed)


def price(typed: str) -> int | None:
    """As `thousands`; `Rp` may stand before it, with a space or without."""
    return thousands(re.sub(r"\A\s*rp[ \N{NO-BREAK SPACE}]?(?=[0-9])", "", typed, flags=re.IGNORECASE))


def rupiah(amount: int) -> str:
    """`Rp145.000`, in either language."""
    return f"Rp{amount:,}".replace(",", ".")


def moment(at: str | datetime, language: Language) -> str:
    """`25 November 2026 pukul 05.10 WIB`, `25 November 2026, 05:10 WIB`. Takes RFC 3339, too."""
    here = _here(at)
    return (
        f"{day(here, language)} pukul {here:%H.%M} WIB"
        if language == "id"
        else f"{day(here, language)}, {here:%H:%M} WIB"
    )


def day(at: str | datetime, language: Language) -> str:
    """`25 November 2026`."""
    here = _here(at)
    return f"{here.day} {_MONTHS[language][here.month - 1]} {here.year}"


def clock(at: str | datetime, language: Language) -> str:
    """`05.10`, `05:10`."""
    return f"{_here(at):%H.%M}" if language == "id" else f"{_here(at):%H:%M}"


def when(at: str | datetime, now: datetime, language: Language) -> str:
    """The time if it was today, else the day."""
    return clock(at, language) if _here(at).date() == _here(now).date() else day(at, language)


def seconds_until(at: str, now: datetime) -> int:
    """Whole seconds that are left; 0 when it is over."""
    return max(0, int((datetime.fromisoformat(at) - now).total_seconds()))


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


def _counted(count: int, unit: int, language: Language) -> str:
    word = _UNITS[language][unit]
    return f"{count} {word}" if language == "id" or count == 1 else f"{count} {word}s"


def short(identifier: object) -> str:
    """The end of an id, by which people tell two orders apart."""
    return str(identifier).replace("-", "")[-6:].upper()


def _here(at: str | datetime) -> datetime:
    return (datetime.fromisoformat(at) if isinstance(at, str) else at).astimezone(WIB)
