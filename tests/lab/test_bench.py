"""The benchmark in its short form. Only a broken invariant fails it, never a time."""

import pytest

from lab.bench.report import ratios
from lab.bench.saga import measure

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]


@pytest.mark.usefixtures("installed")
async def test_every_saga_of_a_short_run_ends_with_its_refund() -> None:
    """A short run of `core`, `all` and the bare reference ends with every refund shown and the ledger balanced."""
    figures = await measure(["core", "all", "reference"], orders=150, clients=32, repeats=1)
    assert [one.sagas for one in figures] == [150, 150, 150]
    assert all(one.cpu_ms_per_saga > 0 and one.statements_per_saga > 0 for one in figures)
    assert set(ratios(figures)) == {"core : reference", "all : reference"}
