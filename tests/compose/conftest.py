"""One stack for all tests of this folder, and people who use it."""

import subprocess
from collections.abc import Iterator
from secrets import token_hex

import httpx
import pytest

from tests.browser.conftest import browser as browser  # the same program as there
from tests.compose.shopping import Shopper
from tests.compose.stack import Stack


def why_not() -> str | None:
    """Why nothing can be tested here, if so."""
    commands = (
        (["docker", "info"], "no Docker engine answers here"),
        (["docker", "compose", "version"], "no Compose v2"),
    )
    for command, reason in commands:
        try:
            subprocess.run(command, capture_output=True, check=True, timeout=20)  # noqa: S603 - the commands above
        except (OSError, subprocess.SubprocessError):
            return reason
    return None


@pytest.fixture(scope="package")
def stack() -> Iterator[Stack]:
    """Everything, from nothing; and nothing of it left behind."""
    if reason := why_not():
        pytest.skip(f"{reason}: compose.yaml was not tried")
    stack = Stack(f"batalkan-test-{token_hex(4)}")
    try:
        stack.up()
        yield stack
    finally:
        stack.compose("down", "--volumes", "--timeout", "5")


@pytest.fixture
def http(stack: Stack) -> Iterator[httpx.Client]:
    """A client of the gateway."""
    with httpx.Client(base_url=stack.url, timeout=30) as client:
        yield client


@pytest.fixture(scope="package")
def shopper(stack: Stack) -> Iterator[Shopper]:
    """A new buyer and a new seller with something to sell."""
    with httpx.Client(base_url=stack.url, timeout=30) as client:
        yield Shopper.arrive(client)
