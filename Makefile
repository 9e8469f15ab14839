# Needs Python 3.11 or newer, make, and a package registry that pip reaches. Everything lands in .venv.

PYTHON ?= $(or $(firstword $(foreach name,python3.11 python3.12 python3.13,$(shell command -v $(name)))),python3)
BIN := .venv/bin

.PHONY: help demo test check bench lint format readme dashboards grafana-schema kubernetes operator-schema lock wheel tools clean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*  ## /\1\t/p' $(MAKEFILE_LIST)

demo: .venv/run  ## the exporter against a simulated cloud
	$(BIN)/python -m exporter demo $(ARGS)

test: tools wheel  ## every test, against the built wheel
	$(BIN)/python -P -m pytest $(ARGS)

check: lint test  ## format, lint, types and tests

bench: .venv/dev  ## what the exporter costs, beside its alternatives; ARGS=--quick for a few minutes
	PYTHONPATH=.:tests $(BIN)/python -m benchmarks $(ARGS)

lint: .venv/dev  ## format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: .venv/dev  ## put the sources into their one format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

readme: .venv/dev  ## write the generated tables into the README and the runbook
	PYTHONPATH=.:tests $(BIN)/python tests/support/readme.py README.md deploy/RUNBOOK.md

dashboards: .venv/dev  ## write the Grafana dashboards as JSON
	PYTHONPATH=grafana:. $(BIN)/python -m dashboards grafana

# Needs npm; only a new version of Grafana makes it necessary.
SCHEMA := tests/grafana/schema
grafana-schema:
	rm -rf .venv/schema && mkdir -p .venv/schema && cp $(SCHEMA)/package.json $(SCHEMA)/derive.mjs .venv/schema
	cd .venv/schema && npm install --silent --no-audit --no-fund --no-package-lock
	cd .venv/schema && node derive.mjs . $(abspath $(SCHEMA))/grafana.json

kubernetes: .venv/dev  ## write the rules of Prometheus into their Kubernetes manifest
	PYTHONPATH=. $(BIN)/python tests/support/prometheus_rule.py .

operator-schema: .venv/dev  ## derive the schemas that the Prometheus Operator's manifests are checked against
	$(BIN)/uv run --isolated --no-project --python $(BIN)/python --with cloudcoil-models-prometheus-operator==0.80.1.0 \
		python tests/deploy/schema/derive.py tests/deploy/schema/operator.json

LOCK := $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
	--no-emit-index-url --no-emit-find-links --upgrade

lock: .venv/dev  ## pin the newest versions of all dependencies
	$(LOCK) pyproject.toml -o requirements.txt
	$(LOCK) pyproject.toml --group dev -c requirements.txt -o requirements-dev.txt
	$(LOCK) --group build -c requirements-dev.txt -o requirements-build.txt

# The wheel is installed as a user would get it; python -P keeps the sources here from being imported in its place.
wheel: .venv/dev
	rm -rf dist
	$(BIN)/pip wheel -q --no-deps --no-build-isolation -w dist .
	$(BIN)/pip install -q --no-deps --force-reinstall dist/*.whl

# What tests need besides Python comes from the system's packages, where there are such and we may install them.
TOOLS := prometheus promtool prometheus-alertmanager amtool openssl chromium systemd-analyze systemd-sysusers
PACKAGES := prometheus prometheus-alertmanager openssl chromium systemd

tools:
	@command -v $(TOOLS) | wc -l | grep -qx $(words $(TOOLS)) || { \
		[ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -q \
		&& DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $(PACKAGES); } \
		|| echo "Not all of $(TOOLS) are installed: the tests that need them will be skipped."

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; name one: make PYTHON=/path/to/it" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv

.venv/run: requirements.txt | .venv/bin/python
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements.txt
	@touch $@

.venv/dev: requirements-dev.txt | .venv/bin/python
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@

clean:  ## remove what the other commands made
	rm -rf .venv dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
