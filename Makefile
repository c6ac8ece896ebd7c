# Every verb sets up what it needs. `make` alone lists them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
INPUT ?= examples/publication.json
# The oldest PostgreSQL that serves, where Debian's postgresql-15 puts it.
OLDEST_POSTGRES ?= /usr/lib/postgresql/15/bin
# Test files run side by side; they wait as often as they compute, so more than the cores of a small machine.
WORKERS ?= 3

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the verbs
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 20

$(READY): requirements.txt requirements-dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON=python3.12, for instance.")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV) (once) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt 2> $(VENV)/pip.log || { cat $(VENV)/pip.log >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable . 2> $(VENV)/pip.log || { cat $(VENV)/pip.log >&2; exit 1; }
	@touch $(READY)

.PHONY: demo
demo: $(READY) ## Run the main job, from HTTP to live status (INPUT=file.json for your own request)
	@exec $(BIN)/python -m examples.demo $(INPUT)

.PHONY: test
test: $(READY) ## Run all tests, and those of the SQL a second time on PostgreSQL 15, where it is installed
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile --max-worker-restart 0 -m "not faults and not official_cli"
	@if test -x $(OLDEST_POSTGRES)/postgres; then \
	  echo "The SQL tests on PostgreSQL 15 and pgmq 1.5.1:"; \
	  DEVSTACK_POSTGRES_BIN=$(OLDEST_POSTGRES) $(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile --max-worker-restart 0 --oldest-pgmq -m "not faults" tests/sql; \
	else \
	  echo "Left out: the SQL tests on PostgreSQL 15; there is none in $(OLDEST_POSTGRES) (Debian: postgresql-15)."; \
	fi

.PHONY: check
check: $(READY) ## Check style, types, imports, the documents, the snapshot, the official CLI and the JavaScript client
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	$(BIN)/python -m pytest -q tests/sql/test_snapshot.py tests/wire/test_official_cli.py tests/wire/test_supabase_js.py tests/wire/test_supabase_js_realtime.py

.PHONY: dev
dev: $(READY) ## Start devstack, the functions and the provider doubles, until Ctrl-C
	@exec $(BIN)/python -m examples.dev

.PHONY: docs
docs: $(READY) ## Make the documents' site, with the reference of every public name, in build/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "Open build/site/index.html"

.PHONY: bench
bench: $(READY) ## Measure, side by side with the bare reference; writes build/bench
	$(BIN)/python -m benchmarks

.PHONY: faults
faults: $(READY) ## Run the fault campaign: minutes of kills and cuts
	$(BIN)/python -m pytest -q -m faults

.PHONY: snapshot
snapshot: $(READY) ## Write supabase/schema from the migrations
	$(BIN)/python -m devstack.snapshot

.PHONY: clean
clean: ## Remove what the verbs made
	@test ! -x $(BIN)/python || for folder in .devstack build/demo; do $(BIN)/python -m devstack stop --data-dir $$folder --delete; done
	rm -rf $(VENV) build .devstack .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
