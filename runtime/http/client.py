"""HTTP clients of the services."""

from typing import Any

import httpcore
import httpx


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
    """Takes neither proxies nor certificates from the environment. `options` are those of the base class."""

    def __init__(self, **options: Any) -> None:
        super().__init__(trust_env=False, **options)
        self._pool._network_backend = TcpBackend()


def http_client(*, transport: httpx.AsyncBaseTransport | None = None, **options: Any) -> httpx.AsyncClient:
    """A client over `transport`, or over the network. `options` are those of `httpx.AsyncClient`."""
    of_network = {name: options.pop(name) for name in ("limits", "verify") if name in options}
    return httpx.AsyncClient(transport=transport or Transport(**of_network), trust_env=False, **options)
