"""The command line of the lessons. It belongs to the source, not to the package."""

import argparse
import asyncio
import json
import logging
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Any

from lab.faults.mutations import TREE
from lab.lessons import removal
from lab.lessons.catalogue import LESSONS, NAMES, Lesson, lesson
from runtime.shutdown.signals import run_to_end

RECORD, KEPT, REMOVED = "record", "kept", "removed"
RECORDED = TREE / "services" / "web" / "lessons" / "recorded.json"
WORDS = {
    "ordered": "The buyer orders and pays Rp{paid:,}.",
    "requested": "The seller asks in the chat to cancel ({event}).",
    "cancelled": "The order is cancelled: Rp{owed:,} are to come back.",
    "crashed": "The services end right after the commit: the order is {status}, events in the outbox: {outbox_rows}.",
    "restarted": "The services start anew, on the same databases.",
    "clock_moved": "The clock moves on: {hours} h, {seconds} s.",
    "delivered_twice": "{event} is delivered once more.",
    "refunded": "The refunds are issued: Rp{back:,} have come back.",
    "given_back": "Of {offered} pieces {stock} can be sold again; uses of the voucher that count: {voucher_uses}.",
    "waiting": "Deadlines that wait: {deadlines}.",
    "case": "The case is {state}.",
    "dana_fault": "DANA's next answer: {mode}.",
    "no_answer": "DANA has not answered; payments in its journal: {payments}.",
    "paid_by_dana": "DANA paid Rp{amount:,} under the reference {reference:.8}….",
    "poisoned": "{event} is published without its fields.",
    "queue": "At refunds {parked} messages are parked, {waiting} wait.",
    "delayed": "{event} is published; its handler in orders is slow.",
    "issued": "{event} is published.",
    "shown": "The order shows the refund as: {refund}.",
    "broker_away": "The broker is away for {seconds:g} s.",
    "broker_back": "The broker is back. Attempts per second: {attempts_per_second}; connections to PostgreSQL per "
    "second: {connections_per_second}; a cancellation was answered after {cancel_ms} ms.",
}
"""What the terminal says for each step."""


def main(arguments: Sequence[str]) -> int:
    """Lists the lessons, runs one, or records all; returns the exit code: 0 when all ended as they promise, else 1."""
    parser = argparse.ArgumentParser("python -m lab.lessons", description="Runs a lesson with its pattern and without.")
    parser.add_argument("name", nargs="?", choices=[*NAMES, RECORD], help="by default the list of them")
    parser.add_argument("--removed", action="store_true", help="with --json: without the pattern")
    parser.add_argument("--json", action="store_true", help="one run, each step as a line of JSON")
    parser.add_argument("--diff", action="store_true", help="what the removal changes; record: only that and the code")
    given = parser.parse_args(arguments)
    if given.name is None:
        for one in LESSONS:
            print(f"{one.name:<10} {one.promise}")
        return 0
    if given.name == RECORD:
        records = json.loads(RECORDED.read_text()) if given.diff else run_to_end(_runs(), "lessons")
        return _record(records)
    one = lesson(given.name)
    if given.diff:
        print(removal.diff(one))
        return 0
    if given.json:
        return _perform(one, given.removed)
    return run_to_end(_show(one), "lessons")


def _perform(one: Lesson, removed: bool) -> int:
    """One run in this process."""
    if removed:
        removal.remove(one)
    from lab.lessons.plays import perform  # the first import of the services

    logging.disable(logging.CRITICAL)  # a lesson breaks things on purpose
    kept = run_to_end(perform(one, removed=removed, tell=lambda line: print(json.dumps(line), flush=True)), "lessons")
    return 0 if kept is not removed else 1


async def run(name: str, *, removed: bool) -> AsyncIterator[dict[str, Any]]:
    """The lines of a run, in a process of its own, which ends with this."""
    command = [sys.executable, "-m", "lab.lessons", name, "--json", *(["--removed"] if removed else [])]
    child = await asyncio.create_subprocess_exec(*command, cwd=TREE, stdout=asyncio.subprocess.PIPE)
    assert child.stdout is not None
    try:
        async for line in child.stdout:
            yield json.loads(line)
    except BaseException:
        with suppress(ProcessLookupError):
            child.terminate()
        raise
    finally:
        await child.wait()


async def _show(one: Lesson) -> int:
    print(one.promise)
    ended = [await _show_run(one, removed) for removed in (False, True)]
    return 0 if all(ended) else 1


async def _show_run(one: Lesson, removed: bool) -> bool:
    print(f"\nWithout the pattern. {one.removal}" if removed else "\nWith the pattern:", flush=True)
    verdict: dict[str, Any] = {}
    async for line in run(one.name, removed=removed):
        if "step" in line:
            print(f"  {WORDS[line['step']].format(**line['fields'])}", flush=True)
        verdict = line.get("verdict", verdict)
    for sentence in verdict.get("broken", ["the run ended without a verdict"]):
        print(f"  BROKEN: {sentence}")
    figures = ", ".join(f"{name} {value:,}" for name, value in verdict.get("figures", {}).items())
    print(f"  The promise was {'kept' if verdict.get('promise_kept') else 'not kept'}: {figures}", flush=True)
    return as_promised(one, verdict, removed=removed)


def as_promised(one: Lesson, verdict: dict[str, Any], *, removed: bool) -> bool:
    """Whether a run ended as its lesson says: the promise kept or, without the pattern, broken with its sentence."""
    broken = any(one.breaks in sentence for sentence in verdict.get("broken", ()))
    return bool(verdict) and verdict["promise_kept"] is not removed and broken is removed


async def _runs() -> dict[str, Any]:
    """Both runs of all lessons."""
    return {
        one.name: {mode: [line async for line in run(one.name, removed=mode == REMOVED)] for mode in (KEPT, REMOVED)}
        for one in LESSONS
    }


def _record(records: dict[str, Any]) -> int:
    """Records runs, with today's code and removals, for systems that cannot start one; returns the exit code."""
    for one in LESSONS:
        record = records[one.name]
        for mode in (KEPT, REMOVED):
            last = (record[mode] or [{}])[-1]
            if not as_promised(one, last.get("verdict", {}), removed=mode == REMOVED):
                print(f"{one.name}, {mode}: not as promised, nothing is recorded: {last}", file=sys.stderr)
                return 1
        record |= {"diff": removal.diff(one), "code": removal.code(one)}
    RECORDED.parent.mkdir(exist_ok=True)
    RECORDED.write_text(json.dumps(records, indent=1) + "\n")
    return 0
