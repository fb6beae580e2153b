"""The services, a package each."""

PORTS = {
    "accounts": 8001,
    "orders": 8002,
    "refunds": 8003,
    "chat": 8004,
    "cs": 8005,
    "web": 8006,
    "notifications": 8007,
}
"""Every service, with its port when PORT is not set. All lists of services derive from this one, or are compared with
it by tests/test_services.py. `batalkan new service` adds to it."""

SERVICES = tuple(PORTS)

SETTINGS = (
    "REGISTRATIONS_PER_HOUR",
    "REMIND_AFTER",
    "PAY_WITHIN",
    "SHIP_WITHIN",
    "SHIPPING_FEE",
    "CASES_PER_AGENT",
    "AGENT_GRACE",
    "WEBHOOK_ALLOW_NETWORKS",
)
"""What `batalkan demo` and `batalkan up` hand from their environment to the services. `DANA_TIMEOUT` and `SETTLING` are
not among them: the guided run has short ones of its own."""
