"""The metrics of `refunds`: money on its way, and the ledger. All are sampled."""

from prometheus_client import Gauge

NOT_ISSUED = Gauge("batalkan_refunds_not_issued", "Refunds whose money has not arrived", ["service", "state"])
NOT_ISSUED_AGE = Gauge(
    "batalkan_refunds_not_issued_oldest_age_seconds", "Age of the oldest of them", ["service", "state"]
)
UNCERTAIN = Gauge("batalkan_refunds_uncertain", "Refunds whose last call to DANA has no known outcome", ["service"])
LEDGER = Gauge("batalkan_ledger_rupiah", "Sum of the entries; that of all accounts is 0", ["service", "account"])

STATES = """
select state, count(opened_at), coalesce(extract(epoch from clock_now() - min(opened_at)), 0)::float8
from unnest(array['pending', 'sending']) as state left join refunds using (state) group by state
"""
CALLS = "select count(*) from refunds where state <> 'issued' and uncertain"
BALANCES = "select account, sum(amount)::float8 from ledger_entries group by account"
"""Reads the whole ledger."""
LEDGER_EVERY = 300.0
"""Seconds between two readings of the ledger."""
