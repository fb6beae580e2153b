"""The script that makes `.venv` on a bare machine."""

import importlib.util
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def bootstrap() -> ModuleType:
    """The script, as a module: it belongs to no package, because it runs before there are any."""
    spec = importlib.util.spec_from_file_location("bootstrap", ROOT / "deploy" / "bootstrap.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def no_settings(bootstrap: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user who has configured neither pip nor uv."""
    for name in (*bootstrap.UV_INDEX_SETTINGS, "UV_FIND_LINKS", "SSL_CERT_FILE", "UV_INDEX_STRATEGY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(bootstrap, "pip_settings", dict)


@pytest.mark.usefixtures("no_settings")
def test_uv_gets_the_indexes_of_pip(bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """The configuration of pip applies to uv, too."""
    pip = {"index-url": "https://one.example/simple", "extra-index-url": "file:///a\nfile:///b", "cert": "/ca.pem"}
    monkeypatch.setattr(bootstrap, "pip_settings", lambda: pip)
    environment = bootstrap.uv_environment()
    assert environment["UV_DEFAULT_INDEX"] == "https://one.example/simple"
    assert environment["UV_INDEX"] == "file:///a file:///b"
    assert environment["SSL_CERT_FILE"] == "/ca.pem"


@pytest.mark.usefixtures("no_settings")
def test_uv_keeps_its_own_indexes(bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where uv has an index of its own, pip's is not forced upon it."""
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://uv.example/simple")
    monkeypatch.setattr(bootstrap, "pip_settings", lambda: {"index-url": "https://pip.example/simple"})
    assert bootstrap.uv_environment()["UV_DEFAULT_INDEX"] == "https://uv.example/simple"


def test_settings_of_pip_are_read(bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files and environment both count, and the environment last."""
    listed = (
        "global.index-url='https://file.example/simple'\n:env:.index-url='https://env.example/simple'\nuser.x='y'\n"
    )
    done = subprocess.CompletedProcess([], 0, stdout=listed)
    monkeypatch.setattr(bootstrap.subprocess, "run", lambda *_, **__: done)
    assert bootstrap.pip_settings() == {"index-url": "https://env.example/simple"}


def test_an_old_python_is_refused(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A Python that is too old is refused with one line that names the versions that work."""
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))
    assert bootstrap.main() == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("batalkan: Python 3.11 to 3.14 is needed")
    assert said.err.count("\n") == 1


def test_a_missing_pip_is_reported(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A Python without pip is refused with one line that names how to get it."""
    monkeypatch.setattr(bootstrap.importlib.util, "find_spec", lambda name: None)
    assert bootstrap.main() == 1
    assert "pip is missing" in capsys.readouterr().err


def test_an_up_to_date_environment_is_left_alone(
    bootstrap: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An environment that is as its lock says is left alone, and serves the smaller ones as well."""
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path)
    monkeypatch.setattr(bootstrap, "VENV", tmp_path)
    monkeypatch.setattr(bootstrap, "python_works", lambda: True)
    monkeypatch.setattr(bootstrap, "fetch_uv", lambda: Path("/bin/false"))
    (tmp_path / "requirements.lock").write_text("a==1")
    (tmp_path / "requirements-tracing.lock").write_text("a==1\nt==1")
    (tmp_path / "requirements-dev.lock").write_text("a==1\nb==1\nt==1")
    bootstrap.touch_stamps("tracing", bootstrap.digest(tmp_path / "requirements-tracing.lock"))
    bootstrap.install("tracing")
    bootstrap.install("runtime")
    with pytest.raises(subprocess.CalledProcessError):
        bootstrap.install("dev")
    (tmp_path / "requirements-docs.lock").write_text("a==1\nb==1\ns==1\nt==1")
    bootstrap.touch_stamps("docs", bootstrap.digest(tmp_path / "requirements-docs.lock"))
    for kind in bootstrap.LOCKS:
        bootstrap.install(kind)
    (tmp_path / "requirements-dev.lock").write_text("a==1\nb==2")
    with pytest.raises(subprocess.CalledProcessError):
        bootstrap.install("dev")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_python_starts_ends_the_command(bootstrap: ModuleType, tmp_path: Path, number: int) -> None:
    """While Python reads its start-up files it would swallow a Ctrl-C; the command ends with one line."""
    packages = tmp_path / ".venv" / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    packages.mkdir(parents=True)
    (packages / "slow.pth").write_text("import time; print('starting', flush=True); time.sleep(10)\n")
    command = tmp_path / ".venv" / "bin" / "batalkan"
    command.parent.mkdir()
    base = Path(sys._base_executable)  # type: ignore[attr-defined]
    (tmp_path / ".venv" / "pyvenv.cfg").write_text(f"home = {base.parent}\n")
    (command.parent / "python").symlink_to(base)
    (tmp_path / "runtime").symlink_to(ROOT / "runtime")
    command.write_text(bootstrap.LAUNCHER)
    command.chmod(0o755)
    with subprocess.Popen([command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:  # noqa: S603
        assert process.stdout is not None
        assert process.stdout.readline() == "starting\n"
        process.send_signal(number)
        _, complaints = process.communicate(timeout=5)
    assert (process.returncode, complaints.count("\n")) == (128 + number, 1), complaints


def test_locks_name_no_host() -> None:
    """The locks pin hashes and leave it to each machine where the packages come from."""
    for lock in ROOT.glob("requirements*.lock"):
        text = lock.read_text()
        assert "--hash=sha256:" in text
        assert "://" not in text


def test_a_clone_is_found_in_any_locale(bootstrap: ModuleType, tmp_path: Path) -> None:
    """With an é in its path, too, the clone's packages are found by a Python whose locale knows ASCII alone."""
    clone = tmp_path / "Kopi é 'Gayo'"
    packages = clone / ".venv" / "lib" / "python3" / "site-packages"
    packages.mkdir(parents=True)
    (clone / "here.py").touch()
    bootstrap.point_at(clone, packages / "_batalkan.pth")
    script = "import site, sys; site.addsitedir(sys.argv[1]); import here"
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-S", "-I", "-c", script, packages], env={"LC_ALL": "C"}, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr.decode()) == (0, "")
    (packages / "_batalkan.pth").write_text(f"{clone}\n")  # as it would be without
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-S", "-I", "-c", script, packages], env={"LC_ALL": "C"}, capture_output=True, check=False
    )
    assert sys.version_info >= (3, 13) or done.returncode != 0
