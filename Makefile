# `make run` and `make test` do all of their own set-up; Python 3.11 or newer is all they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help

.PHONY: help
help:
	@echo "make run     start the service with one monitor ready to ping"
	@echo "make demo    exporter, Prometheus, Alertmanager and a fleet in trouble"
	@echo "make test    run all tests"
	@echo "make check   format, lint, types, import contracts, docs and tests"
	@echo "make oldest  unit and contract tests with the oldest dependencies that setup.cfg allows"
	@echo "make dashboards   build the Grafana dashboards anew"
	@echo "make rules   build the PrometheusRule for the Operator anew"
	@echo "make fuzz    generated requests against the running program, FUZZ_SECONDS=600 long"
	@echo "make bench   measure against the bars"
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

.PHONY: test
test: $(STAMP)
	$(BIN)/python -m pytest --numprocesses 4 --dist loadfile

.PHONY: format
format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: check
check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(MAKE) --no-print-directory test

# Another Python: make oldest PYTHON=python3.13
OLDEST := .venv-oldest
.PHONY: oldest
oldest:
	$(PYTHON) -m venv --clear $(OLDEST)
	$(OLDEST)/bin/python .ci/oldest.py > $(OLDEST)/constraints.txt
	$(OLDEST)/bin/python -m pip install --quiet --constraint $(OLDEST)/constraints.txt --editable '.[test]'
	$(OLDEST)/bin/python -m pytest tests/unit tests/contract

.PHONY: dashboards
dashboards: $(STAMP)
	$(BIN)/python -m dashboards.source

.PHONY: rules
rules: $(STAMP)
	$(BIN)/python -m alertmanager.source

FUZZ_SECONDS ?= 600
.PHONY: fuzz
fuzz: $(STAMP)
	FUZZ_SECONDS=$(FUZZ_SECONDS) $(BIN)/python -m pytest --timeout=0 tests/fuzz

.PHONY: bench
bench: $(STAMP)
	$(BIN)/python -m bench

.PHONY: clean
clean:
	rm -rf $(VENV) $(OLDEST) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .run
