# Two commands for newcomers: `make run` starts Recado (in the sandbox if there are no keys),
# `make test` is the whole check. Everything else is listed by `make help`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help run test format check-format lint types pytest venv lock bench engines crash clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

run: $(VENV)/run.stamp  ## start Recado; without keys, the sandbox
	@set -a; if [ -f .env ]; then . ./.env; fi; set +a; \
	if [ -n "$$WHAPI_TOKEN" ] && [ -n "$$OPENAI_API_KEY" ]; then \
		exec $(BIN)/python -m daemon run; \
	else \
		echo "no WHAPI_TOKEN and OPENAI_API_KEY: starting the sandbox"; \
		exec $(BIN)/python -m daemon sandbox; \
	fi

test: check-format lint types pytest  ## everything CI runs

check-format: $(VENV)/dev.stamp
	@$(BIN)/ruff format --check --quiet . || { echo "run: make format"; exit 1; }

lint: $(VENV)/dev.stamp  ## ruff
	@$(BIN)/ruff check --quiet .

types: $(VENV)/dev.stamp  ## mypy, strict
	@$(BIN)/mypy --no-error-summary

# Twice the processors: the tests wait for sockets and disks as long as they compute.
WORKERS ?= $(shell expr 2 \* $$(nproc))
pytest: $(VENV)/dev.stamp  ## the tests alone
	@$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal

format: $(VENV)/dev.stamp  ## rewrite the code in the project's format
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --fix --quiet .

venv: $(VENV)/dev.stamp  ## build .venv with the development tools

bench: $(VENV)/dev.stamp  ## measure beside the alternatives, rewrite docs/performance.md
	@$(BIN)/python benchmarks/intake.py --write docs/performance.md

engines: $(VENV)/dev.stamp  ## ask a model server at URL=http://…/v1 (KEY=, MODEL=, FIXTURES=1: docs/engines.md)
	@RECADO_ENGINE_URL="$(URL)" RECADO_ENGINE_KEY="$(KEY)" RECADO_ENGINE_MODEL="$(MODEL)" \
		RECADO_ENGINE_FIXTURES="$(FIXTURES)" \
		$(BIN)/python -m pytest -q tests/assistant/test_foreign_server.py

N ?= 1000
SEED ?= 1
crash: $(VENV)/dev.stamp  ## kill -9 at every named point, then N=1000 times at random (SEED=1)
	@PYTHONPATH=tests $(BIN)/python -m support.crash_main --kills $(N) --seed $(SEED)

$(VENV)/run.stamp: requirements/run.lock pyproject.toml
	@$(PYTHON) -m venv $(VENV)
	@echo "installing the locked packages into $(VENV) (once)"
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/run.lock
	@touch $@

$(VENV)/dev.stamp: requirements/dev.lock $(VENV)/run.stamp
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

LOCK := pip-compile --quiet --generate-hashes --strip-extras --allow-unsafe \
	--no-emit-index-url --no-emit-trusted-host --no-emit-find-links
lock:  ## resolve pyproject.toml again (needs pip-tools)
	$(LOCK) --output-file requirements/run.lock pyproject.toml
	$(LOCK) --extra dev --extra otlp --constraint requirements/run.lock \
		--output-file requirements/dev.lock pyproject.toml

clean:  ## remove what make built
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis dist
