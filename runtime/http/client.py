"""HTTP clients of the services."""

from functools import cache
from ssl import SSLContext
from typing import Any

import httpcore
import httpx


@cache
def trusted() -> SSLContext:
    """The certificates that are known everywhere; reading them takes 20 ms, so all clients of a process share them."""
    return httpx.create_ssl_context(trust_env=False)


class TcpBackend(httpcore.AnyIOBackend):
    """Connections over uvloop, whose sockets, once closed, are None or raise `ValueError`; the libraries expect
    `OSError`."""

    async def connect_tcp(self, *args: Any, **options: Any) -> httpcore.AsyncNetworkStream:
        """As of the base class; raises `ConnectError` also if the server has closed already."""
        stream = await super().connect_tcp(*args, **options)
        try:
            stream.get_extra_info("server_addr")
        except (AttributeError, ValueError) as error:
            raise httpcore.ConnectError("The server closed the connection while it opened.") from error
        return stream


class Transport(httpx.AsyncHTTPTransport):
    """Takes neither proxies nor certificates from the environment; `options` are the others of the base class."""

    def __init__(self, **options: Any) -> None:
        super().__init__(trust_env=False, verify=trusted(), **options)
        self._pool._network_backend = TcpBackend()


def http_client(*, transport: httpx.AsyncBaseTransport | None = None, **options: Any) -> httpx.AsyncClient:
    """A client over `transport`, or over the network. `options` are those of `httpx.AsyncClient`."""
    of_network = {"limits": options.pop("limits")} if "limits" in options else {}
    return httpx.AsyncClient(transport=transport or Transport(**of_network), trust_env=False, **options)
