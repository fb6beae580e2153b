"""`python -m lab.bench` measures the cancel saga; `python -m lab.bench COMMAND` another part (see `--help`)."""

import typer

from lab.bench import backlog, everything, growth, idle, messages, saga

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
app.callback(invoke_without_command=True)(saga.main)
for part in (backlog, growth, idle, messages, everything):
    app.command(part.__name__.rpartition(".")[2])(part.main)

if __name__ == "__main__":
    app()
