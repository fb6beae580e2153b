"""The start page, two roles side by side, and what a browser keeps: language and appearance."""

import re
from typing import Literal

from fastapi import APIRouter, Response

from services.web.seats import SEATS
from services.web.visits import YEAR, Anybody

LONGEST = 2000
"""Characters of an address to go back to."""

router = APIRouter(prefix="/web", include_in_schema=False)

ROLES = (("a", "buyer"), ("b", "seller"), ("c", "agent"))
"""Each role has a seat of its own, so that all three can be signed in at once."""


@router.get("")
@router.get("/")
async def start(visit: Anybody) -> Response:
    """Leads a newcomer through the four ways."""
    return visit.page("start.html", roles=ROLES)


@router.get("/two")
async def two(visit: Anybody, left: Literal["a", "b", "c"] = "a", right: Literal["a", "b", "c"] = "b") -> Response:
    """Two seats in one window."""
    visit.form_token()  # here, before each of the frames makes one of its own
    return visit.page("two.html", roles=ROLES, left=left, right=right, seats=SEATS)


@router.post("/choices")
async def choose(visit: Anybody) -> Response:
    """Keeps the language or the appearance that was chosen."""
    form = await visit.form()
    if (language := form.get("lang")) in ("id", "en"):
        visit.set_cookie("lang", str(language), YEAR, "/web")
    if (theme := form.get("theme")) in ("auto", "light", "dark"):
        visit.set_cookie("theme", str(theme), YEAR, "/web")
    return visit.go(own_path(str(form.get("back", ""))) or "/web/")


_SEGMENT = "[A-Za-z0-9_-][A-Za-z0-9._-]*"
_OWN = re.compile(rf"/web/(?:{_SEGMENT}/)*(?:{_SEGMENT})?(?:\?[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*)?")
"""Only what addresses of these pages are made of: nothing that a browser or a proxy takes out, or reads as another."""


def own_path(path: str) -> str:
    """The path, if it is one of these pages; empty otherwise: nobody is sent on to another site."""
    return path if len(path) <= LONGEST and _OWN.fullmatch(path) else ""
