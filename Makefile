# Two commands on a machine that has git, make and python3 (3.11 to 3.13):
#   make demo   set everything up in this checkout and do the main job
#   make test   set up what the tests need and run all of them

PYTHON ?= python3
UV := .deps/bin/uv
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help demo test check lint system-packages bundled-model clean

help: ## say what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 24

# uv lives beside the environment, not in it, so that the environment holds what the lock says and nothing else
$(UV):
	$(PYTHON) -m venv .deps || { test "$$(id -u)" = 0 && apt-get update -qq && apt-get install -qq -y python3-venv && $(PYTHON) -m venv .deps; }
	.deps/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.8'

.venv/.base: $(UV) pyproject.toml uv.lock
	$(UV) sync --quiet --frozen --no-dev --inexact --python $(PYTHON)
	@touch $@

.venv/.dev: $(UV) pyproject.toml uv.lock
	$(UV) sync --quiet --frozen --all-extras --all-groups --python $(PYTHON)
	@touch .venv/.base $@

demo: .venv/.base ## draw a gallery, index it, search it, write a contact sheet
	$(BIN)/sosie demo

# Debian names; on other systems, or without root, install the same things by hand and the tests find them
system-packages:
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then tests/system-packages.sh; fi

test: .venv/.dev system-packages lint ## run every check and every test
	$(BIN)/pytest -n 2 --dist loadfile -rfERs

lint: .venv/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bundled-model: .venv/.dev ## train the bundled network briefly on 500 drawn pictures, export it, check it
	$(BIN)/pytest tests/recipes -q

clean: ## remove what the commands above have made
	rm -rf .venv .deps sosie-demo dist
