"""Tables of the documentation match the code: settings, metrics, health checks, limits, marks, services."""

import ast
import re
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from prometheus_client import REGISTRY, Counter
from prometheus_client.metrics import MetricWrapperBase

from batalkan.keys import Keys
from services import PORTS, SERVICES
from simulators import PORTS as SIMULATORS
from tests.harness.building import built

ROOT = Path(__file__).parent.parent
READING = {"get", "require", "flag", "url", "number", "seconds", "one_of", "networks", "_list"}
"""What reads a setting of an `Environment`."""
LIMITS = ("what", "at most", "beyond that", "in the code")
NGINX = [
    (
        "requests of one address at the nginx gateway",
        "{:,} a second, {:,} more at once; {:,} at a time",
        r"limit_req_zone \$binary_remote_addr zone=requests:\w+ rate=(\d+)r/s",
        r"limit_req zone=requests burst=(\d+) nodelay",
        r"limit_conn connections (\d+)",
    ),
    ("seconds until the headers are there", "{}", r"client_header_timeout (\d+)s"),
    ("seconds from there until the body is there", "{} between two pieces", r"client_body_timeout (\d+)s"),
    ("body of a request", "{} KiB", r"client_max_body_size (\d+)k"),
]
"""What docs/security.md limits, what it says of nginx there, and the directives that have these numbers."""


def table(page: str, *heads: str) -> list[list[str]]:
    """The cells of the rows below the one that begins with these heads."""
    text = (ROOT / page).read_text()
    start = text.index("| " + " | ".join(heads) + " |")
    rows = text[start:].partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows]


def named(cell: str) -> list[str]:
    """What stands between backticks, or as the text of a link."""
    return [code or link for code, link in re.findall(r"`([^`]+)`|\[([^\]]+)\]\(", cell)]


def settings_read() -> Iterator[tuple[str, object]]:
    """Each setting that a process reads, with the default where the source names one that can be known."""
    for folder in ("runtime", "services", "simulators"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            for node in ast.walk(ast.parse(path.read_text())):
                if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
                    continue
                first = node.args[0]
                if (
                    node.func.attr in READING
                    and ast.unparse(node.func.value) != "os.environ"  # what is inherited is no setting of ours
                    and isinstance(first, ast.Constant)
                    and re.fullmatch("[A-Z][A-Z_]+", str(first.value))
                ):
                    default = node.args[1] if len(node.args) > 1 else None
                    yield str(first.value), _value(default, module)
    for name in SERVICES:
        if name != "web":
            yield f"{name.upper()}_URL", None


def _value(source: ast.expr | None, module: str) -> object:
    if source is None or module.endswith("__main__"):
        return None
    try:
        return eval(compile(ast.Expression(source), module, "eval"), vars(import_module(module)).copy())  # noqa: S307
    except NameError:
        return None  # it is decided where it is read


def test_every_setting_is_documented() -> None:
    """docs/operations.md names the settings that processes read, no others, and their defaults."""
    rows = table("docs/operations.md", "name", "default")
    documented = {name: default for names, default, _ in rows for name in named(names)}
    read = dict.fromkeys(name for name, _ in settings_read())
    assert sorted(documented) == sorted(read)
    compared = 0
    for name, default in settings_read():
        if isinstance(default, str | int | float) and default != "" and name != "DATABASE_URL":
            assert (
                f"`{default:g}`" in documented[name]
                if isinstance(default, float)
                else f"`{default}`" in documented[name]
            )
            compared += 1
    assert compared >= 10
    assert all(
        f"{'the DANA simulator' if name == 'dana' else name} {port}" in documented["PORT"]
        for name, port in (PORTS | SIMULATORS).items()
    )


def test_every_metric_is_documented() -> None:
    """docs/monitoring.md names the metrics of a process, no others, with their labels."""
    documented = {named(name)[0]: labels for name, labels, _ in table("docs/monitoring.md", "name", "labels")}
    for name in SERVICES:
        import_module(f"services.{name}.main")
    there = {metric for metric in REGISTRY._names_to_collectors.values() if isinstance(metric, MetricWrapperBase)}
    assert documented == {
        f"{metric._name}_total" if isinstance(metric, Counter) else metric._name: ", ".join(metric._labelnames)
        for metric in there
    }


def test_every_part_of_health_is_documented(keys: Keys) -> None:
    """docs/operations.md names the parts that each service shows, and which of them it cannot do without."""
    there: dict[str, tuple[set[str], set[str]]] = {}
    for name in SERVICES:
        service = built(name, keys)
        for parts, column in ((service.health_checks, 0), (service.optional_checks, 1)):
            for part in parts:
                there.setdefault(part, (set(), set()))[column].add(name)
    documented = {
        named(part)[0]: tuple(set(SERVICES) if cell == "all" else set(named(cell)) for cell in (needed, shown))
        for part, needed, shown, _ in table("docs/operations.md", "part", "needed by", "shown by", "is there when")
    }
    assert documented == there


def test_every_limit_is_documented() -> None:
    """docs/security.md says of each limit how much it is, and the code says the same."""
    compared = 0
    for _, documented, _, paths in table("docs/security.md", *LIMITS):
        for path in named(paths):
            module, _, name = path.rpartition(".")
            if not name.isupper():
                assert "/" in path or import_module(path)
                continue
            limit = getattr(import_module(module), name)
            number = getattr(limit, "limit", limit)
            said = [f"{number:,g}" if number < 10_000 else f"{number // 1024} KiB", f"{number:g}"]
            assert any(re.search(rf"(?<![\d,]){re.escape(one)}(?![\d,])", documented) for one in said), path
            compared += 1
    assert compared >= 20


@pytest.mark.parametrize(("what", "words", "directives"), [(what, words, rest) for what, words, *rest in NGINX])
def test_every_limit_of_nginx_is_documented(what: str, words: str, directives: list[str]) -> None:
    """docs/security.md says of each limit of nginx how much it is, and deploy/gateway/nginx.conf says the same."""
    conf = (ROOT / "deploy/gateway/nginx.conf").read_text()
    (documented,) = (most for row, most, *_ in table("docs/security.md", *LIMITS) if row == what)
    numbers = [int(number) for one in directives for number in re.findall(rf"^ *{one};", conf, re.MULTILINE)]
    assert documented.split("; at nginx ")[-1] == words.format(*numbers)


def test_every_mark_is_documented() -> None:
    """CONTRIBUTING.md names the marks of tests, no others, and which of them `make test-fast` leaves out."""
    documented = {
        named(mark)[0]: in_fast
        for mark, _, in_fast in table("CONTRIBUTING.md", "mark", "for tests that", "in `make test-fast`")
    }
    marks = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]["markers"]
    assert sorted(documented) == sorted(mark.partition(":")[0] for mark in marks)
    fast = (ROOT / "Makefile").read_text().partition("\ntest-fast:")[2].partition("\n\n")[0]
    left_out = {"long", *re.findall(r"not (\w+)", fast), *re.findall(r"--ignore tests/(\w+)", fast)}
    assert {mark for mark, in_fast in documented.items() if in_fast == "no"} == left_out


def test_every_service_is_in_the_readme() -> None:
    """README names every service and no other; `make contracts` writes the consumers into docs/events.md."""
    assert sorted(named(name)[0] for name, _ in table("README.md", "service", "does")) == sorted(SERVICES)
