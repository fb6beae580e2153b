"""What the files of compose say, without Docker."""

from typing import Any

import yaml

from tests.compose.stack import ROOT


def read(path: str) -> dict[str, Any]:
    """A YAML file of the repository."""
    found: dict[str, Any] = yaml.safe_load((ROOT / path).read_text())
    return found


def test_the_superuser_can_copy_the_cluster_through_the_socket() -> None:
    """PostgreSQL takes pg_basebackup from its superuser, alone and under Patroni; `all` databases are not enough."""
    alone = (ROOT / "deploy/postgres/pg_hba.conf").read_text().splitlines()
    for rules in (alone, read("deploy/postgres/patroni.yml")["postgresql"]["pg_hba"]):
        through_the_socket = [rule.split()[1:] for rule in rules if rule.startswith("local")]
        assert through_the_socket == [["all", "postgres", "peer"], ["replication", "postgres", "peer"]]


def test_a_new_service_recreates_what_reads_the_list_at_start() -> None:
    """The list of services is in the definition of each server whose configuration, written by init, has it."""
    services = read("compose.yaml")["services"]
    for name in ("gateway", "rabbitmq", "redis"):
        assert services[name]["environment"]["SERVICES"] == services["init"]["environment"]["SERVICES"], name


def test_replacing_a_member_of_etcd_leaves_the_others_alone() -> None:
    """The variable with which an empty member joins is in the definition of this member alone."""
    for name, container in read("compose.ha.yaml")["services"].items():
        if name.startswith("etcd-"):
            own = f"${{{name.upper().replace('-', '_')}_STATE:-new}}"
            assert container["environment"] == {"ETCD_INITIAL_CLUSTER_STATE": own}
