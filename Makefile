# Requires Python 3.11 or newer, make, and a package registry for pip. Everything is installed in .venv.

PYTHON ?= $(or $(firstword $(foreach name,python3.11 python3.12 python3.13,$(shell command -v $(name)))),python3)
# A Python given as `make PYTHON=...` has its own environment, such as .venv-3.13.
VERSION := $(if $(filter file,$(origin PYTHON)),,-$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])'))
VENV := .venv$(VERSION)
BIN := $(VENV)/bin

.PHONY: help demo test test-fast check bench lint prose format readme dashboards pictures grafana-schema links kubernetes chart operator-schema lock wheel image tools clean

##@ Start

help:  ## show this list
	@awk '/^##@ / { print substr($$0, 5) ":" } /^[a-z-]+:.*  ## / { name = $$0; sub(/:.*/, "", name); \
		sub(/.*  ## /, ""); printf "  %-17s%s\n", name, $$0 }' $(MAKEFILE_LIST)

demo: $(VENV)/run  ## run the exporter against a simulated cloud
	$(BIN)/python -m exporter demo $(ARGS)

##@ Test

# A process per core. An idle one gets tests of another. Each also starts its own servers.
PARALLEL := -n auto --maxprocesses 4 --dist worksteal

test: tools wheel  ## run all tests on the built wheel
	$(BIN)/python -P -m pytest $(PARALLEL) $(ARGS)

# Pure tests, tests in virtual time, and tests of the simulator and the cloud client: no other processes.
FAST := tests/test_fleet*.py tests/test_identity.py tests/test_discovery.py tests/test_users_file.py \
	tests/test_metrics.py tests/test_exposition.py tests/test_polling.py tests/test_paging.py \
	tests/test_quota.py tests/test_retries.py tests/test_gate.py tests/test_pace.py tests/test_sharing.py tests/test_source.py \
	tests/test_watch.py tests/test_logs.py tests/test_structure.py tests/config tests/cloud tests/simulator

test-fast: wheel  ## run the fast tests on the built wheel
	$(BIN)/python -P -m pytest $(PARALLEL) $(FAST) $(ARGS)

check: lint test  ## check format, lint and types, and run all tests

bench: $(VENV)/dev  ## measure the exporter's costs and those of alternatives; ARGS=--quick takes a few minutes
	PYTHONPATH=.:tests $(BIN)/python -m benchmarks $(ARGS)

lint: $(VENV)/dev  ## check format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

prose: $(VENV)/dev  ## check that documents, docstrings and texts are plain English
	$(BIN)/python -m pytest -q tests/test_prose.py

format: $(VENV)/dev  ## format the sources
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

##@ Write generated files

readme: $(VENV)/dev  ## write the generated tables of the documents
	PYTHONPATH=.:tests $(BIN)/python tests/support/readme.py CONFIGURATION.md METRICS.md deploy/RUNBOOK.md \
		deploy/prometheus/tests/SCENES.md

dashboards: $(VENV)/dev  ## write the Grafana dashboards as JSON
	PYTHONPATH=grafana:. $(BIN)/python -m dashboards grafana
	$(MAKE) chart

# Requires Prometheus, promtool, Node.js 20, Chromium, the font Inter, and a program that draws Grafana dashboards:
# VIEWER is its folder. There, `node view.mjs` has the flags --prometheus, --to, --timezone, --scrape, --theme, --width
# and --out, and writes NAME-THEME-WIDTH.png for each dashboard.
SHRINK := $(BIN)/uv run --isolated --no-project --python $(BIN)/python --with pillow==11.3.0 python
pictures: dashboards  ## draw the pictures of the dashboards: make pictures VIEWER=/path/to/viewer
	@test -f "$(VIEWER)/view.mjs" || { echo "make pictures VIEWER=/path/to/viewer: view.mjs is not in '$(VIEWER)'"; exit 2; }
	PYTHONPATH=.:tests $(BIN)/python tests/support/pictures.py "$(VIEWER)" grafana/pictures
	$(SHRINK) tests/support/shrink.py grafana/pictures/*.png

# Requires npm. Only a new version of Grafana makes it necessary.
SCHEMA := tests/grafana/schema
grafana-schema:  ## derive the schema for dashboards from Grafana (requires npm)
	rm -rf $(VENV)/schema && mkdir -p $(VENV)/schema && cp $(SCHEMA)/package.json $(SCHEMA)/derive.mjs $(VENV)/schema
	cd $(VENV)/schema && npm install --silent --no-audit --no-fund --no-package-lock
	cd $(VENV)/schema && node derive.mjs . $(abspath $(SCHEMA))/grafana.json

links: $(VENV)/dev  ## change addresses in all files: make links REPOSITORY=https://github.com/owner/name GRAFANA=https://...
	$(BIN)/python tests/support/links.py "$(REPOSITORY)" "$(GRAFANA)"
	$(MAKE) chart

kubernetes: $(VENV)/dev  ## write the Kubernetes manifest of Prometheus's rules
	PYTHONPATH=. $(BIN)/python tests/support/prometheus_rule.py .

chart: $(VENV)/dev  ## write the generated files of the Helm chart: rules, dashboards, schema and table of values
	PYTHONPATH=.:tests $(BIN)/python tests/support/chart.py .

operator-schema: $(VENV)/dev  ## derive the schemas for the Prometheus Operator's manifests
	$(BIN)/uv run --isolated --no-project --python $(BIN)/python --with cloudcoil-models-prometheus-operator==0.80.1.0 \
		python tests/deploy/schema/derive.py tests/deploy/schema/operator.json

##@ Set up

LOCK := $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
	--no-emit-index-url --no-emit-find-links --upgrade

lock: $(VENV)/dev  ## pin the newest versions of all dependencies
	$(LOCK) pyproject.toml -o requirements.txt
	$(LOCK) pyproject.toml --group dev -c requirements.txt -o requirements-dev.txt
	$(LOCK) --group build -c requirements-dev.txt -o requirements-build.txt

# Tests import the wheel as a user would install it. `python -P` prevents them from importing the sources here.
wheel: $(VENV)/dev  ## build the wheel in dist/ and install it in the environment
	rm -rf dist
	$(BIN)/pip wheel -q --no-deps --no-build-isolation -w dist .
	$(BIN)/pip install -q --no-deps --force-reinstall dist/*.whl

# Programs that tests require. Root installs them on Debian.
TOOLS := prometheus promtool prometheus-alertmanager amtool openssl chromium systemd-analyze systemd-sysusers
PACKAGES := prometheus prometheus-alertmanager openssl chromium systemd

image: wheel  ## build and run the container image in tests, as root on Debian
	DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends buildah podman runc debootstrap
	$(BIN)/python -P -m pytest -s tests/deploy/test_container.py $(ARGS)

tools:  ## install the programs that tests require, as root on Debian
	@command -v $(TOOLS) | wc -l | grep -qx $(words $(TOOLS)) || { \
		[ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -q \
		&& DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $(PACKAGES); } \
		|| echo "Some of $(TOOLS) are not installed. The tests that require them are skipped."

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is required: make PYTHON=/path/to/python" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/run: requirements.txt | $(BIN)/python
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements.txt
	@touch $@

$(VENV)/dev: requirements-dev.txt | $(BIN)/python
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@

clean:  ## remove everything that the other commands created
	rm -rf .venv .venv-* dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
