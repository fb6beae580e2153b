"""One origin in front of services in processes of their own, where no nginx is: for `batalkan up --servers local`."""

import httpx
from fastapi.responses import Response
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from runtime.http import problem_response
from runtime.problems import Problem

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "host", "content-length"}
FORWARDED = {"x-forwarded-for", "x-forwarded-proto"}


class ServiceAway(Problem):
    """The service that the path names does not answer."""

    status, code, title = 502, "bad_gateway", "The service does not answer"


class Gateway:
    """Passes each request on through `transport`, which knows the services by the path's first segment."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._http = httpx.AsyncClient(transport=transport, base_url="http://services", timeout=30)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        headers = [(name, value) for name, value in request.headers.items() if name not in HOP_BY_HOP | FORWARDED]
        if request.client:
            headers.append(("X-Forwarded-For", request.client.host))
        path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        try:
            passed = await self._http.request(request.method, path, headers=headers, content=await request.body())
        except httpx.HTTPError as error:
            await problem_response(ServiceAway(f"{path}: {type(error).__name__}"))(scope, receive, send)
            return
        answer = Response(passed.content, passed.status_code)
        answer.raw_headers[:] = [
            (name.lower(), value) for name, value in passed.headers.raw if name.lower().decode() not in HOP_BY_HOP
        ]
        answer.raw_headers.append((b"content-length", str(len(passed.content)).encode()))
        await answer(scope, receive, send)
