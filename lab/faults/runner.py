"""Runs a scenario and reports its outcome, with everything that is needed to repeat it."""

import json
import random
import re
import traceback
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from inspect import signature
from pathlib import Path
from typing import Any

from lab.faults.history import History
from lab.faults.lab import Lab, Scenario
from lab.faults.outcomes import CannotRun, InvariantBroken, found_in
from lab.faults.scenarios import scenario
from lab.faults.system import InternalError, LabSystem

BUDGETS = {"CancelBudgetBurnsFast", "RefundBudgetBurnsFast"}
"""Alerts that any scenario may fire: how much of a budget a fault uses up depends on the machine."""
AGES = {"QueueStuck", "OutboxOld", "DeadlinesOverdue", "RefundsMissing"}
"""Alerts that any scenario may fire: the laboratory moves the clock by minutes, which makes old what waits."""


class Outcome(StrEnum):
    """How a run ended. `LAB`: the laboratory itself failed, so nothing is known of the system."""

    HELD = "held"
    BROKEN = "broken"
    LAB = "the laboratory failed"
    NOT_RUN = "not run"


@dataclass(frozen=True)
class Report:
    """The report of one run."""

    scenario: str
    seed: int
    form: str
    ending: Outcome
    seconds: float
    folder: str
    figures: dict[str, Any] = field(default_factory=dict)
    sentences: list[str] = field(default_factory=list)

    def line(self) -> str:
        """The report in one line, with the command that repeats the run."""
        figures = ", ".join(f"{name} {value}" for name, value in self.figures.items())
        again = f'make faults ARGS="run {self.scenario} --seed {self.seed} --{self.form}"'
        return f"{self.scenario}: {self.ending} in {self.seconds:.0f} s ({figures}); again: {again}; in {self.folder}"


async def run(
    system: LabSystem,
    name: str,
    *,
    seed: int | None,
    long: bool,
    folder: Path,
    numbers: Mapping[str, str] | None = None,
) -> Report:
    """Repairs the system, then runs one scenario on it. Never raises what the scenario found.

    `numbers` override those of its form.
    """
    seed = random.randrange(10**6) if seed is None else seed
    form, module = "long" if long else "short", scenario(name)
    size = numbers_of(module, long, numbers or {})
    form = " --set ".join([form, *(f"{key}={value}" for key, value in (numbers or {}).items())])
    base = folder / f"{name}-{'long' if long else 'short'}-{seed}"
    history = History(base)
    lab = Lab(system, history, seed)
    history.note("run", scenario=name, form=form, seed=seed)
    ending = Outcome.HELD
    sentences: list[str] = []
    try:
        await system.repair()
        system.new_errors()
        before = await system.alerts.active()
        await module.run(lab, **size)
        lab.figures = {"cancels": len(history.accepted), "parts": len(history.parts), **lab.figures}
        # Parking is logged as an error; the invariants check that only injected messages are parked.
        # A service that is told to stop before it serves writes one line.
        expected = re.compile(r": parked |: terminated$")
        expected_alerts = before | lab.expected_alerts | BUDGETS | AGES | {*getattr(module, "ALERTS", ())}
        if alerts := await system.alerts.fired(history.seconds) - expected_alerts:
            raise InvariantBroken([f"an alert fired: {alert}" for alert in sorted(alerts)])
        if errors := [one for one in system.new_errors() if not expected.search(one)]:
            raise InvariantBroken([f"a service logged an error: {one}" for one in errors])
    except BaseException as error:
        if not isinstance(error, (Exception, BaseExceptionGroup)):
            raise
        ending, sentences = _outcome(error)
    history.note("end", ending=ending, figures=lab.figures, sentences=sentences)
    report = Report(name, seed, form, ending, history.seconds, str(base), lab.figures, sentences)
    (base / "report.json").write_text(json.dumps(asdict(report), indent=1, default=str))
    history.close()
    return report


def numbers_of(module: Scenario, long: bool, given: Mapping[str, str]) -> dict[str, Any]:
    """The numbers of a form, some of them given. Raises ValueError for an unknown name."""
    _, *parameters = signature(module.run).parameters.values()
    known = {one.name: one.default for one in parameters}
    if unknown := given.keys() - known.keys():
        raise ValueError(f"unknown number {', '.join(sorted(unknown))}; the numbers are {', '.join(known)}")
    return (dict(module.LONG) if long else {}) | {name: type(known[name])(number) for name, number in given.items()}


def _outcome(error: BaseException) -> tuple[Outcome, list[str]]:
    if why := found_in(error, CannotRun):
        return Outcome.NOT_RUN, [str(why)]
    if broken := found_in(error, InvariantBroken):
        return Outcome.BROKEN, broken.broken
    if fault := found_in(error, InternalError):
        return Outcome.BROKEN, [f"a service answered 500: {fault}"]
    return Outcome.LAB, ["".join(traceback.format_exception(error))]
