"""How much memory passwords take at once."""

import asyncio
import os
from pathlib import Path
from threading import Barrier, BrokenBarrierError
from typing import Any

import pytest
import yaml
from argon2 import PasswordHasher

from services.accounts.passwords import MAX_AT_ONCE, Passwords
from tests.harness.accounts import PASSWORD, QUICK

ROOT = Path(__file__).parents[2]
UNITS = {"m": 1 << 20, "Mi": 1 << 20}


def limits() -> dict[str, str]:
    """The limit of memory of the container of `accounts`, by file."""
    compose: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
    pod: dict[str, Any] = yaml.safe_load((ROOT / "deploy/kubernetes/hardened/pod.yaml").read_text())
    (container,) = pod["spec"]["template"]["spec"]["containers"]
    return {
        "compose.yaml": compose["services"]["accounts"]["mem_limit"],
        "pod.yaml": container["resources"]["limits"]["memory"],
    }


@pytest.mark.parametrize("file", limits())
def test_hashes_fit_into_the_container(file: str) -> None:
    """All hashes that are made at once leave half of the container's memory to the process itself."""
    limit = limits()[file]
    number = limit.rstrip("Mim")
    assert MAX_AT_ONCE * PasswordHasher().memory_cost * 1024 <= int(number) * UNITS[limit[len(number) :]] / 2


async def test_a_host_with_many_cores_makes_no_more_hashes_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine with 64 cores a fifth check waits until one of four is done."""
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    passwords, five, checks = Passwords(QUICK), Barrier(5), list[str]()

    def together(password_hash: str, _: str) -> bool:
        checks.append(password_hash)
        five.wait(0.5)
        return True

    monkeypatch.setattr(passwords, "_verify", together)
    done = await asyncio.gather(*(passwords.verify(None, PASSWORD) for _ in range(5)), return_exceptions=True)
    assert len(checks) == 5
    assert all(isinstance(outcome, BrokenBarrierError) for outcome in done)
