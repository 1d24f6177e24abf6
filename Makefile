# Needs Python 3.11 or newer and make, nothing else: everything goes into .venv.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PEER   := .venv-peer

# The version that the tests run on; CPU build: the CUDA one is gigabytes larger.
TORCH  := 2.13.0

# Branch coverage in this process, percent; what runs in VMs and functions is not counted.
FLOOR  := 90

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint format schemas soak bench checkov docs clean

help: ## show this
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /	/' | expand -t 12

setup: $(VENV)/.ready ## build .venv with all that is needed

# Linux has three ways to torch, tried in this order: a CPU build where pip already looks;
# the CPU build that uv knows where to find; macOS wheels are CPU builds anyway.
$(VENV)/.ready: pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else \
	  f"expected Python 3.11 or newer, found {v[0]}.{v[1]}: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	@echo "Installing torch $(TORCH) (CPU) ..."
	@if [ "$$(uname -s)" = Darwin ]; then \
	  $(BIN)/pip install --quiet "torch==$(TORCH)"; \
	else \
	  $(BIN)/pip install --quiet "torch==$(TORCH)+cpu" 2>/dev/null \
	  || { $(BIN)/pip install --quiet uv && \
	       VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --torch-backend=cpu "torch==$(TORCH)"; } \
	  || { echo "No CPU build of torch to be had: taking the default one, which may be large." && \
	       $(BIN)/pip install --quiet "torch==$(TORCH)"; }; \
	fi
	@echo "Installing SmartScheduler and its tools ..."
	$(BIN)/pip install --quiet --editable ".[dev]"
	@touch $@

demo: setup ## run the product on an embedded cloud (HISTORY=DIR, RESUME=1)
	@$(BIN)/smartscheduler demo $(if $(HISTORY),--history "$(HISTORY)") $(if $(RESUME),--resume)

test: setup ## all tests, with a floor under their coverage
	$(BIN)/pytest -n auto --no-loadscope-reorder --cov --cov-report=term:skip-covered --cov-fail-under=$(FLOOR)

SCHEDULES ?= 2000
SEED ?= 0

soak: setup ## faults on a simulated clock (SCHEDULES=100000 SEED=7)
	@OMP_NUM_THREADS=1 PYTHONPATH=.:tests/support \
	  $(BIN)/python -m soak --schedules $(SCHEDULES) --seed $(SEED)

lint: setup ## formatting, style, types, import direction, spelling, shell
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell
	$(BIN)/shellcheck vm_runtime/startup.sh .ci/run

# The forerunner in an environment of its own: its pins and its side effects stay there.
$(PEER)/.ready:
	$(PYTHON) -m venv $(PEER)
	@echo "Installing eco4cast 0.0.8 to compare with ..."
	@$(PEER)/bin/pip install --quiet "torch==$(TORCH)+cpu" 2>/dev/null \
	  || $(PEER)/bin/pip install --quiet "torch==$(TORCH)"
	$(PEER)/bin/pip install --quiet eco4cast==0.0.8
	@touch $@

bench: setup $(PEER)/.ready ## speed and quality beside the peers (ONLY=plan,trainer)
	@PEER_PYTHON=$(PEER)/bin/python PYTHONPATH=tests/support \
	  $(BIN)/python tests/bench/bench.py $(ONLY)

# In an environment of its own: it pins much of what we use otherwise.
checkov: .venv-checkov/.ready ## security findings in infra/
	.venv-checkov/bin/checkov -d infra --framework terraform --compact --quiet --skip-download

.venv-checkov/.ready:
	$(PYTHON) -m venv .venv-checkov
	.venv-checkov/bin/pip install --quiet "checkov==3.3.30"
	@touch $@

docs: setup ## the documentation as a site, in site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --site-dir site
	@echo "site/index.html"

format: setup ## mend formatting and style
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## remove what make built
	rm -rf $(VENV) $(PEER) .venv-checkov infra/.build .demo site .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage dist
