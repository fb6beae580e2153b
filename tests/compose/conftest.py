"""One stack for all tests of this folder, and people who use it."""

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from tests.browser.conftest import browser as browser  # the same program as there
from tests.compose.stack import Stack, running_stack
from tests.harness.actors import Buyer, Seller


@pytest.fixture(scope="package")
def stack() -> Iterator[Stack]:
    """compose.yaml, as it is."""
    with running_stack() as stack:
        yield stack


@pytest.fixture
def http(stack: Stack) -> Iterator[httpx.Client]:
    """A client of the gateway."""
    with httpx.Client(base_url=stack.url, timeout=30) as client:
        yield client


@pytest.fixture
async def actors(stack: Stack) -> AsyncIterator[tuple[Buyer, Seller, str]]:
    """A buyer, a seller, and what the seller sells for 189,000 rupiah."""
    async with httpx.AsyncClient(base_url=stack.url, timeout=30) as http:
        seller = await Seller.register(http, "seller")
        yield await Buyer.register(http, "buyer"), seller, await seller.offer()
