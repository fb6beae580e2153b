"""The metrics of `cs`: people. All are sampled."""

from prometheus_client import Gauge

from services.cs.agents import QUEUED

AGENTS = Gauge("batalkan_agents_on_duty", "Agents on duty, by whether they are reserved", ["service", "reserved"])
WAITING = Gauge("batalkan_cases_waiting", "Cases in the queue", ["service"])
LONGEST_WAIT = Gauge("batalkan_cases_longest_wait_seconds", "Since the first of them came", ["service"])

ON_DUTY = """
select case when r then 'yes' else 'no' end, count(a.agent_id)
from unnest(array[false, true]) as r left join agents a on a.on_duty and a.reserved = r group by r
"""
QUEUE = f"""
select count(*), coalesce(extract(epoch from clock_now() - min(
    case when state = 'waiting' then opened_at else spoken_at end
)), 0)::float8 from cases where {QUEUED}
"""  # noqa: S608 - a constant
"""A case that comes back with the seller's answer has waited since that answer."""
