"""A new service: its files, from the templates beside this module, and its name in every list of services."""

import re
from keyword import iskeyword
from pathlib import Path

from services import PORTS

TEMPLATES = Path(__file__).parent / "templates"
FILES = {
    **{
        f"services/SERVICE/{name}.py": f"{name}.py.txt"
        for name in ("__init__", "__main__", "api", "domain", "handlers", "main", "store")
    },
    "services/SERVICE/migrations/0001_SERVICE.py": "migration.py.txt",
    "tests/SERVICE/test_items.py": "test.py.txt",
    "deploy/kubernetes/base/SERVICE.yaml": "kubernetes.yaml.txt",
}
_COMPOSE_SERVICE = """
  SERVICE:
    <<: *service
    command: [python, -m, services.SERVICE]
    environment: *settings
    volumes: ["SERVICE-secrets:/run/secrets:ro"]
    healthcheck: {<<: *health, test: [CMD, python, -IS, deploy/healthy.py, /SERVICE/health/ready]}
"""
_LAYERS = """
[[tool.importlinter.contracts]]
name = "Every module of SERVICE has its layer"
type = "layers"
containers = ["services.SERVICE"]
layers = ["__main__", "main", "api | handlers", "store", "domain"]
exhaustive = true
"""
LISTS = (
    ("services/__init__.py", r'    "\w+": \d+,\n(?=\})', '    "SERVICE": PORT,\n'),
    ("compose.yaml", r"x-services: &services .+", " SERVICE"),
    ("compose.yaml", r"      - web-secrets:/secrets/web\n", "      - SERVICE-secrets:/secrets/SERVICE\n"),
    ("compose.yaml", r"      web: \{condition: service_healthy\}\n", "      SERVICE: {condition: service_healthy}\n"),
    ("compose.yaml", r"    healthcheck: .+/cs/health/ready\]\}\n", _COMPOSE_SERVICE),
    ("compose.yaml", r"      CS_URL: http://cs:8000\n", "      UPPER_URL: http://SERVICE:8000\n"),
    (
        "compose.yaml",
        r"      WEB_DATABASE_URL_FILE: .+\n",
        "      UPPER_DATABASE_URL_FILE: /run/secrets/SERVICE_database_url\n",
    ),
    ("compose.yaml", r"\n  web-secrets:\n", "  SERVICE-secrets:\n"),
    ("compose.cluster.yaml", r"  web: \*service\n", "  SERVICE: *service\n"),
    ("compose.ha.yaml", r"  web: \*service\n", "  SERVICE: *service\n"),
    ("pyproject.toml", r'name = "Every module of web has its layer"\n(.+\n)+exhaustive = true\n', _LAYERS),
    ("Dockerfile", r"-m 755 accounts [a-z_ ]+(?= dana operator)", " SERVICE"),
    ("deploy/gateway/nginx.conf", r"<service>accounts[a-z_|]+", "|SERVICE"),
    ("deploy/observability/prometheus.yml", r"names: \[[a-z_, ]+(?=\])", ", SERVICE"),
    ("deploy/kubernetes/base/kustomization.yaml", r"  - web\.yaml\n", "  - SERVICE.yaml\n"),
    (
        "deploy/kubernetes/base/kustomization.yaml",
        r"      - WEB_DATABASE_URL_FILE=.+\n",
        "      - UPPER_DATABASE_URL_FILE=/run/secrets/SERVICE_database_url\n",
    ),
    (
        "deploy/kubernetes/base/web.yaml",
        r"            - \{name: CS_URL, .+\n",
        '            - {name: UPPER_URL, value: "http://SERVICE:8000"}\n',
    ),
    ("README.md", r"\| \[web\]\(services/web\) .+\n", "| [SERVICE](services/SERVICE) | |\n"),
    ("docs/operations.md", r"accounts 8001[a-z_0-9, ]+(?=, the DANA simulator)", ", SERVICE PORT"),
    ("docs/operations.md", r"`ACCOUNTS_URL`[A-Z_`, ]+(?= \|)", ", `UPPER_URL`"),
)
"""Each list of services that cannot derive: file, pattern, and what is added after its only match."""


class CannotAdd(Exception):
    """The service cannot be added; the text says why."""


def add_service(name: str, root: Path) -> list[Path]:
    """Writes the files and extends the lists in the source tree at `root`; returns what it wrote. Raises `CannotAdd`,
    and has then written nothing."""
    if not re.fullmatch(r"[a-z]{2,30}", name) or iskeyword(name):
        raise CannotAdd(f"{name!r} cannot be the name of a service; choose 2 to 30 lower-case letters")
    taken = re.findall(r"^  (\w+):$", (root / "compose.yaml").read_text(), re.MULTILINE)
    places = f"services/{name}", f"tests/{name}", f"deploy/kubernetes/base/{name}.yaml"
    if name in taken or any((root / place).exists() for place in places):
        raise CannotAdd(f"{name} is taken, in compose.yaml, {', '.join(places)}; choose another name")
    words = {"SERVICE": name, "UPPER": name.upper(), "PORT": str(max(PORTS.values()) + 1)}

    def filled(text: str) -> str:
        return re.sub(rf"(?<![A-Z])({'|'.join(words)})(?![A-Z])", lambda found: words[found[0]], text)

    wanted = {root / filled(path): filled((TEMPLATES / file).read_text()) for path, file in FILES.items()}
    wanted[root / "tests" / name / "__init__.py"] = ""
    for file, pattern, added in LISTS:
        path = root / file
        text = wanted.get(path) or (path.read_text() if path.exists() else "")
        if len(found := list(re.finditer(pattern, text))) != 1:
            raise CannotAdd(f"{path} does not hold the list of services that {pattern!r} finds")
        wanted[path] = text[: found[0].end()] + filled(added) + text[found[0].end() :]
    for path, text in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return list(wanted)
