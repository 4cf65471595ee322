# `make run` and `make test` do all of their own set-up; Python 3.11 or newer is all they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# Compiled modules are kept, whatever the image of a container says: tests start hundreds of processes.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help

.PHONY: help
help:
	@echo "make run     start the service with one monitor ready to ping"
	@echo "make demo    exporter, Prometheus, Alertmanager and a fleet in trouble"
	@echo "make test    run all tests"
	@echo "make check   format, lint, types, import contracts, docs and tests"
	@echo "make oldest  unit and contract tests with the oldest dependencies that setup.cfg allows"
	@echo "make dashboards   rebuild the Grafana dashboards"
	@echo "make rules   rebuild the PrometheusRule for the Operator"
	@echo "make openapi rewrite docs/openapi.json"
	@echo "make fuzz    generated requests against the running program; FUZZ_SECONDS=600, for each campaign"
	@echo "make bench   measure against the bars"
	@echo "make storm   ten minutes of faults under load, in every world; SECONDS=, SEED=, ARGS="
	@echo "make newest  the live tests with Prometheus 3, VictoriaMetrics and PostgreSQL 18"
	@echo "make clients clients of other systems, for the tests of dialects"
	@echo "make clean   remove what these made"

$(STAMP): setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11 …"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $(STAMP)

.PHONY: run
run: $(STAMP)
	@BIN=$(BIN) sh examples/run.sh

.PHONY: demo
demo: $(STAMP)
	@BIN=$(BIN) sh examples/demo/run.sh

# More processes than cores: tests with real programs mostly wait.
.PHONY: test
test: $(STAMP)
	$(BIN)/python -m pytest --numprocesses 6 --dist loadfile --no-loadscope-reorder

.PHONY: format
format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: check
check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	@# Two cores: while mypy looks, the tests' modules are compiled, once and not by each process that runs them.
	$(BIN)/python -m pytest --collect-only > /dev/null & $(BIN)/mypy && wait
	$(BIN)/lint-imports
	$(MAKE) --no-print-directory test

# Another Python: make oldest PYTHON=python3.13
OLDEST := .venv-oldest
.PHONY: oldest
oldest:
	$(PYTHON) -m venv --clear $(OLDEST)
	$(OLDEST)/bin/python .ci/oldest.py > $(OLDEST)/constraints.txt
	$(OLDEST)/bin/python -m pip install --quiet --constraint $(OLDEST)/constraints.txt --editable '.[test]'
	$(OLDEST)/bin/python -m pytest tests --ignore tests/live

.PHONY: dashboards
dashboards: $(STAMP)
	$(BIN)/python -m dashboards.source

.PHONY: openapi
openapi: $(STAMP)
	$(BIN)/python -m exporter.web.api.openapi > docs/openapi.json.new && mv docs/openapi.json.new docs/openapi.json

.PHONY: rules
rules: $(STAMP)
	$(BIN)/python -m alertmanager.source

FUZZ_SECONDS ?= 600
.PHONY: fuzz
fuzz: $(STAMP)
	$(BIN)/python -m pip install --quiet --editable '.[fuzz]'
	FUZZ_SECONDS=$(FUZZ_SECONDS) $(BIN)/python -m pytest --timeout=0 tests/fuzz

.PHONY: bench
bench: $(STAMP)
	$(BIN)/python -m bench

# Which seed and how long: make storm SEED=7 SECONDS=120 ARGS='--world postgresql --spool without'
.PHONY: storm
storm: $(STAMP)
	$(BIN)/python -m tests.storm $(if $(SEED),--seed $(SEED)) $(if $(SECONDS),--seconds $(SECONDS)) $(ARGS)

# Prometheus 3, Alertmanager, VictoriaMetrics and PostgreSQL in their newest releases, fetched into a folder of their own
NEWEST ?= $(CURDIR)/.newest
$(NEWEST)/bin/postgres: tests/newest/fetch.sh | $(STAMP)
	PYTHON=$(CURDIR)/$(BIN)/python sh tests/newest/fetch.sh $(NEWEST)
	@touch -h $@

.PHONY: newest
newest: $(STAMP) $(NEWEST)/bin/postgres
	NEWEST=$(NEWEST) CI=true PATH="$(NEWEST)/bin:$$PATH" $(BIN)/python -m pytest $(or $(TESTS),$(NEWEST_TESTS))
NEWEST_TESTS := tests/newest tests/live/test_prometheus.py tests/live/test_rules.py tests/live/test_dashboards.py \
	tests/live/test_alertmanager.py tests/live/test_alertmanager_webhook.py tests/live/test_replicas.py \
	tests/live/test_storage_trouble.py tests/live/test_spool.py tests/storm tests/storage tests/evaluation tests/recording tests/alerting \
	tests/alertmanager/test_rules.py tests/alertmanager/test_config.py tests/metrics/test_exposition.py \
	tests/docs/test_metrics.py tests/dashboards/test_queries.py tests/deploy/test_deploy.py

# Clients of the systems whose protocols we speak, in an environment of their own; npm brings the one for Node.js
CLIENTS := .clients
$(CLIENTS)/.installed: tests/live/clients/requirements.txt
	$(PYTHON) -m venv $(CLIENTS)
	$(CLIENTS)/bin/python -m pip install --quiet --requirement $<
	npm install --silent --no-fund --no-audit --ignore-scripts --prefix $(CLIENTS) cronitor@2.6.1
	@touch $@

.PHONY: clients
clients: $(CLIENTS)/.installed

.PHONY: clean
clean:
	rm -rf $(VENV) $(OLDEST) $(CLIENTS) .newest build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .run
