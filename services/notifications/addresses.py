"""Which addresses a webhook may be sent to, and connections to no others."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

import httpcore

from runtime.errors import InvalidRequest
from runtime.http.client import TcpBackend

Network = IPv4Network | IPv6Network
Resolve = Callable[[str, int], Sequence[Any]]
"""As `socket.getaddrinfo`."""
CONNECTING = 3.0
"""Seconds for one address of a name."""
LOOKUPS = 32
"""Threads that look up names at the same time. A thread lives on after its call has given up."""

_GLOBAL_IPV6 = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
_NEVER = tuple(
    map(
        ip_network,
        (
            "192.0.0.0/24",  # special purposes: Oracle's metadata are in it
            "192.88.99.0/24",  # 6to4 relays
            "168.63.129.16/32",  # a public address that is the host of a virtual machine of Azure
            "2001::/23",  # special purposes, Teredo
            "2002::/16",  # 6to4: any IPv4 address is in it
        ),
    )
)
"""Addresses that lead inside, and that not every version of Python says so of."""


class AddressNotAllowed(InvalidRequest):
    """The receiver is not on the public internet."""

    code, title = "address_not_allowed", "The receiver's address is not public"


class NotResolved(OSError):
    """The name has no address, no server has answered, or no thread is free to ask one."""


def may_be_called(address: str, allowed: Iterable[Network] = ()) -> bool:
    """Whether the address is one of the public internet, or in a network that is allowed. An IPv6 address that stands
    for an IPv4 address is what that is."""
    found = _plain(ip_address(address))
    if any(found in network for network in allowed if network.version == found.version):
        return True
    if getattr(found, "scope_id", None) or any(found in one for one in _NEVER if one.version == found.version):
        return False
    if found.version == 6 and found not in _GLOBAL_IPV6:
        return False
    return found.is_global and not (found.is_multicast or found.is_reserved)


def _plain(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


class PublicNetwork(httpcore.AsyncNetworkBackend):
    """Connects to addresses that may be called. It looks up a name itself, checks all its addresses, and connects to
    one of these: a second answer of the name's server is never asked for. TLS still checks the certificate's name."""

    def __init__(self, allowed: Sequence[Network] = (), resolve: Resolve | None = None) -> None:
        self._allowed = allowed
        self._resolve = resolve or partial(socket.getaddrinfo, type=socket.SOCK_STREAM)
        self._plain = TcpBackend()
        self._free = threading.Semaphore(LOOKUPS)

    async def addresses(self, host: str, port: int) -> list[str]:
        """The addresses of the name. Raises `AddressNotAllowed` if one of them is not public, and `NotResolved`."""
        found = list(dict.fromkeys(str(one[4][0]) for one in await self._look_up(host, port)))
        for address in found:
            if not may_be_called(address, self._allowed):
                raise AddressNotAllowed(f"{host} is not an address on the public internet.")
        return found

    async def _look_up(self, host: str, port: int) -> Sequence[Any]:
        """In a thread of its own, as in `runtime.loop`: a slow name server must not delay other lookups. Raises
        `NotResolved` above `LOOKUPS`."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Sequence[Any]] = loop.create_future()

        def give(result: Sequence[Any] | None) -> None:
            if not answer.done():  # it was cancelled
                answer.set_result(result) if result else answer.set_exception(NotResolved(host))

        def ask() -> None:
            result = None
            try:
                with suppress(OSError, UnicodeError):
                    result = self._resolve(host, port)
            finally:
                self._free.release()
            with suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(give, result)

        if not self._free.acquire(blocking=False):
            raise NotResolved(host)
        try:
            threading.Thread(target=ask, daemon=True, name=f"looks up {host}").start()
        except RuntimeError as error:  # the process may have no more threads
            self._free.release()
            raise NotResolved(host) from error
        return await answer

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """A connection to one of the addresses of the name: the first that accepts it."""
        failure: Exception = httpcore.ConnectError(host)
        for address in await self.addresses(host, port):
            try:
                return await self._plain.connect_tcp(address, port, CONNECTING, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    async def connect_unix_socket(self, path: str, *_: Any, **__: Any) -> httpcore.AsyncNetworkStream:
        """Raises `AddressNotAllowed`: a socket is inside."""
        raise AddressNotAllowed(path)

    async def sleep(self, seconds: float) -> None:
        """Waits."""
        await asyncio.sleep(seconds)
