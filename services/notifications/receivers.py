"""Calls receivers of webhooks, in the form of Standard Webhooks (https://www.standardwebhooks.com)."""

import asyncio
import logging
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime

import httpcore
import httpx
from standardwebhooks import Webhook

from runtime.errors import InvalidRequest
from runtime.http.client import trusted
from services.notifications.addresses import AddressNotAllowed, Network, NotResolved, PublicNetwork, Resolve
from services.notifications.domain import Answer, answer_of

TIMEOUT = 10.0
"""Seconds for a whole call."""
CHECKING = 2.0
"""Seconds for looking up the address of a new webhook."""
SECRET_PREFIX = "whsec_"  # noqa: S105 - what the standard puts before a secret
AT_ONCE = 32
"""Calls under way at the same time, one for each webhook."""

log = logging.getLogger(__name__)


class WrongUrl(InvalidRequest):
    """A webhook has no such URL."""

    code, title = "wrong_url", "The URL is not one for a webhook"


def parse(url: str) -> httpx.URL:
    """The URL. Raises `WrongUrl` unless it is http or https, with a host, and without an account and a fragment."""
    try:
        target = httpx.URL(url)
        host, port = target.raw_host, target.port
    except (httpx.InvalidURL, UnicodeError, ValueError) as error:
        raise WrongUrl("url: it cannot be read") from error
    if target.scheme not in ("http", "https") or not host:
        raise WrongUrl("url: it must begin with https:// or http://, and name a host")
    if target.userinfo or target.fragment:
        raise WrongUrl("url: it must have no account and no fragment")
    if port is not None and not 1 <= port <= 65535:
        raise WrongUrl("url: it must name a port from 1 to 65535")
    return target


class Receivers:
    """The client. One instance serves the whole process; `close()` it at the end."""

    def __init__(
        self,
        allowed: Sequence[Network] = (),
        *,
        resolve: Resolve | None = None,
        verify: ssl.SSLContext | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        """`allowed`: networks that may be called besides the public internet; `timeout` in seconds."""
        self._network = PublicNetwork(allowed, resolve)
        self._timeout = timeout
        # A connection is used once: each call looks up and checks the address again.
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=verify or trusted(),
            max_connections=AT_ONCE,
            max_keepalive_connections=0,
            network_backend=self._network,
        )

    async def close(self) -> None:
        """Closes the connections."""
        await self._pool.aclose()

    async def check(self, url: str) -> None:
        """Raises `WrongUrl`, or `AddressNotAllowed` if the host is known not to be public. It is checked again before
        each call."""
        target = parse(url)
        try:
            async with asyncio.timeout(CHECKING):
                await self._network.addresses(target.raw_host.decode(), target.port or 443)
        except (NotResolved, TimeoutError):
            log.info("the host of a new webhook has no address now")

    async def post(self, url: str, secret: bytes, message: str, body: bytes) -> Answer:
        """Sends a message under its name. Reads nothing of the answer but its head; never raises for what a receiver
        does."""
        try:
            async with asyncio.timeout(self._timeout):
                return await self._post(parse(url), secret, message, body)
        except (WrongUrl, AddressNotAllowed) as refused:
            return Answer(error=refused.code)
        except NotResolved:
            return Answer(error="not_resolved")
        except (TimeoutError, httpcore.TimeoutException):
            return Answer(error="timeout")
        except httpcore.ConnectError as error:
            is_tls = any(isinstance(one, ssl.SSLError) for one in error.args)
            return Answer(error="tls" if is_tls else "not_connected")
        except (httpcore.NetworkError, httpcore.ProtocolError):
            return Answer(error="dropped")

    async def _post(self, target: httpx.URL, secret: bytes, message: str, body: bytes) -> Answer:
        at = datetime.now(UTC)  # real time, never the demonstration's: receivers compare it with theirs
        headers = {
            "Host": target.netloc.decode(),
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            "User-Agent": "batalkan",
            "webhook-id": message,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": Webhook(secret).sign(message, at, body.decode()),
        }
        url = httpcore.URL(scheme=target.raw_scheme, host=target.raw_host, port=target.port, target=target.raw_path)
        async with self._pool.stream("POST", url, headers=list(headers.items()), content=body) as answer:
            return answer_of(answer.status)
