"""Simulators of external partners. They import no service, and no service imports them."""

PORTS = {"dana": 8090}
"""Every simulator, with its port when PORT is not set."""
