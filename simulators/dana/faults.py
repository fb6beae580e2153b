"""The ways in which a partner can fail, switched while it runs."""

import asyncio
from enum import Enum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from simulators.dana.replies import Service


class Mode(Enum):
    """What happens to a call. FAIL and PENDING mean something to top-ups only."""

    NONE = "none"
    SLOW = "slow"
    """Carried out and answered only after `seconds`, also when the caller has long gone."""
    FAIL = "fail"
    """5003800. The failure is kept under the reference, as DANA does, unless `recorded` is false."""
    TIMEOUT_BEFORE = "timeout_before"
    """Hangs for `seconds` without having done anything, then 504."""
    TIMEOUT_AFTER = "timeout_after"
    """Pays, then hangs for `seconds`, then 504."""
    DROP_BEFORE = "drop_before"
    """Closes the connection without having done anything."""
    DROP_AFTER = "drop_after"
    """Pays, then closes the connection."""
    THROTTLE = "throttle"
    """429, nothing done."""
    DOWN = "down"
    """503 to everything, whatever `applies_to` says; not even in SNAP BI's form, as from a gateway."""
    PENDING = "pending"
    """2023800; the payment becomes `settles_as` after `seconds`, or when the control interface settles it."""


class Fault(BaseModel):
    """One fault. `times` is how many calls it strikes before all is well again; without it, all until it is changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mode: Mode = Mode.NONE
    seconds: float | None = Field(default=None, ge=0, le=60)
    times: int | None = Field(default=None, ge=1)
    applies_to: Literal["topup", "all"] = "topup"
    recorded: bool = True
    settles_as: Literal["paid", "failed"] = "paid"

    @property
    def wait(self) -> float:
        """Seconds of a hang or a delay; by default longer than the 8 s that partners wait."""
        return 12.0 if self.seconds is None else self.seconds

    def strikes(self, service: Service) -> bool:
        """Whether a call to this service meets the fault."""
        return service is Service.TOP_UP or self.applies_to == "all" or self.mode is Mode.DOWN


class Faults:
    """The fault that is set, counted down; and the calls that hang, which end when the simulator stops."""

    def __init__(self) -> None:
        self.current = Fault()
        self._stopping = asyncio.Event()

    def take(self, service: Service) -> Fault:
        """What this call meets; uses up one of `times`."""
        fault = self.current
        if not fault.strikes(service):
            return Fault()
        if fault.times is not None:
            self.current = fault.model_copy(update={"times": fault.times - 1}) if fault.times > 1 else Fault()
        return fault

    async def hang(self, fault: Fault) -> None:
        """Waits as long as the fault says, or until the simulator stops."""
        try:
            async with asyncio.timeout(fault.wait):
                await self._stopping.wait()
        except TimeoutError:
            return

    def stop(self) -> None:
        """Ends every hang, now and from now on."""
        self._stopping.set()
