"""What the Pods get: the gateway's configuration, and the files of the Secrets."""

from pathlib import Path

from batalkan.nginx import entrance
from batalkan.secrets import fill_folder
from runtime.settings import Environment
from services import SERVICES

POD = """search batalkan.svc.cluster.local svc.cluster.local cluster.local
nameserver 10.96.0.10
options ndots:5
"""


def test_the_gateway_asks_the_name_server_of_its_pod() -> None:
    """nginx gets the cluster's name server and the domain of the namespace; in compose Docker's, without a domain."""
    first, second = entrance(Environment({}), POD).splitlines()[:2]
    assert first == "resolver 10.96.0.10 valid=2s ipv6=off;"
    assert second == 'map $host $domain { default ".batalkan.svc.cluster.local"; }'
    assert entrance(Environment({}), "nameserver fd00::a").startswith("resolver [fd00::a] ")
    first, second = entrance(Environment({})).splitlines()[:2]
    assert (first, second) == ("resolver 127.0.0.11 valid=2s ipv6=off;", 'map $host $domain { default ""; }')


def test_what_others_have_in_the_folder_stays(tmp_path: Path) -> None:
    """A folder of the name of a server that has no Secret is no one's but the user's."""
    (tmp_path / "gateway").mkdir()
    (tmp_path / "gateway" / "mine").write_text("kept")
    fill_folder(tmp_path, list(SERVICES))
    assert [path.name for path in (tmp_path / "gateway").iterdir()] == ["mine"]


def test_a_second_run_keeps_the_secrets(tmp_path: Path) -> None:
    """Each Secret is a folder that only its owner can enter; passwords and keys stay when the command runs again."""
    fill_folder(tmp_path, list(SERVICES))
    before = {path: path.read_bytes() for name in SERVICES for path in (tmp_path / name).iterdir()}
    fill_folder(tmp_path, list(SERVICES))
    assert {path: path.read_bytes() for path in before} == before
    assert {path.name for path in tmp_path.iterdir()} == {
        *SERVICES,
        "dana",
        "operator",
        "postgres",
        "rabbitmq",
        "redis",
    }
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o700}
