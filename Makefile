# labkit in one word a job. Each job makes .venv first, and makes it again only when its list of packages changes.
#
#   make audit    audit the shipped models on embedded real data; the report is build/report/index.html
#   make lab      JupyterLab, opened at notebooks/00_start_here.ipynb
#   make test     the whole test suite
#   make check    format, lint, types, the import contract, notebooks without outputs
#   make bench    labkit beside its peers on the same work, as ratios
#
# PYTHON chooses the interpreter (3.11 to 3.13), VENV the environment's folder.

VENV ?= .venv
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' >/dev/null 2>&1 && echo $$p && break; done)
BIN := $(VENV)/bin
MADE := $(VENV)/.made

export PIP_DISABLE_PIP_VERSION_CHECK = 1
export PYTHONUNBUFFERED = 1

.PHONY: help audit lab test check bench clean

help:
	@sed -n 's/^#  //p' Makefile

audit: $(MADE)
	$(BIN)/labkit audit --out build/report

lab: $(MADE)
	$(BIN)/labkit lab

test: $(MADE)
	$(BIN)/python -m pytest -rfEs -n 2 --dist loadfile

check: $(MADE)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest tests/test_notebooks.py -k stored

bench: $(MADE)
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) build dist

$(MADE): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "labkit needs Python 3.11, 3.12 or 3.13; set PYTHON=/path/to/python" >&2; exit 1; }
	@echo "making $(VENV) with $$($(PYTHON) --version): the pinned packages, torch among them, take some minutes"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	@touch $(MADE)
