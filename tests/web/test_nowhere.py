"""Addresses at which is nothing, at the one origin of the services in one process and at the local gateway."""

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from batalkan.gateway import Gateway
from batalkan.system import OneOrigin
from tests.machine.test_gateway import listening

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


@pytest.fixture(params=["one origin", "gateway"], scope="module")
async def http(request: pytest.FixtureRequest, shared_app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client of what stands in front of the pages."""
    async with listening(shared_app) as web:
        gateway = Gateway({"web": [f"http://{web}"]})
        entrance = gateway if request.param == "gateway" else OneOrigin({"web": shared_app})
        transport = httpx.ASGITransport(entrance)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            yield http
        await gateway.close()


@pytest.mark.parametrize("path", ["/nope", "/nope/deeper?x=1", "/%00", "/orders2", "/web2", "/wp-login.php"])
async def test_browsers_get_a_page_and_programs_a_problem(http: httpx.AsyncClient, path: str) -> None:
    """An unknown path is answered with a page that links back to a browser, and with problem details to others."""
    page = await http.get(path, headers=BROWSER)
    assert page.status_code == 404
    assert page.headers["content-type"].startswith("text/html")
    assert "Halaman ini tidak ada" in page.text
    assert 'href="/web/"' in page.text
    assert "content-security-policy" in page.headers
    for accepts in ("application/json", "*/*"):
        answer = await http.get(path, headers={"Accept": accepts})
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert answer.headers["content-type"] == "application/problem+json"
