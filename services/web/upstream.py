"""The other services, called over HTTP as by any client."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import httpx

from runtime import urls
from runtime.errors import Unavailable
from runtime.http.client import http_client
from runtime.http.problems import Problem
from runtime.observability import trace_context
from runtime.settings import Environment
from services import PORTS

if TYPE_CHECKING:
    from runtime.observability.tracing import Tracing

SERVICES = tuple(name for name in PORTS if name != "web")
TIMEOUT = 10.0
"""Seconds: DANA may take eight to confirm a number."""
IDLE = 2.0
"""Seconds an idle connection is kept: less than the services do, so that no request meets a closing one."""


class ServiceAway(Unavailable):
    """A service that the page needs does not answer."""

    code, title = "service_away", "A service does not answer"
    retry_after = 2


class Refused(Problem):
    """A service refused a request: its problem, unchanged."""

    def __init__(self, problem: Mapping[str, Any], status: int) -> None:
        super().__init__(str(problem.get("detail", "")))
        self.status = status
        self.code = str(problem.get("code", "internal_error"))
        self.title = str(problem.get("title", ""))
        self.fields = {str(error["loc"][-1]) for error in problem.get("errors", ()) if error.get("loc")}
        """Of the body that was refused."""


class Upstream:
    """One client for each service."""

    def __init__(self, clients: Mapping[str, httpx.AsyncClient], tracing: "Tracing | None" = None) -> None:
        self._clients = clients
        self._tracing = tracing

    @classmethod
    def read(
        cls,
        env: Environment,
        transport: httpx.AsyncBaseTransport | None = None,
        tracing: "Tracing | None" = None,
    ) -> "Upstream":
        """With the addresses in ORDERS_URL and its like; all behind `transport`, if given."""
        clients = {}
        for name in SERVICES:
            url = env.url(f"{name.upper()}_URL", f"http://127.0.0.1:{PORTS[name]}", urls.HTTP)
            clients[name] = http_client(
                base_url=url,
                timeout=TIMEOUT,
                limits=httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=IDLE),
                transport=transport,
            )
        return cls(clients, tracing)

    async def ask(
        self,
        method: str,
        path: str,
        *,
        token: str | None = None,
        host: str = "",
        headers: Mapping[str, str] | None = None,
        **body: Any,
    ) -> httpx.Response:
        """The response to one request, of any status. `path` begins with the service's name, `host` is the
        client's address; `body` is `json=`, `data=` or `content=`. Raises `ServiceAway`."""
        sent = {**(headers or {})}
        if token:
            sent["Authorization"] = f"Bearer {token}"
        if host:
            sent["X-Forwarded-For"] = host
        client = self._clients[path.split("/")[1]]

        async def send(traceparent: str) -> httpx.Response:
            return await client.request(method, path, headers={"traceparent": traceparent, **sent}, **body)

        try:
            if self._tracing is not None:
                return await self._tracing.client(method, str(client.base_url.join(path)), send)
            return await send(trace_context.current_context().traceparent)
        except httpx.HTTPError as error:
            raise ServiceAway(f"{path}: {type(error).__name__}") from error

    async def close(self) -> None:
        """Ends the connections."""
        for client in self._clients.values():
            await client.aclose()


def granted(answer: httpx.Response) -> Any:
    """The body of the answer, or None; raises `Refused`, or `ServiceAway` for the service's own errors."""
    if answer.is_success:
        return answer.json() if answer.content else None
    try:
        problem = answer.json()
    except ValueError:
        problem = {}
    if answer.status_code >= 500:
        raise ServiceAway(str(problem.get("detail", answer.status_code)))
    raise Refused(problem, answer.status_code)
