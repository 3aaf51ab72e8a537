# make setup    a virtual environment in .venv with gruhw and all its tools
# make demo     generate, synthesise and simulate an accelerator
# make test     every check: lint, types, layers, tests
# make quick    what answers a contributor in two minutes: lint, types, layers, fast tests
# make icarus   the tests that need Icarus Verilog, which make test skips where it is absent
# make nightly  more of what make test checks: other sizes, foldings, engines
# make lint     only the style of the code; likewise make types, layers, pytest
# make lock     the newest versions that pyproject.toml allows, into requirements.lock

PYTHON ?= $(shell for p in python3.11 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
JOBS ?= 2

BIN := .venv/bin
READY := .venv/.ready
DEMO := designs/mnist-rows/genome.json
DEMO_OUT := build/demo

.DELETE_ON_ERROR:
.PHONY: setup demo test quick icarus nightly lint types layers pytest lock

setup: $(READY)

# An environment does not survive a move: it is made anew where the folder has changed.
ifneq "$(shell cat .venv/.folder 2>/dev/null)" "$(CURDIR)"
.PHONY: $(READY)
endif

$(READY): pyproject.toml requirements.lock tools/install.py
	@test -n "$(PYTHON)" || { echo "gruhw needs Python 3.11 or newer: make PYTHON=..." >&2; exit 2; }
	@test "$$(cat .venv/.folder 2>/dev/null)" = "$(CURDIR)" || { \
		"$(PYTHON)" -m venv --clear .venv && echo "$(CURDIR)" > .venv/.folder; }
	$(BIN)/python tools/install.py
	@touch $@

demo: setup
	$(BIN)/gruhw generate --genome $(DEMO) --out $(DEMO_OUT)
	$(BIN)/gruhw synth --genome $(DEMO) --target ice40
	$(BIN)/gruhw simulate --genome $(DEMO) --samples 8 --simulator verilator

test: lint types layers pytest

quick: lint types layers
	$(BIN)/python -m pytest -n $(JOBS) -m "not slow and not nightly" tests/sw tests/hw

icarus: setup
	$(BIN)/python -m pytest -n $(JOBS) -m "icarus and not nightly"

nightly: setup
	$(BIN)/python -m pytest -n $(JOBS) -m "nightly or hypothesis" --hypothesis-profile=nightly

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy
	$(BIN)/mypy tools

layers: setup
	$(BIN)/lint-imports --no-logo

pytest: setup
	$(BIN)/python -m pytest -n $(JOBS)

lock:
	"$(PYTHON)" -m venv --clear build/lock
	build/lock/bin/python tools/install.py --lock
