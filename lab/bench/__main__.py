"""`python -m lab.bench` measures the cancel saga; `python -m lab.bench COMMAND` another part (see `--help`)."""

import sys

import typer

from batalkan.servers import ServersMissing
from lab.bench import backlog, chat, cs, everything, flow, growth, idle, messages, pages, partitions, saga, tracing
from lab.bench.run import RunFailed

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
app.callback(invoke_without_command=True)(saga.main)
for part in (backlog, growth, idle, messages, partitions, chat, cs, flow, pages, tracing, everything):
    app.command(part.__name__.rpartition(".")[2])(part.main)

if __name__ == "__main__":
    try:
        app()
    except (RunFailed, ServersMissing) as error:
        sys.exit(f"bench: {error}")
