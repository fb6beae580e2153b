"""The start page, two roles side by side, and the choice of language and appearance."""

import re

from fastapi import APIRouter, Response

from services.web.seats import SEATS, SeatName
from services.web.visits import YEAR, Public

MAX_LENGTH = 2000
"""Characters of an address to go back to."""

router = APIRouter(prefix="/web", include_in_schema=False)

ROLES = (("a", "buyer"), ("b", "seller"), ("c", "agent"))
"""Each role has a seat of its own, so that all three can be signed in at once."""


@router.get("")
@router.get("/")
async def start(visit: Public) -> Response:
    """The start page with the four ways."""
    return visit.page("start.html", roles=ROLES)


@router.get("/two")
async def two(visit: Public, left: SeatName = "a", right: SeatName = "b") -> Response:
    """Two seats in one window."""
    visit.form_token()  # before each frame makes one of its own
    return visit.page("two.html", roles=ROLES, left=left, right=right, seats=SEATS)


@router.post("/choices")
async def choose(visit: Public) -> Response:
    """Saves the chosen language or appearance."""
    form = await visit.form()
    for name, known in (("lang", ("id", "en")), ("theme", ("auto", "light", "dark"))):
        if form[name] in known:
            visit.set_cookie(name, form[name], YEAR)
    return visit.go(own_path(form["back"]) or "/web/")


_SEGMENT = "[A-Za-z0-9_-][A-Za-z0-9._-]*"
_OWN = re.compile(rf"/web/(?:{_SEGMENT}/)*(?:{_SEGMENT})?(?:\?[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*)?")
"""Only the characters of these pages' addresses: none that a browser or a proxy removes or interprets."""


def own_path(path: str) -> str:
    """The path, if it is one of these pages; else empty, so that no redirect leads to another site."""
    return path if len(path) <= MAX_LENGTH and _OWN.fullmatch(path) else ""
