"""The metrics of `notifications`."""

from prometheus_client import Counter

ATTEMPTS = Counter("batalkan_webhook_attempts", "Calls to receivers of webhooks", ["service", "outcome"])
