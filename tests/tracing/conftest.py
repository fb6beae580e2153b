"""A traced system, and who uses it."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.conftest import Databases
from tests.harness.actors import Buyer, Seller
from tests.harness.event_recorder import EventRecorder, recording
from tests.harness.system import SystemUnderTest, embedded
from tests.tracing.receiver import Receiver, receiving


@pytest.fixture(scope="package")
def receiver() -> Iterator[Receiver]:
    """Receives the spans of all tests."""
    with receiving() as receiver:
        yield receiver


@pytest.fixture(scope="package")
async def system(
    receiver: Receiver, embedded_databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[SystemUnderTest]:
    """All services in this process, traced."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        environment.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
        folder = tmp_path_factory.mktemp("tracing")
        async with embedded_databases.of_a_system() as url, embedded(folder, url) as system:
            yield system


@pytest.fixture(scope="package")
async def seller(system: SystemUnderTest) -> Seller:
    """A seller."""
    return await Seller.register(system.http, "seller")


@pytest.fixture(scope="package")
async def product(seller: Seller) -> str:
    """Something that never runs out."""
    return await seller.offer()


@pytest.fixture(scope="package")
async def recorder(system: SystemUnderTest) -> AsyncIterator[EventRecorder]:
    """Records all events."""
    async with recording(system.bus("web"), "web") as recorder:
        yield recorder


@pytest.fixture(scope="package")
async def buyer(system: SystemUnderTest) -> Buyer:
    """A buyer whose refunds go to Lazada Credit."""
    return await Buyer.register(system.http, "buyer")
