"""What is provisioned for the profile `observability` fits together.

The files of Grafana and the collector are read, and not run.
"""

import json
import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "observability"
MOUNTED = "/etc/batalkan"
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
OUTWARD = {"gateway", "management", "grafana"}
"""The services that publish a port."""


def test_every_container_is_hardened() -> None:
    """No service of compose.yaml, in any profile, is root or writes to its root file system; all are limited. Ports are
    published on 127.0.0.1, and only services with one, and the service that calls webhooks, are in a network that leads
    outside."""
    assert {name for name, service in COMPOSE["services"].items() if "ports" in service} == OUTWARD
    for name, service in COMPOSE["services"].items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert str(service["user"]).partition(":")[0] not in ("", "0", "root"), name
        assert service["mem_limit"], name
        assert service["pids_limit"], name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
        assert ("public" in service.get("networks", [])) == (name in OUTWARD), name
        assert ("internet" in service.get("networks", [])) == (name == "notifications"), name
    internal = {name for name, network in COMPOSE["networks"].items() if network and network["internal"]}
    assert COMPOSE["networks"].keys() - internal == {"public", "internet"}


def test_a_profile_starts_nothing_else() -> None:
    """Nothing that always runs depends on a service of a profile."""
    services = COMPOSE["services"]
    for name, service in services.items():
        for needed in service.get("depends_on", {}):
            assert set(services[needed].get("profiles", [])) <= set(service.get("profiles", [])), name


def test_mounted_files_exist() -> None:
    """Every file below the mounted configuration that is named anywhere is in the repository."""
    texts = [(ROOT / "compose.yaml").read_text(), *(path.read_text() for path in FOLDER.rglob("*.yml"))]
    named = {path for text in texts for path in re.findall(rf"{MOUNTED}/([\w./]+)", text)}
    assert len(named) >= 4
    assert [path for path in named if not (FOLDER / path).exists()] == []


def test_the_collector_has_what_its_pipelines_name() -> None:
    """Receivers, processors and exporters of the pipelines are configured, and go to services of compose.yaml."""
    collector = yaml.safe_load((FOLDER / "collector.yml").read_text())
    for pipeline in collector["service"]["pipelines"].values():
        for kind, names in pipeline.items():
            assert set(names) <= set(collector[kind]), kind
    assert collector["exporters"]["otlp"]["endpoint"].partition(":")[0] in COMPOSE["services"]


def test_grafana_answers_under_its_own_name_only() -> None:
    """Grafana has no sign-in: a page of a stranger, whose name has come to mean this machine, is sent to Grafana's own
    address, which is the published one."""
    grafana = COMPOSE["services"]["grafana"]
    address, _, port = grafana["ports"][0].removesuffix(":3000").partition(":")
    settings = {name: value for name, value in grafana["environment"].items() if name.startswith("GF_SERVER_")}
    assert settings == {
        "GF_SERVER_DOMAIN": address,
        "GF_SERVER_ENFORCE_DOMAIN": "true",
        "GF_SERVER_ROOT_URL": f"http://{address}:{port}/",
    }


def test_grafana_has_its_sources_and_dashboards() -> None:
    """The data sources are services in a network of Grafana's; the dashboards have ids and panels of their own, and the
    source of all is the default one."""
    services = COMPOSE["services"]
    sources = yaml.safe_load((FOLDER / "grafana/datasources/batalkan.yml").read_text())["datasources"]
    for source in sources:
        host = source["url"].removeprefix("http://").partition(":")[0]
        assert set(services[host]["networks"]) & set(services["grafana"]["networks"]), host
    assert [source["type"] for source in sources if source.get("isDefault")] == ["prometheus"]
    uids = {source["uid"] for source in sources}
    assert {to["datasourceUid"] for to in sources[0]["jsonData"]["exemplarTraceIdDestinations"]} <= uids
    dashboards = [json.loads(path.read_text()) for path in sorted((FOLDER / "dashboards").glob("*.json"))]
    assert len({one["uid"] for one in dashboards}) == len(dashboards) == 4
    for dashboard in dashboards:
        panels = dashboard["panels"]
        assert len({panel["id"] for panel in panels}) == len(panels)
        assert not any("datasource" in panel for panel in panels)
        assert len({(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}) == len(panels)
    assert any(target.get("exemplar") for one in dashboards for panel in one["panels"] for target in panel["targets"])
