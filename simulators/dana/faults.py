"""DANA's faults, switched while the simulator runs."""

import asyncio
from enum import Enum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from simulators.dana.replies import Service


class Mode(Enum):
    """The effect on a call. FAIL and PENDING affect top-ups only."""

    NONE = "none"
    SLOW = "slow"
    """Executes and answers the call after `seconds`, also if the caller has disconnected."""
    FAIL = "fail"
    """5003800. The reference keeps this result, as at DANA, unless `recorded` is false."""
    TIMEOUT_BEFORE = "timeout_before"
    """Hangs for `seconds` without executing the call, then answers 504."""
    TIMEOUT_AFTER = "timeout_after"
    """Pays, hangs for `seconds`, then answers 504."""
    DROP_BEFORE = "drop_before"
    """Closes the connection without executing the call."""
    DROP_AFTER = "drop_after"
    """Pays, then closes the connection."""
    THROTTLE = "throttle"
    """429, without executing the call."""
    DOWN = "down"
    """503 to every call, regardless of `applies_to`, and not in SNAP BI's form: as from a gateway."""
    PENDING = "pending"
    """2023800; the payment becomes `settles_as` after `seconds`, or when the control interface settles it."""


class Fault(BaseModel):
    """One fault. It affects the next `times` calls, or without `times` all calls until it is changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mode: Mode = Mode.NONE
    seconds: float | None = Field(default=None, ge=0, le=60)
    times: int | None = Field(default=None, ge=1)
    applies_to: Literal["topup", "all"] = "topup"
    recorded: bool = True
    settles_as: Literal["paid", "failed"] = "paid"

    @property
    def wait(self) -> float:
        """Seconds of a hang or a delay; by default longer than the 8 s timeout of partners."""
        return 12.0 if self.seconds is None else self.seconds

    def affects(self, service: Service) -> bool:
        """Whether the fault affects calls to this service."""
        return service is Service.TOP_UP or self.applies_to == "all" or self.mode is Mode.DOWN


class Faults:
    """The current fault, counted down, and the hanging calls, which end when the simulator stops."""

    def __init__(self) -> None:
        self.current = Fault()
        self._stopping = asyncio.Event()

    def take(self, service: Service) -> Fault:
        """The fault for this call; uses one of `times`."""
        fault = self.current
        if not fault.affects(service):
            return Fault()
        if fault.times is not None:
            self.current = fault.model_copy(update={"times": fault.times - 1}) if fault.times > 1 else Fault()
        return fault

    async def hang(self, fault: Fault) -> None:
        """Waits for `fault.wait` seconds, or until the simulator stops."""
        try:
            async with asyncio.timeout(fault.wait):
                await self._stopping.wait()
        except TimeoutError:
            return

    def stop(self) -> None:
        """Ends every hang, now and from now on."""
        self._stopping.set()
