"""Work that is done again and again, until the service stops."""

import logging
from collections.abc import Awaitable, Callable

from runtime.backoff import Backoff
from runtime.storage.database_errors import is_transient

log = logging.getLogger(__name__)


async def repeat(purpose: str, step: Callable[[], Awaitable[None]], pause: Callable[[], Awaitable[object]]) -> None:
    """Runs `step`, then `pause`, until it is cancelled; a step that fails is tried again with backoff."""
    backoff = Backoff(f"PostgreSQL, to {purpose}", log)
    while True:
        try:
            await step()
            backoff.reset()
        except Exception as error:
            if not is_transient(error):
                log.exception("failed to %s", purpose)
            await backoff.wait(error)
        else:
            await pause()
