"""A private Prometheus, from the distribution's package, with the rules of deploy/observability."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import Any

import httpx
import yaml

from batalkan.servers.data_folder import free_ports
from batalkan.servers.packages import need
from batalkan.subprocesses import Child, Reaper
from tests.harness.waiting import eventually

FOLDER = Path(__file__).parents[2] / "deploy" / "observability"


@dataclass(frozen=True)
class Prometheus:
    """Answers queries."""

    http: httpx.AsyncClient

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """The series of an instant query that are numbers; raises AssertionError for a wrong one."""
        answer = (await self.http.get("/api/v1/query", params={"query": expression})).json()
        assert answer["status"] == "success", (expression, answer)
        found: list[dict[str, Any]] = answer["data"]["result"]
        return [series for series in found if not isnan(float(series["value"][1]))]

    async def becomes(self, condition: str) -> None:
        """Waits until a comparison has a series for which it holds."""
        await eventually(lambda: self.query(condition), within=20)

    async def active(self, alert: str = ".*", state: str = "pending|firing") -> set[str]:
        """The names of the alerts that are in such a state now; both are regular expressions."""
        found = await self.query(f'ALERTS{{alertname=~"{alert}", alertstate=~"{state}"}}')
        return {series["metric"]["alertname"] for series in found}

    async def fired(self, seconds: float) -> set[str]:
        """The names of the alerts that have fired within so many seconds."""
        found = await self.query(f'max_over_time(ALERTS{{alertstate="firing"}}[{max(1, round(seconds))}s])')
        return {series["metric"]["alertname"] for series in found}

    async def names(self) -> set[str]:
        """The names of all metrics that it has."""
        return set((await self.http.get("/api/v1/label/__name__/values")).json()["data"])

    async def rules(self) -> list[dict[str, Any]]:
        """The rules, with their health."""
        groups = (await self.http.get("/api/v1/rules")).json()["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]


@asynccontextmanager
async def prometheus(
    folder: Path, targets: Mapping[str, Sequence[str]], every: str = "1s", offset: str = "30s"
) -> AsyncIterator[Prometheus]:
    """Scrapes `host:port` addresses, by the path of their metrics, and as often evaluates the rules.

    `offset` replaces that of the rules' objectives.
    """
    rules = (FOLDER / "rules.yml").read_text()
    assert rules.count("offset 30s") == 5
    (folder / "rules.yml").write_text(rules.replace("offset 30s", f"offset {offset}"))
    config = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": every, "evaluation_interval": every}
    config["scrape_configs"] = [
        {"job_name": path.split("/")[1], "metrics_path": path, "static_configs": [{"targets": list(addresses)}]}
        for path, addresses in targets.items()
    ]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    port, reaper = next(free_ports()), Reaper()
    options = [
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    child = Child("Prometheus", [need("prometheus"), *options], reaper=reaper, log=folder / "log")
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:

        async def ready() -> bool:
            try:
                return (await http.get("/-/ready")).is_success
            except httpx.HTTPError:
                return False

        child.spawn()
        try:
            await child.until(ready, timeout=30)
            yield Prometheus(http)
        finally:
            await child.stop(10)
            reaper.close()
