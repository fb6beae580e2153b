"""The scenarios: one module for each kind of fault, with `run` and `LONG`."""

from importlib import import_module
from typing import cast

from lab.faults.lab import Scenario

NAMES = (
    *("killing", "crash_points", "stopping", "races", "dana", "silence"),
    *("broker", "database", "read_only", "redis", "network", "repeats", "hostile", "clocks", "summer_time", "topology"),
    "partitions",
    "disk",
)
"""In the order in which they run."""


def scenario(name: str) -> Scenario:
    """The module of that name."""
    return cast(Scenario, import_module(f"{__name__}.{name}"))
