"""The places, and the people in them."""

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest

from batalkan.servers import install
from services.accounts.demonstration import PASSWORD
from tests.conftest import Databases
from tests.harness.actors import Buyer, Person, Seller
from tests.harness.event_recorder import Ears, listening
from tests.harness.system import Place, embedded, on_servers


@pytest.fixture(scope="package")
async def embedded_place(
    embedded_databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Place]:
    """Everything in this process. Its databases go with it: where the files of other folders come between, there is
    another place later, with a DANA that has paid nothing yet."""
    async with embedded(tmp_path_factory.mktemp("flows"), embedded_databases.admin_url) as place:
        yield place
    for url in place.database_urls.values():
        await embedded_databases.admin(f'drop database if exists "{urlsplit(url).path[1:]}" with (force)')


@pytest.fixture(scope="package")
async def server_place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    """One process per service on real servers."""
    await asyncio.to_thread(install, tmp_path_factory.mktemp("servers") / "install.log")
    async with on_servers() as place:
        yield place


@pytest.fixture(scope="package", params=["embedded", pytest.param("server", marks=pytest.mark.servers)])
def place(request: pytest.FixtureRequest) -> Place:
    """One place after the other: what a test states holds in both."""
    found: Place = request.getfixturevalue(f"{request.param}_place")
    return found


@pytest.fixture(scope="package")
async def seller(place: Place) -> Seller:
    """Somebody who sells."""
    return await Seller.register(place.http, "seller")


@pytest.fixture(scope="package")
async def buyer(place: Place) -> Buyer:
    """Somebody whose refunds go to Lazada Credit."""
    return await Buyer.register(place.http, "buyer")


@pytest.fixture(scope="package")
async def stranger(place: Place) -> Buyer:
    """Another buyer."""
    return await Buyer.register(place.http, "buyer")


@pytest.fixture(scope="package")
async def agent(place: Place) -> Person:
    """Customer service."""
    return await Person.sign_in(place.http, "agent@example.com", PASSWORD)


@pytest.fixture
async def dana_buyer(place: Place) -> AsyncIterator[Buyer]:
    """Somebody new, as a wallet can be linked a few times an hour only, whose refunds go to DANA, where all is well at
    first and at last."""
    await place.dana.post("/reset")
    buyer = await Buyer.register(place.http, "buyer")
    await buyer.link_dana()
    yield buyer
    await place.dana.post("/reset")


@pytest.fixture(scope="package")
async def product(seller: Seller) -> str:
    """Something that never runs out."""
    return await seller.offer()


@pytest.fixture(scope="package")
async def ears(place: Place) -> AsyncIterator[Ears]:
    """What travels on the bus; on the one in memory, somebody who once listened must go on listening."""
    async with listening(place.bus("web")) as ears:
        yield ears
