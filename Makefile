# All development commands; the first one creates .venv. PYTHON=python3.12 chooses its Python.
.DEFAULT_GOAL := help
export PYTHONUTF8 := 1
# Without bytecode, each of the processes that tests start would compile all its modules again.
unexport PYTHONDONTWRITEBYTECODE
.PHONY: help demo up check format contracts test test-fast kubernetes-check faults lesson bench screenshots docs lock clean servers

# The first Python of 3.11 to 3.14 with pip, otherwise the first one; evaluated only when it is needed.
PYTHON ?= $(shell for want in pip sys; do for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c "import sys, $$want; sys.exit(not (3, 11) <= sys.version_info < (3, 15))" 2>/dev/null \
	&& echo $$python && exit; done; done)
BOOTSTRAP = test -n "$(PYTHON)" || { echo "batalkan: Python 3.11 to 3.14 is needed; name it: make PYTHON=..." >&2; exit 1; }; \
	$(PYTHON) deploy/bootstrap.py

WORKERS = -n 2 --no-loadscope-reorder

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 18

# OpenTelemetry is installed only for those who set its variable.
RUNTIME = .venv/$(if $(OTEL_EXPORTER_OTLP_ENDPOINT),tracing,runtime).stamp

demo: $(RUNTIME) ## a guided run, then serve on http://127.0.0.1:8080; PORT=, BROKER_URL=, ARGS=--help
	@.venv/bin/batalkan demo $(ARGS)

up: $(RUNTIME) ## serve; ARGS="--servers local": on private RabbitMQ, Redis and PostgreSQL
	@.venv/bin/batalkan up $(ARGS)

check: .venv/dev.stamp ## style, types, the direction of imports, the catalogue of events
	@.venv/bin/ruff check --quiet --output-format concise .
	@.venv/bin/ruff format --check --quiet .
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-cache
	@.venv/bin/python -m tests.contracts.shapes --check

format: .venv/dev.stamp ## format the code, and mend what ruff can mend
	@.venv/bin/ruff check --quiet --fix --output-format concise . ; .venv/bin/ruff format --quiet .

contracts: .venv/dev.stamp ## write what follows from contracts/ and the lessons' texts: shapes, golden messages, pages of docs/
	@.venv/bin/python -m tests.contracts.shapes

test: .venv/dev.stamp .venv/docs.stamp ## check, docs, and all tests, on real servers too (installs them where it may)
	@$(MAKE) --no-print-directory -j 2 check docs servers
	@.venv/bin/pytest $(WORKERS) $(ARGS)

test-fast: .venv/dev.stamp ## the tests that need neither servers nor processes of their own
	@.venv/bin/pytest $(WORKERS) -n 4 --ignore tests/fuzz -p no:schemathesis \
		-m "not servers and not compose and not processes and not browser" $(ARGS)

kubernetes-check: .venv/dev.stamp ## deploy/kubernetes, rendered and compared with the code; needs kubectl 1.32 or Docker
	@.venv/bin/python -m tests.kubernetes.rendering
	@.venv/bin/pytest -q tests/kubernetes $(ARGS)

faults: .venv/dev.stamp servers ## the fault laboratory; ARGS=list, ARGS="run killing --long", ARGS=mutations
	@.venv/bin/python -m lab.faults $(or $(ARGS),--help)

lesson: $(RUNTIME) ## a lesson with its pattern and without; NAME=inbox; without NAME the list
	@.venv/bin/python -m lab.lessons $(NAME)

bench: .venv/dev.stamp servers ## the benchmark
	@.venv/bin/python -m lab.bench $(ARGS)

screenshots: .venv/dev.stamp ## a picture of every page, phone and desktop, in .batalkan/screenshots; ARGS=docs: those in docs/images
	@.venv/bin/python -m tests.browser.screenshots $(ARGS)

docs: .venv/docs.stamp ## the docs as a searchable site, in .batalkan/docs; a broken link is an error
	@rm -rf .batalkan/docs
	@.venv/bin/sphinx-build --quiet --fail-on-warning --fresh-env -c docs -d .batalkan/doctrees . .batalkan/docs
	@echo "file://$(CURDIR)/.batalkan/docs/index.html"

lock: ## resolve the dependencies and write the locks; ARGS=--upgrade
	@$(BOOTSTRAP) lock $(ARGS)

clean: ## remove the environment, the caches and the demonstration's data
	@rm -rf .venv .batalkan .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .schemathesis

servers: .venv/dev.stamp
	@.venv/bin/python -m batalkan.servers

STAMPS = .venv/runtime.stamp .venv/tracing.stamp .venv/dev.stamp .venv/docs.stamp
$(STAMPS): .venv/%.stamp: requirements.lock requirements-tracing.lock requirements-dev.lock requirements-docs.lock requirements-uv.lock deploy/bootstrap.py
	@$(BOOTSTRAP) $*

# The environment's base Python is missing: create the environment again, despite its stamps.
ifeq ($(wildcard .venv/bin/python),)
.PHONY: $(STAMPS)
endif
