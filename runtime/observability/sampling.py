"""Gauges that a query answers: each replica samples its service's database from time to time.

A gauge never shows what is no longer known. When a sample fails, the values of all queries are removed until they
succeed again, and the failure is counted. An age is computed when it is scraped, so it grows between two samples.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import Any

from prometheus_client import Gauge

from runtime.observability.telemetry import SAMPLES_FAILED

EVERY = 10.0
"""Seconds between two samples, at least."""
REST = 100
"""A sample is followed by a pause of at least so many times its duration: however large a table is, counting it takes
1 % of a processor."""
TIMEOUT = 5.0
"""Seconds for one sample."""

Rows = Sequence[tuple[Any, ...]]
Read = Callable[[], Awaitable[Rows]]
"""Reads rows: the labels after `service`, then a number for each gauge; null for none."""

log = logging.getLogger(__name__)


@dataclass
class _Sampled:
    read: Read
    gauges: Sequence[Gauge]
    growing: Collection[Gauge]
    due: float = 0.0
    shown: set[tuple[str, ...]] = field(default_factory=set)


class Sampler:
    """Samples for one service; the values of a gauge are those of the last rows, and no others."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._all: list[_Sampled] = []
        self._failed = SAMPLES_FAILED.labels(service)

    def add(self, read: Read, *gauges: Gauge, growing: Collection[Gauge] = ()) -> None:
        """Samples the gauges with `read`; those in `growing` are ages."""
        self._all.append(_Sampled(read, gauges, growing))

    async def run(self) -> None:
        """Samples until it is cancelled."""
        try:
            while True:
                for sampled in self._all:
                    if sampled.due <= monotonic() and not await self._sample(sampled):
                        break
                await asyncio.sleep(max(0.0, min(one.due for one in self._all) - monotonic()))
        finally:
            self._forget()

    async def _sample(self, sampled: _Sampled) -> bool:
        began = monotonic()
        try:
            async with asyncio.timeout(TIMEOUT):
                rows = await sampled.read()
        except Exception as error:
            log.debug("a sample failed: %r", error)
            self._failed.inc()
            self._forget()
            for one in self._all:  # so that they come back together
                one.due = monotonic() + EVERY
            return False
        now = monotonic()
        sampled.due = now + max(EVERY, REST * (now - began))
        self._show(sampled, rows, now)
        return True

    def _show(self, sampled: _Sampled, rows: Rows, now: float) -> None:
        count = len(sampled.gauges)
        before, sampled.shown = sampled.shown, set()
        for row in rows:
            labels = (self._service, *map(str, row[:-count]))
            for gauge, value in zip(sampled.gauges, row[-count:], strict=True):
                if value is None:
                    _remove(gauge, labels)
                elif gauge in sampled.growing:
                    gauge.labels(*labels).set_function(partial(_grown, float(value), now))
                else:
                    gauge.labels(*labels).set(float(value))
            sampled.shown.add(labels)
        for labels in before - sampled.shown:
            for gauge in sampled.gauges:
                _remove(gauge, labels)

    def _forget(self) -> None:
        for sampled in self._all:
            self._show(sampled, [], 0.0)


def _grown(value: float, since: float) -> float:
    return value + monotonic() - since


def _remove(gauge: Gauge, labels: tuple[str, ...]) -> None:
    with suppress(KeyError):
        gauge.remove(*labels)
