"""The pages, by who uses them."""

from fastapi import APIRouter

from services.web.pages import (
    account,
    chat,
    desk,
    docs,
    help,
    home,
    notifications,
    operate,
    orders,
    passthrough,
    selling,
    shop,
    signing_in,
    start,
    wallet,
)

_AREAS = (
    start,
    home,
    notifications,
    signing_in,
    account,
    shop,
    orders,
    wallet,
    chat,
    help,
    selling,
    desk,
    passthrough,
    docs,
    operate,
)
router = APIRouter(routes=[route for area in _AREAS for route in area.router.routes])
