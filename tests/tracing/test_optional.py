"""What tracing adds to logs and settings, and that nothing of it is there without its variable."""

import asyncio
import json
import logging
import subprocess
import sys

import pytest

from runtime.observability.telemetry import JsonLines
from runtime.observability.trace_context import start_context, use_context
from runtime.settings import Environment, SettingInvalid


@pytest.mark.parametrize("traced", [False, True])
def test_log_lines_name_the_span(traced: bool) -> None:
    """With tracing, a line has the ids of the current trace and span; without, no id that leads nowhere."""
    lines = JsonLines("orders", traced=traced)
    record = logging.LogRecord("orders", logging.INFO, __file__, 1, "said", None, None)
    with use_context(start_context("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")):
        line = json.loads(lines.format(record))
    ids = {"trace_id": "0af7651916cd43dd8448eb211c80319c", "span_id": "b7ad6b7169203331"}
    assert {name: line[name] for name in ("trace_id", "span_id") if name in line} == (ids if traced else {})


def test_the_variables_that_turn_it_on() -> None:
    """The endpoint turns it on, OpenTelemetry's own switch turns it off, and an endpoint that is no URL is refused."""
    on = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}
    assert Environment(on).traced()
    assert not Environment({}).traced()
    assert not Environment({**on, "OTEL_SDK_DISABLED": "true"}).traced()
    with pytest.raises(SettingInvalid, match="OTEL_EXPORTER_OTLP_ENDPOINT"):
        Environment({"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"}).traced()


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the packages are missing, the process says what to install."""
    monkeypatch.setattr("runtime.settings.find_spec", lambda name: None)
    with pytest.raises(SettingInvalid, match="tracing"):
        Environment({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}).traced()


@pytest.mark.processes
async def test_off() -> None:
    """Without the variable neither spans nor their exporter are imported."""
    script = (
        "import sys, services.refunds.main\n"
        "print([name for name in sys.modules if name.startswith(('opentelemetry.sdk.trace', 'opentelemetry.exporter', "
        "'runtime.observability.tracing'))])"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=subprocess.PIPE)
    said, _ = await process.communicate()
    assert (process.returncode, said) == (0, b"[]\n")
