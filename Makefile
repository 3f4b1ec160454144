# make demo   finds a scheme for the zigzag workload on the simulator; no root, no kernel, no compiler needed
# make test   runs every test; those that need a real kernel are skipped as long as there is none
# make kernels   gets QEMU, busybox and kernels for them (Debian, Ubuntu; root or sudo where a package is missing)
# make lint   format, lint and types
# Each installs what it needs into .venv the first time. PYTHON=python3.13 picks another interpreter (3.11 or newer).

PYTHON ?= python3
VENV ?= .venv
PYTEST_ARGS ?=

BIN := $(VENV)/bin
TESTED_PYTHONS := 3.11 3.12 3.13

# One thread each: the libraries' own threads fight over the cores that simulations run on.
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1
export RAY_USAGE_STATS_ENABLED := 0
# Nothing here may touch this machine's own DAMON.
export DAMOOS_HOST_BACKEND := off
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help demo test kernels lint clean

help:
	@sed -n 's/^# \{0,1\}//p;/^$$/q' $(firstword $(MAKEFILE_LIST))

demo: $(VENV)/.core
	$(BIN)/damoos tune workloads/zigzag.cfg --trials 50 --out demo
	@echo "Open $(CURDIR)/demo/report.html in a browser."

test: $(VENV)/.test
	$(BIN)/python -m pytest $(PYTEST_ARGS)

kernels: $(VENV)/.core
	.ci/kernels $(BIN)/damoos

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) demo

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "damoos needs Python 3.11 or newer; name one: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@touch $@

$(VENV)/.core: WHAT := .
$(VENV)/.core: $(VENV)/.python pyproject.toml constraints.txt
	$(install)
	@touch $@

$(VENV)/.test: WHAT := .[rl,search,sweep,test,dev]
$(VENV)/.test: $(VENV)/.python pyproject.toml constraints.txt
	$(install)
	@touch $@ $(VENV)/.core

# The pins are tested together on TESTED_PYTHONS; elsewhere the ranges of pyproject.toml decide.
define install
	@version=$$($(BIN)/python -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
	case " $(TESTED_PYTHONS) " in \
	*" $$version "*) constraints="--constraint constraints.txt" ;; \
	*) constraints=; echo "Python $$version: constraints.txt is for $(TESTED_PYTHONS), installing the newest that fit" ;; \
	esac; \
	echo "installing $(WHAT) into $(VENV) (Python $$version)"; \
	$(BIN)/python -m pip install --quiet --prefer-binary $$constraints --editable '$(WHAT)'
endef
