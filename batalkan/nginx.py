"""The part of the gateway's configuration that is made where it runs: name server, trusted proxies, hosts.

`python -m batalkan.nginx FOLDER` writes all of it into FOLDER: in Kubernetes, before nginx starts.
"""

import re
import shutil
import sys
from pathlib import Path

from runtime.http.hosts import LOOPBACK
from runtime.settings import Environment, SettingInvalid

DOCKER = "nameserver 127.0.0.11"
"""As in a container's /etc/resolv.conf, without domains: Docker's names have none."""


def entrance(env: Environment, resolv_conf: str = DOCKER) -> str:
    """TRUSTED_PROXIES and ALLOWED_HOSTS as nginx configuration, and the name server, which nginx reads from no file.
    Raises `SettingInvalid`."""
    server = re.findall(r"^nameserver\s+(\S+)", resolv_conf, re.MULTILINE)[0]
    domains = re.findall(r"^search\s+(\S+)", resolv_conf, re.MULTILINE)
    proxies = [network for network in env.trusted_proxies() if not network.startswith("::ffff:")]
    known = LOOPBACK | env.allowed_hosts("")
    return "".join(
        [
            f"resolver {f'[{server}]' if ':' in server else server} valid=2s ipv6=off;\n",
            f'map $host $domain {{ default "{"".join(f".{domain}" for domain in domains)}"; }}\n',
            *(f"set_real_ip_from {network};\n" for network in proxies),
            "geo $realip_remote_addr $trusted_peer {\n    default 0;\n",
            *(f"    {network} 1;\n" for network in proxies),
            "}\nmap $host $known_host {\n    default 0;\n",
            *(f'    "{name}" 1;\n' for name in sorted(known)),
            "}\n",
        ]
    )


def main(folder: Path) -> None:
    """Writes the configuration of the gateway's Pod."""
    try:
        text = entrance(Environment.of_process(), Path("/etc/resolv.conf").read_text())
    except SettingInvalid as invalid:
        sys.exit(f"gateway: {invalid}")
    (folder / "entrance.conf").write_text(text)
    shutil.copy(Path(__file__).parents[1] / "deploy" / "gateway" / "nginx.conf", folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
