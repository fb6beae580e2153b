"""What tracing costs: the CPU of a whole cancellation with every trace recorded, with one in a hundred, and without.

Three systems on servers of their own take turns, so that what else the machine does meets all of them. One receiver
takes the spans and throws them away; its CPU does not count.
"""

from contextlib import AsyncExitStack
from statistics import median
from typing import Annotated, Any

import typer
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from lab.bench import report
from lab.bench.run import Run, RunFigures
from lab.bench.variants import bench_servers, running
from lab.serving import one_origin

SHARES = {"off": "", "one in a hundred": "0.01", "every trace": "1"}
"""The part of the traces that is recorded."""
CLIENTS = 64


async def _take(request: Request) -> Response:
    await request.body()
    return Response()


async def measure(rounds: int, sagas: int) -> list[dict[str, Any]]:
    """The figures of each share. The ratios are medians over the rounds."""
    figures: dict[str, list[RunFigures]] = {name: [] for name in SHARES}
    runs: dict[str, Run] = {}
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(
            one_origin(Starlette(routes=[Route("/v1/traces", _take, methods=["POST"])]))
        )
        for name, share in SHARES.items():
            sampling = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": share}
            environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, **sampling} if share else {}
            servers = await stack.enter_async_context(bench_servers())
            variant = await stack.enter_async_context(running("core", servers, environment=environment))
            runs[name] = Run(servers, variant)
            await runs[name].warm_up(sagas, CLIENTS)
        for _ in range(rounds):
            for name, run in runs.items():
                figures[name].append(await run.measure(sagas, CLIENTS))
    off = [one.cpu_ms_per_saga for one in figures["off"]]
    return [
        {
            "recorded": name,
            "cpu_ms_per_saga": median(one.cpu_ms_per_saga for one in found),
            "ratio": round(median(one.cpu_ms_per_saga / without for one, without in zip(found, off, strict=True)), 3),
            "sagas_per_second": median(one.sagas_per_second for one in found),
        }
        for name, found in figures.items()
    ]


def main(
    rounds: Annotated[int, typer.Option(min=1)] = 7,
    sagas: Annotated[int, typer.Option(min=100)] = 1000,
    as_json: report.JsonFile = None,
) -> list[dict[str, Any]]:
    """Measure what tracing costs."""
    return report.finish(uvloop.run(measure(rounds, sagas)), as_json)
