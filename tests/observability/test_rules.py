"""The rules of deploy/observability: Prometheus accepts them, they fire and stay silent, and people know what to do."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from batalkan.servers.packages import need

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "observability"

pytestmark = [pytest.mark.servers]


def promtool(*arguments: str | Path) -> str:
    """What promtool says; fails with it if there is a mistake."""
    tool = need("prometheus").with_name("promtool")
    done = subprocess.run([tool, *arguments], capture_output=True, text=True, check=False)  # noqa: S603 - from a package
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def alerts() -> dict[str, dict[str, Any]]:
    """The alert rules by their names."""
    groups = yaml.safe_load((FOLDER / "rules.yml").read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"] if "alert" in rule}


def test_prometheus_accepts_its_files() -> None:
    """Configuration and rules have no mistake."""
    assert "1 rule files found" in promtool("check", "config", FOLDER / "prometheus.yml")


def test_alerts_fire_and_stay_silent() -> None:
    """Each alert fires for its fault; none fires in a system that is busy, or idle, and within its limits."""
    promtool("test", "rules", FOLDER / "rules_test.yml")


def test_every_alert_is_seen_firing_and_silent() -> None:
    """The tests have a case for each alert in which it fires. Where none fires, every metric of the alerts is there."""
    cases = yaml.safe_load((FOLDER / "rules_test.yml").read_text())["tests"]
    fired = {
        name
        for case in cases
        for check in case["promql_expr_test"]
        for sample in check["exp_samples"]
        for name in re.findall(r'alertname="(\w+)"', sample["labels"])
    }
    assert fired == set(alerts())
    series = " ".join(line["series"] for line in cases[0]["input_series"])
    rules = (FOLDER / "rules.yml").read_text()
    used = set(re.findall(r"batalkan_\w+", rules)) - {"batalkan_parked"}  # absent is what it should be
    assert used == set(re.findall(r"batalkan_\w+", series))


def test_every_alert_has_its_runbook() -> None:
    """docs/monitoring.md has a section for each alert, and no other, with symptom, meaning, where to look, what to do;
    the symptom ends with the severity."""
    text = (ROOT / "docs/monitoring.md").read_text().partition("\n## Alerts\n")[2].partition("\n## ")[0]
    sections = dict(re.findall(r"^### (\w+)\n\n((?:.+\n)+)", text, re.MULTILINE))
    assert set(sections) == set(alerts())
    for name, section in sections.items():
        parts = re.findall(r"^- \*\*(.+)\*\*:", section, re.MULTILINE)
        assert parts == ["Symptom", "Means", "Look at", "Do"], name
        said = section.partition("**Means**")[0]
        assert f"{alerts()[name]['labels']['severity'].capitalize()}" in said, name
