"""The short form of every scenario of the laboratory; `make faults ARGS="run … --long"` has the full numbers."""

import os
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import AsyncMock

import pytest
from typer.testing import CliRunner

from lab.faults import mutations
from lab.faults.cli import app
from lab.faults.lab import Lab
from lab.faults.mutations import MUTATIONS, Mutation
from lab.faults.runner import AGES, BUDGETS, Outcome, run
from lab.faults.scenarios import NAMES
from lab.faults.system import LabSystem
from tests.harness.prometheus import Prometheus


@pytest.mark.servers
@pytest.mark.timeout(420)
@pytest.mark.parametrize("name", NAMES)
async def test_short_form(system: LabSystem, name: str, tmp_path: Path) -> None:
    """All invariants hold after the scenario; SEED in the environment repeats its random choices."""
    seed = os.environ.get("SEED")
    report = await run(system, name, seed=int(seed) if seed else None, long=False, folder=tmp_path)
    if report.ending is Outcome.NOT_RUN:
        pytest.skip(" ".join(report.sentences))
    assert report.ending is Outcome.HELD, "\n".join([report.line(), *report.sentences])


@pytest.mark.servers
async def test_an_unexpected_alert_breaks_a_run(
    system: LabSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run in which an alert fires that the scenario does not expect is reported with the alert's name."""

    async def calm(lab: Lab) -> None:
        await lab.at_rest()

    monkeypatch.setattr("lab.faults.runner.scenario", lambda _: SimpleNamespace(run=calm, LONG={}))
    held = await run(system, "calm", seed=1, long=False, folder=tmp_path / "held")
    monkeypatch.setattr(Prometheus, "fired", AsyncMock(return_value={"DeadLetters", *BUDGETS, *AGES}))
    broken = await run(system, "calm", seed=1, long=False, folder=tmp_path / "broken")
    assert (held.ending, held.sentences) == (Outcome.HELD, [])
    assert (broken.ending, broken.sentences) == (Outcome.BROKEN, ["an alert fired: DeadLetters"])


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda one: one.name)
def test_mutation_applies(mutation: Mutation) -> None:
    """Each mutation applies to the source; `make faults ARGS=mutations` shows that a scenario detects it."""
    source = (mutations.TREE / mutation.file).read_text()
    assert mutations.mutated(mutation, source) != source
    assert mutation.scenario in NAMES


@pytest.mark.servers
@pytest.mark.timeout(180)
def test_a_mutation_is_detected(tmp_path: Path) -> None:
    """A scenario that runs on a mutated copy of the source reports the broken invariant."""
    mutation = next(one for one in MUTATIONS if one.name == "without the version check")
    report = mutations.run(mutation, 31, tmp_path)
    assert report["ending"] == Outcome.BROKEN.value, report["sentences"]


def test_command_lists_the_scenarios() -> None:
    """`make faults ARGS=list` describes each scenario; a wrong name or number gives exit code 2."""
    listed = CliRunner().invoke(app, ["list"])
    assert listed.exit_code == 0
    assert [line.split("  ")[0] for line in listed.stdout.splitlines()] == list(NAMES)
    for wrong in (["peace"], ["disk", "--set", "full"], ["disk", "--set", "full=long"], ["disk", "--set", "depth=1"]):
        assert CliRunner().invoke(app, ["run", *wrong]).exit_code == 2
