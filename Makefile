# Two commands matter: `make run` and `make test`.
PYTHON ?= $(shell for p in python3.12 python3.11 python3; do \
	$$p -c 'import sys; sys.exit(not (3,11) <= sys.version_info[:2])' >/dev/null 2>&1 && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

.PHONY: run test check install clean lock

run: $(VENV)/.run  ## installs, starts everything embedded, plays the demo, stays up
	@$(BIN)/nextbest demo --up $(ARGS)

test: $(VENV)/.dev  ## everything that can run here; says what was skipped and why
	@scripts/check
	@scripts/test

check: $(VENV)/.dev  ## format, lint, types, import arrows
	@scripts/check

install: $(VENV)/.dev

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "nextbest needs Python 3.11 or newer on PATH (python3.11, python3.12 or python3)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "python3 -m venv failed: on Debian or Ubuntu, apt install python3-venv"; exit 1; }

$(VENV)/.run: requirements.lock pyproject.toml | $(VENV)/bin/python
	@echo "installing the pinned packages into $(VENV)"
	@$(BIN)/pip install -q --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	@$(BIN)/pip install -q --disable-pip-version-check --no-deps -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements-dev.lock
	@echo "installing the pinned development packages into $(VENV)"
	@$(BIN)/pip install -q --disable-pip-version-check --require-hashes --no-deps -r requirements-dev.lock
	@touch $@

lock:  ## resolves the dependencies anew (needs uv)
	@scripts/lock

clean:
	rm -rf $(VENV) .cache .nextbest
