"""`python -m simulators.dana`: reads the environment, builds and serves the simulator."""

import sqlite3
import sys
from pathlib import Path

from runtime.shutdown.early import exit_on_signal


def main() -> None:
    exit_on_signal("dana")  # before the rest is imported, which takes a second
    from runtime.observability.telemetry import log_to_stderr
    from runtime.settings import LOG_LEVELS, Environment, SettingInvalid, SettingMissing
    from runtime.shutdown.server import serve_until_cancelled
    from runtime.shutdown.signals import run_to_end
    from simulators import PORTS
    from simulators.dana.app import Settings, build
    from simulators.dana.server import Server

    env = Environment.of_process()
    host = env.get("HOST", "127.0.0.1")
    try:
        level = env.one_of("LOG_LEVEL", "info", *LOG_LEVELS)
        port = env.number("PORT", PORTS["dana"], 0, 65535)
        app = build(
            Settings(
                partner_id=env.get("DANA_PARTNER_ID", "batalkan"),
                partner_key=Path(env.require("DANA_PARTNER_KEY")).read_bytes(),
                journal=Path(env.require("DANA_JOURNAL")),
                control=env.flag("DEMONSTRATION", "1"),
                allowed_hosts=env.allowed_hosts(host),
            )
        )
    except SettingInvalid as invalid:
        sys.stderr.write(f"dana: {invalid}\n")
        sys.exit(2)
    except (SettingMissing, OSError, ValueError, sqlite3.Error) as error:
        sys.exit(f"dana: {error}")
    log_to_stderr("dana", level)
    run_to_end(serve_until_cancelled(Server(app, host, port)), "dana")


if __name__ == "__main__":
    main()
