"""The table of targets: what was reached, and whether it meets the target."""

from typing import Any

from lab.bench import targets


def run(variant: str, rate: float = 0.0) -> dict[str, Any]:
    """The figures of a run that the targets read."""
    return {
        "variant": variant,
        "rate": rate,
        "sagas_per_second": 400.0,
        "statements_per_saga": 7.0,
        "commits_per_saga": 1.4,
        "http_ms": {"p99": 13.0},
        "saga_ms": {"p99": 300.0},
    }


def test_a_target_is_met_by_the_median_of_its_runs() -> None:
    """A target is met if the median of its runs meets it; a missed target is in bold."""
    pairs = ("core : reference", "all : reference", "core : faststream")
    ratios = {pair: {"cpu_ms_per_saga": [1.5, 1.2, 1.1], "sagas_per_second": [0.7, 0.6, 0.5]} for pair in pairs}
    runs = [run(name, rate) for name in ("core", "all") for rate in (0.0, 200.0)]
    table = targets.markdown({"saga": {"ratios": ratios, "runs": runs}}).splitlines()
    assert "| CPU of core : reference, at most 1.3 | 1.2 (runs 1.5, 1.2, 1.1) | yes |" in table
    assert "| CPU of core : faststream, at most 0.5 | 1.2 (runs 1.5, 1.2, 1.1) | **no** |" in table
    assert "| HTTP p99 of core at 200/s, ms, at most 15 | 13 (runs 13) | yes |" in table
    assert "| saga p99 of all there, ms, at most 250 | 300 (runs 300) | **no** |" in table


def test_a_backlog_is_held_against_the_rate_of_sagas() -> None:
    """The backlog has to be handled at the rate of sagas, by a process whose memory does not grow."""
    backlog = {"events": 100_000, "drained_per_second": 399, "refunds_memory_mb": [50, 60, 61, 61, 90]}
    lines = {target: met for target, _, met in targets.lines({"backlog": backlog})}
    assert lines == {
        "100,000 events drained, at least 0/s as sagas are": True,
        "memory of refunds meanwhile flat": False,
    }
