"""nginx as a process of ours: with the gateway's configuration of deploy/, and as a terminator of TLS."""

import asyncio
import os
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from batalkan.nginx import entrance
from batalkan.servers.data_folder import free_ports, is_free
from batalkan.servers.packages import need
from runtime.settings import Environment

GATEWAY = Path(__file__).parents[2] / "deploy" / "gateway" / "nginx.conf"

NO_PORT = 1
"""A port on which nothing listens."""

TERMINATOR = Path(__file__).with_name("terminator.conf").read_text()
"""It speaks to what is behind it from an address that is not the clients'."""


@asynccontextmanager
async def gateway(service: int, log: Path, **settings: str) -> AsyncIterator[int]:
    """The port of the gateway that compose runs; every service of it is at the port `service`. `log` gets what it
    writes."""
    with TemporaryDirectory(prefix="batalkan-nginx-") as folder:
        port = next(free_ports())
        async with _running(Path(folder), _local_config(Path(folder), port, service, Environment(settings)), port, log):
            yield port


@asynccontextmanager
async def terminator(behind: int, log: Path) -> AsyncIterator[tuple[int, ssl.SSLContext]]:
    """The port that speaks TLS for the port `behind`, and what trusts its certificate."""
    with TemporaryDirectory(prefix="batalkan-nginx-") as folder:
        port, folder_path = next(free_ports()), Path(folder)
        self_signed(folder_path)
        async with _running(folder_path, TERMINATOR.format(folder=folder, port=port, behind=behind), port, log):
            yield port, ssl.create_default_context(cafile=f"{folder}/cert.pem")


def _local_config(folder: Path, port: int, service: int, settings: Environment) -> str:
    """The gateway's configuration with this machine's ports and folders."""
    (folder / "entrance.conf").write_text(entrance(settings))
    text = GATEWAY.read_text().replace("/tmp/", f"{folder}/").replace("/run/config/", f"{folder}/")  # noqa: S108
    text = text.replace("listen 8080", f"listen 127.0.0.1:{port}")
    text, passed = re.subn(r"http://\$service\$domain:8000", f"http://127.0.0.1:{service}", text)
    assert passed == 3
    return f"daemon off;\n{text}"


@asynccontextmanager
async def _running(folder: Path, text: str, port: int, log: Path) -> AsyncIterator[None]:
    user = "" if os.geteuid() else "user root;\n"  # else its workers could not reach the folder
    (folder / "nginx.conf").write_text(user + text)
    command = [str(need("nginx")), "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")]
    with log.open("ab") as out:
        process = await asyncio.create_subprocess_exec(*command, stdout=out, stderr=out)
        try:
            async with asyncio.timeout(10):
                while is_free(port):
                    assert process.returncode is None, f"nginx ended: {log}"
                    await asyncio.sleep(0.02)
            yield
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


def self_signed(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "shop.example")])
    names = x509.SubjectAlternativeName([x509.DNSName("shop.example"), x509.DNSName("localhost")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(days=1))
    signed = made.add_extension(names, critical=False).sign(key, hashes.SHA256())
    (folder / "cert.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    private = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "key.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, *private))
