"""Mutations of the source that remove a safeguard. Each must make a scenario fail, which proves the scenario."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TREE = Path(__file__).parent.parent.parent
COPIED = ("batalkan", "contracts", "deploy", "lab", "runtime", "services", "simulators", "tests")


@dataclass(frozen=True)
class Mutation:
    """A change to the source, and the scenario that must detect it."""

    name: str
    scenario: str
    file: str
    replace: tuple[tuple[str, str], ...]
    """Pairs of an existing text, which occurs once, and its replacement."""


MUTATIONS = (
    Mutation(
        "without the inbox",
        "repeats",
        "runtime/messaging/consumer.py",
        (
            (
                """        rows = await tx.connection.fetch(
            "insert into inbox (event_id) select distinct unnest($1::uuid[]) order by 1 on conflict do nothing "
            "returning event_id, (select clock_now()) as now",
            ids,
        )
        return {row["event_id"]: row["now"] for row in rows}
""",
                """        return dict.fromkeys(ids, await tx.now())
""",
            ),
        ),
    ),
    Mutation(
        "the relay reads after the highest id that it has seen",
        "repeats",
        "runtime/messaging/relay.py",
        (
            ("seq <> all($2::bigint[])", "seq > (select coalesce(max(s), 0) from unnest($2::bigint[]) s)"),
            ("list(self._held))\n", "[self._seen])\n"),
            (
                "        rows = await self._take(connection)\n",
                "        rows = await self._take(connection)\n"
                '        self._seen = max([self._seen, *(row["seq"] for row in rows)])\n',
            ),
            ("        self._woken = asyncio.Event()\n", "        self._woken, self._seen = asyncio.Event(), 0\n"),
        ),
    ),
    Mutation(
        "messages that are not persistent",
        "repeats",
        "runtime/messaging/bus/rabbitmq.py",
        (("PERSISTENT = 2", "PERSISTENT = 1"),),
    ),
    Mutation(
        "acknowledged before the commit",
        "crash_points",
        "runtime/messaging/consumer.py",
        (
            (
                "            await subscription.acknowledge(group[-1])\n            suspect = False\n",
                "            suspect = False\n",
            ),
            (
                "        for group in groups(deliveries):\n            if suspect",
                "        for group in groups(deliveries):\n            await subscription.acknowledge(group[-1])\n"
                "            if suspect",
            ),
        ),
    ),
    # The mutation removes the row's lock too: each of the two is sufficient alone.
    Mutation(
        "without the version check",
        "races",
        "services/orders/store.py",
        (
            ('f"{_ORDER} where o.order_id = $1 for no key update of o"', 'f"{_ORDER} where o.order_id = $1"'),
            (
                'where order_id = $1 and version = $2 returning order_id, version, {_AT}) "',
                'where order_id = $1 and $2 > 0 returning order_id, version, {_AT}) "',
            ),
            (
                "version = version + 1\n    where order_id = $1 and version = $2 and parts = $3",
                "version = version + 1\n    where order_id = $1 and $2 > 0 and $3 >= 0",
            ),
        ),
    ),
    Mutation(
        "DANA is tried again under a new reference",
        "dana",
        "services/refunds/payer.py",
        (
            (
                "top_up(sending.reference, phone",
                "top_up(new_id().hex if before.attempts else sending.reference, phone",
            ),
            (
                "from runtime.messaging.unit_of_work import",
                "from runtime.observability.trace_context import new_id\nfrom runtime.messaging.unit_of_work import",
            ),
        ),
    ),
    Mutation(
        "queues are declared once",
        "topology",
        "runtime/messaging/bus/rabbitmq.py",
        (("REDECLARE = 10.0", "REDECLARE = 1e6"),),
    ),
    Mutation(
        "refunds is reminded of nothing",
        "topology",
        "services/orders/refund_reminders.py",
        (("            tx.publish(one.cancelled)\n", "            pass\n"),),
    ),
    Mutation(
        "the last pieces give back the stock of all",
        "repeats",
        "services/orders/store.py",
        (("for one in how.lines}", "for one in (order.lines if how.ended else how.lines)}"),),
    ),
    Mutation(
        "the last pieces bring back all that was paid",
        "repeats",
        "services/orders/cancelling.py",
        (("return order.paid_amount - order.refunded_amount, True", "return order.paid_amount, True"),),
    ),
    Mutation(
        "each part costs as the first pieces",
        "repeats",
        "services/orders/pricing.py",
        (
            ("last = self.cancelled + pieces", "last = pieces"),
            ("min(last, more) - min(self.cancelled, more)", "min(last, more)"),
        ),
    ),
    Mutation(
        "a voucher's use does not come back",
        "repeats",
        "services/orders/store.py",
        (("set used = used - 1 from", "set used = used from"),),
    ),
)
"""First the six that the laboratory had to detect, then those of defects that it found, then those of parts."""


class DoesNotApply(Exception):
    """The source has changed; adapt the mutation."""


def mutated(mutation: Mutation, source: str) -> str:
    """The mutated text of the file. Raises `DoesNotApply`."""
    for before, after in mutation.replace:
        if source.count(before) != 1:
            raise DoesNotApply(
                f"{mutation.name}: {mutation.file} must have once, not {source.count(before)} times: {before}"
            )
        source = source.replace(before, after)
    return source


def copy_with(mutation: Mutation, folder: Path) -> None:
    """Copies the source with the mutation. Raises `DoesNotApply`."""
    for name in COPIED:
        shutil.copytree(TREE / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    changed = folder / mutation.file
    changed.write_text(mutated(mutation, changed.read_text()))


def run(mutation: Mutation, seed: int, folder: Path) -> dict[str, Any]:
    """The report of the scenario on the mutated copy. Raises `DoesNotApply`."""
    tree, kept = folder / "tree", folder / "histories"
    copy_with(mutation, tree)
    command = [sys.executable, "-m", "lab.faults", "run", mutation.scenario, "--short", "--json"]
    ran = subprocess.run(  # noqa: S603 - this program itself
        [*command, "--seed", str(seed), "--keep", str(kept)],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line for line in ran.stdout.splitlines() if line.startswith("{")]
    if not lines:
        return {"ending": "the laboratory failed", "sentences": [ran.stdout + ran.stderr]}
    report: dict[str, Any] = json.loads(lines[-1])
    return report
