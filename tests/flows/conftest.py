"""The systems under test, and the actors that share them."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from batalkan.servers import install
from services.accounts.demonstration import PASSWORD
from tests.conftest import Databases
from tests.harness.actors import Agent, Buyer, Seller
from tests.harness.event_recorder import EventRecorder, recording
from tests.harness.system import SystemUnderTest, embedded, on_servers


@pytest.fixture(scope="package")
async def embedded_system(
    embedded_databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[SystemUnderTest]:
    """Everything in this process. Its databases are dropped with it: if tests of other folders run in between, there is
    another system later, with a DANA that has paid nothing yet."""
    folder = tmp_path_factory.mktemp("flows")
    async with embedded_databases.of_a_system() as url, embedded(folder, url) as system:
        yield system


@pytest.fixture(scope="package")
async def server_system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SystemUnderTest]:
    """One process per service on real servers."""
    await asyncio.to_thread(install, tmp_path_factory.mktemp("servers") / "install.log")
    async with on_servers() as system:
        yield system


@pytest.fixture(scope="package", params=["embedded", pytest.param("server", marks=pytest.mark.servers)])
def system(request: pytest.FixtureRequest) -> SystemUnderTest:
    """Each system in turn: a test holds for both."""
    found: SystemUnderTest = request.getfixturevalue(f"{request.param}_system")
    return found


@pytest.fixture(scope="package")
async def seller(system: SystemUnderTest) -> Seller:
    """A seller."""
    return await Seller.register(system.http, "seller")


@pytest.fixture(scope="package")
async def buyer(system: SystemUnderTest) -> Buyer:
    """A buyer whose refunds go to Lazada Credit."""
    return await Buyer.register(system.http, "buyer")


@pytest.fixture(scope="package")
async def stranger(system: SystemUnderTest) -> Buyer:
    """Another buyer."""
    return await Buyer.register(system.http, "buyer")


@pytest.fixture(scope="package")
async def agent(system: SystemUnderTest) -> Agent:
    """Customer service."""
    return await Agent.sign_in(system.http, "agent@example.com", PASSWORD)


@pytest.fixture
async def dana_buyer(system: SystemUnderTest) -> AsyncIterator[Buyer]:
    """A new buyer, whose refunds go to DANA; DANA has no fault before and after. A buyer can link few times an hour."""
    await system.dana.post("/reset")
    buyer = await Buyer.register(system.http, "buyer")
    await buyer.link_dana()
    yield buyer
    await system.dana.post("/reset")


@pytest.fixture(scope="package")
async def product(seller: Seller) -> str:
    """Something that never runs out."""
    return await seller.offer()


@pytest.fixture(scope="package")
async def recorder(system: SystemUnderTest) -> AsyncIterator[EventRecorder]:
    """Records all events. On the memory bus a queue, once declared, must be read until the end."""
    async with recording(system.bus("web"), "web") as recorder:
        yield recorder
