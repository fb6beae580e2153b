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

router = APIRouter()
for _area in (
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
):
    router.include_router(_area.router)
