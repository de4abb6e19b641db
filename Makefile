# Every target makes what it needs: the first one on a fresh machine installs, the next ones start at once.
.DEFAULT_GOAL := help
SHELL := /bin/bash

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export CASARE_DATA_DIR ?= $(CURDIR)/.data

INSTALLED := $(VENV)/.installed
GRAPHIQL := graph/pages/graphiql_assets/index.html
GRAPHIQL_SOURCES := $(shell git ls-files clients/graphiql 2>/dev/null)

.PHONY: help install graphiql demo run test slow check format schema bench profile lock clean

help: ## Show what can be made
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1|/' | \
	  while IFS='|' read -r name what; do printf '  \033[1m%-9s\033[0m %s\n' "$$name" "$$what"; done

install: $(INSTALLED) $(GRAPHIQL) ## Install everything into .venv, and build GraphiQL

$(INSTALLED): requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON=...")'
	@echo "installing into $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

graphiql: $(GRAPHIQL) ## Build GraphiQL from clients/graphiql

$(GRAPHIQL): $(INSTALLED) $(GRAPHIQL_SOURCES)
	@$(BIN)/python clients/graphiql/build.py
	@touch $@

demo: install ## Run the graph beside a fleet of real robots: http://127.0.0.1:8000/graphql
	@exec $(BIN)/casare-monitor demo $(ARGS)

run: install ## Run the graph on DATABASE_URL, or on an embedded Postgres
	@exec $(BIN)/casare-monitor serve $(ARGS)

test: install ## Run the tests, on two cores
	@$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow" $(ARGS)

slow: install ## Run the tests that wait for real processes to die and recover
	@$(BIN)/python -m pytest -m slow $(ARGS)

check: install ## Format, lint, import floors, types and the committed schemas
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/casare-monitor schema --check schema.graphql

format: install ## Format the code and mend what the linter can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

schema: install ## Write schema.graphql and datasources/schema.sql anew
	$(BIN)/casare-monitor schema --output schema.graphql
	$(BIN)/python -m datasources.migrate --dump datasources/schema.sql

bench: install ## Measure the server against its baselines
	@$(BIN)/python -m tests.benchmarks $(ARGS)

profile: install ## Draw a flame graph of one question: make profile Q=q2
	@$(BIN)/python -m tests.benchmarks.flame $(or $(Q),q2)

lock: $(INSTALLED) ## Resolve the lock files anew
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --upgrade \
	  pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --upgrade \
	  --all-extras --group dev pyproject.toml -o requirements-dev.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --upgrade \
	  --extra redis --extra otel pyproject.toml -o docker/requirements.lock

clean: ## Remove everything that was made, the demo's data included
	@$(BIN)/python -c 'import json, pathlib, shutil; \
	  state = pathlib.Path("$(CASARE_DATA_DIR)/postgres.json"); \
	  elsewhere = state.exists() and json.loads(state.read_text()).get("elsewhere"); \
	  elsewhere and shutil.rmtree(elsewhere)' 2>/dev/null || true
	rm -rf $(VENV) .data build dist graph/pages/graphiql_assets clients/graphiql/node_modules
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
