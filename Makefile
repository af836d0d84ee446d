# Two commands matter: `make run` and `make test`.
PYTHON ?= $(shell for p in python3.12 python3.11 python3.13 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info[:2] < (3,11))' >/dev/null 2>&1 && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
ARGS ?=
SITE ?= shop

.PHONY: run example lighthouse test check fuzz install help clean lock

help:  ## what can be made
	@grep -hE '^[a-z]+:.*  ## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*  ## /\1\t/' | expand -t 10

run: $(VENV)/.run  ## installs, starts everything embedded, plays the demo, stays up (ARGS="--events 5000 --exit")
	@$(BIN)/nextbest demo --up $(ARGS)

example: $(VENV)/.run  ## an example site, personalised, at http://127.0.0.1:8780 (SITE=shop or SITE=news, in examples/)
	@test -d examples/$(SITE)/catalog || { echo "there is no example $(SITE): SITE=shop or SITE=news"; exit 1; }
	@$(BIN)/python -m http.server 8780 --bind 127.0.0.1 --directory examples/$(SITE) & page=$$!; \
		trap "kill $$page 2>/dev/null" EXIT; \
		$(BIN)/nextbest up --catalog examples/$(SITE)/catalog --data-dir .nextbest/example-$(SITE)

test: $(VENV)/.dev  ## everything that can run here; says what was skipped and why
	@scripts/test

check: $(VENV)/.dev  ## format, lint, types, import arrows
	@scripts/check

fuzz: $(VENV)/.dev  ## asks the API whatever its description allows, and what it does not (N=1000 times each operation)
	@NEXTBEST_FUZZ_EXAMPLES=$(or $(N),1000) scripts/test -q --timeout 3600 tests/contract/openapi

lighthouse: $(VENV)/.dev  ## what Lighthouse says of the example sites, with the page script and without it
	@$(BIN)/python -m benchmarks.lighthouse $(ARGS)

install: $(VENV)/.dev  ## the virtual environment with everything for development

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "nextbest needs Python 3.11 or newer on PATH (python3.11, python3.12 or python3)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "$(PYTHON) -m venv failed: on Debian or Ubuntu, apt install python3-venv"; exit 1; }

$(VENV)/.run: requirements.lock pyproject.toml | $(VENV)/bin/python
	@echo "installing the pinned packages into $(VENV)"
	@$(PIP) install --require-hashes --no-deps -r requirements.lock
	@$(PIP) install --no-deps -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements-dev.lock
	@echo "installing the pinned development packages into $(VENV)"
	@$(PIP) install --require-hashes --no-deps -r requirements-dev.lock
	@touch $@

lock:  ## resolves the dependencies anew (needs uv)
	@scripts/lock

clean:  ## removes the virtual environment, caches and local data
	rm -rf $(VENV) .cache .nextbest
