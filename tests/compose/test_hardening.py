"""What the containers may do, seen from the engine and from within."""

import pytest

from tests.compose.stack import Stack, service_of

pytestmark = [pytest.mark.compose, pytest.mark.timeout(240)]


def test_containers_have_no_privileges(stack: Stack) -> None:
    """No container is root, may become root, has a capability, or writes to its root file system; all are limited."""
    for container in stack.containers():
        service, host = service_of(container), container["HostConfig"]
        assert container["Config"]["User"] not in ("", "0", "root"), service
        assert host["ReadonlyRootfs"], service
        assert (host["CapDrop"], host["CapAdd"], host["Privileged"]) == (["ALL"], None, False), service
        assert "no-new-privileges:true" in host["SecurityOpt"], service
        assert host["Memory"] > 0, service
        assert host["PidsLimit"] > 0, service


@pytest.mark.parametrize("service", ["gateway", "accounts", "dana", "postgres", "rabbitmq", "redis"])
def test_a_process_has_no_capabilities(stack: Stack, service: str) -> None:
    """The first process in the container is not root and holds no capability."""
    lines = stack.run_in(service, "cat", "/proc/1/status").splitlines()
    status = {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
    assert "0" not in status["Uid"]
    assert {int(status[name][0], 16) for name in ("CapEff", "CapPrm", "CapBnd")} == {0}
    assert status["NoNewPrivs"] == ["1"]


def test_published_port_is_the_gateways(stack: Stack) -> None:
    """One port can be reached from the machine, and from no other machine: the gateway's, on 127.0.0.1."""
    published = {
        service_of(container): [binding["HostIp"] for binds in bindings.values() for binding in binds]
        for container in stack.containers()
        if (bindings := container["HostConfig"]["PortBindings"])
    }
    assert published == {"gateway": ["127.0.0.1"]}


def test_other_containers_have_internal_networks(stack: Stack) -> None:
    """All other containers are in networks that lead nowhere else, but the service that calls webhooks."""
    for container in stack.containers():
        outward = {name for name in container["NetworkSettings"]["Networks"] if not stack.is_internal(name)}
        assert len(outward) == (service_of(container) in ("gateway", "notifications")), service_of(container)


def test_mounts_are_volumes_of_the_stack(stack: Stack) -> None:
    """All mounts are volumes of this stack, so it runs the same on an engine that is elsewhere."""
    mounts = [mount for container in stack.containers() for mount in container["Mounts"]]
    assert {mount["Type"] for mount in mounts} == {"volume"}
    assert all(mount["Name"].startswith("batalkan-test-") for mount in mounts)
